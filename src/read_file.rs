//! Reading files, ours and those of other programs: a pipe in the place of one is never waited for, and nothing without an end is
//! read.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::unistd::Uid;

/// A regular file, whoever owns it.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    open(path).map(|(file, _)| file)
}

/// A regular file of this user, or of root. What another user has put in its place says nothing true.
pub(crate) fn open_own(path: &Path) -> io::Result<File> {
    let (file, metadata) = open(path)?;
    check_owner(&metadata)?;
    Ok(file)
}

/// The bytes of a regular file that has at most `most`, whoever owns it.
pub(crate) fn read_regular(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read(open_regular(path)?, most)
}

/// The bytes of a regular file of this user, or of root, that has at most `most`.
pub(crate) fn read_own(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read(open_own(path)?, most)
}

/// As [`read_own`], for a file by which another user could make this program do something: none but its owner may write to it, as
/// ssh(1) has it for its own settings.
pub(crate) fn read_trusted(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    let (file, metadata) = open(path)?;
    check_owner(&metadata)?;
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(io::Error::other("others may write to it; `chmod go-w` mends that"));
    }
    read(file, most)
}

/// Whether a file that is already open can be one of ours.
pub(crate) fn check_own(file: File) -> io::Result<File> {
    let metadata = file.metadata()?;
    check_regular(&metadata)?;
    check_owner(&metadata)?;
    Ok(file)
}

fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let file = OpenOptions::new().read(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits()).open(path)?;
    let metadata = file.metadata()?;
    check_regular(&metadata)?;
    Ok((file, metadata))
}

fn check_regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if metadata.is_file() { Ok(()) } else { Err(io::Error::other("not a regular file")) }
}

fn check_owner(metadata: &Metadata) -> io::Result<()> {
    let owner = Uid::from_raw(metadata.uid());
    if owner == Uid::effective() || owner.is_root() { Ok(()) } else { Err(io::Error::other("it belongs to another user")) }
}

fn read(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(io::Error::other(format!("it has more than {most} bytes"))) } else { Ok(bytes) }
}
