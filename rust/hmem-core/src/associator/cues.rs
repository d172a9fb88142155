//! Which associations of a segment have a unit in their cue.

/// For each unit, the associations, ascending.
#[derive(Debug)]
pub(super) struct Cues {
    directory: Directory,
    rows: Vec<u16>,
}

/// Where a unit's associations stand in `rows`.
#[derive(Debug)]
enum Directory {
    /// Of unit `u`, from `starts[u]` to `starts[u + 1]`.
    Whole { starts: Vec<u32> },
    /// The units that have any, ascending; of number `i` of them, from `starts[i]` to `starts[i + 1]`.
    Listed { units: Vec<u16>, starts: Vec<u32> },
}

impl Cues {
    /// From (unit, row) pairs, in which the rows of each unit ascend.
    pub(super) fn new(n_units: usize, mut entries: Vec<(u16, u16)>) -> Self {
        if entries.len() < n_units / 2 {
            // Stable, so the rows of a unit stay in order.
            entries.sort_by_key(|&(unit, _)| unit);
            let (mut units, mut starts) = (Vec::new(), vec![0]);
            let mut end = 0;
            for same in entries.chunk_by(|a, b| a.0 == b.0) {
                units.push(same[0].0);
                end += narrow(same.len());
                starts.push(end);
            }
            let rows = entries.iter().map(|&(_, row)| row).collect();
            return Self { directory: Directory::Listed { units, starts }, rows };
        }
        let mut starts = vec![0; n_units + 1];
        for &(unit, _) in &entries {
            starts[usize::from(unit) + 1] += 1;
        }
        for unit in 0..n_units {
            starts[unit + 1] += starts[unit];
        }
        let (mut next, mut rows) = (starts.clone(), vec![0; entries.len()]);
        for (unit, row) in entries {
            let place = &mut next[usize::from(unit)];
            rows[*place as usize] = row;
            *place += 1;
        }
        Self { directory: Directory::Whole { starts }, rows }
    }

    /// The associations with that unit.
    #[inline]
    pub(super) fn of(&self, unit: u16) -> &[u16] {
        match &self.directory {
            Directory::Whole { starts } => self.between(starts, usize::from(unit)),
            Directory::Listed { units, starts } => match units.binary_search(&unit) {
                Ok(at) => self.between(starts, at),
                Err(_) => &[],
            },
        }
    }

    fn between(&self, starts: &[u32], at: usize) -> &[u16] {
        &self.rows[starts[at] as usize..starts[at + 1] as usize]
    }

    /// All (unit, row) pairs; the rows of each unit ascend.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u16, u16)> {
        let n = match &self.directory {
            Directory::Whole { starts } | Directory::Listed { starts, .. } => starts.len() - 1,
        };
        (0..n).flat_map(move |at| {
            let (unit, starts) = match &self.directory {
                Directory::Whole { starts } => (unit_number(at), starts),
                Directory::Listed { units, starts } => (units[at], starts),
            };
            self.between(starts, at).iter().map(move |&row| (unit, row))
        })
    }

    /// Bytes held.
    pub(super) fn nbytes(&self) -> usize {
        let directory = match &self.directory {
            Directory::Whole { starts } => size_of_val(&**starts),
            Directory::Listed { units, starts } => size_of_val(&**units) + size_of_val(&**starts),
        };
        directory + size_of_val(&*self.rows)
    }
}

fn unit_number(at: usize) -> u16 {
    u16::try_from(at).unwrap_or_else(|_| unreachable!("units fit 16 bits"))
}

/// A segment has at most 2^15 rows of at most 2^16 units, half as many as 32 bits count.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or_else(|_| unreachable!("entries of a segment fit 32 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn both_directories_hold_what_was_given(rows in prop::collection::vec(prop::collection::btree_set(0u16..40, 0..6), 0..30)) {
            let entries: Vec<(u16, u16)> =
                rows.iter().zip(0..).flat_map(|(units, row)| units.iter().map(move |&unit| (unit, row))).collect();
            for n_units in [40, 4000] {
                let cues = Cues::new(n_units, entries.clone());
                for unit in 0..40 {
                    let wanted: Vec<u16> = (0..).zip(&rows).filter(|(_, units)| units.contains(&unit)).map(|(row, _)| row).collect();
                    prop_assert_eq!(cues.of(unit), &wanted[..]);
                }
                let all: BTreeSet<_> = cues.entries().collect();
                prop_assert_eq!(all, entries.iter().copied().collect());
            }
        }
    }
}
