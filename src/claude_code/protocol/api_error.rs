//! A failed turn in Claude Code's terms for a failed request.

use crate::error::Error;

pub(crate) struct ApiError {
    /// The text that stands in place of an answer.
    pub text: String,
    /// The part of the answer that had arrived. No message holds it.
    pub partial: Option<String>,
    /// The `error` of the assistant's message.
    pub kind: &'static str,
    /// The `terminal_reason` of the result.
    pub terminal_reason: &'static str,
    /// The HTTP status, if the server answered.
    pub status: Option<u16>,
    /// The `api_error`, if no server answered.
    pub api_error: Option<&'static str>,
}

impl ApiError {
    /// The hint, which says what to do about the error, stands in the same line as the error.
    pub(crate) fn new(applet: &str, error: Error) -> ApiError {
        let hint = error.hint(applet).map(|hint| format!(" · {hint}")).unwrap_or_default();
        let (error, partial) = match error.without_log() {
            Error::CutAnswer { reason, partial } => {
                (Error::CutAnswer { reason, partial: String::new() }, Some(partial).filter(|partial| !partial.trim().is_empty()))
            }
            other => (other, None),
        };
        let (text, kind, terminal_reason, status) = match error.main() {
            Error::PromptTooLong { .. } => {
                (format!("Prompt is too long · {error}"), "invalid_request", "prompt_too_long", Some(400))
            }
            Error::Refused { status, .. } => {
                (format!("API Error: {error}{hint}"), of_status(*status), "api_error", Some(*status))
            }
            _ => (format!("API Error: {error}{hint}"), "server_error", "api_error", None),
        };
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let has_answered = status.is_some()
            || matches!(error.main(), Error::EmptyAnswer { .. } | Error::DeadModel { .. } | Error::ModelNotNamed { .. });
        let api_error = (!has_answered).then_some("connection_failed");
        ApiError { text, partial, kind, terminal_reason, status, api_error }
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
