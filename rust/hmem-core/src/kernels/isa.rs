//! Which instructions this CPU has, as a proof that cannot be forged.
//!
//! A kernel written for AVX2 takes an [`Avx2`] and may therefore use AVX2: only this module makes one, after asking the
//! CPU. [`Isa::chosen`] is the best set here, capped by the environment variable `HMEM_ISA` (for tests: all sets give the
//! same bits). In builds with debug assertions every kernel asks the CPU once more before it runs ([`Isa::assert_present`]).

use std::sync::OnceLock;

use crate::error::IsaError;

/// Proof of AVX2 and FMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx2(());

/// Proof of AVX-512 F, BW, VL and DQ, and of AVX2 and FMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx512(());

/// Proof of AVX-512 with VNNI, the integer products for neural networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vnni(());

/// Proof of AVX-512 with VBMI, which looks up any byte of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vbmi(());

/// Proof of NEON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neon(());

/// An instruction set that this CPU has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// What every CPU has.
    Scalar,
    /// AVX2 and FMA.
    Avx2(Avx2),
    /// AVX-512.
    Avx512(Avx512),
    /// NEON.
    Neon(Neon),
}

/// The words of `HMEM_ISA`.
const NAMES: [&str; 5] = ["scalar", "avx2", "avx512", "amx", "neon"];
const WANTED: &str = "scalar, avx2, avx512, amx, neon";

/// Whether the CPU has the feature; false on other architectures.
macro_rules! has {
    ($arch:literal, $detect:ident, $feature:tt) => {{
        #[cfg(target_arch = $arch)]
        let has = std::arch::$detect!($feature);
        #[cfg(not(target_arch = $arch))]
        let has = false;
        has
    }};
}

macro_rules! has_x86 {
    ($feature:tt) => {
        has!("x86_64", is_x86_feature_detected, $feature)
    };
}

macro_rules! has_arm {
    ($feature:tt) => {
        has!("aarch64", is_aarch64_feature_detected, $feature)
    };
}

impl Isa {
    /// The set to use: the best one, capped by `HMEM_ISA`. Read once in a process.
    ///
    /// # Errors
    /// [`IsaError`] if `HMEM_ISA` is no known word or names a set that this CPU lacks.
    pub fn chosen() -> Result<Self, IsaError> {
        static CHOSEN: OnceLock<Result<Isa, IsaError>> = OnceLock::new();
        CHOSEN.get_or_init(|| Self::capped(std::env::var_os("HMEM_ISA"))).clone()
    }

    fn capped(asked: Option<std::ffi::OsString>) -> Result<Self, IsaError> {
        let available = Self::available();
        let best = *available.last().unwrap_or(&Self::Scalar);
        let Some(asked) = asked.filter(|asked| !asked.is_empty()) else { return Ok(best) };
        let Some(&name) = NAMES.iter().find(|&&name| asked == *name) else {
            return Err(IsaError::Unknown { wanted: WANTED, got: asked.to_string_lossy().into_owned() });
        };
        // No kernel needs AMX yet: where the CPU has it, the cap lets everything else through.
        if name == "amx" && has_amx() {
            return Ok(best);
        }
        available.iter().copied().find(|isa| isa.name() == name).ok_or_else(|| IsaError::Unavailable {
            got: name,
            offered: available.iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", "),
        })
    }

    /// All sets that this CPU has, from the plainest to the best.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let avx2 = has_x86!("avx2") && has_x86!("fma");
        let avx512 = avx2
            && has_x86!("avx512f")
            && has_x86!("avx512bw")
            && has_x86!("avx512vl")
            && has_x86!("avx512dq");
        let neon = has_arm!("neon");
        [
            Some(Self::Scalar),
            avx2.then_some(Self::Avx2(Avx2(()))),
            avx512.then_some(Self::Avx512(Avx512(()))),
            neon.then_some(Self::Neon(Neon(()))),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Its word in `HMEM_ISA`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2(_) => "avx2",
            Self::Avx512(_) => "avx512",
            Self::Neon(_) => "neon",
        }
    }

    /// With debug assertions: panics if this CPU lacks the set, before a kernel runs into undefined behaviour.
    #[inline]
    pub(super) fn assert_present(self) {
        match self {
            Self::Scalar => {}
            Self::Avx2(proof) => proof.assert_present(),
            Self::Avx512(proof) => proof.assert_present(),
            Self::Neon(proof) => proof.assert_present(),
        }
    }
}

/// Each kernel's function that takes the proof may enable these features and no others. The list stands here a second
/// time on purpose: it does not share a mistake with [`Isa::available`].
macro_rules! asserts_present {
    ($proof:ident: $has:ident $($feature:tt)*) => {
        impl $proof {
            /// As [`Isa::assert_present`].
            #[inline]
            pub(super) fn assert_present(self) {
                $(debug_assert!($has!($feature), concat!("proof of ", $feature, ", which this CPU lacks"));)*
            }
        }
    };
}

asserts_present! { Avx2: has_x86 "avx2" "fma" }
asserts_present! { Avx512: has_x86 "avx512f" "avx512bw" "avx512vl" "avx512dq" "avx2" "fma" }
#[cfg(target_arch = "x86_64")]
asserts_present! { Vnni: has_x86 "avx512f" "avx512bw" "avx512vl" "avx512dq" "avx512vnni" }
#[cfg(target_arch = "x86_64")]
asserts_present! { Vbmi: has_x86 "avx512f" "avx512bw" "avx512vl" "avx512dq" "avx512vbmi" }
asserts_present! { Neon: has_arm "neon" }

impl Avx512 {
    /// Who has AVX-512 has AVX2.
    #[must_use]
    pub fn avx2(self) -> Avx2 {
        Avx2(())
    }

    /// Not all who have AVX-512 have VNNI.
    #[must_use]
    pub fn vnni(self) -> Option<Vnni> {
        has_x86!("avx512vnni").then_some(Vnni(()))
    }

    /// Not all who have AVX-512 have VBMI.
    #[must_use]
    pub fn vbmi(self) -> Option<Vbmi> {
        has_x86!("avx512vbmi").then_some(Vbmi(()))
    }
}

/// Every feature that some kernel uses or will use, and whether this CPU has it.
#[must_use]
pub fn cpu_features() -> Vec<(&'static str, bool)> {
    vec![
        ("avx2", has_x86!("avx2")),
        ("fma", has_x86!("fma")),
        ("avx512f", has_x86!("avx512f")),
        ("avx512bw", has_x86!("avx512bw")),
        ("avx512vl", has_x86!("avx512vl")),
        ("avx512dq", has_x86!("avx512dq")),
        ("avx512vnni", has_x86!("avx512vnni")),
        ("avx512vbmi", has_x86!("avx512vbmi")),
        ("avxvnni", has_x86!("avxvnni")),
        ("amx-int8", has_amx()),
        ("neon", has_arm!("neon")),
        ("dotprod", has_arm!("dotprod")),
    ]
}

/// The standard library cannot detect AMX yet, and only Linux hands it out: its kernel lists it where it can be used.
fn has_amx() -> bool {
    cfg!(all(target_arch = "x86_64", target_os = "linux"))
        && std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|info| {
            info.lines()
                .find(|line| line.starts_with("flags"))
                .is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "amx_int8"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_available_set_can_be_asked_for() {
        for isa in Isa::available() {
            assert_eq!(Isa::capped(Some(isa.name().into())), Ok(isa));
        }
        assert_eq!(Isa::capped(None), Ok(*Isa::available().last().unwrap()));
    }

    #[test]
    fn what_is_available_is_present() {
        for isa in Isa::available() {
            isa.assert_present();
            if let Isa::Avx512(proof) = isa {
                proof.avx2().assert_present();
                proof.vnni().into_iter().for_each(Vnni::assert_present);
                proof.vbmi().into_iter().for_each(Vbmi::assert_present);
            }
        }
    }

    /// Sets that no CPU of this architecture has. Proofs of them lead to no code that could run here, assertion or not.
    #[cfg(debug_assertions)]
    fn foreign() -> Vec<Isa> {
        if cfg!(target_arch = "x86_64") {
            vec![Isa::Neon(Neon(()))]
        } else {
            vec![Isa::Avx2(Avx2(())), Isa::Avx512(Avx512(()))]
        }
    }

    #[cfg(debug_assertions)]
    #[test]
    fn a_forged_proof_is_caught_before_a_kernel_runs() {
        use crate::kernels::limits::{PerQuery, PerRow, reaching, reaching_levels, upper_limits_of_dots};
        use crate::kernels::random::Random;
        use crate::kernels::{dot, nibble, projection, rotation, sign, tile};
        use crate::rows::Rows;

        let kernels: [fn(Isa); 10] = [
            |isa| dot::dot_rows(isa, Rows::new(&[], 0, 0).unwrap(), &[], &mut []),
            |isa| nibble::dot_rows(isa, &[], &[], &mut []),
            |isa| {
                let planes = nibble::Planes { high: &[], low: &[], steps: 0 };
                nibble::dot_codes(isa, planes, &[], [&[], &[]], &mut []);
            },
            |isa| rotation::Rotation::new(64).apply(isa, &mut [0.0; 64]),
            |isa| sign::sums(isa, &[], &sign::Tables::new(&[]), &mut []),
            |isa| tile::sums(isa, &[], 0, &[tile::Lanes::new(&[] as &[Vec<i32>], 0)], &mut []),
            |isa| {
                let rows = PerRow { offset: &[], scale: &[], error: &[] };
                let query = PerQuery { times: 1, minus: 0, unit: 1.0, gain: 1.0, reach: 1.0 };
                upper_limits_of_dots(isa, &[], rows, query, &mut [], &mut []);
            },
            |isa| assert_eq!(reaching(isa, &[0.0; sign::BLOCK], 1.0), 0),
            |isa| reaching_levels(isa, &[0; sign::BLOCK], 1, &mut [0]),
            |isa| {
                let projection = projection::Projection::new(16, 32, &mut Random::new(0));
                projection.apply(isa, &[0; 16], &mut vec![0; projection.len()]);
            },
        ];
        for (isa, kernel) in foreign().into_iter().flat_map(|isa| kernels.map(|kernel| (isa, kernel))) {
            kernel(Isa::Scalar);
            let panic = std::panic::catch_unwind(|| kernel(isa)).unwrap_err();
            let message = panic.downcast::<&str>().unwrap();
            assert!(message.contains("which this CPU lacks"), "{isa:?}: {message}");
        }
    }

    #[test]
    fn others_are_refused() {
        assert!(matches!(Isa::capped(Some("sse9".into())), Err(IsaError::Unknown { .. })));
        let foreign = if cfg!(target_arch = "x86_64") { "neon" } else { "avx2" };
        assert!(matches!(Isa::capped(Some(foreign.into())), Err(IsaError::Unavailable { .. })));
        assert_eq!(Isa::capped(Some("amx".into())).is_ok(), has_amx());
    }
}
