//! What the real Claude's end says: an answer, somebody's fault, or a refusal that a local model can stand in for.
//!
//! Typed signals come first. A text counts only where there is none, and only if it is the whole of a message that
//! Claude Code itself made up: the wording has changed at least six times, and models quote it.

mod reset;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub(crate) use crate::claude_code::refusal::reset::reset_time;

/// What became of a call. Words are stable: they stand in the breaker's file, the ledger and the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// An answer, or an end that the caller asked for.
    #[serde(rename = "fine")]
    None,
    /// The 5-hour limit of a plan.
    FiveHour,
    /// The weekly limit of a plan.
    SevenDay,
    /// The weekly limit of one model.
    Model,
    /// The limit of what may be spent beyond the plan.
    Spend,
    /// A plan's limit of a kind that was not said.
    Usage,
    /// No credit.
    Credit,
    /// Too many requests for Anthropic.
    Overload,
    /// Anthropic's servers fail.
    ServerError,
    /// Anthropic cannot be reached, or says nothing.
    Network,
    /// Too many requests in a short time.
    Throttle,
    /// Nobody is signed in, or may not be.
    SignIn,
    /// The request is at fault.
    #[serde(rename = "caller")]
    BadRequest,
}

impl Cause {
    /// Whether a local model answers in Claude's place.
    pub(crate) fn fails_over(self) -> bool {
        !matches!(self, Cause::None | Cause::SignIn | Cause::BadRequest)
    }

    /// Whether it is a limit that ends at a time, and not an outage that ends when it ends.
    pub(crate) fn is_limit(self) -> bool {
        matches!(self, Cause::FiveHour | Cause::SevenDay | Cause::Model | Cause::Spend | Cause::Usage | Cause::Credit)
    }

    /// The longest that a limit lasts from when it was first met: a stated end beyond that is a mistake.
    pub(crate) fn window(self) -> SignedDuration {
        match self {
            Cause::FiveHour => SignedDuration::from_hours(5),
            Cause::SevenDay | Cause::Model | Cause::Usage => SignedDuration::from_hours(7 * 24),
            _ => SignedDuration::from_hours(31 * 24),
        }
    }

    /// Its word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Cause::None => "fine",
            Cause::FiveHour => "five_hour",
            Cause::SevenDay => "seven_day",
            Cause::Model => "model",
            Cause::Spend => "spend",
            Cause::Usage => "usage",
            Cause::Credit => "credit",
            Cause::Overload => "overload",
            Cause::ServerError => "server_error",
            Cause::Network => "network",
            Cause::Throttle => "throttle",
            Cause::SignIn => "sign_in",
            Cause::BadRequest => "caller",
        }
    }

    /// As people say it, after "Claude ".
    pub(crate) fn said(self) -> &'static str {
        match self {
            Cause::None => "answers",
            Cause::FiveHour => "is at its 5-hour limit",
            Cause::SevenDay => "is at its weekly limit",
            Cause::Model => "is at this model's weekly limit",
            Cause::Spend => "is at its spend limit",
            Cause::Usage => "is at its usage limit",
            Cause::Credit => "is out of credit",
            Cause::Overload => "is overloaded",
            Cause::ServerError => "has a server error",
            Cause::Network => "cannot be reached",
            Cause::Throttle => "is throttled",
            Cause::SignIn => "is not signed in",
            Cause::BadRequest => "refused the request",
        }
    }
}

/// A cause, with what was said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// What became of the call.
    pub cause: Cause,
    /// When a limit is said to end.
    pub until: Option<Timestamp>,
    /// The family of models that a limit is for, `opus`, if it is for one.
    pub family: Option<String>,
}

impl Verdict {
    /// A verdict about which no more was said.
    pub(crate) fn of(cause: Cause) -> Verdict {
        Verdict { cause, until: None, family: None }
    }
}

/// What a call's stream told that matters here. All of it is from the turn that has just ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// The result, if there was one.
    pub result: Option<Ending>,
    /// Whether the last message of the assistant was made up by Claude Code itself.
    pub is_synthetic: bool,
    /// The `error` of that message.
    pub error: Option<String>,
    /// Whether the caller has ended it.
    pub is_interrupted: bool,
    /// The limit that was said to be reached.
    pub rejected: Option<Limit>,
}

/// What a `result` message says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending {
    /// Its `subtype`; `success` for refusals, too.
    pub subtype: String,
    /// Whether the turn failed.
    pub is_error: bool,
    /// The answer, or what stands in its place.
    pub text: String,
    /// The HTTP status, from about 2.1.110 on.
    pub status: Option<u16>,
    /// The `api_error`, in 2.1.330.
    pub api_error: Option<String>,
    /// The first of its `errors`.
    pub problem: Option<String>,
}

/// What a `rate_limit_event` with the status `rejected` says (since 2.1.45).
#[derive(Clone, Debug, Default)]
pub(crate) struct Limit {
    /// Its `rateLimitType`.
    pub kind: Option<String>,
    /// Its `resetsAt`.
    pub resets_at: Option<Timestamp>,
}

/// What an `api_retry` message says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retry {
    /// The HTTP status; none if there was no answer.
    pub status: Option<u16>,
    /// Its `error`.
    pub error: String,
}

/// The verdict on a turn that has ended by itself.
pub(crate) fn of_turn(evidence: &Evidence, now: Timestamp) -> Verdict {
    let Some(ending) = &evidence.result else { return Verdict::of(Cause::BadRequest) };
    // A stream that was cut in the middle of an answer, up to 2.1.20.
    if ending.subtype == "error_during_execution" && !ending.is_error && !evidence.is_interrupted {
        return Verdict::of(Cause::Network);
    }
    if ending.subtype != "success" || !(ending.is_error || evidence.is_synthetic) {
        return Verdict::of(Cause::None);
    }
    let by_text = || by_text(&ending.text, now);
    match (evidence.error.as_deref(), ending.status) {
        (Some("rate_limit"), _) | (None, Some(429)) => of_rate_limit(evidence, ending, now),
        (Some("billing_error"), _) | (_, Some(402)) => Verdict::of(Cause::Credit),
        (Some("overloaded"), _) | (_, Some(529)) => Verdict::of(Cause::Overload),
        (Some(error), _) if SIGN_IN_ERRORS.contains(&error) => Verdict::of(Cause::SignIn),
        (_, Some(401 | 403)) => Verdict::of(Cause::SignIn),
        (_, Some(500..)) => Verdict::of(Cause::ServerError),
        _ if ending.api_error.as_deref() == Some("connection_failed") => Verdict::of(Cause::Network),
        // The text may still say that there is no credit, with some versions.
        (Some("invalid_request" | "model_not_found" | "max_output_tokens"), _) | (_, Some(400..500)) => {
            by_text().filter(|verdict| verdict.cause == Cause::Credit).unwrap_or(Verdict::of(Cause::BadRequest))
        }
        (Some("server_error"), _) => by_text().unwrap_or(Verdict::of(Cause::ServerError)),
        // What 2.0.14 has to say about a model's weekly limit.
        (None, None) if ending.is_error && ending.text == "No response requested." => Verdict::of(Cause::Usage),
        _ => by_text().unwrap_or_else(|| Verdict::of(if ending.is_error { Cause::BadRequest } else { Cause::None })),
    }
}

/// The verdict on a call that was given up while it was tried again.
pub(crate) fn of_retries(retry: &Retry) -> Verdict {
    Verdict::of(match (retry.status, retry.error.as_str()) {
        (Some(529), _) | (_, "overloaded") => Cause::Overload,
        (Some(429), _) | (_, "rate_limit") => Cause::Throttle,
        (Some(401 | 403), _) | (_, "authentication_failed") => Cause::SignIn,
        (Some(_), _) => Cause::ServerError,
        (None, _) => Cause::Network,
    })
}

const SIGN_IN_ERRORS: [&str; 5] =
    ["authentication_failed", "oauth_org_not_allowed", "account_on_hold", "verification_required", "cloud_credential_error"];

/// A plan's limit and a throttle of a few seconds have the same status and the same `error`.
fn of_rate_limit(evidence: &Evidence, ending: &Ending, now: Timestamp) -> Verdict {
    let said = by_text(&ending.text, now);
    let Some(limit) = &evidence.rejected else {
        return match said {
            Some(verdict) => verdict,
            None if ending.api_error.as_deref() == Some("usage_limit_reached") => Verdict::of(Cause::Usage),
            None => Verdict::of(Cause::Throttle),
        };
    };
    let until = limit.resets_at.or(said.as_ref().and_then(|verdict| verdict.until));
    let (cause, family) = match limit.kind.as_deref().unwrap_or_default() {
        "five_hour" => (Cause::FiveHour, None),
        "seven_day" | "seven_day_overage_included" => (Cause::SevenDay, None),
        "overage" => (Cause::Spend, None),
        kind => match kind.strip_prefix("seven_day_") {
            Some(family) => (Cause::Model, Some(family.to_string())),
            None => said.map_or((Cause::Usage, None), |verdict| (verdict.cause, verdict.family)),
        },
    };
    Verdict { cause, until, family }
}

/// What a text of Claude Code's own says, by how it begins. The letters' case and the kind of apostrophe have changed.
fn by_text(text: &str, now: Timestamp) -> Option<Verdict> {
    let text = text.trim().replace('\u{2019}', "'");
    // One message is one line; an answer that only begins like one goes on.
    if text.lines().count() > 1 && !text.starts_with("API Error") {
        return None;
    }
    let lower = text.to_lowercase();
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| lower.starts_with(prefix));
    if begins(NO_LIMITS) {
        return None;
    }
    if begins(&["credit balance is too low", "api error: 402", "your credit balance is too low"]) {
        return Some(Verdict::of(Cause::Credit));
    }
    // What 1.0.77 and 1.0.128 say to a 429 that tells nothing of a limit.
    if lower.starts_with("claude ai usage limit reached|0") {
        return Some(Verdict::of(Cause::Throttle));
    }
    if let Some(family_or_kind) = limit_kind(&lower) {
        let until = reset_time(&text, now);
        let (cause, family) = match family_or_kind {
            Kind::Cause(cause) => (cause, None),
            Kind::Family(family) => (Cause::Model, Some(family.to_string())),
            Kind::Unsaid => (by_distance(until, now), None),
        };
        return Some(Verdict { cause, until, family });
    }
    let cause = if begins(&["api error: repeated 529", "repeated 529", "api error: overloaded", "api error: 529"])
        || (begins(&["api error", "claude"]) && lower.contains("is experiencing high load"))
        || lower.starts_with("api error") && lower.contains("\"overloaded_error\"")
    {
        Cause::Overload
    } else if begins(&[
        "api error: request rejected (429)",
        "server is temporarily limiting requests",
        "api error: 429",
        "api error: rate limit reached",
    ]) || lower.starts_with("api error: server is temporarily limiting requests")
    {
        Cause::Throttle
    } else if begins(SIGN_IN) {
        Cause::SignIn
    } else if begins(NETWORK) {
        Cause::Network
    } else if begins(&["api error: 5"]) || (begins(&["api error"]) && lower.contains("internal server error")) {
        Cause::ServerError
    } else {
        return None;
    };
    Some(Verdict::of(cause))
}

/// Sentences about limits after which the turn goes on.
const NO_LIMITS: &[&str] = &["you've used", "you're close to", "you've hit your fast limit"];

const SIGN_IN: &[&str] = &[
    "not logged in",
    "invalid api key",
    "oauth token revoked",
    "oauth token has expired",
    "oauth authentication",
    "failed to authenticate",
    "please run /login",
    "api error: 401",
    "api error: 403",
    "your account does not have access",
    "your organization has disabled",
];

const NETWORK: &[&str] = &[
    "api error: connection",
    "api error: request timed out",
    "api error: unable to connect",
    "api error: can't reach the api server",
    "api error: api returned an empty or malformed response",
    "api error: fetch failed",
    "api error: stream",
    "api error (connection",
    "api error (request timed out",
    "api error: terminated",
    "request timed out",
    "unable to connect to api",
    "connection error",
];

enum Kind<'a> {
    Cause(Cause),
    Family(&'a str),
    Unsaid,
}

/// The kind of limit that a text begins with: `you've hit your … limit`, `… limit reached`, and those of their own.
fn limit_kind(lower: &str) -> Option<Kind<'_>> {
    if lower.starts_with("spending cap reached") || lower.starts_with("you're out of extra usage") {
        return Some(Kind::Cause(Cause::Spend));
    }
    if lower.starts_with("claude ai usage limit reached") || lower.starts_with("claude usage limit reached") {
        return Some(Kind::Unsaid);
    }
    let name = match lower.strip_prefix("you've hit your ").or_else(|| lower.strip_prefix("you've reached your ")) {
        Some(rest) => rest.split_once("limit")?.0,
        None => lower.split_once("limit reached")?.0,
    };
    Some(match name.trim() {
        "" | "usage" => Kind::Unsaid,
        "session" | "5-hour" | "five-hour" | "5 hour" => Kind::Cause(Cause::FiveHour),
        "weekly" | "7-day" => Kind::Cause(Cause::SevenDay),
        "monthly spend" | "spend" | "spending" | "monthly" | "org's monthly spend" => Kind::Cause(Cause::Spend),
        name => {
            let family = name.strip_prefix("weekly ").unwrap_or(name).trim_end_matches(" weekly");
            let is_one_word = (1..=20).contains(&family.len()) && family.bytes().all(|byte| byte.is_ascii_alphanumeric());
            return is_one_word.then_some(Kind::Family(family));
        }
    })
}

/// A limit of no stated kind, by how far its end is.
fn by_distance(until: Option<Timestamp>, now: Timestamp) -> Cause {
    match until {
        None => Cause::Usage,
        Some(until) if until.duration_since(now) <= Cause::FiveHour.window() => Cause::FiveHour,
        Some(_) => Cause::SevenDay,
    }
}

#[cfg(test)]
mod tests;
