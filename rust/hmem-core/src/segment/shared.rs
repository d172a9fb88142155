//! Segments that come from elsewhere: from a file, or from another index.

use std::slice;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::ids::Ids;
use super::{Hold, Part, Segment, Segments, View};
use crate::bitmap::Bitmap;
use crate::kernels::memory::Column;

impl<S: Segment> Part<S> {
    /// A segment that was read, its ids, and which of its rows are still there. `None` if the ids do not fit: one a row, each
    /// once, none negative; or if `live` does not.
    pub(crate) fn read(segment: Arc<S>, ids: Column<i64>, live: Bitmap, hold: Hold) -> Option<Self> {
        if [ids.len(), live.len()] != [segment.n_rows(); 2] {
            return None;
        }
        let n_live = live.count();
        Some(Self {
            segment,
            ids: Arc::new(Ids::checked(ids)?),
            live: Arc::new(live),
            n_live,
            hold: Some(hold),
        })
    }
}

impl<S: Segment> Segments<S> {
    /// An index of parts that were read. `None` if an id is live in two of them.
    pub(crate) fn read(parts: Vec<Part<S>>, next_id: i64) -> Option<Self> {
        let view = View::new(parts);
        let mut ids: Vec<i64> = view.ids().collect();
        // Mostly they ascend already.
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return None;
        }
        let next_id = next_id.max(ids.last().map_or(0, |last| last.saturating_add(1)));
        Some(Self { view: RwLock::new(Arc::new(view)), next_id: Mutex::new(next_id) })
    }

    /// Another index with the same rows, which the two share. What is done to one does not show in the other.
    #[must_use]
    pub fn copy(&self) -> Self {
        let (view, next_id) = self.view_and_next_id();
        Self { view: RwLock::new(view), next_id: Mutex::new(next_id) }
    }

    /// Rewrites each segment that has dead rows, so that nothing of these is left in it.
    pub fn compact(&self) {
        let _writing = self.next_id.lock().unwrap_or_else(PoisonError::into_inner);
        let rewritten = |part: &Part<S>| {
            if part.n_live < part.live.len() { Part::merge(slice::from_ref(part)) } else { part.clone() }
        };
        let view = self.view();
        if view.parts.iter().any(|part| part.n_live < part.live.len()) {
            self.swap(view.parts.iter().filter(|part| part.n_live > 0).map(rewritten).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Numbers, contents, edit, edited};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_copy_and_an_original_go_their_own_ways_and_neither_keeps_what_is_dead(
            edits in prop::collection::vec(edit(), 0..40),
            removed in 1i64..5,
        ) {
            let original = edited(&edits);
            let (before, next_id) = (contents(&original), original.view_and_next_id().1);
            let copy = original.copy();
            let gone: Vec<i64> = copy.view().ids().filter(|id| id % removed == 0).collect();
            copy.remove(&gone).unwrap();
            let given = copy.add(Numbers(vec![9]), None, false).unwrap();
            prop_assert_eq!(given, [next_id]);
            prop_assert_eq!(contents(&original), before.clone());
            for segments in [&original, &copy] {
                let held = contents(segments);
                segments.compact();
                prop_assert_eq!(contents(segments), held);
                prop_assert!(segments.view().parts().iter().all(|part| part.live().is_all()));
            }
            prop_assert_eq!(contents(&original), before);
        }

        #[test]
        fn parts_that_were_read_are_an_index_if_no_id_lives_twice(
            edits in prop::collection::vec(edit(), 0..40),
            far in 0i64..90,
        ) {
            let original = edited(&edits);
            let read = |ids: &[i64], live: &Bitmap, rows: &[u32]| {
                let segment = Arc::new(Numbers(rows.to_vec()));
                Part::read(segment, ids.to_vec().into(), live.clone(), Arc::new(()))
            };
            let (view, next_id) = original.view_and_next_id();
            let whole = |part: &Part<Numbers>| read(part.ids(), part.live(), &part.segment().0).unwrap();
            let mut parts: Vec<_> = view.parts().iter().map(whole).collect();
            let again = Segments::read(parts.clone(), next_id).unwrap();
            prop_assert_eq!(contents(&again), contents(&original));
            prop_assert_eq!(again.view_and_next_id().1, next_id);
            parts.push(read(&[far], &Bitmap::all(1), &[0]).unwrap());
            let known = view.locate(far).is_some();
            let after = next_id.max(far + 1);
            let read = Segments::read(parts, next_id).map(|read| read.view_and_next_id().1);
            prop_assert_eq!(read, (!known).then_some(after));
        }
    }

    #[test]
    fn ids_and_live_rows_must_fit_the_segment() {
        let read = |ids: &[i64], live: usize| {
            Part::read(Arc::new(Numbers(vec![1, 2])), ids.to_vec().into(), Bitmap::all(live), Arc::new(()))
                .is_some()
        };
        assert!(read(&[3, 2], 2));
        assert!(
            !read(&[3], 2)
                && !read(&[3, 2, 1], 2)
                && !read(&[3, 3], 2)
                && !read(&[3, -1], 2)
                && !read(&[3, 2], 3)
        );
    }
}
