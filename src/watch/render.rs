//! What Claude Code would have printed in another format, from its stream. As read in its versions 1.0.77 to 2.1.330.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use crate::claude_code::protocol::line::Line;
use crate::claude_code::protocol::mark::Mark;
use crate::claude_code::protocol::output::{Format, strip_controls};
use crate::claude_code::protocol::trim;
use crate::claude_code::refusal::Ending;
use crate::claude_code::version::Version;
use crate::error::Error;
use crate::os::blocking::Blocking;

/// Stdout in the format that the caller asked for.
pub(crate) struct Renderer {
    format: Format,
    is_terminal: bool,
    limits: Limits,
    stdout: Option<Blocking>,
    fault: Option<io::Error>,
    version: Option<Version>,
    /// Whether the session has begun: what ends one that has not is told on stderr alone.
    has_begun: bool,
    /// The JSON that is printed at the end.
    kept: Vec<u8>,
    /// The result that is not printed yet.
    unprinted: Option<Ending>,
    /// How the last text ended that was printed.
    printed: Option<bool>,
    /// What the assistant has said last since the last result.
    said: Option<String>,
    /// What results say of who has answered.
    mark: Option<Mark>,
}

/// What a call may take; the messages about that repeat it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    /// `--max-turns`.
    pub turns: Option<String>,
    /// `--max-budget-usd`.
    pub budget: Option<String>,
}

impl Renderer {
    /// Stdout in `format`.
    pub(crate) fn new(format: Format, is_terminal: bool, limits: Limits) -> Renderer {
        let stdout = Blocking::new(io::stdout()).ok();
        Renderer {
            format,
            is_terminal,
            limits,
            stdout,
            fault: None,
            version: None,
            has_begun: false,
            kept: vec![],
            unprinted: None,
            printed: None,
            said: None,
            mark: None,
        }
    }

    /// Results say from now on who has answered.
    pub(crate) fn mark(&mut self, mark: Option<Mark>) {
        self.mark = mark;
    }

    /// Which version speaks.
    pub(crate) fn set_version(&mut self, version: Option<Version>) {
        self.version = version;
    }

    /// Whether lines reach the caller as they come.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.format, Format::StreamJson { .. })
    }

    /// Whether an answer's pieces were asked for.
    pub(crate) fn has_partials(&self) -> bool {
        self.format == Format::StreamJson { partials: true }
    }

    /// Takes a line that the caller is to have, with its newline.
    pub(crate) fn line(&mut self, line: &[u8]) {
        match self.format {
            Format::StreamJson { .. } => self.write(&fitted(line, self.format)),
            Format::JsonArray => self.take_for_array(line),
            Format::Text => self.said = Line::parse(line).text().or(self.said.take()),
            Format::Json => {}
        }
        if !self.has_begun {
            self.has_begun = Line::parse(line).is_system("init");
        }
    }

    /// Takes the line that ends a turn, and what it says.
    pub(crate) fn result(&mut self, line: &[u8], ending: &Ending) {
        if !self.has_begun && !self.is_live() {
            return;
        }
        let marked = self.marked(line);
        match self.format {
            Format::Json => self.kept = self.in_json(&marked),
            Format::JsonArray | Format::StreamJson { .. } => self.line(&marked),
            Format::Text => {
                self.unprinted = Some(ending.clone());
                let is_blank = ending.subtype == "success" && ending.text.trim().is_empty();
                if !is_blank && self.version.is_none_or(Version::prints_each_result) {
                    self.print_result();
                }
            }
        }
    }

    /// Nothing more comes: prints what is printed at the end.
    pub(crate) fn finish(&mut self) {
        let mut end = match self.format {
            Format::JsonArray if !self.kept.is_empty() => b"]\n".to_vec(),
            Format::Json if !self.kept.is_empty() => b"\n".to_vec(),
            Format::Text if self.printed.is_none() => return self.print_result(),
            _ => return,
        };
        let mut json = std::mem::take(&mut self.kept);
        json.append(&mut end);
        self.write(&json);
    }

    fn marked<'l>(&self, line: &'l [u8]) -> Cow<'l, [u8]> {
        match (&self.mark, line.trim_ascii_end().strip_suffix(b"}")) {
            (Some(mark), Some(object)) => Cow::Owned([object, format!(",\"failover\":{mark}}}\n").as_bytes()].concat()),
            _ => Cow::Borrowed(line),
        }
    }

    fn take_for_array(&mut self, line: &[u8]) {
        let (kind, subtype) = Line::parse(line).kind();
        let is_hook = subtype.starts_with("hook_") && self.version.is_none_or(Version::hides_hooks);
        let is_left_out = NOT_IN_ARRAYS.contains(&kind.as_str())
            || kind == "system" && (is_hook || subtype.starts_with("ui_") || NOT_IN_ARRAYS.contains(&subtype.as_str()));
        if !is_left_out {
            let line = self.in_json(line);
            self.kept.push(if self.kept.is_empty() { b'[' } else { b',' });
            self.kept.extend_from_slice(&line);
        }
    }

    /// A line as it stands in JSON that is no stream.
    fn in_json(&self, line: &[u8]) -> Vec<u8> {
        let line = fitted(line, self.format);
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        match self.version.is_none_or(Version::prints_each_result) {
            true => line.to_vec(),
            false => with_separators(line),
        }
    }

    fn print_result(&mut self) {
        let Some(ending) = self.unprinted.take() else { return };
        let said = self.said.take();
        let mut text = self.text(&ending, said);
        if self.is_terminal {
            text = strip_controls(&text);
        }
        if self.version.is_none_or(Version::prints_each_result)
            && ending.is_error
            && !self.is_terminal
            && io::stderr().is_terminal()
        {
            crate::error::say(text.trim_end());
        }
        let gap = self.printed.map_or("", |ended_line| if ended_line { "\n" } else { "\n\n" });
        self.write(format!("{gap}{text}").as_bytes());
        self.printed = Some(text.ends_with('\n'));
    }

    fn text(&self, ending: &Ending, said: Option<String>) -> String {
        let number = |value: &Option<String>| {
            let value = value.as_deref().unwrap_or_default().trim();
            value.parse::<f64>().map_or_else(|_| value.to_string(), |number| number.to_string())
        };
        match ending.subtype.as_str() {
            "error_max_turns" => format!("Error: Reached max turns ({})", number(&self.limits.turns)),
            "error_max_budget_usd" => format!("Error: Exceeded USD budget ({})", number(&self.limits.budget)),
            "error_max_structured_output_retries" => {
                let problem = ending.problem.as_ref().filter(|_| self.version.is_none_or(Version::prints_each_result));
                let usual = "Failed to provide valid structured output after maximum retries";
                format!("Error: {}", problem.map_or(usual, String::as_str))
            }
            "error_during_execution" => "Execution error".into(),
            _ => {
                let partial = said.filter(|_| ending.is_error && ending.text.ends_with("The response above may be incomplete."));
                let partial = partial.map(|partial| partial + "\n").unwrap_or_default();
                let newline = if ending.text.ends_with('\n') { "" } else { "\n" };
                format!("{partial}{}{newline}", ending.text)
            }
        }
    }

    /// What went wrong with stdout. A reader who has gone is nothing: the real CLI goes on silently, too.
    pub(crate) fn fault(&mut self) -> Option<Error> {
        let fault = self.fault.take().filter(|fault| fault.kind() != io::ErrorKind::BrokenPipe)?;
        Some(Error::file("write", "stdout")(fault))
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(stdout) = self.stdout.as_mut() {
            if let Err(error) = stdout.write_all(bytes) {
                (self.stdout, self.fault) = (None, Some(error));
            }
        }
    }
}

/// A line without what is said only because of other options than the caller's. As in 2.1.330; earlier versions do not.
fn fitted(line: &[u8], format: Format) -> Cow<'_, [u8]> {
    const WITH_PARTIALS: &str = "begun_message_ids";
    const IN_STREAMS: &str = "model_usage_since_last_result";
    const STREAMS_CAN: &str = "lifecycle_wakeup_source_v1";
    let trimmed = match format {
        Format::StreamJson { partials: true } => None,
        Format::StreamJson { partials: false } => trim::without(line, &[WITH_PARTIALS], &[]),
        _ => trim::without(line, &[WITH_PARTIALS, IN_STREAMS], &[STREAMS_CAN]),
    };
    trimmed.map_or(Cow::Borrowed(line), Cow::Owned)
}

/// U+2028 and U+2029 as they are, where the stream has them escaped: up to 2.1.197 only the stream has.
fn with_separators(line: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        raw.extend_from_slice(&rest[..at]);
        let (character, length): (&[u8], usize) = match &rest[at..] {
            [b'\\', b'u', b'2', b'0', b'2', b'8', ..] => ("\u{2028}".as_bytes(), 6),
            [b'\\', b'u', b'2', b'0', b'2', b'9', ..] => ("\u{2029}".as_bytes(), 6),
            escape => (&escape[..2.min(escape.len())], 2.min(escape.len())),
        };
        raw.extend_from_slice(character);
        rest = &rest[at + length..];
    }
    raw.extend_from_slice(rest);
    raw
}

/// The types, and the subtypes of `system`, that the JSON array leaves out.
const NOT_IN_ARRAYS: &[&str] = &[
    "control_response",
    "control_request",
    "control_cancel_request",
    "stream_event",
    "keep_alive",
    "prompt_suggestion",
    "transcript_mirror",
    "conversation_reset",
    "command_lifecycle",
    "active_goal",
    "autocompact_state",
    "session_state_changed",
    "task_notification",
    "task_started",
    "task_updated",
    "task_progress",
    "task_summary",
    "notification",
    "post_turn_summary",
    "commands_changed",
    "elicitation_complete",
    "files_persisted",
    "mirror_error",
    "permission_denied",
    "background_tasks_changed",
    "feedback_draft_queued",
    "control_request_progress",
    "session_metadata",
    "code_change_published",
    "tool_host_result",
    "peer_message_hold",
    "permission_check_status",
    "vcs_state_changed",
    "shell_cwd",
    "dev_intent",
    "task_list_statuses",
    "session_title_changed",
    "turn_preempted",
    "per_turn_effort_changed",
    "instruction_size_warning",
    "file_attachments_missing",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_written_out_and_backslashes_are_not_mistaken() {
        let table = [
            (r#"{"a":"x\\u2028y"}"#, r#"{"a":"x\\u2028y"}"#),
            (r#"{"a":"x\u2028y\u2029"}"#, "{\"a\":\"x\u{2028}y\u{2029}\"}"),
            (r#"{"a":"\n\ud83d"}"#, r#"{"a":"\n\ud83d"}"#),
            ("\\", "\\"),
        ];
        for (line, expected) in table {
            assert_eq!(String::from_utf8(with_separators(line.as_bytes())).expect("text"), expected, "{line}");
        }
    }
}
