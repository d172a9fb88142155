//! Functions of one number, sixteen at a time.

use crate::kernels::sixteen::Sixteen;

/// No score further below the best one counts: `e⁻⁸⁰` is a normal number, and so are its products with ordinary ones.
const LEAST: f32 = -80.0;

/// 1.5 · 2²³: where it is added, nothing is left behind the point. The 127 more are an exponent's offset.
const TO_EXPONENT: f32 = 12_582_912.0 + 127.0;

/// The logarithm of 2, in two parts: products of the first with small integers are exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// Of `(e^r − 1 − r) / r²` for `|r| ≤ ln 2 / 2`, fitted to a relative error of 1.1e-7.
const EXP: [f32; 4] = [0.499_992_3, 0.166_671_14, 0.041_890_16, 0.008_312_521];

/// `eˣ` for `x ≤ 0`, which counts as −80 where it is less.
///
/// Relative error below 4e-7. S. Cody, W. Waite, "Software Manual for the Elementary Functions", 1980, for how `x` is split.
#[inline(always)]
pub(super) fn exp<S: Sixteen>(proof: S::Proof, x: S) -> S {
    let number = |number| S::splat(proof, number);
    let x = x.or_larger(number(LEAST));
    let shifted = x.times_plus(number(std::f32::consts::LOG2_E), number(TO_EXPONENT));
    let n = shifted.minus(number(TO_EXPONENT));
    let r = n.times_plus(number(-LN_2[0]), x);
    let r = n.times_plus(number(-LN_2[1]), r);
    let p = number(EXP[3]).times_plus(r, number(EXP[2]));
    let p = p.times_plus(r, number(EXP[1]));
    let p = p.times_plus(r, number(EXP[0]));
    let p = p.times(r).times_plus(r, r);
    p.plus(number(1.0)).times(shifted.low_bits_as_exponent())
}

/// Beyond it, the normal distribution function counts as it is there.
const GELU_END: f32 = 4.75;

/// `(Φ(x) − ½) / x` as a polynomial of `2 (x / 4.75)² − 1`, fitted to the least error of `x Φ(x)`.
const GELU: [f32; 11] = [
    0.148_748_3,
    -0.073_667_57,
    0.053_235_36,
    -0.040_567_826,
    0.030_402_077,
    -0.021_651_402,
    0.013_408_02,
    -0.007_165_831_5,
    0.005_012_751_6,
    -0.003_772_608_8,
    0.001_281_822_4,
];

/// `x Φ(x)`, where `Φ` is the distribution function of the standard normal distribution.
///
/// Absolute error below 4e-6 for `|x| ≤ 4.75`, below `1.1e-6 · |x|` beyond. D. Hendrycks, K. Gimpel, "Gaussian error linear units", 2016.
#[inline(always)]
pub(super) fn gelu<S: Sixteen>(proof: S::Proof, x: S) -> S {
    let number = |number| S::splat(proof, number);
    let z = x.or_smaller(number(GELU_END)).or_larger(number(-GELU_END));
    let v = z.times(z).times_plus(number(2.0 / (GELU_END * GELU_END)), number(-1.0));
    let mut p = number(GELU[10]);
    for k in 1..GELU.len() {
        p = p.times_plus(v, number(GELU[GELU.len() - 1 - k]));
    }
    z.times_plus(p, number(0.5)).times(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::sixteen::LANES;
    use crate::kernels::sixteen::scalar::Lanes;

    fn of_one(function: impl Fn((), Lanes) -> Lanes, x: f32) -> f64 {
        let mut out = [0.0; LANES];
        function((), Lanes::splat((), x)).store(&mut out);
        f64::from(out[0])
    }

    #[test]
    fn exp_is_as_exact_as_it_says() {
        for i in 0..=160_000 {
            let x = i as f32 * -0.0005;
            let wanted = f64::from(x).exp();
            assert!((of_one(exp, x) - wanted).abs() <= 4e-7 * wanted, "{x}");
        }
        assert_eq!(of_one(exp, 0.0), 1.0);
        assert_eq!(of_one(exp, -1e30), of_one(exp, LEAST));
    }

    #[test]
    fn gelu_is_as_exact_as_it_says() {
        for i in -20_000..=20_000 {
            let x = i as f32 * 0.001;
            let wide = f64::from(x);
            let wanted = wide * 0.5 * libm::erfc(-wide / std::f64::consts::SQRT_2);
            let allowed = if wide.abs() <= f64::from(GELU_END) { 4e-6 } else { 1.1e-6 * wide.abs() };
            let got = of_one(gelu, x);
            assert!((got - wanted).abs() <= allowed, "{x}: {got} {wanted}");
        }
    }
}
