//! The line that an agent leaves in the ledger: why, on which model, how many tokens, and how it ended.

use std::fs;

use serde_json::{Value, json};

use super::{FREE, Home, VERSIONS, done};
use crate::auto::{each_of_a_share, same};
use crate::support::script::{Manner, calls};

#[test]
fn an_agents_line_has_reason_model_tokens_and_exit() {
    each_of_a_share(&VERSIONS, 3, |version| {
        let mut home = Home::new(*version);
        let model = home.plays(Manner::Pieces, [calls(&[("Bash", json!({"command": "true"}))]), done()]);
        let output = home.ask("do it", &[FREE]).run();
        same("exit", 0, output.code())?;
        let text = fs::read_to_string(home.sandbox.path(".local/state/claude-failover/ledger.jsonl")).unwrap_or_default();
        let entries: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        same("lines", 1, entries.len())?;
        let entry = &entries[0];
        let told = ["route", "verdict", "backend", "model", "exit"].map(|key| entry[key].clone());
        same("line", [json!("agent"), json!("switch"), json!("local"), json!("tiny"), json!(0)], told)?;
        let asked = model.questions().len() as u64;
        let [input, output] = ["input_tokens", "output_tokens"].map(|key| entry[key].as_u64().unwrap_or_default());
        same("tokens of all answers", true, asked >= 2 && input >= asked && output >= asked)
    });
}
