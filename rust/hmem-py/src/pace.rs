//! A long call is cut into parts, so that between them signals are handled and progress is told.

use std::time::{Duration, Instant};

/// A part should last so long: Ctrl-C is not felt to wait, and threads rarely wait for the last one.
const PART: Duration = Duration::from_millis(200);

/// A token has so many bytes at most, nearly always.
const BYTES_A_TOKEN: usize = 6;

/// What a text costs besides its bytes: special tokens.
const A_TEXT: usize = 2 * BYTES_A_TOKEN;

/// A part is at most so many times as large as the one before it: a measurement may be off.
const GROWTH: usize = 4;

/// How many texts are the next part. How fast a model is shows in the part before.
pub struct Pace {
    /// The weight of the longest text.
    longest: usize,
    budget: usize,
    running: Option<(Instant, usize)>,
}

impl Pace {
    /// Begins with a part of a longest text a thread.
    pub fn new(max_length: usize, threads: usize) -> Self {
        let longest = max_length.saturating_mul(BYTES_A_TOKEN).saturating_add(A_TEXT);
        Self { longest, budget: longest.saturating_mul(threads), running: None }
    }

    /// How many of the texts that are left are the part that begins now; at least one, if there is one.
    pub fn next(&mut self, left: &[String]) -> usize {
        if let Some((began, weight)) = self.running {
            self.budget = budget(weight, began.elapsed()).min(self.budget.saturating_mul(GROWTH));
        }
        let mut weight = 0usize;
        let mut n = 0;
        for text in left {
            let own = text.len().saturating_add(A_TEXT).min(self.longest);
            if n > 0 && weight + own > self.budget {
                break;
            }
            weight += own;
            n += 1;
        }
        self.running = Some((Instant::now(), weight));
        n
    }
}

/// The weight that lasts for a part, where this one lasted so long.
fn budget(weight: usize, lasted: Duration) -> usize {
    let parts = PART.as_micros().saturating_mul(weight as u128) / lasted.as_micros().max(1);
    usize::try_from(parts).unwrap_or(usize::MAX)
}
