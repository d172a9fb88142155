//! Which limits reach a floor: comparisons only.

#[cfg(target_arch = "aarch64")]
use super::neon;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use crate::kernels::isa::Isa;
use crate::kernels::sign::BLOCK;

/// Which of up to 64 limits are at least `floor`: bit `i` for limit `i`.
///
/// # Panics
/// If there are more than 64.
#[must_use]
pub fn reaching(isa: Isa, limits: &[f32], floor: f32) -> u64 {
    assert!(limits.len() <= BLOCK, "one bit a limit");
    let Ok(block) = limits.try_into() else { return bits(limits, floor) };
    isa.assert_present();
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(proof) => avx2::reaching(proof, block, floor),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(proof) => avx512::reaching(proof, block, floor),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(proof) => neon::reaching(proof, block, floor),
        _ => bits(limits, floor),
    }
}

/// The same of levels.
///
/// # Panics
/// If there are more than 64.
#[must_use]
pub fn reaching_level(isa: Isa, levels: &[i16], floor: i16) -> u64 {
    assert!(levels.len() <= BLOCK, "one bit a level");
    let Ok(block) = levels.try_into() else { return bits(levels, floor) };
    isa.assert_present();
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(proof) => avx2::reaching_level(proof, block, floor),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(proof) => avx512::reaching_level(proof, block, floor),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(proof) => neon::reaching_level(proof, block, floor),
        _ => bits(levels, floor),
    }
}

/// The same of any number of levels, 64 a word: bit `i % 64` of word `i / 64` for level `i`.
///
/// # Panics
/// If `out` has not one word for each 64 levels, the last ones included.
pub fn reaching_levels(isa: Isa, levels: &[i16], floor: i16, out: &mut [u64]) {
    assert_eq!(out.len(), levels.len().div_ceil(BLOCK), "one bit a level");
    let (blocks, tail) = levels.as_chunks::<BLOCK>();
    isa.assert_present();
    let (out, last) = out.split_at_mut(blocks.len());
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(proof) => avx2::reaching_levels(proof, blocks, floor, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(proof) => avx512::reaching_levels(proof, blocks, floor, out),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(proof) => neon::reaching_levels(proof, blocks, floor, out),
        _ => blocks.iter().zip(out).for_each(|(block, out)| *out = bits(block, floor)),
    }
    last.fill(bits(tail, floor));
}

/// The definition.
pub(super) fn bits<L: PartialOrd + Copy>(limits: &[L], floor: L) -> u64 {
    limits.iter().enumerate().fold(0, |bits, (i, &limit)| bits | u64::from(limit >= floor) << i)
}
