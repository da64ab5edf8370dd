//! Texts from outside that drive a terminal, or show another text than the one that is there: in whatever a model, a server, Claude's
//! stream, a file or a caller sends. None of their characters may come out on stderr, or on stdout in our own words.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;

use serde_json::{Value, json};

use crate::support::Output;
use crate::support::play::{
    SESSION, Stage, act, acts, answered, init, init_line, limit_lines, overload, refused, result_line, say,
};
use crate::support::stub::{Stub, end, error_event, json as json_answer, piece, sse};

/// A window's title, a cleared screen, a C1 introducer, steps back, text from right to left, and what cannot be seen. The word tells
/// where it came from.
fn poison(word: &str) -> String {
    format!("{word}\u{1b}]0;t\u{7}\u{1b}[2J\u{9b}2K\u{8}\r\u{7f}\u{202e}\u{2066}\u{200b}\u{e0041}")
}

/// What has come out in some way, and of which source.
#[derive(Default)]
struct Seen {
    words: BTreeSet<String>,
}

impl Seen {
    /// Of the words, those that are in the text are noted.
    fn check(&mut self, what: &str, text: &[u8], words: &[&str]) {
        let text = std::str::from_utf8(text).unwrap_or_else(|error| panic!("{what}: {error}"));
        let is_harmful = |c: char| {
            c.is_control() && c != '\n'
                || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
                || matches!(c, '\u{e0000}'..='\u{e0fff}')
        };
        assert!(!text.contains(is_harmful), "{what}: {text:?}");
        self.words.extend(words.iter().filter(|word| text.contains(**word)).map(ToString::to_string));
    }

    #[track_caller]
    fn expect(self, words: &[&str]) {
        let missing: Vec<_> = words.iter().filter(|word| !self.words.contains(**word)).collect();
        assert!(missing.is_empty(), "these have come out nowhere, so nothing is shown of them: {missing:?}");
    }
}

const POSITIONS: [&str; 3] = ["claude", "local", "auto"];

/// What is written in a home in which all files are hostile, and with which commands.
#[test]
fn files() {
    const WORDS: [&str; 10] = [
        "in-breaker",
        "in-ledger-model",
        "in-ledger-applet",
        "in-ledger-verdict",
        "in-ledger-server",
        "in-ledger-markup",
        "in-log",
        "in-model",
        "in-value",
        "in-small",
    ];
    let stub = Stub::answering("fine");
    let stage = Stage::new(&stub, &answered("fine"));
    let folder = stage.path(&poison("in-folder").replace('/', ""));
    fs::create_dir_all(&folder).unwrap();
    let state = ".local/state/claude-failover";
    let now = jiff::Timestamp::now();
    let later = now + jiff::SignedDuration::from_mins(20);
    let condition = json!({"class": "model", "models": [poison("in-breaker")], "since": now, "until": later, "next_probe": later,
                           "updated": now, "failures": 1});
    let entry = json!({"time": now, "applet": poison("in-ledger-applet"), "route": "answer", "verdict": poison("in-ledger-verdict"),
                       "backend": "local", "model": poison("in-ledger-model"), "server": poison("in-ledger-server"), "seconds": 1.0,
                       "unknown_markup": poison("in-ledger-markup")});
    let hostile_files = |stage: &Stage| {
        stage.write(&format!("{state}/breaker.json"), json!({"conditions": [condition.clone()]}).to_string());
        // Its key is one that is not known.
        let entry = entry.to_string();
        stage.write(&format!("{state}/ledger.jsonl"), format!("{{\"time\":{}\n", &entry[entry.find("\"time\":").unwrap() + 7..]));
        stage.write(&format!("{state}/server.log"), poison("in-log") + "\n");
    };
    let config = format!(
        "{}\nLLM_{}=1\nLOCAL_LLM_MODEL={}\nLOCAL_LLM_SMALL_MODEL={}\nLLM_FAILOVER_POLICY={}\nLLM_NOTIFY_CMD=/none/{}\n",
        poison("no-assignment"),
        poison("in-config"),
        poison("in-model"),
        poison("in-small"),
        poison("in-value"),
        poison("in-notify"),
    );
    stage.write(".config/claude-failover/config.env", config);
    let mut seen = Seen::default();
    for position in POSITIONS {
        for args in [
            &["status"][..],
            &["status", "--json"],
            &["statusline"],
            &["log"],
            &["log", "--json"],
            &["log", "--since", "1h"],
            &["logs"],
            &["start"],
            &["stop"],
            &[position],
        ] {
            stage.write("flag", position);
            hostile_files(&stage);
            let output = stage.cmd("llm-failover").args(args).dir(&folder).run();
            seen.check(&format!("{position} {args:?} stdout"), &output.stdout, &WORDS);
            seen.check(&format!("{position} {args:?} stderr"), &output.stderr, &WORDS);
        }
        stage.write("flag", position);
        for format in ["text", "json"] {
            let output = stage.cmd("claude").args(&["-p", "hi", "--output-format", format, "--model", "opus"]).dir(&folder).run();
            seen.check(&format!("{position} {format} stderr"), &output.stderr, &WORDS);
        }
    }
    seen.expect(&WORDS);
}

/// What callers give on the command line and in their environment.
#[test]
fn callers() {
    let stub = Stub::answering("fine");
    let words = |text: &[&str]| {
        let bad = |word: &str| match word.strip_prefix("JSON ") {
            Some(json) => json.replace("\"BAD\"", &json!(poison("in-words")).to_string()),
            None => word.replace("BAD", &poison("in-words")),
        };
        text.iter().map(|word| bad(word)).collect::<Vec<_>>()
    };
    let mut seen = Seen::default();
    let mut silent = vec![];
    for (program, args) in [
        ("llm-failover", &["BAD"][..]),
        ("llm-failover", &["log", "--since", "BAD"]),
        ("llm-failover", &["drill", "BAD"]),
        ("llm-failover", &["gateway", "--port", "BAD"]),
        ("llm-failover", &["--BAD"]),
        ("claude-failover", &["BAD"]),
        ("claude-failover", &["--BAD"]),
        ("claude-failover", &["--install", "/proc/none/BAD"]),
        ("agent-llm", &["-p", "--BAD"]),
        ("agent-llm", &["-p", "hi", "--output-format", "BAD"]),
        ("agent-llm", &["-p", "hi", "--json-schema", r#"JSON {"type":"object","BAD":1}"#]),
        ("agent-llm", &["-p", "hi", "--settings", "/proc/none/BAD"]),
        ("agent-llm", &["-p", "hi", "--setting-sources", "BAD"]),
        ("agent-llm", &["-p", "hi", "--system-prompt-file", "/proc/none/BAD"]),
        ("agent-llm", &["-p", "hi", "--resume", "BAD"]),
        ("agent-llm", &["-p", "hi", "--max-turns", "BAD"]),
        ("agent-llm", &["-p", "--allowedTools", "Read", "do this BAD"]),
    ] {
        let mut stage = Stage::new(&stub, &answered("fine"));
        stage.set("LOCAL_LLM_AGENT", "never");
        let link = stage.path("bin/claude-failover");
        std::os::unix::fs::symlink(*crate::support::BINARY, link).unwrap();
        let mut is_shown = false;
        for position in POSITIONS {
            stage.write("flag", position);
            let output = stage.cmd(program).args(&words(args)).run();
            seen.check(&format!("{position} {program} {args:?}"), &output.stderr, &["in-words"]);
            is_shown |= output.err().contains("in-words");
        }
        if !is_shown {
            silent.push(args.join(" "));
        }
    }
    assert_eq!(silent, Vec::<String>::new(), "nothing is shown of these");
    let (no_place, mut silent) = (poison("/proc/none/in-variable"), vec![]);
    for name in [
        "LLM_BACKEND_FLAG",
        "CLAUDE_BIN",
        "LOCAL_LLM_URL",
        "LOCAL_LLM_URL_2",
        "LOCAL_LLM_MODEL",
        "LOCAL_LLM_MAX_TOKENS",
        "LOCAL_LLM_TEMPERATURE",
        "LOCAL_LLM_AGENT",
        "LOCAL_LLM_RETRIES",
        "LLM_PORT",
        "LLM_SUPERVISOR",
        "LLM_NOTIFY_CMD",
        "LLM_FAILOVER_POLICY",
        "LLM_FAILOVER_RESUME",
        "LLM_FAILOVER_RETRIES",
        "LLM_FAILOVER_QUIET",
        "LLM_GATEWAY_TOKEN",
        "HOME",
    ] {
        let mut stage = Stage::new(&stub, &refused());
        match name {
            // A relative path is an error.
            "LLM_BACKEND_FLAG" => stage.set(name, poison("in-variable")),
            _ => stage.set(name, &no_place),
        }
        if name == "LLM_PORT" {
            stage.unset("LOCAL_LLM_URL");
        }
        if name == "CLAUDE_BIN" {
            let bin = stage.path("bin");
            stage.set_path(&[bin]);
        }
        let mut is_shown = false;
        for position in POSITIONS {
            stage.write("flag", position);
            for args in [&["llm-failover", "status"][..], &["llm-failover", position], &["claude", "-p", "hi"]] {
                let output = stage.cmd(args[0]).args(&args[1..]).run();
                let texts = [&output.stderr, if args[0] == "claude" { &output.stderr } else { &output.stdout }];
                for text in texts {
                    seen.check(&format!("{name} {position} {args:?}"), text, &[]);
                    is_shown |= String::from_utf8_lossy(text).contains("in-variable");
                }
            }
        }
        if !is_shown {
            silent.push(name);
        }
    }
    assert_eq!(silent, ["LLM_GATEWAY_TOKEN"], "nothing is shown of these");
}

/// What a local server says instead of an answer, in the middle of one, and of its models.
#[test]
fn servers() {
    let bad = || poison("of-server");
    let message = || json!({"error": {"message": bad()}}).to_string();
    let models = |ids: &[&str]| json!({"data": ids.iter().map(|id| json!({"id": poison(id)})).collect::<Vec<_>>()}).to_string();
    let no_list = json_answer(404, "{}");
    let unknown_model = json_answer(404, r#"{"error":{"message":"model not found"}}"#);
    let table: Vec<(&str, String, String)> = vec![
        ("a refusal", json_answer(400, &message()), no_list.clone()),
        ("a refusal that is no JSON", json_answer(500, &bad()), no_list.clone()),
        ("a page", json_answer(500, &format!("<html><p>{}</p>", bad())), no_list.clone()),
        ("an odd shape", json_answer(500, &json!({"other": [bad()]}).to_string()), no_list.clone()),
        ("a reason", format!("HTTP/1.1 500 {}\r\n\r\n", bad().replace(['\r', '\u{7f}'], "")), no_list.clone()),
        ("another place", "HTTP/1.1 302 X\r\nLocation: http://of-server/\u{9b}\u{202e}\r\n\r\n".to_string(), no_list.clone()),
        ("an error in the stream", error_event(&bad()), no_list.clone()),
        ("a broken answer", sse(&piece(&bad())), no_list.clone()),
        ("an error behind words", sse(&(piece(&bad()) + &format!("data: {}\n\n", message()))), no_list.clone()),
        ("unknown markup", sse(&(piece(&format!("<|of-server|>{}", bad())) + &end("stop"))), no_list.clone()),
        ("several models", unknown_model.clone(), json_answer(200, &models(&["of-server-a", "of-server-b"]))),
        ("another model", unknown_model, json_answer(200, &models(&["of-server"]))),
        (
            "a dead model",
            json_answer(500, &json!({"error": format!("generation thread died {}", bad())}).to_string()),
            no_list.clone(),
        ),
        ("no HTTP", bad(), bad()),
    ];
    let (mut seen, mut silent) = (Seen::default(), vec![]);
    for (what, chat, list) in table {
        let is_shown = ["local", "auto"].map(|position| {
            let (chat, list) = (chat.clone(), list.clone());
            let stub = Stub::new(move |request, stream| {
                let _ = stream.write_all(if request.is_chat() { chat.as_bytes() } else { list.as_bytes() });
            });
            let mut stage = Stage::new(&stub, &refused());
            stage.set("LOCAL_LLM_RETRIES", "0");
            stage.write("flag", position);
            let mut is_shown = false;
            for args in [
                &["claude", "-p", "hi"][..],
                &["claude", "-p", "hi", "--output-format", "json"],
                &["llm-failover", "status"],
                &["llm-failover", "status", "--json"],
                &["llm-failover", "statusline"],
                &["llm-failover", "log"],
            ] {
                let output = stage.cmd(args[0]).args(&args[1..]).run();
                seen.check(&format!("{what} {position} {args:?}"), &output.stderr, &[]);
                let is_ours = args[0] == "llm-failover";
                if is_ours {
                    seen.check(&format!("{what} {position} {args:?}"), &output.stdout, &[]);
                }
                let said = output.err() + &if is_ours { output.out() } else { String::new() };
                is_shown |= said.contains("of-server");
            }
            is_shown
        });
        if is_shown == [false; 2] {
            silent.push(what);
        }
    }
    // What has such characters is no model's name.
    assert_eq!(silent, ["a reason", "several models", "another model", "no HTTP"], "nothing is shown of these");
}

/// What stands in the stream of the real Claude Code, and stays in files.
#[test]
fn claudes_stream() {
    let with = |line: &Value, path: &str, value: &str| {
        let mut line = line.clone();
        let place = line.pointer_mut(path).unwrap_or_else(|| panic!("{path}"));
        *place = value.into();
        say(&line)
    };
    let session = poison("of-session");
    let [rejected, said, end] = limit_lines();
    let family = |family: &str| format!("You've reached your {family} limit");
    let table: Vec<(&str, Vec<String>)> = vec![
        ("session", acts(&[&[with(&init_line(), "/session_id", &session)], &crate::support::play::tool(), &overload()])),
        ("model", acts(&[&[with(&init_line(), "/model", &poison("of-model"))], &overload()])),
        ("version", acts(&[&[with(&init_line(), "/claude_code_version", &poison("2.1.330"))], &overload()])),
        (
            "limit",
            acts(&[
                &init(),
                &[with(&rejected, "/rate_limit_info/rateLimitType", &poison("seven_day_of-family")), say(&said), say(&end)],
            ]),
        ),
        (
            "family",
            acts(&[
                &init(),
                &[
                    with(&said, "/message/content/0/text", &family(&poison("opus"))),
                    with(&end, "/result", &family(&poison("opus"))),
                ],
            ]),
        ),
        ("error", acts(&[&init(), &[with(&said, "/error", &poison("rate_limit")), with(&end, "/result", &poison("of-result"))]])),
        ("no stream", acts(&[&act(format!("say {}", poison("banner").replace('\r', ""))), &refused()])),
    ];
    let mut seen = Seen::default();
    for (what, mut play) in table {
        play.push("exit 1".into());
        for policy in ["local", "fail"] {
            let stub = Stub::answering("fine");
            let mut stage = Stage::new(&stub, &play);
            stage.set("LLM_FAILOVER_POLICY", policy);
            stage.set("LLM_FAILOVER_RESUME", "never");
            stage.write("told", "");
            let script = "#!/bin/sh\nprintf '%s\\n' \"$1\" >> ~/told\n";
            let script = stage.script("tell", script);
            stage.set("LLM_NOTIFY_CMD", script);
            for args in [
                &["claude", "-p", "hi", "--model", "opus"][..],
                &["llm-failover", "status"],
                &["llm-failover", "statusline"],
                &["llm-failover", "log"],
                &["llm-failover", "log", "--json"],
            ] {
                let output: Output = stage.cmd(args[0]).args(&args[1..]).run();
                let words = ["of-session", "of-model", "of-family", "of-result"];
                seen.check(&format!("{what} {policy} {args:?}"), &output.stderr, &words);
                if args[0] == "llm-failover" {
                    seen.check(&format!("{what} {policy} {args:?}"), &output.stdout, &words);
                }
            }
            seen.check(what, &fs::read(stage.path("told")).unwrap(), &[]);
        }
    }
    assert_ne!(session, SESSION);
    // An id that is no UUID is none, so this filter had nothing to do.
    assert!(!seen.words.contains("of-session"), "{:?}", seen.words);
}

/// What is remembered of a server, and what a call of a drill prints.
#[test]
fn memories_and_drills() {
    let stub = Stub::answering("fine");
    let mut seen = Seen::default();
    let stage = Stage::new(
        &stub,
        &acts(&[&init(), &[say(&result_line(&poison("in-result")))], &[format!("err {}", poison("in-err").replace('\r', ""))]]),
    );
    let output = stage.cmd("llm-failover").args(&["drill", "limit"]).run();
    seen.check("drill", &output.stdout, &["in-result", "in-err"]);
    seen.check("drill", &output.stderr, &[]);
    let now = jiff::Timestamp::now();
    let known = json!({"is_asked": true, "id": poison("in-memory"), "since": now, "window": 4096, "server": "Unknown"});
    let memory = json!({"servers": [{"url": stub.url(), "models": {"": known}, "thinks_unopened": {"": false}}]});
    for position in ["local", "auto"] {
        stage.write("flag", position);
        stage.open_breaker(false);
        for args in
            [&["claude", "-p", "hi"][..], &["llm-failover", "log"], &["llm-failover", "status"], &["llm-failover", position]]
        {
            stage.write(".local/state/claude-failover/servers.json", memory.to_string());
            let output = stage.cmd(args[0]).args(&args[1..]).run();
            seen.check(&format!("{position} {args:?}"), &output.stderr, &["in-memory"]);
            if args[0] == "llm-failover" {
                seen.check(&format!("{position} {args:?}"), &output.stdout, &["in-memory"]);
            }
        }
    }
    seen.expect(&["in-result", "in-err", "in-memory"]);
}
