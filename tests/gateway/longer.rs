//! Conversations that are longer than the local model's context, of a Claude Code that must not compact them: the gateway leaves out
//! the oldest turns, and only on the wire.

mod session;

use serde_json::{Value, json};

use super::{Gateway, Reply};
use crate::support::honest::{DONE, Honest, Kind, Summary, Turn};
use crate::support::script::text;
use crate::support::stub::{Stub, json as json_answer};
use session::{Session, TOLD};

const NOTE: &str = "The earlier part of this conversation is left out here";

fn gateway(url: &str) -> Gateway {
    Gateway::with(url, &[("CLAUDE_FAILOVER_GATEWAY_LEAVES_OUT", "1")])
}

const LEAN: &str = "the whole request does not fit the local model's context of 8192 tokens: short instructions and fewer tools";

/// The lines that it writes, with the context as it knows it.
fn says(gateway: Gateway, context: &str, others: &[&str]) -> Gateway {
    let turns = format!("the conversation does not fit the local model's context{context}: its oldest turns are left out");
    let lines = [turns.as_str()].into_iter().chain(others.iter().copied());
    gateway.says(&lines.map(|line| format!("claude-failover: warning: {line}\n")).collect::<String>())
}

/// A server that tells its context, and a gateway before it.
fn served(n_ctx: usize) -> (Honest, Gateway) {
    let server = Honest::new(n_ctx, 0, Summary::Short);
    let gateway = says(gateway(&server.url()), &format!(" of {n_ctx} tokens"), &[&LEAN.replace("8192", &n_ctx.to_string())]);
    (server, gateway)
}

fn refused(turns: &[Turn]) -> usize {
    turns.iter().filter(|turn| turn.is_refused).count()
}

/// The messages of the last request.
fn last(server: &Honest) -> Vec<Value> {
    server.turns().last().unwrap().question["messages"].as_array().unwrap().clone()
}

/// The next answer, and that the prompt's length is told as the server has counted it.
#[track_caller]
fn ask(gateway: &Gateway, session: &mut Session, server: &Honest) {
    let reply: Reply = gateway.ask(&session.request());
    assert_eq!(reply.status, 200, "{reply:?}");
    let message = reply.json();
    assert_eq!(message["content"], json!([{"type": "text", "text": DONE}]));
    let number = |key: &str| message["usage"][key].as_u64().unwrap_or_default() as usize;
    let turns = server.turns();
    let sent = turns.last().unwrap();
    assert_eq!(number("input_tokens") + number("cache_read_input_tokens"), sent.tokens);
    check(sent, session);
    session.answers(DONE);
}

/// Whether what was sent is what a strict template takes, and all that has to be there.
#[track_caller]
fn check(sent: &Turn, session: &Session) {
    assert_eq!(sent.kind, Kind::Step);
    let messages = sent.question["messages"].as_array().unwrap();
    let roles: Vec<&str> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles[..2], ["system", "user"]);
    let is_before = |at: usize, before: &[&str]| before.contains(&roles[at - 1]);
    for at in 2..messages.len() {
        let is_right = match roles[at] {
            "user" => is_before(at, &["assistant", "tool"]),
            "assistant" => is_before(at, &["user", "tool"]),
            _ => is_before(at, &["assistant", "tool"]),
        };
        assert!(is_right, "{roles:?}");
    }
    let ids = |key: &str| -> Vec<String> {
        let calls = |message: &Value| message["tool_calls"].as_array().cloned().unwrap_or_default();
        let all = messages.iter().flat_map(|message| if key == "id" { calls(message) } else { vec![message.clone()] });
        all.filter_map(|value| value[key].as_str().map(str::to_string)).collect()
    };
    assert_eq!(ids("id"), ids("tool_call_id"), "each call has its result");
    let first = text(&messages[1]);
    assert!(first.matches(TOLD).count() == 1 && first.matches(NOTE).count() == 1, "{first}");
    let asked = format!("Question {}: ", session.turns);
    assert_eq!(messages.iter().filter(|message| text(message).contains(&asked)).count(), 1, "{asked}");
    let answers = |said: &[Value]| said.iter().filter(|message| message["role"] == "assistant").count();
    assert!(answers(messages) < answers(&session.messages));
}

/// What was read of the requests that were answered, and what is new of them, in tokens.
fn read_and_new(turns: &[Turn]) -> (usize, usize) {
    let answered = turns.iter().filter(|turn| !turn.is_refused);
    answered.fold((0, 0), |(read, new), turn| (read + turn.tokens - turn.cached, new + turn.new))
}

/// Twenty more turns of a session of five times the context, each with so many thousandths of the context. How much was read of what
/// is new, in percent.
#[track_caller]
fn goes_on(gateway: &Gateway, server: &Honest, n_ctx: usize, thousandths: usize) -> usize {
    let turn = n_ctx * thousandths / 1000;
    let mut session = Session::of(5 * n_ctx, (n_ctx / 50).max(turn));
    for more in 0..20 {
        session.asks(turn / 2);
        // Every second turn has a step with calls.
        if more % 2 == 1 {
            ask(gateway, &mut session, server);
            session.messages.pop();
            session.calls(turn / 2);
        }
        ask(gateway, &mut session, server);
    }
    let (read, new) = read_and_new(&server.turns());
    read * 100 / new
}

#[test]
fn a_session_of_five_times_the_context_goes_on() {
    for (n_ctx, thousandths) in [(8192, 20), (8192, 50), (8192, 100), (32_768, 30), (32_768, 100)] {
        let (server, gateway) = served(n_ctx);
        let percent = goes_on(&gateway, &server, n_ctx, thousandths);
        let turns = server.turns();
        assert_eq!((refused(&turns), turns.len()), (0, 30), "{n_ctx} {thousandths}");
        assert!(percent <= 130, "{n_ctx} {thousandths}: {percent}");
        let lengths: Vec<usize> = turns.iter().map(|turn| turn.tokens).collect();
        assert!(lengths[0] > n_ctx * 3 / 10, "the first one has much of what is newest: {lengths:?}");
        let moves = lengths.windows(2).filter(|two| two[1] < two[0]);
        assert!(moves.clone().all(|two| two[0] > n_ctx * 7 / 10 && two[1] < n_ctx * 2 / 3), "{lengths:?}");
        assert!(moves.count() >= usize::from(thousandths == 100), "{lengths:?}");
    }
}

#[test]
fn one_refusal_tells_how_long_it_may_be() {
    let server = Honest::silent(8192, 0, Summary::Short);
    let gateway = says(gateway(&server.url()), " of 8192 tokens", &[LEAN]);
    let percent = goes_on(&gateway, &server, 8192, 50);
    let turns = server.turns();
    assert_eq!((refused(&turns), turns.len()), (1, 31));
    assert!(percent <= 130, "{percent}");
}

#[test]
fn a_refusal_may_tell_less() {
    let vllm = "This model's maximum context length is 8192 tokens. However, you requested 40000 tokens (39000 in the messages, 1000 in \
                the completion). Please reduce the length of the messages or completion.";
    // What the server says, what the user is told, and how often it is asked.
    for (words, context, others, most) in [(vllm, " of 8192 tokens", &[LEAN][..], 2), ("prompt is too long", "", &[], 12)] {
        let refusal = json_answer(400, &json!({"error": {"message": words}}).to_string());
        let stub = Stub::refusing(refusal, |chat, _| chat.to_string().len() > 30_000);
        let gateway = says(gateway(&stub.url()), context, others);
        let mut session = Session::of(5 * 8192, 200);
        session.asks(100);
        let reply = gateway.ask(&session.request());
        assert_eq!((reply.status, &reply.json()["content"][0]["text"]), (200, &json!("yes")), "{reply:?}");
        let asked = stub.chats().len();
        assert!(asked <= most, "{asked}");
        let sent = stub.chats().last().unwrap().json().to_string();
        assert!(sent.len() > 10_000 && sent.contains(NOTE), "{}", sent.len());
        // The next one is as short from the start.
        session.answers("yes");
        session.asks(100);
        assert_eq!(gateway.ask(&session.request()).status, 200);
        assert_eq!(stub.chats().len(), asked + 1);
    }
}

#[test]
fn a_gateway_that_knows_nothing_cuts_at_the_same_place() {
    let (server, first) = served(8192);
    let mut session = Session::of(5 * 8192, 200);
    for _ in 0..3 {
        session.asks(60);
        ask(&first, &mut session, &server);
        let before = last(&server);
        let (server, second) = served(8192);
        session.messages.pop();
        ask(&second, &mut session, &server);
        assert_eq!(last(&server), before);
    }
}

#[test]
fn sessions_are_cut_apart_and_may_be_taken_back() {
    let (server, gateway) = served(8192);
    let mut sessions = [Session::of(5 * 8192, 200), Session::of(3 * 8192, 300)];
    let mut before = [vec![], vec![]];
    for _ in 0..5 {
        for (session, before) in sessions.iter_mut().zip(&mut before) {
            session.asks(80);
            ask(&gateway, session, &server);
            let now = last(&server);
            assert!(now.starts_with(before), "it grows only at its end");
            *before = now;
        }
    }
    let [session, _] = &mut sessions;
    session.messages.truncate(session.messages.len() - 4);
    session.turns -= 2;
    session.asks(90);
    ask(&gateway, session, &server);
    let now = last(&server);
    assert_eq!(now[..now.len() - 1], before[0][..now.len() - 1]);
    // Long before the cut nothing has to be left out.
    session.messages.truncate(9);
    session.messages.push(json!({"role": "user", "content": "Once more: sh step.sh"}));
    assert_eq!(gateway.ask(&session.request()).status, 200);
    assert!(!text(&last(&server)[1]).contains(NOTE));
}

#[test]
fn the_newest_step_stays() {
    let (server, gateway) = served(8192);
    let mut session = Session::of(3 * 8192, 200);
    session.asks(50);
    session.calls(8192 * 11 / 10);
    ask(&gateway, &mut session, &server);
    let results: Vec<String> = last(&server).iter().filter(|message| message["role"] == "tool").map(text).collect();
    let [older, newest] = &results[..] else { panic!("{}", results.len()) };
    assert!(older.contains("characters left out") && newest.len() > 8192 * 2 && !newest.contains("left out"));
}

#[test]
fn what_alone_is_too_long_is_refused_and_the_session_goes_on() {
    let (server, gateway) = served(8192);
    let mut session = Session::of(3 * 8192, 200);
    session.asks(9000);
    let (status, _, kind, message) = gateway.refusal(&session.request());
    assert_eq!((status, kind.as_str()), (400, "invalid_request_error"));
    let figures = message.strip_prefix("prompt is too long: ").and_then(|rest| rest.strip_suffix(" tokens > 8192 maximum"));
    let length: usize = figures.and_then(|length| length.parse().ok()).unwrap_or_else(|| panic!("{message}"));
    assert!((9000..20_000).contains(&length), "{message}");
    session.answers("It was too long.");
    session.asks(100);
    ask(&gateway, &mut session, &server);
}

#[test]
fn the_count_of_a_request_is_that_of_what_is_sent() {
    let (server, gateway) = served(8192);
    let mut session = Session::of(5 * 8192, 200);
    session.asks(50);
    ask(&gateway, &mut session, &server);
    session.messages.pop();
    let reply = gateway.post("/v1/messages/count_tokens", &session.request());
    assert_eq!(reply.json()["input_tokens"], server.turns()[0].tokens);
}

#[test]
fn nothing_is_left_out_unless_it_is_wanted() {
    let server = Honest::new(8192, 0, Summary::Short);
    let mut session = Session::of(2 * 8192, 200);
    session.asks(50);
    for settings in [&[][..], &[("CLAUDE_FAILOVER_GATEWAY_LEAVES_OUT", "")], &[("CLAUDE_FAILOVER_GATEWAY_LEAVES_OUT", "0")]] {
        let gateway = Gateway::with(&server.url(), settings);
        let (status, _, _, message) = gateway.refusal(&session.request());
        assert!(status == 400 && message.starts_with("prompt is too long: "), "{message}");
    }
    assert!(server.turns().iter().all(|turn| turn.is_refused));
}
