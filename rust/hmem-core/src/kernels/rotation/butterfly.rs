//! A round in few passes: numbers stay in registers for several levels.
//!
//! The first pass flips signs and takes the levels of blocks of [`AT_ONCE`] groups: some within a group (three if it has eight
//! numbers, four if it has sixteen), three between eight groups. Each further pass takes up to three levels of what lies far apart. The last one multiplies by
//! the factor. Every number passes through the same sums and differences as in the definition, in the same order.
//!
//! All of it is inlined into a function that is compiled for the instructions. Hence plain loops: closures that the standard
//! library calls are compiled without, and each instruction in them becomes a call.

/// Groups that are in registers at once.
pub(super) const AT_ONCE: usize = 8;

/// `N` numbers in registers. Who has some has shown that the CPU has the instructions for it.
pub(super) trait Group<const N: usize>: Copy {
    /// That the CPU has the instructions.
    type Proof: Copy;

    fn load(proof: Self::Proof, from: &[f32; N]) -> Self;
    fn store(self, to: &mut [f32; N]);
    /// Bit by bit, numbers or `bits`, but not both.
    fn flipped(self, bits: &[u32; N]) -> Self;
    fn times(self, factor: f32) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    /// The levels of places 1, 2, 4 and so on apart, within the group.
    fn transformed(self) -> Self;

    /// Stores the product with the factor, if there is one.
    #[inline(always)]
    fn finish(self, factor: Option<f32>, to: &mut [f32; N]) {
        match factor {
            Some(factor) => self.times(factor).store(to),
            None => self.store(to),
        }
    }
}

/// One round of a row whose length is a power of two, and at least `AT_ONCE · N`.
#[inline(always)]
pub(super) fn round<const N: usize, G: Group<N>>(
    proof: G::Proof,
    row: &mut [f32],
    flips: &[u32],
    factor: f32,
) {
    let n = row.len();
    // For the pass after which numbers `half` places apart would be next.
    let last = |half: usize| if half == n { Some(factor) } else { None };
    let block = AT_ONCE * N;
    for (numbers, flips) in row.chunks_exact_mut(block).zip(flips.chunks_exact(block)) {
        first_pass::<N, G>(proof, numbers, flips, last(block));
    }
    let mut half = block;
    while half < n {
        // Two passes of two levels cost less than one of three and one of one.
        half *= match n / half {
            2 => pass::<N, G, 2>(proof, row, half, last(2 * half)),
            4 | 16 => pass::<N, G, 4>(proof, row, half, last(4 * half)),
            _ => pass::<N, G, 8>(proof, row, half, last(8 * half)),
        };
    }
}

#[inline(always)]
fn first_pass<const N: usize, G: Group<N>>(
    proof: G::Proof,
    block: &mut [f32],
    flips: &[u32],
    factor: Option<f32>,
) {
    let block = block.as_chunks_mut().0;
    let flips = flips.as_chunks().0;
    let mut groups = [G::load(proof, &block[0]); AT_ONCE];
    for i in 0..AT_ONCE {
        groups[i] = G::load(proof, &block[i]).flipped(&flips[i]).transformed();
    }
    between::<N, G, AT_ONCE>(&mut groups);
    for i in 0..AT_ONCE {
        groups[i].finish(factor, &mut block[i]);
    }
}

/// The levels of numbers `half` to `RADIX / 2 · half` places apart. Returns `RADIX`.
#[inline(always)]
fn pass<const N: usize, G: Group<N>, const RADIX: usize>(
    proof: G::Proof,
    row: &mut [f32],
    half: usize,
    factor: Option<f32>,
) -> usize {
    let step = half / N;
    for numbers in row.chunks_exact_mut(RADIX * half) {
        let numbers = numbers.as_chunks_mut().0;
        for at in 0..step {
            let mut groups = [G::load(proof, &numbers[at]); RADIX];
            for i in 1..RADIX {
                groups[i] = G::load(proof, &numbers[at + i * step]);
            }
            between::<N, G, RADIX>(&mut groups);
            for i in 0..RADIX {
                groups[i].finish(factor, &mut numbers[at + i * step]);
            }
        }
    }
    RADIX
}

/// The levels of groups 1, 2, 4, … places apart.
#[inline(always)]
fn between<const N: usize, G: Group<N>, const HOW_MANY: usize>(groups: &mut [G; HOW_MANY]) {
    let mut half = 1;
    while half < HOW_MANY {
        for i in 0..HOW_MANY {
            if i & half == 0 {
                let (a, b) = (groups[i], groups[i + half]);
                (groups[i], groups[i + half]) = (a.plus(b), a.minus(b));
            }
        }
        half *= 2;
    }
}
