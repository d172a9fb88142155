//! Personalised PageRank by power iteration.
//!
//! One step: each node hands `walk` of its score on along its links, in shares by their weights, and what is left goes back
//! to the seeds; so does all of the score of a node that no link leaves. The new score of a node is the sum over the links
//! that arrive there **in ascending order of the nodes they come from**, in float64, one after the other. Scores are never
//! negative, so a node that has nothing adds +0, which changes no bit: as long as few nodes have a score, only these are
//! visited (push), later all rows are summed (`rows.rs`), and both give the same bits.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::links::{Links, to_u32};
use super::rows::Rows;
use crate::error::{IdError, InputError, SeedError};

/// How a cue spreads.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    /// Share of a node's score that moves on in a step; the rest returns to the seeds.
    pub walk: f64,
    /// Steps that are made.
    pub steps: usize,
    /// Whether links to nodes of few links weigh more: by `ln(1 + n / links)`, n nodes in all. A hidden node (one with a
    /// negative id) of a single link is not walked into then, since from there it only goes back.
    pub rarity: bool,
}

impl Spread {
    /// Refuses a `walk` outside 0 and 1.
    pub(super) fn check(self) -> Result<Self, InputError> {
        if (0.0..=1.0).contains(&self.walk) {
            return Ok(self);
        }
        Err(InputError::Range {
            argument: "walk",
            wanted: "a number from 0 to 1",
            got: self.walk.to_string(),
        })
    }
}

/// Nodes that a cue has reached, best first, of equal ones the smaller id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reached {
    /// Their ids, 0 or more.
    pub ids: Vec<i64>,
    /// Their scores, above 0.
    pub scores: Vec<f64>,
}

/// Where a spread begins: nodes with their shares, and what is no node.
struct Seeds {
    /// `(id, share)` by ascending id; the shares add up to 1.
    shares: Vec<(i64, f64)>,
}

/// What a spread walks along.
#[derive(Debug)]
pub(super) struct Walk {
    /// The links that leave each node.
    out: Links,
    /// The links that arrive, laid out for sums: made when a second spread shows that this graph is asked more often than it
    /// is changed, since making them takes longer than one spread does.
    arriving: OnceLock<Rows>,
    directed: bool,
    is_used: AtomicBool,
    /// By which the weight of a link to a node is multiplied. Empty where that is 1 for all.
    factors: Vec<f64>,
    /// One over the sum of a node's weights, times factors; 0 where no link leaves it.
    shares: Vec<f64>,
    /// The nodes that no link leaves.
    ends: Vec<u32>,
}

impl Walk {
    pub fn new(links: &Links, directed: bool, rarity: bool) -> Self {
        let (out, factors) = if rarity { with_factors(links, directed) } else { (links.clone(), Vec::new()) };
        let weight = |&(end, weight): &(u32, f32)| {
            f64::from(weight) * factors.get(end as usize).copied().unwrap_or(1.0)
        };
        let sums = (0..out.ids.len()).map(|node| out.row(node).iter().map(weight).sum::<f64>());
        let shares: Vec<f64> = sums.map(|sum| if sum > 0.0 { 1.0 / sum } else { 0.0 }).collect();
        let ends = (0..to_u32(shares.len())).filter(|&node| shares[node as usize] == 0.0).collect();
        Self {
            out,
            arriving: OnceLock::new(),
            directed,
            is_used: AtomicBool::new(false),
            factors,
            shares,
            ends,
        }
    }

    pub fn nbytes(&self) -> usize {
        self.out.nbytes()
            + self.arriving.get().map_or(0, Rows::nbytes)
            + size_of_val(&*self.factors)
            + size_of_val(&*self.shares)
            + size_of_val(&*self.ends)
    }

    /// Where a cue spreads to from `ids`; see [`super::Graph::spread`].
    pub fn spread(
        &self,
        ids: &[i64],
        weights: Option<&[f32]>,
        how: Spread,
        k: usize,
    ) -> Result<Reached, SeedError> {
        let seeds = Seeds::new(ids, weights)?;
        let places: Vec<Option<usize>> = seeds.shares.iter().map(|&(id, _)| self.out.find(id)).collect();
        // One place more than there are nodes, for `Rows`.
        let n = self.out.ids.len();
        let [mut scores, mut leaving, mut arrived] = [(); 3].map(|()| vec![0.0; n + 1]);
        for (&(_, share), place) in seeds.shares.iter().zip(&places) {
            if let &Some(place) = place {
                scores[place] = share;
            }
        }
        let away: f64 = seeds.shares.iter().zip(&places).filter(|(_, p)| p.is_none()).map(|(s, _)| s.1).sum();
        // What a seed that is no node has of its share.
        let mut kept = 1.0;
        let mut few = true;
        let is_first = !self.is_used.swap(true, Ordering::Relaxed);
        for _ in 0..how.steps {
            let stuck: f64 = self.ends.iter().map(|&node| scores[node as usize]).sum();
            for ((leaving, &score), &share) in leaving.iter_mut().zip(&scores).zip(&self.shares) {
                *leaving = how.walk * score * share;
            }
            few = few && self.n_links_of(&leaving) * PUSH_COST < self.out.ends.len();
            if few {
                self.push(&leaving, &mut arrived);
            } else {
                self.pull(&leaving, &mut arrived, is_first);
            }
            for (arrived, factor) in arrived.iter_mut().zip(&self.factors) {
                *arrived *= factor;
            }
            // All that does not move on goes back to the seeds.
            kept = (1.0 - how.walk) + how.walk * (stuck + kept * away);
            for (&(_, share), place) in seeds.shares.iter().zip(&places) {
                if let &Some(place) = place {
                    arrived[place] += kept * share;
                }
            }
            std::mem::swap(&mut scores, &mut arrived);
        }
        let mut reached: Vec<(i64, f64)> = seeds
            .shares
            .iter()
            .zip(&places)
            .filter(|&(&(id, _), place)| place.is_none() && id >= 0)
            .map(|(&(id, share), _)| (id, kept * share))
            .collect();
        let first = self.out.ids.partition_point(|&id| id < 0);
        reached.extend(self.out.ids[first..].iter().copied().zip(scores[first..n].iter().copied()));
        reached.retain(|&(_, score)| score > 0.0);
        Ok(best(reached, k))
    }

    /// Number of links along which something leaves.
    fn n_links_of(&self, leaving: &[f64]) -> usize {
        let bounds = self.out.offsets.windows(2);
        bounds
            .zip(leaving)
            .filter(|(_, leaving)| **leaving > 0.0)
            .map(|(pair, _)| (pair[1] - pair[0]) as usize)
            .sum()
    }

    /// Sums what arrives, row by row.
    fn pull(&self, leaving: &[f64], arrived: &mut [f64], is_first: bool) {
        if is_first && !self.directed {
            // The links that leave a node are those that arrive.
            for (node, arrived) in arrived.iter_mut().enumerate().take(self.shares.len()) {
                let row = self.out.row(node).iter();
                *arrived = row.map(|&(end, weight)| f64::from(weight) * leaving[end as usize]).sum();
            }
        } else {
            let rows = || if self.directed { Rows::new(&self.out.reversed()) } else { Rows::new(&self.out) };
            self.arriving.get_or_init(rows).sum(leaving, arrived);
        }
    }

    /// Sums what arrives, from node to node.
    fn push(&self, leaving: &[f64], arrived: &mut [f64]) {
        arrived.fill(0.0);
        for (node, &leaving) in leaving.iter().enumerate() {
            if leaving > 0.0 {
                for &(end, weight) in self.out.row(node) {
                    arrived[end as usize] += f64::from(weight) * leaving;
                }
            }
        }
    }
}

/// A link that is visited from its source costs about as much as this many that are read in their order.
const PUSH_COST: usize = 2;

/// The links without those into hidden dead ends, and the factor of each node that is left.
fn with_factors(links: &Links, directed: bool) -> (Links, Vec<f64>) {
    let mut counts = vec![0usize; links.ids.len()];
    for &(end, _) in &links.ends {
        counts[end as usize] += 1;
    }
    if directed {
        // A node is as common as it has links of either kind.
        for (node, count) in counts.iter_mut().enumerate() {
            *count += links.row(node).len();
        }
    }
    let n = links.ids.len() as f64;
    let mut known: Vec<f64> = Vec::new();
    let mut factor = |count: usize| {
        while known.len() <= count.min(MANY) {
            known.push(libm::log(1.0 + n / known.len().max(1) as f64));
        }
        known.get(count).copied().unwrap_or_else(|| libm::log(1.0 + n / count as f64))
    };
    let is_end = |node: usize| links.ids[node] < 0 && counts[node] < 2;
    let factors: Vec<f64> =
        (0..links.ids.len()).map(|node| if is_end(node) { 0.0 } else { factor(counts[node]) }).collect();
    let mut kept = Links { ids: links.ids.clone(), offsets: vec![0], ends: Vec::new() };
    for node in 0..links.ids.len() {
        if factors[node] > 0.0 {
            kept.ends.extend(links.row(node).iter().filter(|&&(end, _)| factors[end as usize] > 0.0));
        }
        kept.offsets.push(to_u32(kept.ends.len()));
    }
    // A node that is left without links is as good as none: its score goes back to the seeds either way.
    let kept = kept.without_lonely_nodes();
    let mut of_all = links.ids.iter().zip(factors);
    let of_kept = |id: &i64| of_all.find(|&(other, _)| other == id).map_or(0.0, |(_, factor)| factor);
    let factors = kept.ids.iter().map(of_kept).collect();
    (kept, factors)
}

/// Up to this many links, a factor is looked up.
const MANY: usize = 4096;

impl Seeds {
    fn new(ids: &[i64], weights: Option<&[f32]>) -> Result<Self, SeedError> {
        if let Some(weights) = weights {
            if weights.len() != ids.len() {
                let (wanted, got) = (ids.len(), weights.len());
                let partner = "ids";
                return Err(InputError::Length { argument: "weights", partner, wanted, got }.into());
            }
            if let Some(weight) = weights.iter().find(|weight| !(weight.is_finite() && **weight >= 0.0)) {
                return Err(refused("finite numbers of 0 or more", weight.to_string()));
            }
        }
        let weight = |at: usize| weights.map_or(1.0, |weights| f64::from(weights[at]));
        let mut shares: Vec<(i64, f64)> = ids.iter().enumerate().map(|(at, &id)| (id, weight(at))).collect();
        shares.sort_unstable_by_key(|&(id, _)| id);
        if let Some(pair) = shares.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(IdError::Repeated { id: pair[0].0 }.into());
        }
        let sum: f64 = shares.iter().map(|&(_, weight)| weight).sum();
        if !ids.is_empty() && sum == 0.0 {
            return Err(refused("at least one above 0", "zeros only".to_owned()));
        }
        for (_, share) in &mut shares {
            *share /= sum;
        }
        Ok(Self { shares })
    }
}

fn refused(wanted: &'static str, got: String) -> SeedError {
    InputError::Range { argument: "weights", wanted, got }.into()
}

/// The `k` of the largest scores.
fn best(mut reached: Vec<(i64, f64)>, k: usize) -> Reached {
    let order =
        |a: &(i64, f64), b: &(i64, f64)| -> std::cmp::Ordering { b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)) };
    if k < reached.len() {
        reached.select_nth_unstable_by(k, order);
        reached.truncate(k);
    }
    reached.sort_unstable_by(order);
    let (ids, scores) = reached.into_iter().unzip();
    Reached { ids, scores }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::links::Edit;
    use super::*;

    fn links(ends: &[(i64, i64, f32)]) -> Links {
        let both = ends.iter().flat_map(|&(a, b, weight)| [(a, b, weight), (b, a, weight)]);
        let mut edits: Vec<Edit> =
            both.map(|(source, target, weight)| Edit { source, target, weight: Some(weight) }).collect();
        edits.sort_by_key(|edit| (edit.source, edit.target));
        edits.dedup_by_key(|edit| (edit.source, edit.target));
        Links::default().edited(&edits)
    }

    proptest! {
        #[test]
        fn all_ways_to_sum_give_the_same_bits(
            ends in prop::collection::vec((-30i64..60, -30i64..60, 0.1f32..9.0), 1..400),
            seeds in prop::collection::vec(0.0f64..1.0, 91),
            few in 1usize..40,
            rarity: bool,
        ) {
            let walk = Walk::new(&links(&ends), false, rarity);
            let n = walk.shares.len();
            let mut leaving: Vec<f64> = (0..n).map(|node| if node % few == 0 { seeds[node] } else { 0.0 }).collect();
            leaving.push(0.0);
            let bits = |arrived: &[f64]| arrived[..n].iter().map(|x| (x + 0.0).to_bits()).collect::<Vec<_>>();
            let [mut pushed, mut read, mut summed] = [(); 3].map(|()| vec![7.0; n + 1]);
            walk.push(&leaving, &mut pushed);
            walk.pull(&leaving, &mut read, true);
            walk.pull(&leaving, &mut summed, false);
            prop_assert_eq!(bits(&pushed), bits(&read));
            prop_assert_eq!(bits(&pushed), bits(&summed));
        }
    }

    #[test]
    fn the_best_are_those_of_a_full_sort() {
        let reached: Vec<(i64, f64)> = (0..100i64).map(|id| (id, ((id * 37) % 10) as f64)).collect();
        let all = best(reached.clone(), usize::MAX);
        assert_eq!(all.ids[..3], [7, 17, 27]);
        for k in [0, 1, 15, 99] {
            let some = best(reached.clone(), k);
            assert_eq!((&some.ids[..], &some.scores[..]), (&all.ids[..k], &all.scores[..k]));
        }
    }
}
