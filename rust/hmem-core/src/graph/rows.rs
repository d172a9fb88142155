//! The links that arrive at each node, laid out so that sums over them wait for nothing.
//!
//! Nodes stand in order of their number of links, eight to a block: first the first link of each of the eight, then the
//! second of each, and so on. So a loop's length is that of the one before it, nearly always, and eight sums grow side by
//! side, each in its own order. A row that is shorter than its block's longest is filled up with links of weight 0 from a
//! node that never has anything: that adds +0, which changes no bit of a sum that is not negative.

use super::links::{Links, to_u32};

/// Rows of a block.
const LANES: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Rows {
    n: usize,
    /// The node of each row; `n` where a block has no further one.
    nodes: Vec<[u32; LANES]>,
    /// Links of each row of a block.
    lengths: Vec<u32>,
    /// Where they come from, and their weights.
    sources: Vec<[u32; LANES]>,
    weights: Vec<[f32; LANES]>,
}

impl Rows {
    pub fn new(arriving: &Links) -> Self {
        let n = arriving.ids.len();
        let mut order: Vec<u32> =
            (0..to_u32(n)).filter(|&node| !arriving.row(node as usize).is_empty()).collect();
        order.sort_by_key(|&node| arriving.row(node as usize).len());
        let mut rows = Self { n, ..Self::default() };
        for block in order.chunks(LANES) {
            let row = |lane: usize| block.get(lane).map_or(&[][..], |&node| arriving.row(node as usize));
            let length = (0..LANES).map(|lane| row(lane).len()).max().unwrap_or(0);
            for at in 0..length {
                let link = |lane: usize| row(lane).get(at).copied().unwrap_or((to_u32(n), 0.0));
                rows.sources.push(std::array::from_fn(|lane| link(lane).0));
                rows.weights.push(std::array::from_fn(|lane| link(lane).1));
            }
            rows.lengths.push(to_u32(length));
            rows.nodes.push(std::array::from_fn(|lane| block.get(lane).copied().unwrap_or(to_u32(n))));
        }
        rows
    }

    /// Sums what arrives at each node. Both slices have a place more than there are nodes; what leaves from that one is 0,
    /// what arrives there means nothing.
    pub fn sum(&self, leaving: &[f64], arrived: &mut [f64]) {
        debug_assert!(leaving.len() == self.n + 1 && leaving[self.n] == 0.0);
        arrived.fill(0.0);
        let mut links = self.sources.iter().zip(&self.weights);
        for (nodes, &length) in self.nodes.iter().zip(&self.lengths) {
            let mut sums = [0.0; LANES];
            for (sources, weights) in links.by_ref().take(length as usize) {
                for lane in 0..LANES {
                    sums[lane] += f64::from(weights[lane]) * leaving[sources[lane] as usize];
                }
            }
            for (&node, sum) in nodes.iter().zip(sums) {
                arrived[node as usize] = sum;
            }
        }
    }

    pub fn nbytes(&self) -> usize {
        size_of_val(&*self.nodes)
            + size_of_val(&*self.lengths)
            + size_of_val(&*self.sources)
            + size_of_val(&*self.weights)
    }
}
