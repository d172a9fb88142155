//! Inner products of float32 rows.
//!
//! [`dot_rows`]: one query with many rows, in float32, fast.
//!
//! * Accumulator: 16 float32 lanes. Lane `j` takes the elements `j`, `j + 16`, `j + 32`, … in that order, each by one
//!   fused multiply-add; the tail is padded with zeros to a multiple of 16. Then halving sums: lane `j` takes lane
//!   `j + 8`, then `j + 4`, `j + 2`, `j + 1`.
//! * Same bits from every variant, signed zeros and underflow included.
//! * Input: finite numbers. If a sum overflows, the result is an infinity or NaN; rows in normal form (`dense`) never do.
//! * Error: see [`error_bound`].
//!
//! [`dot64`]: two rows, in float64, to rescore the few that matter. The product of two float32 is exact in float64, so
//! only additions round. Accumulator: 8 float64 lanes, taken and halved in the same manner.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod dot64;
#[cfg(target_arch = "aarch64")]
mod neon;
pub mod scalar;

pub(super) use dot64::product;
pub use dot64::{dot64, dot64_on};

use super::isa::Isa;
use crate::rows::Rows;

/// Float32 numbers that one step of all lanes takes.
const LANES: usize = 16;

/// Inner product of `query` with each of `rows`.
///
/// # Panics
/// If the query's width is not the rows', or `out` has not one place a row.
pub fn dot_rows(isa: Isa, rows: Rows<'_, f32>, query: &[f32], out: &mut [f32]) {
    assert_eq!(rows.dim(), query.len(), "width of rows and query");
    assert_eq!(rows.len(), out.len(), "one result a row");
    isa.assert_present();
    match isa {
        Isa::Scalar => scalar::dot_rows(rows, query, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(proof) => avx2::dot_rows(proof, rows, query, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(proof) => avx512::dot_rows(proof, rows, query, out),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(proof) => neon::dot_rows(proof, rows, query, out),
        #[allow(unreachable_patterns, reason = "proofs of another architecture are never made here")]
        _ => scalar::dot_rows(rows, query, out),
    }
}

/// How far [`dot_rows`] may be from the exact inner product.
#[derive(Debug, Clone, Copy)]
pub struct ErrorBound {
    /// Times the product of the two norms.
    pub relative: f64,
    /// On top of that, for what underflows.
    pub absolute: f64,
}

/// Bound for rows of width `d`: `|computed − exact| ≤ relative · ‖row‖ · ‖query‖ + absolute`.
///
/// A product passes through at most `s = ⌈d/16⌉ + 4` roundings, so the relative part is `γ = s·u / (1 − s·u)` with
/// `u = 2⁻²⁴`, times `Σ|aᵢ·bᵢ|`, which is at most the product of the norms (N. Higham, "Accuracy and Stability of
/// Numerical Algorithms", 2nd edition, section 3.1). The absolute part allows each multiply-add to lose a number below
/// `2⁻¹²⁶` of either factor or of the sum, so it also holds where another library has told the CPU to flush denormals,
/// as long as no element is larger than 2.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "widths are far below 2^53")]
pub fn error_bound(d: usize) -> ErrorBound {
    let unit = (0.5f64).powi(24);
    let steps = (d.div_ceil(LANES) + 4) as f64;
    ErrorBound {
        relative: steps * unit / (1.0 - steps * unit),
        absolute: (d + LANES) as f64 * (0.5f64).powi(122),
    }
}

/// The checks of all variants against [`scalar`], callable from a plain program (see `examples/check_kernels.rs`).
#[doc(hidden)]
pub mod checks {
    use super::{Isa, Rows, dot_rows, scalar};

    /// Rows around the blocks of every variant.
    const ROW_COUNTS: [usize; 12] = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17];

    /// Compares bits for all widths up to `widths`, unaligned starts and row counts around the blocks.
    ///
    /// # Panics
    /// If they differ.
    pub fn same_bits(isa: Isa, widths: std::ops::RangeInclusive<usize>) {
        let mut numbers = Numbers(1);
        for d in widths {
            let n = ROW_COUNTS[d % ROW_COUNTS.len()].max(usize::from(d % 5 == 0) * 17);
            for start in [0, 1 + d % 15] {
                let data: Vec<f32> = (0..start + n * d).map(|_| numbers.next()).collect();
                let query: Vec<f32> = (0..start + d).map(|_| numbers.next()).collect();
                let Ok(rows) = Rows::new(&data[start..], n, d) else { unreachable!("sizes agree") };
                let (mut got, mut wanted) = (vec![f32::NAN; n], vec![f32::NAN; n]);
                dot_rows(isa, rows, &query[start..], &mut got);
                scalar::dot_rows(rows, &query[start..], &mut wanted);
                let bits = |scores: &[f32]| scores.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&got), bits(&wanted), "{isa:?}, {n} rows of {d}, start {start}");
            }
        }
    }

    /// Pseudo-random numbers: ordinary ones, zeros of both signs, and some whose products underflow.
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self) -> f32 {
            // Knuth's MMIX generator; the upper bits are the good ones.
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bits = self.0 >> 33;
            #[allow(clippy::cast_precision_loss, reason = "24 bits fit float32")]
            let x = (bits & 0xff_ffff) as f32 / 8_388_608.0 - 1.0;
            match bits >> 24 & 15 {
                0 => 0.0,
                1 => -0.0,
                2 => x * 1e-30,
                3 => x * 1e-42,
                4 => x * 1e15,
                _ => x,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_gives_the_bits_of_the_definition() {
        for isa in Isa::available() {
            checks::same_bits(isa, 0..=514);
        }
    }

    #[test]
    fn results_that_underflow_keep_the_sign_of_their_zero() {
        // −1e-60 rounds to −0 in its lane; only with all lanes −0 is the sum −0, and a padded tail makes them +0.
        for isa in Isa::available() {
            for d in 1..40 {
                let row = vec![-1e-30f32; d];
                let query = vec![1e-30f32; d];
                let mut out = [f32::NAN];
                dot_rows(isa, Rows::new(&row, 1, d).unwrap(), &query, &mut out);
                assert_eq!(out[0].to_bits(), scalar::dot(&row, &query).to_bits(), "{isa:?} {d}");
            }
        }
    }

    #[test]
    fn error_stays_within_the_bound() {
        for d in [1, 2, 15, 16, 17, 384, 1000, 4096] {
            // Slowly falling numbers: sums round at every step, products do not cancel.
            let row: Vec<f32> = (0..d).map(|i| 1.0 + 1.0 / (i as f32 + 1.5)).collect();
            let query: Vec<f32> = (0..d).map(|i| 1.0 + 1.0 / (i as f32 + 3.7)).collect();
            let exact = dot64(&row, &query);
            let norms = dot64(&row, &row).sqrt() * dot64(&query, &query).sqrt();
            let bound = error_bound(d);
            let error = (f64::from(scalar::dot(&row, &query)) - exact).abs();
            assert!(error <= bound.relative * norms + bound.absolute, "{d}: {error}");
        }
    }

    #[test]
    #[should_panic(expected = "one result a row")]
    fn a_short_output_is_refused() {
        dot_rows(Isa::Scalar, Rows::new(&[1.0], 1, 1).unwrap(), &[1.0], &mut []);
    }
}
