//! `LLM_NOTIFY_DAILY`: once a day, after that time, what the calls were like.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::support::stub::Stub;
use crate::support::{Sandbox, until, wait};

const MARKER: &str = ".local/state/claude-failover/daily";

/// Three calls in the night to Sunday 22 November 2020.
const NIGHT: [&str; 3] = [
    r#"{"time":"2020-11-22T01:00:00Z","applet":"claude","route":"answer","verdict":"five_hour","backend":"local","seconds":2,"until":"2020-11-22T03:00:00Z"}"#,
    r#"{"time":"2020-11-22T03:30:00Z","applet":"claude","route":"watch","verdict":"fine","backend":"claude","seconds":2}"#,
    // It had begun before the line of the evening, and ended in the morning.
    r#"{"time":"2020-11-21T16:00:00Z","applet":"claude","route":"watch","verdict":"fine","backend":"claude","seconds":40000}"#,
];

/// What is told of it on the morning after, by a line that follows one of the evening before.
fn told_of_it(sandbox: &Sandbox) -> String {
    let since = Timestamp::from_second(1_605_980_000).unwrap().to_zoned(jiff::tz::TimeZone::posix(&zone_of(sandbox)).unwrap());
    let at = |text: &str| {
        let time: Timestamp = text.parse().unwrap();
        time.to_zoned(since.time_zone().clone())
    };
    let (begin, end) = (at("2020-11-22T01:00:00Z"), at("2020-11-22T03:00:00Z"));
    let end_shown = if begin.date() == end.date() { end.strftime("%H:%M") } else { end.strftime("%a %d %b %H:%M") };
    format!(
        "llm-failover: 3 calls since {}: 2 with Claude, 1 with the local model. Claude could not answer: limit {}–{end_shown}. \
         Without the local model, 1 call would have failed, or waited 2 h for Claude.\n",
        since.strftime("%a %d %b %H:%M"),
        begin.strftime("%a %d %b %H:%M"),
    )
}

/// Where it is noon now, whenever the test runs.
fn zone_of_noon() -> String {
    let of_day = Timestamp::now().as_second().rem_euclid(86_400);
    // POSIX counts from Greenwich to the west.
    let west = of_day - 43_200;
    let (sign, west) = if west < 0 { ("-", -west) } else { ("", west) };
    format!("NOON{sign}{:02}:{:02}:{:02}", west / 3600, west / 60 % 60, west % 60)
}

fn zone_of(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.path("zone")).expect("a zone")
}

/// A sandbox where it is noon, with that night's ledger and a program that writes down what it is told.
fn at_noon(time: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let zone = zone_of_noon();
    sandbox.write("zone", &zone);
    sandbox.set("TZ", zone);
    sandbox.set("LLM_NOTIFY_CMD", sandbox.script("tell", "#!/bin/sh\nprintf '%s\\n' \"$1\" >>~/told\n"));
    sandbox.set("LLM_NOTIFY_DAILY", time);
    sandbox.write(".local/state/claude-failover/ledger.jsonl", NIGHT.map(|line| format!("{line}\n")).concat());
    sandbox
}

fn told(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.path("told")).unwrap_or_default()
}

fn marker(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.path(MARKER)).unwrap_or_default()
}

fn run_once(sandbox: &Sandbox) {
    let output = sandbox.cmd("llm-failover").args(&["statusline"]).run();
    assert_eq!((output.code(), output.err()), (0, String::new()), "{output:?}");
}

fn hours_ago(hours: i64) -> String {
    format!("{}\n", Timestamp::now() - SignedDuration::from_hours(hours))
}

/// At noon, by the setting and by what the file says of the last line.
#[test]
fn it_is_due_once_its_time_has_come_and_not_before() {
    let evening = "2020-11-21T17:33:20Z\n";
    let table: [(&str, Option<&str>, bool); 8] = [
        ("07:30", Some(evening), true),
        ("7:30", Some(&hours_ago(4)), false),
        ("07:30", Some(&hours_ago(5)), true),
        ("22:00", None, false),
        ("22:00", Some(&hours_ago(13)), false),
        // The machine slept at that time.
        ("22:00", Some(evening), true),
        ("22:00", Some("2199-01-01T00:00:00Z\n"), false),
        ("22:00", Some("torn"), false),
    ];
    for (time, last, is_due) in table {
        let sandbox = at_noon(time);
        if let Some(last) = last {
            sandbox.write(MARKER, last);
        }
        run_once(&sandbox);
        assert_eq!(marker(&sandbox) != last.unwrap_or_default(), is_due, "{time} {last:?}");
        // Of the last hours there are no calls, and so no line.
        if is_due && last == Some(evening) {
            until(20, "the line", || told(&sandbox) == told_of_it(&sandbox));
        }
        run_once(&sandbox);
        assert_eq!(told(&sandbox).lines().count(), usize::from(is_due && last == Some(evening)), "{time} {last:?}");
    }
}

#[test]
fn a_file_that_is_lost_torn_or_of_the_future_is_made_anew() {
    for last in [None, Some("torn"), Some(""), Some("2199-01-01T00:00:00Z\n"), Some("\u{0}\u{0}\u{0}")] {
        let sandbox = at_noon("07:30");
        if let Some(last) = last {
            sandbox.write(MARKER, last);
        }
        let recent = Timestamp::now() - SignedDuration::from_hours(1);
        let call = NIGHT[1].replace("2020-11-22T03:30:00Z", &recent.to_string());
        sandbox.write(".local/state/claude-failover/ledger.jsonl", format!("{call}\n"));
        run_once(&sandbox);
        until(20, "the line", || told(&sandbox).starts_with("llm-failover: 1 call since ") && told(&sandbox).ends_with('\n'));
        let made = marker(&sandbox);
        assert!(made.trim().parse::<Timestamp>().is_ok_and(|time| time <= Timestamp::now()), "{last:?} {made}");
        run_once(&sandbox);
        assert_eq!(marker(&sandbox), made, "{last:?}");
    }
}

/// Without a program there is nobody to tell; a value that is no time is said and not used; where the file cannot be
/// written, each call would send the line; and with the switch at `claude` nothing stands before the real Claude.
#[test]
fn nothing_is_sent_where_it_must_not_be() {
    let mut sandbox = at_noon("07:30");
    let nothing_came = |sandbox: &Sandbox| assert_eq!((marker(sandbox), told(sandbox)), Default::default());
    sandbox.switch("claude");
    sandbox.set("CLAUDE_BIN", sandbox.script("real", "#!/bin/sh\necho \"real\"\n"));
    sandbox.cmd("claude").args(&["-p", "hi"]).run().expect(0, "real\n", "");
    nothing_came(&sandbox);
    fs::create_dir(sandbox.path(MARKER)).expect("a folder");
    run_once(&sandbox);
    fs::remove_dir(sandbox.path(MARKER)).expect("it is empty");
    nothing_came(&sandbox);
    sandbox.set("LLM_NOTIFY_DAILY", "noon");
    let warning = "llm-failover: warning: LLM_NOTIFY_DAILY is `noon`: expected a time of day, such as `07:30`; using none\n";
    let output = sandbox.cmd("llm-failover").args(&["log", "-n", "0"]).run();
    output.expect(0, "", warning);
    nothing_came(&sandbox);
    sandbox.set("LLM_NOTIFY_DAILY", "07:30");
    sandbox.unset("LLM_NOTIFY_CMD");
    run_once(&sandbox);
    nothing_came(&sandbox);
}

#[test]
fn fifty_calls_at_once_send_one_and_the_next_day_one_more() {
    let stub = Stub::answering("ok");
    let mut sandbox = at_noon("07:30");
    sandbox.set("LOCAL_LLM_URL", stub.url());
    sandbox.set("LOCAL_LLM_AGENT", "never");
    sandbox.answers_plainly(&stub.url(), "");
    sandbox.switch("local");
    sandbox.write(MARKER, "2020-11-21T17:33:20Z\n");
    let fifty = || {
        let calls: Vec<_> = (0..50).map(|_| sandbox.cmd("agent-llm").args(&["-p", "hi"]).spawn()).collect();
        for mut call in calls {
            assert!(wait(&mut call, Duration::from_secs(60)).is_some_and(|status| status.success()));
        }
    };
    fifty();
    until(20, "the line", || told(&sandbox).ends_with('\n'));
    // What must not come would come now.
    sleep(Duration::from_millis(200));
    let first = told(&sandbox);
    assert_eq!(first.lines().count(), 1, "{first}");
    sandbox.write(MARKER, hours_ago(24));
    fifty();
    until(20, "the next line", || told(&sandbox).lines().count() > 1 && told(&sandbox).ends_with('\n'));
    sleep(Duration::from_millis(200));
    let both = told(&sandbox);
    assert_eq!(both.lines().count(), 2, "{both}");
    assert!(both.lines().all(|line| line.starts_with("llm-failover: ") && line.contains(" calls since ")), "{both}");
}
