//! Memories under many dense keys and the words of their window.
//!
//! Reading order: [`segment`] (how memories are kept), [`candidates`] (which of them may answer a cue), [`index`] (what
//! users hold).

pub mod candidates;
pub mod index;
pub mod segment;

pub use candidates::{Candidates, Moments};
pub use index::{Cue, TraceIndex};
pub use segment::TraceSegment;
