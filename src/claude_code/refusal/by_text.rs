//! The verdict by Claude Code's own texts, for versions and failures that have no typed signal.

use jiff::Timestamp;

use crate::claude_code::refusal::api_words::{has_lost_answer, words_of_api};
use crate::claude_code::refusal::reset::reset_time;
use crate::claude_code::refusal::{Cause, Verdict};

/// The verdict by how a text of Claude Code's own begins. The letters' case and the kind of apostrophe have changed.
pub(super) fn by_text(text: &str, now: Timestamp) -> Option<Verdict> {
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
    if let Some(verdict) = by_api_words(&text, now) {
        return Some(verdict);
    }
    if begins(CREDIT) || begins(&["api error: 402"]) {
        return Some(Verdict::of(Cause::Credit));
    }
    // The text of 1.0.77 and 1.0.128 for a 429 that states no limit.
    if lower.starts_with("claude ai usage limit reached|0") {
        return Some(Verdict::of(Cause::Throttle));
    }
    if let Some(kind) = limit_kind(&lower) {
        return Some(kind.verdict(&text, now));
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
    } else if begins(NETWORK) || has_lost_answer(&lower) {
        Cause::Network
    } else if begins(&["api error: 5"]) || (begins(&["api error"]) && lower.contains("internal server error")) {
        Cause::ServerError
    } else {
        return None;
    };
    Some(Verdict::of(cause))
}

/// The verdict by what Anthropic's servers said, where Claude Code passes it on behind the status: whatever that is, their quota words
/// mean a limit. "You're out of extra usage" comes with 400 (claude-code#45911), and so does a spent API budget (claude-code#38038).
pub(super) fn by_api_words(text: &str, now: Timestamp) -> Option<Verdict> {
    let words = words_of_api(text)?.replace('\u{2019}', "'");
    let lower = words.to_lowercase();
    if CREDIT.iter().any(|prefix| lower.starts_with(prefix)) {
        return Some(Verdict::of(Cause::Credit));
    }
    match limit_kind(&lower)? {
        // "Context limit reached" and the like are the caller's fault.
        LimitKind::Family(family) if !FAMILIES.contains(&family) => None,
        kind => Some(kind.verdict(&words, now)),
    }
}

const CREDIT: &[&str] = &["credit balance is too low", "your credit balance is too low"];

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
    "api error: fetch failed",
    "api error: stream",
    "api error (connection",
    "api error (request timed out",
    "api error: terminated",
    "request timed out",
    "unable to connect to api",
    "connection error",
];

enum LimitKind<'a> {
    Cause(Cause),
    /// The limit of one family of models.
    Family(&'a str),
    Unstated,
}

impl LimitKind<'_> {
    fn verdict(self, text: &str, now: Timestamp) -> Verdict {
        let until = reset_time(text, now);
        let (cause, family) = match self {
            LimitKind::Cause(cause) => (cause, None),
            LimitKind::Family(family) => (Cause::Model, Some(family.to_string())),
            LimitKind::Unstated => (by_distance(until, now), None),
        };
        Verdict { cause, until, family }
    }
}

const FAMILIES: &[&str] = &["fable", "haiku", "mythos", "opus", "sonnet"];

/// What is beyond the plan is spent or not allowed. Most are among the `USAGE_LIMIT_ERROR_PREFIXES` of the TypeScript SDK 0.3.330; the
/// API's own words are from claude-code#45048 and claude-code#38038.
const SPENT: &[&str] = &[
    "spending cap reached",
    "you're out of extra usage",
    "you're out of usage credits",
    "your org is out of usage",
    "your seat type doesn't include",
    "your usage allocation has been disabled",
    "your group's usage limit is set to",
    "third-party apps now draw from your extra usage",
    "you have reached your specified api usage limits",
    "you have reached your specified workspace api usage limits",
];

/// The kind of limit that a text begins with: `you've hit your … limit`, `… limit reached`, and some texts of their own form.
fn limit_kind(lower: &str) -> Option<LimitKind<'_>> {
    if SPENT.iter().any(|prefix| lower.starts_with(prefix)) {
        return Some(LimitKind::Cause(Cause::Spend));
    }
    if lower.starts_with("claude ai usage limit reached") || lower.starts_with("claude usage limit reached") {
        return Some(LimitKind::Unstated);
    }
    let hit = lower.strip_prefix("you've hit your ").or_else(|| lower.strip_prefix("you've reached your "));
    let name = match hit {
        Some(rest) => rest.split_once("limit")?.0,
        None => lower.split_once("limit reached")?.0,
    };
    Some(match name.trim() {
        "" | "usage" => LimitKind::Unstated,
        "session" | "5-hour" | "five-hour" | "5 hour" => LimitKind::Cause(Cause::FiveHour),
        "weekly" | "7-day" => LimitKind::Cause(Cause::SevenDay),
        "monthly spend" | "spend" | "spending" | "monthly" => LimitKind::Cause(Cause::Spend),
        // `org's monthly spend`, `org's monthly usage`.
        name if hit.is_some() && name.contains("monthly") => LimitKind::Cause(Cause::Spend),
        name => {
            let family = name.strip_prefix("weekly ").unwrap_or(name).trim_end_matches(" weekly");
            let is_one_word = (1..=20).contains(&family.len()) && family.bytes().all(|byte| byte.is_ascii_alphanumeric());
            return is_one_word.then_some(LimitKind::Family(family));
        }
    })
}

/// The cause for a limit of no stated kind, by how far away its end is.
fn by_distance(until: Option<Timestamp>, now: Timestamp) -> Cause {
    match until {
        None => Cause::Usage,
        Some(until) if until.duration_since(now) <= Cause::FiveHour.window() => Cause::FiveHour,
        Some(_) => Cause::SevenDay,
    }
}
