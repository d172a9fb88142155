//! The ids of a segment's rows, and how a row is found by its id.

use std::cmp::Ordering;

use crate::kernels::memory::Column;

/// Ids of a segment's rows: each once, none negative.
#[derive(Debug)]
pub(super) struct Ids {
    by_row: Column<i64>,
    smallest: i64,
    /// Below `smallest` where there are no rows.
    largest: i64,
    order: Order,
}

/// How the ids stand in the order of the rows.
#[derive(Debug)]
enum Order {
    /// Each is one more than the one before it, as they are unless the caller chose others: a row is a subtraction away.
    Run,
    /// They ascend, with gaps.
    Ascending,
    /// Rows by ascending id.
    Mixed(Vec<u32>),
}

impl Ids {
    pub(super) fn new(by_row: Column<i64>) -> Self {
        let order = if by_row.is_sorted() {
            // From the first to the last; the ids are distinct, so no more than there are means that none is missing.
            let span = by_row.first().zip(by_row.last()).map_or(0, |(first, last)| last.abs_diff(*first) + 1);
            if span <= by_row.len() as u64 { Order::Run } else { Order::Ascending }
        } else {
            // A segment holds far fewer than 2^32 rows: MAX_ROWS, or one call's rows.
            let mut order: Vec<u32> = (0..u32::try_from(by_row.len()).expect("rows fit u32")).collect();
            order.sort_unstable_by_key(|&row| by_row[row as usize]);
            Order::Mixed(order)
        };
        let mut ids = Self { by_row, smallest: 0, largest: -1, order };
        if let Some(last) = ids.by_row.len().checked_sub(1) {
            (ids.smallest, ids.largest) = (ids.at(0), ids.at(last));
        }
        ids
    }

    /// `None` if one stands twice, or is negative.
    pub(super) fn checked(by_row: Column<i64>) -> Option<Self> {
        if by_row.iter().any(|&id| id < 0) {
            return None;
        }
        let ids = Self::new(by_row);
        let ascend = |i: usize| ids.at(i - 1) < ids.at(i);
        (1..ids.by_row.len()).all(ascend).then_some(ids)
    }

    /// The id of each row.
    pub(super) fn by_row(&self) -> &[i64] {
        &self.by_row
    }

    pub(super) fn smallest(&self) -> i64 {
        self.smallest
    }

    pub(super) fn largest(&self) -> i64 {
        self.largest
    }

    /// Whether row `i` has the id `smallest + i`.
    pub(super) fn is_run(&self) -> bool {
        matches!(self.order, Order::Run)
    }

    /// The row with this id.
    pub(super) fn row_of(&self, id: i64) -> Option<usize> {
        if !(self.smallest..=self.largest).contains(&id) {
            return None;
        }
        match &self.order {
            Order::Run => Some(self.row_in_run(id)),
            Order::Ascending => self.by_row.binary_search(&id).ok(),
            Order::Mixed(order) => {
                let found = order.binary_search_by_key(&id, |&row| self.by_row[row as usize]).ok()?;
                Some(order[found] as usize)
            }
        }
    }

    /// Calls with the row of each of `sought` that is there. They must ascend; one may stand several times.
    ///
    /// Whichever side lies behind leaps ahead, so that few ids skip most rows and few rows skip most ids.
    pub(super) fn meet(&self, sought: &[i64], mut found: impl FnMut(usize)) {
        let sought = &sought[sought.partition_point(|&id| id < self.smallest)..];
        let sought = &sought[..sought.partition_point(|&id| id <= self.largest)];
        if self.is_run() {
            sought.iter().for_each(|&id| found(self.row_in_run(id)));
            return;
        }
        let (mut place, mut next) = (0, 0);
        while place < self.by_row.len() && next < sought.len() {
            match self.at(place).cmp(&sought[next]) {
                Ordering::Less => place = leap(place, self.by_row.len(), |i| self.at(i) < sought[next]),
                Ordering::Greater => next = leap(next, sought.len(), |i| sought[i] < self.at(place)),
                Ordering::Equal => {
                    found(self.row_at(place));
                    next += 1;
                }
            }
        }
    }

    /// For an id from `smallest` to `largest`: the difference is below the number of rows.
    #[allow(clippy::cast_possible_truncation, reason = "a row's number fits usize")]
    fn row_in_run(&self, id: i64) -> usize {
        id.abs_diff(self.smallest) as usize
    }

    /// The row with the id that is number `place` of all.
    fn row_at(&self, place: usize) -> usize {
        match &self.order {
            Order::Run | Order::Ascending => place,
            Order::Mixed(order) => order[place] as usize,
        }
    }

    /// The id that is number `place` of all.
    fn at(&self, place: usize) -> i64 {
        self.by_row[self.row_at(place)]
    }
}

/// The first place that is not `before`, or `end`. `from` is, and all up to that first one are, and none behind it.
///
/// Steps double until one is too long, then halve: about `2 · log2` of the distance.
fn leap(from: usize, end: usize, before: impl Fn(usize) -> bool) -> usize {
    let mut step = 1;
    let mut low = from;
    while low + step < end && before(low + step) {
        low += step;
        step *= 2;
    }
    // `low` is before; what stands at `low + step`, or the end, is not.
    let mut high = end.min(low + step);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        *(if before(middle) { &mut low } else { &mut high }) = middle;
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Distinct ids that run, ascend with gaps, or stand anyhow; near 0, near the largest number, or far apart.
    fn ids() -> impl Strategy<Value = Vec<i64>> {
        let first = prop_oneof![0i64..40, Just(i64::MAX - 200)];
        let gaps = prop_oneof![Just(1..2i64), Just(1..4), Just(1..1 << 50)];
        let chosen = (first, gaps.prop_flat_map(|gaps| prop::collection::vec(gaps, 0..60)));
        let ascending = chosen.prop_map(|(first, gaps)| {
            let ids = gaps.iter().scan(first, |id, gap| {
                let this = *id;
                *id = id.saturating_add(*gap);
                Some(this)
            });
            let mut ids: Vec<i64> = ids.collect();
            ids.dedup();
            ids
        });
        prop_oneof![ascending.clone(), ascending.prop_shuffle()]
    }

    proptest! {
        #[test]
        fn each_row_is_found_by_its_id(
            by_row in ids(),
            others in prop::collection::vec(prop_oneof![-5i64..120, any::<i64>()], 0..80),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..80),
        ) {
            let ids = Ids::checked(by_row.clone().into()).unwrap();
            let defined = |id: i64| by_row.iter().position(|&known| known == id);
            let picked = picks.iter().filter(|_| !by_row.is_empty()).map(|pick| by_row[pick.index(by_row.len())]);
            let mut sought: Vec<i64> = others.into_iter().chain(picked).collect();
            sought.extend(by_row.iter().flat_map(|id| [id - 1, id.saturating_add(1)]));
            prop_assert!(sought.iter().chain(&by_row).all(|&id| ids.row_of(id) == defined(id)));

            sought.sort_unstable();
            let mut found = Vec::new();
            ids.meet(&sought, |row| found.push(row));
            prop_assert_eq!(found, sought.iter().filter_map(|&id| defined(id)).collect::<Vec<_>>());
            prop_assert_eq!(ids.is_run(), by_row.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1])));
        }

        #[test]
        fn ids_that_stand_twice_or_are_negative_are_found(
            by_row in ids(),
            picks: [prop::sample::Index; 2],
            negative in prop_oneof![i64::MIN..0, Just(i64::MIN)],
        ) {
            if !by_row.is_empty() {
                let [from, to] = picks.map(|pick| pick.index(by_row.len()));
                for wrong in [negative, by_row[from]] {
                    let mut by_row = by_row.clone();
                    by_row[to] = wrong;
                    prop_assert_eq!(Ids::checked(by_row.into()).is_none(), wrong < 0 || from != to);
                }
            }
        }

        #[test]
        fn a_leap_ends_at_the_first_that_is_not_before(end in 1usize..200, from: prop::sample::Index, first: prop::sample::Index) {
            let from = from.index(end);
            let first = from + 1 + first.index(end - from);
            prop_assert_eq!(leap(from, end, |i| { assert!(i < end); i < first }), first);
        }
    }
}
