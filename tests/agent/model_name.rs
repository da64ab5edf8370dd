//! Back at Claude a session asks for what the user has set, or for the version's default, and never for the local model.

use std::io::Write;

use serde_json::{Value, json};

use super::{DONE, FREE, Home, VERSIONS, done};
use crate::auto::{TODAY, Version, each_of_a_share, same};
use crate::support::messages_api::{answering, questions_of_the_call};
use crate::support::script::{Manner, calls};
use crate::support::stub::{self, Stub};

/// How the user chooses a model for what Claude is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Chosen {
    Nowhere,
    BySettings,
    ByVariable,
    ByOption,
}

use Chosen::{ByOption, BySettings, ByVariable, Nowhere};

/// Such models learned from the answers of a Claude, and say so.
const DISTILLED: &str = "tiny-Claude-Sonnet-4.5-Distill";

#[test]
fn a_session_that_comes_back_asks_for_the_users_model() {
    let old = VERSIONS.into_iter().filter(|version| *version != TODAY).chain([(2, 1, 197)]);
    let mut items: Vec<(Version, Chosen, &str)> = old.map(|version| (version, Nowhere, "tiny")).collect();
    items.extend([((2, 1, 197), BySettings, "tiny"), ((2, 1, 197), Nowhere, DISTILLED)]);
    items.extend([Nowhere, BySettings, ByVariable, ByOption].map(|chosen| (TODAY, chosen, "tiny")));
    items.extend([Nowhere, BySettings].map(|chosen| (TODAY, chosen, DISTILLED)));
    each_of_a_share(&items, 3, |&(version, chosen, local)| {
        let mut home = Home::with(version, answering("an answer of Claude"));
        home.sandbox.set("LOCAL_LLM_MODEL", local);
        let _model = home.plays(Manner::Pieces, [calls(&[("Bash", json!({"command": "echo hi"}))]), done()]);
        if chosen == BySettings {
            home.sandbox.write(".claude/settings.json", json!({"model": "sonnet"}).to_string());
        }
        // What a session asks for that was never here.
        let expected = ask_claude(&home, chosen, &[])?;
        let family = match chosen {
            Nowhere => "claude-",
            BySettings => "sonnet",
            ByVariable | ByOption => "haiku",
        };
        same("a model of Claude's", true, expected.contains(family)).map_err(|fault| format!("{fault}: {expected}"))?;

        home.sandbox.switch("local");
        let mut cmd = home.ask("the first question", &["--output-format", "stream-json", "--verbose", FREE]);
        if chosen == Nowhere {
            // Claude's own session, whose earlier answers name another model.
            cmd = cmd.arg("--continue");
        }
        let output = cmd.run();
        same("exit code", 0, output.code()).map_err(|fault| format!("{fault}: {}", output.err()))?;
        let lines: Vec<Value> = output.out().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let answers = lines.iter().filter(|line| line["type"] == "assistant");
        let models: Vec<String> = answers.map(|line| line["message"]["model"].to_string().to_lowercase()).collect();
        let is_local = |model: &String| model.starts_with("\"tiny") && model.contains("(local, not ");
        same("names of the local model", (2, true), (models.len(), models.iter().all(is_local)))
            .map_err(|fault| format!("{fault}: {models:?}"))?;
        let result = lines.last().ok_or("no result")?;
        same("result", &json!(DONE), &result["result"])?;
        let used: Vec<&str> = result["modelUsage"].as_object().ok_or("modelUsage")?.keys().map(String::as_str).collect();
        // A session that goes on counts on.
        same("whose usage", true, used.contains(&local)).map_err(|fault| format!("{fault}: {used:?}"))?;

        let asked = ask_claude(&home, chosen, &["--continue"])?;
        same("model", expected, asked)?;
        let question = questions_of_the_call(&home.net).pop().ok_or("Claude was not asked")?;
        same("the session", true, question["messages"].to_string().contains("the first question"))?;
        home.is_left_clean()
    });
}

/// The model that Claude is asked for.
fn ask_claude(home: &Home, chosen: Chosen, args: &[&str]) -> Result<String, String> {
    home.sandbox.switch("claude");
    let option: &[&str] = if chosen == ByOption { &["--model", "haiku"] } else { &[] };
    let mut cmd = home.ask("go on", option).args(args);
    if chosen == ByVariable {
        cmd = cmd.env("ANTHROPIC_MODEL", "haiku");
    }
    let output = cmd.run();
    same("answer of Claude", (0, "an answer of Claude\n".to_string()), (output.code(), output.out()))
        .map_err(|fault| format!("{fault}: {}", output.err()))?;
    let question = questions_of_the_call(&home.net).pop().ok_or("Claude was not asked")?;
    Ok(question["model"].as_str().ok_or("no model")?.into())
}

/// Claude Code compacts a conversation by what its answers say that they took: those of the local model count.
#[test]
fn what_local_answers_take_of_the_context_is_counted() {
    for (taken, is_compacted) in [(60_000, true), (600, false)] {
        let model = Stub::new(move |request, stream| {
            let usage = json!({"prompt_tokens": taken, "completion_tokens": 3, "total_tokens": taken + 3});
            let end = json!({"choices": [{"index": 0, "finish_reason": "stop", "delta": {}}], "usage": usage});
            let answer = stub::sse(&format!("{}data: {end}\n\ndata: [DONE]\n\n", stub::piece("<summary>so far</summary>")));
            let props = json!({"default_generation_settings": {"n_ctx": 65_536}}).to_string();
            let told = if request.is_chat() { answer } else { stub::json(200, &props) };
            let _ = stream.write_all(told.as_bytes());
        });
        let mut home = Home::new(TODAY);
        home.sandbox.set("LOCAL_LLM_URL", model.url());
        home.sandbox.set("LOCAL_LLM_CONTEXT", "65536");
        // After one answer alone there is nothing that could be summarized and left out.
        let on = || vec![FREE, "--continue"];
        for (prompt, args) in [("the first question", vec![FREE]), ("the second question", on()), ("the third question", on())] {
            let output = home.ask(prompt, &args).run();
            assert_eq!(output.code(), 0, "{}{}", output.out(), output.err());
        }
        let asked: Vec<String> = model.chats().iter().map(|chat| String::from_utf8_lossy(&chat.body).into_owned()).collect();
        let compacts = asked.iter().any(|body| body.contains("CRITICAL: Respond with TEXT ONLY"));
        assert_eq!(compacts, is_compacted, "{taken} tokens of 65,536");
    }
}
