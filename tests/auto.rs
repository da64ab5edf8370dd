//! `auto` with the real Claude Code of many versions.

mod passed;
mod quota;
mod refused;
mod resumed;
pub mod talks;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread;

use jiff::{Timestamp, ToSpan};

use crate::real_cli;
use crate::support::stub::Stub;
use crate::support::{Sandbox, deps, node};

pub type Version = (u32, u32, u32);

pub const TODAY: Version = (2, 1, 330);

/// Versions of Claude Code, each of which says something in its own way.
const VERSIONS: [Version; 7] = [(1, 0, 77), (1, 0, 128), (2, 0, 14), (2, 0, 76), (2, 1, 110), (2, 1, 197), TODAY];

/// How long a call may take on a busy machine, in seconds.
pub const LIMIT: u64 = 120;

/// How many calls run at the same time.
const HANDS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Json,
    Array,
    Stream,
    Partials,
}

const FORMATS: [Format; 5] = [Format::Text, Format::Json, Format::Array, Format::Stream, Format::Partials];

impl Format {
    fn args(self) -> &'static [&'static str] {
        match self {
            Format::Text => &[],
            Format::Json => &["--output-format", "json"],
            Format::Array => &["--output-format", "json", "--verbose"],
            Format::Stream => &["--output-format", "stream-json", "--verbose"],
            Format::Partials => &["--output-format", "stream-json", "--verbose", "--include-partial-messages"],
        }
    }

    fn is_in(self, version: Version) -> bool {
        self != Format::Partials || version >= (1, 0, 109)
    }
}

/// The formats in which a case is tried: all of them with the version of today, and with each older version another one,
/// so that each case meets each format. `FULL_MATRIX=1` tries all with all.
fn formats(version: Version, case: usize) -> Vec<Format> {
    let fits = FORMATS.into_iter().filter(|format| format.is_in(version));
    if version == TODAY || is_full() {
        return fits.collect();
    }
    let at = VERSIONS.iter().position(|known| *known == version).expect("a known version");
    let fits: Vec<Format> = fits.collect();
    vec![fits[(at + case) % fits.len()]]
}

pub fn is_full() -> bool {
    std::env::var_os("FULL_MATRIX").is_some()
}

pub fn claude(version: Version) -> PathBuf {
    let (major, minor, patch) = version;
    let folder = if version == TODAY { "claude".into() } else { format!("claude-{major}.{minor}.{patch}") };
    deps().join(folder).join("node_modules/.bin/claude")
}

/// A sandbox where the switch says `auto`, the real Claude of this version stands on PATH and asks `api`, and `local` is the
/// local model.
pub fn sandbox(version: Version, api: &Stub, local: &Stub) -> Sandbox {
    let mut sandbox = real_cli::sandbox(api);
    sandbox.unset("CLAUDE_BIN");
    sandbox.unset("CLAUDE_CODE_MAX_RETRIES");
    sandbox.unset("HTTP_PROXY");
    if version == VERSIONS[0] {
        // It asks a proxy for 127.0.0.1, too, whatever NO_PROXY says.
        sandbox.unset("HTTPS_PROXY");
    }
    let program = claude(version);
    let folder = program.parent().expect("a folder");
    sandbox.set_path(&[sandbox.path("bin"), folder.into(), node(), "/usr/bin".into(), "/bin".into()]);
    sandbox.set("TZ", "UTC");
    sandbox.set("LOCAL_LLM_URL", local.url());
    sandbox.set("LLM_SUPERVISOR", "none");
    sandbox.switch("auto");
    sandbox
}

pub fn sign_in(sandbox: &mut Sandbox) {
    sandbox.unset("ANTHROPIC_API_KEY");
    sandbox.set("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-none");
}

/// What is tried with a version of Claude Code.
pub trait Tried: Copy + Sync + std::fmt::Debug {
    fn version(&self) -> Version;
}

impl Tried for Version {
    fn version(&self) -> Version {
        *self
    }
}

impl<A: Copy + Sync + std::fmt::Debug> Tried for (Version, A) {
    fn version(&self) -> Version {
        self.0
    }
}

impl<A: Copy + Sync + std::fmt::Debug, B: Copy + Sync + std::fmt::Debug> Tried for (Version, A, B) {
    fn version(&self) -> Version {
        self.0
    }
}

/// As `each`, but the tests share the older versions out: one in `share` of their items, others in each test. `FULL_MATRIX=1`
/// tries them all.
#[track_caller]
pub fn each_of_a_share<T: Tried>(items: &[T], share: usize, work: impl Fn(&T) -> Result<(), String> + Sync) {
    let test: usize = thread::current().name().unwrap_or_default().bytes().map(usize::from).sum();
    let (today, older): (Vec<T>, Vec<T>) = items.iter().partition(|item| item.version() == TODAY);
    // One of each `share` items that follow each other, and each time another one, so that all versions come.
    let is_tried = |at: usize| is_full() || (at + at / share + test).is_multiple_of(share);
    let tried = older.into_iter().enumerate().filter_map(|(at, item)| is_tried(at).then_some(item));
    each(&today.into_iter().chain(tried).collect::<Vec<_>>(), work);
}

/// Does the work for each item, some at a time, and tells of all faults at once.
#[track_caller]
pub fn each<T: Sync + std::fmt::Debug>(items: &[T], work: impl Fn(&T) -> Result<(), String> + Sync) {
    let (next, faults) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..HANDS {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let outcome = catch_unwind(AssertUnwindSafe(|| work(item)));
                    if let Err(fault) = outcome.unwrap_or_else(|_| Err("it panicked, see above".into())) {
                        faults.lock().expect("no panic").push(format!("{item:?}: {fault}"));
                    }
                }
            });
        }
    });
    let faults = faults.into_inner().expect("no panic");
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), items.len(), faults.join("\n"));
}

/// Compares two things.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: T, seen: T) -> Result<(), String> {
    if expected == seen { Ok(()) } else { Err(format!("{what}: {seen:?}, expected {expected:?}")) }
}

/// Whole minutes: texts tell no seconds.
pub fn in_two_hours() -> Timestamp {
    Timestamp::from_second(start().as_second() / 60 * 60 + 2 * 3600).expect("a time")
}

fn in_two_days() -> Timestamp {
    in_two_hours() + 50.hours()
}

fn start() -> Timestamp {
    static START: OnceLock<Timestamp> = OnceLock::new();
    *START.get_or_init(Timestamp::now)
}

/// As people read it: with the day if it is not today.
pub fn clock(time: Timestamp) -> String {
    let utc = |time: Timestamp| time.to_zoned(jiff::tz::TimeZone::UTC);
    let format = if utc(time).date() == utc(start()).date() { "%H:%M" } else { "%a %d %b %H:%M" };
    utc(time).strftime(format).to_string()
}
