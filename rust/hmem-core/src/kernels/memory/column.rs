//! Numbers that are only read, wherever they lie: in a vector, in [`Lines`], or in a mapped file.
//!
//! A column knows where its numbers begin and how many there are, so reading one is reading a slice. What owns them is kept
//! alive beside that, and is never asked.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, Range};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use super::{Lines, Map};
use crate::kernels::line::Line;

mod sealed {
    pub trait Sealed {}
}

/// Numbers for which any bytes will do: none stands for something else than a number, and none lies between two.
///
/// # Safety
/// All bit patterns are values, and there is no padding.
pub unsafe trait Plain: sealed::Sealed + Copy + Send + Sync + 'static {}

macro_rules! plain {
    ($($number:ty),*) => {
        $(
            impl sealed::Sealed for $number {}
            // SAFETY: every bit pattern is a number of this type, and all its bytes belong to it.
            unsafe impl Plain for $number {}
        )*
    };
}

plain! { u8, i8, i16, u32, i32, u64, i64, usize, f32, f64, Line }

/// The bytes of numbers, as they lie in memory.
#[must_use]
pub fn bytes_of<T: Plain>(numbers: &[T]) -> &[u8] {
    // SAFETY: plain numbers have no padding, so each byte of them was written; the slice has these bytes and no more.
    unsafe { slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
}

/// Numbers that are only read.
pub struct Column<T> {
    start: NonNull<T>,
    len: usize,
    /// Owns the numbers; `None` where there are none.
    keeper: Option<Arc<dyn Send + Sync>>,
    numbers: PhantomData<T>,
}

// SAFETY: plain numbers that nobody changes may be read from any thread; the keeper may be dropped in any.
unsafe impl<T: Plain> Send for Column<T> {}
// SAFETY: as above.
unsafe impl<T: Plain> Sync for Column<T> {}

impl<T: Plain> Column<T> {
    /// Those that lie in `range` of a map, counted in bytes; `None` where it has no such bytes, or no whole number of numbers
    /// lies there, or they are not aligned.
    #[must_use]
    pub fn in_map(map: &Arc<Map>, range: Range<usize>) -> Option<Self> {
        Self::of_bytes(map.get(range)?, Arc::clone(map) as _)
    }

    /// Those that lie in `range` of some lines, counted in bytes; `None` as above.
    #[must_use]
    pub fn in_lines(lines: &Arc<Lines>, range: Range<usize>) -> Option<Self> {
        Self::of_bytes(bytes_of::<Line>(lines).get(range)?, Arc::clone(lines) as _)
    }

    /// `keeper` owns the bytes, does not move them, and changes none.
    fn of_bytes(bytes: &[u8], keeper: Arc<dyn Send + Sync>) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let start = NonNull::from(bytes).cast::<T>();
        if !start.is_aligned() || !bytes.len().is_multiple_of(size_of::<T>()) {
            return None;
        }
        Some(Self::kept(start, bytes.len() / size_of::<T>(), keeper))
    }

    /// `keeper` owns `len` numbers from `start` on, does not move them, and changes none.
    fn kept(start: NonNull<T>, len: usize, keeper: Arc<dyn Send + Sync>) -> Self {
        Self { start, len, keeper: Some(keeper), numbers: PhantomData }
    }
}

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self { start: NonNull::dangling(), len: 0, keeper: None, numbers: PhantomData }
    }
}

// Derived `Clone` would ask for `T: Clone`; only the handle is copied.
impl<T> Clone for Column<T> {
    fn clone(&self) -> Self {
        Self { start: self.start, len: self.len, keeper: self.keeper.clone(), numbers: PhantomData }
    }
}

impl<T: Plain> From<Vec<T>> for Column<T> {
    fn from(numbers: Vec<T>) -> Self {
        if numbers.is_empty() {
            return Self::default();
        }
        // What a vector has too much would be held for as long as the index.
        let keeper = Arc::new(numbers.into_boxed_slice());
        Self::kept(NonNull::from(&**keeper).cast(), keeper.len(), keeper)
    }
}

impl From<Lines> for Column<Line> {
    fn from(lines: Lines) -> Self {
        let keeper = Arc::new(lines);
        Self::kept(NonNull::from(&**keeper).cast(), keeper.len(), keeper)
    }
}

impl<T: Plain> FromIterator<T> for Column<T> {
    fn from_iter<I: IntoIterator<Item = T>>(numbers: I) -> Self {
        numbers.into_iter().collect::<Vec<T>>().into()
    }
}

impl<T> Deref for Column<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: only plain numbers get into a column. The keeper has `len` of them here, aligned, and neither moves nor
        // changes them; or there are none.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T: fmt::Debug> fmt::Debug for Column<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Column").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_outlives_its_maker_and_goes_where_it_is_sent() {
        let column: Column<u32> = (0..1000).collect();
        let copy = column.clone();
        drop(column);
        assert_eq!(std::thread::spawn(move || copy.iter().sum::<u32>()).join().unwrap(), 499_500);
        assert!(Column::<f64>::from(Vec::with_capacity(9)).is_empty());
        assert_eq!(Column::from(Lines::zeroed(3)).len(), 3);
        assert!(Column::from(Lines::zeroed(0)).is_empty());
    }

    #[test]
    fn bytes_are_those_in_memory() {
        assert_eq!(bytes_of(&[1u32, 0x0203]), [1u32.to_ne_bytes(), 0x0203u32.to_ne_bytes()].concat());
        assert!(bytes_of::<f64>(&[]).is_empty());
    }

    #[test]
    fn a_column_is_cut_from_lines_where_numbers_can_lie() {
        let mut lines = Lines::zeroed(2);
        lines.bytes_mut()[60..72].copy_from_slice(bytes_of(&[1u32, 2, 3]));
        let lines = Arc::new(lines);
        let column = Column::<u32>::in_lines(&lines, 60..72).unwrap();
        for range in [61..65, 60..63, 124..132] {
            assert!(Column::<u32>::in_lines(&lines, range.clone()).is_none(), "{range:?}");
        }
        assert!(Column::<u64>::in_lines(&lines, 8..8).unwrap().is_empty());
        drop(lines);
        assert_eq!(*column, [1, 2, 3]);
    }

    #[cfg(not(miri))]
    #[test]
    fn a_column_is_cut_from_a_map_where_numbers_can_lie() {
        let path = std::env::temp_dir().join(format!("hmem-column-{}", std::process::id()));
        std::fs::write(&path, bytes_of(&[7u32, 8, 9])).unwrap();
        let map = Arc::new(Map::of(&std::fs::File::open(&path).unwrap()).unwrap());
        std::fs::remove_file(&path).unwrap();
        let column = Column::<u32>::in_map(&map, 4..12).unwrap();
        map.populate(0..12).unwrap();
        drop(Arc::clone(&map));
        assert_eq!((&*column, &*Column::<u8>::in_map(&map, 8..9).unwrap()), (&[8, 9][..], &[9][..]));
        assert!(Column::<u32>::in_map(&map, 5..5).unwrap().is_empty());
        for range in [1..5, 0..3, 8..13, 20..24] {
            assert!(Column::<u32>::in_map(&map, range.clone()).is_none(), "{range:?}");
        }
        drop(map);
        assert_eq!(*column, [8, 9]);
    }
}
