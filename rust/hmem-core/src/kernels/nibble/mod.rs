//! Inner products of rows of 4-bit numbers with a query of 8-bit numbers, in integers.
//!
//! A row of 8-bit codes `c = 16·h + l` is kept as two *planes*: the high halves `h` of all its numbers, and the low halves
//! `l`. The high plane alone says nearly as much and is read in half the time, so a scan reads it first ([`dot_rows`]);
//! few rows are looked at again with both ([`dot_codes`]), or with the low plane alone where the sum of the high one is known
//! ([`dot_chosen`]).
//!
//! # Layout
//!
//! A plane of a row is one [`Line`] for every [`STEP`] = 128 numbers. Byte `j` of line `i` holds number `128·i + j` in its
//! lower four bits and number `128·i + 64 + j` in its upper four, so that a mask and a shift unpack a line into two. The
//! query is [`Step`]s of 128 signed bytes in plain order. Numbers behind the row's width meet zeros in the query.
//!
//! # Contract
//!
//! * [`dot_rows`]: `Σ h·q`, with `0 ≤ h ≤ 15` and `-127 ≤ q ≤ 127`; exact, since `128·15·127·steps` fits 32 bits for all
//!   widths up to [`MAX_WIDTH`].
//! * [`dot_chosen`]: the same of rows anywhere in a plane.
//! * [`dot_codes`]: `Σ (16·h + l)·(128·a + b)` for a query in two halves `a` and `b`, modulo 2³². Whoever makes the query
//!   keeps the true sum within 32 bits; intermediate ones may wrap.
//! * Integers have no rounding: every variant gives the same numbers.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
pub mod scalar;

use std::ops::Range;

use super::isa::Isa;
use super::line::{Line, SignedLine};

/// Numbers that share a line.
pub const STEP: usize = 128;

/// Widest row: `MAX_WIDTH · 255 · 127` fits 31 bits.
pub const MAX_WIDTH: usize = 1 << 16;

/// 128 numbers of a query.
pub type Step = [SignedLine; 2];

/// Rows in two planes, `steps` lines a row and plane.
#[derive(Debug, Clone, Copy)]
pub struct Planes<'a> {
    /// Upper halves of all rows.
    pub high: &'a [Line],
    /// Lower halves.
    pub low: &'a [Line],
    /// Lines a row.
    pub steps: usize,
}

impl<'a> Planes<'a> {
    /// The upper halves of some rows.
    #[must_use]
    #[inline]
    pub fn high_of(&self, rows: Range<usize>) -> &'a [Line] {
        &self.high[rows.start * self.steps..rows.end * self.steps]
    }

    /// The lower halves of some rows.
    #[must_use]
    #[inline]
    pub fn low_of(&self, rows: Range<usize>) -> &'a [Line] {
        &self.low[rows.start * self.steps..rows.end * self.steps]
    }
}

/// Sums of one plane's rows, which stand one after the other in `rows`.
///
/// # Panics
/// If `rows` has not `query.len()` lines for each place in `out`.
pub fn dot_rows(isa: Isa, rows: &[Line], query: &[Step], out: &mut [i32]) {
    assert_eq!(rows.len(), query.len() * out.len(), "one line a row and step");
    assert!(query.len() * STEP <= MAX_WIDTH, "sums fit 32 bits");
    isa.assert_present();
    match isa {
        Isa::Scalar => scalar::dot_rows(rows, query, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(proof) => avx2::dot_rows(proof, rows, query, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(proof) => match proof.vnni() {
            Some(vnni) => avx512::dot_rows(vnni, rows, query, out),
            None => avx2::dot_rows(proof.avx2(), rows, query, out),
        },
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(proof) => neon::dot_rows(proof, rows, query, out),
        #[allow(unreachable_patterns, reason = "proofs of another architecture are never made here")]
        _ => scalar::dot_rows(rows, query, out),
    }
}

/// Sums of those of one plane's rows that are numbered `chosen`.
///
/// # Panics
/// If a number is not below the count of rows, or the lengths do not fit together.
pub fn dot_chosen(isa: Isa, rows: &[Line], chosen: &[u32], query: &[Step], out: &mut [i32]) {
    assert_eq!(chosen.len(), out.len(), "one result a row");
    assert!(query.len() * STEP <= MAX_WIDTH, "sums fit 32 bits");
    let n = rows.len() / query.len().max(1);
    assert!(chosen.iter().all(|&row| (row as usize) < n), "rows that there are");
    isa.assert_present();
    match isa {
        Isa::Scalar => scalar::dot_chosen(rows, chosen, query, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(proof) => avx2::dot_chosen(proof, rows, chosen, query, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(proof) => match proof.vnni() {
            Some(vnni) => avx512::dot_chosen(vnni, rows, chosen, query, out),
            None => avx2::dot_chosen(proof.avx2(), rows, chosen, query, out),
        },
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(proof) => neon::dot_chosen(proof, rows, chosen, query, out),
        #[allow(unreachable_patterns, reason = "proofs of another architecture are never made here")]
        _ => scalar::dot_chosen(rows, chosen, query, out),
    }
}

/// Sums of both planes of the rows numbered `chosen`, with a query of upper halves `a` and lower halves `b`.
///
/// # Panics
/// If a number is not below the count of rows, or the lengths do not fit together.
pub fn dot_codes(isa: Isa, planes: Planes<'_>, chosen: &[u32], query: [&[Step]; 2], out: &mut [i32]) {
    let steps = planes.steps;
    assert_eq!(chosen.len(), out.len(), "one result a row");
    assert_eq!(planes.high.len(), planes.low.len(), "both planes");
    assert!(query.iter().all(|half| half.len() == steps), "width of rows and query");
    let n = planes.high.len() / steps.max(1);
    assert!(chosen.iter().all(|&row| (row as usize) < n), "rows that there are");
    isa.assert_present();
    match isa {
        Isa::Scalar => scalar::dot_codes(planes, chosen, query, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(proof) => avx2::dot_codes(proof, planes, chosen, query, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(proof) => match proof.vnni() {
            Some(vnni) => avx512::dot_codes(vnni, planes, chosen, query, out),
            None => avx2::dot_codes(proof.avx2(), planes, chosen, query, out),
        },
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(proof) => neon::dot_codes(proof, planes, chosen, query, out),
        #[allow(unreachable_patterns, reason = "proofs of another architecture are never made here")]
        _ => scalar::dot_codes(planes, chosen, query, out),
    }
}

/// The checks of all variants against [`scalar`], callable from a plain program (see `examples/check_kernels.rs`).
#[doc(hidden)]
pub mod checks {
    use super::{Isa, Line, Planes, STEP, SignedLine, Step, dot_chosen, dot_codes, dot_rows, scalar};
    use crate::kernels::random::Random;

    /// Compares sums for all counts of steps in `steps`, and row counts around the blocks of every variant.
    ///
    /// # Panics
    /// If they differ.
    pub fn same_sums(isa: Isa, steps: std::ops::RangeInclusive<usize>) {
        let mut random = Random::new(2);
        for steps in steps {
            let query = |random: &mut Random| -> Vec<Step> {
                let mut line = || SignedLine(std::array::from_fn(|_| random.next_i8(127)));
                (0..steps).map(|_| [line(), line()]).collect()
            };
            let [a, b] = [query(&mut random), query(&mut random)];
            // Extremes: the largest sums there can be.
            let [most, least] = [127, -127].map(|q| vec![[SignedLine([q; 64]); 2]; steps]);
            let full = Line([255; 64]);
            for n in [0, 1, 2, 7, 8, 15, 16, 17, 33] {
                let [high, low]: [Vec<Line>; 2] =
                    std::array::from_fn(|_| (0..n * steps).map(|_| Line(random.next_bytes())).collect());
                let extreme = vec![full; n * steps];
                for (rows, query) in [(&high, &a), (&extreme, &most), (&extreme, &least)] {
                    let (mut got, mut wanted) = (vec![1; n], vec![2; n]);
                    dot_rows(isa, rows, query, &mut got);
                    scalar::dot_rows(rows, query, &mut wanted);
                    assert_eq!(got, wanted, "{isa:?}, {n} rows of {} numbers", steps * STEP);
                }
                let chosen: Vec<u32> =
                    (0..n).rev().step_by(2).filter_map(|row| u32::try_from(row).ok()).collect();
                for (rows, query) in [(&low, &b), (&extreme, &most), (&extreme, &least)] {
                    let (mut got, mut wanted) = (vec![1; chosen.len()], vec![2; chosen.len()]);
                    dot_chosen(isa, rows, &chosen, query, &mut got);
                    scalar::dot_chosen(rows, &chosen, query, &mut wanted);
                    assert_eq!(got, wanted, "{isa:?}, chosen rows of {} numbers", steps * STEP);
                }
                for (high, low, a, b) in [(&high, &low, &a, &b), (&extreme, &extreme, &most, &least)] {
                    let planes = Planes { high, low, steps };
                    let (mut got, mut wanted) = (vec![1; chosen.len()], vec![2; chosen.len()]);
                    dot_codes(isa, planes, &chosen, [a, b], &mut got);
                    scalar::dot_codes(planes, &chosen, [a, b], &mut wanted);
                    assert_eq!(got, wanted, "{isa:?}, codes of {} numbers", steps * STEP);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::random::Random;
    use proptest::prelude::*;

    /// Lines of extreme numbers, mixed with ordinary ones.
    fn signed(random: &mut Random) -> SignedLine {
        SignedLine(std::array::from_fn(|_| match random.next_u64() >> 62 {
            0 => 127,
            1 => -127,
            _ => random.next_i8(127),
        }))
    }

    fn line(random: &mut Random) -> Line {
        Line(std::array::from_fn(|_| {
            if random.next_u64() >> 63 == 0 { 255 } else { random.next_bytes::<1>()[0] }
        }))
    }

    proptest! {
        #[test]
        fn every_variant_gives_the_sums_of_the_definition_for_any_rows(
            seed in any::<u64>(),
            steps in 1usize..40,
            n in 0usize..50,
            one_sign in any::<bool>(),
        ) {
            let mut random = Random::new(seed);
            let mut query = || -> Vec<Step> {
                let most = [SignedLine([if seed % 2 == 0 { 127 } else { -127 }; 64]); 2];
                (0..steps).map(|_| if one_sign { most } else { [signed(&mut random), signed(&mut random)] }).collect()
            };
            let [a, b] = [query(), query()];
            let [high, low]: [Vec<Line>; 2] =
                std::array::from_fn(|_| (0..n * steps).map(|_| line(&mut random)).collect());
            let chosen: Vec<u32> = (0..n).map(|i| (random.next_u64() as usize % n) as u32 * u32::from(i % 5 > 0)).collect();
            let planes = Planes { high: &high, low: &low, steps };
            let (mut of_rows, mut of_chosen, mut of_codes) = (vec![1; n], vec![2; n], vec![2; n]);
            scalar::dot_rows(&high, &a, &mut of_rows);
            scalar::dot_chosen(&low, &chosen, &b, &mut of_chosen);
            scalar::dot_codes(planes, &chosen, [&a, &b], &mut of_codes);
            for isa in Isa::available() {
                let mut got = vec![3; n];
                dot_rows(isa, &high, &a, &mut got);
                prop_assert_eq!(&got, &of_rows);
                dot_chosen(isa, &low, &chosen, &b, &mut got);
                prop_assert_eq!(&got, &of_chosen);
                dot_codes(isa, planes, &chosen, [&a, &b], &mut got);
                prop_assert_eq!(&got, &of_codes);
            }
        }
    }

    #[test]
    fn every_variant_gives_the_sums_of_the_definition() {
        for isa in Isa::available() {
            checks::same_sums(isa, 1..=9);
            checks::same_sums(isa, 512..=512);
        }
    }

    #[test]
    fn a_code_is_its_two_halves() {
        // Number 3 is 16·9 + 5, number 70 is 16·2 + 1; the query asks for them with 128·2 − 1 and 128·0 + 7.
        let (mut high, mut low) = (Line::ZERO, Line::ZERO);
        (high.0[3], low.0[3]) = (9, 5);
        (high.0[6], low.0[6]) = (2 << 4, 1 << 4);
        let (mut a, mut b) = ([SignedLine::ZERO; 2], [SignedLine::ZERO; 2]);
        (a[0].0[3], b[0].0[3], b[1].0[6]) = (2, -1, 7);
        for isa in Isa::available() {
            let mut sums = [0];
            dot_codes(isa, Planes { high: &[high], low: &[low], steps: 1 }, &[0], [&[a], &[b]], &mut sums);
            assert_eq!(sums, [149 * 255 + 33 * 7]);
            dot_rows(isa, &[high], &[b], &mut sums);
            assert_eq!(sums, [-9 + 2 * 7]);
            dot_chosen(isa, &[high, low], &[1], &[b], &mut sums);
            assert_eq!(sums, [-5 + 7]);
        }
    }

    #[test]
    #[should_panic(expected = "rows that there are")]
    fn a_row_that_is_not_there_is_refused() {
        let planes = Planes { high: &[Line::ZERO], low: &[Line::ZERO], steps: 1 };
        let query = [[SignedLine::ZERO; 2]];
        dot_codes(Isa::Scalar, planes, &[1], [&query, &query], &mut [0]);
    }

    #[test]
    #[should_panic(expected = "rows that there are")]
    fn a_row_that_is_not_in_a_plane_is_refused() {
        dot_chosen(Isa::Scalar, &[Line::ZERO], &[1], &[[SignedLine::ZERO; 2]], &mut [0]);
    }
}
