//! The links of a graph in one order, which never changes: an edit makes a new one.

/// Links as arrays: `sources[i] → targets[i]` with `weights[i]`, ascending by source and then by target.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LinkList {
    /// Where each link begins; in an undirected graph the smaller of its two ends.
    pub sources: Vec<i64>,
    /// Where each link ends.
    pub targets: Vec<i64>,
    /// Its weight.
    pub weights: Vec<f32>,
}

/// A link that is to have this weight, or that is to go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edit {
    pub source: i64,
    pub target: i64,
    pub weight: Option<f32>,
}

/// One row of links a node, both in ascending order of ids.
///
/// An undirected link stands in the rows of both its ends, once if these are one node. A node is there as long as it has a
/// link. So two graphs with the same links are the same to the last byte, however they came to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Links {
    /// Ids of the nodes, ascending.
    pub ids: Vec<i64>,
    /// Node `i` owns `ends[offsets[i]..offsets[i + 1]]`. Empty for no nodes.
    pub offsets: Vec<u32>,
    /// Place of the other end in `ids`, and the weight.
    pub ends: Vec<(u32, f32)>,
}

impl Links {
    /// The links that leave a node.
    pub fn row(&self, node: usize) -> &[(u32, f32)] {
        &self.ends[self.offsets[node] as usize..self.offsets[node + 1] as usize]
    }

    /// Place of a node.
    pub fn find(&self, id: i64) -> Option<usize> {
        self.ids.binary_search(&id).ok()
    }

    /// Whether there is a link from `source` to `target`.
    pub fn contains(&self, source: i64, target: i64) -> bool {
        let (Some(source), Some(target)) = (self.find(source), self.find(target)) else { return false };
        self.row(source).binary_search_by_key(&target, |&(end, _)| end as usize).is_ok()
    }

    /// All links `(source, target, weight)`, in order.
    pub fn iter(&self) -> impl Iterator<Item = (i64, i64, f32)> + '_ {
        (0..self.ids.len()).flat_map(move |node| {
            self.row(node).iter().map(move |&(end, weight)| (self.ids[node], self.ids[end as usize], weight))
        })
    }

    /// The links after `edits`, which ascend by source and target and name no link twice.
    pub fn edited(&self, edits: &[Edit]) -> Self {
        let mut ids: Vec<i64> = edits.iter().flat_map(|edit| [edit.source, edit.target]).collect();
        ids.sort_unstable();
        ids.dedup();
        let (ids, moved) = union(&self.ids, &ids);
        let place = |id: i64| to_u32(ids.partition_point(|&other| other < id));
        let edits: Vec<(u32, u32, Option<f32>)> =
            edits.iter().map(|edit| (place(edit.source), place(edit.target), edit.weight)).collect();
        let mut offsets = Vec::with_capacity(ids.len() + 1);
        let mut ends: Vec<(u32, f32)> = Vec::with_capacity(self.ends.len() + edits.len());
        offsets.push(0);
        let (mut edits, mut old) = (edits.as_slice(), 0);
        for node in 0..to_u32(ids.len()) {
            let row: &[(u32, f32)] = if moved.get(old) == Some(&node) {
                old += 1;
                self.row(old - 1)
            } else {
                &[]
            };
            let mut row = row.iter().map(|&(end, weight)| (moved[end as usize], weight)).peekable();
            let of_node = edits.partition_point(|&(source, ..)| source <= node);
            let (own, rest) = edits.split_at(of_node);
            edits = rest;
            for &(_, target, weight) in own {
                while let Some(kept) = row.next_if(|&(end, _)| end < target) {
                    ends.push(kept);
                }
                row.next_if(|&(end, _)| end == target);
                ends.extend(weight.map(|weight| (target, weight)));
            }
            ends.extend(row);
            offsets.push(to_u32(ends.len()));
        }
        Self { ids, offsets, ends }.without_lonely_nodes()
    }

    /// Leaves out the nodes that no link begins or ends at.
    pub fn without_lonely_nodes(self) -> Self {
        let mut linked: Vec<bool> = self.offsets.windows(2).map(|pair| pair[0] < pair[1]).collect();
        for &(end, _) in &self.ends {
            linked[end as usize] = true;
        }
        if linked.iter().all(|&linked| linked) && !linked.is_empty() {
            return self;
        }
        let mut moved = Vec::with_capacity(linked.len());
        let mut kept = Self::default();
        for (node, linked) in linked.into_iter().enumerate() {
            moved.push(to_u32(kept.ids.len()));
            if linked {
                kept.ids.push(self.ids[node]);
                kept.offsets.push(self.offsets[node]);
            }
        }
        if !kept.ids.is_empty() {
            // The rows of lonely nodes are empty, so that those of the others still follow on each other.
            kept.offsets.push(to_u32(self.ends.len()));
        }
        kept.ends = self.ends.into_iter().map(|(end, weight)| (moved[end as usize], weight)).collect();
        kept
    }

    /// The same links, seen from their targets: row `i` holds the links that arrive at node `i`.
    pub fn reversed(&self) -> Self {
        let mut offsets = vec![0u32; self.ids.len() + 1];
        for &(end, _) in &self.ends {
            offsets[end as usize + 1] += 1;
        }
        for node in 0..self.ids.len() {
            offsets[node + 1] += offsets[node];
        }
        let mut next = offsets.clone();
        let mut ends = vec![(0, 0.0); self.ends.len()];
        for node in 0..self.ids.len() {
            for &(end, weight) in self.row(node) {
                ends[next[end as usize] as usize] = (to_u32(node), weight);
                next[end as usize] += 1;
            }
        }
        Self { ids: self.ids.clone(), offsets, ends }
    }

    pub fn nbytes(&self) -> usize {
        size_of_val(&*self.ids) + size_of_val(&*self.offsets) + size_of_val(&*self.ends)
    }
}

/// Two ascending lists of ids as one, and where the entries of the first stand in it.
fn union(old: &[i64], new: &[i64]) -> (Vec<i64>, Vec<u32>) {
    let mut ids = Vec::with_capacity(old.len() + new.len());
    let mut moved = Vec::with_capacity(old.len());
    let mut new = new.iter().copied().peekable();
    for &id in old {
        while let Some(before) = new.next_if(|&other| other < id) {
            ids.push(before);
        }
        new.next_if_eq(&id);
        moved.push(to_u32(ids.len()));
        ids.push(id);
    }
    ids.extend(new);
    (ids, moved)
}

#[allow(clippy::cast_possible_truncation, reason = "`Graph` refuses to grow beyond 2^31 ends of links")]
pub(super) fn to_u32(n: usize) -> u32 {
    n as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn edits() -> impl Strategy<Value = BTreeMap<(i64, i64), Option<f32>>> {
        let weight = prop::option::of(0.5f32..4.0);
        prop::collection::btree_map((-5i64..12, -5i64..12), weight, 0..20)
    }

    proptest! {
        #[test]
        fn edits_one_after_the_other_are_a_map_that_changes(calls in prop::collection::vec(edits(), 0..6)) {
            let (mut links, mut wanted) = (Links::default(), BTreeMap::new());
            for call in calls {
                let edits: Vec<Edit> =
                    call.iter().map(|(&(source, target), &weight)| Edit { source, target, weight }).collect();
                links = links.edited(&edits);
                for (link, weight) in call {
                    match weight {
                        Some(weight) => wanted.insert(link, weight),
                        None => wanted.remove(&link),
                    };
                }
                let held: Vec<_> = links.iter().map(|(source, target, weight)| ((source, target), weight)).collect();
                prop_assert_eq!(held, wanted.clone().into_iter().collect::<Vec<_>>());
                let mut nodes: Vec<i64> = wanted.keys().flat_map(|&(a, b)| [a, b]).collect();
                nodes.sort_unstable();
                nodes.dedup();
                prop_assert_eq!(&links.ids, &nodes);
                let mut turned: Vec<_> = links.reversed().iter().map(|(a, b, weight)| (b, a, weight)).collect();
                turned.sort_by_key(|link| (link.0, link.1));
                prop_assert_eq!(turned, links.iter().collect::<Vec<_>>());
                prop_assert!(wanted.keys().all(|&(a, b)| links.contains(a, b)) && !links.contains(99, 0));
            }
        }
    }
}
