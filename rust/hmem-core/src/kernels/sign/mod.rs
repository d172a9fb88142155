//! Inner products of rows of signs with a query of small integers.
//!
//! A row of signs takes one bit a number, so a scan of them reads a thirty-second of what the float32 rows hold. Nothing
//! is multiplied: four bits of a row can stand in sixteen ways only, so what four numbers of the query add up to is
//! looked up in a table of sixteen bytes, 64 rows at a time.
//!
//! # Layout
//!
//! Rows stand in blocks of [`BLOCK`] = 64. A block is one [`Line`] for every eight numbers: byte `r` of line `p` holds the
//! bits of row `r` for the numbers `8·p` (lowest bit) to `8·p + 7`. Rows and numbers that are not there have zero bits.
//!
//! # Contract
//!
//! [`sums`] adds, for each row, one entry of both tables of each line: that of the line's lower four bits from the first,
//! that of its upper four from the second. The two largest entries of a line's tables must not exceed 255 together
//! ([`Tables`] sees to it), and sums are taken modulo 2¹⁶: whoever makes the tables keeps the true ones below. Integers
//! have no rounding: every variant gives the same sums.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
pub mod scalar;

use super::isa::Isa;
use super::line::Line;

/// Rows that share a line.
pub const BLOCK: usize = 64;

/// Numbers of a row that share a line.
pub const PER_LINE: usize = 8;

/// Widest row: that many ones fit 16 bits.
pub const MAX_WIDTH: usize = 65_535;

/// What the lower and the upper four bits of a byte stand for.
pub type Table = [[u8; 16]; 2];

/// A query as tables, one for each line.
#[derive(Debug, Clone)]
pub struct Tables {
    tables: Vec<Table>,
    offset: i32,
}

impl Tables {
    /// The largest magnitude that a query `width` numbers wide may have: sixteen of them fit a byte, all of them two.
    #[must_use]
    pub fn largest(width: usize) -> i32 {
        i32::try_from(15.min(MAX_WIDTH / width.max(1))).unwrap_or(15)
    }

    /// For a query of numbers no larger than [`largest`](Self::largest).
    ///
    /// # Panics
    /// If one of them is.
    #[must_use]
    pub fn new(query: &[i8]) -> Self {
        let largest = Self::largest(query.len());
        assert!(query.iter().all(|&q| i32::from(q).abs() <= largest), "numbers up to {largest}");
        let mut offset = 0;
        let mut tables = vec![[[0; 16]; 2]; query.len().div_ceil(PER_LINE)];
        for (eight, table) in query.chunks(PER_LINE).zip(&mut tables) {
            for (four, half) in eight.chunks(4).zip(table) {
                let mut numbers = [0; 4];
                numbers[..four.len()].copy_from_slice(four);
                let least: i8 = numbers.iter().map(|&q| q.min(0)).sum();
                offset -= i32::from(least);
                for (bits, entry) in half.iter_mut().enumerate() {
                    // Four numbers of at most 15: between -60 and 60.
                    let sum: i8 = (0..4).map(|i| if bits >> i & 1 == 1 { numbers[i] } else { 0 }).sum();
                    *entry = (sum - least).cast_unsigned();
                }
            }
        }
        Self { tables, offset }
    }

    /// Lines of a block.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.tables.len()
    }

    /// What every sum has too much: entries are counted from zero.
    #[must_use]
    pub fn offset(&self) -> i32 {
        self.offset
    }
}

/// The sums of all rows of all blocks.
///
/// # Panics
/// If `blocks` has not `tables.lines()` lines for each 64 places in `out`.
pub fn sums(isa: Isa, blocks: &[Line], tables: &Tables, out: &mut [u16]) {
    assert_eq!(blocks.len() * BLOCK, tables.lines() * out.len(), "whole blocks of lines");
    assert_eq!(out.len() % BLOCK, 0, "whole blocks of rows");
    let tables = &tables.tables;
    isa.assert_present();
    match isa {
        Isa::Scalar => scalar::sums(blocks, tables, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(proof) => avx2::sums(proof, blocks, tables, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(proof) => match proof.vbmi() {
            Some(vbmi) => avx512::sums(vbmi, blocks, tables, out),
            None => avx2::sums(proof.avx2(), blocks, tables, out),
        },
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(proof) => neon::sums(proof, blocks, tables, out),
        #[allow(unreachable_patterns, reason = "proofs of another architecture are never made here")]
        _ => scalar::sums(blocks, tables, out),
    }
}

/// The checks of all variants against [`scalar`], callable from a plain program (see `examples/check_kernels.rs`).
#[doc(hidden)]
pub mod checks {
    use super::{BLOCK, Isa, Line, PER_LINE, Tables, scalar, sums};
    use crate::kernels::random::Random;

    /// Compares sums for all counts of lines in `lines`, and block counts around those of every variant.
    ///
    /// # Panics
    /// If they differ.
    pub fn same_sums(isa: Isa, lines: std::ops::RangeInclusive<usize>) {
        let mut random = Random::new(3);
        for lines in lines {
            let width = lines * PER_LINE;
            let largest = Tables::largest(width);
            let query: Vec<i8> = (0..width).map(|_| random.next_i8(largest)).collect();
            #[allow(clippy::cast_possible_truncation, reason = "at most 15")]
            for query in [query, vec![largest as i8; width], vec![-largest as i8; width]] {
                let tables = Tables::new(&query);
                for n in [0, 1, 2, 3, 5] {
                    let blocks: Vec<Line> = (0..n * lines).map(|_| Line(random.next_bytes())).collect();
                    for blocks in [blocks, vec![Line([255; 64]); n * lines]] {
                        let (mut got, mut wanted) = (vec![1; n * BLOCK], vec![2; n * BLOCK]);
                        sums(isa, &blocks, &tables, &mut got);
                        scalar::sums(&blocks, &tables.tables, &mut wanted);
                        assert_eq!(got, wanted, "{isa:?}, {n} blocks of {width} numbers");
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_variant_gives_the_sums_of_the_definition() {
        for isa in Isa::available() {
            checks::same_sums(isa, 0..=20);
            checks::same_sums(isa, 48..=48);
            checks::same_sums(isa, 300..=301);
        }
    }

    proptest! {
        /// A sum, less the tables' offset, adds the numbers whose bits are set.
        #[test]
        fn sums_add_the_numbers_whose_bits_are_set(
            query in prop::collection::vec(-15i8..=15, 1..100),
            seeds in prop::collection::vec(any::<u64>(), BLOCK),
        ) {
            let tables = Tables::new(&query);
            let bit = |row: usize, j: usize| seeds[row].rotate_left(j as u32 * 7) & 1 == 1;
            let mut blocks = vec![Line::ZERO; tables.lines()];
            for (row, j) in (0..BLOCK).flat_map(|row| (0..query.len()).map(move |j| (row, j))) {
                blocks[j / PER_LINE].0[row] |= u8::from(bit(row, j)) << (j % PER_LINE);
            }
            for isa in Isa::available() {
                let mut got = vec![0; BLOCK];
                sums(isa, &blocks, &tables, &mut got);
                for (row, &sum) in got.iter().enumerate() {
                    let wanted: i32 = (0..query.len()).filter(|&j| bit(row, j)).map(|j| i32::from(query[j])).sum();
                    prop_assert_eq!(i32::from(sum) - tables.offset(), wanted);
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "numbers up to 15")]
    fn a_query_that_could_overflow_is_refused() {
        let _ = Tables::new(&[16]);
    }
}
