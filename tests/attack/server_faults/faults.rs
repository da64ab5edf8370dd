//! What a local server can do wrong.

use serde_json::json;

use super::TEXT;
use super::server::{End, Fault, Outcome};
use crate::support::stub::{completion, end, json as json_answer, piece, sse};

/// A chunk of a chat completion with this in its choice.
fn choice(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,{text}}}]}}\n\n")
}

const DONE: &str = "data: [DONE]\n\n";

fn stop() -> String {
    choice(r#""delta":{},"finish_reason":"stop""#)
}

/// An answer with this head and body.
fn http(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{body}").into_bytes()
}

const STREAM: &str = "200 OK\r\nContent-Type: text/event-stream";

fn chunked(body: &str, rest: &str) -> Vec<u8> {
    http(&format!("{STREAM}\r\nTransfer-Encoding: chunked"), &format!("{:x}\r\n{body}\r\n{rest}", body.len()))
}

pub fn faults() -> Vec<Fault> {
    use End::{Closed, Open, Reset, Talking};
    use Outcome::{Answer, Either, Failure, Unreachable};
    let whole = || completion(TEXT);
    let half = || piece("from ");
    let text = |events: &str| sse(events).into_bytes();
    let mut all = Vec::new();
    let mut add = |name, outcome, bytes: Vec<u8>, end| all.push(Fault { name, outcome, bytes, echoes: false, end });
    add("sound", Answer, text(&whole()), Closed);
    // The connection.
    add("nothing listens", Unreachable, vec![], Closed);
    add("closed before the head", Failure, vec![], Closed);
    add("closed in the head", Failure, b"HTTP/1.1 200 OK\r\nContent-Ty".to_vec(), Closed);
    add("closed after the head", Failure, text(""), Closed);
    add("closed in an event", Failure, text(&(half() + "data: {\"choices\":[{\"del")), Closed);
    add("closed after a piece", Failure, text(&half()), Closed);
    add("reset at once", Failure, vec![], Reset);
    add("reset in the head", Failure, b"HTTP/1.1 200 OK\r\nContent-Ty".to_vec(), Reset);
    add("reset after a piece", Failure, text(&half()), Reset);
    add("reset after the end", Either, text(&whole()), Reset);
    add("silence", Failure, vec![], Open);
    add("silence in the head", Failure, b"HTTP/1.1 200 OK\r\n".to_vec(), Open);
    add("silence after the head", Failure, text(""), Open);
    add("silence after a piece", Failure, text(&half()), Open);
    add("comments for ever after a reason to stop", Answer, text(&(piece(TEXT) + &stop())), Talking);
    add("comments for ever after [DONE]", Answer, text(&whole()), Talking);
    add("silence after a reason to stop", Answer, text(&(piece(TEXT) + &stop())), Open);
    add("silence after [DONE]", Answer, text(&whole()), Open);
    // HTTP.
    add("garbage", Failure, (0..=255).cycle().take(4000).collect(), Closed);
    add("another protocol", Failure, b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(), Closed);
    add("a TLS alert", Failure, b"\x15\x03\x01\x00\x02\x02\x28".to_vec(), Closed);
    add("HTTP/2", Failure, b"\x00\x00\x12\x04\x00\x00\x00\x00\x00".to_vec(), Closed);
    add("no status", Failure, b"HTTP/1.1 \r\n\r\n".to_vec(), Closed);
    add("a status of its own", Failure, http("999 No", ""), Closed);
    add("a long header", Either, http(&format!("{STREAM}\r\nX-Long: {}", "x".repeat(200_000)), &whole()), Closed);
    add("many headers", Either, http(&format!("{STREAM}{}", "\r\nX-More: 1".repeat(500)), &whole()), Closed);
    add("control characters in a header", Either, http(&format!("{STREAM}\r\nX-Bad: \x1b[2J\x07"), &whole()), Closed);
    add("100 first", Answer, [&b"HTTP/1.1 100 Continue\r\n\r\n"[..], &text(&whole())].concat(), Closed);
    add("103 first", Either, [&b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"[..], &text(&whole())].concat(), Closed);
    add("100 alone", Failure, b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), Closed);
    add(
        "a redirect",
        Failure,
        http("307 X\r\nLocation: http://user:pw@example.invalid/\x1b[2J\r\nContent-Length: 0", ""),
        Closed,
    );
    add("a redirect to nowhere", Failure, http("302 Found", ""), Closed);
    add("no content", Failure, http("204 No Content", ""), Closed);
    add("text/plain", Answer, http("200 OK\r\nContent-Type: text/plain", &whole()), Closed);
    add("no content type", Answer, http("200 OK", &whole()), Closed);
    add("a stream that is said to be JSON", Failure, http("200 OK\r\nContent-Type: application/json", &whole()), Closed);
    add("JSON that is said to be a stream", Failure, text(r#"{"choices":[{"message":{"content":"from here"}}]}"#), Closed);
    add("HTML", Failure, http("200 OK\r\nContent-Type: text/html", "<html><body>Welcome!</body></html>"), Closed);
    add("a compressed body", Failure, http(&format!("{STREAM}\r\nContent-Encoding: gzip"), "\x1f\x08\x08\x00\x00\x00"), Closed);
    add("a body of an unknown encoding", Either, http(&format!("{STREAM}\r\nContent-Encoding: br"), &whole()), Closed);
    add("a length that is too long", Answer, http(&format!("{STREAM}\r\nContent-Length: 100000"), &whole()), Closed);
    add("a length that is too short", Failure, http(&format!("{STREAM}\r\nContent-Length: 30"), &whole()), Closed);
    add("a length that is none", Either, http(&format!("{STREAM}\r\nContent-Length: -1"), &whole()), Closed);
    add("two lengths", Either, http(&format!("{STREAM}\r\nContent-Length: 5\r\nContent-Length: 6"), &whole()), Closed);
    add("chunks", Answer, chunked(&whole(), "0\r\n\r\n"), Closed);
    add("chunks without an end", Answer, chunked(&whole(), ""), Closed);
    add("a chunk that is cut", Failure, chunked(&half(), "400\r\ndata: {\"cho"), Closed);
    add("a chunk without a size", Failure, chunked(&half(), "zz\r\n"), Closed);
    add("a chunk of a size beyond all", Failure, chunked(&half(), "fffffffffffffffff\r\n"), Closed);
    // Refusals.
    for (name, status, body) in [
        ("400", 400, r#"{"error":{"message":"no"}}"#),
        ("400 without a body", 400, ""),
        ("400 with what is no JSON", 400, "\x1b]0;title\x07 no\x00"),
        ("401", 401, r#"{"error":"key"}"#),
        ("404", 404, r#"{"error":"model not found"}"#),
        ("404 without a body", 404, ""),
        ("413", 413, "<html><head><title>413</title></head></html>"),
        ("429", 429, r#"{"detail":"slow down"}"#),
        ("429 without a body", 429, ""),
        ("500", 500, r#"{"error":{"message":"Traceback (most recent call last):\n  File \"/srv/app.py\", line 1\nKeyError"}}"#),
        ("500 without a body", 500, ""),
        ("500 with a body of null", 500, "null"),
        ("502 as HTML", 502, "<html><body><h1>Bad \x1b[31mGateway</h1></body></html>"),
        ("503", 503, r#"{"error":{"message":"Loading model","code":503}}"#),
        ("503 without a body", 503, ""),
        ("a refusal of nested words", 400, r#"{"error":{"message":{"message":["a",{"b":null}]}}}"#),
    ] {
        add(name, Failure, json_answer(status, body).into_bytes(), Closed);
    }
    add(
        "a refusal of a megabyte",
        Failure,
        json_answer(400, &json!({"error": "no ".repeat(400_000)}).to_string()).into(),
        Closed,
    );
    // Events.
    add("[DONE] alone", Failure, text(DONE), Closed);
    add("a reason to stop alone", Failure, text(&stop()), Closed);
    add("no [DONE]", Answer, text(&(piece(TEXT) + &stop())), Closed);
    add("no reason to stop", Answer, text(&(piece(TEXT) + DONE)), Closed);
    add("[DONE] twice", Answer, text(&(whole() + DONE)), Closed);
    add("more after [DONE]", Answer, text(&(whole() + &piece(" and more") + "data: {\n\n")), Closed);
    add("an error first", Failure, text("data: {\"error\":{\"message\":\"out of \\u001b[2Jmemory\"}}\n\n"), Closed);
    add("an error after a piece", Failure, text(&(half() + "data: {\"error\":{\"message\":\"out of memory\"}}\n\n")), Closed);
    add("an error for an answer", Failure, json_answer(200, r#"{"error":"out of memory"}"#).into(), Closed);
    add("an error that is null", Answer, text(&whole().replace("data: {", "data: {\"error\":null,")), Closed);
    add("no choices", Failure, text(&("data: {\"choices\":[]}\n\n".to_string() + DONE)), Closed);
    add("choices that are null", Failure, text(&("data: {\"choices\":null}\n\n".to_string() + DONE)), Closed);
    add("choices of another kind", Failure, text(&("data: {\"choices\":{\"0\":7}}\n\n".to_string() + DONE)), Closed);
    add(
        "null in all fields",
        Failure,
        text(&(choice(r#""delta":{"content":null,"tool_calls":null,"reasoning":null},"finish_reason":null"#) + DONE)),
        Closed,
    );
    add("null between", Answer, text(&(choice(r#""delta":null,"finish_reason":null"#) + &whole())), Closed);
    add(
        "content of another kind",
        Either,
        text(&(choice(r#""delta":{"content":7},"finish_reason":null"#) + &end("stop"))),
        Closed,
    );
    add(
        "a reason of another kind",
        Either,
        text(&(piece(TEXT) + &choice(r#""delta":{},"finish_reason":{"a":1}"#) + DONE)),
        Closed,
    );
    add("an unknown reason", Either, text(&(piece(TEXT) + &end("content_filter"))), Closed);
    add(
        "calls that nobody offered",
        Either,
        text(
            &(choice(
                r#""delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"rm","arguments":"{}"}}]},"finish_reason":null"#,
            ) + &end("tool_calls")),
        ),
        Closed,
    );
    add(
        "a count that is NaN",
        Answer,
        text(&(piece(TEXT) + &stop() + "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":NaN}}\n\n" + DONE)),
        Closed,
    );
    add(
        "a count beyond all",
        Answer,
        text(&(piece(TEXT) + &stop() + "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1e999}}\n\n" + DONE)),
        Closed,
    );
    add(
        "counts of other kinds",
        Answer,
        text(
            &(piece(TEXT)
                + &stop()
                + "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":-5,\"completion_tokens\":\"3\"}}\n\n"
                + DONE),
        ),
        Closed,
    );
    add(
        "the largest counts",
        Answer,
        text(
            &(piece(TEXT)
                + &stop()
                + "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":18446744073709551615,\"completion_tokens\":18446744073709551615}}\n\n"
                + DONE),
        ),
        Closed,
    );
    add("deep nesting", Failure, text(&(format!("data: {}\n\n", "[".repeat(100_000)) + DONE)), Closed);
    add(
        "deep nesting in a field",
        Either,
        text(&(format!("data: {{\"x\":{}{},\"choices\":[]}}\n\n", "[".repeat(50_000), "]".repeat(50_000)) + &whole())),
        Closed,
    );
    add(
        "deep nesting in a refusal",
        Failure,
        json_answer(400, &format!("{{\"error\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000))).into(),
        Closed,
    );
    add("comments alone", Failure, text(": keepalive\n\n: keepalive\n\n"), Closed);
    add("a mark of byte order", Answer, text(&format!("\u{feff}{}", whole())), Closed);
    add("lines that end with CR", Answer, text(&whole().replace('\n', "\r")), Closed);
    add(
        "control characters in the text",
        Either,
        text(&(piece("from\u{1b}]0;x\u{7}\u{1b}[2J\u{0} here") + &end("stop"))),
        Closed,
    );
    add("a line that does not end", Failure, [&text("data: ")[..], &vec![b'x'; 17 << 20]].concat(), Closed);
    add(
        "invalid UTF-8",
        Either,
        [
            &text("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"from")[..],
            b"\xff\xfe here\"}}]}\n\n",
            end("stop").as_bytes(),
        ]
        .concat(),
        Closed,
    );
    add(
        "cut in a character",
        Failure,
        [&text("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"from")[..], b"\xc3"].concat(),
        Closed,
    );
    all.push(Fault { name: "a refusal that repeats the request", outcome: Failure, bytes: vec![], echoes: true, end: Closed });
    all
}
