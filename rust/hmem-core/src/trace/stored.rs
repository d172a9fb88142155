//! A segment of memories as a file.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::sample::{Copies, copied_steps};
use super::segment::{COPIED, Memories, Sample, TraceSegment, sample_order};
use crate::dense::{Coder, DenseSegment, check_rows};
use crate::kernels::memory::Column;
use crate::sections::head::{Counts, Identity};
use crate::sections::{Fault, Kind, Sections, Source, demand};
use crate::segment::Segment;
use crate::sparse::check_offsets;
use crate::sparse::words::Words;

/// Larger factors of 8-bit codes are not those of rows in normal form.
const LARGEST_UNIT: f64 = 2.0;

impl TraceSegment {
    /// Writes it into an empty file.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn store(&self, file: &mut File) -> io::Result<Identity> {
        let mut sections = Sections::new(Counts {
            memories: self.n_rows(),
            keys: self.key_ids().len(),
            dim: self.keys().rows().dim(),
            words: self.words().n_different(),
        });
        self.keys().store(&mut sections);
        sections.put(Kind::KeyIds, self.key_ids());
        sections.put(Kind::KeyOffsets, self.offsets());
        sections.put(Kind::MemoryIds, self.ids());
        self.words().store(&mut sections);
        sections.put(Kind::SampleRows, self.sample());
        let Copies { high, low, units, .. } = self.copies();
        sections.put(Kind::CopyHigh, high);
        sections.put(Kind::CopyLow, low);
        sections.put(Kind::CopyUnits, units);
        sections.write(file)
    }

    /// Maps one that was written, after all of it was checked. Its ids may still stand twice.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) fn load(coder: &Arc<Coder>, file: &File, wanted: Identity) -> Result<Self, Fault> {
        let source = Source::open(file, wanted)?;
        let Counts { memories, keys, dim, .. } = source.counts();
        if dim != coder.dim() {
            return Err(Fault::new("width of the keys", coder.dim(), dim));
        }
        for (what, n) in [("memories", memories), ("keys", keys)] {
            demand(u32::try_from(n).is_ok(), format_args!("{what}: wanted fewer than 2^32, got {n}"))?;
        }
        let (rows, place) = (source.column(Kind::Rows)?, source.range(Kind::Rows));
        source.check(|block| check_rows(&rows, &place, &block))?;
        let keys = DenseSegment::load(coder, &source)?;
        let memories = Memories::load(&source)?;
        let words = Words::load(&source)?;
        let sample = Sample::load(&source, &memories)?;
        // Their place is kept for a later version.
        for kind in [Kind::TokenOffsets, Kind::TokenScales, Kind::TokenCodes] {
            demand(
                source.range(kind).is_empty(),
                format_args!("section {}: wanted nothing in it", kind.name()),
            )?;
        }
        Ok(Self::of(keys, memories, words, sample))
    }
}

impl Memories {
    fn load(source: &Source) -> Result<Self, Fault> {
        let Counts { memories, keys, .. } = source.counts();
        let loaded = Self {
            key_ids: source.column_of(Kind::KeyIds, keys)?,
            offsets: source.column_of(Kind::KeyOffsets, memories + 1)?,
            ids: source.column_of(Kind::MemoryIds, memories)?,
        };
        demand(loaded.key_ids.iter().all(|&id| id >= 0), "section key_ids: some are negative")?;
        check_offsets(&loaded.offsets, keys)
            .map_err(|error| Fault::Wrong(format!("section key_offsets: {error}")))?;
        Ok(loaded)
    }

    fn n_keys(&self, row: u32) -> usize {
        self.offsets[row as usize + 1] - self.offsets[row as usize]
    }
}

impl Sample {
    fn load(source: &Source, memories: &Memories) -> Result<Self, Fault> {
        let Counts { memories: n, dim, .. } = source.counts();
        let rows: Column<u32> = source.column(Kind::SampleRows)?;
        let have_keys = rows.iter().all(|&row| (row as usize) < n && memories.n_keys(row) > 0);
        demand(have_keys, "section sample_rows: some are no memories with keys")?;
        let orders: Vec<u64> = rows.iter().map(|&row| sample_order(memories.ids[row as usize])).collect();
        let wanted = memories.offsets.windows(2).filter(|bounds| bounds[0] < bounds[1]).count();
        let complete = rows.len() == wanted && orders.is_sorted_by(|a, b| a < b);
        demand(complete, "section sample_rows: they are not all memories with keys in the order of samples")?;

        let steps = copied_steps(dim);
        let mut offsets = vec![0];
        let mut end = 0;
        for &row in rows.iter().take(if steps.is_some() { COPIED } else { 0 }) {
            end += memories.n_keys(row);
            offsets.push(end);
        }
        let copies = Copies {
            high: source.column_of(Kind::CopyHigh, end * steps.unwrap_or(0))?,
            low: source.column_of(Kind::CopyLow, end * steps.unwrap_or(0))?,
            units: source.column_of(Kind::CopyUnits, end)?,
            offsets,
        };
        let units = copies.units.iter().all(|unit| (f64::MIN_POSITIVE..=LARGEST_UNIT).contains(unit));
        demand(units, "section copy_units: out of range")?;
        Ok(Self { rows, orders, copies })
    }
}
