//! What setup will do, as it is shown before it is done. No I/O here.

use std::path::PathBuf;

use crate::settings::Setting;
use crate::setup::binary::Binary;
use crate::setup::brain::Brain;
use crate::setup::places::Places;
use crate::shown::{Shown, shown};

pub(super) struct Plan {
    pub binary: Binary,
    pub names: Vec<&'static str>,
    pub brain: Brain,
    /// Variables with their values; none: the line of an earlier setup goes.
    pub settings: Vec<(Setting, Option<String>)>,
    /// The start-up files, and the line.
    pub path: Option<(Vec<PathBuf>, &'static str)>,
    /// Claude Code's settings file, and the command.
    pub status_line: Option<(PathBuf, String)>,
    /// What the user should know of the choice.
    pub notes: Vec<Shown>,
}

/// What is done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Binary,
    Links,
    /// What gives the answers: an engine and its model, or a variant of a server's model.
    Brain,
    Service,
    Settings,
    Path,
    StatusLine,
    Prove,
}

impl Plan {
    /// The steps, each with its line.
    pub(super) fn steps(&self, places: &Places) -> Vec<(Step, Shown)> {
        let mut steps = vec![
            (Step::Binary, self.binary.line(places)),
            (Step::Links, shown!("link {} in {}", and(&self.names), places.bin.display())),
        ];
        steps.extend(self.brain.lines());
        steps.push((Step::Settings, self.settings_line(places)));
        if let Some((files, line)) = &self.path {
            let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
            steps.push((Step::Path, shown!("add to {}: {line}", and(&files))));
        }
        if let Some((file, _)) = &self.status_line {
            steps.push((Step::StatusLine, shown!("show who answers in Claude Code's status line: {}", file.display())));
        }
        if !matches!(self.brain, Brain::None) {
            steps.push((Step::Prove, "ask the local model by one call; the switch stays as it is".into()));
        }
        steps
    }

    fn settings_line(&self, places: &Places) -> Shown {
        let file = places.config.display();
        let written = self.settings.iter().filter_map(|(setting, value)| Some((setting.name(), value.as_ref()?)));
        match &self.brain {
            Brain::Server(server) => {
                let names: Vec<&str> = written.map(|(name, _)| name).collect();
                shown!("use {}: write {} into {file}", server.text(), and(&names))
            }
            Brain::Engine(_) | Brain::None => {
                let lines: Vec<String> = written.map(|(name, value)| format!("{name}={value}")).collect();
                shown!("write {} into {file}", and(&lines))
            }
        }
    }
}

/// `a, b and c`.
fn and(words: &[impl AsRef<str>]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.split_last() {
        Some((last, rest @ [_, ..])) => format!("{} and {last}", rest.join(", ")),
        _ => words.concat(),
    }
}
