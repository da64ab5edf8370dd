//! Divides a stream into text and Harmony's marks.

pub(super) const CHANNEL: &str = "<|channel|>";
pub(super) const CONSTRAIN: &str = "<|constrain|>";
pub(super) const MESSAGE: &str = "<|message|>";
pub(super) const START: &str = "<|start|>";
pub(super) const MARKS: [&str; 7] = [START, CHANNEL, CONSTRAIN, MESSAGE, "<|end|>", "<|call|>", "<|return|>"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lexeme {
    Text(String),
    Mark(&'static str),
}

/// Holds back what may be the beginning of a mark.
#[derive(Default)]
pub(super) struct Lexer {
    withheld: String,
}

impl Lexer {
    pub(super) fn push(&mut self, text: &str) -> Vec<Lexeme> {
        let mut lexemes = Vec::new();
        let text = std::mem::take(&mut self.withheld) + text;
        let mut begin = 0;
        for at in memchr::memchr_iter(b'<', text.as_bytes()) {
            let rest = &text[at..];
            if let Some(mark) = MARKS.into_iter().find(|mark| rest.starts_with(mark)) {
                push_text(&mut lexemes, &text[begin..at]);
                lexemes.push(Lexeme::Mark(mark));
                begin = at + mark.len();
            } else if MARKS.iter().any(|mark| mark.starts_with(rest)) {
                push_text(&mut lexemes, &text[begin..at]);
                begin = text.len();
                self.withheld = rest.into();
            }
        }
        push_text(&mut lexemes, &text[begin..]);
        lexemes
    }

    /// What is left at the end. A mark that was cut off is none of the answer; a `<` may be.
    pub(super) fn finish(&mut self) -> Option<Lexeme> {
        let withheld = std::mem::take(&mut self.withheld);
        (withheld == "<").then_some(Lexeme::Text(withheld))
    }
}

fn push_text(lexemes: &mut Vec<Lexeme>, text: &str) {
    if !text.is_empty() {
        lexemes.push(Lexeme::Text(text.into()));
    }
}
