//! A turn that failed, in the words that Claude Code has for a failed request.

use crate::error::Error;

/// What a failed turn's messages say.
pub struct Problem {
    /// The text, in place of an answer.
    pub text: String,
    /// The HTTP status, if there was one.
    pub status: Option<u16>,
    /// The `error` of the assistant's message.
    pub kind: &'static str,
    /// The `terminal_reason` of the result.
    pub terminal_reason: &'static str,
}

impl Problem {
    /// The failure as callers of Claude Code know failures.
    pub fn new(applet: &str, error: &Error) -> Problem {
        let hint = error.hint(applet).map(|hint| format!(" · {hint}")).unwrap_or_default();
        let (text, status, kind, terminal_reason) = match error {
            Error::PromptTooLong { .. } => {
                (format!("Prompt is too long · {error}"), Some(400), "invalid_request", "prompt_too_long")
            }
            Error::Refused { status, .. } => {
                (format!("API Error: {error}{hint}"), Some(*status), of_status(*status), "api_error")
            }
            _ => (format!("API Error: {error}{hint}"), None, "server_error", "api_error"),
        };
        Problem { text: text.split_whitespace().collect::<Vec<_>>().join(" "), status, kind, terminal_reason }
    }
}

/// As measured with Claude Code 2.1.330.
fn of_status(status: u16) -> &'static str {
    match status {
        401 | 403 => "authentication_failed",
        404 => "model_not_found",
        429 => "rate_limit",
        500.. => "server_error",
        _ => "unknown",
    }
}
