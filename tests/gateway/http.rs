//! The gateway as an HTTP server: who is let in, what is where, and what becomes of odd connections.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::caller::Caller;
use super::{Gateway, Server, TOKEN, events, question, with_tools};
use crate::support::Sandbox;
use crate::support::life::signal;
use crate::support::play::finish;
use crate::support::stub::{Stub, completion, end, json as json_answer, piece, sse};

/// A request with these headers, and the status and kind of its reply.
#[track_caller]
fn refused(gateway: &Gateway, line: &str, headers: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let bytes = format!("{line} HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
    let (status, may_pass, kind, _) = gateway.connect().send(bytes).reply().refusal();
    assert!(!may_pass);
    (status, kind)
}

#[test]
fn who_is_let_in() {
    let server = Server::saying(&completion("yes"));
    let gateway = server.gateway();
    let port = gateway.port;
    let body = question("hi").to_string();
    let host = format!("Host: 127.0.0.1:{port}\r\n");
    for path in ["POST /v1/messages", "POST /v1/messages/count_tokens", "GET /v1/models", "GET /v1/models/x", "GET /x", "POST /"]
    {
        for token in ["", "x-api-key: no\r\n", "authorization: Bearer no\r\n", "authorization: Basic x\r\n", "x-api-key:\r\n"] {
            let seen = refused(&gateway, path, &format!("{host}{token}"), &body);
            assert_eq!(seen, (401, "authentication_error".into()), "{path} {token}");
        }
        // By its token in another letter case, cut, or longer.
        for wrong in [TOKEN.to_uppercase(), TOKEN[1..].into(), format!("{TOKEN}x"), format!("Bearer {TOKEN}")] {
            let seen = refused(&gateway, path, &format!("{host}x-api-key: {wrong}\r\n"), &body);
            assert_eq!(seen, (401, "authentication_error".into()), "{path} {wrong}");
        }
    }
    for line in ["POST /v1/messages", "GET /v1/models", "GET /"] {
        for host in [
            "",
            "Host: evil.example\r\n",
            &format!("Host: evil.example:{port}\r\n"),
            "Host: 127.0.0.1\r\n",
            "Host: 127.0.0.1:1\r\n",
        ] {
            let seen = refused(&gateway, line, &format!("{host}x-api-key: {TOKEN}\r\n"), &body);
            assert_eq!(seen, (403, "permission_error".into()), "{line} {host}");
        }
    }
    assert!(server.stub.seen().is_empty(), "nothing of that concerns the server");
    let own_key = "x-api-key: sk-ant-api03-secret-of-the-user\r\n";
    for (name, token) in [
        ("127.0.0.1", format!("x-api-key: {TOKEN}\r\n")),
        ("localhost", format!("authorization: Bearer {TOKEN}\r\n")),
        // Claude Code sends a key of its user's beside the token.
        ("[::1]", format!("{own_key}authorization: Bearer {TOKEN}\r\n")),
        ("127.0.0.1", format!("authorization: Bearer sk-ant-oat01-secret-of-the-user\r\nx-api-key: {TOKEN}\r\n")),
    ] {
        let request =
            format!("POST /v1/messages HTTP/1.1\r\nHost: {name}:{port}\r\n{token}Content-Length: {}\r\n\r\n{body}", body.len());
        assert_eq!(gateway.connect().send(request).reply().status, 200, "{name} {token}");
    }
}

#[test]
fn what_is_where() {
    let server = Server::saying(&completion("yes"));
    let gateway = server.gateway();
    let mut caller = gateway.connect();
    let status = |reply: super::Reply| reply.refusal();
    for path in
        ["/v1/complete", "/v1/messages/batches", "/v1/organizations", "/v2/messages", "/messages", "/v1", "/%2e%2e/etc/passwd"]
    {
        assert_eq!(status(caller.get(&format!("GET {path}"))).0, 404, "{path}");
        assert_eq!(status(caller.post(path, &question("hi"))).2, "not_found_error", "{path}");
    }
    for line in
        ["GET /v1/messages", "PUT /v1/messages", "DELETE /v1/messages", "GET /v1/messages/count_tokens", "DELETE /v1/models"]
    {
        let (status, _, kind, _) = caller.get(line).refusal();
        assert_eq!((status, kind.as_str()), (405, "invalid_request_error"), "{line}");
    }
    for line in ["GET /", "HEAD /", "HEAD /?x=y"] {
        assert_eq!(caller.get(line).status, 200, "{line}");
    }
    let open = format!("HEAD / HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", gateway.port);
    assert_eq!(gateway.connect().send(open).head().0, 200, "by this Claude Code looks whether somebody is there");
    for path in ["/v1/messages?beta=true", "/v1/messages/", "/v1/messages?"] {
        assert_eq!(caller.post(path, &question("hi")).status, 200, "{path}");
    }
}

#[test]
fn bodies_that_are_no_requests() {
    let server = Server::saying(&completion("yes"));
    let gateway = server.gateway();
    let mut caller = gateway.connect();
    for body in [
        "",
        "{",
        "hi",
        "[]",
        "7",
        "null",
        "{}",
        r#"{"messages":"hi"}"#,
        r#"{"messages":{}}"#,
        r#"{"messages":[]}"#,
        r#"{"messages":[{"role":"user","content":""}]}"#,
        r#"{"messages":[7]}"#,
        "\0",
    ] {
        for path in ["/v1/messages", "/v1/messages/count_tokens"] {
            let (status, may_pass, kind, _) = caller.send(caller.posting(path, body)).reply().refusal();
            assert_eq!((status, may_pass, kind.as_str()), (400, false, "invalid_request_error"), "{body:?}");
        }
    }
    // As deep as nobody needs it.
    let deep = format!(r#"{{"messages":[{{"role":"user","content":{}}}]}}"#, "[".repeat(100_000));
    assert_eq!(caller.send(caller.posting("/v1/messages", deep)).reply().status, 400);
    assert!(server.stub.chats().is_empty());
    assert_eq!(caller.post("/v1/messages", &question("hi")).status, 200, "on the same connection");
}

#[test]
fn a_request_that_is_too_large() {
    let server = Server::saying(&completion("yes"));
    let gateway = server.gateway();
    let mut caller = gateway.connect();
    let mut writer = caller.writer();
    let (port, length) = (gateway.port, 65 << 20);
    let head =
        format!("POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nx-api-key: {TOKEN}\r\nContent-Length: {length}\r\n\r\n");
    let sending = thread::spawn(move || {
        let _ = writer.write_all(head.as_bytes());
        let part = vec![b' '; 1 << 20];
        (0..64).all(|_| writer.write_all(&part).is_ok()) && writer.write_all(b" ").is_ok()
    });
    let (status, may_pass, kind, message) = caller.reply().refusal();
    assert_eq!((status, may_pass, kind.as_str()), (413, false, "request_too_large"), "{message}");
    let _ = sending.join();
    // One of a size that the API takes is nothing special.
    let large = question(&"a ".repeat(5 << 20));
    assert_eq!(gateway.ask(&large).status, 200);
    assert_eq!(server.asked()["messages"], large["messages"]);
}

#[test]
fn models_and_tokens() {
    let models = r#"{"object":"list","data":[{"id":"/models/tiny.gguf","object":"model","meta":{"n_ctx":8192}}]}"#;
    let models = json_answer(200, models);
    let stub = Stub::new(move |_, stream| {
        let _ = stream.write_all(models.as_bytes());
    });
    let gateway = Gateway::new(&stub.url());
    let mut caller = gateway.connect();
    let model = json!({"type": "model", "id": "tiny.gguf", "display_name": "tiny.gguf", "created_at": "1970-01-01T00:00:00Z"});
    let list = json!({"data": [model], "has_more": false, "first_id": "tiny.gguf", "last_id": "tiny.gguf"});
    assert_eq!(caller.get("GET /v1/models").json(), list);
    assert_eq!(caller.get("GET /v1/models?limit=1000").json(), list);
    for id in ["tiny.gguf", "claude-opus-5-5", "mlx-community%2FQwen"] {
        assert_eq!(caller.get(&format!("GET /v1/models/{id}")).json(), model, "whoever is asked for, this one answers");
    }
    let mut count = |request| {
        let counted = caller.post("/v1/messages/count_tokens?beta=true", &request).json();
        assert_eq!(counted.as_object().unwrap().len(), 1);
        counted["input_tokens"].as_u64().unwrap()
    };
    let short = count(question("Say hello to everybody in this room."));
    assert!((7..=30).contains(&short), "{short}");
    let long = count(question(&"Say hello to everybody in this room. ".repeat(100)));
    assert!((700..=1600).contains(&long), "{long}");
    assert!(count(with_tools(question("hi"))) > count(question("hi")) + 30);
    let code = include_str!("events.rs");
    let bytes = code.len() as u64;
    let counted = count(question(code));
    assert!((bytes / 5..bytes / 2).contains(&counted), "{counted} for {bytes} bytes");
}

#[test]
fn connections_are_kept_and_may_be_slow() {
    let server = Server::saying(&completion("yes and no"));
    let gateway = server.gateway();
    let mut caller = gateway.connect();
    for turn in 0..5 {
        assert_eq!(caller.post("/v1/messages", &question("hi")).json()["content"][0]["text"], "yes and no", "{turn}");
        let mut streaming = question("hi");
        streaming["stream"] = true.into();
        assert_eq!(caller.post("/v1/messages", &streaming).stream().error, None, "{turn}");
        assert_eq!(caller.get("GET /v1/nothing").status, 404, "{turn}");
    }
    // Two at once, one behind the other.
    let both = caller.posting("/v1/messages", question("hi").to_string()).repeat(2);
    caller.send(both);
    assert_eq!([caller.reply().status, caller.reply().status], [200, 200]);
    // Half a request, and then nothing, is nobody's loss.
    let whole = caller.posting("/v1/messages", question("hi").to_string());
    let halves: Vec<Caller> = (1..=40)
        .map(|part| {
            let mut caller = gateway.connect();
            caller.send(&whole[..whole.len() * part / 41]);
            caller
        })
        .collect();
    let mut slow = gateway.connect();
    for bytes in whole.chunks(16) {
        slow.send(bytes);
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(slow.reply().status, 200);
    drop(halves);
    // In chunks, as a client may send it that does not know the length.
    let chunked = format!(
        "POST /v1/messages HTTP/1.1\r\nHost: localhost:{}\r\nx-api-key: {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n",
        gateway.port
    );
    let body = question("hi").to_string();
    let (first, second) = body.split_at(20);
    let chunk = |part: &str| format!("{:x}\r\n{part}\r\n", part.len());
    assert_eq!(caller.send(format!("{chunked}{}{}0\r\n\r\n", chunk(first), chunk(second))).reply().status, 200);
    // What is no HTTP is not spoken to for long.
    for garbage in ["\x16\x03\x01\x02\x00\x01", "hello\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        let mut caller = gateway.connect();
        caller.send(garbage).writer().shutdown(std::net::Shutdown::Write).unwrap();
        let mut left = 10_000;
        while !caller.is_closed() && left > 0 {
            left -= 1;
        }
        assert!(left > 0, "{garbage:?}");
    }
    assert_eq!(gateway.ask(&question("hi")).status, 200);
}

#[test]
fn thirty_two_streams_at_once() {
    const COUNT: usize = 32;
    // Nobody's answer ends before all have begun.
    let all = std::sync::Arc::new(std::sync::Barrier::new(COUNT));
    let stub = Stub::new(move |request, stream| {
        if !request.is_chat() {
            return;
        }
        let name = request.json()["messages"][0]["content"].as_str().unwrap().to_string();
        let _ = stream.write_all(sse(&piece(&format!("{name} "))).as_bytes());
        all.wait();
        for turn in 0..20 {
            let _ = stream.write_all(piece(&format!("{turn} ")).as_bytes());
        }
        let _ = stream.write_all(end("stop").as_bytes());
    });
    let gateway = Gateway::new(&stub.url());
    let numbers = (0..20).map(|turn| format!("{turn} ")).collect::<String>();
    thread::scope(|scope| {
        for number in 0..COUNT {
            let (gateway, numbers) = (&gateway, &numbers);
            scope.spawn(move || {
                let answer = gateway.stream(&question(&format!("stream-{number}")));
                assert_eq!(answer.error, None);
                assert_eq!(answer.message["content"][0]["text"], format!("stream-{number} {numbers}"));
            });
        }
    });
}

/// A message that is streamed has its first piece with the caller before the second is there.
#[test]
fn pieces_are_passed_on_at_once() {
    let (go, waits) = std::sync::mpsc::channel::<()>();
    let waits = std::sync::Mutex::new(waits);
    let stub = Stub::new(move |request, stream| {
        if request.is_chat() {
            let _ = stream.write_all(sse(&piece("first")).as_bytes());
            let _ = waits.lock().unwrap().recv_timeout(super::PATIENCE);
            let _ = stream.write_all(completion(" second").as_bytes());
        }
    });
    let gateway = Gateway::new(&stub.url());
    let mut caller = gateway.connect();
    let mut request = question("hi");
    request["stream"] = true.into();
    caller.send(caller.posting("/v1/messages", request.to_string()));
    assert_eq!(caller.head().0, 200);
    let mut stream = vec![];
    while !String::from_utf8_lossy(&stream).contains("first") {
        stream.extend(caller.chunk().unwrap().expect("more"));
    }
    go.send(()).unwrap();
    while let Some(chunk) = caller.chunk().unwrap() {
        stream.extend(chunk);
    }
    assert_eq!(events::check(&stream).unwrap().message["content"][0]["text"], "first second");
}

/// Each has a token of its own where none is given, and ends when it is told to.
#[test]
fn tokens_and_the_end() {
    let sandbox = Sandbox::new();
    let begin = || {
        let mut child = sandbox.cmd("llm-failover").args(&["gateway", "--port", "0"]).spawn();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let url = lines.next().unwrap().unwrap();
        let token = lines.next().unwrap().unwrap();
        drop(lines);
        let port: u16 = url.strip_prefix("export ANTHROPIC_BASE_URL=http://127.0.0.1:").unwrap().parse().unwrap();
        (child, port, token.strip_prefix("export ANTHROPIC_AUTH_TOKEN=").unwrap().to_string())
    };
    let [first, second] = [begin(), begin()];
    assert!(first.2.len() > 30 && first.2 != second.2, "{} {}", first.2, second.2);
    for ((child, port, token), name) in [(first, "INT"), (second, "TERM")] {
        let request = format!("GET /x HTTP/1.1\r\nHost: localhost:{port}\r\nx-api-key: {token}\r\n\r\n");
        assert_eq!(Caller::new(port).send(request).reply().status, 404);
        signal(child.id().cast_signed(), name);
        let code = if name == "INT" { 130 } else { 143 };
        assert_eq!(finish(child), (code, String::new(), String::new()));
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}

#[test]
fn how_it_is_started() {
    let sandbox = Sandbox::new();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    let taken = format!("llm-failover: cannot listen on `127.0.0.1:{port}`: address already in use\n");
    sandbox.cmd("llm-failover").args(&["gateway", "--port", &port]).run().expect(1, "", &taken);
    for (wrong, reason) in [
        ("x", "invalid digit found in string"),
        ("70000", "number too large to fit in target type"),
        ("-1", "invalid digit found in string"),
    ] {
        let said = format!(
            "llm-failover: error parsing option '--port' with value '{wrong}': {reason}\nhint: run `llm-failover --help`\n"
        );
        sandbox.cmd("llm-failover").args(&["gateway", "--port", wrong]).run().expect(1, "", &said);
    }
    let output = sandbox.cmd("llm-failover").args(&["gateway", "--port", "0"]).env("LOCAL_LLM_TEMPERATURE", "hot").run();
    output.expect(1, "", "llm-failover: LOCAL_LLM_TEMPERATURE is `hot`: expected a number that is not negative\n");
}

#[test]
fn a_token_that_a_shell_would_read_otherwise_is_refused() {
    let mut sandbox = Sandbox::new();
    sandbox.set("LLM_GATEWAY_TOKEN", "a $(id)");
    let said = "llm-failover: LLM_GATEWAY_TOKEN is `…`: expected letters, digits and - . _ ~ + / =\n";
    sandbox.cmd("llm-failover").args(&["gateway", "--port", "0"]).run().expect(1, "", said);
}
