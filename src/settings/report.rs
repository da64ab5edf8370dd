//! What each setting is, where that comes from, and whether it can be used: for those who show or check them.

use crate::error::{Error, Result};
use crate::settings::file::Assignment;
use crate::settings::table::{Unset, Variable};
use crate::settings::{Origin, Settings};
use crate::shown::{Shown, shown};
use crate::text::nearest;

/// How things stand with one variable.
pub(crate) struct Report {
    pub variable: Variable,
    /// As it may be shown: `set` for a secret. None if it is not set.
    pub value: Option<Shown>,
    /// None: the default applies.
    pub origin: Option<Origin>,
    /// Why the value cannot be used.
    pub problem: Option<Error>,
}

impl Settings {
    /// All variables; of those that only later links have, the ones that are set.
    pub(crate) fn reports(&self) -> impl Iterator<Item = Report> + '_ {
        Variable::all()
            .map(|variable| self.report(variable))
            .filter(|report| !report.variable.is_numbered() || report.origin.is_some())
    }

    pub(crate) fn report(&self, variable: Variable) -> Report {
        let Some((value, origin)) = self.found(variable) else {
            return Report { variable, value: None, origin: None, problem: None };
        };
        let (shown, problem) = (variable.shown(&value), variable.check(&value).err());
        Report { variable, value: Some(shown), origin: Some(origin), problem }
    }

    /// The names of what is set, each with where it comes from.
    pub(crate) fn given(&self) -> Vec<String> {
        let given = self.reports().filter_map(|report| Some((report.variable.name(), report.origin?)));
        given
            .map(|(name, origin)| match origin {
                Origin::Environment => format!("{name} (environment)"),
                Origin::File(line) => format!("{name} (line {line})"),
            })
            .collect()
    }

    /// The value that applies to a variable that is not set; none if that is no value.
    pub(crate) fn default_value(&self, variable: Variable) -> Option<Shown> {
        let Unset::Is(default) = variable.unset() else { return None };
        let port = || self.port().map_or_else(|_| "$LLM_PORT".into(), |port| port.to_string());
        Some(match default.contains("$LLM_PORT") {
            true => Shown::line(default.replace("$LLM_PORT", &port())),
            false => default.into(),
        })
    }

    /// What applies to a variable that is not set, in words if it is no value.
    pub(crate) fn default(&self, variable: Variable) -> Shown {
        match variable.unset() {
            Unset::Is(value) => self.default_value(variable).unwrap_or_else(|| value.into()),
            Unset::Means(what) => what.into(),
        }
    }

    /// What is wrong with the lines of a settings file, one for each that is unknown or has a value that cannot be used.
    pub(crate) fn problems_in_file(file: &[Assignment]) -> Vec<Shown> {
        let looks_like_ours = |name: &str| name.starts_with("LLM_") || name.starts_with("LOCAL_LLM_");
        let problem = |line: &Assignment| match variable_named(&line.name) {
            Ok(_) if line.value.is_empty() => None,
            Ok(variable) => variable.check(&line.value).err(),
            Err(error) => looks_like_ours(&line.name).then_some(error),
        };
        file.iter().filter_map(|line| problem(line).map(|error| shown!("line {}: {error}", line.line))).collect()
    }
}

/// # Errors
/// If there is no such setting, with the one that was probably meant.
pub(crate) fn variable_named(name: &str) -> Result<Variable> {
    let wanted = name.trim().to_ascii_uppercase();
    Variable::named(&wanted).ok_or_else(|| {
        // The first local model has no number.
        let first = wanted.strip_suffix("_1").filter(|name| Variable::named(name).is_some()).map(str::to_string);
        let meant = first.or_else(|| nearest(&wanted, Variable::all().map(Variable::name))).map(Shown::line);
        Error::UnknownSetting { name: Shown::line(name), meant }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Setting;

    #[test]
    fn what_was_probably_meant() {
        let table = [
            ("LLM_PROT", Some("LLM_PORT")),
            ("llm_port", None),
            ("LOCAL_LLM_CONTEX", Some("LOCAL_LLM_CONTEXT")),
            ("LOCAL_LLM_MODEL2", Some("LOCAL_LLM_MODEL")),
            ("SOMETHING_ELSE", None),
        ];
        for (name, expected) in table {
            assert_eq!(nearest(name, Variable::all().map(Variable::name)).as_deref(), expected, "{name}");
        }
        assert!(variable_named(" llm_port").is_ok_and(|variable| variable == Setting::Port.into()));
    }
}
