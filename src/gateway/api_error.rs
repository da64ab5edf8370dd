//! What goes wrong, as the Messages API says it.

use std::num::NonZeroU32;

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::completions::failure::{CompletionError, Passing};
use crate::error::Error;

/// The API's own status for a server with too much to do.
const OVERLOADED: u16 = 529;

/// An error of the Messages API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    /// Sent only if no stream has begun.
    pub status: StatusCode,
    /// The API's word for its kind: `invalid_request_error`, `api_error`, …
    pub kind: &'static str,
    /// For people.
    pub message: String,
    /// For programs.
    pub details: Option<Value>,
    /// Whether asking again may help. Clients ask some statuses again unless they are told not to.
    pub may_pass: bool,
    /// How long the local server wants to be left alone, in seconds.
    pub retry_after: Option<NonZeroU32>,
}

impl ApiError {
    pub(crate) fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::BAD_REQUEST,
            kind: "invalid_request_error",
            message: message.into(),
            details: None,
            may_pass: false,
            retry_after: None,
        }
    }

    /// A conversation of which the server should have kept the beginning. By these words the official clients know that they
    /// have to send all of it (anthropic 2.12.0, @anthropic-ai/sdk 1.12.0).
    pub(crate) fn thread_unsupported() -> ApiError {
        let details = json!({"error_code": "thread_unsupported_request", "unsupported": ["thread"]});
        ApiError { details: Some(details), ..ApiError::bad_request("thread: this gateway keeps no conversations") }
    }

    /// The local server refuses this request. Claude Code asks a 400 five times more, and this status once (2.1.330).
    pub(crate) fn refused(message: impl Into<String>) -> ApiError {
        ApiError { status: StatusCode::FAILED_DEPENDENCY, ..ApiError::bad_request(message) }
    }

    /// The local server cannot answer, and will not in a moment either.
    pub(crate) fn unavailable(message: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::SERVICE_UNAVAILABLE,
            kind: "api_error",
            message: message.into(),
            details: None,
            may_pass: false,
            retry_after: None,
        }
    }

    /// Other requests hold what memory there is for them.
    pub(crate) fn crowded() -> ApiError {
        let message = "the requests that are being answered are too large for another one";
        ApiError { may_pass: true, retry_after: NonZeroU32::new(1), kind: "overloaded_error", ..ApiError::unavailable(message) }
    }

    /// The local server's answer broke: the next one may not.
    pub(crate) fn bad_answer(message: impl Into<String>) -> ApiError {
        ApiError { status: StatusCode::BAD_GATEWAY, may_pass: true, ..ApiError::unavailable(message) }
    }

    /// The local server is silent. A second request would double its work.
    pub(crate) fn timed_out(message: impl Into<String>) -> ApiError {
        ApiError { status: StatusCode::GATEWAY_TIMEOUT, kind: "timeout_error", ..ApiError::unavailable(message) }
    }

    pub(crate) fn unauthorized() -> ApiError {
        let message = "the gateway's token is missing or wrong".into();
        ApiError { status: StatusCode::UNAUTHORIZED, kind: "authentication_error", message, ..ApiError::unavailable("") }
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::FORBIDDEN,
            kind: "permission_error",
            message: message.into(),
            details: None,
            may_pass: false,
            retry_after: None,
        }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::NOT_FOUND,
            kind: "not_found_error",
            message: message.into(),
            details: None,
            may_pass: false,
            retry_after: None,
        }
    }

    /// The words by which Claude Code knows that it has to shorten the conversation (2.1.330).
    pub(crate) fn too_long(prompt: Option<u64>, window: Option<u64>) -> ApiError {
        ApiError::bad_request(match (prompt, window) {
            (Some(prompt), Some(window)) => format!("prompt is too long: {prompt} tokens > {window} maximum"),
            _ => "prompt is too long".into(),
        })
    }

    /// A failure of the local server, which its own status does not tell: mlx-lm says 404 for everything.
    pub(crate) fn from_failure(failure: CompletionError, into_error: impl FnOnce(CompletionError) -> Error) -> ApiError {
        match failure {
            CompletionError::TooLong { prompt, window } | CompletionError::AnswerTooLong { prompt, window, .. } => {
                ApiError::too_long(prompt, window)
            }
            CompletionError::Passing { cause, retry_after, .. } => {
                let seconds = retry_after.and_then(|pause| NonZeroU32::new(pause.as_secs_f64().ceil() as u32));
                ApiError { retry_after: seconds, ..ApiError::passing(cause, into_error(failure).to_string()) }
            }
            CompletionError::Stalled { .. } => ApiError::timed_out(without_partial(failure, into_error)),
            CompletionError::Broken(_) | CompletionError::Cut { .. } | CompletionError::Loading => {
                ApiError::bad_answer(without_partial(failure, into_error))
            }
            // The same question gets the same answer. The model was told already.
            CompletionError::Empty { .. } => {
                ApiError { may_pass: false, ..ApiError::bad_answer(into_error(failure).to_string()) }
            }
            CompletionError::Refusal(_) | CompletionError::Untaken { .. } | CompletionError::ExtraUntaken { .. } => {
                ApiError::refused(into_error(failure).to_string())
            }
            other => ApiError::unavailable(into_error(other).to_string()),
        }
    }

    fn passing(cause: Passing, message: String) -> ApiError {
        match cause {
            Passing::Busy => ApiError {
                status: StatusCode::from_u16(OVERLOADED).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
                kind: "overloaded_error",
                may_pass: true,
                ..ApiError::unavailable(message)
            },
            Passing::Away => ApiError { may_pass: true, ..ApiError::unavailable(message) },
            Passing::BadOutput => ApiError::bad_answer(message),
        }
    }

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
        ApiError::unavailable(format!("{first}{hint}"))
    }
}

/// The caller already has the partial answer.
fn without_partial(failure: CompletionError, into_error: impl FnOnce(CompletionError) -> Error) -> String {
    let partial = String::new();
    let failure = match failure {
        CompletionError::Stalled { idle, .. } => CompletionError::Stalled { idle, partial },
        CompletionError::Cut { reason, .. } => CompletionError::Cut { reason, partial },
        other => other,
    };
    into_error(failure).to_string()
}
