//! The wrapper form: the caller names the Claude Code that is to run, and its arguments follow.
//!
//! VS Code's extension runs `claudeCode.claudeProcessWrapper` so, with the program that it has brought along, for its chat and for
//! subcommands alike (anthropics/claude-code#21565). Claude Code runs `CLAUDE_CODE_PROCESS_WRAPPER` so, for all that it starts of
//! itself (2.1.330): `…/bin/claude`, or the file that it runs from, or Node.js and its script.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use crate::claude_code::locate;
use crate::claude_code::version::Version;
use crate::context::Context;
use crate::os::process::own_path;
use crate::real_claude::RealClaude;

/// The call without the Claude Code that it names; none if it names none. A prompt may be a path, too: only the file of a Claude Code
/// that can be run, and is not this program, is taken.
pub(crate) fn unwrapped(context: &Context) -> Option<Context> {
    let [first, rest @ ..] = context.args.as_slice() else { return None };
    if !first.as_bytes().starts_with(b"/") {
        return None;
    }
    let program = Path::new(first);
    let (script, rest) = match rest {
        [script, rest @ ..] if is_runtime(program) && is_script(Path::new(script)) => (Some(script), rest),
        _ if is_named_as_claude(program) => (None, rest),
        _ => return None,
    };
    if !is_trusted(program) || script.is_some_and(|script: &OsString| !is_trusted(Path::new(script))) {
        return None;
    }
    let candidate = locate::look_at(program.into());
    candidate
        .skipped
        .is_none()
        .then(|| context.for_claude(RealClaude { program: candidate.path, script: script.map(PathBuf::from) }, rest))
}

/// npm's package has `claude.exe` on all systems; the native installer names the file after its version.
fn is_named_as_claude(path: &Path) -> bool {
    let folder = path.parent().and_then(Path::file_name);
    match path.file_name().and_then(OsStr::to_str) {
        Some("claude" | "claude.exe") => true,
        Some(name) => folder == Some(OsStr::new("versions")) && Version::parse(name).is_some(),
        None => false,
    }
}

/// Whether nobody else has put it there: `claude "$PROMPT"` must not run a program that a stranger has laid down and asks about. Its
/// owner may be ours, too, as in a container whose image was made for another user.
fn is_trusted(path: &Path) -> bool {
    const WRITABLE_BY_ALL: u32 = 0o002;
    let Ok(metadata) = fs::metadata(path) else { return false };
    let owner = metadata.uid();
    let is_owner_of_ours = || own_path().is_ok_and(|own| fs::metadata(own).is_ok_and(|own| own.uid() == owner));
    let is_known = owner == Uid::effective().as_raw() || owner == 0 || is_owner_of_ours();
    is_known && metadata.mode() & WRITABLE_BY_ALL == 0
}

fn is_runtime(path: &Path) -> bool {
    path.file_name().is_some_and(|name| ["node", "bun", "deno"].iter().any(|runtime| name == *runtime))
}

/// What Claude Code was until 2.1.112. The runtime only reads it.
fn is_script(path: &Path) -> bool {
    path.is_absolute() && path.file_name() == Some(OsStr::new("cli.js")) && path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let table = [
            ("/opt/claude", true),
            ("/opt/claude.exe", true),
            ("/home/a/.local/share/claude/versions/2.1.330", true),
            ("/home/a/.local/share/claude/2.1.330", false),
            ("/home/a/versions/latest", false),
            ("/opt/claude/", true),
            ("/opt/claude-code", false),
            ("/opt/Claude", false),
            ("/", false),
            ("/opt/..", false),
        ];
        for (path, expected) in table {
            assert_eq!(is_named_as_claude(Path::new(path)), expected, "{path}");
        }
    }
}
