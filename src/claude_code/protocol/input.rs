//! The lines of `--input-format stream-json`, as Claude Code 2.1.330 reads them.

use std::io::{BufRead, Read};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::claude_code::slash_command;
use crate::text::replace_lone_surrogates;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    User,
    Assistant,
}

impl Role {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

/// A line of the input.
#[derive(Debug)]
pub(crate) enum Input {
    User(UserMessage),
    /// A control request. Its id may be any JSON.
    Control {
        id: Option<Value>,
        request: Value,
    },
    /// An earlier answer of the model's: the message, which is repeated to the caller, and its text.
    Assistant(Value, String),
    /// A line that asks for no answer.
    Nothing,
}

#[derive(Clone, Debug)]
pub(crate) struct UserMessage {
    /// Text or blocks, as it came.
    pub content: Value,
    /// The sender's own id for it.
    pub uuid: Option<String>,
    /// Whether the model is to answer. Otherwise the message only becomes part of the conversation.
    pub wants_answer: bool,
    /// Whether it may be repeated to the caller.
    pub is_replayed: bool,
    /// Whether the caller says that a person wrote it: of all origins that a message can name, 2.1.330 heeds this one only.
    pub is_persons: bool,
}

impl UserMessage {
    pub(crate) fn text(text: String) -> UserMessage {
        UserMessage { content: text.into(), uuid: None, wants_answer: true, is_replayed: true, is_persons: false }
    }

    /// The text, with a note for each picture or document, since the local model cannot see them.
    pub(crate) fn as_text(&self) -> String {
        match &self.content {
            Value::String(text) => text.clone(),
            Value::Array(blocks) => blocks.iter().filter_map(block_text).collect::<Vec<_>>().join("\n"),
            _ => String::new(),
        }
    }

    /// The name and the arguments of the slash command that it is, if it is one.
    pub(crate) fn command(&self) -> Option<(&str, &str)> {
        match &self.content {
            Value::String(text) => slash_command::parse(text),
            Value::Array(blocks) => slash_command::parse(blocks.last()?["text"].as_str()?),
            _ => None,
        }
        .filter(|_| self.wants_answer)
    }

    /// The two messages as one: Claude Code joins the messages that arrive during an answer.
    pub(crate) fn join(self, next: UserMessage) -> UserMessage {
        let content = match (self.content, next.content) {
            (Value::String(first), Value::String(second)) => format!("{first}\n{second}").into(),
            (first, second) => {
                let mut blocks = blocks_of(first);
                if let Some(Value::String(text)) = blocks.last_mut().and_then(|last| last.get_mut("text")) {
                    text.push('\n');
                }
                blocks.into_iter().chain(blocks_of(second)).collect()
            }
        };
        UserMessage { content, uuid: next.uuid.or(self.uuid), ..next }
    }
}

fn blocks_of(content: Value) -> Vec<Value> {
    match content {
        Value::Array(blocks) => blocks,
        text => vec![serde_json::json!({"type": "text", "text": text})],
    }
}

fn block_text(block: &Value) -> Option<String> {
    if let Some(text) = block["text"].as_str() {
        return Some(text.into());
    }
    match (block["type"].as_str()?, block["source"]["type"].as_str()) {
        ("document", Some("text")) => block["source"]["data"].as_str().map(str::to_string),
        (kind @ ("image" | "document"), _) => Some(format!("[{kind}: not shown to the local model]")),
        _ => None,
    }
}

/// The longest line, in bytes: the API takes requests of 32 MB (errors page of its documentation).
const LONGEST_LINE: u64 = 32 << 20;

/// Reads lines until the end of the input, the first one that cannot be parsed, or `take` returns false.
///
/// # Errors
/// The real CLI's text for a line that it cannot parse, and ours for one that is too long.
pub(crate) fn read(mut input: impl BufRead, mut take: impl FnMut(Input) -> bool) -> Result<(), String> {
    loop {
        let mut line = Vec::new();
        match Read::take(&mut input, LONGEST_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return Ok(()),
            Ok(_) if line.len() as u64 == LONGEST_LINE && line.last() != Some(&b'\n') => {
                return Err(format!("Error: a line of streaming input is longer than {} MiB", LONGEST_LINE >> 20));
            }
            Ok(_) => {}
        }
        if !is_blank(&line) && !take(parse_line(&line)?) {
            return Ok(());
        }
    }
}

fn is_blank(line: &[u8]) -> bool {
    String::from_utf8_lossy(line).trim_start_matches('\u{feff}').trim().is_empty()
}

/// # Errors
/// The real CLI's text for a line that it cannot parse.
pub(crate) fn parse_line(line: &[u8]) -> Result<Input, String> {
    if is_blank(line) {
        return Ok(Input::Nothing);
    }
    let line = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line));
    let line = line.strip_prefix('\u{feff}').unwrap_or(&line);
    parse(line.strip_suffix('\r').unwrap_or(line))
}

fn parse(line: &str) -> Result<Input, String> {
    let fault = |what: &str| {
        let length = line.encode_utf16().count();
        Err(format!("Error parsing streaming input line (type={}, {length} chars): {what}", stated_type(line)))
    };
    let Ok(mut value) = serde_json::from_str::<Value>(line).or_else(|_| serde_json::from_str(&replace_lone_surrogates(line)))
    else {
        return fault("SyntaxError");
    };
    if value.is_null() {
        return fault("TypeError");
    }
    match value["type"].as_str() {
        Some("user") => user(value),
        Some("control_request") => {
            let request = value.get_mut("request").map(Value::take).filter(|request| !request.is_null());
            let request = request.ok_or("Error: Missing request on control_request")?;
            Ok(Input::Control { id: value.get_mut("request_id").map(Value::take), request })
        }
        Some("assistant") if value["message"]["content"].is_array() => {
            let content = UserMessage { content: value["message"]["content"].clone(), ..UserMessage::text(String::new()) };
            Ok(Input::Assistant(value, content.as_text()))
        }
        _ => Ok(Input::Nothing),
    }
}

fn user(mut value: Value) -> Result<Input, String> {
    match &value["message"]["role"] {
        Value::String(role) if role == "user" => {}
        Value::String(role) => return Err(format!("Error: Expected message role 'user', got '{role}'")),
        Value::Null => return Err("Error: Expected message role 'user', got 'undefined'".into()),
        role => return Err(format!("Error: Expected message role 'user', got '{role}'")),
    }
    let content = match value["message"]["content"].take() {
        Value::Null => NO_CONTENT.into(),
        Value::String(text) if text.is_empty() => NO_CONTENT.into(),
        content @ Value::String(_) => content,
        Value::Array(blocks) if blocks.iter().all(Value::is_object) => Value::Array(blocks),
        _ => return Ok(Input::Nothing),
    };
    let has_tool_result = content.as_array().is_some_and(|blocks| blocks.iter().any(|block| block["type"] == "tool_result"));
    Ok(Input::User(UserMessage {
        content,
        uuid: value["uuid"].as_str().map(str::to_string),
        wants_answer: value["shouldQuery"] != false,
        is_replayed: value["isSynthetic"] != true && !has_tool_result,
        is_persons: value["origin"]["kind"] == "human",
    }))
}

/// The real CLI's content for an empty message.
pub(crate) const NO_CONTENT: &str = "(no content)";

/// The `type` of a broken line, if it is a word.
fn stated_type(line: &str) -> &str {
    let is_word =
        |word: &&str| (1..=40).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let stated = line.match_indices("\"type\"").find_map(|(at, key)| {
        let value = line[at + key.len()..].trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
        value.split_once('"').map(|(word, _)| word).filter(is_word)
    });
    stated.unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_cannot_be_parsed() {
        let table = [
            ("plain text", "(type=unknown, 10 chars): SyntaxError"),
            ("null", "(type=unknown, 4 chars): TypeError"),
            ("{\"type\":\"user\"", "(type=user, 14 chars): SyntaxError"),
            ("{\"type\": \"user\" , bad}", "(type=user, 22 chars): SyntaxError"),
            ("{\"type\":\"us", "(type=unknown, 11 chars): SyntaxError"),
            ("{\"type\":\"a-b\", x", "(type=unknown, 16 chars): SyntaxError"),
            ("{\"m\":{\"type\":\"text\"},\"type\":\"user\" x", "(type=text, 36 chars): SyntaxError"),
            ("😀😀", "(type=unknown, 4 chars): SyntaxError"),
            ("é{", "(type=unknown, 2 chars): SyntaxError"),
        ];
        for (line, expected) in table {
            let text = read(line.as_bytes(), |_| true).unwrap_err();
            assert_eq!(text, format!("Error parsing streaming input line {expected}"), "{line}");
        }
    }

    #[test]
    fn a_lone_surrogate_is_no_error() {
        let line = r#"{"type":"user","message":{"role":"user","content":"cut \ud83d"}}"#;
        let Ok(Input::User(message)) = parse(line) else { panic!("a message") };
        assert_eq!(message.as_text(), "cut \u{fffd}");
    }

    #[test]
    fn lines_that_ask_for_nothing() {
        let lines = "\n \t\n5\n[]\n{}\n\"x\"\n{\"type\":5}\n{\"type\":\"keep_alive\"}\r\n{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":5}}";
        let mut seen = 0;
        read(lines.as_bytes(), |input| {
            assert!(matches!(input, Input::Nothing), "{input:?}");
            seen += 1;
            true
        })
        .unwrap();
        assert_eq!(seen, 7);
    }

    #[test]
    fn messages_are_joined_as_the_real_cli_joins_them() {
        let text = |text: &str| UserMessage::text(text.into());
        assert_eq!(text("a").join(text("b")).content, "a\nb");
        let blocks = UserMessage { content: serde_json::json!([{"type": "image"}]), uuid: Some("u".into()), ..text("") };
        let joined = text("a").join(blocks);
        assert_eq!(joined.as_text(), "a\n\n[image: not shown to the local model]");
        assert_eq!(joined.uuid.as_deref(), Some("u"));
    }
}
