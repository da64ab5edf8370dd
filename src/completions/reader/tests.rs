use serde_json::{Value, json};

use super::*;

fn tools() -> Vec<Tool> {
    vec![Tool { name: "Bash".into(), description: String::new(), schema: json!({"properties": {"command": {"type": "string"}}}) }]
}

fn event(choice: Value) -> String {
    format!("data: {}\n\n", json!({ "choices": [choice] }))
}

fn text(text: &str) -> String {
    event(json!({"delta": {"content": text}}))
}

fn thinking(text: &str) -> String {
    event(json!({"delta": {"reasoning_content": text}}))
}

fn finish(reason: &str) -> String {
    event(json!({"delta": {}, "finish_reason": reason}))
}

const DONE: &str = "data: [DONE]\n\n";

struct Outcome {
    text: String,
    thinking: String,
    /// What had been given before the end.
    early: String,
    ended: Result<Ended, CompletionError>,
}

fn read(stream: &str, thinks_unopened: Option<bool>) -> Outcome {
    let tools = tools();
    let mut reader = Reader::new(&tools, thinks_unopened);
    let mut parts = vec![];
    for byte in stream.as_bytes() {
        reader.push(&[*byte], &mut parts);
    }
    let joined = |parts: &[Part], of: fn(&Part) -> &str| parts.iter().map(of).collect::<String>();
    let text = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Thinking(_) => String::new(),
    };
    let early = parts.iter().map(text).collect();
    let ended = reader.end(None, &mut parts);
    let thinking = joined(&parts, |part| match part {
        Part::Thinking(thinking) => thinking,
        Part::Text(_) => "",
    });
    Outcome { text: parts.iter().map(text).collect(), thinking, early, ended }
}

#[test]
fn text_is_held_back_until_it_is_known_how_the_model_thinks() {
    let plain = text("The answer") + &text(" is 4.") + &finish("stop") + DONE;
    let unopened = text("hm\n</th") + &text("ink>\n\nThe answer is 4.") + &finish("stop") + DONE;
    let named = thinking("hm") + &plain;
    let empty = thinking("") + &unopened;
    let opened = text("<think>hm</think>") + &plain;
    // What is known before, the stream, the thinking, what is given before the end, and what is known then.
    let table = [
        (None, &plain, "", "", Some(false)),
        (Some(true), &plain, "", "", Some(false)),
        (Some(false), &plain, "", "The answer is 4.", Some(false)),
        (None, &unopened, "hm", "", Some(true)),
        (Some(true), &unopened, "hm", "The answer is 4.", Some(true)),
        (None, &named, "hm", "The answer is 4.", None),
        (None, &empty, "hm", "", Some(true)),
        (None, &opened, "hm", "The answer is 4.", None),
    ];
    for (known, stream, thought, early, learned) in table {
        let outcome = read(stream, known);
        assert_eq!((outcome.text.as_str(), outcome.thinking.as_str()), ("The answer is 4.", thought), "{stream}");
        assert_eq!(outcome.early, early, "{stream}");
        assert_eq!(outcome.ended.unwrap().thinks_unopened, learned, "{stream}");
    }
    // A model that begins to think so shows it once, at the latest.
    assert_eq!(read(&unopened, Some(false)).ended.unwrap().thinks_unopened, Some(true));
}

#[test]
fn thinking_that_uses_up_the_limit_is_no_answer() {
    let stream = text("hm, hm") + &finish("length") + DONE;
    let outcome = read(&stream, Some(true));
    assert_eq!((outcome.text.as_str(), outcome.thinking.as_str()), ("", "hm, hm"));
    let ended = outcome.ended.unwrap();
    assert!(ended.is_cut_by_limit() && ended.thinks_unopened == Some(true));
    let unknown = read(&stream, None);
    assert_eq!((unknown.text.as_str(), unknown.ended.unwrap().thinks_unopened), ("hm, hm", None));
}

#[test]
fn one_proof_of_the_end_is_enough() {
    for end in [finish("stop") + DONE, finish("stop"), DONE.to_string(), finish("stop").trim_end().to_string()] {
        let outcome = read(&(text("Hi") + &end), None);
        assert_eq!(outcome.text, "Hi", "{end}");
        assert!(outcome.ended.is_ok(), "{end}");
    }
    for end in [String::new(), "data: [DO".into(), finish(""), "data: {\"choices\":[{\"finish_reason\":\"sto".into()] {
        let outcome = read(&(text("Hi") + &end), None);
        assert_eq!(outcome.text, "Hi", "what has come is there, {end}");
        assert!(matches!(outcome.ended, Err(CompletionError::Cut { .. })), "{end}");
    }
}

#[test]
fn a_broken_connection_does_not_spoil_a_whole_answer() {
    let broken = || Some(CompletionError::Broken("reset".into()));
    let ended = |stream: &str| {
        let mut reader = Reader::new(&[], None);
        reader.push(stream.as_bytes(), &mut vec![]);
        reader.end(broken(), &mut vec![])
    };
    assert!(ended(&(text("Hi") + &finish("stop"))).is_ok());
    assert!(matches!(ended(&text("Hi")), Err(CompletionError::Broken(_))));
}

#[test]
fn an_error_in_place_of_an_answer_is_a_refusal() {
    let error = |message: &str, code: u16| format!("data: {}\n\n", json!({"error": {"message": message, "code": code}}));
    let too_long = error("request (9 tokens) exceeds the available context size (8 tokens)", 400);
    assert!(matches!(read(&too_long, None).ended, Err(CompletionError::TooLong { .. })));
    let outcome = read(&(text("Hi") + &too_long), None);
    assert!(matches!(outcome.ended, Err(CompletionError::Cut { .. })), "an answer has begun");
    assert_eq!(outcome.text, "Hi");
    assert!(matches!(read(&error("out of memory", 500), None).ended, Err(CompletionError::Cut { .. })));
    assert!(matches!(read(&error("no", 400), None).ended, Err(CompletionError::Refusal(_))));
}

#[test]
fn what_the_server_reports_counts_and_not_the_text() {
    let written = "<tool_call>{\"name\":\"Bash\",\"arguments\":{\"command\":\"a\"}}</tool_call>";
    let reported = event(json!({"delta": {"tool_calls": [{"index": 0, "id": "x", "function": {"name": "Bash",
        "arguments": "{\"command\":\"b\"}"}}]}}));
    let outcome = read(&(text(written) + &reported + &finish("tool_calls")), None);
    let ended = outcome.ended.unwrap();
    assert_eq!(outcome.text, written);
    assert_eq!(ended.calls.len(), 1);
    assert_eq!(ended.calls[0].arguments, Ok(json!({"command": "b"}).as_object().unwrap().clone()));
    let outcome = read(&(text(written) + &finish("stop")), None);
    let ended = outcome.ended.unwrap();
    assert_eq!((outcome.text.as_str(), ended.calls.len(), ended.calls_text.as_deref()), ("", 1, Some(written)));
}

#[test]
fn a_call_whose_arguments_were_cut_off_has_none() {
    let call = event(json!({"delta": {"tool_calls": [{"index": 0, "id": "x", "function": {"name": "Bash"}}]}}));
    let arguments = |reason: &str| read(&(call.clone() + &finish(reason)), None).ended.unwrap().calls[0].arguments.clone();
    assert_eq!(arguments("tool_calls"), Ok(serde_json::Map::new()));
    assert_eq!(arguments("length"), Err(String::new()));
}

#[test]
fn a_call_in_thinking_counts_if_nothing_follows() {
    let call = "I run it.\n<tool_call>{\"name\":\"Bash\",\"arguments\":{\"command\":\"a\"}}</tool_call>";
    let calls = |stream: String| read(&stream, None).ended.unwrap().calls.len();
    assert_eq!(calls(thinking(call) + &finish("stop")), 1);
    assert_eq!(calls(text(&format!("<think>{call}")) + &finish("stop")), 1);
    assert_eq!(calls(text(&format!("<think>{call}</think>")) + &finish("stop")), 1);
    assert_eq!(calls(text(&format!("{call}\n</think>\n")) + &finish("stop")), 1);
    assert_eq!(calls(thinking(call) + &text("Shall I?") + &finish("stop")), 0);
    assert_eq!(calls(thinking(&format!("{call} or not")) + &finish("stop")), 0);
    assert_eq!(calls(thinking(call) + &finish("length")), 0);
}

#[test]
fn control_tokens_that_nobody_knows_are_named() {
    let markup = |stream: String| read(&stream, Some(false)).ended.unwrap().unknown_markup;
    assert_eq!(markup(text("Hi <|tool") + &text("_sep|> there") + &finish("stop")), Some("<|tool_sep|>".into()));
    assert_eq!(markup(text("Hi `<|tool_sep|>` there<|im_end|>") + &finish("stop")), None);
}

#[test]
fn what_is_no_completion_is_called_so() {
    let reason = |outcome: Result<Ended, CompletionError>| match outcome {
        Err(CompletionError::Cut { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    for stream in
        ["<!doctype html><title>A web page</title>", "{\"model\":\"x\",\"message\":{\"content\":\"Hi\"},\"done\":true}\n"]
    {
        assert_eq!(reason(read(stream, None).ended), NO_COMPLETION, "{stream}");
        let mut reader = Reader::new(&[], None);
        reader.push_whole(stream.as_bytes(), &mut vec![]);
        assert!(reason(reader.end(None, &mut vec![])).contains("chat completion"), "{stream}");
    }
    for stream in ["", ": keepalive\n\n", "data: {}\n\n"] {
        assert_eq!(reason(read(stream, None).ended), "the stream ended before its end", "{stream}");
    }
}

#[test]
fn errors_without_the_key_for_errors() {
    let errors = [
        (r#"{"object":"error","message":"The engine is dead","type":"InternalServerError","code":500}"#, "The engine is dead"),
        (r#"{"detail":"boom"}"#, "boom"),
        (r#"{"detail":[{"msg":"boom"}]}"#, r#"[{"msg":"boom"}]"#),
        (r#"{"error":"boom"}"#, "boom"),
    ];
    for (error, expected) in errors {
        let mut whole = Reader::new(&[], None);
        whole.push_whole(error.as_bytes(), &mut vec![]);
        for outcome in [read(&format!("data: {error}\n\n"), None).ended, whole.end(None, &mut vec![])] {
            assert!(matches!(&outcome, Err(CompletionError::Cut { reason, .. }) if reason == expected), "{error}: {outcome:?}");
        }
    }
    for no_error in ["null", "false", "\"\""] {
        let stream = format!(
            "data: {{\"error\":{no_error},\"message\":\"m\",\"choices\":[{{\"delta\":{{\"content\":\"Hi\"}}}}]}}\n\n{DONE}"
        );
        let outcome = read(&stream, None);
        assert!(outcome.ended.is_ok() && outcome.text == "Hi", "{no_error}");
    }
}

#[test]
fn events_without_blank_lines_between_them() {
    let stream = (text("Hel") + &text("lo") + &finish("stop") + DONE).replace("\n\n", "\n");
    let outcome = read(&stream, None);
    assert!(outcome.ended.is_ok(), "{:?}", outcome.ended);
    assert_eq!(outcome.text, "Hello");
    let cut = &stream[..stream.len() - 30];
    assert!(matches!(read(cut, None).ended, Err(CompletionError::Cut { .. })));
}

/// What follows a whole answer may be anything, and need not end.
#[test]
fn what_follows_a_whole_answer_is_not_missed() {
    let whole = text("The answer") + &finish("stop");
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\r\n\r\n";
    for rest in ["data: {\"usage\":NaN}\n\n", "data: <p>\n\n", "data: {\"cho", ": here\n\n", "\n\n"] {
        let read = read(&(whole.clone() + rest), Some(false));
        assert_eq!((read.text.as_str(), read.ended.is_ok()), ("The answer", true), "{rest:?}");
    }
    let mut reader = Reader::new(&[], Some(false));
    let mut wants_more_after = |pieces: &[&str]| {
        pieces.iter().for_each(|piece| reader.push(piece.as_bytes(), &mut vec![]));
        reader.wants_more()
    };
    assert!(wants_more_after(&[": here\n\n", &whole, "\n", &usage[..9], &usage[9..], "\n"]));
    assert!(!wants_more_after(&[": here\n\n"]));
    assert_eq!(reader.end(None, &mut vec![]).unwrap().usage.map(|usage| usage.input), Some(7));
    // However it is cut.
    let late = whole + ": here\n\n" + &text("!") + DONE;
    for length in 1..=late.len() {
        let (mut reader, mut parts) = (Reader::new(&[], Some(false)), vec![]);
        for piece in late.as_bytes().chunks(length) {
            if reader.wants_more() {
                reader.push(piece, &mut parts);
            }
        }
        assert!(reader.end(None, &mut parts).is_ok(), "pieces of {length}");
        assert_eq!(parts, [Part::Text("The answer".into())], "pieces of {length}");
    }
}
