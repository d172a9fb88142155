//! AVX2: one instruction multiplies 32 pairs of bytes and adds them by twos, into 16 bits.
//!
//! Two products are at most `2·15·127 = 3810`, so that eight such pairs still fit 16 bits: [`GROUP`] steps gather there
//! before they are widened. Two rows go side by side, so that each load of the query serves both; there are not enough
//! registers to keep the query in them. The 32-bit sums of eight rows are added across at once.

use std::arch::x86_64::{
    __m256i, _MM_HINT_T0, _mm_add_epi32, _mm_cvtsi128_si32, _mm_prefetch, _mm_shuffle_epi32,
    _mm256_add_epi16, _mm256_add_epi32, _mm256_and_si256, _mm256_castsi256_si128, _mm256_extracti128_si256,
    _mm256_load_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_permute2x128_si256, _mm256_set1_epi8,
    _mm256_set1_epi16, _mm256_setzero_si256, _mm256_slli_epi32, _mm256_srli_epi16, _mm256_storeu_si256,
    _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
};

use super::{Line, Planes, SignedLine, Step};
use crate::kernels::isa::Avx2;
use crate::kernels::line::LINE;

/// Rows whose sums are added across at once.
const ROWS: usize = 8;

/// Rows that go side by side.
const SHARED: usize = 2;

/// Steps that gather in 16 bits: four pairs of products each.
const GROUP: usize = 2;

/// How many chosen rows ahead memory is asked for.
const AHEAD: usize = 4;

pub(super) fn dot_rows(proof: Avx2, rows: &[Line], query: &[Step], out: &mut [i32]) {
    proof.assert_present();
    // SAFETY: `Avx2` proves that the CPU has the instructions.
    unsafe { with_avx2(rows, query, out) }
}

pub(super) fn dot_chosen(proof: Avx2, rows: &[Line], chosen: &[u32], query: &[Step], out: &mut [i32]) {
    proof.assert_present();
    // SAFETY: as above.
    unsafe { chosen_with_avx2(rows, chosen, query, out) }
}

pub(super) fn dot_codes(
    proof: Avx2,
    planes: Planes<'_>,
    chosen: &[u32],
    query: [&[Step]; 2],
    out: &mut [i32],
) {
    proof.assert_present();
    // SAFETY: as above.
    unsafe { codes_with_avx2(planes, chosen, query, out) }
}

#[target_feature(enable = "avx2")]
fn with_avx2(rows: &[Line], query: &[Step], out: &mut [i32]) {
    let steps = query.len();
    if steps == 0 {
        out.fill(0);
        return;
    }
    let mut blocks = rows.chunks_exact(ROWS * steps);
    let (outs, rest) = out.as_chunks_mut::<ROWS>();
    for (block, out) in blocks.by_ref().zip(outs) {
        let mut sums = [_mm256_setzero_si256(); ROWS];
        for (rows, sums) in block.chunks_exact(SHARED * steps).zip(sums.as_chunks_mut::<SHARED>().0) {
            let (first, second) = rows.split_at(steps);
            let [first, second] = dot([first, second], [query]);
            *sums = [first[0], second[0]];
        }
        // SAFETY: 8 numbers of 4 bytes; the store needs no alignment.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), across(sums)) }
    }
    for (row, out) in blocks.remainder().chunks_exact(steps).zip(rest) {
        let [[sums]] = dot([row], [query]);
        *out = sum(sums);
    }
}

#[target_feature(enable = "avx2")]
fn chosen_with_avx2(rows: &[Line], chosen: &[u32], query: &[Step], out: &mut [i32]) {
    let steps = query.len();
    let of = |number: u32| row(rows, number as usize, steps);
    let (pairs, last) = chosen.as_chunks::<SHARED>();
    let (outs, last_out) = out.as_chunks_mut::<SHARED>();
    for (i, (&[first, second], out)) in pairs.iter().zip(outs).enumerate() {
        for &next in chosen.iter().skip(SHARED * i + AHEAD).take(SHARED) {
            let next = rows.as_ptr().wrapping_add(next as usize * steps);
            (0..steps).for_each(|step| _mm_prefetch::<_MM_HINT_T0>(next.wrapping_add(step).cast()));
        }
        let [[first], [second]] = dot([of(first), of(second)], [query]);
        *out = [sum(first), sum(second)];
    }
    for (&number, out) in last.iter().zip(last_out) {
        let [[sums]] = dot([of(number)], [query]);
        *out = sum(sums);
    }
}

#[target_feature(enable = "avx2")]
fn codes_with_avx2(planes: Planes<'_>, chosen: &[u32], query: [&[Step]; 2], out: &mut [i32]) {
    let steps = planes.steps;
    let of_row = |plane: &'_ [Line], row: u32| plane.as_ptr().wrapping_add(row as usize * steps);
    for (i, (&number, out)) in chosen.iter().zip(out).enumerate() {
        if let Some(&next) = chosen.get(i + AHEAD) {
            for step in 0..steps {
                for plane in [planes.high, planes.low] {
                    _mm_prefetch::<_MM_HINT_T0>(of_row(plane, next).wrapping_add(step).cast());
                }
            }
        }
        let number = number as usize;
        let [high, low] = dot([row(planes.high, number, steps), row(planes.low, number, steps)], query);
        let of_a = _mm256_add_epi32(_mm256_slli_epi32::<4>(high[0]), low[0]);
        let of_b = _mm256_add_epi32(_mm256_slli_epi32::<4>(high[1]), low[1]);
        *out = sum(_mm256_add_epi32(_mm256_slli_epi32::<7>(of_a), of_b));
    }
}

/// The lines of row `number`.
#[inline]
fn row(rows: &[Line], number: usize, steps: usize) -> &[Line] {
    &rows[number * steps..(number + 1) * steps]
}

/// Eight partial sums of the products of each row with each query.
#[inline]
#[target_feature(enable = "avx2")]
fn dot<const R: usize, const Q: usize>(rows: [&[Line]; R], queries: [&[Step]; Q]) -> [[__m256i; Q]; R] {
    let mut sums = [[_mm256_setzero_si256(); Q]; R];
    let steps = queries[0].len();
    let whole = steps / GROUP * GROUP;
    for from in (0..whole).step_by(GROUP) {
        add_group::<R, Q, GROUP>(rows, queries, from, &mut sums);
    }
    for from in whole..steps {
        add_group::<R, Q, 1>(rows, queries, from, &mut sums);
    }
    sums
}

/// Adds the products of steps `from..from + G`, of which there are at most [`GROUP`].
#[inline]
#[target_feature(enable = "avx2")]
fn add_group<const R: usize, const Q: usize, const G: usize>(
    rows: [&[Line]; R],
    queries: [&[Step]; Q],
    from: usize,
    sums: &mut [[__m256i; Q]; R],
) {
    let mut pairs = [[_mm256_setzero_si256(); Q]; R];
    for step in from..from + G {
        for part in 0..2 {
            for (row, pairs) in rows.iter().zip(&mut pairs) {
                let [first, second] = halves(&row[step], part);
                for (query, pairs) in queries.iter().zip(pairs) {
                    let [with_first, with_second] = &query[step];
                    let first = _mm256_maddubs_epi16(first, signed(with_first, part));
                    let second = _mm256_maddubs_epi16(second, signed(with_second, part));
                    *pairs = _mm256_add_epi16(*pairs, _mm256_add_epi16(first, second));
                }
            }
        }
    }
    for (sum, pairs) in sums.as_flattened_mut().iter_mut().zip(pairs.as_flattened()) {
        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(*pairs, _mm256_set1_epi16(1)));
    }
}

/// The numbers in the lower and in the upper four bits of each byte of half a line.
#[inline]
#[target_feature(enable = "avx2")]
fn halves(line: &Line, part: usize) -> [__m256i; 2] {
    let mask = _mm256_set1_epi8(15);
    let bytes: &[u8; LINE / 2] = &line.0.as_chunks().0[part];
    // SAFETY: 32 bytes at a multiple of 32: a line is aligned to 64.
    let bytes = unsafe { _mm256_load_si256(bytes.as_ptr().cast()) };
    [_mm256_and_si256(bytes, mask), _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask)]
}

#[inline]
#[target_feature(enable = "avx2")]
fn signed(line: &SignedLine, part: usize) -> __m256i {
    let bytes: &[i8; LINE / 2] = &line.0.as_chunks().0[part];
    // SAFETY: as above.
    unsafe { _mm256_load_si256(bytes.as_ptr().cast()) }
}

/// The sum of each register's eight numbers, in the order of the registers.
#[inline]
#[target_feature(enable = "avx2")]
fn across(rows: [__m256i; ROWS]) -> __m256i {
    let pairs: [__m256i; 4] = std::array::from_fn(|i| {
        let (a, b) = (rows[2 * i], rows[2 * i + 1]);
        _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b))
    });
    let fours: [__m256i; 2] = std::array::from_fn(|i| {
        let (a, b) = (pairs[2 * i], pairs[2 * i + 1]);
        _mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b))
    });
    // Each 128-bit half now has partial sums of four rows: rows 0 to 3 in the first register, 4 to 7 in the second.
    let lower = _mm256_permute2x128_si256::<0x20>(fours[0], fours[1]);
    let upper = _mm256_permute2x128_si256::<0x31>(fours[0], fours[1]);
    _mm256_add_epi32(lower, upper)
}

/// The sum of a register's eight numbers.
#[inline]
#[target_feature(enable = "avx2")]
fn sum(numbers: __m256i) -> i32 {
    let four = _mm_add_epi32(_mm256_castsi256_si128(numbers), _mm256_extracti128_si256::<1>(numbers));
    let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b0100_1110>(four));
    _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b1011_0001>(two)))
}
