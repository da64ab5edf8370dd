//! What a caller calls this machine.

use hyper::Request;
use hyper::header::HOST;

/// Whether the request is for a loopback address and this port. A web page could have a name of its own lead here (DNS rebinding).
pub(crate) fn is_loopback<B>(request: &Request<B>, port: u16) -> bool {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| host == format!("{name}:{port}"))
}
