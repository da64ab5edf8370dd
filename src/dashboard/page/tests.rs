use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::*;
use crate::dashboard::view::{LinkView, LocalServer};
use crate::state::breaker::Condition;

const HOSTILE: &str = "</script><script>alert(1)</script>\"'><img src=x onerror=y>\u{202e}\u{7}&amp;";

pub(in crate::dashboard) fn at(text: &str) -> Timestamp {
    format!("2026-11-27T{text}:00Z").parse().expect("a time")
}

pub(in crate::dashboard) fn entry(time: Timestamp, more: serde_json::Value) -> Entry {
    let mut entry = json!({"time": time, "applet": "claude", "route": "watch", "verdict": "fine", "backend": "claude", "seconds": 8.25, "exit": 0});
    let fields = more.as_object().expect("fields");
    fields.iter().for_each(|(name, value)| entry[name] = value.clone());
    serde_json::from_value(entry).expect("an entry")
}

pub(in crate::dashboard) fn condition(class: &str, since: &str, until: Option<&str>, next: &str) -> Condition {
    let (since, until, next) = (at(since), until.map(at), at(next));
    let condition = json!({"class": class, "since": since, "until": until, "next_probe": next, "updated": since, "failures": 1});
    serde_json::from_value(condition).expect("a condition")
}

fn link(model: &str, state: &str) -> LinkView {
    LinkView {
        model: Some(model.into()),
        url: Shown::line("http://127.0.0.1:9420"),
        state: state.into(),
        detail: None,
        context: Some(32_768),
        clear_text: false,
    }
}

/// At 03:30: with nothing in the ledger.
pub(in crate::dashboard) fn view(backend: Backend) -> View {
    View {
        now: at("03:30"),
        zone: TimeZone::UTC,
        backend,
        since: Some(at("00:10")),
        conditions: vec![],
        server: LocalServer {
            state: "up".into(),
            detail: None,
            url: Shown::line("http://127.0.0.1:9420"),
            is_ours: true,
            supervisor: "launchd (com.local.mlxserver)".into(),
            memory: Some(5 << 30),
        },
        links: vec![link("mlx-community/Qwen2.5-7B-Instruct-4bit", "up")],
        small_model: None,
        warnings: vec![],
        entries: vec![],
        token: "a-token".into(),
    }
}

/// A week of calls every few minutes, with two limits and an outage.
pub(in crate::dashboard) fn nights() -> Vec<Entry> {
    let mut entries = Vec::new();
    for minute in (0..7 * 24 * 60).step_by(9) {
        let time = at("03:20") - SignedDuration::from_mins(minute);
        let hour = minute / 60;
        let (limit, outage) = (hour < 2 || (70..73).contains(&hour), (28..29).contains(&hour));
        if (5..9).contains(&(hour % 24)) && hour % 3 == 0 {
            continue;
        }
        let local = |cause: &str| {
            json!({"route": "answer", "backend": "local", "verdict": cause, "model": "qwen2.5-7b", "seconds": 6.5, "input_tokens": 812,
                   "output_tokens": 190})
        };
        entries.push(match (limit, outage) {
            (true, _) => {
                let until = if hour < 2 { at("05:00") } else { at("05:40") - SignedDuration::from_hours(72) };
                let mut fields = local("five_hour");
                fields["until"] = json!(until);
                entry(time, fields)
            }
            (_, true) => entry(time, local("overload")),
            _ if minute % 1440 == 99 => entry(time, json!({"exit": 1, "verdict": "caller"})),
            _ => entry(time, json!({})),
        });
    }
    entries
}

fn text_of(view: &View, id: &str) -> String {
    parts(view).into_iter().find(|part| part.id == id).expect("a part").html.to_string()
}

fn states() -> Vec<(&'static str, View)> {
    let limited = View {
        conditions: vec![condition("five_hour", "01:24", Some("05:00"), "03:42")],
        entries: nights(),
        ..view(Backend::Auto)
    };
    let server = |state: &str, detail: Option<&'static str>| {
        let mut view = View { entries: nights(), ..view(Backend::Local) };
        view.server.state = state.into();
        view.server.detail = detail.map(Shown::from);
        view.server.memory = None;
        view.links[0].state = state.into();
        view
    };
    let mut chain = View { entries: nights(), small_model: Some("qwen2.5-0.5b".into()), ..view(Backend::Auto) };
    chain.links.push(LinkView {
        clear_text: true,
        url: Shown::line("http://10.0.0.7:8000"),
        context: None,
        ..link("gpt-oss-120b", "hung")
    });
    let mut hostile = View {
        warnings: vec![Shown::line(HOSTILE)],
        small_model: Some(HOSTILE.repeat(8)),
        token: HOSTILE.into(),
        ..view(Backend::Auto)
    };
    hostile.links[0].model = Some(HOSTILE.repeat(9));
    hostile.server.detail = Some(Shown::line(HOSTILE));
    hostile.server.state = HOSTILE.into();
    hostile.server.supervisor = HOSTILE.into();
    hostile.conditions = vec![condition("model", "01:24", None, "03:42")];
    hostile.conditions[0].models = vec![HOSTILE.into()];
    let fields =
        json!({"verdict": HOSTILE, "model": HOSTILE.repeat(9), "applet": HOSTILE, "server": HOSTILE, "unknown_markup": HOSTILE});
    hostile.entries = vec![entry(at("03:00"), fields)];
    let many = (0..10_000).map(|call| {
        let time = at("03:29") - SignedDuration::from_secs(call * 55);
        entry(time, if call % 9 == 0 { json!({"backend": "local", "route": "agent", "verdict": "network"}) } else { json!({}) })
    });
    vec![
        ("claude", View { entries: nights(), ..view(Backend::Claude) }),
        ("local", View { entries: nights(), ..view(Backend::Local) }),
        ("auto", View { entries: nights(), ..view(Backend::Auto) }),
        ("limit", limited),
        (
            "outage",
            View { conditions: vec![condition("overload", "02:58", None, "03:10")], entries: nights(), ..view(Backend::Auto) },
        ),
        ("loading", server("loading", None)),
        ("down", server("down", None)),
        ("hung", server("hung", Some("it listens, but does not answer"))),
        ("chain", chain),
        ("empty", view(Backend::Auto)),
        ("hostile", hostile),
        ("many", View { entries: many.collect(), ..view(Backend::Auto) }),
    ]
}

#[test]
fn the_badge_says_who_answers_and_why() {
    let table = [
        ("claude", "sign claude", "CLAUDE", "Claude answers all calls."),
        ("local", "sign local", "LOCAL", "The local model answers all calls."),
        ("auto", "sign claude", "CLAUDE", "Claude answers. If it is limited or down, the local model will."),
        ("limit", "sign amber", "LOCAL", "Since 01:24. Asked again at 03:42."),
        ("outage", "sign amber", "LOCAL", "Claude is overloaded.</b> Since 02:58. The next call asks Claude whether it is back."),
        ("hostile", "sign amber", "CLAUDE", "except for a model whose limit is used up"),
    ];
    let states = states();
    for (name, colour, word, why) in table {
        let (_, view) = states.iter().find(|(known, _)| *known == name).expect("a state");
        let badge = text_of(view, "badge");
        let (colour, word) = (format!("<div class=\"{colour}\""), format!("<p class=\"word\">{word}</p>"));
        assert!(badge.contains(&colour) && badge.contains(&word) && badge.contains(why), "{name}: {badge}");
    }
}

#[test]
fn text_of_others_is_no_markup_anywhere() {
    let (_, view) = states().into_iter().find(|(name, _)| *name == "hostile").expect("a state");
    let page = render(&view);
    let known = ["<script src=\"/dashboard.js\" defer></script>"];
    let rest = known.iter().fold(page.clone(), |page, known| page.replace(known, ""));
    for foreign in ["<script", "</script", "<img", "alert(1)</", "\u{202e}", "\u{7}", "\"'>"] {
        assert!(!rest.contains(foreign), "{foreign}");
    }
    assert!(page.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count() > 20);
    for policy in [" style=", " onclick=", "javascript:", "http-equiv", "<style"] {
        assert!(!page.contains(policy), "{policy}");
    }
}

#[test]
fn what_is_sent_anew_is_what_has_changed() {
    let now = |minute: u32| View { now: at(&format!("03:{minute}")), entries: nights(), ..view(Backend::Auto) };
    let changed = |one: &View, other: &View| {
        let (one, other) = (parts(one), parts(other));
        let pairs = one.into_iter().zip(other).filter(|(one, other)| one.html != other.html);
        pairs.map(|(part, _)| part.id).collect::<Vec<_>>()
    };
    assert_eq!(changed(&now(30), &now(30)), [""; 0]);
    let mut one_more = now(30);
    one_more.entries.push(entry(at("03:29"), json!({})));
    assert_eq!(changed(&now(30), &one_more), ["day", "day-table", "week", "week-table", "calls"]);
    assert_eq!(changed(&now(30), &View { backend: Backend::Local, ..now(30) }), ["badge"]);
}

#[test]
fn the_last_calls_are_those_that_began_last() {
    let (_, many) = states().into_iter().find(|(name, _)| *name == "many").expect("a state");
    let rows = text_of(&many, "calls");
    assert_eq!(rows.matches("<tr ").count(), 200);
    assert!(rows.starts_with("<tr data-backend=\"local\" data-route=\"agent\" data-cause=\"network\">"), "{}", &rows[..200]);
    assert!(rows.contains("Fri 27 Nov <b>03:29:00</b>"));
    assert!(text_of(&view(Backend::Auto), "calls").contains("No calls yet."));
}

#[test]
fn numbers_and_times_are_short() {
    use super::figures::{grouped, time};
    let grouped_as = [(0, "0"), (999, "999"), (1000, "1\u{202f}000"), (1_234_567, "1\u{202f}234\u{202f}567")];
    assert!(grouped_as.iter().all(|(number, expected)| grouped(*number) == *expected));
    let times =
        [(0.0, "0 s"), (99.4, "99 s"), (99.6, "2 min"), (5969.0, "99 min"), (5971.0, "1.7 h"), (4_000_000.0, "1\u{202f}111 h")];
    times.iter().for_each(|(seconds, expected)| assert_eq!(time(*seconds), *expected));
}
