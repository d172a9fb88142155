//! Associations of sparse codes, and chains of them.
//!
//! The Hebbian matrix `W = Σ weight · target ⊗ cue` is never made: it would take a place for each pair of units. Cues are kept
//! as [`cues`] (unit → associations), targets as rows. A cue is answered by counting the units that it shares with each stored
//! cue, and adding the targets of those that share enough, which gives what the matrix gives, and more: an association may
//! count by a power of its overlap, where a matrix can but add.
//!
//! Reading order: [`cues`], [`associations`] (a segment), [`floor`] (which overlaps count), [`activity`] (sums in integers),
//! [`recall`], [`index`].

mod activity;
mod associations;
mod cues;
mod floor;
mod index;
mod recall;
#[cfg(test)]
mod tests;

pub use floor::Floor;
pub use index::{Activated, Associator};
