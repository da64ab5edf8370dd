//! The browser that tests of a page drive: what a page shows, what it does, and what is wrong with it.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::json;

use crate::support::browser::{Browser, Look};

/// A small page under a strict policy, with a stream of events and one thing that the policy forbids.
const PAGE: &str = r##"<!doctype html>
<html lang="en">
<title>Tiny</title>
<meta name="viewport" content="width=device-width">
<style>
    body { background: #fff; color: #000 }
    @media (prefers-color-scheme: dark) { body { background: #000; color: #fff } }
    @media (max-width: 500px) { #wide { display: none } }
</style>
<main>
    <h1>Tiny</h1>
    <p id="state" data-state="before" aria-live="polite">before</p>
    <p id="wide">for wide screens</p>
    <label>Name <input id="name"></label>
    <select id="kind" aria-label="Kind"><option value="a">A</option><option value="b">B</option></select>
    <button id="go">Go</button>
    <noscript>no script</noscript>
</main>
<script src="/page.js"></script>
<script>document.title = "the policy does not hold"</script>
"##;

const SCRIPT: &str = r##"
const state = document.querySelector("#state");
const show = (text) => { state.textContent = text; state.dataset.state = text; };
document.querySelector("#go").onclick = async () =>
    show(document.querySelector("#name").value + " " + (await (await fetch("/go", { method: "POST" })).text()));
new EventSource("/events").onmessage = (event) => document.querySelector("h1").append(" " + event.data);
fetch("http://192.0.2.1/").catch(() => {});
"##;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'";

#[test]
fn a_page_in_a_real_browser() {
    let url = serve();
    let dir = tempfile::tempdir().unwrap();
    let browser = Browser::start();
    assert!(browser.version().split('.').next().unwrap().parse::<u32>().unwrap() >= 100, "{}", browser.version());

    let page = browser.open(&url, &Look::light());
    assert_eq!(page.text("#state"), "before");
    page.fill("#name", "Ada");
    page.select("#kind", "B");
    page.click("#go");
    page.wait_for_text("#state", "Ada gone");
    assert_eq!(page.attribute("#state", "data-state").as_deref(), Some("Ada gone"));
    assert_eq!(page.attribute("#state", "title"), None);
    page.wait_for_text("h1", "Tiny live");
    assert_eq!(page.texts("p"), ["Ada gone", "for wide screens"]);
    assert_eq!((page.count("p"), page.count("video")), (2, 0));
    assert_eq!(page.evaluate("({ title: document.title, kind: kind.value })"), json!({"title": "Tiny", "kind": "b"}));
    page.press("Tab");
    assert_eq!(page.evaluate("document.activeElement.tagName"), json!("BODY"), "the button was the last");
    assert!(page.aria("main").contains("- textbox \"Name\": Ada"), "{}", page.aria("main"));
    let asked = page.requests();
    assert!(asked.contains(&format!("POST {url}go")) && asked.contains(&format!("GET {url}events")), "{asked:?}");
    let faults = page.faults();
    assert!(faults.iter().any(|fault| fault.contains("inline script")), "{faults:#?}");
    assert!(faults.iter().any(|fault| fault.contains("http://192.0.2.1/")), "{faults:#?}");

    let colour = "getComputedStyle(document.body).backgroundColor";
    assert_eq!(page.evaluate(colour), json!("rgb(255, 255, 255)"));
    page.scheme("dark");
    assert_eq!(page.evaluate(colour), json!("rgb(0, 0, 0)"));
    page.reload();
    assert_eq!(page.text("#state"), "before");

    let narrow = browser.open(&url, &Look::dark().narrow());
    assert_eq!(narrow.evaluate(colour), json!("rgb(0, 0, 0)"));
    assert!(!narrow.is_shown("#wide"));
    narrow.resize(800, 600);
    assert!(narrow.is_shown("#wide"));
    let picture = dir.path().join("page.png");
    narrow.screenshot(&picture);
    let bytes = std::fs::read(&picture).unwrap();
    assert_eq!((&bytes[1..4], &bytes[16..24]), (&b"PNG"[..], &[0, 0, 3, 32, 0, 0, 2, 88][..]), "800 by 600 pixels");
    narrow.close();

    let still = browser.open(&url, &Look::light().without_script());
    assert!(still.text("main").contains("no script"), "{}", still.text("main"));
}

/// Serves the page on loopback until the process ends, and returns its address.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for connection in listener.incoming() {
            thread::spawn(move || answer(connection.unwrap()));
        }
    });
    url
}

fn answer(mut connection: TcpStream) {
    let mut lines = BufReader::new(connection.try_clone().unwrap()).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    lines.find(String::is_empty);
    let (kind, body) = match request.split(' ').nth(1).unwrap_or_default() {
        "/" => ("text/html", PAGE),
        "/page.js" => ("text/javascript", SCRIPT),
        "/go" => ("text/plain", "gone"),
        "/events" => ("text/event-stream", "data: live\n\n"),
        _ => ("text/plain", ""),
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Security-Policy: {POLICY}\r\nConnection: close\r\n");
    let _ = connection.write_all(format!("{head}\r\n{body}").as_bytes());
    if kind == "text/event-stream" {
        thread::park();
    }
}
