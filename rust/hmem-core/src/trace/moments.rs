//! Mean and deviation, and the sample over which those of the energy are taken.
//!
//! Which memories are in the sample follows from the ids alone, and their energies from their keys alone, with the
//! same bits everywhere. So the moments do not show how an index came to be.

use super::pool::quick_energy;
use super::sample::Comparison;
use super::segment::TraceSegment;
use crate::dense::query::Query;
use crate::kernels::isa::Isa;
use crate::segment::{Part, View};

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

    /// Of the energies of the live memories with keys that come first in [`sample_order`](super::segment::sample_order).
    pub(super) fn of_energy(isa: Isa, query: &Query<'_>, view: &View<TraceSegment>, beta: f64) -> Self {
        let (sample, places) = sample(view);
        let mut comparison = Comparison::new(isa, query);
        let energies_of = |(part, places): (&Part<TraceSegment>, &Vec<usize>)| {
            let segment = part.segment();
            let keys = |&at: &usize| segment.keys_of(segment.sample()[at] as usize);
            let cosines = comparison.cosines(segment.keys().rows(), segment.copies(), places, keys);
            let mut rest = &cosines[..];
            let mut energy = |at| quick_energy(rest.split_off(..keys(at).len()).expect("all keys"), beta);
            places.iter().map(&mut energy).collect::<Vec<_>>().into_iter()
        };
        let mut of_parts: Vec<_> = view.parts().iter().zip(&places).map(energies_of).collect();
        // In the order of the sample, in which they are summed.
        let energies: Vec<f64> = sample.iter().filter_map(|&part| of_parts[part].next()).collect();
        Self::new(energies.iter().copied(), energies.len())
    }
}

/// The parts of the memories in the sample, in their order; and for each part the places of its memories in its
/// [`TraceSegment::sample`], ascending.
fn sample(view: &View<TraceSegment>) -> (Vec<usize>, Vec<Vec<usize>>) {
    let parts = view.parts();
    let live = |part: usize| {
        let (segment, live) = (parts[part].segment(), parts[part].live());
        let orders = segment.sample_orders().iter().copied().zip(segment.sample()).enumerate();
        orders.filter_map(|(at, (order, &row))| live.contains(row as usize).then_some((order, at)))
    };
    let mut rest: Vec<_> = (0..parts.len()).map(live).collect();
    let mut heads: Vec<_> = rest.iter_mut().map(Iterator::next).collect();
    let (mut sample, mut places) = (Vec::with_capacity(SAMPLE), vec![Vec::new(); parts.len()]);
    while sample.len() < SAMPLE {
        // Few parts: looking at all of them is quicker than a heap.
        let firsts = heads.iter().enumerate().filter_map(|(part, head)| Some((head.as_ref()?, part)));
        let Some((&(_, at), part)) = firsts.min() else { break };
        sample.push(part);
        places[part].push(at);
        heads[part] = rest[part].next();
    }
    (sample, places)
}
