//! `llm-failover log`: what people and programs read in the ledger.

use std::fs;

use crate::support::Sandbox;
use crate::support::play::{Stage, answered, refused};
use crate::support::stub::Stub;

/// A line of the ledger: what began at `time` was answered by `backend`, and so on with `rest`.
fn line(time: &str, backend: &str, rest: &str) -> String {
    format!(r#"{{"time":"{time}","applet":"claude","route":"watch","backend":"{backend}","seconds":2.04{rest}}}"#)
}

fn limited(time: &str, verdict: &str, until: &str) -> String {
    line(time, "local", &format!(r#","verdict":"{verdict}","until":"{until}""#))
}

fn met(time: &str, verdict: &str) -> String {
    line(time, "local", &format!(r#","verdict":"{verdict}""#))
}

fn fine(time: &str) -> String {
    line(time, "claude", r#","verdict":"fine""#)
}

/// A sandbox two hours east of Greenwich with this ledger.
fn sandbox(lines: &[String]) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.set("TZ", "UTC-2");
    sandbox.write(".local/state/claude-failover/ledger.jsonl", lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    sandbox
}

/// What is told of all of it.
#[track_caller]
fn sums_up(lines: &[String], expected: &str) {
    let output = sandbox(lines).cmd("llm-failover").args(&["log", "--since", "2019-01-01T00:00:00Z"]).run();
    let told = (output.code(), output.out(), output.err());
    assert_eq!(told, (0, expected.to_string(), String::new()), "{lines:#?}");
}

/// Copies of different versions write one ledger.
#[test]
fn words_of_a_later_version_hide_no_call() {
    let later = line("2026-11-22T01:10:00Z", "later", r#","verdict":"later""#).replace("watch", "later");
    let sandbox = sandbox(&[later.clone(), fine("2026-11-22T01:20:00Z")]);
    let log = |args: &[&str]| sandbox.cmd("llm-failover").args(args).run();
    let rows = "2026-11-22 03:10:00  claude  unknown  later  2.0 s\n2026-11-22 03:20:00  claude  claude   fine   2.0 s\n";
    log(&["log"]).expect(0, rows, "");
    log(&["log", "--json", "-n", "2"]).expect(0, &format!("{later}\n{}\n", fine("2026-11-22T01:20:00Z")), "");
    log(&["log", "--since", "2019-01-01T00:00:00Z"]).expect(0, "2 calls, 0 answered locally\n", "");
}

#[test]
fn the_last_calls_in_columns_and_local_time() {
    let lines = [
        line(
            "2026-11-22T00:10:07.5Z",
            "local",
            r#","verdict":"five_hour","until":"2026-11-22T05:00:00Z","model":"qwen","input_tokens":312,"output_tokens":4,"exit":0"#,
        ),
        line("2026-11-21T23:59:59Z", "claude", r#","verdict":"overload","exit":75,"until":"2026-11-22T23:30:00Z""#)
            .replace("2.04", "183"),
        line("2026-12-31T23:00:00+02:00", "claude", r#","until":"2027-01-01T00:00:00Z","model":"a\u001bb""#)
            .replace("claude\",\"r", "agent-llm\",\"r"),
    ];
    let rows = [
        "2026-11-22 01:59:59  claude     claude  overload   until Mon 23 Nov 01:30                       183.0 s  exit 75\n",
        "2026-11-22 02:10:07  claude     local   five_hour  until 07:00             qwen  312 in  4 out    2.0 s\n",
        "2026-12-31 23:00:00  agent-llm  claude             until Fri 01 Jan 02:00  ab                     2.0 s\n",
    ];
    let sandbox = sandbox(&lines);
    sandbox.cmd("llm-failover").arg("log").run().expect(0, &rows.concat(), "");
    let last = "2026-12-31 23:00:00  agent-llm  claude  until Fri 01 Jan 02:00  ab  2.0 s\n";
    sandbox.cmd("llm-failover").args(&["log", "-n", "1"]).run().expect(0, last, "");
    sandbox.cmd("llm-failover").args(&["log", "-n", "0"]).run().expect(0, "", "");
}

#[test]
fn programs_get_the_lines_and_torn_or_foreign_ones_are_passed_over() {
    let (old, new) = (fine("2026-11-22T00:00:00Z"), fine("2026-11-22T01:00:00Z").replace('}', r#","later":[1]}"#));
    let foreign = ["", "null", "{}", r#"{"time":"soon"}"#, "\u{fffd}{", &new[..50]].map(String::from);
    let sandbox = sandbox(&[&foreign[..], std::slice::from_ref(&new)].concat());
    sandbox.write(".local/state/claude-failover/ledger.jsonl.1", [b"\xff\n", old.as_bytes()].concat());
    let both = format!("{old}\n{new}\n");
    sandbox.cmd("llm-failover").args(&["log", "--json"]).run().expect(0, &both, "");
    sandbox.cmd("llm-failover").args(&["log", "--json", "-n", "1"]).run().expect(0, &format!("{new}\n"), "");
    let since = ["log", "--json", "--since", "2026-11-22T01:00:00Z"];
    sandbox.cmd("llm-failover").args(&since).run().expect(0, &format!("{new}\n"), "");
}

/// Of each kind of call: to Claude, to Claude who refuses, and past Claude.
#[test]
fn it_holds_no_prompt_no_answer_and_no_key() {
    let stub = Stub::answering("the-answer");
    let mut stage = Stage::new(&stub, &answered("the-answer"));
    stage.set("LOCAL_LLM_API_KEY", "the-key");
    stage.set("ANTHROPIC_API_KEY", "the-key");
    let ask = || {
        let call = stage.cmd("claude").args(&["-p", "the-prompt", "--system-prompt", "the-prompt"]).stdin("the-prompt").run();
        assert_eq!((call.code(), call.out()), (0, "the-answer\n".into()), "{call:?}");
    };
    ask();
    stage.play(&refused());
    ask();
    ask();
    let ledger = fs::read_to_string(stage.path(".local/state/claude-failover/ledger.jsonl")).expect("a ledger");
    let routes: Vec<&str> = ledger.lines().filter_map(|line| line.split(r#""route":""#).nth(1)?.split('"').next()).collect();
    assert_eq!(routes, ["watch", "watch", "answer"], "{ledger}");
    for word in ["the-prompt", "the-answer", "the-key"] {
        assert!(!ledger.contains(word), "{word}: {ledger}");
    }
}

#[test]
fn without_a_ledger_there_is_nothing_to_show() {
    let said = "llm-failover: no calls in the ledger yet\n";
    let sandbox = Sandbox::new();
    sandbox.cmd("llm-failover").arg("log").run().expect(0, "", said);
    sandbox.cmd("llm-failover").args(&["log", "--since", "24h"]).run().expect(0, "0 calls, 0 answered locally\n", said);
    assert!(!fs::exists(sandbox.path(".local/state/claude-failover")).unwrap());
}

#[test]
fn a_sum_counts_what_began_since_then() {
    let recent = |ago: jiff::SignedDuration| fine(&(jiff::Timestamp::now() - ago).to_string());
    let hours = jiff::SignedDuration::from_hours;
    let sandbox = sandbox(&[
        recent(hours(24 * 8)),
        recent(hours(30)),
        recent(hours(2)).replace("\"claude\",\"s", "\"local\",\"s"),
        recent(hours(0)),
    ]);
    for (since, expected) in [
        ("30m", "1 call, 0 answered locally\n"),
        ("24h", "2 calls, 1 answered locally\n"),
        ("7d", "3 calls, 1 answered locally\n"),
        ("2020-01-01T00:00:00+01:00", "4 calls, 1 answered locally\n"),
        ("2199-01-01T00:00:00Z", "0 calls, 0 answered locally\n"),
    ] {
        sandbox.cmd("llm-failover").args(&["log", "--since", since]).run().expect(0, expected, "");
    }
    let output = sandbox.cmd("llm-failover").args(&["log", "--since", "noon"]).run();
    let why = "`noon` is neither a length of time, such as `24h` or `7d`, nor `today`, `yesterday`, a weekday, a date, such as \
               `2026-11-22`, a time of day, such as `22:00`, or a time, such as `2026-11-22T02:10:00Z`";
    let said =
        format!("llm-failover: error parsing option '--since' with value 'noon': {why}\nhint: run `llm-failover --help`\n");
    output.expect(1, "", &said);
}

#[test]
fn a_limit_lasts_to_its_end_or_to_claudes_next_answer() {
    let until = "2020-11-22T05:00:00Z";
    let first = limited("2020-11-22T00:10:07Z", "five_hour", until);
    let probe = limited("2020-11-22T00:40:07Z", "five_hour", until);
    let count = |calls: usize, local: usize| format!("{calls} calls, {local} answered locally");
    let day = "Sun 22 Nov ";
    let stated = format!("{}, limit {day}02:10–07:00\n", count(2, 2));
    sums_up(&[first.clone(), probe.clone()], &stated);
    sums_up(&[probe.clone(), first.clone()], &stated);
    sums_up(&[first.clone(), probe.clone(), fine("2020-11-22T05:01:00Z")], &format!("{}, limit {day}02:10–07:00\n", count(3, 2)));
    sums_up(&[first.clone(), fine("2020-11-22T03:00:00Z")], &format!("{}, limit {day}02:10–05:00\n", count(2, 1)));
    sums_up(&[fine("2020-11-22T00:00:00Z"), first.clone()], &format!("{}, limit {day}02:10–07:00\n", count(2, 1)));
    let later = limited("2020-11-22T04:50:00Z", "five_hour", "2020-11-22T22:30:00Z");
    sums_up(&[first.clone(), later], &format!("{}, limit {day}02:10–Mon 23 Nov 00:30\n", count(2, 2)));
    let again = limited("2020-11-22T06:00:00Z", "five_hour", "2020-11-22T11:00:00Z");
    sums_up(&[first, again], &format!("{}\n  limit {day}02:10–07:00\n  limit {day}08:00–13:00\n", count(2, 2)));
}

#[test]
fn an_outage_lasts_to_claudes_next_answer() {
    let first = met("2020-11-22T00:10:00Z", "overload");
    sums_up(std::slice::from_ref(&first), "1 call, 1 answered locally, overload since Sun 22 Nov 02:10\n");
    sums_up(&[first.clone(), fine("2020-11-22T00:10:30Z")], "2 calls, 1 answered locally, overload Sun 22 Nov 02:10\n");
    let by_hand = line("2020-11-22T00:12:00Z", "local", "");
    let caller = line("2020-11-22T00:13:00Z", "claude", r#","verdict":"caller""#);
    let executed = line("2020-11-22T00:14:00Z", "claude", "").replace("watch", "exec");
    let other = met("2020-11-22T00:15:00Z", "network");
    let lines = [first, by_hand, caller, executed, other, fine("2020-11-22T00:20:00Z")];
    sums_up(&lines, "6 calls, 3 answered locally\n  overload Sun 22 Nov 02:10–02:20\n  unreachable Sun 22 Nov 02:15–02:20\n");
}

#[test]
fn a_models_limit_does_not_end_with_another_models_answer() {
    let lines = [limited("2020-11-22T00:10:00Z", "model", "2020-11-25T05:00:00Z"), fine("2020-11-22T00:20:00Z")];
    sums_up(&lines, "2 calls, 1 answered locally, a model's limit Sun 22 Nov 02:10–Wed 25 Nov 07:00\n");
}

#[test]
fn a_spell_that_began_earlier_is_told_whole_and_one_that_was_over_is_not() {
    let lines = [
        limited("2020-11-20T00:10:00Z", "five_hour", "2020-11-20T05:00:00Z"),
        limited("2020-11-21T00:10:00Z", "seven_day", "2020-11-23T05:00:00Z"),
        met("2020-11-22T01:00:00Z", "seven_day"),
    ];
    let output = sandbox(&lines).cmd("llm-failover").args(&["log", "--since", "2020-11-22T00:00:00Z"]).run();
    output.expect(0, "1 call, 1 answered locally, weekly limit Sat 21 Nov 02:10–Mon 23 Nov 07:00\n", "");
}

#[test]
fn today_needs_no_day() {
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(2));
    let now = jiff::Timestamp::now().to_zoned(zone.clone());
    let begin = now.date().at(0, 0, 0, 0).to_zoned(zone.clone()).unwrap().timestamp();
    let end = now.date().at(23, 59, 0, 0).to_zoned(zone).unwrap().timestamp();
    let output = sandbox(&[limited(&begin.to_string(), "five_hour", &end.to_string())])
        .cmd("llm-failover")
        .args(&["log", "--since", "24h"])
        .run();
    output.expect(0, "1 call, 1 answered locally, limit 00:00–23:59\n", "");
}
