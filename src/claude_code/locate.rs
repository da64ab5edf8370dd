//! The search for the real Claude Code, and becoming it.
//!
//! The search skips ourselves by file identity, never by name or path: PATH may hold us twice, under other spellings
//! (case-insensitive file systems), as links, hard links, copies and older versions. Wrapper scripts that lead back
//! to us cannot be seen beforehand; [`Trail`] ends their loops.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use crate::candidate::{Candidate, Skip};
use crate::context::Context;
use crate::error;
use crate::error::{Error, Result};
use crate::names::EXEC_TRAIL;
use crate::os::file_id::FileId;
use crate::read_file::open_regular;
use crate::real_claude::RealClaude;
use crate::settings::Setting;
use crate::shown::shown;

/// The first real Claude Code in the order `CLAUDE_BIN`, PATH, the usual places of its installers.
///
/// # Errors
/// [`Error::ClaudeNotFound`] with every candidate and why it was skipped; [`Error::Loop`] if wrappers led here too often.
pub(crate) fn find(context: &Context) -> Result<PathBuf> {
    Trail::of(context).next_claude(context, true)
}

/// The one that the caller names, or else the first one.
///
/// # Errors
/// As for [`find`].
pub(crate) fn find_for_call(context: &Context) -> Result<RealClaude> {
    context.given_claude.clone().map_or_else(|| find(context).map(RealClaude::from), Ok)
}

/// What stands at a place, if it is not another program's: looked at as closely as can be.
pub(crate) fn look_at(path: PathBuf) -> Candidate {
    examine(path, FileId::of_this_process(), true)
}

/// Becomes the real Claude Code: same process, arguments, environment, streams, folder and signal state. Returns only if
/// that failed. One variable is added to the environment, the [`Trail`].
///
/// The inherited signal mask and ignored signals are kept, except that an ignored SIGPIPE becomes the default, as std
/// restores what its own start-up changed.
pub(crate) fn become_claude(applet: &str, context: &Context) -> Error {
    let claude = match announce_exec(applet, context) {
        Ok(claude) => claude,
        Err(error) => return error,
    };
    let error = claude.command().args(&context.args).exec();
    not_run(claude.program, &error)
}

/// The real Claude Code for this process to become, with the [`Trail`] in our environment.
///
/// # Errors
/// If there is none.
pub(crate) fn announce_exec(applet: &str, context: &Context) -> Result<RealClaude> {
    choose(applet, context, "")
}

/// The real Claude Code for a child of this process, with the [`Trail`] in our environment for it to inherit.
///
/// # Errors
/// If there is none.
pub(crate) fn announce(applet: &str, context: &Context) -> Result<RealClaude> {
    choose(applet, context, PARENT)
}

fn choose(applet: &str, context: &Context, pid_prefix: &str) -> Result<RealClaude> {
    let trail = Trail::of(context);
    // Looking into files takes longer than running a copy of us by mistake, which then knows by the trail what to do.
    let looks_inside = trail.last.is_some();
    let given = context.given_claude.clone();
    let is_given = given.is_some();
    let claude = given.map_or_else(|| trail.next_claude(context, looks_inside).map(RealClaude::from), Ok)?;
    if trail.depth >= MAX_DEPTH {
        return Err(Error::Loop { path: claude.program, depth: trail.depth });
    }
    let is_wanted = |wanted| context.expand_home(wanted) == claude.program;
    if !is_given && trail.depth == 0 && !context.settings.claude_bin().is_none_or(is_wanted) {
        error::warn(applet, &shown!("{} cannot be used; running `{}`", Setting::ClaudeBin.name(), claude.program.display()));
    }
    context.set_variable(EXEC_TRAIL, trail.through(claude.file(), pid_prefix));
    Ok(claude)
}

/// Why the system did not run `path`.
pub(crate) fn not_run(path: PathBuf, error: &io::Error) -> Error {
    let reason = match error.raw_os_error().map(nix::errno::Errno::from_raw) {
        Some(nix::errno::Errno::ENOENT) => match interpreter(&path) {
            Some(interpreter) => shown!("its interpreter `{interpreter}` is missing"),
            None => "its interpreter is missing".into(),
        },
        Some(nix::errno::Errno::E2BIG) => "the arguments and the environment are too long for this system".into(),
        _ => crate::text::plain(error),
    };
    Error::ClaudeNotRun { path, reason }
}

/// Whether a wrapper led here that another of us is watching already.
pub(crate) fn is_watched(context: &Context) -> bool {
    let trail = Trail::of(context);
    trail.last.is_some() && trail.same_process
}

/// The way that led here, passed on in the environment as `DEPTH:PID:CANDIDATE`, or `DEPTH:^PID:CANDIDATE` where PID is
/// the parent of the process that runs the candidate.
///
/// A candidate may be a wrapper that runs `claude` again. If it did so with `exec`, the process is still the one that
/// we were: the search goes on after that candidate. If it did so with a child, whoever stands before us on PATH has
/// had its turn: the search goes on after us. When nothing is left it starts over, since the real Claude may well run
/// itself again, and the depth ends what never ends.
struct Trail {
    depth: u32,
    last: Option<PathBuf>,
    same_process: bool,
}

/// Stands before the pid of the candidate's parent.
const PARENT: &str = "^";
const MAX_DEPTH: u32 = 20;

impl Trail {
    fn of(context: &Context) -> Trail {
        context.env(EXEC_TRAIL).and_then(Trail::parse).unwrap_or(Trail { depth: 0, last: None, same_process: false })
    }

    fn parse(value: OsString) -> Option<Trail> {
        let mut parts = value.as_bytes().splitn(3, |byte| *byte == b':');
        let depth = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
        let stated = std::str::from_utf8(parts.next()?).ok()?;
        let (pid, us) = match stated.strip_prefix(PARENT) {
            Some(parent) => (parent, std::os::unix::process::parent_id()),
            None => (stated, std::process::id()),
        };
        let pid: u32 = pid.parse().ok()?;
        let last = PathBuf::from(OsStr::from_bytes(parts.next()?));
        Some(Trail { depth, last: Some(last), same_process: pid == us })
    }

    fn through(&self, candidate: &Path, pid_prefix: &str) -> OsString {
        let mut value = format!("{}:{pid_prefix}{}:", self.depth + 1, std::process::id()).into_bytes();
        value.extend_from_slice(candidate.as_os_str().as_bytes());
        OsString::from_vec(value)
    }

    fn next_claude(&self, context: &Context, looks_inside: bool) -> Result<PathBuf> {
        let us = FileId::of_this_process();
        let chosen = context.settings.claude_bin().map(|path| context.expand_home(path));
        let mut candidates = Vec::new();
        let mut first_before_turn = None;
        let mut is_past_turn = self.last.is_none();
        for path in places(context, chosen.clone()) {
            let is_chosen = chosen.as_ref() == Some(&path);
            let candidate = examine(path, us, looks_inside || is_chosen);
            let is_turn = if self.same_process {
                self.last.as_ref() == Some(&candidate.path)
            } else {
                matches!(candidate.skipped, Some(Skip::Ourselves | Skip::Copy))
            };
            if candidate.skipped.is_none() {
                if is_past_turn || (is_chosen && !self.same_process) {
                    return Ok(candidate.path);
                }
                first_before_turn = first_before_turn.or_else(|| Some(candidate.path.clone()));
            }
            is_past_turn |= is_turn;
            candidates.push(candidate);
        }
        first_before_turn.ok_or_else(|| {
            // The list of candidates leaves out places that hold nothing, unless the user chose one or it is a dangling link.
            let is_worth_listing = |candidate: &Candidate| {
                !matches!(candidate.skipped, Some(Skip::Missing))
                    || chosen.as_ref() == Some(&candidate.path)
                    || fs::symlink_metadata(&candidate.path).is_ok()
            };
            candidates.retain(is_worth_listing);
            Error::ClaudeNotFound { candidates }
        })
    }
}

/// Where to look, in order. The usual places are looked up only if PATH has none: launchd and cron give a bare PATH.
fn places(context: &Context, chosen: Option<PathBuf>) -> impl Iterator<Item = PathBuf> + use<'_> {
    let on_path = context.path_entries().map(|dir| dir.join("claude"));
    chosen.into_iter().chain(on_path).chain(std::iter::once_with(|| usual_places(context)).flatten())
}

/// Where Claude Code's own installer, npm, Homebrew, bun, yarn, volta and nvm put it (Claude Code 2.1, Python SDK 0.2).
fn usual_places(context: &Context) -> Vec<PathBuf> {
    let in_home = [
        ".local/bin",
        ".claude/local",
        ".claude/local/node_modules/.bin",
        ".npm-global/bin",
        "node_modules/.bin",
        ".bun/bin",
        ".yarn/bin",
        ".volta/bin",
    ];
    let shared = ["/opt/homebrew/bin", "/usr/local/bin", "/home/linuxbrew/.linuxbrew/bin", "/usr/bin"];
    let mut dirs = Vec::new();
    if let Ok(home) = context.home() {
        dirs.extend(in_home.iter().map(|dir| home.join(dir)));
        dirs.extend(nvm_dirs(&home.join(".nvm/versions/node")));
    }
    dirs.extend(shared.iter().map(PathBuf::from));
    dirs.into_iter().map(|dir| dir.join("claude")).collect()
}

/// The newest version first: `v22.1.0` before `v9.11.0`.
fn nvm_dirs(versions: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(versions).into_iter().flatten().flatten();
    let mut names: Vec<OsString> = entries.map(|entry| entry.file_name()).collect();
    let numbers = |name: &OsString| -> Vec<u64> {
        name.to_string_lossy().split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
    };
    names.sort_by_cached_key(|name| std::cmp::Reverse(numbers(name)));
    names.iter().map(|name| versions.join(name).join("bin")).collect()
}

fn examine(path: PathBuf, us: Option<FileId>, looks_inside: bool) -> Candidate {
    let skipped = match fs::metadata(&path) {
        _ if !path.is_absolute() => Some(Skip::Relative),
        Ok(metadata) => skip(&path, &metadata, us, looks_inside),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Some(Skip::Missing),
        Err(error) => Some(Skip::Unreadable(error)),
    };
    Candidate { path, skipped }
}

fn skip(path: &Path, metadata: &Metadata, us: Option<FileId>, looks_inside: bool) -> Option<Skip> {
    if us == Some(FileId::from(metadata)) {
        Some(Skip::Ourselves)
    } else if !metadata.is_file() {
        Some(Skip::NotAFile)
    } else if metadata.len() == 0 {
        Some(Skip::Empty)
    } else if access(path, AccessFlags::X_OK).is_err() {
        Some(Skip::NotExecutable)
    } else if looks_inside && is_copy_of_us(path, metadata.len()) {
        Some(Skip::Copy)
    } else {
        None
    }
}

/// Whether the file is some build of this program, one for debugging included. Only programs of about our size are
/// read whole: Claude Code is a script or far larger.
fn is_copy_of_us(path: &Path, size: u64) -> bool {
    const OUR_SIZES: std::ops::Range<u64> = 1 << 20..96 << 20;
    OUR_SIZES.contains(&size)
        && read_program(path).is_ok_and(|bytes| memchr::memmem::find(&bytes, SIGNATURE.as_bytes()).is_some())
}

/// The bytes of a file that is no script; of a script only the first two.
fn read_program(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open_regular(path)?;
    let mut bytes = vec![0; 2];
    file.read_exact(&mut bytes)?;
    if bytes != b"#!" {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Stands in every build of this program and in no other.
const SIGNATURE: &str = "claude-failover: this file is the multi-call binary 5f0c1d6e-8b1e-4a39-9d57-3f6f2b0a7c11";

/// The longest line that names an interpreter, in bytes: systems take less.
const LONGEST_LINE: u64 = 4096;

fn interpreter(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    open_regular(path).ok()?.take(LONGEST_LINE).read_to_end(&mut bytes).ok()?;
    let line = bytes.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    Some(String::from_utf8_lossy(line).split_whitespace().next()?.to_string())
}
