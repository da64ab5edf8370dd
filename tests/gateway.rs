//! The gateway as an API: `llm-failover gateway` in front of a server that does what a test tells it. Every stream is held to
//! the order that the API promises (see `events`), and no header or token of a caller may ever reach the server.

mod answers;
mod burden;
mod caller;
mod chain;
mod circles;
mod client_tools;
mod dialects;
pub(crate) mod events;
mod failures;
mod fuzz;
mod http;
mod longer;
mod network;
mod refusals;
mod requests;
mod server_tools;
mod slow_listing;
mod truncated;

/// What `scripts/test.sh --quick` leaves out.
#[path = "gateway"]
mod with_deps {
    mod clients;
    mod engines;
    mod frameworks;
    mod handed_over;
    mod web_search;
}

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Sandbox;
use crate::support::stub::{self, Stub};
use caller::Caller;
pub(crate) use caller::Reply;
use events::Answer;

/// What the caller is let in by, and what must go no further.
const TOKEN: &str = "the-token-of-the-gateway";

/// Headers as clients send them, which are nobody else's business.
const SECRETS: [(&str, &str); 4] = [
    ("authorization", "Bearer sk-ant-oat01-secret-of-the-user"),
    ("cookie", "sessionKey=sk-ant-sid01-secret-of-the-user"),
    ("x-claude-code-session-id", "session-secret-of-the-user"),
    ("anthropic-beta", "beta-secret-of-the-user"),
];

/// A running gateway. When it is dropped it is ended, and may have said nothing but what the test expects.
pub(crate) struct Gateway {
    child: Child,
    port: u16,
    stderr: Option<JoinHandle<String>>,
    expected: String,
    own_sandbox: Option<Sandbox>,
}

impl Gateway {
    /// In front of this server.
    fn new(url: &str) -> Gateway {
        Gateway::with(url, &[])
    }

    /// The same with settings.
    pub(crate) fn with(url: &str, settings: &[(&str, &str)]) -> Gateway {
        let mut sandbox = Sandbox::new();
        sandbox.set("LOCAL_LLM_URL", url);
        sandbox.set("LLM_GATEWAY_TOKEN", TOKEN);
        for (key, value) in settings {
            sandbox.set(key, value);
        }
        sandbox.answers_plainly(url, "");
        let mut gateway = Gateway::start(&sandbox);
        gateway.own_sandbox = Some(sandbox);
        gateway
    }

    /// In a home with everything set.
    fn start(sandbox: &Sandbox) -> Gateway {
        let mut cmd = sandbox.cmd("llm-failover").args(&["gateway", "--port", "0"]);
        cmd.command().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = cmd.start();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = |prefix: &str| lines.next().unwrap().unwrap().strip_prefix(prefix).unwrap().to_string();
        let port = line("export ANTHROPIC_BASE_URL=http://127.0.0.1:").parse().unwrap();
        assert_eq!(line("export ANTHROPIC_AUTH_TOKEN="), TOKEN);
        let mut pipe = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut said = String::new();
            let _ = pipe.read_to_string(&mut said);
            said
        });
        Gateway { child, port, stderr: Some(stderr), expected: String::new(), own_sandbox: None }
    }

    /// What it may say on stderr, to the letter.
    fn says(mut self, expected: &str) -> Gateway {
        self.expected = expected.into();
        self
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A connection to it.
    fn connect(&self) -> Caller {
        Caller::new(self.port)
    }

    /// POSTs a request with the token, and much besides.
    fn post(&self, path: &str, body: &Value) -> Reply {
        self.connect().post(path, body)
    }

    /// Asks for an answer in one piece.
    pub(crate) fn ask(&self, body: &Value) -> Reply {
        let mut body = body.clone();
        body.as_object_mut().unwrap().remove("stream");
        self.post("/v1/messages", &body)
    }

    /// Asks for an answer in events.
    pub(crate) fn ask_for_stream(&self, body: &Value) -> Reply {
        let mut body = body.clone();
        body["stream"] = true.into();
        self.post("/v1/messages", &body)
    }

    /// The whole stream of an answer that begins.
    #[track_caller]
    fn stream(&self, body: &Value) -> Answer {
        self.ask_for_stream(body).stream()
    }

    /// The message that comes of both ways to ask, which must be the same; without its id and those of its calls.
    #[track_caller]
    fn message(&self, body: &Value) -> Value {
        let streamed = self.stream(body);
        assert_eq!(streamed.error, None, "{streamed:?}");
        let whole = self.ask(body);
        assert_eq!(whole.status, 200, "{whole:?}");
        let whole = events::check_message(whole.json());
        let streamed = events::without_ids(streamed.message);
        assert_eq!(streamed, events::without_ids(whole));
        streamed
    }

    /// The status, whether to try again, and the error's kind and words, which must be the same both ways.
    #[track_caller]
    fn refusal(&self, body: &Value) -> (u16, bool, String, String) {
        let streamed = self.ask_for_stream(body).refusal();
        assert_eq!(self.ask(body).refusal(), streamed);
        streamed
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let has_ended = self.child.try_wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
        let said = self.stderr.take().unwrap().join().unwrap_or_default();
        if !std::thread::panicking() {
            assert!(matches!(has_ended, Ok(None)), "it ended: {has_ended:?}, {said}");
            assert_eq!(said, self.expected);
        }
    }
}

/// A server whose answer can be changed.
struct Server {
    stub: Stub,
    answer: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    /// One that answers with these bytes, headers and all.
    fn new(answer: impl Into<Vec<u8>>) -> Server {
        let answer = Arc::new(Mutex::new(answer.into()));
        let current = answer.clone();
        let stub = Stub::new(move |request, stream: &mut TcpStream| {
            use std::io::Write;
            let bytes = match request.is_chat() {
                true => current.lock().unwrap().clone(),
                false => stub::json(404, "{}").into_bytes(),
            };
            let _ = stream.write_all(&bytes);
        });
        Server { stub, answer }
    }

    /// One that says these events.
    fn saying(events: &str) -> Server {
        Server::new(stub::sse(events))
    }

    /// From now on it answers so.
    fn answer(&self, bytes: impl Into<Vec<u8>>) {
        *self.answer.lock().unwrap() = bytes.into();
    }

    /// From now on it says these events.
    fn say(&self, events: &str) {
        self.answer(stub::sse(events));
    }

    fn gateway(&self) -> Gateway {
        Gateway::new(&self.stub.url())
    }

    /// The last question that reached it, whose headers are our own.
    #[track_caller]
    fn asked(&self) -> Value {
        self.assert_no_secret();
        self.stub.chats().last().expect("a question").json()
    }

    /// Nothing of what a caller has to show, and none of its headers, came here.
    #[track_caller]
    fn assert_no_secret(&self) {
        for request in self.stub.seen() {
            let all = format!("{request:?} {}", String::from_utf8_lossy(&request.body));
            assert!(!all.contains(TOKEN) && !all.contains("secret-of-the-user"), "{all}");
            let mut names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
            names.sort_unstable();
            let ours =
                ["accept", "accept-encoding", "content-length", "content-type", "host", "user-agent", "x-session-affinity"];
            assert!(names.iter().all(|name| ours.contains(name)), "{names:?}");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_no_secret();
        }
    }
}

/// A request with one question.
fn question(text: &str) -> Value {
    json!({"model": "claude-opus-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": text}]})
}

/// A request with these keys besides.
fn with(mut request: Value, keys: Value) -> Value {
    let Value::Object(keys) = keys else { panic!("{keys}") };
    request.as_object_mut().unwrap().extend(keys);
    request
}

/// Tools that may be called.
fn tools() -> Value {
    json!([
        {"name": "Bash", "description": "Runs a command.", "input_schema": {
            "type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}},
        {"name": "Read", "description": "Reads a file.", "input_schema": {
            "type": "object", "properties": {"file_path": {"type": "string"}}, "required": ["file_path"]}},
    ])
}

/// A request with these tools.
fn with_tools(request: Value) -> Value {
    with(request, json!({"tools": tools()}))
}

/// A chunk of a chat completion with this in its delta.
fn delta(delta: &Value) -> String {
    format!("data: {}\n\n", json!({"choices": [{"index": 0, "finish_reason": null, "delta": delta}]}))
}

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);
