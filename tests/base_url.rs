//! Calls that Claude Code's environment leads to a local server already, as `ollama launch claude` does: the real Claude gets them as they are.

use std::io::{BufRead, BufReader};

use crate::support::stub::Stub;
use crate::support::{Sandbox, free_port, kill_group};

/// Says which arguments it has, and where its questions go.
const WHERE: &str = "#!/bin/sh\necho \"$# $1 $2 $3 $4: $ANTHROPIC_BASE_URL\"\n";

const QUESTION: [&str; 4] = ["--model", "qwen3", "-p", "hi"];

/// A sandbox whose local servers are at these addresses, and whose Claude says where it would ask.
fn sandbox(servers: &[&str]) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let claude = sandbox.script("real/claude", WHERE);
    sandbox.set("CLAUDE_BIN", claude);
    sandbox.set("LLM_SUPERVISOR", "none");
    sandbox.set("ANTHROPIC_AUTH_TOKEN", "ollama");
    for (name, url) in ["LOCAL_LLM_URL", "LOCAL_LLM_URL_2"].iter().zip(servers) {
        sandbox.set(name, url);
    }
    sandbox
}

/// Whether the real Claude gets the call as it is.
#[track_caller]
fn is_left_alone(sandbox: &Sandbox, url: &str) -> bool {
    let output = sandbox.cmd("claude").args(&QUESTION).env("ANTHROPIC_BASE_URL", url).run();
    output.code() == 0 && output.out() == format!("4 --model qwen3 -p hi: {url}\n") && output.err().is_empty()
}

#[test]
fn one_of_our_own_servers_by_any_of_its_names() {
    let sandbox = sandbox(&["http://127.0.0.1:11434/v1", "https://models.example/v1/chat/completions"]);
    let own = [
        "http://127.0.0.1:11434",
        "http://127.0.0.1:11434/",
        "http://localhost:11434",
        "http://[::1]:11434",
        "http://0.0.0.0:11434",
        "https://models.example",
        "https://Models.Example:443/anthropic",
    ];
    for backend in ["claude", "local", "auto"] {
        sandbox.switch(backend);
        for url in own {
            assert!(is_left_alone(&sandbox, url), "{backend} {url}");
        }
    }
}

/// Another address is Anthropic to us: `auto` watches that Claude, and `local` has its own model answer.
#[test]
fn any_other_address_changes_nothing() {
    let stub = Stub::answering("from here");
    let sandbox = sandbox(&[&stub.url()]);
    let others = ["http://127.0.0.1:9", "http://localhost", "http://gateway.example:8080", "no address", ""];
    for url in others {
        sandbox.switch("claude");
        assert!(is_left_alone(&sandbox, url), "{url}");
        sandbox.switch("local");
        let call = |args: &[&str]| sandbox.cmd("claude").args(args).env("ANTHROPIC_BASE_URL", url).run();
        call(&QUESTION).expect(0, "from here\n", "");
        sandbox.switch("auto");
        let output = call(&QUESTION);
        assert!(output.out().starts_with("7 --output-format stream-json --verbose"), "{url}: {output:?}");
        // What needs no model goes to Claude in any case.
        call(&["mcp", "list"]).expect(0, &format!("2 mcp list  : {url}\n"), "");
    }
}

#[test]
fn a_server_by_its_port_alone() {
    let port = free_port().to_string();
    let mut sandbox = sandbox(&[]);
    sandbox.set("LLM_PORT", &port);
    sandbox.switch("local");
    assert!(is_left_alone(&sandbox, &format!("http://localhost:{port}")));
    // An address of ours that cannot be used is none.
    sandbox.set("LOCAL_LLM_URL", "nonsense");
    assert!(!is_left_alone(&sandbox, &format!("http://localhost:{port}")));
}

#[test]
fn a_gateway_of_ours_while_it_runs() {
    let stub = Stub::answering("from here");
    let sandbox = sandbox(&[&stub.url()]);
    sandbox.switch("local");
    // What an earlier one has left says nothing, and goes.
    sandbox.write(".local/state/claude-failover/gateways/1", "1 never\n");
    let mut gateway = sandbox.cmd("llm-failover").arg("gateway").spawn();
    let mut line = String::new();
    BufReader::new(gateway.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let url = line.trim().strip_prefix("export ANTHROPIC_BASE_URL=").expect("an address");
    let by_name = url.replace("127.0.0.1", "localhost");
    for backend in ["claude", "local", "auto"] {
        sandbox.switch(backend);
        assert!(is_left_alone(&sandbox, url) && is_left_alone(&sandbox, &by_name), "{backend}");
    }
    assert!(!sandbox.path(".local/state/claude-failover/gateways/1").exists());
    kill_group(&mut gateway);
    sandbox.switch("local");
    assert!(!is_left_alone(&sandbox, url));
}
