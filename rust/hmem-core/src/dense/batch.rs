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
//! What a query needs when a row comes through is kept together, a tile's queries side by side, and in float32: queries
//! take turns, and each turn would fetch all that is scattered.

use std::ops::Range;

use super::aim::{Aim, Scale, Tiled};
use super::codes::Codes;
use super::query::Query;
use super::scan::row_number;
use crate::bitmap::Bitmap;
use crate::kernels::isa::Isa;
use crate::kernels::limits::{PerLane, PerRow, excesses, reaching};
use crate::kernels::line::{LINE, Line};
use crate::kernels::rotation::Rotation;
use crate::kernels::select::Kth;
use crate::kernels::sign::BLOCK;
use crate::kernels::tile::{self, LANES, Lanes};

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
    for (start, &word) in (0..).step_by(BLOCK).zip(allowed.words()) {
        if word == 0 {
            continue;
        }
        let end = allowed.len().min(start + BLOCK);
        let rows = &mut rows[..(end - start) * lines];
        tile::unpack(isa, planes.high_of(start..end), planes.low_of(start..end), rows);
        for tile in &mut tiles {
            tile.enter(isa, codes, start..end, word, rows, &mut work);
        }
    }
    tiles.into_iter().flat_map(|tile| tile.queries).map(Entrants::found).collect()
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
            left: Vec::new(),
            crowd: FEW,
        });
        Self { queries: queries.collect(), lanes: lanes.collect(), per_lane }
    }

    fn enter(
        &mut self,
        isa: Isa,
        codes: &Codes,
        rows: Range<usize>,
        word: u64,
        unpacked: &[Line],
        work: &mut Work,
    ) {
        let (n, width) = (rows.len(), self.lanes.len() * LANES);
        let (sums, excess) = (&mut work.sums[..n * width], &mut work.excess[..n]);
        tile::sums(isa, unpacked, unpacked.len() / n, &self.lanes, sums);
        let per_row = codes.per_row();
        let per_row = PerRow {
            offset: &per_row.offset[rows.clone()],
            scale: &per_row.scale[rows.clone()],
            error: &per_row.fine_error[rows.clone()],
        };
        excesses(isa, sums, width, per_row, &self.per_lane, excess);
        for (i, excess) in excess.iter().enumerate().filter(|(i, _)| word >> i & 1 == 1) {
            let mut queries = reaching(isa, excess, 0.0);
            while queries != 0 {
                let query = queries.trailing_zeros() as usize;
                queries &= queries - 1;
                let (limit, error) = self.per_lane.limit(query, sums[i * width + query], per_row, i);
                let floor = &mut self.per_lane.floor[query];
                *floor = self.queries[query].enter(limit, error, row_number(rows.start + i), *floor);
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
        // The whole error down to the middle, and the quarter of the guess.
        let lower = limit - 1.25 * (error + self.slack);
        if lower > floor
            && let Some(lower) = self.lower.push(lower)
        {
            self.guess = self.guess.max(self.scale.score(lower));
            floor = self.scale.limit(self.guess);
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

    fn found(self) -> Found {
        let floor = self.scale.limit(self.guess);
        let left = self.left.into_iter().filter(|&(limit, _)| limit >= floor);
        Found { guess: self.guess, rows: left.map(|(_, row)| row).collect() }
    }
}
