//! The scan that needs no codes: float32 products with a proved bound of their error.
//!
//! For segments too small to be coded, and for data on which codes rule nothing out.

use super::contest::Contest;
use super::normal::NormalRows;
use super::query::Query;
use crate::bitmap::Bitmap;
use crate::kernels::dot::dot_rows;
use crate::kernels::isa::Isa;

/// Rows that are scanned together: the number of bits in a word of a bitmap.
const BLOCK: usize = 64;

/// Enters the rows that are `allowed`; their positions begin at `first`.
pub(crate) fn scan(
    isa: Isa,
    query: &Query<'_>,
    rows: &NormalRows,
    allowed: &Bitmap,
    first: usize,
    contest: &mut Contest,
) {
    let mut products = [0f32; BLOCK];
    for (start, &word) in (0..).step_by(BLOCK).zip(allowed.words()) {
        if word == 0 {
            continue;
        }
        let end = rows.len().min(start + BLOCK);
        let products = &mut products[..end - start];
        dot_rows(isa, rows.rows_between(start, end), query.numbers(), products);
        for (i, &product) in products.iter().enumerate() {
            if word >> i & 1 == 1 {
                contest.enter(query.limit(rows, start + i, product), first + start + i);
            }
        }
    }
}
