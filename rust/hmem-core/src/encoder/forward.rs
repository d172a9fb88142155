//! From tokens to the rows of the last layer.
//!
//! Several texts go through together, one row a token: a product needs each matrix once for all of them. Attention keeps to a text's
//! own rows, and all else keeps to a row, so that a text has the same bits alone and among any others.

use super::model_file::{Matrix, Model};
use super::shape::{Activation, Pooling};
use crate::kernels::isa::Isa;
use crate::kernels::product::{CHANNELS, Factor, ROWS, Sums};
use crate::kernels::rotation::Rotation;
use crate::kernels::transformer::{
    Attention, Finish, PART, Scratch, add_product, add_row, attend, embed, normalise, product, product_gelu,
    product_relu, quantise, unit,
};

/// Rows that pass the feed-forward part at once: what stands between its products should stay in a near cache.
const CHUNK: usize = 4 * ROWS;

/// Memory for passes through a model, kept from text to text.
#[derive(Debug)]
pub struct Pass {
    isa: Isa,
    /// The residual rows.
    hidden: Vec<f32>,
    /// Queries, keys and values, part by part.
    qkv: Vec<f32>,
    /// What tokens attend to.
    context: Vec<f32>,
    /// Rows between the products of the feed-forward part.
    inner: Vec<f32>,
    input: Input,
    attention: Scratch,
    /// Where texts begin, and where the last one ends.
    starts: Vec<usize>,
}

/// Rows that are multiplied next.
#[derive(Debug)]
struct Input {
    factor: Factor,
    /// What an integer of each row stands for.
    scales: Vec<f32>,
    /// A rotated row.
    row: Vec<f32>,
}

impl Input {
    /// Takes rows, rotated and as integers.
    fn set(&mut self, isa: Isa, rotation: &Rotation, rows: &[f32], width: usize) {
        let own = &mut self.row;
        self.scales.clear();
        self.factor.set(rows.len() / width, width, |bytes| {
            for (row, bytes) in rows.chunks_exact(width).zip(bytes.chunks_exact_mut(width)) {
                own.clear();
                own.extend_from_slice(row);
                rotation.apply(isa, own);
                self.scales.push(quantise(isa, own, bytes));
            }
        });
    }

    /// As [`set`](Self::set), of rows that nobody needs afterwards.
    fn take(&mut self, isa: Isa, rotation: &Rotation, rows: &mut [f32], width: usize) {
        self.scales.clear();
        self.factor.set(rows.len() / width, width, |bytes| {
            for (row, bytes) in rows.chunks_exact_mut(width).zip(bytes.chunks_exact_mut(width)) {
                rotation.apply(isa, row);
                self.scales.push(quantise(isa, row, bytes));
            }
        });
    }
}

/// How a tile is finished.
type Write = fn(Isa, &[[i32; CHANNELS]], Finish<'_>, &mut [f32]);

impl Pass {
    /// Ready for any model.
    #[must_use]
    pub fn new(isa: Isa) -> Self {
        Self {
            isa,
            hidden: Vec::new(),
            qkv: Vec::new(),
            context: Vec::new(),
            inner: Vec::new(),
            input: Input { factor: Factor::new(isa), scales: Vec::new(), row: Vec::new() },
            attention: Scratch::default(),
            starts: Vec::new(),
        }
    }

    /// Computes the rows of all tokens of some texts, which stay until the next call.
    ///
    /// # Panics
    /// If a text has no token, or more than the model takes, or one that it does not know.
    pub fn run<'t>(&mut self, model: &Model, texts: impl IntoIterator<Item = &'t [u32]>) {
        self.embed(model, texts);
        let h = model.shape.hidden;
        let m = self.hidden.len() / h;
        for layer in 0..model.shape.layers {
            let of_layer = 2 * h * layer..2 * h * (layer + 1);
            self.attend(model, layer, m);
            self.normalise(model, &model.attention_norm[of_layer.clone()]);
            self.feed_forward(model, layer);
            self.normalise(model, &model.output_norm[of_layer]);
        }
    }

    /// The rows of a text of the last run.
    #[must_use]
    pub fn rows(&self, model: &Model, text: usize) -> &[f32] {
        let h = model.shape.hidden;
        &self.hidden[self.starts[text] * h..self.starts[text + 1] * h]
    }

    /// The vector of a text of the last run: pooled, of unit length.
    pub fn vector(&mut self, model: &Model, text: usize, out: &mut [f32]) {
        let h = model.shape.hidden;
        let (start, end) = (self.starts[text], self.starts[text + 1]);
        let rows = match model.shape.pooling {
            Pooling::Mean => &self.hidden[start * h..end * h],
            Pooling::Cls => &self.hidden[start * h..(start + 1) * h],
        };
        let sum = &mut self.input.row;
        sum.clear();
        sum.resize(h, 0.0);
        for row in rows.chunks_exact(h) {
            add_row(self.isa, row, sum);
        }
        // A mean has the direction of a sum.
        unit(self.isa, sum, out);
    }

    fn embed<'t>(&mut self, model: &Model, texts: impl IntoIterator<Item = &'t [u32]>) {
        let h = model.shape.hidden;
        self.starts.clear();
        self.starts.push(0);
        self.hidden.clear();
        for tokens in texts {
            assert!((1..=model.shape.max_length).contains(&tokens.len()), "{} tokens", tokens.len());
            for (&token, position) in tokens.iter().zip(model.positions.chunks_exact(h)) {
                let at = self.hidden.len();
                self.hidden.resize(at + h, 0.0);
                let token = token as usize;
                let (codes, scale) =
                    (&model.word_codes[token * h..(token + 1) * h], model.word_scales[token]);
                embed(self.isa, codes, scale, position, &mut self.hidden[at..]);
            }
            self.starts.push(self.hidden.len() / h);
        }
        self.normalise(model, &model.input_norm);
    }

    /// `norm` is gamma, then beta.
    fn normalise(&mut self, model: &Model, norm: &[f32]) {
        let (gamma, beta) = norm.split_at(model.shape.hidden);
        for row in self.hidden.chunks_exact_mut(model.shape.hidden) {
            normalise(self.isa, row, gamma, beta, model.shape.epsilon);
        }
    }

    fn attend(&mut self, model: &Model, layer: usize, m: usize) {
        let (shape, isa) = (&model.shape, self.isa);
        self.input.set(isa, &model.rotation, &self.hidden, shape.hidden);
        self.qkv.resize(3 * m * shape.hidden, 0.0);
        multiply(model, &model.qkv, layer, isa, &self.input, Out::Parts(m), product, &mut self.qkv);
        self.context.resize(m * shape.hidden, 0.0);
        for text in self.starts.windows(2) {
            let attention = Attention {
                qkv: &self.qkv,
                rows: m,
                first: text[0],
                tokens: text[1] - text[0],
                heads: shape.heads,
                parts: shape.hidden / shape.heads / PART,
                distance: &model.distance,
                farthest: shape.max_length - 1,
            };
            let out = &mut self.context[text[0] * shape.hidden..text[1] * shape.hidden];
            attend(isa, attention, &mut self.attention, out);
        }
        self.input.take(isa, &model.rotation, &mut self.context, shape.hidden);
        let out = Out::Rows(shape.hidden);
        multiply(model, &model.out, layer, isa, &self.input, out, add_product, &mut self.hidden);
    }

    fn feed_forward(&mut self, model: &Model, layer: usize) {
        let (shape, isa) = (&model.shape, self.isa);
        let write: Write = match shape.activation {
            Activation::Gelu => product_gelu,
            Activation::Relu => product_relu,
        };
        for rows in self.hidden.chunks_mut(CHUNK * shape.hidden) {
            self.inner.resize(rows.len() / shape.hidden * shape.inner, 0.0);
            self.input.set(isa, &model.rotation, rows, shape.hidden);
            multiply(
                model,
                &model.up,
                layer,
                isa,
                &self.input,
                Out::Rows(shape.inner),
                write,
                &mut self.inner,
            );
            self.input.take(isa, &model.inner_rotation, &mut self.inner, shape.inner);
            multiply(model, &model.down, layer, isa, &self.input, Out::Rows(shape.hidden), add_product, rows);
        }
    }
}

/// How a product's output lies.
#[derive(Clone, Copy)]
enum Out {
    /// Rows of this width.
    Rows(usize),
    /// The rows of a panel, then those of the next one: so many rows each.
    Parts(usize),
}

/// Multiplies all rows of `input` with a matrix.
#[allow(clippy::too_many_arguments, reason = "what a product needs")]
fn multiply(
    model: &Model,
    matrix: &Matrix,
    layer: usize,
    isa: Isa,
    input: &Input,
    out: Out,
    write: Write,
    to: &mut [f32],
) {
    let m = input.scales.len();
    let mut sums: Sums = [[0; CHANNELS]; ROWS];
    for (number, panel) in model.panels(matrix, layer).enumerate() {
        let (start, stride) = match out {
            Out::Rows(width) => (number * CHANNELS, width),
            Out::Parts(rows) => (number * rows * PART, PART),
        };
        let tiles = m.div_ceil(ROWS);
        let mut first = 0;
        for tile in 0..tiles {
            // Tiles of nearly the same number of rows, larger ones first.
            let rows = m / tiles + usize::from(tile < m % tiles);
            input.factor.tile(first, rows, panel.codes, panel.sums, &mut sums);
            let finish = Finish {
                row_scales: &input.scales[first..first + rows],
                scales: panel.scales,
                bias: panel.bias,
                stride,
            };
            write(isa, &sums[..rows], finish, &mut to[start + first * stride..]);
            first += rows;
        }
    }
}

/// The checks of whole passes, callable from a plain program (see `examples/check_kernels.rs`).
#[doc(hidden)]
pub mod checks {
    use super::{Isa, Model, Pass};
    use crate::kernels::random::Random;

    /// Texts of random tokens, of all lengths that a model takes.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "small numbers")]
    pub fn texts(model: &Model, seed: u64) -> Vec<Vec<u32>> {
        let mut random = Random::new(seed);
        let mut below = |n: usize| (random.next_u64() % n as u64) as usize;
        let lengths: Vec<usize> = (1..=model.shape.max_length).collect();
        lengths.iter().map(|&n| (0..n).map(|_| below(model.shape.vocabulary) as u32).collect()).collect()
    }

    /// The bits of each text's vector, computed together.
    #[must_use]
    pub fn vectors(model: &Model, isa: Isa, texts: &[Vec<u32>]) -> Vec<Vec<u32>> {
        let mut pass = Pass::new(isa);
        pass.run(model, texts.iter().map(|text| &text[..]));
        let mut vector = |text| {
            let mut out = vec![0.0; model.shape.hidden];
            pass.vector(model, text, &mut out);
            out.into_iter().map(f32::to_bits).collect()
        };
        (0..texts.len()).map(&mut vector).collect()
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use super::*;
    use crate::encoder::sample;
    use crate::encoder::shape::Architecture;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static MODELS: LazyLock<[Model; 2]> = LazyLock::new(|| {
        [Architecture::Bert, Architecture::Mpnet].map(|architecture| {
            let path =
                std::env::temp_dir().join(format!("hmem-pass-{}-{architecture:?}", std::process::id()));
            std::fs::write(&path, sample::model(&sample::shape(architecture), 3)).unwrap();
            let model = Model::open(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            model
        })
    });

    #[test]
    fn all_sets_give_the_same_bits() {
        for model in &*MODELS {
            let texts = checks::texts(model, 1);
            let wanted = checks::vectors(model, Isa::Scalar, &texts);
            for isa in Isa::available() {
                assert_eq!(
                    checks::vectors(model, isa, &texts),
                    wanted,
                    "{isa:?}, {:?}",
                    model.shape.architecture
                );
            }
        }
    }

    #[test]
    fn vectors_have_unit_length_and_differ() {
        for model in &*MODELS {
            let vectors = checks::vectors(model, Isa::Scalar, &checks::texts(model, 2));
            for (i, vector) in vectors.iter().enumerate() {
                let length: f64 = vector.iter().map(|&bits| f64::from(f32::from_bits(bits)).powi(2)).sum();
                assert!((length - 1.0).abs() < 1e-5, "{length}");
                assert!(!vectors[..i].contains(vector));
            }
        }
    }

    #[test]
    fn the_order_of_tokens_counts() {
        for model in &*MODELS {
            let there: Vec<u32> = (3..15).collect();
            let back: Vec<u32> = there.iter().rev().copied().collect();
            let vectors = checks::vectors(model, Isa::Scalar, &[there, back]);
            assert_ne!(vectors[0], vectors[1]);
        }
    }

    proptest! {
        /// A text has the same bits alone and among any others, also where memory was used before.
        #[test]
        fn company_does_not_show(which in prop::collection::vec(0usize..40, 1..9), mpnet in any::<bool>()) {
            let model = &MODELS[usize::from(mpnet)];
            let all = checks::texts(model, 4);
            let isa = *Isa::available().last().unwrap();
            let chosen: Vec<Vec<u32>> = which.iter().map(|&i| all[i].clone()).collect();
            let together = checks::vectors(model, isa, &chosen);
            for (text, vector) in chosen.iter().zip(&together) {
                prop_assert_eq!(&checks::vectors(model, isa, std::slice::from_ref(text))[0], vector);
            }
        }
    }
}
