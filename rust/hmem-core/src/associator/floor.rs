//! Which overlaps count.

/// Associations that may count at once, where the floor is free.
const MOST: usize = 64;

/// How many associations may be expected to reach the floor by chance: a thousand recalls that should find nothing find one.
const BY_CHANCE: f64 = 1e-3;

/// The least overlap that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floor {
    /// This one.
    Fixed(usize),
    /// The least that chance rarely reaches, or a higher one where many associations reach it.
    Free,
}

impl Floor {
    /// The least overlap that may count, before any is known, for a cue of `units` units among `n` associations.
    ///
    /// A random code holds `j` given units with a probability of at most `(n_active / n_units)^j`, and `j` of the cue's units
    /// can be chosen in `C(units, j)` ways: so `n · C(units, j) · (n_active / n_units)^j` is at least the expected number of
    /// random codes that share `j` units with the cue. The first `j` for which that is at most [`BY_CHANCE`] is the floor; all
    /// of the cue where there is none.
    #[allow(clippy::cast_precision_loss, reason = "below 2^53")]
    pub(super) fn before(self, units: usize, n: usize, share: f64) -> usize {
        match self {
            Self::Fixed(floor) => floor,
            Self::Free => {
                let mut expected = n as f64;
                for overlap in 1..units {
                    expected *= (units - overlap + 1) as f64 / overlap as f64 * share;
                    if expected <= BY_CHANCE {
                        return overlap;
                    }
                }
                units.max(1)
            }
        }
    }

    /// The floor for these overlaps, which all reach the one before. Where it is free, at most [`MOST`] of them stay, or those
    /// that are as good as the best.
    pub(super) fn after(
        self,
        before: usize,
        overlaps: impl ExactSizeIterator<Item = usize> + Clone,
    ) -> usize {
        if self != Self::Free || overlaps.len() <= MOST {
            return before;
        }
        let best = overlaps.clone().max().unwrap_or(before);
        let mut times = vec![0; best + 1];
        overlaps.for_each(|overlap| times[overlap] += 1);
        let mut kept = times[best];
        let mut floor = best;
        while floor > before && kept + times[floor - 1] <= MOST {
            floor -= 1;
            kept += times[floor];
        }
        floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn chance_rarely_reaches_the_floor() {
        let share = 50.0 / 16384.0;
        let floors = [1, 100, 20_000, 100_000, 1_000_000].map(|n| Floor::Free.before(50, n, share));
        assert_eq!(floors, [3, 5, 6, 7, 7]);
        assert_eq!([0, 1, 2, 5].map(|units| Floor::Free.before(units, 20_000, share)), [1, 1, 2, 4]);
        assert_eq!(Floor::Fixed(9).before(50, 1, share), 9);
    }

    proptest! {
        #[test]
        fn as_many_stay_as_may(overlaps in prop::collection::vec(3usize..12, 0..200)) {
            let floor = Floor::Free.after(3, overlaps.iter().copied());
            let kept = |floor| overlaps.iter().filter(|&&overlap| overlap >= floor).count();
            let best = overlaps.iter().copied().max().unwrap_or(3);
            prop_assert!(kept(floor) <= MOST || floor == best);
            prop_assert!(floor == 3 || kept(floor - 1) > MOST);
            prop_assert_eq!(Floor::Fixed(3).after(3, overlaps.iter().copied()), 3);
        }
    }
}
