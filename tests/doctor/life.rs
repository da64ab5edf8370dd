//! A server that the doctor starts for its trials, and one that is slow.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::stub_model::{Fault, Program, model};
use super::{doctor, healthy, lines, without_numbers};
use crate::support::life::Life;
use crate::support::{until, wait};

/// How long a doctor may take on a busy machine, in seconds.
const LIMIT: u64 = 120;

#[test]
fn a_server_that_was_down_is_started_tried_and_stopped_again() {
    let mut life = Life::new("ok");
    life.set("CLAUDE_BIN", "/no/such/claude");
    let output = life.cmd("llm-failover").arg("doctor").limit(LIMIT).run();
    assert_eq!((output.code(), output.err()), (1, life.waiting("llm-failover")), "{}", output.out());
    let told: Vec<String> = lines(&output, &["server", "answers"]).iter().map(|line| without_numbers(line)).collect();
    assert_eq!(told.len(), 2, "{}", output.out());
    assert!(
        told[0].starts_with("ok server down (lazy): child starts it at http://N:N when") && told[1].starts_with("ok answers "),
        "{told:?}"
    );
    assert_eq!(life.started().len(), 1);
    life.assert_nothing_runs();
    assert!(!life.path(".local/state/claude-failover/ledger.jsonl").exists());
}

#[test]
fn a_server_that_does_not_come_up_is_told_of() {
    let mut life = Life::bare();
    life.set("LLM_SERVER_CMD", "echo no such model >&2; exit 3");
    let output = life.cmd("llm-failover").arg("doctor").limit(LIMIT).run();
    let told = lines(&output, &["answers"]).concat();
    assert!(told.starts_with("problem answers the local server did not come up: ") && told.contains(" → "), "{told}");
    life.assert_nothing_runs();
}

#[test]
fn an_interrupted_doctor_gives_the_memory_back() {
    // One is interrupted while the server loads, and one while it does not answer a trial.
    for (mode, signal) in [("slow", Signal::SIGINT), ("mlx", Signal::SIGTERM)] {
        let life = Life::new(mode);
        let said = life.path("said");
        let mut cmd = life.cmd("llm-failover").arg("doctor");
        let mut child = cmd.command().stdout(fs::File::create(&said).unwrap()).stderr(Stdio::null()).spawn().unwrap();
        life.wait_for_start();
        until(LIMIT, "the machine is told of", || fs::read_to_string(&said).unwrap().contains("server "));
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        let status = wait(&mut child, Duration::from_secs(LIMIT)).expect("an end");
        assert_eq!(status.signal(), Some(signal as i32), "{mode}: {status}");
        life.assert_nothing_runs();
    }
}

#[test]
fn of_a_slow_server_there_are_figures() {
    let stub = model(Program::Llama(65_536), Fault::Slow);
    let mut sandbox = healthy();
    sandbox.set("LOCAL_LLM_URL", stub.url());
    let output = doctor(&sandbox, &["--limit", "6"]);
    let told: Vec<String> = lines(&output, &["first-turn", "context"]).iter().map(|line| without_numbers(line)).collect();
    assert_eq!(
        told,
        [
            "ok first-turn the first word of an agent would come, by the speed of reading, after N s (N tokens of instructions)",
            "ok context N tokens, as the server says; N tokens were read, as many as fit into the time, and the model knows what stood at \
             their front"
        ]
    );
}
