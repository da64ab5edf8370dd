//! The page in a real browser: what it shows in each state, what it does by a click, and who can read it.

use crate::dashboard::contrast;

use serde_json::{Value, json};

use crate::dashboard::caller::Dashboard;
use crate::dashboard::night::{call, week, write_breaker, write_ledger};
use crate::support::Sandbox;
use crate::support::browser::{Browser, Look, Page};
use crate::support::life::Life;
use crate::support::stub::Stub;

/// Neither a line in the console, nor a breach of the policy, nor a request that fails or goes elsewhere.
#[track_caller]
fn is_clean(page: &Page, dashboard: &Dashboard) {
    assert_eq!(page.faults(), [""; 0]);
    let own = format!("http://{}/", dashboard.host());
    let foreign: Vec<String> = page.requests().into_iter().filter(|request| !request.contains(&own)).collect();
    assert_eq!(foreign, [""; 0]);
}

/// Every text has a contrast of 4.5 at least, in both schemes, and nothing has to be scrolled sideways on a telephone.
#[track_caller]
fn is_legible(page: &Page, state: &str) {
    for scheme in ["light", "dark"] {
        page.scheme(scheme);
        assert_eq!(page.evaluate(contrast::FAINT), json!([]), "{state}, {scheme}");
    }
    page.scheme("light");
    page.resize(320, 640);
    assert_eq!(page.evaluate("document.documentElement.scrollWidth"), json!(320), "{state}");
    page.resize(1280, 800);
}

fn open<'a>(browser: &'a Browser, dashboard: &Dashboard) -> Page<'a> {
    let page = browser.open(&format!("http://{}/", dashboard.host()), &Look::light());
    page.wait_for_text("#connection", "Live");
    page
}

#[test]
fn each_state_is_shown_as_it_comes() {
    let mut sandbox = Sandbox::new();
    let stub = Stub::answering("hello");
    sandbox.set("LOCAL_LLM_URL", stub.url());
    sandbox.set("LOCAL_LLM_MODEL", "a-model<b>\"'&".repeat(6));
    let dashboard = Dashboard::of(&sandbox);
    let browser = Browser::start();
    let page = open(&browser, &dashboard);
    page.wait_for_text("#calls", "No calls yet.");
    page.wait_for_text("#day", "No calls in this time.");
    is_legible(&page, "empty");

    let nothing: (Option<&str>, i64, Option<i64>) = (None, 0, None);
    let table = [
        ("claude", nothing, "CLAUDE", "Claude answers all calls.", "claude"),
        ("local", nothing, "LOCAL", "The local model answers all calls.", "local"),
        ("auto", nothing, "CLAUDE", "Claude answers. If it is limited or down, the local model will.", "claude"),
        ("auto", (Some("five_hour"), 170, Some(95)), "LOCAL", "Claude is at its 5-hour limit until", "amber"),
        ("auto", (Some("overload"), 20, None), "LOCAL", "Claude is overloaded. Since", "amber"),
        ("auto", (Some("model"), 20, None), "CLAUDE", "except for a model whose limit is used up", "amber"),
    ];
    write_ledger(&sandbox, &week(170));
    for (position, (cause, since, until), word, why, colour) in table {
        write_breaker(&sandbox, cause, since, until);
        sandbox.switch(position);
        page.wait_for_text("#badge", why);
        page.wait_for_text("#badge .position", &format!("The switch is at {position}"));
        let sign = page.attribute("#badge .sign", "class");
        assert_eq!((page.text("#badge .word").as_str(), sign), (word, Some(format!("sign {colour}"))), "{why}");
        assert_eq!(page.texts(".switch [aria-pressed=true]"), [position]);
        let title = page.evaluate("document.title");
        assert!(title.as_str().is_some_and(|title| title.starts_with(word)), "{title}");
        is_legible(&page, why);
    }
    let aria = page.aria("main");
    for expected in [
        "- heading \"Who answers\" [level=2]",
        "- group \"Switch\":",
        "- button \"claude\"",
        "- button \"auto\" [pressed]",
        "- heading \"The last 24 hours\" [level=2]",
        "img \"The last 24 hours 114 calls answered by Claude, 9 calls by the local model. 1 call failed.",
        "- search \"Filter the calls\":",
    ] {
        assert!(aria.contains(expected), "{expected}: {}", &aria[..aria.len().min(9000)]);
    }
    assert!(page.text("#week").contains("A wait would have cost"), "{}", page.text("#week"));
    assert!(page.count("#week .band") >= 3 && page.count("#week .failed") > 0);
    is_clean(&page, &dashboard);
}

#[test]
fn calls_are_filtered_and_stay_so_while_more_come() {
    let mut sandbox = Sandbox::new();
    sandbox.set("LLM_AGENT", "never");
    sandbox.switch("auto");
    let local = |minutes: i64, route: &str, cause: &str| {
        call(
            minutes,
            json!({"backend": "local", "route": route, "verdict": cause, "model": "qwen<script>", "output_tokens": 12345}),
        )
    };
    let mut calls =
        vec![call(50, json!({})), local(40, "answer", "five_hour"), local(30, "agent", "network"), call(20, json!({"exit": 7}))];
    write_ledger(&sandbox, &calls);
    let dashboard = Dashboard::of(&sandbox);
    let browser = Browser::start();
    let page = open(&browser, &dashboard);
    let shown = || page.evaluate("[...document.querySelectorAll('#calls tr:not([hidden])')].map((row) => row.dataset.cause)");
    assert_eq!(shown(), json!(["fine", "network", "five_hour", "fine"]));
    page.select("#filter-backend", "local");
    assert_eq!(shown(), json!(["network", "five_hour"]));
    assert_eq!(page.text("#filtered"), "2 of the last 4 calls");
    page.select("#filter-route", "answer");
    assert_eq!(shown(), json!(["five_hour"]));
    page.select("#filter-route", "all");
    page.fill("#filter-text", "QWEN<SCRIPT> 12");
    assert_eq!(shown(), json!([]), "the numbers are set apart");
    page.fill("#filter-text", "QWEN<SCRIPT>");
    page.evaluate("document.querySelector('.scroll').scrollTo(0, 5)");

    calls.push(local(1, "resume", "credit"));
    write_ledger(&sandbox, &calls);
    page.wait_for_text("#filtered", "3 of the last 5 calls");
    assert_eq!(shown(), json!(["credit", "network", "five_hour"]));
    assert_eq!(page.evaluate("document.activeElement.id"), json!("filter-text"), "the focus stays");
    page.select("#filter-cause", "credit");
    assert_eq!(shown(), json!(["credit"]));

    // A torn line costs that one alone.
    let torn: String = calls.iter().map(|call| format!("{call}\n")).collect();
    sandbox.write(".local/state/claude-failover/ledger.jsonl", format!("{}\n\u{0}garbage", &torn[30..torn.len() - 9]));
    page.wait_for_text("#filtered", "0 of the last 3 calls");

    let many: Vec<Value> =
        (0..10_000).map(|at| if at % 7 == 0 { local(at, "agent", "network") } else { call(at, json!({})) }).collect();
    write_ledger(&sandbox, &many);
    page.wait_for_text("#week .figures", "10\u{202f}000");
    page.wait_for_text("#filtered", "0 of the last 200 calls");
    assert_eq!(page.evaluate("document.querySelectorAll('#week svg.timeline *').length < 400"), json!(true));
    is_legible(&page, "ten thousand calls");
    is_clean(&page, &dashboard);

    let plain = browser.open(&format!("http://{}/", dashboard.host()), &Look::light().without_script());
    let text = plain.text("body");
    for expected in ["need JavaScript", "CLAUDE", "Local server", "The last 7 days", "10\u{202f}000", "network"] {
        assert!(text.contains(expected), "{expected}");
    }
    assert!(!plain.is_shown("#filters"));
    assert_eq!(plain.count("button:not(:disabled):not([hidden])"), 0, "no button does what it cannot");
}

#[test]
fn buttons_flip_start_and_stop_and_say_how_it_ended() {
    let life = Life::new("ok");
    let dashboard = Dashboard::of(&life);
    let browser = Browser::start();
    let page = open(&browser, &dashboard);
    let press = |button: &str, output: &str, end: &str| {
        page.click(button);
        page.wait_for_text(&format!("{output} .status"), end);
        page.text(&format!("{output} .lines"))
    };
    page.wait_for_text("#server", "not running");
    assert_eq!(page.texts("button:disabled"), ["Stop"], "what would do nothing");
    assert!(
        press("button[value=start]", "#server-output", "Done").ends_with(&format!("local server: UP (port {})\n", life.port))
    );
    page.wait_for_text("#server", "answers");
    assert!(press("button[value=stop]", "#server-output", "Done").starts_with("local server stopped"));
    page.wait_for_text("#server", "not running");

    assert!(press("button[value=local]", "#switch-output", "Done").ends_with("agent backend now: local\n"));
    page.wait_for_text("#badge .word", "LOCAL");
    assert_eq!((life.switch_word().as_str(), page.texts(".switch [aria-pressed=true]")), ("local\n", vec!["local".to_string()]));
    assert!(press("button[value=auto]", "#switch-output", "Done").contains("agent backend now: auto\n"));
    assert!(press("button[value=claude]", "#switch-output", "Done").starts_with("agent backend now: claude\n"));
    page.wait_for_text("#badge .word", "CLAUDE");
    assert_eq!(life.switch_word(), "claude\n");

    page.select("#trouble", "weekly");
    assert!(
        press("button[value=drill]", "#drill-output", "Failed with exit code 127")
            .starts_with("llm-failover: the real Claude Code was not found")
    );
    assert!(!page.is_shown("#drill-stop"));
    is_legible(&page, "a failed drill");
    assert!(page.aria("main").contains("- log \"What the command says\""), "{}", page.aria("main"));
    is_clean(&page, &dashboard);

    // Without its server the page says so, and by itself finds the next one; that one wants its own token.
    let port = dashboard.port;
    assert_eq!(dashboard.end().0, 143);
    page.wait_for_text("#connection", "Not connected");
    assert_eq!(page.count("button[data-action]:not(:disabled)"), 0);
    is_legible(&page, "not connected");
    let dashboard = Dashboard::at(&life, port);
    page.wait_for_text("#connection", "Live");
    press("button[value=auto]", "#switch-output", "Refused: this page is of a dashboard that has ended: reload it");
    page.reload();
    page.wait_for_text("#connection", "Live");
    assert!(press("button[value=auto]", "#switch-output", "Done").contains("agent backend now: auto\n"));
    drop(dashboard);
    life.assert_nothing_runs();
}
