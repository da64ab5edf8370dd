//! Calls as Python has them, `NAME(key="text", n=5)`: Gemma 3, Llama 4 and LFM2 write them.

use serde_json::{Map, Number, Value};

use crate::completions::tool::{Tool, ToolCall, offered_name};

/// The calls at the beginning of a text, one after the other or in a list, and what comes after them. Only of offered tools:
/// Python is full of calls.
pub(super) fn read<'t>(text: &'t str, tools: &[Tool]) -> Option<(Vec<ToolCall>, &'t str)> {
    let mut reader = Reader { rest: text, depth: 0 };
    let is_list = reader.take("[").is_some();
    let mut calls = Vec::new();
    while calls.is_empty() || !reader.is_at_end() {
        calls.push(reader.call(tools)?);
        // Lines need nothing between them, a list does.
        let is_divided = reader.take(",").is_some() || reader.take(";").is_some();
        if is_list && !is_divided {
            break;
        }
    }
    if is_list {
        reader.take("]")?;
    }
    Some((calls, reader.rest))
}

/// A call whose arguments cannot be read.
pub(super) fn unreadable(text: &str, tools: &[Tool]) -> Option<ToolCall> {
    let mut reader = Reader { rest: text, depth: 0 };
    reader.take("[");
    let name = reader.name(tools)?;
    Some(ToolCall { name, arguments: Err(reader.rest.trim().into()) })
}

/// A dictionary or a list of Python at the beginning of a text, and what comes after it.
pub(super) fn literal(text: &str) -> Option<(Value, &str)> {
    let mut reader = Reader { rest: text, depth: 0 };
    let value = reader.value()?;
    Some((value, reader.rest))
}

/// A string of Python at the beginning of a text, and what comes after it. Line breaks may stand in any string.
pub(super) fn string(text: &str) -> Option<(String, &str)> {
    let inside = text.trim_start_matches(['r', 'R', 'u', 'U', 'b', 'B']);
    let is_raw = text[..text.len() - inside.len()].contains(['r', 'R']);
    let is_prefix = text.len() - inside.len() <= 2;
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| inside.starts_with(quote)).filter(|_| is_prefix)?;
    let inside = &inside[quote.len()..];
    let mut value = String::new();
    let mut rest = inside;
    loop {
        if let Some(after) = rest.strip_prefix(quote) {
            return Some((value, after));
        }
        let c = rest.chars().next()?;
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' if is_raw => {
                let next = rest.chars().next()?;
                value.extend([c, next]);
                rest = &rest[next.len_utf8()..];
            }
            '\\' => rest = escape(rest, &mut value)?,
            _ => value.push(c),
        }
    }
}

/// Reads what stands behind a backslash.
fn escape<'t>(text: &'t str, value: &mut String) -> Option<&'t str> {
    let c = text.chars().next()?;
    let after = &text[c.len_utf8()..];
    let digits = |count: usize| {
        let code = u32::from_str_radix(after.get(..count)?, 16).ok()?;
        Some((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), &after[count..]))
    };
    let (meant, rest) = match c {
        '\n' => return Some(after),
        'n' => ('\n', after),
        't' => ('\t', after),
        'r' => ('\r', after),
        '0' => ('\0', after),
        '\\' | '\'' | '"' => (c, after),
        'x' => digits(2)?,
        'u' => match digits(4)? {
            // Half of a pair, as JSON writes what lies beyond 16 bits.
            (char::REPLACEMENT_CHARACTER, rest) => pair(after).unwrap_or((char::REPLACEMENT_CHARACTER, rest)),
            whole => whole,
        },
        'U' => digits(8)?,
        _ => {
            value.push('\\');
            (c, after)
        }
    };
    value.push(meant);
    Some(rest)
}

fn pair(text: &str) -> Option<(char, &str)> {
    let code = |at: usize| u16::from_str_radix(text.get(at..at + 4)?, 16).ok();
    let units = [code(0)?, text.get(4..6).filter(|mark| *mark == "\\u").and_then(|_| code(6))?];
    Some((char::decode_utf16(units).next()?.ok()?, &text[10..]))
}

struct Reader<'t> {
    rest: &'t str,
    /// How many brackets are open.
    depth: usize,
}

/// No tool has arguments this deep, and the stack is finite.
const DEEPEST: usize = 64;

impl<'t> Reader<'t> {
    /// White space and comments.
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
        while let Some(comment) = self.rest.strip_prefix('#') {
            self.rest = comment.split_once('\n').map_or("", |(_, after)| after).trim_start();
        }
    }

    fn take(&mut self, mark: &str) -> Option<()> {
        self.skip();
        self.rest = self.rest.strip_prefix(mark)?;
        Some(())
    }

    fn is_at_end(&mut self) -> bool {
        self.skip();
        !self.rest.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }

    fn word(&mut self) -> &'t str {
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || "_-.".contains(c))).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// The name of an offered tool and the bracket behind it.
    fn name(&mut self, tools: &[Tool]) -> Option<String> {
        self.skip();
        let word = self.word();
        let name = ["default_api.", "functions.", "tools."].iter().find_map(|space| word.strip_prefix(space)).unwrap_or(word);
        let name = offered_name(tools, name);
        self.take("(")?;
        if name == "print" {
            self.depth += 1;
            return if self.depth > 1 { None } else { self.name(tools) };
        }
        tools.iter().any(|tool| tool.name == name).then_some(name)
    }

    fn call(&mut self, tools: &[Tool]) -> Option<ToolCall> {
        self.depth = 0;
        let name = self.name(tools)?;
        let printed = self.depth;
        let schema = tools.iter().find(|tool| tool.name == name).map(|tool| &tool.schema["properties"]);
        let mut arguments = Map::new();
        while self.take(")").is_none() {
            let key = match self.key() {
                Some(key) => key,
                // Without a name it is the next of the tool's own.
                None => schema?.as_object()?.keys().nth(arguments.len())?.clone(),
            };
            let value = self.value()?;
            arguments.insert(key, value);
            self.skip();
            if self.take(",").is_none() && !self.rest.starts_with(')') {
                return None;
            }
        }
        for _ in 0..printed {
            self.take(")")?;
        }
        Some(ToolCall { name, arguments: Ok(arguments) })
    }

    fn key(&mut self) -> Option<String> {
        self.skip();
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))?;
        let (key, rest) = self.rest.split_at(end);
        let value = rest.trim_start().strip_prefix('=').filter(|_| !key.is_empty())?;
        self.rest = value;
        Some(key.into())
    }

    fn value(&mut self) -> Option<Value> {
        self.skip();
        if let Some((mut text, rest)) = string(self.rest) {
            self.rest = rest;
            // Strings that follow each other are one.
            while let Some((more, rest)) = string(self.rest.trim_start()) {
                text.push_str(&more);
                self.rest = rest;
            }
            return Some(text.into());
        }
        match self.rest.chars().next()? {
            '[' => self.list("[", "]"),
            '(' => self.list("(", ")"),
            '{' => self.dict(),
            c if c.is_ascii_digit() || "+-.".contains(c) => self.number(),
            _ => match self.word() {
                "True" | "true" => Some(true.into()),
                "False" | "false" => Some(false.into()),
                "None" | "null" => Some(Value::Null),
                _ => None,
            },
        }
    }

    fn list(&mut self, open: &str, close: &str) -> Option<Value> {
        let mut list = Vec::new();
        self.deeper(|reader| {
            reader.take(open)?;
            while reader.take(close).is_none() {
                list.push(reader.value()?);
                reader.skip();
                if reader.take(",").is_none() && !reader.rest.starts_with(close) {
                    return None;
                }
            }
            Some(())
        })?;
        Some(list.into())
    }

    fn dict(&mut self) -> Option<Value> {
        let mut dict = Map::new();
        self.deeper(|reader| {
            reader.take("{")?;
            while reader.take("}").is_none() {
                let Value::String(key) = reader.value()? else { return None };
                reader.take(":")?;
                dict.insert(key, reader.value()?);
                reader.skip();
                if reader.take(",").is_none() && !reader.rest.starts_with('}') {
                    return None;
                }
            }
            Some(())
        })?;
        Some(dict.into())
    }

    fn deeper(&mut self, read: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        self.depth += 1;
        let read = if self.depth > DEEPEST { None } else { read(self) };
        self.depth -= 1;
        read
    }

    fn number(&mut self) -> Option<Value> {
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-._".contains(c))).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        let digits = digits.replace('_', "");
        let digits = digits.strip_prefix('+').unwrap_or(&digits);
        self.rest = rest;
        let whole = digits.parse::<i64>().ok().map(Number::from);
        whole.or_else(|| digits.parse().ok().and_then(Number::from_f64)).map(Value::Number)
    }
}
