//! Associations, as a segment.

use super::cues::Cues;
use crate::codes::{CodeShape, Codes};
use crate::segment::{Live, MAX_ROWS, Segment};

/// Cues that can be asked for by unit, and the target and the weight of each.
#[derive(Debug)]
pub struct Associations {
    shape: Option<CodeShape>,
    cues: Cues,
    /// How many units each cue has.
    cue_lengths: Vec<u16>,
    /// `n_active` places a row, of which the first [`target_lengths`](Self::target) are filled, ascending.
    targets: Vec<u16>,
    target_lengths: Vec<u16>,
    weights: Vec<f32>,
}

/// Active units of a code at most: an overlap is counted in 16 bits with a sign.
pub(super) const MOST_ACTIVE: usize = 1 << 14;

impl Associations {
    /// Segments of the rows of a call, in order.
    pub(super) fn of(shape: CodeShape, cues: &Codes, targets: &Codes, weights: Option<&[f32]>) -> Vec<Self> {
        let part = |start: usize| {
            Self::of_some(shape, start..cues.len().min(start + MAX_ROWS), cues, targets, weights)
        };
        (0..cues.len()).step_by(MAX_ROWS).map(part).collect()
    }

    fn of_some(
        shape: CodeShape,
        rows: std::ops::Range<usize>,
        cues: &Codes,
        targets: &Codes,
        weights: Option<&[f32]>,
    ) -> Self {
        let (mut entries, n) = (Vec::with_capacity(rows.len() * shape.n_active()), rows.len());
        let mut own = Self {
            shape: Some(shape),
            cues: Cues::new(0, Vec::new()),
            cue_lengths: Vec::with_capacity(n),
            targets: vec![0; n * shape.n_active()],
            target_lengths: Vec::with_capacity(n),
            weights: weights.map_or_else(|| vec![1.0; n], |weights| weights[rows.clone()].to_vec()),
        };
        for ((row, number), places) in rows.zip(0..).zip(own.targets.chunks_exact_mut(shape.n_active())) {
            let (cue, target) = (cues.row(row), targets.row(row));
            entries.extend(cue.iter().map(|&unit| (unit, number)));
            places[..target.len()].copy_from_slice(target);
            places[..target.len()].sort_unstable();
            own.cue_lengths.push(length(cue));
            own.target_lengths.push(length(target));
        }
        own.cues = Cues::new(shape.n_units(), entries);
        own
    }

    /// Adds one to the count of each row for each unit that it shares with `cue`.
    #[inline]
    pub(super) fn count(&self, cue: &[u16], counts: &mut [i16; 1 << 16]) {
        for &unit in cue {
            for &row in self.cues.of(unit) {
                counts[usize::from(row)] += 1;
            }
        }
    }

    /// How many units the cue of a row has.
    pub(super) fn cue_length(&self, row: usize) -> usize {
        self.cue_lengths[row].into()
    }

    /// The units of a row's target, ascending.
    pub(super) fn target(&self, row: usize) -> &[u16] {
        let start = row * (self.targets.len() / self.weights.len());
        &self.targets[start..start + usize::from(self.target_lengths[row])]
    }

    /// What a row weighs.
    pub(super) fn weight(&self, row: usize) -> f32 {
        self.weights[row]
    }
}

/// Units of a code: at most [`MOST_ACTIVE`].
fn length(code: &[u16]) -> u16 {
    u16::try_from(code.len()).unwrap_or_else(|_| unreachable!("active units fit 16 bits"))
}

impl Segment for Associations {
    fn n_rows(&self) -> usize {
        self.weights.len()
    }

    fn nbytes(&self) -> usize {
        self.cues.nbytes()
            + size_of_val(&*self.cue_lengths)
            + size_of_val(&*self.targets)
            + size_of_val(&*self.target_lengths)
            + size_of_val(&*self.weights)
    }

    fn merge(parts: &[Live<'_, Self>]) -> Self {
        let shape = parts.iter().find_map(|part| part.segment.shape);
        let n = parts.iter().map(|part| part.rows.count()).sum();
        let n_entries =
            parts.iter().map(|part| part.rows.iter().map(|row| part.segment.cue_length(row)).sum::<usize>());
        let mut entries = Vec::with_capacity(n_entries.sum());
        let mut own = Self {
            shape,
            cues: Cues::new(0, Vec::new()),
            cue_lengths: Vec::with_capacity(n),
            targets: Vec::with_capacity(n * shape.map_or(0, CodeShape::n_active)),
            target_lengths: Vec::with_capacity(n),
            weights: Vec::with_capacity(n),
        };
        let mut next = 0..;
        for Live { segment, rows } in parts {
            let n_active = segment.shape.map_or(0, CodeShape::n_active);
            let mut numbers = vec![None; segment.n_rows()];
            for row in rows.iter() {
                numbers[row] = next.next();
                own.cue_lengths.push(segment.cue_lengths[row]);
                own.targets.extend_from_slice(&segment.targets[row * n_active..(row + 1) * n_active]);
                own.target_lengths.push(segment.target_lengths[row]);
                own.weights.push(segment.weights[row]);
            }
            let kept = |(unit, row): (u16, u16)| numbers[usize::from(row)].map(|row: u16| (unit, row));
            entries.extend(segment.cues.entries().filter_map(kept));
        }
        own.cues = Cues::new(shape.map_or(0, CodeShape::n_units), entries);
        own
    }
}
