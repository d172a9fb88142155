//! A fixed-length set of row numbers, one bit a row.

use std::ops::Range;

/// Which of `len` rows are in the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    /// Row `i` is bit `i % 64` of word `i / 64`. No bit stands beyond the last row.
    words: Vec<u64>,
    len: usize,
}

impl Bitmap {
    /// No row is in the set.
    #[must_use]
    pub fn none(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)], len }
    }

    /// Every row is in the set.
    #[must_use]
    pub fn all(len: usize) -> Self {
        let mut words = vec![u64::MAX; len.div_ceil(64)];
        if let Some(last) = words.last_mut() {
            *last = full_last_word(len);
        }
        Self { words, len }
    }

    /// The set that [`words`](Self::words) gave. `None` if they are too few or too many, or a bit stands beyond the last row.
    #[must_use]
    pub fn from_words(words: Vec<u64>, len: usize) -> Option<Self> {
        let beyond = words.last().is_some_and(|last| last & !full_last_word(len) != 0);
        (words.len() == len.div_ceil(64) && !beyond).then_some(Self { words, len })
    }

    /// Number of rows that could be in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no rows at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether every row is in the set.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.words.split_last().is_none_or(|(last, words)| {
            *last == full_last_word(self.len) && words.iter().all(|&word| word == u64::MAX)
        })
    }

    /// The set, 64 rows a word: row `i` is bit `i % 64` of word `i / 64`, and bits beyond the last row are 0.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Whether row `i` is in the set.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len).
    #[must_use]
    pub fn contains(&self, i: usize) -> bool {
        assert!(i < self.len, "row {i} of {}", self.len);
        self.words[i / 64] >> (i % 64) & 1 == 1
    }

    /// Puts row `i` into the set.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len).
    pub fn insert(&mut self, i: usize) {
        assert!(i < self.len, "row {i} of {}", self.len);
        self.words[i / 64] |= 1 << (i % 64);
    }

    /// Takes row `i` out of the set.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len).
    pub fn remove(&mut self, i: usize) {
        assert!(i < self.len, "row {i} of {}", self.len);
        self.words[i / 64] &= !(1 << (i % 64));
    }

    /// Number of rows in the set.
    #[must_use]
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The rows in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(w, &word)| ones(word).map(move |bit| w * 64 + bit))
    }

    /// Maximal runs of consecutive rows in the set, ascending.
    pub fn runs(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut next = 0;
        std::iter::from_fn(move || {
            let start = self.first_from(next, 0)?;
            next = self.first_from(start, u64::MAX).map_or(self.len, |end| end.min(self.len));
            Some(start..next)
        })
    }

    /// The first row from `start` on that is in the set; with `flip` all ones, that is not, or a number beyond the last row.
    fn first_from(&self, start: usize, flip: u64) -> Option<usize> {
        let first = start / 64;
        let mut words = self.words.iter().zip(0..).skip(first).map(|(&word, w)| (word ^ flip, w));
        let (word, w) = words.next()?;
        let rest = word & u64::MAX << (start % 64);
        let (word, w) = if rest != 0 { (rest, w) } else { words.find(|&(word, _)| word != 0)? };
        Some(w * 64 + word.trailing_zeros() as usize)
    }

    /// Puts consecutive rows into the set.
    ///
    /// # Panics
    /// If the last one is not below [`len`](Self::len).
    pub fn insert_run(&mut self, rows: Range<usize>) {
        assert!(rows.end <= self.len, "rows {rows:?} of {}", self.len);
        if rows.is_empty() {
            return;
        }
        let (first, last) = (rows.start / 64, (rows.end - 1) / 64);
        let (from, to) = (u64::MAX << (rows.start % 64), full_last_word(rows.end));
        if first == last {
            self.words[first] |= from & to;
            return;
        }
        self.words[first] |= from;
        self.words[first + 1..last].fill(u64::MAX);
        self.words[last] |= to;
    }

    /// The rows that are not in the set, ascending.
    pub fn absent(&self) -> impl Iterator<Item = usize> + '_ {
        let of_word = |(w, &word): (usize, &u64)| ones(!word).map(move |bit| w * 64 + bit);
        self.words.iter().enumerate().flat_map(of_word).take_while(|&row| row < self.len)
    }

    /// Those rows of the set for which `keep` says so.
    #[must_use]
    pub fn only(&self, keep: impl Fn(usize) -> bool) -> Self {
        let of_word = |(w, &word): (usize, &u64)| {
            ones(word).fold(0, |kept, bit| kept | u64::from(keep(w * 64 + bit)) << bit)
        };
        Self { words: self.words.iter().enumerate().map(of_word).collect(), len: self.len }
    }

    /// Those rows of the set that `mask` keeps, which has one entry for each row in the set.
    ///
    /// # Panics
    /// If `mask` has another length.
    #[must_use]
    pub fn masked(&self, mask: &[bool]) -> Self {
        let mut rest = mask;
        let of_word = |&word: &u64| {
            let (own, others) = rest.split_at(word.count_ones() as usize);
            rest = others;
            spread(pack(own), word)
        };
        let words = self.words.iter().map(of_word).collect();
        assert!(rest.is_empty(), "a mask of {} for {} rows", mask.len(), self.count());
        Self { words, len: self.len }
    }

    /// Those rows `i` of the set for which row `start + i` is in `other`.
    ///
    /// # Panics
    /// If `other` has fewer than `start` and [`len`](Self::len) rows.
    #[must_use]
    pub fn and_from(&self, other: &Self, start: usize) -> Self {
        assert!(start + self.len <= other.len, "{} rows from {start} of {}", self.len, other.len);
        let (first, shift) = (start / 64, start % 64);
        let of_word = |(w, &word): (usize, &u64)| {
            let low = other.words[first + w] >> shift;
            let high =
                if shift == 0 { 0 } else { other.words.get(first + w + 1).unwrap_or(&0) << (64 - shift) };
            word & (low | high)
        };
        Self { words: self.words.iter().enumerate().map(of_word).collect(), len: self.len }
    }
}

/// At most 64 entries as bits, the first lowest.
fn pack(entries: &[bool]) -> u64 {
    let (eights, rest) = entries.as_chunks::<8>();
    // One byte each, 0 or 1. The product moves byte i to bit 56 + i; no two terms meet, so nothing carries.
    let byte =
        |eight: &[bool; 8]| u64::from_le_bytes(eight.map(u8::from)).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    let bits = eights.iter().rev().fold(0, |bits, eight| bits << 8 | byte(eight));
    rest.iter().zip(eights.len() * 8..).fold(bits, |bits, (&entry, at)| bits | u64::from(entry) << at)
}

/// The lowest bits of `bits`, moved in order to the places of the set bits of `places`.
fn spread(mut bits: u64, places: u64) -> u64 {
    let (mut rest, mut spread) = (places, 0);
    // A run of places at a time: sets are full or nearly so.
    while rest != 0 {
        let start = rest.trailing_zeros();
        let length = (rest >> start).trailing_ones();
        let run = u64::MAX >> (64 - length) << start;
        spread |= bits << start & run;
        bits = bits.unbounded_shr(length);
        rest &= !run;
    }
    spread
}

/// The last word of a set that holds all of `len` rows, which are at least one.
fn full_last_word(len: usize) -> u64 {
    u64::MAX >> (len.wrapping_neg() % 64)
}

/// Places of the set bits, ascending.
fn ones(word: u64) -> impl Iterator<Item = usize> {
    std::iter::successors((word != 0).then_some(word), |rest| {
        let rest = rest & (rest - 1);
        (rest != 0).then_some(rest)
    })
    .map(|rest| rest.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_that_do_not_fit_the_rows_are_no_set() {
        let fits = |words: &[u64], len| Bitmap::from_words(words.to_vec(), len).is_some();
        assert!(fits(&[], 0) && fits(&[1 << 6], 7) && fits(&[u64::MAX], 64) && fits(&[0, 1], 65));
        assert!(
            !fits(&[0], 0) && !fits(&[1 << 7], 7) && !fits(&[0, 2], 65) && !fits(&[0], 65) && !fits(&[], 1)
        );
    }

    proptest! {
        #[test]
        fn behaves_as_a_set_of_rows(len in 1usize..300, edits in prop::collection::vec((any::<bool>(), 0usize..300), 0..200)) {
            let mut bitmap = Bitmap::none(len);
            let mut set = std::collections::BTreeSet::new();
            for (put, i) in edits {
                let i = i % len;
                if put {
                    bitmap.insert(i);
                    set.insert(i);
                } else {
                    bitmap.remove(i);
                    set.remove(&i);
                }
            }
            prop_assert_eq!(bitmap.iter().collect::<Vec<_>>(), set.iter().copied().collect::<Vec<_>>());
            prop_assert!(bitmap.absent().eq((0..len).filter(|i| !set.contains(i))));
            prop_assert_eq!(bitmap.count(), set.len());
            prop_assert_eq!(Bitmap::from_words(bitmap.words().to_vec(), len), Some(bitmap.clone()));
            prop_assert_eq!(bitmap.is_all(), set.len() == len);
            prop_assert_eq!(bitmap.words().len(), len.div_ceil(64));
            let in_words = |i: usize| bitmap.words()[i / 64] >> (i % 64) & 1 == 1;
            prop_assert!((0..len.next_multiple_of(64)).all(|i| in_words(i) == set.contains(&i)));
            prop_assert!((0..len).all(|i| bitmap.contains(i) == set.contains(&i)));
        }
    }

    /// Full, nearly full, half full and nearly empty sets of up to 300 rows.
    fn bitmap() -> impl Strategy<Value = Bitmap> {
        let share = prop::sample::select(vec![0.0, 0.05, 0.5, 0.95, 1.0]);
        (0usize..300, share).prop_flat_map(|(len, share)| {
            prop::collection::vec(prop::bool::weighted(share), len).prop_map(|rows| {
                let mut bitmap = Bitmap::none(rows.len());
                rows.iter().enumerate().filter(|(_, there)| **there).for_each(|(row, _)| bitmap.insert(row));
                bitmap
            })
        })
    }

    fn set(len: usize, rows: impl Iterator<Item = usize>) -> Bitmap {
        let mut bitmap = Bitmap::none(len);
        rows.for_each(|row| bitmap.insert(row));
        bitmap
    }

    proptest! {
        #[test]
        fn subsets_are_what_they_are_row_by_row(
            bitmap in bitmap(),
            bits in prop::collection::vec(any::<bool>(), 300),
            other in bitmap(),
            start in 0usize..200,
        ) {
            let len = bitmap.len();
            prop_assert_eq!(bitmap.only(|row| bits[row]), set(len, bitmap.iter().filter(|&row| bits[row])));

            let mask = &bits[..bitmap.count()];
            let masked = set(len, bitmap.iter().zip(mask).filter(|(_, kept)| **kept).map(|(row, _)| row));
            prop_assert_eq!(bitmap.masked(mask), masked);

            let mut runs: Vec<Range<usize>> = Vec::new();
            for row in bitmap.iter() {
                match runs.last_mut().filter(|run| run.end == row) {
                    Some(run) => run.end += 1,
                    None => runs.push(row..row + 1),
                }
            }
            prop_assert_eq!(bitmap.runs().collect::<Vec<_>>(), runs);
            let mut copy = Bitmap::none(len);
            bitmap.runs().for_each(|run| copy.insert_run(run));
            copy.insert_run(0..0);
            prop_assert_eq!(&copy, &bitmap);

            let other = set(start + len + other.len(), other.iter().flat_map(|row| [row, start + len + row]));
            let both = set(len, bitmap.iter().filter(|row| other.contains(start + row)));
            prop_assert_eq!(bitmap.and_from(&other, start), both);
        }
    }

    #[test]
    #[should_panic(expected = "a mask of 4 for 3 rows")]
    fn a_mask_has_one_entry_a_row() {
        let _ = Bitmap::all(3).masked(&[true; 4]);
    }

    #[test]
    fn all_holds_each_row_and_no_bit_beyond() {
        for len in [0, 1, 63, 64, 65, 128] {
            assert_eq!(Bitmap::all(len).count(), len);
            assert!(Bitmap::all(len).iter().eq(0..len));
            assert!(Bitmap::all(len).is_all());
            assert_eq!(Bitmap::none(len).is_all(), len == 0);
        }
    }

    #[test]
    fn one_missing_row_anywhere_is_not_all() {
        for len in [1, 63, 64, 65, 200] {
            for row in 0..len {
                let mut bitmap = Bitmap::all(len);
                bitmap.remove(row);
                assert!(!bitmap.is_all(), "row {row} of {len}");
                bitmap.insert(row);
                assert!(bitmap.is_all(), "row {row} of {len}");
            }
        }
    }
}
