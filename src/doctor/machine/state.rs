//! The switch, and the folder of what is kept.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{AccessFlags, Uid, access};

use crate::context::Context;
use crate::doctor::check::Check;
use crate::error::Error;
use crate::shown::{Shown, shown};
use crate::state::flag::Flag;

pub(super) fn checks(context: &Context) -> Vec<Check> {
    vec![switch(context), folder(context)]
}

fn switch(context: &Context) -> Check {
    let flag = match Flag::new(context) {
        Ok(flag) => flag,
        Err(Error::NoHome) => return Check::problem("switch", Shown::line(Error::NoHome), "set HOME to an absolute path"),
        Err(error) => {
            return Check::problem("switch", Shown::line(&error), "set LLM_BACKEND_FLAG to an absolute path, or unset it");
        }
    };
    let (backend, warning) = flag.read();
    if let Some(warning) = warning {
        return Check::problem("switch", warning, "llm-failover claude, or llm-failover auto");
    }
    let folder = flag.path().ancestors().skip(1).find(|folder| folder.exists()).unwrap_or(flag.path());
    if access(folder, AccessFlags::W_OK).is_err() {
        let text = shown!("it says `{}`, and cannot be changed: `{}` is not writable", backend.word(), folder.display());
        return Check::problem("switch", text, shown!("chmod u+w {}", folder.display()));
    }
    Check::ok("switch", shown!("it says `{}` (`{}`)", backend.word(), flag.path().display()))
}

fn folder(context: &Context) -> Check {
    let id = "state";
    let folder = match context.state_dir() {
        Ok(folder) => folder,
        Err(error) => {
            let text = context.no_place_for_state().unwrap_or_else(|| Shown::line(&error));
            return Check::problem(id, text, "set HOME to a folder that is there");
        }
    };
    let shown = shown!("{}", folder.display());
    let Ok(metadata) = fs::symlink_metadata(&folder) else {
        let above = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
        return match access(above, AccessFlags::W_OK) {
            Ok(()) => Check::ok(id, shown!("`{shown}` is made when it is needed")),
            Err(_) => Check::problem(id, shown!("`{shown}` cannot be made"), shown!("chmod u+w {}", above.display())),
        };
    };
    let is_folder = fs::metadata(&folder).is_ok_and(|metadata| metadata.is_dir());
    if !is_folder {
        return Check::problem(id, shown!("`{shown}` is no folder"), shown!("move it away"));
    }
    if Uid::from_raw(metadata.uid()) != Uid::effective() {
        let user = Uid::effective();
        return Check::problem(id, shown!("`{shown}` belongs to another user"), shown!("chown -R {user} {shown}"));
    }
    if access(&folder, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        return Check::problem(id, shown!("`{shown}` is not writable"), shown!("chmod u+rwx {shown}"));
    }
    let mode = metadata.mode() & 0o7777;
    match metadata.is_dir() && mode & 0o077 != 0 {
        true => Check::warning(id, shown!("others may look into `{shown}` (mode {mode:o})"), shown!("chmod 700 {shown}")),
        false => Check::ok(id, shown!("`{shown}` is yours alone")),
    }
}
