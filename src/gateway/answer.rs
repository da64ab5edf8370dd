//! One answer: asked of the local server, read, and told.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::claude_code::protocol::messages::api_id;
use crate::completions::chunk::Usage;
use crate::completions::failure::CompletionError;
use crate::context::Context;
use crate::gateway::api_error::ApiError;
use crate::gateway::events::Events;
use crate::gateway::message::{End, Piece, Sink, Whole};
use crate::gateway::reply::{MAX_ANSWER, Outcome, Reply, Unmade};
use crate::gateway::request::MessagesRequest;
use crate::gateway::shrink;
use crate::gateway::upstream::Upstream;
use crate::local_model::unload;
use crate::state::flag::is_auto;

/// How often the model may make a call that cannot be made, for one answer.
const MAX_FAULTS: u32 = 3;

/// How long the caller hears nothing before it is told that somebody is there.
const PING: Duration = Duration::from_secs(5);

/// Between a piece of an answer and the error that ends it: Claude Code up to 2.0.76 passes over an error that it reads together
/// with the answer.
const APART: Duration = Duration::from_millis(100);

/// The same for one that is busy: as many events it may be behind.
const PINGS_BEFORE_ERROR: usize = 32;

/// Whoever takes an answer as it comes.
pub(crate) trait Listener: Sink {
    /// Passes on what there is.
    async fn deliver(&mut self);
    /// Says that the answer is still on its way.
    async fn ping(&mut self);
    /// When the caller last heard something.
    fn last(&self) -> Instant;
}

impl Listener for Whole {
    async fn deliver(&mut self) {}
    async fn ping(&mut self) {}
    fn last(&self) -> Instant {
        Instant::now()
    }
}

/// Answers.
///
/// # Errors
/// What the API says of it.
async fn answer(upstream: &Arc<Upstream>, asked: &MessagesRequest, out: &mut impl Listener) -> Result<(), ApiError> {
    let mut asked = asked.clone();
    let mut spent = Usage::default();
    for _ in 0..MAX_FAULTS {
        let (sent, mut response) = patiently(out, upstream.ask(&asked)).await?;
        let is_json = response.header(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        let mut reading = Reply::new(&sent);
        let mut whole = Vec::new();
        while reading.goes_on() {
            match patiently(out, response.chunk()).await {
                Ok(Some(bytes)) if is_json && whole.len() < MAX_ANSWER => whole.extend_from_slice(&bytes),
                Ok(Some(_)) if is_json => break,
                Ok(Some(bytes)) => {
                    reading.push(&bytes, out);
                    out.deliver().await;
                }
                Ok(None) => break,
                Err(error) => return Err(upstream.cut(error)),
            }
        }
        if is_json {
            reading.whole(&whole, out);
        }
        drop(response);
        match reading.end(out) {
            Outcome::Ended(end) => {
                spent += end.usage;
                out.end(End { usage: spent, ..end });
                out.deliver().await;
                return Ok(());
            }
            Outcome::Faulty(calls, usage) => {
                spent += usage;
                out.deliver().await;
                complain(&mut asked, calls);
            }
            Outcome::Empty(is_cut_by_limit) => return Err(upstream.trouble(CompletionError::Empty { is_cut_by_limit })),
            Outcome::Broken(reason) => {
                return Err(upstream.trouble(CompletionError::Cut { reason, partial: String::new() }));
            }
        }
    }
    Err(ApiError::of_answer("the local model calls tools with arguments that are not JSON"))
}

/// Waits for something, with signs of life. What the server says and nobody hears yet is none.
async fn patiently<T>(out: &mut impl Listener, future: impl Future<Output = T>) -> T {
    tokio::pin!(future);
    loop {
        let next = out.last() + PING;
        tokio::select! {
            biased;
            value = &mut future => return value,
            () = tokio::time::sleep_until(next) => out.ping().await,
        }
    }
}

/// The model hears of its calls that were not made, as it hears of a tool that has failed.
fn complain(asked: &mut MessagesRequest, unmade: Vec<Unmade>) {
    let ids: Vec<String> = unmade.iter().map(|_| api_id("c")[2..11].to_string()).collect();
    let call = |(call, id): (&Unmade, &String)| {
        let arguments = call.arguments.as_deref().unwrap_or("{}");
        json!({"id": id, "type": "function", "function": {"name": call.name, "arguments": arguments}})
    };
    let calls: Vec<_> = unmade.iter().zip(&ids).map(call).collect();
    asked.messages.push(json!({"role": "assistant", "content": "", "tool_calls": calls}));
    for (call, id) in unmade.into_iter().zip(ids) {
        asked.messages.push(json!({"role": "tool", "tool_call_id": id, "content": call.reason}));
    }
}

/// The same, while the server is kept from being unloaded where there is somebody who would.
///
/// # Errors
/// What the API says of it.
pub(crate) async fn answer_in_use(
    upstream: &Arc<Upstream>,
    context: &Arc<Context>,
    asked: &MessagesRequest,
    out: &mut impl Listener,
) -> Result<(), ApiError> {
    if !is_auto(context) {
        return answer(upstream, asked, out).await;
    }
    let taker = context.clone();
    // Whoever is ending the server at this moment is waited for.
    let in_use = spawn_blocking(move || unload::in_use(&taker)).await;
    let outcome = answer(upstream, asked, out).await;
    drop(in_use);
    outcome
}

/// Sees to it that the server's memory is given back in time, however the answer has ended.
pub(crate) async fn give_back(context: &Arc<Context>) {
    if is_auto(context) {
        let context = context.clone();
        let _ = spawn_blocking(move || unload::when_idle(&context)).await;
    }
}

/// An answer in events.
pub(crate) struct Streamed {
    events: Events,
    sender: mpsc::Sender<Bytes>,
    /// Takes what goes wrong, until the stream has begun.
    failed: Option<oneshot::Sender<ApiError>>,
    last: Instant,
}

impl Streamed {
    /// To whoever has the other ends.
    pub(crate) fn new(
        asked: &MessagesRequest,
        model: Value,
        sender: mpsc::Sender<Bytes>,
        failed: oneshot::Sender<ApiError>,
    ) -> Streamed {
        let events = Events::new(model, shrink::estimate(asked) as u64);
        Streamed { events, sender, failed: Some(failed), last: Instant::now() }
    }

    /// Answers, whatever comes of it.
    pub(crate) async fn run(&mut self, upstream: &Arc<Upstream>, context: &Arc<Context>, asked: &MessagesRequest) {
        let Err(trouble) = answer_in_use(upstream, context, asked, self).await else { return };
        let trouble = match self.failed.take() {
            Some(failed) => match failed.send(trouble) {
                Ok(()) => return,
                Err(unheard) => unheard,
            },
            None => {
                tokio::time::sleep(APART).await;
                (0..PINGS_BEFORE_ERROR).for_each(|_| self.events.ping());
                trouble
            }
        };
        self.events.error(&trouble);
        self.deliver().await;
    }
}

impl Sink for Streamed {
    fn piece(&mut self, piece: Piece) {
        self.events.piece(piece);
    }

    fn end(&mut self, end: End) {
        self.events.end(end);
    }
}

impl Listener for Streamed {
    async fn deliver(&mut self) {
        let bytes = self.events.take();
        if !bytes.is_empty() {
            // Its end says that the stream has begun.
            self.failed = None;
            self.last = Instant::now();
            let _ = self.sender.send(bytes.into()).await;
        }
    }

    fn last(&self) -> Instant {
        self.last
    }

    async fn ping(&mut self) {
        self.last = Instant::now();
        if self.failed.as_ref().is_none_or(oneshot::Sender::is_closed) {
            self.events.ping();
            self.deliver().await;
        }
    }
}
