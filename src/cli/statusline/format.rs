//! The line in the forms of those who show it.

use std::str::FromStr;

use serde_json::json;

use crate::cli::statusline::Line;
use crate::shown::{Shown, shown};
use crate::style::{Colours, Painted, Tone};

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::cli) enum Format {
    #[default]
    Plain,
    Ansi,
    Json,
    /// A title of SwiftBar and xbar: a text, and its parameters behind a bar.
    Swiftbar,
    /// Between `#[…]`, as tmux takes it from `#(…)`.
    Tmux,
}

pub(in crate::cli) const FORMATS: [(&str, Format); 5] = [
    ("plain", Format::Plain),
    ("ansi", Format::Ansi),
    ("json", Format::Json),
    ("swiftbar", Format::Swiftbar),
    ("tmux", Format::Tmux),
];

impl FromStr for Format {
    type Err = String;

    fn from_str(word: &str) -> Result<Format, String> {
        let known = FORMATS.iter().find(|(known, _)| *known == word).map(|(_, format)| *format);
        known.ok_or_else(|| format!("`{word}` is none of plain, ansi, json, swiftbar, tmux"))
    }
}

pub(super) fn text(format: Format, line: &Line) -> Painted {
    let words = words(line);
    match format {
        Format::Plain => (&words).into(),
        Format::Ansi => Colours::ON.paint(if line.is_local { Tone::Warning } else { Tone::Good }, &words),
        Format::Json => (&json(line)).into(),
        Format::Swiftbar => {
            let look = if line.is_local { "sfimage=desktopcomputer color=orange" } else { "sfimage=cloud" };
            (&shown!("{} | {look}", words.replace('|', "/"))).into()
        }
        Format::Tmux => {
            let colour = if line.is_local { "yellow" } else { "green" };
            (&shown!("#[fg={colour}]{}#[default]", words.replace('#', "##"))).into()
        }
    }
}

/// With what is known of the session: its model, unless that is named already, its folder, and how full its context is.
fn words(line: &Line) -> Shown {
    let mut parts = vec![line.words.clone()];
    if let Some(session) = &line.session {
        let is_named = |model: &String| line.words.starts_with("local") && line.model.as_ref() == Some(model);
        parts.extend(session.model.iter().filter(|model| !is_named(model)).map(Shown::line));
        parts.extend(session.folder.iter().filter(|folder| !folder.is_empty()).map(Shown::line));
        parts.extend(session.used.map(|used| shown!("context {used}%")));
    }
    Shown::line(parts.join(" · "))
}

fn json(line: &Line) -> Shown {
    let session = line.session.as_ref();
    let value = json!({
        "text": &*words(line),
        "switch": line.switch,
        "answers": if line.is_local { "local" } else { "claude" },
        "local_model": line.model,
        "until": line.until.map(|until| until.to_string()),
        "session": session.map(|session| json!({
            "model": session.model, "folder": session.folder, "context_used_percentage": session.used,
        })),
    });
    Shown::json(&value.to_string())
}
