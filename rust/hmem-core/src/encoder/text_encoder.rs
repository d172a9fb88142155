//! Texts to vectors: tokenizing, passes through the model, threads.
//!
//! Texts are taken in runs, each by the next idle thread, and go through the model in packs of some of them. A vector depends on
//! its text alone, so neither runs nor packs nor threads show in it.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde::Deserialize;

use super::forward::Pass;
use super::model_file::Model;
use super::tokenizer::{Tokenized, Tokenizer};
use crate::error::EncoderError;
use crate::kernels::isa::Isa;
use crate::kernels::transformer::{quantise, unit};
use crate::sections::Fault;

/// Texts of a run, at most.
const RUN: usize = 16;

/// A pack takes texts until it has so many tokens.
const PACK: usize = 48;

/// A model with its tokenizer.
pub struct TextEncoder {
    model: Model,
    tokenizer: Tokenizer,
    manifest: String,
    isa: Isa,
    /// Memory that no thread uses at the moment.
    idle: Mutex<Vec<Pass>>,
    truncated: AtomicU64,
}

/// What the manifest says of how text is read.
#[derive(Deserialize)]
struct Manifest {
    prefix: String,
}

/// One vector for each token of some texts, special tokens left out.
#[derive(Debug, Default)]
pub struct TokenRows<T> {
    /// All rows, one after the other.
    pub rows: Vec<T>,
    /// What a number of each row stands for; empty where numbers stand for themselves.
    pub scales: Vec<f32>,
    /// Each row's token.
    pub tokens: Vec<u32>,
    /// How many rows each text has.
    pub counts: Vec<usize>,
}

impl<T> TokenRows<T> {
    fn append(&mut self, mut other: Self) {
        self.rows.append(&mut other.rows);
        self.scales.append(&mut other.scales);
        self.tokens.append(&mut other.tokens);
        self.counts.append(&mut other.counts);
    }
}

impl TextEncoder {
    /// Opens a model's file.
    ///
    /// # Errors
    /// [`EncoderError`] if it cannot be read, or is not what it should be.
    pub fn open(path: &Path, isa: Isa) -> Result<Self, EncoderError> {
        let wrong = |reason: String| EncoderError::Model { path: path.to_owned(), reason };
        let model = Model::open(path).map_err(|fault| match fault {
            Fault::Io(source) => EncoderError::Io { path: path.to_owned(), source },
            Fault::Wrong(reason) => wrong(reason),
        })?;
        let manifest = std::str::from_utf8(model.manifest())
            .map_err(|error| wrong(format!("manifest: wanted UTF-8, got {error}")))?
            .to_owned();
        let Manifest { prefix } =
            serde_json::from_str(&manifest).map_err(|error| wrong(format!("manifest: {error}")))?;
        let tokenizer = Tokenizer::from_json(model.tokenizer(), model.shape.max_length, &prefix)
            .map_err(|error| wrong(error.to_string()))?;
        if tokenizer.vocabulary_size() > model.shape.vocabulary {
            return Err(wrong(format!(
                "tokenizer: wanted at most {} tokens, which have embeddings, got {}",
                model.shape.vocabulary,
                tokenizer.vocabulary_size()
            )));
        }
        // A text without a token has no vector.
        if tokenizer.tokenize("")?.ids.is_empty() {
            return Err(wrong("tokenizer: wanted special tokens around a text, it adds none".to_owned()));
        }
        Ok(Self { model, tokenizer, manifest, isa, idle: Mutex::default(), truncated: AtomicU64::new(0) })
    }

    /// Width of the vectors.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.model.shape.hidden
    }

    /// Most tokens of a text, special ones included.
    #[must_use]
    pub fn max_length(&self) -> usize {
        self.model.shape.max_length
    }

    /// What the model is, as JSON.
    #[must_use]
    pub fn manifest(&self) -> &str {
        &self.manifest
    }

    /// How many texts were cut so far.
    #[must_use]
    pub fn truncated(&self) -> u64 {
        self.truncated.load(Ordering::Relaxed)
    }

    /// One text's tokens, as the model gets them.
    ///
    /// # Errors
    /// [`EncoderError::Tokenizer`] if the vocabulary does not cover it.
    pub fn tokenize(&self, text: &str) -> Result<Tokenized, EncoderError> {
        Ok(self.tokenizer.tokenize(text)?)
    }

    /// Writes a vector of unit length for each text into `out`.
    ///
    /// # Errors
    /// [`EncoderError::Tokenizer`] if the vocabulary does not cover a text.
    ///
    /// # Panics
    /// If `out` has no room for just as many vectors.
    pub fn encode(&self, texts: &[String], threads: usize, out: &mut [f32]) -> Result<(), EncoderError> {
        let d = self.dim();
        assert_eq!(out.len(), texts.len() * d, "room for a vector each");
        let run = run(texts.len(), threads);
        let runs = texts.chunks(run).zip(out.chunks_mut(run * d));
        self.each_run(runs, texts.len().div_ceil(run), threads, |pass, (texts, out)| {
            let mut vectors = out.chunks_exact_mut(d);
            self.each_pack(pass, texts, |pass, text, _| {
                if let Some(vector) = vectors.next() {
                    pass.vector(&self.model, text, vector);
                }
            })
        })
    }

    /// A vector of unit length for each token, special tokens left out.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_tokens(&self, texts: &[String], threads: usize) -> Result<TokenRows<f32>, EncoderError> {
        let (isa, d) = (self.isa, self.dim());
        self.token_rows(texts, threads, |row, rows| {
            let at = rows.rows.len();
            rows.rows.resize(at + d, 0.0);
            unit(isa, row, &mut rows.rows[at..]);
        })
    }

    /// As [`encode_tokens`](Self::encode_tokens), each row as 8-bit integers and what one of them stands for.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_token_codes(
        &self,
        texts: &[String],
        threads: usize,
    ) -> Result<TokenRows<i8>, EncoderError> {
        let (isa, d) = (self.isa, self.dim());
        self.token_rows(texts, threads, |row, rows| {
            let mut vector = vec![0.0; d];
            unit(isa, row, &mut vector);
            let at = rows.rows.len();
            rows.rows.resize(at + d, 0);
            rows.scales.push(quantise(isa, &vector, &mut rows.rows[at..]));
        })
    }

    fn token_rows<T: Send + Default>(
        &self,
        texts: &[String],
        threads: usize,
        put: impl Fn(&[f32], &mut TokenRows<T>) + Sync,
    ) -> Result<TokenRows<T>, EncoderError> {
        let run = run(texts.len(), threads);
        let n = texts.len().div_ceil(run);
        let mut parts: Vec<TokenRows<T>> = (0..n).map(|_| TokenRows::default()).collect();
        let runs = texts.chunks(run).zip(&mut parts);
        self.each_run(runs, n, threads, |pass, (texts, part)| {
            self.each_pack(pass, texts, |pass, text, tokenized| {
                let rows = pass.rows(&self.model, text).chunks_exact(self.dim());
                for (row, &token) in
                    rows.zip(&tokenized.ids).take(tokenized.words.end).skip(tokenized.words.start)
                {
                    put(row, part);
                    part.tokens.push(token);
                }
                part.counts.push(tokenized.words.len());
            })
        })?;
        let mut all = TokenRows::default();
        parts.into_iter().for_each(|part| all.append(part));
        Ok(all)
    }

    /// Gives each run to the next idle one of some threads, this one among them.
    fn each_run<I: Send>(
        &self,
        runs: impl Iterator<Item = I> + Send,
        n: usize,
        threads: usize,
        work: impl Fn(&mut Pass, I) -> Result<(), EncoderError> + Sync,
    ) -> Result<(), EncoderError> {
        let runs = Mutex::new(runs);
        let failed = Mutex::new(None);
        let thread = || {
            let mut pass = self.borrow();
            loop {
                // Its lock is let go before the work begins.
                let next = runs.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(run) = next else { break };
                if let Err(error) = work(&mut pass, run) {
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    break;
                }
            }
            self.give_back(pass);
        };
        thread::scope(|scope| {
            for _ in 1..threads.min(n) {
                // Where the system gives no further thread, the others do the work.
                let _ = thread::Builder::new().spawn_scoped(scope, thread);
            }
            thread();
        });
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    /// Tokenizes texts, takes them through the model in packs, and calls `take` for each: with its number in the pack.
    fn each_pack(
        &self,
        pass: &mut Pass,
        texts: &[String],
        mut take: impl FnMut(&mut Pass, usize, &Tokenized),
    ) -> Result<(), EncoderError> {
        let mut pack: Vec<Tokenized> = Vec::new();
        let mut tokens = 0;
        for (i, text) in texts.iter().enumerate() {
            let tokenized = self.tokenizer.tokenize(text)?;
            self.truncated.fetch_add(u64::from(tokenized.truncated), Ordering::Relaxed);
            tokens += tokenized.ids.len();
            pack.push(tokenized);
            if tokens >= PACK || i + 1 == texts.len() {
                pass.run(&self.model, pack.iter().map(|tokenized| &*tokenized.ids));
                for (text, tokenized) in pack.iter().enumerate() {
                    take(pass, text, tokenized);
                }
                pack.clear();
                tokens = 0;
            }
        }
        Ok(())
    }

    /// Memory from an earlier call, or new. Never waits: a process that was forked in the middle of a call would wait forever.
    fn borrow(&self) -> Pass {
        let idle = self.idle.try_lock().ok().and_then(|mut idle| idle.pop());
        idle.unwrap_or_else(|| Pass::new(self.isa))
    }

    fn give_back(&self, pass: Pass) {
        if let Ok(mut idle) = self.idle.try_lock() {
            idle.push(pass);
        }
    }
}

/// How many texts are a run, where there are `n`.
fn run(n: usize, threads: usize) -> usize {
    n.div_ceil(threads.max(1)).clamp(1, RUN)
}
