//! Server-sent events: what has changed, whoever has changed it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::caller::{Dashboard, chunk};
use crate::support::stub::{Stub, json};
use crate::support::{Sandbox, until};

/// One tab.
struct Tab {
    reader: BufReader<TcpStream>,
    rest: String,
}

impl Tab {
    fn of(dashboard: &Dashboard) -> Tab {
        let headers = format!("Host: {}\r\nAccept: text/event-stream\r\nSec-Fetch-Site: same-origin\r\n", dashboard.host());
        let mut reader = BufReader::new(dashboard.send("GET /events", &headers, ""));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/event-stream"), "{head}");
        Tab { reader, rest: String::new() }
    }

    /// The next event: its kind and its data.
    fn next(&mut self) -> (String, Value) {
        loop {
            if let Some((event, rest)) = self.rest.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_string);
                let found = field("event: ").zip(field("data: "));
                self.rest = rest.to_string();
                if let Some((kind, data)) = found {
                    return (kind, serde_json::from_str(&data).expect("JSON"));
                }
                continue;
            }
            self.rest += &String::from_utf8(chunk(&mut self.reader).expect("the events go on")).unwrap();
        }
    }

    /// Waits for a part with these words.
    fn part(&mut self, id: &str, words: &str) {
        loop {
            let (kind, data) = self.next();
            if kind == "part" && data["id"] == id && data["html"].as_str().unwrap().contains(words) {
                return;
            }
        }
    }
}

#[test]
fn each_tab_hears_of_a_flip_from_a_shell_of_a_call_and_of_the_server() {
    let mut sandbox = Sandbox::new();
    let loads = sandbox.path("loads");
    let is_loading = loads.clone();
    // As llama.cpp says it.
    let stub = Stub::new(move |_, stream| {
        let (status, body) =
            if is_loading.exists() { (503, r#"{"error":{"message":"Loading model"}}"#) } else { (200, r#"{"status":"ok"}"#) };
        let _ = stream.write_all(json(status, body).as_bytes());
    });
    sandbox.set("LOCAL_LLM_URL", stub.url());
    let dashboard = Dashboard::of(&sandbox);
    let mut tabs = [Tab::of(&dashboard), Tab::of(&dashboard)];
    for tab in &mut tabs {
        assert_eq!(tab.next().0, "ping", "it is connected at once");
        for id in ["warnings", "badge", "server", "chain", "day", "day-table", "week", "week-table", "calls"] {
            let (kind, data) = tab.next();
            assert_eq!((kind.as_str(), data["id"].as_str()), ("part", Some(id)));
        }
    }
    sandbox.cmd("llm-failover").args(&["-q", "auto"]).run();
    tabs.iter_mut().for_each(|tab| tab.part("badge", "data-backend=\"auto\""));
    sandbox.write(
        ".local/state/claude-failover/ledger.jsonl",
        format!(
            "{{\"time\":\"{}\",\"applet\":\"claude\",\"route\":\"answer\",\"verdict\":\"five_hour\",\"backend\":\"local\",\
             \"model\":\"qwen-of-the-ledger\",\"seconds\":1}}\n",
            jiff::Timestamp::now()
        ),
    );
    tabs.iter_mut().for_each(|tab| tab.part("calls", "qwen-of-the-ledger"));
    std::fs::write(&loads, "").unwrap();
    tabs.iter_mut().for_each(|tab| tab.part("server", "data-state=\"loading\""));
    // One that leaves takes the others nothing.
    let [first, mut second] = tabs;
    drop(first);
    sandbox.switch("local\n");
    second.part("badge", "data-backend=\"local\"");
}

#[test]
fn nobody_is_asked_while_no_page_is_open() {
    let mut sandbox = Sandbox::new();
    let stub = Stub::answering("hello");
    sandbox.set("LOCAL_LLM_URL", stub.url());
    let dashboard = Dashboard::of(&sandbox);
    let mut tab = Tab::of(&dashboard);
    tab.part("calls", "");
    // By its name in the list of the system, where that has one.
    let watches = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", dashboard.pid())).into_iter().flatten().flatten();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|name| name.trim() == "live-events").count()
    };
    assert!(watches() == 1 || cfg!(not(target_os = "linux")));
    drop(tab);
    until(20, "nobody watches", || watches() == 0);
    let asked = stub.seen().len();
    sandbox.switch("auto\n");
    // What asks the health alone asks no server.
    assert_eq!(dashboard.get("/healthz").status, 200);
    assert!(stub.seen().len() == asked || cfg!(not(target_os = "linux")));
    Tab::of(&dashboard).part("badge", "data-backend=\"auto\"");
    assert!(stub.seen().len() > asked, "the next page is watched for again");
}
