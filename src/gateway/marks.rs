//! What is found in answers that the user must know of: a prompt that was read in part, and markup that no dialect knows.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::completions::chunk::Usage;
use crate::completions::markup::markup_warning;
use crate::context::Context;
use crate::error::warn;
use crate::gateway::api_error::ApiError;
use crate::gateway::request::MessagesRequest;
use crate::gateway::shrink;
use crate::gateway::upstream::Upstream;
use crate::local_model::model::{Model, NAMELESS};
use crate::local_model::truncation::{Detector, Sent};
use crate::state::ledger::{AnsweredBy, Entry, RouteName};

/// How long a request is refused at once that is as long as one that was read in part. Claude Code 2.1.330 asks again within
/// seconds when an answer fails that has begun; later the user may have given the server more context.
const REFUSED_FOR: Duration = Duration::from_secs(60);

pub(super) struct Marks {
    context: Context,
    detector: Mutex<Detector>,
    refused: Mutex<Option<Refused>>,
    has_noted_truncation: AtomicBool,
    has_noted_markup: AtomicBool,
}

/// A request that the server has read in part.
struct Refused {
    at: Instant,
    /// By our estimate, in tokens.
    length: usize,
    line: String,
}

impl Marks {
    pub(super) fn new(context: &Context) -> Marks {
        Marks {
            context: context.for_applet(super::NAME, &[]),
            detector: Mutex::default(),
            refused: Mutex::default(),
            has_noted_truncation: AtomicBool::new(false),
            has_noted_markup: AtomicBool::new(false),
        }
    }

    /// A line of the ledger that is no call.
    fn note(&self, model: Option<Model>, usage: Usage) -> Entry {
        let entry = Entry::new(super::NAME, Timestamp::now(), RouteName::Gateway, AnsweredBy::Local);
        let model = model.map_or_else(|| NAMELESS.into(), |model| model.name);
        Entry { model: Some(model), input_tokens: Some(usage.input + usage.cached), ..entry }
    }
}

impl Upstream {
    /// # Errors
    /// If the server has just dropped a part of a request of this length.
    pub(super) fn refuse_if_truncated(&self, request: &MessagesRequest) -> Result<(), ApiError> {
        let refused = self.marks.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(refused) = refused.as_ref().filter(|refused| refused.at.elapsed() < REFUSED_FOR) else { return Ok(()) };
        match shrink::estimate(request) * 20 >= refused.length * 19 {
            true => Err(ApiError::refused(refused.line.clone())),
            false => Ok(()),
        }
    }

    /// Holds what was `sent` of a request against what the server says that it has read.
    ///
    /// # Errors
    /// If that is far less: instructions and tools are missing then, and the answer is worth nothing.
    pub(super) fn check_read(&self, request: &MessagesRequest, sent: &MessagesRequest, usage: Usage) -> Result<(), ApiError> {
        let model = self.models.at_hand();
        let read = usage.input.saturating_add(usage.cached);
        let lengths = lengths(sent);
        let mut detector = self.marks.detector.lock().unwrap_or_else(PoisonError::into_inner);
        let found = detector.check_model(lengths, read, model.as_ref());
        drop(detector);
        let Some(truncation) = found else { return Ok(()) };
        let line = truncation.line(model.as_ref().map(|model| model.server).unwrap_or_default());
        if !self.marks.has_noted_truncation.swap(true, Relaxed) {
            warn(super::NAME, &line);
            Entry { truncated: true, ..self.marks.note(model, usage) }.append(&self.marks.context);
        }
        self.models.forget();
        let refused = Refused { at: Instant::now(), length: shrink::estimate(request), line: line.clone() };
        *self.marks.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(refused);
        Err(ApiError::refused(line))
    }

    /// Tells the user, and the ledger, of markup that no dialect knows, once.
    pub(super) fn note_markup(&self, markup: Option<&str>, usage: Usage) {
        let Some(markup) = markup.filter(|_| !self.marks.has_noted_markup.swap(true, Relaxed)) else { return };
        warn(super::NAME, &markup_warning(markup));
        let entry = self.marks.note(self.models.at_hand(), usage);
        Entry { unknown_markup: Some(markup.into()), ..entry }.append(&self.marks.context);
    }
}

fn lengths(request: &MessagesRequest) -> Sent {
    let texts = request.messages.iter().flat_map(shrink::texts);
    let messages = request.system.iter().map(String::as_str).chain(texts);
    Sent::new(shrink::estimate(request), messages, request.callable().iter().map(|tool| tool.in_chat().to_string()))
}
