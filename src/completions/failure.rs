//! Why a question got no answer, and how that is told from what the server and the connection say.

use std::io;
use std::time::Duration;

use serde_json::Value;
use ureq::Timeout;
use ureq::http::StatusCode;

use crate::completions::endpoint::{Endpoint, Timeouts, error_line, without_secrets};
use crate::error::Error;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum CompletionError {
    /// Nothing listens there.
    Refused(String),
    /// The server listens and is still loading its model.
    Loading,
    /// The server lives and will never answer: its generation thread has died (mlx-lm).
    Dead(String),
    /// The server does not know the model's name.
    UnknownModel(ServerRefusal),
    /// The server's template takes no system message.
    NoSystemRole(ServerRefusal),
    /// The server cannot hold answers to the form that was asked for.
    NoResponseFormat(ServerRefusal),
    /// The model sees no images.
    NoImages(ServerRefusal),
    TooLong {
        /// In tokens, if the server says it.
        prompt: Option<u64>,
        window: Option<u64>,
    },
    /// The connection broke before anything of an answer came.
    Broken(String),
    /// The server refused for another reason.
    Refusal(ServerRefusal),
    /// Nothing came for the idle time.
    Stalled { idle: Duration, partial: String },
    /// The stream ended before its end.
    Cut {
        /// Why, if that is known.
        reason: String,
        partial: String,
    },
    /// The listener cancelled the answer.
    Cancelled,
    /// The answer is empty.
    Empty {
        /// Whether the limit was used up by thinking.
        is_cut_by_limit: bool,
    },
}

/// The server's refusal.
#[derive(Debug)]
pub(crate) struct ServerRefusal {
    pub status: u16,
    /// The server's message, with the status before it.
    pub line: String,
}

impl CompletionError {
    /// With the part of the answer that came before.
    pub(crate) fn with_partial(self, text: &str) -> CompletionError {
        match self {
            CompletionError::Stalled { idle, .. } => CompletionError::Stalled { idle, partial: text.into() },
            CompletionError::Cut { reason, .. } => CompletionError::Cut { reason, partial: text.into() },
            other => other,
        }
    }

    /// The failure as the user sees it.
    pub(crate) fn into_error(self, endpoint: &Endpoint) -> Error {
        let url = endpoint.shown();
        match self {
            CompletionError::Refused(reason) | CompletionError::Broken(reason) => Error::Unreachable { url, reason },
            CompletionError::Loading => Error::Unreachable { url, reason: "it is still loading its model".into() },
            CompletionError::Dead(line) => Error::DeadModel { line },
            CompletionError::UnknownModel(refusal)
            | CompletionError::NoSystemRole(refusal)
            | CompletionError::NoResponseFormat(refusal)
            | CompletionError::NoImages(refusal)
            | CompletionError::Refusal(refusal) => Error::Refused { status: refusal.status, line: refusal.line },
            CompletionError::TooLong { prompt, window } => Error::PromptTooLong { prompt, window },
            CompletionError::Stalled { idle, partial } => {
                let reason = format!("nothing came for {} seconds (LOCAL_LLM_IDLE_TIMEOUT)", idle.as_secs());
                Error::CutAnswer { reason, partial }
            }
            CompletionError::Cut { reason, partial } => Error::CutAnswer { reason, partial },
            CompletionError::Cancelled => Error::Interrupted,
            CompletionError::Empty { is_cut_by_limit } => Error::EmptyAnswer { is_cut_by_limit },
        }
    }
}

/// Classifies a failure before any byte of an answer.
pub(crate) fn before_answer(error: ureq::Error, timeouts: Timeouts) -> CompletionError {
    match &error {
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) | ureq::Error::HostNotFound => {
            CompletionError::Refused(transport_line(&error))
        }
        ureq::Error::Timeout(_) => CompletionError::Stalled { idle: timeouts.idle, partial: String::new() },
        ureq::Error::Io(io) if is_refusal(io) => CompletionError::Refused(transport_line(&error)),
        _ => CompletionError::Broken(transport_line(&error)),
    }
}

fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable | AddrNotAvailable)
}

/// The transport's error, in few words.
pub(crate) fn transport_line(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(io) => crate::text::plain(io),
        ureq::Error::Timeout(Timeout::Connect) => "the connection was not taken in time".into(),
        ureq::Error::HostNotFound => "its host has no address".into(),
        ureq::Error::Protocol(_) => "it does not speak HTTP as it should".into(),
        other => other.to_string(),
    }
}

/// Servers use the same codes for different things (mlx-lm 404 for everything, llama.cpp 500 for bad requests), so the
/// body decides wherever it says something.
pub(crate) fn refusal(status: StatusCode, location: Option<String>, body: &str) -> CompletionError {
    let line = error_line(status.as_u16(), body);
    let lower = line.to_lowercase();
    let says = |words: &[&str]| words.iter().all(|word| lower.contains(word));
    let status = status.as_u16();
    if let Some(location) = location.filter(|_| (300..400).contains(&status)) {
        let line = format!("HTTP {status}: it redirects to {}: set LOCAL_LLM_URL to that", without_secrets(&location));
        return CompletionError::Refusal(ServerRefusal { status, line });
    }
    if status == 503 && says(&["loading"]) {
        CompletionError::Loading
    } else if says(&["generation thread died"]) {
        CompletionError::Dead(line)
    } else if says(&["exceed", "context"]) || says(&["maximum context length"]) {
        let error = &serde_json::from_str::<Value>(body).unwrap_or_default()["error"];
        CompletionError::TooLong { prompt: error["n_prompt_tokens"].as_u64(), window: error["n_ctx"].as_u64() }
    } else if says(&["model", "not found"]) || says(&["model", "does not exist"]) || says(&["model name is missing"]) {
        CompletionError::UnknownModel(ServerRefusal { status, line })
    } else if says(&["system", "role", "not supported"]) {
        CompletionError::NoSystemRole(ServerRefusal { status, line })
    } else if ["response_format", "json_schema", "json schema", "grammar"].iter().any(|word| lower.contains(word)) {
        CompletionError::NoResponseFormat(ServerRefusal { status, line })
    } else if ["image", "content type", "multimodal", "vision"].iter().any(|word| lower.contains(word)) {
        // llama.cpp without a projector says `image input is not supported`, mlx-lm `Only 'text' content type is supported.`
        CompletionError::NoImages(ServerRefusal { status, line })
    } else {
        CompletionError::Refusal(ServerRefusal { status, line })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_of_a_refusal_decides() {
        let kind = |status: u16, body: &str| match refusal(StatusCode::from_u16(status).unwrap(), None, body) {
            CompletionError::Loading => "loading",
            CompletionError::Dead(_) => "dead",
            CompletionError::UnknownModel(_) => "model",
            CompletionError::NoSystemRole(_) => "system",
            CompletionError::NoResponseFormat(_) => "format",
            CompletionError::NoImages(_) => "images",
            CompletionError::TooLong { prompt: Some(12), window: Some(8) } => "long",
            CompletionError::TooLong { .. } => "too long",
            CompletionError::Refusal(_) => "refusal",
            other => panic!("{other:?}"),
        };
        let loading = r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#;
        assert_eq!(kind(503, loading), "loading");
        assert_eq!(kind(404, r#"{"error": "generation thread died"}"#), "dead");
        assert_eq!(kind(404, r#"{"error":{"message":"model \"x\" not found, try pulling it first"}}"#), "model");
        assert_eq!(kind(400, r#"{"error":{"message":"model name is missing from the request"}}"#), "model");
        assert_eq!(kind(404, r#"{"object":"error","message":"The model `x` does not exist."}"#), "model");
        assert_eq!(kind(500, r#"{"error":{"message":"System role not supported"}}"#), "system");
        let long = r#"{"error":{"message":"request (12 tokens) exceeds the available context size (8 tokens)","n_prompt_tokens":12,"n_ctx":8}}"#;
        assert_eq!(kind(400, long), "long");
        assert_eq!(kind(400, r#"{"message":"This model's maximum context length is 8 tokens."}"#), "too long");
        assert_eq!(kind(400, r#"{"error":{"message":"JSON schema conversion failed"}}"#), "format");
        assert_eq!(kind(500, r#"{"error":{"message":"image input is not supported"}}"#), "images");
        assert_eq!(kind(404, r#"{"error": "Only 'text' content type is supported."}"#), "images");
        assert_eq!(kind(404, "Not Found"), "refusal");
        assert_eq!(kind(503, ""), "refusal");
    }
}
