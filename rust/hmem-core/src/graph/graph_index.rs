//! [`Graph`]: links that are edited and walked along at the same time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::links::{Edit, LinkList, Links};
use super::walk::{Reached, Spread, Walk};
use crate::error::{IdError, InputError, LinkError, SeedError};

/// Ends of links that a graph may have; a place among them fits 32 bits.
const MAX_ENDS: usize = 1 << 31;

/// Weighted links between nodes, directed or not. A node is there as long as it has a link.
///
/// A write only notes what is to change. Whoever asks next puts that in order first, in one pass over all links, and the
/// result is shared from then on: links that come one by one, with no question between, cost little each. Questions that are
/// on their way keep what they began with.
#[derive(Debug)]
pub struct Graph {
    directed: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default, Clone)]
struct State {
    view: Arc<View>,
    /// What has changed since: the weight of a link, or that it is gone. In an undirected graph the smaller id comes first.
    edits: BTreeMap<(i64, i64), Option<f32>>,
    n_links: usize,
}

#[derive(Debug, Default)]
struct View {
    links: Links,
    plain: OnceLock<Walk>,
    rarity: OnceLock<Walk>,
}

impl Graph {
    /// A graph without links.
    #[must_use]
    pub fn new(directed: bool) -> Self {
        Self { directed, state: Mutex::default() }
    }

    /// Another graph with the same links, which the two share. What is done to one does not show in the other.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self { directed: self.directed, state: Mutex::new(self.lock().clone()) }
    }

    /// Whether a link leads one way only.
    #[must_use]
    pub fn is_directed(&self) -> bool {
        self.directed
    }

    /// Adds links, all or none; `None` weighs each 1. A link that is there gets the new weight; of one that stands in the
    /// call twice, the last counts.
    ///
    /// # Errors
    /// [`InputError`] for arrays of different lengths, a weight that is not finite and above 0, or too many links.
    pub fn add(&self, sources: &[i64], targets: &[i64], weights: Option<&[f32]>) -> Result<(), InputError> {
        same_length("targets", targets.len(), sources.len())?;
        if let Some(weights) = weights {
            same_length("weights", weights.len(), sources.len())?;
            if let Some(at) = weights.iter().position(|weight| !(weight.is_finite() && *weight > 0.0)) {
                return Err(InputError::Range {
                    argument: "weights",
                    wanted: "finite numbers above 0",
                    got: format!("{} at position {at}", weights[at]),
                });
            }
        }
        let mut state = self.lock();
        let most = 2 * (state.n_links + sources.len());
        if most > MAX_ENDS {
            return Err(InputError::Range {
                argument: "sources",
                wanted: "fewer than 2^30 links in all",
                got: (most / 2).to_string(),
            });
        }
        for (at, (&source, &target)) in sources.iter().zip(targets).enumerate() {
            let link = self.ordered(source, target);
            if !state.contains(link) {
                state.n_links += 1;
            }
            state.edits.insert(link, Some(weights.map_or(1.0, |weights| weights[at])));
        }
        Ok(())
    }

    /// Removes links, all or none.
    ///
    /// # Errors
    /// [`LinkError`] for arrays of different lengths, or a link that is not there or stands in the call twice.
    pub fn remove(&self, sources: &[i64], targets: &[i64]) -> Result<(), LinkError> {
        same_length("targets", targets.len(), sources.len())?;
        let mut links: Vec<_> = sources.iter().zip(targets).map(|(&s, &t)| self.ordered(s, t)).collect();
        let mut state = self.lock();
        if let Some(&(source_id, target_id)) = links.iter().find(|&&link| !state.contains(link)) {
            return Err(LinkError::Unknown { source_id, target_id });
        }
        links.sort_unstable();
        if let Some(pair) = links.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(LinkError::Repeated { source_id: pair[0].0, target_id: pair[0].1 });
        }
        state.n_links -= links.len();
        state.edits.extend(links.into_iter().map(|link| (link, None)));
        Ok(())
    }

    /// Removes nodes with all their links, all or none.
    ///
    /// # Errors
    /// [`IdError::Unknown`] for a node that is not there, [`IdError::Repeated`] for one that stands in the call twice.
    pub fn remove_nodes(&self, ids: &[i64]) -> Result<(), IdError> {
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(IdError::Repeated { id: pair[0] });
        }
        let mut state = self.lock();
        let view = self.ordered_view(&mut state);
        let nodes = ids
            .iter()
            .map(|&id| view.links.find(id).ok_or(IdError::Unknown { id }))
            .collect::<Result<Vec<_>, _>>()?;
        let mut gone = Vec::new();
        for &node in &nodes {
            let id = view.links.ids[node];
            gone.extend(view.links.row(node).iter().map(|&(end, _)| (id, view.links.ids[end as usize])));
        }
        if self.directed {
            let is_gone = |id: i64| sorted.binary_search(&id).is_ok();
            gone.extend(view.links.iter().filter(|link| is_gone(link.1)).map(|link| (link.0, link.1)));
        }
        for (source, target) in gone {
            let link = self.ordered(source, target);
            if state.edits.insert(link, None).is_none() {
                state.n_links -= 1;
            }
        }
        Ok(())
    }

    /// Where a cue spreads to from the nodes `ids`, in shares by `weights` (`None`: equal ones): the `k` nodes of the largest
    /// scores, hidden ones (negative ids) left out. An id that is no node is one without links.
    ///
    /// # Errors
    /// [`SeedError`] for weights that are negative, not finite, of another number or all 0, for an id that stands twice, and
    /// for a `walk` outside 0 and 1.
    pub fn spread(
        &self,
        ids: &[i64],
        weights: Option<&[f32]>,
        how: Spread,
        k: usize,
    ) -> Result<Reached, SeedError> {
        let how = how.check()?;
        let view = self.view();
        let walk = if how.rarity { &view.rarity } else { &view.plain };
        walk.get_or_init(|| Walk::new(&view.links, self.directed, how.rarity)).spread(ids, weights, how, k)
    }

    /// All links, in order; an undirected one from its smaller to its larger end.
    #[must_use]
    pub fn links(&self) -> LinkList {
        let view = self.view();
        let mut list = LinkList::default();
        for (source, target, weight) in view.links.iter() {
            if self.directed || source <= target {
                list.sources.push(source);
                list.targets.push(target);
                list.weights.push(weight);
            }
        }
        list
    }

    /// Ids of the nodes, ascending.
    #[must_use]
    pub fn ids(&self) -> Vec<i64> {
        self.view().links.ids.clone()
    }

    /// Number of nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.view().links.ids.len()
    }

    /// Whether there are no nodes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n_links() == 0
    }

    /// Number of links.
    #[must_use]
    pub fn n_links(&self) -> usize {
        self.lock().n_links
    }

    /// Whether there is a node with that id.
    #[must_use]
    pub fn contains(&self, id: i64) -> bool {
        self.view().links.find(id).is_some()
    }

    /// Bytes held, edits that wait left out.
    #[must_use]
    pub fn nbytes(&self) -> usize {
        let view = self.view();
        let walks = [&view.plain, &view.rarity].map(|walk| walk.get().map_or(0, Walk::nbytes));
        view.links.nbytes() + walks.iter().sum::<usize>()
    }

    fn view(&self) -> Arc<View> {
        self.ordered_view(&mut self.lock())
    }

    /// Puts in order what has changed.
    fn ordered_view(&self, state: &mut State) -> Arc<View> {
        if !state.edits.is_empty() {
            let mut edits: Vec<Edit> = Vec::with_capacity(2 * state.edits.len());
            for (&(source, target), &weight) in &state.edits {
                edits.push(Edit { source, target, weight });
                if !self.directed && source != target {
                    edits.push(Edit { source: target, target: source, weight });
                }
            }
            edits.sort_unstable_by_key(|edit| (edit.source, edit.target));
            let links = state.view.links.edited(&edits);
            state.view = Arc::new(View { links, ..View::default() });
            state.edits.clear();
        }
        Arc::clone(&state.view)
    }

    fn ordered(&self, source: i64, target: i64) -> (i64, i64) {
        if self.directed || source <= target { (source, target) } else { (target, source) }
    }

    /// A panic in between would have left edits that are whole, so that there is nothing to mend.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn contains(&self, link: (i64, i64)) -> bool {
        self.edits.get(&link).map_or_else(|| self.view.links.contains(link.0, link.1), Option::is_some)
    }
}

fn same_length(argument: &'static str, got: usize, wanted: usize) -> Result<(), InputError> {
    if got == wanted {
        return Ok(());
    }
    Err(InputError::Length { argument, partner: "sources", wanted, got })
}
