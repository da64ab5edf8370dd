//! What the end of a call to the real Claude means: an answer, a fault of the caller's, or a refusal in which a local model can
//! stand in.
//!
//! Typed signals come first. A text counts only where there is none, and only if it is the whole of a message that
//! Claude Code itself made up: the wording has changed at least six times, and models quote it.

mod api_words;
mod by_hook;
mod by_text;
mod cause;
mod evidence;
mod reset;

use jiff::Timestamp;

pub(crate) use crate::claude_code::refusal::by_hook::of_hook;
pub(crate) use crate::claude_code::refusal::cause::Cause;
pub(crate) use crate::claude_code::refusal::evidence::{Ending, Evidence, Limit, Retry};

use crate::claude_code::refusal::api_words::{has_lost_answer, has_stream_error};
use crate::claude_code::refusal::by_text::{by_api_words, by_text};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub cause: Cause,
    /// The end of a limit, as Claude stated it.
    pub until: Option<Timestamp>,
    /// The family of models that a limit is for, `opus`, if it is for one.
    pub family: Option<String>,
}

impl Verdict {
    pub(crate) fn of(cause: Cause) -> Verdict {
        Verdict { cause, until: None, family: None }
    }
}

/// The verdict on a turn that has ended by itself.
pub(crate) fn of_turn(evidence: &Evidence, now: Timestamp) -> Verdict {
    let Some(ending) = &evidence.result else { return Verdict::of(Cause::BadRequest) };
    // A stream that ended in the middle of an answer, up to 2.1.20.
    if ending.subtype == "error_during_execution" && !ending.is_error && !evidence.is_interrupted {
        return of_lost_answer(evidence);
    }
    if ending.subtype != "success" || !(ending.is_error || evidence.is_synthetic) {
        return Verdict::of(Cause::None);
    }
    let text = if evidence.is_by_model { "" } else { ending.text.as_str() };
    let by_text = || by_text(text, now);
    if let Some(verdict) = by_api_words(text, now).filter(|_| evidence.rejected.is_none()) {
        return verdict;
    }
    match (evidence.error.as_deref(), ending.status) {
        (Some("rate_limit"), _) | (None, Some(429)) => of_rate_limit(evidence, ending, by_text()),
        (Some("billing_error"), _) | (_, Some(402)) => Verdict::of(Cause::Credit),
        (Some("overloaded"), _) | (_, Some(529)) => Verdict::of(Cause::Overload),
        (Some(error), _) if SIGN_IN_ERRORS.contains(&error) => Verdict::of(Cause::SignIn),
        (_, Some(401 | 403)) => Verdict::of(Cause::SignIn),
        (_, Some(500..)) => Verdict::of(Cause::ServerError),
        _ if ending.api_error.as_deref() == Some("connection_failed") => Verdict::of(Cause::Network),
        _ if has_stream_error(&text.to_lowercase()) => Verdict::of(Cause::Overload),
        (_, None) if has_lost_answer(&text.to_lowercase()) => of_lost_answer(evidence),
        // The text may still say that there is no credit, with some versions.
        (Some("invalid_request" | "model_not_found" | "max_output_tokens"), _) | (_, Some(400..500)) => {
            by_text().filter(|verdict| verdict.cause == Cause::Credit).unwrap_or(Verdict::of(Cause::BadRequest))
        }
        (Some("server_error"), _) => by_text().unwrap_or(Verdict::of(Cause::ServerError)),
        // All that 2.0.14 says about a model's weekly limit.
        (None, None) if ending.is_error && text == "No response requested." => Verdict::of(Cause::Usage),
        _ => by_text().unwrap_or_else(|| Verdict::of(if ending.is_error { Cause::BadRequest } else { Cause::None })),
    }
}

/// The verdict on a call that was given up while Claude Code retried it.
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

/// An answer that did not come to its end, and no word on why. That Anthropic can be reached is clear where it has begun one, and the
/// error that its documentation names for the middle of a stream is `overloaded_error`; no version passes that on.
fn of_lost_answer(evidence: &Evidence) -> Verdict {
    Verdict::of(if evidence.is_answer_broken_off { Cause::Overload } else { Cause::Network })
}

/// A plan's limit and a throttle of a few seconds have the same status and the same `error`. `stated`: the verdict by the text.
fn of_rate_limit(evidence: &Evidence, ending: &Ending, stated: Option<Verdict>) -> Verdict {
    let Some(limit) = &evidence.rejected else {
        return match stated {
            Some(verdict) => verdict,
            None if ending.api_error.as_deref() == Some("usage_limit_reached") => Verdict::of(Cause::Usage),
            None => Verdict::of(Cause::Throttle),
        };
    };
    let until = limit.resets_at.or(stated.as_ref().and_then(|verdict| verdict.until));
    let (cause, family) = match limit.kind.as_deref().unwrap_or_default() {
        "five_hour" => (Cause::FiveHour, None),
        "seven_day" | "seven_day_overage_included" => (Cause::SevenDay, None),
        "overage" => (Cause::Spend, None),
        kind => match kind.strip_prefix("seven_day_") {
            Some(family) => (Cause::Model, Some(family.to_string())),
            None => stated.map_or((Cause::Usage, None), |verdict| (verdict.cause, verdict.family)),
        },
    };
    Verdict { cause, until, family }
}

#[cfg(test)]
mod tests;
