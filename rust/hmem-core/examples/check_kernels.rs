//! Compares every instruction set of this CPU with the scalar definition, bit for bit.
//!
//! A plain program on one thread, because that is what an emulator of another architecture runs well: `make check-arm`.

use hmem_core::dense::{DenseSegment, Metric, scan};
use hmem_core::kernels::isa::{Isa, cpu_features};
use hmem_core::kernels::{dot, limits, nibble, sign};
use hmem_core::rows::Rows;
use hmem_core::{bitmap::Bitmap, segment::Live};

fn main() {
    println!("features: {:?}", cpu_features().iter().filter(|(_, has)| *has).collect::<Vec<_>>());
    for isa in Isa::available() {
        dot::checks::same_bits(isa, 0..=514);
        nibble::checks::same_sums(isa, 1..=9);
        nibble::checks::same_sums(isa, 512..=512);
        sign::checks::same_sums(isa, 0..=20);
        sign::checks::same_sums(isa, 300..=301);
        limits::checks::same_limits(isa);
        println!("{}: same bits as scalar; search {:016x}", isa.name(), search(isa));
    }
}

/// A number that stands for the bits of a few searches, to compare between machines.
fn search(isa: Isa) -> u64 {
    let (n, d) = (203, 100);
    // Small multiples of 1/64: exact in float32, so the input is the same everywhere.
    let data: Vec<f32> =
        (0u16..203 * 100).map(|i| f32::from(i.wrapping_mul(7919) % 1013) / 64.0 - 7.5).collect();
    let Ok(rows) = Rows::new(&data, n, d) else { unreachable!("sizes agree") };
    let mut sum = 0u64;
    for metric in [Metric::Cosine, Metric::Dot] {
        let Ok(segment) = DenseSegment::new("rows", rows, metric) else { unreachable!("rows are finite") };
        let all = Bitmap::all(n);
        for hits in scan::search(isa, metric, &[Live { segment: &segment, rows: &all }], &segment, 20, 1) {
            for hit in hits {
                sum = sum.rotate_left(5) ^ hit.score.to_bits().wrapping_add(hit.row as u64);
            }
        }
    }
    sum
}
