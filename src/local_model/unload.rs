//! Giving the local server's memory back, in `auto`: when Claude is back, or when no call has used the server for a while.
//!
//! One small process in the background waits for that on behalf of all calls, and ends with it. No call waits for it, and it
//! never stops a server that answers a call. Asked to end, by a shutdown or a signal, it does its work first: as soon as no call is
//! answered.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::local_model::prime;
use crate::os::atomic_file::open_private;
use crate::os::cleanup::EndRequests;
use crate::os::process::{close_inherited_files, start_in_background};
use crate::os::signals::with_signals_blocked;
use crate::read_file::read_own;
use crate::server::Server;
use crate::server::probe::ServerState;
use crate::shown::shown;
use crate::state::breaker::Breaker;
use crate::state::flag::is_auto;

/// The long option under which the binary runs itself as the watcher.
pub(crate) const WATCH_OPTION: &str = "--unload-when-idle";

/// The watcher starts the server first, for calls in the folder that follows.
const WARM: &str = "--warm";

const POLL: Duration = Duration::from_secs(1);

/// The same when it was asked to end.
const SOON: Duration = Duration::from_millis(50);

/// In the use file: a call has used the server.
const USED: &str = "asked\n";

/// In the use file: the server was started or adopted before a call needed it.
const WARMED: &str = "warmed\n";

/// The longest use file, in bytes: far more than this program writes.
const MOST_USES: u64 = 1 << 20;

/// Keeps the server from being unloaded while it lives.
pub(crate) struct InUse(Option<File>);

/// In `auto`. The watcher is there from the beginning: this process may be killed in the middle.
pub(crate) fn in_use(context: &Context) -> InUse {
    let file = use_file(context).and_then(|path| open_private(&path).ok()).filter(|file| file.lock_shared().is_ok());
    if let Some(mut file) = file.as_ref().filter(|_| !uses(context).contains(USED)) {
        let _ = file.write_all(USED.as_bytes());
    }
    when_idle(context);
    InUse(file)
}

impl Drop for InUse {
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            let _ = file.set_modified(SystemTime::now());
        }
    }
}

/// Starts the watcher, unless it runs. A drill stops its own server.
pub(crate) fn when_idle(context: &Context) {
    if context.is_drill() {
        return;
    }
    let Some(lock) = watcher_lock(context) else { return };
    let is_ours = || Server::new(context).is_ok_and(|server| server.is_ours());
    if lock.try_lock().is_ok() && !uses(context).is_empty() && is_ours() {
        drop(lock);
        with_signals_blocked(|| start_in_background([WATCH_OPTION]));
    }
}

pub(crate) fn prewarm(applet: &str, context: &Context) {
    if context.settings.prewarms(applet) {
        mark_warmed(context);
        let folder = context.working_dir().unwrap_or_default();
        with_signals_blocked(|| start_in_background([WATCH_OPTION.as_ref(), WARM.as_ref(), folder.as_os_str()]));
    }
}

/// For a server that is to be started ahead of a question, which may never come.
pub(crate) fn before_start(context: &Context) {
    if is_auto(context) {
        mark_warmed(context);
        when_idle(context);
    }
}

/// For a server that ran before the flag was set to `auto`: it is unloaded, too.
pub(crate) fn adopt(context: &Context) {
    if Server::new(context).is_ok_and(|server| server.is_ours() && server.state() != ServerState::Down) {
        mark_warmed(context);
        when_idle(context);
    }
}

fn mark_warmed(context: &Context) {
    if let Some(mut file) = use_file(context).and_then(|path| open_private(&path).ok()) {
        let _ = file.write_all(WARMED.as_bytes());
    }
}

pub(crate) fn watcher_main(context: &Context, args: &[OsString]) -> Result<()> {
    let folder = match args {
        [] => None,
        [warm, folder] if warm == WARM => Some(folder),
        _ => return Err(Error::Usage { message: shown!("`{WATCH_OPTION}` is for claude-failover itself") }),
    };
    close_inherited_files();
    let requests = EndRequests::catch().map_err(Error::system("take", "signals"))?;
    if let Some(folder) = folder {
        let server = Server::new(context)?;
        let was_up = server.state() == ServerState::Up;
        // The call that needs the server reports why it did not come up.
        if server.ensure_up(&|| is_auto(context) && !requests.has_come(), &mut |_| {}).is_ok() && !was_up {
            prime::when_up(context, folder.as_ref());
        }
    }
    let idle = context.settings.idle_unload();
    let breaker = Breaker::new(context)?;
    loop {
        let Some(lock) = watcher_lock(context).filter(|lock| lock.try_lock().is_ok()) else { return Ok(()) };
        loop {
            if !is_auto(context) || uses(context).is_empty() {
                break;
            }
            let is_unneeded = || {
                let is_back = uses(context).contains(USED) && breaker.conditions().is_empty();
                is_back
                    || requests.has_come()
                    || time_since_last_use(context).is_none_or(|age| idle.is_some_and(|idle| age >= idle))
            };
            if is_unneeded() && unload(context, is_unneeded)? {
                break;
            }
            if requests.wait(POLL) {
                sleep(SOON);
            }
        }
        drop(lock);
        // A call that came while the lock was held has started no watcher.
        if !is_auto(context) || uses(context).is_empty() {
            return Ok(());
        }
    }
}

/// Stops the server unless a call uses it, and returns whether it is stopped. New calls wait for the lock meanwhile. `is_unneeded` is
/// asked under the lock: a call may have used the server since it was seen to be idle.
pub(crate) fn unload(context: &Context, is_unneeded: impl FnOnce() -> bool) -> Result<bool> {
    let Some(path) = use_file(context) else { return Ok(true) };
    let file = open_private(&path)?;
    if file.try_lock().is_err() || !is_unneeded() {
        return Ok(false);
    }
    let server = Server::new(context)?;
    if server.is_ours() {
        server.stop(&mut |_| {})?;
    }
    file.set_len(0).map_err(Error::file("write", path))?;
    Ok(true)
}

/// Since the server was last unloaded.
fn uses(context: &Context) -> String {
    let bytes = use_file(context).and_then(|path| read_own(&path, MOST_USES).ok()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn time_since_last_use(context: &Context) -> Option<Duration> {
    let path = use_file(context)?;
    let modified = fs::metadata(&path).ok()?.modified().ok()?;
    let age = modified.elapsed();
    if age.is_err() {
        // The clock was put back since then, and no use may come that says a time of today.
        let _ = open_private(&path).map(|file| file.set_modified(SystemTime::now()));
    }
    Some(age.unwrap_or_default())
}

/// Empty unless the server was used in `auto`, or warmed, since it was last unloaded. Each call holds a shared lock on it while
/// the server answers it.
fn use_file(context: &Context) -> Option<PathBuf> {
    Some(context.state_dir().ok()?.join("server.use"))
}

fn watcher_lock(context: &Context) -> Option<File> {
    open_private(&context.state_dir().ok()?.join("unload.lock")).ok()
}
