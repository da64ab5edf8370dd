use serde_json::json;

use super::*;
use crate::gateway::request;

/// As 2.1.330 asks, in short.
const ASKED: &str = "CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.\n\nYour task is to create a detailed summary of the \
conversation so far. First <analysis>, then <summary>.";

fn request(steps: usize, length: usize, asked: &str) -> MessagesRequest {
    let mut messages = vec![json!({"role": "user", "content": "<system-reminder>\nFacts.\n</system-reminder>\n\nBuild it."})];
    for step in 0..steps {
        let (id, input) = (format!("t{step}"), json!({"command": format!("make {step}")}));
        let call = json!({"type": "tool_use", "id": id, "name": "Bash", "input": input});
        messages.push(json!({"role": "assistant", "content": [call]}));
        let text = format!("step {step} begins\n{}\nstep {step} ends", "x".repeat(length));
        messages.push(json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": text}]}));
    }
    messages.push(json!({"role": "user", "content": asked}));
    let tools = json!([{"name": "Bash", "description": "Runs.", "input_schema": {"type": "object"}}]);
    let body = json!({"model": "m", "max_tokens": 4096, "messages": messages, "tools": tools});
    request::read(body.to_string().into()).unwrap()
}

fn length(request: &MessagesRequest) -> usize {
    request.messages.iter().flat_map(texts).map(str::len).sum()
}

#[test]
fn a_summary_is_known_by_how_it_is_asked_for() {
    let table = [
        (ASKED, true),
        ("Your task is to create a detailed summary of the RECENT portion. <summary>", true),
        ("Your task is to create a detailed summary of the file.", false),
        ("Write a <summary>.", false),
    ];
    for (asked, expected) in table {
        assert_eq!(request(1, 9, asked).is_summary, expected, "{asked}");
    }
    assert!(!is_asked_for(&[]));
}

#[test]
fn few_words_ask_for_it_and_the_users_stay() {
    let added = format!("{ASKED}\n\nAdditional Instructions:\nName the files.\n\nREMINDER: Do NOT call any tools.");
    let table = [(ASKED.to_string(), INSTRUCTIONS.to_string()), (added, format!("{INSTRUCTIONS}\n\nName the files."))];
    for (asked, expected) in table {
        let mut request = request(1, 9, &asked);
        ask_briefly(&mut request, 800);
        assert_eq!(request.messages.last().unwrap()["content"], expected);
        assert_eq!(request.max_tokens, 800);
    }
}

#[test]
fn what_does_not_fit_is_left_out_from_the_newest_result_on() {
    let whole = request(5, 5000, ASKED);
    let fitted = |most: usize| {
        let mut short = whole.clone();
        fit(&mut short, |request| length(request) + 100 * request.tools.len() <= most);
        short
    };
    assert_eq!(fitted(length(&whole) + 100), whole);
    // One result is enough: what stands before it is what the server has read.
    let short = fitted(length(&whole) - 1000);
    assert_eq!((short.messages.len(), &short.tools), (whole.messages.len(), &whole.tools));
    let same = short.messages.iter().zip(whole.messages.iter()).filter(|(short, whole)| short == whole).count();
    assert_eq!((same, &short.messages[..10]), (whole.messages.len() - 1, &whole.messages[..10]));
    let last = short.messages[10]["content"].as_str().unwrap();
    assert!(last.starts_with("step 4 begins") && last.ends_with("step 4 ends") && last.contains("characters left out"), "{last}");
    // Then steps, from the oldest on, and the tools at last.
    let short = fitted(2000);
    assert!(short.messages.len() < whole.messages.len() && short.messages.len() > 3 && !short.tools.is_empty());
    assert_eq!((&short.messages[0], short.messages.last()), (&whole.messages[0], whole.messages.last()));
    assert!(short.messages[1]["tool_calls"].is_array() && short.messages[2]["role"] == "tool");
    assert!(fitted(10).tools.is_empty());
}

#[test]
fn a_summary_is_marked_however_the_model_writes_it() {
    let table = [
        ("Step 5 is done.", "<summary>\nStep 5 is done.\n</summary>"),
        ("<summary>Step 5.</summary>", "<summary>\nStep 5.\n</summary>"),
        ("<analysis>Hm.</analysis>\n<summary>Step 5.", "<summary>\nStep 5.\n</summary>"),
        ("<analysis>Hm.</analysis> Step 5.", "<summary>\nStep 5.\n</summary>"),
        ("<analysis>Step 5.", "<summary>\nStep 5.\n</summary>"),
        ("<analysis>Step 5.</analysis><summary></summary>", "<summary>\nStep 5.\n</summary>"),
        ("<summary>\n</summary>", ""),
        (" \n", ""),
    ];
    for (text, expected) in table {
        assert_eq!(marked(text), expected, "{text}");
    }
}

#[test]
fn without_the_model_it_tells_what_was_asked_and_called() {
    let told = without_model(&request(30, 5000, ASKED).messages);
    assert!(told.contains("The user: Build it.") && !told.contains("Facts.") && !told.contains("CRITICAL"), "{told}");
    assert!(told.contains(r#"Called: Bash {"command":"make 29"} → step 29 begins"#) && !told.contains("make 9\""), "{told}");
    assert!(told.len() < 3000, "{}", told.len());
}
