//! Binding of hmem-core to Python: converts, checks shapes, releases the interpreter lock, calls. No algorithm here.
//!
//! Reading order: [`convert`] (arguments in), [`answer`] (results out), [`error`] (the core's errors as exceptions),
//! [`guard`] (the lock released, a panic caught), then one file for each part of the core.
#![forbid(unsafe_code)]

mod answer;
mod associator;
mod attractor;
mod checksum;
mod convert;
mod convert_sparse;
mod convert_text;
mod dense;
mod error;
mod graph;
mod guard;
mod isa;
mod pace;
mod separator;
mod settling;
mod snapshot;
mod sparse_index;
mod text;
mod text_encoder;
mod text_index;
mod tokenizer;
mod trace_index;
mod weights;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "the name that Python packages use")]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_export]
    use crate::associator::Associator;
    #[pymodule_export]
    use crate::attractor::{energy, settle};
    #[pymodule_export]
    use crate::checksum::row_checksum;
    #[pymodule_export]
    use crate::dense::DenseIndex;
    #[pymodule_export]
    use crate::graph::Graph;
    #[pymodule_export]
    use crate::isa::{cpu_features, isa};
    #[pymodule_export]
    use crate::separator::{Separator, index_codes};
    #[pymodule_export]
    use crate::snapshot::{OpenedSnapshot, SnapshotFolder, SnapshotInfo};
    #[pymodule_export]
    use crate::sparse_index::SparseIndex;
    #[pymodule_export]
    use crate::text::analyze;
    #[pymodule_export]
    use crate::text_encoder::TextEncoder;
    #[pymodule_export]
    use crate::text_index::TextIndex;
    #[pymodule_export]
    use crate::tokenizer::Tokenizer;
    #[pymodule_export]
    use crate::trace_index::TraceIndex;
    #[pymodule_export]
    use crate::weights::read_safetensors;
}
