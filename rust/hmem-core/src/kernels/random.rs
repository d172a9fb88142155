//! Pseudo-random numbers: for the rotation of codes, and for the checks of kernels.

/// S. Vigna's splitmix64: equal numbers from equal seeds, on every platform.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed(self.0)
    }

    /// From `-largest` to `largest`, at most 127.
    pub fn next_i8(&mut self, largest: i32) -> i8 {
        let span = u64::from(largest.unsigned_abs()) * 2 + 1;
        #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "below 2·127 + 1")]
        let number = (self.next_u64() % span) as i32 - largest;
        i8::try_from(number).unwrap_or(0)
    }

    /// Any bytes.
    pub fn next_bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next_u64().to_le_bytes()[7])
    }
}

/// The output function of splitmix64: no two numbers give the same.
#[must_use]
pub fn mixed(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
