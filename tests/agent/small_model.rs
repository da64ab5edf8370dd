//! The real Claude Code on the real llama.cpp, with a model that is too small for the work and a context that is small: it fits, and it ends.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::FREE;
use crate::auto::{TODAY, claude};
use crate::real_engines::{Engine, Guard, LIMIT};
use crate::support::life::Life;
use crate::support::script::{text, tools};
use crate::support::stub::{Request, Stub};
use crate::support::{Output, node};

const CONTEXT: u64 = 8192;

/// Side by side their servers would wait for each other's cores.
static ALONE: Mutex<()> = Mutex::new(());

/// A question to the server, and what it answered.
#[derive(Clone, Debug)]
struct Exchange {
    question: Value,
    answer: String,
}

impl Exchange {
    fn is_taken(&self) -> bool {
        self.answer.starts_with("HTTP/1.1 200 ")
    }

    fn events(&self) -> impl Iterator<Item = Value> + '_ {
        self.answer.lines().filter_map(|line| serde_json::from_str(line.trim().strip_prefix("data: ")?).ok())
    }

    fn said(&self) -> String {
        let words = self.events().filter_map(|event| Some(event["choices"][0]["delta"]["content"].as_str()?.to_string()));
        words.collect::<String>().trim().into()
    }

    /// The prompt and the answer, in tokens as the server counts them.
    fn tokens(&self) -> u64 {
        self.events().filter_map(|event| event["usage"]["total_tokens"].as_u64()).last().unwrap_or_default()
    }

    fn is_summary(&self) -> bool {
        self.question["messages"]
            .as_array()
            .and_then(|messages| messages.last())
            .is_some_and(|last| text(last).contains("<summary>"))
    }
}

/// What stands between the gateway and the server, and writes down what is said.
struct Relay {
    stub: Stub,
    heard: Arc<Mutex<Vec<Exchange>>>,
}

impl Relay {
    fn new(port: u16) -> Relay {
        let heard: Arc<Mutex<Vec<Exchange>>> = Arc::default();
        let all = heard.clone();
        let stub = Stub::new(move |request, stream| {
            let answer = pass_on(request, port, stream).unwrap_or_else(|error| error.to_string());
            if request.is_chat() {
                let exchange = Exchange { question: request.json(), answer };
                all.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
            }
        });
        Relay { stub, heard }
    }

    fn heard(&self) -> Vec<Exchange> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn pass_on(request: &Request, port: u16, caller: &mut TcpStream) -> std::io::Result<String> {
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    let (line, length) = (&request.line, request.body.len());
    let kind = "Content-Type: application/json";
    write!(server, "{line}\r\nHost: 127.0.0.1\r\nConnection: close\r\n{kind}\r\nContent-Length: {length}\r\n\r\n")?;
    server.write_all(&request.body)?;
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let length = server.read(&mut piece)?;
        answer.extend_from_slice(&piece[..length]);
        if length == 0 || caller.write_all(&piece[..length]).is_err() {
            server.shutdown(Shutdown::Both)?;
            return Ok(String::from_utf8_lossy(&answer).into());
        }
    }
}

/// A home whose server runs behind the relay, and gives answers of this form.
fn running(form: &Value) -> (Life, Relay) {
    let mut life = Engine::Llama.life_with(&format!("--ctx {CONTEXT}"));
    let (bin, program) = (life.path("bin"), claude(TODAY));
    life.set_path(&[bin, program.parent().unwrap().into(), node(), "/usr/bin".into(), "/bin".into()]);
    for (key, value) in [("IS_SANDBOX", "1"), ("DISABLE_AUTOUPDATER", "1"), ("TERM", "xterm")] {
        life.set(key, value);
    }
    life.write("work/CLAUDE.md", "Be kind to whales.\n");
    life.cmd("llm-failover").args(&["-q", "local"]).dir(life.path("work")).limit(LIMIT).run().expect(0, "", "");
    let relay = Relay::new(life.port);
    life.set("LOCAL_LLM_URL", relay.stub.url());
    life.set("LLM_SUPERVISOR", "none");
    life.set("LOCAL_LLM_EXTRA_BODY", form.to_string());
    (life, relay)
}

/// What always holds, whatever such a model says: nothing was sent that does not fit, and the end is clear.
#[track_caller]
fn check(output: &Output, result: &Value, heard: &[Exchange]) {
    assert_eq!(result["type"], "result", "{output:?}");
    let said = result["result"].as_str().unwrap_or_default().trim();
    assert_eq!((output.code(), said.is_empty()), (i32::from(result["is_error"] == true), false), "{output:?}");
    assert!(result["is_error"] == false || said.starts_with("API Error: "), "{output:?}");
    for exchange in heard {
        let fits = exchange.is_taken() && (1..=CONTEXT).contains(&exchange.tokens());
        assert!(fits, "{} {}", exchange.question, exchange.answer.lines().next().unwrap_or_default());
        let offered = tools(&exchange.question);
        assert!(["Bash", "Read", "Edit", "Write"].iter().all(|tool| offered.contains(tool)), "{offered:?}");
        assert!(!offered.contains(&"Workflow"), "{offered:?}");
        assert!(exchange.question["messages"].to_string().contains("Be kind to whales."), "{}", exchange.question);
    }
}

#[test]
fn a_session_begins_lean_and_ends() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // An answer that ends, and one that does not.
    for form in [
        json!({"temperature": 0, "stop": ["\n"], "max_tokens": 200}),
        json!({"temperature": 0, "max_tokens": 24, "ignore_eos": true}),
    ] {
        let (life, relay) = running(&form);
        let _guard = Guard(&life);
        let args = ["-p", "Say hello.", FREE, "--output-format", "json"];
        let output = life.cmd("claude").args(&args).dir(life.path("work")).limit(LIMIT).run();
        let result = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let heard = relay.heard();
        check(&output, &result, &heard);
        // Lean instructions leave the context to the work. Claude Code asks three times for the rest of an answer that was cut off.
        assert!((1..=4).contains(&heard.len()) && heard[0].tokens() < CONTEXT / 4, "{} {}", heard.len(), heard[0].tokens());
        assert!(output.err().contains("its context of 8192 tokens holds short instructions"), "{output:?}");
        assert!(!heard[0].said().is_empty());
    }
}

/// So many lines, each of which is another.
fn log(days: std::ops::Range<u32>) -> String {
    days.map(|day| format!("On day {day} the ship went {} miles to the north, and the crew saw whales.\n", day * 7 % 90))
        .collect()
}

#[test]
#[ignore = "reads twenty thousand tokens on the processor: for when what the gateway keeps of a conversation changes"]
fn a_conversation_that_is_longer_than_the_context_is_compacted() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (life, relay) = running(&json!({"temperature": 0, "stop": ["."], "max_tokens": 200}));
    let _guard = Guard(&life);
    let line = |text: String| json!({"type": "user", "message": {"role": "user", "content": text}}).to_string();
    life.write("work/1", line(log(0..160) + "What did the crew see?") + "\n");
    life.write("work/2", line(log(160..360) + "And what did it see then?") + "\n");
    let formats = "--input-format stream-json --output-format stream-json --verbose";
    let talk = format!(
        "{{ cat 1; until grep -q '\"type\":\"result\"' out; do sleep 0.1; done; cat 2; }} | claude -p {formats} {FREE} >out"
    );
    life.write("work/out", "");
    let output = life.cmd("/bin/sh").args(&["-c", &talk]).dir(life.path("work")).limit(4 * LIMIT).run();
    let said = std::fs::read_to_string(life.path("work/out")).unwrap();
    let messages: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let heard = relay.heard();
    check(&output, messages.last().unwrap(), &heard);
    let results = messages.iter().filter(|message| message["type"] == "result").count();
    let compacted = messages.iter().filter(|message| message["subtype"] == "compact_boundary").count();
    assert_eq!((results, compacted), (2, 1), "{said}");
    let at = heard.iter().position(Exchange::is_summary).expect("a summary");
    // The server has read most of it before.
    let (before, summary) = (&heard[at - 1], &heard[at]);
    assert!(
        summary.tokens() > before.tokens() && summary.tokens() - before.tokens() < CONTEXT / 8,
        "{} {}",
        before.tokens(),
        summary.tokens()
    );
    let next = heard[at + 1].question["messages"].to_string();
    let words = summary.said();
    let used = if words.is_empty() { "The local model wrote no summary." } else { words.split('\n').next().unwrap() };
    assert!(next.contains(used) && next.contains("On day 300 ") && !next.contains("On day 100 "), "{used:?} {next}");
}
