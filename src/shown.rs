//! Text as it may stand on a terminal. A model, a server, Claude's stream, a file or a caller may send any characters; those that drive
//! a terminal, or that show another text than the one that is there, are left out. What this program writes on stderr, and on
//! stdout in its own words, it takes as [`Shown`] alone, which nothing but this filter makes.

use std::fmt::{self, Display, Write};
use std::path::Path;

use serde::Serialize;

/// Text without what is left out of terminals.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub(crate) struct Shown(String);

impl Shown {
    /// One line. Breaks and tabs become a space, so that no text begins a line that looks like one of ours.
    pub(crate) fn line(text: impl Display) -> Shown {
        let mut line = String::new();
        for c in text.to_string().chars() {
            match c {
                '\t' | '\r' => line.push(' '),
                c if is_break(c) => line.push(' '),
                c if is_left_out(c) => {}
                c => line.push(c),
            }
        }
        Shown(line)
    }

    /// With its line breaks and tabs.
    pub(crate) fn lines(text: impl Display) -> Shown {
        let kept = |c| match c {
            '\t' => Some('\t'),
            c if is_break(c) => Some('\n'),
            c => Some(c).filter(|c| !is_left_out(*c)),
        };
        Shown(text.to_string().chars().filter_map(kept).collect())
    }

    /// JSON of the same value: what is left out elsewhere is an escape here.
    pub(crate) fn json(json: &str) -> Shown {
        let mut shown = String::with_capacity(json.len());
        for c in json.chars() {
            match c {
                '\n' | '\t' => shown.push(c),
                // Between two tokens: no string of JSON has it as it is.
                '\r' => shown.push(' '),
                c if is_break(c) || is_left_out(c) => {
                    c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                        let _ = write!(shown, "\\u{unit:04x}");
                    });
                }
                c => shown.push(c),
            }
        }
        Shown(shown)
    }

    /// Its first `limit` characters.
    pub(crate) fn at_most(self, limit: usize) -> Shown {
        match self.0.char_indices().nth(limit) {
            Some((end, _)) => Shown(self.0[..end].to_string()),
            None => self,
        }
    }

    /// With `~` in place of the home folder wherever a shell reads it so: at the beginning of a word that is not quoted.
    pub(crate) fn with_tilde(&self, home: &Path) -> Shown {
        let Some(home) = home.to_str().map(|home| home.trim_end_matches('/')).filter(|home| !home.is_empty()) else {
            return self.clone();
        };
        let (mut short, mut rest) = (String::new(), self.0.as_str());
        while let Some((before, after)) = rest.split_once(home) {
            short.push_str(before);
            let begins = short.is_empty() || short.ends_with([' ', '`', '(']);
            let is_list = after.split([' ', '`']).next().is_some_and(|word| word.contains(":/"));
            short.push_str(if begins && after.starts_with('/') && !is_list { "~" } else { home });
            rest = after;
        }
        Shown(short + rest)
    }

    /// With one space in place of each run of white space, and none at the ends.
    pub(crate) fn squeezed(text: impl Display) -> Shown {
        Shown(Shown::line(text).split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// [`Shown::line`] of a text as `format!` makes it.
macro_rules! shown {
    ($($argument:tt)*) => { $crate::shown::Shown::line(format_args!($($argument)*)) };
}
pub(crate) use shown;

impl std::ops::Deref for Shown {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Shown {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// For texts of this program. One from elsewhere does not live so long.
impl From<&'static str> for Shown {
    fn from(text: &'static str) -> Shown {
        Shown::lines(text)
    }
}

/// An answer in text format on a terminal: without control characters, as the real CLI prints it (2.1.330).
pub(crate) fn answer_on_terminal(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// Where a text ends a line, by Unicode's rules (UAX 14); the carriage return alone moves a terminal back in the same line.
fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\x0b' | '\x0c' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Control characters (C0, DEL, C1), what changes the direction of text (CVE-2021-42574), and what takes no room and is no part
/// of a letter, as of Unicode's classes `Cf` and `Default_Ignorable_Code_Point`. The two joiners (U+200C, U+200D) and the selectors of an
/// emoji's form stay: Persian, the scripts of India and emoji are written with them. So does U+FEFF, which Claude Code names in its errors.
fn is_left_out(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Shown, answer_on_terminal};

    #[test]
    fn what_drives_a_terminal_or_deceives_on_it_is_left_out() {
        let table = [
            ("plain text, ä, 日本, 👩‍👩‍👧, می‌خواهم, ❤️", "plain text, ä, 日本, 👩‍👩‍👧, می‌خواهم, ❤️"),
            ("a\x1b]0;title\x07b", "a]0;titleb"),
            ("a\x1b[2Jb", "a[2Jb"),
            ("a\u{9b}2Jb\u{90}\u{9d}\u{9c}", "a2Jb"),
            ("a\x08\x7f\0b", "ab"),
            ("a\u{202e}b\u{2066}c\u{2069}\u{200f}\u{61c}d", "abcd"),
            ("a\u{200b}\u{2060}\u{ad}\u{180e}\u{fffa}b\u{e0041}\u{e007f}", "ab"),
        ];
        for (text, expected) in table {
            assert_eq!(Shown::line(text).to_string(), expected, "{text:?}");
            assert_eq!(Shown::lines(text).to_string(), expected, "{text:?}");
        }
    }

    #[test]
    fn breaks_and_tabs() {
        let table = [
            ("a\nb", "a b", "a\nb"),
            ("a\tb", "a b", "a\tb"),
            ("a\rb", "a b", "ab"),
            ("a\u{2028}b\u{85}c\x0cd", "a b c d", "a\nb\nc\nd"),
        ];
        for (text, line, lines) in table {
            assert_eq!((&*Shown::line(text), &*Shown::lines(text)), (line, lines), "{text:?}");
        }
        assert_eq!(&*Shown::squeezed(" a \n\t b\u{85}\x1b "), "a b");
    }

    #[test]
    fn every_character_is_filtered_alike_and_once_is_enough() {
        for c in ('\0'..='\u{ffff}').chain('\u{e0000}'..='\u{e1000}') {
            let (line, lines) = (Shown::line(c), Shown::lines(c));
            assert!(!line.contains(char::is_control), "{c:?}");
            assert!(!lines.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{c:?}");
            assert_eq!((Shown::line(&line), Shown::lines(&lines)), (line, lines), "{c:?}");
        }
    }

    #[test]
    fn the_home_folder_is_a_tilde_where_a_shell_reads_it_so() {
        let table = [
            ("/home/me/a and `/home/me/b` (/home/me/c)", "~/a and `~/b` (~/c)"),
            ("chmod 700 /home/me/.x", "chmod 700 ~/.x"),
            // cron and systemd put nothing in its place, and no shell does between quotes.
            ("PATH=/home/me/bin:/usr/bin:/home/me/b", "PATH=/home/me/bin:/usr/bin:/home/me/b"),
            ("setenv PATH /home/me/bin:/usr/bin", "setenv PATH /home/me/bin:/usr/bin"),
            ("'/home/me/a b'", "'/home/me/a b'"),
            ("/home/meg/a /srv/home/me/b /home/me", "/home/meg/a /srv/home/me/b /home/me"),
        ];
        for (text, expected) in table {
            for home in ["/home/me", "/home/me/"] {
                assert_eq!(*shown!("{text}").with_tilde(Path::new(home)), *expected);
            }
            assert_eq!(*shown!("{text}").with_tilde(Path::new("/")), *text);
        }
    }

    #[test]
    fn a_limit_counts_characters() {
        for (text, limit, expected) in [("äöü", 2, "äö"), ("äöü", 3, "äöü"), ("äöü", 4, "äöü"), ("", 0, ""), ("a\x1bbc", 2, "ab")]
        {
            assert_eq!(&*Shown::line(text).at_most(limit), expected, "{text:?}");
        }
    }

    #[test]
    fn json_keeps_its_value() {
        let value = serde_json::json!({"a\u{9b}": "\x1b[2J \u{202e}\u{e0041}\u{2028}\x7f \n\t\r ä", "n": [1, null]});
        for json in [value.to_string(), serde_json::to_string_pretty(&value).unwrap().replace('\n', "\r\n")] {
            let shown = Shown::json(&json);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
            assert_eq!(Shown::lines(&*shown), shown);
        }
    }

    #[test]
    fn an_answer_keeps_all_but_control_characters() {
        assert_eq!(answer_on_terminal("a\x1b[2J\r\n\tb\u{202e}\u{9b}"), "a[2J\n\tb\u{202e}");
    }
}
