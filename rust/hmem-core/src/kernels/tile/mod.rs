//! Inner products of many rows of 8-bit codes with many queries of 8-bit numbers, in integers.
//!
//! One query at a time waits for memory. With many, each number that was fetched is used many times, and only the
//! arithmetic units set the limit: a tile of some rows and 16 to 64 queries is computed in registers.
//!
//! # Layout
//!
//! A row is its bytes in plain order, in whole [`Line`]s, as [`unpack`] makes them from two planes of nibbles. Queries
//! stand in [`Lanes`]: 16 of them side by side, four numbers of each in a line, so that one instruction multiplies four
//! numbers of a row with those of 16 queries.
//!
//! # Contract
//!
//! [`sums`]: `Σ c·q` with `0 ≤ c ≤ 255` and `|q|` up to [`largest`]; exact, since those of a row
//! [`MAX_WIDTH`](super::nibble::MAX_WIDTH) wide fit 32 bits. Every variant gives the same numbers.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
pub mod scalar;

use super::isa::Isa;
use super::line::{LINE, Line, SignedLine};
use super::per_isa::per_isa;

/// Queries that stand side by side.
pub const LANES: usize = 16;

/// Numbers of a query that share a line.
const QUAD: usize = LINE / LANES;

/// The largest magnitude of a query's number: AVX2 multiplies in 16 bits, which hold two products of 255 and 64.
#[must_use]
pub fn largest(isa: Isa) -> i32 {
    match isa {
        Isa::Avx2(_) => 64,
        Isa::Avx512(proof) if proof.vnni().is_none() => 64,
        _ => 127,
    }
}

/// Most groups of [`LANES`] queries in a tile.
pub const GROUPS: usize = 4;

/// 16 queries, four numbers of each in a line.
#[derive(Debug, Clone)]
pub struct Lanes(Vec<SignedLine>);

impl Lanes {
    /// Up to 16 queries, `width` numbers wide or less; zeros stand for what is missing.
    ///
    /// # Panics
    /// If there are more, or a number does not fit 8 bits.
    #[must_use]
    pub fn new(queries: &[impl AsRef<[i32]>], width: usize) -> Self {
        assert!(queries.len() <= LANES, "16 queries");
        let mut lines = vec![SignedLine::ZERO; width.div_ceil(QUAD)];
        for (lane, query) in queries.iter().map(AsRef::as_ref).enumerate() {
            assert!(query.len() <= width, "numbers of the query");
            let fits = |&q: &i32| (-128..=127).contains(&q);
            assert!(query.iter().all(fits), "numbers of 8 bits");
            #[allow(clippy::cast_possible_truncation, reason = "they fit")]
            let byte = |q: i32| q as i8;
            let (quads, last) = query.as_chunks::<QUAD>();
            for (line, quad) in lines.iter_mut().zip(quads) {
                line.0.as_chunks_mut().0[lane] = quad.map(byte);
            }
            for (i, &q) in last.iter().enumerate() {
                lines[quads.len()].0[lane * QUAD + i] = byte(q);
            }
        }
        Self(lines)
    }
}

per_isa! {
    /// Writes the codes `16·h + l` of two planes' lines as bytes in plain order.
    ///
    /// # Panics
    /// If `out` has not two lines for each of `high` and of `low`.
    pub fn unpack(high: &[Line], low: &[Line], out: &mut [Line]) -> () = merged;
}

#[inline(always)]
fn merged(high: &[Line], low: &[Line], out: &mut [Line]) {
    assert!(high.len() == low.len() && out.len() == 2 * high.len(), "two lines a step");
    for ((high, low), out) in high.iter().zip(low).zip(out.as_chunks_mut::<2>().0) {
        for j in 0..LINE {
            out[0].0[j] = (high.0[j] << 4) | (low.0[j] & 15);
            out[1].0[j] = (high.0[j] & 0xf0) | (low.0[j] >> 4);
        }
    }
}

/// Sums of all rows with all queries: `out[row][group · 16 + lane]`.
///
/// # Panics
/// If the lengths do not fit together, or there are more than [`GROUPS`] groups.
pub fn sums(isa: Isa, rows: &[Line], lines_per_row: usize, queries: &[Lanes], out: &mut [i32]) {
    assert!((1..=GROUPS).contains(&queries.len()), "one to four groups of queries");
    assert!(
        queries.iter().all(|lanes| lanes.0.len() * QUAD == lines_per_row * LINE),
        "width of rows and queries"
    );
    let n = rows.len().checked_div(lines_per_row).unwrap_or(0);
    assert_eq!(out.len(), n * queries.len() * LANES, "one place a row and query");
    isa.assert_present();
    match isa {
        Isa::Scalar => scalar::sums(rows, lines_per_row, queries, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(proof) => avx2::sums(proof, rows, lines_per_row, queries, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(proof) => match proof.vnni() {
            Some(vnni) => avx512::sums(vnni, rows, lines_per_row, queries, out),
            None => avx2::sums(proof.avx2(), rows, lines_per_row, queries, out),
        },
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(proof) => neon::sums(proof, rows, lines_per_row, queries, out),
        #[allow(unreachable_patterns, reason = "proofs of another architecture are never made here")]
        _ => scalar::sums(rows, lines_per_row, queries, out),
    }
}

/// The checks of all variants against [`scalar`], callable from a plain program (see `examples/check_kernels.rs`).
#[doc(hidden)]
pub mod checks {
    use super::{GROUPS, Isa, LANES, LINE, Lanes, Line, largest, scalar, sums};
    use crate::kernels::random::Random;

    /// Compares sums for all counts of steps in `steps`, counts of rows around every variant's tile, and of groups.
    ///
    /// # Panics
    /// If they differ.
    pub fn same_sums(isa: Isa, steps: std::ops::RangeInclusive<usize>) {
        let mut random = Random::new(4);
        for lines in steps.map(|steps| 2 * steps) {
            for (groups, n) in (1..=GROUPS).flat_map(|groups| [0, 1, 5, 6, 7, 13].map(|n| (groups, n))) {
                let mut lanes = || {
                    let mut number = || i32::from(random.next_i8(largest(isa)));
                    let queries =
                        [(); LANES].map(|()| (0..lines * LINE).map(|_| number()).collect::<Vec<_>>());
                    Lanes::new(&queries, lines * LINE)
                };
                let queries: Vec<_> = (0..groups).map(|_| lanes()).collect();
                let rows: Vec<Line> = (0..n * lines).map(|_| Line(random.next_bytes())).collect();
                // Every other query is as low as it can be, and every other row.
                let signs = [(); LANES / 2].map(|()| [largest(isa), -largest(isa)]);
                let ends = signs.as_flattened().iter().map(|&q| vec![q; lines * LINE]).collect::<Vec<_>>();
                let ends = vec![Lanes::new(&ends, lines * LINE); groups];
                let full: Vec<Line> =
                    (0..n).flat_map(|row| vec![Line([[255, 0][row % 2]; LINE]); lines]).collect();
                for (rows, queries) in [(rows, queries), (full, ends)] {
                    let (mut got, mut wanted) = (vec![1; n * groups * LANES], vec![2; n * groups * LANES]);
                    sums(isa, &rows, lines, &queries, &mut got);
                    scalar::sums(&rows, lines, &queries, &mut wanted);
                    assert_eq!(got, wanted, "{isa:?}, {n} rows of {} numbers, {groups} groups", lines * LINE);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::nibble::STEP;
    use proptest::prelude::*;

    #[test]
    fn every_variant_gives_the_sums_of_the_definition() {
        for isa in Isa::available() {
            checks::same_sums(isa, 1..=4);
        }
    }

    proptest! {
        /// Against the plain product of codes that were packed into nibbles.
        #[test]
        fn sums_are_inner_products(
            codes in prop::collection::vec(prop::collection::vec(any::<u8>(), 2 * STEP), 1..9),
            queries in prop::collection::vec(prop::collection::vec(-64i32..=64, 200), 1..40),
        ) {
            let mut planes = [vec![], vec![]];
            for step in codes.iter().flat_map(|row| row.as_chunks::<STEP>().0) {
                let nibble = |shift: u32| {
                    Line(std::array::from_fn(|j| step[j] >> shift & 15 | (step[LINE + j] >> shift & 15) << 4))
                };
                planes[0].push(nibble(4));
                planes[1].push(nibble(0));
            }
            let mut rows = vec![Line::ZERO; codes.len() * 4];
            let lanes: Vec<Lanes> = queries.chunks(LANES).map(|queries| Lanes::new(queries, 2 * STEP)).collect();
            for isa in Isa::available() {
                unpack(isa, &planes[0], &planes[1], &mut rows);
                let mut got = vec![0; codes.len() * lanes.len() * LANES];
                sums(isa, &rows, 4, &lanes, &mut got);
                for (row, sums) in codes.iter().zip(got.chunks(lanes.len() * LANES)) {
                    let product = |query: &Vec<i32>| row.iter().zip(query).map(|(&c, q)| i32::from(c) * q).sum::<i32>();
                    prop_assert!(queries.iter().map(product).eq(sums[..queries.len()].iter().copied()));
                    prop_assert!(sums[queries.len()..].iter().all(|&sum| sum == 0));
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "numbers of 8 bits")]
    fn a_query_that_does_not_fit_is_refused() {
        let _ = Lanes::new(&[vec![128]], 128);
    }
}
