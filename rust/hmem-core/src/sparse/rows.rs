//! Borrowed sparse rows whose shape and contents were checked once.

use crate::error::InputError;

/// Rows of (unit, weight) pairs, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct SparseRows<'a> {
    offsets: &'a [usize],
    units: &'a [u32],
    weights: Option<&'a [f32]>,
}

impl<'a> SparseRows<'a> {
    /// Row `i` has the units `units[offsets[i]..offsets[i + 1]]` and the weights beside them; without weights, each
    /// unit weighs 1.
    ///
    /// # Errors
    /// [`InputError`] if the offsets don't cut the units, the weights don't fit them or aren't finite, or a unit
    /// stands twice in a row.
    pub fn new(
        offsets: &'a [usize],
        units: &'a [u32],
        weights: Option<&'a [f32]>,
    ) -> Result<Self, InputError> {
        check_offsets(offsets, units.len())?;
        if let Some(weights) = weights
            && weights.len() != units.len()
        {
            return Err(InputError::Length {
                argument: "weights",
                partner: "units",
                wanted: units.len(),
                got: weights.len(),
            });
        }
        let rows = Self { offsets, units, weights };
        let mut sorted = Vec::new();
        for row in 0..rows.len() {
            let span = rows.span(row);
            if let Some(weights) = weights
                && let Some(column) = weights[span.clone()].iter().position(|weight| !weight.is_finite())
            {
                let value = if weights[span.start + column].is_nan() { "NaN" } else { "an infinity" };
                return Err(InputError::NotFinite { argument: "weights", row, column, value });
            }
            sorted.clear();
            sorted.extend_from_slice(&units[span]);
            sorted.sort_unstable();
            if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(InputError::Range {
                    argument: "units",
                    wanted: "each unit once a row",
                    got: format!("unit {} twice in row {row}", twice[0]),
                });
            }
        }
        Ok(rows)
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn span(&self, row: usize) -> std::ops::Range<usize> {
        self.offsets[row]..self.offsets[row + 1]
    }

    /// The pairs of one row, in the order in which they were given.
    ///
    /// # Panics
    /// If `row` is not below [`len`](Self::len).
    pub fn row(&self, row: usize) -> impl Iterator<Item = (u32, f32)> + use<'a> {
        let (units, weights) = (self.units, self.weights);
        self.span(row).map(move |at| (units[at], weights.map_or(1.0, |weights| weights[at])))
    }
}

/// Refuses offsets that do not ascend from 0 to `len`.
pub(crate) fn check_offsets(offsets: &[usize], len: usize) -> Result<(), InputError> {
    let got = match offsets {
        [first, .., last] | [first @ last] if *first != 0 || *last != len => format!("{first} to {last}"),
        [] => "none at all".to_owned(),
        _ => match offsets.windows(2).position(|pair| pair[0] > pair[1]) {
            None => return Ok(()),
            Some(at) => format!("{} followed by {}", offsets[at], offsets[at + 1]),
        },
    };
    Err(InputError::Offsets { argument: "offsets", wanted: len, got })
}
