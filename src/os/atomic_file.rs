//! Files of this program: private to the user, and replaced as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

use crate::error::{Error, Result};

/// For appending. Makes the file and its folders if they are missing, all private to the user.
pub(crate) fn open_private(path: &Path) -> Result<File> {
    make_private_folder(path)?;
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).custom_flags(OFlag::O_NONBLOCK.bits());
    options.open(path).map_err(Error::file("open", path))
}

/// The bytes of a file that has at most `most`. A pipe in its place is never waited for.
pub(crate) fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// A reader sees the old bytes or the new ones; if writing fails, the old file stays. The new file is private to the user.
pub(crate) fn replace_private(path: &Path, bytes: &[u8]) -> Result<()> {
    make_private_folder(path)?;
    write_and_rename(path, bytes, 0o600, false).map_err(Error::file("write", path))
}

/// As [`replace_private`], with a file that others may read, flushed to the disk before it replaces the old one.
pub(crate) fn replace_flushed(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_and_rename(path, bytes, 0o644, true)
}

fn write_and_rename(path: &Path, bytes: &[u8], mode: u32, flush: bool) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_os_string();
    fresh.push(format!(".{}.new", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&fresh)?;
        file.write_all(bytes)?;
        if flush {
            file.sync_all()?;
        }
        fs::rename(&fresh, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&fresh)))
}

pub(crate) fn make_private_folder(path: &Path) -> Result<()> {
    let Some(dir) = path.parent() else { return Ok(()) };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(Error::file("create", dir))
}
