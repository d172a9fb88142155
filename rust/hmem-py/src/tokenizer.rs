//! `Tokenizer`.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};

use hmem_core::encoder::tokenizer::{self, MAX_CHARACTERS};
use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PySlice, PyString};

use crate::convert::{count, type_name};
use crate::convert_text;
use crate::error::DTypeError;
use crate::guard::{self, Guard};

/// A model's tokenizer: text to token ids, one text at a time, in the caller's thread.
///
/// A text's first 10,000 characters are tokenized, and as many tokens kept as the model reads. The file's own settings for
/// padding and truncation are put aside.
///
/// One tokenizer may be used from many threads at once.
///
/// Parameters
/// ----------
/// json : bytes
///     What stands in the model's ``tokenizer.json``.
/// max_length : int
///     Most tokens of a text, special ones counted.
/// prefix : str
///     Put before every text.
///
/// Raises
/// ------
/// ModelError
///     If the bytes are no tokenizer, or one that cannot be used.
/// InvalidValueError
///     If `max_length` leaves no room beside the special tokens, or `prefix` holds a lone surrogate.
/// DTypeError
///     If `json` is not bytes, `max_length` no integer or `prefix` no string.
///
/// Examples
/// --------
/// >>> import json
/// >>> words = {"type": "WordPiece", "unk_token": "?", "continuing_subword_prefix": "##",
/// ...          "max_input_chars_per_word": 100, "vocab": {"?": 0, "cat": 1, "##s": 2, "sleep": 3}}
/// >>> spaces = {"type": "BertPreTokenizer"}
/// >>> tokenizer = Tokenizer(json.dumps({"pre_tokenizer": spaces, "model": words}).encode(), 8)
/// >>> tokenizer.tokenize("cats sleep!")
/// (array([1, 2, 3, 0]), array([False, False, False, False]))
#[pyclass(frozen, module = "hmem_fast.core")]
pub struct Tokenizer {
    tokenizer: tokenizer::Tokenizer,
    max_length: usize,
    truncated: AtomicU64,
    guard: Guard,
}

/// Ids, and which of them are special tokens.
pub type Tokens<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<bool>>);

#[pymethods]
impl Tokenizer {
    #[new]
    #[pyo3(signature = (json, max_length, prefix = None), text_signature = "(json, max_length, prefix='')")]
    fn new(
        py: Python<'_>,
        json: &Bound<'_, PyAny>,
        max_length: &Bound<'_, PyAny>,
        prefix: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let json = json
            .cast::<PyBytes>()
            .map_err(|_| DTypeError::new_err(format!("json: wanted bytes, got {}", type_name(json))))?
            .as_bytes();
        let max_length = count(max_length, "max_length")?;
        let prefix = prefix.map_or(Ok(String::new()), |prefix| convert_text::text(prefix, "prefix"))?;
        let tokenizer = guard::run(py, || tokenizer::Tokenizer::from_json(json, max_length, &prefix))?;
        Ok(Self { tokenizer, max_length, truncated: AtomicU64::new(0), guard: Guard::default() })
    }

    /// Tokenize one text, cut to what the model reads; `truncated` counts the texts that were cut.
    ///
    /// Shapes
    /// ------
    /// ids      (t,)  int64, special tokens among them
    /// special  (t,)  bool, True where the tokenizer added a special token
    ///
    /// Raises
    /// ------
    /// DTypeError
    ///     If `text` is no string.
    /// InvalidValueError
    ///     If there is a lone surrogate in what is read of the text.
    /// ModelError
    ///     If the vocabulary does not cover the text; one of word pieces always does.
    fn tokenize<'py>(&self, py: Python<'py>, text: &Bound<'py, PyAny>) -> PyResult<Tokens<'py>> {
        let text = read_text(text, "text")?;
        let tokenized = self.guard.run(py, || self.tokenizer.tokenize(&text))?;
        if tokenized.truncated {
            self.truncated.fetch_add(1, Ordering::Relaxed);
        }
        Ok(as_arrays(py, tokenized))
    }

    /// Most tokens of a text, special ones counted.
    #[getter]
    fn max_length(&self) -> usize {
        self.max_length
    }

    /// How many texts were cut so far.
    #[getter]
    fn truncated(&self) -> u64 {
        self.truncated.load(Ordering::Relaxed)
    }

    /// One more than the largest id that can come out.
    #[getter]
    fn vocabulary_size(&self) -> usize {
        self.tokenizer.vocabulary_size()
    }

    fn __repr__(&self) -> String {
        format!(
            "Tokenizer(vocabulary_size={}, max_length={})",
            self.tokenizer.vocabulary_size(),
            self.max_length
        )
    }
}

/// The text, or of a long one a character more than is tokenized: so 10 MB are not copied, and yet known to be cut.
pub fn read_text(text: &Bound<'_, PyAny>, name: impl Display) -> PyResult<String> {
    if text.is_instance_of::<PyString>() && text.len()? > MAX_CHARACTERS + 1 {
        let start = PySlice::new(text.py(), 0, (MAX_CHARACTERS + 1).cast_signed(), 1);
        return convert_text::text(&text.get_item(start)?, name);
    }
    convert_text::text(text, name)
}

/// The ids, and which of them are special.
pub fn as_arrays(py: Python<'_>, tokenized: tokenizer::Tokenized) -> Tokens<'_> {
    let special: Vec<bool> = (0..tokenized.ids.len()).map(|i| !tokenized.words.contains(&i)).collect();
    let ids: Vec<i64> = tokenized.ids.into_iter().map(i64::from).collect();
    (PyArray1::from_vec(py, ids), PyArray1::from_vec(py, special))
}
