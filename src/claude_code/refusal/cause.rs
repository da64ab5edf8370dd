//! The causes for which a call ends, and what each of them means for the next call.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// Why a call ended as it did. The words are stable: they stand in the breaker's file, the ledger and the results.
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
    /// The limit of spending beyond the plan.
    Spend,
    /// A plan's limit of a kind that Claude did not state.
    Usage,
    Credit,
    /// Anthropic has more requests than it can serve.
    Overload,
    ServerError,
    /// Anthropic cannot be reached, or sends nothing.
    Network,
    /// The caller has sent too many requests in a short time.
    Throttle,
    /// Nobody is signed in, or the account is not allowed.
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

    /// The predicate of a sentence that begins with "Claude".
    pub(crate) fn description(self) -> &'static str {
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
