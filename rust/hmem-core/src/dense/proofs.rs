//! Tests of what codes prove, on data made to break it.
//!
//! For each row, query and instruction set the float64 score must lie between the limits of whole codes, for one query and
//! for many, and below that of their upper halves, sharpened or not; and limits must be narrow enough to be worth having.

use proptest::prelude::*;

use super::aim::{Aim, Coarse, Signs};
use super::codes::{Coder, Codes, MIN_ROWS};
use super::limit::Limited;
use super::normal::{Metric, NormalRows};
use super::query::{Limit, Query};
use super::sieve::{Mesh, Sieve};
use crate::bitmap::Bitmap;
use crate::kernels::isa::Isa;
use crate::kernels::limits::{PerLane, PerRow, excesses};
use crate::kernels::line::{LINE, Line};
use crate::kernels::nibble::dot_codes;
use crate::kernels::random::Random;
use crate::kernels::rotation::Rotation;
use crate::kernels::sign::BLOCK;
use crate::kernels::tile::{self, LANES, Lanes};
use crate::rows::Rows;

/// Rows that are hard to keep in few bits, or hard on float32.
const KINDS: [&str; 13] = [
    "normal",
    "one large dimension",
    "nearly identical",
    "identical",
    "denormal, and a row of zeros",
    "norms from 1e-38 to 1e38",
    "one-hot",
    "duplicates of small integers",
    "opposite pairs, and a tiny row",
    "heavy tails",
    "one row far from all others",
    "clusters",
    "zeros but for one row",
];

/// Standard normal numbers.
struct Normal(Random);

impl Normal {
    fn next(&mut self) -> f64 {
        let mut uniform = || (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        (0..12).map(|_| uniform()).sum::<f64>() - 6.0
    }
}

/// `n` rows of a kind; none is zero if `metric` has no score for it.
fn rows(kind: &str, n: usize, d: usize, metric: Metric, normal: &mut Normal) -> Vec<f32> {
    let number = |row: usize, j: usize, noise: f64| match kind {
        "one large dimension" => noise + if j == 3 { 1000.0 } else { 0.0 },
        "nearly identical" => 1.0 + 1e-6 * noise,
        "identical" => f64::from(1 + j as u32 % 7) / 3.0,
        "denormal, and a row of zeros" => {
            if row == 5 {
                0.0
            } else {
                1e-40 * (3.0 + noise)
            }
        }
        "norms from 1e-38 to 1e38" => noise * 10f64.powf((row * 7 % 76) as f64 - 38.0),
        "one-hot" => f64::from(u8::from(j == row * 5 % d)),
        "duplicates of small integers" => ((row / 7 * 31 + j * j) % 5) as f64 - 2.0,
        "opposite pairs, and a tiny row" => match (row == n - 1, j == 0) {
            (true, true) => 1e-40,
            (true, false) | (false, true) => 0.0,
            (false, false) => (1.0 - (row % 2 * 2) as f64) * ((row / 2 * 37 + j * 11) % 29) as f64,
        },
        "heavy tails" => noise.powi(9),
        "one row far from all others" => noise * if row == 1 { 1e30 } else { 1e-4 },
        "clusters" => ((row % 9 * 13 + j * 7) % 17) as f64 - 8.0 + 0.01 * noise,
        "zeros but for one row" => {
            if row == 70 {
                noise
            } else {
                0.0
            }
        }
        _ => noise,
    };
    let mut rows: Vec<f32> = (0..n * d).map(|i| number(i / d, i % d, normal.next()) as f32).collect();
    for row in rows.chunks_mut(d).filter(|row| row.iter().all(|&x| x == 0.0)) {
        row[0] = if metric == Metric::Cosine { f32::MIN_POSITIVE } else { 0.0 };
    }
    rows
}

/// Cues of all directions and sizes, some of them where a bound has least room: rows, the centre, what is left of a row
/// without it, one that is at right angles to it, and zeros.
fn cues(rows: &NormalRows, codes: &Codes, metric: Metric, normal: &mut Normal) -> Vec<f32> {
    let d = rows.dim();
    let row = |row: usize| rows.rows().row(row).to_vec();
    let centre = codes.centre();
    let without = row(2).iter().zip(centre).map(|(x, c)| x - c).collect();
    let mut square = vec![0.0; d];
    (square[0], square[1]) = (centre[1], -centre[0]);
    let mut noise = || (0..d).map(|_| normal.next() as f32).collect::<Vec<f32>>();
    let negative = row(1).iter().map(|x| -x).collect();
    let tiny = noise().iter().map(|x| x * 1e-42).collect();
    let huge = noise().iter().map(|x| x * 1e37).collect();
    let near: Vec<f32> = centre.iter().zip(noise()).map(|(c, x)| c + 1e-7 * x).collect();
    let mut one = vec![0.0; d];
    one[d - 1] = -1.0;
    let all =
        [row(0), negative, centre.to_vec(), without, square, noise(), tiny, huge, near, one, vec![0.0; d]];
    let usable = |cue: &Vec<f32>| metric == Metric::Dot || cue.iter().any(|&x| x != 0.0);
    all.into_iter().filter(usable).flatten().collect()
}

/// Rows, codes, and what each code says of each row's score.
struct Trial {
    isa: Isa,
    coder: Coder,
    rows: NormalRows,
    codes: Codes,
    metric: Metric,
}

impl Trial {
    fn new(isa: Isa, data: &[f32], d: usize, metric: Metric) -> Self {
        let coder = Coder::new(isa, d);
        let rows = NormalRows::new("rows", Rows::new(data, data.len() / d, d).unwrap(), metric).unwrap();
        let codes = Codes::new(&coder, &rows, metric).expect("enough rows, wide enough");
        Self { isa, coder, rows, codes, metric }
    }

    fn queries(&self, data: &[f32]) -> NormalRows {
        let d = self.rows.dim();
        NormalRows::new("queries", Rows::new(data, data.len() / d, d).unwrap(), self.metric).unwrap()
    }

    fn scores(&self, query: &Query<'_>) -> Vec<f64> {
        (0..self.rows.len()).map(|row| query.score(self.isa, &self.rows, row)).collect()
    }

    fn fine(&self, query: &Query<'_>) -> Vec<Limit> {
        let aim = Aim::new(self.isa, self.coder.rotation().unwrap(), &self.codes, query);
        let fine = aim.fine();
        let all: Vec<u32> = (0..self.rows.len() as u32).collect();
        let mut sums = vec![0; all.len()];
        dot_codes(
            self.isa,
            self.codes.planes(),
            &all,
            fine.query.each_ref().map(|half| &half[..]),
            &mut sums,
        );
        sums.iter().enumerate().map(|(row, &sum)| aim.limit(&fine.grain, row, sum)).collect()
    }

    /// The same of whole codes as many queries see them: limits, upper limits in float32, and the least one that a row
    /// with a score of the second list may have.
    fn tiled(&self, query: &Query<'_>, scores: &[f64]) -> (Vec<Limit>, Vec<f32>, Vec<f32>) {
        let aim = Aim::new(self.isa, self.coder.rotation().unwrap(), &self.codes, query);
        let (tiled, scale) = aim.tiled();
        let (n, planes, per_row) = (self.rows.len(), self.codes.planes(), self.codes.per_row());
        let lines = 2 * planes.steps;
        let mut rows = vec![Line::ZERO; n * lines];
        tile::unpack(self.isa, planes.high, planes.low, &mut rows);
        let mut sums = vec![0; n * LANES];
        tile::sums(self.isa, &rows, lines, &[Lanes::new(&[&tiled.query], lines * LINE)], &mut sums);
        let mut lane = PerLane::NONE;
        let per_query = tiled.per_query;
        (lane.minus[0], lane.unit[0], lane.gain[0]) = (per_query.minus, per_query.unit, per_query.gain);
        (lane.reach[0], lane.floor[0]) = (per_query.reach, 0.0);
        let of_rows = PerRow { offset: &per_row.offset, scale: &per_row.scale, error: &per_row.fine_error };
        let mut upper = vec![[f32::NAN; BLOCK]; n];
        excesses(self.isa, &sums, LANES, of_rows, &lane, &mut upper);
        let limits = (0..n).map(|row| aim.limit(&tiled.grain, row, sums[row * LANES])).collect();
        let least = scores.iter().map(|&score| scale.limit(score)).collect();
        (limits, upper.into_iter().map(|queries| queries[0]).collect(), least)
    }

    /// Upper limits, the same sharpened, and the least limit that a row with a score of the second list may have.
    fn coarse(&self, query: &Query<'_>, scores: &[f64]) -> (Vec<f32>, Vec<f64>, Vec<f32>) {
        let aim = Aim::new(self.isa, self.coder.rotation().unwrap(), &self.codes, query);
        let allowed = Bitmap::all(self.rows.len());
        let sieve = Sieve::<Coarse>::new(self.isa, &aim, &allowed);
        let upper = upper(&sieve, self.rows.len());
        let mut sharp = Vec::new();
        let all: Vec<u32> = (0..self.rows.len() as u32).collect();
        sieve.sharpen(&all, &upper, &mut Vec::new(), &mut sharp);
        (upper, sharp, scores.iter().map(|&score| sieve.scale().limit(score)).collect())
    }

    /// Levels by signs, the limits that these stand for, and the least level that a row with a score of the second list may
    /// have.
    fn signs(&self, query: &Query<'_>, scores: &[f64]) -> (Vec<i16>, Vec<f64>, Vec<i16>) {
        let aim = Aim::new(self.isa, self.coder.rotation().unwrap(), &self.codes, query);
        let allowed = Bitmap::all(self.rows.len());
        let sieve = Sieve::<Signs>::new(self.isa, &aim, &allowed);
        let upper = upper(&sieve, self.rows.len());
        let limits = upper.iter().map(|&level| sieve.scale().score(level)).collect();
        (upper, limits, scores.iter().map(|&score| sieve.scale().limit(score)).collect())
    }
}

/// Limits of all rows; the largest of each block is one of them.
fn upper<M: Mesh>(sieve: &Sieve<'_, M>, n: usize) -> Vec<M::Limit> {
    let (mut upper, mut largest) = (vec![M::Limit::NONE; n], vec![M::Limit::NONE; n.div_ceil(BLOCK)]);
    sieve.fill(0..largest.len(), &mut upper, &mut largest);
    for (block, largest) in upper.chunks(BLOCK).zip(largest) {
        assert!(block.contains(&largest) && block.iter().all(|&limit| limit <= largest));
    }
    upper
}

/// Holds limits on rows of a kind against float64 scores.
fn check(kind: &str, n: usize, d: usize, metric: Metric, seed: u64) {
    let data = rows(kind, n, d, metric, &mut Normal(Random::new(seed)));
    let cues = |trial: &Trial| cues(&trial.rows, &trial.codes, metric, &mut Normal(Random::new(!seed)));
    hold(&format!("{kind}, seed {seed}"), &data, d, metric, cues);
}

/// Holds all limits against float64 scores; every instruction set must give the same ones.
fn hold(kind: &str, data: &[f32], d: usize, metric: Metric, cues: impl Fn(&Trial) -> Vec<f32>) {
    let mut before = None;
    for isa in Isa::available() {
        let trial = Trial::new(isa, data, d, metric);
        let queries = trial.queries(&cues(&trial));
        let mut all_limits = Vec::new();
        for q in 0..queries.len() {
            let query = Query::new(metric, &queries, q);
            let (scores, fine) = (trial.scores(&query), trial.fine(&query));
            let (upper, sharp, least) = trial.coarse(&query, &scores);
            let (tiled, tiled_upper, tiled_least) = trial.tiled(&query, &scores);
            let (of_signs, sign_limits, _) = trial.signs(&query, &scores);
            for (row, (&score, &limit)) in scores.iter().zip(&fine).enumerate() {
                let at = || format!("{kind}, {isa:?}, {metric:?}, width {d}, row {row}, cue {q}");
                assert!(limit.lower <= score && score <= limit.upper, "{}: {score} in {limit:?}", at());
                assert!(least[row] <= upper[row], "{}: {score} up to {} of {}", at(), least[row], upper[row]);
                let sharp = sharp[row];
                assert!(f64::from(least[row]) <= sharp, "{}: {score} up to {} of {sharp}", at(), least[row]);
                let Limit { lower, upper } = tiled[row];
                assert!(lower <= score && score <= upper, "{}: {score} in {:?}", at(), tiled[row]);
                let (upper, least) = (tiled_upper[row], tiled_least[row]);
                assert!(least <= upper, "{}: tiled {score} up to {least} of {upper}", at());
                assert!(sign_limits[row].is_finite(), "{}: {}", at(), sign_limits[row]);
            }
            all_limits.push((fine, upper, sharp, of_signs));
        }
        let same = before.get_or_insert_with(|| all_limits.clone());
        assert_eq!(same, &all_limits, "{kind}, {isa:?}: limits of another instruction set");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn scores_lie_within_limits(
        kind in prop::sample::select(&KINDS[..]),
        d in prop::sample::select(&[64usize, 65, 100, 127, 128, 129, 200][..]),
        more in 0..80usize,
        dot in any::<bool>(),
        seed in any::<u64>(),
    ) {
        check(kind, MIN_ROWS + more, d, if dot { Metric::Dot } else { Metric::Cosine }, seed);
    }
}

#[test]
fn scores_of_every_kind_lie_within_limits() {
    for kind in KINDS {
        for metric in [Metric::Cosine, Metric::Dot] {
            check(kind, MIN_ROWS + 1, 100, metric, 1);
        }
    }
}

#[test]
fn scores_lie_within_limits_where_the_rounding_of_a_query_points_along_a_row() {
    for d in [64, 100, 128] {
        let rotation = Rotation::new(d);
        let turn = |mut row: Vec<f32>| {
            rotation.apply(Isa::Scalar, &mut row);
            row
        };
        // Turned, it is one of these: the columns of the rotation.
        let basis = |i| (0..d).map(|j| f32::from(u8::from(i == j))).collect();
        let columns: Vec<Vec<f32>> = (0..d).map(|i| turn(basis(i))).collect();
        let mut normal = Normal(Random::new(4));
        let cue: Vec<f32> = (0..d).map(|_| normal.next() as f32).collect();
        let turned = turn(cue.clone());
        let largest = turned.iter().fold(0f32, |largest, x| largest.max(x.abs()));
        let mut data = Vec::new();
        for levels in [127.0, 64.0, 16_319.0].into_iter().cycle().take(MIN_ROWS / 2) {
            let unit = largest / levels;
            let sign = |x: &f32| (x - (x / unit).round() * unit).signum();
            let signs: Vec<f32> = turned.iter().map(sign).collect();
            // Codes keep signs without any error, so that nothing but the query's rounding is left.
            let row: Vec<f32> =
                columns.iter().map(|c| c.iter().zip(&signs).map(|(c, s)| c * s).sum()).collect();
            // And the opposite, so that the centre is zero.
            data.extend(row.iter().copied().chain(row.iter().map(|x| -x)));
        }
        for metric in [Metric::Cosine, Metric::Dot] {
            hold("rows along a query's rounding", &data, d, metric, |_| cue.clone());
        }
    }
}

#[test]
fn scores_of_wide_rows_lie_within_limits() {
    for (d, kinds) in [(1000, &KINDS[..4]), (1024, &KINDS[4..8]), (4096, &KINDS[..1]), (65_535, &KINDS[3..4])]
    {
        for kind in kinds {
            check(kind, MIN_ROWS, d, Metric::Dot, 2);
        }
    }
}

#[test]
fn rows_too_wide_for_a_kernel_are_not_coded() {
    assert!(Coder::new(Isa::Scalar, 65_535).rotation().is_some());
    assert!(Coder::new(Isa::Scalar, 65_536).rotation().is_none());
}

/// How many rows may be among the best ten, as far as each code can tell; the mean over queries.
fn survivors(data: &[f32], d: usize, cues: &[f32]) -> [f64; 4] {
    let trial = Trial::new(Isa::available().pop().unwrap(), data, d, Metric::Cosine);
    let queries = trial.queries(cues);
    let mut sums = [0; 4];
    for q in 0..queries.len() {
        let query = Query::new(Metric::Cosine, &queries, q);
        let mut best = trial.scores(&query);
        best.sort_by(|a, b| b.total_cmp(a));
        let floor = best[9];
        sums[0] += trial.fine(&query).iter().filter(|limit| limit.upper >= floor).count();
        let (upper, sharp, least) = trial.coarse(&query, &[floor]);
        sums[1] += upper.iter().filter(|&&upper| upper >= least[0]).count();
        sums[2] += sharp.iter().filter(|&&upper| upper >= least[0].into()).count();
        let (upper, _, least) = trial.signs(&query, &[floor]);
        sums[3] += upper.iter().filter(|&&upper| upper >= least[0]).count();
    }
    sums.map(|sum| sum as f64 / queries.len() as f64)
}

#[test]
fn limits_rule_most_rows_out() {
    // As embeddings of texts lie: around topics, away from zero; and cues near a row.
    let (n, d) = (2000, 384);
    let mut normal = Normal(Random::new(3));
    let topics: Vec<f64> = (0..50 * d).map(|_| normal.next() + 0.5).collect();
    let data: Vec<f32> =
        (0..n * d).map(|i| (topics[i / d % 50 * d + i % d] + normal.next()) as f32).collect();
    let cues: Vec<f32> = data[..20 * d].iter().map(|x| x + 0.7 * normal.next() as f32).collect();
    let [fine, coarse, sharp, signs] = survivors(&data, d, &cues);
    assert!(fine < 16.0, "whole codes leave {fine} of {n}");
    assert!(sharp < 20.0, "upper halves and lower ones leave {sharp} of {n}");
    assert!(coarse < 50.0, "their upper halves leave {coarse} of {n}");
    assert!(signs < 100.0, "signs leave {signs} of {n}");
}
