//! Answers cue after cue.

use std::cell::Cell;

use super::activity::Activity;
use super::associations::Associations;
use super::floor::Floor;
use crate::codes::CodeShape;
use crate::kernels::isa::Isa;
use crate::kernels::limits::reaching_levels;
use crate::kernels::sign::BLOCK;
use crate::kernels::winners::each_position;
use crate::segment::{Segment, View};

/// How overlaps become strengths.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) shape: CodeShape,
    pub(super) floor: Floor,
    /// An overlap to the power, for each overlap that there can be.
    pub(super) powers: Vec<f64>,
}

/// An association that shares enough with a cue.
#[derive(Debug, Clone, Copy)]
struct Hit {
    part: usize,
    row: usize,
    overlap: usize,
}

/// Memory for one cue after the other. A thread keeps it for its next call: fresh memory is slower than a recall.
pub(super) struct Recaller {
    isa: Isa,
    memory: Box<Memory>,
}

struct Memory {
    /// Of each row of a segment: all that a row number of 16 bits can name, so that none needs to be checked.
    counts: [i16; 1 << 16],
    reaching: Vec<u64>,
    hits: Vec<Hit>,
    activity: Activity,
}

thread_local! {
    static KEPT: Cell<Option<Box<Memory>>> = const { Cell::new(None) };
}

/// Hits that are kept room for at most, between calls.
const KEPT_HITS: usize = 1 << 16;

impl Recaller {
    /// With what this thread has kept.
    pub(super) fn new(isa: Isa) -> Self {
        let memory = KEPT.take().unwrap_or_else(|| {
            Box::new(Memory {
                counts: [0; 1 << 16],
                reaching: Vec::new(),
                hits: Vec::new(),
                activity: Activity::default(),
            })
        });
        Self { isa, memory }
    }

    /// Keeps the memory for this thread's next call. After a panic it is dropped instead: it may be in any state.
    pub(super) fn keep(mut self) {
        self.memory.hits.clear();
        self.memory.hits.shrink_to(KEPT_HITS);
        KEPT.set(Some(self.memory));
    }

    /// Lets all associations that share enough with `cue` act. The sums wait in what is returned.
    pub(super) fn activate(&mut self, view: &View<Associations>, cue: &[u16], rule: &Rule) -> &mut Activity {
        #[allow(clippy::cast_precision_loss, reason = "at most 2^16 units")]
        let share = rule.shape.n_active() as f64 / rule.shape.n_units() as f64;
        let before = rule.floor.before(cue.len(), view.len(), share);
        self.collect(view, cue, before);
        let Memory { hits, activity, .. } = &mut *self.memory;
        let floor = rule.floor.after(before, hits.iter().map(|hit| hit.overlap));
        if floor > before {
            hits.retain(|hit| hit.overlap >= floor);
        }
        let strength = |hit: &Hit| {
            f64::from(view.parts()[hit.part].segment().weight(hit.row)) * rule.powers[hit.overlap]
        };
        let largest = hits.iter().map(strength).fold(0.0, f64::max);
        activity.begin(rule.shape.n_units(), hits.len(), largest);
        for hit in &*hits {
            activity.add(view.parts()[hit.part].segment().target(hit.row), strength(hit));
        }
        activity
    }

    /// The last association that is exactly this one and is not among `gone`: its id.
    pub(super) fn find(
        &mut self,
        view: &View<Associations>,
        cue: &[u16],
        target: &[u16],
        gone: &std::collections::HashSet<i64>,
    ) -> Option<i64> {
        self.collect(view, cue, cue.len());
        self.memory.hits.iter().rev().find_map(|hit| {
            let part = &view.parts()[hit.part];
            let same =
                part.segment().cue_length(hit.row) == cue.len() && part.segment().target(hit.row) == target;
            let id = part.ids()[hit.row];
            (same && !gone.contains(&id)).then_some(id)
        })
    }

    /// Puts all live associations that share at least `floor` units with the cue into `hits`, in order.
    fn collect(&mut self, view: &View<Associations>, cue: &[u16], floor: usize) {
        let Memory { counts, reaching, hits, .. } = &mut *self.memory;
        hits.clear();
        // An overlap is no larger than the cue.
        let Ok(floor) = i16::try_from(floor) else { return };
        if usize::from(floor.unsigned_abs()) > cue.len() {
            return;
        }
        for (p, part) in view.parts().iter().enumerate() {
            let n_rows = part.segment().n_rows();
            counts[..n_rows].fill(0);
            part.segment().count(cue, counts);
            reaching.clear();
            reaching.resize(n_rows.div_ceil(BLOCK), 0);
            reaching_levels(self.isa, &counts[..n_rows], floor, reaching);
            for (reaching, live) in reaching.iter_mut().zip(part.live().words()) {
                *reaching &= live;
            }
            each_position(reaching, |row| {
                hits.push(Hit { part: p, row, overlap: counts[row].unsigned_abs().into() });
            });
        }
    }
}
