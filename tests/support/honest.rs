//! A model server that counts what it is sent, keeps to its context as llama.cpp does, and plays an agent that works step by step.

use std::collections::HashSet;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::script::{text, tools};
use super::stub::{Stub, json as json_answer, piece, sse};

/// What the agent says when all steps are done.
pub const DONE: &str = "All of it is done.";

/// What the model answers when it is asked for a summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summary {
    /// A few words, without the marks that Claude Code asks for.
    Short,
    Empty,
    /// A call of a tool in its place.
    Call,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Step,
    Summary,
    /// Titles and other work in the background.
    Aside,
}

/// A request as the server sees it; lengths in tokens.
#[derive(Clone, Debug)]
pub struct Turn {
    pub kind: Kind,
    pub question: Value,
    pub tokens: usize,
    /// Instructions and tools.
    pub prefix: usize,
    /// What it need not read, since the request before began with the same.
    pub cached: usize,
    /// What no request before had in any place.
    pub new: usize,
    pub is_refused: bool,
}

#[derive(Default)]
struct State {
    turns: Vec<Turn>,
    last: String,
    pieces: HashSet<String>,
}

/// The server.
pub struct Honest {
    stub: Stub,
    state: Arc<Mutex<State>>,
}

/// A token has four bytes here.
const BYTES: usize = 4;

impl Honest {
    /// A server with a context of `n_ctx` tokens, whose agent runs `sh step.sh NUMBER` for each number up to `steps`: the next one is the one
    /// behind the last that the conversation says is done.
    pub fn new(n_ctx: usize, steps: usize, summary: Summary) -> Honest {
        let tells = json!({"id": "tiny", "owned_by": "llamacpp", "meta": {"n_ctx": n_ctx}});
        Honest::listing(tells, n_ctx, steps, summary)
    }

    /// The same, which tells its context by nothing but its refusals.
    pub fn silent(n_ctx: usize, steps: usize, summary: Summary) -> Honest {
        Honest::listing(json!({"id": "tiny", "owned_by": "me"}), n_ctx, steps, summary)
    }

    fn listing(model: Value, n_ctx: usize, steps: usize, summary: Summary) -> Honest {
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = state.clone();
        let stub = Stub::new(move |request, stream| {
            let answer = if request.is_chat() {
                let question = request.json();
                let turn = shared.lock().unwrap_or_else(PoisonError::into_inner).note(&question, n_ctx);
                match turn.is_refused {
                    true => refusal(turn.tokens, n_ctx),
                    false => sse(&answer(&turn, steps, summary)),
                }
            } else if request.line.contains("/models") {
                json_answer(200, &json!({"object": "list", "data": [model]}).to_string())
            } else {
                json_answer(200, r#"{"status":"ok"}"#)
            };
            let _ = stream.write_all(answer.as_bytes());
        });
        Honest { stub, state }
    }

    pub fn url(&self) -> String {
        self.stub.url()
    }

    /// All that it was asked, in order.
    pub fn turns(&self) -> Vec<Turn> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).turns.clone()
    }
}

impl State {
    fn note(&mut self, question: &Value, n_ctx: usize) -> Turn {
        let pieces = pieces(question);
        let rendered = pieces.concat();
        let tokens = rendered.len() / BYTES;
        let kind = kind(question);
        let is_refused = tokens >= n_ctx;
        let same = rendered.bytes().zip(self.last.bytes()).take_while(|(one, other)| one == other).count();
        let is_counted = !is_refused && kind != Kind::Aside;
        let mut new = 0;
        if is_counted {
            new = pieces.iter().filter(|piece| self.pieces.insert((*piece).clone())).map(String::len).sum::<usize>() / BYTES;
            self.last = rendered;
        }
        let turn = Turn {
            kind,
            question: question.clone(),
            tokens,
            prefix: pieces[0].len() / BYTES,
            cached: same / BYTES,
            new,
            is_refused,
        };
        self.turns.push(turn.clone());
        turn
    }
}

/// The prompt, as a template would render it: instructions and tools, and the messages one by one.
fn pieces(question: &Value) -> Vec<String> {
    let messages = question["messages"].as_array().expect("messages");
    let (system, rest): (Vec<&Value>, Vec<&Value>) = messages.iter().partition(|message| message["role"] == "system");
    let first = system.iter().map(|message| message.to_string()).collect::<String>() + &question["tools"].to_string();
    [first].into_iter().chain(rest.iter().map(|message| message.to_string())).collect()
}

fn kind(question: &Value) -> Kind {
    let messages = question["messages"].as_array().expect("messages");
    let is_work = messages.iter().any(|message| text(message).contains("sh step.sh") || text(message).contains(" is done"));
    match messages.last().map(text).unwrap_or_default().contains("<summary>") {
        true if messages.len() > 2 => Kind::Summary,
        _ if is_work && !tools(question).is_empty() => Kind::Step,
        _ => Kind::Aside,
    }
}

/// The last step that the conversation says is done.
fn last_step(question: &Value) -> usize {
    let said = question["messages"].to_string();
    let numbers = said.split("step ").filter_map(|rest| rest.split_once(" is done")?.0.parse().ok());
    // What Claude Code goes on with where the model wrote no summary tells the commands.
    let called = said.split("sh step.sh ").skip(1).filter_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    numbers.chain(called).max().unwrap_or_default()
}

fn refusal(tokens: usize, n_ctx: usize) -> String {
    let message = format!("request ({tokens} tokens) exceeds the available context size ({n_ctx} tokens), try increasing it");
    let error =
        json!({"code": 400, "message": message, "type": "exceed_context_size_error", "n_prompt_tokens": tokens, "n_ctx": n_ctx});
    json_answer(400, &json!({ "error": error }).to_string())
}

fn answer(turn: &Turn, steps: usize, summary: Summary) -> String {
    let done = last_step(&turn.question);
    let (said, command) = match turn.kind {
        Kind::Aside => ("aside".to_string(), None),
        Kind::Summary => match summary {
            Summary::Short => (format!("step {done} is done."), None),
            Summary::Empty => (String::new(), None),
            Summary::Call => (String::new(), Some("echo never >> done.txt".to_string())),
        },
        Kind::Step if done >= steps => (DONE.to_string(), None),
        Kind::Step => (format!("I go on with number {}.", done + 1), Some(format!("sh step.sh {}", done + 1))),
    };
    // A model that is offered no tools calls none.
    let command = command.filter(|_| !tools(&turn.question).is_empty());
    let call = command.map(|command| {
        let function = json!({"name": "Bash", "arguments": json!({"command": command}).to_string()});
        let call = json!({"index": 0, "id": "call_1", "type": "function", "function": function});
        format!("data: {}\n\n", json!({"choices": [{"index": 0, "finish_reason": null, "delta": {"tool_calls": [call]}}]}))
    });
    let finish = if call.is_some() { "tool_calls" } else { "stop" };
    let finish = json!({"choices": [{"index": 0, "finish_reason": finish, "delta": {}}]});
    let written = said.len() / BYTES + 20;
    let usage = json!({
        "prompt_tokens": turn.tokens, "completion_tokens": written, "total_tokens": turn.tokens + written,
        "prompt_tokens_details": {"cached_tokens": turn.cached},
    });
    let usage = json!({"choices": [], "usage": usage});
    format!("{}{}data: {finish}\n\ndata: {usage}\n\ndata: [DONE]\n\n", piece(&said), call.unwrap_or_default())
}
