//! What is found in answers that the user must know of: a prompt that was read in part, and markup that no dialect knows.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::completions::chunk::Usage;
use crate::completions::markup::markup_warning;
use crate::context::Context;
use crate::error::warn;
use crate::gateway::api_error::ApiError;
use crate::gateway::question::Question;
use crate::gateway::request::MessagesRequest;
use crate::gateway::shrink;
use crate::gateway::spent::Sum;
use crate::gateway::upstream::Upstream;
use crate::local_model::chain::Link;
use crate::local_model::truncation::{Detector, Sent};
use crate::shown::Shown;
use crate::state::ledger::{AnsweredBy, Entry, RouteName};

/// How long a request is refused at once that is as long as one that was read in part. Claude Code 2.1.330 asks again within
/// seconds when an answer fails that has begun; later the user may have given the server more context.
const REFUSED_FOR: Duration = Duration::from_secs(60);

pub(super) struct Marks {
    context: Context,
    /// One for each link: servers count differently.
    detectors: Vec<Mutex<Detector>>,
    refused: Mutex<Option<Refused>>,
    pub(super) spent: Sum,
    has_noted_truncation: AtomicBool,
    has_noted_markup: AtomicBool,
}

/// A request that the server has read in part.
struct Refused {
    /// The link's place in the chain.
    link: usize,
    at: Instant,
    /// By our estimate, in tokens.
    length: usize,
    line: Shown,
}

impl Marks {
    pub(super) fn new(context: &Context, links: usize) -> Marks {
        Marks {
            context: context.for_applet(super::NAME, &[]),
            detectors: (0..links).map(|_| Mutex::default()).collect(),
            refused: Mutex::default(),
            spent: Sum::default(),
            has_noted_truncation: AtomicBool::new(false),
            has_noted_markup: AtomicBool::new(false),
        }
    }

    /// The next request to a link has not grown from the one before: what was counted of that tells nothing of it.
    pub(super) fn forget_lengths(&self, link: usize) {
        *self.detectors[link].lock().unwrap_or_else(PoisonError::into_inner) = Detector::default();
    }

    /// A line of the ledger that is no call.
    fn note(&self, link: &Link) -> Entry {
        let entry = Entry::new(super::NAME, Timestamp::now(), RouteName::Gateway, AnsweredBy::Local);
        Entry { model: Some(link.name()), server: link.other_url(), ..entry }
    }

    fn note_of(&self, link: &Link, usage: Usage) -> Entry {
        Entry { input_tokens: Some(usage.input + usage.cached), ..self.note(link) }
    }
}

impl Upstream {
    /// # Errors
    /// If the server has just dropped a part of a request of this length, and no other one has room for it.
    pub(super) async fn refuse_if_truncated(
        self: &Arc<Upstream>,
        request: &MessagesRequest,
        question: &mut Question,
    ) -> Result<(), ApiError> {
        let line = {
            let refused = self.marks.refused.lock().unwrap_or_else(PoisonError::into_inner);
            let is_now = |refused: &&Refused| refused.link == question.way.current() && refused.at.elapsed() < REFUSED_FOR;
            let refused = refused.as_ref().filter(is_now);
            refused.filter(|refused| shrink::estimate(request) * 20 >= refused.length * 19).map(|refused| refused.line.clone())
        };
        match line {
            None => Ok(()),
            Some(_) if self.finds_room_for(question, None).await => self.begin_link(question).await,
            Some(line) => Err(ApiError::refused(line.to_string())),
        }
    }

    /// Holds what was `sent` of a request against what the server says that it has read.
    ///
    /// # Errors
    /// If that is far less: instructions and tools are missing then, and the answer is worth nothing.
    pub(super) fn check_read(&self, request: &MessagesRequest, question: &Question, usage: Usage) -> Result<(), ApiError> {
        let (link, place) = (self.link(question), question.way.current());
        let model = link.models.at_hand();
        let read = usage.input.saturating_add(usage.cached);
        let lengths = lengths(question.sent(), question.measured(question.sent()).estimated);
        let mut detector = self.marks.detectors[place].lock().unwrap_or_else(PoisonError::into_inner);
        let found = detector.check_model(lengths, read, model.as_ref());
        drop(detector);
        let Some(truncation) = found else { return Ok(()) };
        let line = truncation.line(model.as_ref().map(|model| model.server).unwrap_or_default());
        let line = Shown::line(link.server.endpoint().with_own_names(line));
        if !self.marks.has_noted_truncation.swap(true, Relaxed) {
            warn(super::NAME, &line);
            Entry { truncated: true, ..self.marks.note_of(link, usage) }.append(&self.marks.context);
        }
        link.models.forget();
        let refused = Refused { link: place, at: Instant::now(), length: shrink::estimate(request), line: line.clone() };
        *self.marks.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(refused);
        Err(ApiError::refused(line.to_string()))
    }

    /// Tells the user, and the ledger, that another link than the first answers, unless they know it.
    pub(super) fn note_link(&self, question: &Question) {
        if self.chain.has_answered(super::NAME, &question.way) {
            self.marks.note(self.link(question)).append(&self.marks.context);
        }
    }

    /// Tells the user, and the ledger, of markup that no dialect knows, once.
    pub(super) fn note_markup(&self, question: &Question, markup: Option<&str>, usage: Usage) {
        let Some(markup) = markup.filter(|_| !self.marks.has_noted_markup.swap(true, Relaxed)) else { return };
        warn(super::NAME, &markup_warning(markup));
        let entry = self.marks.note_of(self.link(question), usage);
        Entry { unknown_markup: Some(markup.into()), ..entry }.append(&self.marks.context);
    }
}

fn lengths(request: &MessagesRequest, estimated: usize) -> Sent {
    let texts = request.messages.iter().flat_map(shrink::texts);
    let messages = request.system.iter().map(String::as_str).chain(texts);
    Sent::new(estimated, messages, request.callable().iter().map(|tool| tool.in_chat().to_string()))
}
