//! `claude-failover --install DIR`: a symlink for each applet.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::names::{NAMES, OWN_NAME};
use crate::os::file_id::FileId;
use crate::os::process::current_exe;

/// Makes the links in `dir`, which is made too if it is missing. Links that are already right are kept, links to
/// another copy of this program are replaced, and nothing is changed if any name belongs to someone else.
///
/// # Errors
/// If a name is taken by a foreign file, or a link cannot be made or does not open this binary.
pub(crate) fn links(dir: &Path) -> Result<()> {
    let binary = current_exe().map_err(Error::system("find", OWN_NAME))?;
    let us =
        FileId::of_this_process().ok_or_else(|| Error::Usage { message: "cannot look at this program's own file".into() })?;
    fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
    let target = target_from(dir, &binary);
    for name in NAMES {
        let link = dir.join(name);
        if !may_replace(&link, us) {
            return Err(Error::ForeignFile { path: link });
        }
    }
    for name in NAMES {
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

/// A link beside the binary is relative, so that the folder can be moved.
fn target_from(dir: &Path, binary: &Path) -> PathBuf {
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
