//! All that a local server can do wrong, for every format, at every place where it is asked. What comes is one answer or one failure of
//! the right form, soon, and nothing but a few words beside it.
//!
//! A run of all tests tries one format for each fault at each place, chosen by a number that a failure tells; `SEED` repeats it.
//! `ROUNDS=5` tries all.

#[path = "server_faults/faults.rs"]
mod faults;
#[path = "server_faults/judge.rs"]
mod judge;
#[path = "server_faults/server.rs"]
mod server;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::json;

use self::faults::faults;
use self::judge::{judge_call, judge_reply};
use self::server::{Fault, Outcome, serve};
use super::rounds;
use crate::gateway::Gateway;
use crate::support::Output;
use crate::support::play::{Stage, act, acts, refused};

/// What must not get out of the request: the prompt, and keys.
const PROMPT: &str = "prompt-of-the-user";
const LOCAL_KEY: &str = "key-of-the-local-server";
const CLAUDES_KEY: &str = "sk-ant-key-of-the-user";
const SECRETS: [&str; 3] = [PROMPT, LOCAL_KEY, CLAUDES_KEY];

/// What a sound answer says.
const TEXT: &str = "from here";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Json,
    Stream,
    Partials,
    StreamInput,
}

const FORMATS: [Format; 5] = [Format::Text, Format::Json, Format::Stream, Format::Partials, Format::StreamInput];

impl Format {
    fn args(self) -> &'static [&'static str] {
        match self {
            Format::Text => &["-p", PROMPT],
            Format::Json => &["-p", PROMPT, "--output-format", "json"],
            Format::Stream => &["-p", PROMPT, "--output-format", "stream-json", "--verbose"],
            Format::Partials => &["-p", PROMPT, "--output-format", "stream-json", "--verbose", "--include-partial-messages"],
            Format::StreamInput => &["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The switch is at `local`.
    Local,
    /// It is at `auto`, and Claude is known to be away.
    Open,
    /// It is at `auto`, and Claude refuses the call.
    Refused,
}

const PLACES: [Place; 3] = [Place::Local, Place::Open, Place::Refused];

fn call(fault: &Fault, format: Format, place: Place) -> (Stage, Output) {
    let mut stage = Stage::bare();
    stage.set("LOCAL_LLM_URL", fault.serve());
    stage.set("LOCAL_LLM_API_KEY", LOCAL_KEY);
    stage.set("ANTHROPIC_API_KEY", CLAUDES_KEY);
    stage.set("LOCAL_LLM_RETRIES", "0");
    stage.set("LOCAL_LLM_IDLE_TIMEOUT", "1");
    let reads = if format == Format::StreamInput { act("line") } else { vec![] };
    stage.play(&acts(&[&reads, &refused()]));
    match place {
        Place::Local => drop(stage.write("flag", "local\n")),
        Place::Open => stage.open_breaker(false),
        Place::Refused => {}
    }
    let message = json!({"type": "user", "message": {"role": "user", "content": PROMPT}});
    let cmd = stage.cmd("claude").args(format.args()).limit(60);
    let cmd = if format == Format::StreamInput { cmd.stdin(format!("{message}\n")) } else { cmd };
    let output = cmd.run();
    (stage, output)
}

/// A number for this run.
fn seed() -> u64 {
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos().into();
    std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(now)
}

#[test]
fn calls() {
    let seed = seed();
    println!("SEED={seed}");
    let faults = faults();
    let mut cells = Vec::new();
    for (number, fault) in faults.iter().enumerate() {
        for (at, place) in PLACES.into_iter().enumerate() {
            // Another format for each, so that one run has them all often.
            let first = (seed as usize).wrapping_add(number * 7 + at * 2);
            cells.extend((0..rounds().min(FORMATS.len())).map(|more| (fault, FORMATS[(first + more) % FORMATS.len()], place)));
        }
    }
    let (left, wrong) = (Mutex::new(cells.iter()), Mutex::new(Vec::new()));
    let next = || left.lock().unwrap().next();
    let work = || {
        while let Some((fault, format, place)) = next() {
            let (stage, output) = call(fault, *format, *place);
            if let Err(why) = judge_call(&stage, fault, *format, *place, &output) {
                let (code, out, err) = (output.code(), output.out(), output.err());
                wrong.lock().unwrap().push(format!("{}, {format:?}, {place:?}: {why}\n{code}\n{out}\n{err}", fault.name));
            }
        }
    };
    // Some of them wait for a second.
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {} with SEED={seed}:\n\n{}", wrong.len(), cells.len(), wrong.join("\n\n"));
}

/// One gateway for all of them: what one answer has done to it, the next ones would show.
#[track_caller]
fn try_gateway(is_streamed: bool) {
    let faults: Vec<Arc<Fault>> =
        faults().into_iter().filter(|fault| fault.outcome != Outcome::Unreachable).map(Arc::new).collect();
    let current = Arc::new(Mutex::new(faults[0].clone()));
    let url = serve(current.clone());
    let settings = [("LOCAL_LLM_RETRIES", "0"), ("LOCAL_LLM_IDLE_TIMEOUT", "1"), ("LOCAL_LLM_API_KEY", LOCAL_KEY)];
    let gateway = Gateway::with(&url, &settings);
    let request = json!({"model": "claude-opus-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": PROMPT}]});
    let mut wrong = Vec::new();
    for fault in &faults {
        *current.lock().unwrap() = fault.clone();
        let reply = if is_streamed { gateway.ask_for_stream(&request) } else { gateway.ask(&request) };
        if let Err(why) = judge_reply(fault, is_streamed, &reply) {
            wrong.push(format!("{}: {why}\n{reply:?}", fault.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n\n{}", wrong.len(), faults.len(), wrong.join("\n\n"));
}

#[test]
fn streams_of_the_gateway() {
    try_gateway(true);
}

#[test]
fn messages_of_the_gateway() {
    try_gateway(false);
}

/// Longer than any of them may take.
const LONG: Duration = Duration::from_secs(120);
