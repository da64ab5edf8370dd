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

use crate::completions::chunk::{Chunk, Usage};
use crate::completions::endpoint::{Endpoint, Timeouts, short_body};
use crate::completions::failure::{CompletionError, before_answer, refusal, transport_line};
use crate::completions::sse::Parser;
use crate::completions::thinking::{Filter, without_unopened};
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
    /// What the server does not take of it.
    #[serde(skip)]
    pub left_out: LeftOut,
    /// What the user wants added to the body.
    #[serde(skip)]
    extra: Map<String, Value>,
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
            left_out: LeftOut::default(),
            extra,
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
}

/// Takes the answer's text as it comes.
pub(crate) trait Listener {
    /// `Break` cancels the rest.
    fn on_text(&mut self, piece: &str) -> ControlFlow<()>;
    /// All that has come so far was passed on. `Break` cancels the rest.
    fn on_pause(&mut self) -> ControlFlow<()>;
}

impl Listener for () {
    fn on_text(&mut self, _: &str) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    fn on_pause(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
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
    let mut response = endpoint.post(&request.body(), timeouts).map_err(|error| before_answer(error, timeouts))?;
    let status = response.status();
    if status != StatusCode::OK {
        let body = endpoint.without_key(short_body(&mut response));
        return Err(refusal(status, response.headers(), &body));
    }
    let mut collector = Collector::new(listener);
    let is_json = response.headers().get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let broken = if is_json { read_whole(&mut response, &mut collector) } else { read_stream(&mut response, &mut collector) };
    if let Some(error) = collector.error.take() {
        collector.error = Some(endpoint.without_key(error));
    }
    collector.end(broken, timeouts)
}

/// In bytes: more than any answer needs. A server may pass over `max_tokens`.
const MAX_ANSWER: usize = 64 << 20;

/// What has come of the answer so far.
struct Collector<'a> {
    listener: &'a mut dyn Listener,
    text: String,
    filter: Filter,
    finish: Option<String>,
    usage: Usage,
    is_done: bool,
    is_cancelled: bool,
    error: Option<String>,
}

impl<'a> Collector<'a> {
    fn new(listener: &'a mut dyn Listener) -> Collector<'a> {
        let (text, filter, usage) = (String::new(), Filter::default(), Usage::default());
        Collector { listener, text, filter, finish: None, usage, is_done: false, is_cancelled: false, error: None }
    }

    fn wants_more(&self) -> bool {
        !self.is_done && !self.is_cancelled && self.error.is_none()
    }

    /// An event that the stream's end may have cut in two is no error of its own: the missing end is.
    fn take_event(&mut self, data: &[u8], may_be_cut: bool) -> bool {
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.is_done = true;
        } else if !data.is_empty() {
            match Chunk::read(data, |chunk| self.take_chunk(chunk)) {
                Err(_) if !may_be_cut => self.error = Some("an event is not the JSON of a chat completion".into()),
                _ => {}
            }
        }
        self.wants_more()
    }

    fn take_chunk(&mut self, chunk: Chunk) {
        self.error = chunk.error().or(self.error.take());
        self.usage = chunk.usage().unwrap_or(self.usage);
        if let Some(choice) = chunk.choice() {
            if let Some(text) = choice.text() {
                let visible = self.filter.push(&text);
                self.show(&visible);
            }
            self.finish = choice.finish_reason.or(self.finish.take());
        }
    }

    fn show(&mut self, visible: &str) {
        if !visible.is_empty() {
            self.text.push_str(visible);
            if self.text.len() > MAX_ANSWER {
                self.error = Some("it does not end".into());
                // Too much to show on stderr.
                self.text.clear();
            }
            self.is_cancelled |= self.listener.on_text(visible).is_break();
        }
    }

    fn end(mut self, broken: Option<ureq::Error>, timeouts: Timeouts) -> Result<Answer, CompletionError> {
        let rest = self.filter.finish();
        self.show(&rest);
        if self.is_cancelled || self.listener.on_pause().is_break() {
            return Err(CompletionError::Cancelled);
        }
        let is_cut_by_limit = self.finish.as_deref() == Some("length");
        let is_whole = self.is_done && self.finish.is_some() && self.error.is_none();
        if !is_whole {
            let partial = self.text;
            return Err(match (self.error, broken) {
                (Some(reason), _) => CompletionError::Cut { reason, partial },
                (None, Some(ureq::Error::Timeout(_))) => CompletionError::Stalled { idle: timeouts.idle, partial },
                (None, Some(error)) => CompletionError::Cut { reason: transport_line(&error), partial },
                (None, None) => CompletionError::Cut { reason: "the stream ended before its end".into(), partial },
            });
        }
        let text = without_unopened(&self.text);
        if text.trim().is_empty() {
            return Err(CompletionError::Empty { is_cut_by_limit });
        }
        Ok(Answer { text: text.to_string(), is_cut_by_limit, usage: self.usage })
    }
}

fn read_stream(response: &mut Response<Body>, collector: &mut Collector) -> Option<ureq::Error> {
    let mut parser = Parser::default();
    let mut reader = response.body_mut().as_reader();
    let mut buffer = [0; 16 << 10];
    while collector.wants_more() {
        let length = match reader.read(&mut buffer) {
            Ok(0) => {
                parser.finish(|data| collector.take_event(data, true));
                return None;
            }
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Some(ureq::Error::from(error)),
        };
        if parser.push(&buffer[..length], |data| collector.take_event(data, false)).is_err() {
            collector.error = Some("a line of the stream does not end".into());
        }
        collector.is_cancelled |= collector.listener.on_pause().is_break();
    }
    None
}

/// Some servers answer in one piece whatever was asked.
fn read_whole(response: &mut Response<Body>, collector: &mut Collector) -> Option<ureq::Error> {
    let mut bytes = Vec::new();
    match response.body_mut().as_reader().take(64 << 20).read_to_end(&mut bytes) {
        Err(error) => return Some(ureq::Error::from(error)),
        Ok(_) => {
            if Chunk::read(&bytes, |chunk| collector.take_chunk(chunk)).is_err() {
                collector.error = Some("the answer is not the JSON of a chat completion".into());
            }
        }
    }
    collector.is_done = true;
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
