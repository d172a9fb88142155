//! Sparse codes: the few active units of many.
//!
//! A code is a row of unit numbers. Places that no unit fills hold [`NONE`]. [`index_codes`] draws a code for each id, which
//! owes nothing to what the id stands for: such codes overlap by chance alone, so chains of them hold.

use crate::error::InputError;
use crate::kernels::random::{Random, mixed};
use crate::kernels::sign::BLOCK;
use crate::kernels::winners::each_position;
use crate::rows::Rows;

/// Marks a place that no unit fills.
pub const NONE: i32 = -1;

/// Units there may be at most: their numbers are kept in 16 bits.
pub const MOST_UNITS: usize = 1 << 16;

/// How wide codes are: `n_active` of `n_units` units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeShape {
    n_units: usize,
    n_active: usize,
}

impl CodeShape {
    /// Of at most [`MOST_UNITS`] units, and at least one active unit.
    ///
    /// # Errors
    /// [`InputError::Range`].
    pub fn new(n_units: usize, n_active: usize) -> Result<Self, InputError> {
        if !(1..=MOST_UNITS).contains(&n_units) {
            let got = n_units.to_string();
            return Err(InputError::Range { argument: "n_units", wanted: "1 to 65536 units", got });
        }
        if !(1..=n_units).contains(&n_active) {
            let got = format!("{n_active} of {n_units}");
            return Err(InputError::Range { argument: "n_active", wanted: "1 to n_units active units", got });
        }
        Ok(Self { n_units, n_active })
    }

    /// How many units there are.
    #[must_use]
    pub fn n_units(self) -> usize {
        self.n_units
    }

    /// How many of them are active in a code, at most.
    #[must_use]
    pub fn n_active(self) -> usize {
        self.n_active
    }
}

/// Codes that were checked once: the units of each row, in any order, without the places that nothing fills.
#[derive(Debug)]
pub struct Codes {
    units: Vec<u16>,
    /// Where the units of each row end.
    ends: Vec<usize>,
}

impl Codes {
    /// Takes rows of units.
    ///
    /// # Errors
    /// [`InputError::Width`] for rows that have not `n_active` places; [`InputError::Range`] for units that there are not, and
    /// for those that stand in a row twice.
    pub fn new(argument: &'static str, rows: Rows<'_, i32>, shape: CodeShape) -> Result<Self, InputError> {
        if rows.dim() != shape.n_active {
            return Err(InputError::Width { argument, wanted: shape.n_active, got: rows.dim() });
        }
        let (mut units, mut ends) = (Vec::with_capacity(rows.data().len()), Vec::with_capacity(rows.len()));
        let mut seen = vec![0u64; shape.n_units.div_ceil(BLOCK)];
        for (number, row) in rows.iter().enumerate() {
            let start = units.len();
            for &unit in row.iter().filter(|&&unit| unit != NONE) {
                let known = u16::try_from(unit).ok().filter(|&unit| usize::from(unit) < shape.n_units);
                let Some(known) = known else {
                    let got = format!("{unit} in row {number} ({} units)", shape.n_units);
                    return Err(InputError::Range { argument, wanted: "units below n_units, or -1", got });
                };
                let (word, bit) = (usize::from(known) / BLOCK, usize::from(known) % BLOCK);
                if seen[word] >> bit & 1 == 1 {
                    let got = format!("unit {unit} twice in row {number}");
                    return Err(InputError::Range { argument, wanted: "each unit once a row", got });
                }
                seen[word] |= 1 << bit;
                units.push(known);
            }
            for &unit in &units[start..] {
                seen[usize::from(unit) / BLOCK] = 0;
            }
            ends.push(units.len());
        }
        Ok(Self { units, ends })
    }

    /// Refuses codes without any unit.
    ///
    /// # Errors
    /// [`InputError::Range`], naming the first.
    pub fn check_active(&self, argument: &'static str) -> Result<(), InputError> {
        match (0..self.len()).find(|&row| self.row(row).is_empty()) {
            None => Ok(()),
            Some(row) => Err(InputError::Range {
                argument,
                wanted: "at least one unit a row",
                got: format!("none in row {row}"),
            }),
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The units of a row.
    ///
    /// # Panics
    /// If `row` is not below [`len`](Self::len).
    #[must_use]
    pub fn row(&self, row: usize) -> &[u16] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.units[start..self.ends[row]]
    }
}

/// A random code for each id: distinct units, ascending, one row after the other.
///
/// The draws of an id are those of splitmix64 from the state `mixed(mixed(seed) ^ id)`, so a code depends on the id, the seed
/// and the shape alone and is the same on every machine. All sets of `n_active` units are equally likely, but for a bias of at
/// most 2⁻⁴⁸ a draw (R. Floyd's way to sample without repetition: J. Bentley, "Programming Pearls: a sample of brilliance",
/// 1987).
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "at most 2^16 units")]
pub fn index_codes(ids: &[i64], shape: CodeShape, seed: u64) -> Vec<i32> {
    let CodeShape { n_units, n_active } = shape;
    let mut codes = Vec::with_capacity(ids.len() * n_active);
    let mut taken = vec![0u64; n_units.div_ceil(BLOCK)];
    for &id in ids {
        let mut random = Random::new(mixed(mixed(seed) ^ id.cast_unsigned()));
        for last in n_units - n_active..n_units {
            let drawn = ((u128::from(random.next_u64()) * (last as u128 + 1)) >> 64) as usize;
            let unit = if taken[drawn / BLOCK] >> (drawn % BLOCK) & 1 == 0 { drawn } else { last };
            taken[unit / BLOCK] |= 1 << (unit % BLOCK);
        }
        each_position(&taken, |unit| codes.push(unit as i32));
        taken.fill(0);
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn drawn_units_are_distinct_and_known(ids in prop::collection::vec(any::<i64>(), 1..9), n_units in 1usize..300, part in any::<prop::sample::Index>(), seed in any::<u64>()) {
            let n_active = 1 + part.index(n_units);
            let shape = CodeShape::new(n_units, n_active).unwrap();
            let codes = index_codes(&ids, shape, seed);
            prop_assert_eq!(codes.len(), ids.len() * n_active);
            for (row, id) in codes.chunks(n_active).zip(&ids) {
                prop_assert!(row.windows(2).all(|pair| pair[0] < pair[1]));
                prop_assert!(row[0] >= 0 && (row[n_active - 1] as usize) < n_units);
                prop_assert_eq!(row, &index_codes(&[*id], shape, seed)[..]);
            }
        }
    }

    /// Draws, written out: the first that was not there yet, or the last of the range.
    #[test]
    fn a_code_is_that_of_its_definition() {
        let mut random = Random::new(mixed(mixed(3) ^ 7));
        let mut wanted: Vec<i32> = Vec::new();
        for last in [6u64, 7, 8, 9] {
            let drawn = ((u128::from(random.next_u64()) * u128::from(last + 1)) >> 64) as i32;
            wanted.push(if wanted.contains(&drawn) { last as i32 } else { drawn });
        }
        wanted.sort_unstable();
        assert_eq!(index_codes(&[7], CodeShape::new(10, 4).unwrap(), 3), wanted);
    }

    #[test]
    fn every_unit_is_drawn_equally_often() {
        let shape = CodeShape::new(64, 16).unwrap();
        let ids: Vec<i64> = (0..4000).collect();
        let mut times = [0; 64];
        index_codes(&ids, shape, 0).into_iter().for_each(|unit| times[unit as usize] += 1);
        // 1,000 each, with a deviation of 27.
        assert!(times.iter().all(|times| (850..1150).contains(times)), "{times:?}");
    }

    #[test]
    fn codes_are_checked() {
        let shape = CodeShape::new(10, 3).unwrap();
        let new = |data: &[i32]| Codes::new("cues", Rows::new(data, data.len() / 3, 3).unwrap(), shape);
        let codes = new(&[9, -1, 0, -1, -1, -1, 4, 9, 0]).unwrap();
        assert_eq!([codes.row(0), codes.row(1), codes.row(2)], [&[9, 0][..], &[], &[4, 9, 0]]);
        assert!(codes.check_active("cues").is_err());
        for bad in [[1, 10, 2], [1, -2, 3], [1, 2, 1], [70_000, 1, 2]] {
            assert!(new(&bad).is_err(), "{bad:?}");
        }
        assert!(Codes::new("cues", Rows::new(&[1, 2], 1, 2).unwrap(), shape).is_err());
        for (n_units, n_active) in [(0, 0), (4, 0), (4, 5), (MOST_UNITS + 1, 1)] {
            assert!(CodeShape::new(n_units, n_active).is_err(), "{n_active} of {n_units}");
        }
    }
}
