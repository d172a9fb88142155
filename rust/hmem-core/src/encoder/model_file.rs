//! A model's file: read once, checked, and held.
//!
//! `docs/encoder-file.md` draws the bytes. Nothing is believed that does not fit the file's length and the model's shape; then all
//! bytes are compared with their checksum. Embeddings stay in the file, mapped, since a text needs few of their rows. Matrices are
//! read into huge pages where there are some: every text needs all of them, and in small pages looking up where each lies costs a
//! tenth of a short text's time.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::head::{CHECKSUM, HEAD, SECTIONS, read_head};
use super::shape::Shape;
use crate::kernels::line::LINE;
use crate::kernels::memory::{Column, Lines, Map, Plain};
use crate::kernels::product::CHANNELS;
use crate::kernels::rotation::Rotation;
use crate::sections::{Fault, demand};

/// Those with the codes of matrices.
const MATRICES: [usize; 4] = [8, 11, 15, 18];

/// A product's matrix, its scales and what is added.
#[derive(Debug)]
pub struct Matrix {
    /// Inputs.
    pub width: usize,
    /// Panels of all layers, one after the other.
    codes: Column<i8>,
    scales: Column<f32>,
    bias: Column<f32>,
    /// Output channels of a layer.
    channels: usize,
    /// Where its channels begin among those of all products of a layer.
    sums_from: usize,
}

/// 32 channels of a matrix.
#[derive(Debug, Clone, Copy)]
pub struct Panel<'a> {
    /// As [`product`](crate::kernels::product) wants them.
    pub codes: &'a [i8],
    /// What a code stands for.
    pub scales: &'a [f32; CHANNELS],
    /// Added to the channel.
    pub bias: &'a [f32; CHANNELS],
    /// The sum of each channel's codes.
    pub sums: &'a [i32; CHANNELS],
}

/// A model that is ready to be used.
#[derive(Debug)]
pub struct Model {
    /// How large it is.
    pub shape: Shape,
    map: Arc<Map>,
    manifest: Range<usize>,
    tokenizer: Range<usize>,
    /// `[vocabulary][hidden]`.
    pub word_codes: Column<i8>,
    /// What a code of each row stands for.
    pub word_scales: Column<f32>,
    /// `[positions][hidden]`.
    pub positions: Column<f32>,
    /// Gamma and beta of the embeddings.
    pub input_norm: Column<f32>,
    /// Comes before rows as wide as vectors are multiplied.
    pub rotation: Rotation,
    /// Comes before the rows between the products of the feed-forward part are.
    pub inner_rotation: Rotation,
    /// Queries, keys and values.
    pub qkv: Matrix,
    /// Behind the attention.
    pub out: Matrix,
    /// Gamma and beta behind the attention, for each layer.
    pub attention_norm: Column<f32>,
    /// The first half of the feed-forward part.
    pub up: Matrix,
    /// The second half.
    pub down: Matrix,
    /// Gamma and beta behind the feed-forward part, for each layer.
    pub output_norm: Column<f32>,
    /// What is added to scores, for each head; empty for BERT.
    pub distance: Column<f32>,
    code_sums: Column<i32>,
}

impl Model {
    /// Opens a model's file.
    ///
    /// # Errors
    /// [`Fault`] if it cannot be read, or is not what it should be.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        demand(
            cfg!(target_endian = "little"),
            "order of bytes: models can be read where it is little-endian",
        )?;
        // A pipe would be waited for.
        demand(path.metadata()?.is_file(), "wanted a file")?;
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        demand(len >= HEAD as u64, format_args!("wanted {HEAD} bytes and more, got {len}"))?;
        let mut head = [0; HEAD];
        file.read_exact(&mut head)?;
        let (shape, places) = read_head(&head, len)?;
        let matrices = read_matrices(&mut file, &head, &places)?;
        Self::of(&Arc::new(Map::of(&file)?), &Arc::new(matrices), shape, &places)
    }

    fn of(
        map: &Arc<Map>,
        matrices: &Arc<Lines>,
        shape: Shape,
        places: &[Range<usize>; SECTIONS],
    ) -> Result<Self, Fault> {
        let h = shape.hidden;
        let mut at = 0;
        let mut matrix = |first: usize, width, channels, sums_from| -> Result<Matrix, Fault> {
            let codes = at..at + places[first].len();
            at = codes.end;
            let codes = Column::in_lines(matrices, codes);
            Ok(Matrix {
                width,
                codes: codes.ok_or_else(|| Fault::Wrong(format!("section {first}: it was not read")))?,
                scales: numbers(map, places, first + 1)?,
                bias: numbers(map, places, first + 2)?,
                channels,
                sums_from,
            })
        };
        let [qkv, out] = [matrix(8, h, 3 * h, 0)?, matrix(11, h, h, 3 * h)?];
        let up = matrix(15, h, shape.inner, 4 * h)?;
        let down = matrix(18, shape.inner, h, 4 * h + shape.inner)?;
        Ok(Self {
            manifest: places[0].clone(),
            tokenizer: places[1].clone(),
            word_codes: column(map, places, 2)?,
            word_scales: numbers(map, places, 3)?,
            positions: numbers(map, places, 4)?,
            input_norm: numbers(map, places, 5)?,
            rotation: Rotation::of_blocks(&column::<i8>(map, places, 6)?, shape.block),
            inner_rotation: Rotation::of_blocks(&column::<i8>(map, places, 7)?, shape.inner_block),
            qkv,
            out,
            attention_norm: numbers(map, places, 14)?,
            up,
            down,
            output_norm: numbers(map, places, 21)?,
            distance: padded(&shape, &numbers(map, places, 22)?),
            code_sums: column(map, places, 23)?,
            map: Arc::clone(map),
            shape,
        })
    }

    /// What it is, as JSON.
    #[must_use]
    pub fn manifest(&self) -> &[u8] {
        &self.map[self.manifest.clone()]
    }

    /// Its `tokenizer.json`.
    #[must_use]
    pub fn tokenizer(&self) -> &[u8] {
        &self.map[self.tokenizer.clone()]
    }

    /// The panels of a matrix in a layer.
    pub fn panels<'a>(
        &'a self,
        matrix: &'a Matrix,
        layer: usize,
    ) -> impl ExactSizeIterator<Item = Panel<'a>> {
        let (n, size) = (matrix.channels, matrix.channels * matrix.width);
        let of_layer = |numbers: &'a [f32]| numbers[layer * n..(layer + 1) * n].as_chunks().0.iter();
        let sums = layer * self.shape.channels() + matrix.sums_from;
        let sums = self.code_sums[sums..sums + n].as_chunks().0.iter();
        matrix.codes[layer * size..(layer + 1) * size]
            .chunks_exact(CHANNELS * matrix.width)
            .zip(of_layer(&matrix.scales))
            .zip(of_layer(&matrix.bias))
            .zip(sums)
            .map(|(((codes, scales), bias), sums)| Panel { codes, scales, bias, sums })
    }

    /// Bytes of the file.
    #[must_use]
    pub fn nbytes(&self) -> usize {
        self.map.len()
    }
}

fn column<T: Plain>(map: &Arc<Map>, places: &[Range<usize>], section: usize) -> Result<Column<T>, Fault> {
    Column::in_map(map, places[section].clone())
        .ok_or_else(|| Fault::Wrong(format!("section {section}: it lies outside of the file")))
}

/// A section of numbers, all of which must be finite: one that is not would spread to all vectors.
fn numbers(map: &Arc<Map>, places: &[Range<usize>], section: usize) -> Result<Column<f32>, Fault> {
    let column: Column<f32> = column(map, places, section)?;
    demand(
        column.iter().all(|number| number.is_finite()),
        format_args!("section {section}: wanted finite numbers"),
    )?;
    Ok(column)
}

/// With sixteen zeros behind each head's numbers, see [`Attention::distance`](crate::kernels::transformer::Attention::distance).
fn padded(shape: &Shape, distance: &[f32]) -> Column<f32> {
    let of_head = 2 * shape.max_length - 1;
    distance.chunks_exact(of_head).flat_map(|head| head.iter().copied().chain([0.0; 16])).collect()
}

/// Reads the matrices, one after the other, and compares all of the file with its checksum. The file stands behind its head.
fn read_matrices(file: &mut File, head: &[u8], places: &[Range<usize>]) -> Result<Lines, Fault> {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[..CHECKSUM.start]);
    hasher.update(&head[CHECKSUM.end..]);
    let matrices = MATRICES.map(|section| places[section].clone());
    let bytes: usize = matrices.iter().map(ExactSizeIterator::len).sum();
    let mut lines = Lines::zeroed(bytes.div_ceil(LINE));
    let mut rest = lines.bytes_mut();
    let mut at = head.len();
    for matrix in matrices {
        pass_over(file, matrix.start - at, &mut hasher)?;
        let (own, behind) = rest.split_at_mut(matrix.len());
        file.read_exact(own)?;
        hasher.update(own);
        (at, rest) = (matrix.end, behind);
    }
    let len = places.last().map_or(at, |last| last.end);
    pass_over(file, len - at, &mut hasher)?;
    let (wanted, got) = (u32::from_le_bytes([head[24], head[25], head[26], head[27]]), hasher.finalize());
    demand(wanted == got, format_args!("checksum: wanted {wanted:08x}, got {got:08x}"))?;
    Ok(lines)
}

/// Reads so many bytes for their checksum alone.
fn pass_over(file: &mut File, n: usize, hasher: &mut crc32fast::Hasher) -> Result<(), Fault> {
    let mut buffer = vec![0; n.min(1 << 18)];
    let mut left = n;
    while left > 0 {
        let part = left.min(buffer.len());
        file.read_exact(&mut buffer[..part])?;
        hasher.update(&buffer[..part]);
        left -= part;
    }
    Ok(())
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use super::*;
    use crate::encoder::head::{FIXED, mend};
    use crate::encoder::sample;
    use crate::encoder::shape::Architecture;
    use proptest::prelude::*;
    use std::io::Write;

    fn open(bytes: &[u8]) -> Result<Model, Fault> {
        static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("hmem-model-{}-{number}", std::process::id()));
        File::create(&path).and_then(|mut file| file.write_all(bytes)).unwrap();
        let model = Model::open(&path);
        std::fs::remove_file(&path).unwrap();
        model
    }

    fn small(architecture: Architecture) -> Vec<u8> {
        sample::model(&sample::shape(architecture), 1)
    }

    fn reason(bytes: &[u8]) -> String {
        open(bytes).unwrap_err().to_string()
    }

    #[test]
    fn a_file_is_opened_as_it_was_made() {
        for architecture in [Architecture::Bert, Architecture::Mpnet] {
            let model = open(&small(architecture)).unwrap();
            assert_eq!(model.shape, sample::shape(architecture));
            assert_eq!(model.panels(&model.qkv, 1).len(), 3 * model.shape.hidden / CHANNELS);
            for panel in model.panels(&model.down, 1) {
                for (c, &sum) in panel.sums.iter().enumerate() {
                    let codes = panel.codes.iter().skip(4 * c).step_by(4 * CHANNELS);
                    let firsts: i32 = codes.map(|&code| i32::from(code)).sum();
                    assert!((sum - firsts).abs() <= 3 * 127 * 192 / 4, "{sum} {firsts}");
                }
            }
        }
    }

    #[test]
    fn each_damage_is_told() {
        let whole = small(Architecture::Mpnet);
        for len in (0..whole.len()).step_by(997).chain([0, 7, 8, 127, 128, whole.len() - 1]) {
            assert!(open(&whole[..len]).is_err(), "cut to {len}");
        }
        for at in (0..whole.len()).step_by(331).chain(0..HEAD) {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            assert!(open(&flipped).is_err(), "byte {at}");
        }
        assert!(reason(&[&whole[..], &[0]].concat()).starts_with("length: wanted"));
        assert!(reason(b"PK").starts_with("wanted 512 bytes"));
    }

    #[test]
    fn what_is_wrong_is_named_even_where_the_checksum_fits() {
        let whole = small(Architecture::Bert);
        let with = |at: usize, bytes: &[u8]| {
            let mut file = whole.clone();
            file[at..at + bytes.len()].copy_from_slice(bytes);
            mend(&mut file);
            reason(&file)
        };
        let number = |number: u32| number.to_le_bytes();
        assert!(with(0, b"NOTAMODL").starts_with("first bytes: wanted \"HMEMBERT\", got \"NOTAMODL\""));
        assert!(with(8, &number(2)).starts_with("format version: wanted 1, got 2"));
        assert!(with(28, &number(2)).starts_with("architecture: wanted 0 to 1, got 2"));
        assert!(with(32, &number(0)).starts_with("layers: wanted 1 to"));
        assert!(with(36, &number(3)).starts_with("heads: wanted heads"));
        assert!(with(40, &number(100)).starts_with("width: wanted a multiple of 64"));
        assert!(with(44, &number(u32::MAX)).starts_with("inner width: wanted"));
        assert!(with(56, &number(41)).starts_with("tokens of a text: wanted 3 to 40, got 41"));
        assert!(with(68, &f32::NAN.to_le_bytes()).starts_with("epsilon"));
        assert!(with(72, &number(0)).starts_with("blocks of the width"));
        assert!(with(48, &number(54)).starts_with("section 2: wanted"));
        assert!(with(FIXED + 16 * 3, &[1]).starts_with("section 3: wanted it at"));
        assert!(with(FIXED + 8, &u64::MAX.to_le_bytes()).starts_with("section 0: wanted at most"));
        let place = u64::from_le_bytes(whole[FIXED + 16 * 9..FIXED + 16 * 9 + 8].try_into().unwrap());
        let at = usize::try_from(place).unwrap();
        assert!(with(at, &f32::INFINITY.to_le_bytes()).starts_with("section 9: wanted finite numbers"));
    }

    proptest! {
        /// Forged heads, checksums mended: refused or opened, never a panic.
        #[test]
        fn nothing_in_a_head_makes_it_panic(
            changes in prop::collection::vec((0..HEAD, any::<u8>()), 1..6),
        ) {
            let mut file = small(Architecture::Mpnet);
            for (at, byte) in changes {
                file[at] = byte;
            }
            mend(&mut file);
            if let Ok(model) = open(&file) {
                prop_assert!(model.shape.check().is_ok());
            }
        }
    }
}
