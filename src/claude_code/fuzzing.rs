//! What must hold for anything that Claude Code's callers, its files and its texts say.

use std::ffi::OsString;
use std::fs;
use std::io::BufReader;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;

use crate::claude_code::command_line::{Parsed, parse, says_print};
use crate::claude_code::json_schema::Schema;
use crate::claude_code::mentions::mentions;
use crate::claude_code::protocol::control;
use crate::claude_code::protocol::input::{self, Input};
use crate::claude_code::refusal::{Cause, Ending, Evidence, of_turn};
use crate::claude_code::transcript::{self, SessionMessage};
use crate::claude_code::unanswered;
use crate::text::replace_lone_surrogates;

fn inputs(lines: impl std::io::BufRead) -> (Vec<Input>, Option<String>) {
    let mut seen = Vec::new();
    let fault = input::read(lines, |input| {
        seen.push(input);
        true
    });
    (seen, fault.err())
}

/// The lines of `--input-format stream-json`.
pub(crate) fn input_lines(bytes: &[u8]) {
    let (seen, fault) = inputs(bytes);
    assert_eq!(format!("{:?}", inputs(BufReader::with_capacity(3, bytes))), format!("{:?}", (&seen, &fault)));
    assert!(fault.is_none_or(|fault| fault.starts_with("Error")), "in the real CLI's words");
    let mut messages = Vec::new();
    for input in seen {
        match input {
            Input::Control { id, request } => {
                let reply = control::reply_to(&request).unwrap_or_else(|| control::unsupported(&request)).message(id.clone());
                assert_eq!(reply["response"].get("request_id"), id.as_ref(), "{reply}");
            }
            Input::User(message) => {
                for mention in mentions(&message.as_text()) {
                    assert!(!mention.path.is_empty() && message.as_text().contains(&mention.path), "{mention:?}");
                }
                if let Some((name, _)) = message.command() {
                    assert!(!name.is_empty() && !name.contains(['/', '.']), "{name}");
                }
                messages.push(message);
            }
            Input::Assistant(..) | Input::Nothing => {}
        }
    }
    let texts: Vec<String> = messages.iter().map(|message| message.as_text()).collect();
    if let Some(joined) = messages.into_iter().reduce(|first, next| first.join(next)) {
        let joined = joined.as_text();
        assert!(texts.iter().all(|text| joined.contains(text.as_str())), "{joined:?} {texts:?}");
    }
}

/// Arguments, each ended by a NUL.
pub(crate) fn command_line(bytes: &[u8]) {
    let mut args: Vec<OsString> = bytes.split(|byte| *byte == 0).map(|arg| OsString::from_vec(arg.to_vec())).collect();
    args.truncate(24);
    says_print(&args);
    let Ok(Parsed::Prompt(line)) = parse(&args) else { return };
    assert_eq!(line.replaced_by(&[], &["--verbose".into()], &args), args);
    line.formats_fit();
    drop(line.check_command());
    if let Some(prompt) = line.prompt() {
        assert!(args.iter().any(|arg| arg.to_string_lossy() == prompt), "{prompt:?}");
    }
    let options = line.names();
    for option in options.iter().take(4) {
        let Ok(Parsed::Prompt(without)) = parse(&line.replaced_by(&[*option], &["--verbose".into()], &args)) else { continue };
        assert!(!without.has(option) || *option == "--verbose", "{option} of {args:?}");
        assert_eq!(without.prompt(), line.prompt(), "without {option}");
        for other in options.iter().filter(|other| ![option, &"--verbose"].contains(other)) {
            assert!(without.has(other) && without.all(other).eq(line.all(other)), "{other} without {option} of {args:?}");
        }
    }
}

/// The texts in which Claude Code says that Claude does not answer.
pub(crate) fn refusals(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let now = Timestamp::from_second(1_795_725_000).unwrap_or_default();
    for (status, error) in
        [(None, None), (Some(429), Some("rate_limit")), (Some(400), Some("invalid_request")), (Some(529), None)]
    {
        let ending =
            Ending { subtype: "success".into(), is_error: true, text: text.clone().into_owned(), status, ..Ending::default() };
        let evidence =
            Evidence { result: Some(ending), error: error.map(str::to_string), is_synthetic: true, ..Evidence::default() };
        let verdict = of_turn(&evidence, now);
        assert!(verdict.until.is_none() || verdict.cause.is_limit(), "{verdict:?}");
        assert_eq!(verdict.family.is_some(), verdict.cause == Cause::Model, "{verdict:?}");
        assert!(verdict.family.iter().all(|family| family.bytes().all(|byte| byte.is_ascii_alphanumeric())), "{verdict:?}");
        // What a model says decides nothing.
        let by_model = Evidence { is_by_model: true, ..evidence.clone() };
        let unsaid = Ending { text: String::new(), ..by_model.result.clone().unwrap_or_default() };
        let silent = Evidence { result: Some(unsaid), ..by_model.clone() };
        assert_eq!(of_turn(&by_model, now), of_turn(&silent, now));
    }
}

/// A transcript of Claude Code's, in a folder.
pub(crate) fn transcripts(bytes: &[u8], folder: &Path) {
    let path = folder.join("transcript.jsonl");
    if fs::write(&path, bytes).is_err() {
        return;
    }
    let backwards: Vec<Vec<u8>> = transcript::open(&path).into_iter().flat_map(transcript::lines_from_end).collect();
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    assert!(backwards.iter().rev().eq(lines), "each line once");
    let messages = transcript::read(&path, None).unwrap_or_default();
    assert!(messages.iter().all(|message| !message.text.trim().is_empty()));
    assert!(messages.is_sorted_by_key(|message| message.at));
    check_ends(bytes, &path, &messages);
    transcript::title(&path);
    assert!(unanswered::read(&path).prompts.iter().all(|prompt| prompt.len() <= 2 * bytes.len()));
}

/// A conversation up to one of its messages ends with that. Where it was compacted, others follow the summary.
fn check_ends(bytes: &[u8], path: &Path, messages: &[SessionMessage]) {
    // A line counts in spite of what is wrong with fields that nobody asks for.
    let text = replace_lone_surrogates(&String::from_utf8_lossy(bytes));
    let lines: Vec<Value> = text.split('\n').filter_map(|line| serde_json::from_str(line).ok()).collect();
    let is_unique = |id: &&String| lines.iter().filter(|line| line["uuid"] == **id).count() == 1;
    let ids = messages.iter().filter_map(|message| message.uuid.as_ref()).filter(is_unique);
    for id in ids.take(8).filter(|_| lines.iter().all(|line| line["compactMetadata"].is_null())) {
        let up_to = transcript::read(path, Some(id)).unwrap_or_default();
        assert_eq!(up_to.last().and_then(|message| message.uuid.as_ref()), Some(id));
    }
}

/// `--json-schema` in the first line, and an answer behind it.
pub(crate) fn json_schema(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (schema, answer) = text.split_once('\n').unwrap_or((&text, ""));
    let Ok(schema) = Schema::parse(schema) else { return };
    match schema.check(answer) {
        Ok(value) => assert_eq!(schema.check(&value.to_string()).ok(), Some(value), "what matches, matches again"),
        Err(mismatch) => assert!(!mismatch.reason.is_empty()),
    }
    assert!(schema.response_format()["json_schema"]["schema"].is_object());
}
