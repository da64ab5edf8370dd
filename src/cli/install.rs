//! `claude-failover --install DIR`: a symlink for each applet.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::names::{APPLETS, OWN_NAME};
use crate::os::file_id::FileId;
use crate::os::process::current_exe;

/// Makes `dir`, too. Keeps links that are right, replaces links to other copies of this program, and changes nothing if a file
/// of another program has one of the names.
pub(crate) fn make_links(dir: &Path) -> Result<()> {
    let binary = current_exe().map_err(Error::system("find", OWN_NAME))?;
    let us =
        FileId::of_this_process().ok_or_else(|| Error::Usage { message: "cannot look at this program's own file".into() })?;
    fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
    let target = link_target(dir, &binary);
    for name in APPLETS {
        let link = dir.join(name);
        if !may_replace(&link, us) {
            return Err(Error::ForeignFile { path: link });
        }
    }
    for name in APPLETS {
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
        super::print(&format!("{} -> {}\n", link.display(), target.display()));
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
