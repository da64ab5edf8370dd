//! Who is let in: programs on this machine that have the gateway's token.

use hyper::Request;
use hyper::header::HOST;

use crate::gateway::api_error::ApiError;

/// A web page could have a name of its own lead here.
pub(super) fn check_host<B>(request: &Request<B>, port: u16) -> Result<(), ApiError> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_ours = ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| host == format!("{name}:{port}"));
    if is_ours { Ok(()) } else { Err(ApiError::forbidden("this gateway is for programs on this machine alone")) }
}

pub(super) fn check_token<B>(request: &Request<B>, expected: &str) -> Result<(), ApiError> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let is_known = [header("x-api-key"), bearer].into_iter().flatten().any(|token| token == expected);
    if is_known { Ok(()) } else { Err(ApiError::unauthorized()) }
}
