//! `claude-failover --install DIR [NAME…]`: symlinks for all applets, or for those that are named.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::names::{APPLETS, OWN_NAME};
use crate::os::file_id::FileId;
use crate::os::process::current_exe;
use crate::shown::{Shown, shown};

/// The applets that are named, in their own order; all if none is.
///
/// # Errors
/// If a name is none of theirs.
pub(crate) fn wanted_applets(names: &[OsString]) -> Result<Vec<&'static str>> {
    if let Some(unknown) = names.iter().find(|name| !APPLETS.iter().any(|applet| name.as_os_str() == *applet)) {
        let name = Shown::line(unknown.to_string_lossy());
        return Err(Error::Usage { message: shown!("`{name}` is no name of an applet; there are {}", APPLETS.join(", ")) });
    }
    Ok(APPLETS.into_iter().filter(|applet| names.is_empty() || names.iter().any(|name| name == applet)).collect())
}

/// Makes `dir`, too. Keeps links that are right, replaces links to other copies of this program, and changes nothing if a file
/// of another program has one of the names.
pub(crate) fn make_links(dir: &Path, names: &[&str]) -> Result<()> {
    let binary = current_exe().map_err(Error::system("find", OWN_NAME))?;
    let us =
        FileId::of_this_process().ok_or_else(|| Error::Usage { message: "cannot look at this program's own file".into() })?;
    fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
    let target = link_target(dir, &binary);
    for name in names {
        let link = dir.join(name);
        if !may_replace(&link, us) {
            return Err(Error::ForeignFile { path: link });
        }
    }
    for name in names {
        let link = dir.join(name);
        if FileId::of(&link) != Some(us) {
            let fresh = dir.join(format!(".{name}.{}", std::process::id()));
            symlink(&target, &fresh).map_err(Error::file("create", &fresh))?;
            fs::rename(&fresh, &link).map_err(Error::file("create", &link))?;
        }
        let opened = fs::File::open(&link).and_then(|file| file.metadata()).map_err(Error::file("open", &link))?;
        if FileId::from(&opened) != us {
            return Err(Error::ForeignFile { path: link });
        }
        super::print_line(&shown!("{} -> {}", link.display(), target.display()));
    }
    Ok(())
}

/// Relative for a link beside the binary, so that the folder can be moved.
fn link_target(dir: &Path, binary: &Path) -> PathBuf {
    let same_dir = binary.parent().and_then(FileId::of).is_some_and(|parent| FileId::of(dir) == Some(parent));
    match binary.file_name() {
        Some(name) if same_dir => name.into(),
        _ => binary.to_path_buf(),
    }
}

fn may_replace(link: &Path, us: FileId) -> bool {
    let Ok(metadata) = fs::symlink_metadata(link) else { return true };
    let leads_to_us = FileId::of(link) == Some(us);
    let names_us = || fs::read_link(link).is_ok_and(|target| target.file_name().is_some_and(|name| name == OWN_NAME));
    leads_to_us || (metadata.is_symlink() && names_us())
}
