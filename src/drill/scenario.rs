//! The scenarios of a drill, as Anthropic's API shows them.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp, Unit};

use crate::text::{clock, nearest};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// The plan's 5-hour limit.
    Limit,
    /// The plan's weekly limit.
    Weekly,
    /// Anthropic has too many requests.
    Overload,
    /// Anthropic cannot be reached.
    Down,
    /// Anthropic accepts the request and does not answer.
    Hang,
    /// The user has sent too many requests in a short time.
    Throttle,
    /// The sign-in has expired.
    SignIn,
}

pub(crate) enum ApiReply {
    Text(&'static str),
    Refuse(ApiRefusal),
    /// The connection closes without a byte.
    Cut,
    /// Nothing comes.
    Silence,
}

pub(crate) struct ApiRefusal {
    pub status: u16,
    pub kind: &'static str,
    pub message: &'static str,
    pub headers: Vec<(&'static str, String)>,
}

/// One more than the default of LLM_FAILOVER_RETRIES: a throttle must not count as an outage.
const THROTTLED: usize = 3;

/// The words for them, with what is played.
pub(crate) const SCENARIOS: [(&str, Scenario, &str); 7] = [
    ("limit", Scenario::Limit, "the plan's 5-hour limit is used up"),
    ("weekly", Scenario::Weekly, "the plan's weekly limit is used up"),
    ("overload", Scenario::Overload, "Anthropic has too many requests (529)"),
    ("down", Scenario::Down, "Anthropic cannot be reached: each connection is cut"),
    ("hang", Scenario::Hang, "Anthropic takes the request and says nothing"),
    ("throttle", Scenario::Throttle, "too many requests in a short time (429), three times"),
    ("signin", Scenario::SignIn, "the sign-in has expired: no local model may stand in"),
];

impl FromStr for Scenario {
    type Err = String;

    fn from_str(word: &str) -> Result<Scenario, String> {
        let words = || SCENARIOS.iter().map(|(word, ..)| (*word).to_string());
        let known = SCENARIOS.iter().find(|(known, ..)| *known == word).map(|(_, scenario, _)| *scenario);
        known.ok_or_else(|| {
            let meant = nearest(word, words()).map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
            format!("`{word}` is none of {}{meant}", words().collect::<Vec<_>>().join(", "))
        })
    }
}

impl Scenario {
    /// To the request number `nth`, from 0 on, with a description.
    pub(crate) fn reply(self, nth: usize) -> (ApiReply, String) {
        let hours = SignedDuration::from_hours;
        let refuse = |status, kind, message, headers| ApiReply::Refuse(ApiRefusal { status, kind, message, headers });
        match self {
            Scenario::Limit => limit("five_hour", "5-hour", hours(3)),
            Scenario::Weekly => limit("seven_day", "weekly", hours(3 * 24)),
            Scenario::Overload => (refuse(529, "overloaded_error", "Overloaded", vec![]), "says 529: overloaded".into()),
            Scenario::Down => (ApiReply::Cut, "cuts the connection".into()),
            Scenario::Hang => (ApiReply::Silence, "says nothing".into()),
            Scenario::Throttle if nth < THROTTLED => {
                let message = "Number of requests has exceeded your per-minute rate limit";
                let headers = vec![("retry-after", "1".into())];
                (refuse(429, "rate_limit_error", message, headers), "says 429: too many requests, again in 1 s".into())
            }
            Scenario::Throttle => (ApiReply::Text("Hello."), "answers".into()),
            Scenario::SignIn => {
                let message = "OAuth token has expired. Please obtain a new token or refresh your existing token.";
                (refuse(401, "authentication_error", message, vec![]), "says 401: the sign-in has expired".into())
            }
        }
    }
}

/// The headers are those from which Claude Code 1.0 to 2.1 knows a plan's limit.
fn limit(claim: &str, name: &str, lasts: SignedDuration) -> (ApiReply, String) {
    let now = Timestamp::now();
    let end = now + lasts;
    let end = end.round(Unit::Minute).unwrap_or(end);
    let seconds = end.as_second().to_string();
    let headers = vec![
        ("anthropic-ratelimit-unified-status", "rejected".into()),
        ("anthropic-ratelimit-unified-reset", seconds),
        ("anthropic-ratelimit-unified-representative-claim", claim.into()),
        ("anthropic-ratelimit-unified-fallback", "unavailable".into()),
    ];
    let message = "This request would exceed your account's rate limit. Please try again later.";
    let refusal = ApiRefusal { status: 429, kind: "rate_limit_error", message, headers };
    (ApiReply::Refuse(refusal), format!("says 429: {name} limit, until {}", clock(end, now)))
}
