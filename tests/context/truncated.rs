//! A prompt of which the server has read only a part: what a plain answer says of that.

use std::fs;

use serde_json::{Value, json};

use super::{MEMORY, Played, home, known, list, long, says};
use crate::support::Sandbox;

const LEDGER: &str = ".local/state/claude-failover/ledger.jsonl";

fn ledger(sandbox: &Sandbox) -> Vec<Value> {
    let lines = fs::read_to_string(sandbox.path(LEDGER)).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn warning(read: u64, mend: &str) -> String {
    format!(
        "claude: warning: the local server has read {read} of about 10100 tokens, and dropped the rest: {mend}, or tell its context \
         with LOCAL_LLM_CONTEXT\n"
    )
}

#[test]
fn the_answer_stands_with_a_warning() {
    let any = "raise the server's context (OLLAMA_CONTEXT_LENGTH for Ollama, --ctx-size for llama.cpp)";
    let ollama = "set OLLAMA_CONTEXT_LENGTH where Ollama runs";
    let lm_studio = "raise the model's context length in LM Studio's settings";
    let table = [(json!(null), 4096, any), (json!("library"), 2050, ollama), (json!("organization_owner"), 8192, lm_studio)];
    for (owner, read, mend) in table {
        let running = json!({"models": [{"name": "m:1b", "context_length": 32768}]});
        let pages = vec![list(json!([{"id": "m:1b", "owned_by": owner}])), says("GET /api/ps", running)];
        let mut sandbox = home("", Some("m:1b"));
        let server = Played::noting(pages, Some(sandbox.path(MEMORY)));
        sandbox.set("LOCAL_LLM_URL", server.url());
        // From here on it is known which server that is.
        known(&sandbox);
        fs::remove_file(sandbox.path(LEDGER)).unwrap();
        server.reads(read);
        let ask = |prompt: String| sandbox.cmd("claude").arg("-p").stdin(prompt).run();
        ask(long(11_000)).expect(0, "ok\n", &warning(read, mend));
        let last = ledger(&sandbox).pop().unwrap();
        assert_eq!((&last["truncated"], &last["input_tokens"], &last["exit"]), (&json!(true), &json!(read), &json!(0)));
        // The same count is right for a shorter one, and for one that was read whole.
        ask(long(900)).expect(0, "ok\n", "");
        server.reads(11_500);
        ask(long(11_000)).expect(0, "ok\n", "");
        let marks: Vec<Value> = ledger(&sandbox).iter().map(|entry| entry["truncated"].clone()).collect();
        assert_eq!(marks, [json!(true), json!(null), json!(null)], "{mend}");
        let table = sandbox.cmd("llm-failover").arg("log").run().out();
        assert_eq!(table.lines().filter(|line| line.ends_with("truncated")).count(), 1, "{table}");
    }
}

/// Many servers do not count, or not what they have in their cache.
#[test]
fn a_server_that_does_not_count_is_not_accused() {
    let server = Played::new(vec![]);
    let sandbox = home(&server.url(), Some("m"));
    for read in [0, 1, 5, 317, 13_000, u64::from(u32::MAX)] {
        server.reads(read);
        sandbox.cmd("claude").arg("-p").stdin(long(11_000)).run().expect(0, "ok\n", "");
    }
}
