//! The real Claude Code, whose instructions and tools a server has dropped.

use std::fs;

use serde_json::{Value, json};

use super::super::{Played, list};
use crate::auto::{self, TODAY};
use crate::real_cli;
use crate::support::stub::Stub;
use crate::support::{Output, Sandbox, node};

const LEDGER: &str = ".local/state/claude-failover/ledger.jsonl";

fn home(server: &Played, net: &Stub) -> Sandbox {
    let mut sandbox = real_cli::sandbox(net);
    for key in ["CLAUDE_BIN", "CLAUDE_CODE_MAX_RETRIES"] {
        sandbox.unset(key);
    }
    let folder = auto::claude(TODAY).parent().expect("a folder").to_path_buf();
    sandbox.set_path(&[sandbox.path("bin"), folder, node(), "/usr/bin".into(), "/bin".into()]);
    sandbox.set("IS_SANDBOX", "1");
    sandbox.set("LOCAL_LLM_URL", server.url());
    sandbox.switch("local");
    sandbox
}

fn ask(sandbox: &Sandbox, format: &str) -> Output {
    let args = ["-p", "do it", "--dangerously-skip-permissions", "--output-format", format, "--verbose"];
    sandbox.cmd("claude").args(&args).limit(120).run()
}

#[test]
fn the_call_fails_and_says_why() {
    const LINE: &str = "the local server has read 4096 of about";
    let server = Played::new(vec![list(json!([{"id": "m"}]))]);
    server.reads(4096);
    let net = Stub::raw("HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n");
    // Once it is known that the model does not begin with thinking, Claude Code has got the text before the error.
    for (format, is_streamed) in [("text", false), ("text", true), ("json", false), ("stream-json", true)] {
        let sandbox = home(&server, &net);
        if is_streamed {
            server.reads(5);
            sandbox.cmd("claude").args(&["-p", "hi"]).env("LOCAL_LLM_AGENT", "never").run().expect(0, "ok\n", "");
            fs::remove_file(sandbox.path(LEDGER)).unwrap();
            server.reads(4096);
        }
        let before = server.chats().len();
        let output = ask(&sandbox, format);
        assert_ne!(output.code(), 0, "{format}: {output:?}");
        let asked = server.chats().len() - before;
        assert!((1..=3).contains(&asked), "{format}: it is not asked again and again: {asked}");
        assert!(output.out().contains(LINE) && output.out().contains("OLLAMA_CONTEXT_LENGTH"), "{format}: {}", output.out());
        let said = output.err();
        assert_eq!(said.matches(LINE).count(), 1, "{format}: {said}");
        let ledger = fs::read_to_string(sandbox.path(LEDGER)).unwrap();
        let entries: Vec<Value> = ledger.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [note, agent] = entries.as_slice() else { panic!("{ledger}") };
        assert_eq!((&agent["route"], &agent["truncated"]), (&json!("agent"), &json!(null)));
        let marks = (&note["route"], &note["truncated"], &note["input_tokens"], &note["model"]);
        assert_eq!(marks, (&json!("gateway"), &json!(true), &json!(4096), &json!("m")));
        let counted = sandbox.cmd("llm-failover").args(&["log", "--since", "1h"]).run();
        assert_eq!(counted.out(), "1 call, 1 answered locally\n", "a note is no call");
    }
}

/// A template that renders no tools makes a prompt short, too.
#[test]
fn what_was_read_whole_is_answered() {
    for read in [4180, 12_409] {
        let server = Played::new(vec![list(json!([{"id": "m"}]))]);
        server.reads(read);
        let net = Stub::raw("HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n");
        let sandbox = home(&server, &net);
        let output = ask(&sandbox, "text");
        assert_eq!((output.code(), output.out()), (0, "ok\n".to_string()), "{read}: {}", output.err());
        assert!(!output.err().contains("has read"), "{}", output.err());
    }
}
