//! Questions to the user: few, with an answer that Enter takes, and none without a terminal.

use std::io::{IsTerminal, stdin};

use crate::error::Result;
use crate::setup::problem;
use crate::shown::{Shown, shown};
use crate::stderr::{ask, say};

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// `--yes`.
    Yes,
    /// The user at a terminal.
    User,
    /// Nobody: what touches files of the user's is not done.
    Nobody,
}

impl Answers {
    pub(super) fn of(yes: bool) -> Answers {
        match (yes, stdin().is_terminal() && std::io::stderr().is_terminal()) {
            (true, _) => Answers::Yes,
            (false, true) => Answers::User,
            (false, false) => Answers::Nobody,
        }
    }

    /// `given`: the answer on the command line.
    pub(super) fn agree(self, given: Option<bool>, question: &Shown) -> Result<bool> {
        match (given, self) {
            (Some(given), _) => Ok(given),
            (None, Answers::Yes) => Ok(true),
            (None, Answers::Nobody) => Ok(false),
            (None, Answers::User) => loop {
                ask(&shown!("{question} [Y/n]"));
                match line()?.to_ascii_lowercase().as_str() {
                    "" | "y" | "yes" => return Ok(true),
                    "n" | "no" => return Ok(false),
                    _ => say(&"please answer y or n".into()),
                }
            },
        }
    }

    /// The place of one of several; the first is the one that is taken without an answer.
    pub(super) fn choose(self, question: &Shown, of: &[Shown]) -> Result<usize> {
        if self != Answers::User || of.len() < 2 {
            return Ok(0);
        }
        say(question);
        of.iter().enumerate().for_each(|(place, one)| say(&shown!("  {}. {one}", place + 1)));
        loop {
            ask(&shown!("which one? [1]"));
            match (line()?.as_str(), of.len()) {
                ("", _) => return Ok(0),
                (word, count) => match word.parse::<usize>() {
                    Ok(number @ 1..) if number <= count => return Ok(number - 1),
                    _ => say(&shown!("please answer with a number from 1 to {count}")),
                },
            }
        }
    }

    /// A line that the user types; empty for none.
    pub(super) fn text(self, question: &Shown) -> Result<String> {
        if self != Answers::User {
            return Ok(String::new());
        }
        ask(question);
        line()
    }
}

/// # Errors
/// At the end of the input: the user has left.
fn line() -> Result<String> {
    let mut line = String::new();
    match stdin().read_line(&mut line) {
        Ok(1..) => Ok(line.trim().to_string()),
        _ => Err(problem("no answer: nothing was changed".into(), "run it again, with --yes to answer all with yes")),
    }
}
