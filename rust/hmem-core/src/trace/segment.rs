//! Memories, their keys and their words, as one segment: they are swapped in together.

use std::ops::Range;

use super::moments::SAMPLE;
use super::sample::Copies;
use crate::bitmap::Bitmap;
use crate::dense::DenseSegment;
use crate::kernels::memory::Column;
use crate::kernels::random::Random;
use crate::kernels::sign::BLOCK;
use crate::segment::{Live, Segment};
use crate::sparse::words::Words;

/// A row is a memory: any number of keys, and one document of words.
#[derive(Debug)]
pub struct TraceSegment {
    /// The keys of all memories, one after the other.
    keys: DenseSegment,
    key_ids: Column<i64>,
    /// Memory `i` owns keys `offsets[i]..offsets[i + 1]`.
    offsets: Column<usize>,
    /// Which memory a key belongs to.
    owners: Vec<u32>,
    /// For each key no less than `ln(keys)` of its memory, by a millionth or less.
    log_counts: Vec<f32>,
    /// The largest of each block of them.
    most_logs: Vec<f32>,
    most_keys: usize,
    words: Words,
    ids: Column<i64>,
    /// Memories that have keys, by ascending [`sample_order`] of their ids.
    sample: Column<u32>,
    /// Their places in that order.
    sample_orders: Vec<u64>,
    /// Of the keys of the first of them.
    copies: Copies,
}

/// Which memories a segment has, and which keys they have.
#[derive(Debug)]
pub(super) struct Memories {
    pub(super) key_ids: Column<i64>,
    pub(super) offsets: Column<usize>,
    pub(super) ids: Column<i64>,
}

/// The memories of a segment that have keys, as a sample wants them.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) rows: Column<u32>,
    pub(super) orders: Vec<u64>,
    pub(super) copies: Copies,
}

/// Memories of a segment that are ready to be in a sample: some of them may die, but never more than half of a segment.
pub(super) const COPIED: usize = 2 * SAMPLE;

/// Where a memory stands in the order in which samples are taken: splitmix64 of its id. No two ids share a place.
pub(super) fn sample_order(id: i64) -> u64 {
    Random::new(id.cast_unsigned()).next_u64()
}

/// A millionth more covers the rounding of this and of a product with it.
#[allow(clippy::cast_possible_truncation, reason = "rounded up")]
fn log_rounded_up(count: usize) -> f32 {
    (libm::log(count.max(1) as f64) * (1.0 + 5e-7)) as f32
}

impl TraceSegment {
    /// # Panics
    /// If the parts do not fit together.
    pub(super) fn new(keys: DenseSegment, memories: Memories, words: Words) -> Self {
        let Memories { key_ids, offsets, ids } = &memories;
        assert_eq!(keys.n_rows(), key_ids.len(), "one id a key");
        assert_eq!(offsets.last(), Some(&key_ids.len()), "offsets cut the keys");
        assert_eq!((offsets.len(), words.n_rows()), (ids.len() + 1, ids.len()), "one row a memory");
        let n = u32::try_from(ids.len()).expect("rows fit u32");
        let has_keys = |&row: &u32| offsets[row as usize] < offsets[row as usize + 1];
        let mut orders: Vec<(u64, u32)> =
            (0..n).filter(has_keys).map(|row| (sample_order(ids[row as usize]), row)).collect();
        orders.sort_unstable();
        let (sample_orders, sample): (Vec<u64>, Vec<u32>) = orders.into_iter().unzip();
        let copied = sample.iter().take(COPIED).map(|&row| offsets[row as usize]..offsets[row as usize + 1]);
        let copies = Copies::new(keys.isa(), keys.rows(), copied);
        Self::of(keys, memories, words, Sample { rows: sample.into(), orders: sample_orders, copies })
    }

    /// The rest follows from these, which fit together.
    pub(super) fn of(keys: DenseSegment, memories: Memories, words: Words, sample: Sample) -> Self {
        let Memories { key_ids, offsets, ids } = memories;
        let n = u32::try_from(ids.len()).expect("rows fit u32");
        let (mut owners, mut log_counts) =
            (Vec::with_capacity(key_ids.len()), Vec::with_capacity(key_ids.len()));
        let mut most_keys = 0;
        for (row, bounds) in (0..n).zip(offsets.windows(2)) {
            let end = bounds[1];
            owners.resize(end, row);
            log_counts.resize(end, log_rounded_up(end - bounds[0]));
            most_keys = most_keys.max(end - bounds[0]);
        }
        let most_logs =
            log_counts.chunks(BLOCK).map(|logs| logs.iter().copied().fold(0.0, f32::max)).collect();
        let Sample { rows: sample, orders: sample_orders, copies } = sample;
        Self {
            copies,
            keys,
            key_ids,
            offsets,
            owners,
            log_counts,
            most_logs,
            most_keys,
            words,
            ids,
            sample,
            sample_orders,
        }
    }

    pub(crate) fn keys(&self) -> &DenseSegment {
        &self.keys
    }

    /// Ids of the memories.
    pub(crate) fn ids(&self) -> &Column<i64> {
        &self.ids
    }

    /// Where the keys of each memory begin, and where those of the last one end.
    pub(super) fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// Ids of the keys.
    pub(crate) fn key_ids(&self) -> &[i64] {
        &self.key_ids
    }

    /// The keys of a memory.
    pub(super) fn keys_of(&self, row: usize) -> Range<usize> {
        self.offsets[row]..self.offsets[row + 1]
    }

    /// Which memory each key belongs to.
    pub(super) fn owners(&self) -> &[u32] {
        &self.owners
    }

    /// For each key no less than `ln(keys)` of its memory, by a millionth or less.
    pub(super) fn log_counts(&self) -> &[f32] {
        &self.log_counts
    }

    /// The largest of each [`BLOCK`] of [`log_counts`](Self::log_counts).
    pub(super) fn most_logs(&self) -> &[f32] {
        &self.most_logs
    }

    /// No memory has more keys.
    pub(super) fn most_keys(&self) -> usize {
        self.most_keys
    }

    /// The keys of some memories.
    pub(crate) fn keys_of_all(&self, rows: &Bitmap) -> Bitmap {
        if rows.is_all() {
            return Bitmap::all(self.key_ids.len());
        }
        let mut keys = Bitmap::none(self.key_ids.len());
        rows.runs().for_each(|run| keys.insert_run(self.offsets[run.start]..self.offsets[run.end]));
        keys
    }

    pub(super) fn words(&self) -> &Words {
        &self.words
    }

    /// Memories that have keys, in the order in which samples are taken.
    pub(super) fn sample(&self) -> &[u32] {
        &self.sample
    }

    /// Their places in that order.
    pub(super) fn sample_orders(&self) -> &[u64] {
        &self.sample_orders
    }

    /// Copies of the keys of the first memories of [`sample`](Self::sample).
    pub(super) fn copies(&self) -> &Copies {
        &self.copies
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
            + size_of_val(&*self.owners)
            + size_of_val(&*self.log_counts)
            + size_of_val(&*self.most_logs)
            + self.words.nbytes()
            + size_of_val(&*self.ids)
            + size_of_val(&*self.sample)
            + size_of_val(&*self.sample_orders)
            + self.copies.nbytes()
    }

    fn merge(parts: &[Live<'_, Self>]) -> Self {
        let (mut key_ids, mut offsets, mut ids) = (Vec::new(), vec![0], Vec::new());
        let mut keys_kept = Vec::with_capacity(parts.len());
        for part in parts {
            let segment = part.segment;
            for row in part.rows.iter() {
                key_ids.extend_from_slice(&segment.key_ids[segment.keys_of(row)]);
                offsets.push(key_ids.len());
                ids.push(segment.ids[row]);
            }
            keys_kept.push(segment.keys_of_all(part.rows));
        }
        let keys: Vec<_> = parts
            .iter()
            .zip(&keys_kept)
            .map(|(part, rows)| Live { segment: &part.segment.keys, rows })
            .collect();
        let words: Vec<_> =
            parts.iter().map(|part| Live { segment: &part.segment.words, rows: part.rows }).collect();
        let memories = Memories { key_ids: key_ids.into(), offsets: offsets.into(), ids: ids.into() };
        Self::new(DenseSegment::merge(&keys), memories, Words::merge(&words))
    }
}
