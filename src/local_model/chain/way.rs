//! When the next link of the chain is asked. No I/O here.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::completions::failure::CompletionError;
use crate::error::Error;

/// Why a link does not answer, and the next one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// It cannot be reached, or broke before it said a word, although all was tried that can be.
    Away,
    /// It has no time, or its answers cannot be read, as often as it was asked.
    Busy,
    RefusesKey,
    /// It says that the fault is its own.
    Fails,
    LacksModel,
    TooSmall,
}

impl Obstacle {
    /// Of a question to which nothing helped. None: the next link would do no better, or a part of the answer has come.
    pub(crate) fn of_failure(failure: &CompletionError) -> Option<Obstacle> {
        use CompletionError::*;
        match failure {
            Refused(_) | NotTaken(_) | Loading | Dead(_) | Broken(_) => Some(Obstacle::Away),
            Stalled { partial, .. } | Cut { partial, .. } => partial.trim().is_empty().then_some(Obstacle::Away),
            Passing { .. } => Some(Obstacle::Busy),
            UnknownModel(_) => Some(Obstacle::LacksModel),
            TooLong { .. } | AnswerTooLong { .. } => Some(Obstacle::TooSmall),
            Refusal(refusal) | Untaken { refusal, .. } => match refusal.status {
                401 | 403 => Some(Obstacle::RefusesKey),
                500.. => Some(Obstacle::Fails),
                _ => None,
            },
            ExtraUntaken { .. } | Cancelled | Empty { .. } => None,
        }
    }

    /// Of a server that did not become ready for a question.
    pub(crate) fn of_error(error: &Error) -> Option<Obstacle> {
        match error {
            Error::DidNotComeUp { .. } | Error::NotInstalled { .. } | Error::Supervisor { .. } => Some(Obstacle::Away),
            Error::SeveralModels { .. } | Error::ModelNotNamed { .. } => Some(Obstacle::LacksModel),
            Error::PromptTooLong { .. } => Some(Obstacle::TooSmall),
            _ => None,
        }
    }

    /// What is said of the link.
    pub(super) fn words(self) -> &'static str {
        match self {
            Obstacle::Away => "cannot be reached",
            Obstacle::Busy => "is busy",
            Obstacle::RefusesKey => "refuses the key",
            Obstacle::Fails => "fails",
            Obstacle::LacksModel => "does not have its model",
            Obstacle::TooSmall => "cannot hold the conversation",
        }
    }

    /// Whether it is about the server, whatever is asked there.
    pub(super) fn is_of_server(self) -> bool {
        !matches!(self, Obstacle::LacksModel | Obstacle::TooSmall)
    }
}

/// Why a link has not answered, and whether the next one may be asked.
#[derive(Debug)]
pub(crate) struct Unanswered {
    pub error: Error,
    pub obstacle: Option<Obstacle>,
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Unanswered {
        Unanswered { obstacle: Obstacle::of_error(&error), error }
    }
}

/// The way of one question along the chain. Links are known by their places in it.
#[derive(Debug)]
pub(crate) struct Way {
    /// What has not been given up, in the order of asking.
    left: Vec<usize>,
    current: usize,
    since: Instant,
    /// What was met, the last for each link.
    met: BTreeMap<usize, Obstacle>,
}

impl Way {
    /// In this order. `met`: what others have met of late.
    pub(super) fn new(order: Vec<usize>, met: BTreeMap<usize, Obstacle>) -> Way {
        let current = order.first().copied().unwrap_or_default();
        Way { left: order, current, since: Instant::now(), met }
    }

    /// The place of the link that is asked now.
    pub(crate) fn current(&self) -> usize {
        self.current
    }

    /// Since when.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// What was met at this link.
    pub(super) fn met(&self, link: usize) -> Option<Obstacle> {
        self.met.get(&link).copied()
    }

    /// The links that may have room for what the current one cannot hold.
    pub(crate) fn larger(&self) -> Vec<usize> {
        let later = self.left.iter().copied().skip_while(|link| *link != self.current).skip(1);
        later.filter(|link| !self.met.contains_key(link)).collect()
    }

    /// The current link is left for one that has room, and asked for less if that one does not answer.
    pub(crate) fn leave_for(&mut self, larger: usize) {
        self.met.insert(self.current, Obstacle::TooSmall);
        self.go_to(larger);
    }

    /// The current link is not asked again, nor what else is `gone` with it. Returns false if no link is left.
    pub(super) fn give_up(&mut self, obstacle: Obstacle, gone: impl Fn(usize) -> bool) -> bool {
        self.met.insert(self.current, obstacle);
        let current = self.current;
        self.left.retain(|link| *link != current && !gone(*link));
        let next = self.left.first().copied();
        if let Some(next) = next {
            self.go_to(next);
        }
        next.is_some()
    }

    fn go_to(&mut self, link: usize) {
        (self.current, self.since) = (link, Instant::now());
    }
}

#[cfg(test)]
mod tests;
