//! The rows of an index as one segment: in normal form, and as codes where there are enough of them.

use std::sync::Arc;

use super::codes::{Coder, Codes};
use super::normal::{Metric, NormalBuilder, NormalRows};
use crate::error::InputError;
use crate::kernels::isa::Isa;
use crate::kernels::rotation::Rotation;
use crate::rows::Rows;
use crate::segment::{Live, Segment};

/// Immutable rows.
#[derive(Debug)]
pub struct DenseSegment {
    pub(super) rows: NormalRows,
    pub(super) codes: Option<Codes>,
    pub(super) metric: Metric,
    pub(super) coder: Arc<Coder>,
}

impl DenseSegment {
    /// Keeps `rows`.
    ///
    /// # Errors
    /// See [`NormalRows::new`].
    pub fn new(
        coder: &Arc<Coder>,
        argument: &'static str,
        rows: Rows<'_, f32>,
        metric: Metric,
    ) -> Result<Self, InputError> {
        Ok(Self::of(coder, NormalRows::new(argument, rows, metric)?, metric))
    }

    /// Keeps rows that are in normal form already.
    #[must_use]
    pub fn of(coder: &Arc<Coder>, rows: NormalRows, metric: Metric) -> Self {
        let codes = Codes::new(coder, &rows, metric);
        Self { rows, codes, metric, coder: Arc::clone(coder) }
    }

    /// The rows in normal form.
    #[must_use]
    pub fn rows(&self) -> &NormalRows {
        &self.rows
    }

    /// The instruction set that kernels use.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.coder.isa()
    }

    /// Their codes, and the rotation in them; `None` where there are too few rows to be worth it.
    #[must_use]
    pub fn codes(&self) -> Option<(&Rotation, &Codes)> {
        self.coder.rotation().zip(self.codes.as_ref())
    }
}

impl Segment for DenseSegment {
    fn n_rows(&self) -> usize {
        self.rows.len()
    }

    fn nbytes(&self) -> usize {
        self.rows.nbytes() + self.codes.as_ref().map_or(0, Codes::nbytes)
    }

    fn merge(parts: &[Live<'_, Self>]) -> Self {
        let first = parts.first().map(|part| part.segment).expect("segments to merge");
        let n = parts.iter().map(|part| part.rows.count()).sum();
        let mut merged = NormalBuilder::with_capacity(n, first.rows.dim());
        for part in parts {
            part.rows.iter().for_each(|row| merged.push(&part.segment.rows, row));
        }
        Self::of(&first.coder, merged.finish(), first.metric)
    }
}
