//! Which rows have a unit, and with what weight.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

use super::units::Units;
use crate::kernels::memory::Column;
use crate::segment::{Live, Segment};

/// Marks a row that a merge leaves out.
const DROPPED: u32 = u32::MAX;

/// For each unit, ascending, its rows, ascending, and their weights. Units are numbers or words.
#[derive(Debug)]
pub(crate) struct Postings<U> {
    pub(super) n_rows: usize,
    pub(super) units: U,
    /// Unit `i` owns entries `offsets[i]..offsets[i + 1]`.
    pub(super) offsets: Column<usize>,
    pub(super) rows: Column<u32>,
    pub(super) weights: Column<f32>,
}

impl<U: Units> Postings<U> {
    /// Rows and weights of a unit.
    pub(crate) fn find(&self, unit: &U::Unit) -> Option<Entries<'_>> {
        self.units.place_of(unit).map(|at| self.entries(at))
    }

    /// Where the entries of unit number `at` stand among all.
    pub(super) fn span(&self, at: usize) -> Range<usize> {
        self.offsets[at]..self.offsets[at + 1]
    }

    /// Rows and weights of unit number `at`.
    pub(super) fn entries(&self, at: usize) -> Entries<'_> {
        let span = self.span(at);
        Entries { rows: &self.rows[span.clone()], weights: &self.weights[span] }
    }
}

/// Rows that share a unit, and their weights of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entries<'a> {
    rows: &'a [u32],
    weights: &'a [f32],
}

impl<'a> Entries<'a> {
    /// Row numbers, ascending.
    pub(crate) fn rows(&self) -> &'a [u32] {
        self.rows
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The weight in one row.
    pub(crate) fn of_row(&self, row: usize) -> Option<f32> {
        let row = u32::try_from(row).ok()?;
        self.rows.binary_search(&row).ok().map(|at| self.weights[at])
    }

    /// Entry number `at`.
    pub(crate) fn get(&self, at: usize) -> (u32, f32) {
        (self.rows[at], self.weights[at])
    }

    /// Row numbers and weights, by ascending row.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, f32)> + use<'a> {
        self.rows.iter().copied().zip(self.weights.iter().copied())
    }
}

/// Gathers rows before they are turned into postings.
#[derive(Debug)]
pub(crate) struct PostingsBuilder<U> {
    n_rows: usize,
    /// The units so far, and numbers for them in the order in which they came.
    numbers: HashMap<U, u32>,
    entries: Vec<(u32, u32, f32)>,
}

impl<O: Ord + Hash> PostingsBuilder<O> {
    pub(crate) fn new() -> Self {
        Self { n_rows: 0, numbers: HashMap::new(), entries: Vec::new() }
    }

    /// Adds a row; no unit may stand in it twice.
    pub(crate) fn push<'q, Q>(&mut self, row: impl Iterator<Item = (&'q Q, f32)>)
    where
        O: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = O> + ?Sized + 'q,
    {
        let row_number = u32::try_from(self.n_rows).expect("rows fit u32");
        for (unit, weight) in row {
            let number = match self.numbers.get(unit) {
                Some(&number) => number,
                None => {
                    // Fewer units than entries, which fill memory long before 2^32 of them.
                    let number = u32::try_from(self.numbers.len()).expect("units fit u32");
                    self.numbers.insert(unit.to_owned(), number);
                    number
                }
            };
            self.entries.push((number, row_number, weight));
        }
        self.n_rows += 1;
    }

    pub(crate) fn finish<U>(self) -> Postings<U>
    where
        U: Units,
        O: Borrow<U::Unit>,
    {
        let mut units: Vec<_> = self.numbers.into_iter().collect();
        units.sort_unstable();
        let mut rank = vec![0_u32; units.len()];
        for (place, (_, number)) in (0_u32..).zip(&units) {
            rank[*number as usize] = place;
        }
        let mut entries = self.entries;
        for (unit, _, _) in &mut entries {
            *unit = rank[*unit as usize];
        }
        // Rows of a unit are distinct, so (unit, row) orders the entries fully.
        entries.sort_unstable_by_key(|&(unit, row, _)| (unit, row));
        let mut offsets = vec![0; units.len() + 1];
        for &(unit, _, _) in &entries {
            offsets[unit as usize + 1] += 1;
        }
        for i in 0..units.len() {
            offsets[i + 1] += offsets[i];
        }
        Postings {
            n_rows: self.n_rows,
            units: U::gather(units.iter().map(|(unit, _)| unit.borrow())),
            offsets: offsets.into(),
            rows: entries.iter().map(|&(_, row, _)| row).collect(),
            weights: entries.iter().map(|&(_, _, weight)| weight).collect(),
        }
    }
}

impl<U: Units> Segment for Postings<U> {
    fn n_rows(&self) -> usize {
        self.n_rows
    }

    fn nbytes(&self) -> usize {
        self.units.nbytes()
            + size_of_val(&*self.offsets)
            + size_of_val(&*self.rows)
            + size_of_val(&*self.weights)
    }

    fn merge<'a>(parts: &[Live<'a, Self>]) -> Self {
        let mut n_rows = 0_u32;
        let renumbered: Vec<Vec<u32>> = parts
            .iter()
            .map(|part| {
                let mut numbers = vec![DROPPED; part.segment.n_rows];
                for row in part.rows.iter() {
                    numbers[row] = n_rows;
                    n_rows += 1;
                }
                numbers
            })
            .collect();
        let units_of = |(p, part): (usize, &Live<'a, Self>)| {
            let units = &part.segment.units;
            (0..units.len()).map(move |at| (units.get(at), p, at))
        };
        let mut from: Vec<(&U::Unit, usize, usize)> = parts.iter().enumerate().flat_map(units_of).collect();
        // The parts' units ascend, so a stable sort merges runs; it keeps the parts of a unit in order.
        from.sort_by_key(|&(unit, _, _)| unit);

        let (mut units, mut offsets) = (Vec::new(), vec![0]);
        let (mut rows, mut weights) = (Vec::new(), Vec::new());
        for same in from.chunk_by(|a, b| a.0 == b.0) {
            for &(_, p, at) in same {
                for (row, weight) in parts[p].segment.entries(at).iter() {
                    let row = renumbered[p][row as usize];
                    if row != DROPPED {
                        rows.push(row);
                        weights.push(weight);
                    }
                }
            }
            if offsets.last() != Some(&rows.len()) {
                units.push(same[0].0);
                offsets.push(rows.len());
            }
        }
        Self {
            n_rows: n_rows as usize,
            units: U::gather(units.into_iter()),
            offsets: offsets.into(),
            rows: rows.into(),
            weights: weights.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitmap::Bitmap;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Row = BTreeMap<u32, i8>;

    fn postings(rows: &[Row]) -> Postings<Column<u32>> {
        let mut builder = PostingsBuilder::new();
        for row in rows {
            builder.push(row.iter().map(|(unit, &weight)| (unit, f32::from(weight))));
        }
        builder.finish()
    }

    fn contents(postings: &Postings<Column<u32>>) -> (usize, BTreeMap<u32, Vec<(u32, f32)>>) {
        let lists = postings.units.iter().map(|&unit| (unit, postings.find(&unit).unwrap().iter().collect()));
        (postings.n_rows, lists.collect())
    }

    proptest! {
        #[test]
        fn a_merge_equals_postings_of_the_rows_that_live(
            parts in prop::collection::vec(prop::collection::vec((prop::collection::btree_map(0_u32..9, any::<i8>(), 0..5), any::<bool>()), 0..6), 0..4)
        ) {
            let kept: Vec<Row> =
                parts.iter().flatten().filter(|(_, live)| *live).map(|(row, _)| row.clone()).collect();
            let built: Vec<_> = parts.iter().map(|rows| {
                let mut live = Bitmap::none(rows.len());
                rows.iter().enumerate().filter(|(_, (_, kept))| *kept).for_each(|(i, _)| live.insert(i));
                (postings(&rows.iter().map(|(row, _)| row.clone()).collect::<Vec<_>>()), live)
            }).collect();
            let live: Vec<_> = built.iter().map(|(segment, rows)| Live { segment, rows }).collect();
            prop_assert_eq!(contents(&Postings::merge(&live)), contents(&postings(&kept)));
        }
    }
}
