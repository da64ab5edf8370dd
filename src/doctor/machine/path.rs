//! Which `claude` is found, in this shell and where there is none.

use std::path::PathBuf;
use std::time::Duration;

use crate::candidate::Skip;
use crate::claude_code::locate;
use crate::context::Context;
use crate::doctor::check::Check;
use crate::doctor::machine::ours::Ours;
use crate::server::command::Program;
use crate::shown::{Shown, shown};

/// What cron gives its jobs (Debian's cron, cronie and macOS).
const CRONS: &str = "/usr/bin:/bin";

/// What launchd gives its jobs if nobody has set another one (macOS 15).
const LAUNCHDS: &str = "/usr/bin:/bin:/usr/sbin:/sbin";

/// How long the service managers may take to tell.
const PATIENCE: Duration = Duration::from_secs(5);

/// The first `claude` in some folders.
enum Found {
    Ours(PathBuf),
    Another(PathBuf),
    Nothing,
}

fn first_claude(folders: impl IntoIterator<Item = PathBuf>) -> Found {
    for folder in folders.into_iter().filter(|folder| folder.is_absolute()) {
        let candidate = locate::look_at(folder.join("claude"));
        match candidate.skipped {
            Some(Skip::Ourselves | Skip::Copy) => return Found::Ours(candidate.path),
            None => return Found::Another(candidate.path),
            Some(_) => {}
        }
    }
    Found::Nothing
}

pub(super) fn checks(context: &Context, ours: &Ours) -> Vec<Check> {
    if !ours.shadows {
        return vec![Check::ok("path", "`claude` is left to Claude Code; `agent-llm` reads the switch")];
    }
    let mut checks = vec![here(context, ours)];
    checks.push(in_cron(context, ours));
    checks.extend(in_launchd(context, ours));
    checks.extend(in_systemd(context, ours));
    checks
}

fn here(context: &Context, ours: &Ours) -> Check {
    let mend = shown!("put this into your shell's start-up file, last: export PATH=\"{}:$PATH\"", ours.folder());
    match first_claude(context.path_entries()) {
        Found::Ours(path) => Check::ok("path", shown!("`claude` is `{}`, which reads the switch", path.display())),
        Found::Another(path) => {
            Check::problem("path", shown!("`claude` is `{}`, which does not read the switch", path.display()), mend)
        }
        Found::Nothing => Check::problem("path", "no `claude` on PATH", mend),
    }
}

/// A crontab may set PATH itself. Where no job calls Claude Code, nothing is wrong.
fn in_cron(context: &Context, ours: &Ours) -> Check {
    let crontab = told(context, "crontab", &["-l"]).unwrap_or_default();
    let lines = || crontab.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let path_line = lines().filter_map(|line| line.strip_prefix("PATH")?.trim_start().strip_prefix('=')).next_back();
    let path = path_line.map_or(CRONS, |path| path.trim().trim_matches(['"', '\''])).to_string();
    let is_used =
        lines().any(|line| line.split(|c: char| !c.is_alphanumeric() && !"-_./".contains(c)).any(|word| word == "claude"));
    let mend = shown!("put this at the head of `crontab -e`: PATH={}:{path}", ours.folder());
    match first_claude(folders(&path)) {
        Found::Ours(path) => Check::ok("path-cron", shown!("jobs find `{}`, which reads the switch", path.display())),
        Found::Another(found) => Check::warning(
            "path-cron",
            shown!("jobs find `{}`, which does not read the switch (PATH={path})", found.display()),
            mend,
        ),
        Found::Nothing if is_used => {
            Check::warning("path-cron", shown!("your jobs call `claude`, and cron finds none (PATH={path})"), mend)
        }
        Found::Nothing => Check::ok(
            "path-cron",
            shown!("jobs find no `claude` (PATH={path}), and yours call none; one that does needs PATH={}:{path}", ours.folder()),
        ),
    }
}

fn in_launchd(context: &Context, ours: &Ours) -> Option<Check> {
    let path = told(context, "launchctl", &["getenv", "PATH"])?;
    let path = if path.trim().is_empty() { LAUNCHDS.into() } else { path.trim().to_string() };
    let mend = shown!("launchctl setenv PATH {}:{path}, or set PATH in the job's EnvironmentVariables", ours.folder());
    Some(in_services("path-launchd", "launchd's", &path, ours, mend))
}

fn in_systemd(context: &Context, ours: &Ours) -> Option<Check> {
    let environment = told(context, "systemctl", &["--user", "show-environment"])?;
    // A value with blanks stands in `$'…'` (systemd 248 and later).
    let line = environment.lines().find_map(|line| line.strip_prefix("PATH="))?;
    let path = line.strip_prefix("$'").and_then(|line| line.strip_suffix('\'')).unwrap_or(line).to_string();
    let mend = shown!("put this into ~/.config/environment.d/path.conf: PATH={}:$PATH", ours.folder());
    Some(in_services("path-systemd", "systemd's", &path, ours, mend))
}

fn in_services(id: &'static str, whose: &str, path: &str, ours: &Ours, mend: Shown) -> Check {
    match first_claude(folders(path)) {
        Found::Ours(path) => Check::ok(id, shown!("{whose} jobs find `{}`, which reads the switch", path.display())),
        Found::Another(path) => {
            Check::warning(id, shown!("{whose} jobs find `{}`, which does not read the switch", path.display()), mend)
        }
        Found::Nothing => Check::ok(
            id,
            shown!("{whose} jobs find no `claude` by its name (PATH={path}); call `{}/claude` there", ours.folder()),
        ),
    }
}

/// What a program says that asks its daemon. None if it is not there, fails, or does not end in time.
fn told(context: &Context, name: &'static str, args: &[&str]) -> Option<String> {
    let mut program = Program::new(context, name, "", PATIENCE);
    let usual = PathBuf::from(format!("/run/user/{}", nix::unistd::getuid()));
    if context.env("XDG_RUNTIME_DIR").is_none() && usual.is_dir() {
        program.set("XDG_RUNTIME_DIR", usual);
    }
    let output = program.order(args, PATIENCE).ok()??;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn folders(path: &str) -> impl Iterator<Item = PathBuf> + '_ {
    path.split(':').map(PathBuf::from)
}
