//! What must hold for any bytes of a local server, however they are cut.

use serde_json::{Map, Value, json};
use ureq::http::{HeaderMap, HeaderValue, StatusCode, header::RETRY_AFTER};

use crate::completions::content::{Content, Part};
use crate::completions::dialect::begins_bare;
use crate::completions::dialect::harmony::Harmony;
use crate::completions::dialect::marks::places;
use crate::completions::ended::Ended;
use crate::completions::failure::{CompletionError, in_stream, refusal};
use crate::completions::reader::Reader;
use crate::completions::sse::{Parser, Said};
use crate::completions::thinking::MARKS;
use crate::completions::tool::{Tool, ToolCall};
use crate::completions::untaken::{LeftOut, Untaken};

/// The bytes in pieces of one to sixteen. Where they are cut depends on nothing but the bytes.
pub(crate) fn cut(bytes: &[u8]) -> Vec<&[u8]> {
    let mut random =
        bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        random = (random ^ random >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let (piece, left) = rest.split_at((1 + (random >> 60) as usize).min(rest.len()));
        pieces.push(piece);
        rest = left;
    }
    pieces
}

fn cut_text(text: &str) -> Vec<&str> {
    let (mut pieces, mut begin, mut at) = (Vec::new(), 0, 0);
    for piece in cut(text.as_bytes()) {
        at += piece.len();
        if text.is_char_boundary(at) {
            pieces.push(&text[begin..at]);
            begin = at;
        }
    }
    pieces
}

fn tools() -> Vec<Tool> {
    let tool = |name: &str, schema: Value| Tool { name: name.into(), description: String::new(), schema };
    vec![
        tool("Bash", json!({"properties": {"command": {"type": "string"}, "timeout": {"type": "number"}}})),
        tool("Read", json!({"properties": {"file_path": {"type": "string"}, "lines": {"type": "array"}}})),
    ]
}

/// The data of each event, and nothing for a comment.
fn said<'b>(pieces: impl IntoIterator<Item = &'b [u8]>) -> Vec<Option<Vec<u8>>> {
    let (mut parser, mut found) = (Parser::default(), Vec::new());
    let mut take = |said: Said| {
        found.push(if let Said::Event(data) = said { Some(data.to_vec()) } else { None });
        true
    };
    let _ = pieces.into_iter().try_for_each(|piece| parser.push(piece, &mut take));
    parser.finish(take);
    found
}

/// Server-sent events.
pub(crate) fn sse(bytes: &[u8]) {
    let whole = said([bytes]);
    assert_eq!(said(cut(bytes)), whole);
    assert_eq!(said(bytes.chunks(1)), whole);
    assert!(whole.iter().flatten().map(Vec::len).sum::<usize>() <= bytes.len(), "more than has come");
    let written: Vec<u8> = whole
        .iter()
        .flat_map(|said| {
            let Some(data) = said else { return b":\n".to_vec() };
            let lines = data.split(|byte| *byte == b'\n').flat_map(|line| [b"data: ", line, b"\n"].concat());
            lines.chain(*b"\n").collect()
        })
        .collect();
    assert_eq!(said([written.as_slice()]), whole);
}

/// What comes of an answer: the text, the thinking, and the rest in words.
#[derive(Debug, PartialEq)]
struct Told {
    text: String,
    thinking: String,
    calls: Vec<ToolCall>,
    has_calls_in_text: bool,
    end: String,
}

impl Told {
    fn new(parts: Vec<Part>, calls: Vec<ToolCall>, has_calls_in_text: bool, end: String) -> Told {
        let mut told = Told { text: String::new(), thinking: String::new(), calls, has_calls_in_text, end };
        for part in parts {
            match part {
                Part::Text(more) => told.text += &more,
                Part::Thinking(more) => told.thinking += &more,
            }
        }
        told
    }

    fn assert_offered(&self, tools: &[Tool]) {
        let is_offered = |call: &ToolCall| tools.iter().any(|tool| tool.name == call.name);
        assert!(self.calls.iter().all(is_offered), "{:?}", self.calls);
    }
}

fn answer<'b>(pieces: impl IntoIterator<Item = &'b [u8]>, tools: &[Tool], thinks_unopened: Option<bool>) -> Told {
    let (mut reader, mut parts) = (Reader::new(tools, thinks_unopened), Vec::new());
    for piece in pieces {
        if !reader.wants_more() {
            break;
        }
        reader.push(piece, &mut parts);
    }
    let (calls, has_calls_in_text, end) = match reader.end(None, &mut parts) {
        Ok(Ended { calls, calls_text, finish, usage, pieces, unknown_markup, thinks_unopened, circling }) => {
            let end = format!("{finish:?} {usage:?} {pieces} {unknown_markup:?} {thinks_unopened:?} {circling:?}");
            (calls, calls_text.is_some(), end)
        }
        Err(error) => (vec![], false, format!("{error:?}")),
    };
    Told::new(parts, calls, has_calls_in_text, end)
}

/// A stream of chat completions, or one in a single piece.
pub(crate) fn chat(bytes: &[u8]) {
    let tools = tools();
    for thinks_unopened in [None, Some(false), Some(true)] {
        let whole = answer([bytes], &tools, thinks_unopened);
        assert_eq!(answer(cut(bytes), &tools, thinks_unopened), whole);
        assert_eq!(answer(bytes.chunks(1), &tools, thinks_unopened), whole);
        // An invalid byte may become three.
        assert!(whole.text.len() + whole.thinking.len() <= 3 * bytes.len() + 64, "more than has come");
        if whole.has_calls_in_text {
            whole.assert_offered(&tools);
        }
    }
    let mut parts = Vec::new();
    let mut reader = Reader::new(&tools, Some(false));
    reader.push_whole(bytes, &mut parts);
    drop(reader.end(None, &mut parts));
}

fn content(pieces: &[&str], tools: &[Tool], is_whole: bool) -> Told {
    let (mut content, mut parts) = (Content::new(tools), Vec::new());
    pieces.iter().for_each(|piece| content.push(piece, &mut parts));
    let (calls, _) = content.finish(is_whole, true, &mut parts).unzip();
    Told::new(parts, calls.unwrap_or_default(), true, String::new())
}

/// Whether nothing in a text is a mark, or looks like a call without one.
fn is_plain(text: &str, tools: &[Tool]) -> bool {
    places(text).next().is_none()
        && begins_bare(text.trim_start(), tools) == Some(false)
        && Harmony::begins(text.trim_start()) == Some(false)
        && MARKS.iter().all(|(open, close)| !text.contains(open) && !text.contains(close))
}

/// The text of an answer, in which a model may have written calls.
pub(crate) fn dialects(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for (tools, is_whole) in [(tools(), true), (tools(), false), (vec![], true)] {
        let whole = content(&[&text], &tools, is_whole);
        assert_eq!(content(&cut_text(&text), &tools, is_whole), whole);
        whole.assert_offered(&tools);
        if is_plain(&text, &tools) {
            assert_eq!((whole.text.as_str(), whole.thinking.as_str()), (&*text, ""), "text that is no call");
        }
        if is_whole {
            let chunk = |text: &str| json!({"choices": [{"delta": {"content": text}}]});
            let end = json!({"choices": [{"delta": {}, "finish_reason": "stop"}]});
            let chunks = cut_text(&text).into_iter().map(chunk).chain([end]);
            let stream: String = chunks.map(|chunk| format!("data: {chunk}\n\n")).collect();
            let streamed = answer([stream.as_bytes()], &tools, Some(false));
            let is_circling = !streamed.end.ends_with("None");
            assert!(
                is_circling || (&streamed.text, &streamed.thinking) == (&whole.text, &whole.thinking),
                "{streamed:?} {whole:?}"
            );
        }
    }
}

/// What a server says instead of an answer: the status and `Retry-After` in the first line, then the body.
pub(crate) fn server_words(bytes: &[u8]) {
    let said = String::from_utf8_lossy(bytes);
    let (head, body) = said.split_once('\n').unwrap_or(("500", &said));
    let (status, retry_after) = head.split_once(' ').unwrap_or((head, ""));
    let status = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::BAD_REQUEST);
    let headers: HeaderMap = HeaderValue::from_str(retry_after).map(|value| (RETRY_AFTER, value)).into_iter().collect();
    check_failure(refusal(status, &headers, body));
    let error: Value = serde_json::from_str(body).unwrap_or_else(|_| body.into());
    for is_first in [true, false] {
        check_failure(in_stream(&error, is_first).by_its_words());
    }
}

fn check_failure(failure: CompletionError) {
    let (about, line) = match &failure {
        CompletionError::Untaken { about, refusal } => (about.clone(), refusal.line.clone()),
        CompletionError::UnknownModel(refusal) | CompletionError::Refusal(refusal) | CompletionError::Passing { refusal, .. } => {
            (vec![], refusal.line.clone())
        }
        CompletionError::Dead(line) => (vec![], line.clone()),
        CompletionError::Cut { reason, .. } => (vec![], reason.clone()),
        _ => return,
    };
    assert!(!line.contains(char::is_control) && line.chars().count() < 600, "{line:?}");
    for untaken in &about {
        assert_eq!(Untaken::of_word(&untaken.word()).as_ref(), Some(untaken), "as a file keeps it");
    }
    // One thing after the other is left out, until there is nothing more to leave out.
    let (body, mut left_out) = (request(), LeftOut::default());
    let mut before = left_out.finish(body.clone(), &Map::new());
    while let Some(untaken) = left_out.next(&about, &line, &body, &Map::new()) {
        left_out.add(untaken);
        let after = left_out.finish(body.clone(), &Map::new());
        assert_ne!(after, before);
        assert!(after.contains_key("messages") && after.contains_key("model"), "{after:?}");
        before = after;
    }
}

fn request() -> Map<String, Value> {
    let tool =
        |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"anyOf": [{"type": "object"}]}}});
    let request = json!({
        "model": "m", "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 8, "temperature": 0.2,
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "q"}, {"type": "image_url", "image_url": {"url": "data:"}}]},
            {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "Bash", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "r"},
        ],
        "tools": [tool("Bash"), tool("Read")], "tool_choice": {"type": "function", "function": {"name": "Bash"}},
    });
    request.as_object().cloned().unwrap_or_default()
}
