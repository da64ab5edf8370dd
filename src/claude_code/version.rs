//! The version of the real Claude Code, which decides what options it has and what it prints.
//!
//! Asking costs a tenth of a second and more, so each file is asked once. The version in its stream corrects what is remembered.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::os::atomic_file;
use crate::read_file::{read_own, read_regular};

/// The version whose command line and messages this program reproduces.
pub(crate) const COMPATIBLE_WITH: &str = "2.1.330";

/// The oldest version that the tests run.
pub(crate) const OLDEST_TRIED: Version = Version(1, 0, 77);

/// The longest file that states a version, in bytes.
const MOST_BYTES: u64 = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// Parses `2.1.330` and `2.1.330 (Claude Code)`.
    pub(crate) fn parse(text: &str) -> Option<Version> {
        let word = text.split_whitespace().next()?;
        let mut parts = word.split('.').map(|part| part.split('-').next().unwrap_or_default().parse().ok());
        Some(Version(parts.next()??, parts.next()??, parts.next()??))
    }

    /// Whether it has `--include-partial-messages`.
    pub(crate) fn has_partials(self) -> bool {
        self >= PARTIALS_SINCE
    }

    /// Whether its JSON array leaves out the messages about hooks.
    pub(crate) fn hides_hooks(self) -> bool {
        self >= HOOKS_HIDDEN_SINCE
    }

    /// Whether it prints each result as it comes, and escapes U+2028 in all formats alike.
    pub(crate) fn prints_each_result(self) -> bool {
        self >= RESULTS_PRINTED_SINCE
    }

    /// Whether it answers all messages that arrive during a turn in one turn.
    pub(crate) fn joins_what_waits(self) -> bool {
        self >= RESULTS_PRINTED_SINCE
    }

    /// Whether it compacts when a percentage of its context is used, and at no refusal.
    pub(crate) fn compacts_by_percentage(self) -> bool {
        self < REFUSALS_COMPACT_SINCE
    }

    /// Whether it counts what it has not sent yet when it decides whether to compact.
    pub(crate) fn counts_unsent(self) -> bool {
        self >= UNSENT_COUNTED_SINCE
    }

    /// Whether it has the hook on a refusal; the one on a prompt is older.
    pub(crate) fn has_refusal_hook(self) -> bool {
        self >= REFUSAL_HOOK_SINCE
    }

    pub(crate) fn announces_retries(self) -> bool {
        self >= RETRIES_SINCE
    }
}

// The first versions that were observed to do so; those just before may do so too.
const PARTIALS_SINCE: Version = Version(1, 0, 128);
const RETRIES_SINCE: Version = Version(2, 1, 110);
const UNSENT_COUNTED_SINCE: Version = Version(2, 1, 110);
/// The first that was seen to compact by nothing but a refusal; 2.1.330 heeds the context that it is told.
const REFUSALS_COMPACT_SINCE: Version = Version(2, 1, 197);
/// 2.1.77 does not know it.
const REFUSAL_HOOK_SINCE: Version = Version(2, 1, 78);
const HOOKS_HIDDEN_SINCE: Version = Version(2, 1, 197);
const RESULTS_PRINTED_SINCE: Version = Version(2, 1, 198);

/// The time limit for `--version`.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The file in which the version of one program is remembered.
#[derive(Serialize, Deserialize)]
struct Remembered {
    path: PathBuf,
    /// Device, inode, size, and time of the last change in nanoseconds: another file has others.
    file: (u64, u64, u64, i128),
    version: Version,
}

/// The version of the Claude Code at `path`, as far as it is known without running it.
pub(crate) fn at_hand(context: &Context, path: &Path) -> Option<Version> {
    by_location(path).or_else(|| remembered(context, path))
}

/// The version of the Claude Code at `path`, unless it does not say.
pub(crate) fn of(context: &Context, path: &Path) -> Option<Version> {
    at_hand(context, path).or_else(|| {
        let version = by_asking(path)?;
        remember(context, path, version);
        Some(version)
    })
}

fn remembered(context: &Context, path: &Path) -> Option<Version> {
    let known: Remembered = serde_json::from_slice(&read_own(&file(context)?, MOST_BYTES).ok()?).ok()?;
    (known.path == path && known.file == id(path)?).then_some(known.version)
}

pub(crate) fn remember(context: &Context, path: &Path, version: Version) {
    if let (Some(file), Some(id)) = (file(context), id(path)) {
        let known = Remembered { path: path.into(), file: id, version };
        // A version that cannot be written is asked for again.
        let _ = atomic_file::replace_private(&file, &serde_json::to_vec(&known).unwrap_or_default());
    }
}

fn file(context: &Context) -> Option<PathBuf> {
    Some(context.state_dir().ok()?.join("claude-version.json"))
}

/// The identity of the file that `path` leads to.
fn id(path: &Path) -> Option<(u64, u64, u64, i128)> {
    let metadata = fs::metadata(path).ok()?;
    let changed = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    Some((metadata.dev(), metadata.ino(), metadata.size(), changed))
}

/// npm's package states it beside the program; the native installer names its files after it.
fn by_location(path: &Path) -> Option<Version> {
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    let program = fs::canonicalize(path).ok()?;
    let folder = program.parent()?;
    let package = |folder: &Path| {
        let package: Package = serde_json::from_slice(&read_regular(&folder.join("package.json"), MOST_BYTES).ok()?).ok()?;
        Version::parse(&package.version).filter(|_| package.name.starts_with("@anthropic-ai/claude-code"))
    };
    let named = program.file_name().and_then(|name| Version::parse(name.to_str()?));
    named.or_else(|| package(folder)).or_else(|| package(folder.parent()?))
}

fn by_asking(path: &Path) -> Option<Version> {
    let mut child =
        Command::new(path).arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let begun = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if begun.elapsed() > ANSWER_TIMEOUT {
            let _ = child.kill();
        }
        sleep(Duration::from_millis(2));
    }
    let mut output = String::new();
    child.stdout?.read_to_string(&mut output).ok()?;
    // A wrapper may say something first.
    output.lines().find_map(Version::parse)
}
