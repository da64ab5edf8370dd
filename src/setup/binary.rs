//! Where the program and its links stand.

use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::names::{APPLETS, OWN_NAME};
use crate::os::atomic_file::replace_whole;
use crate::os::file_id::FileId;
use crate::os::process::own_path;
use crate::read_file::read_regular;
use crate::setup::files::{make_link, remove_link, text};
use crate::setup::made::{checksum, make_folder};
use crate::setup::manifest::Manifest;
use crate::setup::places::Places;
use crate::setup::problem;
use crate::shown::{Shown, shown};

/// The largest binary, in bytes: one with its symbols.
const MOST: u64 = 1 << 30;

/// What becomes of the running program's file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Binary {
    /// It is copied beside its links.
    Copy(PathBuf),
    /// It is there already.
    InPlace,
    /// A package manager brings it up to date where it is: only links lead there.
    Managed(PathBuf),
}

impl Binary {
    pub(super) fn find(context: &Context, places: &Places) -> Result<Binary> {
        let path = own_path()?;
        if FileId::of(&places.bin.join(OWN_NAME)) == FileId::of(&path) && !places.bin.join(OWN_NAME).is_symlink() {
            return Ok(Binary::InPlace);
        }
        Ok(if is_managed(context, &path) { Binary::Managed(stable(&path)) } else { Binary::Copy(path) })
    }

    pub(super) fn line(&self, places: &Places) -> Shown {
        match self {
            Binary::Copy(from) => shown!("put {} into {}", from.display(), places.bin.display()),
            Binary::InPlace => shown!("leave the program in {}", places.bin.display()),
            Binary::Managed(path) => shown!("leave the program where its package has it: {}", path.display()),
        }
    }

    /// By a rename: the old one may be running, and must not change under it.
    pub(super) fn put(&self, manifest: &mut Manifest, places: &Places) -> Result<()> {
        make_folder(manifest, &places.bin)?;
        let Binary::Copy(from) = self else { return Ok(()) };
        let to = places.bin.join(OWN_NAME);
        let bytes = read_regular(from, MOST).map_err(Error::file("read", from))?;
        let sum = checksum(&bytes);
        manifest.record_too("file", &text(&to), &sum)?;
        replace_whole(&to, &bytes, 0o755)?;
        manifest.record("file", &text(&to), &sum)
    }

    /// Makes these links, and takes away those of ours that are not wanted any more.
    pub(super) fn link(&self, manifest: &mut Manifest, places: &Places, names: &[&str]) -> Result<()> {
        let target = match self {
            Binary::Managed(path) => path.clone(),
            // Relative, so that the folder can be moved.
            Binary::Copy(_) | Binary::InPlace => OWN_NAME.into(),
        };
        for name in APPLETS {
            let link = places.bin.join(name);
            if names.contains(&name) {
                make_link(manifest, &link, &target)?;
            } else if manifest.has("link", &text(&link)) {
                remove_link(manifest, &link)?;
            }
        }
        Ok(())
    }
}

/// Whether the file is not ours to copy: of the system, of Homebrew, of cargo, or nobody's to write here.
fn is_managed(context: &Context, path: &Path) -> bool {
    let cargo = context.env("CARGO_HOME").map(PathBuf::from).or_else(|| Some(context.home().ok()?.join(".cargo")));
    let is_of_cargo = cargo.is_some_and(|cargo| path.starts_with(cargo.join("bin")));
    let is_of_homebrew =
        path.components().any(|part| matches!(part.as_os_str().to_str(), Some("Cellar" | "homebrew" | ".linuxbrew")));
    let is_writable = path.parent().is_some_and(|dir| access(dir, AccessFlags::W_OK).is_ok());
    ["/usr", "/bin", "/nix/store", "/snap"].iter().any(|place| path.starts_with(place))
        || is_of_cargo
        || is_of_homebrew
        || !is_writable
}

/// Homebrew's path of this version goes with the next one; its `opt` leads to whichever is there.
fn stable(path: &Path) -> PathBuf {
    let parts: Vec<_> = path.components().collect();
    let Some(cellar) = parts.iter().position(|part| part.as_os_str() == "Cellar") else { return path.into() };
    let (Some(name), Some(rest)) = (parts.get(cellar + 1), parts.get(cellar + 3..)) else { return path.into() };
    let stable: PathBuf =
        parts[..cellar].iter().collect::<PathBuf>().join("opt").join(name).join(rest.iter().collect::<PathBuf>());
    if stable.exists() { stable } else { path.into() }
}

/// The names of the links, as the user gives them.
///
/// # Errors
/// If one is none of ours.
pub(super) fn names(list: &str) -> Result<Vec<&'static str>> {
    let wanted: Vec<&str> = list.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty()).collect();
    let unknown = wanted.iter().find(|name| !APPLETS.contains(name));
    let hint = shown!("choose from {}", APPLETS.join(", "));
    match unknown {
        Some(name) => Err(problem(shown!("`{name}` is no name of this program"), hint)),
        None if wanted.is_empty() => Err(problem("`--names` is empty".into(), hint)),
        None => Ok(APPLETS.into_iter().filter(|name| wanted.contains(name)).collect()),
    }
}
