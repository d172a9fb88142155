//! What files of a snapshot are called.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

/// A file of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// The manifest of a generation.
    Manifest(u64),
    /// The segment of that number.
    Segment(u64),
    /// A manifest that was not finished.
    UnfinishedManifest(u64),
    /// A segment that was not finished.
    UnfinishedSegment(u64),
}

const MANIFEST: &str = "snapshot-";
const SEGMENT: &str = "vectors-";
const UNFINISHED: &str = ".tmp";

/// No number that is counted to is as large, and there is room for the next ones.
const LARGEST: u64 = 1 << 62;

impl Name {
    /// The file of that name, if it is one of ours.
    fn parse(name: &OsStr) -> Option<Self> {
        let name = name.to_str()?;
        let (done, unfinished) = name.strip_suffix(UNFINISHED).map_or((name, false), |done| (done, true));
        let number = |rest: &str| rest.parse().ok().filter(|&number| number <= LARGEST);
        let parsed = match (done.strip_prefix(MANIFEST), done.strip_prefix(SEGMENT)) {
            (Some(rest), _) if unfinished => Self::UnfinishedManifest(number(rest)?),
            (Some(rest), _) => Self::Manifest(number(rest)?),
            (_, Some(rest)) if unfinished => Self::UnfinishedSegment(number(rest)?),
            (_, Some(rest)) => Self::Segment(number(rest)?),
            _ => return None,
        };
        // "snapshot-7" and "snapshot-+0000007" are none of ours.
        (parsed.to_string() == name).then_some(parsed)
    }

    /// All files of snapshots in a folder, in any order; none if there is no folder.
    pub(super) fn all_in(folder: &Path) -> io::Result<Vec<Self>> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(Self::parse(&entry?.file_name()));
        }
        Ok(names)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (prefix, number, suffix) = match self {
            Self::Manifest(number) => (MANIFEST, number, ""),
            Self::Segment(number) => (SEGMENT, number, ""),
            Self::UnfinishedManifest(number) => (MANIFEST, number, UNFINISHED),
            Self::UnfinishedSegment(number) => (SEGMENT, number, UNFINISHED),
        };
        write!(f, "{prefix}{number:08}{suffix}")
    }
}

/// The largest generation among names.
pub(super) fn newest(names: &[Name]) -> Option<u64> {
    names.iter().filter_map(|name| if let Name::Manifest(number) = name { Some(*number) } else { None }).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_are_given_and_no_others() {
        let parse = |name: &str| Name::parse(OsStr::new(name));
        for number in [0, 7, 99_999_999, 100_000_000, LARGEST] {
            for name in [
                Name::Manifest(number),
                Name::Segment(number),
                Name::UnfinishedManifest(number),
                Name::UnfinishedSegment(number),
            ] {
                assert_eq!(parse(&name.to_string()), Some(name));
            }
        }
        assert_eq!(Name::UnfinishedSegment(12).to_string(), "vectors-00000012.tmp");
        for other in
            ["", "snapshot-", "snapshot-7", "snapshot-+0000007", "snapshot-0000000x", "vectors-00000001.tm"]
        {
            assert_eq!(parse(other), None, "{other}");
        }
        assert_eq!(parse("vectors-18446744073709551615"), None);
    }
}
