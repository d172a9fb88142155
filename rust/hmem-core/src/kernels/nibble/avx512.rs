//! AVX-512 with VNNI: one instruction multiplies 64 pairs of bytes and adds them by fours.
//!
//! Sixteen rows are in flight. Each row's products gather in a register of its own, so that no addition waits for the one
//! before, and the sixteen registers are then added across at once: 45 instructions instead of 16 times 12. Rows are read
//! one after the other, in the order in which they lie in memory: that is what the memory's prefetcher follows. The query
//! stays in registers, [`GROUP`] steps at a time.

use std::arch::x86_64::{
    __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_add_epi32, _mm512_and_si512, _mm512_dpbusd_epi32,
    _mm512_load_si512, _mm512_reduce_add_epi32, _mm512_set1_epi8, _mm512_setzero_si512, _mm512_shuffle_i32x4,
    _mm512_slli_epi32, _mm512_srli_epi16, _mm512_storeu_si512, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::{Line, Planes, SignedLine, Step};
use crate::kernels::isa::Vnni;

/// Rows in flight.
const ROWS: usize = 16;

/// Steps of the query that are held in registers at a time.
const GROUP: usize = 4;

/// How many chosen rows ahead memory is asked for, where both planes are read …
const AHEAD: usize = 4;

/// … and where one is.
const AHEAD_IN_ONE: usize = 20;

pub(super) fn dot_rows(proof: Vnni, rows: &[Line], query: &[Step], out: &mut [i32]) {
    proof.assert_present();
    // SAFETY: `Vnni` proves that the CPU has the instructions.
    unsafe { with_vnni(rows, query, out) }
}

pub(super) fn dot_chosen(proof: Vnni, rows: &[Line], chosen: &[u32], query: &[Step], out: &mut [i32]) {
    proof.assert_present();
    // SAFETY: as above.
    unsafe { chosen_with_vnni(rows, chosen, query, out) }
}

pub(super) fn dot_codes(
    proof: Vnni,
    planes: Planes<'_>,
    chosen: &[u32],
    query: [&[Step]; 2],
    out: &mut [i32],
) {
    proof.assert_present();
    // SAFETY: as above.
    unsafe { codes_with_vnni(planes, chosen, query, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn with_vnni(rows: &[Line], query: &[Step], out: &mut [i32]) {
    let steps = query.len();
    out.fill(0);
    for from in (0..steps).step_by(GROUP) {
        let group = &query[from..steps.min(from + GROUP)];
        match group.len() {
            1 => add_group::<1>(rows, steps, from, group, out),
            2 => add_group::<2>(rows, steps, from, group, out),
            3 => add_group::<3>(rows, steps, from, group, out),
            _ => add_group::<GROUP>(rows, steps, from, group, out),
        }
    }
}

/// Adds the sums over steps `from..from + G`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn add_group<const G: usize>(rows: &[Line], steps: usize, from: usize, group: &[Step], out: &mut [i32]) {
    let query: [[__m512i; 2]; G] = std::array::from_fn(|g| [signed(&group[g][0]), signed(&group[g][1])]);
    let mut blocks = rows.chunks_exact(ROWS * steps);
    let mut outs = out.as_chunks_mut::<ROWS>().0.iter_mut();
    for (block, out) in blocks.by_ref().zip(outs.by_ref()) {
        let mut sums = [_mm512_setzero_si512(); ROWS];
        for (row, sum) in block.chunks_exact(steps).zip(&mut sums) {
            *sum = dot::<G>(&row[from..from + G], &query);
        }
        let before = load_sums(out);
        store_sums(out, _mm512_add_epi32(before, across(sums)));
    }
    let rest = out.len() / ROWS * ROWS;
    for (row, out) in blocks.remainder().chunks_exact(steps).zip(&mut out[rest..]) {
        *out += _mm512_reduce_add_epi32(dot::<G>(&row[from..from + G], &query));
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn chosen_with_vnni(rows: &[Line], chosen: &[u32], query: &[Step], out: &mut [i32]) {
    let steps = query.len();
    out.fill(0);
    for from in (0..steps).step_by(GROUP) {
        let group = &query[from..steps.min(from + GROUP)];
        match group.len() {
            1 => add_group_of_chosen::<1>(rows, chosen, steps, from, group, out),
            2 => add_group_of_chosen::<2>(rows, chosen, steps, from, group, out),
            3 => add_group_of_chosen::<3>(rows, chosen, steps, from, group, out),
            _ => add_group_of_chosen::<GROUP>(rows, chosen, steps, from, group, out),
        }
    }
}

/// Adds the sums over steps `from..from + G`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn add_group_of_chosen<const G: usize>(
    rows: &[Line],
    chosen: &[u32],
    steps: usize,
    from: usize,
    group: &[Step],
    out: &mut [i32],
) {
    let query: [[__m512i; 2]; G] = std::array::from_fn(|g| [signed(&group[g][0]), signed(&group[g][1])]);
    let sums_of = |i: usize| {
        if let Some(&next) = chosen.get(i + AHEAD_IN_ONE) {
            let next = rows.as_ptr().wrapping_add(next as usize * steps + from);
            (0..G).for_each(|g| _mm_prefetch::<_MM_HINT_T0>(next.wrapping_add(g).cast()));
        }
        let at = chosen[i] as usize * steps + from;
        dot::<G>(&rows[at..at + G], &query)
    };
    let (blocks, rest) = out.as_chunks_mut::<ROWS>();
    let first_of_rest = blocks.len() * ROWS;
    for (block, out) in blocks.iter_mut().enumerate() {
        let sums = std::array::from_fn(|i| sums_of(block * ROWS + i));
        let before = load_sums(out);
        store_sums(out, _mm512_add_epi32(before, across(sums)));
    }
    for (i, out) in rest.iter_mut().enumerate() {
        *out += _mm512_reduce_add_epi32(sums_of(first_of_rest + i));
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn dot<const G: usize>(row: &[Line], query: &[[__m512i; 2]; G]) -> __m512i {
    let mut sum = _mm512_setzero_si512();
    for g in 0..G {
        let [first, second] = halves(&row[g]);
        sum = _mm512_dpbusd_epi32(sum, first, query[g][0]);
        sum = _mm512_dpbusd_epi32(sum, second, query[g][1]);
    }
    sum
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn codes_with_vnni(planes: Planes<'_>, chosen: &[u32], [a, b]: [&[Step]; 2], out: &mut [i32]) {
    let steps = planes.steps;
    let of_row = |plane: &'_ [Line], row: u32| plane.as_ptr().wrapping_add(row as usize * steps);
    for (i, (&row, out)) in chosen.iter().zip(out).enumerate() {
        if let Some(&next) = chosen.get(i + AHEAD) {
            for step in 0..steps {
                for plane in [planes.high, planes.low] {
                    _mm_prefetch::<_MM_HINT_T0>(of_row(plane, next).wrapping_add(step).cast());
                }
            }
        }
        let at = row as usize * steps;
        let (high, low) = (&planes.high[at..at + steps], &planes.low[at..at + steps]);
        // Four sums in four registers: none waits for another.
        let mut sums = [[_mm512_setzero_si512(); 2]; 2];
        for step in 0..steps {
            for (sums, line) in sums.iter_mut().zip([&high[step], &low[step]]) {
                let [first, second] = halves(line);
                for (sum, query) in sums.iter_mut().zip([&a[step], &b[step]]) {
                    *sum = _mm512_dpbusd_epi32(*sum, first, signed(&query[0]));
                    *sum = _mm512_dpbusd_epi32(*sum, second, signed(&query[1]));
                }
            }
        }
        let [of_a, of_b] =
            [0, 1].map(|half| _mm512_add_epi32(_mm512_slli_epi32::<4>(sums[0][half]), sums[1][half]));
        *out = _mm512_reduce_add_epi32(_mm512_add_epi32(_mm512_slli_epi32::<7>(of_a), of_b));
    }
}

/// The numbers in the lower and in the upper four bits of each byte.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn halves(line: &Line) -> [__m512i; 2] {
    let mask = _mm512_set1_epi8(15);
    // SAFETY: a line is 64 bytes and aligned to 64.
    let line = unsafe { _mm512_load_si512(line.0.as_ptr().cast()) };
    [_mm512_and_si512(line, mask), _mm512_and_si512(_mm512_srli_epi16::<4>(line), mask)]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn signed(line: &SignedLine) -> __m512i {
    // SAFETY: a line is 64 bytes and aligned to 64.
    unsafe { _mm512_load_si512(line.0.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_sums(from: &[i32; ROWS]) -> __m512i {
    // SAFETY: 16 numbers of 4 bytes; the load needs no alignment.
    unsafe { std::arch::x86_64::_mm512_loadu_si512(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_sums(to: &mut [i32; ROWS], sums: __m512i) {
    // SAFETY: 16 numbers of 4 bytes; the store needs no alignment.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), sums) }
}

/// The sum of each register's 16 numbers, in the order of the registers.
#[inline]
#[target_feature(enable = "avx512f")]
fn across(rows: [__m512i; ROWS]) -> __m512i {
    let pairs: [__m512i; 8] = std::array::from_fn(|i| {
        let (a, b) = (rows[2 * i], rows[2 * i + 1]);
        _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b))
    });
    // Each 128-bit quarter now has partial sums of two rows, then of four …
    let fours: [__m512i; 4] = std::array::from_fn(|i| {
        let (a, b) = (pairs[2 * i], pairs[2 * i + 1]);
        _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b))
    });
    // … and quarters are added to quarters.
    let eights: [__m512i; 2] = std::array::from_fn(|i| add_quarters(fours[2 * i], fours[2 * i + 1]));
    add_quarters(eights[0], eights[1])
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add_quarters(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi32(_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b))
}
