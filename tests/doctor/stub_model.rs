//! A model server that answers the doctor's questions as a good one does, but for one fault.

use std::io::Write;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::stub::{Request, Stub, json as json_answer, sse};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    /// It reads so many tokens of a prompt at most, and says nothing of it.
    Truncates(usize),
    /// The same, and it counts nothing.
    TruncatesUncounted(usize),
    /// It refuses what is longer.
    Refuses(usize),
    /// It counts well, and its model forgets the front.
    Forgets,
    CallsNothing,
    CallsAsText,
    CallsOnce,
    /// Its calls come in pieces.
    CallsInPieces,
    RefusesTools,
    /// Thinking stands in the text.
    Thinks,
    /// Thinking has a field of its own.
    ThinksAside,
    /// The template has written the opening mark.
    ThinksUnopened,
    LeaksMarkup,
    /// No answer is streamed.
    OnePiece,
    NoImages,
    BlindToImages,
    NoSchema,
    RefusesSchema,
    /// Each question is refused with this status.
    Status(u16),
    /// It reads three hundred tokens in a second.
    Slow,
    /// It says nothing at all.
    Silent,
    /// It does not come to an end.
    Endless,
}

/// Which program it says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Llama(u32),
    Ollama(u32),
    Vllm(u32),
    Other,
}

pub fn model(program: Program, fault: Fault) -> Stub {
    Stub::new(move |request, stream| {
        let _ = if request.is_chat() && request.line.contains("/chat/completions") {
            answer(request, stream, fault)
        } else {
            stream.write_all(json_answer(200, &about(&request.line, program).to_string()).as_bytes())
        };
    })
}

fn about(line: &str, program: Program) -> Value {
    let list = |model: Value| json!({"object": "list", "data": [model]});
    match program {
        _ if line.contains("/health") => json!({"status": "ok"}),
        Program::Llama(window) if line.contains("/models") => {
            list(json!({"id": "tiny", "owned_by": "llamacpp", "meta": {"n_ctx": window}}))
        }
        Program::Ollama(_) if line.contains("/v1/models") => list(json!({"id": "tiny:1b", "owned_by": "library"})),
        Program::Ollama(window) if line.contains("/api/ps") => {
            json!({"models": [{"name": "tiny:1b", "model": "tiny:1b", "context_length": window}]})
        }
        Program::Vllm(window) if line.contains("/models") => {
            list(json!({"id": "tiny", "owned_by": "vllm", "max_model_len": window}))
        }
        Program::Other if line.contains("/models") => list(json!({"id": "tiny"})),
        _ => json!({}),
    }
}

fn answer(request: &Request, stream: &mut TcpStream, fault: Fault) -> std::io::Result<()> {
    let question = request.json();
    let text = question["messages"].to_string();
    // A token has five bytes here.
    let sent = text.len() / 5;
    let refused = |message: &str| json_answer(400, &json!({"error": {"message": message}}).to_string());
    let has = |word: &str| text.contains(word);
    let mut reply = Reply { read: Some(sent), ..Reply::default() };
    let forgets = match fault {
        Fault::Truncates(most) => {
            reply.read = Some(sent.min(most));
            sent > most
        }
        Fault::TruncatesUncounted(most) => {
            reply.read = None;
            sent > most
        }
        Fault::Refuses(most) if sent > most => {
            let error = json!({"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": sent, "n_ctx": most,
                "message": format!("request ({sent} tokens) exceeds the available context size ({most} tokens)")});
            return stream.write_all(json_answer(400, &json!({ "error": error }).to_string()).as_bytes());
        }
        Fault::Slow => {
            std::thread::sleep(std::time::Duration::from_millis(sent as u64 * 10 / 3));
            false
        }
        Fault::Forgets => true,
        Fault::Status(status) => {
            let key = request.header("authorization").unwrap_or_default();
            let body = json!({"error": {"message": format!("no: {key}")}});
            return stream.write_all(json_answer(status, &body.to_string()).as_bytes());
        }
        Fault::Endless => {
            let word = json!({"choices": [{"index": 0, "delta": {"content": "word "}}]});
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
            stream.write_all(head.as_bytes())?;
            loop {
                stream.write_all(format!("data: {word}\n\n").as_bytes())?;
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        }
        Fault::Silent => {
            std::thread::sleep(std::time::Duration::from_secs(20));
            return Ok(());
        }
        _ => false,
    };
    reply.text = match () {
        () if has("secret word") => if forgets { "I do not know." } else { "heron" }.into(),
        () if has("17 + 25") => "42".into(),
        () if has("Count from") => (1..=40).map(|number| format!("{number}, ")).collect(),
        () if has("image_url") => match fault {
            Fault::NoImages => return stream.write_all(refused("image input is not supported").as_bytes()),
            Fault::BlindToImages => "I see nothing there.".into(),
            _ => "Red.".into(),
        },
        () if has("capital of France") => match fault {
            Fault::RefusesSchema => return stream.write_all(refused("response_format is not supported").as_bytes()),
            Fault::NoSchema => "Paris is the capital of France.".into(),
            _ => r#"{"capital": "Paris", "rivers": 1}"#.into(),
        },
        () if has("weather") => {
            let cities: &[&str] = if has("Oslo") { &["Paris", "Oslo"] } else { &["Paris"] };
            let call = |city: &&str| json!({"name": "get_weather", "arguments": {"city": city}});
            match fault {
                Fault::RefusesTools => {
                    let words = "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set";
                    return stream.write_all(refused(words).as_bytes());
                }
                Fault::CallsNothing => "It is sunny.".into(),
                Fault::CallsAsText => cities.iter().map(|city| format!("<tool_call>\n{}\n</tool_call>\n", call(city))).collect(),
                _ => {
                    let count = if fault == Fault::CallsOnce { 1 } else { cities.len() };
                    reply.calls = cities[..count].iter().map(call).collect();
                    reply.has_pieces = fault == Fault::CallsInPieces;
                    String::new()
                }
            }
        }
        () => "Hello, how are you today?".into(),
    };
    let is_sum = has("17 + 25");
    match fault {
        Fault::Thinks if is_sum => reply.text = "<think>\nIt is 42.\n</think>\n\n42".into(),
        Fault::ThinksUnopened if is_sum => reply.text = "It is 42.\n</think>\n\n42".into(),
        Fault::ThinksAside if is_sum => reply.thinking = "It is 42.".into(),
        Fault::LeaksMarkup if is_sum => reply.text = "42<|end_of_box|>".into(),
        _ => {}
    }
    stream.write_all(if fault == Fault::OnePiece { reply.whole() } else { reply.streamed() }.as_bytes())
}

#[derive(Default)]
struct Reply {
    text: String,
    thinking: String,
    calls: Vec<Value>,
    has_pieces: bool,
    read: Option<usize>,
}

impl Reply {
    fn usage(&self) -> Value {
        let written = self.text.split_whitespace().count().max(1);
        self.read.map_or(Value::Null, |read| json!({"prompt_tokens": read, "completion_tokens": written}))
    }

    fn finish(&self) -> &'static str {
        if self.calls.is_empty() { "stop" } else { "tool_calls" }
    }

    fn streamed(&self) -> String {
        let event =
            |delta: Value| format!("data: {}\n\n", json!({"choices": [{"index": 0, "finish_reason": null, "delta": delta}]}));
        let mut events = String::new();
        if !self.thinking.is_empty() {
            events += &event(json!({"reasoning_content": self.thinking}));
        }
        events.extend(self.text.split_inclusive(' ').map(|word| event(json!({"content": word}))));
        for (index, call) in self.calls.iter().enumerate() {
            let (name, arguments) = (&call["name"], call["arguments"].to_string());
            let (first, rest) = arguments.split_at(if self.has_pieces { 5 } else { arguments.len() });
            let id = format!("call_{index}");
            let function = json!({"name": name, "arguments": first});
            events += &event(json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]}));
            for piece in rest.as_bytes().chunks(5).map(|piece| String::from_utf8_lossy(piece).into_owned()) {
                events += &event(json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}));
            }
        }
        let end = json!({"choices": [{"index": 0, "finish_reason": self.finish(), "delta": {}}]});
        let usage = json!({"choices": [], "usage": self.usage()});
        sse(&format!("{events}data: {end}\n\ndata: {usage}\n\ndata: [DONE]\n\n"))
    }

    fn whole(&self) -> String {
        let calls: Vec<Value> = self
            .calls
            .iter()
            .enumerate()
            .map(|(index, call)| {
                let function = json!({"name": call["name"], "arguments": call["arguments"].to_string()});
                json!({"id": format!("call_{index}"), "type": "function", "function": function})
            })
            .collect();
        let calls = if calls.is_empty() { Value::Null } else { calls.into() };
        let message = json!({"role": "assistant", "content": self.text, "tool_calls": calls});
        let choice = json!({"index": 0, "finish_reason": self.finish(), "message": message});
        json_answer(200, &json!({"choices": [choice], "usage": self.usage()}).to_string())
    }
}
