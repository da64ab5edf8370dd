//! What the night was like: `llm-failover log --since … --summary`.

use jiff::civil::{Date, Time, time};
use jiff::{Timestamp, ToSpan, Zoned};

use crate::support::Sandbox;

/// A place that changes its clock, as POSIX writes it: no test needs the system's list of zones.
const ZONE: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

fn entry(time: impl std::fmt::Display, backend: &str, rest: &str) -> String {
    let route = if backend == "local" { "answer" } else { "watch" };
    format!(r#"{{"time":"{time}","applet":"claude","route":"{route}","backend":"{backend}",{rest}}}"#)
}

/// A sandbox in that place with this ledger.
fn sandbox(lines: &[String]) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.set("TZ", ZONE);
    sandbox.write(".local/state/claude-failover/ledger.jsonl", lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    sandbox
}

/// A night on the way to Sunday 22 November 2020, with all that there can be.
fn night() -> Vec<String> {
    let limit = r#""verdict":"five_hour","until":"2020-11-22T06:00:00Z""#;
    vec![
        entry("2020-11-21T20:00:00Z", "claude", r#""verdict":"fine","seconds":9,"exit":0"#),
        entry("2020-11-21T22:30:00Z", "claude", r#""verdict":"fine","seconds":3.5,"input_tokens":9,"output_tokens":9,"exit":0"#),
        entry(
            "2020-11-22T01:10:00Z",
            "local",
            &format!(r#"{limit},"seconds":40,"input_tokens":12000,"output_tokens":800,"exit":0"#),
        ),
        entry("2020-11-22T02:00:00Z", "local", r#""verdict":"truncated","seconds":0,"truncated":true"#)
            .replace("answer", "gateway"),
        entry(
            "2020-11-22T05:00:00Z",
            "local",
            &format!(r#"{limit},"seconds":20,"input_tokens":345,"output_tokens":400,"exit":0"#),
        ),
        entry("2020-11-22T05:30:00Z", "local", &format!(r#"{limit},"seconds":1,"exit":1"#)),
        entry("2020-11-22T06:30:00Z", "claude", r#""verdict":"caller","seconds":1,"exit":1"#),
        entry("2020-11-22T07:00:00Z", "local", r#""verdict":"overload","seconds":60,"exit":0"#).replace("answer", "agent"),
        entry("2020-11-22T07:12:00Z", "claude", r#""verdict":"fine","seconds":2,"exit":0"#),
    ]
}

#[test]
fn a_night_in_sentences_and_as_json() {
    let sandbox = sandbox(&night());
    let log = |args: &[&str]| sandbox.cmd("llm-failover").arg("log").args(args).run();
    let told = "7 calls from Sat 21 Nov 23:00 to Sun 22 Nov 09:00: 3 with Claude, 4 with the local model.\n\
                Claude could not answer: limit Sun 22 Nov 02:10–07:00; overload Sun 22 Nov 08:00–08:12.\n\
                2 calls failed: 1 with Claude, 1 with the local model.\n\
                The local model read 12,345 tokens and wrote 1,200 tokens (20 a second), in 2 min.\n\
                Without the local model, 3 calls would have failed, or waited for Claude: 6 h 2 min in all, one of them 4 h 50 min.\n";
    let span = ["--since", "2020-11-21T22:00:00Z", "--until", "2020-11-22 09:00"];
    log(&[&span[..], &["--summary"]].concat()).expect(0, told, "");
    let json = r#"{"since":"2020-11-21T22:00:00.000Z","until":"2020-11-22T08:00:00.000Z","calls":{"claude":3,"local":4},"#
        .to_string()
        + r#""failed":{"claude":1,"local":1},"input_tokens":12345,"output_tokens":1200,"seconds":{"claude":6.5,"local":121.0},"#
        + r#""local_share":0.571,"tokens_per_second":20.0,"wait":{"calls":3,"seconds":21720.0,"longest_seconds":17400.0},"#
        + r#""outages":[{"cause":"five_hour","since":"2020-11-22T01:10:00.000Z","until":"2020-11-22T06:00:00.000Z"},"#
        + r#"{"cause":"overload","since":"2020-11-22T07:00:00.000Z","until":"2020-11-22T07:12:00.000Z"}]}"#
        + "\n";
    log(&[&span[..], &["--summary", "--json"]].concat()).expect(0, &json, "");
    let short = "7 calls, 4 answered locally\n  limit Sun 22 Nov 02:10–07:00\n  overload Sun 22 Nov 08:00–08:12\n";
    log(&span).expect(0, short, "");
}

/// What did not happen is not told, and one is no several.
#[test]
fn a_quiet_night_takes_one_sentence() {
    let lines = night();
    let told = |lines: &[String], since: &str, until: &str, expected: &str| {
        let args = ["log", "--summary", "--since", since, "--until", until];
        sandbox(lines).cmd("llm-failover").args(&args).run().expect(0, expected, "");
    };
    let (from, to) = ("2020-11-21T20:00:00Z", "2020-11-21T23:00:00Z");
    told(&lines, from, to, "2 calls from Sat 21 Nov 21:00 to Sun 22 Nov 00:00, both with Claude.\n");
    told(&lines, from, "2020-11-21T21:00:00Z", "1 call from Sat 21 Nov 21:00 to Sat 21 Nov 22:00, with Claude.\n");
    told(&lines, "2020-11-21T21:00:00Z", "2020-11-21T22:00:00Z", "No calls from Sat 21 Nov 22:00 to Sat 21 Nov 23:00.\n");
    let one = "1 call from Sun 22 Nov 06:00 to Sun 22 Nov 06:15, with the local model.\n\
               Claude could not answer: limit Sun 22 Nov 02:10–07:00.\n\
               The local model read 345 tokens and wrote 400 tokens (20 a second), in 20 s.\n\
               Without the local model, 1 call would have failed, or waited 1 h for Claude.\n";
    told(&lines, "2020-11-22T05:00:00Z", "2020-11-22T05:15:00Z", one);
    let switch = |minute: u8| entry(format_args!("2020-11-22T05:{minute:02}:00Z"), "local", r#""verdict":"switch","seconds":1"#);
    let by_hand = [switch(1), switch(2), switch(3)];
    let expected = "3 calls from Sun 22 Nov 06:00 to Sun 22 Nov 06:15, all with the local model.\n";
    told(&by_hand, "2020-11-22T05:00:00Z", "2020-11-22T05:15:00Z", expected);
    let outage = |hour: u8| {
        let at = |minute: u8| format!("2020-11-22T{hour:02}:{minute:02}:00Z");
        [entry(at(0), "local", r#""verdict":"network","seconds":1"#), entry(at(10), "claude", r#""verdict":"fine","seconds":1"#)]
    };
    let many: Vec<String> = (0..9).flat_map(outage).collect();
    let expected = "18 calls from Sun 22 Nov 01:00 to Sun 22 Nov 13:00: 9 with Claude, 9 with the local model.\n\
        Claude could not answer: unreachable Sun 22 Nov 06:00–06:10; unreachable Sun 22 Nov 07:00–07:10; \
        unreachable Sun 22 Nov 08:00–08:10; unreachable Sun 22 Nov 09:00–09:10; 5 more before.\n\
        Without the local model, 9 calls would have failed, or waited for Claude: 1 h 30 min in all, one of them 10 min.\n";
    told(&many, "2020-11-22T00:00:00Z", "2020-11-22T12:00:00Z", expected);
}

#[test]
fn without_a_time_it_is_the_last_day() {
    let ago = |hours: i64| Timestamp::now() - jiff::SignedDuration::from_hours(hours);
    let of = |hours: i64| entry(ago(hours), "claude", r#""verdict":"fine","seconds":1"#);
    let sandbox = sandbox(&[of(30), of(23), of(1)]);
    let told = sandbox.cmd("llm-failover").args(&["log", "--summary"]).run();
    let (text, err) = (told.out(), told.err());
    assert!(text.starts_with("2 calls since ") && text.ends_with(", both with Claude.\n") && err.is_empty(), "{told:?}");
    let error = "llm-failover: `--until` is a time before `--since`\nhint: run `llm-failover --help`\n";
    sandbox.cmd("llm-failover").args(&["log", "--since", "today", "--until", "yesterday"]).run().expect(1, "", error);
    let no_calls = Sandbox::new().cmd("llm-failover").args(&["log", "--summary", "--json"]).run();
    assert_eq!((no_calls.code(), no_calls.err()), (0, "llm-failover: no calls in the ledger yet\n".into()));
    let report: serde_json::Value = serde_json::from_str(&no_calls.out()).expect("JSON");
    assert_eq!((&report["calls"]["claude"], &report["local_share"]), (&0.into(), &serde_json::Value::Null));
}

/// Each form names the same time as a calendar does: a call a minute before it is not counted, and one a minute after it is.
#[test]
fn days_and_times_of_day_are_those_of_the_place() {
    let zone = jiff::tz::TimeZone::posix(ZONE).expect("a zone");
    let now = Zoned::now().with_time_zone(zone.clone());
    let at = |date: Date, time: Time| date.to_datetime(time).to_zoned(zone.clone()).expect("a time").timestamp();
    let days_ago = |days: i64| now.date().checked_sub(days.days()).expect("a day");
    let midnight = Time::midnight();
    let weekday = |days: i64| days_ago(days).strftime("%A").to_string();
    let evening = time(22, 0, 0, 0);
    let last_evening = if now.time() >= evening { days_ago(0) } else { days_ago(1) };
    let table = [
        ("today".to_string(), at(days_ago(0), midnight)),
        ("yesterday".into(), at(days_ago(1), midnight)),
        (weekday(0), at(days_ago(0), midnight)),
        (weekday(6).to_lowercase(), at(days_ago(6), midnight)),
        (days_ago(200).to_string(), at(days_ago(200), midnight)),
        (format!("{} 22:00", days_ago(9)), at(days_ago(9), evening)),
        ("yesterday 22:00".into(), at(days_ago(1), evening)),
        ("22:00".into(), at(last_evening, evening)),
    ];
    for (form, begin) in table {
        let minute = |minutes: i64| begin + jiff::SignedDuration::from_mins(minutes);
        let of = |time: Timestamp| entry(time, "claude", r#""verdict":"fine","seconds":1"#);
        let sandbox = sandbox(&[of(minute(-1)), of(minute(0)), of(minute(1))]);
        let log = |option: &str| sandbox.cmd("llm-failover").args(&["log", option, &form, "--json"]).run();
        let (since, until) = (log("--since"), log("--until"));
        assert_eq!(since.out(), format!("{}\n{}\n", of(minute(0)), of(minute(1))), "{form}: {since:?}");
        assert_eq!(until.out(), format!("{}\n", of(minute(-1))), "{form}: {until:?}");
    }
}
