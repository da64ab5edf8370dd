//! What a setup makes, written down before it is made, so that whatever is left half-way can be taken away.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crc::{CRC_32_CKSUM, Crc};

use crate::error::{Error, Result};
use crate::os::atomic_file::replace_whole;
use crate::read_file::read_regular;

/// The kinds of what is made, by the manifest's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A folder that was not there.
    Dir,
    /// A folder with all that comes to be in it.
    Tree,
    /// A file, with the checksum of its bytes.
    File,
    /// A model's folder in the hub's cache.
    Model,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Dir => "dir",
            Kind::Tree => "tree",
            Kind::File => "file",
            Kind::Model => "model",
        }
    }
}

/// The list of what was made.
pub(crate) trait Made {
    /// In place of what stands there of the same kind and name.
    fn record(&mut self, kind: Kind, name: &Path, value: &str) -> Result<()>;
    /// Beside that: the thing is about to become this.
    fn record_too(&mut self, kind: Kind, name: &Path, value: &str) -> Result<()>;
    fn has(&self, kind: Kind, name: &Path, value: &str) -> bool;
}

/// What came of a file that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    New,
    /// The same bytes were there.
    Same,
    /// What is there was changed by somebody else, and stays.
    Foreign,
}

/// The longest file of ours that is compared, in bytes.
const MOST_BYTES: u64 = 1 << 30;

/// Makes the folders that are missing. Nothing that a setup makes is for others to write.
pub(crate) fn make_folder(made: &mut dyn Made, path: &Path) -> Result<()> {
    make_folder_with_mode(made, path, 0o755)
}

/// The same for one that others must not look into.
pub(crate) fn make_private_folder(made: &mut dyn Made, path: &Path) -> Result<()> {
    if let Some(parent) = path.parent() {
        make_folder(made, parent)?;
    }
    make_folder_with_mode(made, path, 0o700)
}

fn make_folder_with_mode(made: &mut dyn Made, path: &Path, mode: u32) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_folder(made, parent)?;
    }
    made.record(Kind::Dir, path, "")?;
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        done => done.map_err(Error::file("create", path)),
    }
}

/// Writes a file of ours by a rename, unless what is there is not as an earlier setup left it.
pub(crate) fn write_ours(made: &mut dyn Made, path: &Path, bytes: &[u8], mode: u32) -> Result<Written> {
    let there = read(path)?;
    let sum = checksum(bytes);
    let is_same = there.as_deref() == Some(bytes);
    if !is_same && there.is_some_and(|there| !made.has(Kind::File, path, &checksum(&there))) {
        return Ok(Written::Foreign);
    }
    if let Some(folder) = path.parent() {
        make_folder(made, folder)?;
    }
    made.record_too(Kind::File, path, &sum)?;
    if !is_same {
        replace_whole(path, bytes, mode)?;
    }
    made.record(Kind::File, path, &sum)?;
    Ok(if is_same { Written::Same } else { Written::New })
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match read_regular(path, MOST_BYTES) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file("read", path)(error)),
    }
}

/// As cksum(1) prints it of stdin: manifests of earlier versions have it so.
pub(crate) fn checksum(bytes: &[u8]) -> String {
    let crc = Crc::<u32>::new(&CRC_32_CKSUM);
    let mut digest = crc.digest();
    digest.update(bytes);
    let length = bytes.len().to_le_bytes();
    let used = length.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    digest.update(&length[..used]);
    format!("{} {}", digest.finalize(), bytes.len())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    /// A list in memory.
    #[derive(Debug, Default)]
    pub(crate) struct List(pub Vec<(Kind, PathBuf, String)>);

    impl Made for List {
        fn record(&mut self, kind: Kind, name: &Path, value: &str) -> Result<()> {
            self.0.retain(|(its_kind, its_name, _)| (*its_kind, its_name.as_path()) != (kind, name));
            self.record_too(kind, name, value)
        }

        fn record_too(&mut self, kind: Kind, name: &Path, value: &str) -> Result<()> {
            self.0.push((kind, name.into(), value.into()));
            Ok(())
        }

        fn has(&self, kind: Kind, name: &Path, value: &str) -> bool {
            self.0.contains(&(kind, name.into(), value.into()))
        }
    }

    #[test]
    fn the_checksum_is_that_of_cksum() {
        // As GNU and BSD print it.
        for (text, expected) in [("", "4294967295 0"), ("a\n", "2418082923 2"), ("123456789", "930766865 9")] {
            assert_eq!(checksum(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn what_others_have_changed_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/file");
        let mut made = List::default();
        let mut write = |bytes: &str| write_ours(&mut made, &path, bytes.as_bytes(), 0o644).unwrap();
        assert_eq!([write("one"), write("one"), write("two")], [Written::New, Written::Same, Written::New]);
        fs::write(&path, "mine").unwrap();
        assert_eq!([write("three"), write("mine"), write("four")], [Written::Foreign, Written::Same, Written::New]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        let kinds: Vec<_> = made.0.iter().map(|(kind, path, _)| (*kind, path.strip_prefix(folder.path()).unwrap())).collect();
        assert_eq!(kinds, [(Kind::Dir, Path::new("a")), (Kind::Dir, Path::new("a/b")), (Kind::File, Path::new("a/b/file"))]);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no rest");
    }
}
