//! Who a session on the local model speaks to. Each proxy variable leads to a recorder that answers nothing, so a host that a
//! session wants to reach is one that no resolver is asked for, and stands in the record.

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::{DONE, FREE, Home, done};
use crate::auto::{TODAY, Version, each, same};
use crate::support::messages_api::{self, is_of_the_call, replying};
use crate::support::script::{Manner, Reply, calls, computed, results, says, tools};
use crate::support::terminal::Terminal;
use crate::support::until;

/// Earlier ones ask Anthropic at their end, whatever is set, whether it wants their metrics.
const VERSIONS: [Version; 2] = [(2, 1, 197), TODAY];

/// A page's server, and how often it was asked.
fn page() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let (port, visits) = (listener.local_addr().expect("an address").port(), Arc::new(AtomicUsize::new(0)));
    let counted = visits.clone();
    thread::spawn(move || {
        // Claude Code makes https of http, and meets no TLS here.
        for mut stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(b"HTTP/1.1 404 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        }
    });
    (port, visits)
}

/// A home whose settings leave Claude Code all its traffic.
fn home(version: Version) -> Home {
    let mut home = Home::new(version);
    for key in ["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER", "NO_PROXY"] {
        home.sandbox.unset(key);
    }
    for key in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        home.sandbox.set(key, format!("http://127.0.0.1:{}", home.net.port()));
    }
    home
}

/// A whole day's work, which ends with `DONE`: a command, a file, a page, another agent.
fn work(home: &Home, page: u16) -> Vec<Reply> {
    home.sandbox.write("work/a.txt", "in a file");
    let fetch =
        move || calls(&[("WebFetch", json!({"url": format!("http://127.0.0.1:{page}/page"), "prompt": "what is there?"}))]);
    let agent = |question: &Value| {
        let name = if tools(question).contains(&"Agent") { "Agent" } else { "Task" };
        let input = json!({"description": "look", "prompt": "say what you see", "subagent_type": "general-purpose", "run_in_background": false});
        calls(&[(name, input)])
    };
    vec![
        calls(&[("Bash", json!({"command": "echo hi"})), ("Read", json!({"file_path": home.work("a.txt")}))]),
        computed(move |question| match tools(question).contains(&"WebFetch") {
            true => calls(&[("Bash", json!({"command": "echo it is there"}))]),
            false => calls(&[("ToolSearch", json!({"query": "select:WebFetch", "max_results": 1}))]),
        }),
        fetch(),
        computed(agent),
        says("what the other agent sees"),
        done(),
    ]
}

/// Nobody but the gateway and the page.
fn nobody_else(home: &Home, visits: &AtomicUsize) -> Result<(), String> {
    let asked: Vec<String> = home.net.seen().into_iter().map(|request| request.line).collect();
    same("asked on the net", Vec::<String>::new(), asked)?;
    same("the page was asked for", true, visits.load(Ordering::SeqCst) > 0)
}

#[test]
fn a_session_speaks_to_nobody_but_the_gateway() {
    each(&VERSIONS, |&version| {
        let (port, visits) = page();
        let mut home = home(version);
        let replies = work(&home, port);
        let model = home.plays(Manner::Pieces, replies);
        let output = home.ask("do it all", &[FREE]).run();
        same("answer", (0, format!("{DONE}\n")), (output.code(), output.out()))
            .map_err(|fault| format!("{fault}: {}", output.err()))?;
        same("replies that are left", 0, model.left())?;
        let heard: Vec<String> = model.questions().iter().flat_map(results).collect();
        for said in ["hi", "in a file", "what the other agent sees"] {
            same(said, true, heard.iter().any(|result| result.contains(said))).map_err(|fault| format!("{fault}: {heard:?}"))?;
        }
        same("refused", false, heard.concat().contains("Unable to verify"))?;
        nobody_else(&home, &visits)?;
        home.is_left_clean()
    });
}

/// At a terminal Claude Code does more beside: it looks for plugins and for news.
#[test]
fn a_session_at_a_terminal_speaks_to_nobody_else_either() {
    each(&VERSIONS, |&version| {
        let (port, visits) = page();
        let mut home = home(version);
        let work_folder = home.sandbox.path("work").canonicalize().expect("a folder");
        let project = json!({"hasTrustDialogAccepted": true, "allowedTools": []});
        let state =
            json!({"hasCompletedOnboarding": true, "theme": "dark", "projects": {work_folder.to_string_lossy(): project}});
        home.sandbox.write(".claude.json", state.to_string());
        home.sandbox.write(".claude/settings.json", json!({"skipDangerousModePermissionPrompt": true}).to_string());
        let mut replies = work(&home, port);
        // Another agent works in the background there.
        replies.drain(3..5);
        let model = home.plays(Manner::Pieces, replies);
        let terminal = Terminal::new(&home.sandbox, &work_folder);
        terminal.enter(
            "claude --permission-mode default --allowedTools Bash Read WebFetch Agent Task ToolSearch; echo it has ended: $?",
        );
        terminal.wait_for("❯");
        terminal.enter("do it all");
        terminal.wait_for(DONE);
        same("replies that are left", 0, model.left())?;
        terminal.enter("/exit");
        terminal.wait_for("it has ended: 0");
        drop(terminal);
        until(20, "the page was asked for", || visits.load(Ordering::SeqCst) > 0);
        nobody_else(&home, &visits)?;
        home.is_left_clean()
    });
}

/// The recorder sees what it is there to see: without the setting Claude Code asks Anthropic about the page's host.
#[test]
fn the_recorder_sees_the_question_about_a_pages_host() {
    each(&VERSIONS, |&version| {
        let (port, visits) = page();
        let net = replying(move |question| {
            let offered = |name: &str| question["tools"].as_array().into_iter().flatten().any(|tool| tool["name"] == name);
            let said = question["messages"].to_string();
            match is_of_the_call(question) {
                true if !said.contains("tool_reference") && offered("ToolSearch") && !said.contains("\"is_error\"") => {
                    messages_api::Reply::Use("ToolSearch".into(), json!({"query": "select:WebFetch", "max_results": 1}))
                }
                true if !said.contains("/page") => {
                    let input = json!({"url": format!("http://127.0.0.1:{port}/page"), "prompt": "what is there?"});
                    messages_api::Reply::Use("WebFetch".into(), input)
                }
                _ => messages_api::Reply::Text("done".into()),
            }
        });
        let home = Home::with(version, net);
        home.sandbox.switch("claude");
        let output = home.ask("fetch it", &[FREE]).run();
        same("answer", (0, "done\n".to_string()), (output.code(), output.out()))?;
        let asked: Vec<String> = home.net.seen().into_iter().map(|request| request.line).collect();
        let is_seen = asked.iter().any(|line| line.starts_with("CONNECT ") && line.contains(":443"));
        same("the question about the host", true, is_seen).map_err(|fault| format!("{fault}: {asked:?}"))?;
        same("the page was asked for", 0, visits.load(Ordering::SeqCst))
    });
}
