//! What an SDK session gets beside its answers: entries for its own store of sessions, and what the folder and the settings have.

use std::fs;

use serde_json::{Value, json};

use crate::answer::local;
use crate::support::Sandbox;
use crate::support::stub::Stub;

const A: &str = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa1";
const USER: &str = "11111111-1111-4111-8111-111111111111";
const STREAM: [&str; 6] = ["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"];

fn user(content: &str) -> Value {
    json!({"type": "user", "message": {"role": "user", "content": content}, "parent_tool_use_id": null, "session_id": ""})
}

/// What a session prints that hears these lines at once.
fn talk(sandbox: &Sandbox, args: &[&str], lines: &[Value]) -> Vec<Value> {
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let output = sandbox.cmd("claude").args(&STREAM).args(args).stdin(input).run();
    assert_eq!((output.code(), output.err().as_str()), (0, ""), "{}", output.out());
    output.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The entries of all frames, each with the file that it is for.
fn entries(messages: &[Value]) -> Vec<(String, Value)> {
    let frames = messages.iter().filter(|message| message["type"] == "transcript_mirror");
    let entries = |frame: &Value| {
        let file = frame["filePath"].as_str().unwrap().to_string();
        frame["entries"].as_array().unwrap().iter().map(|entry| (file.clone(), entry.clone())).collect::<Vec<_>>()
    };
    frames.flat_map(entries).collect()
}

/// `user: hi`, and which entry it follows by its number.
fn shown(entries: &[(String, Value)]) -> Vec<String> {
    let ids: Vec<&Value> = entries.iter().map(|(_, entry)| &entry["uuid"]).collect();
    let kind = |entry: &Value| entry["type"].as_str().unwrap_or("none").to_string();
    let shown = |(_, entry): &(String, Value)| {
        let follows = match &entry["parentUuid"] {
            Value::Null => "-".into(),
            parent => ids.iter().position(|id| *id == parent).map_or("?".into(), |at| at.to_string()),
        };
        let content = &entry["message"]["content"];
        let text = content.as_str().or_else(|| content[0]["text"].as_str());
        format!("{} {}: {}", follows, kind(entry), text.unwrap_or("none"))
    };
    entries.iter().map(shown).collect()
}

#[test]
fn a_store_gets_every_turn_before_its_result() {
    let stub = Stub::answering("an answer");
    let sandbox = local(&stub.url());
    let messages = talk(&sandbox, &["--session-mirror", "--session-id", A], &[user("one")]);
    let kinds: Vec<&str> = messages.iter().map(|message| message["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["system", "assistant", "transcript_mirror", "transcript_mirror", "result"]);
    let all = entries(&messages);
    assert_eq!(shown(&all), ["- user: one", "0 assistant: an answer"]);
    let home = fs::canonicalize(sandbox.home()).unwrap();
    let slug = home.to_str().unwrap().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let file = format!(".claude/projects/{slug}/{A}.jsonl");
    assert!(all.iter().all(|(path, _)| *path == format!("[HOME]/{file}")), "{all:?}");
    assert_eq!(all[1].1["uuid"], messages[1]["uuid"]);
    for (key, value) in [("sessionId", A), ("cwd", "[HOME]"), ("version", "2.1.330"), ("gitBranch", "HEAD")] {
        assert_eq!(all[0].1[key], value, "{key}");
    }
    assert!(!sandbox.path(&file).exists(), "the store is the caller's");
    // What is new alone; of a fork everything, for its file.
    let more = talk(
        &sandbox,
        &["--session-mirror", "--resume", A],
        &[json!({"type": "user", "uuid": USER, "message": {"role": "user", "content": "two"}})],
    );
    let more = entries(&more);
    assert_eq!(shown(&more), ["? user: two", "0 assistant: an answer"]);
    assert_eq!((&more[0].1["uuid"], &more[0].1["parentUuid"]), (&USER.into(), &all[1].1["uuid"]));
    let fork = entries(&talk(&sandbox, &["--session-mirror", "--resume", A, "--fork-session"], &[user("three")]));
    let expected = [
        "- user: one",
        "0 assistant: an answer",
        "1 user: two",
        "2 assistant: an answer",
        "3 user: three",
        "4 assistant: an answer",
    ];
    assert_eq!(shown(&fork)[..6], expected);
    assert!(fork.iter().all(|(path, _)| !path.contains(A)), "{fork:?}");
    // At a point.
    let cut = entries(&talk(&sandbox, &["--session-mirror", "--resume", A, "--resume-session-at", USER], &[user("four")]));
    assert_eq!(cut[0].1["parentUuid"], USER);
}

#[test]
fn a_store_is_told_of_a_summary_and_of_a_new_beginning() {
    let stub = Stub::answering("an answer");
    let sandbox = local(&stub.url());
    let lines = [user("one"), user("/compact"), user("two"), user("/clear"), user("three")];
    let mut child = sandbox.cmd("claude").args(&STREAM).arg("--session-mirror").spawn();
    let mut messages = Vec::new();
    {
        use std::io::{BufRead, BufReader, Write};
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines {
            writeln!(stdin, "{line}").unwrap();
            loop {
                let message: Value = serde_json::from_str(&stdout.next().unwrap().unwrap()).unwrap();
                messages.push(message);
                if messages.last().unwrap()["type"] == "result" {
                    break;
                }
            }
        }
    }
    assert!(crate::support::wait(&mut child, std::time::Duration::from_secs(30)).is_some_and(|status| status.success()));
    let all = entries(&messages);
    let shown = shown(&all);
    let summary = "This session is being continued from a previous conversation that ran out of context. The summary below covers the \
                   earlier portion of the conversation.\n\nSummary:\nan answer";
    let expected = [
        "- user: one",
        "0 assistant: an answer",
        "- system: none",
        &format!("2 user: {summary}"),
        "3 user: two",
        "4 assistant: an answer",
        "- user: three",
        "6 assistant: an answer",
    ];
    assert_eq!(shown, expected);
    assert_eq!((&all[2].1["subtype"], &all[2].1["logicalParentUuid"]), (&"compact_boundary".into(), &all[1].1["uuid"]));
    let files: std::collections::BTreeSet<&String> = all.iter().map(|(file, _)| file).collect();
    assert_eq!(files.len(), 2);
    assert!(all[5].0 == all[0].0 && all[6].0 != all[0].0);
    // The summary stands for what it sums up, and after the new beginning nothing does.
    let asked = |text: &str| {
        let question =
            stub.chats().into_iter().map(|request| request.json()).rfind(|question| question.to_string().contains(text));
        question.unwrap()["messages"].as_array().unwrap().iter().map(|message| message["content"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(asked("two"), [format!("{summary}\n\ntwo")]);
    assert_eq!(asked("three"), ["three"]);
    // It is so for calls that resume it, too.
    let id = messages[0]["session_id"].as_str().unwrap();
    talk(&sandbox, &["--resume", id], &[user("five")]);
    assert_eq!(asked("five"), [format!("{summary}\n\ntwo").as_str(), "an answer", "five"]);
}

#[test]
fn nothing_is_mirrored_unasked() {
    let stub = Stub::answering("an answer");
    let sandbox = local(&stub.url());
    for args in [&[][..], &["--session-mirror", "--no-session-persistence"]] {
        assert_eq!(entries(&talk(&sandbox, args, &[user("one")])), []);
    }
    let output = sandbox.cmd("claude").args(&["-p", "one", "--output-format", "json", "--verbose", "--session-mirror"]).run();
    assert!(!output.out().contains("transcript_mirror"), "{}", output.out());
}

#[test]
fn a_summary_that_does_not_come_changes_nothing() {
    let stub = Stub::raw("HTTP/1.1 400 X\r\nContent-Length: 7\r\n\r\nrefused");
    let answering = Stub::answering("an answer");
    let sandbox = local(&answering.url());
    talk(&sandbox, &["--session-id", A], &[user("one")]);
    let mut refused = local(&stub.url());
    refused.set("HOME", sandbox.home());
    let messages = talk(&refused, &["--resume", A], &[user("/compact")]);
    let status = messages.iter().find(|message| !message["compact_result"].is_null()).unwrap();
    assert_eq!(status["compact_result"], "failed");
    assert!(status["compact_error"].as_str().unwrap().contains("refused"), "{status}");
    let result = messages.last().unwrap();
    assert_eq!(
        (&result["subtype"], &result["local_command"], &result["num_turns"]),
        (&"success".into(), &"compact".into(), &0.into())
    );
    talk(&sandbox, &["--resume", A], &[user("two")]);
    let asked = answering.chats().last().unwrap().json()["messages"].to_string();
    assert_eq!(asked.matches("\"one\"").count(), 1, "{asked}");
}

/// As the real CLI lists them, but for what is built in.
#[test]
fn init_lists_what_the_folder_and_the_user_have() {
    let stub = Stub::answering("an answer");
    let sandbox = local(&stub.url());
    for (file, text) in [
        (".claude/agents/u.md", "---\nname: Uagent\ndescription: of the user\nmodel: haiku\n---\nText.\n"),
        (".claude/commands/uc.md", "User command.\n"),
        (".claude/settings.json", r#"{"outputStyle": "Users"}"#),
        ("parent/.claude/agents/deep/x.md", "---\nname: \"xagent\"\ndescription: does x\n---\n"),
        ("parent/.claude/agents/nameless.md", "no head\n"),
        ("parent/.claude/agents/plain.md", "---\nname: plain\n---\n"),
        ("parent/.claude/agents/crlf.md", "--- \r\nname: crlf # a comment\r\ndescription: of lines\r\n---\r\nText.\r\n"),
        ("parent/inner/.claude/commands/sub/z.md", "No head.\n"),
        ("parent/inner/.claude/commands/y.md", "---\ndescription: does y\n---\n$ARGUMENTS\n"),
        ("parent/inner/.claude/skills/sk/SKILL.md", "---\nname: sk\ndescription: a skill\n---\n"),
        ("parent/inner/.claude/settings.json", r#"{"outputStyle": "Projects"}"#),
        ("parent/inner/.claude/settings.local.json", r#"{"outputStyle": "Local"}"#),
    ] {
        sandbox.write(file, text);
    }
    let init = |args: &[&str]| {
        let cmd = sandbox.cmd("claude").args(&["-p", "hi", "--output-format", "stream-json", "--verbose"]).args(args);
        let output = cmd.dir(sandbox.path("parent/inner")).run();
        let init: Value = serde_json::from_str(output.out().lines().next().unwrap()).unwrap();
        ["agents", "slash_commands", "skills", "output_style"].map(|key| init[key].clone())
    };
    let own = ["clear", "compact", "usage"];
    let commands = |found: &[&str]| json!([found, &own].concat());
    let all = ["sk", "sub:z", "uc", "y"];
    let table: &[(&[&str], [Value; 4])] = &[
        (&[], [json!(["crlf", "Uagent", "xagent"]), commands(&all), json!(["sk"]), json!("Local")]),
        (&["--setting-sources", "user"], [json!(["Uagent"]), commands(&["uc"]), json!([]), json!("Users")]),
        (
            &["--setting-sources", "project"],
            [json!(["crlf", "xagent"]), commands(&["sk", "sub:z", "y"]), json!(["sk"]), json!("Projects")],
        ),
        (&["--setting-sources="], [json!([]), commands(&[]), json!([]), json!("default")]),
        (
            &["--settings", r#"{"outputStyle":"Given"}"#],
            [json!(["crlf", "Uagent", "xagent"]), commands(&all), json!(["sk"]), json!("Given")],
        ),
        (&["--bare"], [json!([]), commands(&[]), json!([]), json!("Local")]),
        (&["--disable-slash-commands"], [json!(["crlf", "Uagent", "xagent"]), json!([]), json!([]), json!("Local")]),
        (
            &["--agents", r#"{"given":{"description":"d","prompt":"p"}}"#],
            [json!(["crlf", "given", "Uagent", "xagent"]), commands(&all), json!(["sk"]), json!("Local")],
        ),
    ];
    for (args, expected) in table {
        assert_eq!(&init(args), expected, "{args:?}");
    }
    let line = json!({"type": "control_request", "request_id": "1", "request": {"subtype": "initialize"}});
    let cmd = sandbox.cmd("claude").args(&STREAM).stdin(format!("{line}\n")).dir(sandbox.path("parent/inner"));
    let reply: Value = serde_json::from_str(cmd.run().out().lines().next().unwrap()).unwrap();
    let reply = &reply["response"]["response"];
    assert_eq!((&reply["output_style"], &reply["available_output_styles"]), (&"Local".into(), &json!(["default", "Local"])));
    assert_eq!(
        reply["agents"],
        json!([{"name": "crlf", "description": "of lines"}, {"name": "Uagent", "description": "of the user", "model": "haiku"}, {"name": "xagent", "description": "does x"}])
    );
    let command = |name: &str, description: &str| json!({"name": name, "description": description, "argumentHint": ""});
    let expected = [
        command("sk", "a skill (project)"),
        command("sub:z", "No head. (project)"),
        command("uc", "User command. (user)"),
        command("y", "does y (project)"),
    ];
    assert_eq!(reply["commands"], json!(expected));
}

#[test]
fn links_that_lead_in_a_circle_are_followed_once() {
    let stub = Stub::answering("an answer");
    let sandbox = local(&stub.url());
    sandbox.write(".claude/commands/a/one.md", "One.\n");
    for number in 0..10 {
        std::os::unix::fs::symlink("..", sandbox.path(&format!(".claude/commands/a/loop{number}"))).unwrap();
    }
    let output = sandbox.cmd("claude").args(&["-p", "hi", "--output-format", "stream-json", "--verbose"]).run();
    let init: Value = serde_json::from_str(output.out().lines().next().unwrap()).unwrap();
    assert_eq!(init["slash_commands"], json!(["a:one", "clear", "compact", "usage"]));
}
