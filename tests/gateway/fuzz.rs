//! Requests and server streams that are broken at random, always the same way: whatever comes, the gateway answers with an
//! error or with a stream that keeps to the order, and goes on.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::{Gateway, Server, delta, events, question, requests, tools, with, with_tools};
use crate::support::stub::{Stub, completion, end, json as json_answer, piece, sse};

/// Numbers that look like chance: xorshift.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    fn one<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// The bytes with something wrong here and there.
    fn broken(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(3) {
            let (at, length) = (self.below(bytes.len()), self.below(40));
            let end = (at + length).min(bytes.len());
            match self.below(6) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..end)),
                2 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
                3 if at < bytes.len() => bytes[at] = self.below(256) as u8,
                4 => {
                    let odd: &[&[u8]] =
                        &[b"\0", b"\xff\xfe", b"\"", b"}", b"]", b"\n\n", b"\r", b"\\ud800", b"null", b"-1e999", b"data: "];
                    let odd = self.one(odd).to_vec();
                    drop(bytes.splice(at..at, odd));
                }
                _ => bytes[at..end].reverse(),
            }
        }
        bytes
    }

    /// The value with another in the place of one of its parts.
    fn changed(&mut self, value: &mut Value) {
        let odd = [
            json!(null),
            json!(true),
            json!(-1),
            json!(7),
            json!(1e300),
            json!(u64::MAX),
            json!(""),
            json!("\u{0}\u{fffd}"),
            json!("x"),
            json!([]),
            json!({}),
            json!([[[[null]]]]),
            json!({"type": "text", "text": 7}),
            json!({"type": "tool_result"}),
            json!({"type": "tool_use", "id": 7}),
            json!([{"type": "image", "source": null}]),
            json!("assistant"),
            json!("system"),
        ];
        let mut parts: Vec<&mut Value> = match value {
            Value::Array(list) if self.below(4) > 0 => list.iter_mut().collect(),
            Value::Object(map) if self.below(6) > 0 => map.values_mut().collect(),
            _ => vec![],
        };
        if parts.is_empty() {
            *value = self.one(&odd).clone();
        } else {
            let part = parts.swap_remove(self.below(parts.len()));
            self.changed(part);
        }
    }
}

#[test]
fn broken_requests() {
    let server = Server::saying(&completion("yes and no"));
    let gateway = server.gateway();
    let corpus = requests::corpus();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut counts = [0, 0];
    for turn in 0..600 {
        let mut request = dice.one(&corpus).1.clone();
        let body = if turn % 3 == 0 {
            dice.broken(request.to_string().as_bytes())
        } else {
            for _ in 0..=dice.below(4) {
                dice.changed(&mut request);
            }
            request.to_string().into_bytes()
        };
        let mut caller = gateway.connect();
        let reply = caller.send(caller.posting("/v1/messages", &body)).reply();
        let shown = String::from_utf8_lossy(&body);
        match (reply.status, reply.header("content-type")) {
            (200, Some("application/json")) => drop(events::check_message(reply.json())),
            (200, _) => assert_eq!(reply.stream().error, None, "{shown}"),
            (400, _) => drop(reply.refusal()),
            _ => panic!("{reply:?} to {shown}"),
        }
        counts[usize::from(reply.status == 200)] += 1;
    }
    assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
    assert_eq!(gateway.ask(&question("hi")).status, 200);
}

/// Answers of every kind.
fn streams() -> Vec<Vec<u8>> {
    let call = |index: u64, call: Value| delta(&json!({"tool_calls": [with(json!({"index": index}), call)]}));
    let begin = |index, name: &str| call(index, json!({"id": "c", "function": {"name": name, "arguments": ""}}));
    let arguments = |index, text: &str| call(index, json!({"function": {"arguments": text}}));
    let hermes = "I look.\n<tool_call>\n{\"name\": \"Bash\", \"arguments\": {\"command\": \"a\nb\"}}\n</tool_call>";
    let coder = "<tool_call><function=Bash><parameter=command>ls</parameter></function></tool_call>";
    let mistral = "[TOOL_CALLS][{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}]";
    let each = |text: &str| text.split_inclusive(' ').map(piece).collect::<String>() + &end("stop");
    let whole = json!({"choices": [{"finish_reason": "tool_calls", "message": {"content": "x", "reasoning": "y",
                       "tool_calls": [{"id": "c", "function": {"name": "Bash", "arguments": {"command": "ls"}}}]}}]});
    let events = [
        completion("one two ### three é 🦀 four"),
        delta(&json!({"reasoning": "Hm. "})) + &delta(&json!({"reasoning_content": "Yes."})) + &completion("It is."),
        each("<think>\nHm. Yes.\n</think>\n\nIt is."),
        [
            begin(0, "Bash"),
            arguments(0, "{\"command\":"),
            begin(1, "Read"),
            arguments(1, "{\"file_path\":\"a\"}"),
            arguments(0, "\"ls\"}"),
        ]
        .concat()
            + &end("tool_calls"),
        each(hermes),
        each(coder),
        each(mistral),
        each("{\"name\": \"Read\", \"parameters\": {\"file_path\": \"a b c\"}}"),
        String::from(": keepalive 1/2\n\n") + &completion("a b").replace('\n', "\r\n"),
    ];
    let chunked = |text: &str| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n";
        let body: String = text.split_inclusive("\n\n").map(|part| format!("{:x}\r\n{part}\r\n", part.len())).collect();
        format!("{head}{body}0\r\n\r\n")
    };
    let streams = events.iter().map(|events| sse(events)).chain(events.iter().take(4).map(|events| chunked(events)));
    let failures = [
        json_answer(200, &whole.to_string()),
        json_answer(400, r#"{"error":{"message":"request exceeds the available context size","n_prompt_tokens":9,"n_ctx":8}}"#),
        json_answer(500, r#"{"error":"image input is not supported"}"#),
        json_answer(404, "Not Found"),
    ];
    streams.chain(failures).map(String::into_bytes).collect()
}

#[test]
fn broken_streams_of_the_server() {
    let corpus = streams();
    let dice = Mutex::new(Dice(0x0123_4567_89ab_cdef));
    let stub = Stub::new(move |request, stream: &mut TcpStream| {
        if !request.is_chat() {
            let _ = stream.write_all(json_answer(404, "{}").as_bytes());
            return;
        }
        let (bytes, cuts) = {
            let mut dice = dice.lock().unwrap();
            let bytes = dice.one(&corpus).clone();
            let bytes = if dice.below(5) == 0 { bytes } else { dice.broken(&bytes) };
            let cuts: Vec<usize> = (0..dice.below(4)).map(|_| dice.below(bytes.len())).collect();
            (bytes, cuts)
        };
        let _ = stream.set_nodelay(true);
        let mut cuts = cuts;
        cuts.sort_unstable();
        let mut from = 0;
        for to in cuts.into_iter().chain([bytes.len()]) {
            let _ = stream.write_all(&bytes[from..to]);
            std::thread::yield_now();
            from = to;
        }
    });
    // What ends nowhere is given up soon.
    let gateway = Gateway::with(&stub.url(), &[("LOCAL_LLM_IDLE_TIMEOUT", "2")]);
    let plain = question("hi");
    let able = with(with_tools(plain.clone()), json!({"thinking": {"type": "adaptive"}, "stop_sequences": ["###"]}));
    let silent = with(plain.clone(), json!({"tools": tools(), "tool_choice": {"type": "none"}}));
    let mut outcomes = [0, 0, 0];
    for turn in 0..240 {
        let request = [&plain, &able, &able, &silent][turn % 4];
        let reply = if turn % 3 == 0 { gateway.ask(request) } else { gateway.ask_for_stream(request) };
        let outcome = match reply.status {
            200 if turn % 3 == 0 => {
                events::check_message(reply.json());
                0
            }
            200 => usize::from(reply.stream().error.is_some()),
            _ => {
                reply.refusal();
                2
            }
        };
        outcomes[outcome] += 1;
    }
    assert!(outcomes.iter().all(|count| *count > 10), "{outcomes:?}");
}
