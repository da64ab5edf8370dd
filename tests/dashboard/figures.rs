//! `/metrics`: counters that never fall, and what holds at the moment.

use std::fs;

use super::caller::Dashboard;
use crate::support::Sandbox;

pub const LEDGER: &str = ".local/state/claude-failover/ledger.jsonl";

pub fn line(backend: &str, rest: &str) -> String {
    format!("{{\"time\":\"2026-11-22T01:10:00Z\",\"applet\":\"claude\",\"backend\":\"{backend}\",\"seconds\":1.5,{rest}}}\n")
}

fn local() -> String {
    line("local", r#""route":"answer","verdict":"five_hour","input_tokens":100,"output_tokens":7,"exit":0"#)
}

fn claude() -> String {
    line("claude", r#""route":"watch","verdict":"fine","exit":1"#)
}

fn append(sandbox: &Sandbox, text: &str) {
    let before = fs::read_to_string(sandbox.path(LEDGER)).unwrap_or_default();
    // In place: the file stays the same.
    sandbox.write(LEDGER, before + text);
}

fn sample(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn calls_are_counted_once_whatever_becomes_of_the_ledger() {
    let sandbox = Sandbox::new();
    let answer = r#"llm_failover_calls_total{route="answer",backend="local",cause="five_hour"}"#;
    let watch = r#"llm_failover_calls_total{route="watch",backend="claude",cause="fine"}"#;
    sandbox.write(".local/state/claude-failover/ledger.jsonl.1", claude());
    append(&sandbox, &(local() + &local() + &line("local", r#""route":"gateway""#)));
    let dashboard = Dashboard::of(&sandbox);
    let metrics = || dashboard.get("/metrics").body;
    let counts = || (sample(&metrics(), answer), sample(&metrics(), watch));
    assert_eq!(counts(), (Some(2.0), Some(1.0)));
    let text = metrics();
    for (name, value) in [
        (r#"llm_failover_call_seconds_sum{route="answer",backend="local"}"#, 3.0),
        (r#"llm_failover_call_seconds_count{route="answer",backend="local"}"#, 2.0),
        (r#"llm_failover_tokens_total{backend="local",direction="input"}"#, 200.0),
        (r#"llm_failover_tokens_total{backend="local",direction="output"}"#, 14.0),
        (r#"llm_failover_failed_calls_total{backend="claude"}"#, 1.0),
        (r#"llm_failover_failed_calls_total{backend="local"}"#, 0.0),
    ] {
        assert_eq!(sample(&text, name), Some(value), "{name}\n{text}");
    }
    // Set aside: what was there before is gone from both files.
    append(&sandbox, &local());
    fs::rename(sandbox.path(LEDGER), sandbox.path(&format!("{LEDGER}.1"))).unwrap();
    append(&sandbox, &(claude() + &local()[..50]));
    assert_eq!(counts(), (Some(3.0), Some(2.0)));
    // The rest of a line, and one after a line that was torn.
    append(&sandbox, &(local()[50..].to_string() + &local()[..20] + &claude()));
    assert_eq!(counts(), (Some(4.0), Some(3.0)));
    fs::remove_file(sandbox.path(LEDGER)).unwrap();
    assert_eq!(counts(), (Some(4.0), Some(3.0)));
    append(&sandbox, &claude());
    assert_eq!(counts(), (Some(4.0), Some(4.0)));
}

#[test]
fn what_holds_at_the_moment() {
    let mut sandbox = Sandbox::new();
    sandbox.set("LOCAL_LLM_URL", "http://127.0.0.1:1/v1/\"x\\");
    sandbox.switch("auto\n");
    let now = jiff::Timestamp::now();
    let next = (now + jiff::SignedDuration::from_mins(20)).to_string();
    let condition = serde_json::json!({"class": "overload", "since": now.to_string(), "until": "2999-01-01T00:00:00Z",
                                       "next_probe": next, "updated": now.to_string(), "failures": 1});
    sandbox.write(".local/state/claude-failover/breaker.json", serde_json::json!({"conditions": [condition]}).to_string());
    let text = Dashboard::of(&sandbox).get("/metrics").body;
    for (name, value) in [
        (r#"llm_failover_switch{position="auto"}"#, 1.0),
        (r#"llm_failover_switch{position="claude"}"#, 0.0),
        ("llm_failover_answers_locally", 1.0),
        (r#"llm_failover_breaker_open{cause="overload"}"#, 1.0),
        (r#"llm_failover_breaker_open{cause="five_hour"}"#, 0.0),
        (r#"llm_failover_breaker_until_timestamp_seconds{cause="overload"}"#, 32_472_144_000.0),
        (&format!("llm_failover_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0),
    ] {
        assert_eq!(sample(&text, name), Some(value), "{name}\n{text}");
    }
    assert!(text.contains("llm_failover_server_state{link=\"1\",url=\"http://127.0.0.1:1/"), "{text}");
    assert!(text.contains(",state=\"down\"} 1\n"), "{text}");
}

#[test]
fn without_a_ledger_with_a_torn_one_and_with_ten_thousand_calls() {
    let table =
        [(String::new(), 0), (local()[..40].to_string(), 0), ("\0\u{ff}\n{}\n".into(), 0), (local().repeat(10_000), 10_000)];
    for (ledger, calls) in table {
        let sandbox = Sandbox::new();
        sandbox.write(LEDGER, &ledger);
        let dashboard = Dashboard::of(&sandbox);
        let answer = r#"llm_failover_calls_total{route="answer",backend="local",cause="five_hour"}"#;
        assert_eq!(sample(&dashboard.get("/metrics").body, answer).unwrap_or_default(), f64::from(calls));
        assert_eq!(dashboard.get("/api/log?lines=20000").json().as_array().unwrap().len(), calls as usize);
        assert!(dashboard.get("/").body.ends_with("</html>\n"));
    }
}
