//! Fitting a conversation into the local model's context.
//!
//! mlx-lm 0.32 checks no length: a conversation that is too long gives an empty answer, or takes all memory. So the
//! length is estimated here, on the long side, and what does not fit is left out from the oldest on.

use std::collections::VecDeque;

use crate::completions::chat::Message;

/// What a chat template writes around a message, in tokens.
const AROUND_MESSAGE: usize = 8;

/// Estimates the tokens of a conversation.
pub(crate) fn estimate(messages: &[Message]) -> usize {
    messages.iter().map(|message| tokens(&message.content) + AROUND_MESSAGE).sum()
}

/// Estimates the tokens of a text: six letters of a word, a sign, or four thirds of a byte of another script. A
/// quarter more than a tokenizer counts in usual text, and seldom less.
pub(crate) fn tokens(text: &str) -> usize {
    let mut quarters: usize = 0;
    let mut letters = 0;
    for byte in text.bytes() {
        if byte.is_ascii_alphabetic() {
            // A new word is a new token, with its space.
            quarters += if letters % 6 == 0 { 4 } else { 0 };
            letters += 1;
            continue;
        }
        letters = 0;
        quarters += match byte {
            b' ' => 0,
            0x80.. => 3,
            _ => 4,
        };
    }
    quarters.div_ceil(4)
}

/// Leaves out the oldest turns until the rest takes no more than `budget` tokens, and gives how many messages that were. The
/// system message and the last `kept` messages always stay.
pub(crate) fn trim(messages: &mut Vec<Message>, budget: usize, kept: usize) -> usize {
    let before = messages.len();
    let has_system = messages.first().is_some_and(|message| message.role == "system");
    let mut left = estimate(messages);
    let mut rest: VecDeque<Message> = messages.drain(usize::from(has_system)..).collect();
    let mut is_cut = false;
    // A conversation that is cut begins with a question, or strict templates refuse it.
    while rest.len() > kept && (left > budget || is_cut && rest[0].role != "user") {
        left -= rest.pop_front().map_or(0, |message| tokens(&message.content) + AROUND_MESSAGE);
        is_cut = true;
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
        assert_eq!(trim(&mut messages, 1000, 1), 0);
        assert_eq!(messages, whole);
        assert_eq!(trim(&mut messages, estimate(&whole) - 1, 1), 2);
        assert_eq!(messages, whole[2..]);
        assert_eq!(trim(&mut messages, 0, 1), 2);
        assert_eq!(messages, whole[4..]);
    }

    #[test]
    fn what_is_kept_stays_together() {
        let whole = talk(&["first question", "first answer", "second question", "no JSON", "that is no JSON"]);
        let mut messages = whole.clone();
        assert_eq!(trim(&mut messages, 0, 3), 2);
        assert_eq!(messages, whole[2..]);
    }

    #[test]
    fn what_fits_is_left_alone_whoever_began() {
        let mut messages = talk(&["first question", "first answer", "second question"]);
        messages.remove(0);
        assert_eq!(trim(&mut messages, 1000, 1), 0);
    }

    #[test]
    fn the_system_message_stays() {
        let mut messages = talk(&["first question", "first answer", "second question"]);
        messages.insert(0, Message { role: "system", content: "be brief".into() });
        assert_eq!(trim(&mut messages, 0, 1), 2);
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
