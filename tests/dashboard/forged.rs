//! Requests that are not the page's: by other web pages, by pages of a dashboard that has ended, and malformed ones.

use std::io::Write;

use super::caller::{Dashboard, Reply, lines, reply};
use crate::support::Sandbox;

const OTHER_PAGE: &str = "the dashboard is not for other web pages";
const OTHER_HOST: &str = "this dashboard is for programs on this machine alone";
const RELOAD: &str = "this page is of a dashboard that has ended: reload it";

/// The page's own order, with one header in another form: none at all, or this.
fn changed(dashboard: &Dashboard, name: &'static str, value: Option<&str>) -> Reply {
    let mut headers = dashboard.own_headers();
    headers.retain(|(known, _)| *known != name);
    headers.extend(value.map(|value| (name, value.to_string())));
    dashboard.ask("POST /api/switch", &lines(&headers), r#"{"backend":"auto"}"#)
}

#[test]
fn a_forged_order_is_refused_whatever_is_wrong_with_it() {
    let sandbox = Sandbox::new();
    let (dashboard, older) = (Dashboard::of(&sandbox), Dashboard::of(&sandbox));
    let port = dashboard.port;
    let old_cookie = older.cookie.replace(&older.port.to_string(), &port.to_string());
    let table: [(&'static str, Option<String>, &str); 26] = [
        ("Host", None, OTHER_HOST),
        ("Host", Some("evil.example".into()), OTHER_HOST),
        ("Host", Some(format!("evil.example:{port}")), OTHER_HOST),
        ("Host", Some(format!("127.0.0.1.evil.example:{port}")), OTHER_HOST),
        ("Host", Some("127.0.0.1".into()), OTHER_HOST),
        ("Host", Some(format!("localhost:{}", older.port)), OTHER_HOST),
        ("Host", Some(format!("0.0.0.0:{port}")), OTHER_HOST),
        // Another name of ours than the page's.
        ("Host", Some(format!("localhost:{port}")), OTHER_PAGE),
        ("Origin", Some("null".into()), OTHER_PAGE),
        ("Origin", Some("https://evil.example".into()), OTHER_PAGE),
        ("Origin", Some(format!("https://127.0.0.1:{port}")), OTHER_PAGE),
        ("Origin", Some("http://127.0.0.1:3000".into()), OTHER_PAGE),
        ("Origin", Some(format!("http://127.0.0.1:{port}.evil.example")), OTHER_PAGE),
        ("Origin", Some(String::new()), OTHER_PAGE),
        ("Sec-Fetch-Site", Some("cross-site".into()), OTHER_PAGE),
        ("Sec-Fetch-Site", Some("same-site".into()), OTHER_PAGE),
        ("Sec-Fetch-Site", Some("none".into()), OTHER_PAGE),
        ("X-Dashboard-Token", None, RELOAD),
        ("X-Dashboard-Token", Some(String::new()), RELOAD),
        ("X-Dashboard-Token", Some(older.token.clone()), RELOAD),
        ("X-Dashboard-Token", Some(dashboard.token[1..].into()), RELOAD),
        ("X-Dashboard-Token", Some(dashboard.token.to_uppercase()), RELOAD),
        ("Cookie", None, RELOAD),
        ("Cookie", Some(old_cookie), RELOAD),
        ("Cookie", Some(dashboard.cookie.replace('=', "x=")), RELOAD),
        ("Cookie", Some(dashboard.cookie.split('=').next().unwrap().into()), RELOAD),
    ];
    for (name, value, words) in table {
        assert_eq!(changed(&dashboard, name, value.as_deref()).error(), (403, words.into()), "{name}: {value:?}");
    }
    let mut two = dashboard.own_headers();
    two.push(("Origin", "https://evil.example".into()));
    let refused = dashboard.ask("POST /api/switch", &lines(&two), r#"{"backend":"auto"}"#);
    assert_eq!(refused.error(), (403, OTHER_PAGE.into()));
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data"),
        Some("application/jsonp"),
    ] {
        assert_eq!(changed(&dashboard, "Content-Type", kind).error(), (415, "the body must be application/json".into()));
    }
    assert_eq!(sandbox.switch_word(), "", "nothing was changed");
    // A program that is no browser sends no origin.
    for (name, value) in [("Origin", None), ("Sec-Fetch-Site", None), ("Content-Type", Some("Application/JSON; charset=utf-8"))] {
        assert_eq!(changed(&dashboard, name, value).status, 200, "{name}");
    }
    let beside = format!("a=b; {}; c", dashboard.cookie);
    assert_eq!(changed(&dashboard, "Cookie", Some(&beside)).status, 200);
    assert_eq!(sandbox.switch_word(), "auto\n");
}

#[test]
fn other_pages_read_nothing() {
    let sandbox = Sandbox::new();
    let dashboard = Dashboard::of(&sandbox);
    let host = format!("Host: {}\r\n", dashboard.host());
    let asked = |path: &str, more: &str| dashboard.ask(&format!("GET {path}"), &format!("{host}{more}"), "");
    let visit = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    for path in ["/", "/api/status", "/api/log", "/api/llm-backend", "/metrics", "/events", "/dashboard.js", "/healthz", "/x"] {
        for site in ["cross-site", "same-site", "else"] {
            assert_eq!(asked(path, &format!("Sec-Fetch-Site: {site}\r\n")).error(), (403, OTHER_PAGE.into()), "{path}");
        }
        let foreign = dashboard.ask(&format!("GET {path}"), "Host: evil.example\r\n", "");
        assert_eq!(foreign.error(), (403, OTHER_HOST.into()), "{path}");
        if path != "/" {
            assert_eq!(asked(path, visit).status, 403, "{path}");
        }
    }
    // Somebody follows a link to the page, but none shows it in a frame.
    assert_eq!(asked("/", visit).status, 200);
    assert_eq!(asked("/", &visit.replace("document", "iframe")).status, 403);
    for site in ["same-origin", "none"] {
        assert_eq!(asked("/api/status", &format!("Sec-Fetch-Site: {site}\r\n")).status, 200);
    }
    for name in ["localhost", "[::1]"] {
        assert_eq!(dashboard.ask("GET /", &format!("Host: {name}:{}\r\n", dashboard.port), "").status, 200, "{name}");
    }
}

#[test]
fn malformed_orders_are_errors_and_large_ones_are_not_read() {
    let sandbox = Sandbox::new();
    let dashboard = Dashboard::of(&sandbox);
    let ask = |kind: &str, body: &str| reply(dashboard.begin_order(kind, body)).error();
    for (kind, body, words) in [
        ("switch", "", "the body must be JSON"),
        ("switch", "{", "the body must be JSON"),
        ("switch", "[]", "the body must be {\"backend\": …}"),
        ("switch", r#"{"state":"auto"}"#, "the body must be {\"backend\": …}"),
        ("switch", r#"{"backend":1}"#, "the body must be {\"backend\": …}"),
        ("switch", r#"{"backend":"--help"}"#, "`--help` is none of claude, auto, local"),
        ("server", r#"{"state":"restart"}"#, "`restart` is none of start, stop"),
        ("drill", r#"{"trouble":"lim"}"#, "`lim` is none of limit, weekly, overload, down, hang, throttle, signin"),
        ("drill", r#"{"trouble":"--help"}"#, "`--help` is none of limit, weekly, overload, down, hang, throttle, signin"),
    ] {
        assert_eq!(ask(kind, body), (400, words.into()), "{kind} {body}");
    }
    let large = format!(r#"{{"backend":"auto","x":"{}"}}"#, "x".repeat(64 << 10));
    assert_eq!(ask("switch", &large), (413, "the body may have 65536 bytes".into()));
    // In chunks, it says nothing of its size.
    let mut headers = lines(&dashboard.own_headers());
    headers += "Transfer-Encoding: chunked\r\nConnection: close\r\n";
    let mut stream = dashboard.connect();
    write!(stream, "POST /api/switch HTTP/1.1\r\n{headers}\r\n{:x}\r\n{large}\r\n0\r\n\r\n", large.len()).unwrap();
    assert_eq!(reply(stream).error(), (413, "the body may have 65536 bytes".into()));
    assert_eq!(sandbox.switch_word(), "");
}
