//! One chat completion, streamed: the request and the events.
//!
//! The request is always streamed, since servers notice a caller who has gone only while they write (mlx-lm 0.32
//! computes an abandoned unstreamed answer to its end). Closing the connection is the way to cancel.

use std::io::{self, Read};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use ureq::Body;
use ureq::http::{Response, StatusCode};

use crate::answer::endpoint::{Endpoint, Patience, error_line, short_body};
use crate::answer::failure::{Failure, before_answer, refusal, transport_line};
use crate::answer::reasoning::{Filter, without_unopened};
use crate::answer::sse::Parser;

/// What is asked of the server.
#[derive(Clone, Serialize)]
pub struct Request {
    /// The model's id.
    pub model: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// The most tokens of an answer. Always sent: mlx-lm's own default is 512, llama.cpp's is the whole context.
    pub max_tokens: u32,
    /// Always sent: the servers' defaults differ (mlx-lm 0.0, llama.cpp 0.8).
    pub temperature: f64,
    stream: bool,
    stream_options: StreamOptions,
    /// What the user wants added to the body.
    #[serde(skip)]
    extra: Map<String, Value>,
}

/// One message of the conversation.
#[derive(Clone, Serialize)]
pub struct Message {
    /// `system` or `user`.
    pub role: &'static str,
    /// Its text.
    pub content: String,
}

/// An empty object here makes mlx-lm 0.32 end the stream without `[DONE]`.
#[derive(Clone, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl Request {
    /// A streamed request; keys of `extra` come last in the body and win.
    pub fn new(model: String, messages: Vec<Message>, max_tokens: u32, temperature: f64, extra: Map<String, Value>) -> Request {
        Request {
            model,
            messages,
            max_tokens,
            temperature,
            stream: true,
            stream_options: StreamOptions { include_usage: true },
            extra,
        }
    }

    /// The body to send. A key that `extra` gives replaces ours rather than standing twice.
    pub fn body(&self) -> Vec<u8> {
        let plain = |request: &Request| serde_json::to_vec(request).unwrap_or_default();
        if self.extra.is_empty() {
            return plain(self);
        }
        let mut object = serde_json::to_value(self).unwrap_or_default();
        for (key, value) in &self.extra {
            object[key] = value.clone();
        }
        object.to_string().into_bytes()
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The answer's text, without thinking, never blank.
    pub text: String,
    /// Whether it ended because `max_tokens` was reached.
    pub is_cut_by_limit: bool,
}

/// Asks and collects the answer. `on_text` is given the answer's text as it comes.
///
/// # Errors
/// See [`Failure`].
pub fn ask(endpoint: &Endpoint, request: &Request, patience: Patience, on_text: &mut dyn FnMut(&str)) -> Result<Answer, Failure> {
    let mut response = endpoint.post(&request.body(), patience).map_err(|error| before_answer(error, patience))?;
    let status = response.status();
    if status != StatusCode::OK {
        let location = response.headers().get("location").map(|place| String::from_utf8_lossy(place.as_bytes()).into_owned());
        return Err(refusal(status, location, &short_body(&mut response)));
    }
    let mut reply = Reply { on_text, text: String::new(), filter: Filter::default(), finish: None, is_done: false, error: None };
    let is_json = response.headers().get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let broken = if is_json { read_whole(&mut response, &mut reply) } else { read_stream(&mut response, &mut reply) };
    reply.end(broken, patience)
}

/// What has come of the answer so far.
struct Reply<'a> {
    on_text: &'a mut dyn FnMut(&str),
    text: String,
    filter: Filter,
    finish: Option<String>,
    is_done: bool,
    error: Option<String>,
}

impl Reply<'_> {
    /// An event that the stream's end may have cut in two is no error of its own: the missing end is.
    fn take_event(&mut self, data: &[u8], may_be_cut: bool) -> bool {
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.is_done = true;
        } else if !data.is_empty() {
            match serde_json::from_slice::<Chunk>(data) {
                Ok(chunk) => self.take_chunk(chunk),
                Err(_) if may_be_cut => {}
                Err(_) => self.error = Some("an event is not the JSON of a chat completion".into()),
            }
        }
        !self.is_done && self.error.is_none()
    }

    fn take_chunk(&mut self, chunk: Chunk) {
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            let line = error_line(0, &serde_json::json!({ "error": error }).to_string());
            self.error = Some(line.trim_start_matches("HTTP 0: ").to_string());
        }
        for choice in chunk.choices.unwrap_or_default().into_iter().take(1) {
            let piece = choice.delta.or(choice.message).and_then(|delta| delta.content).unwrap_or_default();
            let visible = self.filter.push(&piece);
            self.show(&visible);
            self.finish = choice.finish_reason.or(self.finish.take());
        }
    }

    fn show(&mut self, visible: &str) {
        if !visible.is_empty() {
            self.text.push_str(visible);
            (self.on_text)(visible);
        }
    }

    fn end(mut self, broken: Option<ureq::Error>, patience: Patience) -> Result<Answer, Failure> {
        let rest = self.filter.finish();
        self.show(&rest);
        let is_cut_by_limit = self.finish.as_deref() == Some("length");
        let is_whole = self.is_done && self.finish.is_some() && self.error.is_none();
        if !is_whole {
            let partial = self.text;
            return Err(match (self.error, broken) {
                (Some(reason), _) => Failure::Cut { reason, partial },
                (None, Some(ureq::Error::Timeout(_))) => Failure::Stalled { idle: patience.idle, partial },
                (None, Some(error)) => Failure::Cut { reason: transport_line(&error), partial },
                (None, None) => Failure::Cut { reason: "the stream ended before its end".into(), partial },
            });
        }
        let text = without_unopened(&self.text);
        if text.trim().is_empty() {
            return Err(Failure::Empty { is_cut_by_limit });
        }
        Ok(Answer { text: text.to_string(), is_cut_by_limit })
    }
}

fn read_stream(response: &mut Response<Body>, reply: &mut Reply) -> Option<ureq::Error> {
    let mut parser = Parser::default();
    let mut reader = response.body_mut().as_reader();
    let mut buffer = [0; 16 << 10];
    while !reply.is_done && reply.error.is_none() {
        let length = match reader.read(&mut buffer) {
            Ok(0) => {
                parser.finish(|data| reply.take_event(data, true));
                return None;
            }
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Some(ureq::Error::from(error)),
        };
        if parser.push(&buffer[..length], |data| reply.take_event(data, false)).is_err() {
            reply.error = Some("a line of the stream does not end".into());
        }
    }
    None
}

/// Some servers answer in one piece whatever was asked.
fn read_whole(response: &mut Response<Body>, reply: &mut Reply) -> Option<ureq::Error> {
    let mut bytes = Vec::new();
    match response.body_mut().as_reader().take(64 << 20).read_to_end(&mut bytes) {
        Err(error) => return Some(ureq::Error::from(error)),
        Ok(_) => match serde_json::from_slice(&bytes) {
            Ok(chunk) => reply.take_chunk(chunk),
            Err(_) => reply.error = Some("the answer is not the JSON of a chat completion".into()),
        },
    }
    reply.is_done = true;
    None
}

/// The fields of a chunk that matter. Any of them may be missing or null, `choices` may be empty; unknown ones, such
/// as `reasoning` (mlx-lm) and `reasoning_content` (llama.cpp, vLLM), are passed over.
#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    message: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(default, deserialize_with = "text_of")]
    content: Option<String>,
}

/// A string, null, or a list of parts with text.
fn text_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Content {
        Text(String),
        Parts(Vec<Part>),
        Other(serde::de::IgnoredAny),
    }
    #[derive(Deserialize)]
    struct Part {
        text: Option<String>,
    }
    Ok(match Option::<Content>::deserialize(deserializer)? {
        Some(Content::Text(text)) => Some(text),
        Some(Content::Parts(parts)) => Some(parts.into_iter().filter_map(|part| part.text).collect()),
        Some(Content::Other(_)) | None => None,
    })
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
