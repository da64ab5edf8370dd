//! The daily line: once a day, whoever runs first after `LLM_NOTIFY_DAILY` tells the user's own program what the calls since the last
//! line were like.
//!
//! The file `daily` holds when that was. It is written before the line is sent: what dies in between costs a line, and none is sent
//! twice. A file that is lost, cannot be read or is of the future counts as none, and then the line tells of the last day. Where it
//! cannot be written, nothing is sent. Nothing is sent of a time without calls, either.

use std::path::{Path, PathBuf};

use jiff::civil::Time;
use jiff::{SignedDuration, Timestamp, Zoned};

use crate::context::Context;
use crate::os::atomic_file::{open_private, replace_private};
use crate::read_file::read_own;
use crate::shown::{Shown, shown};
use crate::state::ledger::{self, words};
use crate::state::notify;
use crate::text::last_at;

/// The longest file that is read, in bytes.
const MOST_BYTES: u64 = 100;

/// What the first line looks back on.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Sends the line if it is due and nobody has sent it. Without the setting this reads no file. No call of the way to `exec` comes here.
pub(crate) fn send_if_due(context: &Context, applet: &str) {
    if let Some(line) = take(context, applet) {
        notify::send(context, &line);
    }
}

/// The line, for the one process that is to send it.
fn take(context: &Context, applet: &str) -> Option<Shown> {
    context.settings.notify_command()?;
    let time = context.settings.notify_daily(applet)?;
    if context.is_drill() {
        return None;
    }
    let path = context.state_dir().ok()?.join("daily");
    if !is_due(&path, time) {
        return None;
    }
    let lock = open_private(&lock_path(&path)).ok()?;
    // Who holds it sends the line.
    lock.try_lock().ok()?;
    if !is_due(&path, time) {
        return None;
    }
    let last = sent(&path);
    let now = Timestamp::now();
    replace_private(&path, format!("{now}\n").as_bytes()).ok()?;
    let since = last.filter(|last| *last <= now).or_else(|| now.checked_sub(DAY).ok())?;
    let lines = ledger::read(context).ok()?;
    let entries: Vec<_> = lines.iter().map(|line| &line.entry).collect();
    words::of_ended(&entries, &(since..now), now).map(|text| shown!("llm-failover: {text}"))
}

/// When the last line was sent.
fn sent(path: &Path) -> Option<Timestamp> {
    let bytes = read_own(path, MOST_BYTES).ok()?;
    String::from_utf8_lossy(&bytes).trim().parse().ok()
}

/// Without a line before this one it is due once its time has come today.
fn is_due(path: &Path, time: Time) -> bool {
    let last = sent(path);
    // Read last: another process may just have written the file.
    let now = Zoned::now();
    let Some(due) = last_at(time, &now) else { return false };
    match last.filter(|last| *last <= now.timestamp()) {
        Some(last) => last < due,
        None => due.to_zoned(now.time_zone().clone()).date() == now.date(),
    }
}

fn lock_path(path: &Path) -> PathBuf {
    path.with_extension("lock")
}
