//! The settings file: what its lines say, and one of them changed with all others as they were.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A line that sets a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub name: String,
    pub value: OsString,
    /// From 1 on.
    pub line: usize,
}

/// With the numbers of the lines that are no assignments.
pub(crate) fn parse(bytes: &[u8]) -> (Vec<Assignment>, Vec<usize>) {
    let (mut assignments, mut ignored) = (Vec::new(), Vec::new());
    for (number, line) in without_mark(bytes).split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        match parse_assignment(line) {
            Some((name, value)) => {
                let name = String::from_utf8_lossy(name).into_owned();
                assignments.push(Assignment { name, value: OsString::from_vec(value.to_vec()), line: number + 1 });
            }
            None => ignored.push(number + 1),
        }
    }
    (assignments, ignored)
}

/// Some editors begin a file with a byte order mark.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// `KEY=VALUE`, with an optional `export ` and optional quotes around the value, as a shell reads it.
pub(crate) fn parse_assignment(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.strip_prefix(b"export ").unwrap_or(line).trim_ascii();
    let equals = line.iter().position(|byte| *byte == b'=')?;
    let key = line[..equals].trim_ascii_end();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if key.is_empty() || !key.iter().all(is_name) {
        return None;
    }
    let value = line[equals + 1..].trim_ascii();
    let unquoted = |quote: u8| value.strip_prefix(&[quote])?.strip_suffix(&[quote]).filter(|inside| !inside.contains(&quote));
    let value = unquoted(b'"').or_else(|| unquoted(b'\'')).unwrap_or(value);
    (!value.contains(&0)).then_some((key, value))
}

/// The file with this value in the last line that sets the variable, which is the one that counts, or in a new one at its end. None if
/// no line can hold the value.
pub(crate) fn with(bytes: &[u8], name: &str, value: &OsStr) -> Option<Vec<u8>> {
    let written = written(value.as_bytes())?;
    let assignment = |prefix: &[u8]| [prefix, name.as_bytes(), b"=", &written].concat();
    let mut lines = Lines::of(bytes);
    match lines.0.iter().rposition(|line| sets(line, name)) {
        Some(at) => {
            let line = lines.0[at];
            let indent = line.len() - line.trim_ascii_start().len();
            let export: &[u8] = if line.trim_ascii_start().starts_with(b"export ") { b"export " } else { b"" };
            let end = line.len() - line.trim_ascii_end().len();
            let changed = [&line[..indent], &assignment(export), &line[line.len() - end..]].concat();
            Some(lines.joined_with(at, &changed))
        }
        None => {
            let mut all = bytes.to_vec();
            if !all.is_empty() && !all.ends_with(b"\n") {
                all.push(b'\n');
            }
            lines.0.clear();
            all.extend(assignment(b""));
            all.push(b'\n');
            Some(all)
        }
    }
}

/// The file without the lines that set the variable.
pub(crate) fn without(bytes: &[u8], name: &str) -> Vec<u8> {
    let mut lines = Lines::of(bytes);
    lines.0.retain(|line| !sets(line, name));
    lines.0.concat()
}

/// Each with its end.
struct Lines<'a>(Vec<&'a [u8]>);

impl<'a> Lines<'a> {
    fn of(bytes: &'a [u8]) -> Lines<'a> {
        Lines(bytes.split_inclusive(|byte| *byte == b'\n').collect())
    }

    fn joined_with(&self, at: usize, changed: &[u8]) -> Vec<u8> {
        self.0.iter().enumerate().flat_map(|(place, line)| if place == at { changed } else { line }).copied().collect()
    }
}

fn sets(line: &[u8], name: &str) -> bool {
    parse_assignment(without_mark(line).trim_ascii()).is_some_and(|(key, _)| key == name.as_bytes())
}

/// The value as the file has it: in quotes where a shell would take it apart. None if the file would say something else.
fn written(value: &[u8]) -> Option<Vec<u8>> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:,@%+~".contains(byte);
    let quoted = |quote: &[u8]| [quote, value, quote].concat();
    let ways = [quoted(b"'"), quoted(b"\""), value.to_vec()];
    let says_the_same = |way: &Vec<u8>| {
        !way.contains(&b'\n') && parse_assignment(&[b"A=", way.as_slice()].concat()).is_some_and(|(_, read)| read == value)
    };
    if !value.is_empty() && value.iter().all(is_plain) {
        return Some(value.to_vec());
    }
    ways.into_iter().find(says_the_same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments() {
        let cases: &[(&str, Option<(&str, &str)>)] = &[
            ("A=b", Some(("A", "b"))),
            ("A=", Some(("A", ""))),
            ("export A = b c ", Some(("A", "b c"))),
            ("A='b c'", Some(("A", "b c"))),
            ("A=\"b\"", Some(("A", "b"))),
            ("A='", Some(("A", "'"))),
            ("A='b c' d 'e'", Some(("A", "'b c' d 'e'"))),
            ("A=b=c # d", Some(("A", "b=c # d"))),
            ("junk", None),
            ("a b=c", None),
            ("=c", None),
            ("A=\0", None),
        ];
        for (line, expected) in cases {
            let expected = expected.map(|(key, value)| (key.as_bytes(), value.as_bytes()));
            assert_eq!(parse_assignment(line.as_bytes()), expected, "{line:?}");
        }
    }

    fn text(bytes: Option<Vec<u8>>) -> Option<String> {
        bytes.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn one_line_changes_and_all_else_stays() {
        let table = [
            ("", "b", "A=b\n"),
            ("# x\nB=1", "b", "# x\nB=1\nA=b\n"),
            ("# x\nA=1\nB=2\n", "b", "# x\nA=b\nB=2\n"),
            ("A=1\nA=2\n\n", "b", "A=1\nA=b\n\n"),
            ("  export A = 'x y'  \r\nB=2\r\n", "b c", "  export A='b c'  \r\nB=2\r\n"),
            ("\u{feff}B=1\nA=1", "b", "\u{feff}B=1\nA=b"),
            ("#A=1\nAA=1\n", "b", "#A=1\nAA=1\nA=b\n"),
            ("A=1\n", "", "A=''\n"),
            ("A=1\n", "it's", "A=\"it's\"\n"),
            ("A=1\n", "it's \"it\"", "A=it's \"it\"\n"),
            ("A=1\n", " a ", "A=' a '\n"),
        ];
        for (before, value, after) in table {
            assert_eq!(text(with(before.as_bytes(), "A", value.as_ref())).as_deref(), Some(after), "{before:?} {value}");
            let (assignments, _) = parse(after.as_bytes());
            assert_eq!(assignments.iter().rfind(|line| line.name == "A").unwrap().value, value, "{before:?}");
        }
        for value in ["a\nb", "' it's \"it\" ", "\0"] {
            assert_eq!(with(b"", "A", value.as_ref()), None, "{value:?}");
        }
    }

    #[test]
    fn all_lines_of_a_variable_go() {
        let table = [("A=1\n# x\nexport A=2\r\nB=1", "# x\nB=1"), ("B=1\n", "B=1\n"), ("A=1", ""), ("", "")];
        for (before, after) in table {
            assert_eq!(text(Some(without(before.as_bytes(), "A"))).as_deref(), Some(after), "{before:?}");
        }
    }
}
