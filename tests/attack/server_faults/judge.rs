//! What must be true of all that comes of a fault.

use std::fs;

use serde_json::Value;

use super::server::{Fault, Outcome};
use super::{Format, Place, SECRETS, TEXT};
use crate::gateway::{Reply, events};
use crate::support::Output;
use crate::support::play::{OVERLOADED, SAID, Stage};

type Judged = Result<(), String>;

fn expect(holds: bool, what: impl Into<String>) -> Judged {
    if holds { Ok(()) } else { Err(what.into()) }
}

/// Judges a call by what it has printed and left.
pub fn judge_call(stage: &Stage, fault: &Fault, format: Format, place: Place, output: &Output) -> Judged {
    let (code, out, err) = (output.code(), output.out(), output.err());
    let (is_error, said) = match format {
        Format::Text => (code != 0, out.strip_suffix('\n').ok_or("the text does not end its line")?.to_string()),
        Format::Json => {
            expect(out.lines().count() == 1, "JSON is one line")?;
            judge_result(&parse(&out)?)?
        }
        _ => judge_stream(&out, format)?,
    };
    expect(matches!(code, 0 | 1) && is_error == (code != 0), format!("is_error is {is_error}"))?;
    expect(!said.trim().is_empty(), "nothing is said")?;
    match fault.outcome {
        Outcome::Answer => expect(!is_error && said == TEXT, "this is a whole answer")?,
        Outcome::Failure | Outcome::Unreachable => expect(is_error, "this is no answer")?,
        Outcome::Either => {}
    }
    // Once a piece has reached the caller, the failure is the local model's, too.
    let is_claudes = is_error && place != Place::Local && !out.contains("\"text_delta\"");
    if is_error && !is_claudes {
        let is_too_long = fault.name == "413" && said.starts_with("Prompt is too long");
        expect(said.starts_with("API Error: ") || is_too_long, "a failure has the words of Claude Code's")?;
        expect(!said.chars().any(|c| c.is_control() && c != '\n'), "control characters are in the failure")?;
        expect(said.len() < 2000 && said.lines().count() < 8, "the failure is long")?;
        expect(SECRETS.iter().all(|secret| !said.contains(secret)), "a secret is in the failure")?;
    }
    if is_claudes {
        expect(said == OVERLOADED, "what Claude has said follows")?;
    }
    judge_stderr(&err, place, is_claudes, is_error)?;
    judge_ledger(stage, code, is_claudes)
}

/// Whether the result is a failure, and its text.
fn judge_result(result: &Value) -> Result<(bool, String), String> {
    expect(result["type"] == "result" && result["subtype"] == "success", "it is no result")?;
    let said = result["result"].as_str().ok_or("the result has no text")?;
    Ok((result["is_error"].as_bool().ok_or("is it an error?")?, said.into()))
}

fn parse(line: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("{error}: {line:?}"))?;
    expect(value["type"].is_string() && value["session_id"].is_string(), format!("a line has no type or session: {line:?}"))?;
    Ok(value)
}

fn judge_stream(out: &str, format: Format) -> Result<(bool, String), String> {
    let lines = out.lines().map(parse).collect::<Result<Vec<Value>, String>>()?;
    let [first, .., last] = &lines[..] else { return Err("a stream has several lines".into()) };
    expect(first["type"] == "system", "it does not begin with the session")?;
    let results = lines.iter().filter(|line| line["type"] == "result").count();
    expect(results == 1, format!("{results} results"))?;
    expect(lines.iter().all(|line| line["session_id"] == last["session_id"]), "the session changes")?;
    let events = || lines.iter().filter(|line| line["type"] == "stream_event");
    let count = |kind: &str| events().filter(|line| line["event"]["type"] == kind).count();
    expect(format == Format::Partials || events().count() == 0, "events that nobody asked for")?;
    expect(count("message_start") == count("message_stop"), "a message is not closed")?;
    expect(count("content_block_start") == count("content_block_stop"), "a block is not closed")?;
    let assistants: Vec<&Value> = lines.iter().filter(|line| line["type"] == "assistant").collect();
    expect(assistants.len() == 1, format!("{} messages", assistants.len()))?;
    let (is_error, said) = judge_result(last)?;
    expect(assistants[0]["message"]["content"][0]["text"] == said.as_str(), "the message is not the result")?;
    Ok((is_error, said))
}

/// A few lines, each with the name before it. Behind the one that announces it, what had come of an answer may stand.
fn judge_stderr(err: &str, place: Place, is_claudes: bool, is_error: bool) -> Judged {
    let (own, partial) = match err.split_once("claude: this much of the answer had come:\n") {
        Some((own, partial)) => (own, partial),
        None => (err, ""),
    };
    expect(own.lines().count() <= 4 && err.lines().count() <= 6 && err.len() < 3000, "much is on stderr")?;
    expect(own.lines().all(|line| line.starts_with("claude: ") || line.starts_with("hint: ")), "a line is nobody's")?;
    expect(partial.len() <= TEXT.len() + 1, "the part of an answer is long")?;
    expect(err.is_empty() || err.ends_with('\n'), "stderr does not end its line")?;
    expect(!err.chars().any(|c| c.is_control() && c != '\n'), "control characters are on stderr")?;
    expect(["panicked", "RUST_BACKTRACE", ".rs:"].iter().all(|word| !err.contains(word)), "it has panicked")?;
    expect(SECRETS.iter().all(|secret| !err.contains(secret)), "a secret is on stderr")?;
    match (place, is_error) {
        (Place::Local, false) => expect(err.is_empty(), "an answer needs no words beside it"),
        (Place::Local, true) => Ok(()),
        _ if is_claudes => expect(own.contains("claude: no local answer: "), "it is not said why"),
        (_, false) => expect(own == SAID, "it is not said who answers"),
        (_, true) => expect(own.starts_with(SAID), "it is not said who answers"),
    }
}

/// One line, which says the same.
fn judge_ledger(stage: &Stage, code: i32, is_claudes: bool) -> Judged {
    let ledger = fs::read_to_string(stage.path(".local/state/claude-failover/ledger.jsonl")).unwrap_or_default();
    expect(ledger.lines().count() == 1, format!("the ledger has {ledger:?}"))?;
    let entry: Value = serde_json::from_str(&ledger).map_err(|error| format!("{error}: {ledger:?}"))?;
    expect(entry["backend"] == if is_claudes { "claude" } else { "local" }, format!("the ledger has {ledger}"))?;
    expect(entry["exit"].as_i64().unwrap_or(0) == i64::from(code), format!("the ledger has another end: {ledger}"))?;
    expect(SECRETS.iter().all(|secret| !ledger.contains(secret)), "a secret is in the ledger")
}

/// Judges a reply of the gateway.
pub fn judge_reply(fault: &Fault, is_streamed: bool, reply: &Reply) -> Judged {
    let error = if reply.status != 200 {
        let body: Value = serde_json::from_slice(&reply.body).map_err(|error| format!("{error}"))?;
        Some(events::check_error(&body)?)
    } else if is_streamed {
        let answer = events::check(&reply.body)?;
        expect(answer.error.is_some() || answer.message["content"][0].is_object(), "nothing is said")?;
        expect(fault.outcome != Outcome::Answer || answer.message["content"][0]["text"] == TEXT, "the text is another one")?;
        answer.error
    } else {
        let message: Value = serde_json::from_slice(&reply.body).map_err(|error| format!("{error}"))?;
        expect(message["type"] == "message", "it is no message")?;
        expect(fault.outcome != Outcome::Answer || message["content"][0]["text"] == TEXT, "the text is another one")?;
        None
    };
    match fault.outcome {
        Outcome::Answer => expect(error.is_none(), "this is a whole answer")?,
        Outcome::Failure | Outcome::Unreachable => expect(error.is_some(), "this is no answer")?,
        Outcome::Either => {}
    }
    let Some((_, said)) = error else { return Ok(()) };
    expect(!said.trim().is_empty() && said.len() < 2000, "the words are none, or too many")?;
    expect(!said.chars().any(char::is_control), "control characters are in the words")?;
    expect(SECRETS.iter().all(|secret| !said.contains(secret)), "a secret is in the words")
}
