//! One chat completion, streamed: the request and the events.
//!
//! The request is always streamed, since servers notice a caller who has gone only while they write (mlx-lm 0.32
//! computes an abandoned unstreamed answer to its end). Closing the connection is the way to cancel.

use std::io::{self, Read};
use std::ops::ControlFlow;

use serde::Serialize;
use serde_json::{Map, Value};
use ureq::Body;
use ureq::http::{Response, StatusCode};

use crate::completions::affinity::Affinity;
use crate::completions::chunk::Usage;
use crate::completions::circles::CUT;
use crate::completions::content::Part;
use crate::completions::ended::Ended;
use crate::completions::endpoint::{Endpoint, Timeouts, short_body};
use crate::completions::failure::{CompletionError, before_answer, refusal, transport_line};
use crate::completions::reader::{MAX_ANSWER, Reader};
use crate::completions::thinking::split_unopened;
use crate::completions::untaken::{LeftOut, Untaken};

/// What is asked of the server.
#[derive(Clone, Serialize)]
pub(crate) struct Request {
    /// The model's id.
    pub model: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// The most tokens of an answer. Always sent: mlx-lm's own default is 512, llama.cpp's is the whole context.
    pub max_tokens: u32,
    /// Always sent: the servers' defaults differ (mlx-lm 0.0, llama.cpp 0.8).
    pub temperature: f64,
    /// The form that the answer must have, in OpenAI's words: `{"type": "json_schema", …}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_format: Option<Value>,
    stream: bool,
    stream_options: StreamOptions,
    /// The session that it belongs to.
    #[serde(rename = "user", skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// What the server does not take of it.
    #[serde(skip)]
    pub left_out: LeftOut,
    /// What the user wants added to the body.
    #[serde(skip)]
    extra: Map<String, Value>,
    /// Whether the model's answers begin with thinking without its opening mark, if that is known.
    #[serde(skip)]
    pub thinks_unopened: Option<bool>,
}

/// One message of the conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Message {
    /// `system`, `user` or `assistant`.
    pub role: &'static str,
    pub content: String,
}

/// An empty object here makes mlx-lm 0.32 end the stream without `[DONE]`.
#[derive(Clone, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl Request {
    /// A streamed request; keys of `extra` come last in the body and win.
    pub(crate) fn new(
        model: String,
        messages: Vec<Message>,
        max_tokens: u32,
        temperature: f64,
        extra: Map<String, Value>,
    ) -> Request {
        Request {
            model,
            messages,
            max_tokens,
            temperature,
            response_format: None,
            stream: true,
            stream_options: StreamOptions { include_usage: true },
            affinity: None,
            left_out: LeftOut::default(),
            extra,
            thinks_unopened: None,
        }
    }

    /// The body to send. A key that `extra` gives replaces ours rather than standing twice.
    pub(crate) fn body(&self) -> Vec<u8> {
        if self.extra.is_empty() && self.left_out.is_empty() {
            return serde_json::to_vec(self).unwrap_or_default();
        }
        Value::from(self.left_out.finish(self.whole(), &self.extra)).to_string().into_bytes()
    }

    /// What can be left out besides, see [`LeftOut::next`].
    pub(crate) fn next_to_leave_out(&self, about: &[Untaken], line: &str) -> Option<Untaken> {
        self.left_out.next(about, line, &self.whole(), &self.extra)
    }

    fn whole(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(body)) => body,
            _ => Map::new(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    /// The answer's text, without thinking, never blank.
    pub text: String,
    /// Whether it ended because `max_tokens` was reached.
    pub is_cut_by_limit: bool,
    pub usage: Usage,
    /// A control token in it that no dialect knows.
    pub unknown_markup: Option<String>,
    /// Whether it began with thinking without its opening mark. None if it does not tell.
    pub thinks_unopened: Option<bool>,
}

/// Takes the answer's text as it comes.
pub(crate) trait Listener {
    /// `Break` cancels the rest.
    fn on_text(&mut self, piece: &str) -> ControlFlow<()>;
    /// All that has come so far was passed on. `Break` cancels the rest.
    fn on_pause(&mut self) -> ControlFlow<()>;
    /// Whether the caller has what was taken: then no other answer may take its place.
    fn has_passed_on(&self) -> bool;
    /// What was taken counts for nothing: another answer takes its place.
    fn begin_again(&mut self);
}

impl Listener for () {
    fn on_text(&mut self, _: &str) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    fn on_pause(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    fn has_passed_on(&self) -> bool {
        false
    }
    fn begin_again(&mut self) {}
}

/// Asks and collects the answer.
///
/// # Errors
/// See [`CompletionError`].
pub(crate) fn ask(
    endpoint: &Endpoint,
    request: &Request,
    timeouts: Timeouts,
    listener: &mut dyn Listener,
) -> Result<Answer, CompletionError> {
    let mut response =
        endpoint.post(&request.body(), request.affinity.as_ref(), timeouts).map_err(|error| before_answer(error, timeouts))?;
    let status = response.status();
    if status != StatusCode::OK {
        let body = endpoint.without_key(short_body(&mut response));
        return Err(refusal(status, response.headers(), &body));
    }
    let mut collector = Collector::new(request.thinks_unopened, listener);
    let is_json = response.headers().get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let broken = if is_json { read_whole(&mut response, &mut collector) } else { read_stream(&mut response, &mut collector) };
    let broken = broken.map(|error| match error {
        ureq::Error::Timeout(_) => CompletionError::Stalled { idle: timeouts.idle, partial: String::new() },
        error => CompletionError::Cut { reason: transport_line(&error), partial: String::new() },
    });
    collector.end(broken)
}

/// What has come of the answer so far.
struct Collector<'a> {
    reader: Reader<'static>,
    listener: &'a mut dyn Listener,
    parts: Vec<Part>,
    text: String,
    /// Text was given to the listener as it came.
    is_passed_on: bool,
    is_cancelled: bool,
}

impl<'a> Collector<'a> {
    fn new(thinks_unopened: Option<bool>, listener: &'a mut dyn Listener) -> Collector<'a> {
        let (reader, parts, text) = (Reader::new(&[], thinks_unopened), Vec::new(), String::new());
        Collector { reader, listener, parts, text, is_passed_on: thinks_unopened == Some(false), is_cancelled: false }
    }

    fn wants_more(&self) -> bool {
        self.reader.wants_more() && !self.is_cancelled
    }

    fn push(&mut self, bytes: &[u8]) {
        self.reader.push(bytes, &mut self.parts);
        self.show();
        self.is_cancelled |= self.listener.on_pause().is_break();
    }

    fn show(&mut self) {
        for part in self.parts.drain(..) {
            if let Part::Text(text) = part {
                self.text.push_str(&text);
                self.is_cancelled |= self.listener.on_text(&text).is_break();
            }
        }
    }

    fn end(mut self, broken: Option<CompletionError>) -> Result<Answer, CompletionError> {
        let outcome = self.reader.end(broken, &mut self.parts);
        self.show();
        if outcome.as_ref().is_ok_and(|ended| ended.circling.is_some()) {
            let note = if self.text.is_empty() { CUT.trim_start() } else { CUT };
            self.parts.push(Part::Text(note.into()));
            self.show();
        }
        if self.is_cancelled || self.listener.on_pause().is_break() {
            return Err(CompletionError::Cancelled);
        }
        let ended = outcome.map_err(|failure| failure.with_partial(&self.text))?;
        let is_cut_by_limit = ended.is_cut_by_limit();
        let Ended { usage, unknown_markup, thinks_unopened, .. } = ended;
        let text = match split_unopened(&self.text, Some(false)) {
            // Pieces of the thinking are out: this model did not think so before.
            Some((_, answer)) if self.is_passed_on => answer.to_string(),
            _ => self.text,
        };
        if text.trim().is_empty() {
            return Err(CompletionError::Empty { is_cut_by_limit });
        }
        Ok(Answer { text, is_cut_by_limit, usage: usage.unwrap_or_default(), unknown_markup, thinks_unopened })
    }
}

fn read_stream(response: &mut Response<Body>, collector: &mut Collector) -> Option<ureq::Error> {
    let mut reader = response.body_mut().as_reader();
    let mut buffer = [0; 16 << 10];
    while collector.wants_more() {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => collector.push(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Some(ureq::Error::from(error)),
        }
    }
    None
}

/// Some servers answer in one piece whatever was asked.
fn read_whole(response: &mut Response<Body>, collector: &mut Collector) -> Option<ureq::Error> {
    let mut bytes = Vec::new();
    if let Err(error) = response.body_mut().as_reader().take(MAX_ANSWER as u64).read_to_end(&mut bytes) {
        return Some(ureq::Error::from(error));
    }
    collector.reader.push_whole(&bytes, &mut collector.parts);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_keys_replace_ours() {
        let extra = serde_json::from_str(r#"{"temperature":1,"top_k":5}"#).unwrap();
        let body = Request::new("m".into(), vec![], 8, 0.2, extra).body();
        let text = String::from_utf8(body).unwrap();
        assert_eq!(text.matches("temperature").count(), 1);
        assert!(text.contains("\"temperature\":1") && text.contains("\"top_k\":5"), "{text}");
    }
}
