use serde_json::json;

use super::*;

fn tools() -> Vec<Tool> {
    let tool = |name: &str, schema: Value| Tool { name: name.into(), description: String::new(), schema };
    vec![
        tool("Bash", json!({"properties": {"command": {"type": "string"}, "timeout": {"type": "number"}}})),
        tool("Read", json!({"properties": {"file_path": {"type": "string"}}})),
    ]
}

/// What comes of a text whatever pieces it comes in: the text, and the calls as `NAME{…}`, `NAME!` with bad arguments.
fn found(text: &str) -> (String, Vec<String>) {
    let tools = tools();
    let read = |step: usize| {
        let mut scanner = Scanner::new(&tools);
        let (mut plain, mut calls) = (String::new(), Vec::new());
        let chars: Vec<char> = text.chars().collect();
        for piece in chars.chunks(step) {
            plain += &scanner.push(&piece.iter().collect::<String>());
        }
        for found in scanner.finish(true) {
            match found {
                Found::Text(text) => plain += &text,
                Found::Call(ToolCall { name, arguments: Ok(arguments) }) => {
                    calls.push(format!("{name}{}", Value::from(arguments)))
                }
                Found::Call(ToolCall { name, .. }) => calls.push(format!("{name}!")),
            }
        }
        (plain, calls)
    };
    let whole = read(usize::MAX);
    for step in [1, 2, 3, 7] {
        assert_eq!(read(step), whole, "{text:?} by {step}");
    }
    whole
}

#[test]
fn forms_of_calls() {
    let ls = r#"Bash{"command":"ls"}"#;
    let table: &[(&str, &str, &[&str])] = &[
        ("plain text", "plain text", &[]),
        ("I look.\n<tool_call>\n{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}\n</tool_call>", "I look.\n", &[ls]),
        (
            "<tool_call>{\"name\":\"Bash\",\"arguments\":{\"command\":\"ls\"}}</tool_call>\n<tool_call>\n{\"name\":\"Read\",\"arguments\":{\"file_path\":\"a\"}}\n</tool_call>",
            "",
            &[ls, r#"Read{"file_path":"a"}"#],
        ),
        // Without its end, with the last bracket forgotten, with a line break in a string.
        ("<tool_call>{\"name\":\"Bash\",\"arguments\":{\"command\":\"ls\"}}", "", &[ls]),
        ("<tool_call>\n{\"name\":\"Bash\",\"arguments\":{\"command\":\"ls\"}\n</tool_call>", "", &[ls]),
        (
            "<tool_call>{\"name\":\"bash\",\"arguments\":{\"command\":\"a\nb\"}}</tool_call> done",
            " done",
            &[r#"Bash{"command":"a\nb"}"#],
        ),
        ("<tool_call>{\"name\":\"Bash\",\"arguments\":{\"command\":oops}}</tool_call>", "", &["Bash!"]),
        ("<tool_call>{\"name\":\"Bash\",\"arguments\":\"{\\\"command\\\":\\\"ls\\\"}\"}</tool_call>", "", &[ls]),
        ("<tool_call>{\"name\":\"Nope\",\"arguments\":{}}</tool_call>", "", &["Nope{}"]),
        // Qwen 3 Coder.
        (
            "<tool_call>\n<function=Bash>\n<parameter=command>\nls\n</parameter>\n<parameter=timeout>\n5\n</parameter>\n</function>\n</tool_call>",
            "",
            &[r#"Bash{"command":"ls","timeout":5}"#],
        ),
        ("<function=Bash>\n<parameter=command>\na\nb\n</parameter>\n</function>", "", &[r#"Bash{"command":"a\nb"}"#]),
        // Llama 3.
        ("<function=Bash>{\"command\":\"ls\"}</function>", "", &[ls]),
        ("<|python_tag|>{\"name\": \"Bash\", \"parameters\": {\"command\": \"ls\"}}", "", &[ls]),
        (
            "{\"name\": \"Bash\", \"parameters\": {\"command\": \"ls\"}}; {\"name\": \"Bash\", \"parameters\": {\"command\": \"ls\"}}",
            "",
            &[ls, ls],
        ),
        ("<|python_tag|>print(1)", "<|python_tag|>print(1)", &[]),
        // GLM.
        (
            "<tool_call>Bash\n<arg_key>command</arg_key>\n<arg_value>ls</arg_value>\n<arg_key>timeout</arg_key>\n<arg_value>5</arg_value>\n</tool_call>",
            "",
            &[r#"Bash{"command":"ls","timeout":5}"#],
        ),
        // Mistral.
        ("[TOOL_CALLS][{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}]", "", &[ls]),
        (
            "[TOOL_CALLS]Bash[ARGS]{\"command\": \"ls\"}[TOOL_CALLS]Read[CALL_ID]x[ARGS]{\"file_path\": \"a\"}",
            "",
            &[ls, r#"Read{"file_path":"a"}"#],
        ),
        // In a fence.
        ("```json\n{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}\n```", "", &[ls]),
        ("\n{\"name\":\"Bash\",\"arguments\":{\"command\":\"ls\"}}", "", &[ls]),
        // What only looks like it.
        ("{\"name\": \"Ada\", \"arguments\": {}}", "{\"name\": \"Ada\", \"arguments\": {}}", &[]),
        ("{\"a\": 1}", "{\"a\": 1}", &[]),
        ("```rust\nfn main() {}\n```", "```rust\nfn main() {}\n```", &[]),
        ("the tag <tool_call> begins one", "the tag <tool_call> begins one", &[]),
        ("a < b, [TOOL], <tool", "a < b, [TOOL], <tool", &[]),
        ("", "", &[]),
        ("  ", "  ", &[]),
    ];
    for (text, plain, calls) in table {
        let (found_plain, found_calls) = found(text);
        assert_eq!(
            (found_plain.as_str(), found_calls.as_slice()),
            (*plain, calls.iter().map(|call| call.to_string()).collect::<Vec<_>>().as_slice()),
            "{text}"
        );
    }
}

#[test]
fn nothing_is_mended_that_was_cut_off() {
    let tools = tools();
    let mut scanner = Scanner::new(&tools);
    scanner.push("<tool_call>{\"name\":\"Bash\",\"arguments\":{\"command\":\"rm -r x\"");
    let found = scanner.finish(false);
    assert!(matches!(found.as_slice(), [Found::Call(ToolCall { arguments: Err(_), .. })]), "{found:?}");
}

#[test]
fn arguments_of_servers() {
    let object = |text: &str| read_arguments(text).map(|map| Value::from(map).to_string());
    assert_eq!(object("{\"a\": 1}"), Ok("{\"a\":1}".into()));
    assert_eq!(object("\"{\\\"a\\\":1}\""), Ok("{\"a\":1}".into()));
    assert_eq!(object(""), Ok("{}".into()));
    assert_eq!(object("null"), Ok("{}".into()));
    for wrong in ["{\"a\": ", "[1]", "7", "{\"a\":1} x", "oops", "\"a\""] {
        assert_eq!(object(wrong).map_err(|_| ()), Err(()), "{wrong}");
    }
}
