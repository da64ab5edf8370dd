//! Priming: the local server reads ahead what the next agent in a folder will begin with, so that its first turn finds it in the
//! server's cache.
//!
//! A process of its own does it, and nobody waits for that. It holds `prime.lock` meanwhile; a question that finds the lock taken
//! makes the process end, which closes its connection: a server with one slot would answer the question after it. llama.cpp keeps what
//! it has read until then. Whoever has asked keeps the lock, so that nobody takes an agent's place in the cache between its turns.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::completions::endpoint::Endpoint;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::local_model::model::Models;
use crate::local_model::prefix::{Prefix, PrefixFile};
use crate::local_model::request::RequestSettings;
use crate::local_model::unload;
use crate::names::OWN_NAME;
use crate::os::atomic_file::{open_private, open_to_append};
use crate::os::process::{close_inherited_files, start_in_background};
use crate::server::Server;
use crate::server::probe::ServerState;
use crate::shown::shown;
use crate::state::flag::{Backend, Flag};

/// The long option under which the binary primes for the folder that follows.
pub(crate) const OPTION: &str = "--prime";

/// Only a server that is not up yet, which is started.
const AT_START: &str = "--at-start";

/// How soon a question has its way.
const POLL: Duration = Duration::from_millis(20);

/// How often a question looks whether it has.
const LOOKS: u32 = 50;

/// The longest answer that is read, in bytes: one token is asked for.
const MOST_BYTES: u64 = 64 << 10;

/// Primes a server that has just come up.
pub(crate) fn when_up(context: &Context, folder: &Path) {
    start(context, folder, None);
}

/// For an agent that is about to ask: starts the server, unless it is up, and primes it.
pub(crate) fn at_start(context: &Context, folder: &Path) {
    start(context, folder, Some(AT_START));
}

fn start(context: &Context, folder: &Path, option: Option<&str>) {
    if PrefixFile::new(context, folder.as_os_str()).is_some_and(|file| file.exists()) {
        let args = [OPTION.into(), folder.into()].into_iter().chain(option.map(OsString::from));
        start_in_background(args);
    }
}

/// Has whoever primes this server stop, and keeps others from it while the file lives. Waits for that, for a second at most.
pub(crate) fn make_way(server: &Server) -> Option<File> {
    // Where there is no folder for it, nobody primes.
    let mut file = open_to_append(&server.priming_lock()).ok()?;
    for _ in 0..LOOKS {
        match file.try_lock_shared() {
            Ok(()) => return Some(file),
            Err(TryLockError::WouldBlock) => file.write_all(b".").ok()?,
            Err(TryLockError::Error(_)) => return None,
        }
        thread::sleep(POLL);
    }
    None
}

/// Primes. All that fails here is left to the question that comes next.
///
/// # Errors
/// If it was called wrongly, or a setting cannot be used.
pub(crate) fn main(context: &Context, args: &[OsString]) -> Result<()> {
    let (folder, is_at_start) = match args {
        [folder] => (folder, false),
        [folder, option] if option == AT_START => (folder, true),
        _ => return Err(Error::Usage { message: shown!("`{OPTION}` is for claude-failover itself") }),
    };
    close_inherited_files();
    let file = PrefixFile::new(context, folder).filter(|_| context.settings.primes(OWN_NAME));
    let Some(prefix) = file.and_then(|file| file.read()) else { return Ok(()) };
    let (server, settings, flag) = (Server::new(context)?, RequestSettings::new(context)?, Flag::new(context)?);
    let is_wanted = || flag.read().0 != Backend::Claude;
    if is_at_start {
        if !server.is_ours() || server.state() == ServerState::Up {
            return Ok(());
        }
        // The agent may end without a question, and so may this process.
        unload::before_start(context);
        server.ensure_up(&is_wanted, &mut |_| {})?;
    }
    let lock = open_private(&server.priming_lock())?;
    if lock.try_lock().is_err() || lock.set_len(0).is_err() {
        return Ok(());
    }
    let model = Models::new(context, &server, &settings).find()?.id;
    let body = request(prefix, model, &settings);
    let (endpoint, (done, is_done)) = (server.endpoint().clone(), channel());
    thread::spawn(move || {
        ask(&endpoint, &settings, &body);
        let _ = done.send(());
    });
    let has_to_end = || lock.metadata().is_ok_and(|lock| lock.len() > 0) || !is_wanted();
    while is_done.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) && !has_to_end() {}
    // The end of the process closes the connection, and gives the lock back.
    Ok(())
}

fn request(prefix: Prefix, model: Option<String>, settings: &RequestSettings) -> Vec<u8> {
    let mut body = Map::new();
    body.insert("model".into(), model.unwrap_or_else(|| settings.sent_model().into()).into());
    body.insert("messages".into(), prefix.messages.into());
    if !prefix.tools.is_empty() {
        body.insert("tools".into(), prefix.tools.into());
    }
    body.insert("max_tokens".into(), 1.into());
    body.insert("temperature".into(), settings.temperature().into());
    body.insert("stream".into(), true.into());
    body.insert("stream_options".into(), json!({"include_usage": true}));
    Value::from(settings.refused.known().finish(body, settings.extra())).to_string().into_bytes()
}

/// Until the server has nothing more to say.
fn ask(endpoint: &Endpoint, settings: &RequestSettings, body: &[u8]) {
    let Ok(mut response) = endpoint.post(body, None, settings.timeouts) else { return };
    let _ = response.body_mut().as_reader().take(MOST_BYTES).read_to_end(&mut Vec::new());
}
