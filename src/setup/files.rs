//! Files, links and folders of ours. Each is in the manifest before it is there, and one that is not as setup left it stays.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use crate::error::{Error, Result};
use crate::os::atomic_file::{followed, replace_with_permissions};
use crate::read_file::{read_own, read_regular};
use crate::setup::made::{checksum, make_folder};
use crate::setup::manifest::Manifest;
use crate::shown::{Shown, shown};
use crate::text::plain;

/// The largest file that is looked at, in bytes: a binary with its symbols.
const MOST: u64 = 1 << 30;

/// Makes the folder of the manifest, which is recorded once it is there.
pub(super) fn make_own_folder(dir: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(dir).map_err(Error::file("create", dir))
}

/// Whether there is a file that is not as setup left it.
pub(super) fn is_foreign(manifest: &Manifest, path: &Path) -> bool {
    let is_as_left = || {
        let sum = file_sum(path)?;
        manifest.values("file", &text(path)).any(|known| known == sum).then_some(())
    };
    path.symlink_metadata().is_ok() && is_as_left().is_none()
}

/// Takes away a file of ours. Returns false if it was changed since.
pub(super) fn remove_ours(manifest: &mut Manifest, path: &Path) -> Result<bool> {
    if is_foreign(manifest, path) {
        return Ok(false);
    }
    remove(path)?;
    manifest.forget("file", &text(path))?;
    Ok(true)
}

/// Makes a link of ours, in place of another one of ours.
pub(super) fn make_link(manifest: &mut Manifest, link: &Path, target: &Path) -> Result<()> {
    let (name, to) = (text(link), text(target));
    let there = fs::read_link(link).ok();
    if there.as_deref() != Some(target) {
        let is_ours = there.is_some_and(|there| manifest.values("link", &name).any(|known| there == Path::new(known)));
        if link.symlink_metadata().is_ok() && !is_ours {
            return Err(Error::ForeignFile { path: link.into() });
        }
        manifest.record_too("link", &name, &to)?;
        let fresh = link.with_extension(format!("{}.new", std::process::id()));
        symlink(target, &fresh).map_err(Error::file("create", &fresh))?;
        fs::rename(&fresh, link).map_err(Error::file("create", link))?;
    }
    manifest.record("link", &name, &to)
}

/// Takes away a link of ours. Returns false if it leads elsewhere now.
pub(super) fn remove_link(manifest: &mut Manifest, link: &Path) -> Result<bool> {
    let name = text(link);
    let is_ours = fs::read_link(link).is_ok_and(|to| manifest.values("link", &name).any(|known| to == Path::new(known)));
    if link.symlink_metadata().is_ok() && !is_ours {
        return Ok(false);
    }
    remove(link)?;
    manifest.forget("link", &name)?;
    Ok(true)
}

/// One that is gone already is as good.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
        _ => Ok(()),
    }
}

/// The bytes of a file of the user's; none for one that is not there.
pub(super) fn read_users(path: &Path) -> Result<Vec<u8>> {
    match read_own(path, MOST) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(vec![]),
        read => read.map_err(Error::file("read", path)),
    }
}

/// Why a file of the user's cannot be changed, if it cannot: such as one that a link leads to in a read-only store of dotfiles.
pub(super) fn unchangeable(path: &Path) -> Option<Shown> {
    let target = match read_own(path, MOST) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Some(plain(&error)),
        _ => followed(path).ok()?,
    };
    let folder = target.ancestors().skip(1).find(|dir| dir.exists())?;
    access(folder, AccessFlags::W_OK).err().map(|error| shown!("{}: {}", folder.display(), plain(&error.into())))
}

/// Writes a file of the user's, which may be a link into somebody's dotfiles.
pub(super) fn write_users(manifest: &mut Manifest, path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    if !path.exists() {
        if let Some(dir) = followed(path)?.parent() {
            make_folder(manifest, &without_detours(dir))?;
        }
        manifest.record("created", &text(path), "")?;
    }
    replace_with_permissions(path, bytes, mode)
}

/// As the manifest can compare it: a link may lead through `..`, to a folder that is not there yet.
fn without_detours(dir: &Path) -> PathBuf {
    let real = |there: &Path| Some(fs::canonicalize(there).ok()?.join(dir.strip_prefix(there).ok()?));
    dir.ancestors().find_map(real).unwrap_or_else(|| dir.into())
}

/// Writes what is left of a file of the user's, or takes away one that we made and that is empty now.
pub(super) fn leave_users(manifest: &Manifest, path: &Path, bytes: &[u8]) -> Result<()> {
    if bytes.is_empty() && manifest.has("created", &text(path)) {
        remove(&followed(path)?)
    } else {
        replace_with_permissions(path, bytes, 0o644)
    }
}

/// What a setup that was killed while it wrote has left beside our files.
pub(super) fn remove_rests(dir: &Path) {
    rests(dir).for_each(|(_, path)| drop(fs::remove_file(path)));
}

/// The same beside a file of the user's.
pub(super) fn remove_rests_of(file: &Path) {
    let Ok(file) = followed(file) else { return };
    let (Some(dir), Some(name)) = (file.parent(), file.file_name()) else { return };
    rests(dir).filter(|(of, _)| *of == *name.to_string_lossy()).for_each(|(_, path)| drop(fs::remove_file(path)));
}

/// Files that were to take a name, each with that name.
fn rests(dir: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    fs::read_dir(dir).into_iter().flatten().flatten().filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let (of, pid) = name.strip_suffix(".new")?.rsplit_once('.')?;
        let is_pid = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
        is_pid.then(|| (of.to_string(), entry.path()))
    })
}

pub(super) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn file_sum(path: &Path) -> Option<String> {
    read_regular(path, MOST).ok().map(|bytes| checksum(&bytes))
}
