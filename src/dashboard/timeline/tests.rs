use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::dashboard::page::tests::{at, condition, entry, nights};

fn timeline(length: Length, entries: &[Entry], conditions: &[Condition]) -> Timeline {
    let mut entries: Vec<&Entry> = entries.iter().collect();
    entries.sort_by_key(|entry| entry.time);
    Timeline::new(length, &entries, conditions, at("03:30"), &TimeZone::UTC)
}

fn refused(time: &str, cause: &str, until: Option<&str>) -> Entry {
    entry(at(time), json!({"backend": "local", "route": "answer", "verdict": cause, "until": until.map(at)}))
}

#[test]
fn the_words_are_those_of_the_picture() {
    let limit = || refused("01:24", "five_hour", Some("05:00"));
    let table = [
        (vec![], vec![], "0 calls answered by Claude, 0 calls by the local model."),
        (
            vec![entry(at("01:00"), json!({"exit": 1}))],
            vec![],
            "1 call answered by Claude, 0 calls by the local model. 1 call failed.",
        ),
        // The switch was set since: what Claude has stated still holds.
        (vec![limit()], vec![], "0 calls answered by Claude, 1 call by the local model. limit: since 01:24, until 05:00."),
        (
            vec![limit(), entry(at("02:00"), json!({}))],
            vec![],
            "1 call answered by Claude, 1 call by the local model. limit: 01:24 to 02:00.",
        ),
        (
            vec![refused("01:24", "overload", None)],
            vec![],
            "0 calls answered by Claude, 1 call by the local model. overload: at 01:24.",
        ),
        (
            vec![refused("01:24", "overload", None)],
            vec![condition("overload", "01:24", None, "03:31")],
            "0 calls answered by Claude, 1 call by the local model. overload: since 01:24.",
        ),
        // The ledger is lost, the breaker is not.
        (
            vec![],
            vec![condition("seven_day", "01:24", Some("09:00"), "03:31")],
            "0 calls answered by Claude, 0 calls by the local model. weekly limit: since 01:24, until 09:00.",
        ),
        // A stated end that is over, and no call since: nobody knows.
        (
            vec![refused("01:24", "five_hour", Some("03:00"))],
            vec![condition("five_hour", "01:24", Some("03:00"), "03:00")],
            "0 calls answered by Claude, 1 call by the local model. limit: since 01:24.",
        ),
        (
            vec![entry(at("01:00"), json!({"route": "gateway"}))],
            vec![],
            "0 calls answered by Claude, 0 calls by the local model.",
        ),
    ];
    for (entries, conditions, expected) in table {
        assert_eq!(timeline(Length::Day, &entries, &conditions).description(), expected);
    }
}

#[test]
fn a_band_ends_now_and_is_dashed_beyond() {
    let svg = |until: Option<&str>| {
        let conditions = [condition("five_hour", "01:30", until, "03:31")];
        timeline(Length::Day, &[], &conditions).svg().to_string()
    };
    let (open, stated) = (svg(None), svg(Some("05:30")));
    assert!(!open.contains("class=\"ahead\"") && !open.contains("class=\"now\""), "{open}");
    assert!(stated.contains("<rect class=\"ahead\" x=\"719\" y=\"18\" width=\"60\""), "{stated}");
    assert!(stated.contains("class=\"now\"") && stated.contains(">limit until 05:30</text>"), "{stated}");
}

#[test]
fn who_answered_is_a_strip_until_the_other_one_does_or_nobody_calls() {
    let call = |time: &str, backend: &str, seconds: u32| entry(at(time), json!({"backend": backend, "seconds": seconds}));
    let entries = [
        call("00:00", "claude", 60),
        call("00:10", "claude", 600),
        call("00:30", "local", 60),
        call("00:40", "claude", 0),
        call("02:40", "claude", 0),
        call("03:20", "claude", 86_400),
    ];
    let timeline = timeline(Length::Day, &entries, &[]);
    let runs = |lane: usize| timeline.lanes[lane].runs.iter().map(|run| (run.begin, run.end, run.calls)).collect::<Vec<_>>();
    // In columns of two minutes; no run goes on into the future.
    assert_eq!(runs(0), [(614.0, 624.0, 2), (634.0, 634.0, 1), (694.0, 719.0, 2)]);
    assert_eq!(runs(1), [(629.0, 629.5, 1)]);
    assert_eq!(timeline.lanes[1].marks(128), "M629.5 128v-7");
}

#[test]
fn ten_thousand_calls_are_a_small_picture() {
    let calls = (0..10_000).map(|call| {
        let fields = match call % 9 {
            0 => json!({"backend": "local", "route": "agent", "verdict": "network", "exit": 1}),
            _ => json!({}),
        };
        entry(at("03:29") - SignedDuration::from_secs(call * 55), fields)
    });
    let calls: Vec<Entry> = calls.collect();
    for (length, drawn) in [(Length::Day, 1_568), (Length::Week, 10_000)] {
        let timeline = timeline(length, &calls, &[]);
        assert_eq!(timeline.lanes[0].calls + timeline.lanes[1].calls, drawn);
        let (svg, table) = (timeline.svg().to_string(), timeline.table().to_string());
        assert!(svg.len() < 80_000 && table.len() < 40_000, "{} {}", svg.len(), table.len());
    }
}

#[test]
fn the_table_has_what_the_picture_shows() {
    let week = timeline(Length::Week, &nights(), &[]).table().to_string();
    for row in [
        "<tr><th scope=\"row\">limit</th><td>limit</td><td>Tue 24 Nov 02:26 to 05:26</td></tr>",
        "<tr><th scope=\"row\">overload</th><td>outage</td><td>Wed 25 Nov 22:23 to 23:26</td></tr>",
    ] {
        assert!(week.contains(row), "{row}: {week}");
    }
    assert_eq!(timeline(Length::Week, &[], &[]).table().to_string(), "<p>No calls.</p>");
}
