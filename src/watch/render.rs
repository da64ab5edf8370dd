//! What Claude Code would have printed in another format, from its stream. As read in its versions 1.0.77 to 2.1.330.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use crate::claude_code::protocol::line::Line;
use crate::claude_code::protocol::mark::{Mark, with_local_provider};
use crate::claude_code::protocol::output::Format;
use crate::claude_code::refusal::Ending;
use crate::claude_code::version::Version;
use crate::error::Error;
use crate::os::blocking::Blocking;
use crate::shown::{Shown, answer_on_terminal};
use crate::watch::stream_line::{is_left_out_of_arrays, unescape_separators, without_additions};

/// Stdout in the format that the caller asked for.
pub(crate) struct Renderer {
    format: Format,
    is_terminal: bool,
    limits: Limits,
    stdout: Option<Blocking>,
    error: Option<io::Error>,
    has_printed: bool,
    version: Option<Version>,
    /// Whether the session has begun: a failure of one that has not is told on stderr alone.
    has_begun: bool,
    /// The JSON that is printed at the end.
    json: Vec<u8>,
    /// The result whose text is not printed yet.
    unprinted: Option<Ending>,
    /// Whether the last text that was printed ended its line; none if no text was printed.
    last_ended_line: Option<bool>,
    /// The assistant's last text since the last result.
    last_text: Option<String>,
    /// What results say of who has answered.
    mark: Option<Mark>,
    /// The model whose usage is not Claude's.
    local_model: Option<String>,
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
    pub(crate) fn new(format: Format, is_terminal: bool, limits: Limits) -> Renderer {
        let stdout = Blocking::new(io::stdout()).ok();
        Renderer {
            format,
            is_terminal,
            limits,
            stdout,
            error: None,
            has_printed: false,
            version: None,
            has_begun: false,
            json: vec![],
            unprinted: None,
            last_ended_line: None,
            last_text: None,
            mark: None,
            local_model: None,
        }
    }

    /// Results say from now on who has answered.
    pub(crate) fn set_mark(&mut self, mark: Option<Mark>) {
        self.mark = mark;
    }

    /// The usage of this model is said to be local from now on: programs that see no other mark see that one.
    pub(crate) fn set_local_model(&mut self, model: Option<String>) {
        self.local_model = model;
    }

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

    /// Prints a line, given with its newline, or keeps what the format needs of it.
    pub(crate) fn print_line(&mut self, line: &[u8]) {
        match self.format {
            Format::StreamJson { .. } => self.write(&without_additions(line, self.format)),
            Format::JsonArray => self.add_to_array(line),
            Format::Text => self.last_text = Line::parse(line).text().or(self.last_text.take()),
            Format::Json => {}
        }
        if !self.has_begun {
            let line = Line::parse(line);
            self.has_begun = line.is_system("init") || line.is("assistant");
        }
    }

    /// Prints at once what is no line of the stream.
    pub(crate) fn print_text_as_is(&mut self, text: &[u8]) {
        self.write(text);
    }

    /// Whether anything was printed, be stdout closed or not.
    pub(crate) fn has_printed(&self) -> bool {
        self.has_printed
    }

    /// Prints the line that ends a turn, or keeps what the format needs of it.
    pub(crate) fn print_result(&mut self, line: &[u8], ending: &Ending) {
        if !self.has_begun && !self.is_live() && ending.subtype != "success" {
            return;
        }
        let marked = self.marked(line);
        match self.format {
            Format::Json => self.json = self.in_json(&marked),
            Format::JsonArray | Format::StreamJson { .. } => self.print_line(&marked),
            Format::Text => {
                self.unprinted = Some(ending.clone());
                let is_blank = ending.subtype == "success" && ending.text.trim().is_empty();
                if !is_blank && self.version.is_none_or(Version::prints_each_result) {
                    self.print_text();
                }
            }
        }
    }

    /// Prints what is printed at the end.
    pub(crate) fn finish(&mut self) {
        let mut end = match self.format {
            Format::JsonArray if !self.json.is_empty() => b"]\n".to_vec(),
            Format::Json if !self.json.is_empty() => b"\n".to_vec(),
            Format::Text if self.last_ended_line.is_none() => return self.print_text(),
            _ => return,
        };
        let mut json = std::mem::take(&mut self.json);
        json.append(&mut end);
        self.write(&json);
    }

    fn marked<'l>(&self, line: &'l [u8]) -> Cow<'l, [u8]> {
        let line = match &self.local_model {
            Some(model) => with_local_provider(line, model),
            None => Cow::Borrowed(line),
        };
        match (&self.mark, line.trim_ascii_end().strip_suffix(b"}")) {
            (Some(mark), Some(object)) => Cow::Owned([object, format!(",\"failover\":{mark}}}\n").as_bytes()].concat()),
            _ => line,
        }
    }

    fn add_to_array(&mut self, line: &[u8]) {
        if !is_left_out_of_arrays(line, self.version.is_none_or(Version::hides_hooks)) {
            let line = self.in_json(line);
            self.json.push(if self.json.is_empty() { b'[' } else { b',' });
            self.json.extend_from_slice(&line);
        }
    }

    /// A line as it stands in JSON that is no stream.
    fn in_json(&self, line: &[u8]) -> Vec<u8> {
        let line = without_additions(line, self.format);
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        match self.version.is_none_or(Version::prints_each_result) {
            true => line.to_vec(),
            false => unescape_separators(line),
        }
    }

    fn print_text(&mut self) {
        let Some(ending) = self.unprinted.take() else { return };
        let last_text = self.last_text.take();
        let mut text = self.text(&ending, last_text);
        if self.is_terminal {
            text = answer_on_terminal(&text);
        }
        if self.version.is_none_or(Version::prints_each_result)
            && ending.is_error
            && !self.is_terminal
            && io::stderr().is_terminal()
        {
            crate::error::say(&Shown::lines(text.trim_end()));
        }
        let gap = self.last_ended_line.map_or("", |ended_line| if ended_line { "\n" } else { "\n\n" });
        self.write(format!("{gap}{text}").as_bytes());
        self.last_ended_line = Some(text.ends_with('\n'));
    }

    fn text(&self, ending: &Ending, last_text: Option<String>) -> String {
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
                let partial =
                    last_text.filter(|_| ending.is_error && ending.text.ends_with("The response above may be incomplete."));
                let partial = partial.map(|partial| partial + "\n").unwrap_or_default();
                let newline = if ending.text.ends_with('\n') { "" } else { "\n" };
                format!("{partial}{}{newline}", ending.text)
            }
        }
    }

    /// What went wrong with stdout. A reader who has gone is no error: the real CLI goes on silently, too.
    pub(crate) fn take_error(&mut self) -> Option<Error> {
        let error = self.error.take().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)?;
        Some(Error::system("write", "stdout")(error))
    }

    fn write(&mut self, bytes: &[u8]) {
        self.has_printed |= !bytes.is_empty();
        if let Some(stdout) = self.stdout.as_mut() {
            if let Err(error) = stdout.write_all(bytes) {
                (self.stdout, self.error) = (None, Some(error));
            }
        }
    }
}
