//! What of the server's answer comes to the caller, in events and in one piece.

use serde_json::{Value, json};

use super::{Server, delta, question, with, with_tools};
use crate::support::stub::{completion, end, json as json_answer, piece, sse};

/// A message of the API, as far as it is the same each time.
fn message(content: Value, reason: &str, sequence: Option<&str>) -> Value {
    json!({"type": "message", "role": "assistant", "model": "claude-opus-5-5", "content": content, "stop_reason": reason,
           "stop_sequence": sequence, "usage": usage(5, 0, 3)})
}

fn usage(input: u64, cached: u64, output: u64) -> Value {
    json!({"input_tokens": input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": cached, "output_tokens": output})
}

fn said(text: &str) -> Value {
    message(json!([{"type": "text", "text": text}]), "end_turn", None)
}

/// What was thought, and then said.
fn thought(thinking: &str, text: &str) -> Value {
    message(
        json!([{"type": "thinking", "thinking": thinking, "signature": ""}, {"type": "text", "text": text}]),
        "end_turn",
        None,
    )
}

fn call(name: &str, key: &str, value: &str) -> Value {
    json!({"type": "tool_use", "name": name, "input": {key: value}})
}

fn ls() -> Value {
    call("Bash", "command", "ls")
}

fn calls(content: Value) -> Value {
    message(content, "tool_use", None)
}

fn reasoning(kind: &str, text: &str) -> String {
    delta(&json!({kind: text, "content": null}))
}

/// A piece of a call as llama.cpp streams it.
fn call_piece(index: u64, name: Option<&str>, arguments: &str) -> String {
    let mut call = json!({"index": index, "function": {"arguments": arguments}});
    if let Some(name) = name {
        call["id"] = format!("call{index}").into();
        call["type"] = "function".into();
        call["function"]["name"] = name.into();
    }
    delta(&json!({"tool_calls": [call]}))
}

/// A whole call as mlx-lm streams it, but without the number that other servers forget.
fn whole_call(name: &str, arguments: &Value) -> Value {
    json!({"type": "function", "id": "f3b1", "function": {"name": name, "arguments": arguments}})
}

#[track_caller]
fn compare(request: &Value, cases: &[(&str, String, Value)]) {
    let server = Server::saying("");
    let gateway = server.gateway();
    for (name, events, expected) in cases {
        server.say(events);
        assert_eq!(gateway.message(request), *expected, "{name}");
    }
}

#[test]
fn text_as_servers_write_it() {
    let of_llama = [delta(&json!({"role": "assistant", "content": null})), piece("Hi"), piece(" you")].concat() + &end("stop");
    let of_mlx = format!(": keepalive 1/1\n\n{}{}", delta(&json!({"role": "assistant", "content": "Hi you"})), end("stop"));
    let of_many = completion("Hi you").replace("data: {\"choices\":[],", "data: {\"object\":\"chat.completion\",\"choices\":[],");
    let with_returns = completion("Hi you").replace('\n', "\r\n");
    let with_ids = completion("Hi you").replace("data: ", "id: 7\nevent: message\nretry: 5\ndata:");
    let parts = delta(&json!({"content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": " you"}]})) + &end("stop");
    let odd = "a\u{2028}b\u{0}\u{1f980}\r\n\t\"\\ data: x\n\nevent: error";
    compare(
        &question("hi"),
        &[
            ("llama.cpp", of_llama, said("Hi you")),
            ("mlx-lm", of_mlx, said("Hi you")),
            ("another kind of last chunk", of_many, said("Hi you")),
            ("returns", with_returns, said("Hi you")),
            ("other fields", with_ids, said("Hi you")),
            ("parts", parts, said("Hi you")),
            ("space in front", piece(" \n") + &completion("Hi you"), said(" \nHi you")),
            ("any characters", piece(odd) + &end("stop"), said(odd)),
            ("half a character", piece("a*").replace('*', "\\ud83d") + &end("stop"), said("a\u{fffd}")),
            ("tags that are the answer's own", completion("say <think>x</think>"), said("say <think>x</think>")),
            ("calls that nobody can make", completion("<tool_call>{}</tool_call>"), said("<tool_call>{}</tool_call>")),
            (
                "two at once",
                delta(&json!({"content": "Hi you"})).replace("\"}}]", "\"}},{\"index\":1,\"delta\":{\"content\":\"no\"}}]")
                    + &end("stop"),
                said("Hi you"),
            ),
        ],
    );
}

#[test]
fn pieces_come_as_they_are() {
    let server = Server::saying(&(piece("b") + &piece("c") + &piece("") + &piece("d") + &end("stop")));
    let gateway = server.gateway();
    assert_eq!(gateway.stream(&question("hi")).deltas, 3);
    // A server that answers in one piece is nothing else to the caller.
    let whole = json!({"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "abc"}}],
                       "usage": {"prompt_tokens": 5, "completion_tokens": 3}});
    server.answer(json_answer(200, &whole.to_string()));
    assert_eq!(gateway.message(&question("hi")), said("abc"));
    assert_eq!(gateway.stream(&question("hi")).deltas, 1);
    let with_call = json!({"choices": [{"finish_reason": "tool_calls", "message": {"role": "assistant", "content": null,
        "reasoning_content": "Hm.", "tool_calls": [whole_call("Bash", &json!("{\"command\":\"ls\"}"))]}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3}});
    server.answer(json_answer(200, &with_call.to_string()));
    assert_eq!(gateway.message(&with_tools(question("hi"))), calls(json!([ls()])));
}

#[test]
fn calls_that_the_server_has_read() {
    let pieces = |index: u64, name: &str, arguments: &[&str]| -> String {
        let rest: String = arguments.iter().map(|piece| call_piece(index, None, piece)).collect();
        call_piece(index, Some(name), "") + &rest
    };
    let ls_pieces = || pieces(0, "Bash", &["{\"", "command", "\":\"l", "s\"}"]);
    let end = || end("tool_calls");
    let interleaved = [
        call_piece(0, Some("Bash"), "{\"command\":"),
        call_piece(1, Some("Read"), "{\"file_path\":"),
        call_piece(0, None, "\"ls\"}"),
        call_piece(1, None, "\"a\"}"),
    ];
    let without_number = |arguments: &Value| delta(&json!({"tool_calls": [whole_call("Bash", arguments)]}));
    let read = || call("Read", "file_path", "a");
    let text = |text: &str| json!({"type": "text", "text": text});
    let no_arguments = |arguments: Value| delta(&json!({"tool_calls": [whole_call("Bash", &arguments)]})) + &end();
    let none = || calls(json!([{"type": "tool_use", "name": "Bash", "input": {}}]));
    compare(
        &with_tools(question("hi")),
        &[
            ("in pieces", ls_pieces() + &end(), calls(json!([ls()]))),
            ("after text", piece("I look.") + &ls_pieces() + &end(), calls(json!([text("I look."), ls()]))),
            ("before text", ls_pieces() + &piece("Done.") + &end(), calls(json!([text("Done."), ls()]))),
            ("two", ls_pieces() + &pieces(1, "Read", &["{\"file_path\":\"a\"}"]) + &end(), calls(json!([ls(), read()]))),
            ("interleaved", interleaved.concat() + &end(), calls(json!([ls(), read()]))),
            ("from 1 on", pieces(1, "Bash", &["{\"command\":\"ls\"}"]) + &end(), calls(json!([ls()]))),
            ("whole, without a number", without_number(&json!("{\"command\":\"ls\"}")) + &end(), calls(json!([ls()]))),
            (
                "two, whole, without a number",
                without_number(&json!("{\"command\":\"ls\"}")).repeat(2) + &end(),
                calls(json!([ls(), ls()])),
            ),
            (
                "two in one chunk",
                {
                    let both =
                        [whole_call("Bash", &json!("{\"command\":\"ls\"}")), whole_call("Read", &json!("{\"file_path\":\"a\"}"))];
                    delta(&json!({"tool_calls": both})) + &end()
                },
                calls(json!([ls(), read()])),
            ),
            ("an object for arguments", without_number(&json!({"command": "ls"})) + &end(), calls(json!([ls()]))),
            (
                "text in text for arguments",
                without_number(&json!("\"{\\\"command\\\":\\\"ls\\\"}\"")) + &end(),
                calls(json!([ls()])),
            ),
            ("no arguments", no_arguments(json!("")), none()),
            ("null for arguments", no_arguments(Value::Null), none()),
            (
                "another case",
                without_number(&json!("{\"command\":\"ls\"}")).replace("Bash", "bash") + &end(),
                calls(json!([ls()])),
            ),
            ("an end that does not say so", ls_pieces() + &crate::support::stub::end("stop"), calls(json!([ls()]))),
            ("a list of none", delta(&json!({"tool_calls": []})) + &completion("Hi"), said("Hi")),
            ("null for a list", delta(&json!({"tool_calls": null})) + &completion("Hi"), said("Hi")),
            ("thinking before it, not asked for", reasoning("reasoning", "Hm.") + &ls_pieces() + &end(), calls(json!([ls()]))),
        ],
    );
}

#[test]
fn calls_that_the_model_wrote_as_text() {
    let text = |text: &str| json!({"type": "text", "text": text});
    let hermes = "<tool_call>\n{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}\n</tool_call>";
    let read = "<tool_call>\n{\"name\": \"Read\", \"arguments\": {\"file_path\": \"a\"}}\n</tool_call>";
    let each = |text: &str| text.chars().map(|c| piece(&c.to_string())).collect::<String>() + &end("stop");
    let mut cases = vec![
        ("after text", each(&format!("I look.\n{hermes}")), calls(json!([text("I look.\n"), ls()]))),
        ("two", each(&format!("{hermes}\n{read}")), calls(json!([ls(), call("Read", "file_path", "a")]))),
        ("thinking before it", each(&format!("<think>\nHm.\n</think>\n\n{hermes}")), calls(json!([ls()]))),
        ("the tag alone", each("a <tool_call> is a tag"), said("a <tool_call> is a tag")),
        ("an answer in JSON", each(r#"{"name":"x","age":7}"#), said(r#"{"name":"x","age":7}"#)),
        ("an answer in a fence", each("```json\n{\"a\": 1}\n```"), said("```json\n{\"a\": 1}\n```")),
        ("a sign", each("a < b"), said("a < b")),
        ("an opener begun", each("a <tool"), said("a <tool")),
    ];
    for form in [
        hermes,
        "<tool_call>\n<function=Bash>\n<parameter=command>\nls\n</parameter>\n</function>\n</tool_call>",
        "[TOOL_CALLS][{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}]",
        "[TOOL_CALLS]Bash[ARGS]{\"command\": \"ls\"}",
        "<|python_tag|>{\"name\": \"Bash\", \"parameters\": {\"command\": \"ls\"}}",
        "{\"name\": \"Bash\", \"parameters\": {\"command\": \"ls\"}}",
    ] {
        cases.push((form, each(form), calls(json!([ls()]))));
        cases.push((form, piece(form) + &end("stop"), calls(json!([ls()]))));
    }
    compare(&with_tools(question("hi")), &cases);
}

/// Whoever says that no tool may be called gets no call, whatever the model writes.
#[test]
fn no_calls_where_none_are_wanted() {
    let hermes = "<tool_call>{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}</tool_call>";
    compare(
        &with(with_tools(question("hi")), json!({"tool_choice": {"type": "none"}})),
        &[("text", completion("Hi you"), said("Hi you")), ("a call as text", piece(hermes) + &end("stop"), said(hermes))],
    );
}

#[test]
fn thinking_is_shown_to_those_who_ask_for_it() {
    let cases = [
        ("mlx-lm", reasoning("reasoning", "H") + &reasoning("reasoning", "m.") + &completion("Hi you")),
        ("llama.cpp", reasoning("reasoning_content", "Hm.") + &completion("Hi you")),
        ("tags", completion("<think>Hm.</think>\n\nHi you")),
        ("tags in pieces", {
            let each = |c: char| piece(&c.to_string());
            "<think>Hm.</think>\n\nHi you".chars().map(each).collect::<String>() + &end("stop")
        }),
    ];
    let quiet = cases.clone().map(|(name, events)| (name, events, said("Hi you")));
    compare(&question("hi"), &quiet);
    let aloud = cases.map(|(name, events)| (name, events, thought("Hm.", "Hi you")));
    for kind in [json!({"type": "enabled", "budget_tokens": 1024}), json!({"type": "adaptive"})] {
        compare(&with(question("hi"), json!({"thinking": kind})), &aloud);
    }
    compare(&with(question("hi"), json!({"thinking": {"type": "disabled"}})), &quiet);
}

#[test]
fn reasons_to_stop() {
    let ends = |reason: &str| piece("Hi") + &end(reason);
    let hi = |reason: &str| message(json!([{"type": "text", "text": "Hi"}]), reason, None);
    compare(
        &question("hi"),
        &[
            ("stop", ends("stop"), hi("end_turn")),
            ("length", ends("length"), hi("max_tokens")),
            ("content_filter", ends("content_filter"), hi("refusal")),
            ("eos", ends("eos"), hi("end_turn")),
        ],
    );
}

#[test]
fn usage_is_the_servers() {
    let last = |usage: &str| {
        let end = "data: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"delta\":{}}]";
        format!("{}{end}}}\n\ndata: {{\"choices\":[]{usage}}}\n\ndata: [DONE]\n\n", piece("Hi"))
    };
    let counted = |counts: Value| with(said("Hi"), json!({"usage": counts}));
    compare(
        &question("hi"),
        &[
            (
                "from the cache",
                last(r#","usage":{"prompt_tokens":33,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":24}}"#),
                counted(usage(9, 24, 2)),
            ),
            ("llama.cpp's timings", last(r#","timings":{"cache_n":24,"prompt_n":9,"predicted_n":2}"#), counted(usage(9, 24, 2))),
            (
                "more than there can be",
                last(r#","usage":{"prompt_tokens":3,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":24}}"#),
                counted(usage(0, 24, 2)),
            ),
        ],
    );
    // Without it, both are estimated.
    let server = Server::saying(&last(""));
    let seen = server.gateway().message(&question("hi"))["usage"].clone();
    assert!(seen["input_tokens"].as_u64().unwrap() > 0 && seen["output_tokens"].as_u64().unwrap() > 0, "{seen}");
}

#[test]
fn stop_sequences_wherever_they_are_split() {
    let stopped = |text: &str, by: &str| (json!([{"type": "text", "text": text}]), "stop_sequence", Some(by.to_string()));
    let ended = |text: &str| (json!([{"type": "text", "text": text}]), "end_turn", None);
    let server = Server::saying("");
    let gateway = server.gateway();
    for (text, expected) in [
        ("one###two", stopped("one", "###")),
        ("é###two###", stopped("é", "###")),
        ("one#two##three", ended("one#two##three")),
        ("one##", ended("one##")),
        ("one\nHuman: two", stopped("one", "\nHuman:")),
        ("one\nHuman", ended("one\nHuman")),
        ("#### two", ended("#### two")),
    ] {
        // `####` begins with the sequence, and then nothing stands before it.
        let is_empty = text.starts_with("###");
        for step in 1..=4 {
            let chars: Vec<char> = text.chars().collect();
            let pieces: String = chars.chunks(step).map(|chars| piece(&chars.iter().collect::<String>())).collect();
            server.say(&(pieces + &end("stop")));
            let request = with(question("hi"), json!({"stop_sequences": ["###", "\nHuman:"]}));
            let seen = gateway.message(&request);
            let sequence = seen["stop_sequence"].as_str().map(str::to_string);
            if is_empty {
                assert_eq!((&seen["content"], sequence.as_deref()), (&json!([]), Some("###")), "{text:?} by {step}");
                continue;
            }
            let seen_all = (seen["content"].clone(), seen["stop_reason"].as_str().unwrap(), sequence);
            assert_eq!(seen_all, expected, "{text:?} by {step}");
            assert!(seen["usage"]["input_tokens"].as_u64().unwrap() > 0, "{seen}");
        }
    }
}

/// They end the answer where what might have been a call turns out to be text, too.
#[test]
fn stop_sequences_in_what_was_held_back() {
    let request = with(with_tools(question("hi")), json!({"stop_sequences": ["###"]}));
    let server = Server::saying("");
    let gateway = server.gateway();
    for text in ["a <tool_call> ### b", "{\"name\": 7 ### b", "a<tool###"] {
        server.say(&(piece(text) + &end("stop")));
        let seen = gateway.message(&request);
        let (before, _) = text.split_once("###").unwrap();
        assert_eq!((&seen["stop_reason"], &seen["stop_sequence"]), (&json!("stop_sequence"), &json!("###")), "{text}");
        assert_eq!(seen["content"], json!([{"type": "text", "text": before}]), "{text}");
    }
}

/// Arguments that are no JSON go back to the model; the caller sees only what came of it.
#[test]
fn a_call_that_cannot_be_made_is_made_again() {
    use crate::support::stub::Stub;
    use std::io::Write;
    let bad = whole_call("Bash", &json!("{\"command\": oops"));
    let good = whole_call("Bash", &json!("{\"command\":\"ls\"}"));
    let stream = |call: &Value| sse(&(piece("I look.") + &delta(&json!({"tool_calls": [call]})) + &end("tool_calls")));
    let (bad, good) = (stream(&bad), stream(&good));
    let stub = Stub::new(move |request, stream| {
        let is_second = String::from_utf8_lossy(&request.body).contains("oops");
        let _ = stream.write_all(if is_second { good.as_bytes() } else { bad.as_bytes() });
    });
    let gateway = super::Gateway::new(&stub.url());
    let seen = gateway.message(&with_tools(question("hi")));
    assert_eq!(seen["content"].as_array().unwrap().last(), Some(&ls()));
    assert_eq!((&seen["stop_reason"], &seen["usage"]), (&json!("tool_use"), &usage(10, 0, 6)));
    let chats = stub.chats();
    assert_eq!(chats.len(), 4, "two for each way");
    let messages = chats[1].json()["messages"].clone();
    let told = messages[2]["content"].as_str().unwrap();
    assert_eq!((&messages[1]["role"], &messages[2]["role"]), (&json!("assistant"), &json!("tool")), "{messages}");
    assert_eq!(messages[1]["tool_calls"][0]["id"], messages[2]["tool_call_id"]);
    assert!(told.contains("not a JSON object") && told.contains("{\"command\": oops"), "{told}");
}
