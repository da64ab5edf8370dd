//! Which file a path leads to, under whatever name.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::os::process::current_exe;

/// Two paths with the same identity lead to the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl From<&Metadata> for FileId {
    fn from(metadata: &Metadata) -> FileId {
        FileId { device: metadata.dev(), inode: metadata.ino() }
    }
}

impl FileId {
    pub(crate) fn of(path: &Path) -> Option<FileId> {
        fs::metadata(path).ok().as_ref().map(FileId::from)
    }

    /// The identity of the running binary. On Linux `/proc/self/exe` holds it even if the file was replaced meanwhile.
    pub(crate) fn of_this_process() -> Option<FileId> {
        FileId::of(Path::new("/proc/self/exe")).or_else(|| FileId::of(&current_exe().ok()?))
    }
}
