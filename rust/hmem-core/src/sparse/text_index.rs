//! Search by words.

use super::bm25::Bm25;
use super::rank::answer;
use super::words::Words;
use crate::dense::Neighbours;
use crate::error::{AddError, IdError, InputError};
use crate::segment::{Allowed, Live, Segments};
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
        Ok(answer(&view, queries.len(), k, threads, |query, sums, best| {
            let parts = view.parts().iter().map(|part| Live { segment: part.segment(), rows: part.live() });
            let query = self.bm25.query(parts.collect(), &self.analyzer.analyze(&queries[query]));
            for (p, part) in view.parts().iter().enumerate() {
                let rows = rows.as_ref().map_or(part.live(), |rows| &rows[p]);
                query.score(p, rows, sums);
                best.take(sums, rows.len());
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
