//! What the gateway costs the machine and the server: memory, and connections.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use super::{Gateway, Server, TOKEN, question};
use crate::support::stub::completion;

/// The head of a request whose body has so many bytes.
fn head(gateway: &Gateway, length: usize) -> String {
    let port = gateway.port;
    format!("POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nx-api-key: {TOKEN}\r\nContent-Length: {length}\r\n\r\n")
}

#[test]
fn all_requests_together_are_bounded() {
    let server = Server::saying(&completion("yes"));
    let gateway = server.gateway();
    let (mut one, mut other, mut third) = (gateway.connect(), gateway.connect(), gateway.connect());
    one.send(head(&gateway, 60 << 20));
    other.send(head(&gateway, 60 << 20));
    // By then it has seen the heads of both.
    assert_eq!(gateway.ask(&question("hi")).status, 200);
    let reply = third.send(head(&gateway, 60 << 20)).reply();
    assert_eq!(reply.header("retry-after"), Some("1"));
    let (status, may_pass, kind, message) = reply.refusal();
    let said = "the requests that are being answered are too large for another one";
    assert_eq!((status, may_pass, kind.as_str(), message.as_str()), (503, true, "overloaded_error", said));
    // There is room for small ones, and for large ones again once another has gone.
    assert_eq!(gateway.ask(&question("hi")).status, 200);
    one.close();
    let large = question(&"a ".repeat(25 << 20));
    let answered = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(50));
        gateway.ask(&large).status == 200
    });
    assert!(answered, "what a caller held who has gone is given back");
    drop(other);
}

/// Text with line breaks is longer in JSON than in memory, and is put together beside both.
#[cfg(target_os = "linux")]
#[test]
fn a_large_request_is_in_memory_twice_at_most() {
    let server = Server::saying(&completion("yes"));
    let gateway = server.gateway();
    assert_eq!(gateway.ask(&question("hi")).status, 200);
    let peak = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    };
    let before = peak();
    let large = question(&"a line of a text that somebody has written\n".repeat(700_000));
    let length = large.to_string().len();
    assert_eq!(gateway.ask(&large).status, 200);
    let taken = peak() - before;
    assert!(taken > length && taken < length * 24 / 10, "{taken} bytes for {length}");
}

/// A server that keeps connections, as llama-server does, for so many answers, and says nothing when it closes them.
fn keeping(answers: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://127.0.0.1:{}/v1/chat/completions", listener.local_addr().unwrap().port());
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let count = count.clone();
            thread::spawn(move || serve(stream, answers, &count));
        }
    });
    (url, connections)
}

fn serve(mut stream: TcpStream, answers: usize, connections: &AtomicUsize) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for number in 0..answers {
        let (mut line, mut length, mut is_chat) = (String::new(), 0, false);
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            is_chat |= line.starts_with("POST /v1/chat/completions ");
            let lower = line.to_lowercase();
            length = lower.strip_prefix("content-length:").map_or(length, |value| value.trim().parse().unwrap());
        }
        if reader.read_exact(&mut vec![0; length]).is_err() {
            return;
        }
        if !is_chat {
            let _ = stream.write_all(b"HTTP/1.1 404 X\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}");
            return;
        }
        connections.fetch_add(usize::from(number == 0), SeqCst);
        let events = completion("yes");
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let _ = stream.write_all(format!("{head}{:x}\r\n{events}\r\n0\r\n\r\n", events.len()).as_bytes());
    }
}

#[test]
fn a_connection_is_used_again() {
    let (url, connections) = keeping(usize::MAX);
    let gateway = Gateway::new(&url);
    for _ in 0..10 {
        assert_eq!(gateway.stream(&question("hi")).message["content"][0]["text"], "yes");
    }
    // A pause in between, on a machine that is busy, costs another one.
    let used = connections.load(SeqCst);
    assert!((1..10).contains(&used), "{used}");
}

#[test]
fn a_connection_that_the_server_has_closed_is_no_failure() {
    let (url, connections) = keeping(1);
    let gateway = Gateway::new(&url);
    for number in 1..=10 {
        assert_eq!(gateway.stream(&question("hi")).message["content"][0]["text"], "yes");
        assert_eq!(connections.load(SeqCst), number);
    }
}
