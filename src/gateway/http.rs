//! The bodies of the gateway's HTTP: a request's, read up to a limit, and those of its responses.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{HeaderValue, RETRY_AFTER};
use hyper::{Request, StatusCode};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::claude_code::protocol::messages::api_id;
use crate::gateway::admission::Admitted;
use crate::gateway::api_error::ApiError;
use crate::http_server::{self, HttpResponse};

/// The largest request, in bytes: the Messages API takes 32 MB.
const MAX_REQUEST: usize = 64 << 20;

pub(super) async fn read_body(request: Request<Incoming>, admitted: &mut Admitted) -> Result<Vec<u8>, ApiError> {
    let mut incoming = request.into_body();
    let too_large = || ApiError {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        kind: "request_too_large",
        ..ApiError::bad_request(format!("a request may have {MAX_REQUEST} bytes"))
    };
    let stated = usize::try_from(incoming.size_hint().lower()).unwrap_or(usize::MAX);
    if stated > MAX_REQUEST {
        return Err(too_large());
    }
    admitted.hold(stated)?;
    // In one piece from the start: pieces would be there twice when they are put together.
    let mut body = Vec::with_capacity(stated);
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| ApiError::bad_request(format!("the request could not be read: {error}")))?;
        let Ok(bytes) = frame.into_data() else { continue };
        if body.len() + bytes.len() > MAX_REQUEST {
            return Err(too_large());
        }
        admitted.hold(body.len() + bytes.len())?;
        body.extend_from_slice(&bytes);
    }
    Ok(body)
}

pub(super) fn json_response(status: StatusCode, value: &Value) -> HttpResponse {
    with_id(http_server::response(status, "application/json", value.to_string()))
}

pub(super) fn error_response(error: &ApiError) -> HttpResponse {
    let mut response = json_response(error.status, &error.body());
    let again = HeaderValue::from_static(if error.may_pass { "true" } else { "false" });
    response.headers_mut().insert("x-should-retry", again);
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.get()));
    }
    response
}

/// The events of an answer as they come.
pub(super) fn stream_response(events: mpsc::Receiver<Bytes>) -> HttpResponse {
    with_id(http_server::stream_response(events))
}

fn with_id(mut response: HttpResponse) -> HttpResponse {
    if let Ok(id) = HeaderValue::from_str(&api_id("req")) {
        response.headers_mut().insert("request-id", id);
    }
    response
}
