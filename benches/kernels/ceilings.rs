//! What the machine can do at best: read memory, and multiply and add in registers.
//!
//! The same loops for each instruction set, as plain as they can be. A kernel that comes near one of them is done.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use hmem_core::kernels::isa::Isa;

/// Bytes that fit the second cache of most CPUs, the third, and none.
const SIZES: [usize; 3] = [512 << 10, 16 << 20, 256 << 20];

/// Steps of each chain of multiplications in a sample.
const TURNS: usize = 10_000;

/// Chains that do not wait for each other: more than any CPU has in flight.
const CHAINS: usize = 12;

/// The best set here: a ceiling is what the widest registers reach.
fn best() -> Isa {
    *Isa::available().last().unwrap_or(&Isa::Scalar)
}

/// Reads an array from front to back, once.
#[divan::bench(args = SIZES)]
fn read(bencher: Bencher<'_, '_>, bytes: usize) {
    let words = vec![1u64; bytes / size_of::<u64>()];
    let isa = best();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| or_all(isa, black_box(&words)));
}

/// Bits that are set in some word: one cheap operation a register, in 8 registers that do not wait for each other.
fn or_all(isa: Isa, words: &[u64]) -> u64 {
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the proof in `isa` says that the CPU has the instructions.
        Isa::Avx512(_) => unsafe { x86::or_all_avx512(words) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx2(_) => unsafe { x86::or_all_avx2(words) },
        _ => or_lanes(words),
    }
}

#[inline(always)]
fn or_lanes(words: &[u64]) -> u64 {
    let mut lanes = [0; 64];
    for step in words.as_chunks::<64>().0 {
        for (lane, word) in lanes.iter_mut().zip(step) {
            *lane |= word;
        }
    }
    lanes.iter().fold(0, |all, lane| all | lane)
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256, __m256i, __m512, __m512i, _mm256_add_epi16, _mm256_fmadd_ps, _mm256_maddubs_epi16,
        _mm256_set1_epi8, _mm256_set1_ps, _mm256_setzero_si256, _mm512_dpbusd_epi32, _mm512_fmadd_ps,
        _mm512_set1_epi8, _mm512_set1_ps, _mm512_setzero_si512,
    };

    use divan::{Bencher, black_box};
    use hmem_core::kernels::isa::Isa;

    use super::{CHAINS, ItemsCount, TURNS, or_lanes};

    #[target_feature(enable = "avx512f")]
    pub(super) fn or_all_avx512(words: &[u64]) -> u64 {
        or_lanes(words)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn or_all_avx2(words: &[u64]) -> u64 {
        or_lanes(words)
    }

    /// Whether the CPU has AVX2, AVX-512, and AVX-512 with VNNI.
    fn sets() -> [bool; 3] {
        let available = Isa::available();
        let avx512 =
            available.iter().find_map(|isa| if let Isa::Avx512(proof) = isa { Some(*proof) } else { None });
        let avx2 = available.iter().any(|isa| matches!(isa, Isa::Avx2(_)));
        [avx2, avx512.is_some(), avx512.is_some_and(|proof| proof.vnni().is_some())]
    }

    /// A bench of `chains`, if the CPU has what they need; each instruction multiplies and adds `items` pairs.
    macro_rules! chains {
        ($(#[$doc:meta])* $name:ident, $feature:literal, $needs:expr, $items:literal, $start:expr, |$sum:ident, $x:ident: $type:ty| $step:expr) => {
            $(#[$doc])*
            #[divan::bench(ignore = !$needs)]
            fn $name(bencher: Bencher<'_, '_>) {
                #[target_feature(enable = $feature)]
                fn chains() -> [$type; CHAINS] {
                    let ($x, zero): ($type, $type) = $start;
                    let $x = black_box($x);
                    let mut sums = [black_box(zero); CHAINS];
                    for _ in 0..TURNS {
                        for sum in &mut sums {
                            let $sum = *sum;
                            *sum = $step;
                        }
                    }
                    sums
                }
                assert!($needs, "this CPU lacks {}", $feature);
                // SAFETY: the line above.
                bencher.counter(ItemsCount::new(TURNS * CHAINS * $items)).bench_local(|| unsafe { chains() });
            }
        };
    }

    chains!(
        /// float32, 8 in a register.
        multiply_add_f32_avx2, "avx2,fma", sets()[0], 8,
        (_mm256_set1_ps(0.5), _mm256_set1_ps(0.0)),
        |sum, x: __m256| _mm256_fmadd_ps(x, x, sum)
    );
    chains!(
        /// float32, 16 in a register.
        multiply_add_f32_avx512, "avx512f", sets()[1], 16,
        (_mm512_set1_ps(0.5), _mm512_set1_ps(0.0)),
        |sum, x: __m512| _mm512_fmadd_ps(x, x, sum)
    );
    chains!(
        /// Bytes, 32 in a register, and the addition of 16-bit sums.
        multiply_add_i8_avx2, "avx2", sets()[0], 32,
        (_mm256_set1_epi8(3), _mm256_setzero_si256()),
        |sum, x: __m256i| _mm256_add_epi16(sum, _mm256_maddubs_epi16(x, sum))
    );
    chains!(
        /// Bytes, 64 in a register.
        multiply_add_i8_vnni, "avx512f,avx512vnni", sets()[2], 64,
        (_mm512_set1_epi8(3), _mm512_setzero_si512()),
        |sum, x: __m512i| _mm512_dpbusd_epi32(sum, x, x)
    );
}
