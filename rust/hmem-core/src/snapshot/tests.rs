//! What is written comes back to the bit; what was damaged is refused; what was forged breaks nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::folder::{Folder, Note};
use super::{manifest, names::Name};
use crate::error::SnapshotError;
use crate::kernels::isa::Isa;
use crate::kernels::random::Random;
use crate::rows::Rows;
use crate::sections::head;
use crate::segment::Part;
use crate::sparse::bm25::Bm25;
use crate::text::{Analyzer, StopWords};
use crate::trace::{Candidates, TraceIndex};

/// A folder of its own, gone with the test.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("hmem-snapshot-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }

    fn folder(&self) -> Folder {
        Folder::new(self.0.clone(), [7; 32])
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const TERMS: [&str; 3] = ["fig", "plum", "quince"];

fn index(isa: Isa, dim: usize) -> TraceIndex {
    let analyzer = Analyzer::new("english", &StopWords::Own).unwrap();
    TraceIndex::new(isa, dim, 12.0, analyzer, Bm25::new(1.2, 0.5).unwrap()).unwrap()
}

/// Puts memories with up to three keys and a few words; the same ones for the same seed.
fn put(index: &TraceIndex, ids: &[i64], seed: u64) {
    let mut random = Random::new(seed);
    let mut offsets = vec![0];
    let (mut key_ids, mut numbers, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    for &id in ids {
        for key in 0..i64::from(random.next_i8(2).unsigned_abs()) {
            key_ids.push(10 * id % (1 << 40) + key);
            numbers.extend(
                (0..index.dim()).map(|i| f32::from(random.next_i8(99)) + if i == 0 { 99.5 } else { 0.0 }),
            );
        }
        offsets.push(i64::try_from(key_ids.len()).unwrap());
        let words = ["fig", "plum", "nut", "", "pear", "quince"];
        texts.push((0..4).map(|_| words[random.next_u64() as usize % 6]).collect::<Vec<_>>().join(" "));
    }
    let rows = Rows::new(&numbers, key_ids.len(), index.dim()).unwrap();
    index.put(ids, &offsets, &key_ids, rows, &texts).unwrap();
}

#[derive(Debug, PartialEq)]
struct Answers {
    candidates: Vec<Candidates>,
    ids: Vec<i64>,
    scores: Vec<u64>,
    vectors: Vec<f32>,
    words: Vec<f64>,
}

/// Every kind of answer that an index gives.
fn answers(index: &TraceIndex) -> Answers {
    let numbers: Vec<f32> = (0..index.dim()).map(|i| if i == 0 { 2.0 } else { (i as f32).sin() }).collect();
    let cue = index.cue(&numbers).unwrap();
    let terms = TERMS.map(str::to_owned);
    let ask = |cue, n| index.candidates(cue, &terms, None, n, None).unwrap();
    let ids: Vec<i64> = index.view().ids().collect();
    let scores = index.key_scores(&cue, &ids).unwrap();
    Answers {
        candidates: vec![ask(Some(&cue), 5), ask(Some(&cue), usize::MAX), ask(None, 3)],
        scores: scores.values.iter().map(|score| score.to_bits()).collect(),
        vectors: index.vectors(&ids).unwrap().values,
        words: index.word_scores(&terms, &ids).unwrap(),
        ids,
    }
}

fn note(change_seq: u64) -> Note {
    Note { change_seq, stamp: 5, extra: b"extra".to_vec() }
}

/// Removes what is divisible, edits, merges and rewrites.
fn use_up(index: &TraceIndex) -> Answers {
    let gone: Vec<i64> = index.view().ids().filter(|id| id % 3 == 0).collect();
    index.remove(&gone).unwrap();
    put(index, &[1 << 41, (1 << 41) + 1], 3);
    index.compact();
    answers(index)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_written_comes_back_to_the_bit(
        dim in prop::sample::select(vec![1usize, 5, 63, 64, 100]),
        edits in prop::collection::vec((0i64..400, 1i64..260, any::<bool>(), any::<u64>()), 0..5),
        removed in 2i64..9,
    ) {
        for isa in Isa::available() {
            let original = index(isa, dim);
            for &(first, n, backwards, seed) in &edits {
                let mut ids: Vec<i64> = (first..first + n).collect();
                if backwards {
                    ids.reverse();
                }
                put(&original, &ids, seed);
                let gone: Vec<i64> = original.view().ids().filter(|id| id % removed == 0).collect();
                original.remove(&gone).unwrap();
            }
            let temporary = Temporary::new();
            let written = temporary.folder().write(&original, note(4)).unwrap();
            let reader = temporary.folder();
            let opened = reader.open(&index(isa, dim)).unwrap().unwrap();
            prop_assert_eq!(answers(&opened.index), answers(&original));
            prop_assert_eq!(opened.extra, b"extra");
            prop_assert_eq!((opened.info.change_seq, opened.info.stamp), (4, 5));
            prop_assert_eq!(opened.info.bytes, written.bytes);
            prop_assert_eq!(reader.newest().unwrap().unwrap(), opened.info);

            let copy = opened.index.copy();
            let unedited = answers(&copy);
            prop_assert_eq!(use_up(&opened.index), use_up(&original));
            reader.write(&opened.index, note(9)).unwrap();
            prop_assert_eq!(answers(&copy), unedited);
            let again = temporary.folder().open(&index(isa, dim)).unwrap().unwrap();
            prop_assert_eq!(answers(&again.index), answers(&original));
            let whole = |part: &Part<_>| part.live().is_all();
            prop_assert!(again.index.view().parts().iter().all(whole));
        }
    }
}

/// An index in one segment, in files: those of the manifest and of the segment, with their bytes.
struct Written {
    temporary: Temporary,
    dim: usize,
    answers: Answers,
    files: [(PathBuf, Vec<u8>); 2],
}

const MANIFEST: usize = 0;
const SEGMENT: usize = 1;

impl Written {
    fn new(dim: usize, n: i64) -> Self {
        let (temporary, original) = (Temporary::new(), index(Isa::chosen().unwrap(), dim));
        put(&original, &(0..n).collect::<Vec<_>>(), 8);
        original.remove(&[1]).unwrap();
        temporary.folder().write(&original, note(1)).unwrap();
        let file = |name: Name| {
            let path = temporary.0.join(name.to_string());
            let bytes = fs::read(&path).unwrap();
            (path, bytes)
        };
        let files = [file(Name::Manifest(1)), file(Name::Segment(1))];
        Self { dim, answers: answers(&original), files, temporary }
    }

    fn open(&self) -> Result<TraceIndex, SnapshotError> {
        let like = index(Isa::chosen().unwrap(), self.dim);
        self.temporary.folder().open(&like).map(|opened| opened.unwrap().index)
    }

    /// Opens what `damage` makes of a file.
    fn damaged(&self, file: usize, damage: impl FnOnce(&mut Vec<u8>)) -> Result<TraceIndex, SnapshotError> {
        let (path, bytes) = &self.files[file];
        let mut bytes = bytes.clone();
        damage(&mut bytes);
        // Another file, since the one that was there may be mapped.
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
        self.open()
    }

    /// The same, with all checksums as if the file had been written so. What can be opened is used.
    fn forged(&self, file: usize, damage: impl FnOnce(&mut Vec<u8>)) -> bool {
        let opened = self.damaged(file, |bytes| {
            damage(bytes);
            if file == SEGMENT { head::mend(bytes) } else { manifest::mend(bytes) }
        });
        let opened = if file == SEGMENT {
            let identity = {
                let bytes = fs::read(&self.files[SEGMENT].0).unwrap();
                head::identity(&mut &*bytes, bytes.len() as u64).unwrap()
            };
            self.damaged(MANIFEST, |bytes| {
                manifest::set_identity(bytes, identity);
                manifest::mend(bytes);
            })
        } else {
            opened
        };
        self.restore();
        let Ok(opened) = opened else { return false };
        answers(&opened);
        use_up(&opened);
        true
    }

    fn restore(&self) {
        for (path, bytes) in &self.files {
            fs::remove_file(path).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}

fn refused(path: &Path, opened: Result<TraceIndex, SnapshotError>) {
    match opened {
        Err(SnapshotError::Unusable { path: named, .. }) => assert_eq!(named, path),
        other => panic!("{}: {other:?}", path.display()),
    }
}

#[test]
fn a_byte_that_changed_anywhere_is_found() {
    let written = Written::new(3, 20);
    assert_eq!(answers(&written.open().unwrap()), written.answers);
    for file in [MANIFEST, SEGMENT] {
        let (path, bytes) = &written.files[file];
        for at in 0..bytes.len() {
            refused(path, written.damaged(file, |bytes| bytes[at] ^= 1 << (at % 8)));
        }
        written.restore();
    }
    assert_eq!(answers(&written.open().unwrap()), written.answers);
}

#[test]
fn a_file_that_became_shorter_or_longer_is_found() {
    let written = Written::new(2, 9);
    for file in [MANIFEST, SEGMENT] {
        let (path, bytes) = &written.files[file];
        for len in 0..bytes.len() {
            refused(path, written.damaged(file, |bytes| bytes.truncate(len)));
        }
        for more in [1, 4096] {
            refused(path, written.damaged(file, |bytes| bytes.resize(bytes.len() + more, 0)));
        }
        written.restore();
        fs::remove_file(path).unwrap();
        if file == SEGMENT {
            refused(path, written.open());
        } else {
            let like = index(Isa::Scalar, 2);
            assert!(written.temporary.folder().open(&like).unwrap().is_none());
        }
        fs::write(path, bytes).unwrap();
    }
}

/// Numbers that are likely to lead somewhere else.
fn odd_number(random: &mut Random) -> u64 {
    let n = random.next_u64();
    match n % 11 {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << 63,
        3 => f64::NAN.to_bits(),
        4 => f64::INFINITY.to_bits(),
        5 => f64::MAX.to_bits(),
        6 => u64::from(f32::NAN.to_bits()) << 32 | u64::from(f32::INFINITY.to_bits()),
        7 => u64::from(f32::MAX.to_bits()) << 32 | 1,
        8 => n >> 40 & 0xfff,
        9 => (n >> 40 & 0xff) << 32 | n >> 20 & 0xff,
        _ => n,
    }
}

/// A few changes, of which the place is known.
fn forge(bytes: &mut [u8], random: &mut Random) {
    for _ in 0..1 + random.next_u64() % 3 {
        let at = random.next_u64() as usize % bytes.len();
        match random.next_u64() % 4 {
            0 => bytes[at] ^= 1 << (random.next_u64() % 8),
            1 => bytes[at] = random.next_u64() as u8,
            _ => {
                let at = at / 8 * 8;
                let number = odd_number(random).to_ne_bytes();
                let end = bytes.len().min(at + 8);
                bytes[at..end].copy_from_slice(&number[..end - at]);
            }
        }
    }
}

#[test]
fn a_forged_file_is_refused_or_can_be_used() {
    // Keys without codes, and with codes.
    for (dim, n, times) in [(3, 20, 4000), (64, 300, 1500)] {
        let written = Written::new(dim, n);
        let mut random = Random::new(dim as u64);
        let mut taken = 0;
        for i in 0..times {
            let file = usize::from(i % 4 != 0);
            taken += usize::from(written.forged(file, |bytes| {
                // Half of them in the first page, where counts and the table stand.
                let end = if file == SEGMENT && i % 8 < 3 { bytes.len().min(1000) } else { bytes.len() };
                forge(&mut bytes[..end], &mut random);
            }));
        }
        // Neither all nor none: the checksums were mended, and what they hide was looked at.
        assert!((times / 100..times).contains(&taken), "{taken} of {times}");
    }
}

/// Each number of each small section once as something else.
#[test]
fn every_number_may_be_forged() {
    let written = Written::new(2, 9);
    let bytes = &written.files[SEGMENT].1;
    for number in [0, u64::MAX, 1, f64::NAN.to_bits(), 0x0000_0003_0000_0003] {
        for at in (0..bytes.len()).step_by(4) {
            let end = bytes.len().min(at + 8);
            if bytes[at..end].iter().any(|&byte| byte != 0) {
                written.forged(SEGMENT, |bytes| {
                    bytes[at..end].copy_from_slice(&number.to_ne_bytes()[..end - at]);
                });
            }
        }
    }
}

#[test]
fn a_memory_that_is_live_in_two_segments_is_refused() {
    let (temporary, original) = (Temporary::new(), index(Isa::Scalar, 2));
    put(&original, &(0..20).collect::<Vec<_>>(), 1);
    // Replaced in a small segment of its own: dead in the first.
    put(&original, &[4], 2);
    temporary.folder().write(&original, note(1)).unwrap();
    assert_eq!(original.view().parts().len(), 2);
    let path = temporary.0.join(Name::Manifest(1).to_string());
    let mut bytes = fs::read(&path).unwrap();
    let keys = original.view().parts().iter().map(|part| part.segment().key_ids().len()).sum();
    manifest::revive_all(&mut bytes, keys);
    fs::write(&path, &bytes).unwrap();
    let error = temporary.folder().open(&index(Isa::Scalar, 2)).unwrap_err();
    assert!(error.to_string().contains("live in two segments"), "{error}");
}

#[test]
fn segments_are_written_once_and_mapped_once() {
    let (temporary, original) = (Temporary::new(), index(Isa::Scalar, 2));
    put(&original, &(0..50).collect::<Vec<_>>(), 1);
    let folder = temporary.folder();
    let first = folder.write(&original, note(1)).unwrap();
    assert_eq!(first.written, first.bytes);
    put(&original, &(50..60).collect::<Vec<_>>(), 2);
    original.remove(&[3]).unwrap();
    let second = folder.write(&original, note(2)).unwrap();
    assert_eq!(second.files, ["vectors-00000001", "vectors-00000002", "snapshot-00000002"]);
    let third = folder.write(&original, note(3)).unwrap();
    assert_eq!(third.files, ["vectors-00000001", "vectors-00000002", "snapshot-00000003"]);
    assert!(third.written < 1000);

    let reader = temporary.folder();
    let like = index(Isa::Scalar, 2);
    let [one, two] = [(); 2].map(|()| reader.open(&like).unwrap().unwrap().index);
    let segment = |index: &TraceIndex, part: usize| std::ptr::from_ref(index.view().parts()[part].segment());
    assert_eq!(segment(&one, 0), segment(&two, 0));
    // What was opened here is in a file already …
    let fourth = reader.write(&one, note(4)).unwrap();
    assert_eq!(fourth.files[..2], third.files[..2]);
    // … unless someone took it away.
    fs::remove_file(temporary.0.join("vectors-00000001")).unwrap();
    let fifth = reader.write(&one, note(5)).unwrap();
    assert_eq!(fifth.files, ["vectors-00000003", "vectors-00000002", "snapshot-00000005"]);
    assert_eq!(answers(&temporary.folder().open(&like).unwrap().unwrap().index), answers(&original));
}

/// Whoever changes how rows are rotated, coded, sampled or laid out, or how words are cut, changes these numbers: then the
/// format needs a new version, since older files would be read as something else.
#[cfg(all(target_pointer_width = "64", target_endian = "little"))]
#[test]
fn the_same_memories_make_the_same_file_in_each_release() {
    let temporary = Temporary::new();
    let mut checksums = Vec::new();
    for isa in Isa::available() {
        let original = index(isa, 100);
        put(&original, &(0..400).collect::<Vec<_>>(), 1);
        let folder = temporary.folder();
        let info = folder.write(&original, note(1)).unwrap();
        checksums.push(crc32fast::hash(&fs::read(temporary.0.join(&info.files[0])).unwrap()));
    }
    assert!(checksums.iter().all(|&checksum| checksum == 0x5da0_486b), "{checksums:#010x?}");
}
