//! Files of this program: private to the user, and replaced as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::error::{Error, Result};
use crate::read_file::check_own;

/// For appending, or as a lock. Makes the file and its folders if they are missing, all private to the user.
///
/// # Errors
/// If it cannot be opened, or is no regular file of this user.
pub(crate) fn open_private(path: &Path) -> Result<File> {
    make_private_folder(path)?;
    open_to_append(path).map_err(Error::file("open", path))
}

/// As [`open_private`], but makes no folder.
pub(crate) fn open_to_append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
    options.open(path).and_then(check_own)
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

/// As [`replace_private`], flushed to the disk, and through a link: the link stays. What is there must be a regular file or nothing.
pub(crate) fn replace_private_followed(path: &Path, bytes: &[u8]) -> Result<()> {
    let path = followed(path)?;
    make_private_folder(&path)?;
    write_and_rename(&path, bytes, 0o600, true).map_err(Error::file("write", path))
}

/// Where a file is to be written that may be a link, also one to nothing.
///
/// # Errors
/// If something else is there. A rename would replace a device, such as `/dev/null`, if the user has the right to.
pub(crate) fn followed(path: &Path) -> Result<PathBuf> {
    let target_of_dangling = || fs::read_link(path).ok().and_then(|target| Some(path.parent()?.join(target)));
    let target = fs::canonicalize(path).ok().or_else(target_of_dangling).unwrap_or_else(|| path.to_path_buf());
    match fs::metadata(&target) {
        Ok(metadata) if !metadata.is_file() => Err(Error::file("write", target)(io::Error::other("not a regular file"))),
        _ => Ok(target),
    }
}

/// As [`replace_flushed`], with these permissions, whatever the umask.
pub(crate) fn replace_whole(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    write_and_rename(path, bytes, mode, true).map_err(Error::file("write", path))
}

/// Replaces a file of the user's as a whole, with the permissions that it has; a new one gets `mode`, whatever the umask. Where it
/// is a link, such as into somebody's dotfiles, what that leads to is replaced.
pub(crate) fn replace_with_permissions(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let target = followed(path)?;
    let mode = fs::metadata(&target).map_or(mode, |metadata| metadata.permissions().mode() & 0o7777);
    write_and_rename(&target, bytes, mode, true).map_err(Error::file("write", path))
}

fn write_and_rename(path: &Path, bytes: &[u8], mode: u32, flush: bool) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_os_string();
    fresh.push(format!(".{}.new", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&fresh)?;
        file.write_all(bytes)?;
        if flush {
            file.set_permissions(Permissions::from_mode(mode))?;
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
