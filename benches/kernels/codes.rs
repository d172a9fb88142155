//! Integer products of codes, and the limits that follow.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use hmem_core::kernels::limits::{self, PerLane, PerQuery, PerRow, PerSignQuery, PerSignRow};
use hmem_core::kernels::line::{LINE, Line, SignedLine};
use hmem_core::kernels::nibble::{self, Planes, STEP, Step};
use hmem_core::kernels::projection::Projection;
use hmem_core::kernels::random::Random;
use hmem_core::kernels::rotation::Rotation;
use hmem_core::kernels::sign::{self, BLOCK, GROUP, Tables};
use hmem_core::kernels::tile::{self, GROUPS, LANES, Lanes};

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
    let query: Vec<i32> = (0..WIDTH).map(|_| random.next_i8(7).into()).collect();
    let tables = Tables::new(&query);
    let groups = lines(sign::lines(case.rows, WIDTH));
    let mut out = vec![0; case.rows.next_multiple_of(GROUP * BLOCK)];
    bencher
        .counter(BytesCount::of_slice(&groups))
        .counter(ItemsCount::new(out.len() * WIDTH))
        .bench_local(|| sign::sums(case.isa, black_box(&groups), black_box(&tables), black_box(&mut out)));
}

#[divan::bench(args = crate::small())]
fn tile_sums(bencher: Bencher<'_, '_>, case: &Case) {
    let mut random = Random::new(4);
    let largest = tile::largest(case.isa);
    let mut query = || (0..WIDTH).map(|_| i32::from(random.next_i8(largest))).collect::<Vec<_>>();
    let lanes: Vec<Lanes> = (0..GROUPS).map(|_| Lanes::new(&[(); LANES].map(|()| query()), WIDTH)).collect();
    let rows = lines(case.rows * 2 * STEPS);
    let mut out = vec![0; case.rows * GROUPS * LANES];
    bencher.counter(BytesCount::of_slice(&rows)).counter(ItemsCount::new(out.len() * WIDTH)).bench_local(
        || {
            tile::sums(case.isa, black_box(&rows), 2 * STEPS, black_box(&lanes), black_box(&mut out));
        },
    );
}

#[divan::bench(args = crate::small())]
fn tile_unpack(bencher: Bencher<'_, '_>, case: &Case) {
    let planes = [lines(case.rows * STEPS), lines(case.rows * STEPS)];
    // A search unpacks a block at a time into lines that stay in the cache.
    let mut out = vec![Line::ZERO; BLOCK * 2 * STEPS];
    bencher.counter(BytesCount::new(case.rows * 2 * STEPS * LINE)).bench_local(|| {
        let [high, low] = planes.each_ref().map(|plane| black_box(plane).chunks(BLOCK * STEPS));
        for (high, low) in high.zip(low) {
            tile::unpack(case.isa, high, low, black_box(&mut out[..2 * high.len()]));
        }
    });
}

#[divan::bench(args = crate::small())]
fn excesses(bencher: Bencher<'_, '_>, case: &Case) {
    let [offset, scale, error] = [0.5f32, 0.01, 0.1].map(|x| vec![x; BLOCK]);
    let rows = PerRow { offset: &offset, scale: &scale, error: &error };
    let queries = PerLane { unit: [1e-3; BLOCK], gain: [0.3; BLOCK], floor: [0.1; BLOCK], ..PerLane::NONE };
    let (sums, mut out) = (vec![1234i32; BLOCK * BLOCK], vec![[0f32; BLOCK]; BLOCK]);
    bencher.counter(ItemsCount::new(case.rows / BLOCK * BLOCK * BLOCK)).bench_local(|| {
        for _ in 0..case.rows / BLOCK {
            limits::excesses(
                case.isa,
                black_box(&sums),
                BLOCK,
                rows,
                black_box(&queries),
                black_box(&mut out),
            );
        }
    });
}

/// A block of rows and a tile of queries, of whom one in fifty reaches its floor.
#[divan::bench(args = crate::small())]
fn entering(bencher: Bencher<'_, '_>, case: &Case) {
    let width = GROUPS * LANES;
    let sums: Vec<i32> = (0..).map(|i| i * 31 % 1009).take(BLOCK * width).collect();
    let [offset, scale, error] = [0.5f32, 0.01, 0.1].map(|x| vec![x; BLOCK]);
    let rows = PerRow { offset: &offset, scale: &scale, error: &error };
    let mut lanes = PerLane::NONE;
    lanes.unit[..width].fill(1.0);
    lanes.floor[..width].fill(9.9);
    let mut out = vec![0; BLOCK];
    bencher.counter(ItemsCount::new(case.rows / BLOCK * BLOCK * width)).bench_local(|| {
        for _ in 0..case.rows / BLOCK {
            limits::entering(case.isa, black_box(&sums), width, rows, black_box(&lanes), black_box(&mut out));
        }
    });
}

#[divan::bench(args = crate::scans())]
fn upper_limits_of_dots(bencher: Bencher<'_, '_>, case: &Case) {
    let [offset, scale, error] = [0.5f32, 0.01, 0.1].map(|x| vec![x; case.rows]);
    let rows = PerRow { offset: &offset, scale: &scale, error: &error };
    let query = PerQuery { times: 32, minus: 241, unit: 1e-3, gain: 0.3, reach: 1.1 };
    let (sums, mut out) = (vec![1234i32; case.rows], vec![0.0; case.rows]);
    let mut largest = vec![0.0; case.rows.div_ceil(BLOCK)];
    // A sum and three numbers are read, one is written.
    let bytes = BytesCount::new(case.rows * 5 * size_of::<f32>());
    bencher.counter(bytes).counter(ItemsCount::new(case.rows)).bench_local(|| {
        limits::upper_limits_of_dots(
            case.isa,
            black_box(&sums),
            rows,
            query,
            black_box(&mut out),
            &mut largest,
        );
    });
}

#[divan::bench(args = crate::scans())]
fn levels_of_signs(bencher: Bencher<'_, '_>, case: &Case) {
    let (offset, shape) = (vec![-3000; case.rows], vec![limits::shape(99, 99); case.rows]);
    let rows = PerSignRow { offset: &offset, shape: &shape };
    let query = PerSignQuery {
        middle: 1500,
        times: 16,
        factor: 20_000,
        factor_step: 9_000,
        offset_step: 500,
        spread_step: 800,
    };
    let (sums, mut out) = (vec![1234u16; case.rows], vec![0; case.rows]);
    let mut largest = vec![0; case.rows.div_ceil(BLOCK)];
    // Six bytes are read, two are written.
    bencher.counter(BytesCount::new(case.rows * 8)).counter(ItemsCount::new(case.rows)).bench_local(|| {
        limits::levels_of_signs(case.isa, black_box(&sums), rows, query, black_box(&mut out), &mut largest);
    });
}

#[divan::bench(args = crate::small())]
fn rotation(bencher: Bencher<'_, '_>, case: &Case) {
    let (rotation, mut row) = (Rotation::new(WIDTH), vec![1f32; WIDTH]);
    bencher.counter(ItemsCount::new(WIDTH)).bench_local(|| rotation.apply(case.isa, black_box(&mut row)));
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

#[divan::bench(args = crate::scans())]
fn reaching_level(bencher: Bencher<'_, '_>, case: &Case) {
    let levels: Vec<i16> = (0..case.rows).map(|i| i16::try_from(i * 31 % 251).unwrap_or(0)).collect();
    bencher.counter(BytesCount::of_slice(&levels)).counter(ItemsCount::new(case.rows)).bench_local(|| {
        black_box(&levels)
            .chunks(BLOCK)
            .map(|block| limits::reaching_level(case.isa, block, 200))
            .fold(0, |a, b| a ^ b)
    });
}

/// The responses of a separator's 16,384 units to one row of 512 numbers.
#[divan::bench(args = crate::small())]
fn projection_apply(bencher: Bencher<'_, '_>, case: &Case) {
    let mut random = Random::new(6);
    let projection = Projection::new(512, 32, &mut random);
    let row: Vec<i16> = (0..512).map(|_| random.next_i8(63).into()).collect();
    let mut out = vec![0; projection.len()];
    bencher
        .counter(ItemsCount::new(projection.len()))
        .bench_local(|| projection.apply(case.isa, black_box(&row), black_box(&mut out)));
}
