//! Weighted links between nodes, and how a cue spreads along them.
//!
//! Reading order: [`links`] (the links in order, and edits merged into them), `walk` (what a spread walks along),
//! then [`Graph`] itself.

mod graph_index;
mod links;
mod rows;
mod walk;

pub use graph_index::Graph;
pub use links::LinkList;
pub use walk::{Reached, Spread};
