//! Control tokens that are left in an answer, such as `<|tool_sep|>`: the sign of a model whose template neither its server
//! nor this program understands.

use crate::completions::dialect::prose::Prose;
use crate::shown::{Shown, shown};

/// The longest name of a control token, in bytes.
const LONGEST: usize = 48;

/// Finds the first of them in a text that comes in pieces.
#[derive(Default)]
pub(super) struct UnknownMarkup {
    prose: Prose,
    /// What may be the beginning of one.
    begun: String,
    found: Option<String>,
}

impl UnknownMarkup {
    pub(super) fn push(&mut self, text: &str) {
        if self.found.is_some() {
            return;
        }
        let text = std::mem::take(&mut self.begun) + text;
        let mut told = 0;
        for at in memchr::memchr_iter(b'<', text.as_bytes()) {
            match token(&text[at..]) {
                Token::None => continue,
                Token::Begun => {
                    self.prose.push(&text[told..at]);
                    self.begun = text[at..].into();
                    return;
                }
                Token::Whole(token) => {
                    self.prose.push(&text[told..at]);
                    told = at;
                    if self.prose.is_plain() {
                        self.found = Some(token.into());
                        return;
                    }
                }
            }
        }
        self.prose.push(&text[told..]);
    }

    pub(super) fn take(&mut self) -> Option<String> {
        self.found.take()
    }
}

/// The warning of a control token in an answer.
pub(crate) fn markup_warning(token: &str) -> Shown {
    shown!("the answer has `{token}`, which belongs to the model's template: check that the local server knows that template")
}

enum Token<'t> {
    None,
    Begun,
    Whole(&'t str),
}

/// A control token at the beginning of a text: `<|…|>`, or with DeepSeek's wide bars.
fn token(text: &str) -> Token<'_> {
    for bar in ["|", "｜"] {
        let Some(rest) = text.strip_prefix('<').and_then(|rest| rest.strip_prefix(bar)) else { continue };
        let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '▁');
        let name = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
        let after = &rest[name..];
        return match after.strip_prefix(bar).and_then(|after| after.strip_prefix('>')) {
            _ if name > LONGEST => Token::None,
            Some(left) if name > 0 => Token::Whole(&text[..text.len() - left.len()]),
            _ if after.is_empty() || after == bar => Token::Begun,
            _ => Token::None,
        };
    }
    if text == "<" { Token::Begun } else { Token::None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<String> {
        let mut whole = UnknownMarkup::default();
        whole.push(text);
        let mut split = UnknownMarkup::default();
        text.chars().for_each(|c| split.push(c.encode_utf8(&mut [0; 4])));
        let whole = whole.take();
        assert_eq!(split.take(), whole, "{text:?} by one");
        whole
    }

    #[test]
    fn control_tokens_are_found() {
        let table = [
            ("a <|tool_sep|> b", Some("<|tool_sep|>")),
            ("<｜tool▁x｜>", Some("<｜tool▁x｜>")),
            ("<|a|><|b|>", Some("<|a|>")),
            ("<<|x|>", Some("<|x|>")),
            ("`<|x|>` and <|y|>", Some("<|y|>")),
            ("the token `<|im_start|>`", None),
            ("```\n<|x|>\n```", None),
            ("a <| b |> c, <||>, <|x> and <x|>", None),
            ("f <$> x <|> y", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(found(text).as_deref(), expected, "{text:?}");
        }
    }
}
