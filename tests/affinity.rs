//! A router before several servers keeps a session at one of them: by a header and a field that are the same for all of a session's
//! requests, and tell nothing else.

use serde_json::{Value, json};

use crate::answer::local;
use crate::gateway::Gateway;
use crate::support::stub::{Request, Stub, completion, json as json_answer, sse};

const ID: &str = "11111111-2222-4333-8444-555555555555";

/// What the session [`ID`] is to a router, by any process on any machine.
const OF_ID: &str = "8c2dcf5263e83686891c1f6b6edd6aee";

/// What a question tells, which is the same in both places.
#[track_caller]
fn told(request: &Request) -> String {
    let header = request.header("x-session-affinity").expect("a header").to_string();
    assert_eq!(request.json()["user"], header, "{request:?}");
    assert!(header.len() == 32 && header.bytes().all(|byte| byte.is_ascii_hexdigit()), "{header}");
    header
}

#[test]
fn a_session_is_told_by_the_same_value_in_each_call() {
    let stub = Stub::answering("yes");
    let sandbox = local(&stub.url());
    let ask = |args: &[&str]| {
        sandbox.cmd("claude").args(&["-p", "hi"]).args(args).run().expect(0, "yes\n", "");
        told(stub.chats().last().unwrap())
    };
    let first = ask(&["--session-id", ID]);
    assert_eq!(first, OF_ID);
    assert_eq!([ask(&["--resume", ID]), ask(&["--continue"])], [OF_ID, OF_ID]);
    let others = [ask(&["--continue", "--fork-session"]), ask(&[]), ask(&[])];
    assert!(!others.contains(&first), "{others:?}");
    assert!(others[0] != others[1] && others[1] != others[2], "{others:?}");
    let all: Vec<String> =
        stub.seen().iter().map(|request| format!("{request:?} {}", String::from_utf8_lossy(&request.body))).collect();
    assert!(!all.iter().any(|request| request.contains(ID)), "the session's own name stays here: {all:?}");
}

#[test]
fn turns_of_one_call_are_one_session_until_it_is_cleared() {
    let stub = Stub::answering("yes");
    let sandbox = local(&stub.url());
    let line = |text: &str| json!({"type": "user", "message": {"role": "user", "content": text}}).to_string() + "\n";
    let input = [line("one"), line("two"), line("/clear"), line("three")].concat();
    let formats = ["--input-format", "stream-json", "--output-format", "stream-json", "--verbose", "--session-id", ID];
    let output = sandbox.cmd("claude").arg("-p").args(&formats).stdin(input).run();
    assert_eq!((output.code(), output.err()), (0, String::new()), "{output:?}");
    let told: Vec<String> = stub.chats().iter().map(told).collect();
    assert_eq!(told[..2], [OF_ID, OF_ID]);
    assert!(told.len() == 3 && told[2] != OF_ID, "{told:?}");
}

#[test]
fn an_agents_session_is_told_as_a_plain_answers() {
    let stub = Stub::answering("yes");
    let gateway = Gateway::with(&stub.url(), &[]);
    let ask = |metadata: Value| {
        let question =
            json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "metadata": metadata});
        assert_eq!(gateway.ask(&question).status, 200);
        stub.chats().pop().unwrap()
    };
    // As 1.0.128 and 2.1.330 send it.
    let ids =
        [format!("user_00_account__session_{ID}"), json!({"device_id": "00", "account_uuid": "", "session_id": ID}).to_string()];
    for id in ids {
        assert_eq!(told(&ask(json!({"user_id": id}))), OF_ID, "{id}");
    }
    let person = told(&ask(json!({"user_id": "anna@example.com"})));
    assert_eq!(told(&ask(json!({"user_id": "anna@example.com"}))), person);
    assert_ne!(told(&ask(json!({"user_id": "bert@example.com"}))), person);
    for nobody in [json!(null), json!({}), json!({"user_id": ""}), json!({"user_id": 7})] {
        let asked = ask(nobody.clone());
        assert_eq!((asked.header("x-session-affinity"), asked.json().get("user")), (None, None), "{nobody}");
    }
    drop(gateway);
    // A person's name could be guessed: another process tells another value.
    let gateway = Gateway::with(&stub.url(), &[]);
    let question = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
                          "metadata": {"user_id": "anna@example.com"}});
    assert_eq!(gateway.ask(&question).status, 200);
    assert_ne!(told(&stub.chats().pop().unwrap()), person);
}

#[test]
fn a_server_that_refuses_the_field_is_asked_without_it() {
    for refusal in [
        json!({"error": {"message": "Unrecognized request argument supplied: user", "code": 400}}),
        json!({"error": "json: unknown field \"user\""}),
        json!({"detail": [{"type": "extra_forbidden", "loc": ["body", "user"], "msg": "Extra inputs are not permitted", "input": "x"}]}),
        json!({"error": {"message": "litellm.UnsupportedParamsError: x does not support parameters: ['user'], for model=m"}}),
        json!([{"error": {"code": 400, "message": "Invalid JSON payload received. Unknown name \"user\": Cannot find field."}}]),
    ] {
        let refusing = json_answer(400, &refusal.to_string());
        let stub = Stub::new(move |request, stream| {
            use std::io::Write;
            let is_refused = request.is_chat() && request.json().get("user").is_some();
            let reply = if is_refused { refusing.clone() } else { sse(&completion("yes")) };
            let _ = stream.write_all(reply.as_bytes());
        });
        let sandbox = local(&stub.url());
        let ask = || sandbox.cmd("claude").args(&["-p", "hi", "--session-id", ID, "--no-session-persistence"]).run();
        ask().expect(0, "yes\n", "");
        ask().expect(0, "yes\n", "");
        let chats = stub.chats();
        let fields: Vec<bool> = chats.iter().map(|chat| chat.json().get("user").is_some()).collect();
        assert_eq!(fields, [true, false, false], "the second call knows it: {refusal}");
        assert!(chats.iter().all(|chat| chat.header("x-session-affinity") == Some(OF_ID)), "{refusal}");
    }
}

/// Templates speak of a user, too, and mean the role.
#[test]
fn a_refusal_that_speaks_of_users_is_about_roles_first() {
    let refusal =
        json_answer(400, r#"{"error":"System role not supported: roles must alternate user/assistant, parameter messages"}"#);
    let stub = Stub::refusing(refusal, |chat, _| chat["messages"][0]["role"] == "system");
    local(&stub.url()).cmd("claude").args(&["-p", "hi", "--system-prompt", "Be brief."]).run().expect(0, "yes\n", "");
    assert_eq!(stub.chats().len(), 2);
    assert_eq!(told(&stub.chats()[1]), told(&stub.chats()[0]));
}

#[test]
fn the_users_own_field_stands() {
    let stub = Stub::answering("yes");
    let mut sandbox = local(&stub.url());
    sandbox.set("LOCAL_LLM_EXTRA_BODY", r#"{"user":"team-a"}"#);
    sandbox.cmd("claude").args(&["-p", "hi", "--session-id", ID]).run().expect(0, "yes\n", "");
    let chats = stub.chats();
    assert_eq!((chats[0].json()["user"].as_str(), chats[0].header("x-session-affinity")), (Some("team-a"), Some(OF_ID)));
}
