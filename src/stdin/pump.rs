//! Moves stdin to the real Claude, or to the local model in its place.

use std::collections::HashSet;
use std::io::{self, Read};
use std::process::ChildStdin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::claude_code::protocol::input::Role;
use crate::os::blocking::Blocking;
use crate::stdin::child_pipe::ChildPipe;
use crate::stdin::feed::Feed;
use crate::stdin::kept::{Kept, MOST_KEPT};
use crate::stdin::reader::Reader;
use crate::stdin::renamed::Renamed;

#[derive(Clone, Default)]
pub(crate) struct Pump {
    state: Arc<Mutex<PumpState>>,
    something_came: Arc<Condvar>,
    /// Locked before the state where both are.
    pipe: Arc<Mutex<ChildPipe>>,
}

#[derive(Default)]
struct PumpState {
    has_begun: bool,
    kept: Kept,
    reader: Reader,
    /// The real Claude had some of it before.
    is_repeated: bool,
    renamed: Renamed,
    is_over: bool,
    /// When the last of it, or its end, came.
    last_came: Option<Instant>,
    /// In bytes.
    length: u64,
}

impl Pump {
    pub(super) fn new(is_in_lines: bool) -> Pump {
        let pump = Pump::default();
        pump.state().kept.is_in_lines = is_in_lines;
        pump
    }

    /// Passes on to `to_child` what came and what comes.
    pub(super) fn connect(&self, to_child: ChildStdin) {
        let mut pipe = self.pipe();
        let mut state = self.state();
        let before = match std::mem::replace(&mut state.reader, Reader::Claude) {
            Reader::Nobody(all) => all,
            _ => [state.kept.settings().concat(), state.kept.bytes()].concat(),
        };
        let is_repeated = std::mem::replace(&mut state.is_repeated, true);
        state.renamed = if is_repeated { Renamed::of(state.kept.lines()) } else { Renamed::default() };
        let before = state.renamed.for_claude(before);
        state.kept.keeps_requests = false;
        pipe.done = state.length;
        let is_over = state.is_over;
        drop(state);
        pipe.open(to_child);
        pipe.send(&before);
        if is_over {
            pipe.close();
        }
        drop(pipe);
        self.begin();
    }

    /// Gives the local model what is not answered and what comes, until [`Pump::give_back`].
    pub(crate) fn divert(&self) -> Feed {
        self.divert_with(Some(vec![]))
    }

    /// The same, and the real Claude is not to have it again: nothing more is kept for it.
    pub(crate) fn divert_for_good(&self) -> Feed {
        self.divert_with(None)
    }

    fn divert_with(&self, missed: Option<Vec<u8>>) -> Feed {
        let (sender, next) = channel();
        let mut state = self.state();
        let sender = (!state.is_over).then_some(sender);
        state.kept.keeps_requests = true;
        let (settings, first) = match std::mem::replace(&mut state.reader, Reader::LocalModel { sender, missed }) {
            Reader::Nobody(all) => (vec![], all),
            _ => (state.kept.settings(), state.kept.bytes()),
        };
        drop(state);
        self.begin();
        Feed::new(settings, first, next)
    }

    /// The local model has answered, so the Claude that had it before is not to have any of it again.
    pub(crate) fn keep_no_more(&self) {
        let mut state = self.state();
        if let Reader::LocalModel { missed, .. } = &mut state.reader {
            *missed = None;
            if !state.kept.is_in_lines {
                state.kept = Kept::default();
            }
        }
    }

    /// Gives it to the real Claude again, with what came in the meantime.
    pub(crate) fn give_back(&self) {
        let mut pipe = self.pipe();
        let mut state = self.state();
        let missed = match std::mem::replace(&mut state.reader, Reader::Claude) {
            Reader::LocalModel { missed, .. } => missed.unwrap_or_default(),
            _ => vec![],
        };
        pipe.done = state.length;
        let is_over = state.is_over;
        drop(state);
        pipe.send(&missed);
        if is_over {
            pipe.close();
        }
    }

    pub(crate) fn close_child_pipe(&self) {
        self.pipe().close();
    }

    /// Waits for the first whole line, unless a backend has been given some of it, or it is longer than any that is answered.
    pub(super) fn await_first_line(&self) {
        self.begin();
        let mut state = self.state();
        let mut searched = 0;
        let mut has_line = |reader: &Reader| match reader {
            Reader::Nobody(all) => {
                let begin = all.len() - all.trim_ascii_start().len();
                let from = std::mem::replace(&mut searched, all.len()).max(begin);
                all.len() > MOST_KEPT || memchr::memchr(b'\n', &all[from..]).is_some()
            }
            _ => true,
        };
        while !state.is_over && !has_line(&state.reader) {
            state = self.something_came.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.state().has_begun
    }

    pub(super) fn is_in_lines(&self) -> bool {
        self.state().kept.is_in_lines
    }

    /// What is not answered, as far as it came.
    pub(super) fn unanswered(&self) -> Vec<u8> {
        self.state().kept.bytes()
    }

    /// The last request of this kind that sets something.
    pub(super) fn setting(&self, subtype: &str) -> Option<Vec<u8>> {
        self.state().kept.setting(subtype).map(<[u8]>::to_vec)
    }

    pub(crate) fn setting_ids(&self) -> HashSet<String> {
        self.state().kept.setting_ids()
    }

    pub(crate) fn renamed(&self) -> Renamed {
        self.state().renamed.clone()
    }

    pub(crate) fn lines_received(&self) -> usize {
        self.state().kept.lines_received()
    }

    pub(crate) fn answered_lines(&self) -> usize {
        self.state().kept.answered_lines()
    }

    /// Drops the first `count` of the user's lines, which have their answer. Returns the messages dropped.
    pub(crate) fn drop_answered(&self, count: usize) -> Vec<(Role, String)> {
        self.state().kept.drop_answered(count)
    }

    /// The ids of the user's messages that have their answer.
    pub(crate) fn answered_uuids(&self) -> HashSet<String> {
        self.state().kept.answered_uuids()
    }

    /// Drops a control request, which has its answer.
    pub(crate) fn drop_request(&self, id: &str) {
        self.state().kept.drop_request(id);
    }

    /// Drops a message that the caller has taken back.
    pub(crate) fn drop_message(&self, uuid: &str) {
        self.state().kept.drop_message(uuid);
    }

    pub(super) fn replace_lines(&self, lines: usize, text: &str) {
        self.state().kept.replace_lines(lines, text);
    }

    /// How many of the real Claude's own questions the caller has answered.
    pub(crate) fn responses(&self) -> usize {
        self.state().kept.responses()
    }

    /// Whether it was not too much to be kept.
    pub(crate) fn is_complete(&self) -> bool {
        self.state().kept.is_complete()
    }

    /// When the last of it, or its end, came; none if nothing did.
    pub(crate) fn last_came(&self) -> Option<Instant> {
        self.state().last_came
    }

    /// Whether its end has come.
    pub(crate) fn is_over(&self) -> bool {
        self.state().is_over
    }

    fn begin(&self) {
        if !std::mem::replace(&mut self.state().has_begun, true) {
            let pump = self.clone();
            thread::spawn(move || pump.run());
        }
    }

    fn run(&self) {
        let Ok(mut stdin) = Blocking::new(io::stdin()) else { return };
        let mut chunk = vec![0; 64 << 10];
        loop {
            let length = match stdin.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                length => length.unwrap_or(0),
            };
            if length == 0 {
                return self.end();
            }
            self.pass_on(&chunk[..length]);
        }
    }

    fn pass_on(&self, bytes: &[u8]) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.last_came = Some(Instant::now());
        state.length += bytes.len() as u64;
        if state.kept.is_in_lines || !matches!(state.reader, Reader::LocalModel { missed: None, .. }) {
            state.kept.add(bytes);
        }
        self.something_came.notify_all();
        match &mut state.reader {
            Reader::Nobody(all) => all.extend_from_slice(bytes),
            Reader::LocalModel { sender, missed } => {
                if let Some(sender) = sender {
                    let _ = sender.send(bytes.to_vec());
                }
                if let Some(missed) = missed {
                    missed.extend_from_slice(bytes);
                }
            }
            Reader::Claude => {
                let until = state.length;
                drop(guard);
                let mut pipe = self.pipe();
                if until > pipe.done {
                    pipe.send(bytes);
                }
                let backlog = pipe.backlog();
                drop(pipe);
                backlog.wait_until_short();
            }
        }
    }

    fn end(&self) {
        let mut state = self.state();
        state.last_came = Some(Instant::now());
        state.is_over = true;
        self.something_came.notify_all();
        if let Reader::LocalModel { sender, .. } = &mut state.reader {
            *sender = None;
            return;
        }
        drop(state);
        self.close_child_pipe();
    }

    fn state(&self) -> MutexGuard<'_, PumpState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pipe(&self) -> MutexGuard<'_, ChildPipe> {
        self.pipe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
