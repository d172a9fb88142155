//! The index that users hold.

use std::sync::Arc;

use super::candidates::{BestKey, Candidates, Cosines, Question};
use super::segment::{Memories, TraceSegment};
use crate::attractor::{check_beta, group_bounds};
use crate::bitmap::Bitmap;
use crate::dense::index::check_dim;
use crate::dense::{Coder, DenseSegment, Metric, NormalRows};
use crate::error::{AddError, IdError, InputError};
use crate::kernels::isa::Isa;
use crate::rows::Rows;
use crate::segment::{Allowed, Part, Segments, View};
use crate::sparse::bm25::{Bm25, Texts};
use crate::sparse::words::Words;
use crate::text::Analyzer;

/// A vector to compare keys with.
#[derive(Debug)]
pub struct Cue(NormalRows);

impl Cue {
    /// The one row, in normal form.
    pub(super) fn normal(&self) -> &NormalRows {
        &self.0
    }
}

/// Something of each key of several memories: those of memory `i` stand at `offsets[i]..offsets[i + 1]`.
#[derive(Debug, Clone, PartialEq)]
pub struct OfKeys<T> {
    /// Where each memory's keys begin.
    pub offsets: Vec<i64>,
    /// Ids of the keys.
    pub key_ids: Vec<i64>,
    /// What was asked for.
    pub values: Vec<T>,
}

/// Memories, found by their keys and by their words.
#[derive(Debug)]
pub struct TraceIndex {
    segments: Segments<TraceSegment>,
    beta: f64,
    analyzer: Arc<Analyzer>,
    bm25: Bm25,
    coder: Arc<Coder>,
}

impl TraceIndex {
    /// An empty index of keys `dim` wide, pooled with `beta` where a question does not say otherwise.
    ///
    /// # Errors
    /// [`InputError::Range`] for a width that no key can have, or a `beta` that is not above 0.
    pub fn new(isa: Isa, dim: usize, beta: f64, analyzer: Analyzer, bm25: Bm25) -> Result<Self, InputError> {
        check_dim(dim)?;
        check_beta(beta)?;
        let coder = Arc::new(Coder::new(isa, dim));
        Ok(Self { segments: Segments::default(), beta, analyzer: Arc::new(analyzer), bm25, coder })
    }

    /// An index as this one, of parts that were read. `None` if a memory is live in two of them.
    pub(crate) fn read(&self, parts: Vec<Part<TraceSegment>>, next_id: i64) -> Option<Self> {
        Some(self.with(Segments::read(parts, next_id)?))
    }

    /// Another index with the same memories; see [`Segments::copy`].
    #[must_use]
    pub fn copy(&self) -> Self {
        self.with(self.segments.copy())
    }

    fn with(&self, segments: Segments<TraceSegment>) -> Self {
        let (analyzer, coder) = (Arc::clone(&self.analyzer), Arc::clone(&self.coder));
        Self { segments, beta: self.beta, analyzer, bm25: self.bm25, coder }
    }

    /// Rewrites what has removed memories in it; see [`Segments::compact`].
    pub fn compact(&self) {
        self.segments.compact();
    }

    /// Puts memories in, replacing those that have one of the ids. Memory `i` has the keys
    /// `offsets[i]..offsets[i + 1]`, which may be none, and the words of `texts[i]`.
    ///
    /// # Errors
    /// [`AddError`]; then nothing was changed.
    pub fn put(
        &self,
        ids: &[i64],
        offsets: &[i64],
        key_ids: &[i64],
        vectors: Rows<'_, f32>,
        texts: &[String],
    ) -> Result<(), AddError> {
        let length = |argument, partner, wanted, got| InputError::Length { argument, partner, wanted, got };
        vectors.check_dim("vectors", self.dim())?;
        if vectors.len() != key_ids.len() {
            return Err(length("vectors", "key_ids", key_ids.len(), vectors.len()).into());
        }
        if texts.len() != ids.len() {
            return Err(length("texts", "memory_ids", ids.len(), texts.len()).into());
        }
        if offsets.len() != ids.len() + 1 {
            let got = format!("{} of them for {} memories", offsets.len(), ids.len());
            return Err(InputError::Offsets { argument: "offsets", wanted: key_ids.len(), got }.into());
        }
        let offsets = group_bounds(offsets, key_ids.len())?;
        if let Some(id) = key_ids.iter().find(|&&id| id < 0) {
            let got = id.to_string();
            return Err(InputError::Range { argument: "key_ids", wanted: "0 or more", got }.into());
        }
        let keys = DenseSegment::new(&self.coder, "vectors", vectors, Metric::Cosine)?;
        let words = Words::new(&self.analyzer, texts.iter().map(String::as_str));
        let memories =
            Memories { key_ids: key_ids.to_vec().into(), offsets: offsets.into(), ids: ids.to_vec().into() };
        let segment = TraceSegment::new(keys, memories, words);
        self.segments.add(segment, Some(ids), true)?;
        Ok(())
    }

    /// Removes memories; see [`Segments::remove`].
    ///
    /// # Errors
    /// [`IdError`]; then nothing was changed.
    pub fn remove(&self, ids: &[i64]) -> Result<(), IdError> {
        self.segments.remove(ids)
    }

    /// A vector to ask with.
    ///
    /// # Errors
    /// [`InputError`] for another width, numbers that are not finite, or zeros alone.
    pub fn cue(&self, vector: &[f32]) -> Result<Cue, InputError> {
        let row = Rows::new(vector, 1, vector.len())?;
        row.check_dim("vector", self.dim())?;
        NormalRows::new("vector", row, Metric::Cosine).map(Cue)
    }

    /// The `n` memories best by energy and the `n` best by BM25, each with both scores.
    ///
    /// # Errors
    /// [`InputError`] for a filter that does not fit, or a `beta` that is not above 0.
    pub fn candidates(
        &self,
        cue: Option<&Cue>,
        terms: &[String],
        allowed: Option<&Allowed<'_>>,
        n: usize,
        beta: Option<f64>,
    ) -> Result<Candidates, InputError> {
        let beta = beta.unwrap_or(self.beta);
        check_beta(beta)?;
        let view = self.view();
        let allowed = allowed.map(|allowed| view.filter(allowed)).transpose()?;
        let cosines = cue.map(|cue| Cosines::new(self.coder.isa(), cue));
        let question = Question { view: &view, cosines, beta, bm25: self.bm25, terms };
        Ok(question.candidates(allowed.as_deref(), n))
    }

    /// The `n` memories of `view` whose closest keys are closest to row `cue` of `cues`, best first; of equal ones those with the
    /// smaller id.
    pub(crate) fn best_keys(
        &self,
        view: &View<TraceSegment>,
        cues: &NormalRows,
        cue: usize,
        allowed: Option<&[Bitmap]>,
        n: usize,
    ) -> Vec<BestKey> {
        let cosines = Some(Cosines::of(self.coder.isa(), cues, cue));
        Question { view, cosines, beta: f64::INFINITY, bm25: self.bm25, terms: &[] }.best_keys(allowed, n)
    }

    /// The cosine of each key of these memories.
    ///
    /// # Errors
    /// [`IdError::Unknown`].
    pub fn key_scores(&self, cue: &Cue, ids: &[i64]) -> Result<OfKeys<f64>, IdError> {
        let cosines = Cosines::new(self.coder.isa(), cue);
        self.of_keys(ids, |segment, key, scores| scores.push(cosines.exact(segment, key)))
    }

    /// The keys of these memories, of unit length.
    ///
    /// # Errors
    /// [`IdError::Unknown`].
    pub fn vectors(&self, ids: &[i64]) -> Result<OfKeys<f32>, IdError> {
        self.of_keys(ids, |segment, key, numbers| {
            numbers.extend(segment.keys().rows().vector(key, Metric::Cosine));
        })
    }

    fn of_keys<T>(
        &self,
        ids: &[i64],
        mut value: impl FnMut(&TraceSegment, usize, &mut Vec<T>),
    ) -> Result<OfKeys<T>, IdError> {
        let view = self.view();
        let mut of_keys = OfKeys { offsets: vec![0], key_ids: Vec::new(), values: Vec::new() };
        let mut end = 0;
        for (part, row) in locate(&view, ids)? {
            let segment = view.parts()[part].segment();
            for key in segment.keys_of(row) {
                of_keys.key_ids.push(segment.key_ids()[key]);
                value(segment, key, &mut of_keys.values);
                end += 1;
            }
            of_keys.offsets.push(end);
        }
        Ok(of_keys)
    }

    /// What each of `terms` gives to the BM25 of each of these memories; one row a memory.
    ///
    /// # Errors
    /// [`IdError::Unknown`].
    pub fn word_scores(&self, terms: &[String], ids: &[i64]) -> Result<Vec<f64>, IdError> {
        let view = self.view();
        let parts = view.parts().iter();
        let query = self.bm25.query_by_word(parts.map(texts_of).collect(), terms);
        Ok(locate(&view, ids)?.into_iter().flat_map(|(part, row)| query.explain(part, row)).collect())
    }

    /// What the index holds now.
    #[must_use]
    pub fn view(&self) -> Arc<View<TraceSegment>> {
        self.segments.view()
    }

    /// That, and the smallest id that was never given.
    pub(crate) fn view_and_next_id(&self) -> (Arc<View<TraceSegment>>, i64) {
        self.segments.view_and_next_id()
    }

    /// How keys become codes.
    pub(crate) fn coder(&self) -> &Arc<Coder> {
        &self.coder
    }

    /// Width of the keys.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.coder.dim()
    }

    /// The inverse temperature of the energy.
    #[must_use]
    pub fn beta(&self) -> f64 {
        self.beta
    }

    /// What cuts texts into words.
    #[must_use]
    pub fn analyzer(&self) -> &Analyzer {
        &self.analyzer
    }

    /// The parameters of the words' score.
    #[must_use]
    pub fn bm25(&self) -> Bm25 {
        self.bm25
    }
}

/// The words of a segment's memories.
pub(super) fn texts_of(part: &Part<TraceSegment>) -> Texts<'_> {
    Texts { words: part.segment().words(), live: part.live(), n_live: part.n_live() }
}

/// Segment and row of each id.
fn locate(view: &View<TraceSegment>, ids: &[i64]) -> Result<Vec<(usize, usize)>, IdError> {
    ids.iter().map(|&id| view.locate(id).ok_or(IdError::Unknown { id })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::random::Random;
    use crate::text::StopWords;
    use proptest::prelude::*;

    const DIM: usize = 4;

    /// The keys of a memory, one after the other, and its words.
    type Memory = (Vec<f32>, String);

    fn index(isa: Isa) -> TraceIndex {
        let analyzer = Analyzer::new("english", &StopWords::Own).unwrap();
        TraceIndex::new(isa, DIM, 20.0, analyzer, Bm25::new(1.2, 0.5).unwrap()).unwrap()
    }

    fn put(index: &TraceIndex, memories: &[(i64, Memory)]) {
        let (mut offsets, mut vectors, mut texts) = (vec![0], Vec::new(), Vec::new());
        for (_, (keys, text)) in memories {
            vectors.extend_from_slice(keys);
            offsets.push(i64::try_from(vectors.len() / DIM).unwrap());
            texts.push(text.clone());
        }
        let key_ids: Vec<i64> = (0..*offsets.last().unwrap()).collect();
        let ids: Vec<i64> = memories.iter().map(|&(id, _)| id).collect();
        let rows = Rows::new(&vectors, key_ids.len(), DIM).unwrap();
        index.put(&ids, &offsets, &key_ids, rows, &texts).unwrap();
    }

    fn memory() -> impl Strategy<Value = Memory> {
        let key = prop::collection::vec(-2i8..=2, DIM).prop_map(|key| {
            let mut key: Vec<f32> = key.into_iter().map(f32::from).collect();
            key[0] += 0.5;
            key
        });
        let keys = prop::collection::vec(key, 0..4).prop_map(|keys| keys.concat());
        let words = prop::collection::vec(prop::sample::select(vec!["fig", "nut", "plum"]), 0..4);
        (keys, words.prop_map(|words| words.join(" ")))
    }

    proptest! {
        /// All scores come from a question for every memory; the `n` best by them must be found, on any CPU and in an
        /// index of any history.
        #[test]
        fn candidates_are_the_best_by_either_score(
            memories in prop::collection::btree_map(0i64..200, memory(), 1..40),
            gone in any::<u64>(),
            n in 1usize..6,
            beta in prop::sample::select(vec![0.1, 20.0, f64::INFINITY]),
        ) {
            let memories: Vec<(i64, Memory)> = memories.into_iter().collect();
            let (gone, held): (Vec<_>, Vec<_>) =
                memories.iter().cloned().partition(|&(id, _)| gone >> (id % 64) & gone >> (id % 7) & 1 == 1);
            let terms = ["fig".to_owned(), "plum".to_owned()];
            let mut answers = Vec::new();
            for isa in Isa::available() {
                let fresh = index(isa);
                put(&fresh, &held);
                let edited = index(isa);
                memories.iter().rev().for_each(|memory| put(&edited, std::slice::from_ref(memory)));
                edited.remove(&gone.iter().map(|&(id, _)| id).collect::<Vec<_>>()).unwrap();
                put(&edited, &held);
                for index in [fresh, edited] {
                    let cue = index.cue(&[0.5, 1.0, -1.0, 0.0]).unwrap();
                    let all = index.candidates(Some(&cue), &terms, None, usize::MAX, Some(beta)).unwrap();
                    let found = index.candidates(Some(&cue), &terms, None, n, Some(beta)).unwrap();
                    let best = |scores: &[f64], least: f64| {
                        let mut order: Vec<usize> = (0..scores.len()).filter(|&i| scores[i] > least).collect();
                        order.sort_by(|&i, &j| scores[j].total_cmp(&scores[i]));
                        order.truncate(n);
                        order.into_iter().map(|i| all.ids[i]).collect::<Vec<_>>()
                    };
                    let mut wanted = best(&all.energy, f64::NEG_INFINITY);
                    wanted.extend(best(&all.bm25, 0.0));
                    wanted.sort_unstable();
                    wanted.dedup();
                    prop_assert_eq!(&found.ids, &wanted);
                    answers.push((found.energy, found.bm25, found.best_score, found.energy_moments, found.bm25_moments));
                }
            }
            prop_assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }

    const WIDE: usize = 64;

    /// Memories whose keys lie around a few centres, `noise` apart; some stand there several times.
    fn clustered(random: &mut Random, count: i64, noise: f32) -> Vec<(i64, Memory)> {
        let mut key = |around: &[f32], noise: f32| -> Vec<f32> {
            around.iter().map(|x| x + noise * f32::from(random.next_i8(127)) / 127.0).collect()
        };
        let centres: Vec<_> = (0..5).map(|_| key(&[0.1; WIDE], 1.0)).collect();
        let mut memories: Vec<(i64, Memory)> = Vec::new();
        for id in 0..count {
            let of_id = |n: usize| (id.unsigned_abs() as usize * 7 + n) % 11;
            let keys = (0..of_id(0) % 5).flat_map(|j| key(&centres[of_id(j) % 5], noise)).collect();
            let keys = if id % 9 == 8 { memories[of_id(3)].1.0.clone() } else { keys };
            memories.push((id, (keys, ["fig nut", "nut plum nut", "lime"][of_id(5) % 3].to_owned())));
        }
        memories
    }

    fn put_wide(index: &TraceIndex, memories: &[(i64, Memory)]) {
        let mut offsets = vec![0];
        let vectors: Vec<f32> = memories.iter().flat_map(|(_, (keys, _))| keys.iter().copied()).collect();
        for (_, (keys, _)) in memories {
            offsets.push(offsets.last().unwrap() + i64::try_from(keys.len() / WIDE).unwrap());
        }
        let key_ids: Vec<i64> = (0..*offsets.last().unwrap()).collect();
        let ids: Vec<i64> = memories.iter().map(|&(id, _)| id).collect();
        let texts: Vec<String> = memories.iter().map(|(_, (_, text))| text.clone()).collect();
        let rows = Rows::new(&vectors, key_ids.len(), WIDE).unwrap();
        index.put(&ids, &offsets, &key_ids, rows, &texts).unwrap();
    }

    /// Ids of the `n` largest scores above `least`, of equal ones the smaller id.
    fn best_ids(ids: &[i64], scores: &[f64], least: f64, n: usize, may: impl Fn(i64) -> bool) -> Vec<i64> {
        let mut order: Vec<usize> = (0..ids.len()).filter(|&i| scores[i] > least && may(ids[i])).collect();
        order.sort_by(|&i, &j| scores[j].total_cmp(&scores[i]).then(ids[i].cmp(&ids[j])));
        order.into_iter().take(n).map(|i| ids[i]).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// As above, with keys enough that codes decide who may be among the best.
        #[test]
        fn codes_miss_no_candidate(
            seed in any::<u64>(),
            noise in prop::sample::select(vec![0f32, 1e-6, 0.05, 0.5, 2.0]),
            beta in prop::sample::select(vec![1e-9, 0.1, 12.0, 300.0, f64::INFINITY]),
            n in prop::sample::select(vec![1usize, 7, 40, 150]),
            one_in in 1i64..8,
            at_once in prop::sample::select(vec![90usize, 1000]),
        ) {
            let mut random = Random::new(seed);
            let memories = clustered(&mut random, 500, noise);
            let cue: Vec<f32> = (0..WIDE).map(|i| memories[4].1.0[i] + f32::from(random.next_i8(20)) / 100.0).collect();
            let gone: Vec<i64> = (0..500).filter(|id| id % 6 == 5).collect();
            let held: Vec<_> = memories.iter().filter(|(id, _)| id % 6 != 5).cloned().collect();
            let terms = ["fig".to_owned(), "plum".to_owned()];
            let analyzer = || Analyzer::new("english", &StopWords::Own).unwrap();
            let mut answers = Vec::new();
            for isa in Isa::available() {
                let new = || TraceIndex::new(isa, WIDE, 20.0, analyzer(), Bm25::new(1.2, 0.5).unwrap()).unwrap();
                let (fresh, edited) = (new(), new());
                put_wide(&fresh, &held);
                memories.chunks(at_once).for_each(|some| put_wide(&edited, some));
                edited.remove(&gone).unwrap();
                let coded = |part: &Part<TraceSegment>| part.segment().keys().codes().is_some();
                prop_assert!(fresh.view().parts().iter().chain(edited.view().parts()).any(coded));
                for index in [fresh, edited] {
                    let cue = index.cue(&cue).unwrap();
                    let ask = |allowed: Option<&Allowed<'_>>, n| index.candidates(Some(&cue), &terms, allowed, n, Some(beta)).unwrap();
                    let all = ask(None, usize::MAX);
                    let few: Vec<i64> = all.ids.iter().copied().filter(|id| id % one_in == 0).collect();
                    for (allowed, one_in) in [(None, 1), (Some(Allowed::Ids(&few)), one_in)] {
                        let found = ask(allowed.as_ref(), n);
                        let may = |id: i64| id % one_in == 0;
                        let mut wanted = best_ids(&all.ids, &all.energy, f64::NEG_INFINITY, n, may);
                        wanted.extend(best_ids(&all.ids, &all.bm25, 0.0, n, may));
                        wanted.sort_unstable();
                        wanted.dedup();
                        prop_assert_eq!(&found.ids, &wanted);
                        for (i, id) in found.ids.iter().enumerate() {
                            let at = all.ids.binary_search(id).unwrap();
                            prop_assert_eq!(
                                [found.energy[i], found.bm25[i], found.best_score[i]].map(f64::to_bits),
                                [all.energy[at], all.bm25[at], all.best_score[at]].map(f64::to_bits)
                            );
                        }
                        answers.push((one_in, found.energy, found.bm25, found.best_score, found.energy_moments, found.bm25_moments));
                    }
                }
            }
            for answer in &answers {
                prop_assert!(answers[..2].iter().any(|wanted| wanted == answer));
            }
        }
    }

    #[test]
    fn a_refused_put_changes_nothing() {
        let index = index(Isa::Scalar);
        put(&index, &[(3, (vec![1.0; DIM], "fig".to_owned()))]);
        let rows = Rows::new(&[0.0; DIM], 1, DIM).unwrap();
        let texts = ["nut".to_owned()];
        assert!(index.put(&[3], &[0, 1], &[0], rows, &texts).is_err());
        let rows = Rows::new(&[1.0; DIM], 1, DIM).unwrap();
        assert!(index.put(&[4], &[0, 1], &[-1], rows, &texts).is_err());
        assert!(index.put(&[4], &[0, 2], &[0], rows, &texts).is_err());
        assert!(index.put(&[-4], &[0, 1], &[0], rows, &texts).is_err());
        assert_eq!(index.view().ids().collect::<Vec<_>>(), [3]);
        assert_eq!(index.candidates(None, &["fig".to_owned()], None, 1, None).unwrap().ids, [3]);
    }
}
