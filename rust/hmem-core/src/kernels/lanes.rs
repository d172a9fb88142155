//! Float64 sums taken side by side, so that they are the same bits for every width of registers.

/// How many.
pub(super) const LANES: usize = 8;

/// Adds the upper half of the lanes to the lower, and again. Compiled on its own: seen together with the loop that fills
/// the lanes, compilers cut these into registers as the halves want them, and the loop takes twice as long.
#[inline(never)]
pub(super) fn halved(lanes: &[f64; LANES]) -> f64 {
    let mut lanes = *lanes;
    for half in [4, 2, 1] {
        for j in 0..half {
            lanes[j] += lanes[j + half];
        }
    }
    lanes[0]
}
