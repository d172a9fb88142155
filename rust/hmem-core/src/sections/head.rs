//! What stands before the sections: counts, the table of sections, checksums.

use std::io::Read;

use super::kind::PAGE;
use super::preamble::{self, Fields};
use super::{Fault, Kind, demand};

const MAGIC: [u8; 8] = *b"HMEMVECS";

/// Bytes before the table.
const FIXED: usize = 128;

/// The head's checksum stands in the last four of them.
const CHECKSUM_AT: usize = FIXED - 4;

/// Bytes of the table for each section.
const ENTRY: usize = 24;

/// Bytes that share a checksum.
pub(super) const BLOCK: u64 = 1 << 20;

/// How much a segment has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Memories, dead ones included.
    pub memories: usize,
    /// Their keys.
    pub keys: usize,
    /// Width of a key.
    pub dim: usize,
    /// Different words.
    pub words: usize,
}

/// What tells a file from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Its bytes.
    pub len: u64,
    /// The checksum of its head, in which the checksums of all its blocks stand.
    pub checksum: u32,
}

/// Where a section lies, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// The head of a file.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) counts: Counts,
    /// One for each of [`Kind::ALL`].
    pub(super) places: Vec<Place>,
    /// Where the sections begin.
    pub(super) len: u64,
    pub(super) file_len: u64,
    /// Of each block of sections.
    pub(super) blocks: Vec<u32>,
}

impl Head {
    /// Lays out sections of these lengths; the checksums are still to come. `None` for sizes that no file has.
    pub(super) fn lay_out(counts: Counts, lens: &[u64]) -> Option<Self> {
        // How long the head is depends on how long the sections are, from wherever they begin: that is on a page.
        let (_, data_len) = places(0, lens)?;
        let n_blocks = data_len.div_ceil(BLOCK);
        let bytes = n_blocks.checked_mul(4)?.checked_add((FIXED + ENTRY * lens.len()) as u64)?;
        let len = bytes.checked_next_multiple_of(PAGE)?;
        let (places, file_len) = places(len, lens)?;
        Some(Self { counts, places, len, file_len, blocks: Vec::new() })
    }

    /// Its bytes, and what tells its file from others.
    pub(super) fn to_bytes(&self) -> (Vec<u8>, Identity) {
        let mut bytes = preamble::preamble(MAGIC);
        let count = |n: usize| n as u64;
        let Counts { memories, keys, dim, words } = self.counts;
        bytes.extend((Kind::ALL.len() as u32).to_ne_bytes());
        for number in [self.file_len, self.len, count(memories), count(keys), count(dim), count(words)] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.resize(FIXED, 0);
        for (kind, place) in Kind::ALL.iter().zip(&self.places) {
            bytes.extend((*kind as u32).to_ne_bytes());
            bytes.extend((kind.element() as u32).to_ne_bytes());
            bytes.extend(place.offset.to_ne_bytes());
            bytes.extend(place.len.to_ne_bytes());
        }
        self.blocks.iter().for_each(|checksum| bytes.extend(checksum.to_ne_bytes()));
        bytes.resize(bytes.len().next_multiple_of(PAGE as usize), 0);
        let checksum = checksum(&bytes);
        bytes[CHECKSUM_AT..FIXED].copy_from_slice(&checksum.to_ne_bytes());
        (bytes, Identity { len: self.file_len, checksum })
    }

    /// Reads the head of a file that is `true_len` bytes long. Nothing is believed that does not fit that length.
    pub(super) fn read(file: &mut impl Read, true_len: u64) -> Result<(Self, Identity), Fault> {
        let mut fixed = [0; FIXED];
        demand(true_len >= FIXED as u64, format_args!("wanted {FIXED} bytes and more, got {true_len}"))?;
        file.read_exact(&mut fixed)?;
        let mut fields = Fields(&fixed);
        preamble::check(&mut fields, MAGIC)?;
        let n_sections = fields.u32()?;
        let (file_len, len) = (fields.u64()?, fields.u64()?);
        let counts = Counts {
            memories: fields.count()?,
            keys: fields.count()?,
            dim: fields.count()?,
            words: fields.count()?,
        };
        if file_len != true_len {
            return Err(Fault::new("length", format_args!("{file_len} bytes"), true_len));
        }
        if n_sections as usize != Kind::ALL.len() {
            return Err(Fault::new("number of sections", Kind::ALL.len(), n_sections));
        }
        // It has a checksum for each block of the file, and hardly more.
        let most = file_len.div_ceil(BLOCK).saturating_mul(4).saturating_add(2 * PAGE).min(file_len);
        demand(
            (FIXED as u64..=most).contains(&len),
            format_args!("length of the head: wanted {FIXED} to {most}, got {len}"),
        )?;
        let in_memory =
            |len: u64| usize::try_from(len).map_err(|_| Fault::new("length", "what fits memory", len));
        in_memory(file_len)?;
        let mut bytes = fixed.to_vec();
        bytes.resize(in_memory(len)?, 0);
        file.read_exact(&mut bytes[FIXED..])?;
        let (wanted, got) = (Fields(&bytes[CHECKSUM_AT..]).u32()?, checksum(&bytes));
        if wanted != got {
            return Err(Fault::new(
                "checksum of the head",
                format_args!("{wanted:08x}"),
                format_args!("{got:08x}"),
            ));
        }
        let head = Self::parse(counts, &bytes[FIXED..], file_len)?;
        demand(head.len == len, format_args!("length of the head: wanted {}, got {len}", head.len))?;
        Ok((head, Identity { len: file_len, checksum: got }))
    }

    /// From the table and the checksums of blocks. Sections must lie where [`lay_out`](Self::lay_out) puts them.
    fn parse(counts: Counts, table: &[u8], file_len: u64) -> Result<Self, Fault> {
        let mut fields = Fields(table);
        let mut given = Vec::with_capacity(Kind::ALL.len());
        for kind in Kind::ALL {
            let (number, element) = (fields.u32()?, fields.u32()?);
            let place = Place { offset: fields.u64()?, len: fields.u64()? };
            let name = kind.name();
            if (number, element as usize) != (kind as u32, kind.element()) {
                let wanted = format!("kind {} of {} bytes a number", kind as u32, kind.element());
                return Err(Fault::new(
                    format_args!("section {name}"),
                    wanted,
                    format_args!("{number} of {element}"),
                ));
            }
            demand(
                place.len.is_multiple_of(kind.element() as u64),
                format_args!("section {name}: its length is no whole number"),
            )?;
            given.push(place);
        }
        let lens: Vec<u64> = given.iter().map(|place| place.len).collect();
        let head =
            Self::lay_out(counts, &lens).filter(|head| head.places == given && head.file_len == file_len);
        let mut head =
            head.ok_or_else(|| Fault::Wrong("the sections do not lie one after the other".into()))?;
        let n_blocks = (file_len - head.len).div_ceil(BLOCK);
        // The file is longer than its head, which has room for them.
        head.blocks = (0..n_blocks).map(|_| fields.u32()).collect::<Result<_, _>>()?;
        Ok(head)
    }
}

/// What a file of `true_len` bytes says of itself. Whether it is right is not asked.
///
/// # Errors
/// [`Fault`] if it is too short or cannot be read.
pub(crate) fn identity(file: &mut impl Read, true_len: u64) -> Result<Identity, Fault> {
    let mut fixed = [0; FIXED];
    file.read_exact(&mut fixed)?;
    let checksum = Fields(&fixed[CHECKSUM_AT..]).u32()?;
    Ok(Identity { len: true_len, checksum })
}

/// Where sections lie that begin at `start`, and where they end.
fn places(start: u64, lens: &[u64]) -> Option<(Vec<Place>, u64)> {
    let mut end = start;
    let mut places = Vec::with_capacity(lens.len());
    for (kind, &len) in Kind::ALL.iter().zip(lens) {
        let offset = end.checked_next_multiple_of(kind.align())?;
        end = offset.checked_add(len)?;
        places.push(Place { offset, len });
    }
    Some((places, end))
}

/// Of all bytes but those in which it stands.
fn checksum(head: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[..CHECKSUM_AT]);
    hasher.update(&head[FIXED..]);
    hasher.finalize()
}

/// Makes the checksums of a file fit its bytes, where they can be found: so a test reaches what is checked behind them.
#[cfg(test)]
pub(crate) fn mend(file: &mut [u8]) {
    let number = |file: &[u8], at: usize| {
        file.get(at..at + 8).map(|bytes| u64::from_ne_bytes(bytes.try_into().unwrap()) as usize)
    };
    let Some(len) = number(file, 32).filter(|&len| len >= FIXED && len <= file.len()) else { return };
    let (head, data) = file.split_at_mut(len);
    let at = FIXED + ENTRY * Kind::ALL.len();
    for (i, block) in data.chunks(BLOCK as usize).enumerate() {
        if let Some(place) = head.get_mut(at + 4 * i..at + 4 * i + 4) {
            place.copy_from_slice(&crc32fast::hash(block).to_ne_bytes());
        }
    }
    let checksum = checksum(head);
    head[CHECKSUM_AT..FIXED].copy_from_slice(&checksum.to_ne_bytes());
}
