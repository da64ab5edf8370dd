//! Keeps a model's thinking out of its answer.
//!
//! Servers that know the model's template send thinking in a field of its own. Others leave it in the text, as
//! `<think>…</think>` before the answer, or without the opening tag where the template has written that already.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Passes text on as it comes, but for a leading `<think>` block. Tags inside the answer are the answer's own.
#[derive(Default)]
pub(crate) struct Filter {
    part: Part,
    withheld: String,
    has_thought: bool,
    thought: String,
}

#[derive(Default, PartialEq)]
enum Part {
    #[default]
    Start,
    Thinking,
    Answer,
}

impl Filter {
    /// Takes text and returns what certainly belongs to the answer.
    pub(crate) fn push(&mut self, text: &str) -> String {
        if self.part == Part::Answer {
            return text.to_string();
        }
        self.withheld.push_str(text);
        loop {
            match self.part {
                Part::Start => {
                    let begun = self.withheld.trim_start();
                    if begun.starts_with(OPEN) {
                        self.part = Part::Thinking;
                        self.has_thought = true;
                    } else if OPEN.starts_with(begun) {
                        return String::new();
                    } else {
                        self.part = Part::Answer;
                        return self.take_withheld();
                    }
                }
                Part::Thinking => match self.withheld.find(CLOSE) {
                    Some(at) => {
                        self.thought.push_str(self.withheld[..at].trim_start().trim_start_matches(OPEN));
                        self.withheld.drain(..at + CLOSE.len());
                        self.part = Part::Start;
                    }
                    None => return String::new(),
                },
                Part::Answer => return self.take_withheld(),
            }
        }
    }

    /// The text has ended: returns what was withheld and is no thinking after all.
    pub(crate) fn finish(&mut self) -> String {
        match self.part {
            Part::Thinking => String::new(),
            _ => self.take_withheld(),
        }
    }

    /// The thinking that has ended since the last call.
    pub(crate) fn take_thinking(&mut self) -> String {
        std::mem::take(&mut self.thought)
    }

    fn take_withheld(&mut self) -> String {
        let withheld = std::mem::take(&mut self.withheld);
        if self.has_thought { withheld.trim_start().to_string() } else { withheld }
    }
}

/// Takes away thinking whose opening tag was in the template: all before a `</think>` that stands on a line of its own
/// and has no opening tag before it.
pub(crate) fn without_unopened(text: &str) -> &str {
    let Some(at) = text.find(CLOSE) else { return text };
    let (before, after) = (&text[..at], &text[at + CLOSE.len()..]);
    let own_line = (before.is_empty() || before.ends_with('\n')) && (after.is_empty() || after.starts_with(['\n', '\r']));
    if own_line && !before.contains(OPEN) { after.trim_start() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(text: &str, step: usize) -> String {
        let mut filter = Filter::default();
        let mut out = String::new();
        let chars: Vec<char> = text.chars().collect();
        for piece in chars.chunks(step) {
            out += &filter.push(&piece.iter().collect::<String>());
        }
        out + &filter.finish()
    }

    #[test]
    fn thinking_is_dropped_whatever_the_pieces() {
        let table = [
            ("plain", "plain"),
            (" \n plain ", " \n plain "),
            ("<think>a</think>b", "b"),
            ("\n<think>\na\n</think>\n\nb\n", "b\n"),
            ("<think></think><think>x</think> b", "b"),
            ("<think>never ends", ""),
            ("<thin", "<thin"),
            ("<thinking>is another tag", "<thinking>is another tag"),
            ("say <think>x</think>", "say <think>x</think>"),
            ("", ""),
            ("  ", "  "),
        ];
        for (text, expected) in table {
            for step in 1..=text.len().max(1) {
                assert_eq!(filtered(text, step), expected, "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn unopened_thinking() {
        assert_eq!(without_unopened("hm\nhm\n</think>\n\nyes"), "yes");
        assert_eq!(without_unopened("the tag `</think>` closes"), "the tag `</think>` closes");
        assert_eq!(without_unopened("<think>\n</think>\n"), "<think>\n</think>\n");
        assert_eq!(without_unopened("none"), "none");
    }
}
