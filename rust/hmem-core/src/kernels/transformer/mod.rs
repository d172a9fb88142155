//! What a transformer computes in float32 between its 8-bit products.
//!
//! Written once, over [`Sixteen`](super::sixteen), so that all instruction sets give the same bits. Every row of a text is computed
//! from that text alone, by operations whose order depends on nothing else: so a text has the same bits whatever stands beside it.

mod attention;
#[doc(hidden)]
pub mod checks;
mod finish;
mod function;
mod norm;
mod row;

pub use attention::{Attention, Scratch, attend};
pub use finish::{Finish, add_product, product, product_gelu, product_relu};
pub use norm::{normalise, unit};
pub use row::{add_row, embed, quantise};

use super::sixteen::LANES;

/// Numbers of a part of a row that a panel of a product makes.
pub const PART: usize = super::product::CHANNELS;

/// The whole registers of a row whose width is a multiple of 64.
#[inline(always)]
fn lanes(row: &[f32]) -> &[[f32; LANES]] {
    row.as_chunks().0
}

/// As [`lanes`].
#[inline(always)]
fn lanes_mut(row: &mut [f32]) -> &mut [[f32; LANES]] {
    row.as_chunks_mut().0
}
