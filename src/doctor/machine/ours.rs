//! The folder with our links, and what they lead to.

use std::fs;
use std::path::{Path, PathBuf};

use crate::candidate::Skip;
use crate::claude_code::locate;
use crate::context::Context;
use crate::doctor::check::Check;
use crate::names::{APPLETS, OWN_NAME};
use crate::os::process::current_exe;
use crate::shown::{Shown, shown};

/// Where this program is found.
pub(super) struct Ours {
    folder: Option<PathBuf>,
    /// Whether `claude` shall be this program here: some have `agent-llm` alone.
    pub(super) shadows: bool,
}

/// Whether this program itself is at `path`.
pub(super) fn is_us(path: &Path) -> bool {
    matches!(locate::look_at(path.into()).skipped, Some(Skip::Ourselves))
}

impl Ours {
    /// The folder of the link that was called, else the first on PATH that has one, else that of the program.
    pub(super) fn find(context: &Context) -> Ours {
        let called = Path::new(&context.name);
        let has_folder = called.parent().is_some_and(|parent| !parent.as_os_str().is_empty());
        let by_path = || Some(context.working_dir().ok()?.join(called).parent()?.to_path_buf());
        let on_path = || context.path_entries().find(|dir| APPLETS.iter().any(|name| is_us(&dir.join(name))));
        let of_program = || Some(current_exe().ok()?.parent()?.to_path_buf());
        let folder = if has_folder { by_path() } else { None };
        let folder = folder.or_else(on_path).or_else(of_program);
        let has_link = folder.as_ref().is_some_and(|dir| fs::symlink_metadata(dir.join("claude")).is_ok());
        let shadows = has_link || context.path_entries().any(|dir| is_us(&dir.join("claude")));
        Ours { folder, shadows }
    }

    /// As one writes it.
    pub(super) fn folder(&self) -> Shown {
        self.folder.as_ref().map_or_else(|| "DIR".into(), |folder| shown!("{}", folder.display()))
    }

    /// That the links lead here.
    pub(super) fn checks(&self) -> Vec<Check> {
        let Some(folder) = &self.folder else {
            return vec![Check::problem("links", "this program's own place is not known", "claude-failover --install DIR")];
        };
        let version = env!("CARGO_PKG_VERSION");
        let mend = shown!("claude-failover --install {}", self.folder());
        let (mut present, mut wrong) = (Vec::new(), Vec::new());
        for name in APPLETS {
            let path = folder.join(name);
            match locate::look_at(path.clone()).skipped {
                Some(Skip::Ourselves) => present.push(name),
                _ if fs::symlink_metadata(&path).is_err() => {}
                Some(Skip::Copy) => wrong.push(Check::warning(
                    "links",
                    shown!("`{}` leads to another copy of {OWN_NAME}", path.display()),
                    mend.clone(),
                )),
                Some(reason) => wrong.push(Check::problem("links", shown!("`{}`: {reason}", path.display()), mend.clone())),
                None => wrong.push(Check::problem(
                    "links",
                    shown!("`{}` is another program", path.display()),
                    shown!("move it away, then {mend}"),
                )),
            }
        }
        match present.as_slice() {
            _ if !wrong.is_empty() => wrong,
            [] => vec![Check::warning("links", shown!("{OWN_NAME} {version} has no links in `{}`", self.folder()), mend)],
            names => vec![Check::ok("links", shown!("{OWN_NAME} {version} in `{}`: {}", self.folder(), names.join(", ")))],
        }
    }
}
