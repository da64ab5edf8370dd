//! Models whose server knows no calls write them as text, each family in its own way.

use serde_json::Value;

use super::{DONE, FREE, Home, SAID, done, stderr};
use crate::auto::TODAY;
use crate::support::script::{Manner, results, says};

/// Who writes so, what is written, what of it people see.
const FORMS: [(&str, &str, &str); 7] = [
    (
        "Hermes, Qwen 2.5",
        "I look.\n<tool_call>\n{\"name\": \"Bash\", \"arguments\": {\"command\": \"echo one\"}}\n</tool_call>",
        "I look.",
    ),
    (
        "two at once",
        "<tool_call>\n{\"name\": \"Bash\", \"arguments\": {\"command\": \"echo two\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"Bash\", \
         \"arguments\": {\"command\": \"echo and three\"}}\n</tool_call>",
        "",
    ),
    (
        "Qwen 3 Coder",
        "Next.\n<tool_call>\n<function=Bash>\n<parameter=command>\necho 'four\n{five}'\n</parameter>\n</function>\n</tool_call>",
        "Next.",
    ),
    ("Mistral", "[TOOL_CALLS] [{\"name\": \"Bash\", \"arguments\": {\"command\": \"echo six\"}}]", ""),
    ("Mistral Small", "[TOOL_CALLS]Bash[ARGS]{\"command\": \"echo seven\"}", ""),
    ("Llama 3", "<|python_tag|>{\"name\": \"Bash\", \"parameters\": {\"command\": \"echo eight\"}}", ""),
    ("Llama 3 without its tag", "{\"name\": \"Bash\", \"parameters\": {\"command\": \"echo nine\"}}", ""),
];

const RESULTS: [&[&str]; 7] = [&["one"], &["two", "and three"], &["four\n{five}"], &["six"], &["seven"], &["eight"], &["nine"]];

#[test]
fn calls_written_as_text() {
    let mut home = Home::new(TODAY);
    let replies = FORMS.iter().map(|(_, text, _)| says(*text));
    let model = home.plays(Manner::Pieces, replies.chain([done()]));
    let output = home.ask("do it", &[FREE, "--output-format", "stream-json", "--verbose"]).run();
    assert_eq!((output.code(), stderr(&output)), (0, SAID.into()));
    let questions = model.questions();
    assert_eq!(questions.len(), FORMS.len() + 1, "{}", output.out());
    for ((who, ..), (question, expected)) in FORMS.iter().zip(questions[1..].iter().zip(RESULTS)) {
        let mut seen = results(question);
        seen.sort_by_key(String::len);
        assert_eq!(seen, expected, "{who}");
    }
    let lines = output.out();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let messages = lines.filter(|line| line["type"] == "assistant").map(|line| line["message"]["content"].clone());
    let blocks = messages.flat_map(|content| content.as_array().expect("blocks").clone());
    let seen: Vec<String> = blocks.filter_map(|block| Some(block["text"].as_str()?.trim().to_string())).collect();
    let expected = FORMS.iter().map(|(_, _, seen)| (*seen).to_string()).filter(|seen| !seen.is_empty());
    assert_eq!(seen, expected.chain([DONE.to_string()]).collect::<Vec<_>>());
}
