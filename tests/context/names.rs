//! Which model is asked for if the user has named none.

use serde_json::{Value, json};

use super::{Page, Played, home, list};
use crate::support::Output;

const DEFAULT: &str = "mlx-community/Qwen2.5-7B-Instruct-4bit";

fn listing(names: &[&str]) -> Played {
    Played::new(vec![list(names.iter().map(|name| json!({"id": name, "object": "model"})).collect())])
}

fn ask(server: &Played) -> Output {
    home(&server.url(), None).cmd("claude").args(&["-p", "q"]).run()
}

#[test]
fn a_server_that_lists_models_is_asked_for_one_of_them() {
    let table: [(&[&str], &str); 6] = [
        (&[], "default_model"),
        (&["only"], "only"),
        (&["/models/tiny.gguf"], "/models/tiny.gguf"),
        (&["a", DEFAULT, "b"], DEFAULT),
        (&["a", "text-embedding-nomic-embed-text-v1.5"], "a"),
        (&[DEFAULT], DEFAULT),
    ];
    for (names, expected) in table {
        let server = listing(names);
        let sandbox = home(&server.url(), None);
        let ask = || sandbox.cmd("claude").args(&["-p", "q"]).run().expect(0, "ok\n", "");
        let lists = || server.places().iter().filter(|place| *place == "GET /v1/models").count();
        let is_remembered = || {
            let known = std::fs::read_to_string(sandbox.path(".local/state/claude-failover/servers.json"));
            known.is_ok_and(|known| known.contains("\"is_asked\":true"))
        };
        // On a busy machine a call may end before all of the server's addresses have answered.
        crate::support::until(20, "it is remembered", || {
            ask();
            is_remembered()
        });
        let before = lists();
        ask();
        assert_eq!(lists(), before, "it is remembered: {names:?}");
        let models: Vec<Value> = server.chats().iter().map(|chat| chat["model"].clone()).collect();
        assert!(models.len() >= 2 && models.iter().all(|model| model == expected), "{names:?}: {models:?}");
    }
}

#[test]
fn a_server_without_a_list_gets_what_mlx_lm_takes() {
    for pages in
        [vec![], vec![("GET /v1/models", Page::Says(json!("x")))], vec![("GET /v1/models", Page::Says(json!({"data": 7})))]]
    {
        let server = Played::new(pages);
        ask(&server).expect(0, "ok\n", "");
        assert_eq!(server.chats()[0]["model"], "default_model");
    }
}

#[test]
fn the_user_chooses_among_several() {
    let said =
        |names: &str| format!("the local server has several models, and none is chosen: set LOCAL_LLM_MODEL to one of {names}");
    let server = listing(&["a", "b/c"]);
    ask(&server).expect_api_error(&said("`a`, `b/c`"), "");
    assert_eq!(server.chats().len(), 0, "none is asked");
    let names: Vec<String> = (0..13).map(|number| format!("m{number}")).collect();
    let server = listing(&names.iter().map(String::as_str).collect::<Vec<_>>());
    ask(&server).expect_api_error(&said("`m0`, `m1`, `m2`, `m3`, `m4`, `m5`, `m6`, `m7`, `m8`, `m9` or 3 more"), "");
    let server = listing(&["a", "b"]);
    home(&server.url(), Some("b")).cmd("claude").args(&["-p", "q"]).run().expect(0, "ok\n", "");
    assert_eq!(server.chats()[0]["model"], "b");
}

/// Before Claude Code starts, which would tell it less well.
#[test]
fn an_agent_does_not_start_without_a_choice() {
    let server = listing(&["a", "b"]);
    let mut sandbox = home(&server.url(), None);
    let claude = sandbox.script("real/claude", "#!/bin/sh\necho started\n");
    sandbox.set("CLAUDE_BIN", claude);
    sandbox.set("LOCAL_LLM_AGENT", "always");
    let said = "claude: the local server has several models, and none is chosen: set LOCAL_LLM_MODEL to one of `a`, `b`\n";
    sandbox.cmd("claude").args(&["-p", "q", "--dangerously-skip-permissions"]).run().expect(1, "", said);
    assert_eq!(server.chats().len(), 0);
}
