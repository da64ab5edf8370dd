//! Stdin, passed on to the real Claude as it comes and kept, so that the same call can be answered by another.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::process::{ChildStdin, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::claude_code::protocol::input;
use crate::claude_code::protocol::input::Input;
use crate::claude_code::protocol::input::Role;
use crate::os::blocking::Blocking;

/// More than Claude Code takes, in bytes: beyond this nothing is kept, since nothing will be answered.
const ENOUGH: usize = 32 << 20;

/// The request that a session begins with.
const INITIALIZE: &str = "initialize";

/// How much may wait for the real Claude to read it, in bytes, before no more is read.
const MOST_QUEUED: usize = 1 << 20;

/// A call's stdin.
pub(crate) enum Stdin {
    /// The real Claude has it as it is: a terminal, a device or a folder, which hold nothing, or a file, which can be read
    /// again from where it was.
    Inherited(Option<(File, u64)>),
    /// It was read already.
    Read(Vec<u8>),
    /// It goes through us.
    Pumped(Pump),
}

impl Stdin {
    /// This process's stdin. `listens`: lines come in and are answered one after the other.
    pub(crate) fn of_process(listens: bool) -> Stdin {
        let stdin = io::stdin();
        let file = stdin.as_fd().try_clone_to_owned().map(File::from).ok();
        let metadata = file.as_ref().and_then(|file| file.metadata().ok());
        let is_regular = metadata.as_ref().is_some_and(|metadata| metadata.is_file());
        let is_stream = metadata.is_some_and(|metadata| metadata.file_type().is_fifo() || metadata.file_type().is_socket());
        match file {
            Some(mut file) if is_regular && !listens => match file.stream_position() {
                Ok(at) => Stdin::Inherited(Some((file, at))),
                Err(_) => Stdin::Inherited(None),
            },
            _ if !(is_stream || is_regular) => Stdin::Inherited(None),
            _ => {
                let pump = Pump::default();
                pump.state().kept.is_in_lines = listens;
                Stdin::Pumped(pump)
            }
        }
    }

    /// What the real Claude is given for it.
    pub(crate) fn for_child(&self) -> Stdio {
        match self {
            Stdin::Inherited(_) => Stdio::inherit(),
            Stdin::Read(_) | Stdin::Pumped(_) => Stdio::piped(),
        }
    }

    /// Begins to pass it on.
    pub(crate) fn connect(&mut self, pipe: Option<ChildStdin>) {
        match (self, pipe) {
            (Stdin::Pumped(pump), Some(pipe)) => pump.connect(pipe),
            (Stdin::Read(bytes), Some(mut pipe)) => {
                let bytes = bytes.clone();
                thread::spawn(move || drop(pipe.write_all(&bytes)));
            }
            _ => {}
        }
    }

    /// What the turn is about, `members` of the user's lines, is not to be said again, but `text`: as a line where lines come in,
    /// and else by somebody else.
    pub(crate) fn say_instead(&mut self, text: &str, members: usize) {
        match self {
            Stdin::Pumped(pump) if pump.state().kept.is_in_lines => pump.say_instead(text, members),
            Stdin::Inherited(None) => {}
            _ => *self = Stdin::Read(vec![]),
        }
    }

    /// What was said in its first line has its answer.
    pub(crate) fn has_its_answer(&self) {
        if let Some(pump) = self.pump() {
            let answered = pump.answered_so_far() + 1;
            pump.answered(answered);
        }
    }

    /// Puts a file back to where it was: another has read it since.
    pub(crate) fn rewind(&mut self) {
        if let Stdin::Inherited(Some((file, at))) = self {
            let _ = file.seek(SeekFrom::Start(*at));
        }
    }

    /// All of it so far.
    pub(crate) fn kept(&self) -> Vec<u8> {
        match self {
            Stdin::Inherited(None) => vec![],
            Stdin::Inherited(Some((file, at))) => read_from(file, *at).unwrap_or_default(),
            Stdin::Read(bytes) => bytes.clone(),
            Stdin::Pumped(pump) => pump.state().kept.bytes(),
        }
    }

    /// The request that a session begins with, if one does. `waits`: for the first line, if none has come.
    pub(crate) fn initialize(&self, waits: bool) -> Option<Value> {
        let pump = self.pump().filter(|pump| pump.state().kept.is_in_lines)?;
        let mut state = pump.state();
        if waits && !state.has_begun {
            state.unheard = Some(vec![]);
            drop(state);
            pump.begin();
            state = pump.state();
            let has_line = |state: &State| state.unheard.as_ref().is_none_or(|bytes| bytes.trim_ascii_start().contains(&b'\n'));
            while !state.is_over && !has_line(&state) {
                state = pump.heard.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        let (_, line) = state.kept.settings.iter().find(|(kind, _)| kind == INITIALIZE)?;
        match input::parse_line(line) {
            Ok(Input::Control { request, .. }) => Some(request),
            _ => None,
        }
    }

    /// Whether some of it is read already.
    pub(crate) fn has_begun(&self) -> bool {
        self.pump().is_some_and(|pump| pump.state().has_begun)
    }

    /// The pump, if it goes through us.
    pub(crate) fn pump(&self) -> Option<&Pump> {
        match self {
            Stdin::Pumped(pump) => Some(pump),
            _ => None,
        }
    }
}

fn read_from(file: &File, mut at: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 64 << 10];
    loop {
        match file.read_at(&mut chunk, at)? {
            0 => return Ok(bytes),
            length if bytes.len() < ENOUGH => {
                bytes.extend_from_slice(&chunk[..length]);
                at += length as u64;
            }
            _ => return Ok(bytes),
        }
    }
}

/// Moves stdin to the real Claude, or to whoever takes its place.
#[derive(Clone, Default)]
pub(crate) struct Pump {
    state: Arc<Mutex<State>>,
    /// Something has come.
    heard: Arc<Condvar>,
    /// Locked before the state where both are.
    pipe: Arc<Mutex<Pipe>>,
}

/// The way to the real Claude. A thread of its own writes, so that nobody else waits for a reader.
#[derive(Default)]
struct Pipe {
    to_child: Option<Sender<Vec<u8>>>,
    /// How many bytes are not written yet.
    queued: Arc<AtomicUsize>,
    /// Up to which byte it has been given what came, or needs not be.
    done: u64,
}

impl Pipe {
    fn open(&mut self, mut to_child: ChildStdin) {
        let (sender, chunks) = channel::<Vec<u8>>();
        let queued = Arc::new(AtomicUsize::new(0));
        (self.to_child, self.queued) = (Some(sender), queued.clone());
        thread::spawn(move || {
            for chunk in chunks {
                // Whoever does not read any more has its reasons.
                let is_read = to_child.write_all(&chunk).is_ok();
                queued.fetch_sub(chunk.len(), SeqCst);
                if !is_read {
                    break;
                }
            }
            queued.store(0, SeqCst);
        });
    }

    fn send(&mut self, bytes: &[u8]) {
        if let Some(to_child) = self.to_child.as_ref().filter(|_| !bytes.is_empty()) {
            self.queued.fetch_add(bytes.len(), SeqCst);
            if to_child.send(bytes.to_vec()).is_err() {
                self.queued.store(0, SeqCst);
                self.to_child = None;
            }
        }
    }
}

#[derive(Default)]
struct State {
    has_begun: bool,
    kept: Kept,
    /// Where it goes in the real Claude's place.
    taker: Option<Sender<Vec<u8>>>,
    is_over: bool,
    /// When the last of it, or its end, came.
    last: Option<Instant>,
    /// How many bytes came.
    length: u64,
    /// What came since it was taken from the real Claude.
    missed: Vec<u8>,
    /// All of it, while nobody has been given any of it.
    unheard: Option<Vec<u8>>,
    /// Nobody else will ask for it.
    is_given_away: bool,
}

/// What was said and may have to be said again.
#[derive(Default)]
struct Kept {
    /// The lines that set something, each the last of its kind.
    settings: Vec<(String, Vec<u8>)>,
    /// The user's lines that are not answered, and what stands between them.
    said: Vec<Vec<u8>>,
    /// How many of the user's lines came so far.
    asked: usize,
    /// How many of them are answered.
    answered: usize,
    /// The ids of all of them: what comes twice is answered once.
    known: HashSet<String>,
    /// How many of the real Claude's own questions the caller has answered.
    responses: usize,
    /// The end of it, which is no whole line yet. Of what is no list of lines: all.
    rest: Vec<u8>,
    is_in_lines: bool,
    is_too_much: bool,
}

impl Kept {
    fn add(&mut self, chunk: &[u8]) {
        self.rest.extend_from_slice(chunk);
        if self.is_in_lines {
            while let Some(end) = memchr::memchr(b'\n', &self.rest) {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                self.add_line(line);
            }
        }
        if self.rest.len() > ENOUGH {
            self.rest = Vec::new();
            self.is_too_much = true;
        }
    }

    fn add_line(&mut self, line: Vec<u8>) {
        match input::parse_line(&line) {
            // Whoever answers it shall say what is wrong with it.
            Err(_) => self.said.push(line),
            Ok(Input::User(message)) if message.uuid.as_ref().is_none_or(|uuid| self.known.insert(uuid.clone())) => {
                self.said.push(line);
                self.asked += 1;
            }
            Ok(Input::Assistant(..)) => self.said.push(line),
            Ok(Input::Control { request, .. }) => {
                let subtype = request["subtype"].as_str().unwrap_or_default();
                if subtype.starts_with("set_") || subtype == INITIALIZE {
                    self.settings.retain(|(kind, _)| kind != subtype);
                    self.settings.push((subtype.into(), line));
                }
            }
            Ok(_) => self.responses += usize::from(memchr::memmem::find(&line, b"\"control_response\"").is_some()),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        [self.said.concat(), self.rest.clone()].concat()
    }
}

/// What takes the place of the real Claude's stdin.
pub(crate) struct Feed {
    /// The requests that set something and were answered.
    pub settings: Vec<Vec<u8>>,
    /// What was said and not answered, and what comes after it.
    pub input: Box<dyn BufRead + Send>,
}

impl Pump {
    /// Passes on to `to_child` what came and what comes.
    fn connect(&self, to_child: ChildStdin) {
        let mut pipe = self.pipe();
        let mut state = self.state();
        state.taker = None;
        state.missed = Vec::new();
        let settings = state.kept.settings.iter().map(|(_, line)| line.clone()).collect::<Vec<_>>().concat();
        let before = state.unheard.take().unwrap_or_else(|| [settings, state.kept.bytes()].concat());
        pipe.done = state.length;
        let is_over = state.is_over;
        drop(state);
        pipe.open(to_child);
        pipe.send(&before);
        if is_over {
            pipe.to_child = None;
        }
        drop(pipe);
        self.begin();
    }

    fn begin(&self) {
        if !std::mem::replace(&mut self.state().has_begun, true) {
            let pump = self.clone();
            thread::spawn(move || pump.run());
        }
    }

    /// Takes it from the real Claude.
    pub(crate) fn take(&self) -> Feed {
        let (sender, receiver) = channel();
        let mut state = self.state();
        let first = state.kept.bytes();
        let settings = state.kept.settings.iter().map(|(_, line)| line.clone()).collect();
        state.taker = (!state.is_over).then_some(sender);
        drop(state);
        self.begin();
        Feed { settings, input: Box::new(BufReader::new(Chunks { current: Cursor::new(first), next: receiver })) }
    }

    fn say_instead(&self, text: &str, members: usize) {
        let before = self.answered_so_far();
        self.answered(before + members);
        let left_out = self.answered_so_far() - before;
        let message =
            json!({"type": "user", "message": {"role": "user", "content": text}, "session_id": "", "parent_tool_use_id": null});
        let kept = &mut self.state().kept;
        kept.said.insert(0, format!("{message}\n").into_bytes());
        kept.answered = before;
        kept.asked = kept.asked + 1 - left_out;
    }

    /// How many of the user's lines are answered.
    pub(crate) fn answered_so_far(&self) -> usize {
        self.state().kept.answered
    }

    /// Gives all of it away for good, before anybody has seen any of it.
    pub(crate) fn give_away(&self) -> Feed {
        self.state().is_given_away = true;
        self.take_unheard()
    }

    /// Takes all of it, if nobody has been given any of it, and otherwise what [`Pump::take`] does.
    pub(crate) fn take_unheard(&self) -> Feed {
        let mut state = self.state();
        let Some(first) = state.unheard.take() else {
            drop(state);
            return self.take();
        };
        let (sender, next) = channel();
        state.taker = (!state.is_over).then_some(sender);
        Feed { settings: vec![], input: Box::new(BufReader::new(Chunks { current: Cursor::new(first), next })) }
    }

    /// The real Claude has it again, with what came since it was taken.
    pub(crate) fn give_back(&self) {
        let mut pipe = self.pipe();
        let mut state = self.state();
        state.taker = None;
        let missed = std::mem::take(&mut state.missed);
        pipe.done = state.length;
        let is_over = state.is_over;
        drop(state);
        pipe.send(&missed);
        if is_over {
            pipe.to_child = None;
        }
    }

    /// How many of the real Claude's own questions the caller has answered.
    pub(crate) fn responses(&self) -> usize {
        self.state().kept.responses
    }

    /// How many lines the user has said.
    pub(crate) fn said(&self) -> usize {
        self.state().kept.asked
    }

    /// The first `count` of the user's lines are answered. Gives what those say that were not before.
    pub(crate) fn answered(&self, count: usize) -> Vec<(Role, String)> {
        let mut said = Vec::new();
        let mut state = self.state();
        let kept = &mut state.kept;
        while kept.answered < count && !kept.said.is_empty() {
            match input::parse_line(&kept.said.remove(0)) {
                Ok(Input::User(message)) => {
                    said.push((Role::User, message.as_text()));
                    kept.answered += 1;
                }
                Ok(Input::Assistant(_, text)) => said.push((Role::Assistant, text)),
                _ => {}
            }
        }
        said
    }

    /// The ids of the requests that set something.
    pub(crate) fn settings(&self) -> HashSet<String> {
        let id = |line: &[u8]| match input::parse_line(line) {
            Ok(Input::Control { id, .. }) => id?.as_str().map(str::to_string),
            _ => None,
        };
        self.state().kept.settings.iter().filter_map(|(_, line)| id(line)).collect()
    }

    /// Whether all of it is there.
    pub(crate) fn is_complete(&self) -> bool {
        !self.state().kept.is_too_much
    }

    /// When the last of it, or its end, came; none if nothing did.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.state().last
    }

    /// Whether its end has come.
    pub(crate) fn is_over(&self) -> bool {
        self.state().is_over
    }

    /// Says to the real Claude that nothing more will come.
    pub(crate) fn close(&self) {
        self.pipe().to_child = None;
    }

    fn run(&self) {
        let Ok(mut stdin) = Blocking::new(io::stdin()) else { return };
        let mut chunk = vec![0; 64 << 10];
        loop {
            let length = match stdin.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                length => length.unwrap_or(0),
            };
            let mut state = self.state();
            state.last = Some(Instant::now());
            if length == 0 {
                state.is_over = true;
                self.heard.notify_all();
                let is_taken = state.taker.take().is_some();
                drop(state);
                if !is_taken {
                    self.close();
                }
                return;
            }
            let bytes = &chunk[..length];
            if !state.is_given_away {
                state.kept.add(bytes);
            }
            if let Some(unheard) = &mut state.unheard {
                unheard.extend_from_slice(bytes);
            }
            self.heard.notify_all();
            state.length += length as u64;
            let until = state.length;
            if let Some(taker) = &state.taker {
                let _ = taker.send(bytes.to_vec());
                if !state.is_given_away {
                    state.missed.extend_from_slice(bytes);
                }
                continue;
            }
            drop(state);
            let mut pipe = self.pipe();
            if until > pipe.done {
                pipe.send(bytes);
            }
            let queued = pipe.queued.clone();
            drop(pipe);
            while queued.load(SeqCst) > MOST_QUEUED {
                sleep(Duration::from_millis(1));
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pipe(&self) -> MutexGuard<'_, Pipe> {
        self.pipe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Chunks, one after the other.
struct Chunks {
    current: Cursor<Vec<u8>>,
    next: Receiver<Vec<u8>>,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.current.read(buffer)? {
                0 => match self.next.recv() {
                    Ok(chunk) => self.current = Cursor::new(chunk),
                    Err(_) => return Ok(0),
                },
                length => return Ok(length),
            }
        }
    }
}
