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

/// What is left behind whole steps, as a step of its own: code that takes single lanes would have the registers of all cut to
/// fit them. The zeros change no sum: a lane that starts from zero is never −0.
pub(super) fn padded<T: Copy + Default>(tail: &[T]) -> [T; LANES] {
    let mut step = [T::default(); LANES];
    step[..tail.len()].copy_from_slice(tail);
    step
}
