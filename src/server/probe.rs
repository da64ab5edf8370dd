//! What a look at the local server's port tells.
//!
//! llama.cpp answers `/health` with 503 until its model is loaded. mlx-lm 0.32 says 200 before that, and 503
//! `unavailable` when its model could not be loaded, while the process lives on. Other servers have no `/health`; the
//! list of models shows then that it is a model server at all.

use std::time::Duration;

use serde_json::Value;
use ureq::Error as Transport;

use crate::completions::endpoint::{Endpoint, Timeouts, short_body};
use crate::completions::failure::transport_line;

/// How the server is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ServerState {
    /// Nothing listens.
    Down,
    /// It listens and is loading its model.
    Loading,
    /// It answers. Its model may still be on the way, in which case the first question waits for it.
    Up,
    /// It listens and does not answer.
    Hung,
    /// It answers, but its model is gone or never came.
    Dead(String),
    /// Something else listens there.
    Foreign(String),
}

/// Looks once, for at most a few seconds.
pub(crate) fn probe(endpoint: &Endpoint) -> ServerState {
    let timeouts =
        Timeouts { connect: Duration::from_secs(2), idle: Duration::from_secs(3), whole: Some(Duration::from_secs(5)) };
    let mut response = match endpoint.health(timeouts) {
        Ok(response) => response,
        Err(error) => return unanswered(&error),
    };
    let status = response.status().as_u16();
    let body = short_body(&mut response);
    let json: Value = serde_json::from_str(&body).unwrap_or_default();
    match status {
        503 if json["status"] == "unavailable" => ServerState::Dead("it says `unavailable`".into()),
        503 if json.is_object() => ServerState::Loading,
        200 if json.is_object() || body.is_empty() => ServerState::Up,
        _ => by_models(endpoint, timeouts),
    }
}

fn by_models(endpoint: &Endpoint, timeouts: Timeouts) -> ServerState {
    let mut response = match endpoint.models(timeouts) {
        Ok(response) => response,
        Err(error) => return unanswered(&error),
    };
    let status = response.status().as_u16();
    let json: Value = serde_json::from_str(&short_body(&mut response)).unwrap_or_default();
    match status {
        200 if json["data"].is_array() || json["models"].is_array() => ServerState::Up,
        401 | 403 if json.is_object() => ServerState::Up,
        503 if json.is_object() => ServerState::Loading,
        _ => ServerState::Foreign(format!("it is no model server (HTTP {status} for its list of models)")),
    }
}

fn unanswered(error: &Transport) -> ServerState {
    use std::io::ErrorKind::{ConnectionReset, InvalidData, UnexpectedEof};
    match error {
        Transport::Timeout(ureq::Timeout::Connect) | Transport::HostNotFound | Transport::ConnectionFailed => ServerState::Down,
        Transport::Timeout(_) => ServerState::Hung,
        Transport::Io(io) if matches!(io.kind(), ConnectionReset | UnexpectedEof) => {
            ServerState::Foreign("it closes the connection without an answer".into())
        }
        // What rustls says of a certificate comes as this kind.
        Transport::Io(io) if io.kind() == InvalidData => ServerState::Foreign(transport_line(error)),
        Transport::Io(_) => ServerState::Down,
        Transport::Protocol(_) => ServerState::Foreign(transport_line(error)),
        other => ServerState::Foreign(other.to_string()),
    }
}
