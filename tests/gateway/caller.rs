//! A caller that knows HTTP and nothing more, so that tests can say what goes over the wire.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};

use serde_json::Value;

use super::events::{self, Answer};
use super::{PATIENCE, SECRETS, TOKEN};

/// A connection.
pub struct Caller {
    reader: BufReader<TcpStream>,
    port: u16,
}

impl Caller {
    pub fn new(port: u16) -> Caller {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Caller { reader: BufReader::new(stream), port }
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Caller {
        self.reader.get_mut().write_all(bytes.as_ref()).expect("it listens");
        self
    }

    /// A stream to write to from elsewhere.
    pub fn writer(&self) -> TcpStream {
        self.reader.get_ref().try_clone().unwrap()
    }

    /// A request as a client sends it: with the token, and with secrets that are nobody's business.
    pub fn post(&mut self, path: &str, body: &Value) -> Reply {
        self.send(self.posting(path, body.to_string())).reply()
    }

    /// The bytes of that.
    pub fn posting(&self, path: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
        let body = body.as_ref();
        let secrets = SECRETS.map(|(name, value)| format!("{name}: {value}\r\n")).concat();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nx-api-key: {TOKEN}\r\n{secrets}Content-Length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    /// A request without a body, with the token.
    pub fn get(&mut self, line: &str) -> Reply {
        let port = self.port;
        self.send(format!("{line} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nx-api-key: {TOKEN}\r\n\r\n")).reply_to(line)
    }

    /// The reply to a POST.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        self.reply_to("POST")
    }

    #[track_caller]
    fn reply_to(&mut self, line: &str) -> Reply {
        let (status, headers) = self.head();
        let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let body = if line.starts_with("HEAD") {
            vec![]
        } else if header("transfer-encoding") == Some("chunked") {
            let mut body = vec![];
            while let Some(chunk) = self.chunk().expect("a chunk") {
                body.extend(chunk);
            }
            body
        } else {
            let length = header("content-length").and_then(|length| length.parse().ok()).expect("a length");
            let mut body = vec![0; length];
            self.reader.read_exact(&mut body).expect("the body");
            body
        };
        Reply { status, headers, body }
    }

    /// The first line and the headers.
    #[track_caller]
    pub fn head(&mut self) -> (u16, Vec<(String, String)>) {
        let first = self.line().expect("a reply");
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {first:?}"));
        let mut headers = vec![];
        loop {
            let line = self.line().expect("a header");
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_string()));
        }
        (status, headers)
    }

    /// A chunk of a body that comes in chunks; none at its end.
    pub fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let size = usize::from_str_radix(&self.line()?, 16).map_err(io::Error::other)?;
        let mut chunk = vec![0; size + 2];
        self.reader.read_exact(&mut chunk)?;
        assert!(chunk.ends_with(b"\r\n"), "{chunk:?}");
        chunk.truncate(size);
        Ok((size > 0).then_some(chunk))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().into()),
        }
    }

    /// Whether the other side has closed the connection, without a word more.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.reader.read(&mut [0]), Ok(0) | Err(_))
    }

    /// Closes it.
    pub fn close(self) {
        let _ = self.reader.get_ref().shutdown(Shutdown::Both);
    }
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The stream that came, held to the API's promises.
    #[track_caller]
    pub fn stream(&self) -> Answer {
        let said = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, 200, "{said}");
        assert_eq!(self.header("content-type"), Some("text/event-stream; charset=utf-8"));
        assert!(self.header("request-id").is_some_and(|id| id.starts_with("req_")));
        events::check(&self.body).unwrap_or_else(|fault| panic!("{fault}\nin\n{said}"))
    }

    /// The status, whether to try again, and the error's kind and words.
    #[track_caller]
    pub fn refusal(&self) -> (u16, bool, String, String) {
        assert!(self.header("request-id").is_some_and(|id| id.starts_with("req_")), "{self:?}");
        let (kind, message) = events::check_error(&self.json()).unwrap_or_else(|fault| panic!("{fault}"));
        let may_pass = match self.header("x-should-retry") {
            Some("true") => true,
            Some("false") => false,
            other => panic!("x-should-retry: {other:?}"),
        };
        (self.status, may_pass, kind, message)
    }
}
