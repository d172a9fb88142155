//! Text to vectors, by transformers of BERT's kind with 8-bit weights.
//!
//! [`tokenizer`]: text to tokens. [`shape`]: how large a model is. [`model_file`]: its bytes. [`forward`]: from tokens to the rows
//! of the last layer. [`text_encoder`]: all of it, over threads. `docs/encoder-file.md` draws the file. [`weights`]: those of
//! other tools' models, which an export starts from.

pub mod forward;
mod head;
pub mod model_file;
#[doc(hidden)]
pub mod sample;
pub mod shape;
pub mod text_encoder;
pub mod tokenizer;
pub mod weights;
mod word_pieces;
