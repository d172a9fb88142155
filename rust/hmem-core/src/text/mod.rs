//! From text to terms: words and their stems, or character grams.

mod analyzer;
mod english;

pub use analyzer::{Analyzer, StopWords};
