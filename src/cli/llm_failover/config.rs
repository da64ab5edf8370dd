//! `llm-failover config`: the settings, shown and changed.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::process::ExitCode;

use serde::Serialize;

use crate::cli::llm_failover::config_options::{Config, ConfigAction, Set};
use crate::cli::llm_failover::{Command, NAME, editor};
use crate::cli::{print, print_line};
use crate::context::MOST_SETTINGS;
use crate::error::{self, Error, Result, warn};
use crate::settings::report::{Report, variable_named};
use crate::settings::{Origin, Settings, Variable, file};
use crate::shown::{Shown, shown};
use crate::state::settings_file::SettingsFile;

impl Command<'_> {
    pub(super) fn config(&self, options: &Config) -> Result<ExitCode> {
        match &options.action {
            None => self.show_settings(options.json)?,
            Some(ConfigAction::Get(get)) => return self.show_setting(variable_named(&get.key)?),
            Some(ConfigAction::Set(set)) => self.set(set)?,
            Some(ConfigAction::Unset(unset)) => self.unset(variable_named(&unset.key)?)?,
            Some(ConfigAction::Edit(_)) => self.edit()?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn show_settings(&self, json: bool) -> Result<()> {
        let (path, settings) = (self.context.settings_file()?, &self.context.settings);
        let rows: Vec<Row> = settings.reports().map(|report| Row::new(settings, report)).collect();
        print(&match json {
            true => as_json(&List { file: Shown::line(path.display()), settings: rows }),
            false => shown_lines(&shown!("settings file: {}", path.display()).with_tilde(self.context.home()?), &rows),
        });
        self.warn_of_lines();
        Ok(())
    }

    /// The exit code is 1 if nothing is set and no value applies.
    fn show_setting(&self, variable: Variable) -> Result<ExitCode> {
        let settings = &self.context.settings;
        let report = settings.report(variable);
        if let Some(problem) = &report.problem {
            warn(NAME, &shown!("{problem}"));
        }
        match report.value.or_else(|| settings.default_value(variable)) {
            Some(value) => {
                print_line(&value);
                Ok(ExitCode::SUCCESS)
            }
            None => {
                error::say(&shown!("{NAME}: {} is not set: {}", variable.name(), settings.default(variable)));
                Ok(ExitCode::FAILURE)
            }
        }
    }

    fn set(&self, set: &Set) -> Result<()> {
        let (key, value) = set.key_and_value()?;
        let variable = variable_named(key)?;
        let value: OsString = if value == "-" { from_stdin()?.into() } else { value.into() };
        if value.is_empty() {
            return self.unset(variable);
        }
        SettingsFile::new(self.context)?.set(variable, &value)?;
        self.say(&shown!("{} is {} in the settings file now", variable.name(), quoted(variable, &value)));
        self.warn_of_environment(variable);
        self.warn_of_lines();
        Ok(())
    }

    fn unset(&self, variable: Variable) -> Result<()> {
        let (name, default) = (variable.name(), self.context.settings.default(variable));
        match SettingsFile::new(self.context)?.unset(variable)? {
            true => self.say(&shown!("{name} is no longer in the settings file; without it: {default}")),
            false => self.say(&shown!("{name} is not in the settings file; without it: {default}")),
        }
        self.warn_of_environment(variable);
        Ok(())
    }

    fn edit(&self) -> Result<()> {
        match editor::edit(self.context, &SettingsFile::new(self.context)?)? {
            true => self.say(&"settings changed".into()),
            false => self.say(&"nothing has changed".into()),
        }
        self.warn_of_lines();
        Ok(())
    }

    fn warn_of_environment(&self, variable: Variable) {
        if self.context.settings.report(variable).origin == Some(Origin::Environment) {
            warn(NAME, &shown!("{} is in the environment of this shell, too, which wins there", variable.name()));
        }
    }

    /// What the file says now that has no effect.
    fn warn_of_lines(&self) {
        let bytes = SettingsFile::new(self.context).and_then(|file| file.read()).unwrap_or_default();
        let settings = self.context.settings.with_file(file::parse(&bytes).0);
        if let Some(unused) = settings.unused_links() {
            warn(NAME, &unused);
        }
        for name in settings.unknown_in_file() {
            warn(NAME, &shown!("`{name}` in the settings file is no setting"));
        }
    }
}

/// A secret that is given like this is in no shell's history.
fn from_stdin() -> Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().take(MOST_SETTINGS).read_to_string(&mut text);
    read.map_err(Error::system("read", "stdin"))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_string())
}

fn quoted(variable: Variable, value: &OsStr) -> Shown {
    let value = variable.shown(value);
    if variable.is_secret() { value } else { shown!("`{value}`") }
}

/// A setting, for programs.
#[derive(Serialize)]
struct Row {
    name: String,
    meaning: &'static str,
    /// None if it is not set; `set` for a secret.
    value: Option<Shown>,
    /// None if no fixed value applies without it.
    default: Option<Shown>,
    origin: &'static str,
    /// In the settings file.
    line: Option<usize>,
    /// Why the value cannot be used.
    problem: Option<Shown>,
    #[serde(skip)]
    default_in_words: Shown,
}

#[derive(Serialize)]
struct List {
    file: Shown,
    settings: Vec<Row>,
}

impl Row {
    fn new(settings: &Settings, report: Report) -> Row {
        let variable = report.variable;
        Row {
            name: variable.name(),
            meaning: variable.meaning(),
            value: report.value,
            default: settings.default_value(variable),
            origin: match report.origin {
                None => "default",
                Some(Origin::Environment) => "environment",
                Some(Origin::File(_)) => "file",
            },
            line: if let Some(Origin::File(line)) = report.origin { Some(line) } else { None },
            problem: report.problem.map(|problem| Shown::line(problem.expectation())),
            default_in_words: settings.default(variable),
        }
    }

    /// Marked if it is set, and otherwise if that is of no use.
    fn cells(&self) -> [Shown; 5] {
        let mark = match (&self.value, &self.problem) {
            (None, _) => "",
            (_, None) => "*",
            (_, Some(_)) => "!",
        };
        let default = match &self.default {
            Some(default) => default.clone(),
            None => shown!("({})", self.default_in_words),
        };
        let (value, from) = match (&self.value, self.line) {
            (None, _) => (default.clone(), Shown::default()),
            (Some(value), None) => (value.clone(), "environment".into()),
            (Some(value), Some(line)) => (value.clone(), shown!("line {line}")),
        };
        let note = match (&self.value, &self.problem) {
            (None, _) => Shown::default(),
            (_, None) => shown!("default: {default}"),
            (_, Some(problem)) => shown!("{problem}; default: {default}"),
        };
        [mark.into(), Shown::line(&self.name), value, from, note]
    }
}

fn shown_lines(head: &Shown, rows: &[Row]) -> Shown {
    let cells: Vec<[Shown; 5]> = rows.iter().map(Row::cells).collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let [names, values, origins] = [1, 2, 3].map(width);
    let mut text = format!("{head}\n\n");
    for [mark, name, value, from, note] in &cells {
        let line = format!("{mark:<1} {name:<names$}  {value:<values$}  {from:<origins$}  {note}");
        text += line.trim_end();
        text.push('\n');
    }
    Shown::lines(text)
}

fn as_json(list: &List) -> Shown {
    Shown::json(&(serde_json::to_string(list).unwrap_or_default() + "\n"))
}
