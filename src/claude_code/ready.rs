//! A Claude Code that is ready to run on the local model.

use std::ffi::OsString;
use std::process::Child;

/// What a Claude Code needs to run on the local model.
pub(crate) struct Ready {
    /// `--settings` and its value, in two words since 2.0.14 and earlier do not take them as one. They replace the caller's own:
    /// some versions take the first of several, and some the last.
    pub settings: [OsString; 2],
    /// Variables to set, and those to remove.
    pub environment: Vec<(OsString, Option<OsString>)>,
    /// The line that tells people about it on stderr.
    pub banner: String,
    pub model: String,
    /// Ends by itself when this process does.
    pub gateway: Child,
    pub port: u16,
    /// What the gateway asks its clients for.
    pub token: String,
}
