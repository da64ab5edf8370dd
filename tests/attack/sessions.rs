//! Many calls at once with one new session id.

use std::fs;
use std::process::Child;

use serde_json::Value;

use crate::attack::rounds;
use crate::support::play::{BREAKER, SAID, SESSION, Stage, act, acts, answered, finish, init_line, overload, refused, say};
use crate::support::stub::Stub;

const CALLS: usize = 30;

/// As the played Claude tells it.
const ID: &str = SESSION;

fn calls(stage: &Stage) -> Vec<(usize, Child)> {
    let call = |number: usize| (number, stage.begin("claude", &["-p", &format!("call {number}"), "--session-id", ID]));
    (0..CALLS).map(call).collect()
}

/// The numbers of those that were answered. All others are told that the session is in use.
fn answered_of(calls: Vec<(usize, Child)>, said: &str) -> Vec<usize> {
    let mut answered = vec![];
    for (number, call) in calls {
        match finish(call) {
            (0, out, err) if (out.as_str(), err.as_str()) == ("from here\n", said) => answered.push(number),
            other => assert_eq!(other, (1, String::new(), format!("Error: Session ID {ID} is already in use.\n"))),
        }
    }
    assert!(!answered.is_empty());
    answered
}

/// The texts in the file of the session, each line of which must be whole.
fn said(stage: &Stage) -> Vec<String> {
    let folders = fs::read_dir(stage.path(".local/state/claude-failover/sessions")).unwrap().flatten();
    let files: Vec<_> = folders.map(|folder| folder.path().join(format!("{ID}.jsonl"))).filter(|file| file.exists()).collect();
    assert_eq!(files.len(), 1);
    let text = fs::read_to_string(&files[0]).unwrap();
    let records = text.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str::<Value>(line).unwrap());
    let entries = records.flat_map(|record| record["entries"].as_array().unwrap().clone());
    entries.map(|entry| entry["text"].as_str().unwrap().to_string()).collect()
}

/// Each call that was answered has its question and its answer in the session, and the session goes on.
fn is_whole(stage: &Stage, answered: &[usize]) {
    let said = said(stage);
    assert_eq!(said.len(), 2 * answered.len(), "{said:?}");
    assert_eq!(said.iter().filter(|text| *text == "from here").count(), answered.len());
    for number in answered {
        assert!(said.contains(&format!("call {number}")), "{number}: {said:?}");
    }
    stage.cmd("claude").args(&["-p", "and then?", "--resume", ID]).run().expect(0, "from here\n", "");
}

#[test]
fn on_the_local_model_they_are_answered_or_told_that_it_is_in_use() {
    let stub = Stub::answering("from here");
    for _ in 0..rounds() {
        let stage = Stage::new(&stub, &answered("fine"));
        stage.write("flag", "local\n");
        is_whole(&stage, &answered_of(calls(&stage), ""));
    }
}

/// Those that Claude has let in and then refused are answered. One that comes when the breaker is open finds the session taken.
#[test]
fn refused_by_claude_they_are_answered_or_told_that_it_is_in_use() {
    let stub = Stub::answering("from here");
    for _ in 0..rounds() {
        let stage = Stage::new(&stub, &refused());
        let answered = answered_of(calls(&stage), SAID);
        stage.write("flag", "local\n");
        is_whole(&stage, &answered);
    }
}

/// A session's id is a part of its file's name.
#[test]
fn an_id_that_leads_elsewhere_is_none() {
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &[]);
    for id in ["../../../../elsewhere", "/elsewhere", "elsewhere", "..", "$(touch elsewhere)"] {
        let mut init = init_line();
        init["session_id"] = id.into();
        stage.play(&acts(&[&[say(&init)], &overload(), &act("exit 1")]));
        let _ = fs::remove_file(stage.path(BREAKER));
        let output = stage.ask("hi");
        assert_eq!((output.code(), output.out().as_str()), (0, "from here\n"), "{id}: {output:?}");
        for folder in ["", ".local/state/claude-failover", ".local/state/claude-failover/sessions"] {
            let entries = fs::read_dir(stage.path(folder)).unwrap().flatten();
            let names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
            assert!(!names.iter().any(|name| name.contains("elsewhere") || name.ends_with("..jsonl")), "{id}: {names:?}");
        }
    }
}
