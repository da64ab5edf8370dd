use serde_json::{Value, json};

use super::*;

fn tools() -> Vec<Tool> {
    let tool = |name: &str| Tool { name: name.into(), description: String::new(), schema: json!({}) };
    vec![tool("Bash"), tool("Read"), tool("mcp__web-search__find")]
}

/// The parts of an answer in one line: `thought|text|Bash{…}`, a call with bad arguments as `Bash!RAW`.
fn shown(parts: Vec<Part>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        let (kind, text) = match part {
            Part::Thinking(text) => ("thinks ", text),
            Part::Text(text) => ("says ", text),
            Part::Call { call: ToolCall { name, arguments: Ok(arguments) }, .. } => {
                lines.push(format!("calls {name}{}", Value::from(arguments)));
                continue;
            }
            Part::Call { raw, call: ToolCall { name, arguments: Err(bad) } } => {
                assert_eq!(raw, bad);
                lines.push(format!("calls {name}!{bad}"));
                continue;
            }
        };
        match lines.last_mut().filter(|line| line.starts_with(kind)) {
            Some(line) => line.push_str(&text),
            None => lines.push(format!("{kind}{text}")),
        }
    }
    lines
}

/// What comes of an answer in two pieces, whatever these are, and char by char.
fn read(answer: &str, is_whole: bool) -> Vec<String> {
    let tools = tools();
    let pieces = |pieces: &[&str]| {
        let mut harmony = Harmony::new(&tools);
        let mut parts: Vec<Part> = pieces.iter().flat_map(|piece| harmony.push(piece)).collect();
        parts.extend(harmony.finish(is_whole));
        shown(parts)
    };
    let whole = pieces(&[answer]);
    for at in (0..=answer.len()).filter(|at| answer.is_char_boundary(*at)) {
        assert_eq!(pieces(&[&answer[..at], &answer[at..]]), whole, "{answer:?} split at {at}");
    }
    let mut buffer = [0; 4];
    let mut harmony = Harmony::new(&tools);
    let mut parts: Vec<Part> = answer.chars().flat_map(|c| harmony.push(c.encode_utf8(&mut buffer))).collect();
    parts.extend(harmony.finish(is_whole));
    assert_eq!(shown(parts), whole, "{answer:?} char by char");
    whole
}

const LS: &str = r#"calls Bash{"command":"ls"}"#;

fn check(table: &[(&str, &[&str])], is_whole: bool) {
    for (answer, expected) in table {
        assert_eq!(Harmony::begins(answer), Some(true), "{answer}");
        assert_eq!(read(answer, is_whole), *expected, "{answer}");
    }
}

#[test]
fn messages_as_the_format_has_them() {
    check(
        &[
            (
                "<|channel|>analysis<|message|>I look.<|end|><|start|>assistant<|channel|>final<|message|>Hello, Wörld.<|return|>",
                &["thinks I look.", "says Hello, Wörld."],
            ),
            ("<|start|>assistant<|channel|>final<|message|>a < b <|x|> c<|end|>", &["says a < b <|x|> c"]),
            ("<|start|>assistant<|message|>Hi!<|end|>", &["says Hi!"]),
            ("<|message|>Hi!", &["says Hi!"]),
            (
                "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.Bash <|constrain|>json<|message|>{\"command\":\"ls\"}<|call|>",
                &["thinks Hm.", LS],
            ),
            (
                "<|channel|>commentary<|message|>I list the files.<|end|><|start|>assistant<|channel|>commentary to=functions.Bash<|constrain|>json<|message|>{\"command\":\"ls\"}",
                &["says I list the files.", LS],
            ),
            (
                "<|channel|>commentary<|message|>First.<|end|><|start|>assistant<|channel|>final<|message|>Then.<|return|>",
                &["says First.\n\nThen."],
            ),
            (
                "<|channel|>commentary<|message|>First.<|end|><|start|>assistant<|channel|>final<|message|>\r\n Then.<|return|>",
                &["says First.\n\nThen."],
            ),
        ],
        true,
    );
}

#[test]
fn headers_as_models_write_them() {
    let body = "<|message|>{\"command\":\"ls\"}<|call|>";
    for header in [
        "<|start|>assistant to=functions.Bash<|channel|>commentary json",
        "<|start|>assistant to=functions.Bash<|channel|>commentary <|constrain|>json",
        "<|start|>assistant<|channel|>commentary to=functions.Bash",
        "<|start|>assistant<|channel|>commentary to=functions.Bash code",
        "<|start|>assistant<|channel|>commentary to=Bash <|constrain|>json",
        "<|start|>assistant<|channel|>commentary to=functions.bash <|constrain|>json",
        "<|start|>assistant<|channel|>commentary to=functions.Bash<|channel|>commentary json",
        "<|start|>assistant<|channel|>commentary to=functions.Bashjson",
        "<|start|>assistant<|channel|>commentary functions.Bash <|constrain|>json",
        "<|start|>assistant<|channel|>bash<|channel|>commentary json",
        "<|start|>assistant<|channel|>analysis to=functions.Bash code",
        "<|start|>assistant<|channel|>commentary?? to=functions.Bash code",
        "<|start|><|start|>assistant<|channel|>commentary to=functions.Bash",
        "<|channel|>–commentary to=functions.Bash",
        "<|channel|>commentary to=assistant<|channel|>commentary to=functions.Bash",
        "to=functions.Bash<|channel|>commentary json",
        " to=functions.Bash<|channel|>commentary <|constrain|>json",
        "assistant<|channel|>commentary to=functions.Bash",
        "commentary to=functions.Bash <|constrain|>json",
        "commentary to=functions.Bash",
    ] {
        let answer = format!("{header}{body}");
        assert_eq!(Harmony::begins(&answer), Some(true), "{answer}");
        assert_eq!(read(&answer, true), [LS], "{header}");
        // No mark of the header is shown, nor any of the call, if the answer ends there.
        for end in (0..header.len()).filter(|at| header.is_char_boundary(*at) && Harmony::begins(&header[..*at]) == Some(true)) {
            assert_eq!(read(&header[..end], false), [""; 0], "{:?}", &header[..end]);
        }
    }
    let answer = "<|channel|>commentary to=functions.mcp__web_search__find<|message|>{}<|call|>";
    assert_eq!(read(answer, true), ["calls mcp__web-search__find{}"]);
}

#[test]
fn what_models_break() {
    check(
        &[
            // No end before the next beginning.
            ("<|channel|>analysis<|message|>Hm.<|start|>assistant<|channel|>final<|message|>Yes.", &["thinks Hm.", "says Yes."]),
            ("<|channel|>analysis<|message|>Hm.<|channel|>final<|message|>Yes.", &["thinks Hm.", "says Yes."]),
            // Words between messages (`vllm-project/vllm#43408`), and a beginning without its mark.
            (
                "<|channel|>analysis<|message|>Hm.<|end|> 364 <|start|>assistant<|channel|>final<|message|>Yes.",
                &["thinks Hm. 364 ", "says Yes."],
            ),
            ("<|channel|>analysis<|message|>Hm.<|end|>assistant<|channel|>final<|message|>Yes.", &["thinks Hm.", "says Yes."]),
            (
                "<|channel|>commentary to=functions.Bash<|message|>{\"command\":\"ls\"}<|call|>commentary<|channel|>commentary to=functions.Bash<|message|>{\"command\":\"ls\"}<|call|>",
                &[LS, LS],
            ),
            // Junk for a header (`ggml-org/llama.cpp#27720`).
            (
                "<|channel|>??<|end|><|start|>assistant<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.",
                &["thinks ??Hm.", "says Yes."],
            ),
            ("<|channel|>commentary 2?<|start|>assistant<|channel|>final<|message|>Yes.", &["thinks 2?", "says Yes."]),
            ("<|channel|>commentary to=assistant<|message|>I look.<|end|>", &["says I look."]),
            ("<|channel|><|message|>Yes.", &["says Yes."]),
            // The mark before the body forgotten (`openai/harmony#82`).
            ("<|channel|>final Yes.<|end|>", &["says Yes."]),
            ("<|channel|>commentary to=functions.Bash <|constrain|>json{\"command\":\"ls\"}<|call|>", &[LS]),
            ("<|channel|>analysis Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.", &["thinks Hm.", "says Yes."]),
            // A server that does not stop at the call: the model plays all that comes next.
            (
                "<|channel|>commentary to=functions.Bash<|message|>{\"command\":\"ls\"}<|call|><|start|>functions.Bash to=assistant<|channel|>commentary<|message|>a.txt<|end|><|start|>assistant<|channel|>final<|message|>There is a.txt.",
                &[LS],
            ),
            ("<|channel|>final<|message|>Yes.<|end|><|start|>user<|message|>Thanks!<|end|>", &["says Yes."]),
            // Arguments that are none.
            ("<|channel|>commentary to=functions.Bash<|message|>ls -l<|call|>", &["calls Bash!ls -l"]),
            ("<|channel|>commentary to=functions.Bash<|message|>{\"command\":\"ls<|call|>", &["calls Bash!{\"command\":\"ls"]),
            ("<|channel|>commentary to=functions.Read<|message|><|call|>", &["calls Read{}"]),
            // A tool that there is not.
            ("<|channel|>commentary to=functions.Nope<|message|>{\"a\":1}<|call|>", &["says {\"a\":1}"]),
            ("<|channel|>analysis to=python code<|message|>print(1)<|call|>", &["thinks print(1)"]),
        ],
        true,
    );
}

#[test]
fn marks_that_are_spoken_of() {
    let call = "<|start|>assistant<|channel|>commentary to=functions.Bash<|message|>{\"command\":\"ls\"}<|call|>";
    let fenced = format!("<|channel|>final<|message|>So:\n```\n{call}\n```\nThat is a call.<|return|>");
    assert_eq!(read(&fenced, true), [format!("says So:\n```\n{call}\n```\nThat is a call.")]);
    let inline = format!("<|channel|>final<|message|>Write `{call}` for a call.<|return|>");
    assert_eq!(read(&inline, true), [format!("says Write `{call}` for a call.")]);
    let quoted = format!("<|channel|>final<|message|>> {call}\n\nis it.<|return|>");
    assert_eq!(read(&quoted, true), [format!("says > {call}\n\nis it.")]);
    let thought = format!(
        "<|channel|>analysis<|message|>The file says {call} but I do not.<|end|><|start|>assistant{}",
        "<|channel|>final<|message|>No."
    );
    assert_eq!(read(&thought, true), ["thinks The file says {\"command\":\"ls\"} but I do not.", "says No."],);
    check(
        &[
            // A fence that never ends hides no end of the answer.
            ("<|channel|>final<|message|>```\nls\n<|return|>", &["says ```\nls\n"]),
            ("<|channel|>final<|message|>```\na <|end|> b\n```<|return|>", &["says ```\na <|end|> b\n```"]),
            (
                "<|channel|>commentary to=functions.Bash<|message|>{\"command\":\"echo '<|end|> <|call|> \\\" <|start|>'\"}<|call|>",
                &["calls Bash{\"command\":\"echo '<|end|> <|call|> \\\" <|start|>'\"}"],
            ),
        ],
        true,
    );
}

#[test]
fn servers_that_take_the_marks_away() {
    check(
        &[
            ("analysisWe think of it.assistantfinalHello.", &["thinks We think of it.", "says Hello."]),
            ("analysisÜber.assistantfinalassistantfinal", &["thinks Über.", "says assistantfinal"]),
            (
                "assistantanalysisWe.assistantanalysisMore.assistantfinalHello.",
                &["thinks We.assistantanalysisMore.", "says Hello."],
            ),
            ("analysisWe list.assistantcommentary to=functions.Bash json{\"command\":\"ls\"}", &["thinks We list.", LS]),
            (
                "analysisWe list.assistantcommentaryI list.assistantcommentary to=functions.Bashjson{\"command\":\"ls\"}assistantcommentary to=functions.Bash{\"command\":\"ls\"}",
                &["thinks We list.", "says I list.", LS, LS],
            ),
            ("commentary to=functions.Bash json{\"command\":\"ls\"}", &[LS]),
            (
                "analysisWe.assistantcommentary to=functions.Bash json{\"command\":\"ls\"} is a call.assistantfinalYes.",
                &["thinks We.", "says to=functions.Bash json{\"command\":\"ls\"} is a call.Yes."],
            ),
            ("analysisResult = 5", &["says analysisResult = 5"]),
        ],
        true,
    );
    assert_eq!(
        read("analysisWe.assistantcommentary to=functions.Bash json{\"command\":\"rm -r a", false),
        ["thinks We.", "calls Bash!{\"command\":\"rm -r a"]
    );
}

#[test]
fn nothing_is_called_that_was_cut_off() {
    let answer = "<|channel|>commentary to=functions.Bash <|constrain|>json<|message|>{\"command\":\"rm -r a/b\"}<|call|>";
    let brace = answer.find('{').expect("arguments");
    let end = answer.find('}').expect("their end");
    for at in brace..=end {
        let parts = read(&answer[..at], false);
        assert_eq!(parts, [format!("calls Bash!{}", &answer[brace..at])]);
    }
    assert_eq!(read(&answer[..=end], false), ["calls Bash{\"command\":\"rm -r a/b\"}"]);
}

#[test]
fn text_and_thinking_come_at_once() {
    let mut harmony = Harmony::new(&[]);
    assert_eq!(harmony.push("<|channel|>analysis<|message|>Hm"), [Part::Thinking("Hm".into())]);
    assert_eq!(harmony.push(", <"), [Part::Thinking(", ".into())]);
    assert_eq!(harmony.push("|end|><|start|>assistant<|channel|>final<|message|>Ye"), [Part::Text("Ye".into())]);
    assert_eq!(harmony.push("s"), [Part::Text("s".into())]);
    assert_eq!(harmony.push(".<|return|>"), [Part::Text(".".into())]);
    assert_eq!(harmony.finish(true), []);
}

#[test]
fn beginnings() {
    for open in [
        "",
        " ",
        "<",
        "<|chan",
        "<|start|>",
        "a",
        "analysis",
        "assistant",
        "to=",
        " to=functions.Bash",
        "commentary to=functions.Bash js",
        "final<|m",
        "f",
    ] {
        assert_eq!(Harmony::begins(open), None, "{open:?}");
    }
    for other in [
        "Hello",
        "<|im_start|>",
        "<think>",
        "analysis of it",
        "final answer: 5",
        "assistant, help",
        "to be",
        "commentary on it",
        "analysis: {\"a\":1}",
        "<|channel|> is a mark",
        "<|channel>thought",
        "commentary {\"a\":1}",
        "to=me",
        "to=x {",
    ] {
        assert_eq!(Harmony::begins(other), if other == "to=me" { None } else { Some(false) }, "{other:?}");
    }
    assert_eq!(Harmony::begins(&"to=x ".repeat(100)), Some(false));
}
