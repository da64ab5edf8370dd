//! Why a question got no answer, and how that is told from what the server and the connection say.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use ureq::Timeout;
use ureq::http::header::{LOCATION, RETRY_AFTER};
use ureq::http::{HeaderMap, StatusCode};

use crate::completions::endpoint::{Endpoint, Timeouts};
use crate::completions::error_line::{error_line, message_of};
use crate::completions::untaken::Untaken;
use crate::error::Error;
use crate::settings::Setting;
use crate::settings::url::without_secrets;
use crate::shown::{Shown, shown};

mod length;
mod words;

pub(crate) use words::names;

/// Said of a server that has not taken a connection in time.
pub(crate) const NOT_TAKEN: &str = "the connection was not taken in time";

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) enum CompletionError {
    /// Nothing listens there.
    Refused(String),
    /// Nobody has taken the connection in time: whoever is there has no time, or is away.
    NotTaken(String),
    /// The server listens and is still loading its model.
    Loading,
    /// The server lives and will never answer: its generation thread has died (mlx-lm).
    Dead(String),
    /// The server does not know the model's name.
    UnknownModel(ServerRefusal),
    /// The same request may be answered a moment later.
    Passing {
        cause: Passing,
        /// How long the server wants to be left alone.
        retry_after: Option<Duration>,
        refusal: ServerRefusal,
    },
    /// The server, its template or its model does not take a part of the request.
    Untaken {
        /// What that may be, the likeliest first.
        about: Vec<Untaken>,
        refusal: ServerRefusal,
    },
    /// The user's own addition to requests is what the server does not take.
    ExtraUntaken { key: String, refusal: ServerRefusal },
    TooLong {
        /// In tokens, if the server says it.
        prompt: Option<u64>,
        window: Option<u64>,
    },
    /// The prompt fits, and the answer that it asks for does not fit behind it.
    AnswerTooLong {
        /// In tokens, as far as the server says it.
        most: Option<u64>,
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

/// Why a refusal may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passing {
    /// The server has too much to do.
    Busy,
    /// The server, or what stands behind it, is away.
    Away,
    /// The server could not read what its model wrote: the next answer is another one.
    BadOutput,
}

/// The server's refusal.
#[derive(Clone, Debug)]
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
        let (key, url) = (Shown::line(endpoint.variable(Setting::Url)), endpoint.shown());
        let shown = |text: String| Shown::line(endpoint.without_key(text));
        let refused = |ServerRefusal { status, line }, may_pass| {
            let line = Shown::line(endpoint.with_own_names(endpoint.without_key(line)));
            Error::Refused { status, line, may_pass }
        };
        match self {
            CompletionError::Refused(reason) | CompletionError::NotTaken(reason) | CompletionError::Broken(reason) => {
                Error::Unreachable { key, url, reason: shown(with_authority(reason)) }
            }
            CompletionError::Loading => Error::Unreachable { key, url, reason: "it is still loading its model".into() },
            CompletionError::Dead(line) => Error::DeadModel { line: shown(line) },
            CompletionError::UnknownModel(refusal)
            | CompletionError::Untaken { refusal, .. }
            | CompletionError::Refusal(refusal) => refused(refusal, false),
            CompletionError::Passing { refusal, .. } => refused(refusal, true),
            CompletionError::ExtraUntaken { key, refusal } => {
                Error::ExtraRefused { key: Shown::line(key), line: shown(refusal.line) }
            }
            CompletionError::TooLong { prompt, window } | CompletionError::AnswerTooLong { prompt, window, .. } => {
                Error::PromptTooLong { prompt, window }
            }
            CompletionError::Stalled { idle, partial } => {
                let reason = shown!("nothing came for {} seconds (LOCAL_LLM_IDLE_TIMEOUT)", idle.as_secs());
                Error::CutAnswer { reason, partial }
            }
            CompletionError::Cut { reason, partial } => {
                Error::CutAnswer { reason: Shown::line(endpoint.with_own_names(endpoint.without_key(reason))), partial }
            }
            CompletionError::Cancelled => Error::Interrupted,
            CompletionError::Empty { is_cut_by_limit } => Error::EmptyAnswer { is_cut_by_limit },
        }
    }

    /// Takes an error that came instead of an answer for what it says: some servers have sent the status before they know
    /// (LM Studio that a prompt is too long, llama.cpp what its parser makes of an answer).
    pub(crate) fn by_its_words(self) -> CompletionError {
        match self {
            CompletionError::Cut { reason, partial } if partial.is_empty() => {
                let refusal = ServerRefusal { status: StatusCode::OK.as_u16(), line: reason };
                match by_words(refusal, "", None) {
                    CompletionError::Refusal(ServerRefusal { line, .. }) => CompletionError::Cut { reason: line, partial },
                    known => known,
                }
            }
            other => other,
        }
    }
}

/// With what makes a certificate known that nobody on this machine vouches for.
fn with_authority(reason: String) -> String {
    match reason.contains("UnknownIssuer") {
        true => format!("{reason} (SSL_CERT_FILE names the certificate of an authority of your own)"),
        false => reason,
    }
}

/// Classifies a failure before any byte of an answer.
pub(crate) fn before_answer(error: ureq::Error, timeouts: Timeouts) -> CompletionError {
    match &error {
        ureq::Error::Timeout(Timeout::Connect) => CompletionError::NotTaken(transport_line(&error)),
        ureq::Error::Timeout(Timeout::Resolve) | ureq::Error::HostNotFound => CompletionError::Refused(transport_line(&error)),
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
        ureq::Error::Io(io) => crate::text::plain(io).to_string(),
        ureq::Error::Timeout(Timeout::Connect) => NOT_TAKEN.into(),
        ureq::Error::HostNotFound => "its host has no address".into(),
        ureq::Error::Protocol(_) => "it does not speak HTTP as it should".into(),
        other => other.to_string(),
    }
}

/// Classifies what a server says instead of an answer.
pub(crate) fn refusal(status: StatusCode, headers: &HeaderMap, body: &str) -> CompletionError {
    let line = error_line(status.as_u16(), body);
    let status = status.as_u16();
    let location = headers.get(LOCATION).map(|place| String::from_utf8_lossy(place.as_bytes()));
    if let Some(location) = location.filter(|_| (300..400).contains(&status)) {
        let line = format!("HTTP {status}: it redirects to {}: set LOCAL_LLM_URL to that", without_secrets(&location));
        return CompletionError::Refusal(ServerRefusal { status, line });
    }
    let retry_after = headers.get(RETRY_AFTER).and_then(|when| read_retry_after(when.to_str().ok()?.trim(), Timestamp::now()));
    by_words(ServerRefusal { status, line }, body, retry_after)
}

/// Classifies the error that a server sends as an event. It is a refusal of the request if it `is_first`, and has a status.
pub(crate) fn in_stream(error: &Value, is_first: bool) -> CompletionError {
    let body = json!({ "error": error }).to_string();
    let broken = || CompletionError::Cut { reason: message_of(&body).unwrap_or_default(), partial: String::new() };
    let status = error["code"].as_u64().and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok());
    let Some(status) = status.filter(|status| is_first && status.as_u16() >= 400) else { return broken() };
    match refusal(status, &HeaderMap::new(), &body) {
        CompletionError::Refusal(_) if status.is_server_error() => broken(),
        failure => failure,
    }
}

/// Servers use the same codes for different things (mlx-lm 404 for everything, llama.cpp 500 for bad requests), so the words decide
/// wherever they say something. They are those of the line: the whole body may repeat the request.
fn by_words(refusal: ServerRefusal, body: &str, retry_after: Option<Duration>) -> CompletionError {
    let (status, words) = (refusal.status, refusal.line.to_lowercase());
    let says = |all: &[&str]| all.iter().all(|word| words.contains(word));
    if let Some(too_long) = length::read(&words, &serde_json::from_str::<Value>(body).unwrap_or_default()["error"]) {
        return too_long;
    }
    // What stands before a server counts bytes and knows no tokens (nginx takes 1 MiB).
    if status == 413 {
        return CompletionError::TooLong { prompt: None, window: None };
    }
    if status == 503 && says(&["loading"]) {
        return CompletionError::Loading;
    }
    if says(&["generation thread died"]) {
        return CompletionError::Dead(refusal.line);
    }
    if says(&["model", "not found"]) || says(&["model", "does not exist"]) || says(&["model name is missing"]) {
        return CompletionError::UnknownModel(refusal);
    }
    if let Some(cause) = words::passing(status, &words) {
        return CompletionError::Passing { cause, retry_after, refusal };
    }
    let about = if matches!(status, 401 | 403) { vec![] } else { words::untaken(&words, body) };
    match about.is_empty() {
        false => CompletionError::Untaken { about, refusal },
        true if status == 502 => CompletionError::Passing { cause: Passing::Away, retry_after, refusal },
        true => CompletionError::Refusal(refusal),
    }
}

/// `Retry-After`: seconds, or a date of HTTP.
fn read_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests;
