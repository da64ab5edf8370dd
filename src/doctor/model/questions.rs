//! What a local model is asked.

use serde_json::{Map, Value, json};

use crate::completions::tool::Tool;
use crate::completions::untaken::Untaken;
use crate::doctor::model::trial::Question;

/// Nothing is as short.
pub(super) fn greeting() -> Question {
    Question::of_user("Say hello in one short sentence.", 24)
}

/// An answer of some length, by which its speed is measured.
pub(super) fn long_answer() -> Question {
    Question::of_user("Count from 1 to 40 in words, separated by commas. Write nothing else.", 64)
}

/// A sum that thinking models think about.
pub(super) fn sum() -> Question {
    Question::of_user("What is 17 + 25? Answer with the number alone.", 400)
}

/// The word that stands at the front of a long prompt.
pub(super) const FACT: &str = "heron";

/// A prompt of about so many tokens, by the estimate, which is on the long side. The nonce keeps it out of the server's cache, and a fact stands at the
/// front.
pub(super) fn long_prompt(tokens: usize, nonce: &str, max_tokens: u32) -> Question {
    let mut text = format!("Notes {nonce}. The secret word is \"{FACT}\". Remember it.\n\n");
    text.push_str(&filler(tokens));
    let question = "That was the end of the notes. Which secret word stood at their beginning? Answer with that word alone.";
    let messages = vec![json!({"role": "system", "content": text}), json!({"role": "user", "content": question})];
    Question { messages, max_tokens, ..Question::default() }
}

/// Sentences of usual words, of about so many tokens.
fn filler(tokens: usize) -> String {
    const WORDS: [&str; 24] = [
        "file", "test", "branch", "the", "module", "reads", "a", "line", "from", "each", "folder", "and", "writes", "its",
        "result", "to", "another", "table", "before", "it", "ends", "with", "one", "message",
    ];
    // A word with its space, and the signs and the number of a line.
    const PER_LINE: usize = 16;
    let mut text = String::with_capacity(tokens * 6);
    let mut state: u32 = 1;
    for line in 0..tokens.div_ceil(PER_LINE) {
        text.push_str(&format!("{line}. "));
        for _ in 0..PER_LINE - 4 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.push_str(WORDS[(state >> 16) as usize % WORDS.len()]);
            text.push(' ');
        }
        text.push('\n');
    }
    text
}

/// The weather in `cities`, with a tool for it.
pub(super) fn weather(cities: &[&str]) -> Question {
    let ask = match cities {
        [city] => format!("What is the weather in {city} now? Use the tool."),
        cities => format!(
            "What is the weather in {} now? Call the tool once for each city, all in one answer.",
            cities.join(" and in ")
        ),
    };
    let schema = json!({
        "type": "object",
        "properties": {"city": {"type": "string", "description": "The name of the city"}},
        "required": ["city"]
    });
    let tool = Tool { name: "get_weather".into(), description: "Get the weather of a city at this moment".into(), schema };
    Question { tools: vec![tool], about: vec![Untaken::Tools], ..Question::of_user(ask, 256) }
}

/// A picture that is red all over, eight by eight.
const RED: &str = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mP4z8CAFTEMLQkAKP8/wc53yE8AAAAASUVORK5CYII=";

pub(super) fn picture() -> Question {
    let content = json!([
        {"type": "text", "text": "Which colour does this picture have? Answer with one word."},
        {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{RED}")}}
    ]);
    Question {
        messages: vec![json!({"role": "user", "content": content})],
        max_tokens: 48,
        about: vec![Untaken::Images],
        ..Question::default()
    }
}

/// A form that no model would choose by itself: without it the answer is a sentence.
pub(super) fn form() -> Question {
    let schema = json!({
        "type": "object",
        "properties": {"capital": {"type": "string"}, "rivers": {"type": "integer"}},
        "required": ["capital", "rivers"],
        "additionalProperties": false
    });
    let mut more = Map::new();
    let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": schema}});
    more.insert("response_format".into(), format);
    let about = Untaken::field("response_format").into_iter().collect();
    Question { more, about, ..Question::of_user("What is the capital of France?", 96) }
}

/// Whether an answer has that form.
pub(super) fn has_form(text: &str) -> bool {
    let answer: Value = serde_json::from_str(text.trim()).unwrap_or_default();
    answer["capital"].is_string() && answer["rivers"].is_number() && answer.as_object().is_some_and(|fields| fields.len() == 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local_model::context::tokens;

    #[test]
    fn a_long_prompt_is_as_long_as_it_says() {
        for wanted in [1000, 12_400] {
            let question = long_prompt(wanted, "n", 8);
            let text = question.messages[0]["content"].as_str().unwrap();
            let estimated = tokens(text);
            assert!((wanted * 9 / 10..wanted * 13 / 10).contains(&estimated), "{wanted}: {estimated}");
            assert_eq!(text.matches(FACT).count(), 1);
        }
    }

    #[test]
    fn the_form_of_an_answer() {
        let table = [
            ("{\"capital\": \"Paris\", \"rivers\": 1}", true),
            ("\n{\n \"capital\":\"\",\"rivers\":-3}\n", true),
            ("Paris.", false),
            ("{\"capital\": \"Paris\"}", false),
            ("{\"capital\": \"Paris\", \"rivers\": 1, \"x\": 1}", false),
            ("```json\n{\"capital\": \"Paris\", \"rivers\": 1}\n```", false),
        ];
        for (text, expected) in table {
            assert_eq!(has_form(text), expected, "{text}");
        }
    }
}
