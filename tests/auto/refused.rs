//! What `auto` does with a refusal, in every format.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    FORMATS, Format, LIMIT, TODAY, VERSIONS, Version, clock, each_of_a_share, formats, in_two_days, in_two_hours, is_full, same,
    sandbox, sign_in,
};
use crate::support::messages_api::{Reply, error, limit, questions_of_the_call, replying};
use crate::support::stub::Stub;
use crate::support::{Output, free_port};

/// What Claude says when it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    FiveHour,
    Weekly,
    Opus,
    Spend,
    NoCredit,
    NoCredit402,
    Overloaded,
    ServerError,
    Unreachable,
    Dropped,
    Throttled,
    ThrottledPlan,
    /// The stream ends in the middle of an answer. Newer versions ask again by themselves.
    CutOff,
    /// Nothing comes, not even a refusal.
    Silent,
}

const REFUSALS: [Refusal; 14] = [
    Refusal::FiveHour,
    Refusal::Weekly,
    Refusal::Opus,
    Refusal::Spend,
    Refusal::NoCredit,
    Refusal::NoCredit402,
    Refusal::Overloaded,
    Refusal::ServerError,
    Refusal::Unreachable,
    Refusal::Dropped,
    Refusal::Throttled,
    Refusal::ThrottledPlan,
    Refusal::CutOff,
    Refusal::Silent,
];

impl Refusal {
    fn reply(self) -> Reply {
        match self {
            Refusal::FiveHour => limit("five_hour", in_two_hours().as_second()),
            Refusal::Weekly => limit("seven_day", in_two_days().as_second()),
            Refusal::Opus => limit("seven_day_opus", in_two_days().as_second()),
            Refusal::Spend => limit("overage", in_two_days().as_second()),
            Refusal::NoCredit => error(400, "invalid_request_error", "Your credit balance is too low to access the API."),
            Refusal::NoCredit402 => error(402, "billing_error", "Your account has no credit."),
            Refusal::Overloaded => error(529, "overloaded_error", "Overloaded"),
            Refusal::ServerError => error(500, "api_error", "Internal server error"),
            Refusal::Unreachable | Refusal::Dropped => Reply::Raw(String::new()),
            Refusal::Throttled | Refusal::ThrottledPlan => error(429, "rate_limit_error", "Too many tokens in a minute."),
            Refusal::CutOff => Reply::Cut("the beginning of an".into()),
            Refusal::Silent => Reply::Hang,
        }
    }

    fn is_in(self, version: Version, format: Format) -> bool {
        match self {
            // What has been cut off has reached the caller with partial messages.
            Refusal::CutOff => version <= (2, 0, 76) && format != Format::Partials,
            // Without partial messages an answer that grows is silent, too.
            Refusal::Silent => Format::Partials.is_in(version),
            _ => true,
        }
    }

    /// Those that are told in ways of their own meet all formats with the version of today. The others meet them all with
    /// one version or another.
    fn formats(self, version: Version, case: usize) -> Vec<Format> {
        use Refusal::*;
        match self {
            FiveHour | NoCredit | Overloaded | Unreachable | Silent => formats(version, case),
            _ if version == TODAY && !is_full() => vec![FORMATS[case % 5], FORMATS[(case + 2) % 5]],
            _ => formats(version, case),
        }
    }

    fn is_signed_in(self) -> bool {
        use Refusal::*;
        matches!(self, FiveHour | Weekly | Opus | Spend | ThrottledPlan)
    }

    fn args(self) -> &'static [&'static str] {
        match self {
            Refusal::Opus => &["--model", "opus"],
            _ => &[],
        }
    }

    /// The class that it is given, and the end that is told. Old versions tell some limits apart by their end alone, or not
    /// at all.
    fn verdict(self, version: Version) -> (&'static str, Option<Timestamp>) {
        let (day, days) = (Some(in_two_hours()), Some(in_two_days()));
        match self {
            Refusal::FiveHour => ("five_hour", day),
            // That one says `No response requested.`
            Refusal::Opus if version == (2, 0, 14) => ("usage", None),
            Refusal::Opus if version < (2, 0, 76) => ("seven_day", days),
            Refusal::Spend if version < (2, 1, 45) => ("seven_day", days),
            Refusal::Weekly => ("seven_day", days),
            Refusal::Opus => ("model", days),
            Refusal::Spend => ("spend", days),
            Refusal::NoCredit | Refusal::NoCredit402 => ("credit", None),
            Refusal::Overloaded => ("overload", None),
            Refusal::ServerError => ("server_error", None),
            // Its stream shows that an answer had begun; that is all that tells it from an overload's end.
            Refusal::CutOff if Format::Partials.is_in(version) => ("overload", None),
            Refusal::Unreachable | Refusal::Dropped | Refusal::CutOff | Refusal::Silent => ("network", None),
            Refusal::Throttled | Refusal::ThrottledPlan => ("throttle", None),
        }
    }

    /// How often Claude is asked. Versions up to 2.0.76 ask once more, for an answer in one piece.
    fn requests(self, version: Version) -> Option<usize> {
        let extra = usize::from(version <= (2, 0, 76));
        match self {
            Refusal::Unreachable => None,
            Refusal::Overloaded | Refusal::ServerError | Refusal::Dropped => Some(3 + extra),
            Refusal::Throttled => Some(2 + extra),
            Refusal::ThrottledPlan if version == TODAY => Some(2),
            Refusal::CutOff | Refusal::Silent => Some(1),
            _ => Some(1 + extra),
        }
    }
}

/// What people are told of a class, after "Claude ".
pub(super) fn said(class: &str) -> &'static str {
    match class {
        "five_hour" => "is at its 5-hour limit",
        "seven_day" => "is at its weekly limit",
        "usage" => "is at its usage limit",
        "model" => "is at this model's weekly limit",
        "spend" => "is at its spend limit",
        "credit" => "is out of credit",
        "overload" => "is overloaded",
        "server_error" => "has a server error",
        "network" => "cannot be reached",
        "throttle" => "is throttled",
        other => panic!("no words for {other}"),
    }
}

#[test]
fn a_refusal_is_answered_locally() {
    let mut items = Vec::new();
    for (case, refusal) in REFUSALS.into_iter().enumerate() {
        for version in VERSIONS {
            let formats = refusal.formats(version, case).into_iter().filter(|format| refusal.is_in(version, *format));
            items.extend(formats.map(|format| (version, refusal, format)));
        }
    }
    each_of_a_share(&items, 4, |&(version, refusal, format)| {
        let api = replying(move |_| refusal.reply());
        let local = Stub::answering("from here");
        let mut sandbox = sandbox(version, &api, &local);
        if refusal == Refusal::Unreachable {
            sandbox.set("ANTHROPIC_BASE_URL", format!("http://127.0.0.1:{}", free_port()));
        }
        if refusal.is_signed_in() {
            sign_in(&mut sandbox);
        }
        if matches!(refusal, Refusal::Throttled | Refusal::ThrottledPlan) {
            // Claude Code's own retries are waited for, and those are three minutes.
            sandbox.set("CLAUDE_CODE_MAX_RETRIES", "1");
        }
        if refusal == Refusal::Silent {
            // Long enough for an old version to begin on a busy machine.
            sandbox.set("LLM_FAILOVER_STALL", "15");
        }
        let call = sandbox.cmd("claude").args(&["-p", "a question"]).args(refusal.args()).args(format.args());
        let output = call.dir(sandbox.path("work")).limit(LIMIT).run();
        let (class, until) = refusal.verdict(version);
        let until = until.map(|until| format!(" until {}", clock(until))).unwrap_or_default();
        let stderr = format!("claude: Claude {}{until}; the local model answers\n", said(class));
        same("exit code", 0, output.code())?;
        same("stderr", stderr, output.err())?;
        is_local_answer(&output, format, class)?;
        let asked = questions_of_the_call(&api).len();
        same("requests to Claude", refusal.requests(version).unwrap_or(asked), asked)?;
        same("local questions", 1, local.chats().len())
    });
}

/// Whether stdout is the local model's answer alone, in one session.
pub(super) fn is_local_answer(output: &Output, format: Format, class: &str) -> Result<(), String> {
    let text = output.out();
    if format == Format::Text {
        return same("stdout", "from here\n".to_string(), text);
    }
    let messages: Vec<Value> = match format {
        Format::Array => serde_json::from_str(&text).map_err(|error| format!("{error}: {text:?}"))?,
        _ => text.lines().map(|line| serde_json::from_str(line).unwrap_or(json!(line))).collect(),
    };
    let result = messages.last().ok_or("nothing on stdout")?;
    same("result", &json!("from here"), &result["result"])?;
    same("is_error", &json!(false), &result["is_error"])?;
    same("reason", &json!(class), &result["failover"]["reason"])?;
    let sessions: BTreeSet<String> = messages.iter().map(|message| message["session_id"].to_string()).collect();
    same("sessions", 1, sessions.len())?;
    let kinds: Vec<&str> = messages.iter().filter_map(|message| message["type"].as_str()).collect();
    let count = |kind: &str| kinds.iter().filter(|seen| **seen == kind).count();
    // The real Claude has begun the turn, and whoever answers begins it once more; nothing of the first is kept for an array.
    let expected = match format {
        Format::Json => (0, 0, 1, false),
        Format::Array => (1, 1, 1, false),
        Format::Stream => (2, 1, 1, false),
        _ => (2, 1, 1, true),
    };
    let inits = messages.iter().filter(|message| message["subtype"] == "init").count();
    same("messages", expected, (inits, count("assistant"), count("result"), count("stream_event") > 0))?;
    if text.contains("<synthetic>") { Err(format!("a refusal reached the caller: {text}")) } else { Ok(()) }
}
