//! `analyze`.

use pyo3::prelude::*;

use crate::convert_text;
use crate::guard;

/// Cut a text into the terms that a `TextIndex` with the same analyzer would store.
///
/// Parameters
/// ----------
/// text : str
///     Any text; it is normalised (NFKC) first.
/// analyzer : str
///     A language gives words: cut by the Unicode rules (UAX #29), in lower case, without stop words, each replaced by
///     its Snowball stem. The languages are ``"arabic"``, ``"danish"``, ``"dutch"``, ``"english"``, ``"finnish"``,
///     ``"french"``, ``"german"``, ``"greek"``, ``"hungarian"``, ``"italian"``, ``"norwegian"``, ``"portuguese"``,
///     ``"romanian"``, ``"russian"``, ``"spanish"``, ``"swedish"``, ``"tamil"`` and ``"turkish"``. Numbers are words;
///     so is each character of a script without spaces. ``"char4"`` gives all runs of four characters of the text in
///     lower case, with a space for each run of white space and punctuation: it withstands typing errors.
/// stop_words : iterable of str, optional
///     Words to leave out, instead of the analyzer's own (English function words for ``"english"``, none for the
///     others). ``()`` leaves none out.
///
/// Returns
/// -------
/// list of str
///     The terms, in order, repeated where they repeat.
///
/// Raises
/// ------
/// InvalidValueError
///     If there is no analyzer of that name, or the text holds a lone surrogate.
/// DTypeError
///     If the text is not a string.
///
/// Examples
/// --------
/// >>> analyze("What did Caroline's friends say?")
/// ['carolin', 'friend', 'say']
/// >>> analyze("A cat", analyzer="char4")
/// [' a c', 'a ca', ' cat', 'cat ']
#[pyfunction]
#[pyo3(signature = (text, analyzer = None, stop_words = None), text_signature = "(text, analyzer='english', stop_words=None)")]
pub fn analyze(
    py: Python<'_>,
    text: &Bound<'_, PyAny>,
    analyzer: Option<&Bound<'_, PyAny>>,
    stop_words: Option<&Bound<'_, PyAny>>,
) -> PyResult<Vec<String>> {
    let analyzer = convert_text::analyzer(analyzer, stop_words)?;
    let text = convert_text::text(text, "text")?;
    guard::run(py, || Ok::<_, std::convert::Infallible>(analyzer.analyze(&text)))
}
