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

use super::aim::{Aim, Scale, Tiled};
use super::codes::Codes;
use super::contest::Contest;
use super::query::{Limit, Query};
use crate::bitmap::Bitmap;
use crate::kernels::isa::Isa;
use crate::kernels::limits::{PerLane, PerRow, excesses, reaching};
use crate::kernels::line::{LINE, Line};
use crate::kernels::rotation::Rotation;
use crate::kernels::sign::BLOCK;
use crate::kernels::tile::{self, LANES, Lanes};

/// Queries in a tile.
const TILE: usize = tile::GROUPS * LANES;

/// Fewer queries are answered one by one.
pub(crate) const MIN_QUERIES: usize = 24;

/// Queries whose tiles stay in the second cache together.
pub(crate) const MAX_QUERIES: usize = 256;

/// Rows in a contest at which those are let go who are out by now. If half are not, codes do not tell rows apart.
const CROWD: usize = 8192;

/// One query and one segment.
pub(crate) struct Aimed<'a> {
    pub(crate) aim: Aim<'a>,
    tiled: Tiled,
    scale: Scale,
}

impl<'a> Aimed<'a> {
    pub(crate) fn new(isa: Isa, rotation: &Rotation, codes: &'a Codes, query: &Query<'_>) -> Self {
        let aim = Aim::new(isa, rotation, codes, query);
        let (tiled, scale) = aim.tiled();
        Self { aim, tiled, scale }
    }
}

/// Enters the rows of a segment that are `allowed` into the contests of all queries. Positions are row numbers, floors are
/// guesses. Gives the numbers of queries for which too many rows are as good as the best; their contests mean nothing.
pub(crate) fn scan(
    isa: Isa,
    codes: &Codes,
    allowed: &Bitmap,
    aimed: &[Aimed<'_>],
    contests: &mut [Contest],
) -> Vec<usize> {
    let planes = codes.planes();
    let lines = 2 * planes.steps;
    let mut tiles: Vec<Tile<'_>> = aimed
        .chunks(TILE)
        .zip(contests.chunks_mut(TILE))
        .map(|(aimed, contests)| Tile::new(aimed, contests, lines * LINE))
        .collect();
    let mut rows = vec![Line::ZERO; BLOCK * lines];
    for (start, &word) in (0..).step_by(BLOCK).zip(allowed.words()) {
        if word == 0 {
            continue;
        }
        let end = allowed.len().min(start + BLOCK);
        let rows = &mut rows[..(end - start) * lines];
        tile::unpack(planes, start..end, rows);
        for tile in &mut tiles {
            tile.enter(isa, codes, start..end, word, rows);
        }
    }
    let of_tile = |(t, tile): (usize, &Tile<'_>)| {
        let given_up = tile.given_up;
        (0..TILE).filter(move |q| given_up >> q & 1 == 1).map(move |q| t * TILE + q)
    };
    tiles.iter().enumerate().flat_map(of_tile).collect()
}

/// Up to 64 queries.
struct Tile<'a> {
    aimed: &'a [Aimed<'a>],
    contests: &'a mut [Contest],
    lanes: Vec<Lanes>,
    per_lane: PerLane,
    /// One bit a query.
    given_up: u64,
}

impl<'a> Tile<'a> {
    fn new(aimed: &'a [Aimed<'a>], contests: &'a mut [Contest], width: usize) -> Self {
        let mut per_lane = PerLane::NONE;
        for (i, (aimed, contest)) in aimed.iter().zip(&*contests).enumerate() {
            let query = aimed.tiled.per_query;
            per_lane.minus[i] = query.minus;
            per_lane.unit[i] = query.unit;
            per_lane.gain[i] = query.gain;
            per_lane.reach[i] = query.reach;
            per_lane.floor[i] = aimed.scale.limit(contest.floor());
        }
        let lanes = aimed.chunks(LANES).map(|sixteen| {
            let queries: Vec<&[i32]> = sixteen.iter().map(|aimed| &*aimed.tiled.query).collect();
            Lanes::new(&queries, width)
        });
        Self { aimed, contests, lanes: lanes.collect(), per_lane, given_up: 0 }
    }

    fn enter(&mut self, isa: Isa, codes: &Codes, rows: std::ops::Range<usize>, word: u64, unpacked: &[Line]) {
        let (n, width) = (rows.len(), self.lanes.len() * LANES);
        let (mut sums, mut excess) = ([0; BLOCK * TILE], [[0f32; TILE]; BLOCK]);
        let (sums, excess) = (&mut sums[..n * width], &mut excess[..n]);
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
                let q = queries.trailing_zeros() as usize;
                queries &= queries - 1;
                let aimed = &self.aimed[q];
                let contest = &mut self.contests[q];
                let limit = aimed.aim.limit(&aimed.tiled.grain, rows.start + i, sums[i * width + q]);
                let before = contest.floor();
                contest.enter(Limit { lower: limit.likely().lower, ..limit }, rows.start + i);
                if contest.floor() > before {
                    self.per_lane.floor[q] = aimed.scale.limit(contest.floor());
                }
                if contest.len() == CROWD {
                    contest.prune();
                    if contest.len() > CROWD / 2 {
                        self.given_up |= 1 << q;
                        self.per_lane.floor[q] = f32::INFINITY;
                    }
                }
            }
        }
    }
}
