//! What Claude Code tells the command of its `statusLine` on stdin, as its documentation has it (code.claude.com/docs/en/statusline).

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;

use crate::context::Context;

/// How long stdin may be silent. Claude Code writes as soon as the command runs.
const PATIENCE: Duration = Duration::from_millis(100);

/// The longest text that is read, in bytes.
const MOST_BYTES: usize = 1 << 20;

pub(super) struct Session {
    pub model: Option<String>,
    /// The last part of the folder's path.
    pub folder: Option<String>,
    /// How much of the context is used, in percent.
    pub used: Option<u64>,
}

impl Session {
    /// None if stdin is a terminal or says nothing of a session within a moment.
    pub(super) fn from_stdin(context: &Context) -> Option<Session> {
        let bytes = if context.stdin_is_terminal() { return None } else { read_for_a_moment() };
        let json: Value = serde_json::from_slice(&bytes).ok().filter(Value::is_object)?;
        let text = |value: &Value| value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_string);
        let folder = text(&json["workspace"]["current_dir"]).or_else(|| text(&json["cwd"]));
        Some(Session {
            model: text(&json["model"]["display_name"]).or_else(|| text(&json["model"]["id"])),
            folder: folder.map(|path| path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_string()),
            used: json["context_window"]["used_percentage"].as_f64().map(|used| used.clamp(0.0, 100.0).round() as u64),
        })
    }
}

fn read_for_a_moment() -> Vec<u8> {
    let (begun, stdin, mut bytes) = (Instant::now(), io::stdin(), Vec::new());
    let mut piece = [0; 16 << 10];
    while bytes.len() < MOST_BYTES {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        let is_ready = poll(&mut [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)], timeout).is_ok_and(|ready| ready > 0);
        // Past the buffer of `io::stdin`, of which a poll knows nothing.
        match if is_ready { nix::unistd::read(stdin.as_fd(), &mut piece) } else { Ok(0) } {
            Ok(length @ 1..) => bytes.extend(&piece[..length]),
            _ => break,
        }
    }
    bytes
}
