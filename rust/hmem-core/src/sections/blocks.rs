//! Checksums of blocks, while they are written one after the other.

use crc32fast::Hasher;

use super::head::BLOCK;

/// Takes bytes as they come.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    hasher: Hasher,
    /// Bytes of the block that is not full yet.
    filled: usize,
    done: Vec<u32>,
}

impl Blocks {
    pub(super) fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK as usize - self.filled));
            self.hasher.update(now);
            self.filled += now.len();
            bytes = later;
            if self.filled == BLOCK as usize {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        self.done.push(std::mem::take(&mut self.hasher).finalize());
        self.filled = 0;
    }

    /// The checksum of each block, the last of which may be short.
    pub(super) fn finish(mut self) -> Vec<u32> {
        if self.filled > 0 {
            self.close();
        }
        self.done
    }
}
