//! The files of the state folder, closed to others.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::error::{Error, Result};

/// Opens a file of ours for appending, made with its folders if they are missing, all closed to others.
///
/// # Errors
/// If that cannot be done.
pub(crate) fn private_file(path: &Path) -> Result<File> {
    make_folder(path)?;
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(Error::file("open", path))
}

/// Puts a new file in the place of an old one: whoever reads sees the old bytes or the new ones.
///
/// # Errors
/// If it cannot be written; the old one stands then.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    make_folder(path)?;
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(bytes)?;
        fs::rename(&fresh, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&fresh))).map_err(Error::file("write", path))
}

fn make_folder(path: &Path) -> Result<()> {
    let Some(dir) = path.parent() else { return Ok(()) };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(Error::file("create", dir))
}
