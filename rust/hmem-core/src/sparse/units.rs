//! Units, ascending: numbers, or words.

use std::cmp::Ordering;
use std::hash::Hash;

use crate::kernels::memory::Column;

/// Distinct units, ascending.
pub(crate) trait Units: Sized {
    /// One of them.
    type Unit: Ord + Hash + ToOwned + ?Sized;

    /// Keeps units that ascend.
    fn gather<'u>(units: impl Iterator<Item = &'u Self::Unit>) -> Self
    where
        Self::Unit: 'u;

    /// How many there are.
    fn len(&self) -> usize;

    /// Number `at` of them.
    fn get(&self, at: usize) -> &Self::Unit;

    /// Bytes held.
    fn nbytes(&self) -> usize;

    /// Where a unit stands.
    fn place_of(&self, unit: &Self::Unit) -> Option<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle).cmp(unit) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Some(middle),
            }
        }
        None
    }
}

impl Units for Column<u32> {
    type Unit = u32;

    fn gather<'u>(units: impl Iterator<Item = &'u u32>) -> Self {
        units.copied().collect()
    }

    fn len(&self) -> usize {
        <[u32]>::len(self)
    }

    fn get(&self, at: usize) -> &u32 {
        &self[at]
    }

    fn nbytes(&self) -> usize {
        size_of_val(&**self)
    }
}

/// Words one after the other, by ascending bytes, which is the order of strings.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    pub(super) bytes: Column<u8>,
    /// Where each word ends.
    pub(super) ends: Column<usize>,
}

impl Units for Dictionary {
    type Unit = [u8];

    fn gather<'u>(words: impl Iterator<Item = &'u [u8]>) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for word in words {
            bytes.extend_from_slice(word);
            ends.push(bytes.len());
        }
        Self { bytes: bytes.into(), ends: ends.into() }
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[at]]
    }

    fn nbytes(&self) -> usize {
        size_of_val(&*self.bytes) + size_of_val(&*self.ends)
    }
}
