//! The sections of a segment's file, in their order.

use crate::kernels::line::{LINE, Line};

macro_rules! kinds {
    ($($number:literal $kind:ident $name:literal $element:ty, $align:expr;)*) => {
        /// What a section holds. All of them stand in every file, in this order; some are empty.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $(#[doc = $name] $kind = $number,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: [Self; [$($number),*].len()] = [$(Self::$kind),*];

            /// Its name in messages and in the description of the format.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }

            /// Bytes of one number.
            #[must_use]
            pub fn element(self) -> usize {
                match self { $(Self::$kind => size_of::<$element>()),* }
            }

            /// Its offset is a multiple of this.
            #[must_use]
            pub fn align(self) -> u64 {
                match self { $(Self::$kind => $align),* }
            }
        }
    };
}

/// Bytes of a page.
pub const PAGE: u64 = 4096;
const SMALL: u64 = LINE as u64;

kinds! {
    1 Rows "rows" f32, PAGE;
    2 Exponents "exponents" i16, SMALL;
    3 Norms "norms" f64, SMALL;
    4 CodeLines "code_lines" Line, PAGE;
    5 CodeScale "code_scale" f32, SMALL;
    6 CodeOffset "code_offset" f32, SMALL;
    7 CodeCoarseError "code_coarse_error" f32, SMALL;
    8 CodeFineError "code_fine_error" f32, SMALL;
    9 SignOffset "sign_offset" i16, SMALL;
    10 SignShape "sign_shape" i16, SMALL;
    11 Centre "centre" f32, SMALL;
    12 Scalars "scalars" f64, SMALL;
    13 KeyIds "key_ids" i64, SMALL;
    14 KeyOffsets "key_offsets" usize, SMALL;
    15 MemoryIds "memory_ids" i64, SMALL;
    16 WordBytes "word_bytes" u8, SMALL;
    17 WordEnds "word_ends" usize, SMALL;
    18 PostingOffsets "posting_offsets" usize, SMALL;
    19 PostingRows "posting_rows" u32, SMALL;
    20 PostingWeights "posting_weights" f32, SMALL;
    21 WordCounts "word_counts" u32, SMALL;
    22 SampleRows "sample_rows" u32, SMALL;
    23 CopyHigh "copy_high" Line, PAGE;
    24 CopyLow "copy_low" Line, PAGE;
    25 CopyUnits "copy_units" f64, SMALL;
    26 TokenOffsets "token_offsets" usize, SMALL;
    27 TokenScales "token_scales" f32, SMALL;
    28 TokenCodes "token_codes" i8, SMALL;
}
