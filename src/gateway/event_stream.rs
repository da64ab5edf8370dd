//! An answer as a stream of events, while it comes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::context::Context;
use crate::gateway::answer::{Recipient, answer_keeping_server};
use crate::gateway::api_error::ApiError;
use crate::gateway::events::Events;
use crate::gateway::message::{End, Piece, Sink};
use crate::gateway::request::MessagesRequest;
use crate::gateway::shrink;
use crate::gateway::upstream::Upstream;

/// Between a piece of an answer and the error that ends it: Claude Code up to 2.0.76 passes over an error that it reads together
/// with the answer.
const APART: Duration = Duration::from_millis(100);

/// The same for a Claude Code that is busy: it may be this many events behind.
const PINGS_BEFORE_ERROR: usize = 32;

/// An answer in events.
pub(crate) struct EventStream {
    events: Events,
    sender: mpsc::Sender<Bytes>,
    /// Takes the error of an answer whose stream has not begun.
    failed: Option<oneshot::Sender<ApiError>>,
    last: Instant,
    has_pieces: bool,
}

impl EventStream {
    pub(crate) fn new(
        request: &MessagesRequest,
        model: String,
        sender: mpsc::Sender<Bytes>,
        failed: oneshot::Sender<ApiError>,
    ) -> EventStream {
        let events = Events::new(model, shrink::estimate(request) as u64);
        EventStream { events, sender, failed: Some(failed), last: Instant::now(), has_pieces: false }
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
        self.has_pieces = true;
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

    fn has_pieces(&self) -> bool {
        self.has_pieces
    }

    fn set_model(&mut self, model: String) {
        self.events.set_model(model);
    }

    fn set_prompt(&mut self, tokens: u64) {
        self.events.set_prompt(tokens);
    }

    async fn ping(&mut self) {
        self.last = Instant::now();
        if self.failed.as_ref().is_none_or(oneshot::Sender::is_closed) {
            self.events.ping();
            self.flush().await;
        }
    }
}
