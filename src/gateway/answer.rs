//! One answer, from the local server to the caller.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::CONTENT_TYPE;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::completions::chunk::Usage;
use crate::completions::failure::CompletionError;
use crate::completions::reader::MAX_ANSWER;
use crate::context::Context;
use crate::gateway::api_error::ApiError;
use crate::gateway::corrections::{told_to_call, told_unmade};
use crate::gateway::message::{End, Piece, Sink, Whole};
use crate::gateway::reply::{Learned, Reply, ReplyEnd};
use crate::gateway::request::MessagesRequest;
use crate::gateway::summary;
use crate::gateway::upstream::Upstream;
use crate::local_model::unload;
use crate::state::flag::is_auto;

/// How often a model may make unreadable calls, or none where it has to, for one answer.
const MAX_FAULTS: u32 = 3;

/// The caller gets a ping after this long without an event.
const PING: Duration = Duration::from_secs(5);

/// Takes an answer as it comes.
pub(crate) trait Recipient: Sink {
    /// Sends what has come so far.
    async fn flush(&mut self);
    /// Tells the caller that the answer is still on its way.
    async fn ping(&mut self);
    /// When the caller last got something.
    fn last(&self) -> Instant;
    /// Whether something of the answer has come.
    fn has_pieces(&self) -> bool;
    /// Another model answers than was expected.
    fn set_model(&mut self, model: String);
    /// The length of the prompt that was sent, in tokens.
    fn set_prompt(&mut self, tokens: u64);
}

impl Recipient for Whole {
    async fn flush(&mut self) {}
    async fn ping(&mut self) {}
    fn last(&self) -> Instant {
        Instant::now()
    }
    fn has_pieces(&self) -> bool {
        Whole::has_pieces(self)
    }
    fn set_model(&mut self, model: String) {
        Whole::set_model(self, model);
    }
    /// A whole answer tells it at its end.
    fn set_prompt(&mut self, _: u64) {}
}

/// # Errors
/// As the Messages API words them.
// Each stream has room for the largest of its steps, twice: only what is done for each piece is not in a box.
async fn answer(upstream: &Arc<Upstream>, request: &MessagesRequest, out: &mut impl Recipient) -> Result<(), ApiError> {
    // Ollama may have to load the model first.
    let mut question = with_pings(out, Box::pin(upstream.question(request))).await?;
    out.set_prompt(upstream.likely_length(&question));
    let mut spent = Usage::default();
    let mut faults = 0;
    loop {
        with_pings(out, Box::pin(upstream.refuse_if_truncated(request, &mut question))).await?;
        let mut response = with_pings(out, Box::pin(upstream.ask(&mut question))).await?;
        out.set_model(upstream.reported_model(request, &question.way).await);
        out.set_prompt(upstream.likely_length(&question));
        let is_json = response.header(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        let mut reply = Reply::new(question.sent(), upstream.link(&question).models.thinks_unopened());
        let mut whole = Vec::new();
        let mut broken = None;
        while reply.wants_more() {
            match with_pings(out, response.chunk()).await {
                Ok(Some(bytes)) if is_json && whole.len() < MAX_ANSWER => whole.extend_from_slice(&bytes),
                Ok(Some(_)) if is_json => break,
                Ok(Some(bytes)) => {
                    reply.push(&bytes, out);
                    out.flush().await;
                }
                Ok(None) => break,
                Err(error) => {
                    broken = Some(upstream.failure_within_answer(&question, error));
                    break;
                }
            }
        }
        if is_json && broken.is_none() {
            reply.push_whole(&whole, out);
        }
        match broken {
            None => response.give_back(),
            Some(_) => drop(response),
        }
        let failure = match reply.end(broken, out) {
            ReplyEnd::Ended(end, learned) => {
                upstream.count_spent(&question, end.usage);
                upstream.note_markup(&question, learned.unknown_markup.as_deref(), end.usage);
                upstream.check_read(request, &question, end.usage)?;
                upstream.learn_count(&question, end.usage);
                upstream.was_answered(&question, learned);
                spent += end.usage;
                return end_answer(End { usage: spent, ..end }, out).await;
            }
            ReplyEnd::Faulty { calls, text, usage } => {
                upstream.count_spent(&question, usage);
                upstream.check_read(request, &question, usage)?;
                upstream.learn_count(&question, usage);
                upstream.was_answered(&question, Learned::default());
                spent += usage;
                faults += 1;
                match text {
                    _ if faults < MAX_FAULTS && !calls.is_empty() => {
                        out.flush().await;
                        question.add(told_unmade(calls));
                        continue;
                    }
                    Some(text) if faults < MAX_FAULTS => {
                        out.flush().await;
                        let told = told_to_call(text, question.sent());
                        question.add(told);
                        continue;
                    }
                    // What the model means as a call, or shows as one, is all that it has to say.
                    Some(text) => {
                        out.piece(Piece::Text(text));
                        return end_answer(End { reason: "end_turn", sequence: None, usage: spent }, out).await;
                    }
                    None => {
                        let reason = "the local model calls tools with arguments that are not JSON";
                        return Err(ApiError::bad_answer(reason));
                    }
                }
            }
            ReplyEnd::Failed(failure) => failure,
        };
        if out.has_pieces() {
            return Err(upstream.api_error(&question, failure));
        }
        let is_empty_summary = request.is_summary && matches!(failure, CompletionError::Empty { .. });
        match with_pings(out, Box::pin(upstream.recover(&mut question, failure))).await {
            Ok(()) => {}
            Err(_) if is_empty_summary => {
                out.piece(Piece::Text(summary::marked(&summary::without_model(&request.messages))));
                return end_answer(End { reason: "end_turn", sequence: None, usage: Usage::default() }, out).await;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn end_answer(end: End, out: &mut impl Recipient) -> Result<(), ApiError> {
    out.end(end);
    out.flush().await;
    Ok(())
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
    if let Some(repeated) = &request.repeated {
        let prompt = upstream.count_tokens(request).await;
        out.set_prompt(prompt);
        repeated.answer(prompt, out);
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
