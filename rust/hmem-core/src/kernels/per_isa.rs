//! Plain Rust, compiled once for each instruction set.
//!
//! For loops that the compiler turns into vector code by itself. Rust neither fuses a multiplication with an addition nor
//! reorders sums on its own, so all versions give the same bits.

/// `per_isa! { /// … pub fn name(x: &[f32]) -> f32 = body; }` makes `name(isa, x)`, which calls `body(x)` compiled for `isa`.
/// `body` must be `#[inline(always)]`.
macro_rules! per_isa {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? = $body:path;) => {
        $(#[$doc])*
        $vis fn $name(isa: $crate::kernels::isa::Isa, $($arg: $type),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            use $crate::kernels::isa::Isa;
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn with_avx2($($arg: $type),*) $(-> $out)? {
                $body($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
            fn with_avx512($($arg: $type),*) $(-> $out)? {
                $body($($arg),*)
            }
            isa.assert_present();
            match isa {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the proof in `isa` says that the CPU has the instructions.
                Isa::Avx2(_) => unsafe { with_avx2($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                Isa::Avx512(_) => unsafe { with_avx512($($arg),*) },
                // Every 64-bit Arm CPU has NEON, and the compiler uses it without being told.
                _ => $body($($arg),*),
            }
        }
    };
}

pub(crate) use per_isa;
