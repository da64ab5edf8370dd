//! What is no refusal is what this version of Claude Code prints by itself, byte for byte.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{
    FORMATS, Format, LIMIT, TODAY, VERSIONS, Version, claude, each_of_a_share, formats, in_two_hours, is_full, same, sandbox,
    sign_in,
};
use crate::support::messages_api::{Reply, error, is_of_the_call, questions_of_the_call, replying, unified};
use crate::support::stub::Stub;
use crate::support::{Cmd, Sandbox};

/// A call that is Claude's alone, whatever comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passed {
    /// Tools, all kinds of characters, input from a pipe, and a plan whose limit is reached and paid for.
    Healthy,
    /// The model says what Claude Code says at a limit.
    Quoting,
    Empty,
    TurnsUsedUp,
    UnknownSession,
    Command,
    WrongKey,
    NotSignedIn,
    WrongRequest,
    TooLong,
    UnknownModel,
    CutOff,
    /// Nobody may do again what a tool has done.
    OverloadedAfterATool,
}

const PASSED: [Passed; 13] = [
    Passed::Healthy,
    Passed::Quoting,
    Passed::Empty,
    Passed::TurnsUsedUp,
    Passed::UnknownSession,
    Passed::Command,
    Passed::WrongKey,
    Passed::NotSignedIn,
    Passed::WrongRequest,
    Passed::TooLong,
    Passed::UnknownModel,
    Passed::CutOff,
    Passed::OverloadedAfterATool,
];

impl Passed {
    fn reply(self, question: &Value) -> Reply {
        let tool = || Reply::Use("Bash".into(), json!({"command": "echo from the tool", "description": "says a word"}));
        let is_first = !question["messages"].to_string().contains("tool_result");
        match self {
            _ if !is_of_the_call(question) => Reply::Text("aside".into()),
            Passed::Healthy | Passed::TurnsUsedUp | Passed::OverloadedAfterATool if is_first => tool(),
            Passed::Healthy => {
                let text = "e\u{301} \u{1f600} \u{2028}\u{2029} \t \"quoted\" \\u2028 \\ </x> \u{1}\u{7f}\u{85}\nlast line\n\n";
                let paid = "anthropic-ratelimit-unified-overage-status: allowed\r\n";
                let headers = unified("rejected", "five_hour", in_two_hours().as_second()) + paid;
                Reply::Headed(headers, Reply::Text(text.into()).into())
            }
            Passed::Quoting => Reply::Text("You've hit your limit · resets 3pm (UTC)".into()),
            Passed::Empty => Reply::Text(String::new()),
            Passed::OverloadedAfterATool => error(529, "overloaded_error", "Overloaded"),
            Passed::WrongKey => error(401, "authentication_error", "invalid x-api-key"),
            Passed::WrongRequest => error(400, "invalid_request_error", "messages: no"),
            Passed::TooLong => error(400, "invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum"),
            Passed::UnknownModel => error(404, "not_found_error", "model: none"),
            Passed::CutOff if question["stream"] == true => Reply::Cut("the beginning of an".into()),
            _ => Reply::Text("An answer".into()),
        }
    }

    fn args(self) -> &'static [&'static str] {
        match self {
            Passed::Healthy | Passed::OverloadedAfterATool => &["a question", "--allowedTools", "Bash"],
            Passed::TurnsUsedUp => &["a question", "--allowedTools", "Bash", "--max-turns", "1"],
            Passed::UnknownSession => &["a question", "--resume", "11111111-1111-4111-8111-111111111111"],
            Passed::Command => &["/cost"],
            _ => &["a question"],
        }
    }

    fn prepare(self, sandbox: &mut Sandbox) {
        sandbox.set("CLAUDE_CODE_MAX_RETRIES", "1");
        match self {
            Passed::Healthy => sign_in(sandbox),
            Passed::NotSignedIn => sandbox.unset("ANTHROPIC_API_KEY"),
            _ => {}
        }
    }

    fn call(self, call: Cmd) -> Cmd {
        if self == Passed::Healthy { call.stdin("and this from a pipe\n") } else { call }
    }

    fn formats(self, version: Version, case: usize) -> Vec<Format> {
        let at = VERSIONS.iter().position(|known| *known == version).expect("a known version");
        let chosen = match self {
            Passed::CutOff if version <= (2, 0, 76) => vec![],
            _ if is_full() => FORMATS.to_vec(),
            Passed::Healthy if version == TODAY => FORMATS.to_vec(),
            Passed::Healthy => {
                let third = [Format::Json, Format::Stream, Format::Partials][(at + 1) % 3];
                vec![Format::Text, Format::Array, third]
            }
            _ if version == TODAY => vec![FORMATS[case % 5], FORMATS[(case + 2) % 5]],
            _ => formats(version, case),
        };
        chosen.into_iter().filter(|format| format.is_in(version)).collect()
    }

    /// What we say besides.
    fn hint(self) -> &'static str {
        match self {
            Passed::WrongKey | Passed::NotSignedIn => {
                "hint: sign in with `claude` and `/login`, or with `claude setup-token` for scripts; `llm-failover local` answers \
                 meanwhile\n"
            }
            Passed::OverloadedAfterATool => {
                "claude: Claude is overloaded; tools have run, so this call is not answered again locally; go on later with \
                 `claude --resume […]`\n"
            }
            _ => "",
        }
    }
}

#[test]
fn all_else_is_what_claude_prints() {
    let mut items = Vec::new();
    for (case, passed) in PASSED.into_iter().enumerate() {
        for version in VERSIONS {
            items.extend(passed.formats(version, case).into_iter().map(|format| (version, passed, format)));
        }
    }
    each_of_a_share(&items, 6, |&(version, passed, format)| {
        let run = |program: PathBuf| {
            let (api, local) = (replying(move |question| passed.reply(question)), Stub::answering("from here"));
            let mut sandbox = sandbox(version, &api, &local);
            if passed == Passed::OverloadedAfterATool {
                sandbox.set("LLM_FAILOVER_RESUME", "never");
            }
            passed.prepare(&mut sandbox);
            let call = passed.call(sandbox.cmd(program).arg("-p").args(passed.args()).args(format.args()));
            let output = call.dir(sandbox.path("work")).limit(LIMIT).run();
            let is_open = sandbox.path(".local/state/claude-failover/breaker.json").exists();
            let shown = |text: String| masked(&text, &sandbox, version);
            let seen = (output.code(), shown(output.out()), shown(output.err()));
            (seen, questions_of_the_call(&api).len(), local.seen().len(), is_open)
        };
        let (expected, expected_asked, ..) = run(claude(version));
        let (seen, asked, local, is_open) = run("claude".into());
        same("exit code", expected.0, seen.0)?;
        same("stderr", expected.2 + passed.hint(), seen.2)?;
        same_text("stdout", &expected.1, &seen.1)?;
        same("requests to Claude", expected_asked, asked)?;
        same("local questions", 0, local)?;
        same("an open breaker", passed == Passed::OverloadedAfterATool, is_open)
    });
}

/// Without what differs between any two runs: ids, times, ports. Old versions write a message while it still changes, and
/// count what their agents cost while they warm up.
fn masked(text: &str, sandbox: &Sandbox, version: Version) -> String {
    let slug: String =
        sandbox.home().to_string_lossy().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let lines = text.split_inclusive('\n').map(|line| match line {
        line if version <= (2, 0, 76) && line.contains("\"type\":\"message_start\"") => "[message_start]\n",
        line => line,
    });
    let text = lines.collect::<String>().replace(&slug, "[HOME]");
    let ends = if version <= (2, 0, 76) { [ENDS, OLD_ENDS].concat() } else { ENDS.to_vec() };
    let mut masked = String::new();
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let end = ends.iter().find(|(key, _)| masked.ends_with(key)).and_then(|(_, end)| rest.find(*end));
        let known = [UUID, TIME].into_iter().find(|pattern| is_like(rest, pattern));
        let length = end.or(known.map(str::len));
        match length {
            Some(_) => masked.push_str("[…]"),
            None => masked.push(c),
        }
        rest = &rest[length.unwrap_or(c.len_utf8())..];
    }
    masked
}

/// What is said before a value that differs, and what comes after that.
const ENDS: &[(&str, &[char])] =
    &[("_ms\":", &[',', '}']), ("127.0.0.1:", &[')']), ("(wall): ", &['\n', '\\']), ("socket_path\":", &[','])];
const OLD_ENDS: &[(&str, &[char])] =
    &[("\"stop_reason\":", &[',']), ("\"total_cost_usd\":", &[',']), ("\"modelUsage\":", &['[', ']'])];

const UUID: &str = "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh";
const TIME: &str = "dddd-dd-ddTdd:dd:dd.dddZ";

/// Whether a text begins like this, where `h` is a hexadecimal digit and `d` a decimal one.
fn is_like(text: &str, pattern: &str) -> bool {
    let fits = |(byte, known): (u8, u8)| match known {
        b'h' => byte.is_ascii_hexdigit(),
        b'd' => byte.is_ascii_digit(),
        known => byte == known,
    };
    text.len() >= pattern.len() && text.bytes().zip(pattern.bytes()).all(fits)
}

/// Compares long texts, and shows where they differ.
fn same_text(what: &str, expected: &str, seen: &str) -> Result<(), String> {
    if expected == seen {
        return Ok(());
    }
    let at = expected.bytes().zip(seen.bytes()).take_while(|(a, b)| a == b).count();
    let from = |text: &str| text.bytes().skip(at.saturating_sub(60)).take(160).map(char::from).collect::<String>();
    Err(format!("{what}, at byte {at}: {:?}, expected {:?}", from(seen), from(expected)))
}
