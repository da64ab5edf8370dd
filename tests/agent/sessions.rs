//! Sessions go on, whoever has begun them.

use serde_json::{Value, json};

use super::{FREE, Home, SAID, VERSIONS, stderr};
use crate::auto::{Version, each_of_a_share, same};
use crate::support::messages_api::{self, is_of_the_call, questions_of_the_call, replying};
use crate::support::script::{Manner, calls, says, text, tools};
use crate::support::stub::Stub;

/// Claude uses a tool once in a session.
fn claude() -> Stub {
    replying(|question| match (is_of_the_call(question), question["messages"].to_string().contains("tool_result")) {
        (true, false) => messages_api::Reply::Use("Bash".into(), json!({"command": "echo a tool of Claude"})),
        _ => messages_api::Reply::Text("an answer of Claude".into()),
    })
}

#[test]
fn a_session_goes_on_here_and_with_claude() {
    each_of_a_share(&VERSIONS, 3, |&version| {
        let mut home = Home::with(version, claude());
        let local = [
            calls(&[("Bash", json!({"command": "echo a local tool"}))]),
            says("<think>a local thought</think>the first local answer"),
            says("the second local answer"),
            says("the third local answer"),
        ];
        let model = home.plays(Manner::Pieces, local);

        let first = ask(&home, "local", "the first question", &[FREE])?;
        same("result", "the first local answer", first.0.as_str())?;
        // It asks for no tools, and its session has some.
        let second = ask(&home, "local", "the second question", &["--continue"])?;
        same("result", "the second local answer", second.0.as_str())?;
        let said = ["the first question", "a local tool", "the first local answer", "the second question"];
        // Old versions may ask something else in between.
        let asked = |prompt: &str| model.questions().into_iter().rfind(|question| question.to_string().contains(prompt));
        holds(&asked("the second question").ok_or("not asked")?, &said)?;
        is_same_session(version, &first.1, &second.1)?;

        // The other way round: what the model thought is not for Claude, who has not signed it.
        let third = ask(&home, "claude", "the third question", &["--resume", &second.1])?;
        same("result", "an answer of Claude", third.0.as_str())?;
        let question = questions_of_the_call(&home.net).pop().ok_or("Claude was not asked")?;
        same("a model of Claude's", true, question["model"].as_str().is_some_and(|model| model.starts_with("claude-")))
            .map_err(|fault| format!("{fault}: {}", question["model"]))?;
        let question = question["messages"].to_string();
        // 1.0.128 has been seen to end before its last turn is in its transcript.
        let is_late = |said: &str| version < (2, 0, 0) && said.contains("second");
        let all = said.iter().chain(&["the second local answer", "the third question", "tool_use", "tool_result"]);
        for said in all.filter(|said| !is_late(said)) {
            same(said, true, question.contains(said))?;
        }
        same("thoughts", false, question.contains("a local thought") || question.contains("\"thinking\""))?;
        let fourth = ask(&home, "local", "the fourth question", &["--resume", &third.1])?;
        same("result", "the third local answer", fourth.0.as_str())?;
        let fourth = asked("the fourth question").ok_or("not asked")?;
        let before = if version < (2, 0, 0) { "the first question" } else { "an answer of Claude" };
        holds(&fourth, &[before, "the fourth question"])?;
        same("replies that are left", 0, model.left())?;
        home.is_left_clean()
    });
}

#[test]
fn a_session_that_claude_has_begun_goes_on_here() {
    each_of_a_share(&VERSIONS, 3, |&version| {
        let mut home = Home::with(version, claude());
        let model =
            home.plays(Manner::Whole, [calls(&[("Read", json!({"file_path": home.work("a.txt")}))]), says("a local answer")]);
        home.sandbox.write("work/a.txt", "in a file");
        let first = ask(&home, "claude", "the first question", &[FREE])?;
        let second = ask(&home, "local", "the second question", &["--resume", &first.1])?;
        same("result", "a local answer", second.0.as_str())?;
        let questions = model.questions();
        holds(&questions[0], &["the first question", "a tool of Claude", "an answer of Claude", "the second question"])?;
        holds(&questions[1], &["the first question", "in a file"])?;
        is_same_session(version, &first.1, &second.1)?;
        home.is_left_clean()
    });
}

/// The result and the session of a call.
fn ask(home: &Home, backend: &str, prompt: &str, args: &[&str]) -> Result<(String, String), String> {
    home.sandbox.switch(backend);
    let output = home.ask(prompt, args).args(&["--output-format", "json"]).run();
    same("exit code", 0, output.code()).map_err(|fault| format!("{prompt}: {fault}: {}{}", output.out(), output.err()))?;
    let said = if backend == "local" { SAID } else { "" };
    same("stderr", said.to_string(), stderr(&output))?;
    let result: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("{error}: {}", output.out()))?;
    same("is_error", &json!(false), &result["is_error"])?;
    let text = |key: &str| result[key].as_str().map(str::to_string).ok_or(format!("no {key}: {result}"));
    Ok((text("result")?, text("session_id")?))
}

/// Whether the model has tools, and its messages hold these in this order.
fn holds(question: &Value, said: &[&str]) -> Result<(), String> {
    same("tools", true, tools(question).contains(&"Bash"))?;
    let messages: Vec<String> = question["messages"].as_array().into_iter().flatten().map(text).collect();
    let mut rest = messages.iter();
    for said in said {
        rest.find(|message| message.contains(said)).ok_or(format!("no {said:?} in its place: {messages:#?}"))?;
    }
    Ok(())
}

/// Old versions give a session that goes on a new name.
fn is_same_session(version: Version, first: &str, second: &str) -> Result<(), String> {
    if version < (2, 0, 0) { Ok(()) } else { same("session", first, second) }
}
