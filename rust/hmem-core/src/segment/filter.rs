//! Which rows of an index a search may answer with.

use std::borrow::Cow;

use super::{Part, View};
use crate::bitmap::Bitmap;
use crate::error::InputError;

/// Which rows a search may answer with.
#[derive(Debug, Clone, Copy)]
pub enum Allowed<'a> {
    /// Those with these ids; ids that are not there allow nothing.
    Ids(&'a [i64]),
    /// One entry for each live row, in the order in which they were added.
    Mask(&'a [bool]),
}

/// Finding one id among sorted ones costs about as much as clearing this many words, or asking this many rows for a bit.
const WORTH_OF_A_SEARCH: usize = 4;

impl<S> View<S> {
    /// For each segment the live rows that `allowed` lets through.
    ///
    /// # Errors
    /// [`InputError::Length`] for a mask that has not one entry a live row.
    pub fn filter(&self, allowed: &Allowed<'_>) -> Result<Vec<Bitmap>, InputError> {
        match *allowed {
            Allowed::Ids(ids) => Ok(self.select(ids)),
            Allowed::Mask(mut mask) if mask.len() == self.len => Ok(self
                .parts
                .iter()
                .map(|part| {
                    let (own, rest) = mask.split_at(part.n_live);
                    mask = rest;
                    part.live.masked(own)
                })
                .collect()),
            Allowed::Mask(mask) => Err(InputError::Length {
                argument: "allowed",
                partner: "the rows in the index",
                wanted: self.len,
                got: mask.len(),
            }),
        }
    }

    /// For each segment the live rows whose ids are `allowed`; ids that are not there allow nothing.
    #[must_use]
    pub fn select(&self, allowed: &[i64]) -> Vec<Bitmap> {
        let span = Span::of(&self.parts);
        let scattered = self.parts.iter().filter(|part| !part.ids.is_run()).map(|part| part.live.len());
        let work = scattered.fold(span.len / 64, usize::saturating_add);
        if work <= allowed.len().saturating_mul(WORTH_OF_A_SEARCH) {
            self.select_by_marks(allowed, &span)
        } else {
            self.select_by_search(allowed)
        }
    }

    /// Marks the ids in a bitmap over all that may be there, then asks it for each row. Order does not matter.
    fn select_by_marks(&self, allowed: &[i64], span: &Span) -> Vec<Bitmap> {
        let mut marks = Bitmap::none(span.len);
        for place in allowed.iter().map(|&id| span.place(id)).filter(|&place| place < span.len) {
            marks.insert(place);
        }
        let of_part = |part: &Part<S>| {
            if part.ids.is_run() {
                part.live.and_from(&marks, span.place(part.ids.smallest()))
            } else {
                part.live.only(|row| marks.contains(span.place(part.ids.by_row()[row])))
            }
        };
        self.parts.iter().map(of_part).collect()
    }

    /// Sorts the ids and walks them beside those of each segment.
    fn select_by_search(&self, allowed: &[i64]) -> Vec<Bitmap> {
        let mut allowed = Cow::Borrowed(allowed);
        if !allowed.is_sorted() {
            allowed.to_mut().sort_unstable();
        }
        let of_part = |part: &Part<S>| {
            let mut rows = Bitmap::none(part.live.len());
            part.ids.meet(&allowed, |row| {
                // A replaced id may stand dead in an older segment.
                if part.live.contains(row) {
                    rows.insert(row);
                }
            });
            rows
        };
        self.parts.iter().map(of_part).collect()
    }
}

/// The ids from the smallest to the largest that stands in any segment.
#[derive(Debug)]
struct Span {
    smallest: i64,
    /// At most the largest number, which no bitmap reaches.
    len: usize,
}

impl Span {
    fn of<S>(parts: &[Part<S>]) -> Self {
        let smallest = parts.iter().map(|part| part.ids.smallest()).min().unwrap_or(0);
        let largest = parts.iter().map(|part| part.ids.largest()).max().unwrap_or(-1);
        let len = usize::try_from(i128::from(largest) - i128::from(smallest) + 1).unwrap_or(usize::MAX);
        Self { smallest, len }
    }

    /// How far `id` stands behind the smallest; not below `len` if it is outside.
    fn place(&self, id: i64) -> usize {
        // An id below the smallest wraps round to beyond 2^63.
        usize::try_from(id.wrapping_sub(self.smallest).cast_unsigned()).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::tests::{Numbers, contents, edit, edited};
    use super::*;
    use proptest::prelude::*;

    /// The ids of the rows that `rows` lets through.
    fn chosen(view: &View<Numbers>, rows: &[Bitmap]) -> Vec<i64> {
        let of_part = |(part, rows): (&Part<Numbers>, &Bitmap)| {
            assert_eq!(part.live.len(), rows.len());
            rows.iter().map(|row| part.ids.by_row()[row]).collect::<Vec<_>>()
        };
        assert_eq!(view.parts.len(), rows.len());
        view.parts.iter().zip(rows).flat_map(of_part).collect()
    }

    proptest! {
        /// Either way against the definition, in an index that was edited: dead rows and replaced ids in it.
        #[test]
        fn ids_let_through_the_live_rows_that_have_them(
            edits in prop::collection::vec(edit(), 0..40),
            far in prop::option::of(1i64 << 40..i64::MAX),
            allowed in prop::collection::vec(prop_oneof![-3i64..150, any::<i64>()], 0..200),
            ascending in any::<bool>(),
        ) {
            let segments = edited(&edits);
            if let Some(far) = far {
                segments.add(Numbers(vec![0]), Some(&[far]), false).unwrap();
            }
            let mut allowed = allowed;
            allowed.extend(far);
            if ascending {
                allowed.sort_unstable();
            }
            let known: HashSet<i64> = allowed.iter().copied().collect();
            let view = segments.view();
            let wanted: Vec<i64> = view.ids().filter(|id| known.contains(id)).collect();
            prop_assert_eq!(chosen(&view, &view.select(&allowed)), wanted.clone());
            prop_assert_eq!(chosen(&view, &view.select_by_search(&allowed)), wanted.clone());
            let span = Span::of(&view.parts);
            if span.len < 1 << 20 {
                prop_assert_eq!(chosen(&view, &view.select_by_marks(&allowed, &span)), wanted);
            }
        }

        #[test]
        fn a_mask_lets_through_the_live_rows_in_order(
            edits in prop::collection::vec(edit(), 0..40),
            bits in prop::collection::vec(any::<bool>(), 2000),
        ) {
            let segments = edited(&edits);
            let view = segments.view();
            let mask = &bits[..view.len()];
            let kept = contents(&segments).into_iter().zip(mask).filter(|(_, kept)| **kept).map(|((id, _), _)| id);
            let rows = view.filter(&Allowed::Mask(mask)).unwrap();
            prop_assert_eq!(chosen(&view, &rows), kept.collect::<Vec<_>>());
            let longer = view.filter(&Allowed::Mask(&bits[..=view.len()]));
            let (wanted, got) = (view.len(), view.len() + 1);
            let partner = "the rows in the index";
            prop_assert_eq!(longer, Err(InputError::Length { argument: "allowed", partner, wanted, got }));
        }
    }

    #[test]
    fn ids_may_span_all_there_are() {
        let segments = super::super::Segments::default();
        segments.add(Numbers(vec![1, 2]), Some(&[i64::MAX, 0]), false).unwrap();
        segments.add(Numbers(vec![3, 4]), Some(&[7, 8]), false).unwrap();
        let view = segments.view();
        let allowed = [i64::MIN, -1, 0, 8, 9, i64::MAX];
        assert_eq!(chosen(&view, &view.select(&allowed)), [i64::MAX, 0, 8]);
        assert_eq!(chosen(&view, &view.select(&allowed.repeat(100))), [i64::MAX, 0, 8]);
    }
}
