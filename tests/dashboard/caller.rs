//! A dashboard that runs, and whoever asks it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Child;
use std::time::Duration;

use serde_json::Value;

use crate::support::life::signal;
use crate::support::play::finish;
use crate::support::{Sandbox, wait};

const LIMIT: Duration = Duration::from_secs(30);

/// Ended when it is dropped.
pub struct Dashboard {
    child: Option<Child>,
    pub port: u16,
    pub token: String,
    /// As a browser sends it.
    pub cookie: String,
}

pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn error(&self) -> (u16, String) {
        (self.status, self.json()["error"].as_str().unwrap_or_default().to_string())
    }
}

impl Dashboard {
    pub fn of(sandbox: &Sandbox) -> Dashboard {
        Dashboard::at(sandbox, 0)
    }

    pub fn at(sandbox: &Sandbox, port: u16) -> Dashboard {
        let mut child = sandbox.cmd("llm-failover").args(&["dashboard", "--port", &port.to_string()]).spawn();
        drop(child.stdin.take());
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim_end().strip_prefix("http://127.0.0.1:").and_then(|rest| rest.strip_suffix('/')?.parse().ok());
        let port = port.unwrap_or_else(|| panic!("{line:?}"));
        let mut dashboard = Dashboard { child: Some(child), port, token: String::new(), cookie: String::new() };
        let page = dashboard.get("/");
        assert_eq!(page.status, 200, "{}", page.body);
        let (_, rest) = page.body.split_once("name=\"token\" content=\"").expect("a token in the page");
        dashboard.token = rest.split('"').next().unwrap().to_string();
        dashboard.cookie = page.header("set-cookie").expect("a cookie").split(';').next().unwrap().to_string();
        dashboard
    }

    pub fn pid(&self) -> i32 {
        self.child.as_ref().expect("it runs").id().cast_signed()
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// With these headers, each with its line end, and no others.
    pub fn send(&self, line: &str, headers: &str, body: &str) -> TcpStream {
        let mut stream = self.connect();
        let length = body.len();
        let head = format!("{line} HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        // One that is refused by its head is not read to its end.
        let _ = stream.write_all(body.as_bytes());
        stream
    }

    pub fn ask(&self, line: &str, headers: &str, body: &str) -> Reply {
        reply(self.send(line, headers, body))
    }

    pub fn get(&self, path: &str) -> Reply {
        self.ask(&format!("GET {path}"), &format!("Host: {}\r\n", self.host()), "")
    }

    /// What a browser sends with the page's requests.
    pub fn own_headers(&self) -> Vec<(&'static str, String)> {
        vec![
            ("Host", self.host()),
            ("Origin", format!("http://{}", self.host())),
            ("Sec-Fetch-Site", "same-origin".into()),
            ("Content-Type", "application/json".into()),
            ("X-Dashboard-Token", self.token.clone()),
            ("Cookie", self.cookie.clone()),
        ]
    }

    pub fn begin_order(&self, kind: &str, body: &str) -> TcpStream {
        self.send(&format!("POST /api/{kind}"), &lines(&self.own_headers()), body)
    }

    /// The lines of an order, and its exit code.
    pub fn order(&self, kind: &str, body: &str) -> (Vec<String>, Value) {
        let reply = reply(self.begin_order(kind, body));
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/x-ndjson")), "{}", reply.body);
        let mut said: Vec<Value> = reply.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let end = said.pop().expect("an end");
        (said.iter().map(|line| line["line"].as_str().unwrap().to_string()).collect(), end["exit"].clone())
    }

    /// By SIGTERM, as a service manager ends it. Returns its exit code as a shell has it, and its stderr.
    pub fn end(mut self) -> (i32, String) {
        let child = self.child.take().expect("it runs");
        signal(child.id().cast_signed(), "TERM");
        let (code, _, stderr) = finish(child);
        (code, stderr)
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal(child.id().cast_signed(), "TERM");
            wait(&mut child, LIMIT);
        }
    }
}

pub fn lines(headers: &[(&str, String)]) -> String {
    headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

pub fn reply(stream: TcpStream) -> Reply {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).expect("a reply");
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{line:?}"));
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).expect("headers");
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_string()));
    }
    let mut body = Vec::new();
    let is_chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    if is_chunked {
        while let Some(chunk) = chunk(&mut reader) {
            body.extend(chunk);
        }
    } else {
        let _ = reader.read_to_end(&mut body);
    }
    Reply { status, headers, body: String::from_utf8(body).expect("UTF-8") }
}

/// The next piece of a streamed body, if there is one.
pub fn chunk(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let length = usize::from_str_radix(line.trim_end(), 16).ok().filter(|length| *length > 0)?;
    let mut piece = vec![0; length + 2];
    reader.read_exact(&mut piece).ok()?;
    piece.truncate(length);
    Some(piece)
}
