//! Stdin, passed on to the real Claude as it comes and kept, so that the local model can answer the same call.

mod child_pipe;
mod feed;
mod kept;
mod pump;
mod reader;
mod renamed;

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::process::{ChildStdin, Stdio};
use std::thread;

use serde_json::Value;

use crate::claude_code::protocol::input::{self, Input};
pub(crate) use crate::stdin::feed::Feed;
use crate::stdin::kept::{INITIALIZE, MOST_KEPT};
pub(crate) use crate::stdin::pump::Pump;
pub(crate) use crate::stdin::renamed::Renamed;

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
            _ => Stdin::Pumped(Pump::new(listens)),
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

    /// Puts `prompt` in the place of the turn's lines where lines come in; where they do not, leaves stdin empty, since the
    /// prompt comes on the command line.
    pub(crate) fn replace_turn(&mut self, prompt: &str, turn_lines: usize) {
        match self {
            Stdin::Pumped(pump) if pump.is_in_lines() => pump.replace_lines(turn_lines, prompt),
            Stdin::Inherited(None) => {}
            _ => *self = Stdin::Read(vec![]),
        }
    }

    /// Drops the next of the user's lines, which has its answer.
    pub(crate) fn drop_answered_line(&self) {
        if let Some(pump) = self.pump() {
            pump.drop_answered(pump.answered_lines() + 1);
        }
    }

    /// Puts a file back to where it was: another has read it since.
    pub(crate) fn rewind(&mut self) {
        if let Stdin::Inherited(Some((file, at))) = self {
            let _ = file.seek(SeekFrom::Start(*at));
        }
    }

    /// What is not answered, as far as it came.
    pub(crate) fn unanswered(&self) -> Vec<u8> {
        match self {
            Stdin::Inherited(None) => vec![],
            Stdin::Inherited(Some((file, at))) => read_from(file, *at).unwrap_or_default(),
            Stdin::Read(bytes) => bytes.clone(),
            Stdin::Pumped(pump) => pump.unanswered(),
        }
    }

    /// The request that a session begins with, if one does. `waits`: for the first line, if none has come.
    pub(crate) fn initialize(&self, waits: bool) -> Option<Value> {
        let pump = self.pump().filter(|pump| pump.is_in_lines())?;
        if waits && !pump.has_begun() {
            pump.await_first_line();
        }
        match input::parse_line(&pump.setting(INITIALIZE)?) {
            Ok(Input::Control { request, .. }) => Some(request),
            _ => None,
        }
    }

    /// Whether some of it is read already.
    pub(crate) fn has_begun(&self) -> bool {
        self.pump().is_some_and(Pump::has_begun)
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
            length if bytes.len() < MOST_KEPT => {
                bytes.extend_from_slice(&chunk[..length]);
                at += length as u64;
            }
            _ => return Ok(bytes),
        }
    }
}
