//! The index that users hold: rows under ids, searched by many threads while one adds and removes.

use std::sync::Arc;

use super::codes::Coder;
use super::normal::{Metric, NormalRows};
use super::scan::{self, Hit, Wish};
use super::segment::DenseSegment;
use crate::bitmap::Bitmap;
use crate::error::{AddError, IdError, InputError};
use crate::kernels::isa::Isa;
use crate::rows::Rows;
use crate::segment::{Allowed, Live, Segments, View};

/// Wider rows are a mistake rather than a wish.
pub const MAX_DIM: usize = 1 << 20;

/// Rows of one call that make a segment: what a search computes about them stays in a core's own cache.
const CUT: usize = 1 << 16;

/// The answer of a search, `columns` hits a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    /// Ids, best first; −1 where a filter left fewer hits.
    pub ids: Vec<i64>,
    /// Scores; −∞ where the id is −1.
    pub scores: Vec<f32>,
    /// Hits a query: `k`, or the number of rows if that is smaller.
    pub columns: usize,
}

/// What an index holds, as arrays.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The rows in normal form, one after the other.
    pub rows: Vec<f32>,
    /// The power of two of each.
    pub exponents: Vec<i64>,
    /// The id of each.
    pub ids: Vec<i64>,
    /// The smallest id that was never given.
    pub next_id: i64,
}

/// Exact similarity search over rows of one width.
#[derive(Debug)]
pub struct DenseIndex {
    segments: Segments<DenseSegment>,
    metric: Metric,
    coder: Arc<Coder>,
}

impl DenseIndex {
    /// An empty index of rows `dim` wide.
    ///
    /// # Errors
    /// [`InputError::Range`] for a width that no row can have.
    pub fn new(isa: Isa, dim: usize, metric: Metric) -> Result<Self, InputError> {
        check_dim(dim)?;
        Ok(Self { segments: Segments::default(), metric, coder: Arc::new(Coder::new(isa, dim)) })
    }

    /// Adds rows; see [`Segments::add`].
    ///
    /// # Errors
    /// [`AddError`]; then nothing was changed.
    pub fn add(&self, rows: Rows<'_, f32>, ids: Option<&[i64]>, replace: bool) -> Result<Vec<i64>, AddError> {
        rows.check_dim("rows", self.dim())?;
        let normal = NormalRows::new("rows", rows, self.metric)?;
        let segments = normal.cut(CUT).into_iter();
        let segments = segments.map(|rows| DenseSegment::of(&self.coder, rows, self.metric)).collect();
        Ok(self.segments.add_all(segments, ids, replace)?)
    }

    /// Removes rows; see [`Segments::remove`].
    ///
    /// # Errors
    /// [`IdError`]; then nothing was changed.
    pub fn remove(&self, ids: &[i64]) -> Result<(), IdError> {
        self.segments.remove(ids)
    }

    /// The rows closest to each query; see [`scan::search`].
    ///
    /// # Errors
    /// [`InputError`].
    pub fn search(
        &self,
        queries: Rows<'_, f32>,
        allowed: Option<&Allowed<'_>>,
        wish: Wish,
    ) -> Result<Neighbours, InputError> {
        queries.check_dim("queries", self.dim())?;
        let queries = NormalRows::new("queries", queries, self.metric)?;
        let view = self.view();
        let columns = wish.k.min(view.len());
        let answers = self.hits(&view, &queries, allowed, Wish { k: columns, ..wish })?;
        let mut ids = vec![-1; answers.len() * columns];
        let mut scores = vec![f32::NEG_INFINITY; ids.len()];
        for (q, hits) in answers.iter().enumerate() {
            for (c, hit) in hits.iter().enumerate() {
                ids[q * columns + c] = view.parts()[hit.part].ids()[hit.row];
                scores[q * columns + c] = delivered(hit.score);
            }
        }
        Ok(Neighbours { ids, scores, columns })
    }

    /// The rows of `view` closest to each query, which is in normal form.
    pub(crate) fn hits(
        &self,
        view: &View<DenseSegment>,
        queries: &NormalRows,
        allowed: Option<&Allowed<'_>>,
        wish: Wish,
    ) -> Result<Vec<Vec<Hit>>, InputError> {
        let allowed: Option<Vec<Bitmap>> = allowed.map(|allowed| view.filter(allowed)).transpose()?;
        let parts: Vec<Live<'_, DenseSegment>> = view
            .parts()
            .iter()
            .enumerate()
            .map(|(p, part)| Live {
                segment: part.segment(),
                rows: allowed.as_ref().map_or(part.live(), |allowed| &allowed[p]),
            })
            .collect();
        Ok(scan::search(self.coder.isa(), self.metric, &parts, queries, wish))
    }

    /// The rows with these ids, one after the other: of unit length under cosine, as they came under dot.
    ///
    /// # Errors
    /// [`IdError::Unknown`].
    pub fn vectors(&self, ids: &[i64]) -> Result<Vec<f32>, IdError> {
        let view = self.view();
        let mut vectors = Vec::with_capacity(ids.len() * self.dim());
        for &id in ids {
            let (part, row) = view.locate(id).ok_or(IdError::Unknown { id })?;
            vectors.extend(view.parts()[part].segment().rows().vector(row, self.metric));
        }
        Ok(vectors)
    }

    /// What the index holds now.
    #[must_use]
    pub fn view(&self) -> Arc<View<DenseSegment>> {
        self.segments.view()
    }

    /// The instruction set that it computes with.
    pub(crate) fn isa(&self) -> Isa {
        self.coder.isa()
    }

    /// Width of the rows.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.coder.dim()
    }

    /// What a score is.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// All that is needed to make an equal index.
    #[must_use]
    pub fn state(&self) -> State {
        let (view, next_id) = self.segments.view_and_next_id();
        let mut state = State { rows: Vec::new(), exponents: Vec::new(), ids: view.ids().collect(), next_id };
        for part in view.parts() {
            for row in part.live().iter() {
                let rows = part.segment().rows();
                state.rows.extend_from_slice(rows.rows().row(row));
                state.exponents.push(i64::from(rows.exponents()[row]));
            }
        }
        state
    }

    /// An index equal to the one that `state` came from.
    ///
    /// # Errors
    /// [`AddError`] if the arrays do not fit together.
    pub fn from_state(isa: Isa, dim: usize, metric: Metric, state: &State) -> Result<Self, AddError> {
        let index = Self::new(isa, dim, metric)?;
        let rows = Rows::new(&state.rows, state.ids.len(), dim)?;
        let rows = NormalRows::from_state(rows, &state.exponents, metric)?;
        let segments =
            rows.cut(CUT).into_iter().map(|rows| DenseSegment::of(&index.coder, rows, metric)).collect();
        index.segments.add_all(segments, Some(&state.ids), false)?;
        index.segments.raise_next_id(state.next_id);
        Ok(index)
    }
}

/// Refuses a width that no row can have.
pub(crate) fn check_dim(dim: usize) -> Result<(), InputError> {
    if (1..=MAX_DIM).contains(&dim) {
        return Ok(());
    }
    Err(InputError::Range { argument: "dim", wanted: "1 to 1048576", got: dim.to_string() })
}

/// A score as float32. Products of huge rows are held at the largest number: −∞ says that there is no hit.
#[allow(clippy::cast_possible_truncation, reason = "rounding to float32 is the purpose")]
pub(crate) fn delivered(score: f64) -> f32 {
    (score as f32).clamp(f32::MIN, f32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dot::dot64;
    use proptest::prelude::*;

    fn wish(k: usize, threads: usize) -> Wish {
        Wish { k, exact: true, threads }
    }

    /// The definition: every live row in float64, stable order.
    fn brute_force(index: &DenseIndex, query: &[f32], k: usize, allowed: impl Fn(i64) -> bool) -> Vec<i64> {
        let query =
            NormalRows::new("query", Rows::new(query, 1, query.len()).unwrap(), index.metric).unwrap();
        let view = index.view();
        let mut scored = Vec::new();
        for part in view.parts() {
            for row in part.live().iter().filter(|&row| allowed(part.ids()[row])) {
                let rows = part.segment().rows();
                let product = dot64(rows.rows().row(row), query.rows().row(0));
                let score = match index.metric {
                    Metric::Cosine => product / (rows.norms()[row] * query.norms()[0]),
                    Metric::Dot => product * 2f64.powi(i32::from(rows.exponents()[row])),
                };
                scored.push((score, part.ids()[row]));
            }
        }
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut ids: Vec<i64> = scored.into_iter().map(|(_, id)| id).take(k).collect();
        ids.resize(k.min(view.len()), -1);
        ids
    }

    /// Rows of few different numbers have many ties and near-ties; scales make bounds matter.
    fn rows(d: usize) -> impl Strategy<Value = Vec<f32>> {
        let row = (prop::collection::vec(-3i8..=3, d), -60i32..60, any::<bool>());
        prop::collection::vec(row, 1..40).prop_map(|rows| {
            rows.into_iter()
                .flat_map(|(numbers, scale, nudge)| {
                    let mut row: Vec<f32> =
                        numbers.iter().map(|&x| f32::from(x) * 2f32.powi(scale)).collect();
                    row[0] += 2f32.powi(scale) * if nudge { 1.000_000_1 } else { 1.0 };
                    if row.iter().all(|&x| x == 0.0) {
                        row[0] = 1.0;
                    }
                    row
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn is_a_float64_scan(
            data in (1usize..20).prop_flat_map(|d| rows(d).prop_map(move |rows| (d, rows))),
            k in 1usize..50,
            dot in any::<bool>(),
            removed in any::<u64>(),
            allowed in any::<u64>(),
        ) {
            let (d, data) = data;
            let metric = if dot { Metric::Dot } else { Metric::Cosine };
            let all = Rows::new(&data, data.len() / d, d).unwrap();
            for isa in Isa::available() {
                let index = DenseIndex::new(isa, d, metric).unwrap();
                for row in all.iter() {
                    index.add(Rows::new(row, 1, d).unwrap(), None, false).unwrap();
                }
                let bit = |set: u64, id: i64| set >> (id % 64) & 1 == 1;
                let ids: Vec<i64> = index.view().ids().collect();
                let gone: Vec<i64> = ids.iter().copied().filter(|&id| bit(removed & removed >> 7, id)).collect();
                index.remove(&gone).unwrap();
                let chosen: Vec<i64> = ids.iter().copied().filter(|&id| bit(allowed, id)).collect();
                for threads in [1, 3] {
                    let found = index.search(all, None, wish(k, threads)).unwrap();
                    let filtered = index.search(all, Some(&Allowed::Ids(&chosen)), wish(k, threads)).unwrap();
                    for (q, query) in all.iter().enumerate() {
                        let cut = |found: &Neighbours| found.ids[q * found.columns..(q + 1) * found.columns].to_vec();
                        prop_assert_eq!(cut(&found), brute_force(&index, query, k, |_| true));
                        prop_assert_eq!(cut(&filtered), brute_force(&index, query, k, |id| bit(allowed, id)));
                    }
                }
                let copy = DenseIndex::from_state(isa, d, metric, &index.state()).unwrap();
                prop_assert_eq!(copy.state(), index.state());
                prop_assert_eq!(copy.search(all, None, wish(k, 1)), index.search(all, None, wish(k, 1)));
            }
        }
    }

    #[test]
    fn few_rows_are_scored_twice_and_blocks_are_cut_anywhere() {
        let d = 24;
        let data: Vec<f32> = (0..1000 * d).map(|i| ((i * 7919 % 1013) as f32 - 506.0) / 97.0).collect();
        let rows = Rows::new(&data, 1000, d).unwrap();
        for isa in Isa::available() {
            let index = DenseIndex::new(isa, d, Metric::Cosine).unwrap();
            index.add(rows, None, false).unwrap();
            index.remove(&(100..500).collect::<Vec<_>>()).unwrap();
            let found = index.search(rows, None, wish(20, 2)).unwrap();
            for q in (0..1000).step_by(37) {
                let wanted = brute_force(&index, rows.row(q), 20, |_| true);
                assert_eq!(found.ids[q * 20..(q + 1) * 20], wanted);
            }
        }
    }

    #[test]
    fn huge_products_are_held_at_the_largest_number() {
        let index = DenseIndex::new(Isa::Scalar, 1, Metric::Dot).unwrap();
        index.add(Rows::new(&[-1e30, 1e30, 2e30], 3, 1).unwrap(), None, false).unwrap();
        let found = index.search(Rows::new(&[1e30], 1, 1).unwrap(), None, wish(3, 1)).unwrap();
        assert_eq!(found.ids, [2, 1, 0]);
        assert_eq!(found.scores, [f32::MAX, f32::MAX, f32::MIN]);
    }
}
