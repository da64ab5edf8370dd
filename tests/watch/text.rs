//! What the real Claude prints that is no line of its stream, and ends without an answer.

use std::io::Read;

use serde_json::{Value, json};

use crate::support::play::{
    LIMITED, NO_ANSWER, OVERLOADED, SAID, Stage, act, acts, answer, answered, assistant_line, finish, init, init_line, limit,
    opening, overload, piece, refused, result_line, say,
};
use crate::support::stub::Stub;

const BANNER: &str = "Now using node v22.1.0 \u{1b}[2m(npm)\u{1b}[0m";

/// The options of each format, and whether it is a stream.
const FORMATS: [(&[&str], bool); 4] = [
    (&[], false),
    (&["--output-format", "json"], false),
    (&["--output-format", "json", "--verbose"], false),
    (&["--output-format", "stream-json", "--verbose"], true),
];

fn ask(stage: &Stage, args: &[&str]) -> crate::support::Output {
    stage.cmd("claude").args(&["-p", "hi"]).args(args).run()
}

#[test]
fn a_banner_stands_before_the_answer_in_every_format() {
    let stage = Stage::bare();
    for (args, _) in FORMATS {
        stage.play(&answered("fine"));
        let plain = ask(&stage, args).out();
        stage.play(&acts(&[
            &act(format!("say {BANNER}")),
            &act("say {not JSON"),
            &act("say {\"level\":\"info\"}"),
            &answered("fine"),
        ]));
        ask(&stage, args).expect(0, &format!("{BANNER}\n{{not JSON\n{{\"level\":\"info\"}}\n{plain}"), "");
        // One that does not end its line.
        stage.play(&acts(&[&act("half \u{1b}]0;claude\u{7}"), &answered("fine")]));
        ask(&stage, args).expect(0, &format!("\u{1b}]0;claude\u{7}{plain}"), "");
        // One at the end.
        stage.play(&acts(&[&answered("fine"), &act("say bye"), &act("exit 3")]));
        ask(&stage, args).expect(3, &format!("{plain}bye\n"), "");
    }
}

#[test]
fn a_banner_before_a_refusal_stands_before_the_local_answer() {
    for (args, is_stream) in FORMATS {
        let stub = Stub::answering("from here");
        let stage = Stage::new(&stub, &acts(&[&act(format!("say {BANNER}")), &refused()]));
        let output = ask(&stage, args);
        let text = output.out();
        let rest = text.strip_prefix(&format!("{BANNER}\n")).expect("the banner");
        assert_eq!((output.code(), output.err().as_str(), stub.chats().len()), (0, SAID, 1));
        match args.len() {
            0 => assert_eq!(rest, "from here\n"),
            _ => assert!(rest.contains("\"result\":\"from here\"") && (is_stream || !rest.contains(OVERLOADED)), "{rest}"),
        }
    }
}

#[test]
fn a_wrapper_of_text_alone_is_passed_on_whole() {
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &[]);
    for (args, _) in FORMATS {
        for code in [0, 1, 7] {
            // Its words are its own, whatever they are.
            let lines =
                ["say line one", "say", &format!("say {LIMITED}"), "half no end", &format!("exit {code}")].map(String::from);
            stage.play(&lines);
            ask(&stage, args).expect(code, &format!("line one\n\n{LIMITED}\nno end"), "");
        }
    }
    assert_eq!((stub.seen().len(), stage.breaker()), (0, None));
}

#[test]
fn text_comes_as_it_is_printed() {
    let stage = Stage::bare();
    stage.play(&["half no end yet", "wait go", "say  and now"].map(String::from));
    let mut call = stage.begin("claude", &["-p", "hi"]);
    let mut text = [0; 10];
    call.stdout.as_mut().unwrap().read_exact(&mut text).unwrap();
    assert_eq!(&text, b"no end yet");
    stage.make("go");
    assert_eq!(finish(call), (0, " and now\n".into(), String::new()));
}

/// What is printed without end and without a newline is not kept.
#[test]
fn endless_text_takes_no_memory() {
    let stage = Stage::bare();
    stage.play(&["sh exec head -c 200000000 /dev/zero".to_string()]);
    // macOS has no such limit.
    let script = "ulimit -v 150000 2>/dev/null; claude -p hi | wc -c";
    stage.cmd("/bin/bash").args(&["-c", script]).run().expect(0, "200000000\n", "");
}

#[test]
fn an_end_without_an_answer_is_no_success() {
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &[]);
    let ends = [
        act("exit 0"),
        acts(&[&init(), &act("exit 0")]),
        acts(&[&act("say a banner"), &init(), &act("exit 0")]),
        acts(&[&init(), &opening(), &piece("half an"), &act("exit 0")]),
        act("half {\"type\":\"result\",\"subtype\":\"succ"),
    ];
    for play in ends {
        for (args, is_stream) in FORMATS {
            stage.play(&play);
            let output = ask(&stage, args);
            assert_eq!((output.code(), output.err().as_str()), (1, NO_ANSWER), "{play:?} {args:?}");
            assert_eq!(output.out().starts_with("a banner\n"), play[0] == "say a banner", "{play:?} {args:?}");
            let is_silent = args.len() <= 2 && play[0] != "say a banner";
            assert!(!is_silent || output.stdout.is_empty(), "{output:?}");
            assert!(!is_stream || play.len() < 2 || output.out().contains("\"init\""), "{output:?}");
        }
    }
    assert_eq!((stub.seen().len(), stage.breaker()), (0, None));
}

/// Its exit code and its words on stderr say enough.
#[test]
fn a_failure_without_an_answer_is_claudes_own() {
    let stage = Stage::bare();
    stage.play(&["err error: unknown option '--x'", "exit 1"].map(String::from));
    for (args, _) in FORMATS {
        ask(&stage, args).expect(1, "", "error: unknown option '--x'\n");
    }
    // The result of a session that was not found is for streams alone.
    let mut none = result_line("");
    (none["subtype"], none["is_error"]) = (json!("error_during_execution"), json!(true));
    stage.play(&acts(&[&act("err No conversation found"), &act(say(&none)), &act("exit 1")]));
    for (args, is_stream) in &FORMATS[..2] {
        assert!(!is_stream);
        ask(&stage, args).expect(1, "", "No conversation found\n");
    }
}

#[test]
fn an_answer_without_a_beginning_is_an_answer() {
    let stage = Stage::bare();
    stage.play(&answer("fine"));
    stage.ask("hi").expect(0, "fine\n", "");
    let output = ask(&stage, FORMATS[1].0);
    assert_eq!((output.code(), output.out()), (0, format!("{}\n", result_line("fine"))));
    // And a failure that an answer has come before is told.
    let mut turns = result_line("");
    (turns["subtype"], turns["is_error"]) = (json!("error_max_turns"), json!(true));
    stage.play(&acts(&[&act(say(&assistant_line("so far"))), &act(say(&turns)), &act("exit 1")]));
    stage.cmd("claude").args(&["-p", "hi", "--max-turns", "1"]).run().expect(1, "Error: Reached max turns (1)", "");
    // And a refusal without one is a refusal.
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &acts(&[&overload(), &act("exit 1")]));
    stage.ask("hi").expect(0, "from here\n", SAID);
}

/// A result in the words of a limit, by a model: its text decides nothing.
fn quoted(text: &str, model: &str) -> Vec<String> {
    let message = json!({"model": model, "role": "assistant", "content": [{"type": "text", "text": text}]});
    let mut end = result_line(text);
    end["is_error"] = json!(true);
    let said: Value = json!({"type": "assistant", "message": message, "parent_tool_use_id": null});
    vec![say(&init_line()), say(&said), say(&end), "exit 1".into()]
}

#[test]
fn a_models_own_words_are_no_refusal() {
    for text in [LIMITED, "Credit balance is too low", "API Error: 400 You're out of extra usage", OVERLOADED] {
        let stub = Stub::answering("from here");
        let stage = Stage::new(&stub, &quoted(text, "claude-opus-5-5"));
        stage.ask("hi").expect(1, &format!("{text}\n"), "");
        assert_eq!((stub.seen().len(), stage.breaker()), (0, None), "{text}");
        // Claude Code's own do.
        stage.play(&quoted(text, "<synthetic>"));
        let output = stage.ask("hi");
        assert_eq!((output.code(), output.out().as_str()), (0, "from here\n"), "{text}");
        assert!(stage.breaker().is_some(), "{text}");
    }
    // A model spoke earlier in the turn.
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &acts(&[&quoted("hm", "claude-opus-5-5")[..2], &limit(), &act("exit 1")]));
    stage.ask("hi").expect(0, "from here\n", "claude: Claude is at its 5-hour limit; the local model answers\n");
}

#[test]
fn an_overload_in_the_stream_is_called_one() {
    let event = json!({"type": "stream_event", "event": {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}});
    let text = "API Error: API returned an empty or malformed response (HTTP 200) — check for a proxy";
    let stub = Stub::answering("from here");
    for (begins, said) in [
        (acts(&[&init(), &opening()]), SAID.to_string()),
        (acts(&[&init(), &act(say(&event))]), SAID.to_string()),
        (init(), SAID.replace("is overloaded", "cannot be reached")),
    ] {
        let stage = Stage::new(&stub, &acts(&[&begins, &quoted(text, "<synthetic>")[1..]]));
        stage.ask("hi").expect(0, "from here\n", &said);
        let log = stage.failover(&["log", "--json"]).out();
        let class = if said == SAID { "overload" } else { "network" };
        assert!(log.contains(&format!("\"{class}\"")), "{log}");
    }
}
