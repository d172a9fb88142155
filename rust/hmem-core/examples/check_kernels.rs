//! Compares every instruction set of this CPU with the scalar definition, bit for bit.
//!
//! A plain program on one thread, because that is what an emulator of another architecture runs well: `make check-arm`.

use std::sync::Arc;

use hmem_core::dense::{Coder, DenseSegment, Metric, NormalRows, scan};
use hmem_core::encoder::{forward, model_file::Model, sample, shape::Architecture};
use hmem_core::kernels::isa::{Isa, cpu_features};
use hmem_core::kernels::{
    dot, hopfield, limits, nibble, product, projection, rotation, sign, tile, transformer,
};
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
        tile::checks::same_sums(isa, 1..=4);
        limits::checks::same_limits(isa);
        rotation::checks::same_bits(isa, (1..=300).chain([384, 768, 1000, 1024, 4096]));
        product::checks::same_sums(isa, [64, 192, 384]);
        hopfield::checks::same_bits(isa, (0..=70).chain([384]));
        projection::checks::same_sums(isa);
        transformer::checks::same_bits(isa);
        println!(
            "{}: same bits as scalar; search {:016x}, encoder {:016x}",
            isa.name(),
            search(isa),
            encode(isa)
        );
    }
}

/// A number that stands for the bits of the vectors of a few texts, by small models of both kinds.
fn encode(isa: Isa) -> u64 {
    let mut sum = 0u64;
    for architecture in [Architecture::Bert, Architecture::Mpnet] {
        let path = std::env::temp_dir().join(format!("hmem-check-{}", std::process::id()));
        let bytes = sample::model(&sample::shape(architecture), 7);
        let model = std::fs::write(&path, bytes).map_err(Into::into).and_then(|()| Model::open(&path));
        let model = model.unwrap_or_else(|error| unreachable!("{error}"));
        for bits in forward::checks::vectors(&model, isa, &forward::checks::texts(&model, 1)).concat() {
            sum = sum.rotate_left(5) ^ u64::from(bits);
        }
        drop((model, std::fs::remove_file(&path)));
    }
    sum
}

/// A number that stands for the bits of a few searches, to compare between machines: exact ones and fast ones, one by one
/// and many at once.
fn search(isa: Isa) -> u64 {
    let (n, d) = (1000, 100);
    // Small multiples of 1/64: exact in float32, so the input is the same everywhere.
    let numbers = |from: u32, n: usize| -> Vec<f32> {
        let of =
            |i: u32| f32::from(u16::try_from(i.wrapping_mul(2_654_435_761) >> 22).unwrap_or(0)) / 64.0 - 8.0;
        (from..).take(n * d).map(of).collect()
    };
    let (data, asked) = (numbers(1, n), numbers(7, 40));
    let coder = Arc::new(Coder::new(isa, d));
    let mut sum = 0u64;
    for metric in [Metric::Cosine, Metric::Dot] {
        let normal = |data, n| {
            let rows = Rows::new(data, n, d).and_then(|rows| NormalRows::new("rows", rows, metric));
            rows.unwrap_or_else(|error| unreachable!("{error}"))
        };
        let segment = DenseSegment::of(&coder, normal(&data, n), metric);
        let all = Bitmap::all(n);
        for (m, exact) in [(40, true), (5, true), (40, false)] {
            let wish = scan::Wish { k: 20, exact, threads: 1 };
            let parts = [Live { segment: &segment, rows: &all }];
            for hits in scan::search(isa, metric, &parts, &normal(&asked[..m * d], m), wish) {
                for hit in hits {
                    sum = sum.rotate_left(5) ^ hit.score.to_bits().wrapping_add(hit.row as u64);
                }
            }
        }
    }
    sum
}
