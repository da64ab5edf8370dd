//! What differs from run to run, replaced as `scripts/record-golden.py` replaces it.

use std::path::Path;

use serde_json::{Map, Value};

/// Sessions by their number in the case, the API's ids by their number in the call, other ids, times and paths by a word,
/// durations by 0. Ids that the case itself names stay.
pub struct Masks {
    homes: Vec<String>,
    port: String,
    named: String,
    sessions: Vec<String>,
    api_ids: Vec<(&'static str, Vec<String>)>,
}

impl Masks {
    /// For a case with these calls in this home with a model server on this port.
    pub fn new(home: &Path, port: u16, calls: &Value) -> Masks {
        let resolved = home.canonicalize().unwrap().to_string_lossy().into_owned();
        let named = calls.as_array().into_iter().flatten().map(|call| format!("{}{}", call["args"], call["stdin"])).collect();
        let homes = vec![resolved, home.to_string_lossy().into_owned()];
        Masks { homes, port: port.to_string(), named, sessions: vec![], api_ids: vec![] }
    }

    /// Begins the next call.
    pub fn next_call(&mut self) {
        self.api_ids = ["msg", "req", "toolu"].map(|kind| (kind, vec![])).into();
    }

    /// Text.
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_string();
        for home in &self.homes {
            let flat = home.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
            text = text.replace(home, "[HOME]").replace(&flat, "[HOME]");
        }
        text = text.replace(&format!("127.0.0.1:{}", self.port), "127.0.0.1:[port]");
        self.without_ids(&without_wall_time(&text))
    }

    /// A JSON value, which stands under this key.
    pub fn value(&mut self, value: &Value, key: &str) -> Value {
        match value {
            Value::Object(fields) => {
                let mut masked = Map::new();
                for (key, field) in fields {
                    masked.insert(self.text(key), self.value(field, key));
                }
                masked.into()
            }
            Value::Array(items) => items.iter().map(|item| self.value(item, "")).collect(),
            Value::String(id) if key == "session_id" && !id.is_empty() && !self.named.contains(id.as_str()) => {
                format!("[session {}]", number(&mut self.sessions, id)).into()
            }
            Value::String(time) if is_time(time) => "[time]".into(),
            Value::String(text) => match self.api_ids.iter_mut().find(|(kind, _)| is_api_id(text, kind)) {
                Some((kind, known)) => format!("[{kind} {}]", number(known, text)).into(),
                None => self.text(text).into(),
            },
            Value::Number(_) if key.ends_with("_ms") || key == "pid" => 0.into(),
            other => other.clone(),
        }
    }

    fn without_ids(&self, text: &str) -> String {
        let mut masked = String::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let length = match rest.get(..36).filter(|id| is_uuid(id)) {
                Some(id) => {
                    masked.push_str(if self.named.contains(id) { id } else { "[uuid]" });
                    id.len()
                }
                None => {
                    masked.push(next);
                    next.len_utf8()
                }
            };
            rest = &rest[length..];
        }
        masked
    }
}

/// What `/cost` tells of it.
fn without_wall_time(text: &str) -> String {
    let mut masked = String::new();
    for line in text.split_inclusive('\n') {
        match line.split_once("(wall): ") {
            Some((head, time)) => {
                let spaces = &time[..time.len() - time.trim_start().len()];
                let end = time.trim_start().trim_start_matches(|c: char| c.is_ascii_alphanumeric());
                masked.extend([head, "(wall): ", spaces, "[time]", end]);
            }
            None => masked.push_str(line),
        }
    }
    masked
}

fn number(known: &mut Vec<String>, id: &str) -> usize {
    let at = known.iter().position(|seen| seen == id).unwrap_or_else(|| {
        known.push(id.into());
        known.len() - 1
    });
    at + 1
}

/// Such as `msg_1`.
fn is_api_id(text: &str, kind: &str) -> bool {
    let rest = text.strip_prefix(kind).and_then(|rest| rest.strip_prefix('_'));
    rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// As JavaScript writes it: `2026-11-22T08:59:05.529Z`.
fn is_time(text: &str) -> bool {
    text.len() == 24
        && text.bytes().zip(b"0000-00-00T00:00:00.000Z").all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            form => byte == *form,
        })
}
