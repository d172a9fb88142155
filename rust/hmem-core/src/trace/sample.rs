//! The keys over which the moments of the energy are taken: small copies, side by side.
//!
//! Moments need no proof, only numbers near the true ones that are the same in every index with the same memories. So
//! each key is rounded to 8 bits alone, with a unit of its own: unlike [`Codes`](crate::dense::codes::Codes), which know
//! what a segment's rows have in common, its copy never depends on its neighbours. A cosine is off by about 0.0005.
//! Products are whole numbers, hence exact and the same on every CPU. Keys that are narrow, or wider than the kernel takes,
//! are compared by float32 products instead.

use std::ops::Range;

use crate::dense::NormalRows;
use crate::dense::aim::steps;
use crate::dense::codes::{LARGEST, MIN_DIM};
use crate::dense::encoder::pack;
use crate::dense::query::Query;
use crate::kernels::dot::dot_rows;
use crate::kernels::isa::Isa;
use crate::kernels::line::Line;
use crate::kernels::memory::Column;
use crate::kernels::nibble::{MAX_WIDTH, Planes, STEP, Step, dot_codes};
use crate::kernels::quantise::{norms, rounded};

/// Copies of the keys of some memories.
#[derive(Debug)]
pub(super) struct Copies {
    pub(super) high: Column<Line>,
    pub(super) low: Column<Line>,
    /// One unit of each key's code, over the key's length.
    pub(super) units: Column<f64>,
    /// Memory `i` of the sample owns copies `offsets[i]..offsets[i + 1]`.
    pub(super) offsets: Vec<usize>,
}

/// Whether keys of this width have copies, and the lines that half of one takes.
pub(super) fn copied_steps(dim: usize) -> Option<usize> {
    (MIN_DIM..=MAX_WIDTH).contains(&dim).then(|| dim.div_ceil(STEP))
}

impl Copies {
    /// Of the keys of each memory; of none at all where keys are compared otherwise.
    pub(super) fn new(isa: Isa, rows: &NormalRows, memories: impl Iterator<Item = Range<usize>>) -> Self {
        let mut offsets = vec![0];
        let mut encoder = Encoder::new(isa, rows.dim());
        if copied_steps(rows.dim()).is_some() {
            for keys in memories {
                keys.for_each(|key| encoder.encode(rows, key));
                offsets.push(encoder.units.len());
            }
        }
        let Encoder { high, low, units, .. } = encoder;
        Self { high: high.into(), low: low.into(), units: units.into(), offsets }
    }

    pub(super) fn nbytes(&self) -> usize {
        size_of_val(&*self.high)
            + size_of_val(&*self.low)
            + size_of_val(&*self.units)
            + size_of_val(&*self.offsets)
    }
}

struct Encoder {
    isa: Isa,
    rounded: Vec<i32>,
    bytes: Vec<u8>,
    high: Vec<Line>,
    low: Vec<Line>,
    units: Vec<f64>,
}

impl Encoder {
    fn new(isa: Isa, dim: usize) -> Self {
        let (rounded, bytes) = (vec![0; dim], vec![0; dim.div_ceil(STEP) * STEP]);
        Self { isa, rounded, bytes, high: Vec::new(), low: Vec::new(), units: Vec::new() }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 255")]
    fn encode(&mut self, rows: &NormalRows, key: usize) {
        let row = rows.rows().row(key);
        let largest = norms(self.isa, row).largest;
        rounded(self.isa, row, LARGEST / largest, &mut self.rounded);
        self.bytes.iter_mut().zip(&self.rounded).for_each(|(byte, code)| *byte = (code + 128) as u8);
        let from = self.high.len();
        self.high.resize(from + self.bytes.len() / STEP, Line::ZERO);
        self.low.resize(from + self.bytes.len() / STEP, Line::ZERO);
        pack(&self.bytes, &mut self.high[from..], &mut self.low[from..]);
        self.units.push(f64::from(largest / LARGEST) / rows.norms()[key]);
    }
}

/// A cue in whole numbers, to be compared with copies.
pub(super) struct Comparison<'a> {
    isa: Isa,
    query: &'a Query<'a>,
    halves: [Vec<Step>; 2],
    /// Unsigned codes have 128 too much.
    too_much: i32,
    unit: f64,
    chosen: Vec<u32>,
    sums: Vec<i32>,
    products: Vec<f32>,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(isa: Isa, query: &'a Query<'a>) -> Self {
        let numbers = query.numbers();
        let largest = norms(isa, numbers).largest;
        // 127·128 + 63 is the largest that two halves hold; and 128 times the sum of all must fit 31 bits.
        let most = i32::try_from((i32::MAX as usize / 128 / numbers.len()).min(16_319)).unwrap_or(16_319);
        #[allow(clippy::cast_precision_loss, reason = "at most 2^14")]
        let most = most as f32;
        let mut integers = vec![0; numbers.len()];
        rounded(isa, numbers, most / largest, &mut integers);
        let upper: Vec<i32> = integers.iter().map(|z| (z + 64) >> 7).collect();
        let lower: Vec<i32> = integers.iter().zip(&upper).map(|(z, upper)| z - (upper << 7)).collect();
        Self {
            isa,
            query,
            halves: [steps(&upper), steps(&lower)],
            too_much: integers.iter().sum::<i32>().wrapping_mul(128),
            unit: f64::from(largest / most) * query.unit_factor(),
            chosen: Vec::new(),
            sums: Vec::new(),
            products: Vec::new(),
        }
    }

    /// Cosines with the keys of memories that stand at `places` of a sample, ascending; `keys` gives those of one, in `rows`.
    pub(super) fn cosines(
        &mut self,
        rows: &NormalRows,
        copies: &Copies,
        places: &[usize],
        keys: impl Fn(&usize) -> Range<usize>,
    ) -> Vec<f64> {
        let mut cosines = Vec::new();
        let (copied, others) = places.split_at(places.partition_point(|&at| at + 1 < copies.offsets.len()));
        self.of_copies(
            copies,
            copied.iter().flat_map(|&at| copies.offsets[at]..copies.offsets[at + 1]),
            &mut cosines,
        );
        if copied_steps(rows.dim()).is_some() {
            let copies = Copies::new(self.isa, rows, others.iter().map(keys));
            self.of_copies(&copies, 0..copies.units.len(), &mut cosines);
        } else {
            others.iter().for_each(|at| self.of_rows(rows, keys(at), &mut cosines));
        }
        cosines
    }

    fn of_rows(&mut self, rows: &NormalRows, keys: Range<usize>, cosines: &mut Vec<f64>) {
        self.products.clear();
        self.products.resize(keys.len(), 0.0);
        let stored = rows.rows_between(keys.start, keys.end);
        dot_rows(self.isa, stored, self.query.numbers(), &mut self.products);
        let products = self.products.iter();
        cosines
            .extend(keys.zip(products).map(|(key, &product)| self.query.rounded_score(rows, key, product)));
    }

    fn of_copies(&mut self, copies: &Copies, chosen: impl Iterator<Item = usize>, cosines: &mut Vec<f64>) {
        let [a, b] = &self.halves;
        let planes = Planes { high: &copies.high, low: &copies.low, steps: a.len() };
        self.chosen.clear();
        self.chosen.extend(chosen.map(|copy| u32::try_from(copy).expect("a sample is small")));
        self.sums.clear();
        self.sums.resize(self.chosen.len(), 0);
        dot_codes(self.isa, planes, &self.chosen, [a, b], &mut self.sums);
        let cosine = |(&copy, &sum): (&u32, &i32)| {
            f64::from(sum.wrapping_sub(self.too_much)) * self.unit * copies.units[copy as usize]
        };
        cosines.extend(self.chosen.iter().zip(&self.sums).map(cosine));
    }
}
