//! Fitting a conversation into the local model's context.
//!
//! mlx-lm 0.32 checks no length: a conversation that is too long gives an empty answer, or takes all memory. So the
//! length is estimated here, on the long side, and what does not fit is left out from the oldest on.

use std::collections::VecDeque;

use super::chat::Message;

/// What a chat template writes around a message, in tokens.
const AROUND_MESSAGE: usize = 8;

/// How many tokens the conversation takes, estimated.
pub fn estimate(messages: &[Message]) -> usize {
    messages.iter().map(|message| tokens(&message.content) + AROUND_MESSAGE).sum()
}

/// How many tokens a text takes, estimated: four letters of a word, a sign, or four thirds of a byte of another script.
pub fn tokens(text: &str) -> usize {
    let mut quarters = 0;
    let mut in_word = 0;
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {
                // A new word is a new token.
                if in_word % 4 == 0 {
                    quarters += 4;
                }
                in_word += 1;
                continue;
            }
            b' ' => quarters += 1,
            0x80.. => quarters += 3,
            _ => quarters += 4,
        }
        in_word = 0;
    }
    usize::div_ceil(quarters, 4)
}

/// Leaves out the oldest turns until the rest takes no more than `budget` tokens, and gives how many messages that were. The
/// system message and the last question always stay.
pub fn trim(messages: &mut Vec<Message>, budget: usize) -> usize {
    let before = messages.len();
    let has_system = messages.first().is_some_and(|message| message.role == "system");
    let mut left = estimate(messages);
    let mut rest: VecDeque<Message> = messages.drain(usize::from(has_system)..).collect();
    // A conversation begins with a question, or strict templates refuse it.
    while rest.len() > 1 && (left > budget || rest[0].role != "user") {
        left -= rest.pop_front().map_or(0, |message| tokens(&message.content) + AROUND_MESSAGE);
    }
    messages.extend(rest);
    before - messages.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk(texts: &[&str]) -> Vec<Message> {
        let roles = ["user", "assistant"].into_iter().cycle();
        roles.zip(texts).map(|(role, text)| Message { role, content: (*text).into() }).collect()
    }

    #[test]
    fn the_oldest_turns_go_first() {
        let whole = talk(&["first question", "first answer", "second question", "second answer", "third question"]);
        let mut messages = whole.clone();
        assert_eq!(trim(&mut messages, 1000), 0);
        assert_eq!(messages, whole);
        assert_eq!(trim(&mut messages, estimate(&whole) - 1), 2);
        assert_eq!(messages, whole[2..]);
        assert_eq!(trim(&mut messages, 0), 2);
        assert_eq!(messages, whole[4..]);
    }

    #[test]
    fn the_system_message_stays() {
        let mut messages = talk(&["first question", "first answer", "second question"]);
        messages.insert(0, Message { role: "system", content: "be brief".into() });
        assert_eq!(trim(&mut messages, 0), 2);
        assert_eq!(messages.iter().map(|message| message.role).collect::<Vec<_>>(), ["system", "user"]);
    }

    #[test]
    fn estimates_are_on_the_long_side() {
        // Counted by SmolLM2's tokenizer, which knows little but English.
        let table = [
            ("The quick brown fox jumps over the lazy dog.", 10),
            ("{\"a\": [1, 2, 3]}", 12),
            ("fn main() { println!(\"{}\", x + 1); }", 15),
            ("2026-11-22T13:46:05.188Z", 24),
            ("    indented\n\tcode\n\n", 7),
            ("日本語のテキスト", 15),
            ("Привет, как дела?", 13),
            ("😀🎉", 6),
        ];
        for (text, real) in table {
            let estimated = tokens(text);
            assert!((real..2 * real).contains(&estimated), "{text}: {estimated} for {real}");
        }
    }
}
