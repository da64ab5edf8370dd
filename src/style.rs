//! Colours on stdout. A painted text is [`Shown`] with sequences of ours around it, so no text of others drives the terminal.

use std::fmt::{self, Display};

use anstyle::{AnsiColor, Style};

use crate::context::Context;
use crate::shown::Shown;

/// What a word on the terminal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Warning,
    Bad,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Warning => AnsiColor::Yellow.on_default(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
        }
    }
}

/// Whether stdout gets colours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Colours {
    are_on: bool,
}

impl Colours {
    /// For those who ask for colours.
    pub(crate) const ON: Colours = Colours { are_on: true };

    /// `NO_COLOR` turns them off, `CLICOLOR_FORCE` on (no-color.org, bixense.com/clicolors); else a terminal has them that can.
    pub(crate) fn of_stdout(context: &Context) -> Colours {
        let is_set = |name: &str| context.env(name).is_some_and(|value| value != "0");
        let can = || context.stdout_is_terminal() && context.env("TERM").is_some_and(|term| term != "dumb");
        Colours { are_on: context.env("NO_COLOR").is_none() && (is_set("CLICOLOR_FORCE") || can()) }
    }

    pub(crate) fn paint(self, tone: Tone, text: &Shown) -> Painted {
        let style = tone.style();
        Painted(if self.are_on { format!("{style}{text}{style:#}") } else { text.to_string() })
    }
}

/// Text for a terminal, perhaps with colours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Painted(String);

impl Painted {
    pub(crate) fn then(mut self, other: impl Into<Painted>) -> Painted {
        self.0.push_str(&other.into().0);
        self
    }
}

impl From<&Shown> for Painted {
    fn from(text: &Shown) -> Painted {
        Painted(text.to_string())
    }
}

impl From<Painted> for String {
    fn from(text: Painted) -> String {
        text.0
    }
}

impl Display for Painted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
