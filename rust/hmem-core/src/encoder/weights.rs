//! Weights of other tools' models: the tensors of a safetensors file.

use std::fs;
use std::io;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use crate::error::EncoderError;

/// An array of numbers with a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its name in the file.
    pub name: String,
    /// How long each of its axes is, the slowest one first.
    pub shape: Vec<usize>,
    /// All of its numbers.
    pub values: Vec<f32>,
}

/// Reads the tensors of floats from a safetensors file, by name: 32 bits wide as they are, 16 bits (either kind) widened, which
/// is exact, 64 bits rounded. Those of any other type are left out: they are counters and masks, no weights.
///
/// The file is read, not mapped: a download that is still written to must not end the process.
///
/// # Errors
/// [`EncoderError`] if it cannot be read, or is no such file, or a damaged one.
pub fn read(path: &Path) -> Result<Vec<Tensor>, EncoderError> {
    let io = |source| EncoderError::Io { path: path.to_owned(), source };
    // Opening a pipe would wait for a writer.
    if !fs::metadata(path).map_err(io)?.is_file() {
        return Err(io(io::Error::new(io::ErrorKind::InvalidInput, "wanted a file")));
    }
    let bytes = fs::read(path).map_err(io)?;
    let wrong = |error| EncoderError::Model {
        path: path.to_owned(),
        reason: format!("wanted whole safetensors, got {} bytes: {error}", bytes.len()),
    };
    let mut tensors: Vec<Tensor> = SafeTensors::deserialize(&bytes)
        .map_err(wrong)?
        .iter()
        .filter_map(|(name, view)| {
            let values = floats(view.dtype(), view.data())?;
            Some(Tensor { name: name.to_owned(), shape: view.shape().to_vec(), values })
        })
        .collect();
    tensors.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(tensors)
}

/// Little-endian numbers as floats, or none if their type is none of ours.
fn floats(dtype: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F32 => each(data, f32::from_le_bytes),
        Dtype::F16 => each(data, |bytes| half(u16::from_le_bytes(bytes))),
        Dtype::BF16 => each(data, |bytes| f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)),
        #[allow(clippy::cast_possible_truncation, reason = "rounding is meant")]
        Dtype::F64 => each(data, |bytes| f64::from_le_bytes(bytes) as f32),
        _ => return None,
    })
}

fn each<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    data.as_chunks().0.iter().map(|&bytes| number(bytes)).collect()
}

/// What a half-precision number stands for: 1 bit of sign, 5 of exponent, 10 of fraction.
fn half(bits: u16) -> f32 {
    let (exponent, fraction) = (u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    let magnitude = match exponent {
        // Steps of 2^-24, without the leading one that larger numbers have.
        0 => fraction as f32 / 16_777_216.0,
        0x1f => f32::from_bits(0xff << 23 | fraction << 13),
        _ => f32::from_bits((exponent + 127 - 15) << 23 | fraction << 13),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_widened_exactly() {
        let known = [
            (0x0000, 0.0),
            (0x8000, -0.0),
            (0x0001, 2f32.powi(-24)),
            (0x03ff, 1023.0 * 2f32.powi(-24)),
            (0x0400, 2f32.powi(-14)),
            (0x3c00, 1.0),
            (0x3555, 0.333_251_95),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, value) in known {
            assert_eq!(half(bits).to_bits(), f32::to_bits(value), "{bits:#x}");
        }
        assert!(half(0x7e00).is_nan());
    }

    #[test]
    fn a_type_that_is_no_float_is_left_out() {
        assert_eq!(floats(Dtype::I64, &[0; 16]), None);
        assert_eq!(floats(Dtype::BF16, &[0x80, 0x3f, 0x00, 0xc0]), Some(vec![1.0, -2.0]));
        assert_eq!(floats(Dtype::F64, &0.1f64.to_le_bytes()), Some(vec![0.1]));
    }
}
