//! Rows and codes in a file.
//!
//! What is read is used as it lies, so here stands what the rest of the room relies on: lengths that fit together, and
//! numbers from which only finite ones are computed. Whether codes fit their rows is not asked: if they do not, the file was
//! made so, and hits are missed, but nothing breaks.

use std::ops::Range;
use std::sync::Arc;

use super::codes::{Coder, Codes, PerRow, SHORTEST_CENTRE, Shape, are_coded, length_of};
use super::normal::{EXPONENTS, Metric, NormalRows};
use super::per_sign::{OFFSETS, PerSign, SHAPES, Steps};
use super::segment::DenseSegment;
use crate::kernels::memory::Column;
use crate::kernels::quantise::largest;
use crate::sections::{Fault, Kind, Sections, Source, demand};

/// No number beside a code is nearly as large: rows have unit length, and fewer than 2^16 numbers.
const LARGE: f64 = 1_048_576.0;

impl DenseSegment {
    /// Puts rows under cosine into their sections.
    pub(crate) fn store<'a>(&'a self, sections: &mut Sections<'a>) {
        assert_eq!(self.metric, Metric::Cosine, "only rows of unit length are stored");
        sections.put(Kind::Rows, &self.rows.stored);
        sections.put(Kind::Exponents, &self.rows.exponents);
        sections.put(Kind::Norms, &self.rows.norms);
        if let Some(codes) = &self.codes {
            codes.store(sections);
        }
    }

    /// The rows and codes of a file whose blocks were [checked](check_rows).
    pub(crate) fn load(coder: &Arc<Coder>, source: &Source) -> Result<Self, Fault> {
        let (n, d) = (source.counts().keys, coder.dim());
        let numbers = n.checked_mul(d).ok_or_else(|| Fault::new("keys", "what fits memory", n))?;
        let rows = NormalRows {
            stored: source.column_of(Kind::Rows, numbers)?,
            exponents: source.column_of(Kind::Exponents, n)?,
            norms: source.column_of(Kind::Norms, n)?,
            d,
        };
        let exponents = rows.exponents.iter().all(|exponent| EXPONENTS.contains(exponent));
        demand(exponents, "section exponents: not all are those of float32 numbers")?;
        let longest = 2.001 * (d as f64).sqrt();
        let norms = rows.norms.iter().all(|norm| (1.0..=longest).contains(norm));
        demand(norms, "section norms: not all are those of rows in normal form")?;
        let codes = Codes::load(coder, source, n)?;
        Ok(Self { rows, codes, metric: Metric::Cosine, coder: Arc::clone(coder) })
    }
}

/// Whether those rows that lie in `block`, a range of bytes of the file, are finite and in normal form.
pub(crate) fn check_rows(
    rows: &Column<f32>,
    place: &Range<usize>,
    block: &Range<usize>,
) -> Result<(), Fault> {
    let element = |at: usize| at.clamp(place.start, place.end).saturating_sub(place.start) / size_of::<f32>();
    let numbers = &rows[element(block.start)..element(block.end)];
    // Bit 30 of a float32 stands for 2 and more, the infinities, and NaN.
    let small = numbers.iter().fold(0, |all, x| all | x.to_bits()) & 1 << 30 == 0;
    demand(small, "section rows: not all numbers are finite and in normal form")
}

impl Codes {
    fn store<'a>(&'a self, sections: &mut Sections<'a>) {
        sections.put(Kind::CodeLines, &self.lines);
        sections.put(Kind::CodeScale, &self.per_row.scale);
        sections.put(Kind::CodeOffset, &self.per_row.offset);
        sections.put(Kind::CodeCoarseError, &self.per_row.coarse_error);
        sections.put(Kind::CodeFineError, &self.per_row.fine_error);
        sections.put(Kind::SignOffset, &self.per_sign.offset);
        sections.put(Kind::SignShape, &self.per_sign.shape);
        sections.put(Kind::Centre, &self.centre);
        let PerSign { offset_steps, factor_steps, spread_steps, .. } = self.per_sign;
        let steps = [offset_steps, factor_steps, spread_steps];
        let mut scalars = vec![self.radius, self.widest_error, self.largest_offset];
        scalars.extend(steps.iter().flat_map(|steps| [steps.middle, steps.step]));
        sections.put_copy(Kind::Scalars, &scalars);
    }

    /// The codes of `n` rows; `None` where so few have none.
    fn load(coder: &Coder, source: &Source, n: usize) -> Result<Option<Self>, Fault> {
        let d = coder.dim();
        let coded = are_coded(n, d);
        let (rows, one_each) = if coded { (n, 1) } else { (0, 0) };
        let shape = Shape::new(n, d);
        let lines = source.column_of(Kind::CodeLines, if coded { shape.n_lines(n) } else { 0 })?;
        let per_row = PerRow {
            scale: source.column_of(Kind::CodeScale, rows)?,
            offset: source.column_of(Kind::CodeOffset, rows)?,
            coarse_error: source.column_of(Kind::CodeCoarseError, rows)?,
            fine_error: source.column_of(Kind::CodeFineError, rows)?,
        };
        let (offset, shapes) =
            (source.column_of(Kind::SignOffset, rows)?, source.column_of(Kind::SignShape, rows)?);
        let centre: Column<f32> = source.column_of(Kind::Centre, one_each * d)?;
        let scalars: Column<f64> = source.column_of(Kind::Scalars, one_each * 9)?;
        let [radius, widest_error, largest_offset, middles @ ..] = &*scalars else { return Ok(None) };
        let sizes = [radius, widest_error, largest_offset, &middles[1], &middles[3], &middles[5]];
        let sizes = sizes.iter().all(|size| (0.0..=LARGE).contains(*size));
        demand(sizes && middles.iter().all(|x| x.abs() <= LARGE), "section scalars: out of range")?;
        per_row.check()?;
        demand(largest(&centre) <= 2.0, "section centre: not all numbers are finite and small")?;
        let centre_norm = length_of(coder.isa(), &centre);
        let usable = centre_norm == 0.0 || (SHORTEST_CENTRE..=2.0).contains(&centre_norm);
        demand(usable, "section centre: it is too short or too long")?;
        let steps = |at: usize, range| Steps { middle: middles[at], step: middles[at + 1], range };
        let per_sign = PerSign {
            offset,
            shape: shapes,
            offset_steps: steps(0, OFFSETS),
            factor_steps: steps(2, SHAPES),
            spread_steps: steps(4, SHAPES),
        };
        Ok(Some(Self {
            lines,
            shape,
            per_row,
            per_sign,
            centre,
            centre_norm,
            radius: *radius,
            widest_error: *widest_error,
            largest_offset: *largest_offset,
            exponent: 0,
        }))
    }
}

impl PerRow {
    fn check(&self) -> Result<(), Fault> {
        let within = |numbers: &[f32], least: f32| {
            // Looking at all of them is quicker than stopping at the first; a NaN is in no range.
            numbers.iter().fold(true, |all, x| all & (least..=LARGE as f32).contains(x))
        };
        demand(within(&self.scale, f32::MIN_POSITIVE), "section code_scale: out of range")?;
        demand(within(&self.offset, -LARGE as f32), "section code_offset: out of range")?;
        demand(within(&self.coarse_error, 0.0), "section code_coarse_error: out of range")?;
        demand(within(&self.fine_error, 0.0), "section code_fine_error: out of range")
    }
}
