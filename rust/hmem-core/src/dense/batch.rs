//! Many queries at once: whole codes of all rows, in tiles.
//!
//! A single query reads the upper halves of codes because it waits for memory. Many queries that share what is read wait for
//! arithmetic instead, and for that it makes no difference how many bits a code has. So the sieve is left out: all rows
//! are compared by whole codes with 64 queries at a time, and each query's floor rises as rows come by. No score is kept
//! but those that reached the floor when they were computed.
//!
//! Here the floor is a *guess*: an error is hardly ever a quarter of its bound, so a quarter is taken from a score instead
//! of the whole. Fewer rows come through; and whether `k` rows do reach the guess is seen when they have been scored
//! exactly. If not, the query is answered again, alone.
//!
//! The first floor comes from a sample: its rows are dealt out to groups, and what the best rows of `k` groups reach, `k` rows
//! reach. From there on hardly more rows come through than have to.
//!
//! What a query needs when a row comes through is kept together, a tile's queries side by side, and in float32: queries
//! take turns, and each turn would fetch all that is scattered.

use std::ops::Range;

use super::aim::{Aim, Scale, Tiled};
use super::codes::Codes;
use super::query::Query;
use super::scan::row_number;
use crate::bitmap::Bitmap;
use crate::kernels::isa::Isa;
use crate::kernels::limits::{PerLane, PerRow, entering, excesses};
use crate::kernels::line::{LINE, Line};
use crate::kernels::rotation::Rotation;
use crate::kernels::select::Kth;
use crate::kernels::sign::BLOCK;
use crate::kernels::tile::{self, LANES, Lanes};

/// What part of an error's bound a row is believed to be off at most.
const GUESSED: f32 = 0.25;

/// Queries in a tile.
const TILE: usize = tile::GROUPS * LANES;

/// Fewer queries are answered one by one.
pub(crate) const MIN_QUERIES: usize = 24;

/// Queries whose tiles stay in the second cache together.
pub(crate) const MAX_QUERIES: usize = 256;

/// Rows at which those are let go who are out by now. If half are not, codes do not tell rows apart.
const CROWD: usize = 8192;

/// Fewer rows stay even if they are out.
const FEW: usize = 256;

/// Blocks from which the first floor is taken.
const SAMPLE: usize = 10;

/// Of fewer times as many blocks it would not be worth the trouble.
const SAMPLES: usize = 8;

/// The sample is dealt out to so many groups, and their best rows are looked at …
const DEALT: usize = BLOCK;

/// … if no more than so many rows are wanted: of many groups, the best rows are some of the best of all.
const FEW_OF_DEALT: usize = DEALT / 2;

/// One query and one segment.
pub(crate) struct Aimed<'a> {
    pub(crate) aim: Aim<'a>,
    tiled: Tiled,
    scale: Scale<f32>,
}

impl<'a> Aimed<'a> {
    pub(crate) fn new(isa: Isa, rotation: &Rotation, codes: &'a Codes, query: &Query<'_>) -> Self {
        let aim = Aim::new(isa, rotation, codes, query);
        let (tiled, scale) = aim.tiled();
        Self { aim, tiled, scale }
    }
}

/// What a scan found for a query.
pub(crate) struct Found {
    /// All rows that may have at least this score are there; ∞ if too many rows are as good as the best.
    pub(crate) guess: f64,
    /// Their numbers.
    pub(crate) rows: Vec<u32>,
}

/// The rows of a segment that are `allowed` and may be among the best `k`, for each query. Its `floor` is a score that `k`
/// rows of other segments reach.
pub(crate) fn scan(
    isa: Isa,
    codes: &Codes,
    allowed: &Bitmap,
    k: usize,
    aimed: &[Aimed<'_>],
    floors: &[f64],
) -> Vec<Found> {
    let planes = codes.planes();
    let lines = 2 * planes.steps;
    let mut tiles: Vec<Tile> = aimed
        .chunks(TILE)
        .zip(floors.chunks(TILE))
        .map(|(aimed, floors)| Tile::new(k, aimed, floors, lines * LINE))
        .collect();
    let mut rows = vec![Line::ZERO; BLOCK * lines];
    let mut work = Work { sums: vec![0; BLOCK * TILE], excess: vec![[0.0; TILE]; BLOCK] };
    let mut each = |block: usize, visit: &mut dyn FnMut(&Block<'_>)| {
        let (start, word) = (block * BLOCK, allowed.words()[block]);
        if word != 0 {
            let end = allowed.len().min(start + BLOCK);
            let unpacked = &mut rows[..(end - start) * lines];
            tile::unpack(isa, planes.high_of(start..end), planes.low_of(start..end), unpacked);
            visit(&Block { isa, codes, rows: start..end, word, unpacked });
        }
    };
    let blocks = allowed.words().len();
    if blocks >= SAMPLES * SAMPLE && k <= FEW_OF_DEALT && floors.contains(&f64::NEG_INFINITY) {
        for block in (0..blocks).step_by(blocks.div_ceil(SAMPLE)) {
            each(block, &mut |block| tiles.iter_mut().for_each(|tile| tile.look(block, &mut work)));
        }
        tiles.iter_mut().for_each(|tile| tile.raise_floors(k));
    }
    for block in 0..blocks {
        each(block, &mut |block| tiles.iter_mut().for_each(|tile| tile.enter(block, &mut work)));
    }
    tiles.into_iter().flat_map(|tile| tile.queries).map(Entrants::found).collect()
}

/// Rows of a block.
struct Block<'a> {
    isa: Isa,
    codes: &'a Codes,
    rows: Range<usize>,
    /// Which are allowed.
    word: u64,
    /// Their whole codes.
    unpacked: &'a [Line],
}

impl Block<'_> {
    /// Sums of all rows and queries.
    fn sums<'w>(&self, lanes: &[Lanes], sums: &'w mut [i32]) -> &'w [i32] {
        let n = self.rows.len();
        let sums = &mut sums[..n * lanes.len() * LANES];
        tile::sums(self.isa, self.unpacked, self.unpacked.len() / n, lanes, sums);
        sums
    }

    fn per_row(&self) -> PerRow<'_> {
        let per_row = self.codes.per_row();
        PerRow {
            offset: &per_row.offset[self.rows.clone()],
            scale: &per_row.scale[self.rows.clone()],
            error: &per_row.fine_error[self.rows.clone()],
        }
    }

    /// Places of the allowed rows.
    fn allowed(&self) -> impl Iterator<Item = usize> + use<> {
        let (n, word) = (self.rows.len(), self.word);
        (0..n).filter(move |i| word >> i & 1 == 1)
    }
}

/// Results for a block of rows and a tile of queries.
struct Work {
    sums: Vec<i32>,
    excess: Vec<[f32; TILE]>,
}

/// Up to 64 queries.
struct Tile {
    queries: Vec<Entrants>,
    lanes: Vec<Lanes>,
    per_lane: PerLane,
    /// The best of each group of a sample, for each query.
    sample: Vec<[f32; TILE]>,
}

/// The rows that reached a query's floor when they came.
struct Entrants {
    scale: Scale<f32>,
    /// What a limit leaves out of the error.
    slack: f32,
    guess: f64,
    lower: Kth<f32>,
    left: Vec<(f32, u32)>,
    /// So many make it worth while to look who is out.
    crowd: usize,
}

impl Tile {
    fn new(k: usize, aimed: &[Aimed<'_>], floors: &[f64], width: usize) -> Self {
        let mut per_lane = PerLane::NONE;
        for (i, (aimed, &floor)) in aimed.iter().zip(floors).enumerate() {
            let query = aimed.tiled.per_query;
            per_lane.minus[i] = query.minus;
            per_lane.unit[i] = query.unit;
            per_lane.gain[i] = query.gain;
            per_lane.reach[i] = query.reach;
            per_lane.floor[i] = aimed.scale.limit(floor);
        }
        let lanes = aimed.chunks(LANES).map(|sixteen| {
            let queries: Vec<&[i32]> = sixteen.iter().map(|aimed| &*aimed.tiled.query).collect();
            Lanes::new(&queries, width)
        });
        let queries = aimed.iter().zip(floors).map(|(aimed, &floor)| Entrants {
            scale: aimed.scale,
            slack: aimed.tiled.grain.slack(),
            guess: floor,
            lower: Kth::new(k),
            left: Vec::with_capacity(FEW / 2),
            crowd: FEW,
        });
        Self { queries: queries.collect(), lanes: lanes.collect(), per_lane, sample: Vec::new() }
    }

    /// Deals out the rows of a block, by what they are believed to reach.
    fn look(&mut self, block: &Block<'_>, work: &mut Work) {
        let mut lower = self.per_lane.clone();
        lower.reach.iter_mut().for_each(|reach| *reach *= -GUESSED);
        lower.floor = [0.0; TILE];
        let n = block.rows.len();
        let excess = &mut work.excess[..n];
        let sums = block.sums(&self.lanes, &mut work.sums);
        excesses(block.isa, sums, self.lanes.len() * LANES, block.per_row(), &lower, excess);
        self.sample.resize(DEALT, [f32::NEG_INFINITY; TILE]);
        for i in block.allowed() {
            for (best, &lower) in self.sample[i].iter_mut().zip(&excess[i]) {
                *best = best.max(lower);
            }
        }
    }

    /// Each query's floor becomes what the best rows of `k` groups reach.
    fn raise_floors(&mut self, k: usize) {
        for (i, query) in self.queries.iter_mut().enumerate() {
            let mut best: Vec<f32> = self.sample.iter().map(|best| best[i]).collect();
            if k <= best.len() {
                let (_, &mut lower, _) = best.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
                self.per_lane.floor[i] =
                    self.per_lane.floor[i].max(query.raise(lower - (1.0 + GUESSED) * query.slack));
            }
        }
    }

    fn enter(&mut self, block: &Block<'_>, work: &mut Work) {
        let (width, per_row) = (self.lanes.len() * LANES, block.per_row());
        let sums = block.sums(&self.lanes, &mut work.sums);
        let mut entered = [0; BLOCK];
        entering(block.isa, sums, width, per_row, &self.per_lane, &mut entered[..block.rows.len()]);
        for i in block.allowed() {
            let mut queries = entered[i];
            while queries != 0 {
                let query = queries.trailing_zeros() as usize;
                queries &= queries - 1;
                let (limit, error) = self.per_lane.limit(query, sums[i * width + query], per_row, i);
                let floor = &mut self.per_lane.floor[query];
                *floor = self.queries[query].enter(limit, error, row_number(block.rows.start + i), *floor);
            }
        }
    }
}

impl Entrants {
    /// Takes a row in; gives the floor, which may have risen.
    #[inline]
    fn enter(&mut self, limit: f32, error: f32, row: u32, floor: f32) -> f32 {
        let mut floor = floor;
        self.left.push((limit, row));
        // The whole error down to the middle, and the part of it that is guessed.
        let lower = limit - (1.0 + GUESSED) * (error + self.slack);
        if lower > floor
            && let Some(lower) = self.lower.push(lower)
        {
            floor = self.raise(lower);
        }
        if self.left.len() >= self.crowd {
            self.left.retain(|&(limit, _)| limit >= floor);
            if self.left.len() > CROWD / 2 {
                self.guess = f64::INFINITY;
                floor = f32::INFINITY;
                self.left.clear();
            }
            self.crowd = FEW.max(2 * self.left.len()).min(CROWD);
        }
        floor
    }

    /// Takes a limit that `k` rows are believed to reach; gives the floor.
    fn raise(&mut self, lower: f32) -> f32 {
        self.guess = self.guess.max(self.scale.score(lower));
        self.scale.limit(self.guess)
    }

    fn found(self) -> Found {
        let floor = self.scale.limit(self.guess);
        let left = self.left.into_iter().filter(|&(limit, _)| limit >= floor);
        Found { guess: self.guess, rows: left.map(|(_, row)| row).collect() }
    }
}
