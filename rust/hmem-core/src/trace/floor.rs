//! The first floor: what enough memories reach for certain, from few that are compared by whole codes.

use super::contenders::{Search, Work};
use super::pool::quick_energy;
use super::sieved::Sieved;
use crate::bitmap::Bitmap;
use crate::dense::contest::Contest;

/// About this many times as many memories as are wanted are looked at …
const FIRST: usize = 2;

/// … and no fewer than this.
const FEWEST: usize = 64;

/// For each one that is wanted and one more of so many, one is compared by whole codes.
const ONE_MORE_IN: usize = 4;

/// How many memories of a sample stand above the limit that is taken from it.
const RANK: usize = 16;

impl Search<'_> {
    /// Enters those that look best; tells which, in each part.
    pub(super) fn enter_best(
        &self,
        sieved: &[Sieved<'_>],
        work: &mut Work,
        contest: &mut Contest,
    ) -> Vec<Bitmap> {
        let mut best = self.best_looking(sieved, work);
        let compared = self.n.saturating_add(self.n.div_ceil(ONE_MORE_IN));
        if compared < best.len() {
            best.select_nth_unstable_by(compared, |a, b| b.0.total_cmp(&a.0));
            best.truncate(compared);
        }
        // In the order in which they lie in memory.
        best.sort_unstable_by_key(|&(_, part, row)| (part, row));
        let mut entered = Vec::with_capacity(sieved.len());
        for (part, sieved) in sieved.iter().enumerate() {
            let first = best.partition_point(|&(_, of, _)| of < part);
            let end = best.partition_point(|&(_, of, _)| of <= part);
            let rows = best[first..end].iter().map(|&(_, _, row)| row);
            entered.push(self.enter_all(sieved, rows, work, contest));
        }
        entered
    }

    /// Enters memories by the whole codes of all their keys.
    fn enter_all(
        &self,
        sieved: &Sieved<'_>,
        rows: impl Iterator<Item = usize> + Clone,
        work: &mut Work,
        contest: &mut Contest,
    ) -> Bitmap {
        let segment = sieved.segment();
        work.set_keys(rows.clone().flat_map(|row| segment.keys_of(row)));
        work.cosines.clear();
        sieved.aimed.whole(&work.keys, &mut work.sums, &mut work.cosines);
        let mut cosines = &work.cosines[..];
        let mut entered = Bitmap::none(sieved.aimed.open.rows.len());
        for row in rows {
            let of_memory = cosines.split_off(..segment.keys_of(row).len()).expect("limits of all keys");
            contest.enter(self.pool(of_memory), sieved.aimed.open.first + row);
            entered.insert(row);
        }
        entered
    }

    /// At least as many memories as are wanted, if there are so many: those of the best keys, each with about the energy
    /// that its limits promise, the part and the row.
    fn best_looking(&self, sieved: &[Sieved<'_>], work: &mut Work) -> Vec<(f64, usize, usize)> {
        let mut wanted = self.n.saturating_mul(FIRST).max(FEWEST);
        loop {
            let least = promised_by(wanted, sieved);
            let mut found = Vec::with_capacity(2 * wanted.min(1 << 16));
            for (part, sieved) in sieved.iter().enumerate() {
                sieved.with_a_key(sieved.scale().limit(least), |row| {
                    work.scores.clear();
                    work.scores
                        .extend(sieved.of_memory(row).iter().map(|&limit| sieved.scale().score(limit)));
                    found.push((quick_energy(&work.scores, self.beta), part, row));
                });
            }
            if found.len() >= self.n || least == f64::NEG_INFINITY {
                return found;
            }
            wanted = wanted.saturating_mul(4);
        }
    }
}

/// A score that the best keys of about `wanted` memories may reach, from a sample of all; −∞ where there are fewer.
fn promised_by(wanted: usize, sieved: &[Sieved<'_>]) -> f64 {
    let step = (wanted / RANK).max(1);
    let best_key = |sieved: &Sieved<'_>, row| {
        let limits = sieved.of_memory(row).iter().copied();
        sieved.scale().score(limits.fold(f32::NEG_INFINITY, f32::max))
    };
    let mut sample = Vec::new();
    for sieved in sieved {
        let rows = (0..sieved.aimed.open.rows.len()).step_by(step);
        sample.extend(rows.map(|row| best_key(sieved, row)));
    }
    if sample.len() <= RANK {
        return f64::NEG_INFINITY;
    }
    *sample.select_nth_unstable_by(RANK, |a, b| b.total_cmp(a)).1
}
