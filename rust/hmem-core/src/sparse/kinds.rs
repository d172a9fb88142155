//! How often a word stands in a row of which length, in a byte.
//!
//! What a word gives to a row follows from these two numbers, and most rows are short and have a word once, or few times. So
//! a query makes a table of what a word gives to each kind of row, and an entry says in one byte where to look.

use std::ops::Range;

/// Kinds of rows.
pub(super) const N_KINDS: usize = 255;

/// Stands for all others.
pub(super) const OTHER: u8 = 255;

/// Rows of these lengths have a kind where a word stands once, twice and three times: the kinds that have numbers in it.
const SPANS: [Range<usize>; 3] = [0..128, 128..208, 208..N_KINDS];

/// How often, and the length.
pub(super) const KINDS: [(f64, u32); N_KINDS] = {
    let mut kinds = [(0.0, 0); N_KINDS];
    let mut times = 0;
    while times < SPANS.len() {
        let mut at = SPANS[times].start;
        while at < SPANS[times].end {
            kinds[at] = ((times + 1) as f64, (at - SPANS[times].start) as u32);
            at += 1;
        }
        times += 1;
    }
    kinds
};

/// The kinds of rows that are no longer than this.
pub(super) fn kinds_up_to(length: u32) -> [Range<usize>; 3] {
    SPANS.map(|span| span.start..span.end.min(span.start.saturating_add(length as usize + 1)))
}

/// The kind of a row that has a word so often.
pub(super) fn kind(count: f32, length: u32) -> u8 {
    let span = match count {
        1.0 => &SPANS[0],
        2.0 => &SPANS[1],
        3.0 => &SPANS[2],
        _ => return OTHER,
    };
    let kind = span.start.saturating_add(length as usize);
    // Kinds are fewer than 255.
    u8::try_from(kind).ok().filter(|_| kind < span.end).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_what_the_table_says_and_the_rest_are_others() {
        for (count, longest) in [(1f32, 127), (2.0, 79), (3.0, 46), (1.5, -1), (4.0, -1), (70000.0, -1)] {
            for length in (0..300).chain([65_536, u32::MAX]) {
                match kind(count, length) {
                    OTHER => assert!(i64::from(length) > longest),
                    kind => {
                        assert_eq!(KINDS[usize::from(kind)], (f64::from(count), length));
                        let up_to = |length| {
                            kinds_up_to(length).iter().any(|kinds| kinds.contains(&usize::from(kind)))
                        };
                        assert!(up_to(length) && up_to(u32::MAX) && (length == 0 || !up_to(length - 1)));
                    }
                }
            }
        }
    }
}
