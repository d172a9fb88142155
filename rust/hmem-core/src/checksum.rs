//! The checksum that each row of the truth carries: CRC-32 of its fields.
//!
//! Each field is preceded by its length in decimal and a colon, and one that is missing is a single `-`, so that no two
//! different rows are joined into the same bytes.

use crc32fast::Hasher;

/// A row's checksum, field by field.
#[derive(Debug, Default)]
pub struct RowChecksum(Hasher);

impl RowChecksum {
    /// Adds a field.
    pub fn field(&mut self, bytes: &[u8]) {
        let mut decimal = [0; 20];
        let mut rest = bytes.len();
        let mut start = decimal.len();
        loop {
            start -= 1;
            decimal[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.0.update(&decimal[start..]);
        self.0.update(b":");
        self.0.update(bytes);
    }

    /// Adds a field that is missing.
    pub fn missing(&mut self) {
        self.0.update(b"-");
    }

    /// The checksum of all fields.
    #[must_use]
    pub fn finish(self) -> u32 {
        self.0.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_checksum_of_the_joined_fields(
            row in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..1200)), 0..6)
        ) {
            let mut checksum = RowChecksum::default();
            let mut joined = Vec::new();
            for field in &row {
                match field {
                    Some(bytes) => {
                        checksum.field(bytes);
                        joined.extend(format!("{}:", bytes.len()).into_bytes());
                        joined.extend(bytes);
                    }
                    None => {
                        checksum.missing();
                        joined.push(b'-');
                    }
                }
            }
            prop_assert_eq!(checksum.finish(), crc32fast::hash(&joined));
        }
    }
}
