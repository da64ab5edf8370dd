//! Conversations that are longer than the local model's context, of a Claude Code that must not compact them: the gateway leaves out
//! the oldest turns, and only on the wire.

use serde_json::{Value, json};

use super::{Gateway, Reply};
use crate::support::honest::{DONE, Honest, Kind, Summary, Turn};
use crate::support::script::text;

/// A picture of one pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const NOTE: &str = "The earlier part of this conversation is left out here";

/// What the program tells in the first message.
const TOLD: &str = "Be kind to whales.";

/// A session of Claude Code.
struct Session {
    messages: Vec<Value>,
    calls: usize,
    turns: usize,
}

impl Session {
    fn new() -> Session {
        Session { messages: vec![], calls: 0, turns: 0 }
    }

    /// A session that is so long, in tokens of four bytes.
    fn of(tokens: usize, turn: usize) -> Session {
        let mut session = Session::new();
        while Value::from(session.messages.clone()).to_string().len() / 4 < tokens {
            session.asks(turn / 4);
            session.calls(turn / 2);
            session.answers("So it is.");
        }
        session
    }

    /// The user says so much.
    fn asks(&mut self, tokens: usize) {
        self.turns += 1;
        let said = format!("Question {}: what does sh step.sh print? {}", self.turns, words(tokens));
        let reminder = format!("<system-reminder>\n# claudeMd\n{TOLD}\n</system-reminder>");
        let said = json!({"type": "text", "text": said});
        let content = match self.messages.is_empty() {
            true => json!([{"type": "text", "text": reminder}, said]),
            false => json!([said]),
        };
        self.messages.push(json!({"role": "user", "content": content}));
    }

    /// The model makes two calls at once, which give so much together, and now and then an image.
    fn calls(&mut self, tokens: usize) {
        self.calls += 1;
        let ids = ["a", "b"].map(|letter| format!("toolu_{letter}{}", self.calls));
        let call = |id: &String| json!({"type": "tool_use", "id": id, "name": "Bash", "input": {"command": format!("cat {id}")}});
        self.messages.push(json!({"role": "assistant", "content": ids.iter().map(call).collect::<Vec<_>>()}));
        let result = |id: &String| {
            let printed = json!({"type": "text", "text": format!("{id}: {}", words(tokens / 2))});
            json!({"type": "tool_result", "tool_use_id": id, "content": [printed]})
        };
        let mut results: Vec<Value> = ids.iter().map(result).collect();
        if self.calls % 6 == 0 {
            let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}});
            results[1]["content"].as_array_mut().unwrap().push(image);
        }
        self.messages.push(json!({"role": "user", "content": results}));
    }

    fn answers(&mut self, text: &str) {
        self.messages.push(json!({"role": "assistant", "content": [{"type": "text", "text": text}]}));
    }

    fn request(&self) -> Value {
        let tool = |name: &&str| {
            let schema = json!({"type": "object", "properties": {"command": {"type": "string"}}});
            json!({"name": name, "description": "It does this. ".repeat(20), "input_schema": schema})
        };
        let tools: Vec<Value> = ["Bash", "Edit", "Glob", "Grep", "Read", "Task", "TodoWrite", "Write"].iter().map(tool).collect();
        let identity = "You are Claude Code, Anthropic's official CLI for Claude.";
        let main = "You are an interactive agent. ".to_string() + &"Do this, and not that. ".repeat(400);
        json!({"model": "m", "max_tokens": 1000, "system": [{"type": "text", "text": identity}, {"type": "text", "text": main}],
               "messages": self.messages, "tools": tools})
    }
}

fn words(tokens: usize) -> String {
    "one line of many that are printed here\n".chars().cycle().take(tokens * 4).collect()
}

fn gateway(url: &str) -> Gateway {
    Gateway::with(url, &[("CLAUDE_FAILOVER_GATEWAY_LEAVES_OUT", "1")])
}

fn says(gateway: Gateway, n_ctx: usize) -> Gateway {
    let warned = |what: &str| format!("claude-failover: warning: {what}\n");
    let turns =
        format!("the conversation does not fit the local model's context of {n_ctx} tokens: its oldest turns are left out");
    let lean =
        format!("the whole request does not fit the local model's context of {n_ctx} tokens: short instructions and fewer tools");
    gateway.says(&(warned(&turns) + &warned(&lean)))
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

/// Twenty more turns of a session of five times the context, each with so many thousandths of the context: what was read and what is new.
#[track_caller]
fn goes_on(gateway: &Gateway, server: &Honest, n_ctx: usize, thousandths: usize) -> (usize, usize) {
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
    read_and_new(&server.turns())
}

#[test]
fn figures() {
    for n_ctx in [8192, 32_768] {
        for thousandths in [20, 30, 40, 50, 100] {
            let server = Honest::new(n_ctx, 0, Summary::Short);
            let gateway = says(gateway(&server.url()), n_ctx);
            let (read, new) = goes_on(&gateway, &server, n_ctx, thousandths);
            let turns = server.turns();
            let lengths: Vec<(usize, usize)> = turns.iter().map(|turn| (turn.tokens, turn.cached)).collect();
            println!(
                "{n_ctx} {thousandths}: read {read}, new {new}, {:.2} refused {} prefix {} {lengths:?}",
                read as f64 / new as f64,
                turns.iter().filter(|turn| turn.is_refused).count(),
                turns[0].prefix
            );
        }
    }
}
