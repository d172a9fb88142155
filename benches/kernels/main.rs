//! Speed of each kernel for each instruction set of this CPU, and what the machine could do at best.
//!
//! `make bench-kernels`, or `cargo bench -p hmem-core --bench kernels -- dot` for some of them. Rows are [`WIDTH`] numbers
//! wide. Read a kernel's bytes a second against those of `ceilings::read` for an array of about its size, and its items
//! (multiplications, each with its addition) against `ceilings::multiply_add`.

mod ceilings;
mod codes;
mod dense;

use std::fmt;

use hmem_core::kernels::isa::Isa;

/// Numbers of a row.
const WIDTH: usize = 384;

/// Rows of a scan that a cache can hold, and of one that it may not.
const ROWS: [usize; 2] = [20_000, 100_000];

fn main() {
    divan::main();
}

/// An instruction set and a number of rows.
struct Case {
    isa: Isa,
    rows: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.isa.name(), self.rows)
    }
}

/// Every instruction set with each number of rows.
fn cases(rows: &[usize]) -> Vec<Case> {
    rows.iter().flat_map(|&rows| Isa::available().into_iter().map(move |isa| Case { isa, rows })).collect()
}

/// Scans with every instruction set.
fn scans() -> Vec<Case> {
    cases(&ROWS)
}

/// For kernels of which a search calls few.
fn small() -> Vec<Case> {
    cases(&ROWS[..1])
}
