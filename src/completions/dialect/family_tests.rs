//! Each family's forms, what is left of them when something is cut off, and what only looks like them.

use serde_json::{Value, json};

use super::marks::opener_of;
use crate::completions::tool::{Tool, ToolCall};

pub(super) fn tools() -> Vec<Tool> {
    let tool = |name: &str, schema: Value| Tool { name: name.into(), description: String::new(), schema };
    vec![
        tool("Bash", json!({"properties": {"command": {"type": "string"}, "timeout": {"type": "number"}}})),
        tool("Read", json!({"properties": {"file_path": {"type": "string"}, "lines": {"type": "array"}}})),
    ]
}

/// The text of an answer, and its calls as `NAME{…}`, or `NAME!RAW` with bad arguments.
pub(super) fn found(answer: &str, is_whole: bool) -> (String, Vec<String>) {
    let (mut text, mut calls, mut rest) = (String::new(), Vec::new(), answer);
    let tools = tools();
    while let Some(c) = rest.chars().next() {
        if let Some(opener) = opener_of(rest) {
            let after = &rest[opener.len()..];
            if let Some((read, left)) = super::read(opener, after, &tools, is_whole) {
                assert!(!read.is_empty() && after.ends_with(left), "{answer:?}");
                calls.extend(read.into_iter().map(shown));
                rest = left;
                continue;
            }
        }
        text.push(c);
        rest = &rest[c.len_utf8()..];
    }
    (text, calls)
}

fn shown(call: ToolCall) -> String {
    match call {
        ToolCall { name, arguments: Ok(arguments) } => format!("{name}{}", Value::from(arguments)),
        ToolCall { name, arguments: Err(raw) } => format!("{name}!{raw}"),
    }
}

const LS: &str = r#"Bash{"command":"ls"}"#;
const LS_5: &str = r#"Bash{"command":"ls","timeout":5}"#;
const A: &str = r#"Read{"file_path":"a"}"#;

/// Answers, the text that is left of them, and their calls.
type Table<'t> = &'t [(&'t str, &'t str, &'t [&'t str])];

fn check(table: Table) {
    for (answer, text, calls) in table {
        let expected = (text.to_string(), calls.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(found(answer, true), expected, "{answer}");
        // Nothing is called of which a part is missing, and the whole of what is there.
        for end in (0..answer.len()).filter(|at| answer.is_char_boundary(*at)) {
            let (_, begun) = found(&answer[..end], false);
            for (call, whole) in begun.iter().zip(*calls) {
                assert!(call == whole || call.contains('!'), "{:?} has {call}, not {whole}", &answer[..end]);
            }
            let whole = begun.iter().filter(|call| !call.contains('!')).count();
            assert!(whole <= calls.len(), "{:?} has {begun:?}", &answer[..end]);
        }
    }
}

#[test]
fn gemma_4() {
    check(&[
        ("<|tool_call>call:Bash{command:<|\"|>ls<|\"|>}<tool_call|>", "", &[LS]),
        ("I look.<|tool_call>call:Bash{command:<|\"|>ls<|\"|>,timeout:5}<tool_call|><tool_call|>", "I look.", &[LS_5]),
        (
            "<|tool_call>call:Bash{command:<|\"|>ls<|\"|>}<tool_call|><|tool_call>call:Read{file_path:<|\"|>a<|\"|>}<tool_call|><|tool_response>",
            "",
            &[LS, A],
        ),
        (
            "<|tool_call>call:Bash{command:<|\"|>echo \"{a, b}\" \\\"c\\\"\n[x]<|\"|>}<tool_call|>",
            "",
            &[r#"Bash{"command":"echo \"{a, b}\" \\\"c\\\"\n[x]"}"#],
        ),
        ("<|tool_call>call:Bash{\"command\": \"l\\\"s\"}<tool_call|>", "", &[r#"Bash{"command":"l\"s"}"#]),
        ("<|tool_call>call:Bash{ command : 'ls' , timeout:5 }<tool_call|>", "", &[LS_5]),
        ("<|tool_call>call:Bash{command:ls}<tool_call|>", "", &[LS]),
        (
            "<|tool_call>call:Read{file_path:<|\"|>a<|\"|>,lines:[1,{from:2,to:null},[true]]}<tool_call|>",
            "",
            &[r#"Read{"file_path":"a","lines":[1,{"from":2,"to":null},[true]]}"#],
        ),
        ("<|tool_call>call:Bash{}<tool_call|>", "", &["Bash{}"]),
        ("<|tool_call>call:Bash{command:<|\"|>ls<|\"|><tool_call|>", "", &[LS]),
        ("<|tool_call>call:Bash{command:<|\"|>ls}<tool_call|>", "", &["Bash!{command:<|\"|>ls}"]),
        ("<|tool_call> begins a call", "<|tool_call> begins a call", &[]),
        ("<|tool_call>call:one of them {x}", "<|tool_call>call:one of them {x}", &[]),
        ("<start_function_call>call:Bash{command:<escape>ls<escape>,timeout:5}<end_function_call>", "", &[LS_5]),
        (
            "<start_function_call>call:Bash{command:<escape>ls<escape>}<end_function_call><start_function_call>call:Read{file_path:<escape>a<escape>}<end_function_call>",
            "",
            &[LS, A],
        ),
    ]);
}

#[test]
fn gemma_3() {
    check(&[
        ("```tool_code\nBash(command=\"ls\")\n```", "", &[LS]),
        ("```tool_code\nprint(default_api.Bash(command='ls', timeout=5))\n```", "", &[LS_5]),
        ("I look.\n```tool_code\n[Bash(command=\"ls\"), Read(file_path=\"a\")]\n```\n", "I look.\n\n", &[LS, A]),
        ("```tool_code\nprint(Bash(command=\"ls\"))\nprint(Read(\"a\"))  # second\n```", "", &[LS, A]),
        ("```tool_call\n{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}\n```", "", &[LS]),
        ("```tool_code\nBash(command=\"\"\"echo '```'\nls\"\"\")\n```", "", &[r#"Bash{"command":"echo '```'\nls"}"#]),
        ("```tool_code\nBash(command=f\"{x}\")\n```", "", &["Bash!command=f\"{x}\")"]),
        ("```tool_code\nimport os\nos.listdir()\n```", "```tool_code\nimport os\nos.listdir()\n```", &[]),
        ("```tool_code\nprint(1)\n```", "```tool_code\nprint(1)\n```", &[]),
        ("```tool_codes\nBash(command=\"ls\")\n```", "```tool_codes\nBash(command=\"ls\")\n```", &[]),
    ]);
}

#[test]
fn lfm2_and_llama_4() {
    check(&[
        ("<|tool_call_start|>[Bash(command=\"ls\")]<|tool_call_end|>", "", &[LS]),
        ("<|tool_call_start|>[Bash(command='ls', timeout=5), Read(file_path='a')]<|tool_call_end|>done", "done", &[LS_5, A]),
        ("<|tool_call_start|>[{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}]<|tool_call_end|>", "", &[LS]),
        ("<|python_start|>[Bash(command=\"ls\")]<|python_end|>", "", &[LS]),
        ("<|tool_call_start|>[Nope(a=1)]<|tool_call_end|>", "<|tool_call_start|>[Nope(a=1)]<|tool_call_end|>", &[]),
    ]);
}

#[test]
fn deepseek() {
    check(&[
        (
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>Bash\n```json\n{\"command\": \"ls\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
            "",
            &[LS],
        ),
        (
            "I look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>Bash\n```json\n{\"command\": \"ls\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>Read\n```json\n{\"file_path\": \"a\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
            "I look.",
            &[LS, A],
        ),
        ("<｜tool▁calls▁begin｜>function<｜tool▁sep｜>Bash\n```json\n{\"command\": \"ls\"}\n```", "", &[LS]),
        (
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>Bash<｜tool▁sep｜>{\"command\": \"ls\"}<｜tool▁call▁end｜><｜tool▁call▁begin｜>Read<｜tool▁sep｜>{\"file_path\": \"a\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
            "",
            &[LS, A],
        ),
        ("<｜tool▁call▁begin｜>Bash<｜tool▁sep｜>{\"command\": \"ls\"}<｜tool▁call▁end｜>", "", &[LS]),
        (
            "<|tool▁calls▁begin|><|tool▁call▁begin|>Bash<|tool▁sep|>{\"command\": \"ls\"}<|tool▁call▁end|><|tool▁calls▁end|>",
            "",
            &[LS],
        ),
        (
            "<｜tool calls begin｜><｜tool call begin｜>Bash<｜tool sep｜>{\"command\": \"ls\"}<｜tool call end｜><｜tool calls end｜>",
            "",
            &[LS],
        ),
        (
            "<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜>Bash\n{\"command\": \"ls\"}<｜tool_call_end｜>",
            "",
            &[LS],
        ),
        ("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>Bash<｜tool▁sep｜>{oops}<｜tool▁call▁end｜>", "", &["Bash!{oops}"]),
        ("<｜tool▁calls▁begin｜> is a mark", "<｜tool▁calls▁begin｜> is a mark", &[]),
    ]);
}

#[test]
fn deepseek_from_3_2_on_and_minimax() {
    check(&[
        (
            "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"Bash\">\n<｜DSML｜parameter name=\"command\" string=\"true\">ls</｜DSML｜parameter>\n<｜DSML｜parameter name=\"timeout\" string=\"false\">5</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
            "",
            &[LS_5],
        ),
        (
            "<｜DSML｜tool_calls><｜DSML｜invoke name=\"Bash\">{\"command\": \"ls\"}</｜DSML｜invoke><｜DSML｜invoke name=\"Read\"><｜DSML｜parameter name=\"file_path\" string=\"true\">a</｜DSML｜parameter></｜DSML｜invoke></｜DSML｜tool_calls>",
            "",
            &[LS, A],
        ),
        // The ends without their slash.
        (
            "<｜DSML｜function_calls><｜DSML｜invoke name=\"Bash\"><｜DSML｜parameter name=\"command\" string=\"true\">ls<｜DSML｜parameter><｜DSML｜invoke><｜DSML｜function_calls>",
            "",
            &[LS],
        ),
        (
            "I look.<minimax:tool_call>\n<invoke name=\"Bash\">\n<parameter name=\"command\">ls</parameter>\n<parameter name=\"timeout\">5</parameter>\n</invoke>\n<invoke name=\"Read\">\n<parameter name=\"file_path\">a</parameter>\n</invoke>\n</minimax:tool_call>",
            "I look.",
            &[LS_5, A],
        ),
        ("<function_calls><invoke name='Bash'><parameter name=command>ls</parameter></invoke></function_calls>", "", &[LS]),
        ("<invoke name=\"Bash\">\n<parameter name=\"command\">ls</parameter>\n</invoke>", "", &[LS]),
        ("<minimax:tool_call><invoke name=\"Bash\"></invoke></minimax:tool_call>", "", &["Bash{}"]),
        // A value that speaks of the format.
        (
            "<invoke name=\"Bash\"><parameter name=\"command\">echo '</parameter> or >'</parameter></invoke>",
            "",
            &[r#"Bash{"command":"echo '</parameter> or >'"}"#],
        ),
        ("<function_calls> are XML", "<function_calls> are XML", &[]),
        ("<invoke name=\"Bash\"> calls it", "<invoke name=\"Bash\"> calls it", &[]),
        ("<invoke name=\"Bash\">ls</invoke>", "", &["Bash!ls"]),
        (
            "<tool_calls>\n{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}\n{\"name\": \"Read\", \"arguments\": {\"file_path\": \"a\"}}\n</tool_calls>",
            "",
            &[LS, A],
        ),
    ]);
    // Without its last ends it is only whole if nothing was cut off.
    let open = "<minimax:tool_call><invoke name=\"Bash\"><parameter name=\"command\">rm -r a";
    assert_eq!(found(open, true).1, [r#"Bash{"command":"rm -r a"}"#]);
    assert_eq!(found(open, false).1, ["Bash!<parameter name=\"command\">rm -r a"]);
}

#[test]
fn kimi() {
    check(&[
        (
            "<|tool_calls_section_begin|><|tool_call_begin|>functions.Bash:0<|tool_call_argument_begin|>{\"command\": \"ls\"}<|tool_call_end|><|tool_call_begin|>functions.Read:1<|tool_call_argument_begin|>{\"file_path\": \"a\"}<|tool_call_end|><|tool_calls_section_end|>",
            "",
            &[LS, A],
        ),
        ("Hm. <|tool_call_begin|>Bash<|tool_call_argument_begin|> {\"command\": \"ls\"} <|tool_call_end|>", "Hm. ", &[LS]),
        (
            "<|tool_call_section_begin|>\n<|tool_call_begin|>bash:12{\"command\": \"ls\"}<|tool_call_end|>\n<|tool_call_section_end|>",
            "",
            &[LS],
        ),
        ("<|tool_call_begin|>functions.Bash:0<|tool_call_argument_begin|>{oops<|tool_call_end|>", "", &["Bash!{oops"]),
        ("<|tool_call_begin|> is a mark", "<|tool_call_begin|> is a mark", &[]),
    ]);
}

#[test]
fn json_between_marks() {
    check(&[
        (
            "<|tool_call|>[{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}, {\"name\": \"Read\", \"arguments\": {\"file_path\": \"a\"}}]",
            "",
            &[LS, A],
        ),
        ("<|tool_call|><tool_call>[{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}]", "", &[LS]),
        ("<|tool_call|>{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}<|/tool_call|>ok", "ok", &[LS]),
        ("<TOOLCALL>[{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}]</TOOLCALL>", "", &[LS]),
        (
            "<TOOLCALL>[{\"name\": \"Bash\", \"arguments\": {\"command\": oops}}]</TOOLCALL>.",
            ".",
            &["Bash![{\"name\": \"Bash\", \"arguments\": {\"command\": oops}}]"],
        ),
        (
            "<|START_ACTION|>[\n{\"tool_call_id\": \"0\", \"tool_name\": \"Bash\", \"parameters\": {\"command\": \"ls\"}}\n]<|END_ACTION|>",
            "",
            &[LS],
        ),
        ("<seed:tool_call>\n<function=Bash>\n<parameter=command>\nls\n</parameter>\n</function>\n</seed:tool_call>", "", &[LS]),
        ("a <TOOLCALL> of", "a <TOOLCALL> of", &[]),
        ("<|START_ACTION|>[]<|END_ACTION|>", "<|START_ACTION|>[]<|END_ACTION|>", &[]),
    ]);
}

#[test]
fn nothing_but_calls() {
    let calls =
        |answer: &str| super::bare_calls(answer, &tools(), true).map(|calls| calls.into_iter().map(shown).collect::<Vec<_>>());
    let begins = |answer: &str| super::begins_bare(answer, &tools());
    for (answer, expected) in [
        ("[Bash(command=\"ls\")]", vec![LS]),
        ("[Bash(command='ls', timeout=5), Read(file_path=\"a\")]\n", vec![LS_5, A]),
        ("functools[{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}]", vec![LS]),
    ] {
        assert_eq!(begins(answer), Some(true), "{answer}");
        assert_eq!(calls(answer), Some(expected.iter().map(ToString::to_string).collect()), "{answer}");
    }
    for text in
        ["[Nope(a=1)]", "[Bash(command=\"ls\")] calls it", "Bash(command=\"ls\")", "[Bash(command=\"ls\")", "[Bash(command=ls)]"]
    {
        assert_eq!(calls(text), None, "{text}");
    }
    for open in ["[", "[Ba", "[ ", "func"] {
        assert_eq!(begins(open), None, "{open}");
    }
    for text in ["[1] is", "[Bash] is", "[a b](", "functional", "func(a)", "func "] {
        assert_eq!(begins(text), Some(false), "{text}");
    }
}
