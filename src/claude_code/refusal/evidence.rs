//! What the stream of a turn says that the verdict on it depends on.

use jiff::Timestamp;

/// The evidence of the turn that has just ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    pub result: Option<Ending>,
    /// Whether the last message of the assistant was made up by Claude Code itself.
    pub is_synthetic: bool,
    /// Whether a model said it: then its text is no evidence.
    pub is_by_model: bool,
    /// The `error` of that message.
    pub error: Option<String>,
    /// Whether Anthropic has begun an answer and not ended it, or has said in the stream that it is overloaded.
    pub is_answer_broken_off: bool,
    /// Whether the caller has interrupted the turn.
    pub is_interrupted: bool,
    /// The limit that Claude has reached, by its own words.
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
