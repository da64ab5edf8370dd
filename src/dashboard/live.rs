//! Server-sent events: the parts of the page that have changed, for as many tabs as are open. One thread watches for all of them, and only
//! while there is one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self as std_mpsc, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc;

use crate::context::Context;
use crate::dashboard::look;
use crate::dashboard::page;
use crate::state::flag::Flag;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How often the local servers are asked.
const PROBE: Duration = Duration::from_secs(5);

/// How often the page is made anew without a change: its times are of a moment.
const RENEW: Duration = Duration::from_secs(60);

/// By it a page knows that it is connected.
const PING: Duration = Duration::from_secs(15);

/// How many events may wait for a page that does not read. Beyond that it is left to connect again.
const QUEUE: usize = 64;

/// How soon a page may connect again, in milliseconds.
const FIRST: &str = "retry: 1000\n\nevent: ping\ndata: {}\n\n";

/// Its name in the system's list, which has room for 15 characters.
const THREAD: &str = "live-events";

type Page = mpsc::Sender<Bytes>;

pub(super) struct Live {
    token: String,
    /// Passes pages on to the thread that watches, if there is one.
    watcher: Mutex<Option<std_mpsc::Sender<Page>>>,
    /// How many orders have ended.
    ended: AtomicUsize,
}

impl Live {
    pub(super) fn new(token: String) -> Live {
        Live { token, watcher: Mutex::default(), ended: AtomicUsize::default() }
    }

    /// An order that was given by the page has ended: more may have changed than files show.
    pub(super) fn note_end(&self) {
        self.ended.fetch_add(1, SeqCst);
    }

    /// The events for one more page.
    pub(super) fn join(self: &Arc<Live>) -> mpsc::Receiver<Bytes> {
        let (page, events) = mpsc::channel(QUEUE);
        let _ = page.try_send(FIRST.into());
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        let left = match watcher.as_ref().map(|watcher| watcher.send(page.clone())) {
            Some(Ok(())) => None,
            _ => Some(page),
        };
        if let Some(page) = left {
            let (sender, joining) = std_mpsc::channel();
            let live = self.clone();
            let _ = sender.send(page);
            // Without a thread the events end with this, and the page tries again.
            if thread::Builder::new().name(THREAD.into()).spawn(move || live.watch(&joining)).is_ok() {
                *watcher = Some(sender);
            }
        }
        events
    }

    fn watch(&self, joining: &std_mpsc::Receiver<Page>) {
        let mut shown = Shown::default();
        let mut pages: Vec<Page> = Vec::new();
        let (mut probed, mut pinged) = (Instant::now(), Instant::now());
        let mut servers = Vec::new();
        let mut marks = None;
        loop {
            let mut new: Vec<Page> = match joining.recv_timeout(LOOK) {
                Ok(page) => vec![page],
                Err(RecvTimeoutError::Timeout) => vec![],
                Err(RecvTimeoutError::Disconnected) => return,
            };
            new.extend(joining.try_iter());
            pages.retain(|page| !page.is_closed());
            if pages.is_empty() && new.is_empty() && self.is_over(joining) {
                return;
            }
            let context = look::context();
            let mut has_changed = !new.is_empty() || shown.made.is_none_or(|made| made.elapsed() >= RENEW);
            let marks_now = Some((marks_of(&context), self.ended.load(SeqCst)));
            has_changed |= std::mem::replace(&mut marks, marks_now.clone()) != marks_now;
            if has_changed || probed.elapsed() >= PROBE {
                probed = Instant::now();
                let servers_now = look::servers(&context);
                has_changed |= std::mem::replace(&mut servers, servers_now.clone()) != servers_now;
            }
            if has_changed {
                let changed = shown.renew(&page::parts(&look::view(&context, &self.token)));
                pages.retain(|page| changed.iter().all(|event| page.try_send(event.clone()).is_ok()));
                new.retain(|page| shown.parts.iter().all(|(_, event)| page.try_send(event.clone()).is_ok()));
            }
            pages.extend(new);
            if pinged.elapsed() >= PING {
                pinged = Instant::now();
                pages.retain(|page| page.try_send("event: ping\ndata: {}\n\n".into()).is_ok());
            }
        }
    }

    /// Whether no page has come in the last moment, either. Then the next one starts another thread.
    fn is_over(&self, joining: &std_mpsc::Receiver<Page>) -> bool {
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        // With the lock nobody sends. A page that is there is kept for the next turn.
        match joining.try_recv() {
            Ok(page) => {
                let _ = watcher.as_ref().map(|watcher| watcher.send(page));
                false
            }
            Err(_) => {
                *watcher = None;
                true
            }
        }
    }
}

/// What the pages have been sent.
#[derive(Default)]
struct Shown {
    /// Each part's id, and its event.
    parts: Vec<(&'static str, Bytes)>,
    made: Option<Instant>,
}

impl Shown {
    /// Returns the events of the parts that have changed.
    fn renew(&mut self, parts: &[page::Part]) -> Vec<Bytes> {
        let event = |part: &page::Part| {
            let data = json!({"id": part.id, "html": part.html.to_string()});
            Bytes::from(format!("event: part\ndata: {data}\n\n"))
        };
        let parts: Vec<(&'static str, Bytes)> = parts.iter().map(|part| (part.id, event(part))).collect();
        let changed = parts.iter().filter(|part| !self.parts.contains(part)).map(|(_, event)| event.clone()).collect();
        (self.parts, self.made) = (parts, Some(Instant::now()));
        changed
    }
}

type Mark = Option<(u64, u64, i64, i64)>;

/// What tells that a file has changed.
fn marks_of(context: &Context) -> Vec<Mark> {
    let flag = Flag::new(context).ok().map(|flag| flag.path().to_path_buf());
    let state = |name: &str| Some(context.state_dir().ok()?.join(name));
    let files: [Option<PathBuf>; 4] = [flag, state("breaker.json"), state("ledger.jsonl"), context.settings_file().ok()];
    files.iter().map(|file| mark(file.as_deref()?)).collect()
}

fn mark(file: &Path) -> Mark {
    let metadata = fs::metadata(file).ok()?;
    Some((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}
