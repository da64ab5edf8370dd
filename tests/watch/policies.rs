//! What is done with a refusal: by policy, patience and what had come of the call before.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use crate::support::life::signal;
use crate::support::play::{
    OVERLOADED, SAID, SESSION, Stage, act, acts, answer, answered, finish, first_words, init, limit, opening, overload, piece,
    refused, result_line, retry, say, tool,
};
use crate::support::stub::Stub;
use crate::support::wait;

fn on() -> Stub {
    Stub::answering("from here")
}

const WAITS: &str = "claude: Claude is overloaded; this call waits for it\n";

#[test]
fn local_is_the_default_and_asks_once() {
    for policy in ["", "local", " LOCAL ", "no-such-policy"] {
        let (stub, said) = (on(), "claude: Claude is at its 5-hour limit; the local model answers\n");
        let mut stage = Stage::new(&stub, &acts(&[&init(), &limit(), &act("exit 1")]));
        stage.set("LLM_FAILOVER_POLICY", policy);
        let warning = match policy {
            "no-such-policy" => {
                "claude: warning: LLM_FAILOVER_POLICY is `no-such-policy`: expected `local`, `wait`, `wait:2h` or `fail`; \
                 using local\n"
            }
            _ => "",
        };
        stage.ask("hi").expect(0, "from here\n", &format!("{warning}{said}"));
        assert_eq!((stage.runs(), stub.chats().len()), (1, 1));
        // The breaker is open now.
        stage.ask("hi").expect(0, "from here\n", &format!("{warning}{said}"));
        assert_eq!((stage.runs(), stub.chats().len()), (1, 2));
    }
}

/// However often Claude is asked, and if it is not asked at all.
#[test]
fn a_word_for_resume_that_is_none_is_warned_of_once_a_call() {
    let stub = on();
    let mut stage = Stage::new(&stub, &refused());
    stage.set("LLM_FAILOVER_RESUME", "no-such-word");
    let warning = "claude: warning: LLM_FAILOVER_RESUME is `no-such-word`: expected auto or never; using auto\n";
    // With the breaker closed, and open.
    for _ in 0..2 {
        stage.ask("hi").expect(0, "from here\n", &format!("{warning}{SAID}"));
        assert_eq!(stage.runs(), 1);
    }
    let mut stage = Stage::new(&stub, &refused());
    stage.set("LLM_FAILOVER_RESUME", "no-such-word");
    stage.set("LLM_FAILOVER_POLICY", "wait:1s");
    stage.ask("hi").expect(75, &format!("{OVERLOADED}\n"), &format!("{warning}{WAITS}"));
    assert_eq!(stage.runs(), 2);
}

#[test]
fn fail_passes_on_what_claude_says_with_a_code_of_its_own() {
    let stub = on();
    let mut stage = Stage::new(&stub, &acts(&[&act("env CLAUDE_CODE_MAX_RETRIES"), &refused()]));
    stage.set("LLM_FAILOVER_POLICY", "fail");
    for runs in 1..=2 {
        stage.ask("hi").expect(75, &format!("{OVERLOADED}\n"), "");
        assert_eq!(stage.runs(), runs, "an open breaker keeps nobody from asking");
    }
    assert_eq!(stage.left("env.1"), "CLAUDE_CODE_MAX_RETRIES=2\n");
    stage.play(&acts(&[&init(), &answer("fine"), &act("exit 7")]));
    stage.ask("hi").expect(7, "fine\n", "");
    assert_eq!(stage.breaker(), None);
    assert_eq!(stub.chats().len(), 0);
}

#[test]
fn wait_holds_the_call_until_claude_is_back() {
    let stub = on();
    let mut stage = Stage::new(&stub, &answered("fine"));
    stage.play_in(1, &refused());
    stage.set("LLM_FAILOVER_POLICY", "wait");
    let mut call = stage.begin("claude", &["-p", "hi"]);
    assert_eq!(first_words(&mut call), WAITS);
    stage.open_breaker(true);
    assert_eq!(finish(call), (0, "fine\n".into(), String::new()));
    assert_eq!((stage.runs(), stub.chats().len(), stage.breaker()), (2, 0, None));
}

/// Nothing of its input is lost on the first try.
#[test]
fn a_call_that_waited_has_its_stdin() {
    let text = "line\n".repeat(100_000);
    for kind in ["pipe", "file"] {
        let mut stage = Stage::bare();
        stage.play_in(1, &acts(&[&act("read"), &refused()]));
        stage.play(&acts(&[&act("read"), &answered("fine")]));
        stage.set("LLM_FAILOVER_POLICY", "wait");
        stage.write("input", &text);
        let script = if kind == "file" { "exec claude -p <input" } else { "exec claude -p" };
        let mut call = stage.cmd("/bin/sh").args(&["-c", script]).spawn();
        // Nobody reads it where the file is.
        let _ = call.stdin.take().expect("a pipe").write_all(text.as_bytes());
        assert_eq!(first_words(&mut call), WAITS);
        stage.open_breaker(true);
        assert_eq!(finish(call), (0, "fine\n".into(), String::new()), "{kind}");
        for number in 1..=2 {
            assert!(stage.left(&format!("stdin.{number}")) == text, "{kind}, run {number}");
        }
    }
}

#[test]
fn a_wait_that_is_over_asks_once_more_and_passes_on_what_comes() {
    let stub = on();
    let mut stage = Stage::new(&stub, &refused());
    stage.set("LLM_FAILOVER_POLICY", "wait:1s");
    stage.ask("hi").expect(75, &format!("{OVERLOADED}\n"), WAITS);
    assert_eq!(stage.runs(), 2);
    // With the breaker open: it waits first.
    stage.ask("hi").expect(75, &format!("{OVERLOADED}\n"), WAITS);
    assert_eq!((stage.runs(), stub.chats().len()), (3, 0));
}

/// No wait brings back a Claude that is not there.
#[test]
fn a_wrapper_that_leads_back_is_stopped_before_any_wait() {
    let mut stage = Stage::bare();
    stage.set("LLM_FAILOVER_POLICY", "wait");
    stage.open_breaker(false);
    let wrapper = stage.script("wrap/claude", "#!/bin/sh\nclaude \"$@\"; exit $?\n");
    stage.set("CLAUDE_BIN", wrapper);
    stage.set("CLAUDE_FAILOVER_EXEC", "20:1:/");
    let expected = "claude: `[HOME]/wrap/claude` leads back here: stopped after 20 turns\n\
                    hint: set CLAUDE_BIN to the absolute path of the real Claude Code\n";
    stage.ask("hi").expect(126, "", expected);
}

/// A call that waits and is not wanted any more ends at once.
#[test]
fn a_call_that_waits_can_be_ended() {
    let mut stage = Stage::bare();
    stage.set("LLM_FAILOVER_POLICY", "wait");
    stage.play(&refused());
    // Refused first, and with the breaker open.
    for _ in 0..2 {
        let mut call = stage.begin("claude", &["-p", "hi"]);
        assert_eq!(first_words(&mut call), WAITS);
        signal(call.id().cast_signed(), "TERM");
        let status = wait(&mut call, Duration::from_secs(20)).expect("an end");
        assert_eq!(status.signal(), Some(15), "{status:?}");
    }
    assert_eq!(stage.runs(), 1);
}

#[test]
fn retries_are_counted() {
    for (setting, shown) in [("0", 1), ("1", 2), ("2", 3), ("", 3), ("7", 8)] {
        let stub = on();
        let retries: Vec<String> = (1..=shown).flat_map(retry).collect();
        let mut stage = Stage::new(
            &stub,
            &acts(&[&init(), &retries[..retries.len() - 1], &act("wait go"), &retries[retries.len() - 1..], &act("wait never")]),
        );
        stage.set("LLM_FAILOVER_RETRIES", setting);
        let call = stage.begin("claude", &["-p", "hi"]);
        stage.run(1);
        stage.make("go");
        assert_eq!(finish(call), (0, "from here\n".into(), SAID.into()), "{setting}");
        stage.assert_nothing_runs();
    }
    // One less is no reason.
    let (stub, retries) = (on(), acts(&[&retry(1), &retry(2)]));
    let stage = Stage::new(&stub, &acts(&[&init(), &retries, &answer("fine")]));
    stage.ask("hi").expect(0, "fine\n", "");
    assert_eq!(stub.chats().len(), 0);
}

#[test]
fn silence_is_a_stall_and_a_slow_answer_is_none() {
    let stub = on();
    let mut stage = Stage::new(&stub, &acts(&[&init(), &act("wait never")]));
    stage.set("LLM_FAILOVER_STALL", "1");
    let said = "claude: Claude cannot be reached; the local model answers\n";
    stage.ask("hi").expect(0, "from here\n", said);
    stage.assert_nothing_runs();
    let slow = acts(&[&init(), &opening(), &piece("fi"), &act("sleep 2500"), &piece("ne"), &answer("fine")[3..]]);
    for args in [&["-p", "hi"][..], &["-p", "hi", "--output-format", "json"]] {
        let mut stage = Stage::new(&stub, &slow);
        stage.set("LLM_FAILOVER_STALL", "1");
        let expected = match args.len() {
            2 => "fine\n".to_string(),
            _ => format!("{}\n", result_line("fine")),
        };
        stage.cmd("claude").args(args).run().expect(0, &expected, "");
    }
    assert_eq!(stub.chats().len(), 1);
}

#[test]
fn a_watchdog_that_the_user_has_set_is_left_to_work() {
    let stub = on();
    let four: Vec<String> = (1..=4).flat_map(retry).collect();
    let mut stage = Stage::new(&stub, &acts(&[&act("env CLAUDE_CODE_MAX_RETRIES"), &init(), &four, &answer("fine")]));
    stage.set("CLAUDE_CODE_RETRY_WATCHDOG", "1");
    let said = "claude: Claude is overloaded; CLAUDE_CODE_RETRY_WATCHDOG is set, so Claude Code tries on and no local model \
                answers\n";
    stage.ask("hi").expect(0, "fine\n", said);
    assert_eq!(stage.left("env.1"), "CLAUDE_CODE_MAX_RETRIES=\n");
    assert_eq!(stub.chats().len(), 0);
}

#[test]
fn what_has_used_tools_is_not_answered_again() {
    let why = format!(
        "claude: Claude is overloaded; tools have run, so this call is not answered again locally; go on later with \
         `claude --resume {SESSION}`\n"
    );
    let stub = on();
    let mut stage = Stage::new(&stub, &acts(&[&init(), &tool(), &overload(), &act("exit 1")]));
    stage.ask("hi").expect(1, &format!("{OVERLOADED}\n"), &why);
    assert_eq!(stub.chats().len(), 0);
    stage.set("LLM_FAILOVER_REPLAY", "always");
    std::fs::remove_file(stage.path(crate::support::play::BREAKER)).unwrap();
    stage.ask("hi").expect(0, "from here\n", SAID);
    // Neither is one that only retries afterwards.
    let stage = Stage::new(&stub, &acts(&[&init(), &tool(), &retry(1), &retry(2), &retry(3), &answer("fine")]));
    stage.ask("hi").expect(0, "fine\n", "");
}

#[test]
fn what_the_caller_has_a_part_of_is_not_answered_again() {
    let stub = on();
    let streamed = ["-p", "hi", "--output-format", "stream-json", "--verbose", "--include-partial-messages"];
    let why = format!(
        "claude: Claude is overloaded; a part of the answer was printed, so this call is not answered again locally; go on \
         later with `claude --resume {SESSION}`\n"
    );
    let play = acts(&[&init(), &opening(), &piece("fi"), &overload(), &act("exit 1")]);
    let stage = Stage::new(&stub, &play);
    let lines: String = play[..play.len() - 1].iter().map(|line| format!("{}\n", &line[4..])).collect();
    stage.cmd("claude").args(&streamed).run().expect(1, &lines, &why);
    assert_eq!(stub.chats().len(), 0);
    // A text has not reached anybody before its end.
    Stage::new(&stub, &play).ask("hi").expect(0, "from here\n", SAID);
}

#[test]
fn settings_that_make_no_sense_are_named_and_the_defaults_used() {
    let stub = on();
    let mut stage = Stage::new(&stub, &answered("fine"));
    for (key, value, rest) in [
        ("LLM_FAILOVER_RETRIES", "many", "expected a number of retries; using 2"),
        ("LLM_FAILOVER_RETRIES", "-1", "expected a number of retries; using 2"),
        ("LLM_FAILOVER_RETRIES", "99999999999999999999", "expected a number of retries; using 2"),
        ("LLM_FAILOVER_STALL", "2m", "expected a number of seconds; using 120"),
        ("LLM_FAILOVER_STALL", "-5", "expected a number of seconds; using 120"),
        ("LLM_FAILOVER_POLICY", "wait:", "expected `local`, `wait`, `wait:2h` or `fail`; using local"),
    ] {
        stage.set(key, value);
        stage.ask("hi").expect(0, "fine\n", &format!("claude: warning: {key} is `{value}`: {rest}\n"));
        stage.unset(key);
    }
    for (key, value) in [
        ("LLM_FAILOVER_STALL", "18446744073709551615"),
        ("LLM_FAILOVER_RETRIES", "4294967297"),
        ("LLM_FAILOVER_POLICY", "wait:18446744073709551615"),
    ] {
        stage.set(key, value);
        stage.play(&acts(&[&init(), &retry(1), &answer("fine")]));
        stage.ask("hi").expect(0, "fine\n", "");
        stage.unset(key);
    }
}

/// Nobody wants to be asked before Claude could say a word.
#[test]
fn a_stall_of_no_time_is_no_stall() {
    let stub = on();
    let mut stage = Stage::new(&stub, &acts(&[&act("sleep 100"), &answered("fine")]));
    stage.set("LLM_FAILOVER_STALL", "0");
    stage.ask("hi").expect(0, "fine\n", "");
}

#[test]
fn quiet_is_quiet() {
    let stub = on();
    let mut stage = Stage::new(&stub, &refused());
    stage.set("LLM_FAILOVER_QUIET", "1");
    stage.ask("hi").expect(0, "from here\n", "");
    stage.ask("hi").expect(0, "from here\n", "");
}

#[test]
fn quiet_is_a_matter_of_yes_and_no() {
    let stub = on();
    let mut stage = Stage::new(&stub, &acts(&[&init(), &limit(), &act("exit 1")]));
    let line = "claude: Claude is at its 5-hour limit; the local model answers\n";
    for value in ["0", "false", " No ", "OFF", "", " "] {
        stage.set("LLM_FAILOVER_QUIET", value);
        stage.ask("hi").expect(0, "from here\n", line);
    }
    for value in ["1", "true", " Yes ", "ON"] {
        stage.set("LLM_FAILOVER_QUIET", value);
        stage.ask("hi").expect(0, "from here\n", "");
    }
    stage.set("LLM_FAILOVER_QUIET", "very");
    let warning = "claude: warning: LLM_FAILOVER_QUIET is `very`: expected 1/true/yes/on or 0/false/no/off; using no\n";
    stage.ask("hi").expect(0, "from here\n", &format!("{warning}{line}"));
}

/// A plan's limit with its time.
#[test]
fn the_stated_time_is_told() {
    let stub = on();
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(20);
    let event = serde_json::json!({"type": "rate_limit_event", "rate_limit_info": {"status": "rejected",
        "resetsAt": until.as_second(), "rateLimitType": "five_hour"}});
    let play = acts(&[&init(), &act(say(&event)), &limit()[1..], &act("exit 1")]);
    let stage = Stage::new(&stub, &play);
    let output = stage.ask("hi");
    let [start, end] = ["claude: Claude is at its 5-hour limit until ", "; the local model answers\n"];
    let told = output.err();
    let told = told.strip_prefix(start).and_then(|rest| rest.strip_suffix(end)).unwrap_or_else(|| panic!("{output:?}"));
    assert!(told.ends_with(&until.to_zoned(jiff::tz::TimeZone::UTC).strftime("%H:%M").to_string()), "{told}");
    assert_eq!(output.out(), "from here\n");
}
