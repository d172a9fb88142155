//! AVX-512 VNNI: one instruction multiplies four bytes of 16 channels and adds them to 16 sums.
//!
//! It takes numbers without a sign from the one side, so rows come with 128 added ([`super::Factor::set`] flips the topmost bit), and
//! sums start from −128 times the sum of the channel's numbers. A sum may wrap on its way; it ends where it should.
//!
//! All rows of a tile share a load of the panel. What follows it in memory is the next panel, and is fetched meanwhile.

use std::arch::x86_64::{
    __m512i, _MM_HINT_T1, _mm_prefetch, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_mullo_epi32,
    _mm512_set1_epi32, _mm512_storeu_si512,
};

use super::{CHANNELS, QUAD, ROWS, Step, Sums};
use crate::kernels::isa::Vnni;

/// How far ahead bytes of the matrix are fetched: about as many as are multiplied while memory answers.
const AHEAD: usize = 8 << 10;

/// Channels of a register.
const LANES: usize = CHANNELS / 2;

pub(super) fn tile(
    proof: Vnni,
    rows: &[i8],
    k: usize,
    panel: &[Step],
    code_sums: &[i32; CHANNELS],
    sums: &mut Sums,
) {
    proof.assert_present();
    macro_rules! by_rows {
        ($($n:literal)*) => {
            match rows.len() / k {
                // SAFETY: `Vnni` proves that the CPU has the instructions.
                $($n => unsafe { with_vnni::<$n>(rows, k, panel, code_sums, sums) },)*
                _ => unreachable!("a tile has 1 to {ROWS} rows"),
            }
        };
    }
    by_rows!(1 2 3 4 5 6 7 8 9 10 11 12);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn with_vnni<const R: usize>(
    rows: &[i8],
    k: usize,
    panel: &[Step],
    code_sums: &[i32; CHANNELS],
    sums: &mut Sums,
) {
    assert!(rows.len() == R * k && panel.len() == k / QUAD);
    let start = |half: usize| {
        // SAFETY: 16 of 32 integers from one of two halves on.
        let sums = unsafe { _mm512_loadu_si512(code_sums.as_ptr().add(half * LANES).cast()) };
        _mm512_mullo_epi32(sums, _mm512_set1_epi32(-128))
    };
    let mut gathered: [[__m512i; 2]; R] = [[start(0), start(1)]; R];
    let mut from: [*const i8; R] = [rows.as_ptr(); R];
    for (r, from) in from.iter_mut().enumerate() {
        // SAFETY: there are R rows of k bytes.
        *from = unsafe { from.add(r * k) };
    }
    for (i, step) in panel.iter().enumerate() {
        let step: *const i8 = step.as_ptr();
        // SAFETY: a step has 128 bytes, two registers' worth.
        let (low, high) =
            unsafe { (_mm512_loadu_si512(step.cast()), _mm512_loadu_si512(step.add(64).cast())) };
        // SAFETY: fetching ahead reads nothing, wherever it points.
        #[allow(unused_unsafe, reason = "not all compilers that we allow know that it is safe")]
        unsafe {
            _mm_prefetch::<_MM_HINT_T1>(step.wrapping_add(AHEAD));
            _mm_prefetch::<_MM_HINT_T1>(step.wrapping_add(AHEAD + 64));
        }
        for r in 0..R {
            // SAFETY: row r has k bytes, and i < k / 4.
            let quad = unsafe { from[r].add(QUAD * i).cast::<i32>().read_unaligned() };
            let quad = _mm512_set1_epi32(quad);
            gathered[r][0] = _mm512_dpbusd_epi32(gathered[r][0], quad, low);
            gathered[r][1] = _mm512_dpbusd_epi32(gathered[r][1], quad, high);
        }
    }
    for (gathered, sums) in gathered.iter().zip(sums) {
        let to: *mut i32 = sums.as_mut_ptr();
        // SAFETY: 32 integers, two registers' worth.
        unsafe {
            _mm512_storeu_si512(to.cast(), gathered[0]);
            _mm512_storeu_si512(to.add(LANES).cast(), gathered[1]);
        }
    }
}
