//! One question of the doctor to a local model, and what came back: as the server has sent it, and as this program understands it.

use std::cell::RefCell;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use ureq::Body;
use ureq::http::{Response, StatusCode};

use crate::completions::chunk::{Chunk, Usage};
use crate::completions::content::Part;
use crate::completions::ended::Ended;
use crate::completions::endpoint::{Timeouts, short_body};
use crate::completions::failure::{CompletionError, before_answer, refusal};
use crate::completions::reader::{MAX_ANSWER, Reader};
use crate::completions::sse::{Parser, Said};
use crate::completions::tool::Tool;
use crate::completions::untaken::{LeftOut, Untaken};
use crate::local_model::chain::Link;
use crate::shown::Shown;

/// How often a question is asked again without what the server does not take of it.
const MOST_TRIES: usize = 6;

/// A question.
#[derive(Default)]
pub(super) struct Question {
    pub(super) messages: Vec<Value>,
    pub(super) max_tokens: u32,
    pub(super) tools: Vec<Tool>,
    /// Other keys of the request.
    pub(super) more: Map<String, Value>,
    /// What the question is about: a server that does not take it has answered.
    pub(super) about: Vec<Untaken>,
}

impl Question {
    /// One of the user's messages.
    pub(super) fn of_user(text: impl Into<String>, max_tokens: u32) -> Question {
        Question { messages: vec![json!({"role": "user", "content": text.into()})], max_tokens, ..Question::default() }
    }
}

/// What came of a question.
pub(super) struct Told {
    /// Until the first piece of thinking, of text or of a call.
    pub(super) first: Option<Duration>,
    pub(super) end: Duration,
    /// The text as the server sends it.
    pub(super) raw_text: String,
    /// Pieces with text.
    pub(super) text_pieces: usize,
    /// Pieces of calls that the server itself has found.
    pub(super) call_pieces: usize,
    /// Whether the server tells thinking from text.
    pub(super) has_thinking: bool,
    /// The text as callers get it.
    pub(super) text: String,
    pub(super) usage: Option<Usage>,
    pub(super) outcome: Result<Ended, CompletionError>,
    /// The time for it was up.
    pub(super) is_out_of_time: bool,
}

/// A local model that is tried.
pub(super) struct Asker<'a> {
    pub(super) link: &'a Link,
    /// Its name at the server.
    pub(super) model: String,
    /// For one question.
    pub(super) limit: Duration,
    /// For all of them.
    budget: Duration,
    until: Instant,
    left_out: RefCell<LeftOut>,
}

impl<'a> Asker<'a> {
    pub(super) fn new(link: &'a Link, model: String, limit: Duration, budget: Duration) -> Asker<'a> {
        Asker { link, model, limit, budget, until: Instant::now() + budget, left_out: RefCell::default() }
    }

    /// The same with all of the time before it.
    pub(super) fn again(self) -> Asker<'a> {
        Asker { until: Instant::now() + self.budget, ..self }
    }

    /// A failure in one line, without the key.
    pub(super) fn line(&self, error: &CompletionError) -> Shown {
        Shown::line(error.clone().into_error(self.link.server.endpoint()))
    }

    /// How long the next question may take.
    pub(super) fn time(&self) -> Duration {
        self.limit.min(self.until.saturating_duration_since(Instant::now()))
    }

    /// Asks within the limit. What the server does not take, and the question is not about, is left out.
    pub(super) fn ask(&self, question: &Question) -> Told {
        self.ask_within(question, self.time())
    }

    pub(super) fn ask_within(&self, question: &Question, limit: Duration) -> Told {
        let until = Instant::now() + limit;
        for _ in 0..MOST_TRIES {
            let told = self.ask_once(question, until.saturating_duration_since(Instant::now()));
            let Err(CompletionError::Untaken { about, refusal }) = &told.outcome else { return told };
            let wanted: Vec<Untaken> = about.iter().filter(|part| !question.about.contains(part)).cloned().collect();
            let next = self.left_out.borrow().next(&wanted, &refusal.line, &self.body(question), self.link.settings.extra());
            match next {
                Some(part) => self.left_out.borrow_mut().add(part),
                None => return told,
            }
        }
        self.ask_once(question, until.saturating_duration_since(Instant::now()))
    }

    fn body(&self, question: &Question) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("model".into(), self.model.as_str().into());
        body.insert("messages".into(), question.messages.clone().into());
        body.insert("max_tokens".into(), question.max_tokens.into());
        body.insert("temperature".into(), self.link.settings.temperature().into());
        body.insert("stream".into(), true.into());
        body.insert("stream_options".into(), json!({"include_usage": true}));
        if !question.tools.is_empty() {
            body.insert("tools".into(), question.tools.iter().map(Tool::in_chat).collect());
        }
        body.extend(question.more.clone());
        body
    }

    fn ask_once(&self, question: &Question, limit: Duration) -> Told {
        const LEAST: Duration = Duration::from_millis(100);
        let endpoint = self.link.server.endpoint();
        if limit < LEAST {
            let idle = Duration::ZERO;
            return Told::failed(CompletionError::Stalled { idle, partial: String::new() }, idle, true);
        }
        let usual = self.link.settings.timeouts;
        let timeouts = Timeouts { connect: usual.connect.min(limit), idle: usual.idle.min(limit), whole: Some(limit) };
        let body = self.left_out.borrow().finish(self.body(question), self.link.settings.extra());
        let begun = Instant::now();
        let sent = endpoint.post(Value::from(body).to_string().as_bytes(), None, timeouts);
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => {
                let is_out_of_time = matches!(error, ureq::Error::Timeout(_));
                return Told::failed(before_answer(error, timeouts), begun.elapsed(), is_out_of_time);
            }
        };
        if response.status() != StatusCode::OK {
            let (status, headers) = (response.status(), response.headers().clone());
            let body = endpoint.without_key(short_body(&mut response));
            return Told::failed(refusal(status, &headers, &body).by_its_words(), begun.elapsed(), false);
        }
        Watcher::new(&question.tools, begun, timeouts, self.limit).read(&mut response)
    }
}

impl Told {
    fn failed(error: CompletionError, end: Duration, is_out_of_time: bool) -> Told {
        Told {
            first: None,
            end,
            raw_text: String::new(),
            text_pieces: 0,
            call_pieces: 0,
            has_thinking: false,
            text: String::new(),
            usage: None,
            outcome: Err(error),
            is_out_of_time,
        }
    }

    /// How many tokens were read, if the server counts.
    pub(super) fn read(&self) -> Option<u64> {
        self.usage.map(|usage| usage.input.saturating_add(usage.cached)).filter(|read| *read > 0)
    }

    /// How many tokens were written, by the server's count or by the pieces.
    pub(super) fn written(&self) -> u64 {
        self.usage.map(|usage| usage.output).filter(|output| *output > 0).unwrap_or(self.text_pieces as u64)
    }

    /// The calls, by whatever way they came.
    pub(super) fn calls(&self) -> usize {
        self.outcome.as_ref().map_or(0, |ended| ended.calls.len())
    }
}

/// Notes an answer while it comes.
struct Watcher<'t> {
    reader: Reader<'t>,
    parser: Parser,
    begun: Instant,
    timeouts: Timeouts,
    /// How long the answer may take once it has begun: only what loads a model first has more time.
    limit: Duration,
    first: Option<Duration>,
    raw_text: String,
    text_pieces: usize,
    call_pieces: usize,
    has_thinking: bool,
    usage: Option<Usage>,
}

impl<'t> Watcher<'t> {
    fn new(tools: &'t [Tool], begun: Instant, timeouts: Timeouts, limit: Duration) -> Watcher<'t> {
        Watcher {
            reader: Reader::new(tools, None),
            parser: Parser::default(),
            begun,
            timeouts,
            limit,
            first: None,
            raw_text: String::new(),
            text_pieces: 0,
            call_pieces: 0,
            has_thinking: false,
            usage: None,
        }
    }

    fn read(mut self, response: &mut Response<Body>) -> Told {
        let is_json = response.headers().get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        let mut source = response.body_mut().as_reader().take(MAX_ANSWER as u64);
        let (mut buffer, mut whole, mut parts, mut broken) = ([0; 16 << 10], Vec::new(), Vec::new(), None);
        while self.reader.wants_more() {
            match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) if is_json => whole.extend_from_slice(&buffer[..length]),
                Ok(length) => {
                    self.note(&buffer[..length]);
                    self.reader.push(&buffer[..length], &mut parts);
                    if self.first.is_some_and(|first| self.begun.elapsed() > first + self.limit) {
                        broken = Some(ureq::Error::Timeout(ureq::Timeout::Global));
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    broken = Some(ureq::Error::from(error));
                    break;
                }
            }
        }
        if is_json && broken.is_none() {
            let _ = Chunk::read(&whole, |chunk| self.note_chunk(chunk));
            self.reader.push_whole(&whole, &mut parts);
        }
        let is_out_of_time = matches!(broken, Some(ureq::Error::Timeout(_)));
        let broken = broken.map(|error| before_answer(error, self.timeouts));
        let outcome = self.reader.end(broken, &mut parts).map_err(CompletionError::by_its_words);
        let text = parts.into_iter().filter_map(|part| if let Part::Text(text) = part { Some(text) } else { None }).collect();
        Told {
            first: self.first,
            end: self.begun.elapsed(),
            raw_text: self.raw_text,
            text_pieces: self.text_pieces,
            call_pieces: self.call_pieces,
            has_thinking: self.has_thinking,
            text,
            usage: self.usage,
            outcome,
            is_out_of_time,
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        let mut events = Vec::new();
        let mut parser = std::mem::take(&mut self.parser);
        let _ = parser.push(bytes, |said| {
            if let Said::Event(data) = said {
                events.push(data.to_vec());
            }
            true
        });
        self.parser = parser;
        for data in events {
            let _ = Chunk::read(&data, |chunk| self.note_chunk(chunk));
        }
    }

    fn note_chunk(&mut self, chunk: Chunk) {
        self.usage = chunk.usage().or(self.usage);
        let Some(choice) = chunk.choice() else { return };
        let (text, thinking, calls) = (choice.text().unwrap_or_default(), choice.thinking().unwrap_or_default(), choice.calls());
        self.text_pieces += usize::from(!text.is_empty());
        self.call_pieces += calls.len();
        self.has_thinking |= !thinking.is_empty();
        if !text.is_empty() || !thinking.is_empty() || !calls.is_empty() {
            self.first.get_or_insert_with(|| self.begun.elapsed());
        }
        self.raw_text.push_str(&text);
    }
}
