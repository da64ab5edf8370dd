//! The body of a message to a tool: JSON, whose strings may speak of Harmony's marks.

use serde_json::{Map, Value};

use super::Part;
use crate::completions::dialect::json::{read_arguments, read_json};
use crate::completions::tool::ToolCall;

pub(super) struct CallBody {
    tool: String,
    text: String,
    is_string: bool,
    is_escaped: bool,
}

impl CallBody {
    pub(super) fn new(tool: String) -> CallBody {
        CallBody { tool, text: String::new(), is_string: false, is_escaped: false }
    }

    pub(super) fn push(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.is_string => self.is_escaped = true,
                b'"' => self.is_string = !self.is_string,
                _ => {}
            }
        }
        self.text.push_str(text);
    }

    /// Whether a mark that comes now is part of an argument.
    pub(super) fn takes_mark(&self) -> bool {
        self.is_string
    }

    /// `is_whole`: its end was seen, or nothing was cut off behind it.
    pub(super) fn finish(self, is_whole: bool) -> Part {
        // A string that never ended has taken the mark behind the call for its own.
        let ends = ["<|call|>", "<|end|>", "<|return|>"];
        let text = ends.iter().find_map(|end| self.text.trim_end().strip_suffix(end)).unwrap_or(&self.text);
        let call = ToolCall { name: self.tool, arguments: arguments(text, is_whole) };
        Part::Call { raw: text.into(), call }
    }
}

pub(super) fn arguments(text: &str, is_whole: bool) -> Result<Map<String, Value>, String> {
    match read_json(text.trim(), is_whole) {
        Some((Value::Object(arguments), rest)) if rest.trim().is_empty() => Ok(arguments),
        _ if is_whole => read_arguments(text),
        _ => Err(text.into()),
    }
}
