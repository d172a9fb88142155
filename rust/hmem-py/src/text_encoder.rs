//! `TextEncoder`.

use std::path::PathBuf;

use hmem_core::encoder::text_encoder::{self, TokenRows};
use numpy::{Element, PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;

use crate::convert::count;
use crate::convert_text;
use crate::error::{DTypeError, IntoPyErr};
use crate::guard::{self, Guard};
use crate::pace::Pace;
use crate::tokenizer::{self, read_text};

/// Text to vectors by a transformer of BERT's kind with 8-bit weights, from a model's file.
///
/// A text gives the same bits alone and among others, on any number of threads and with every instruction set. One encoder may
/// be used from many threads at once.
///
/// Parameters
/// ----------
/// path : str or path
///     The model's file, as `hmem_fast.encode.export_native` makes it. Its embeddings are mapped, so that processes share
///     them: it must not be changed while it is open.
///
/// Raises
/// ------
/// ModelError
///     If the file cannot be read, is damaged, or is no model.
///
/// Examples
/// --------
/// >>> encoder = TextEncoder("model.hmem")
/// >>> vectors = encoder.encode(["Where is the spare key?", "Under the flowerpot.", "Rain is expected."])
/// >>> vectors.shape
/// (3, 384)
/// >>> bool(vectors[0] @ vectors[1] > vectors[0] @ vectors[2])
/// True
#[pyclass(frozen, module = "hmem_fast.core")]
pub struct TextEncoder {
    encoder: text_encoder::TextEncoder,
    guard: Guard,
}

/// Rows of tokens, offsets of texts, tokens.
type Tokens<'py, T> = (Bound<'py, PyArray2<T>>, Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>);

/// Rows of tokens, scales, offsets of texts, tokens.
type Scaled<'py, T> = (
    Bound<'py, PyArray2<T>>,
    Bound<'py, PyArray1<f32>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i64>>,
);

#[pymethods]
impl TextEncoder {
    #[new]
    #[pyo3(signature = (path), text_signature = "(path)")]
    fn new(py: Python<'_>, path: &Bound<'_, PyAny>) -> PyResult<Self> {
        let path: PathBuf = path.extract().map_err(|_| {
            DTypeError::new_err(format!("path: wanted a path, got {}", crate::convert::type_name(path)))
        })?;
        let isa = hmem_core::kernels::isa::Isa::chosen().map_err(IntoPyErr::into_py_err)?;
        let encoder = guard::run(py, || text_encoder::TextEncoder::open(&path, isa))?;
        Ok(Self { encoder, guard: Guard::default() })
    }

    /// Encode each text.
    ///
    /// Parameters
    /// ----------
    /// texts : sequence of str
    ///     What to encode.
    /// threads : int
    ///     How many texts to work on at once.
    /// progress : callable or None
    ///     Called with the number of texts that are done, every now and then. What it raises ends the call.
    ///
    /// Shapes
    /// ------
    /// result  (n, dim)  float32, unit rows
    ///
    /// Raises
    /// ------
    /// DTypeError
    ///     If an item is no string.
    /// InvalidValueError
    ///     If there is a lone surrogate in what is read of a text, or `threads` is 0.
    /// ModelError
    ///     If the vocabulary does not cover a text; one of word pieces always does.
    #[pyo3(signature = (texts, *, threads = None, progress = None), text_signature = "($self, texts, *, threads=1, progress=None)")]
    fn encode<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
        threads: Option<&Bound<'py, PyAny>>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let (texts, threads) = (read_texts(texts)?, threads_of(threads)?);
        let d = self.encoder.dim();
        let mut vectors = vec![0.0; texts.len() * d];
        let mut pace = Pace::new(self.encoder.max_length(), threads);
        let mut done = 0;
        while done < texts.len() {
            let end = done + pace.next(&texts[done..]);
            let (texts, vectors) = (&texts[done..end], &mut vectors[done * d..end * d]);
            self.guard.run(py, || self.encoder.encode(texts, threads, vectors))?;
            done = end;
            report(py, progress, done)?;
        }
        PyArray1::from_vec(py, vectors).reshape([texts.len(), d])
    }

    /// Encode each text into one unit vector a token, special tokens left out.
    ///
    /// Parameters are those of `encode`.
    ///
    /// Shapes
    /// ------
    /// vectors  (t, dim)  float32, unit rows
    /// offsets  (n + 1,)  int64: text i owns rows ``offsets[i]:offsets[i + 1]``
    /// tokens   (t,)      int64: the vocabulary id of each row's token
    ///
    /// Raises
    /// ------
    /// DTypeError, InvalidValueError, ModelError
    ///     As `encode`.
    #[pyo3(signature = (texts, *, threads = None, progress = None), text_signature = "($self, texts, *, threads=1, progress=None)")]
    fn encode_tokens<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
        threads: Option<&Bound<'py, PyAny>>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Tokens<'py, f32>> {
        let encode = |texts: &[String], threads| self.encoder.encode_tokens(texts, threads);
        let (rows, _, offsets, tokens) = self.token_rows(py, texts, threads, progress, encode)?;
        Ok((rows, offsets, tokens))
    }

    /// As `encode_tokens`, with each vector as 8-bit integers: a vector is its codes times its scale.
    ///
    /// Parameters are those of `encode`.
    ///
    /// Shapes
    /// ------
    /// codes    (t, dim)  int8, within -127 and 127
    /// scales   (t,)      float32
    /// offsets  (n + 1,)  int64: text i owns rows ``offsets[i]:offsets[i + 1]``
    /// tokens   (t,)      int64: the vocabulary id of each row's token
    ///
    /// Raises
    /// ------
    /// DTypeError, InvalidValueError, ModelError
    ///     As `encode`.
    #[pyo3(signature = (texts, *, threads = None, progress = None), text_signature = "($self, texts, *, threads=1, progress=None)")]
    fn encode_token_codes<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
        threads: Option<&Bound<'py, PyAny>>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Scaled<'py, i8>> {
        let encode = |texts: &[String], threads| self.encoder.encode_token_codes(texts, threads);
        self.token_rows(py, texts, threads, progress, encode)
    }

    /// Tokenize one text, cut to what the model reads.
    ///
    /// Shapes
    /// ------
    /// ids      (t,)  int64, special tokens among them
    /// special  (t,)  bool, True where the tokenizer added a special token
    ///
    /// Raises
    /// ------
    /// DTypeError, InvalidValueError, ModelError
    ///     As `encode`.
    fn tokenize<'py>(&self, py: Python<'py>, text: &Bound<'py, PyAny>) -> PyResult<tokenizer::Tokens<'py>> {
        let text = read_text(text, "text")?;
        let tokenized = self.guard.run(py, || self.encoder.tokenize(&text))?;
        Ok(tokenizer::as_arrays(py, tokenized))
    }

    /// Width of the vectors.
    #[getter]
    fn dim(&self) -> usize {
        self.encoder.dim()
    }

    /// Most tokens of a text, special ones counted.
    #[getter]
    fn max_length(&self) -> usize {
        self.encoder.max_length()
    }

    /// What the model is: a JSON object.
    #[getter]
    fn manifest(&self) -> &str {
        self.encoder.manifest()
    }

    /// How many texts were cut so far.
    #[getter]
    fn truncated(&self) -> u64 {
        self.encoder.truncated()
    }

    fn __repr__(&self) -> String {
        format!("TextEncoder(dim={}, max_length={})", self.encoder.dim(), self.encoder.max_length())
    }
}

impl TextEncoder {
    fn token_rows<'py, T: Element + Send, E: IntoPyErr + Send>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
        threads: Option<&Bound<'py, PyAny>>,
        progress: Option<&Bound<'py, PyAny>>,
        encode: impl Fn(&[String], usize) -> Result<TokenRows<T>, E> + Sync,
    ) -> PyResult<Scaled<'py, T>> {
        let (texts, threads) = (read_texts(texts)?, threads_of(threads)?);
        let (mut rows, mut scales, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
        let mut offsets = vec![0i64];
        let mut pace = Pace::new(self.encoder.max_length(), threads);
        let mut done = 0;
        while done < texts.len() {
            let end = done + pace.next(&texts[done..]);
            let part = self.guard.run(py, || encode(&texts[done..end], threads))?;
            done = end;
            rows.extend(part.rows);
            scales.extend(part.scales);
            tokens.extend(part.tokens.into_iter().map(i64::from));
            for count in part.counts {
                offsets.push(offsets[offsets.len() - 1] + count.cast_signed() as i64);
            }
            report(py, progress, done)?;
        }
        let t = tokens.len();
        let rows = PyArray1::from_vec(py, rows).reshape([t, self.encoder.dim()])?;
        let (scales, offsets) = (PyArray1::from_vec(py, scales), PyArray1::from_vec(py, offsets));
        Ok((rows, scales, offsets, PyArray1::from_vec(py, tokens)))
    }
}

/// Says how many texts are done, and lets signals be handled.
fn report(py: Python<'_>, progress: Option<&Bound<'_, PyAny>>, done: usize) -> PyResult<()> {
    if let Some(progress) = progress {
        progress.call1((done,))?;
    }
    py.check_signals()
}

fn threads_of(threads: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
    threads.map_or(Ok(1), |threads| count(threads, "threads"))
}

/// Several texts, of each of which no more is copied than will be read.
fn read_texts(value: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    convert_text::each_text(value, "texts", |item, name| read_text(item, name))
}
