//! The replies of the dashboard: text, JSON, errors, and the headers that all of them have.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{ALLOW, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::http_server::{HttpResponse, response};

pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const JSON: &str = "application/json";

/// For every reply. The page takes scripts, styles and data from here alone, and stands in no other page; no other page reads a reply.
/// None of them allows other origins anything (CORS).
const HEADERS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-store"),
];

pub(super) fn with_headers(mut response: HttpResponse) -> HttpResponse {
    for (name, value) in HEADERS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

pub(super) fn ok(content_type: &'static str, body: impl Into<Bytes>) -> HttpResponse {
    response(StatusCode::OK, content_type, body)
}

pub(super) fn json(value: &Value) -> HttpResponse {
    ok(JSON, value.to_string())
}

/// A request that gets an error.
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
    /// The methods that the path takes.
    allowed: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Refusal {
        Refusal { status, message: message.into(), allowed: None }
    }

    pub(super) fn of_method(method: &str, path: &str, allowed: &'static str) -> Refusal {
        let message = format!("{method} is not for {path}");
        Refusal { status: StatusCode::METHOD_NOT_ALLOWED, message, allowed: Some(allowed) }
    }

    pub(super) fn response(self) -> HttpResponse {
        let mut response = error(self.status, &self.message);
        if let Some(allowed) = self.allowed {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        }
        response
    }
}

pub(super) fn error(status: StatusCode, message: &str) -> HttpResponse {
    response(status, JSON, json!({"error": message}).to_string())
}
