//! The options that Claude Code 2.1.330 checks before it reads the others: a fault here wins over theirs.

use serde_json::Value;

use crate::claude_code::command_line::scan::Token;
use crate::error::{Error, Result};

/// Checks the last `--settings` and the last `--setting-sources`, in this order.
///
/// # Errors
/// The real CLI's messages.
pub(super) fn check(args: &[String], tokens: &[Token]) -> Result<()> {
    let fault = |text: String| Err(Error::as_claude(text));
    if let Some(settings) = last(args, tokens, "--settings") {
        let is_json = settings.trim_start().starts_with('{') && serde_json::from_str::<Value>(settings).is_ok();
        let path = std::path::absolute(settings).unwrap_or_else(|_| settings.into());
        if !is_json && !path.exists() {
            return fault(format!("Error: Settings file not found: {}", path.display()));
        }
        if !is_json && path.is_dir() {
            let why = "EISDIR: illegal operation on a directory, read";
            return fault(format!("Error: Cannot use settings file ({why}): {}", path.display()));
        }
    }
    if let Some(sources) = last(args, tokens, "--setting-sources") {
        let known = ["user", "project", "local"];
        if let Some(source) = sources.split(',').map(str::trim).find(|source| !known.contains(source)) {
            return fault(format!(
                "Error processing --setting-sources: Invalid setting source: {source}. Valid options are: user, project, local"
            ));
        }
    }
    Ok(())
}

/// The last value that is given to an option, if it is not empty.
fn last<'a>(args: &'a [String], tokens: &[Token<'a>], name: &str) -> Option<&'a str> {
    let value = |token: &Token<'a>| match token.text.strip_prefix(name) {
        Some("") if token.end > token.at + 1 => Some(args[token.at + 1].as_str()),
        Some(joined) => joined.strip_prefix('='),
        None => None,
    };
    tokens.iter().filter_map(value).next_back().filter(|value| !value.is_empty())
}
