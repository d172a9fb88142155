//! Inner products of float32 rows.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use hmem_core::kernels::dot;
use hmem_core::rows::Rows;

use crate::{Case, ROWS, WIDTH};

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| f32::from(u8::try_from(i * 31 % 251).unwrap_or(0)) / 64.0 - 2.0).collect()
}

#[divan::bench(args = crate::scans())]
fn dot_rows(bencher: Bencher<'_, '_>, case: &Case) {
    let (data, query, mut out) = (numbers(case.rows * WIDTH), numbers(WIDTH), vec![0.0; case.rows]);
    let Ok(rows) = Rows::new(&data, case.rows, WIDTH) else { unreachable!("sizes agree") };
    bencher
        .counter(BytesCount::of_slice(&data))
        .counter(ItemsCount::new(data.len()))
        .bench_local(|| dot::dot_rows(case.isa, black_box(rows), black_box(&query), black_box(&mut out)));
}

/// As compiled for every CPU: rows are scored so that few are.
#[divan::bench]
fn dot64(bencher: Bencher<'_, '_>) {
    let (data, query) = (numbers(ROWS[0] * WIDTH), numbers(WIDTH));
    bencher.counter(BytesCount::of_slice(&data)).counter(ItemsCount::new(data.len())).bench_local(|| {
        data.chunks_exact(WIDTH).map(|row| dot::dot64(black_box(row), black_box(&query))).sum::<f64>()
    });
}
