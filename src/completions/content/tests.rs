use serde_json::{Value, json};

use super::*;
use crate::completions::dialect::calls_in_thinking;

mod shown;

fn tools() -> Vec<Tool> {
    let tool = |name: &str, schema: Value| Tool { name: name.into(), description: String::new(), schema };
    vec![
        tool("Bash", json!({"properties": {"command": {"type": "string"}, "timeout": {"type": "number"}}})),
        tool("Read", json!({"properties": {"file_path": {"type": "string"}}})),
    ]
}

/// What comes of a text, in pieces of so many characters: the text, the thinking, and the calls as `NAME{…}`, or `NAME!`
/// with bad arguments.
fn read(text: &str, tools: &[Tool], step: usize) -> (String, String, Vec<String>) {
    let mut content = Content::new(tools);
    let mut parts = Vec::new();
    let chars: Vec<char> = text.chars().collect();
    for piece in chars.chunks(step) {
        content.push(&piece.iter().collect::<String>(), &mut parts);
    }
    let (calls, _) = content.finish(true, true, &mut parts).unzip();
    let (mut plain, mut thinking) = (String::new(), String::new());
    for part in parts {
        match part {
            Part::Text(text) => plain += &text,
            Part::Thinking(text) => thinking += &text,
        }
    }
    let shown = |ToolCall { name, arguments }: ToolCall| match arguments {
        Ok(arguments) => format!("{name}{}", Value::from(arguments)),
        Err(_) => format!("{name}!"),
    };
    (plain, thinking, calls.unwrap_or_default().into_iter().map(shown).collect())
}

/// The same however the text is split.
fn found(text: &str, tools: &[Tool]) -> (String, String, Vec<String>) {
    let whole = read(text, tools, usize::MAX);
    for step in [1, 2, 3, 7] {
        assert_eq!(read(text, tools, step), whole, "{text:?} by {step}");
    }
    whole
}

fn check_calls(text: &str, plain: &str, calls: &[&str]) {
    let (found_plain, _, found_calls) = found(text, &tools());
    assert_eq!((found_plain.as_str(), found_calls), (plain, calls.iter().map(|call| call.to_string()).collect()), "{text}");
}

const LS: &str = r#"Bash{"command":"ls"}"#;

#[test]
fn forms_of_calls() {
    let table: &[(&str, &str, &[&str])] = &[
        ("plain text", "plain text", &[]),
        ("I look.\n<tool_call>\n{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}\n</tool_call>", "I look.\n", &[LS]),
        (
            "<tool_call>{\"name\":\"Bash\",\"arguments\":{\"command\":\"ls\"}}</tool_call>\n<tool_call>\n{\"name\":\"Read\",\"arguments\":{\"file_path\":\"a\"}}\n</tool_call>",
            "",
            &[LS, r#"Read{"file_path":"a"}"#],
        ),
        // Without its end, with the last bracket forgotten, with a line break in a string, with what ends a turn.
        ("<tool_call>{\"name\":\"Bash\",\"arguments\":{\"command\":\"ls\"}}", "", &[LS]),
        ("<tool_call>\n{\"name\":\"Bash\",\"arguments\":{\"command\":\"ls\"}\n</tool_call>", "", &[LS]),
        ("<tool_call>{\"name\":\"bash\",\"arguments\":{\"command\":\"a\nb\"}}</tool_call>", "", &[r#"Bash{"command":"a\nb"}"#]),
        ("<tool_call>{\"name\":\"Bash\",\"arguments\":{\"command\":\"ls\"}}</tool_call><|im_end|>\n", "", &[LS]),
        ("<tool_call>{\"name\":\"Bash\",\"arguments\":{\"command\":oops}}</tool_call>", "", &["Bash!"]),
        ("<tool_call>{\"name\":\"Bash\",\"arguments\":\"{\\\"command\\\":\\\"ls\\\"}\"}</tool_call>", "", &[LS]),
        ("<tools>\n{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}\n</tools>", "", &[LS]),
        ("<function_call>{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}</function_call>", "", &[LS]),
        // Qwen 3 Coder.
        (
            "<tool_call>\n<function=Bash>\n<parameter=command>\nls\n</parameter>\n<parameter=timeout>\n5\n</parameter>\n</function>\n</tool_call>",
            "",
            &[r#"Bash{"command":"ls","timeout":5}"#],
        ),
        ("<function=Bash>\n<parameter=command>\na\nb\n</parameter>\n</function>", "", &[r#"Bash{"command":"a\nb"}"#]),
        ("<function=Bash>\n<parameter=command>\nls\n</parameter>", "", &[LS]),
        (
            "<function=Bash>\n<parameter=command>\nls\n<parameter=timeout>\n5\n</function>",
            "",
            &[r#"Bash{"command":"ls","timeout":5}"#],
        ),
        (
            "<function=Bash>\n<parameter=command>\na <parameter=x> </parameter> b\n</parameter>\n</function>",
            "",
            &[r#"Bash{"command":"a <parameter=x> </parameter> b"}"#],
        ),
        // Llama 3.
        ("<function=Bash>{\"command\":\"ls\"}</function>", "", &[LS]),
        ("<|python_tag|>{\"name\": \"Bash\", \"parameters\": {\"command\": \"ls\"}}", "", &[LS]),
        (
            "{\"name\": \"Bash\", \"parameters\": {\"command\": \"ls\"}}; {\"name\": \"Bash\", \"parameters\": {\"command\": \"ls\"}}",
            "",
            &[LS, LS],
        ),
        ("<|python_tag|>print(1)", "<|python_tag|>print(1)", &[]),
        // GLM.
        (
            "<tool_call>Bash\n<arg_key>command</arg_key>\n<arg_value>ls</arg_value>\n<arg_key>timeout</arg_key>\n<arg_value>5</arg_value>\n</tool_call>",
            "",
            &[r#"Bash{"command":"ls","timeout":5}"#],
        ),
        ("<tool_call>Read\n</tool_call>", "", &["Read{}"]),
        // Mistral.
        ("[TOOL_CALLS][{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}]", "", &[LS]),
        (
            "[TOOL_CALLS]Bash[ARGS]{\"command\": \"ls\"}[TOOL_CALLS]Read[CALL_ID]x[ARGS]{\"file_path\": \"a\"}",
            "",
            &[LS, r#"Read{"file_path":"a"}"#],
        ),
        ("\n{\"name\":\"Bash\",\"arguments\":{\"command\":\"ls\"}}", "", &[LS]),
        // gpt-oss.
        ("<|channel|>commentary to=functions.Bash <|constrain|>json<|message|>{\"command\": \"ls\"}<|call|>", "", &[LS]),
    ];
    for (text, plain, calls) in table {
        check_calls(text, plain, calls);
    }
}

#[test]
fn what_only_looks_like_a_call_stays_text() {
    let call = "<tool_call>{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}</tool_call>";
    let texts = [
        // Of a tool that is not offered.
        "<tool_call>{\"name\":\"Nope\",\"arguments\":{}}</tool_call>",
        "{\"name\": \"Ada\", \"arguments\": {}}",
        "{\"a\": 1}",
        // A sign that stands for itself.
        "```rust\nfn main() {}\n```",
        "the tag <tool_call> begins one",
        "Qwen3-Coder opens a call with <function=Bash> and then one tag for each parameter. That is all.",
        "It begins with <function=Bash><parameter=command> and so on.",
        "GLM writes <tool_call>Bash<arg_key>command</arg_key> and more.",
        "<tool_call>{\"name\": \"Bash\" is how it begins.",
        "[TOOL_CALLS] is what Mistral writes.",
        "[TOOL_CALLS] stands before a list with {\"name\": \"Bash\", x} in it.",
        "[TOOL_CALLS]Bash {and so on, which is how it looks.",
        "a < b, [TOOL], <tool",
        "",
        "  ",
        // Shown.
        &format!("The log:\n```\n{call}\n```\nThat is the bug."),
        &format!("The log:\n```\n{call}\n```"),
        &format!("The log:\n```\n{call}\n"),
        &format!("~~~xml\n{call}\n~~~"),
        &format!("````\n```\n````\n```\n{call}"),
        &format!("Write `{call}`"),
        &format!("Write `` {call} ``"),
        &format!("Write `{call}"),
        &format!("> {call}"),
        &format!("He said: \"{call}\""),
        &format!("He said: “{call}"),
        &format!("Like this:\n\n    {call}"),
        "```json\n{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}\n```",
        // Gemma 3's own fence is one only where nothing else is said.
        "The log:\n```tool_code\nBash(command=\"ls\")\n```",
        "The log:\n```tool_call\n{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}\n```",
        // Not the answer's end.
        &format!("{call} is how a call looks."),
        &format!("{call}\nI have not run it."),
        &format!("First {call} and then"),
        "<function=Bash>\n<parameter=command>\nls\n</parameter>\nis how it looks.",
        "[TOOL_CALLS]Bash[ARGS]{\"command\": \"ls\"} and so on",
        "<tool_call>Bash\n<arg_key>command</arg_key>\n<arg_value>ls</arg_value>\nand so on",
    ];
    for text in texts {
        check_calls(text, text, &[]);
    }
}

#[test]
fn calls_with_which_an_answer_ends() {
    let call = "<tool_call>{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}</tool_call>";
    let table = [
        ("See `<tool_call>` in the log.\n".to_string(), 1),
        (format!("The log:\n```\n{call}\n```\nI run it.\n"), 1),
        (format!("Not {call} but "), 1),
        ("It's done. I run \"ls\" now: ".into(), 1),
        (String::new(), 2),
    ];
    check_calls(&format!("{call}, {call}"), "", &[LS, LS]);
    check_calls(&format!("Here is my thought process: hm. Here is my response:\n{call}"), "", &[LS]);
    for (before, count) in table {
        check_calls(&format!("{before}{}", call.repeat(count)), &before, &vec![LS; count]);
    }
    // What a call writes may hold anything.
    let inner = "```\n<tool_call>{}</tool_call>\n";
    let text = format!("<tool_call>{}</tool_call>", json!({"name": "Bash", "arguments": {"command": inner}}));
    check_calls(&text, "", &[&format!("Bash{}", json!({"command": inner}))]);
}

#[test]
fn nothing_is_mended_that_was_cut_off() {
    let tools = tools();
    for text in [
        "<tool_call>{\"name\":\"Bash\",\"arguments\":{\"command\":\"rm -r x\"",
        "<tool_call>\n<function=Bash>\n<parameter=command>\nrm -r x",
        "<function=Bash>{\"command\": \"rm -r x\"",
        "<tool_call>Bash\n<arg_key>command</arg_key>\n<arg_value>rm -r x",
        "[TOOL_CALLS]Bash[ARGS]{\"command\": \"rm -r x",
    ] {
        let mut content = Content::new(&tools);
        content.push(text, &mut vec![]);
        let calls = content.finish(false, true, &mut vec![]).map(|(calls, _)| calls);
        assert!(matches!(calls.as_deref(), Some([ToolCall { arguments: Err(_), .. }])), "{calls:?} of {text}");
    }
    // Without a mark it is no call at all.
    let mut content = Content::new(&tools);
    content.push("{\"name\":\"Bash\",\"arguments\":{\"command\":\"rm\"", &mut vec![]);
    assert_eq!(content.finish(false, true, &mut vec![]), None);
}

#[test]
fn thinking_is_told_from_the_answer() {
    let table = [
        ("plain", "plain", ""),
        (" \n plain ", " \n plain ", ""),
        ("<think>a</think>b", "b", "a"),
        ("\n<think>\na\n</think>\n\nb\n", "b\n", "\na\n"),
        ("<think></think><think>x</think> b", "b", "x"),
        ("<think>never ends", "", "never ends"),
        ("<thin", "<thin", ""),
        ("<thinking>is another tag", "<thinking>is another tag", ""),
        ("say <think>x</think>", "say <think>x</think>", ""),
        ("`<think>` and\n```\n<think>x</think>\n```\n", "`<think>` and\n```\n<think>x</think>\n```\n", ""),
        ("Let me see.\n<think>x</think>\nSo.", "Let me see.\n\nSo.", "x"),
        ("The mark\n<think>\nhas no end", "The mark\n<think>\nhas no end", ""),
        ("[THINK]a[/THINK]b", "b", "a"),
        ("◁think▷a◁/think▷b", "b", "a"),
        ("Here is my thought process:\na\nHere is my response:\nb", "b", "\na\n"),
        ("Here is my thought process: I add.", "Here is my thought process: I add.", ""),
        ("Here is my own", "Here is my own", ""),
        ("<|channel>thought\na<channel|>b", "b", "\na"),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>", "b", "a"),
        // A server has read the first message's header.
        (
            "I look.<|end|><|start|>assistant<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b",
            "I look.b",
            "a",
        ),
        ("`<|start|>assistant` begins it", "`<|start|>assistant` begins it", ""),
        ("Hello.<|im_end|>", "Hello.", ""),
        ("Hello.</s> ", "Hello.", ""),
        ("The token </s> ends it", "The token </s> ends it", ""),
        ("", "", ""),
        ("  ", "  ", ""),
    ];
    for (text, plain, thinking) in table {
        for tools in [tools(), vec![]] {
            let found = found(text, &tools);
            assert_eq!((found.0.as_str(), found.1.as_str()), (plain, thinking), "{text:?}");
        }
    }
}

#[test]
fn thinking_that_was_cut_off_is_no_answer() {
    for (text, expected) in [("Here is my thought process: hm", " hm"), ("<think>hm", "hm")] {
        let mut parts = vec![];
        let mut content = Content::new(&[]);
        content.push(text, &mut parts);
        content.finish(false, true, &mut parts);
        assert_eq!(parts, [Part::Thinking(expected.into())], "{text}");
    }
}

#[test]
fn a_call_in_thinking_is_found_at_its_end() {
    let function = "<tool_call>\n<function=Bash>\n<parameter=command>\nls\n</parameter>\n</function>\n</tool_call>";
    let calls = |text: &str| calls_in_thinking(text, &tools()).len();
    assert_eq!(calls(&format!("I should run it.\n{function}")), 1);
    assert_eq!(calls(&format!("Not this:\n{function}\nI wait.")), 0);
    assert_eq!(calls(&format!("```\n{function}\n```")), 0);
    assert_eq!(calls(&format!("The README says: {function}")), 0);
}
