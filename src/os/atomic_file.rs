//! Files of ours: closed to others, and replaced as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::error::{Error, Result};

/// Opens a file of ours for appending, made with its folders if they are missing, all closed to others.
///
/// # Errors
/// If that cannot be done.
pub(crate) fn private_file(path: &Path) -> Result<File> {
    make_private_folder(path)?;
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(Error::file("open", path))
}

/// Puts a new file, closed to others, in the place of an old one: a reader sees the old bytes or the new ones.
///
/// # Errors
/// If it cannot be written; the old one stands then.
pub(crate) fn replace_private(path: &Path, bytes: &[u8]) -> Result<()> {
    make_private_folder(path)?;
    write_and_rename(path, bytes, 0o600, false).map_err(Error::file("write", path))
}

/// The same with a file that others may read, flushed to the disk before it takes the old one's place.
///
/// # Errors
/// If it cannot be written; the old one stands then.
pub(crate) fn replace_flushed(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_and_rename(path, bytes, 0o644, true)
}

fn write_and_rename(path: &Path, bytes: &[u8], mode: u32, is_flushed: bool) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_os_string();
    fresh.push(format!(".{}.new", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&fresh)?;
        file.write_all(bytes)?;
        if is_flushed {
            file.sync_all()?;
        }
        fs::rename(&fresh, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&fresh)))
}

fn make_private_folder(path: &Path) -> Result<()> {
    let Some(dir) = path.parent() else { return Ok(()) };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(Error::file("create", dir))
}
