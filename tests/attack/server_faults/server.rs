//! A local server with a fault.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::LONG;
use crate::support::free_port;
use crate::support::stub::json as json_answer;

/// What must come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A whole answer, of this text.
    Answer,
    /// A failure.
    Failure,
    /// Either: it can be seen both ways.
    Either,
    /// A failure, since nothing listens.
    Unreachable,
}

/// How the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Closed,
    /// Not at all.
    Open,
    /// Not at all, and it says so again and again.
    Talking,
    /// With a reset: bytes that nobody has read are left.
    Reset,
}

pub struct Fault {
    pub name: &'static str,
    pub outcome: Outcome,
    pub bytes: Vec<u8>,
    /// It refuses, and repeats the request.
    pub echoes: bool,
    pub end: End,
}

impl Fault {
    /// Serves it, as long as the tests run, and gives the address.
    pub fn serve(&self) -> String {
        let Fault { name, outcome, ref bytes, echoes, end } = *self;
        serve(Arc::new(Mutex::new(Arc::new(Fault { name, outcome, bytes: bytes.clone(), echoes, end }))))
    }

    fn answer(&self, request: &[u8], stream: &mut TcpStream) {
        let is_written = match self.echoes {
            false => stream.write_all(&self.bytes),
            true => {
                let asked = String::from_utf8_lossy(request);
                let body = json!({"detail": [{"type": "missing", "loc": ["body", "model"], "msg": "Field required", "input": asked}],
                                  "error": {"message": format!("cannot read {asked}")}});
                stream.write_all(json_answer(422, &body.to_string()).as_bytes())
            }
        };
        // Until nobody listens.
        while self.end == End::Talking && stream.write_all(b": keepalive\n\n").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
        if is_written.is_ok() && self.end == End::Open {
            let _ = stream.set_read_timeout(Some(LONG));
            let _ = stream.read(&mut [0; 1]);
        }
    }
}

/// A server with the fault that is there at the moment. It is sound but for its answers.
pub fn serve(current: Arc<Mutex<Arc<Fault>>>) -> String {
    if current.lock().unwrap().outcome == Outcome::Unreachable {
        return format!("http://127.0.0.1:{}/v1/chat/completions", free_port());
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let current = current.clone();
            thread::spawn(move || {
                let head = read_head(&mut stream);
                let fault = current.lock().unwrap().clone();
                if !head.starts_with("POST ") {
                    let _ = stream.write_all(json_answer(200, r#"{"status":"ok"}"#).as_bytes());
                } else if fault.end == End::Reset {
                    // The body is left unread.
                    let _ = stream.write_all(&fault.bytes);
                    thread::sleep(Duration::from_millis(50));
                    return;
                } else {
                    let mut body = vec![0; length(&head)];
                    let _ = stream.read_exact(&mut body);
                    fault.answer(&[head.as_bytes(), &body].concat(), &mut stream);
                }
                let _ = stream.shutdown(Shutdown::Both);
            });
        }
    });
    format!("http://127.0.0.1:{port}/v1/chat/completions")
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.extend(byte);
    }
    String::from_utf8_lossy(&head).into_owned()
}

fn length(head: &str) -> usize {
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    length.unwrap_or(0)
}
