//! The prompts of a session at a terminal that have no answer yet. Claude Code loses them when it is ended: those that wait in its queue,
//! and the one that it was asking Claude for the first time.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde_json::Value;

use crate::claude_code::transcript::{lines_from_end, open};

/// How many lines are looked at, from the end.
const MOST_LINES: usize = 1000;

/// How messages of the user begin that ask for no answer: an interrupted turn, and what a command or a shell line has printed.
const NO_QUESTION: [&str; 5] = ["[Request interrupted", "<local-command-", "<command-", "<bash-", "Caveat:"];

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Unanswered {
    /// Whether Claude Code is at a turn.
    pub is_at_work: bool,
    /// The oldest first.
    pub prompts: Vec<String>,
}

/// By the end of the session's transcript.
pub(crate) fn read(transcript: &Path) -> Unanswered {
    open(transcript).map(|file| of(lines_from_end(file).take(MOST_LINES))).unwrap_or_default()
}

/// `lines`: the newest first.
fn of(lines: impl Iterator<Item = Vec<u8>>) -> Unanswered {
    let mut found = Unanswered::default();
    let (mut taken, mut is_turn_known) = (0, false);
    let mut asked = None;
    let lines: Vec<Value> = lines.filter_map(|line| serde_json::from_slice(&line).ok()).collect();
    let answered = answered(&lines);
    for line in &lines {
        if line["uuid"].as_str().is_some_and(|id| answered.contains(id)) {
            continue;
        }
        let kind = line["type"].as_str().unwrap_or_default();
        match (kind, line["operation"].as_str().unwrap_or_default()) {
            ("queue-operation", "enqueue") if taken > 0 => taken -= 1,
            ("queue-operation", "enqueue") => found.prompts.extend(line["content"].as_str().map(str::to_string)),
            ("queue-operation", "popAll") => taken = usize::MAX,
            ("queue-operation", _) => taken += usize::from(taken < usize::MAX),
            ("user" | "assistant", _) if !is_turn_known && line["isSidechain"] != true && line["isMeta"] != true => {
                is_turn_known = true;
                let content = &line["message"]["content"];
                let has = |kind: &str| content.as_array().is_some_and(|blocks| blocks.iter().any(|block| block["type"] == kind));
                let question = question(content).filter(|_| kind == "user");
                found.is_at_work = question.is_some() || has("tool_result") || has("tool_use");
                asked = question;
            }
            _ => {}
        }
    }
    found.prompts.extend(asked);
    found.prompts.reverse();
    found
}

/// The ids of the lines before each answer. 2.1.78 may write a question behind its answer.
fn answered(lines: &[Value]) -> HashSet<&str> {
    let parents: HashMap<&str, &str> =
        lines.iter().filter_map(|line| Some((line["uuid"].as_str()?, line["parentUuid"].as_str()?))).collect();
    let mut answered = HashSet::new();
    for answer in lines.iter().filter(|line| line["type"] == "assistant") {
        let mut next = answer["parentUuid"].as_str();
        while let Some(id) = next.filter(|id| answered.insert(*id)) {
            next = parents.get(id).copied();
        }
    }
    answered
}

/// The text of a prompt.
fn question(content: &Value) -> Option<String> {
    let text = match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
            texts.join("\n\n")
        }
        _ => return None,
    };
    let is_question = !text.trim().is_empty() && !NO_QUESTION.iter().any(|beginning| text.trim_start().starts_with(beginning));
    is_question.then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn prompts_that_wait() {
        let user = |content: Value| json!({"type": "user", "message": {"role": "user", "content": content}});
        let said = |content: Value| json!({"type": "assistant", "message": {"role": "assistant", "content": content}});
        let text = |text: &str| json!([{"type": "text", "text": text}]);
        let queue =
            |operation: &str, content: &str| json!({"type": "queue-operation", "operation": operation, "content": content});
        let (hello, answer) = (user(json!("hello")), said(text("Hello.")));
        let tool_use = json!([{"type": "tool_use", "id": "t", "name": "Bash", "input": {}}]);
        let tool_result = json!([{"type": "tool_result", "tool_use_id": "t", "content": "done"}]);
        let noise = json!({"type": "system", "subtype": "turn_duration"});
        let idle = |lines: Vec<Value>| (lines, false, vec![]);
        let line = |mut line: Value, id: &str, parent: &str| {
            line["uuid"] = id.into();
            line["parentUuid"] = parent.into();
            line
        };
        let (asked, refused) = (line(hello.clone(), "q", "-"), line(answer.clone(), "a", "q"));
        let note = line(json!({"type": "attachment"}), "n", "q");
        let table: Vec<(Vec<Value>, bool, Vec<&str>)> = vec![
            idle(vec![asked.clone(), refused.clone()]),
            idle(vec![refused.clone(), asked.clone()]),
            idle(vec![line(answer.clone(), "a", "n"), asked.clone(), note.clone()]),
            (vec![asked.clone(), note], true, vec!["hello"]),
            (vec![refused, asked, line(user(text("A")), "s", "a")], true, vec!["A"]),
            idle(vec![]),
            idle(vec![hello.clone(), answer.clone(), noise.clone()]),
            (vec![hello.clone(), answer.clone(), user(text("A")), noise], true, vec!["A"]),
            // Of what has had a part of its answer nothing is asked again.
            (vec![hello.clone(), said(tool_use.clone())], true, vec![]),
            (vec![hello.clone(), said(tool_use), user(tool_result)], true, vec![]),
            (vec![hello.clone(), queue("enqueue", "B"), queue("enqueue", "C")], true, vec!["hello", "B", "C"]),
            (vec![hello.clone(), queue("enqueue", "B"), queue("enqueue", "C"), queue("dequeue", "")], true, vec!["hello", "B"]),
            (vec![hello.clone(), queue("enqueue", "B"), queue("dequeue", ""), answer.clone()], false, vec![]),
            (vec![hello.clone(), queue("enqueue", "B"), queue("popAll", ""), queue("enqueue", "C")], true, vec!["hello", "C"]),
            idle(vec![hello.clone(), user(text("[Request interrupted by user]"))]),
            idle(vec![hello.clone(), answer.clone(), user(json!("<local-command-stdout>cost</local-command-stdout>"))]),
            idle(vec![hello, json!({"type": "assistant", "isApiErrorMessage": true, "message": {"content": text("limit")}})]),
            (vec![user(json!("A")), json!({"type": "user", "isMeta": true, "message": {"content": "note"}})], true, vec!["A"]),
        ];
        for (lines, is_at_work, prompts) in table {
            let found = of(lines.iter().rev().map(|line| line.to_string().into_bytes()));
            let prompts = prompts.into_iter().map(String::from).collect();
            assert_eq!(found, Unanswered { is_at_work, prompts }, "{lines:?}");
        }
    }
}
