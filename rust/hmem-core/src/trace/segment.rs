//! Memories, their keys and their words, as one segment: they are swapped in together.

use std::ops::Range;

use crate::bitmap::Bitmap;
use crate::dense::DenseSegment;
use crate::kernels::random::Random;
use crate::segment::{Live, Segment};
use crate::sparse::words::Words;

/// A row is a memory: any number of keys, and one document of words.
#[derive(Debug)]
pub struct TraceSegment {
    /// The keys of all memories, one after the other.
    keys: DenseSegment,
    key_ids: Vec<i64>,
    /// Memory `i` owns keys `offsets[i]..offsets[i + 1]`.
    offsets: Vec<usize>,
    words: Words,
    ids: Vec<i64>,
    /// Memories that have keys, by ascending [`sample_order`] of their ids.
    sample: Vec<u32>,
}

/// Where a memory stands in the order in which samples are taken: splitmix64 of its id. No two ids share a place.
pub(super) fn sample_order(id: i64) -> u64 {
    Random::new(id.cast_unsigned()).next_u64()
}

impl TraceSegment {
    /// # Panics
    /// If the parts do not fit together.
    pub(super) fn new(
        keys: DenseSegment,
        key_ids: Vec<i64>,
        offsets: Vec<usize>,
        words: Words,
        ids: Vec<i64>,
    ) -> Self {
        assert_eq!(keys.n_rows(), key_ids.len(), "one id a key");
        assert_eq!(offsets.last(), Some(&key_ids.len()), "offsets cut the keys");
        assert_eq!((offsets.len(), words.n_rows()), (ids.len() + 1, ids.len()), "one row a memory");
        let n = u32::try_from(ids.len()).expect("rows fit u32");
        let has_keys = |&row: &u32| offsets[row as usize] < offsets[row as usize + 1];
        let mut sample: Vec<u32> = (0..n).filter(has_keys).collect();
        sample.sort_unstable_by_key(|&row| sample_order(ids[row as usize]));
        Self { keys, key_ids, offsets, words, ids, sample }
    }

    pub(super) fn keys(&self) -> &DenseSegment {
        &self.keys
    }

    pub(super) fn key_ids(&self) -> &[i64] {
        &self.key_ids
    }

    /// The keys of a memory.
    pub(super) fn keys_of(&self, row: usize) -> Range<usize> {
        self.offsets[row]..self.offsets[row + 1]
    }

    pub(super) fn words(&self) -> &Words {
        &self.words
    }

    /// Memories that have keys, in the order in which samples are taken.
    pub(super) fn sample(&self) -> &[u32] {
        &self.sample
    }
}

impl Segment for TraceSegment {
    fn n_rows(&self) -> usize {
        self.ids.len()
    }

    fn nbytes(&self) -> usize {
        self.keys.nbytes()
            + size_of_val(&*self.key_ids)
            + size_of_val(&*self.offsets)
            + self.words.nbytes()
            + size_of_val(&*self.ids)
            + size_of_val(&*self.sample)
    }

    fn merge(parts: &[Live<'_, Self>]) -> Self {
        let (mut key_ids, mut offsets, mut ids) = (Vec::new(), vec![0], Vec::new());
        let mut keys_kept = Vec::with_capacity(parts.len());
        for part in parts {
            let segment = part.segment;
            let mut kept = Bitmap::none(segment.key_ids.len());
            for row in part.rows.iter() {
                segment.keys_of(row).for_each(|key| kept.insert(key));
                key_ids.extend_from_slice(&segment.key_ids[segment.keys_of(row)]);
                offsets.push(key_ids.len());
                ids.push(segment.ids[row]);
            }
            keys_kept.push(kept);
        }
        let keys: Vec<_> = parts
            .iter()
            .zip(&keys_kept)
            .map(|(part, rows)| Live { segment: &part.segment.keys, rows })
            .collect();
        let words: Vec<_> =
            parts.iter().map(|part| Live { segment: &part.segment.words, rows: part.rows }).collect();
        Self::new(DenseSegment::merge(&keys), key_ids, offsets, Words::merge(&words), ids)
    }
}
