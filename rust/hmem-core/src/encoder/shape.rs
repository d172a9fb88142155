//! How large a model is, and how its parts go together.

use crate::kernels::product::CHANNELS;
use crate::sections::{Fault, demand};

/// Which kind of transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Positions are added to embeddings.
    Bert,
    /// The same, and scores depend on how far two tokens are apart.
    Mpnet,
}

/// How rows of tokens become one row of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// The first of them.
    Cls,
}

/// What stands between the two products of a feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x Φ(x)`.
    Gelu,
    /// `max(x, 0)`.
    Relu,
}

/// A model's numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Which kind.
    pub architecture: Architecture,
    /// Layers.
    pub layers: usize,
    /// Heads of a layer.
    pub heads: usize,
    /// Width of rows, and of vectors.
    pub hidden: usize,
    /// Width between the two products of a feed-forward part.
    pub inner: usize,
    /// Rows of embeddings.
    pub vocabulary: usize,
    /// Rows of positions.
    pub positions: usize,
    /// Most tokens of a text, special ones included.
    pub max_length: usize,
    /// How rows are pooled.
    pub pooling: Pooling,
    /// What stands in the feed-forward part.
    pub activation: Activation,
    /// Added to variances.
    pub epsilon: f32,
    /// Numbers of a block that is rotated, in rows of [`hidden`](Self::hidden).
    pub block: usize,
    /// As [`block`](Self::block), in rows of [`inner`](Self::inner).
    pub inner_block: usize,
}

/// No model has more of anything: products of a few such numbers fit 64 bits.
const MOST: usize = 1 << 20;

/// Widths above that could overflow the sums of a product.
const WIDEST: usize = 1 << 15;

impl Shape {
    /// Refuses what no model can be computed with.
    ///
    /// # Errors
    /// [`Fault::Wrong`] naming the number.
    pub fn check(&self) -> Result<(), Fault> {
        let counts = [
            ("layers", self.layers),
            ("heads", self.heads),
            ("rows of embeddings", self.vocabulary),
            ("rows of positions", self.positions),
        ];
        for (name, count) in counts {
            demand((1..=MOST).contains(&count), format_args!("{name}: wanted 1 to {MOST}, got {count}"))?;
        }
        demand(
            (3..=self.positions).contains(&self.max_length),
            format_args!("tokens of a text: wanted 3 to {}, got {}", self.positions, self.max_length),
        )?;
        demand(self.epsilon.is_finite() && self.epsilon > 0.0, "epsilon: wanted a positive number")?;
        for (name, width, block) in
            [("width", self.hidden, self.block), ("inner width", self.inner, self.inner_block)]
        {
            demand(
                width.is_multiple_of(64) && (64..=WIDEST).contains(&width),
                format_args!("{name}: wanted a multiple of 64 up to {WIDEST}, got {width}"),
            )?;
            demand(
                block.is_power_of_two() && block >= 64 && width.is_multiple_of(block),
                format_args!(
                    "blocks of the {name}: wanted a power of two from 64 on that divides {width}, got {block}"
                ),
            )?;
        }
        demand(
            self.hidden.is_multiple_of(self.heads * CHANNELS),
            format_args!(
                "heads: wanted heads of a multiple of {CHANNELS} numbers, got {} in {}",
                self.heads, self.hidden
            ),
        )
    }

    /// Output channels of all products of a layer.
    #[must_use]
    pub fn channels(&self) -> usize {
        3 * self.hidden + self.hidden + self.inner + self.hidden
    }
}
