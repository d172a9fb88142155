//! What a snapshot consists of: the list of its segments' files, and which rows of each are live.

use std::io::Read;

use crate::bitmap::Bitmap;
use crate::kernels::memory::bytes_of;
use crate::sections::head::Identity;
use crate::sections::preamble::{self, Fields};
use crate::sections::{Fault, demand};

const MAGIC: [u8; 8] = *b"HMEMSNAP";

/// Bytes before the list of files.
const FIXED: usize = 128;

/// Bytes of the list for each file.
const ENTRY: usize = 40;

/// Bytes behind the list: its checksum, and four zeros.
const CLOSE: usize = 8;

/// What tells one index from others.
pub type Fingerprint = [u8; 32];

/// What stands at the front of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The manifest's number.
    pub generation: u64,
    /// The last change of the truth that is in it.
    pub change_seq: u64,
    /// The caller's.
    pub stamp: u64,
    /// Whose snapshot it is.
    pub fingerprint: Fingerprint,
    /// The smallest id that was never given.
    pub next_id: i64,
    /// Width of the keys.
    pub dim: usize,
    /// Live memories.
    pub memories: usize,
    /// Their keys.
    pub keys: usize,
    /// Bytes of the manifest.
    pub len: u64,
    /// The segments, in their order.
    pub files: Vec<Entry>,
    extra_len: usize,
}

/// A segment of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The number of its file.
    pub number: u64,
    /// Exactly that file.
    pub identity: Identity,
    /// Its rows, dead ones included.
    pub n_rows: usize,
    /// Its live rows.
    pub n_live: usize,
}

/// A manifest.
#[derive(Debug)]
pub struct Manifest {
    /// Its front.
    pub summary: Summary,
    /// The live rows of each segment.
    pub live: Vec<Bitmap>,
    /// The caller's bytes.
    pub extra: Vec<u8>,
}

impl Manifest {
    /// Fits lengths together.
    #[must_use]
    pub fn new(mut summary: Summary, live: Vec<Bitmap>, extra: Vec<u8>) -> Self {
        let words: usize = live.iter().map(|rows| rows.words().len()).sum();
        summary.extra_len = extra.len();
        summary.len = (FIXED + ENTRY * summary.files.len() + CLOSE + 8 * words + extra.len() + 4) as u64;
        Self { summary, live, extra }
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Summary {
            generation,
            change_seq,
            stamp,
            fingerprint,
            next_id,
            dim,
            memories,
            keys,
            len,
            files,
            ..
        } = &self.summary;
        let mut bytes = preamble::preamble(MAGIC);
        bytes.extend((files.len() as u32).to_ne_bytes());
        [len, generation, change_seq, stamp].iter().for_each(|number| bytes.extend(number.to_ne_bytes()));
        bytes.extend(fingerprint);
        bytes.extend(next_id.to_ne_bytes());
        let extra_len = self.extra.len();
        [*dim, *memories, *keys, extra_len]
            .iter()
            .for_each(|&count| bytes.extend((count as u64).to_ne_bytes()));
        bytes.resize(FIXED, 0);
        for Entry { number, identity, n_rows, n_live } in files {
            [*number, identity.len].iter().for_each(|number| bytes.extend(number.to_ne_bytes()));
            [identity.checksum, 0].iter().for_each(|number| bytes.extend(number.to_ne_bytes()));
            [*n_rows, *n_live].iter().for_each(|&count| bytes.extend((count as u64).to_ne_bytes()));
        }
        let checksum = crc32fast::hash(&bytes);
        [checksum, 0].iter().for_each(|number| bytes.extend(number.to_ne_bytes()));
        let front = bytes.len();
        self.live.iter().for_each(|rows| bytes.extend(bytes_of(rows.words())));
        bytes.extend(&self.extra);
        bytes.extend(crc32fast::hash(&bytes[front..]).to_ne_bytes());
        bytes
    }

    /// Reads a manifest of `true_len` bytes.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn read(file: &mut impl Read, true_len: u64) -> Result<Self, Fault> {
        let summary = Summary::read(file, true_len)?;
        let words: Vec<usize> = summary.files.iter().map(|entry| entry.n_rows.div_ceil(64)).collect();
        // The front's length was found right, so these fit the file.
        let mut bytes = vec![0; words.iter().sum::<usize>() * 8 + summary.extra_len + 4];
        file.read_exact(&mut bytes)?;
        let (body, last) = bytes.split_at(bytes.len() - 4);
        compare("checksum of the rest", Fields(last).u32()?, crc32fast::hash(body))?;
        let mut fields = Fields(body);
        let mut live = Vec::with_capacity(words.len());
        for (entry, &n_words) in summary.files.iter().zip(&words) {
            let words = (0..n_words).map(|_| fields.u64()).collect::<Result<_, _>>()?;
            let rows = Bitmap::from_words(words, entry.n_rows).filter(|rows| rows.count() == entry.n_live);
            let name = entry.number;
            live.push(
                rows.ok_or_else(|| Fault::Wrong(format!("the live rows of segment {name} do not fit it")))?,
            );
        }
        Ok(Self { summary, live, extra: fields.0.to_vec() })
    }
}

impl Summary {
    /// Without files, of an index that is yet to be counted.
    #[must_use]
    pub fn new(generation: u64, change_seq: u64, stamp: u64, fingerprint: Fingerprint) -> Self {
        Self {
            generation,
            change_seq,
            stamp,
            fingerprint,
            next_id: 0,
            dim: 0,
            memories: 0,
            keys: 0,
            len: 0,
            files: Vec::new(),
            extra_len: 0,
        }
    }

    /// Reads the front of a manifest that is `true_len` bytes long. Nothing is believed that does not fit that length.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn read(file: &mut impl Read, true_len: u64) -> Result<Self, Fault> {
        demand(true_len >= FIXED as u64, format_args!("wanted {FIXED} bytes and more, got {true_len}"))?;
        let mut bytes = vec![0; FIXED];
        file.read_exact(&mut bytes)?;
        let mut fields = Fields(&bytes);
        preamble::check(&mut fields, MAGIC)?;
        let n_files = fields.u32()? as usize;
        let len = fields.u64()?;
        if len != true_len {
            return Err(Fault::new("length", format_args!("{len} bytes"), true_len));
        }
        let list = ENTRY as u64 * n_files as u64 + CLOSE as u64;
        demand(FIXED as u64 + list <= len, "the list of files is longer than the file")?;
        bytes.resize(FIXED + ENTRY * n_files + CLOSE, 0);
        file.read_exact(&mut bytes[FIXED..])?;
        let (front, mut close) = bytes.split_at(bytes.len() - CLOSE);
        compare("checksum of the front", Fields(close).u32()?, crc32fast::hash(front))?;
        demand(
            close.split_off(4..).is_some_and(|zeros| zeros == [0; 4]),
            "wanted zeros behind the checksum",
        )?;
        Self::parse(front, n_files, len)
    }

    fn parse(front: &[u8], n_files: usize, len: u64) -> Result<Self, Fault> {
        let mut fields = Fields(front);
        fields.bytes(preamble::PREAMBLE + 4 + 8)?;
        let (generation, change_seq, stamp) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let mut summary = Self::new(generation, change_seq, stamp, fields.take()?);
        summary.len = len;
        summary.next_id = i64::from_ne_bytes(fields.take()?);
        demand(summary.next_id >= 0, format_args!("next id: wanted 0 or more, got {}", summary.next_id))?;
        (summary.dim, summary.memories, summary.keys) = (fields.count()?, fields.count()?, fields.count()?);
        summary.extra_len = fields.count()?;
        let mut wanted = (front.len() + CLOSE + 4) as u64;
        let mut add = |more: Option<u64>| {
            wanted = more.and_then(|more| wanted.checked_add(more)).unwrap_or(u64::MAX);
        };
        add(Some(summary.extra_len as u64));
        let mut memories = 0usize;
        for _ in 0..n_files {
            let (number, len) = (fields.u64()?, fields.u64()?);
            let (checksum, zero) = (fields.u32()?, fields.u32()?);
            let (n_rows, n_live) = (fields.count()?, fields.count()?);
            demand(zero == 0 && n_live <= n_rows, "the list of files does not make sense")?;
            add((n_rows as u64).div_ceil(64).checked_mul(8));
            memories = memories.saturating_add(n_live);
            summary.files.push(Entry { number, identity: Identity { len, checksum }, n_rows, n_live });
        }
        if wanted != len {
            return Err(Fault::new(
                "length of all that the front names",
                format_args!("{wanted} bytes"),
                len,
            ));
        }
        if memories != summary.memories {
            return Err(Fault::new("memories", memories, summary.memories));
        }
        Ok(summary)
    }
}

fn compare(what: &str, wanted: u32, got: u32) -> Result<(), Fault> {
    if wanted == got {
        return Ok(());
    }
    Err(Fault::new(what, format_args!("{wanted:08x}"), format_args!("{got:08x}")))
}

/// Makes the checksums of a manifest fit its bytes, where they can be found.
#[cfg(test)]
pub(super) fn mend(file: &mut [u8]) {
    if file.len() < FIXED {
        return;
    }
    let n_files = u32::from_ne_bytes(file[20..24].try_into().unwrap()) as usize;
    let Some(front) =
        n_files.checked_mul(ENTRY).map(|list| FIXED + list).filter(|&at| at + CLOSE + 4 <= file.len())
    else {
        return;
    };
    let checksum = crc32fast::hash(&file[..front]);
    file[front..front + 4].copy_from_slice(&checksum.to_ne_bytes());
    let end = file.len() - 4;
    let checksum = crc32fast::hash(&file[front + CLOSE..end]);
    file[end..].copy_from_slice(&checksum.to_ne_bytes());
}

/// Names another file instead of the first one.
#[cfg(test)]
pub(super) fn set_identity(file: &mut [u8], identity: Identity) {
    file[FIXED + 8..FIXED + 16].copy_from_slice(&identity.len.to_ne_bytes());
    file[FIXED + 16..FIXED + 20].copy_from_slice(&identity.checksum.to_ne_bytes());
}

/// Says that all rows are live, and so many keys.
#[cfg(test)]
pub(super) fn revive_all(file: &mut [u8], keys: usize) {
    let Manifest { mut summary, live, extra } = Manifest::read(&mut &*file, file.len() as u64).unwrap();
    summary.files.iter_mut().for_each(|entry| entry.n_live = entry.n_rows);
    summary.memories = summary.files.iter().map(|entry| entry.n_rows).sum();
    summary.keys = keys;
    let live = live.iter().map(|rows| Bitmap::all(rows.len())).collect();
    file.copy_from_slice(&Manifest::new(summary, live, extra).to_bytes());
}
