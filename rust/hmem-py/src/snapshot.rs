//! `SnapshotFolder`, and what it returns.

use std::path::PathBuf;

use hmem_core::snapshot::{Folder, Info, Note};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyInt};

use crate::convert::type_name;
use crate::error::{DTypeError, InvalidValueError, ShapeError};
use crate::guard::Guard;
use crate::trace_index::TraceIndex;

/// The folder in which the snapshots of one index lie: files that are mapped, and opened in a moment.
///
/// A snapshot is derived from a truth that is kept elsewhere, and may be thrown away. It consists of files with segments of
/// the index, which are written once and never changed, and of a manifest that names them, which comes with each write. So a
/// write adds what is in no file yet. What is opened is read where it lies, and shared by all processes that have it open.
///
/// One process at a time may write and remove; the caller sees to that. Any number may read meanwhile.
///
/// Parameters
/// ----------
/// path : str or os.PathLike
///     The folder. Nothing on disk is touched before the first call.
/// fingerprint : bytes
///     32 bytes that tell the index from others. A snapshot with another fingerprint is not opened.
///
/// Examples
/// --------
/// >>> import tempfile
/// >>> index = TraceIndex(2)
/// >>> index.put([7], [0, 1], [70], [[1.0, 0.0]], ["Cats sleep."])
/// >>> folder = SnapshotFolder(tempfile.mkdtemp(), bytes(32))
/// >>> folder.write(index, change_seq=12, stamp=3).files
/// ['vectors-00000001', 'snapshot-00000001']
/// >>> opened = folder.open(TraceIndex(2))
/// >>> opened.index.ids, opened.info.change_seq
/// (array([7]), 12)
#[pyclass(frozen, module = "hmem_fast.core")]
pub struct SnapshotFolder {
    folder: Folder,
    guard: Guard,
}

/// What is known of a snapshot without opening its segments.
///
/// Examples
/// --------
/// >>> import tempfile
/// >>> folder = SnapshotFolder(tempfile.mkdtemp(), bytes(32))
/// >>> folder.write(TraceIndex(2), change_seq=0, stamp=0)
/// SnapshotInfo(generation=1, change_seq=0, stamp=0, memories=0, keys=0, bytes=140, written=140)
#[pyclass(frozen, module = "hmem_fast.core")]
pub struct SnapshotInfo {
    info: Info,
}

/// A snapshot that was opened.
///
/// Examples
/// --------
/// >>> import tempfile
/// >>> folder = SnapshotFolder(tempfile.mkdtemp(), bytes(32))
/// >>> info = folder.write(TraceIndex(2), change_seq=0, stamp=0, extra=b"mine")
/// >>> folder.open(TraceIndex(2)).extra
/// b'mine'
#[pyclass(frozen, module = "hmem_fast.core")]
pub struct OpenedSnapshot {
    index: Py<TraceIndex>,
    info: Py<SnapshotInfo>,
    extra: Py<PyBytes>,
}

#[pymethods]
impl SnapshotFolder {
    #[new]
    fn new(path: &Bound<'_, PyAny>, fingerprint: &Bound<'_, PyAny>) -> PyResult<Self> {
        let path: PathBuf = path.extract().map_err(|_| {
            DTypeError::new_err(format!("path: wanted a string or a path, got {}", type_name(path)))
        })?;
        let fingerprint = bytes(fingerprint, "fingerprint")?;
        let fingerprint = fingerprint.as_bytes().try_into().map_err(|_| {
            ShapeError::new_err(format!("fingerprint: wanted 32 bytes, got {}", fingerprint.as_bytes().len()))
        })?;
        Ok(Self { folder: Folder::new(path, fingerprint), guard: Guard::default() })
    }

    /// The folder.
    #[getter]
    fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Whose snapshots these are.
    #[getter]
    fn fingerprint<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.folder.fingerprint())
    }

    /// Write what `index` holds now as the next generation. The folder is made if it is missing.
    ///
    /// Segments of the index that are in a file of this folder already, because this object wrote or opened them, are not
    /// written again. Threads take turns.
    ///
    /// Parameters
    /// ----------
    /// index : TraceIndex
    /// change_seq : int
    ///     The last change of the truth that is in the index; 0 to ``2**63 - 1``.
    /// stamp : int
    ///     Whatever tells this state of the truth from others; 0 to ``2**63 - 1``.
    /// extra : bytes
    ///     Any bytes; `open` gives them back.
    ///
    /// Returns
    /// -------
    /// SnapshotInfo
    ///
    /// Raises
    /// ------
    /// StoreIOError
    ///     If the disk is full or the system refuses. There is no such generation then, and earlier ones are as they were.
    #[pyo3(signature = (index, *, change_seq, stamp, extra = None))]
    #[pyo3(text_signature = "($self, index, *, change_seq, stamp, extra=b'')")]
    fn write(
        &self,
        py: Python<'_>,
        index: &TraceIndex,
        change_seq: &Bound<'_, PyAny>,
        stamp: &Bound<'_, PyAny>,
        extra: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<SnapshotInfo> {
        let (change_seq, stamp) = (number(change_seq, "change_seq")?, number(stamp, "stamp")?);
        let extra = extra
            .map_or(Ok(Vec::new()), |extra| Ok::<_, PyErr>(bytes(extra, "extra")?.as_bytes().to_vec()))?;
        let note = Note { change_seq, stamp, extra };
        let index = index.core()?;
        let info = self.guard.run(py, || self.folder.write(index, note))?;
        Ok(SnapshotInfo { info })
    }

    /// Tell what is known of the newest snapshot from its front, without opening it.
    ///
    /// Returns
    /// -------
    /// SnapshotInfo or None
    ///     None if there is no snapshot.
    ///
    /// Raises
    /// ------
    /// SnapshotError
    ///     If it is damaged, or of another index, version or machine.
    fn newest(&self, py: Python<'_>) -> PyResult<Option<SnapshotInfo>> {
        let info = self.guard.run(py, || self.folder.newest())?;
        Ok(info.map(|info| SnapshotInfo { info }))
    }

    /// Open the newest snapshot. All of it is checked; an older one is never taken instead.
    ///
    /// Parameters
    /// ----------
    /// like : TraceIndex
    ///     The index that is opened has its width, analyzer, parameters of BM25 and beta.
    ///
    /// Returns
    /// -------
    /// OpenedSnapshot or None
    ///     None if there is no snapshot.
    ///
    /// Raises
    /// ------
    /// SnapshotError
    ///     If a file is damaged or missing, or of another index, version or machine; the message names it.
    /// StoreIOError
    ///     If the system refuses to read.
    fn open(&self, py: Python<'_>, like: &TraceIndex) -> PyResult<Option<OpenedSnapshot>> {
        let like = like.core()?;
        let Some(opened) = self.guard.run(py, || self.folder.open(like))? else { return Ok(None) };
        Ok(Some(OpenedSnapshot {
            index: Py::new(py, TraceIndex::of(opened.index))?,
            info: Py::new(py, SnapshotInfo { info: opened.info })?,
            extra: PyBytes::new(py, &opened.extra).unbind(),
        }))
    }

    /// Remove snapshots older than the newest that nobody uses, segments that no snapshot needs, and unfinished files.
    ///
    /// Parameters
    /// ----------
    /// at_once : bool
    ///     Remove them although they are in use. On Unix whoever has them open keeps what he has; on Windows they cannot be
    ///     removed then.
    ///
    /// Returns
    /// -------
    /// list of str
    ///     Names of the older snapshots that others use, removed or not, and of files that the system would not remove.
    ///
    /// Raises
    /// ------
    /// SnapshotError
    ///     If the newest snapshot cannot be read; nothing was removed then.
    #[pyo3(signature = (*, at_once = false))]
    fn remove_unused(&self, py: Python<'_>, at_once: bool) -> PyResult<Vec<String>> {
        self.guard.run(py, || self.folder.remove_unused(at_once))
    }

    fn __repr__(&self) -> String {
        format!("SnapshotFolder({:?})", self.folder.path().to_string_lossy())
    }
}

#[pymethods]
impl SnapshotInfo {
    /// Its number; each write makes a larger one.
    #[getter]
    fn generation(&self) -> u64 {
        self.info.generation
    }

    /// The last change of the truth that is in it.
    #[getter]
    fn change_seq(&self) -> u64 {
        self.info.change_seq
    }

    /// What the caller told this state from others by.
    #[getter]
    fn stamp(&self) -> u64 {
        self.info.stamp
    }

    /// Memories in it.
    #[getter]
    fn memories(&self) -> usize {
        self.info.memories
    }

    /// Their keys.
    #[getter]
    fn keys(&self) -> usize {
        self.info.keys
    }

    /// Names of its files, the manifest's last.
    #[getter]
    fn files(&self) -> Vec<String> {
        self.info.files.clone()
    }

    /// Bytes of all of them.
    #[getter]
    fn bytes(&self) -> u64 {
        self.info.bytes
    }

    /// Bytes of those that were written for it; 0 where it was only looked at.
    #[getter]
    fn written(&self) -> u64 {
        self.info.written
    }

    fn __repr__(&self) -> String {
        let Info { generation, change_seq, stamp, memories, keys, bytes, written, .. } = &self.info;
        format!(
            "SnapshotInfo(generation={generation}, change_seq={change_seq}, stamp={stamp}, memories={memories}, \
             keys={keys}, bytes={bytes}, written={written})"
        )
    }
}

#[pymethods]
impl OpenedSnapshot {
    /// The index. It may be edited: that changes no file.
    #[getter]
    fn index(&self, py: Python<'_>) -> Py<TraceIndex> {
        self.index.clone_ref(py)
    }

    /// What is known of the snapshot.
    #[getter]
    fn info(&self, py: Python<'_>) -> Py<SnapshotInfo> {
        self.info.clone_ref(py)
    }

    /// The bytes that `write` was given.
    #[getter]
    fn extra(&self, py: Python<'_>) -> Py<PyBytes> {
        self.extra.clone_ref(py)
    }

    fn __repr__(&self) -> String {
        format!("OpenedSnapshot(info={})", self.info.get().__repr__())
    }
}

fn bytes<'a, 'py>(value: &'a Bound<'py, PyAny>, name: &str) -> PyResult<&'a Bound<'py, PyBytes>> {
    value.cast().map_err(|_| DTypeError::new_err(format!("{name}: wanted bytes, got {}", type_name(value))))
}

/// A whole number from 0 to the largest that Python's stores and ours have in common.
fn number(value: &Bound<'_, PyAny>, name: &str) -> PyResult<u64> {
    if value.is_instance_of::<PyBool>() || !value.is_instance_of::<PyInt>() {
        return Err(DTypeError::new_err(format!("{name}: wanted an integer, got {}", type_name(value))));
    }
    let number = value.extract::<i64>().ok().and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| InvalidValueError::new_err(format!("{name}: wanted 0 to 2**63 - 1, got {value}")))
}
