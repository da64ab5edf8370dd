//! Who is let in: programs on this machine that have the gateway's token.

use hyper::Request;
use hyper::header::HeaderValue;

use crate::gateway::api_error::ApiError;
use crate::http_server::host::is_loopback;

pub(super) fn check_host<B>(request: &Request<B>, port: u16) -> Result<(), ApiError> {
    if is_loopback(request, port) {
        Ok(())
    } else {
        Err(ApiError::forbidden("this gateway is for programs on this machine alone"))
    }
}

/// Takes all credentials out of the request. One that is not our token opens nothing, and nothing behind this sees it: Claude Code
/// before 2.1.330 sends a key that the user has stored beside the token.
pub(super) fn take_token<B>(request: &mut Request<B>, expected: &str) -> Result<(), ApiError> {
    let [key, authorization, ..] = CREDENTIALS.map(|name| request.headers_mut().remove(name));
    let text = |value: &Option<HeaderValue>| value.as_ref().and_then(|value| Some(value.to_str().ok()?.to_string()));
    let bearer = text(&authorization).and_then(|value| Some(value.strip_prefix("Bearer ")?.to_string()));
    let is_known = [text(&key), bearer].into_iter().flatten().any(|token| token == expected);
    if is_known { Ok(()) } else { Err(ApiError::unauthorized()) }
}

/// The headers that carry credentials; a token may stand in the first two.
const CREDENTIALS: [&str; 4] = ["x-api-key", "authorization", "proxy-authorization", "cookie"];
