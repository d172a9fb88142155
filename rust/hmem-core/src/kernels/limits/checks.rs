//! The checks of all variants against [`Isa::Scalar`], callable from a plain program (see `examples/check_kernels.rs`).

use super::reach::bits;
use super::{
    PerLane, PerQuery, PerRow, PerSignQuery, PerSignRow, entering, excesses, levels_of_signs, reaching,
    reaching_level, reaching_levels, upper_limits_of_dots,
};
use crate::kernels::isa::Isa;
use crate::kernels::random::Random;
use crate::kernels::sign::BLOCK;

/// Row counts around those of every variant.
const COUNTS: [usize; 13] = [0, 1, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 200];

/// Compares limits, bit for bit, and which of them reach some floors.
///
/// # Panics
/// If they differ.
pub fn same_limits(isa: Isa) {
    let mut random = Random::new(4);
    for n in COUNTS {
        same_limits_of_dots(isa, n, &mut random);
        same_levels(isa, n, &mut random);
    }
    same_bits(isa, &mut random);
}

#[allow(clippy::cast_precision_loss, reason = "any numbers will do")]
fn same_limits_of_dots(isa: Isa, n: usize, random: &mut Random) {
    let mut column =
        |size: f32| -> Vec<f32> { (0..n).map(|_| f32::from(random.next_i8(127)) / 127.0 * size).collect() };
    let (offset, scale, error) = (column(1.0), column(0.3), column(0.1));
    let dots: Vec<i32> = (0..n).map(|_| i32::from(random.next_i8(127)) * 600).collect();
    let rows = PerRow { offset: &offset, scale: &scale, error: &error };
    let lanes = PerLane { unit: [2e-4; BLOCK], gain: [0.2; BLOCK], floor: [0.1; BLOCK], ..PerLane::NONE };
    // The last one wraps.
    for times in [1, 32, 1 << 20] {
        let query = PerQuery { times, minus: 241, unit: 3e-4, gain: 0.3, reach: 1.1 };
        let of = |isa| {
            let (mut limits, mut largest) = (vec![f32::NAN; n], vec![f32::NAN; n.div_ceil(BLOCK)]);
            upper_limits_of_dots(isa, &dots, rows, query, &mut limits, &mut largest);
            let excess = [0, 1, 16, 33, 48, BLOCK].map(|width| {
                let mut excess = vec![[f32::NAN; BLOCK]; n];
                let sums: Vec<i32> = dots.iter().copied().cycle().take(n * width).collect();
                excesses(isa, &sums, width, rows, &lanes, &mut excess);
                let first = n.min(BLOCK);
                let mut entered = vec![u64::MAX; first];
                entering(isa, &sums[..first * width], width, rows, &lanes, &mut entered);
                for (entered, excess) in entered.into_iter().zip(&excess) {
                    assert_eq!(entered, bits(&excess[..width], 0.0), "{isa:?}, {n} rows, width {width}");
                }
                excess.concat()
            });
            let all = limits.into_iter().chain(largest).chain(excess.concat());
            all.map(f32::to_bits).collect::<Vec<_>>()
        };
        assert_eq!(of(isa), of(Isa::Scalar), "{isa:?}, {n} rows, times {times}");
    }
}

/// Any 16 bits in all places: what wraps must wrap alike.
fn same_levels(isa: Isa, n: usize, random: &mut Random) {
    let mut number = || u16::from_le_bytes(random.next_bytes());
    let mut column = || -> Vec<u16> { (0..n).map(|_| number()).collect() };
    let sums = column();
    let [offset, shape] =
        [column(), column()].map(|column| -> Vec<i16> { column.into_iter().map(u16::cast_signed).collect() });
    for _ in 0..20 {
        let query = PerSignQuery {
            middle: number(),
            times: number().cast_signed(),
            factor: number().cast_signed(),
            factor_step: number().cast_signed(),
            offset_step: number().cast_signed(),
            spread_step: number().cast_signed(),
        };
        let of = |isa| {
            let (mut levels, mut largest) = (vec![0; n], vec![0; n.div_ceil(BLOCK)]);
            let rows = PerSignRow { offset: &offset, shape: &shape };
            levels_of_signs(isa, &sums, rows, query, &mut levels, &mut largest);
            (levels, largest)
        };
        assert_eq!(of(isa), of(Isa::Scalar), "{isa:?}, {n} rows, {query:?}");
    }
}

/// Compares which of up to 64 limits reach a floor: ordinary numbers and those that compare in a way of their own.
fn same_bits(isa: Isa, random: &mut Random) {
    let numbers = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1.0, 1.0 + f32::EPSILON, -1e-42];
    let levels = [i16::MIN, i16::MIN + 1, -256, -1, 0, 1, 255, 256, i16::MAX - 1, i16::MAX];
    for n in (0..=BLOCK).rev() {
        let mut place = |places: usize| random.next_u64() as usize % places;
        let some_numbers: Vec<f32> = (0..n).map(|_| numbers[place(numbers.len())]).collect();
        let some_levels: Vec<i16> = (0..n).map(|_| levels[place(levels.len())]).collect();
        for floor in numbers {
            let (got, wanted) = (reaching(isa, &some_numbers, floor), bits(&some_numbers, floor));
            assert_eq!(got, wanted, "{isa:?}, {some_numbers:?}, {floor}");
        }
        for floor in levels {
            let (got, wanted) = (reaching_level(isa, &some_levels, floor), bits(&some_levels, floor));
            assert_eq!(got, wanted, "{isa:?}, {some_levels:?}, {floor}");
            let many: Vec<i16> = some_levels.iter().copied().cycle().take(3 * n).collect();
            let wanted: Vec<u64> = many.chunks(BLOCK).map(|block| bits(block, floor)).collect();
            let mut got = vec![0x5555; wanted.len()];
            reaching_levels(isa, &many, floor, &mut got);
            assert_eq!(got, wanted, "{isa:?}, {many:?}, {floor}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_gives_the_bits_of_the_definition() {
        for isa in Isa::available() {
            same_limits(isa);
        }
    }
}
