//! What programs may ask, under paths of its own: the dashboard and the gateway have the same.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use hyper::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::context::Context;
use crate::dashboard::look::{Answering, context, status};
use crate::dashboard::metrics::Metrics;
use crate::dashboard::reply;
use crate::error::Result;
use crate::http_server::{HEALTH, HttpResponse, ReadOnly};
use crate::state::ledger::{self, moments};

pub(super) const BACKEND: &str = "/api/llm-backend";
pub(super) const METRICS: &str = "/metrics";
pub(super) const STATUS: &str = "/api/status";
pub(super) const LOG: &str = "/api/log";

/// How many calls `/api/log` has, as the command.
const LINES: usize = 40;

/// What a dashboard says of itself.
pub(super) const PROGRAM: &str = "claude-failover";

#[derive(Default)]
pub(crate) struct Api {
    metrics: Mutex<Metrics>,
}

impl ReadOnly for Api {
    fn has(&self, path: &str) -> bool {
        [BACKEND, STATUS, LOG, METRICS, HEALTH].contains(&path)
    }

    fn get(&self, path: &str, query: &str) -> HttpResponse {
        let context = context();
        let answer = match path {
            HEALTH => Ok(reply::json(&json!({"status": "ok", "program": PROGRAM, "version": env!("CARGO_PKG_VERSION")}))),
            BACKEND => backend(&context).map(|value| reply::json(&value)),
            STATUS => status(&context).map(|(status, ..)| reply::ok(reply::JSON, status.json().trim_end().to_string())),
            LOG => match Wanted::read(query) {
                Ok(wanted) => log(&context, &wanted),
                Err(message) => Ok(reply::error(StatusCode::BAD_REQUEST, &message)),
            },
            METRICS => Ok(self.metrics(&context)),
            _ => Ok(reply::error(StatusCode::NOT_FOUND, "there is nothing at this path")),
        };
        answer.unwrap_or_else(|error| reply::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))
    }
}

impl Api {
    fn metrics(&self, context: &Context) -> HttpResponse {
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        reply::ok("text/plain; version=0.0.4; charset=utf-8", metrics.text(context))
    }
}

/// The word of the switch comes first: some look for it in the text.
fn backend(context: &Context) -> Result<Value> {
    let (answering, now) = (Answering::read(context)?, Timestamp::now());
    let condition = answering.condition.as_ref();
    Ok(json!({
        "backend": answering.backend,
        "since": answering.since,
        "answers": if answering.is_local() { "local" } else { "claude" },
        "why": condition.map(|condition| condition.cause),
        "reason": condition.map(|condition| format!("Claude {}", condition.description(now))),
        "until": condition.and_then(|condition| condition.until),
        "next_probe": condition.map(|condition| condition.next_probe.max(now)),
    }))
}

/// Which calls are asked for.
struct Wanted {
    count: usize,
    span: Range<Timestamp>,
}

impl Wanted {
    fn read(query: &str) -> std::result::Result<Wanted, String> {
        let (mut lines, mut since, mut until) = (None, None, Timestamp::MAX);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = unescaped(value);
            match name {
                "lines" => lines = Some(value.parse().map_err(|_| format!("lines: `{value}` is no number of calls"))?),
                "since" => since = Some(moments::parse(&value).map_err(|why| format!("since: {why}"))?),
                "until" => until = moments::parse(&value).map_err(|why| format!("until: {why}"))?,
                _ => return Err(format!("`{name}` is none of lines, since, until")),
            }
        }
        let count = lines.unwrap_or(if since.is_none() { LINES } else { usize::MAX });
        Ok(Wanted { count, span: since.unwrap_or(Timestamp::MIN)..until })
    }
}

/// The calls as the ledger has them, the newest last.
fn log(context: &Context, wanted: &Wanted) -> Result<HttpResponse> {
    let mut calls = ledger::read(context)?;
    calls.retain(|line| wanted.span.contains(&line.entry.time));
    let last: Vec<&str> = calls[calls.len().saturating_sub(wanted.count)..].iter().map(|line| line.raw.as_str()).collect();
    Ok(reply::ok(reply::JSON, format!("[{}]", last.join(",\n"))))
}

/// A value of a query: `%20` and `+` are a space.
fn unescaped(value: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), value.as_bytes());
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        rest = match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                &after[2..]
            }
            (b'+', _) => {
                bytes.push(b' ');
                after
            }
            (byte, _) => {
                bytes.push(*byte);
                after
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
