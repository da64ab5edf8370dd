//! What the server can do wrong, and what the API says to it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Gateway, PATIENCE, Server, delta, question, with, with_tools};
use crate::support::stub::{Stub, completion, end, json as json_answer, piece, sse};

/// An error's status, whether it may pass, its kind and its words.
fn error(status: u16, may_pass: bool, kind: &str, message: &str) -> (u16, bool, String, String) {
    (status, may_pass, kind.into(), message.into())
}

fn refusal(status: u16, said: &str) -> (u16, bool, String, String) {
    error(424, false, "invalid_request_error", &format!("the local server refused: HTTP {status}{said}"))
}

fn cut(reason: &str) -> (u16, bool, String, String) {
    error(502, true, "api_error", &format!("the local answer was cut short: {reason}"))
}

#[test]
fn refusals_of_the_server() {
    let server = Server::new("");
    let gateway = Gateway::with(&server.stub.url(), &[("LOCAL_LLM_RETRIES", "0")]);
    let may_pass = |status: u16, kind: &str, said: &str| error(status, true, kind, &format!("the local server refused: {said}"));
    let dead = r#"{"error": "generation thread died"}"#;
    let restart = "the local server runs, but its model does not (HTTP 404: generation thread died): restart it";
    for (status, body, expected) in [
        (404, "Not Found", refusal(404, ": Not Found")),
        (400, r#"{"error": "max_tokens must be at least 1"}"#, refusal(400, ": max_tokens must be at least 1")),
        (
            401,
            r#"{"error":{"message":"Invalid API Key","type":"authentication_error","code":401}}"#,
            refusal(401, ": Invalid API Key"),
        ),
        (
            500,
            r#"{"error":{"code":500,"message":"Jinja Exception: no","type":"server_error"}}"#,
            refusal(500, ": Jinja Exception: no"),
        ),
        (500, "", refusal(500, " and no reason")),
        (502, "<html><body><h1>Bad Gateway</h1></body></html>", may_pass(503, "api_error", "HTTP 502: Bad Gateway")),
        (429, r#"{"detail":"slow down"}"#, may_pass(529, "overloaded_error", "HTTP 429: slow down")),
        (503, r#"{"error":"server busy"}"#, may_pass(529, "overloaded_error", "HTTP 503: server busy")),
        (504, "", may_pass(503, "api_error", "HTTP 504 and no reason")),
        (
            500,
            r#"{"error":{"message":"Failed to parse input at pos 12"}}"#,
            may_pass(502, "api_error", "HTTP 500: Failed to parse input at pos 12"),
        ),
        (204, "", refusal(204, " and no reason")),
        (404, dead, error(503, false, "api_error", restart)),
        (
            400,
            r#"{"error":{"code":400,"message":"request (12822 tokens) exceeds the available context size (8192 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":12822,"n_ctx":8192}}"#,
            error(400, false, "invalid_request_error", "prompt is too long: 12822 tokens > 8192 maximum"),
        ),
        (
            400,
            r#"{"object":"error","message":"This model's maximum context length is 8 tokens."}"#,
            error(400, false, "invalid_request_error", "prompt is too long"),
        ),
    ] {
        server.answer(json_answer(status, body));
        assert_eq!(gateway.refusal(&question("hi")), expected, "{status} {body}");
    }
    server.answer("HTTP/1.1 307 X\r\nLocation: http://user:pw@example.invalid/v1?key=k\r\nContent-Length: 0\r\n\r\n");
    let elsewhere = refusal(307, ": it redirects to http://example.invalid/v1: set LOCAL_LLM_URL to that");
    assert_eq!(gateway.refusal(&question("hi")), elsewhere);
    // What is lean goes first, where there is something that can be left out; the same is not asked again.
    server.answer(json_answer(
        400,
        r#"{"error":{"message":"request exceeds the available context size","n_prompt_tokens":9,"n_ctx":8}}"#,
    ));
    let before = server.stub.chats().len();
    assert_eq!(gateway.ask(&question("hi")).status, 400);
    assert_eq!(server.stub.chats().len() - before, 1, "there is nothing to leave out");
}

#[test]
fn a_server_that_is_not_as_it_should_be() {
    let server = Server::new("");
    let gateway = server.gateway();
    let sse_part = |events: &str| sse(events).into_bytes();
    let stop = || {
        let choice = json!({"index": 0, "finish_reason": "stop", "delta": {}});
        format!("data: {}\n\n", json!({ "choices": [choice] }))
    };
    let empty = || error(502, false, "api_error", "the local model gave an empty answer");
    let used_up = || error(502, false, "api_error", "the local model used all its tokens before it began to answer");
    for (name, answer, expected) in [
        ("empty", sse_part(&end("stop")), empty()),
        ("white space", sse_part(&(piece(" \n ") + &end("stop"))), empty()),
        ("null", sse_part(&(delta(&json!({"content": null})) + &end("stop"))), empty()),
        ("thinking alone", sse_part(&(delta(&json!({"reasoning": "Hm."})) + &end("stop"))), empty()),
        ("thinking that does not end", sse_part(&(piece("<think>Hm.") + &end("length"))), used_up()),
        ("thinking up to the limit", sse_part(&(delta(&json!({"reasoning": "Hm."})) + &end("length"))), used_up()),
        ("no events", sse_part(""), cut("the stream ended before its end")),
        ("comments only", sse_part(": keepalive 1/2\n\n"), cut("the stream ended before its end")),
        ("no [DONE]", sse_part(&stop()), empty()),
        ("no reason to stop", sse_part("data: [DONE]\n\n"), empty()),
        ("no JSON", sse_part("data: {\n\n"), cut("an event is not the JSON of a chat completion")),
        ("an error for an event", sse_part("data: {\"error\":{\"message\":\"out of memory\"}}\n\n"), cut("out of memory")),
        ("an error for an answer", json_answer(200, r#"{"error":"out of memory"}"#).into(), cut("out of memory")),
        ("no JSON for an answer", json_answer(200, "hi").into(), cut("the answer is not the JSON of a chat completion")),
        (
            "an answer without choices",
            json_answer(200, "{}").into(),
            cut("what the server sent is no chat completion: check LOCAL_LLM_URL"),
        ),
        ("an answer with no choice", json_answer(200, r#"{"choices":[]}"#).into(), empty()),
    ] {
        server.answer(answer);
        let mut request = question("hi");
        request["thinking"] = json!({"type": "disabled"});
        assert_eq!(gateway.refusal(&request), expected, "{name}");
    }
    for (name, answer) in [("nothing", &b""[..]), ("no HTTP", b"hello\r\n\r\n"), ("half a head", b"HTTP/1.1 200 OK\r\nContent-")]
    {
        server.answer(answer);
        let (status, may_pass, kind, message) = gateway.refusal(&question("hi"));
        assert_eq!((status, may_pass, kind.as_str()), (502, true, "api_error"), "{name}: {message}");
        assert!(message.starts_with("no answer from the local server at http://127.0.0.1:"), "{name}: {message}");
    }
    // Thinking that is shown is no answer either, but the stream has begun.
    server.say(&(delta(&json!({"reasoning": "Hm."})) + &end("stop")));
    let aloud = with(question("hi"), json!({"thinking": {"type": "adaptive"}}));
    let answer = gateway.stream(&aloud);
    assert_eq!(answer.error, Some(("api_error".into(), "the local model gave an empty answer".into())));
    assert_eq!(answer.message["content"][0]["thinking"], "Hm.");
}

/// What has come is passed on, and then the error: in one piece the error is all.
#[test]
fn failures_in_the_middle_of_an_answer() {
    let server = Server::new("");
    let gateway = server.gateway();
    let chunked = |events: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n{:x}\r\n{events}\r\n",
            events.len()
        )
    };
    for (name, answer, reason) in [
        ("cut", sse(&piece("Hi")), "the stream ended before its end"),
        ("cut in an event", sse(&(piece("Hi") + "data: {\"choi")), "the stream ended before its end"),
        ("cut in a chunk", chunked(&piece("Hi")), ""),
        ("an error", sse(&(piece("Hi") + "data: {\"error\":\"out of memory\"}\n\n")), "out of memory"),
        ("no JSON", sse(&(piece("Hi") + "data: hello\n\n")), "an event is not the JSON of a chat completion"),
    ] {
        server.answer(answer);
        let answer = gateway.stream(&question("hi"));
        let (kind, message) = answer.error.expect(name);
        assert_eq!(kind, "api_error", "{name}");
        assert!(message.starts_with(&format!("the local answer was cut short: {reason}")), "{name}: {message}");
        assert_eq!(answer.message["content"], json!([{"type": "text", "text": "Hi"}]), "{name}");
        assert_eq!(gateway.ask(&question("hi")).refusal(), error(502, true, "api_error", &message), "{name}");
    }
}

/// Half a command is another command.
#[test]
fn a_call_that_is_cut_off_is_not_made() {
    let call = |arguments: &str| json!({"index": 0, "id": "c", "function": {"name": "Bash", "arguments": arguments}});
    let begun = delta(&json!({"tool_calls": [call("{\"command\":\"rm -rf /tmp/x")]}));
    let whole = delta(&json!({"tool_calls": [call("{\"command\":\"ls\"}")]}));
    let server = Server::new("");
    let gateway = server.gateway();
    let request = with_tools(question("hi"));
    for answer in [begun.clone(), whole, piece("<tool_call>{\"name\":\"Bash\",\"arguments\":{\"command\":\"ls\"}}</tool_call>")] {
        server.say(&answer);
        assert_eq!(gateway.refusal(&request), cut("the stream ended before its end"));
    }
    // By the limit of tokens: the model hears of it, and after three times the caller.
    let before = server.stub.chats().len();
    server.say(&(begun + &end("length")));
    let (status, may_pass, kind, _) = gateway.ask(&request).refusal();
    assert_eq!((status, may_pass, kind.as_str()), (502, true, "api_error"));
    assert_eq!(server.stub.chats().len() - before, 3);
    let told = server.asked()["messages"].as_array().unwrap().last().unwrap().clone();
    assert!(told["content"].as_str().unwrap().contains("cut off, since an answer has at most 100 tokens"), "{told}");
}

#[test]
fn nobody_is_there() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{free}/v1/chat/completions");
    let gateway = Gateway::new(&url);
    let expected = format!("no answer from the local server at {url}: connection refused");
    assert_eq!(gateway.refusal(&question("hi")), error(503, false, "api_error", &expected));
    // And then somebody is.
    let _stub = Stub::on_port(free, |request, stream| {
        let body = if request.is_chat() { sse(&completion("yes")) } else { json_answer(404, "") };
        let _ = stream.write_all(body.as_bytes());
    });
    assert_eq!(gateway.message(&question("hi"))["content"][0]["text"], "yes");
}

/// llama.cpp answers so until its model is loaded.
#[test]
fn a_server_that_is_loading_is_waited_for() {
    let (stub, begun) = {
        let begun = std::time::Instant::now();
        let stub = Stub::new(move |request, stream| {
            let loading = r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#;
            let body = match (begun.elapsed() > Duration::from_millis(1500), request.is_chat()) {
                (false, _) => json_answer(503, loading),
                (true, true) => sse(&completion("yes")),
                (true, false) => json_answer(200, r#"{"status":"ok"}"#),
            };
            let _ = stream.write_all(body.as_bytes());
        });
        (stub, begun)
    };
    let waiting = format!("claude-failover: waiting for the local server to start (port {}) …\n", stub.port());
    let gateway = Gateway::new(&stub.url()).says(&waiting);
    assert_eq!(gateway.stream(&question("hi")).message["content"][0]["text"], "yes");
    assert!(begun.elapsed() > Duration::from_millis(1500));
}

#[test]
fn a_server_that_says_nothing_more() {
    let silent_from = |bytes: String| {
        let stub = Stub::new(move |request, stream| {
            if request.is_chat() {
                let _ = stream.write_all(bytes.as_bytes());
                let _ = stream.read(&mut [0]);
            }
        });
        let gateway = Gateway::with(&stub.url(), &[("LOCAL_LLM_IDLE_TIMEOUT", "1")]);
        (stub, gateway)
    };
    let reason = "the local answer was cut short: nothing came for 1 seconds (LOCAL_LLM_IDLE_TIMEOUT)";
    for bytes in [String::new(), sse(""), sse(": keepalive 1/2\n\n")] {
        let (_stub, gateway) = silent_from(bytes);
        assert_eq!(gateway.refusal(&question("hi")), error(504, false, "timeout_error", reason));
    }
    let (_stub, gateway) = silent_from(sse(&piece("Hi")));
    let answer = gateway.stream(&question("hi"));
    assert_eq!(answer.error, Some(("timeout_error".into(), reason.into())));
    assert_eq!(gateway.ask(&question("hi")).refusal(), error(504, false, "timeout_error", reason));
}

/// Servers say nothing while they read a long prompt; the caller hears that somebody is there. After that a failure is
/// told in the stream.
#[test]
fn pings_while_the_server_is_silent() {
    let answering = |answer: String| {
        Stub::new(move |request, stream| {
            if request.is_chat() {
                thread::sleep(Duration::from_millis(6500));
                let _ = stream.write_all(answer.as_bytes());
            }
        })
    };
    let good = answering(sse(&completion("yes")));
    let bad = answering(json_answer(500, r#"{"error":"out of memory"}"#));
    let slow = Stub::new(|request, stream| {
        if request.is_chat() {
            let call = |call: &Value| delta(&json!({"tool_calls": [call]}));
            let begin = json!({"index": 0, "id": "c", "function": {"name": "Bash", "arguments": "{\"command\":\""}});
            let _ = stream.write_all(sse(&call(&begin)).as_bytes());
            for _ in 0..26 {
                thread::sleep(Duration::from_millis(250));
                let _ = stream.write_all(call(&json!({"index": 0, "function": {"arguments": "x"}})).as_bytes());
            }
            let rest = call(&json!({"index": 0, "function": {"arguments": "\"}"}})) + &end("tool_calls");
            let _ = stream.write_all(rest.as_bytes());
        }
    });
    thread::scope(|scope| {
        scope.spawn(|| {
            let answer = Gateway::new(&good.url()).stream(&question("hi"));
            assert_eq!((answer.error, answer.pings > 0), (None, true));
            assert_eq!(answer.message["content"][0]["text"], "yes");
        });
        scope.spawn(|| {
            let answer = Gateway::new(&bad.url()).stream(&question("hi"));
            let said = "the local server refused: HTTP 500: out of memory";
            assert_eq!((answer.error, answer.pings > 0), (Some(("invalid_request_error".into(), said.into())), true));
        });
        // A call is passed on when it is whole; until then it is as if the server were silent.
        scope.spawn(|| {
            let answer = Gateway::new(&slow.url()).stream(&with_tools(question("hi")));
            assert_eq!((answer.error, answer.pings > 0), (None, true));
            assert_eq!(answer.message["content"][0]["input"]["command"].as_str().unwrap().len(), 26);
        });
        scope.spawn(|| {
            let reply = Gateway::new(&bad.url()).ask(&question("hi"));
            assert_eq!(reply.refusal().0, 424, "in one piece nothing is told before the end");
        });
    });
}

/// A client that goes takes its question with it: the server's connection is closed, at whatever stage.
#[test]
fn cancellation_reaches_the_server() {
    for first in [String::new(), sse(""), sse(&piece("Hi"))] {
        for streams in [true, false] {
            let (asked, is_asked) = mpsc::channel();
            let (closed, is_closed) = mpsc::channel();
            let bytes = first.clone();
            let stub = Stub::new(move |request, stream: &mut TcpStream| {
                if request.is_chat() {
                    let _ = stream.write_all(bytes.as_bytes());
                    asked.send(()).unwrap();
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    closed.send(matches!(stream.read(&mut [0]), Ok(0))).unwrap();
                }
            });
            let gateway = Gateway::new(&stub.url());
            let mut caller = gateway.connect();
            let mut request = question("hi");
            request["stream"] = streams.into();
            caller.send(caller.posting("/v1/messages", request.to_string()));
            is_asked.recv_timeout(PATIENCE).expect("a question");
            if streams && first.contains("Hi") {
                assert_eq!(caller.head().0, 200);
            }
            caller.close();
            assert_eq!(is_closed.recv_timeout(PATIENCE), Ok(true), "after {first:?}, streams: {streams}");
        }
    }
}

/// A stop sequence ends the answer at the server too.
#[test]
fn an_answer_that_is_stopped_is_cancelled() {
    let (closed, is_closed) = mpsc::channel();
    let stub = Stub::new(move |request, stream: &mut TcpStream| {
        if request.is_chat() {
            let _ = stream.write_all(sse(&piece("one###two")).as_bytes());
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            closed.send(matches!(stream.read(&mut [0]), Ok(0))).unwrap();
        }
    });
    let gateway = Gateway::new(&stub.url());
    let seen = gateway.message(&with(question("hi"), json!({"stop_sequences": ["###"]})));
    assert_eq!(seen["content"][0]["text"], "one");
    assert_eq!(is_closed.recv_timeout(PATIENCE), Ok(true));
}
