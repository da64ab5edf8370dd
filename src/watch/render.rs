//! What Claude Code would have printed in another format, from its stream.

use std::io::{self, Write};

use crate::answer::blocking::Blocking;
use crate::answer::output::{Format, harmless};
use crate::verdict::Ending;

/// Stdout in the format that the caller asked for.
pub struct Rendered {
    format: Format,
    is_terminal: bool,
    stdout: Option<Blocking>,
    /// The line that the format is about, or all of them.
    kept: Vec<u8>,
    ending: Option<Ending>,
    /// The value of `--max-turns` and of `--max-budget-usd`, which the messages repeat.
    limits: Limits,
}

/// What a call may take.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// `--max-turns`.
    pub turns: Option<String>,
    /// `--max-budget-usd`.
    pub budget: Option<String>,
}

impl Rendered {
    /// Stdout in `format`.
    pub fn new(format: Format, is_terminal: bool, limits: Limits) -> Rendered {
        Rendered { format, is_terminal, stdout: Blocking::new(io::stdout()).ok(), kept: vec![], ending: None, limits }
    }

    /// Whether lines reach the caller as they come.
    pub fn is_live(&self) -> bool {
        matches!(self.format, Format::StreamJson { .. })
    }

    /// Whether an answer's pieces were asked for.
    pub fn has_partials(&self) -> bool {
        self.format == Format::StreamJson { partials: true }
    }

    /// Takes lines that the caller is to have, each with its newline.
    pub fn lines(&mut self, lines: &[u8]) {
        match self.format {
            Format::StreamJson { .. } => self.write(lines),
            Format::JsonArray => {
                for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    self.kept.push(if self.kept.is_empty() { b'[' } else { b',' });
                    self.kept.extend_from_slice(line);
                }
            }
            Format::Json | Format::Text => {}
        }
    }

    /// Takes the line that ends a turn, and what it says.
    pub fn result(&mut self, line: &[u8], ending: &Ending) {
        match self.format {
            Format::Json => self.kept = line.strip_suffix(b"\n").unwrap_or(line).to_vec(),
            Format::Text => self.ending = Some(ending.clone()),
            Format::JsonArray | Format::StreamJson { .. } => self.lines(line),
        }
    }

    /// Nothing more comes: prints what is printed at the end.
    pub fn finish(&mut self) {
        let text = match self.format {
            Format::StreamJson { .. } => return,
            Format::Json if self.kept.is_empty() => return,
            Format::Json => [&self.kept, &b"\n"[..]].concat(),
            Format::JsonArray if self.kept.is_empty() => return,
            Format::JsonArray => [&self.kept, &b"]\n"[..]].concat(),
            Format::Text => match &self.ending {
                None => return,
                Some(ending) => self.text(ending).into_bytes(),
            },
        };
        self.write(&text);
    }

    fn text(&self, ending: &Ending) -> String {
        let value = |value: &Option<String>| value.clone().unwrap_or_default();
        let text = match ending.subtype.as_str() {
            "error_max_turns" => format!("Error: Reached max turns ({})", value(&self.limits.turns)),
            "error_max_budget_usd" => format!("Error: Exceeded USD budget ({})", value(&self.limits.budget)),
            "error_max_structured_output_retries" => {
                "Error: Failed to provide valid structured output after maximum retries".into()
            }
            "error_during_execution" => return "Execution error".into(),
            _ => ending.text.clone(),
        };
        let text = if self.is_terminal { harmless(&text) } else { text };
        let newline = if text.ends_with('\n') { "" } else { "\n" };
        text + newline
    }

    /// A reader who has gone misses it: the real CLI goes on silently, too.
    fn write(&mut self, bytes: &[u8]) {
        if let Some(stdout) = self.stdout.as_mut() {
            if stdout.write_all(bytes).is_err() {
                self.stdout = None;
            }
        }
    }
}
