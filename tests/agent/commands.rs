//! Commands that only Claude Code has, in a conversation that the local model answers plainly: Claude Code goes on with it.

use std::fs;

use serde_json::{Value, json};

use super::{Home, SAID, VERSIONS, stderr};
use crate::auto::talks::Talk;
use crate::auto::{LIMIT, TODAY, Version, each, each_of_a_share, in_two_hours, same, sandbox, sign_in};
use crate::support::messages_api::{self, is_of_the_call, limit, questions_of_the_call, replying};
use crate::support::script::{Manner, Script, says, text};
use crate::support::stub::Stub;

/// A command of the folder.
fn write_command(home: &Home) {
    home.sandbox.write("work/.claude/commands/greet.md", "---\ndescription: greets\n---\nGreet $ARGUMENTS politely.\n");
}

fn replies(count: usize) -> Vec<crate::support::script::Reply> {
    (1..=count).map(|number| says(format!("answer {number}"))).collect()
}

/// What the model was asked last, in which this stands in this order.
fn holds(model: &Script, said: &[&str]) -> Result<(), String> {
    let question = model.seen().into_iter().rfind(|request| request.is_chat()).ok_or("not asked")?.json();
    let all: Vec<String> = question["messages"].as_array().into_iter().flatten().map(text).collect();
    let all = all.join("\n");
    let mut rest = all.as_str();
    for said in said {
        let at = rest.find(said).ok_or_else(|| format!("no {said:?} in {rest:?} of {all:?}"))?;
        rest = &rest[at + said.len()..];
    }
    Ok(())
}

fn result(result: &Value) -> (&str, &str) {
    (result["result"].as_str().unwrap_or("none"), result["failover"]["backend"].as_str().unwrap_or("none"))
}

#[test]
fn claude_code_goes_on_with_the_conversation() {
    each_of_a_share(&VERSIONS[1..], 3, |&version| {
        let mut home = Home::new(version);
        write_command(&home);
        let model = home.plays(Manner::Pieces, replies(4));
        let mut talk = Talk::new(&home.sandbox);
        let said = [talk.say("Of apples.")?, talk.say("/greet the world")?, talk.say("the third")?];
        same("results", ["aside", "answer 1", "answer 2"].map(|text| (text, "local")), said.each_ref().map(result))?;
        holds(&model, &["Of apples.", "aside", "Greet the world politely.", "answer 1", "the third"])?;
        let sessions = said.each_ref().map(|result| result["session_id"].clone());
        // Before 2.1 Claude Code gives a resumed session another id.
        if version >= (2, 1, 0) {
            same("one session", [&sessions[0]; 3], sessions.each_ref())?;
        }
        let (code, told) = talk.end()?;
        let told: String = told.split_inclusive('\n').filter(|line| !line.contains("unrecognized_model")).collect();
        same("end", (Some(0), SAID), (code, told.as_str()))?;
        same("questions", 2, model.questions().len())?;
        // What was said stays said, on whichever way the session goes on.
        let id = sessions[2].as_str().ok_or("no id")?;
        let output = home.ask("the fourth", &["--resume", id]).run();
        same("the fourth", (0, "answer 3\n".to_string()), (output.code(), output.out()))?;
        holds(&model, &["Of apples.", "aside", "Greet the world politely.", "answer 1", "the third", "answer 2", "the fourth"])?;
        let question = model.questions().pop().ok_or("not asked")?["messages"].to_string();
        same("said once", 1, question.matches("Of apples.").count())?;
        home.is_left_clean()
    });
}

#[test]
fn it_begins_anew_where_the_conversation_was_cleared() {
    let mut home = Home::new(TODAY);
    write_command(&home);
    let model = home.plays(Manner::Pieces, replies(3));
    let mut talk = Talk::with(&home.sandbox, &["--session-id", "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa1"]);
    let first = talk.say("Of apples.").unwrap();
    let cleared = talk.say("/clear").unwrap();
    let greeted = talk.say("/greet nobody").unwrap();
    assert_ne!(first["session_id"], cleared["session_id"]);
    assert_eq!((&greeted["session_id"], &greeted["result"]), (&cleared["session_id"], &"answer 1".into()));
    let question = model.questions().pop().unwrap().to_string();
    assert!(question.contains("Greet nobody politely.") && !question.contains("Of apples."), "{question}");
    assert_eq!(talk.end().unwrap().0, Some(0));
}

#[test]
fn a_command_may_come_first_or_on_stdin() {
    let mut home = Home::new(TODAY);
    write_command(&home);
    let model = home.plays(Manner::Pieces, replies(2));
    let mut talk = Talk::new(&home.sandbox);
    assert_eq!(result(&talk.say("/greet all").unwrap()), ("answer 1", "local"));
    assert_eq!(talk.end().unwrap().0, Some(0));
    holds(&model, &["Greet all politely."]).unwrap();
    let cmd = home.sandbox.cmd("claude").arg("-p").stdin("/greet some").dir(home.work("")).limit(LIMIT);
    let output = cmd.run();
    assert_eq!((output.code(), output.out().as_str(), stderr(&output).as_str()), (0, "answer 2\n", SAID));
    holds(&model, &["Greet some politely."]).unwrap();
}

/// Where Claude Code may not run, or the conversation is not kept, the model gets the text as it is.
#[test]
fn where_it_cannot_go_on_a_command_is_text() {
    let mut home = Home::new(TODAY);
    write_command(&home);
    let model = home.plays(Manner::Pieces, replies(5));
    let mut talk = Talk::with(&home.sandbox, &["--no-session-persistence"]);
    let said = [talk.say("the first").unwrap(), talk.say("/greet all").unwrap()];
    assert_eq!(said.each_ref().map(result), [("aside", "local"), ("aside", "local")]);
    holds(&model, &["the first", "aside", "/greet all"]).unwrap();
    assert_eq!(talk.end().unwrap(), (Some(0), String::new()));
    home.sandbox.set("LOCAL_LLM_AGENT", "never");
    let mut talk = Talk::new(&home.sandbox);
    assert_eq!(result(&talk.say("/greet all").unwrap()), ("aside", "local"));
    holds(&model, &["/greet all"]).unwrap();
    assert_eq!(talk.end().unwrap(), (Some(0), String::new()));
}

/// In `auto`, of a conversation that Claude has begun.
#[test]
fn a_conversation_that_was_taken_over_goes_on_there_too() {
    each(&[(2, 1, 110), TODAY], |&version: &Version| {
        let api =
            replying(|question| match (is_of_the_call(question), question["messages"].to_string().contains("the second")) {
                (true, true) => limit("five_hour", in_two_hours().as_second()),
                _ => messages_api::Reply::Text("from Claude".into()),
            });
        let model = Script::new(Manner::Pieces, super::CONTEXT, replies(3));
        let mut sandbox = sandbox(version, &api, &Stub::answering("another"));
        sandbox.set("LOCAL_LLM_URL", model.url());
        sandbox.set("LOCAL_LLM_MODEL", "tiny");
        sign_in(&mut sandbox);
        fs::create_dir_all(sandbox.path("work/.claude/commands")).map_err(|error| error.to_string())?;
        sandbox.write("work/.claude/commands/greet.md", "Greet $ARGUMENTS politely.\n");
        let mut talk = Talk::new(&sandbox);
        let said = [talk.say("the first")?, talk.say("the second")?, talk.say("/greet all")?, talk.say("the fourth")?];
        let expected = [("from Claude", "none"), ("aside", "local"), ("answer 1", "local"), ("answer 2", "local")];
        same("results", expected, said.each_ref().map(result))?;
        same("the reason", "five_hour", said[3]["failover"]["reason"].as_str().unwrap_or("none"))?;
        let before = ["the first", "from Claude", "the second", "aside", "Greet all politely.", "answer 1", "the fourth"];
        holds(&model, &before)?;
        same(
            "one session",
            1,
            said.iter().map(|result| result["session_id"].to_string()).collect::<std::collections::BTreeSet<_>>().len(),
        )?;
        same("end", Some(0), talk.end()?.0)
    });
}

/// A session that only we have, in a call that asks for tools.
#[test]
fn a_session_of_ours_goes_on_with_tools() {
    each_of_a_share(&VERSIONS[1..], 3, |&version| {
        let mut home = Home::new(version);
        let model = home.plays(Manner::Pieces, replies(3));
        let id = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa1";
        let first = home.ask("the first", &["--session-id", id]).run();
        same("the first", (0, "aside\n".into()), (first.code(), first.out()))?;
        let second = home.ask("the second", &["--resume", id, "--allowedTools", "Bash"]).run();
        same("the second", (0, "answer 1\n".into()), (second.code(), second.out()))
            .map_err(|fault| format!("{fault}: {}", second.err()))?;
        holds(&model, &["the first", "aside", "the second"])?;
        let third = home.ask("the third", &["--continue", "--allowedTools", "Bash"]).run();
        same("the third", (0, "answer 2\n".into()), (third.code(), third.out()))?;
        holds(&model, &["the first", "aside", "the second", "answer 1", "the third"])
    });
}

/// The way back: what the local model has said is not lost to Claude.
#[test]
fn claude_knows_what_was_said_here() {
    each_of_a_share(&VERSIONS[1..], 3, |&version| {
        let api = replying(|_| messages_api::Reply::Text("from Claude".into()));
        let mut home = Home::with(version, api);
        let _model = home.plays(Manner::Pieces, []);
        let id = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa1";
        let say = |home: &Home, switch: &str, prompt: &str, session: &str| {
            home.sandbox.switch(switch);
            let output = home.ask(prompt, &[session, id]).run();
            same(prompt, 0, output.code())
                .map(|()| output.out())
                .map_err(|fault| format!("{fault}: {} {}", output.out(), output.err()))
        };
        same("the first", "aside\n".into(), say(&home, "local", "Of apples.", "--session-id")?)?;
        same("the second", "from Claude\n".into(), say(&home, "claude", "Of pears.", "--resume")?)?;
        same("the third", "aside\n".into(), say(&home, "local", "Of plums.", "--resume")?)?;
        same("the fourth", "from Claude\n".into(), say(&home, "claude", "Of figs.", "--resume")?)?;
        let asked = questions_of_the_call(&home.net).pop().ok_or("Claude was not asked")?["messages"].to_string();
        let mut rest = asked.as_str();
        for said in ["Of apples.", "aside", "Of pears.", "from Claude", "Of plums.", "aside", "Of figs."] {
            let at = rest.find(said).ok_or_else(|| format!("no {said:?} in {rest:?} of {asked:?}"))?;
            rest = &rest[at + said.len()..];
        }
        same("said once", 1, asked.matches("Of plums.").count())
    });
}

/// What was said before `/clear` is in a session of its own.
#[test]
fn claude_knows_what_was_said_before_it_was_cleared() {
    let api = replying(|_| messages_api::Reply::Text("from Claude".into()));
    let mut home = Home::with(TODAY, api);
    let _model = home.plays(Manner::Pieces, []);
    let mut talk = Talk::new(&home.sandbox);
    let said = ["Of apples.", "/clear", "Of pears."].map(|what| talk.say(what).unwrap());
    assert_eq!(talk.end().unwrap(), (Some(0), String::new()));
    home.sandbox.switch("claude");
    for (result, own, other) in [(&said[0], "Of apples.", "Of pears."), (&said[2], "Of pears.", "Of apples.")] {
        let output = home.ask("What was it?", &["--resume", result["session_id"].as_str().unwrap()]).run();
        assert_eq!((output.code(), output.out().as_str()), (0, "from Claude\n"), "{}", output.err());
        let asked = questions_of_the_call(&home.net).pop().unwrap()["messages"].to_string();
        assert!(asked.contains(own) && !asked.contains(other), "{asked}");
    }
}

/// What comes with the command reaches Claude Code, in its order and once.
#[test]
fn what_comes_with_a_command_is_answered_too() {
    let mut home = Home::new(TODAY);
    write_command(&home);
    let model = home.plays(Manner::Pieces, replies(3));
    let user = |uuid: &str, content: &str| json!({"type": "user", "uuid": uuid, "message": {"role": "user", "content": content}});
    let control = |id: &str, subtype: &str| json!({"type": "control_request", "request_id": id, "request": {"subtype": subtype}});
    let (one, two) = ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222");
    let lines = [
        control("before", "initialize"),
        user(one, "Of apples."),
        control("first", "mcp_status"),
        user(two, "/greet all"),
        control("second", "get_context_usage"),
        user(one, "Of apples."),
        user("33333333-3333-4333-8333-333333333333", "Of pears."),
    ];
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let args = ["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"];
    let output = home.sandbox.cmd("claude").args(&args).stdin(input).dir(home.work("")).limit(LIMIT).run();
    let out = output.out();
    let messages: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let results: Vec<&Value> =
        messages.iter().filter(|message| message["type"] == "result").map(|message| &message["result"]).collect();
    assert_eq!((output.code(), results), (0, vec![&"aside".into(), &"answer 1".into(), &"answer 2".into()]), "{}", output.err());
    for id in ["before", "first", "second"] {
        let replies = messages.iter().filter(|message| message["response"]["request_id"] == id).count();
        assert_eq!(replies, 1, "{id} in {out}");
    }
    holds(&model, &["Of apples.", "aside", "Greet all politely.", "answer 1", "Of pears."]).unwrap();
}

/// What was to be left out of the session stays left out.
#[test]
fn it_goes_on_at_the_point_that_the_caller_names() {
    let mut home = Home::new(TODAY);
    write_command(&home);
    let model = home.plays(Manner::Pieces, replies(1));
    let id = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa1";
    let args = ["--session-id", id, "--output-format", "stream-json", "--verbose"];
    let first = home.ask("Of apples.", &args).run();
    let answer = first.out().lines().find_map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        (line["type"] == "assistant").then(|| line["uuid"].as_str().unwrap().to_string())
    });
    assert_eq!(home.ask("Of plums.", &["--resume", id]).run().code(), 0);
    let mut talk = Talk::with(&home.sandbox, &["--resume", id, "--resume-session-at", &answer.unwrap()]);
    assert_eq!(result(&talk.say("/greet all").unwrap()), ("answer 1", "local"));
    assert_eq!(talk.end().unwrap().0, Some(0));
    holds(&model, &["Of apples.", "aside", "Greet all politely."]).unwrap();
    assert!(!model.questions().pop().unwrap().to_string().contains("Of plums."));
}

#[test]
fn where_its_transcript_cannot_be_written_a_command_is_text() {
    let mut home = Home::new(TODAY);
    write_command(&home);
    let model = home.plays(Manner::Pieces, []);
    home.sandbox.write(".claude/projects", "no folder");
    let mut talk = Talk::new(&home.sandbox);
    let said = [talk.say("Of apples.").unwrap(), talk.say("/greet all").unwrap(), talk.say("Of pears.").unwrap()];
    assert_eq!(said.each_ref().map(result), [("aside", "local"); 3]);
    holds(&model, &["Of apples.", "aside", "/greet all", "aside", "Of pears."]).unwrap();
    assert_eq!(talk.end().unwrap().0, Some(0));
}
