//! Small models go round in circles, in an answer and from answer to answer. Both end.

use std::io::Write;

use serde_json::{Value, json};

use super::{Gateway, Server, TOKEN, delta, question, tools, with, with_tools};
use crate::support::Sandbox;
use crate::support::stub::{Stub, completion, end, json as json_answer, piece, sse};

const LINE: &str = "Let me check the configuration file once more. ";

const CUT: &str = "[Cut here by claude-failover: the local model wrote the same again and again.]";

fn thought(text: &str) -> String {
    delta(&json!({"reasoning_content": text}))
}

fn pieces(of: fn(&str) -> String, text: &str, times: usize) -> String {
    of(text).repeat(times)
}

/// A conversation in which this call was made so often.
fn called(times: usize, result: &str) -> Value {
    let mut messages = vec![json!({"role": "user", "content": "Do it."})];
    for id in 0..times {
        let call = json!({"type": "tool_use", "id": format!("toolu_{id}"), "name": "Bash", "input": {"command": "make test"}});
        messages.push(json!({"role": "assistant", "content": [call]}));
        let result = json!({"type": "tool_result", "tool_use_id": format!("toolu_{id}"), "content": result});
        messages.push(json!({"role": "user", "content": [result]}));
    }
    with(question(""), json!({"messages": messages, "tools": tools()}))
}

fn results(asked: &Value) -> Vec<String> {
    let messages = asked["messages"].as_array().unwrap().iter().filter(|message| message["role"] == "tool");
    messages.map(|message| message["content"].as_str().unwrap().to_string()).collect()
}

#[test]
fn an_answer_in_circles_is_cut() {
    let server = Server::saying("");
    let gateway = server.gateway();
    server.say(&(piece("First: ") + &pieces(piece, LINE, 3000) + &end("length")));
    let message = gateway.message(&question("go on"));
    let text = message["content"][0]["text"].as_str().unwrap();
    assert_eq!((&message["stop_reason"], message["content"].as_array().unwrap().len()), (&json!("end_turn"), 1));
    assert!(text.starts_with(&format!("First: {}", LINE.repeat(6))) && text.ends_with(CUT), "{text}");
    assert!(text.len() < 10_000, "{}", text.len());
}

/// Claude Code would ask three times for the rest of it.
#[test]
fn an_answer_that_its_limit_ends_in_a_circle_has_ended() {
    let server = Server::saying("");
    let gateway = server.gateway();
    let (signs, rows) = ("#\n\n".repeat(700), "| item | in stock |\n".repeat(40));
    let table = [
        ("signs", signs.clone(), "length", true),
        ("few rows", rows.clone(), "length", false),
        ("signs, and then words", signs.clone() + "That was it, and now I", "length", false),
        ("to its own end", signs, "stop", false),
    ];
    for (what, text, finish, is_circle) in table {
        let letters: Vec<char> = text.chars().collect();
        server.say(&(letters.chunks(5).map(|letters| piece(&String::from_iter(letters))).collect::<String>() + &end(finish)));
        let message = gateway.message(&with_tools(question("go on")));
        let expected = if is_circle { format!("{text}\n\n{CUT}") } else { text };
        assert_eq!(message["content"], json!([{"type": "text", "text": expected}]), "{what}");
        assert_eq!(message["stop_reason"] == "end_turn", is_circle || finish == "stop", "{what}");
    }
}

#[test]
fn thinking_in_circles_is_cut() {
    let server = Server::saying("");
    let gateway = server.gateway();
    server.say(&(pieces(thought, LINE, 3000) + &end("length")));
    let message = gateway.message(&question("go on"));
    assert_eq!((&message["content"], &message["stop_reason"]), (&json!([{"type": "text", "text": CUT}]), &json!("end_turn")));
    let shown = gateway.message(&with(question("go on"), json!({"thinking": {"type": "enabled", "budget_tokens": 1024}})));
    assert_eq!(shown["content"][1], json!({"type": "text", "text": CUT}));
    assert!(shown["content"][0]["thinking"].as_str().unwrap().starts_with(LINE));
}

/// Nothing is known of the model yet, so that its first answer is held back to the end.
#[test]
fn the_first_answer_of_a_model_is_cut_too() {
    let server = Server::saying(&(pieces(piece, LINE, 3000) + &end("length")));
    let mut sandbox = Sandbox::new();
    sandbox.set("LOCAL_LLM_URL", server.stub.url());
    sandbox.set("LLM_GATEWAY_TOKEN", TOKEN);
    let gateway = Gateway::start(&sandbox);
    let answer = gateway.stream(&with_tools(question("go on"))).message;
    let text = answer["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with(&LINE.repeat(2)) && text.len() < 1000 && text.ends_with(CUT), "{text}");
}

#[test]
fn what_is_repeated_on_purpose_stays_whole() {
    let server = Server::saying("");
    let gateway = server.gateway();
    let texts = ["0, ".repeat(4000), "| item | in stock | ships tomorrow |\n".repeat(300), LINE.repeat(100) + "Done."];
    for text in texts {
        server.say(&completion(&text));
        let message = gateway.message(&question("write it"));
        assert_eq!(message["content"], json!([{"type": "text", "text": text}]));
    }
    // What a file holds is the user's business.
    let content = "All work and no play makes Jack a dull boy.\n".repeat(800);
    let arguments = json!({"command": format!("cat > novel <<END\n{content}END")}).to_string();
    let letters: Vec<char> = arguments.chars().collect();
    let call =
        |arguments: String| delta(&json!({"tool_calls": [{"index": 0, "function": {"name": "Bash", "arguments": arguments}}]}));
    let call = letters.chunks(50).map(|piece| call(piece.iter().collect())).collect::<String>();
    server.say(&(call + &end("tool_calls")));
    let message = gateway.message(&with_tools(question("write it")));
    let command = message["content"][0]["input"]["command"].as_str().unwrap();
    assert!(command.contains(&content) && message["stop_reason"] == "tool_use");
}

#[test]
fn a_call_in_circles_is_not_made() {
    let piece =
        |arguments: &str| delta(&json!({"tool_calls": [{"index": 0, "function": {"name": "Bash", "arguments": arguments}}]}));
    let server = Server::saying(&(piece("{\"command\": \"") + &piece(LINE).repeat(3000)));
    let gateway = server.gateway();
    let refusal = gateway.ask(&with_tools(question("go on"))).refusal();
    assert_eq!((refusal.0, refusal.1), (502, true), "{refusal:?}");
    let asked = server.asked();
    let told = &results(&asked)[0];
    assert!(
        told.starts_with("Error: not made: the call was cut off, since its arguments repeat the same again and again."),
        "{told}"
    );
}

fn call_piece(index: usize, arguments: &str) -> String {
    let function = json!({"name": "Bash", "arguments": arguments});
    delta(&json!({"tool_calls": [{"index": index, "id": format!("c{index}"), "type": "function", "function": function}]}))
}

fn whole_call(index: usize, command: &str) -> String {
    call_piece(index, &json!({"command": command}).to_string())
}

fn commands(message: &Value) -> Vec<&str> {
    let calls = message["content"].as_array().unwrap().iter().filter(|block| block["type"] == "tool_use");
    calls.map(|call| call["input"]["command"].as_str().unwrap()).collect()
}

#[test]
fn of_a_flood_of_the_same_call_three_are_made() {
    let server = Server::saying("");
    let gateway = server.gateway();
    let flood = |times: usize| (0..times).map(|index| whole_call(index, "make")).collect::<String>();
    let written = "<tool_call>\n{\"name\": \"Bash\", \"arguments\": {\"command\": \"make\"}}\n</tool_call>\n";
    let bare = "{\"name\": \"Bash\", \"arguments\": {\"command\": \"make\"}}\n";
    let mixed = flood(3) + &whole_call(3, "make test");
    let table: [(&str, String, &[&str]); 10] = [
        ("two", flood(2) + &end("tool_calls"), &["make"; 2]),
        ("ten", flood(10) + &end("tool_calls"), &["make"; 3]),
        ("ten, and another", flood(10) + &whole_call(10, "ls") + &end("tool_calls"), &["make"; 3]),
        ("three and another", mixed + &end("tool_calls"), &["make", "make", "make", "make test"]),
        ("in the text", pieces(piece, written, 40) + &end("stop"), &["make"; 3]),
        ("in the text, to the last token", pieces(piece, written, 40) + &piece(&written[..30]) + &end("length"), &["make"; 3]),
        ("within the first mark", pieces(piece, written, 40) + &piece(&written[..5]) + &end("length"), &["make"; 3]),
        ("without marks", pieces(piece, bare, 40) + &piece(&bare[..30]) + &end("length"), &["make"; 3]),
        (
            "behind another",
            piece(&written.replace("make", "ls")) + &pieces(piece, written, 40) + &piece(&written[..30]) + &end("length"),
            &["ls", "make", "make", "make"],
        ),
        ("to the last token", flood(3) + &call_piece(3, "{\"comm") + &end("length"), &["make"; 3]),
    ];
    for (what, events, expected) in table {
        server.say(&events);
        let message = gateway.message(&with_tools(question("build it")));
        assert_eq!((commands(&message), &message["stop_reason"]), (expected.to_vec(), &json!("tool_use")), "{what}");
    }
}

/// It would go on until the model may write no more.
#[test]
fn a_flood_is_not_listened_to() {
    let endless = Stub::new(|request, stream| {
        if !request.is_chat() {
            return drop(stream.write_all(json_answer(404, "{}").as_bytes()));
        }
        let mut calls = (0..).map(|index| whole_call(index, "make"));
        let mut is_heard = stream.write_all(sse("").as_bytes()).is_ok();
        while is_heard {
            is_heard = calls.next().is_some_and(|call| stream.write_all(call.as_bytes()).is_ok());
        }
    });
    let message = Gateway::new(&endless.url()).message(&with_tools(question("build it")));
    assert_eq!((commands(&message), &message["stop_reason"]), (vec!["make"; 3], &json!("tool_use")));
}

#[test]
fn a_repeated_call_is_told_of() {
    let server = Server::saying(&completion("I see."));
    let gateway = server.gateway();
    for (times, told) in [(1, None), (2, None), (3, Some("3 times")), (4, Some("4 times"))] {
        gateway.message(&called(times, "1 failed"));
        let results = results(&server.asked());
        assert_eq!(results.len(), times);
        let last = results.last().unwrap();
        match told {
            None => assert_eq!(last, "1 failed"),
            Some(told) => assert!(last.starts_with(&format!("1 failed\n\n[This call was made {told} now, ")), "{last}"),
        }
    }
    // Nothing that the server has read before is changed later.
    gateway.message(&called(4, "1 failed"));
    let later = server.asked()["messages"].clone();
    gateway.message(&called(3, "1 failed"));
    let earlier = server.asked()["messages"].clone();
    let earlier = earlier.as_array().unwrap();
    assert_eq!(later.as_array().unwrap()[..earlier.len()], earlier[..]);
}

#[test]
fn a_call_that_was_repeated_five_times_ends_the_work() {
    let server = Server::saying(&completion("I see."));
    let gateway = server.gateway();
    let message = gateway.message(&called(5, "1 failed"));
    let text = message["content"][0]["text"].as_str().unwrap();
    assert!(
        text.starts_with("Stopped by claude-failover: the local model made the same call 5 times and got the same result"),
        "{text}"
    );
    assert!(text.contains(r#"The call was Bash {"command":"make test"}. "#), "{text}");
    assert_eq!(message["stop_reason"], "end_turn");
    assert_eq!(server.stub.chats().len(), 0);
    // What has no tools, or must call one, is no agent that could be stopped.
    for keys in [json!({"tools": []}), json!({"tool_choice": {"type": "none"}})] {
        gateway.message(&with(called(5, "1 failed"), keys));
    }
    assert_eq!(server.stub.chats().len(), 4);
}
