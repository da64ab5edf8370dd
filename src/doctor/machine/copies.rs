//! Other copies of this program, and other programs called `claude`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::candidate::Skip;
use crate::claude_code::locate;
use crate::context::Context;
use crate::doctor::check::Check;
use crate::names::{APPLETS, DATA_DIR, OWN_NAME};
use crate::os::file_id::FileId;
use crate::read_file::read_regular;
use crate::server::command::run_within;
use crate::shown::{Shown, shown};

/// How long a copy may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest script that is read, in bytes.
const LONGEST_SCRIPT: u64 = 64 << 10;

pub(super) fn checks(context: &Context) -> Vec<Check> {
    let mut checks = copies(context);
    checks.push(shims(context));
    checks
}

/// A copy of ours by every name of ours on PATH, and where `setup` puts it.
fn copies(context: &Context) -> Vec<Check> {
    let names = APPLETS.into_iter().chain([OWN_NAME]);
    let on_path = context.path_entries().flat_map(|dir| names.clone().map(move |name| dir.join(name)));
    let installed = context.home().ok().map(|home| home.join(DATA_DIR).join("bin").join(OWN_NAME));
    let (mut seen, mut checks) = (BTreeSet::new(), Vec::new());
    let own = env!("CARGO_PKG_VERSION");
    for path in on_path.chain(installed) {
        let is_copy = matches!(locate::look_at(path.clone()).skipped, Some(Skip::Copy));
        if !is_copy || !FileId::of(&path).is_some_and(|id| seen.insert(id)) {
            continue;
        }
        let version = version(&path);
        let text = match &version {
            Some(version) => shown!("`{}` is another copy of {OWN_NAME}, version {version}", path.display()),
            None => shown!("`{}` is another copy of {OWN_NAME}, which tells no version", path.display()),
        };
        let mend = shown!("{OWN_NAME} --install {}, or take it away", path.parent().unwrap_or(&path).display());
        checks.push(match version.as_deref() == Some(own) {
            true => Check::ok("copies", shown!("{text}, as this one")),
            false => Check::warning("copies", shown!("{text}; this is {own}"), mend),
        });
    }
    checks
}

fn version(path: &Path) -> Option<Shown> {
    let output = run_within(Command::new(path).arg0(OWN_NAME).arg("--version"), PATIENCE).ok()??;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim().strip_prefix(OWN_NAME).map(Shown::squeezed)
}

/// Other programs on PATH called `claude`: one of them is the real one, or leads to it.
fn shims(context: &Context) -> Check {
    let candidates = context.path_entries().map(|dir| locate::look_at(dir.join("claude")));
    let others: Vec<PathBuf> =
        candidates.filter(|candidate| candidate.skipped.is_none()).map(|candidate| candidate.path).collect();
    let real = locate::find(context).ok();
    let script = real.as_deref().filter(|path| is_shell_script(path) && !is_claude_codes(path) && manager(path).is_none());
    if let Some(script) = script {
        let text =
            shown!("the real Claude Code is taken to be `{}`, a shell script: what it runs is not known", script.display());
        return Check::warning("shims", text, "set CLAUDE_BIN to the program itself");
    }
    let described = |path: &PathBuf| match manager(path) {
        Some(manager) => format!("`{}` ({manager}'s shim)", path.display()),
        None => format!("`{}`", path.display()),
    };
    match others.as_slice() {
        [] => Check::ok("shims", "no other `claude` on PATH"),
        others => {
            let list = others.iter().map(described).collect::<Vec<_>>().join(", ");
            Check::ok("shims", shown!("other programs called `claude` on PATH: {list}"))
        }
    }
}

/// The version manager that has made it.
fn manager(path: &Path) -> Option<&'static str> {
    const FOLDERS: [(&str, &str); 7] = [
        ("/.volta/", "volta"),
        ("/mise/shims/", "mise"),
        ("/.asdf/shims/", "asdf"),
        ("/.nodenv/shims/", "nodenv"),
        ("/.nodebrew/", "nodebrew"),
        ("/.proto/shims/", "proto"),
        ("/.cmux/", "cmux"),
    ];
    let text = path.to_string_lossy();
    FOLDERS.iter().find(|(folder, _)| text.contains(folder)).map(|(_, name)| *name)
}

fn is_shell_script(path: &Path) -> bool {
    // What Claude Code ships is larger, or a program of Node.js.
    let bytes = fs::metadata(path)
        .ok()
        .filter(|metadata| metadata.len() <= LONGEST_SCRIPT)
        .and_then(|_| read_regular(path, LONGEST_SCRIPT).ok());
    let first = bytes.as_deref().and_then(|bytes| bytes.split(|byte| *byte == b'\n').next()).unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    first.starts_with("#!") && first.split(['/', ' ']).any(|word| matches!(word.trim(), "sh" | "bash" | "zsh" | "dash" | "fish"))
}

/// Claude Code's local installer and npm's `.bin` have scripts of their own.
fn is_claude_codes(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.contains("/.claude/local/") || text.contains("/node_modules/.bin/")
}
