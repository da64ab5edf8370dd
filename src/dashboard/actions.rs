//! Orders of the page: each runs this program as a user would, so that locks, clean-up and messages are those of the command. Its lines are
//! passed on as they come, and its exit code at the end.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, PipeReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::StatusCode;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::dashboard::live::Live;
use crate::dashboard::reply;
use crate::drill::Scenario;
use crate::error::{Error, Result};
use crate::http_server::{HttpResponse, streamed};
use crate::names::OWN_NAME;
use crate::os::process::own_path;
use crate::shown::Shown;

/// How many lines may wait for a caller that does not read. Later ones are left out.
const QUEUE: usize = 4096;

const POLL: Duration = Duration::from_millis(50);

/// How long the last lines may take once the program has ended: what it has started may hold its output open.
const REST: Duration = Duration::from_secs(1);

/// How long orders may take to end with the dashboard.
const END_LIMIT: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Switch,
    Server,
    Drill,
}

impl Kind {
    pub(super) fn of(path: &str) -> Option<Kind> {
        Some(match path {
            "/api/switch" => Kind::Switch,
            "/api/server" => Kind::Server,
            "/api/drill" => Kind::Drill,
            _ => return None,
        })
    }

    /// The arguments of `llm-failover` that carry out what the body says.
    fn arguments(self, body: &Value) -> std::result::Result<Vec<String>, String> {
        let (key, words): (_, &[&str]) = match self {
            Kind::Switch => ("backend", &["claude", "auto", "local"]),
            Kind::Server => ("state", &["start", "stop"]),
            Kind::Drill => ("trouble", &[]),
        };
        let word = body[key].as_str().ok_or_else(|| format!("the body must be {{\"{key}\": …}}"))?;
        match self {
            Kind::Drill => word.parse::<Scenario>().map(|_| vec!["drill".into(), word.into()]),
            _ if words.contains(&word) => Ok(vec![word.into()]),
            _ => Err(format!("`{word}` is none of {}", words.join(", "))),
        }
    }
}

pub(super) struct Actions {
    live: Arc<Live>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    children: HashMap<Kind, Arc<Mutex<Child>>>,
    /// The dashboard ends.
    is_over: bool,
}

impl Actions {
    pub(super) fn new(live: Arc<Live>) -> Actions {
        Actions { live, running: Mutex::default() }
    }

    pub(super) fn begin(self: &Arc<Actions>, kind: Kind, body: &[u8]) -> HttpResponse {
        let bad = |message: &str| reply::error(StatusCode::BAD_REQUEST, message);
        let Ok(body) = serde_json::from_slice(body) else { return bad("the body must be JSON") };
        let arguments = match kind.arguments(&body) {
            Ok(arguments) => arguments,
            Err(message) => return bad(&message),
        };
        let mut running = lock(&self.running);
        if running.is_over || running.children.contains_key(&kind) {
            return reply::error(StatusCode::CONFLICT, "another one is not at its end yet");
        }
        match start(&arguments) {
            Ok((child, output)) => {
                let child = Arc::new(Mutex::new(child));
                running.children.insert(kind, child.clone());
                let (lines, receiver) = mpsc::channel(QUEUE);
                let actions = self.clone();
                thread::spawn(move || actions.follow(kind, &child, output, &lines));
                streamed("application/x-ndjson", receiver)
            }
            Err(error) => reply::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }

    /// A caller that leaves ends a drill, which cleans up after itself. A flip goes on to its end.
    fn follow(&self, kind: Kind, child: &Mutex<Child>, output: PipeReader, lines: &mpsc::Sender<Bytes>) {
        let to_reader = lines.clone();
        let reader = thread::spawn(move || pass_on(output, &to_reader));
        let mut is_told = false;
        let status = loop {
            if let Ok(Some(status)) = lock(child).try_wait() {
                break status;
            }
            if kind == Kind::Drill && lines.is_closed() && !is_told {
                is_told = true;
                terminate(child);
            }
            sleep(POLL);
        };
        let ended = Instant::now();
        while !reader.is_finished() && ended.elapsed() < REST {
            sleep(POLL);
        }
        lock(&self.running).children.remove(&kind);
        self.live.note_end();
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
        let _ = lines.try_send(format!("{}\n", json!({"exit": code})).into());
    }

    /// Ends what runs, and waits for it.
    pub(super) fn end(&self) {
        let children: Vec<_> = {
            let mut running = lock(&self.running);
            running.is_over = true;
            running.children.values().cloned().collect()
        };
        children.iter().for_each(|child| terminate(child));
        let begun = Instant::now();
        while !lock(&self.running).children.is_empty() && begun.elapsed() < END_LIMIT {
            sleep(POLL);
        }
    }
}

/// In a process group of its own: a key at the dashboard's terminal is not for it.
fn start(arguments: &[String]) -> Result<(Child, PipeReader)> {
    let failed = || Error::system("run", OWN_NAME);
    let (reader, writer) = std::io::pipe().map_err(failed())?;
    let stderr = writer.try_clone().map_err(failed())?;
    let mut command = Command::new(own_path()?);
    command.arg0(OWN_NAME).arg("llm-failover").args(arguments).process_group(0);
    let child = command.stdin(Stdio::null()).stdout(writer).stderr(stderr).spawn().map_err(failed())?;
    Ok((child, reader))
}

fn pass_on(output: PipeReader, lines: &mpsc::Sender<Bytes>) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        let text = String::from_utf8_lossy(&line);
        let _ = lines.try_send(format!("{}\n", json!({"line": Shown::line(text.trim_end())})).into());
        line.clear();
    }
}

/// Nothing if it has ended: its number may be another's by now.
fn terminate(child: &Mutex<Child>) {
    let mut child = lock(child);
    if let Ok(None) = child.try_wait() {
        let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
