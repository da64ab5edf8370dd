//! Every variable of ours, by name and as a typed value.
//!
//! A value is parsed when a call needs it: an unusable one must not disturb other calls.

#![deny(dead_code, reason = "a setting that nothing reads is none")]

pub(crate) mod file;
mod kind;
mod refusal_policy;
pub(crate) mod report;
mod table;
pub(crate) mod url;
mod values;

use std::ffi::OsString;

pub(crate) use refusal_policy::RefusalPolicy;
pub(crate) use table::{FIRST, LinkNumber, Setting, Variable};
pub use table::{SETTINGS, numbered};
pub(crate) use values::or_warn;

use crate::settings::file::Assignment;
use crate::shown::{Shown, shown};

/// The values that the user gave.
#[derive(Clone)]
pub(crate) struct Settings {
    environment: fn(&str) -> Option<OsString>,
    file: Vec<Assignment>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Environment,
    /// With the line.
    File(usize),
}

impl Settings {
    /// The environment wins over the lines of the settings file.
    pub(crate) fn new(environment: fn(&str) -> Option<OsString>, file: Vec<Assignment>) -> Settings {
        Settings { environment, file }
    }

    /// Those of the environment, with another file.
    pub(crate) fn with_file(&self, file: Vec<Assignment>) -> Settings {
        Settings { file, ..self.clone() }
    }

    /// Names in the settings file that look like ours and are none: probably typing errors.
    pub(crate) fn unknown_in_file(&self) -> Vec<String> {
        let names = self.file.iter().map(|line| line.name.clone());
        let looks_like_ours = |name: &String| name.starts_with("LLM_") || name.starts_with("LOCAL_LLM_");
        names.filter(|name| looks_like_ours(name) && Variable::named(name).is_none()).collect()
    }

    /// The links that there are, from the first on. One without a URL ends the chain.
    pub(crate) fn links(&self) -> impl Iterator<Item = LinkNumber> + '_ {
        (FIRST..=table::LAST).take_while(|link| *link == FIRST || self.value(Setting::Url.of(*link)).is_some())
    }

    /// Why some variables have no effect: there is no such link. None if all have.
    pub(crate) fn unused_links(&self) -> Option<Shown> {
        let last = self.links().last().unwrap_or(FIRST);
        let unused: Vec<Variable> = Variable::of_links_after(last).filter(|variable| self.value(*variable).is_some()).collect();
        let names = unused.iter().map(|variable| format!("`{}`", variable.name())).collect::<Vec<_>>().join(", ");
        let missing = Setting::Url.of(last + 1).name();
        (!unused.is_empty()).then(|| shown!("without `{missing}` these have no effect: {names}"))
    }

    /// The variables that the server's command gets in its environment, also from the settings file.
    pub(crate) fn for_server_command(&self) -> impl Iterator<Item = (&'static str, OsString)> + '_ {
        [Setting::Model, Setting::ApiKey].into_iter().filter_map(|setting| Some((setting.name(), self.value(setting)?)))
    }

    /// The variables of keys that are for other servers than the one that the command starts.
    pub(crate) fn keys_of_later_links() -> impl Iterator<Item = String> {
        (FIRST + 1..=table::LAST).map(|link| Setting::ApiKey.of(link).name())
    }

    /// From the environment or else the settings file, where the last line counts. Empty means unset.
    fn found(&self, variable: Variable) -> Option<(OsString, Origin)> {
        let name = variable.name();
        let in_file =
            || self.file.iter().rfind(|line| line.name == name).map(|line| (line.value.clone(), Origin::File(line.line)));
        let is_set = |(value, _): &(OsString, Origin)| !value.is_empty();
        let in_environment = (self.environment)(&name).map(|value| (value, Origin::Environment));
        in_environment.filter(is_set).or_else(|| in_file().filter(is_set))
    }

    fn value(&self, variable: impl Into<Variable>) -> Option<OsString> {
        self.found(variable.into()).map(|(value, _)| value)
    }
}

#[cfg(test)]
mod tests;
