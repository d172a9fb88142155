//! Memories under many dense keys and the words of their window.
//!
//! Reading order: [`segment`] and `stored` (how memories are kept, and how a file has them), [`candidates`] (which of them may answer a cue), [`index`] (what
//! users hold).

pub mod candidates;
mod contenders;
mod floor;
pub mod index;
pub mod moments;
mod pool;
mod sample;
pub mod segment;
mod sieved;
mod stored;
mod sweep;
mod worded;

pub use candidates::Candidates;
pub use index::{Cue, TraceIndex};
pub use moments::Moments;
pub use segment::TraceSegment;
