//! The messages of JavaScriptCore, in which the real CLI runs, for text that is not JSON.

mod lexer;

use crate::claude_code::json_schema::syntax::lexer::{Lexer, Result, Token};
use Token::{End, Identifier, Punctuator, Scalar};

/// The message for the first error in `text`.
pub(super) fn error(text: &str) -> String {
    // JavaScriptCore accepts numbers out of our range and depths beyond our limit.
    parse(&mut Lexer::new(text)).err().unwrap_or_else(|| UNSPECIFIC.into())
}

const UNSPECIFIC: &str = "Unable to parse JSON string";

fn parse(lexer: &mut Lexer) -> Result<()> {
    let mut open = Vec::new();
    let mut token = lexer.next()?;
    loop {
        token = match token {
            Punctuator(bracket @ (b'[' | b'{')) => match lexer.next()? {
                Punctuator(close) if close == bracket + 2 => lexer.next()?,
                first => {
                    open.push(bracket);
                    token = if bracket == b'[' { first } else { lexer.member_value(&first, "Expected '}'")? };
                    continue;
                }
            },
            Token::String | Scalar => lexer.next()?,
            End => return Err("Unexpected EOF".into()),
            Identifier(name) if name.len() > 200 => return Err(format!("Unexpected identifier \"{}...\"", &name[..200])),
            Identifier(name) => return Err(format!("Unexpected identifier \"{name}\"")),
            Punctuator(other) => return Err(format!("Unexpected token '{}'", other as char)),
        };
        // With a value the arrays and objects around it may end.
        while let Some(bracket) = open.last() {
            let close = bracket + 2;
            if token == Punctuator(b',') {
                break;
            } else if token != Punctuator(close) {
                return Err(format!("Expected '{}'", close as char));
            }
            open.pop();
            token = lexer.next()?;
        }
        let next = match open.last() {
            None if token == End => return Ok(()),
            None => return Err(UNSPECIFIC.into()),
            Some(_) => lexer.next()?,
        };
        token = match open.last() {
            Some(b'{') => lexer.member_value(&next, "Property name must be a string literal")?,
            _ if next == Punctuator(b']') => return Err("Unexpected comma at the end of array expression".into()),
            _ => next,
        };
    }
}

#[cfg(test)]
mod tests;
