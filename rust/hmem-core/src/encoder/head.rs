//! What stands before a model's sections: its shape, and where they lie.

use std::ops::Range;

use super::shape::{Activation, Architecture, Pooling, Shape};
use crate::sections::{Fault, demand};

const MAGIC: [u8; 8] = *b"HMEMBERT";
const VERSION: u32 = 1;

/// Bytes before the table.
pub(super) const FIXED: usize = 128;

/// Where the checksum of all other bytes stands.
pub(super) const CHECKSUM: Range<usize> = 24..28;

/// Sections begin at multiples of it.
const ALIGN: u64 = 64;

/// Sections of a file.
pub(super) const SECTIONS: usize = 24;

/// Bytes of a head, with its table.
pub(super) const HEAD: usize = FIXED + 16 * SECTIONS;

/// The shape, and where the sections lie.
pub(super) fn read_head(bytes: &[u8], len: u64) -> Result<(Shape, [Range<usize>; SECTIONS]), Fault> {
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
    let count = |at: usize| word(at) as usize;
    let (own, wanted) = (bytes[..8].escape_ascii(), MAGIC.escape_ascii());
    demand(bytes[..8] == MAGIC, format_args!("first bytes: wanted \"{wanted}\", got \"{own}\""))?;
    demand(word(8) == VERSION, format_args!("format version: wanted {VERSION}, got {}", word(8)))?;
    demand(count(12) == SECTIONS, format_args!("number of sections: wanted {SECTIONS}, got {}", word(12)))?;
    demand(long(16) == len, format_args!("length: wanted {} bytes, got {len}", long(16)))?;
    let shape = Shape {
        architecture: one_of(word(28), "architecture", [Architecture::Bert, Architecture::Mpnet])?,
        layers: count(32),
        heads: count(36),
        hidden: count(40),
        inner: count(44),
        vocabulary: count(48),
        positions: count(52),
        max_length: count(56),
        pooling: one_of(word(60), "pooling", [Pooling::Mean, Pooling::Cls])?,
        activation: one_of(word(64), "activation", [Activation::Gelu, Activation::Relu])?,
        epsilon: f32::from_bits(word(68)),
        block: count(72),
        inner_block: count(76),
    };
    shape.check()?;
    usize::try_from(len).map_err(|_| Fault::new("length", "what fits memory", len))?;
    let mut end = HEAD as u64;
    let mut places = [const { 0..0 }; SECTIONS];
    for (section, (place, wanted)) in places.iter_mut().zip(lengths(&shape)).enumerate() {
        let at = FIXED + 16 * section;
        let (offset, own) = (long(at), long(at + 8));
        if let Some(wanted) = wanted {
            demand(own == wanted, format_args!("section {section}: wanted {wanted} bytes, got {own}"))?;
        }
        let start = end.next_multiple_of(ALIGN);
        demand(offset == start, format_args!("section {section}: wanted it at {start}, got {offset}"))?;
        end = start.checked_add(own).filter(|&end| end <= len).ok_or_else(|| {
            Fault::Wrong(format!(
                "section {section}: wanted at most {} bytes, got {own}",
                len - start.min(len)
            ))
        })?;
        // Both lie in the file, whose length fits.
        #[allow(clippy::cast_possible_truncation, reason = "see above")]
        let range = start as usize..end as usize;
        *place = range;
    }
    demand(end == len, format_args!("length: wanted {end} bytes by the table, got {len}"))?;
    Ok((shape, places))
}

fn one_of<T: Copy, const N: usize>(got: u32, name: &str, all: [T; N]) -> Result<T, Fault> {
    all.get(got as usize).copied().ok_or_else(|| Fault::new(name, format_args!("0 to {}", N - 1), got))
}

/// Bytes of each section; `None` where any number will do.
fn lengths(shape: &Shape) -> [Option<u64>; SECTIONS] {
    let [h, i, l] = [shape.hidden as u64, shape.inner as u64, shape.layers as u64];
    let (v, p) = (shape.vocabulary as u64, shape.positions as u64);
    let distances = match shape.architecture {
        Architecture::Bert => 0,
        Architecture::Mpnet => shape.heads as u64 * (2 * shape.max_length as u64 - 1),
    };
    let of_matrix = |n: u64, k: u64| [n * k * l, 4 * n * l, 4 * n * l].map(Some);
    let ([a, b, c], [d, e, f]) = (of_matrix(3 * h, h), of_matrix(h, h));
    let ([m, n, o], [q, r, s]) = (of_matrix(i, h), of_matrix(h, i));
    let norm = Some(4 * 2 * h * l);
    [
        None,
        None,
        Some(v * h),
        Some(4 * v),
        Some(4 * p * h),
        Some(4 * 2 * h),
        Some(h),
        Some(i),
        a,
        b,
        c,
        d,
        e,
        f,
        norm,
        m,
        n,
        o,
        q,
        r,
        s,
        norm,
        Some(4 * distances),
        Some(4 * l * (5 * h + i)),
    ]
}

/// A file with these sections, in their order.
pub(super) fn file_of(shape: &Shape, sections: &[Vec<u8>; SECTIONS]) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    file.extend([VERSION.to_le_bytes(), count(SECTIONS)].concat());
    // The length and the checksum come in the end.
    file.resize(28, 0);
    file.extend((shape.architecture as u32).to_le_bytes());
    let counts = [shape.layers, shape.heads, shape.hidden, shape.inner];
    let rows = [shape.vocabulary, shape.positions, shape.max_length];
    file.extend(counts.into_iter().chain(rows).flat_map(count));
    file.extend([shape.pooling as u32, shape.activation as u32].into_iter().flat_map(u32::to_le_bytes));
    file.extend(shape.epsilon.to_le_bytes());
    file.extend([shape.block, shape.inner_block].into_iter().flat_map(count));
    file.resize(HEAD, 0);
    for (section, bytes) in sections.iter().enumerate() {
        file.resize(file.len().next_multiple_of(64), 0);
        let at = FIXED + 16 * section;
        let place = [file.len() as u64, bytes.len() as u64].map(u64::to_le_bytes).concat();
        file[at..at + 16].copy_from_slice(&place);
        file.extend(bytes);
    }
    let len = (file.len() as u64).to_le_bytes();
    file[16..24].copy_from_slice(&len);
    mend(&mut file);
    file
}

/// Makes the checksum of a file fit its bytes.
pub(super) fn mend(file: &mut [u8]) {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&file[..CHECKSUM.start]);
    hasher.update(&file[CHECKSUM.end..]);
    file[CHECKSUM].copy_from_slice(&hasher.finalize().to_le_bytes());
}
