//! The doctor with the real Claude Code and the real llama.cpp.

use serde_json::Value;

use crate::real_cli::real;
use crate::real_engines::{Engine, LIMIT};

/// A small model fails at much of it, and how much is read in time depends on the machine. What is tried does not.
#[test]
fn each_check_is_made_of_a_real_server_and_nothing_is_left() {
    let mut life = Engine::Llama.life();
    life.set("CLAUDE_BIN", real());
    let output = life.cmd("llm-failover").args(&["doctor", "--json", "--limit", "2"]).limit(LIMIT).run();
    let told: Value = serde_json::from_str(&output.out()).expect("JSON");
    let checks = told["checks"].as_array().expect("a list");
    let state = |id: &str| checks.iter().find(|check| check["id"] == id).map_or("none", |check| check["state"].as_str().unwrap());
    for id in ["path", "links", "claude", "claude-version", "server", "answers", "memory", "drill"] {
        assert_eq!(state(id), "ok", "{id}: {told}");
    }
    for id in ["speed", "first-turn", "context", "tools", "streaming", "leaks", "images", "schema"] {
        assert_ne!(state(id), "none", "{id}: {told}");
    }
    let figures = |id: &str| checks.iter().find(|check| check["id"] == id).map(|check| &check["figures"]).unwrap();
    assert_eq!(figures("context")["told"], 8192.0, "{told}");
    assert!(figures("memory")["taken_gib"].as_f64() > Some(0.05), "{told}");
    assert!(!life.path(".local/state/claude-failover/ledger.jsonl").exists());
    life.assert_nothing_runs();
}
