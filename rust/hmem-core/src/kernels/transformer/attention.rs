//! Softmax attention within one text.
//!
//! Queries, keys and values lie part by part (32 numbers of each row side by side), as the panels of the product make them:
//! the rows of a head are then next to each other. Keys are turned, sixteen tokens side by side, so that sums run over a head's
//! numbers one after the other and nothing is added across a register.

use super::PART;
use super::function::exp;
use crate::kernels::sixteen::{LANES, Sixteen, for_each_isa};

/// Queries in flight.
const QUERIES: usize = 4;

/// Below every score; in the places behind the last token.
const NONE: f32 = -1e30;

/// What is attended to.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// `[3 · heads · parts][rows][32]`: queries, keys, values. Queries are scaled.
    pub qkv: &'a [f32],
    /// Rows of all texts that lie there.
    pub rows: usize,
    /// The text's first row.
    pub first: usize,
    /// Its rows.
    pub tokens: usize,
    /// Heads.
    pub heads: usize,
    /// Parts of a head.
    pub parts: usize,
    /// What is added to a score, by how far the key is from the query: for each head `farthest` numbers of keys before, one of the
    /// same token, and `farthest` and 16 more of keys after. Empty where nothing is added.
    pub distance: &'a [f32],
    /// See [`distance`](Self::distance).
    pub farthest: usize,
}

impl Attention<'_> {
    /// Part `part` of `kind` (0 queries, 1 keys, 2 values) of a head: the text's rows.
    #[inline(always)]
    fn part(&self, kind: usize, head: usize, part: usize) -> &[[f32; PART]] {
        let panel = (kind * self.heads + head) * self.parts + part;
        &self.qkv.as_chunks().0[panel * self.rows + self.first..][..self.tokens]
    }
}

/// Memory for one text at a time.
#[derive(Debug, Default)]
pub struct Scratch {
    keys: Vec<f32>,
    weights: Vec<f32>,
}

for_each_isa! {
    /// Writes what each token of a text attends to: `out` is its rows, `heads · parts · 32` wide.
    ///
    /// A. Vaswani et al., "Attention is all you need", 2017.
    pub fn attend(attention: Attention<'_>, scratch: &mut Scratch, out: &mut [f32]) = attend_all;
}

#[inline(always)]
fn attend_all<S: Sixteen>(proof: S::Proof, attention: Attention<'_>, scratch: &mut Scratch, out: &mut [f32]) {
    let Attention { tokens, heads, parts, .. } = attention;
    let (blocks, width) = (tokens.div_ceil(LANES), heads * parts * PART);
    scratch.keys.resize(blocks * parts * PART * LANES, 0.0);
    scratch.weights.resize(QUERIES * blocks * LANES, 0.0);
    for head in 0..heads {
        turn(attention, head, &mut scratch.keys);
        for start in (0..tokens).step_by(QUERIES) {
            let n = QUERIES.min(tokens - start);
            // Where fewer queries are left, the last one stands in for those that lack.
            let mut at = [start; QUERIES];
            for (i, at) in at.iter_mut().enumerate() {
                *at += i.min(n - 1);
            }
            score::<S>(proof, attention, head, at, &scratch.keys, &mut scratch.weights);
            let mut factors = [0.0; QUERIES];
            for (factor, weights) in factors.iter_mut().zip(scratch.weights.chunks_exact_mut(blocks * LANES))
            {
                *factor = soften::<S>(proof, tokens, weights);
            }
            for part in 0..parts {
                let sums = mix::<S>(proof, attention.part(2, head, part), &scratch.weights);
                for i in 0..n {
                    let to = (start + i) * width + (head * parts + part) * PART;
                    let (to, _) = out[to..to + PART].as_chunks_mut::<LANES>();
                    let factor = S::splat(proof, factors[i]);
                    sums[i][0].times(factor).store(&mut to[0]);
                    sums[i][1].times(factor).store(&mut to[1]);
                }
            }
        }
    }
}

/// Turns a head's keys: `[block of sixteen tokens][number of the head][token of the block]`, zeros behind the last token.
#[inline(always)]
fn turn(attention: Attention<'_>, head: usize, keys: &mut [f32]) {
    let (blocks, _) = keys.as_chunks_mut::<LANES>();
    for (b, block) in blocks.chunks_exact_mut(attention.parts * PART).enumerate() {
        let present = LANES.min(attention.tokens - b * LANES);
        for (part, numbers) in block.chunks_exact_mut(PART).enumerate() {
            let rows = &attention.part(1, head, part)[b * LANES..][..present];
            for (lane, row) in rows.iter().enumerate() {
                for (numbers, &number) in numbers.iter_mut().zip(row) {
                    numbers[lane] = number;
                }
            }
            if present < LANES {
                for numbers in numbers {
                    numbers[present..].fill(0.0);
                }
            }
        }
    }
}

/// The scores of some queries of a head with all keys.
#[inline(always)]
fn score<S: Sixteen>(
    proof: S::Proof,
    attention: Attention<'_>,
    head: usize,
    at: [usize; QUERIES],
    keys: &[f32],
    scores: &mut [f32],
) {
    let numbers = attention.parts * PART;
    let (keys, _) = keys.as_chunks::<LANES>();
    let (scores, _) = scores.as_chunks_mut::<LANES>();
    let blocks = keys.len() / numbers;
    let mut b = 0;
    while b < blocks {
        // Two blocks at once share what is loaded of the queries.
        b += if b + 1 < blocks {
            let (first, second) = keys[b * numbers..(b + 2) * numbers].split_at(numbers);
            score_blocks::<S, 2>(proof, attention, head, at, [first, second], b, scores)
        } else {
            score_blocks::<S, 1>(proof, attention, head, at, [&keys[b * numbers..]], b, scores)
        };
    }
}

/// The scores of some queries with `B` blocks of keys, from block `b` on. Returns `B`.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "inlined into one loop")]
fn score_blocks<S: Sixteen, const B: usize>(
    proof: S::Proof,
    attention: Attention<'_>,
    head: usize,
    at: [usize; QUERIES],
    keys: [&[[f32; LANES]]; B],
    b: usize,
    scores: &mut [[f32; LANES]],
) -> usize {
    let mut sums = [[S::splat(proof, 0.0); B]; QUERIES];
    for part in 0..attention.parts {
        let queries = attention.part(0, head, part);
        let [q, r, s, t] = [&queries[at[0]], &queries[at[1]], &queries[at[2]], &queries[at[3]]];
        let mut own = [keys[0]; B];
        for i in 0..B {
            own[i] = &keys[i][part * PART..(part + 1) * PART];
        }
        for d in 0..PART {
            for i in 0..B {
                let keys = S::load(proof, &own[i][d]);
                sums[0][i] = keys.times_plus(S::splat(proof, q[d]), sums[0][i]);
                sums[1][i] = keys.times_plus(S::splat(proof, r[d]), sums[1][i]);
                sums[2][i] = keys.times_plus(S::splat(proof, s[d]), sums[2][i]);
                sums[3][i] = keys.times_plus(S::splat(proof, t[d]), sums[3][i]);
            }
        }
    }
    let blocks = scores.len() / QUERIES;
    for (query, sums) in sums.iter().enumerate() {
        for (i, &sum) in sums.iter().enumerate() {
            let mut sum = sum;
            if !attention.distance.is_empty() {
                let of_head = 2 * attention.farthest + 1 + LANES;
                let from = head * of_head + attention.farthest + (b + i) * LANES - at[query];
                let (distance, _) = attention.distance[from..from + LANES].as_chunks::<LANES>();
                sum = sum.plus(S::load(proof, &distance[0]));
            }
            sum.store(&mut scores[query * blocks + b + i]);
        }
    }
    B
}

/// Scores into weights that are not yet divided by their sum; gives what to multiply with instead. What stands behind the last
/// token becomes too little to change the sum, which is at least 1.
#[inline(always)]
fn soften<S: Sixteen>(proof: S::Proof, tokens: usize, scores: &mut [f32]) -> f32 {
    scores[tokens..].fill(NONE);
    let (scores, _) = scores.as_chunks_mut::<LANES>();
    let mut largest = S::splat(proof, NONE);
    for scores in scores.iter() {
        largest = S::load(proof, scores).or_larger(largest);
    }
    let largest = S::splat(proof, largest.largest());
    let mut sum = S::splat(proof, 0.0);
    for scores in scores {
        let weights = exp(proof, S::load(proof, scores).minus(largest));
        sum = sum.plus(weights);
        weights.store(scores);
    }
    1.0 / sum.sum()
}

/// The sums of values, weighted, for some queries: one part of a head.
#[inline(always)]
fn mix<S: Sixteen>(proof: S::Proof, values: &[[f32; PART]], weights: &[f32]) -> [[S; 2]; QUERIES] {
    let mut sums = [[S::splat(proof, 0.0); 2]; QUERIES];
    let (q, rest) = weights.split_at(weights.len() / QUERIES);
    let (r, rest) = rest.split_at(q.len());
    let (s, t) = rest.split_at(q.len());
    for ((((values, &q), &r), &s), &t) in values.iter().zip(q).zip(r).zip(s).zip(t) {
        let (halves, _) = values.as_chunks::<LANES>();
        let halves = [S::load(proof, &halves[0]), S::load(proof, &halves[1])];
        let weights = [q, r, s, t];
        for i in 0..QUERIES {
            let weight = S::splat(proof, weights[i]);
            sums[i][0] = halves[0].times_plus(weight, sums[i][0]);
            sums[i][1] = halves[1].times_plus(weight, sums[i][1]);
        }
    }
    sums
}
