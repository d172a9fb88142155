//! Integer products of codes, and the limits that follow.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use hmem_core::kernels::limits::{self, PerQuery, PerRow};
use hmem_core::kernels::line::{Line, SignedLine};
use hmem_core::kernels::nibble::{self, Planes, STEP, Step};
use hmem_core::kernels::random::Random;
use hmem_core::kernels::sign::{self, BLOCK, Tables};

use crate::{Case, WIDTH};

const STEPS: usize = WIDTH / STEP;

fn lines(n: usize) -> Vec<Line> {
    let mut random = Random::new(1);
    (0..n).map(|_| Line(random.next_bytes())).collect()
}

fn query() -> Vec<Step> {
    let mut random = Random::new(2);
    let mut line = || SignedLine(std::array::from_fn(|_| random.next_i8(127)));
    (0..STEPS).map(|_| [line(), line()]).collect()
}

#[divan::bench(args = crate::scans())]
fn nibble_dot_rows(bencher: Bencher<'_, '_>, case: &Case) {
    let (rows, query, mut out) = (lines(case.rows * STEPS), query(), vec![0; case.rows]);
    bencher.counter(BytesCount::of_slice(&rows)).counter(ItemsCount::new(case.rows * WIDTH)).bench_local(
        || {
            nibble::dot_rows(case.isa, black_box(&rows), black_box(&query), black_box(&mut out));
        },
    );
}

/// Every 23rd row: as far apart as the rows that a search looks at again.
#[divan::bench(args = crate::small())]
fn nibble_dot_codes(bencher: Bencher<'_, '_>, case: &Case) {
    let (high, low, [a, b]) = (lines(case.rows * STEPS), lines(case.rows * STEPS), [query(), query()]);
    let chosen: Vec<u32> = (0..case.rows).step_by(23).filter_map(|row| row.try_into().ok()).collect();
    let mut out = vec![0; chosen.len()];
    let planes = Planes { high: &high, low: &low, steps: STEPS };
    bencher
        .counter(BytesCount::new(chosen.len() * 2 * STEPS * size_of::<Line>()))
        .counter(ItemsCount::new(chosen.len() * 4 * WIDTH))
        .bench_local(|| {
            let query: [&[Step]; 2] = [black_box(&a), black_box(&b)];
            nibble::dot_codes(case.isa, black_box(planes), black_box(&chosen), query, black_box(&mut out));
        });
}

#[divan::bench(args = crate::scans())]
fn sign_sums(bencher: Bencher<'_, '_>, case: &Case) {
    let mut random = Random::new(3);
    let query: Vec<i8> = (0..WIDTH).map(|_| random.next_i8(Tables::largest(WIDTH))).collect();
    let tables = Tables::new(&query);
    let blocks = lines(case.rows.div_ceil(BLOCK) * tables.lines());
    let mut out = vec![0; case.rows.next_multiple_of(BLOCK)];
    bencher
        .counter(BytesCount::of_slice(&blocks))
        .counter(ItemsCount::new(out.len() * WIDTH))
        .bench_local(|| sign::sums(case.isa, black_box(&blocks), black_box(&tables), black_box(&mut out)));
}

/// What stands beside each row, and what comes out.
struct Limits {
    per_row: [Vec<f32>; 3],
    out: Vec<f32>,
}

const QUERY: PerQuery = PerQuery { times: 32, minus: 241, unit: 1e-3, gain: 0.3, reach: 1.1 };

impl Limits {
    fn new(rows: usize) -> Self {
        let per_row = [0.5f32, 0.01, 0.1].map(|x| vec![x; rows]);
        Self { per_row, out: vec![0.0; rows] }
    }

    /// Sums of `S` and three numbers are read, one is written.
    fn bytes<S>(rows: usize) -> BytesCount {
        BytesCount::new(rows * (size_of::<S>() + 4 * size_of::<f32>()))
    }

    fn parts(&mut self) -> (PerRow<'_>, &mut [f32]) {
        let [offset, scale, error] = &self.per_row;
        (PerRow { offset, scale, error }, &mut self.out)
    }
}

#[divan::bench(args = crate::scans())]
fn upper_limits_of_dots(bencher: Bencher<'_, '_>, case: &Case) {
    let (mut limits, sums) = (Limits::new(case.rows), vec![1234i32; case.rows]);
    let (rows, out) = limits.parts();
    bencher.counter(Limits::bytes::<i32>(case.rows)).counter(ItemsCount::new(case.rows)).bench_local(|| {
        limits::upper_limits_of_dots(case.isa, black_box(&sums), rows, QUERY, black_box(out))
    });
}

#[divan::bench(args = crate::scans())]
fn upper_limits_of_signs(bencher: Bencher<'_, '_>, case: &Case) {
    let (mut limits, sums) = (Limits::new(case.rows), vec![1234u16; case.rows]);
    let (rows, out) = limits.parts();
    bencher.counter(Limits::bytes::<u16>(case.rows)).counter(ItemsCount::new(case.rows)).bench_local(|| {
        limits::upper_limits_of_signs(case.isa, black_box(&sums), rows, QUERY, black_box(out))
    });
}

#[divan::bench(args = crate::scans())]
fn reaching(bencher: Bencher<'_, '_>, case: &Case) {
    let limits: Vec<f32> =
        (0..case.rows).map(|i| f32::from(u8::try_from(i * 31 % 251).unwrap_or(0))).collect();
    bencher.counter(BytesCount::of_slice(&limits)).counter(ItemsCount::new(case.rows)).bench_local(|| {
        black_box(&limits)
            .chunks(BLOCK)
            .map(|block| limits::reaching(case.isa, block, 200.0))
            .fold(0, |a, b| a ^ b)
    });
}
