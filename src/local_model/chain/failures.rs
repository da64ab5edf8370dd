//! What the links of a chain have said, if none of them has answered.

use crate::error::Error;
use crate::local_model::chain::Link;
use crate::shown::{Shown, shown};

/// What all links of a question have said, when none is left.
#[derive(Debug, Default)]
pub(crate) struct Failures(Vec<(Shown, Error)>);

impl Failures {
    pub(crate) fn add(&mut self, link: &Link, error: Error) {
        self.0.push((link.server.endpoint().shown(), error));
    }

    /// As one error. That a prompt is too long comes first, since the caller can do something about it.
    pub(crate) fn into_error(mut self) -> Error {
        let is_too_long = |(_, error): &(Shown, Error)| matches!(error, Error::PromptTooLong { .. });
        let main = self.0.iter().position(is_too_long).unwrap_or_default();
        let (_, main) = self.0.remove(main);
        let others: Vec<Shown> =
            self.0.into_iter().map(|(url, error)| other_failure(&url, &Shown::lines(error.without_log()))).collect();
        if others.is_empty() { main } else { Error::NoneAnswers { main: Box::new(main), others } }
    }
}

/// What another link has said, in one line.
pub(crate) fn other_failure(url: &Shown, said: &Shown) -> Shown {
    let said = said.lines().next().unwrap_or_default();
    if said.contains(&**url) { Shown::line(said) } else { shown!("{url}: {said}") }
}
