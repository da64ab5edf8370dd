//! What JavaScriptCore, in which the real CLI runs, says of text that is no JSON.

/// The first fault of `text`.
pub(super) fn fault(text: &str) -> String {
    let mut lexer = Lexer { units: text.encode_utf16().collect(), at: 0 };
    // Numbers out of range and depths that are too much for us are none to it.
    walk(&mut lexer).err().unwrap_or_else(|| UNTOLD.into())
}

const UNTOLD: &str = "Unable to parse JSON string";

type Result<T> = std::result::Result<T, String>;

#[derive(PartialEq)]
enum Token {
    End,
    String,
    /// A number, true, false or null.
    Scalar,
    Identifier(String),
    Punctuator(u8),
}
use Token::{End, Identifier, Punctuator, Scalar};

fn walk(lexer: &mut Lexer) -> Result<()> {
    let mut open = Vec::new();
    let mut token = lexer.next()?;
    loop {
        token = match token {
            Punctuator(bracket @ (b'[' | b'{')) => match lexer.next()? {
                Punctuator(close) if close == bracket + 2 => lexer.next()?,
                first => {
                    open.push(bracket);
                    token = if bracket == b'[' { first } else { lexer.member(&first, "Expected '}'")? };
                    continue;
                }
            },
            Token::String | Scalar => lexer.next()?,
            End => return Err("Unexpected EOF".into()),
            Identifier(name) if name.len() > 200 => return Err(format!("Unexpected identifier \"{}...\"", &name[..200])),
            Identifier(name) => return Err(format!("Unexpected identifier \"{name}\"")),
            Punctuator(other) => return Err(format!("Unexpected token '{}'", other as char)),
        };
        // A value has ended, and so may what it is in.
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
            None => return Err(UNTOLD.into()),
            Some(_) => lexer.next()?,
        };
        token = match open.last() {
            Some(b'{') => lexer.member(&next, "Property name must be a string literal")?,
            _ if next == Punctuator(b']') => return Err("Unexpected comma at the end of array expression".into()),
            _ => next,
        };
    }
}

struct Lexer {
    /// The escapes and the faults of JavaScript's strings are in these units.
    units: Vec<u16>,
    at: usize,
}

impl Lexer {
    fn peek(&self) -> Option<char> {
        self.units.get(self.at).map(|unit| char::from_u32(u32::from(*unit)).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn text(&self, from: usize, to: usize) -> String {
        String::from_utf16_lossy(&self.units[from..to])
    }

    fn skip(&mut self, is_passed: impl Fn(char) -> bool) -> usize {
        let begin = self.at;
        while self.peek().is_some_and(&is_passed) {
            self.at += 1;
        }
        self.at - begin
    }

    /// The first token of a member's value, after its name.
    fn member(&mut self, name: &Token, complaint: &str) -> Result<Token> {
        if *name != Token::String {
            return Err(complaint.into());
        }
        match self.next()? {
            Punctuator(b':') => self.next(),
            _ => Err("Expected ':' before value in object property definition".into()),
        }
    }

    fn next(&mut self) -> Result<Token> {
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
                // Of these the lexer knows no end: `nullx` is null and then x.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As measured with the real CLI.
    #[test]
    fn faults_are_told_as_by_javascriptcore() {
        let table: &[(&str, &[&str])] = &[
            (
                "Expected '}'",
                &[
                    "{",
                    "{nope",
                    "{nope}",
                    "{a:1}",
                    "{,}",
                    "{1:2}",
                    "{{",
                    r#"{"a":1"#,
                    r#"{"a":1 "b":2}"#,
                    r#"{"a":1]"#,
                    r#"{"a":01}"#,
                    r#"{"a":1e}"#,
                    r#"{"a":1e+}"#,
                    r#"{"a":truex}"#,
                    r#"{"a":"b"c"}"#,
                    r#"{"type": "object", "properties": {"a": {"type": "string"}}"#,
                    "{type: object}",
                    r#"{"a":1;}"#,
                    r#"{"a":1=}"#,
                    "{:1}",
                    r#"{"":1"#,
                    "{null:1}",
                    "{true:1}",
                    r#"{"a":1e@}"#,
                    r#"{"a":1.5e}"#,
                    r#"{"a":1e+ @}"#,
                ],
            ),
            (
                "Unable to parse JSON string",
                &[
                    "1e",
                    "1e+",
                    "1E-x",
                    "0x10",
                    "00",
                    "-01",
                    "1.5.5",
                    r#"{"a":1}}"#,
                    "{} {}",
                    r#"{"a":1}x"#,
                    "1 2",
                    "-5x",
                    "{};",
                    "{}; ",
                    "{};;",
                    "1;",
                    "truex",
                    "nullx",
                    "falsey",
                    "true1",
                    r#"""x"#,
                    r#""a" "b""#,
                    r#"{"a":"\u00e9\ud800"}x"#,
                    r#"{"__proto__":5}x"#,
                    "1e@",
                    "1e+@",
                    "1.5e",
                    "-1e",
                    "1234567890123e",
                    "1e5x",
                ],
            ),
            ("Invalid number", &["-", "-x", r#"{"a":-}"#, "-Infinity"]),
            ("Invalid digits after decimal point", &["1.", "1.x", r#"{"a":1.}"#]),
            ("Expected ']'", &["[1 2]", "[1}", r#"{"a":[1,2}"#, "[1;2]", "[1.5e]", "[1e400e]"]),
            ("Unexpected EOF", &["[", "[1,", r#"{"a":"#, " ", "[[[[[[", r#"{"a":{"a":{"a":"#, "\t\n\r "]),
            ("Unexpected comma at the end of array expression", &["[1,]", r#"{"a":[1,2,],"b":@}"#]),
            ("Unexpected token ','", &["[,1]", "[,]", "[1,,2]", ","]),
            (
                "Expected ':' before value in object property definition",
                &[r#"{"a""#, r#"{"a" 1}"#, r#"{"a":1,"b"}"#, r#"{"a":1,"b""#, r#"{"a"=1}"#],
            ),
            (
                "Property name must be a string literal",
                &[
                    r#"{"a":1,"#,
                    r#"{"a":1,}"#,
                    r#"{"a":1,,}"#,
                    r#"{"a":1,b:2}"#,
                    r#"{"a":"b",c":1}"#,
                    r#"{"type": "object", "properties": {"a": {"type": "string"},}}"#,
                    r#"{"a":1,1:2}"#,
                    r#"{"a":1,null:2}"#,
                    r#"{"a":1,"b":2,}x"#,
                ],
            ),
            ("Unrecognized token '/'", &["{}\n// c", "// c\n{}", "/* c */{}", "/x", r#"{"a":/x"#, "/tmp/schema.json"]),
            (
                "Single quotes (') are not allowed in JSON",
                &["'x'", "{'a':1}", r#"{"a":'x'}"#, "[1,'x']", r#"{"a":1,'b':2}"#, "{} 'x'", r#"{"a":1'"#, "[1'"],
            ),
            (
                "Unterminated string",
                &[
                    r#""abc"#,
                    "\"a\tb\"",
                    "\"a\nb\"",
                    "\"a\u{1}b\"",
                    r#""a\"#,
                    r#"{"a":"x"#,
                    r#"{"a":"x}"#,
                    r#"{"a"#,
                    r#"""#,
                    r#"{"a":"b","c:1}"#,
                    r#""\ud800"#,
                    "\"a\\n\n\"",
                    r#""\u00e9"#,
                    r#""a'b"#,
                ],
            ),
            (r#"Unexpected identifier "nope""#, &["nope", r#"{"a":nope}"#, r#"{"a":nope"#, "[nope]"]),
            (r#"Unexpected identifier "tru""#, &["tru", r#"{"a":tru}"#, r#"{"a":tru"#]),
            (r#"Unexpected identifier "nul""#, &["nul", r#"{"a":nul}"#]),
            (r#"Unexpected identifier "NaN""#, &["NaN"]),
            (r#"Unexpected identifier "Infinity""#, &["Infinity"]),
            (r#"Unexpected identifier "undefined""#, &["undefined", r#"{"a":undefined}"#]),
            (r#"Unexpected identifier "$""#, &["$"]),
            (r#"Unexpected identifier "_x""#, &["_x"]),
            (r#"Unexpected identifier "True""#, &["True", r#"{"a":True}"#]),
            (r#"Unexpected identifier "None""#, &["None"]),
            ("Invalid escape character x", &[r#""\x""#]),
            ("Invalid escape character '", &[r#""\'""#]),
            ("Invalid escape character é", &[r#""\é""#, r#""漢\é""#]),
            ("Invalid escape character 漢", &[r#""\漢""#]),
            ("Invalid escape character �", &[r#""\🦀""#]),
            (r"\u must be followed by 4 hex digits", &[r#""\u12""#, r#""\u""#, r#""\u1"#, r#""漢\u12""#]),
            (r#""\u12"}" is not a valid unicode escape"#, &[r#"{"a":"\u12"}"#, r#"{"a":"\u12"} "#]),
            (r#""\u00zz" is not a valid unicode escape"#, &[r#""\u00zz""#]),
            (r#""\uéééé" is not a valid unicode escape"#, &[r#""\uééééé""#]),
            (r#""\u漢漢漢漢" is not a valid unicode escape"#, &[r#""\u漢漢漢漢漢""#]),
            (r#""\u🦀🦀" is not a valid unicode escape"#, &[r#""\u🦀🦀🦀""#]),
            ("Unexpected token '.'", &[".5", r#"{"a":.5}"#, "./schema.json"]),
            ("Unexpected token ')'", &[")", "[)"]),
            ("Unexpected token '}'", &["}", r#"{"a":1,"b":}"#]),
            ("Unexpected token ']'", &["]"]),
            ("Unexpected token '('", &["(", r#"{"a":(1)}"#]),
            ("Unexpected token ':'", &[":", r#"{"a"::1}"#, "[:]"]),
            ("Unexpected token ';'", &[";", r#"{"a":;}"#]),
            ("Unexpected token '='", &["=", "[=]"]),
            (
                "Unrecognized token '@'",
                &["@file", "{@}", "[@]", "[1 @]", r#"{"a" @}"#, r#"{"a":1 @}"#, "{} @", "1 @", "@schema.json", "[1,@", "1.5@"],
            ),
            ("Unrecognized token '+'", &["+1", r#"{"a":+1}"#]),
            (r"Unrecognized token '\'", &[r"\", r#"{\"type\":\"object\"}"#]),
            ("Unrecognized token 'é'", &["é", r#"{"a":é}"#, "{é:1}", r#"{"a":"漢","b":é}"#, r#"{"a":"漢",é}"#, "ééé"]),
            ("Unrecognized token '<'", &["<x>"]),
            ("Unrecognized token '#'", &["#", r#"{"a":#}"#]),
            ("Unrecognized token '漢'", &["漢", r#"漢漢"\q""#]),
            ("Unrecognized token '�'", &["🦀"]),
            (r#"Unexpected identifier "a""#, &["a漢", "aé", "a🦀", "a-b", "a.b", "a b", "aπ"]),
            (r#"Unexpected identifier "a$_1""#, &["a$_1"]),
            ("Unrecognized token 'ª'", &["ªx"]),
            ("Unrecognized token '\u{a0}'", &["\u{a0}{}", "{}\u{a0}"]),
            ("Unrecognized token '\u{feff}'", &["\u{feff}{}", "{\"type\":\"object\"}\u{feff}"]),
            ("Unrecognized token '\u{b}'", &["\u{b}{}"]),
            ("Unrecognized token '\u{2028}'", &["\u{2028}{}"]),
            ("Unrecognized token '`'", &["`x`", "```json\n{}\n```"]),
            ("Unrecognized token '%'", &["%"]),
            ("Unrecognized token '&'", &["&"]),
            ("Unrecognized token '*'", &["*"]),
            ("Unrecognized token '?'", &["?"]),
            ("Unrecognized token '!'", &["!"]),
            ("Unrecognized token '^'", &["^"]),
            ("Unrecognized token '~'", &["~", "~/s.json"]),
            ("Unrecognized token '|'", &["|"]),
            ("Unrecognized token '“'", &["“a”", "{“a”:1}"]),
            (r#"Unexpected identifier "schema""#, &["schema.json"]),
            (r#"Unexpected identifier "object""#, &["object"]),
            (r#"Unexpected identifier "string""#, &["string"]),
            ("Unrecognized token '\u{1}'", &["{\"a\":1}\u{1}", "\u{1}"]),
            ("Unrecognized token '\u{7f}'", &["\u{7f}"]),
            ("Invalid escape character q", &[r#""漢\q""#, r#""a\nb\q""#]),
            (r#""\uaé🦀" is not a valid unicode escape"#, &[r#""\uaé🦀🦀🦀""#]),
            (r#""\ua🦀�" is not a valid unicode escape"#, &[r#""\ua🦀🦀🦀""#]),
        ];
        for (expected, texts) in table {
            for text in *texts {
                assert_eq!(fault(text), *expected, "{text:?}");
            }
        }
    }

    #[test]
    fn a_long_name_is_cut() {
        assert_eq!(fault(&"x".repeat(200)), format!("Unexpected identifier \"{}\"", "x".repeat(200)));
        assert_eq!(fault(&"x".repeat(201)), format!("Unexpected identifier \"{}...\"", "x".repeat(200)));
    }

    #[test]
    fn depth_is_no_matter() {
        assert_eq!(fault(&"[".repeat(100_000)), "Unexpected EOF");
    }
}
