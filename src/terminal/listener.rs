//! The socket on which a session's hooks are heard.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use uuid::Uuid;

use crate::agent::launch::remove_stale_settings;
use crate::claude_code::settings::settings_file;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::os::atomic_file::make_private_folder;

/// How long a hook may take to say what it has to say.
const PATIENCE: Duration = Duration::from_secs(5);

/// Its name where it has a folder of its own.
const ELSEWHERE: &str = "sock";

/// What a hook has said.
pub(super) struct Heard {
    /// Claude Code's process, as far as it says so.
    pub pid: Option<i32>,
    /// Claude Code's own JSON.
    pub json: Vec<u8>,
    stream: UnixStream,
}

/// Removes the socket when it is dropped.
pub(super) struct Listener(PathBuf);

impl Listener {
    /// Calls `on_heard` for each hook, in a thread of its own.
    ///
    /// # Errors
    /// If there can be no socket. Where the path of the state folder is too long for one, it is among the temporary files.
    pub(super) fn start(context: &Context, on_heard: impl Fn(Heard) + Clone + Send + 'static) -> Result<Listener> {
        let path = settings_file(context, std::process::id())?.with_extension("sock");
        make_private_folder(&path)?;
        remove_stale_settings(&path);
        let _ = fs::remove_file(&path);
        let (socket, path) = match UnixListener::bind(&path) {
            Ok(socket) => (socket, path),
            Err(_) => {
                let path = context.temp_dir().join(format!("claude-failover-{}", Uuid::new_v4())).join(ELSEWHERE);
                make_private_folder(&path)?;
                (UnixListener::bind(&path).map_err(Error::file("listen on", &path))?, path)
            }
        };
        thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let on_heard = on_heard.clone();
                thread::spawn(move || hear(stream).map(on_heard));
            }
        });
        Ok(Listener(path))
    }

    pub(super) fn path(&self) -> &PathBuf {
        &self.0
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Also if a signal ends this process.
pub(super) fn remove(socket: &Path) {
    let _ = fs::remove_file(socket);
    if let Some(own) = socket.parent().filter(|_| socket.ends_with(ELSEWHERE)) {
        let _ = fs::remove_dir(own);
    }
}

fn hear(mut stream: UnixStream) -> Option<Heard> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said).ok()?;
    let end = memchr::memchr(b'\n', &said)?;
    let json = said.split_off(end);
    let pid = std::str::from_utf8(&said).ok().and_then(|pid| pid.parse().ok());
    Some(Heard { pid, json, stream })
}

impl Heard {
    /// What the hook prints. Returns when it has ended.
    pub(super) fn answer(mut self, text: &str) {
        let _ = self.stream.write_all(text.as_bytes());
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        let _ = self.stream.read(&mut [0]);
    }
}
