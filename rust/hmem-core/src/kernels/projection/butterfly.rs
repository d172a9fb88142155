//! All transforms in few passes: sums stay in registers for several levels.
//!
//! Lanes are taken in strips of a register's width. The first pass of a strip multiplies numbers by signs and takes the four
//! levels of sixteen neighbours, the second one three levels of eight of these, while they lie in the first cache; each further
//! pass takes up to three levels of what lies far apart.
//!
//! All of it is inlined into a function that is compiled for the instructions. Hence plain loops: closures that the standard
//! library calls are compiled without, and each instruction in them becomes a call.

use super::{LEAST, Projection};

/// `N` lanes in a register. Who has some has shown that the CPU has the instructions for it.
pub(super) trait Lanes<const N: usize>: Copy {
    /// That the CPU has the instructions.
    type Proof: Copy;

    /// Each one or minus one.
    fn signs(proof: Self::Proof, from: &[i8; N]) -> Self;
    fn load(proof: Self::Proof, from: &[i16; N]) -> Self;
    fn store(self, to: &mut [i16; N]);
    fn times(self, x: i16) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
}

/// Numbers whose vectors of a register's width fit the first cache beside their signs.
const BLOCK: usize = 8 * LEAST;

/// All projections of a row; there must be a multiple of `N` lanes.
#[inline(always)]
pub(super) fn transforms<const N: usize, L: Lanes<N>>(
    proof: L::Proof,
    projection: &Projection,
    row: &[i16],
    out: &mut [i16],
) {
    let strips = projection.lanes / N;
    let (signs, out) = (projection.signs.as_chunks::<N>().0, out.as_chunks_mut::<N>().0);
    let size = BLOCK.min(row.len()) * strips;
    for strip in 0..strips {
        let blocks = out.chunks_exact_mut(size).zip(signs.chunks_exact(size)).zip(row.chunks(BLOCK));
        for ((out, signs), row) in blocks {
            first_pass::<N, L>(proof, row, signs, out, strip, strips);
            passes::<N, L>(proof, out, LEAST, strip, strips);
        }
        passes::<N, L>(proof, out, BLOCK, strip, strips);
    }
}

/// The levels of 1, 2, 4 and 8 numbers apart.
#[inline(always)]
fn first_pass<const N: usize, L: Lanes<N>>(
    proof: L::Proof,
    row: &[i16],
    signs: &[[i8; N]],
    out: &mut [[i16; N]],
    strip: usize,
    strips: usize,
) {
    let size = LEAST * strips;
    for ((out, signs), row) in
        out.chunks_exact_mut(size).zip(signs.chunks_exact(size)).zip(row.chunks_exact(LEAST))
    {
        let mut sums = [L::signs(proof, &signs[strip]); LEAST];
        for i in 0..LEAST {
            sums[i] = L::signs(proof, &signs[strip + i * strips]).times(row[i]);
        }
        between::<N, L, LEAST>(&mut sums);
        for i in 0..LEAST {
            sums[i].store(&mut out[strip + i * strips]);
        }
    }
}

/// The levels of numbers `half` and more apart, to the last.
#[inline(always)]
fn passes<const N: usize, L: Lanes<N>>(
    proof: L::Proof,
    out: &mut [[i16; N]],
    mut half: usize,
    strip: usize,
    strips: usize,
) {
    let numbers = out.len() / strips;
    while half < numbers {
        // Two passes of two levels cost less than one of three and one of one.
        half *= match numbers / half {
            2 => pass::<N, L, 2>(proof, out, half, strip, strips),
            4 | 16 => pass::<N, L, 4>(proof, out, half, strip, strips),
            _ => pass::<N, L, 8>(proof, out, half, strip, strips),
        };
    }
}

/// The levels of numbers `half` to `RADIX / 2 · half` places apart. Returns `RADIX`.
#[inline(always)]
fn pass<const N: usize, L: Lanes<N>, const RADIX: usize>(
    proof: L::Proof,
    out: &mut [[i16; N]],
    half: usize,
    strip: usize,
    strips: usize,
) -> usize {
    let step = half * strips;
    for block in out.chunks_exact_mut(RADIX * step) {
        for number in 0..half {
            let start = number * strips + strip;
            let mut sums = [L::load(proof, &block[start]); RADIX];
            for i in 1..RADIX {
                sums[i] = L::load(proof, &block[start + i * step]);
            }
            between::<N, L, RADIX>(&mut sums);
            for i in 0..RADIX {
                sums[i].store(&mut block[start + i * step]);
            }
        }
    }
    RADIX
}

/// The levels of registers 1, 2, 4, … places apart.
#[inline(always)]
fn between<const N: usize, L: Lanes<N>, const HOW_MANY: usize>(sums: &mut [L; HOW_MANY]) {
    let mut half = 1;
    while half < HOW_MANY {
        for i in 0..HOW_MANY {
            if i & half == 0 {
                let (a, b) = (sums[i], sums[i + half]);
                (sums[i], sums[i + half]) = (a.plus(b), a.minus(b));
            }
        }
        half *= 2;
    }
}
