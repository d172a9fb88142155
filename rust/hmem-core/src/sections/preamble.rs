//! The first bytes of each file of a snapshot: what it is, and which machines can read it.
//!
//! Numbers stand in a file as they stand in memory, since they are mapped. So a file is read only where memory looks alike.

use super::Fault;

/// What says how a machine orders bytes.
const MARKER: u32 = 0x0102_0304;

/// Bytes of a word, in which offsets are counted.
const WORD: u32 = size_of::<usize>() as u32;

/// The version of the format, and of the recipes behind the numbers: how rows are rotated, coded and sampled.
pub const VERSION: u32 = 1;

/// Bytes of a preamble.
pub const PREAMBLE: usize = 20;

/// The preamble of a file of this kind.
#[must_use]
pub fn preamble(magic: [u8; 8]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    [VERSION, MARKER, WORD].iter().for_each(|number| bytes.extend(number.to_ne_bytes()));
    bytes
}

/// Checks the preamble at the front of `fields`, which is then behind it.
///
/// # Errors
/// [`Fault::Wrong`] for another file, version or machine.
pub fn check(fields: &mut Fields<'_>, magic: [u8; 8]) -> Result<(), Fault> {
    let own: [u8; 8] = fields.take()?;
    let (printed, wanted) = (own.escape_ascii(), magic.escape_ascii());
    if own != magic {
        return Err(Fault::new("first bytes", format_args!("\"{wanted}\""), format_args!("\"{printed}\"")));
    }
    let (version, marker, word) = (fields.u32()?, fields.u32()?, fields.u32()?);
    // Asked first: on a machine of another order, all other numbers look wrong.
    if marker == MARKER.swap_bytes() {
        return Err(Fault::new("order of bytes", "that of this machine", "the opposite one"));
    }
    if marker != MARKER {
        return Err(Fault::new("order of bytes", format_args!("{MARKER:#x}"), format_args!("{marker:#x}")));
    }
    if word != WORD {
        return Err(Fault::new("bytes of a word", WORD, word));
    }
    if version != VERSION {
        return Err(Fault::new("format version", VERSION, version));
    }
    Ok(())
}

/// Numbers one after the other.
#[derive(Debug)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// The next bytes.
    ///
    /// # Errors
    /// [`Fault::Wrong`] if there are fewer.
    pub fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (first, rest) = self.0.split_first_chunk().ok_or_else(|| Fault::Wrong("it ends early".into()))?;
        self.0 = rest;
        Ok(*first)
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// [`Fault::Wrong`] if there are fewer.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], Fault> {
        let (first, rest) = self.0.split_at_checked(n).ok_or_else(|| Fault::Wrong("it ends early".into()))?;
        self.0 = rest;
        Ok(first)
    }

    /// The next 32-bit number.
    ///
    /// # Errors
    /// [`Fault::Wrong`] if there is none.
    pub fn u32(&mut self) -> Result<u32, Fault> {
        self.take().map(u32::from_ne_bytes)
    }

    /// The next 64-bit number.
    ///
    /// # Errors
    /// [`Fault::Wrong`] if there is none.
    pub fn u64(&mut self) -> Result<u64, Fault> {
        self.take().map(u64::from_ne_bytes)
    }

    /// The next 64-bit number, which counts something in memory.
    ///
    /// # Errors
    /// [`Fault::Wrong`] if there is none, or it is larger than memory.
    pub fn count(&mut self) -> Result<usize, Fault> {
        let number = self.u64()?;
        usize::try_from(number).map_err(|_| Fault::new("a count", "what fits memory", number))
    }
}
