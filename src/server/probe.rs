//! The state of the local server, by one probe of its port.
//!
//! llama.cpp answers `/health` with 503 until its model is loaded. mlx-lm 0.32 says 200 before that, and 503
//! `unavailable` when its model could not be loaded, while the process lives on. Other servers have no `/health`; the
//! list of models shows then that it is a model server at all.

use std::io::Read;
use std::time::Duration;

use serde_json::Value;
use ureq::Error as Transport;

use crate::completions::endpoint::{Endpoint, Timeouts, short_body};
use crate::completions::failure::transport_line;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ServerState {
    /// Nothing listens.
    Down,
    Loading,
    /// The server answers. Its model may still be loading: then the first request waits for it.
    Up,
    /// The server listens and does not answer.
    Hung,
    /// The server answers, and its model has died or never loaded.
    Dead(String),
    /// Something that is no model server listens there.
    Foreign(String),
}

/// The longest list of models, in bytes: routers list hundreds, with prices and descriptions.
const MOST_BYTES: u64 = 16 << 20;

/// Takes at most a few seconds.
pub(crate) fn probe(endpoint: &Endpoint) -> ServerState {
    let timeouts =
        Timeouts { connect: Duration::from_secs(2), idle: Duration::from_secs(3), whole: Some(Duration::from_secs(5)) };
    let mut response = match endpoint.health(timeouts) {
        Ok(response) => response,
        Err(error) => return without_response(&error),
    };
    let status = response.status().as_u16();
    let body = short_body(&mut response);
    let json: Value = serde_json::from_str(&body).unwrap_or_default();
    match status {
        503 if json["status"] == "unavailable" => ServerState::Dead("it says `unavailable`".into()),
        503 if json.is_object() => ServerState::Loading,
        200 if json.is_object() || body.is_empty() => ServerState::Up,
        _ => by_list_of_models(endpoint, timeouts),
    }
}

fn by_list_of_models(endpoint: &Endpoint, timeouts: Timeouts) -> ServerState {
    let mut response = match endpoint.models(timeouts) {
        Ok(response) => response,
        Err(error) => return without_response(&error),
    };
    let status = response.status().as_u16();
    let json: Value = serde_json::from_reader(response.body_mut().as_reader().take(MOST_BYTES)).unwrap_or_default();
    match status {
        200 if json["data"].is_array() || json["models"].is_array() => ServerState::Up,
        401 | 403 if json.is_object() => ServerState::Up,
        503 if json.is_object() => ServerState::Loading,
        _ => ServerState::Foreign(format!("it is no model server (HTTP {status} for its list of models)")),
    }
}

fn without_response(error: &Transport) -> ServerState {
    use std::io::ErrorKind::{ConnectionReset, InvalidData, UnexpectedEof};
    match error {
        Transport::Timeout(ureq::Timeout::Connect) | Transport::HostNotFound | Transport::ConnectionFailed => ServerState::Down,
        Transport::Timeout(_) => ServerState::Hung,
        Transport::Io(io) if matches!(io.kind(), ConnectionReset | UnexpectedEof) => {
            ServerState::Foreign("it closes the connection without an answer".into())
        }
        // rustls reports a bad certificate as this kind.
        Transport::Io(io) if io.kind() == InvalidData => ServerState::Foreign(transport_line(error)),
        Transport::Io(_) => ServerState::Down,
        Transport::Protocol(_) => ServerState::Foreign(transport_line(error)),
        other => ServerState::Foreign(other.to_string()),
    }
}
