//! What learns, forgets and recalls.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::associations::{Associations, MOST_ACTIVE};
use super::floor::Floor;
use super::recall::{Recaller, Rule};
use crate::codes::{CodeShape, Codes, NONE};
use crate::error::{AddError, AssociationError, InputError};
use crate::kernels::isa::Isa;
use crate::segment::Segments;

/// Larger powers would leave the range of float64.
const MOST_POWER: f64 = 16.0;

/// Associations from cue to target, both sparse codes.
///
/// A recall adds `weight · overlap^power` to each unit of the target of every association that shares `overlap` units with the
/// cue, if these are enough, and answers with the strongest units. What it answers depends on the associations that are held, and
/// not on the order in which they were learned.
#[derive(Debug)]
pub struct Associator {
    isa: Isa,
    rule: Rule,
    power: f64,
    segments: Segments<Associations>,
    /// Held while associations are looked for and removed: nobody else may remove them in between.
    forgetting: Mutex<()>,
}

/// The strongest units of each cue: `columns` places a cue.
#[derive(Debug, Clone, PartialEq)]
pub struct Activated {
    /// Strongest first; [`NONE`] where there are fewer.
    pub units: Vec<i32>,
    /// Beside them; 0 where there are fewer.
    pub strengths: Vec<f32>,
    /// Places a cue.
    pub columns: usize,
}

impl Associator {
    /// An empty one. `theta` is the least overlap that counts; without it, see [`Floor::Free`].
    ///
    /// # Errors
    /// [`InputError::Range`] for too many active units, a power outside 0 to 16, or a `theta` of 0.
    #[allow(clippy::cast_precision_loss, reason = "at most 2^15 active units")]
    pub fn new(isa: Isa, shape: CodeShape, power: f64, theta: Option<usize>) -> Result<Self, InputError> {
        let range = |argument, wanted, got| InputError::Range { argument, wanted, got };
        if shape.n_active() > MOST_ACTIVE {
            return Err(range("n_active", "at most 16384 active units", shape.n_active().to_string()));
        }
        if !(0.0..=MOST_POWER).contains(&power) {
            return Err(range("power", "0 to 16", power.to_string()));
        }
        if theta == Some(0) {
            return Err(range("theta", "an overlap of at least 1", "0".to_owned()));
        }
        let powers = (0..=shape.n_active()).map(|overlap| raised(overlap as f64, power)).collect();
        let floor = theta.map_or(Floor::Free, Floor::Fixed);
        let rule = Rule { shape, floor, powers };
        Ok(Self { isa, rule, power, segments: Segments::default(), forgetting: Mutex::new(()) })
    }

    /// Width of its codes.
    #[must_use]
    pub fn shape(&self) -> CodeShape {
        self.rule.shape
    }

    /// What overlaps are raised to.
    #[must_use]
    pub fn power(&self) -> f64 {
        self.power
    }

    /// The least overlap that counts, if it is fixed.
    #[must_use]
    pub fn theta(&self) -> Option<usize> {
        match self.rule.floor {
            Floor::Fixed(theta) => Some(theta),
            Floor::Free => None,
        }
    }

    /// Number of associations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.segments.view().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held.
    #[must_use]
    pub fn nbytes(&self) -> usize {
        self.segments.view().nbytes()
    }

    /// Learns an association for each row; without weights, each weighs 1.
    ///
    /// # Errors
    /// [`AddError`] for codes of which there is not one on each side, codes without units, and weights that are not above 0 or
    /// not finite; then nothing was learned.
    pub fn learn(&self, cues: &Codes, targets: &Codes, weights: Option<&[f32]>) -> Result<(), AddError> {
        check_pairs(cues, targets)?;
        if let Some(weights) = weights {
            check_weights(weights, cues.len())?;
        }
        self.segments.add_all(Associations::of(self.rule.shape, cues, targets, weights), None, false)?;
        Ok(())
    }

    /// Forgets one association for each row, which must have exactly that cue and that target; of several, the one that was
    /// learned last.
    ///
    /// # Errors
    /// [`AssociationError`]; then nothing was forgotten.
    pub fn forget(&self, cues: &Codes, targets: &Codes) -> Result<(), AssociationError> {
        check_pairs(cues, targets)?;
        let _forgetting = self.forgetting.lock().unwrap_or_else(PoisonError::into_inner);
        let view = self.segments.view();
        let mut recaller = Recaller::new(self.isa);
        let (mut ids, mut gone, mut target) = (Vec::with_capacity(cues.len()), HashSet::new(), Vec::new());
        for row in 0..cues.len() {
            target.clear();
            target.extend_from_slice(targets.row(row));
            target.sort_unstable();
            let id = recaller.find(&view, cues.row(row), &target, &gone);
            let id = id.ok_or(AssociationError::Unknown { row })?;
            gone.insert(id);
            ids.push(id);
        }
        recaller.keep();
        Ok(self.segments.remove(&ids)?)
    }

    /// The code that each cue leads to after `hops` recalls, each of which takes the last one's answer for its cue: `n_active`
    /// places a cue, ascending units first, then [`NONE`] where fewer are active. Where nothing is found, nothing is active.
    #[must_use]
    pub fn recall(&self, cues: &Codes, hops: usize) -> Vec<i32> {
        let (view, n_active) = (self.segments.view(), self.rule.shape.n_active());
        let mut recaller = Recaller::new(self.isa);
        let mut found = vec![NONE; cues.len() * n_active];
        let mut code = Vec::with_capacity(n_active);
        for (row, found) in found.chunks_exact_mut(n_active).enumerate() {
            code.clear();
            code.extend_from_slice(cues.row(row));
            for _ in 0..hops {
                if code.is_empty() {
                    break;
                }
                let activity = recaller.activate(&view, &code, &self.rule);
                code.clear();
                activity.winners(n_active, |unit| code.push(unit));
            }
            code.sort_unstable();
            found.iter_mut().zip(&code).for_each(|(found, &unit)| *found = unit.into());
        }
        recaller.keep();
        found
    }

    /// The `k` units that each cue activates most, with their strengths. Of equal ones, smaller units come first.
    #[must_use]
    pub fn activate(&self, cues: &Codes, k: usize) -> Activated {
        let (view, columns) = (self.segments.view(), k.min(self.rule.shape.n_units()));
        let mut recaller = Recaller::new(self.isa);
        let mut found = Activated {
            units: vec![NONE; cues.len() * columns],
            strengths: vec![0.0; cues.len() * columns],
            columns,
        };
        for row in 0..cues.len() {
            let mut place = row * columns;
            recaller.activate(&view, cues.row(row), &self.rule).strongest(columns, |unit, strength| {
                found.units[place] = unit.into();
                found.strengths[place] = delivered(strength);
                place += 1;
            });
        }
        recaller.keep();
        found
    }
}

/// `overlap` to the power; whole powers by multiplication, which is exact as long as the result fits.
fn raised(overlap: f64, power: f64) -> f64 {
    if power.fract() == 0.0 {
        return (0..16).filter(|&i| f64::from(i) < power).fold(1.0, |product, _| product * overlap);
    }
    libm::pow(overlap, power)
}

/// As float32; what is beyond its range becomes its largest number.
#[allow(clippy::cast_possible_truncation, reason = "rounding to float32 is the purpose")]
fn delivered(strength: f64) -> f32 {
    (strength as f32).min(f32::MAX)
}

fn check_pairs(cues: &Codes, targets: &Codes) -> Result<(), InputError> {
    if cues.len() != targets.len() {
        let (wanted, got) = (cues.len(), targets.len());
        return Err(InputError::Length { argument: "targets", partner: "cues", wanted, got });
    }
    cues.check_active("cues")?;
    targets.check_active("targets")
}

fn check_weights(weights: &[f32], wanted: usize) -> Result<(), InputError> {
    if weights.len() != wanted {
        return Err(InputError::Length { argument: "weights", partner: "cues", wanted, got: weights.len() });
    }
    match weights.iter().position(|&weight| !(weight > 0.0 && weight.is_finite())) {
        None => Ok(()),
        Some(at) => Err(InputError::Range {
            argument: "weights",
            wanted: "finite weights above 0",
            got: format!("{} at position {at}", weights[at]),
        }),
    }
}
