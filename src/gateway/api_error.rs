//! What goes wrong, as the Messages API says it.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::completions::failure::CompletionError;
use crate::error::Error;

/// An error of the Messages API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    /// The status that goes with it, if no stream has begun.
    pub status: StatusCode,
    /// The API's word for its kind: `invalid_request_error`, `api_error`, …
    pub kind: &'static str,
    /// What people read.
    pub message: String,
    /// What programs read, if there is something.
    pub details: Option<Value>,
    /// Whether asking again may help. Clients ask some statuses again unless they are told not to.
    pub may_pass: bool,
}

impl ApiError {
    /// The request cannot be answered as it is.
    pub(crate) fn of_request(message: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::BAD_REQUEST,
            kind: "invalid_request_error",
            message: message.into(),
            details: None,
            may_pass: false,
        }
    }

    /// A conversation of which the server should have kept the beginning. By these words the official clients know that they
    /// have to send all of it (anthropic 2.12.0, @anthropic-ai/sdk 1.12.0).
    pub(crate) fn of_thread() -> ApiError {
        let details = json!({"error_code": "thread_unsupported_request", "unsupported": ["thread"]});
        ApiError { details: Some(details), ..ApiError::of_request("thread: this gateway keeps no conversations") }
    }

    /// The local server refuses this request. Claude Code asks a 400 five times more, and this status once (2.1.330).
    pub(crate) fn of_refusal(message: impl Into<String>) -> ApiError {
        ApiError { status: StatusCode::FAILED_DEPENDENCY, ..ApiError::of_request(message) }
    }

    /// The local server cannot answer, and will not in a moment either.
    pub(crate) fn of_server(message: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::SERVICE_UNAVAILABLE,
            kind: "api_error",
            message: message.into(),
            details: None,
            may_pass: false,
        }
    }

    /// The local server's answer broke: the next one may not.
    pub(crate) fn of_answer(message: impl Into<String>) -> ApiError {
        ApiError { status: StatusCode::BAD_GATEWAY, may_pass: true, ..ApiError::of_server(message) }
    }

    /// The local server says nothing. Asked again, it would have twice as much to do.
    pub(crate) fn of_silence(message: impl Into<String>) -> ApiError {
        ApiError { status: StatusCode::GATEWAY_TIMEOUT, kind: "timeout_error", ..ApiError::of_server(message) }
    }

    /// Nobody knows the caller.
    pub(crate) fn of_caller() -> ApiError {
        let message = "the gateway's token is missing or wrong".into();
        ApiError { status: StatusCode::UNAUTHORIZED, kind: "authentication_error", message, details: None, may_pass: false }
    }

    /// Not for this caller.
    pub(crate) fn of_host(message: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::FORBIDDEN,
            kind: "permission_error",
            message: message.into(),
            details: None,
            may_pass: false,
        }
    }

    /// Nothing of that name.
    pub(crate) fn of_name(message: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::NOT_FOUND,
            kind: "not_found_error",
            message: message.into(),
            details: None,
            may_pass: false,
        }
    }

    /// The words by which Claude Code knows that it has to shorten the conversation (2.1.330).
    pub(crate) fn too_long(prompt: Option<u64>, window: Option<u64>) -> ApiError {
        ApiError::of_request(match (prompt, window) {
            (Some(prompt), Some(window)) => format!("prompt is too long: {prompt} tokens > {window} maximum"),
            _ => "prompt is too long".into(),
        })
    }

    /// A failure of the local server, which its own status does not tell: mlx-lm says 404 for everything.
    pub(crate) fn of(failure: CompletionError, shown: impl FnOnce(CompletionError) -> Error) -> ApiError {
        match failure {
            CompletionError::TooLong { prompt, window } => ApiError::too_long(prompt, window),
            CompletionError::Stalled { .. } => ApiError::of_silence(without_partial(failure, shown)),
            CompletionError::Broken(_)
            | CompletionError::Cut { .. }
            | CompletionError::Loading
            | CompletionError::Empty { .. } => ApiError::of_answer(without_partial(failure, shown)),
            CompletionError::Refusal(_)
            | CompletionError::NoSystemRole(_)
            | CompletionError::NoResponseFormat(_)
            | CompletionError::NoImages(_) => ApiError::of_refusal(shown(failure).to_string()),
            other => ApiError::of_server(shown(other).to_string()),
        }
    }

    /// The body that says it.
    pub(crate) fn body(&self) -> Value {
        let mut error = json!({"type": self.kind, "message": self.message});
        if let Some(details) = &self.details {
            error["details"] = details.clone();
        }
        json!({"type": "error", "error": error})
    }
}

impl From<&Error> for ApiError {
    fn from(error: &Error) -> ApiError {
        let words = error.to_string();
        let first = words.lines().next().unwrap_or_default();
        let hint = error.hint("llm-failover").map(|hint| format!(" ({hint})")).unwrap_or_default();
        ApiError::of_server(format!("{first}{hint}"))
    }
}

/// What had come of an answer is with the caller already.
fn without_partial(failure: CompletionError, shown: impl FnOnce(CompletionError) -> Error) -> String {
    let partial = String::new();
    let failure = match failure {
        CompletionError::Stalled { idle, .. } => CompletionError::Stalled { idle, partial },
        CompletionError::Cut { reason, .. } => CompletionError::Cut { reason, partial },
        other => other,
    };
    shown(failure).to_string()
}
