//! Rows that many threads search while one adds and removes.
//!
//! An index is a short list of *segments*: immutable blocks of rows. A search takes the current list (an [`Arc`]) and
//! works on it undisturbed. A write builds a new list beside it and swaps it in, so a search sees all of a write or
//! nothing of it. Three things keep the list short and the memory small:
//!
//! * adding appends a segment, and neighbours of similar size are merged, so that `n` single adds copy each row about
//!   `log n` times and the order of rows never changes;
//! * removing clears a bit; a segment that is more than half dead is rewritten without its dead rows;
//! * a segment never grows past [`MAX_ROWS`], so growth never copies everything.
//!
//! Row numbers are private to a segment and change when it is merged. Ids are what the caller sees: given once, never
//! negative. In most segments they are a run, where a row is a subtraction away; in the others they are searched.

mod filter;
mod ids;
mod shared;

use std::any::Any;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use self::ids::Ids;
use crate::bitmap::Bitmap;
use crate::error::IdError;
use crate::kernels::memory::Column;

pub use self::filter::Allowed;

/// Rows at which a segment is left as it is.
pub const MAX_ROWS: usize = 32_768;

/// An immutable block of rows.
pub trait Segment: Sized {
    /// Number of rows, dead ones included.
    fn n_rows(&self) -> usize;

    /// Bytes held by the rows.
    fn nbytes(&self) -> usize;

    /// One segment with the live rows of all `parts`, in order.
    fn merge(parts: &[Live<'_, Self>]) -> Self;
}

/// A segment together with the rows of it that count.
#[derive(Debug)]
pub struct Live<'a, S> {
    /// The rows.
    pub segment: &'a S,
    /// Which of them are live.
    pub rows: &'a Bitmap,
}

/// A segment in an index: rows, their ids, and which are still there.
#[derive(Debug)]
pub struct Part<S> {
    segment: Arc<S>,
    ids: Arc<Ids>,
    live: Arc<Bitmap>,
    n_live: usize,
    hold: Option<Hold>,
}

/// What must stay as it is while a part that was read from it is in use.
pub type Hold = Arc<dyn Any + Send + Sync>;

// Derived `Clone` would ask for `S: Clone`; only the handles are copied.
impl<S> Clone for Part<S> {
    fn clone(&self) -> Self {
        Self {
            segment: Arc::clone(&self.segment),
            ids: Arc::clone(&self.ids),
            live: Arc::clone(&self.live),
            n_live: self.n_live,
            hold: self.hold.clone(),
        }
    }
}

impl<S: Segment> Part<S> {
    fn new(segment: S, ids: Column<i64>) -> Self {
        assert_eq!(segment.n_rows(), ids.len(), "one id for each row");
        let n_live = ids.len();
        Self {
            segment: Arc::new(segment),
            ids: Arc::new(Ids::new(ids)),
            live: Arc::new(Bitmap::all(n_live)),
            n_live,
            hold: None,
        }
    }

    fn merge(parts: &[Self]) -> Self {
        let live: Vec<_> =
            parts.iter().map(|part| Live { segment: &*part.segment, rows: &part.live }).collect();
        let ids = parts.iter().flat_map(|part| part.live.iter().map(|row| part.ids.by_row()[row])).collect();
        Self::new(S::merge(&live), ids)
    }
}

impl<S> Part<S> {
    /// The rows.
    #[must_use]
    pub fn segment(&self) -> &S {
        &self.segment
    }

    /// The rows, to be kept.
    pub(crate) fn shared(&self) -> &Arc<S> {
        &self.segment
    }

    /// The id of each row.
    #[must_use]
    pub fn ids(&self) -> &[i64] {
        self.ids.by_row()
    }

    /// Which rows are still there.
    #[must_use]
    pub fn live(&self) -> &Bitmap {
        &self.live
    }

    /// Number of rows that are still there.
    #[must_use]
    pub fn n_live(&self) -> usize {
        self.n_live
    }
}

/// What an index holds at one moment. Never changes.
#[derive(Debug)]
pub struct View<S> {
    parts: Vec<Part<S>>,
    len: usize,
}

impl<S> View<S> {
    fn new(parts: Vec<Part<S>>) -> Self {
        let len = parts.iter().map(|part| part.n_live).sum();
        Self { parts, len }
    }

    /// Number of live rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no live rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The segments; rows stand in the order in which they were added.
    #[must_use]
    pub fn parts(&self) -> &[Part<S>] {
        &self.parts
    }

    /// Ids of the live rows, in the order in which they were added.
    pub fn ids(&self) -> impl Iterator<Item = i64> + '_ {
        self.parts.iter().flat_map(|part| part.live.iter().map(|row| part.ids.by_row()[row]))
    }

    /// Segment and row of a live id.
    #[must_use]
    pub fn locate(&self, id: i64) -> Option<(usize, usize)> {
        // A replaced id may stand dead in an older segment, so newer ones are asked first and liveness decides.
        self.parts.iter().enumerate().rev().find_map(|(p, part)| {
            part.ids.row_of(id).filter(|&row| part.live.contains(row)).map(|row| (p, row))
        })
    }
}

impl<S: Segment> View<S> {
    /// Bytes held by rows, ids and bitmaps.
    #[must_use]
    pub fn nbytes(&self) -> usize {
        self.parts
            .iter()
            .map(|part| part.segment.nbytes() + part.ids.by_row().len() * 8 + part.live.len().div_ceil(8))
            .sum()
    }

    fn without(&self, ids: &[i64]) -> Vec<Part<S>> {
        let mut parts = self.parts.clone();
        for (p, row) in ids.iter().filter_map(|&id| self.locate(id)) {
            let part = &mut parts[p];
            Arc::make_mut(&mut part.live).remove(row);
            part.n_live -= 1;
        }
        parts
    }
}

/// Drops empty segments, rewrites those that are mostly dead, merges neighbours of similar size.
fn tidy<S: Segment>(parts: Vec<Part<S>>) -> Vec<Part<S>> {
    let mut tidied: Vec<Part<S>> = Vec::with_capacity(parts.len());
    for part in parts {
        if part.n_live == 0 {
            continue;
        }
        let mostly_dead = part.n_live * 2 < part.live.len();
        tidied.push(if mostly_dead { Part::merge(&[part]) } else { part });
        while let [.., older, newer] = tidied.as_slice()
            && newer.n_live * 2 > older.n_live
            && newer.n_live + older.n_live <= MAX_ROWS
        {
            let merged = Part::merge(&tidied[tidied.len() - 2..]);
            tidied.truncate(tidied.len() - 2);
            tidied.push(merged);
        }
    }
    tidied
}

/// An index's rows: one writer at a time, any number of searches beside it.
#[derive(Debug)]
pub struct Segments<S> {
    view: RwLock<Arc<View<S>>>,
    /// Held while a new view is made; holds the smallest id that was never given.
    next_id: Mutex<i64>,
}

impl<S: Segment> Default for Segments<S> {
    fn default() -> Self {
        Self { view: RwLock::new(Arc::new(View::new(Vec::new()))), next_id: Mutex::new(0) }
    }
}

impl<S: Segment> Segments<S> {
    /// What the index holds now.
    ///
    /// A panic in a writer leaves the last complete view in place, so a poisoned lock still guards a valid one.
    #[must_use]
    pub fn view(&self) -> Arc<View<S>> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the index holds now, and the smallest id that was never given, at one moment.
    #[must_use]
    pub fn view_and_next_id(&self) -> (Arc<View<S>>, i64) {
        let next_id = self.next_id.lock().unwrap_or_else(PoisonError::into_inner);
        (self.view(), *next_id)
    }

    /// Never gives an id below `next_id` of its own accord: ids that were given and removed stay unused.
    pub fn raise_next_id(&self, next_id: i64) {
        let mut own = self.next_id.lock().unwrap_or_else(PoisonError::into_inner);
        *own = (*own).max(next_id);
    }

    fn swap(&self, parts: Vec<Part<S>>) {
        let view = Arc::new(View::new(tidy(parts)));
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
    }

    /// Adds the rows of `segment`; `ids` default to the next ones that were never used. Returns the ids.
    ///
    /// With `replace`, rows that have one of the ids are removed in the same step; the new ones come last in order.
    ///
    /// # Errors
    /// [`IdError`]; then nothing was changed.
    pub fn add(&self, segment: S, ids: Option<&[i64]>, replace: bool) -> Result<Vec<i64>, IdError> {
        self.add_all(vec![segment], ids, replace)
    }

    /// The same for the rows of several segments, in their order, which are seen together or not at all.
    ///
    /// # Errors
    /// [`IdError`]; then nothing was changed.
    pub fn add_all(&self, segments: Vec<S>, ids: Option<&[i64]>, replace: bool) -> Result<Vec<i64>, IdError> {
        let mut next_id = self.next_id.lock().unwrap_or_else(PoisonError::into_inner);
        let n = segments.iter().map(S::n_rows).sum();
        let view = self.view();
        let ids = match ids {
            None => {
                let last = i64::try_from(n).ok().and_then(|n| next_id.checked_add(n));
                (*next_id..last.ok_or(IdError::Exhausted { id: *next_id })?).collect()
            }
            Some(ids) => {
                check_new(&view, ids, n, replace)?;
                ids.to_vec()
            }
        };
        if let Some(&largest) = ids.iter().max() {
            *next_id = (*next_id).max(largest.saturating_add(1));
            let mut parts = view.without(if replace { &ids } else { &[] });
            let mut rest = &*ids;
            for segment in segments {
                let (own, others) = rest.split_at(segment.n_rows());
                rest = others;
                parts.push(Part::new(segment, own.to_vec().into()));
            }
            self.swap(parts);
        }
        Ok(ids)
    }

    /// Removes the rows with these ids.
    ///
    /// # Errors
    /// [`IdError::Unknown`] or [`IdError::Repeated`]; then nothing was changed.
    pub fn remove(&self, ids: &[i64]) -> Result<(), IdError> {
        let _writing = self.next_id.lock().unwrap_or_else(PoisonError::into_inner);
        let view = self.view();
        check_distinct(ids)?;
        if let Some(&id) = ids.iter().find(|&&id| view.locate(id).is_none()) {
            return Err(IdError::Unknown { id });
        }
        if !ids.is_empty() {
            self.swap(view.without(ids));
        }
        Ok(())
    }
}

fn check_distinct(ids: &[i64]) -> Result<(), IdError> {
    if ids.is_sorted_by(|a, b| a < b) {
        return Ok(());
    }
    let mut seen = HashSet::with_capacity(ids.len());
    match ids.iter().find(|&&id| !seen.insert(id)) {
        None => Ok(()),
        Some(&id) => Err(IdError::Repeated { id }),
    }
}

fn check_new<S>(view: &View<S>, ids: &[i64], n: usize, replace: bool) -> Result<(), IdError> {
    if ids.len() != n {
        return Err(IdError::Count { wanted: n, got: ids.len() });
    }
    if let Some(&id) = ids.iter().find(|&&id| id < 0) {
        return Err(IdError::Negative { id });
    }
    check_distinct(ids)?;
    match ids.iter().find(|&&id| !replace && view.locate(id).is_some()) {
        None => Ok(()),
        Some(&id) => Err(IdError::Duplicate { id }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The smallest segment there can be: a row is a number.
    #[derive(Debug)]
    pub(super) struct Numbers(pub(super) Vec<u32>);

    impl Segment for Numbers {
        fn n_rows(&self) -> usize {
            self.0.len()
        }

        fn nbytes(&self) -> usize {
            self.0.len() * 4
        }

        fn merge(parts: &[Live<'_, Self>]) -> Self {
            Self(parts.iter().flat_map(|part| part.rows.iter().map(|row| part.segment.0[row])).collect())
        }
    }

    pub(super) fn contents(segments: &Segments<Numbers>) -> Vec<(i64, u32)> {
        let view = segments.view();
        let numbers = view
            .parts()
            .iter()
            .flat_map(|part| part.live().iter().map(|row| part.segment().0[row]))
            .collect::<Vec<_>>();
        view.ids().zip(numbers).collect()
    }

    #[derive(Debug, Clone)]
    pub(super) enum Edit {
        Add(u8),
        Named(Vec<i64>, bool),
        Remove(Vec<prop::sample::Index>),
    }

    pub(super) fn edit() -> impl Strategy<Value = Edit> {
        prop_oneof![
            (0u8..20).prop_map(Edit::Add),
            (prop::collection::vec(-1i64..60, 0..6), any::<bool>())
                .prop_map(|(ids, replace)| Edit::Named(ids, replace)),
            prop::collection::vec(any::<prop::sample::Index>(), 0..8).prop_map(Edit::Remove),
        ]
    }

    /// An index after these edits, without those that are refused.
    pub(super) fn edited(edits: &[Edit]) -> Segments<Numbers> {
        let segments = Segments::default();
        for (edit, number) in edits.iter().zip(0..) {
            let rows = |n: usize| Numbers(vec![number; n]);
            let ids: Vec<i64> = segments.view().ids().collect();
            match edit {
                Edit::Add(n) => segments.add(rows(usize::from(*n)), None, false).map(drop),
                Edit::Named(ids, replace) => segments.add(rows(ids.len()), Some(ids), *replace).map(drop),
                Edit::Remove(_) if ids.is_empty() => Ok(()),
                Edit::Remove(picks) => {
                    let gone: HashSet<i64> = picks.iter().map(|pick| ids[pick.index(ids.len())]).collect();
                    segments.remove(&gone.into_iter().collect::<Vec<_>>())
                }
            }
            .unwrap_or(());
        }
        segments
    }

    proptest! {
        /// Against a plain list of (id, row): same contents, same order, and a refused edit changes nothing.
        #[test]
        fn behaves_as_a_list(edits in prop::collection::vec(edit(), 0..60)) {
            let segments = Segments::default();
            let mut list: Vec<(i64, u32)> = Vec::new();
            let mut next_id = 0;
            let mut stamp = 0;
            for edit in edits {
                let mut rows = |n: usize| { stamp += 1; Numbers(vec![stamp; n]) };
                match edit {
                    Edit::Add(n) => {
                        let rows = rows(usize::from(n));
                        list.extend((next_id..).zip(rows.0.iter().copied()));
                        let ids = segments.add(rows, None, false).unwrap();
                        prop_assert_eq!(&ids, &(next_id..next_id + i64::from(n)).collect::<Vec<_>>());
                        next_id += i64::from(n);
                    }
                    Edit::Named(ids, replace) => {
                        let distinct = ids.iter().collect::<HashSet<_>>().len() == ids.len();
                        let free = !ids.iter().any(|id| list.iter().any(|(known, _)| known == id));
                        let fine = distinct && ids.iter().all(|&id| id >= 0) && (replace || free);
                        let rows = rows(ids.len());
                        let number = rows.0.first().copied().unwrap_or(0);
                        prop_assert_eq!(segments.add(rows, Some(&ids), replace).is_ok(), fine);
                        if fine {
                            list.retain(|(id, _)| !ids.contains(id));
                            list.extend(ids.iter().map(|&id| (id, number)));
                            next_id = ids.iter().fold(next_id, |next, &id| next.max(id + 1));
                        }
                    }
                    Edit::Remove(picks) if !list.is_empty() => {
                        let ids: Vec<i64> = picks.iter().map(|pick| list[pick.index(list.len())].0).collect();
                        let fine = ids.iter().collect::<HashSet<_>>().len() == ids.len();
                        prop_assert_eq!(segments.remove(&ids).is_ok(), fine);
                        if fine {
                            list.retain(|(id, _)| !ids.contains(id));
                        }
                    }
                    Edit::Remove(_) => prop_assert_eq!(segments.remove(&[3]), Err(IdError::Unknown { id: 3 })),
                }
                prop_assert_eq!(contents(&segments), list.clone());
                let view = segments.view();
                prop_assert!(list.iter().all(|&(id, _)| view.locate(id).is_some()));
            }
        }
    }

    #[test]
    fn single_adds_keep_few_segments() {
        let segments = Segments::default();
        for i in 0..10_000 {
            segments.add(Numbers(vec![i]), None, false).unwrap();
        }
        assert!(segments.view().parts().len() <= 14, "{}", segments.view().parts().len());
        assert_eq!(contents(&segments).len(), 10_000);
    }

    #[test]
    fn behind_the_largest_id_none_can_be_given() {
        let segments = Segments::default();
        segments.add(Numbers(vec![1]), Some(&[i64::MAX]), false).unwrap();
        assert_eq!(segments.add(Numbers(vec![2]), None, false), Err(IdError::Exhausted { id: i64::MAX }));
        assert_eq!(segments.add(Numbers(vec![2]), Some(&[7]), false), Ok(vec![7]));
        assert_eq!(segments.view().len(), 2);
    }

    #[test]
    fn a_view_taken_before_a_write_stays_as_it_was() {
        let segments = Segments::default();
        segments.add(Numbers(vec![1, 2, 3]), None, false).unwrap();
        let before = segments.view();
        segments.remove(&[1]).unwrap();
        segments.add(Numbers(vec![4]), None, false).unwrap();
        assert_eq!(before.ids().collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(segments.view().ids().collect::<Vec<_>>(), [0, 2, 3]);
    }
}
