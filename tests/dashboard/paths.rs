//! What is on which path, of the dashboard and of the gateway.

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use super::caller::{Dashboard, reply};
use crate::support::Sandbox;
use crate::support::life::signal;
use crate::support::play::finish;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const JSON: &str = "application/json";

/// Path, content type, and with what the body begins.
const PATHS: [(&str, &str, &str); 9] = [
    ("/", "text/html; charset=utf-8", "<!doctype html>"),
    ("/dashboard.js", "text/javascript; charset=utf-8", "//"),
    ("/dashboard.css", "text/css; charset=utf-8", ""),
    ("/favicon.svg", "image/svg+xml", "<svg"),
    ("/healthz", JSON, "{\"status\":\"ok\",\"program\":\"claude-failover\""),
    ("/api/llm-backend", JSON, "{\"backend\":\"claude\","),
    ("/api/status", JSON, "{\"backend\":\"claude\","),
    ("/api/log", JSON, "["),
    ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "# HELP llm_failover_calls_total "),
];

#[test]
fn each_path_its_headers_and_the_methods_that_it_takes() {
    let sandbox = Sandbox::new();
    let dashboard = Dashboard::of(&sandbox);
    let host = format!("Host: {}\r\n", dashboard.host());
    for (path, kind, begin) in PATHS {
        let got = dashboard.get(path);
        assert_eq!((got.status, got.header("content-type")), (200, Some(kind)), "{path}");
        assert!(got.body.starts_with(begin), "{path}: {}", got.body);
        let head = dashboard.ask(&format!("HEAD {path}"), &host, "");
        assert_eq!((head.status, head.header("content-type"), head.body.as_str()), (200, Some(kind), ""), "{path}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let refused = dashboard.ask(&format!("{method} {path}"), &host, "");
            assert_eq!(refused.error(), (405, format!("{method} is not for {path}")));
            assert_eq!(refused.header("allow"), Some("GET, HEAD"));
        }
    }
    for path in ["/api/switch", "/api/server", "/api/drill"] {
        let refused = dashboard.get(path);
        assert_eq!((refused.error(), refused.header("allow")), ((405, format!("GET is not for {path}")), Some("POST")));
    }
    for path in ["/x", "/api", "/api/", "/dashboard.js/", "/../healthz", "/v1/messages"] {
        assert_eq!(dashboard.get(path).error(), (404, "there is nothing at this path".into()), "{path}");
    }
    for path in ["/", "/x", "/api/switch", "/metrics", "/api/log?x=1"] {
        let got = dashboard.get(path);
        for (name, value) in [
            ("content-security-policy", POLICY),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(got.header(name), Some(value), "{path}");
        }
        assert!(!got.headers.iter().any(|(name, _)| name.starts_with("access-control-")), "{path}");
    }
    let cookie = dashboard.get("/").header("set-cookie").unwrap().to_string();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(&dashboard.token), "another server on this machine gets the cookie");
    assert_eq!(dashboard.end(), (143, String::new()));
}

#[test]
fn who_answers_as_programs_ask() {
    let sandbox = Sandbox::new();
    let dashboard = Dashboard::of(&sandbox);
    let backend = || dashboard.get("/api/llm-backend").json();
    let none = json!({"backend": "claude", "since": null, "answers": "claude", "why": null, "reason": null, "until": null,
                      "next_probe": null});
    assert_eq!(backend(), none);
    for (word, answers) in [("local", "local"), ("auto", "claude"), ("claude", "claude"), ("nonsense", "claude")] {
        sandbox.switch(word);
        let now = backend();
        let expected = if word == "nonsense" { "claude" } else { word };
        assert_eq!((&now["backend"], &now["answers"]), (&json!(expected), &json!(answers)), "{word}");
        assert!(now["since"].is_string(), "{now}");
    }
    sandbox.switch("auto");
    let until = "2999-01-01T00:00:00Z";
    let now = jiff::Timestamp::now();
    let (since, next) = (now.to_string(), (now + jiff::SignedDuration::from_mins(20)).to_string());
    let condition =
        json!({"class": "five_hour", "since": since, "until": until, "next_probe": next, "updated": since, "failures": 1});
    let breaker = json!({"conditions": [condition]}).to_string();
    sandbox.write(".local/state/claude-failover/breaker.json", breaker);
    let now = backend();
    assert_eq!((&now["answers"], &now["why"], &now["until"]), (&json!("local"), &json!("five_hour"), &json!(until)));
    assert!(now["reason"].as_str().unwrap().starts_with("Claude is at its 5-hour limit until "), "{now}");
    let status = dashboard.get("/api/status").json();
    let command = sandbox.cmd("llm-failover").args(&["status", "--json"]).run();
    assert_eq!(status, serde_json::from_slice::<Value>(&command.stdout).unwrap());
}

#[test]
fn the_log_as_the_command_has_it() {
    let sandbox = Sandbox::new();
    let line = |hour: usize| {
        format!(r#"{{"time":"2026-11-22T{hour:02}:00:00Z","applet":"claude","route":"watch","backend":"claude","seconds":2}}"#)
    };
    let ledger: String = (0..24).map(|hour| line(hour) + "\n").collect();
    let all = (0..24).map(|hour| serde_json::from_str(&line(hour)).unwrap()).collect::<Vec<Value>>();
    sandbox.write(".local/state/claude-failover/ledger.jsonl", ledger.clone() + &line(0)[..40]);
    sandbox.write(".local/state/claude-failover/ledger.jsonl.1", ledger);
    let dashboard = Dashboard::of(&sandbox);
    let log = |query: &str| dashboard.get(&format!("/api/log{query}")).json();
    let both = [all.clone(), all.clone()].concat();
    assert_eq!(log(""), json!(both[8..]));
    assert_eq!(log("?lines=2"), json!(all[22..]));
    assert_eq!(log("?lines=0"), json!([]));
    assert_eq!(log("?since=2026-11-22T22:30:00Z"), json!([all[23].clone(), all[23].clone()]));
    assert_eq!(log("?since=2026-11-22T20%3A00%3A00Z&until=2026-11-22T22:00:00%2b00:00&lines=3")[2], all[21]);
    assert_eq!(log("?since=2999-01-01"), json!([]));
    for (query, words) in [
        ("?lines=x", "lines: `x` is no number of calls"),
        ("?lines=-1", "lines: `-1` is no number of calls"),
        ("?since=noon", "since: `noon` is neither a length of time"),
        ("?since=%1", "since: `%1` is neither"),
        ("?last=3", "`last` is none of lines, since, until"),
    ] {
        let (status, error) = dashboard.get(&format!("/api/log{query}")).error();
        assert!(status == 400 && error.starts_with(words), "{query}: {status} {error}");
    }
}

#[test]
fn a_setting_that_cannot_be_used_is_told_and_ends_nothing() {
    let sandbox = Sandbox::new();
    let dashboard = Dashboard::of(&sandbox);
    let words = "LOCAL_LLM_URL";
    sandbox.write(".config/claude-failover/config.env", "LOCAL_LLM_URL=nonsense\n");
    let (status, error) = dashboard.get("/api/status").error();
    assert!(status == 500 && error.contains(words), "{error}");
    let page = dashboard.get("/");
    assert!(page.status == 200 && page.body.contains(words), "{}", page.body);
    assert_eq!(dashboard.get("/metrics").status, 200);
    sandbox.write(".config/claude-failover/config.env", "LOCAL_LLM_URL=http://127.0.0.1:1/v1\n");
    assert_eq!(dashboard.get("/api/status").json()["local_server"]["port"], 1);
}

#[test]
fn a_port_is_taken_by_one_dashboard_and_by_others_for_none() {
    let mut sandbox = Sandbox::new();
    let dashboard = Dashboard::of(&sandbox);
    let opened = sandbox.path("opened");
    let name = if cfg!(target_os = "macos") { "tools/open" } else { "tools/xdg-open" };
    sandbox.script(name, &format!("#!/bin/sh\necho \"$@\" >{0}.new && mv {0}.new {0}\n", opened.display()));
    let run =
        |port: u16, more: &[&str]| sandbox.cmd("llm-failover").args(&["dashboard", "--port", &port.to_string()]).args(more).run();
    let address = format!("http://127.0.0.1:{}/\n", dashboard.port);
    run(dashboard.port, &[]).expect(0, &address, "llm-failover: the dashboard runs already\n");
    let hint = "hint: choose another one with `--port`; 0 is any that is free\n";
    let other = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = other.local_addr().unwrap().port();
    // It hangs up on everybody.
    std::thread::spawn(move || other.incoming().for_each(drop));
    run(port, &[]).expect(1, "", &format!("llm-failover: port {port} is taken by another program\n{hint}"));
    sandbox.set_path(&[sandbox.path("bin"), sandbox.path("tools"), "/usr/bin".into(), "/bin".into()]);
    let run = sandbox.cmd("llm-failover").args(&["dashboard", "--open", "--port", &dashboard.port.to_string()]).run();
    run.expect(0, &address, "llm-failover: the dashboard runs already\n");
    crate::support::until(10, "the browser is told", || opened.exists());
    assert_eq!(std::fs::read_to_string(&opened).unwrap(), address);
}

/// With its token, but for the question whether it is there.
#[test]
fn the_gateway_has_the_same_and_changes_nothing() {
    let mut sandbox = Sandbox::new();
    sandbox.set("LLM_GATEWAY_TOKEN", "secret");
    let mut child = sandbox.cmd("llm-failover").args(&["gateway"]).spawn();
    drop(child.stdin.take());
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port: u16 = line.trim_end().rsplit(':').next().unwrap().parse().unwrap();
    let ask = |line: &str, token: &str| {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        write!(stream, "{line} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{token}Connection: close\r\n\r\n").unwrap();
        reply(stream)
    };
    let token = "x-api-key: secret\r\n";
    for (path, kind, begin) in PATHS
        .into_iter()
        .filter(|(path, ..)| path.starts_with("/api/") || path.len() > 7 && path.ends_with('z') || *path == "/metrics")
    {
        let got = ask(&format!("GET {path}"), token);
        assert_eq!((got.status, got.header("content-type")), (200, Some(kind)), "{path}");
        assert!(got.body.starts_with(begin), "{path}: {}", got.body);
        assert_eq!(ask(&format!("HEAD {path}"), token).status, 200, "{path}");
        assert_eq!(ask(&format!("POST {path}"), token).status, 405, "{path}");
        let expected = if path == "/healthz" { 200 } else { 401 };
        assert_eq!(ask(&format!("GET {path}"), "").status, expected, "{path}");
    }
    for path in ["/api/switch", "/api/server", "/api/drill", "/events", "/dashboard.js"] {
        assert_eq!(ask(&format!("POST {path}"), token).status, 404, "{path}");
        assert_eq!(ask(&format!("GET {path}"), token).status, 404, "{path}");
    }
    signal(child.id().cast_signed(), "TERM");
    assert_eq!(finish(child), (143, String::new(), String::new()));
}
