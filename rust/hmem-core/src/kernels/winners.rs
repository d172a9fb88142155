//! The `k` largest of many 16-bit numbers, by their positions.
//!
//! For codes in which the winners take all: thousands of numbers, of which a few dozen stay. A first guess of a floor leaves
//! little more than `k` of them; which of these are the largest is found by halving the range of values. The answer does not
//! depend on the guess.

use super::isa::Isa;
use super::limits::reaching_levels;
use super::sign::BLOCK;

/// Memory for one search after the other.
#[derive(Debug, Default)]
pub struct Winners {
    reaching: Vec<u64>,
    positions: Vec<u32>,
    numbers: Vec<i16>,
}

impl Winners {
    /// Writes the positions of the largest of `numbers` to `out`, ascending, as many as `out` has places. Of equal numbers
    /// those at the smaller positions stay. Quick where `floor` is a little below the smallest winner.
    ///
    /// # Panics
    /// If `out` has more places than there are numbers, or these do not fit 32 bits.
    pub fn find(&mut self, isa: Isa, numbers: &[i16], floor: i16, out: &mut [u32]) {
        let k = out.len();
        assert!(
            k <= numbers.len() && u32::try_from(numbers.len()).is_ok(),
            "{k} of {} numbers",
            numbers.len()
        );
        self.collect(isa, numbers, floor);
        if self.numbers.len() < k {
            self.collect(isa, numbers, i16::MIN);
        }
        let (Some(&least), Some(&largest)) = (self.numbers.iter().min(), self.numbers.iter().max()) else {
            return;
        };
        // The largest value that at least `k` numbers reach.
        let (mut low, mut high) = (i32::from(least), i32::from(largest));
        while low < high {
            let middle = low + (high - low + 1) / 2;
            if self.count(|x| i32::from(x) >= middle) >= k { low = middle } else { high = middle - 1 }
        }
        let above = self.count(|x| i32::from(x) > low);
        let mut equals = k.saturating_sub(above);
        let mut place = 0;
        for (&position, &x) in self.positions.iter().zip(&self.numbers) {
            let is_equal = i32::from(x) == low && equals > 0;
            equals -= usize::from(is_equal);
            // Written wherever it may belong, and kept where it does: there is no telling which, so no branch.
            if let Some(out) = out.get_mut(place) {
                *out = position;
            }
            place += usize::from(i32::from(x) > low || is_equal);
        }
    }

    /// Takes what reaches the floor, in order.
    fn collect(&mut self, isa: Isa, numbers: &[i16], floor: i16) {
        self.reaching.clear();
        self.reaching.resize(numbers.len().div_ceil(BLOCK), 0);
        reaching_levels(isa, numbers, floor, &mut self.reaching);
        self.positions.clear();
        self.numbers.clear();
        each_position(&self.reaching, |position| {
            #[allow(clippy::cast_possible_truncation, reason = "the numbers' count fits 32 bits")]
            self.positions.push(position as u32);
            self.numbers.push(numbers[position]);
        });
    }

    fn count(&self, holds: impl Fn(i16) -> bool) -> usize {
        self.numbers.iter().map(|&x| u32::from(holds(x))).sum::<u32>() as usize
    }
}

/// The positions of ones, ascending: bit `i % 64` of word `i / 64` is position `i`.
#[inline]
pub fn each_position(words: &[u64], mut each: impl FnMut(usize)) {
    // Most words are empty. Which ones are not is gathered first, without a branch for each.
    for (words, first) in words.chunks(BLOCK).zip((0..).step_by(BLOCK)) {
        let mut some = words.iter().zip(0..).fold(0u64, |some, (&word, i)| some | u64::from(word != 0) << i);
        while some != 0 {
            let at = some.trailing_zeros() as usize;
            some &= some - 1;
            let mut word = words[at];
            while word != 0 {
                each((first + at) * BLOCK + word.trailing_zeros() as usize);
                word &= word - 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn are_the_front_of_a_stable_sort(
            numbers in prop::collection::vec(prop_oneof![-3i16..3, any::<i16>()], 1..300),
            k in any::<prop::sample::Index>(),
            floor in prop_oneof![-3i16..3, any::<i16>()],
        ) {
            let k = k.index(numbers.len() + 1);
            let mut wanted: Vec<u32> = (0..u32::try_from(numbers.len()).unwrap()).collect();
            wanted.sort_by_key(|&at| std::cmp::Reverse(numbers[at as usize]));
            wanted.truncate(k);
            wanted.sort_unstable();
            let mut winners = Winners::default();
            for isa in Isa::available() {
                let mut got = vec![u32::MAX; k];
                winners.find(isa, &numbers, floor, &mut got);
                prop_assert_eq!(&got, &wanted);
            }
        }

        #[test]
        fn positions_are_those_of_ones(words in prop::collection::vec(prop_oneof![Just(0), any::<u64>()], 0..150)) {
            let mut got = Vec::new();
            each_position(&words, |at| got.push(at));
            let wanted: Vec<_> = (0..words.len() * 64).filter(|at| words[at / 64] >> (at % 64) & 1 == 1).collect();
            prop_assert_eq!(got, wanted);
        }
    }
}
