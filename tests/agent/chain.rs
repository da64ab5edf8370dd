//! More than one local model behind an agent.

use std::fs;

use serde_json::{Value, json};

use super::{CONTEXT, DONE, FREE, Home, VERSIONS, done};
use crate::auto::{TODAY, each_of_a_share, same};
use crate::chain::NOBODY;
use crate::support::script::{Manner, Reply, Script, calls, results};
use crate::support::stub::Request;

const BOTH: &str = "LOCAL_LLM_URL_2";

/// The lines of the ledger about local models that are not the first.
fn notes(home: &Home) -> Vec<Value> {
    let ledger = fs::read_to_string(home.sandbox.path(".local/state/claude-failover/ledger.jsonl")).unwrap_or_default();
    let lines = ledger.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line.get("server").is_some()).collect()
}

#[test]
fn the_next_one_goes_on_with_the_work() {
    each_of_a_share(&VERSIONS, 3, |&version| {
        let mut home = Home::new(version);
        // After the first call it is gone: its connections end without a word.
        let gone = || Reply::Cut(String::new());
        let run = |command: &str| calls(&[("Bash", json!({"command": command, "description": "says it"}))]);
        let first = home.plays(Manner::Pieces, [run("echo one"), gone(), gone(), gone()]);
        let second = Script::new(Manner::Whole, CONTEXT, [run("echo two"), done()]);
        home.sandbox.set(BOTH, second.url());
        home.sandbox.set("LOCAL_LLM_MODEL_2", "second");
        let output = home.ask("say both", &[FREE]).run();
        same("the end", (0, format!("{DONE}\n")), (output.code(), output.out()))?;
        let said = format!("claude-failover: answered by `second` at {}: the first local model cannot be reached", second.url());
        same("said once", 1, output.err().matches(&said).count()).map_err(|fault| format!("{fault}: {}", output.err()))?;
        let questions = second.questions();
        same(
            "what came of the calls",
            [vec!["one".to_string()], vec!["two".into()]],
            [results(&questions[0]), results(&questions[1])],
        )?;
        // It was not waited for a second time.
        same("questions to the first", 2, first.questions().len())?;
        let told: Vec<Value> =
            notes(&home).into_iter().map(|note| json!([note["model"], note["server"], note["route"]])).collect();
        // The agent's own line comes at its end.
        let lines = ["gateway", "agent"].map(|route| json!(["second", second.url(), route]));
        same("ledger", lines.to_vec(), told)?;
        home.is_left_clean()
    });
}

#[test]
fn an_agent_runs_where_the_first_is_away_from_the_beginning() {
    let mut home = Home::new(TODAY);
    let second = Script::new(Manner::Pieces, CONTEXT, [done()]);
    home.sandbox.set("LOCAL_LLM_URL", NOBODY);
    home.sandbox.set(BOTH, second.url());
    home.sandbox.set("LOCAL_LLM_MODEL_2", "second");
    let output = home.ask("do it", &[FREE, "--output-format", "stream-json", "--verbose"]).run();
    assert_eq!(output.code(), 0, "{}{}", output.out(), output.err());
    let lines: Vec<Value> = output.out().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let answer = lines.iter().find(|line| line["type"] == "assistant").unwrap();
    assert!(answer["message"]["model"].as_str().is_some_and(|model| model.starts_with("second (local, not ")), "{answer}");
}

/// The first one holds the lean request alone. Claude Code must not compact for its sake what the second one holds.
#[test]
fn a_larger_context_gets_all_of_the_instructions() {
    let mut home = Home::new(TODAY);
    let first = home.plays_in(6000, Manner::Pieces, []);
    let second = Script::new(Manner::Pieces, CONTEXT, [done()]);
    home.sandbox.set(BOTH, second.url());
    home.sandbox.set("LOCAL_LLM_MODEL_2", "second");
    let output = home.ask("do it", &[FREE]).run();
    assert_eq!((output.code(), output.out()), (0, format!("{DONE}\n")), "{}", output.err());
    assert_eq!(first.questions().len(), 0);
    let question = second.questions().remove(0);
    assert!(question["messages"][0].to_string().len() > 5000, "{question}");
    assert!(output.err().contains("the first local model cannot hold the conversation"), "{}", output.err());
    assert!(!output.err().contains("short instructions"), "{}", output.err());
}

#[test]
fn the_small_model_gets_the_small_work() {
    each_of_a_share(&VERSIONS, 3, |&version| {
        let mut home = Home::new(version);
        home.sandbox.set("LOCAL_LLM_SMALL_MODEL", "small");
        let model = home.plays(Manner::Pieces, [done(), done()]);
        let output = home.ask("do it", &[FREE, "--model", "haiku"]).run();
        same("the end", (0, format!("{DONE}\n")), (output.code(), output.out()))
            .map_err(|fault| format!("{fault} {}", output.err()))?;
        same("haiku", &json!("small"), &model.questions()[0]["model"])?;
        let output = home.ask("do it", &[FREE]).run();
        same("the end", (0, format!("{DONE}\n")), (output.code(), output.out()))?;
        same("the other", &json!("tiny"), &model.questions()[1]["model"])?;
        let asked = model.seen().into_iter().filter(Request::is_chat).map(|request| request.json());
        let titles: Vec<Value> = asked.filter(|question| question.to_string().contains(" title for the following ")).collect();
        same("a title", version == (1, 0, 128), !titles.is_empty())?;
        same("titles of the small model", true, titles.iter().all(|question| question["model"] == "small"))?;
        home.is_left_clean()
    });
}
