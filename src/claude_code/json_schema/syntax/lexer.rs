//! The tokens that JavaScriptCore's JSON parser sees.

pub(super) type Result<T> = std::result::Result<T, String>;

#[derive(PartialEq)]
pub(super) enum Token {
    End,
    String,
    /// A number, true, false or null.
    Scalar,
    Identifier(String),
    Punctuator(u8),
}
use Token::{End, Identifier, Punctuator, Scalar};

pub(super) struct Lexer {
    /// UTF-16, in which JavaScript counts escapes and places of errors.
    units: Vec<u16>,
    at: usize,
}

impl Lexer {
    pub(super) fn new(text: &str) -> Lexer {
        Lexer { units: text.encode_utf16().collect(), at: 0 }
    }

    fn peek(&self) -> Option<char> {
        self.units.get(self.at).map(|unit| char::from_u32(u32::from(*unit)).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn text(&self, from: usize, to: usize) -> String {
        String::from_utf16_lossy(&self.units[from..to])
    }

    fn skip(&mut self, is_skipped: impl Fn(char) -> bool) -> usize {
        let begin = self.at;
        while self.peek().is_some_and(&is_skipped) {
            self.at += 1;
        }
        self.at - begin
    }

    /// The first token of a member's value, after the token `name`, for which `error` is the message if it is no string.
    pub(super) fn member_value(&mut self, name: &Token, error: &str) -> Result<Token> {
        if *name != Token::String {
            return Err(error.into());
        }
        match self.next()? {
            Punctuator(b':') => self.next(),
            _ => Err("Expected ':' before value in object property definition".into()),
        }
    }

    pub(super) fn next(&mut self) -> Result<Token> {
        self.skip(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
        let Some(first) = self.peek() else { return Ok(End) };
        match first {
            '\'' => Err("Single quotes (') are not allowed in JSON".into()),
            '"' => self.string(),
            '-' | '0'..='9' => self.number(),
            '[' | ']' | '{' | '}' | '(' | ')' | ':' | ',' | '.' | '=' | ';' => {
                self.at += 1;
                Ok(Punctuator(first as u8))
            }
            'a'..='z' | 'A'..='Z' | '_' | '$' => {
                let begin = self.at;
                self.skip(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
                let word = self.text(begin, self.at);
                // JavaScriptCore's lexer does not look for their end: `nullx` is null and then x.
                let scalar = ["true", "false", "null"].into_iter().find(|scalar| word.starts_with(scalar));
                let Some(scalar) = scalar else { return Ok(Identifier(word)) };
                self.at = begin + scalar.len();
                Ok(Scalar)
            }
            other => Err(format!("Unrecognized token '{other}'")),
        }
    }

    fn string(&mut self) -> Result<Token> {
        self.at += 1;
        loop {
            self.skip(|c| !matches!(c, '\0'..='\x1f' | '"' | '\\'));
            let end = self.peek();
            self.at += 1;
            match (end, self.peek()) {
                (Some('"'), _) => return Ok(Token::String),
                (Some('\\'), Some('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't')) => self.at += 1,
                (Some('\\'), Some('u')) => {
                    let end = self.at + 5;
                    if end > self.units.len() {
                        return Err("\\u must be followed by 4 hex digits".into());
                    }
                    let escape = self.text(self.at, end);
                    if !escape[1..].chars().all(|c| c.is_ascii_hexdigit()) {
                        return Err(format!("\"\\{escape}\" is not a valid unicode escape"));
                    }
                    self.at = end;
                }
                (Some('\\'), Some(other)) => return Err(format!("Invalid escape character {other}")),
                _ => return Err("Unterminated string".into()),
            }
        }
    }

    fn number(&mut self) -> Result<Token> {
        let digits = |lexer: &mut Lexer| lexer.skip(|c| c.is_ascii_digit());
        self.at += usize::from(self.peek() == Some('-'));
        if self.peek() == Some('0') {
            self.at += 1;
        } else if digits(self) == 0 {
            return Err("Invalid number".into());
        }
        if self.peek() == Some('.') {
            self.at += 1;
            if digits(self) == 0 {
                return Err("Invalid digits after decimal point".into());
            }
        }
        let end = self.at;
        if matches!(self.peek(), Some('e' | 'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some('+' | '-')));
            if digits(self) == 0 {
                self.at = end;
            }
        }
        Ok(Scalar)
    }
}
