//! One answer, from the local server to the caller.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::CONTENT_TYPE;
use serde_json::json;
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
use crate::gateway::reply::{MAX_ANSWER, Reply, ReplyEnd, UnmadeCall};
use crate::gateway::request::MessagesRequest;
use crate::gateway::shrink;
use crate::gateway::upstream::Upstream;
use crate::local_model::unload;
use crate::state::flag::is_auto;

/// How often a model may make unreadable calls, for one answer.
const MAX_FAULTS: u32 = 3;

/// The caller gets a ping after this long without an event.
const PING: Duration = Duration::from_secs(5);

/// Between a piece of an answer and the error that ends it: Claude Code up to 2.0.76 passes over an error that it reads together
/// with the answer.
const APART: Duration = Duration::from_millis(100);

/// The same for a Claude Code that is busy: it may be this many events behind.
const PINGS_BEFORE_ERROR: usize = 32;

/// Takes an answer as it comes.
pub(crate) trait Recipient: Sink {
    /// Sends what has come so far.
    async fn flush(&mut self);
    /// Tells the caller that the answer is still on its way.
    async fn ping(&mut self);
    /// When the caller last got something.
    fn last(&self) -> Instant;
}

impl Recipient for Whole {
    async fn flush(&mut self) {}
    async fn ping(&mut self) {}
    fn last(&self) -> Instant {
        Instant::now()
    }
}

/// # Errors
/// As the Messages API words them.
async fn answer(upstream: &Arc<Upstream>, request: &MessagesRequest, out: &mut impl Recipient) -> Result<(), ApiError> {
    let mut request = request.clone();
    let mut spent = Usage::default();
    for _ in 0..MAX_FAULTS {
        let (sent, mut response) = with_pings(out, upstream.ask(&request)).await?;
        let is_json = response.header(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        let mut reply = Reply::new(&sent);
        let mut whole = Vec::new();
        while reply.wants_more() {
            match with_pings(out, response.chunk()).await {
                Ok(Some(bytes)) if is_json && whole.len() < MAX_ANSWER => whole.extend_from_slice(&bytes),
                Ok(Some(_)) if is_json => break,
                Ok(Some(bytes)) => {
                    reply.push(&bytes, out);
                    out.flush().await;
                }
                Ok(None) => break,
                Err(error) => return Err(upstream.error_within_answer(error)),
            }
        }
        if is_json {
            reply.whole(&whole, out);
        }
        drop(response);
        match reply.end(out) {
            ReplyEnd::Ended(end) => {
                spent += end.usage;
                out.end(End { usage: spent, ..end });
                out.flush().await;
                return Ok(());
            }
            ReplyEnd::Faulty(calls, usage) => {
                spent += usage;
                out.flush().await;
                report_unmade(&mut request, calls);
            }
            ReplyEnd::Empty(is_cut_by_limit) => return Err(upstream.api_error(CompletionError::Empty { is_cut_by_limit })),
            ReplyEnd::Broken(reason) => {
                return Err(upstream.api_error(CompletionError::Cut { reason, partial: String::new() }));
            }
        }
    }
    Err(ApiError::bad_answer("the local model calls tools with arguments that are not JSON"))
}

/// Awaits `future` and sends pings meanwhile. Pieces that were not sent yet put off no ping.
async fn with_pings<T>(out: &mut impl Recipient, future: impl Future<Output = T>) -> T {
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

/// Tells the model why its calls were not made, in the form of failed tools' results.
fn report_unmade(request: &mut MessagesRequest, unmade: Vec<UnmadeCall>) {
    let ids: Vec<String> = unmade.iter().map(|_| api_id("c")[2..11].to_string()).collect();
    let call = |(call, id): (&UnmadeCall, &String)| {
        let arguments = call.arguments.as_deref().unwrap_or("{}");
        json!({"id": id, "type": "function", "function": {"name": call.name, "arguments": arguments}})
    };
    let calls: Vec<_> = unmade.iter().zip(&ids).map(call).collect();
    request.messages.push(json!({"role": "assistant", "content": "", "tool_calls": calls}));
    for (call, id) in unmade.into_iter().zip(ids) {
        request.messages.push(json!({"role": "tool", "tool_call_id": id, "content": call.reason}));
    }
}

/// Answers, and keeps the server from being unloaded meanwhile in `auto`.
///
/// # Errors
/// As the Messages API words them.
pub(crate) async fn answer_keeping_server(
    upstream: &Arc<Upstream>,
    context: &Arc<Context>,
    request: &MessagesRequest,
    out: &mut impl Recipient,
) -> Result<(), ApiError> {
    if let Some(call) = &request.failed_call {
        call.answer(out);
        out.flush().await;
        return Ok(());
    }
    if !is_auto(context) {
        return answer(upstream, request, out).await;
    }
    let taker = context.clone();
    // Waits while another process unloads the server.
    let in_use = spawn_blocking(move || unload::in_use(&taker)).await;
    let outcome = answer(upstream, request, out).await;
    drop(in_use);
    outcome
}

/// Has the server unloaded in time, however the answer has ended.
pub(crate) async fn unload_when_idle(context: &Arc<Context>) {
    if is_auto(context) {
        let context = context.clone();
        let _ = spawn_blocking(move || unload::when_idle(&context)).await;
    }
}

/// An answer in events.
pub(crate) struct EventStream {
    events: Events,
    sender: mpsc::Sender<Bytes>,
    /// Takes the error of an answer whose stream has not begun.
    failed: Option<oneshot::Sender<ApiError>>,
    last: Instant,
}

impl EventStream {
    pub(crate) fn new(
        request: &MessagesRequest,
        model: String,
        sender: mpsc::Sender<Bytes>,
        failed: oneshot::Sender<ApiError>,
    ) -> EventStream {
        let events = Events::new(model, shrink::estimate(request) as u64);
        EventStream { events, sender, failed: Some(failed), last: Instant::now() }
    }

    pub(crate) async fn run(&mut self, upstream: &Arc<Upstream>, context: &Arc<Context>, request: &MessagesRequest) {
        let Err(error) = answer_keeping_server(upstream, context, request, self).await else { return };
        let error = match self.failed.take() {
            Some(failed) => match failed.send(error) {
                Ok(()) => return,
                Err(unheard) => unheard,
            },
            None => {
                tokio::time::sleep(APART).await;
                (0..PINGS_BEFORE_ERROR).for_each(|_| self.events.ping());
                error
            }
        };
        self.events.error(&error);
        self.flush().await;
    }
}

impl Sink for EventStream {
    fn piece(&mut self, piece: Piece) {
        self.events.piece(piece);
    }

    fn end(&mut self, end: End) {
        self.events.end(end);
    }
}

impl Recipient for EventStream {
    async fn flush(&mut self) {
        let bytes = self.events.take();
        if !bytes.is_empty() {
            // Dropping it says that the stream has begun.
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
            self.flush().await;
        }
    }
}
