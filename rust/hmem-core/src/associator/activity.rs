//! How strongly each unit is activated.
//!
//! Strengths are summed as integers, so their sums do not depend on the order in which associations were learned. What is added
//! is rounded to a multiple of a power of two that is so small that all sums stay below 2⁶²: with a thousand associations, to
//! 2⁻⁵¹ of the largest. Weights of few bits, and whole powers of overlaps, are exact.

/// Sums stay below two to this.
const BITS: i32 = 62;

/// The sums of one cue, and the units that have one. All zeros between cues.
#[derive(Debug, Default)]
pub(super) struct Activity {
    sums: Vec<i64>,
    touched: Vec<u16>,
    /// A sum is a strength times two to this.
    exponent: i32,
    ranked: Vec<(i64, u16)>,
}

impl Activity {
    /// Makes room for units, and for `n` additions of at most `largest` each.
    pub(super) fn begin(&mut self, n_units: usize, n: usize, largest: f64) {
        if self.sums.len() < n_units {
            self.sums.resize(n_units, 0);
        }
        #[allow(clippy::cast_precision_loss, reason = "fewer than 2^53 associations")]
        let (_, exponent) = libm::frexp(largest * n as f64);
        // One more bit than the sum has, for the roundings.
        self.exponent = BITS - 1 - exponent;
    }

    /// Adds to some units.
    #[inline]
    pub(super) fn add(&mut self, units: &[u16], strength: f64) {
        #[allow(clippy::cast_possible_truncation, reason = "below 2^62")]
        let strength = (libm::ldexp(strength, self.exponent).round_ties_even() as i64).max(1);
        for &unit in units {
            let sum = &mut self.sums[usize::from(unit)];
            if *sum == 0 {
                self.touched.push(unit);
            }
            *sum += strength;
        }
    }

    /// Hands out the up to `k` strongest units, by ascending number, and forgets all.
    pub(super) fn winners(&mut self, k: usize, mut each: impl FnMut(u16)) {
        self.rank(k);
        self.touched.clear();
        self.touched.extend(self.ranked.iter().map(|&(_, unit)| unit));
        self.touched.sort_unstable();
        self.touched.drain(..).for_each(&mut each);
    }

    /// Hands out the up to `k` strongest units, the strongest first, with their strengths, and forgets all.
    pub(super) fn strongest(&mut self, k: usize, mut each: impl FnMut(u16, f64)) {
        self.rank(k);
        self.ranked.sort_unstable_by_key(|&(sum, unit)| (std::cmp::Reverse(sum), unit));
        for &(sum, unit) in &self.ranked {
            #[allow(clippy::cast_precision_loss, reason = "strengths are given in fewer bits")]
            each(unit, libm::ldexp(sum as f64, -self.exponent));
        }
        self.touched.clear();
    }

    /// Leaves the `k` strongest in `ranked`, in any order, and zeros in all sums. Of equal ones, smaller units are stronger.
    fn rank(&mut self, k: usize) {
        self.ranked.clear();
        for &unit in &self.touched {
            self.ranked.push((std::mem::take(&mut self.sums[usize::from(unit)]), unit));
        }
        if k < self.ranked.len() {
            if let Some(last) = k.checked_sub(1) {
                self.ranked.select_nth_unstable_by_key(last, |&(sum, unit)| (std::cmp::Reverse(sum), unit));
            }
            self.ranked.truncate(k);
        }
    }
}
