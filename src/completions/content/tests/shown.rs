use super::{LS, check_calls, found, tools};

#[test]
fn calls_in_listings_are_shown() {
    let call = r#"<tool_call>{"name":"Bash","arguments":{"command":"ls"}}</tool_call>"#;
    for before in
        ["The diff:\n+", "-", "The log:\n2026-11-26T10:00:00Z ", "[10:00:01] model: ", "README.md:12:", "   12→", "| a | ", "\\"]
    {
        let text = format!("{before}{call}");
        check_calls(&text, &text, &[]);
    }
    for before in ["- ", "2. ", "3 files: ", "I look: ", "Es heißt „x“ hier. "] {
        check_calls(&format!("{before}{call}"), before, &[LS]);
    }
}

#[test]
fn marks_around_an_answer_are_dropped() {
    for begun in [
        "</think>\n",
        "[/THINK]",
        "<thought>hm</thought>\n\n",
        "Here are my reasoning steps:\nhm\n[BEGIN FINAL RESPONSE]\n",
        "<|im_start|>assistant\n",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "<｜Assistant｜><think>hm</think>",
        "<bos><start_of_turn>model\n",
    ] {
        for end in ["", "<|eot|>", "<|user|>", "[e~[", "<eos>", "\n[END FINAL RESPONSE]"] {
            let (plain, _, calls) = found(&format!("{begun}Hello.{end}"), &tools());
            assert_eq!((plain.trim_end(), calls.len()), ("Hello.", 0), "{begun:?} {end:?}");
        }
    }
    for shown in ["The mark `</think>`", "<|im_start|>user", "</thin", "[e~", "a </think> b"] {
        assert_eq!(found(shown, &tools()).0, shown);
    }
}
