//! Sixteen float32 numbers side by side, with the same bits on every instruction set.
//!
//! An algorithm is written once, over [`Sixteen`], and compiled for each set. That the bits agree rests on three rules: every
//! operation is one that IEEE 754 defines to the last bit (sum, difference, product, quotient, fused product and sum,
//! comparison, rounding to even); numbers of one register never meet but in [`Sixteen::sum`] and [`Sixteen::largest`],
//! whose order is fixed; and there are always sixteen of them, however wide the registers are.
//!
//! All of it is inlined into a function that is compiled for the instructions, so loops are plain ones.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
pub(super) mod scalar;

/// Numbers in a [`Sixteen`].
pub const LANES: usize = 16;

/// Sixteen numbers in registers. Who has them has shown that the CPU has the instructions.
pub(super) trait Sixteen: Copy {
    /// That the CPU has the instructions.
    type Proof: Copy;

    fn splat(proof: Self::Proof, number: f32) -> Self;
    fn load(proof: Self::Proof, from: &[f32; LANES]) -> Self;
    /// Each integer, rounded to the nearest float32, to even between two.
    fn of_integers(proof: Self::Proof, from: &[i32; LANES]) -> Self;
    fn of_bytes(proof: Self::Proof, from: &[i8; LANES]) -> Self;

    fn store(self, to: &mut [f32; LANES]);
    /// Each number, rounded to the nearest integer, to even between two. All must lie within ±127.
    fn store_bytes(self, to: &mut [i8; LANES]);

    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    /// `self · factor + more`, rounded once.
    fn times_plus(self, factor: Self, more: Self) -> Self;
    /// `self` where it is larger, else `other`.
    fn or_larger(self, other: Self) -> Self;
    /// `self` where it is smaller, else `other`.
    fn or_smaller(self, other: Self) -> Self;
    fn magnitude(self) -> Self;
    /// The bits of each number, moved up by 23: what is low becomes an exponent.
    fn low_bits_as_exponent(self) -> Self;

    /// The sum: halves are added to each other, 8 and 8, 4 and 4, 2 and 2, 1 and 1.
    #[inline(always)]
    fn sum(self) -> f32 {
        let mut lanes = [0.0; LANES];
        self.store(&mut lanes);
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = lanes;
        let eight = [a + i, b + j, c + k, d + l, e + m, f + n, g + o, h + p];
        let [a, b, c, d, e, f, g, h] = eight;
        let [a, b, c, d] = [a + e, b + f, c + g, d + h];
        (a + c) + (b + d)
    }

    /// The largest of them. None may be NaN.
    #[inline(always)]
    fn largest(self) -> f32 {
        let mut lanes = [0.0; LANES];
        self.store(&mut lanes);
        let mut largest = lanes[0];
        for &lane in &lanes[1..] {
            if lane > largest {
                largest = lane;
            }
        }
        largest
    }
}

/// `for_each_isa! { /// … pub fn name(x: &[f32]) -> f32 = body; }` makes `name(isa, x)`, which calls `body::<S>(proof, x)` for the
/// [`Sixteen`] of `isa`, compiled for it. `body` must be `#[inline(always)]`.
macro_rules! for_each_isa {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? = $body:ident;) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments, reason = "as the body")]
        $vis fn $name(isa: $crate::kernels::isa::Isa, $($arg: $type),*) $(-> $out)? {
            use $crate::kernels::isa::Isa;
            use $crate::kernels::sixteen;
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments, reason = "as the body")]
            fn with_avx2(proof: $crate::kernels::isa::Avx2, $($arg: $type),*) $(-> $out)? {
                $body::<sixteen::avx2::Registers>(proof, $($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
            #[allow(clippy::too_many_arguments, reason = "as the body")]
            fn with_avx512(proof: $crate::kernels::isa::Avx512, $($arg: $type),*) $(-> $out)? {
                $body::<sixteen::avx512::Register>(proof, $($arg),*)
            }
            #[cfg(target_arch = "aarch64")]
            #[target_feature(enable = "neon")]
            #[allow(clippy::too_many_arguments, reason = "as the body")]
            fn with_neon(proof: $crate::kernels::isa::Neon, $($arg: $type),*) $(-> $out)? {
                $body::<sixteen::neon::Registers>(proof, $($arg),*)
            }
            isa.assert_present();
            match isa {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the proof in `isa` says that the CPU has the instructions.
                Isa::Avx2(proof) => unsafe { with_avx2(proof, $($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                Isa::Avx512(proof) => unsafe { with_avx512(proof, $($arg),*) },
                #[cfg(target_arch = "aarch64")]
                // SAFETY: as above.
                Isa::Neon(proof) => unsafe { with_neon(proof, $($arg),*) },
                _ => $body::<sixteen::scalar::Lanes>((), $($arg),*),
            }
        }
    };
}

pub(super) use for_each_isa;
