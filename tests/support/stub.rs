//! A model server that does what a test tells it, byte for byte, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    /// Such as `POST /v1/chat/completions HTTP/1.1`.
    pub line: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// The same of a question without the field that tells sessions apart.
    pub fn question(&self) -> serde_json::Value {
        let mut question = self.json();
        question.as_object_mut().map(|keys| keys.remove("user"));
        question
    }

    /// Whether it asks for a completion.
    pub fn is_chat(&self) -> bool {
        self.line.starts_with("POST ")
    }
}

/// The server. It ends with the test's process; its port is closed when it is dropped.
pub struct Stub {
    port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

type Handler = dyn Fn(&Request, &mut TcpStream) + Send + Sync;

impl Stub {
    /// A server that hands each request, and the connection to answer on, to `handler`. The connection is closed after.
    pub fn new(handler: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static) -> Stub {
        Stub::on_port(0, handler)
    }

    /// The same on a given port.
    pub fn on_port(port: u16, handler: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static) -> Stub {
        Stub::at(("127.0.0.1", port), handler)
    }

    /// The same on a given address.
    pub fn at(address: impl ToSocketAddrs, handler: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static) -> Stub {
        let listener = TcpListener::bind(address).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (remembered, handler): (_, Arc<Handler>) = (seen.clone(), Arc::new(handler));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (remembered, handler) = (remembered.clone(), handler.clone());
                thread::spawn(move || {
                    let mut stream = stream;
                    if let Some(request) = read(&stream) {
                        remembered.lock().expect("no panic").push(request.clone());
                        handler(&request, &mut stream);
                    }
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Stub { port, seen }
    }

    /// A healthy server that answers every question with `text`, in pieces of one word.
    pub fn answering(text: &str) -> Stub {
        let body = completion(text);
        Stub::new(move |request, stream| {
            let _ = match request.is_chat() {
                true => stream.write_all(sse(&body).as_bytes()),
                false => stream.write_all(json(200, r#"{"status":"ok"}"#).as_bytes()),
            };
        })
    }

    /// A server that answers with `text` once there is a file at `path`, and never if there is none for a while.
    pub fn waiting(path: PathBuf, text: &str) -> Stub {
        let body = completion(text);
        Stub::new(move |_, stream| {
            let begun = Instant::now();
            while !path.exists() && begun.elapsed() < Duration::from_secs(60) {
                thread::sleep(Duration::from_millis(5));
            }
            if path.exists() {
                let _ = stream.write_all(sse(&body).as_bytes());
            }
        })
    }

    /// A server that answers with these bytes, headers and all, while there is something to refuse, and then `yes`, or with a call
    /// of `Bash` once it has been told to call. `refuses` gets the question and how many came before.
    pub fn refusing(
        bytes: impl Into<Vec<u8>>,
        refuses: impl Fn(&serde_json::Value, usize) -> bool + Send + Sync + 'static,
    ) -> Stub {
        let (bytes, count, must_call) = (bytes.into(), AtomicUsize::new(0), AtomicBool::new(false));
        Stub::new(move |request, stream| {
            if request.is_chat() && !request.json()["tool_choice"].is_null() {
                must_call.store(true, Ordering::SeqCst);
            }
            let _ = match request.is_chat() {
                true if refuses(&request.json(), count.fetch_add(1, Ordering::SeqCst)) => stream.write_all(&bytes),
                true if must_call.load(Ordering::SeqCst) => stream.write_all(sse(&bash_call()).as_bytes()),
                true => stream.write_all(sse(&completion("yes")).as_bytes()),
                false => stream.write_all(json(404, "{}").as_bytes()),
            };
        })
    }

    /// A healthy server that answers every question with these bytes, headers and all.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Stub {
        let bytes = bytes.into();
        Stub::new(move |request, stream| {
            let _ = match request.is_chat() {
                true => stream.write_all(&bytes),
                false => stream.write_all(json(200, r#"{"status":"ok"}"#).as_bytes()),
            };
        })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its chat completions URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1/chat/completions", self.port)
    }

    /// What it was asked so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().expect("no panic").clone()
    }

    /// The questions among that.
    pub fn chats(&self) -> Vec<Request> {
        self.seen().into_iter().filter(Request::is_chat).collect()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_string()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { line: line.trim_end().into(), headers, body })
}

/// An event stream, ended by closing, as mlx-lm sends it.
pub fn sse(events: &str) -> String {
    format!("HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n{events}")
}

/// A JSON answer with its length. The connection ends with it, and a client that asks again must not take it for open.
pub fn json(status: u16, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// A refusal after which the server may be asked again at once.
pub fn passing(status: u16, message: &str) -> String {
    let body = serde_json::json!({"error": {"message": message}}).to_string();
    json(status, &body).replacen("\r\n", "\r\nRetry-After: 0\r\n", 1)
}

/// The same as an error in a stream that has begun.
pub fn error_event(message: &str) -> String {
    sse(&format!("data: {}\n\n", serde_json::json!({"error": {"message": message}})))
}

/// An event that carries a piece of text.
pub fn piece(text: &str) -> String {
    let choice = serde_json::json!({"index": 0, "finish_reason": null, "delta": {"content": text}});
    format!("data: {}\n\n", serde_json::json!({ "choices": [choice] }))
}

/// The events that end a stream.
pub fn end(finish_reason: &str) -> String {
    let choice = serde_json::json!({"index": 0, "finish_reason": finish_reason, "delta": {}});
    let usage = serde_json::json!({"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8});
    format!(
        "data: {}\n\ndata: {}\n\ndata: [DONE]\n\n",
        serde_json::json!({ "choices": [choice] }),
        serde_json::json!({ "choices": [], "usage": usage })
    )
}

/// A call of `Bash` as events.
pub fn bash_call() -> String {
    let function = serde_json::json!({"name": "Bash", "arguments": r#"{"command":"ls"}"#});
    let call = serde_json::json!({"index": 0, "id": "c1", "type": "function", "function": function});
    let delta = serde_json::json!({"choices": [{"index": 0, "finish_reason": null, "delta": {"tool_calls": [call]}}]});
    format!("data: {delta}\n\n{}", end("tool_calls"))
}

/// A whole answer as events, a word each.
pub fn completion(text: &str) -> String {
    text.split_inclusive(' ').map(piece).collect::<String>() + &end("stop")
}
