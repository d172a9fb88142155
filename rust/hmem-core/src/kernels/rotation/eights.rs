//! A round in few passes: numbers stay in registers for several levels.
//!
//! The first pass flips signs and takes the six levels of each [`BLOCK`] = 64 numbers: three within registers of eight, three
//! between eight registers. Each further pass takes up to three levels of what lies far apart. The last one multiplies by
//! the factor. Every number passes through the same sums and differences as in the definition, in the same order.
//!
//! All of it is inlined into a function that is compiled for the instructions. Hence plain loops: closures that the standard
//! library calls are compiled without, and each instruction in them becomes a call.

/// Numbers in an [`Eight`].
pub(super) const LANES: usize = 8;

/// Numbers of the first pass.
pub(super) const BLOCK: usize = LANES * LANES;

/// Eight numbers in registers. Who has one has shown that the CPU has the instructions for it.
pub(super) trait Eight: Copy {
    /// That the CPU has the instructions.
    type Proof: Copy;

    fn load(proof: Self::Proof, from: &[f32; LANES]) -> Self;
    fn store(self, to: &mut [f32; LANES]);
    /// Bit by bit, numbers or `bits`, but not both.
    fn flipped(self, bits: &[u32; LANES]) -> Self;
    fn times(self, factor: f32) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    /// The levels of places 1, 2 and 4 apart.
    fn transformed(self) -> Self;

    /// Stores the product with the factor, if there is one.
    #[inline(always)]
    fn finish(self, factor: Option<f32>, to: &mut [f32; LANES]) {
        match factor {
            Some(factor) => self.times(factor).store(to),
            None => self.store(to),
        }
    }
}

/// One round of a row whose length is a power of two, and at least [`BLOCK`].
#[inline(always)]
pub(super) fn round<E: Eight>(proof: E::Proof, row: &mut [f32], flips: &[u32], factor: f32) {
    let n = row.len();
    // For the pass after which numbers `half` places apart would be next.
    let last = |half: usize| if half == n { Some(factor) } else { None };
    for (block, flips) in row.as_chunks_mut().0.iter_mut().zip(flips.as_chunks().0) {
        first_pass::<E>(proof, block, flips, last(BLOCK));
    }
    let mut half = BLOCK;
    while half < n {
        // Two passes of two levels cost less than one of three and one of one.
        half *= match n / half {
            2 => pass::<E, 2>(proof, row, half, last(2 * half)),
            4 | 16 => pass::<E, 4>(proof, row, half, last(4 * half)),
            _ => pass::<E, 8>(proof, row, half, last(8 * half)),
        };
    }
}

#[inline(always)]
fn first_pass<E: Eight>(
    proof: E::Proof,
    block: &mut [f32; BLOCK],
    flips: &[u32; BLOCK],
    factor: Option<f32>,
) {
    let block = block.as_chunks_mut().0;
    let flips = flips.as_chunks().0;
    let mut eights = [E::load(proof, &block[0]); LANES];
    for i in 0..LANES {
        eights[i] = E::load(proof, &block[i]).flipped(&flips[i]).transformed();
    }
    between(&mut eights);
    for i in 0..LANES {
        eights[i].finish(factor, &mut block[i]);
    }
}

/// The levels of numbers `half` to `RADIX / 2 · half` places apart. Returns `RADIX`.
#[inline(always)]
fn pass<E: Eight, const RADIX: usize>(
    proof: E::Proof,
    row: &mut [f32],
    half: usize,
    factor: Option<f32>,
) -> usize {
    let step = half / LANES;
    for group in row.chunks_exact_mut(RADIX * half) {
        let group = group.as_chunks_mut().0;
        for at in 0..step {
            let mut eights = [E::load(proof, &group[at]); RADIX];
            for i in 1..RADIX {
                eights[i] = E::load(proof, &group[at + i * step]);
            }
            between(&mut eights);
            for i in 0..RADIX {
                eights[i].finish(factor, &mut group[at + i * step]);
            }
        }
    }
    RADIX
}

/// The levels of registers 1, 2, 4, … places apart.
#[inline(always)]
fn between<E: Eight, const N: usize>(eights: &mut [E; N]) {
    let mut half = 1;
    while half < N {
        for i in 0..N {
            if i & half == 0 {
                let (a, b) = (eights[i], eights[i + half]);
                (eights[i], eights[i + half]) = (a.plus(b), a.minus(b));
            }
        }
        half *= 2;
    }
}
