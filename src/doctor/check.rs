//! One check of the doctor, and the list of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::shown::{Shown, shown};
use crate::style::{Colours, Painted, Tone};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Ok,
    /// It works, and something is worse than it could be.
    Warning,
    /// Something does not work.
    Problem,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Check {
    /// One word, which stays the same.
    id: Shown,
    state: State,
    /// What was found.
    text: Shown,
    /// The command or the setting that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<Shown>,
    /// What was measured, for programs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    figures: BTreeMap<&'static str, f64>,
}

impl Check {
    pub(super) fn ok(id: impl Into<Shown>, text: impl Into<Shown>) -> Check {
        Check { id: id.into(), state: State::Ok, text: text.into(), mend: None, figures: BTreeMap::new() }
    }

    pub(super) fn warning(id: impl Into<Shown>, text: impl Into<Shown>, mend: impl Into<Shown>) -> Check {
        Check { state: State::Warning, mend: Some(mend.into()), ..Check::ok(id, text) }
    }

    pub(super) fn problem(id: impl Into<Shown>, text: impl Into<Shown>, mend: impl Into<Shown>) -> Check {
        Check { state: State::Problem, ..Check::warning(id, text, mend) }
    }

    /// Adds a figure, rounded to three decimals.
    pub(super) fn with(mut self, name: &'static str, figure: f64) -> Check {
        self.figures.insert(name, (figure * 1000.0).round() / 1000.0);
        self
    }

    /// For one of several local models.
    pub(super) fn of_link(mut self, number: u8) -> Check {
        if number > 1 {
            self.id = shown!("{}-{number}", self.id);
        }
        self
    }

    pub(super) fn is_problem(&self) -> bool {
        self.state == State::Problem
    }

    /// The line of it. `home`: what `~` stands for.
    fn line(&self, colours: Colours, home: &Path) -> Painted {
        let (word, tone) = match self.state {
            State::Ok => ("ok", Tone::Good),
            State::Warning => ("warning", Tone::Warning),
            State::Problem => ("problem", Tone::Bad),
        };
        let line = colours.paint(tone, &shown!("{word:<7}")).then(&shown!("  {:<18}  {}", self.id, self.text.with_tilde(home)));
        match &self.mend {
            Some(mend) => line.then(&shown!(" → {}", mend.with_tilde(home))),
            None => line,
        }
    }
}

/// How lines are coloured, and where they are printed.
pub(super) type Teller<'a> = (Colours, &'a dyn Fn(&Painted));

/// The checks so far. Each is told as soon as it is known.
pub(super) struct Report<'a> {
    checks: Vec<Check>,
    home: PathBuf,
    tell: Option<Teller<'a>>,
}

impl<'a> Report<'a> {
    /// Without `tell` nothing is told before the end.
    pub(super) fn new(home: PathBuf, tell: Option<Teller<'a>>) -> Report<'a> {
        Report { checks: Vec::new(), home, tell }
    }

    pub(super) fn add(&mut self, check: Check) {
        if let Some((colours, print)) = self.tell {
            print(&check.line(colours, &self.home));
        }
        self.checks.push(check);
    }

    pub(super) fn add_all(&mut self, checks: impl IntoIterator<Item = Check>) {
        checks.into_iter().for_each(|check| self.add(check));
    }

    pub(super) fn has_problem(&self) -> bool {
        self.checks.iter().any(Check::is_problem)
    }

    /// Whether local models were tried, and none has answered.
    pub(super) fn is_without_answer(&self) -> bool {
        let mut tried = self.checks.iter().filter(|check| check.id.starts_with("answers")).peekable();
        tried.peek().is_some() && tried.all(Check::is_problem)
    }

    fn count(&self, state: State) -> usize {
        self.checks.iter().filter(|check| check.state == state).count()
    }

    /// The last line.
    pub(super) fn summary(&self) -> Shown {
        let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        match (self.count(State::Problem), self.count(State::Warning)) {
            (0, 0) => shown!("{}, all well", count(self.checks.len(), "check")),
            (problems, warnings) => shown!("{}, {}", count(problems, "problem"), count(warnings, "warning")),
        }
    }

    pub(super) fn json(&self) -> Shown {
        let (problems, warnings) = (self.count(State::Problem), self.count(State::Warning));
        let whole = serde_json::json!({"checks": self.checks, "problems": problems, "warnings": warnings});
        Shown::json(&format!("{whole}\n"))
    }
}
