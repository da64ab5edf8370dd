//! Work that is longer than the local model's context: each step prints a tenth of it, and there are three times as many as it holds.

use std::fmt::Debug;
use std::fs;
use std::process::Command;

use serde_json::Value;

use super::{FREE, Home};
use crate::auto::{TODAY, Version, each, each_of_a_share, same};
use crate::support::Output;
use crate::support::honest::{DONE, Honest, Kind, Summary, Turn};
use crate::support::script::{text, tools};

const STEPS: usize = 30;

/// A step prints so many lines of so many bytes, which is a tenth of the context.
fn step(n_ctx: usize) -> String {
    const LINE: &str = "the server has written its file and waits for more\n";
    let lines = n_ctx * 4 / 10 / LINE.len();
    let line = LINE.trim_end();
    format!(
        "echo $1 >> done.txt\necho \"step $1 is done\"\ni=0\nwhile [ $i -lt {lines} ]; do echo '{line}'; i=$((i + 1)); done\n"
    )
}

/// A home in which an agent can work, and the server that it works with.
fn prepared(version: Version, n_ctx: usize, steps: usize, summary: Summary) -> (Home, Honest) {
    let mut home = Home::new(version);
    let server = Honest::new(n_ctx, steps, summary);
    home.sandbox.set("LOCAL_LLM_URL", server.url());
    fs::write(home.work("step.sh"), step(n_ctx)).expect("a file");
    (home, server)
}

fn work(home: &Home, args: &[&str]) -> Output {
    home.ask("Run sh step.sh NUMBER for each number.", &[FREE]).args(args).run()
}

/// Whether each step was done once, and the end is the right one.
fn is_done(home: &Home, output: &Output, steps: usize) -> Result<(), String> {
    same("end", (0, format!("{DONE}\n")), (output.code(), output.out())).map_err(|fault| fault + &output.err())?;
    let numbers: String = (1..=steps).map(|step| format!("{step}\n")).collect();
    same("steps", numbers, home.read("done.txt"))
}

#[track_caller]
fn at_least(what: &str, least: usize, seen: usize, all: impl Debug) -> Result<(), String> {
    if seen >= least { Ok(()) } else { Err(format!("{what}: {seen}, expected {least} at least: {all:?}")) }
}

/// The turns of the work, each with how it ended, in tokens.
fn lengths(turns: &[Turn]) -> Vec<(Kind, usize, usize)> {
    turns.iter().filter(|turn| turn.kind != Kind::Aside).map(|turn| (turn.kind, turn.tokens, turn.cached)).collect()
}

#[test]
fn all_of_it_is_done_in_any_context() {
    let older = [(2, 1, 197), (2, 1, 110), (2, 0, 76)].into_iter();
    let older = older.flat_map(|version| [8192, 16_384, 32_768].map(|n_ctx| (version, n_ctx)));
    let items: Vec<(Version, usize)> =
        [8192, 12_288, 16_384, 32_768, 65_536].map(|n_ctx| (TODAY, n_ctx)).into_iter().chain(older).collect();
    each_of_a_share(&items, 3, |&(version, n_ctx)| {
        let (home, server) = prepared(version, n_ctx, STEPS, Summary::Short);
        let output = work(&home, &[]);
        is_done(&home, &output, STEPS)?;
        let turns: Vec<Turn> = server.turns().into_iter().filter(|turn| turn.kind != Kind::Aside).collect();
        let all = lengths(&turns);
        same("refused", 0, turns.iter().filter(|turn| turn.is_refused).count())?;
        // The full instructions are for contexts of which they are a quarter at most.
        at_least("what is left for the work", 3 * n_ctx / 4, n_ctx - turns[0].prefix, &all)?;
        let is_summary = |turn: &&Turn| turn.kind == Kind::Summary;
        let summaries = turns.iter().filter(is_summary).count();
        at_least("summaries", 3, summaries, &all)?;
        at_least("requests of the work", turns.len() - summaries, STEPS + 1, &all)?;
        let share = if n_ctx > 12_288 { 60 } else { 50 };
        for at in 1..turns.len() {
            let (before, now) = (&turns[at - 1], &turns[at]);
            if now.kind == Kind::Summary {
                at_least("the conversation before a summary", n_ctx * share / 100, before.tokens - before.prefix, &all)?;
                at_least("room after it", n_ctx / 3, before.tokens - turns[at + 1].tokens, &all)?;
                // 2.0.76 asks for it with other tools.
                let known = if version > (2, 0, 76) { before.tokens - n_ctx / 8 } else { 0 };
                at_least("what is known of it", known, now.cached, &all)?;
            }
        }
        if version == (2, 0, 76) {
            return Ok(());
        }
        let (read, new) = turns.iter().fold((0, 0), |(read, new), turn| (read + turn.tokens - turn.cached, new + turn.new));
        // Instructions stay the same over a summary, and so do the messages that Claude Code keeps; what moves is read again.
        match read * 100 <= new * 115 {
            true => Ok(()),
            false => Err(format!("{read} tokens were read, and {new} are new: {all:?}")),
        }
    });
}

#[test]
fn one_refusal_tells_what_the_context_is() {
    each(&[TODAY, (2, 1, 197)], |&version| {
        let (mut home, _) = prepared(version, 16_384, STEPS, Summary::Short);
        let server = Honest::silent(16_384, STEPS, Summary::Short);
        home.sandbox.set("LOCAL_LLM_URL", server.url());
        is_done(&home, &work(&home, &[]), STEPS)?;
        let turns = server.turns();
        same("refused", 1, turns.iter().filter(|turn| turn.is_refused).count())
            .map_err(|fault| format!("{fault} {:?}", lengths(&turns)))
    });
}

#[test]
fn a_model_that_writes_no_summary_ends_no_session() {
    let items = [(TODAY, Summary::Empty), (TODAY, Summary::Call), ((2, 1, 110), Summary::Call)];
    each(&items, |&(version, summary)| {
        let (home, server) = prepared(version, 8192, 12, summary);
        is_done(&home, &work(&home, &[]), 12)?;
        let turns = server.turns();
        at_least("summaries", 1, turns.iter().filter(|turn| turn.kind == Kind::Summary).count(), lengths(&turns))?;
        let told = "The local model wrote no summary.";
        let is_told = turns.iter().any(|turn| turn.kind == Kind::Step && turn.question["messages"].to_string().contains(told));
        same("what it goes on with", true, is_told)
    });
}

#[test]
fn versions_that_cannot_compact_say_so() {
    let (home, server) = prepared((1, 0, 128), 8192, STEPS, Summary::Short);
    let output = work(&home, &[]);
    assert_eq!((output.code(), output.out()), (1, "Prompt is too long\n".to_string()), "{}", output.err());
    assert!(server.turns().iter().all(|turn| !turn.is_refused));
}

#[test]
fn what_is_told_of_a_prompt_is_what_was_sent() {
    for n_ctx in [16_384, 65_536] {
        let (home, server) = prepared(TODAY, n_ctx, 8, Summary::Short);
        let output = work(&home, &["--output-format", "stream-json", "--verbose", "--include-partial-messages"]);
        let events: Vec<Value> = output.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |kind: &str| -> Vec<&Value> {
            let events = events.iter().map(|event| &event["event"]);
            events.filter(|event| event["type"] == kind).collect()
        };
        let prompt = |usage: &Value| {
            let number = |key: &str| usage[key].as_u64().unwrap_or_default();
            number("input_tokens") + number("cache_read_input_tokens")
        };
        let begun: Vec<u64> = of("message_start").iter().map(|event| prompt(&event["message"]["usage"])).collect();
        let ended: Vec<u64> = of("message_delta").iter().map(|event| prompt(&event["usage"])).collect();
        let sent = server.turns();
        let sent: Vec<u64> = sent.iter().filter(|turn| turn.kind == Kind::Step).map(|turn| turn.tokens as u64).collect();
        assert_eq!(ended, sent, "{n_ctx}");
        let within =
            |share: u64| begun.iter().zip(&sent).filter(|(begun, sent)| begun.abs_diff(**sent) * share <= **sent).count();
        // It is an estimate until the server has counted instructions and a few results.
        assert_eq!((begun.len(), within(5)), (sent.len(), sent.len()), "{n_ctx}: {begun:?} {sent:?}");
        assert!(within(20) * 2 > sent.len(), "{n_ctx}: {begun:?} {sent:?}");
    }
}

#[test]
fn the_user_decides_how_much_is_sent() {
    // What is set, the context, and whether all is sent.
    let items = [
        (None, 32_768, false),
        (Some("auto"), 65_536, true),
        (Some("full"), 32_768, true),
        (Some("lean"), 131_072, false),
        (Some("much"), 65_536, true),
    ];
    each(&items, |&(word, n_ctx, is_full)| {
        let (mut home, server) = prepared(TODAY, n_ctx, 1, Summary::Short);
        if let Some(word) = word {
            home.sandbox.set("LOCAL_LLM_AGENT_PROMPT", word);
        }
        let output = work(&home, &[]);
        is_done(&home, &output, 1)?;
        let turns = server.turns();
        same("full", is_full, tools(&turns[0].question).contains(&"Workflow"))?;
        same("lean", !is_full, output.err().contains("short instructions"))?;
        same("warned", word == Some("much"), output.err().contains("expected auto, full or lean"))
    });
}

#[test]
fn lean_requests_keep_what_is_true_here_and_what_the_user_wants() {
    let items: Vec<(Version, usize)> = [(2, 0, 76), (2, 1, 110), (2, 1, 197), TODAY]
        .into_iter()
        .flat_map(|version| [(version, 8192), (version, 32_768)])
        .collect();
    each_of_a_share(&items, 3, |&(version, n_ctx)| {
        let (home, server) = prepared(version, n_ctx, 1, Summary::Short);
        fs::write(home.work("CLAUDE.md"), "Be kind to whales.\n").map_err(|error| error.to_string())?;
        let git = |args: &[&str]| {
            let identity = ["-c", "user.name=n", "-c", "user.email=n@localhost"];
            Command::new("git").args(identity).args(args).current_dir(home.work("")).env_clear().output().expect("git")
        };
        git(&["init", "-q", "-b", "trunk", "."]);
        git(&["add", "CLAUDE.md"]);
        git(&["commit", "-q", "-m", "The first of all"]);
        let output = work(&home, &["--append-system-prompt", "Greet the captain."]);
        is_done(&home, &output, 1)?;
        let turns = server.turns();
        let turn = turns.iter().find(|turn| turn.kind == Kind::Step).ok_or("no turn")?;
        let said: String = turn.question["messages"].as_array().into_iter().flatten().map(text).collect();
        let folder = home.work("");
        let folder = folder.trim_end_matches('/');
        let facts = ["Be kind to whales.", "Greet the captain.", folder, "Platform: linux", "trunk", "The first of all", "20"];
        for fact in facts {
            same(fact, true, said.contains(fact)).map_err(|fault| format!("{fault} {said}"))?;
        }
        let offered = tools(&turn.question);
        same("tools", true, ["Bash", "Read", "Edit", "Write"].iter().all(|tool| offered.contains(tool)))?;
        let bash = turn.question["tools"].as_array().into_iter().flatten().find(|tool| tool["function"]["name"] == "Bash");
        let arguments = &bash.ok_or("no Bash")?["function"]["parameters"]["properties"];
        for argument in ["command", "timeout", "description", "run_in_background"] {
            same(argument, true, arguments[argument].is_object())?;
        }
        at_least("what is left", 3 * n_ctx / 4, n_ctx - turn.prefix, turn.prefix)
    });
}
