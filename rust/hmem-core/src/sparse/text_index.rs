//! Search by words.

use super::bm25::{Bm25, Texts};
use super::levels::offer;
use super::rank::answer;
use super::words::Words;
use crate::dense::Neighbours;
use crate::error::{AddError, IdError, InputError};
use crate::segment::{Allowed, Segments};
use crate::text::Analyzer;

/// Texts, found by the words they share with a query and ranked by BM25.
#[derive(Debug)]
pub struct TextIndex {
    analyzer: Analyzer,
    bm25: Bm25,
    segments: Segments<Words>,
}

impl TextIndex {
    /// An empty index.
    #[must_use]
    pub fn new(analyzer: Analyzer, bm25: Bm25) -> Self {
        Self { analyzer, bm25, segments: Segments::default() }
    }

    /// What cuts texts into words.
    #[must_use]
    pub fn analyzer(&self) -> &Analyzer {
        &self.analyzer
    }

    /// The parameters of the score.
    #[must_use]
    pub fn bm25(&self) -> Bm25 {
        self.bm25
    }

    /// Adds texts; see [`Segments::add`].
    ///
    /// # Errors
    /// [`AddError::Id`]; then nothing was changed.
    pub fn add(&self, texts: &[String], ids: Option<&[i64]>, replace: bool) -> Result<Vec<i64>, AddError> {
        let words = Words::new(&self.analyzer, texts.iter().map(String::as_str));
        Ok(self.segments.add(words, ids, replace)?)
    }

    /// Removes texts; see [`Segments::remove`].
    ///
    /// # Errors
    /// [`IdError`]; then nothing was changed.
    pub fn remove(&self, ids: &[i64]) -> Result<(), IdError> {
        self.segments.remove(ids)
    }

    /// Number of texts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.segments.view().len()
    }

    /// Whether there are no texts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held.
    #[must_use]
    pub fn nbytes(&self) -> usize {
        self.segments.view().nbytes()
    }

    /// Ids of the texts, in the order in which they were added.
    #[must_use]
    pub fn ids(&self) -> Vec<i64> {
        self.segments.view().ids().collect()
    }

    /// Whether there is a text with that id.
    #[must_use]
    pub fn contains(&self, id: i64) -> bool {
        self.segments.view().locate(id).is_some()
    }

    /// For each query the `k` best texts, among those that share a word with it. A filter does not change the
    /// statistics.
    ///
    /// # Errors
    /// [`InputError`] for a filter that does not fit.
    pub fn search(
        &self,
        queries: &[String],
        k: usize,
        allowed: Option<&Allowed<'_>>,
        threads: usize,
    ) -> Result<Neighbours, InputError> {
        let view = self.segments.view();
        let rows = allowed.map(|allowed| view.filter(allowed)).transpose()?;
        let k = k.min(view.len());
        Ok(answer(&view, queries.len(), k, threads, |query, top| {
            let parts = view.parts().iter();
            let texts =
                parts.map(|part| Texts { words: part.segment(), live: part.live(), n_live: part.n_live() });
            let query = self.bm25.query(texts.collect(), &self.analyzer.analyze(&queries[query]));
            let mut first = 0;
            for (p, part) in view.parts().iter().enumerate() {
                offer(&query, p, rows.as_ref().map(|rows| &rows[p]), first, k, top);
                first += part.live().len();
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::random::Random;
    use crate::text::StopWords;
    use proptest::prelude::*;

    fn index() -> TextIndex {
        let analyzer = Analyzer::new("english", &StopWords::Own).unwrap();
        TextIndex::new(analyzer, Bm25::new(1.2, 0.75).unwrap())
    }

    fn text() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!["fig", "nut", "plum", "pear", "the"]), 0..7)
            .prop_map(|words| words.join(" "))
    }

    proptest! {
        #[test]
        fn an_edited_index_answers_as_a_fresh_one(
            batches in prop::collection::vec((prop::collection::vec(text(), 1..5), any::<prop::sample::Index>()), 1..10),
            query in text(),
        ) {
            let edited = index();
            let mut held: Vec<(i64, String)> = Vec::new();
            for (texts, gone) in batches {
                held.extend(edited.add(&texts, None, false).unwrap().into_iter().zip(texts));
                let (id, _) = held.remove(gone.index(held.len()));
                edited.remove(&[id]).unwrap();
            }
            let fresh = index();
            let (ids, texts): (Vec<_>, Vec<_>) = held.into_iter().unzip();
            fresh.add(&texts, Some(&ids), false).unwrap();
            prop_assert_eq!(edited.search(std::slice::from_ref(&query), 9, None, 1), fresh.search(&[query], 9, None, 1));
        }
    }

    /// Ids and scores of the `k` best of (id, words), by the formula, word by word in the order of the query.
    fn by_formula(
        held: &[(i64, Vec<String>)],
        asked: &[String],
        k: usize,
        bm25: Bm25,
        may: impl Fn(i64) -> bool,
    ) -> Vec<(i64, f32)> {
        let (k1, b, n) = (bm25.k1(), bm25.b(), held.len() as f64);
        let mean = held.iter().map(|(_, words)| words.len()).sum::<usize>() as f64 / n;
        let count =
            |words: &[String], word: &String| words.iter().filter(|other| *other == word).count() as f64;
        let mut scores = vec![0.0; held.len()];
        for (place, word) in asked.iter().enumerate().filter(|&(place, word)| !asked[..place].contains(word))
        {
            let df = held.iter().filter(|(_, words)| words.contains(word)).count() as f64;
            let weight = count(&asked[place..], word) * libm::log1p((n - df + 0.5) / (df + 0.5)) * (k1 + 1.0);
            for ((_, words), score) in held.iter().zip(&mut scores) {
                let tf = count(words, word);
                if tf > 0.0 {
                    *score += weight * tf / (tf + k1 * (1.0 - b + b * words.len() as f64 / mean));
                }
            }
        }
        let mut found: Vec<_> = held
            .iter()
            .map(|&(id, _)| id)
            .zip(scores)
            .filter(|&(id, score)| score > 0.0 && may(id))
            .collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found.truncate(k);
        found.into_iter().map(|(id, score)| (id, score as f32)).collect()
    }

    /// Words that stand in few texts, in some, and in nearly all.
    fn drawn(random: &mut Random, length: usize, different: u64) -> Vec<String> {
        let word = |random: &mut Random| {
            let widest = 1 + random.next_u64() % different;
            format!("w{}x", random.next_u64() % widest)
        };
        (0..length).map(|_| word(random)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// Enough texts that most are ruled out by levels; the answer is that of the formula to the last bit.
        #[test]
        fn answers_are_those_of_the_formula(
            seed in any::<u64>(),
            batches in prop::collection::vec(1usize..500, 1..5),
            different in prop::sample::select(vec![2u64, 30, 1000]),
            equal in any::<bool>(),
            gone in 0i64..4,
            one_in in prop::sample::select(vec![1i64, 1, 5]),
            k in prop::sample::select(vec![1usize, 3, 10, 5000]),
            parameters in prop::sample::select(vec![(1.2, 0.75), (0.0, 0.5), (1.5, 0.0), (2.0, 1.0)]),
        ) {
            let mut random = Random::new(seed);
            let analyzer = Analyzer::new("english", &StopWords::Given(Vec::new())).unwrap();
            let bm25 = Bm25::new(parameters.0, parameters.1).unwrap();
            let index = TextIndex::new(analyzer, bm25);
            let mut held = Vec::new();
            for batch in batches {
                let some: Vec<_> = (0..batch).map(|row| {
                    let length = [3, 8, 20, 20, 60, 200][random.next_u64() as usize % 6];
                    let mut words = drawn(&mut random, length, different);
                    if row % 50 == 49 {
                        words.extend(vec!["w1x".to_owned(); 700]);
                    }
                    words
                }).collect();
                let some: Vec<_> = if equal { vec![some[0].clone(); batch] } else { some };
                let texts: Vec<String> = some.iter().map(|words| words.join(" ")).collect();
                held.extend(index.add(&texts, None, false).unwrap().into_iter().zip(some));
            }
            let dead: Vec<i64> = held.iter().map(|&(id, _)| id).filter(|id| gone > 0 && id % 4 == gone).collect();
            index.remove(&dead).unwrap();
            held.retain(|(id, _)| gone == 0 || id % 4 != gone);
            let may = |id: i64| id % one_in == 0;
            let ids: Vec<i64> = held.iter().map(|&(id, _)| id).filter(|&id| may(id)).collect();
            let allowed = (one_in > 1).then_some(Allowed::Ids(&ids));
            let queries: Vec<Vec<String>> = (0..6).map(|i| drawn(&mut random, 1 + 2 * i, different)).collect();
            let texts: Vec<String> = queries.iter().map(|words| words.join(" ")).collect();
            let found = index.search(&texts, k, allowed.as_ref(), 2).unwrap();
            let stemmed = |words: &[String]| words.iter().map(|word| index.analyzer().analyze(word).remove(0)).collect::<Vec<_>>();
            let held: Vec<_> = held.iter().map(|(id, words)| (*id, stemmed(words))).collect();
            prop_assert_eq!(found.columns, k.min(held.len()));
            for (query, words) in queries.iter().enumerate() {
                let mut wanted = by_formula(&held, &stemmed(words), k, bm25, may);
                wanted.resize(found.columns, (-1, f32::NEG_INFINITY));
                let of_query = query * found.columns..(query + 1) * found.columns;
                let got: Vec<_> = found.ids[of_query.clone()].iter().copied().zip(found.scores[of_query].iter().copied()).collect();
                prop_assert_eq!(got, wanted);
            }
        }
    }

    #[test]
    fn the_score_is_the_formula() {
        let index = index();
        let texts = ["fig fig nut", "nut", "plum pear nut"].map(str::to_owned);
        index.add(&texts, None, false).unwrap();
        let found = index.search(&["figs and figs".to_owned()], 2, None, 1).unwrap();
        let idf = (1.0 + 2.5 / 1.5f64).ln();
        let wanted = 2.0 * idf * 2.0 * 2.2 / (2.0 + 1.2 * (0.25 + 0.75 * 3.0 / (7.0 / 3.0)));
        assert_eq!(found.ids, [0, -1]);
        assert!((f64::from(found.scores[0]) - wanted).abs() < 1e-6);
    }
}
