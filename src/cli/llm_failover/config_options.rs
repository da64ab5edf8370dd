//! The command line of `llm-failover config`.

use argh::{ArgsInfo, FromArgs};

use crate::error::{Error, Result};
use crate::shown::shown;

/// Show all settings: their values, where those come from, and the defaults.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "config", help_triggers("-h", "--help"))]
pub(super) struct Config {
    /// as JSON, for programs
    #[argh(switch)]
    pub(super) json: bool,
    #[argh(subcommand)]
    pub(super) action: Option<ConfigAction>,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub(super) enum ConfigAction {
    Get(Get),
    Set(Set),
    Unset(Unset),
    Edit(Edit),
}

/// Print the value of a setting, or its default.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "get", help_triggers("-h", "--help"))]
pub(super) struct Get {
    /// the setting's name
    #[argh(positional)]
    pub(super) key: String,
}

/// Give a setting a value in the settings file.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "set", help_triggers("-h", "--help"))]
pub(super) struct Set {
    /// the setting's name
    #[argh(positional)]
    key: String,
    /// its value; `-` reads it from stdin
    #[argh(positional, greedy)]
    value: Vec<String>,
}

impl Set {
    /// Also of `KEY=VALUE`.
    pub(super) fn key_and_value(&self) -> Result<(&str, &str)> {
        match (self.value.as_slice(), self.key.split_once('=')) {
            ([value], _) => Ok((&self.key, value)),
            ([], Some(both)) => Ok(both),
            ([], None) => Err(Error::Usage { message: shown!("`config set {}` lacks the value", self.key) }),
            (_, _) => Err(Error::Usage { message: "a value with spaces needs quotes".into() }),
        }
    }
}

/// Take a setting out of the settings file.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "unset", help_triggers("-h", "--help"))]
pub(super) struct Unset {
    /// the setting's name
    #[argh(positional)]
    pub(super) key: String,
}

/// Edit the settings file with $VISUAL or $EDITOR; what cannot be used is not put in its place.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "edit", help_triggers("-h", "--help"))]
pub(super) struct Edit {}
