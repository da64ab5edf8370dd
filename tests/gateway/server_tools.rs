//! Tools that only Anthropic's servers run, and those that Anthropic defines and the caller runs.

use serde_json::{Value, json};

use super::{Server, question, tools, with};
use crate::support::stub::completion;

/// What a model without a web search would say of one.
const INVENTED: &str = "1. A page that is nowhere, https://made-up.example/page";

fn server_tool(kind: &str, name: &str) -> Value {
    json!({"type": kind, "name": name})
}

#[test]
fn a_request_for_such_a_tool_gets_the_apis_own_failure() {
    let server = Server::saying(&completion(INVENTED));
    let gateway = server.gateway();
    let asks = |tools: Value, rest: Value| {
        with(with(question("Perform a web search for the query: a \"b\" c"), json!({"tools": tools})), rest)
    };
    let search = || server_tool("web_search_20250305", "web_search");
    let with_others = || tools().as_array().unwrap().iter().cloned().chain([search()]).collect::<Value>();
    let later = json!({"messages": [
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}, {"role": "user", "content": "a \"b\" c"}]});
    let forced = json!({"tool_choice": {"type": "tool", "name": "web_search"}});
    let (query, nothing) = (json!({"query": "a \"b\" c"}), json!({}));
    for (request, name, input) in [
        (asks(json!([search()]), json!({})), "web_search", &query),
        (asks(json!([search()]), forced.clone()), "web_search", &query),
        (asks(json!([search()]), json!({"tool_choice": {"type": "any"}})), "web_search", &query),
        (asks(json!([server_tool("web_search_20990101", "web_search")]), json!({})), "web_search", &query),
        (asks(with_others(), forced.clone()), "web_search", &query),
        (with(asks(with_others(), forced.clone()), later.clone()), "web_search", &query),
        (asks(json!([server_tool("web_fetch_20250910", "web_fetch")]), json!({})), "web_fetch", &nothing),
        (
            asks(json!([server_tool("code_execution_20250825", "code_execution"), search()]), json!({})),
            "code_execution",
            &nothing,
        ),
    ] {
        let message = gateway.message(&request);
        let (caller, result) = (json!({"type": "direct"}), format!("{name}_tool_result"));
        let error = json!({"type": format!("{result}_error"), "error_code": "unavailable"});
        let words = format!(
            "The local model has no {}: only Anthropic's servers run `{name}`. It did not run, and there are no results.",
            name.replace('_', " ")
        );
        let expected = json!([
            {"type": "server_tool_use", "name": name, "input": input, "caller": caller},
            {"type": result, "content": error, "caller": caller},
            {"type": "text", "text": words},
        ]);
        assert_eq!((&message["content"], &message["stop_reason"]), (&expected, &json!("end_turn")), "{request}");
        let whole = gateway.ask(&request).json();
        let id = whole["content"][0]["id"].as_str().unwrap();
        assert!(id.starts_with("srvtoolu_") && whole["content"][1]["tool_use_id"] == id, "{whole}");
    }
    assert!(server.stub.chats().is_empty(), "the local model was asked");
}

#[test]
fn without_a_block_for_its_failure_the_request_is_refused() {
    let server = Server::saying(&completion(INVENTED));
    let gateway = server.gateway();
    let only_anthropic = |name: &str| format!("tools: only Anthropic's servers run `{name}`, and a local model answers here");
    let remote = json!([{"type": "url", "url": "https://mcp.example", "name": "remote"}]);
    for (keys, words) in [
        (json!({"tools": [server_tool("advisor_20260301", "advisor")]}), only_anthropic("advisor")),
        (json!({"tools": [server_tool("of_a_later_day_20990101", "later")]}), only_anthropic("later")),
        (json!({"mcp_servers": remote}), only_anthropic("remote")),
        (
            json!({"mcp_servers": remote, "tools": [{"type": "mcp_toolset", "mcp_server_name": "remote"}]}),
            only_anthropic("remote"),
        ),
        (
            json!({"tools": [{"type": "computer_20250124", "name": "computer", "display_width_px": 1024, "display_height_px": 768}, tools()[0]]}),
            "tools: a local model cannot be offered `computer_20250124`: it was never trained to use it".into(),
        ),
    ] {
        let (status, may_pass, kind, message) = gateway.refusal(&with(question("hi"), keys.clone()));
        assert_eq!((status, may_pass, kind.as_str(), message), (400, false, "invalid_request_error", words), "{keys}");
    }
    assert!(server.stub.chats().is_empty(), "the local model was asked");
}

#[test]
fn beside_other_tools_the_model_is_told_what_is_not_there() {
    let server = Server::saying(&completion("yes"));
    let gateway = server.gateway();
    let own = json!({"name": "Own", "description": "d", "input_schema": {"type": "object"}});
    let remote = json!([{"type": "url", "url": "https://mcp.example", "name": "remote"}]);
    let search = server_tool("web_search_20250305", "web_search");
    let talk = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]);
    let told = |names: &str| {
        format!(
            "Tools that are not available here: {names}. Where one of them would be needed, say that it is not available, and do \
             not make up what it would have given."
        )
    };
    for (keys, system, offered) in [
        (json!({"tools": [own, search]}), told("`web_search`"), vec!["Own"]),
        (json!({"tools": [own, search], "system": "Be brief."}), format!("Be brief.\n\n{}", told("`web_search`")), vec!["Own"]),
        (json!({"tools": [search, own], "mcp_servers": remote}), told("`web_search`, `remote`"), vec!["Own"]),
        // A conversation that could have gone on without it.
        (json!({"tools": [search], "messages": talk}), told("`web_search`"), vec![]),
        (json!({"tools": [search], "tool_choice": {"type": "none"}}), told("`web_search`"), vec![]),
    ] {
        gateway.message(&with(question("hi"), keys.clone()));
        let asked = server.asked();
        assert_eq!(asked["messages"][0], json!({"role": "system", "content": system}), "{keys}");
        let names = asked["tools"].as_array().into_iter().flatten().map(|tool| tool["function"]["name"].as_str().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), offered, "{keys}");
    }
}

/// The caller runs them, and Claude was trained with their schemas.
#[test]
fn tools_that_anthropic_defines_come_with_their_schema() {
    let server = Server::saying(&completion("yes"));
    let gateway = server.gateway();
    for (kind, name, keys, commands) in [
        ("bash_20241022", "bash", vec!["command", "restart"], vec![]),
        ("bash_20250124", "bash", vec!["command", "restart"], vec![]),
        (
            "text_editor_20250124",
            "str_replace_editor",
            vec!["command", "file_text", "insert_line", "new_str", "old_str", "path", "view_range"],
            vec!["view", "create", "str_replace", "insert", "undo_edit"],
        ),
        (
            "text_editor_20250728",
            "str_replace_based_edit_tool",
            vec!["command", "file_text", "insert_line", "insert_text", "new_str", "old_str", "path", "view_range"],
            vec!["view", "create", "str_replace", "insert"],
        ),
        (
            "memory_20250818",
            "memory",
            vec![
                "command",
                "file_text",
                "insert_line",
                "insert_text",
                "new_path",
                "new_str",
                "old_path",
                "old_str",
                "path",
                "view_range",
            ],
            vec!["view", "create", "str_replace", "insert", "delete", "rename"],
        ),
    ] {
        gateway.message(&with(question("hi"), json!({"tools": [server_tool(kind, name)]})));
        let asked = server.asked();
        let function = &asked["tools"][0]["function"];
        assert_eq!(function["name"], name, "{kind}");
        assert!(function["description"].as_str().is_some_and(|text| !text.is_empty()), "{kind}");
        let parameters = &function["parameters"];
        let mut found: Vec<&str> = parameters["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, keys, "{kind}");
        let found = parameters["properties"]["command"]["enum"].as_array().into_iter().flatten();
        assert_eq!(found.map(|name| name.as_str().unwrap()).collect::<Vec<_>>(), commands, "{kind}");
        assert_eq!(asked["messages"], json!([{"role": "user", "content": "hi"}]), "{kind}");
    }
}

/// Anthropic would search them. The model gets all of them instead, and a tool without a schema takes anything.
#[test]
fn deferred_tools_are_there_without_anthropics_search() {
    let server = Server::saying(&completion("yes"));
    let gateway = server.gateway();
    let deferred = json!({"name": "Later", "input_schema": {"type": "object"}, "defer_loading": true});
    let names = |asked: &Value| -> Vec<String> {
        asked["tools"].as_array().into_iter().flatten().map(|tool| tool["function"]["name"].as_str().unwrap().into()).collect()
    };
    let search = server_tool("tool_search_tool_regex_20251119", "tool_search_tool_regex");
    for (tools, expected) in [
        (json!([deferred, {"name": "Bare"}]), vec!["Bare"]),
        (json!([search, deferred, {"name": "Bare"}]), vec!["Later", "Bare"]),
    ] {
        gateway.message(&with(question("hi"), json!({"tools": tools})));
        assert_eq!(names(&server.asked()), expected, "{tools}");
        assert_eq!(server.asked()["messages"], json!([{"role": "user", "content": "hi"}]));
    }
}
