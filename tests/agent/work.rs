//! Work of many steps: files are read and changed, commands are run, and what goes wrong is heard of.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{DONE, FREE, Home, SAID, VERSIONS, done, stderr};
use crate::auto::{TODAY, each, each_of_a_share, same};
use crate::support::Output;
use crate::support::script::{Manner, Reply, calls, computed, results, tools};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    Text,
    Json,
    Stream,
}

impl Format {
    fn args(self) -> &'static [&'static str] {
        match self {
            Format::Text => &[],
            Format::Json => &["--output-format", "json"],
            Format::Stream => &["--output-format", "stream-json", "--verbose"],
        }
    }
}

#[test]
fn ten_calls() {
    use Format::{Json, Stream, Text};
    use Manner::{Pieces, Whole};
    let items = [
        (TODAY, Text, Pieces),
        (TODAY, Json, Whole),
        (TODAY, Stream, Pieces),
        (VERSIONS[0], Text, Whole),
        (VERSIONS[1], Stream, Whole),
        (VERSIONS[2], Json, Pieces),
    ];
    each(&items, |&(version, format, manner)| {
        let mut home = Home::new(version);
        let file = |name: &str| json!(home.work(name));
        // What is called, and what the result holds.
        let steps = [
            (calls(&[("Write", json!({"file_path": file("a.txt"), "content": "one\ntwo\n"}))]), "a.txt"),
            (calls(&[("Read", json!({"file_path": file("a.txt")}))]), "two"),
            (calls(&[("Edit", json!({"file_path": file("a.txt"), "old_string": "two", "new_string": "zwei \"2\""}))]), "a.txt"),
            (calls(&[("Bash", json!({"command": "cp a.txt b.txt && echo lines: $(wc -l < b.txt)"}))]), "lines: 2"),
            (either("Glob", json!({"pattern": "b.*"}), "ls"), "b.txt"),
            (either("Grep", json!({"pattern": "zwei"}), "grep -l zwei *"), "a.txt"),
            (calls(&[("Write", json!({"file_path": file("sub/c.txt"), "content": "x x x\n"}))]), "c.txt"),
            (
                calls(&[(
                    "Edit",
                    json!({"file_path": file("sub/c.txt"), "old_string": "x", "new_string": "ÿ", "replace_all": true}),
                )]),
                "c.txt",
            ),
            (calls(&[("Read", json!({"file_path": file("b.txt")}))]), "zwei"),
            (calls(&[("Bash", json!({"command": "cat a.txt b.txt sub/c.txt | tee all.txt"}))]), "ÿ ÿ ÿ"),
        ];
        let (replies, found): (Vec<Reply>, Vec<&str>) = steps.into_iter().unzip();
        let model = home.plays(manner, replies.into_iter().chain([done()]));
        let output = home.ask("do it", &[FREE]).args(format.args()).run();
        same("exit code", 0, output.code())?;
        same("stderr", SAID.to_string(), stderr(&output))?;
        same("all.txt", "one\nzwei \"2\"\none\nzwei \"2\"\nÿ ÿ ÿ\n".to_string(), home.read("all.txt"))?;
        let questions = model.questions();
        same("questions", found.len() + 1, questions.len())?;
        for (question, found) in questions[1..].iter().zip(found) {
            let results = results(question);
            if !(results.len() == 1 && results[0].contains(found)) {
                return Err(format!("{results:?}, expected {found:?}"));
            }
        }
        same("asked of others", 0, home.net.chats().len())?;
        is_told(&output, format, DONE, 10)
    });
}

#[test]
fn what_goes_wrong_is_heard_of() {
    each_of_a_share(&VERSIONS, 3, |&version| {
        let mut home = Home::new(version);
        let call = |name: &str, arguments: &str| (name.to_string(), arguments.to_string());
        let bash = |command: &str| call("Bash", &json!({"command": command}).to_string());
        let file = |name: &str| json!({"file_path": home.work(name)}).to_string();
        let says = |calls: Vec<(String, String)>| Reply::Says("Let me see.".into(), calls);
        // What is called at once, and what the results hold.
        let steps = [
            (
                vec![bash("echo from-one > one"), call("Read", &file("none.txt")), bash("echo from-two > two; cat two")],
                vec!["", "not exist", "from-two"],
            ),
            (vec![bash("echo before; echo oh-no >&2; exit 3")], vec!["oh-no"]),
            // Of these the gateway tells the model, and nobody else hears of them.
            (vec![call("Bash", r#"{"command": "touch bad1"#)], vec!["touch bad1"]),
            (vec![call("Bash", "touch bad2"), bash("touch bad3")], vec!["touch bad2", "not made"]),
            (vec![call("Bash", r#"{"comand": "touch bad4"}"#)], vec!["command"]),
            (vec![call("Bash", r#"{"command": ["touch", "bad5"]}"#)], vec!["command"]),
            (vec![call("Teleport", r#"{"to": "bad6"}"#)], vec!["Teleport"]),
            (vec![bash("cat one two; ls")], vec!["from-one\nfrom-two\none\ntwo"]),
        ];
        let (made, found): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
        let model = home.plays(Manner::Pieces, made.into_iter().map(says).chain([done()]));
        let output = home.ask("do it", &[FREE]).run();
        same("exit code", 0, output.code())?;
        same("stdout", format!("{DONE}\n"), output.out())?;
        same("stderr", SAID.to_string(), stderr(&output))?;
        let questions = model.questions();
        same("questions", found.len() + 1, questions.len())?;
        for (question, found) in questions[1..].iter().zip(found) {
            let results = results(question);
            let holds = |(result, found): (&String, &&str)| result.contains(found);
            // They come in the order in which they were ready.
            let is_heard = found.iter().all(|found| results.iter().any(|result| holds((result, found))));
            if results.len() != found.len() || !is_heard {
                return Err(format!("{results:?}, expected {found:?}"));
            }
        }
        Ok(())
    });
}

/// The tool if Claude Code has it, else the command: some versions leave searching to the shell.
fn either(tool: &'static str, arguments: Value, command: &'static str) -> Reply {
    computed(move |question| match tools(question).contains(&tool) {
        true => calls(&[(tool, arguments)]),
        false => calls(&[("Bash", json!({"command": command}))]),
    })
}

/// Whether stdout tells this result, reached after so many calls, and nothing that does not belong to it.
fn is_told(output: &Output, format: Format, result: &str, calls: usize) -> Result<(), String> {
    let text = output.out();
    if format == Format::Text {
        return same("stdout", format!("{result}\n"), text);
    }
    let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    let lines = lines.map_err(|error| format!("{error}: {text:?}"))?;
    let last = lines.last().ok_or("nothing on stdout")?;
    same(
        "result",
        &json!(["result", "success", false, result]),
        &json!([last["type"], last["subtype"], last["is_error"], last["result"]]),
    )?;
    if last["num_turns"].as_u64().is_none_or(|turns| (turns as usize) < calls) {
        return Err(format!("num_turns: {}", last["num_turns"]));
    }
    if format == Format::Json {
        return same("lines", 1, lines.len());
    }
    let blocks = |who: &str, kind: &str, key: &str| -> Vec<String> {
        let messages = lines.iter().filter(|line| line["type"] == who).filter_map(|line| line["message"]["content"].as_array());
        let blocks = messages.flatten().filter(|block| block["type"] == kind);
        blocks.map(|block| block[key].as_str().unwrap_or_default().to_string()).collect()
    };
    let (made, answered) = (blocks("assistant", "tool_use", "id"), blocks("user", "tool_result", "tool_use_id"));
    same("calls", calls, made.len())?;
    same("calls of different ids", calls, made.iter().collect::<BTreeSet<_>>().len())?;
    same("answered calls", made.iter().collect::<BTreeSet<_>>(), answered.iter().collect())?;
    same("text", vec![result.to_string()], blocks("assistant", "text", "text"))
}
