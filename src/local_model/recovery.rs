//! What can be done about a question that got no answer: from the failure to its remedy.
//!
//! No I/O here. The plain answer and the gateway drive it.

use crate::completions::failure::CompletionError;

/// How often a server is started, or waited for, for one question.
const MAX_STARTS: u32 = 3;

/// What to do before the same question is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy<'a> {
    /// Start the server, or wait for the one that is loading. `is_last`: not again for this question.
    StartServer { is_last: bool },
    /// Name the model that the server serves. `refusal` is what the server says to the name that it got.
    NameModel { refusal: &'a str },
    /// Put the system message into the user's.
    FoldSystem,
    /// Ask for no form of the answer.
    DropResponseFormat,
    /// Tell of the images in words.
    DropImages,
    /// Ask with less around the question.
    Shrink,
    /// Nothing helps.
    Fail,
}

/// What the server and the question, as it was asked, allow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Possible {
    /// The server is ours to start.
    pub start: bool,
    /// There is a system message, and a user's to put it into.
    pub fold_system: bool,
    /// A form of the answer was asked for.
    pub drop_response_format: bool,
    /// There are images.
    pub drop_images: bool,
    /// There is something around the question that can be left out.
    pub shrink: bool,
}

/// What was tried for one question, as far as the question does not show it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tried {
    starts: u32,
    has_named_model: bool,
}

impl Tried {
    /// Counts a remedy.
    pub(crate) fn add(&mut self, remedy: Remedy) {
        match remedy {
            Remedy::StartServer { is_last: true } => self.starts = MAX_STARTS,
            Remedy::StartServer { is_last: false } => self.starts += 1,
            Remedy::NameModel { .. } => self.has_named_model = true,
            _ => {}
        }
    }
}

/// What helps against `failure`.
pub(crate) fn remedy<'a>(failure: &'a CompletionError, possible: Possible, tried: Tried) -> Remedy<'a> {
    use CompletionError::*;
    match failure {
        Refused(_) | Broken(_) | Dead(_) if !possible.start => Remedy::Fail,
        // Somebody else's server is waited for, too.
        Refused(_) | Loading if tried.starts < MAX_STARTS => Remedy::StartServer { is_last: false },
        // Once: this question may be what breaks it.
        Broken(_) | Dead(_) if tried.starts == 0 => Remedy::StartServer { is_last: true },
        UnknownModel(refusal) if !tried.has_named_model => Remedy::NameModel { refusal: &refusal.line },
        NoSystemRole(_) if possible.fold_system => Remedy::FoldSystem,
        NoResponseFormat(_) if possible.drop_response_format => Remedy::DropResponseFormat,
        NoImages(_) if possible.drop_images => Remedy::DropImages,
        TooLong { .. } if possible.shrink => Remedy::Shrink,
        _ => Remedy::Fail,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::completions::failure::ServerRefusal;

    const ALL: Possible =
        Possible { start: true, fold_system: true, drop_response_format: true, drop_images: true, shrink: true };
    const NONE: Possible =
        Possible { start: false, fold_system: false, drop_response_format: false, drop_images: false, shrink: false };
    const START: Remedy = Remedy::StartServer { is_last: false };
    const LAST_START: Remedy = Remedy::StartServer { is_last: true };

    fn refusal() -> ServerRefusal {
        ServerRefusal { status: 400, line: "HTTP 400: no".into() }
    }

    fn after(remedies: &[Remedy]) -> Tried {
        let mut tried = Tried::default();
        remedies.iter().for_each(|remedy| tried.add(*remedy));
        tried
    }

    #[test]
    fn each_failure_has_its_remedy_where_that_is_possible() {
        use CompletionError::*;
        let partial = String::new;
        let named = Remedy::NameModel { refusal: "HTTP 400: no" };
        let table = [
            (Refused("r".into()), START, Remedy::Fail),
            (Broken("b".into()), LAST_START, Remedy::Fail),
            (Dead("d".into()), LAST_START, Remedy::Fail),
            (Loading, START, START),
            (UnknownModel(refusal()), named, named),
            (NoSystemRole(refusal()), Remedy::FoldSystem, Remedy::Fail),
            (NoResponseFormat(refusal()), Remedy::DropResponseFormat, Remedy::Fail),
            (NoImages(refusal()), Remedy::DropImages, Remedy::Fail),
            (TooLong { prompt: Some(9), window: Some(8) }, Remedy::Shrink, Remedy::Fail),
            (Refusal(refusal()), Remedy::Fail, Remedy::Fail),
            (Stalled { idle: Duration::ZERO, partial: partial() }, Remedy::Fail, Remedy::Fail),
            (Cut { reason: "c".into(), partial: partial() }, Remedy::Fail, Remedy::Fail),
            (Cancelled, Remedy::Fail, Remedy::Fail),
            (Empty { is_cut_by_limit: true }, Remedy::Fail, Remedy::Fail),
        ];
        for (failure, if_all_is, if_nothing_is) in table {
            assert_eq!(remedy(&failure, ALL, Tried::default()), if_all_is, "{failure:?}");
            assert_eq!(remedy(&failure, NONE, Tried::default()), if_nothing_is, "{failure:?}");
        }
    }

    #[test]
    fn remedies_have_an_end() {
        use CompletionError::*;
        let named = Remedy::NameModel { refusal: "" };
        let table: [(CompletionError, &[Remedy], Remedy); 14] = [
            (Refused("r".into()), &[START, START], START),
            (Refused("r".into()), &[START, START, START], Remedy::Fail),
            (Refused("r".into()), &[LAST_START], Remedy::Fail),
            (Loading, &[START, START], START),
            (Loading, &[START, START, START], Remedy::Fail),
            (Loading, &[LAST_START], Remedy::Fail),
            (Broken("b".into()), &[START], Remedy::Fail),
            (Broken("b".into()), &[LAST_START], Remedy::Fail),
            (Dead("d".into()), &[START], Remedy::Fail),
            (Dead("d".into()), &[named, Remedy::FoldSystem, Remedy::Shrink], LAST_START),
            (UnknownModel(refusal()), &[named], Remedy::Fail),
            (UnknownModel(refusal()), &[START, START, START], Remedy::NameModel { refusal: "HTTP 400: no" }),
            (NoSystemRole(refusal()), &[named, START], Remedy::FoldSystem),
            (TooLong { prompt: None, window: None }, &[LAST_START, Remedy::Shrink], Remedy::Shrink),
        ];
        for (failure, before, expected) in table {
            assert_eq!(remedy(&failure, ALL, after(before)), expected, "{failure:?} after {before:?}");
        }
    }
}
