//! Mean and deviation, and the sample over which those of the energy are taken.
//!
//! Which memories are in the sample follows from the ids alone, and their energies from their keys alone, with the
//! same bits everywhere. So the moments do not show how an index came to be.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::pool::quick_energy;
use super::sample::Comparison;
use super::segment::{TraceSegment, sample_order};
use crate::dense::query::Query;
use crate::kernels::isa::Isa;
use crate::segment::View;

/// Memories over which the moments of the energy are taken.
pub const SAMPLE: usize = 1024;

/// Mean and population deviation; both 0 over nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moments {
    /// Sum over count.
    pub mean: f64,
    /// Root of the mean squared distance from the mean.
    pub deviation: f64,
}

impl Moments {
    /// Of `values`, and of zeros that fill up to `count` numbers.
    pub(super) fn new(values: impl ExactSizeIterator<Item = f64> + Clone, count: usize) -> Self {
        if count == 0 {
            return Self::default();
        }
        let zeros = (count - values.len()) as f64;
        let mean = values.clone().sum::<f64>() / count as f64;
        let squares = values.map(|value| (value - mean).powi(2)).sum::<f64>() + zeros * mean.powi(2);
        Self { mean, deviation: (squares / count as f64).sqrt() }
    }

    /// Of the energies of the live memories with keys that come first in [`sample_order`].
    pub(super) fn of_energy(isa: Isa, query: &Query<'_>, view: &View<TraceSegment>, beta: f64) -> Self {
        let mut comparison = Comparison::new(isa, query);
        let mut cosines = Vec::new();
        let sample = sample(view);
        let energy = |&(part, at): &(usize, usize)| {
            let segment = view.parts()[part].segment();
            let keys = segment.keys_of(segment.sample()[at] as usize);
            comparison.cosines(segment.keys().rows(), keys, segment.copies(), at, &mut cosines);
            quick_energy(&cosines, beta)
        };
        let energies: Vec<f64> = sample.iter().map(energy).collect();
        Self::new(energies.iter().copied(), energies.len())
    }
}

/// Part, and place in its [`TraceSegment::sample`], of the memories in the sample, in their order.
fn sample(view: &View<TraceSegment>) -> Vec<(usize, usize)> {
    let next = |part: usize, from: usize| {
        let view = &view.parts()[part];
        let rows = &view.segment().sample()[from..];
        let at = from + rows.iter().position(|&row| view.live().contains(row as usize))?;
        let row = view.segment().sample()[at] as usize;
        Some(Reverse((sample_order(view.ids()[row]), part, at)))
    };
    let mut heads: BinaryHeap<_> = (0..view.parts().len()).filter_map(|part| next(part, 0)).collect();
    let mut sample = Vec::with_capacity(SAMPLE.min(view.len()));
    while sample.len() < SAMPLE
        && let Some(Reverse((_, part, at))) = heads.pop()
    {
        sample.push((part, at));
        heads.extend(next(part, at + 1));
    }
    sample
}
