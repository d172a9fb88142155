//! Inner products of rows of signs with a query of small integers.
//!
//! A row of signs takes one bit a number, so a scan of them reads a thirty-second of what the float32 rows hold. Nothing
//! is multiplied: four bits of a row can stand in sixteen ways only, so what four numbers of the query add up to is
//! looked up in a table of sixteen bytes, 64 rows at a time.
//!
//! # Layout
//!
//! Rows stand in blocks of [`BLOCK`] = 64, and blocks in groups of [`GROUP`] = 4. For every eight numbers a group has four
//! [`Line`]s, one a block: byte `r` of block `b`'s line `p` holds the bits of the group's row `64·b + r` for the numbers
//! `8·p` (lowest bit) to `8·p + 7`. A table that was fetched serves four lines so, and these come one after the other.
//! Rows and numbers that are not there have zero bits.
//!
//! # Contract
//!
//! [`sums`] adds, for each row, one entry of both tables of each line: that of the line's lower four bits from the first,
//! that of its upper four from the second. The largest entries of [`TOGETHER`] lines in a row must not exceed 255 together,
//! so that bytes hold what is added up to there, and all of them must fit 16 bits ([`Tables`] sees to both). Integers have
//! no rounding: every variant gives the same sums.

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

/// Blocks whose lines for the same numbers stand together.
pub const GROUP: usize = 4;

/// Lines of a block whose entries are added in bytes.
pub const TOGETHER: usize = 4;

/// Numbers of a row that share a line.
pub const PER_LINE: usize = 8;

/// Widest row: there is room for a query whose numbers are about one.
pub const MAX_WIDTH: usize = 65_535;

/// Numbers of a query whose entries are added in bytes.
pub const CHUNK: usize = TOGETHER * PER_LINE;

/// What the lower and the upper four bits of a byte stand for.
pub type Table = [[u8; 16]; 2];

/// A query as tables, one for each line.
#[derive(Debug, Clone)]
pub struct Tables {
    tables: Vec<Table>,
    offset: i32,
}

impl Tables {
    /// What the magnitudes of [`CHUNK`] numbers in a row may add up to at most, in a query `width` numbers wide: they must
    /// fit a byte, and all of them two.
    #[must_use]
    pub fn most(width: usize) -> i32 {
        let chunks = width.div_ceil(CHUNK).max(1);
        i32::try_from(255.min(usize::from(u16::MAX) / chunks)).unwrap_or(255)
    }

    /// For a query of which no chunk has [more](Self::most).
    ///
    /// # Panics
    /// If one has.
    #[must_use]
    pub fn new(query: &[i32]) -> Self {
        let most = Self::most(query.len());
        let size = |chunk: &[i32]| chunk.iter().map(|q| u64::from(q.unsigned_abs())).sum::<u64>();
        assert!(
            query.chunks(CHUNK).all(|chunk| size(chunk) <= u64::from(most.unsigned_abs())),
            "at most {most} in {CHUNK} numbers"
        );
        let (eights, rest) = query.as_chunks::<PER_LINE>();
        let mut tables = Vec::with_capacity(query.len().div_ceil(PER_LINE));
        tables.extend(eights.iter().map(table));
        if !rest.is_empty() {
            let mut eight = [0; PER_LINE];
            eight[..rest.len()].copy_from_slice(rest);
            tables.push(table(&eight));
        }
        Self { tables, offset: query.iter().map(|&q| lacking(q)).sum() }
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

/// What entries have too much for a number: nothing is left out of them that is positive, and no sum is below zero.
fn lacking(q: i32) -> i32 {
    -q.min(0)
}

fn table(eight: &[i32; PER_LINE]) -> Table {
    let [a, b, c, d, e, f, g, h] = *eight;
    [entries([a, b, c, d]), entries([e, f, g, h])]
}

/// Bit `i` of an entry's place says whether number `i` is in it.
///
/// Eight entries are the bytes of one integer, and so are the places that a number is in. Entries are sums from 0 to 255: none
/// carries into the next, whatever overflows on the way.
fn entries(four: [i32; 4]) -> [u8; 16] {
    const ALL: u64 = 0x0101_0101_0101_0101;
    let at = |places: u64, q: i32| places.wrapping_mul(i64::from(q).cast_unsigned());
    let first = at(ALL, four.map(lacking).iter().sum())
        .wrapping_add(at(0x0100_0100_0100_0100, four[0]))
        .wrapping_add(at(0x0101_0000_0101_0000, four[1]))
        .wrapping_add(at(0x0101_0101_0000_0000, four[2]));
    let last = first.wrapping_add(at(ALL, four[3]));
    let mut entries = [0; 16];
    entries[..8].copy_from_slice(&first.to_le_bytes());
    entries[8..].copy_from_slice(&last.to_le_bytes());
    entries
}

/// Lines of the signs of `rows` rows of `width` numbers.
#[must_use]
pub fn lines(rows: usize, width: usize) -> usize {
    rows.div_ceil(GROUP * BLOCK) * GROUP * width.div_ceil(PER_LINE)
}

/// Sets the bits of one row: `positive` says of a number whether its bit is to be one.
pub fn set_row(signs: &mut [Line], row: usize, width: usize, positive: impl Fn(usize) -> bool) {
    let lines = width.div_ceil(PER_LINE);
    let (group, block) = (row / (GROUP * BLOCK), row / BLOCK % GROUP);
    let group = &mut signs[group * GROUP * lines..][..GROUP * lines];
    for (lines, from) in group.as_chunks_mut::<GROUP>().0.iter_mut().zip((0..width).step_by(PER_LINE)) {
        let eight = from..width.min(from + PER_LINE);
        lines[block].0[row % BLOCK] = eight.fold(0, |bits, j| bits | u8::from(positive(j)) << (j % PER_LINE));
    }
}

/// The sums of all rows of all groups.
///
/// # Panics
/// If `groups` has not `tables.lines()` lines for each 64 places in `out`, or these are no whole groups.
pub fn sums(isa: Isa, groups: &[Line], tables: &Tables, out: &mut [u16]) {
    assert_eq!(groups.len() * BLOCK, tables.lines() * out.len(), "whole groups of lines");
    assert_eq!(out.len() % (GROUP * BLOCK), 0, "whole groups of rows");
    let tables = &tables.tables;
    isa.assert_present();
    if tables.is_empty() {
        out.fill(0);
        return;
    }
    match isa {
        Isa::Scalar => scalar::sums(groups, tables, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(proof) => avx2::sums(proof, groups, tables, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(proof) => match proof.vbmi() {
            Some(vbmi) => avx512::sums(vbmi, groups, tables, out),
            None => avx2::sums(proof.avx2(), groups, tables, out),
        },
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(proof) => neon::sums(proof, groups, tables, out),
        #[allow(unreachable_patterns, reason = "proofs of another architecture are never made here")]
        _ => scalar::sums(groups, tables, out),
    }
}

/// The checks of all variants against [`scalar`], callable from a plain program (see `examples/check_kernels.rs`).
#[doc(hidden)]
pub mod checks {
    use super::{BLOCK, CHUNK, GROUP, Isa, Line, PER_LINE, Tables, scalar, sums};
    use crate::kernels::random::Random;

    /// Compares sums for all counts of lines in `lines`, and some counts of groups.
    ///
    /// # Panics
    /// If they differ.
    pub fn same_sums(isa: Isa, lines: std::ops::RangeInclusive<usize>) {
        let mut random = Random::new(3);
        for lines in lines {
            let width = lines * PER_LINE;
            let most = Tables::most(width);
            let all = i32::try_from(CHUNK).map_or(0, |chunk| most / chunk);
            let query: Vec<i32> = (0..width).map(|_| random.next_i8(all).into()).collect();
            // All that a chunk may have, in one number of each.
            let single =
                |sign: i32| (0..width).map(|j| if j % CHUNK == 5 { sign * most } else { 0 }).collect();
            for query in [query, vec![all; width], vec![-all; width], single(1), single(-1)] {
                let tables = Tables::new(&query);
                for n in [0, 1, 2, 3] {
                    let groups: Vec<Line> =
                        (0..n * GROUP * lines).map(|_| Line(random.next_bytes())).collect();
                    for groups in [groups, vec![Line([255; 64]); n * GROUP * lines]] {
                        let n = n * GROUP * BLOCK;
                        let (mut got, mut wanted) = (vec![1; n], vec![2; n]);
                        sums(isa, &groups, &tables, &mut got);
                        scalar::sums(&groups, &tables.tables, &mut wanted);
                        assert_eq!(got, wanted, "{isa:?}, {n} rows of {width} numbers");
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
            query in prop::collection::vec(-7i32..=7, 1..100),
            seeds in prop::collection::vec(any::<u64>(), 1..600),
        ) {
            let (n, width) = (seeds.len(), query.len());
            let tables = Tables::new(&query);
            let bit = |row: usize, j: usize| seeds[row].rotate_left(j as u32 * 7) & 1 == 1;
            let mut groups = vec![Line::ZERO; lines(n, width)];
            for row in 0..n {
                set_row(&mut groups, row, width, |j| bit(row, j));
            }
            for isa in Isa::available() {
                let mut got = vec![0; n.next_multiple_of(GROUP * BLOCK)];
                sums(isa, &groups, &tables, &mut got);
                for (row, &sum) in got.iter().enumerate() {
                    let wanted: i32 = (0..width).filter(|&j| row < n && bit(row, j)).map(|j| query[j]).sum();
                    prop_assert_eq!(i32::from(sum) - tables.offset(), wanted);
                }
            }
        }
    }

    proptest! {
        /// An entry adds the numbers whose bits its place has, and counts from the least that there is.
        #[test]
        fn entries_are_sums_of_the_numbers_in_their_place(
            small in prop::collection::vec(-7i32..=7, 0..100),
            large in prop::collection::vec((0usize..CHUNK, prop::sample::select(vec![-255, 255, -1])), 0..4),
        ) {
            let alone = large.iter().flat_map(|&(at, q)| (0..CHUNK).map(move |j| if j == at { q } else { 0 }));
            for query in [small.clone(), alone.chain([-3, 5]).collect(), small.repeat(9)] {
                let tables = Tables::new(&query);
                prop_assert_eq!(tables.lines(), query.len().div_ceil(PER_LINE));
                prop_assert_eq!(tables.offset(), -query.iter().map(|&q| q.min(0)).sum::<i32>());
                let halves = tables.tables.as_flattened();
                for (half, numbers) in halves.iter().zip(query.chunks(4).chain([&[][..]])) {
                    let least: i32 = numbers.iter().filter(|&&q| q < 0).sum();
                    for (place, &entry) in half.iter().enumerate() {
                        let there = numbers.iter().enumerate().filter(|(i, _)| place >> i & 1 == 1);
                        let wanted = there.map(|(_, q)| q).sum::<i32>() - least;
                        prop_assert_eq!(i32::from(entry), wanted);
                    }
                }
            }
        }
    }

    #[test]
    fn a_query_of_the_least_integer_is_refused() {
        for query in [vec![i32::MIN], vec![i32::MAX; 3], vec![i32::MIN; 32]] {
            assert!(std::panic::catch_unwind(|| Tables::new(&query)).is_err(), "{query:?}");
        }
    }

    #[test]
    #[should_panic(expected = "at most 255 in 32 numbers")]
    fn a_query_that_could_overflow_is_refused() {
        let _ = Tables::new(&[8; 32]);
    }

    #[test]
    fn all_sums_of_the_widest_query_fit() {
        for width in [1, 32, 384, 8_192, 8_225, MAX_WIDTH] {
            assert!(Tables::most(width) as usize * width.div_ceil(CHUNK) <= usize::from(u16::MAX));
            assert!(Tables::most(width) >= 31);
        }
    }
}
