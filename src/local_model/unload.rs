//! Giving the local server's memory back, in `auto`: when Claude is back, or when nobody has asked the server for a while.
//!
//! A small process of its own waits for that, once for all calls, and ends with it. No call waits for it, and no server is
//! ended under a call that it answers.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::names::OWN_NAME;
use crate::os::atomic_file::private_file;
use crate::os::process::{close_inherited_files, own_path};
use crate::server::Server;
use crate::server::probe::ServerState;
use crate::state::breaker::Breaker;
use crate::state::flag::is_auto;

/// The long option under which the binary runs itself as the watcher.
pub(crate) const WATCH_OPTION: &str = "--unload-when-idle";

/// Has the watcher start the server first.
const WARM: &str = "--warm";

/// How often the watcher checks.
const POLL: Duration = Duration::from_secs(1);

/// What the server was needed for: an answer,
const ASKED: &str = "asked\n";

/// or the hours that are to come.
const WARMED: &str = "warmed\n";

/// Keeps the server from being unloaded while it lives.
pub(crate) struct InUse(Option<File>);

/// Marks the server as in use.
pub(crate) fn in_use(context: &Context) -> InUse {
    let file = use_file(context).and_then(|path| private_file(&path).ok()).filter(|file| file.lock_shared().is_ok());
    if let Some(mut file) = file.as_ref().filter(|_| !uses(context).contains(ASKED)) {
        let _ = file.write_all(ASKED.as_bytes());
    }
    InUse(file)
}

impl Drop for InUse {
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            let _ = file.set_modified(SystemTime::now());
        }
    }
}

/// Has the server unloaded in time. A drill stops its own server.
pub(crate) fn when_idle(context: &Context) {
    if context.is_drill() {
        return;
    }
    let Some(lock) = watcher_lock(context) else { return };
    let is_ours = || Server::new(context).is_ok_and(|server| server.is_ours());
    if lock.try_lock().is_ok() && !uses(context).is_empty() && is_ours() {
        drop(lock);
        start(&[WATCH_OPTION]);
    }
}

/// Starts the server in the background, if the user wants that before it is needed.
pub(crate) fn prewarm(applet: &str, context: &Context) {
    if context.settings.prewarms(applet) {
        mark_warmed(context);
        start(&[WATCH_OPTION, WARM]);
    }
}

/// Has a server that runs already unloaded in time, too.
pub(crate) fn adopt(context: &Context) {
    if Server::new(context).is_ok_and(|server| server.is_ours() && server.state() != ServerState::Down) {
        mark_warmed(context);
        when_idle(context);
    }
}

fn mark_warmed(context: &Context) {
    if let Some(mut file) = use_file(context).and_then(|path| private_file(&path).ok()) {
        let _ = file.write_all(WARMED.as_bytes());
    }
}

/// Starts this binary in the background. A failure changes no answer.
fn start(args: &[&str]) {
    let Ok(us) = own_path() else { return };
    let _ = Command::new(us)
        .arg0(OWN_NAME)
        .args(args)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
}

/// Runs the watcher.
///
/// # Errors
/// If it was called wrongly, or the server cannot be stopped.
pub(crate) fn watch(context: &Context, args: &[OsString]) -> Result<()> {
    let is_to_warm = args == [WARM];
    if !args.is_empty() && !is_to_warm {
        return Err(Error::Usage { message: format!("`{WATCH_OPTION}` is for claude-failover itself") });
    }
    close_inherited_files();
    if is_to_warm {
        // The call that needs the server reports why it did not come up.
        let _ = Server::new(context)?.ensure_up(&|| is_auto(context), &mut |_| {});
    }
    let idle = context.settings.idle_unload();
    let breaker = Breaker::new(context)?;
    loop {
        let Some(lock) = watcher_lock(context).filter(|lock| lock.try_lock().is_ok()) else { return Ok(()) };
        loop {
            let uses = uses(context);
            if !is_auto(context) || uses.is_empty() {
                break;
            }
            let is_back = uses.contains(ASKED) && breaker.conditions().is_empty();
            let is_idle = last_use(context).is_none_or(|age| idle.is_some_and(|idle| age >= idle));
            if (is_back || is_idle) && unload(context)? {
                break;
            }
            sleep(POLL);
        }
        drop(lock);
        // A call that came while this was ending has started no watcher.
        if !is_auto(context) || uses(context).is_empty() {
            return Ok(());
        }
    }
}

/// Stops the server unless a call uses it, and returns whether it is stopped. New calls wait for the lock meanwhile.
///
/// # Errors
/// If it cannot be stopped.
pub(crate) fn unload(context: &Context) -> Result<bool> {
    let Some(path) = use_file(context) else { return Ok(true) };
    let file = private_file(&path)?;
    if file.try_lock().is_err() {
        return Ok(false);
    }
    let server = Server::new(context)?;
    if server.is_ours() {
        server.stop(&mut |_| {})?;
    }
    file.set_len(0).map_err(Error::file("write", path))?;
    Ok(true)
}

/// What the server was used for since it was last unloaded.
fn uses(context: &Context) -> String {
    use_file(context).and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default()
}

/// The time since the server's last answer.
fn last_use(context: &Context) -> Option<Duration> {
    let modified = fs::metadata(use_file(context)?).ok()?.modified().ok()?;
    Some(modified.elapsed().unwrap_or_default())
}

/// Not empty while the server was asked in `auto`, or warmed, and not unloaded since. Each call that asks holds a shared lock.
fn use_file(context: &Context) -> Option<PathBuf> {
    Some(context.state_dir().ok()?.join("server.use"))
}

fn watcher_lock(context: &Context) -> Option<File> {
    private_file(&context.state_dir().ok()?.join("unload.lock")).ok()
}
