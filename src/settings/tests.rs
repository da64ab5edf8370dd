use std::collections::BTreeSet;

use super::*;

/// The rows of the table, and the methods that read them.
fn halves(code: &str) -> (&str, &str) {
    let (table, rest) = code.split_once("settings! {").expect("a table").1.split_once("impl Settings {").expect("methods");
    (table.split_once("\n}").expect("its end").0, rest.split_once("\n}").expect("their end").0)
}

fn unread(table: &str, methods: &str) -> Vec<String> {
    let settings = table.lines().filter_map(|line| line.split_whitespace().next());
    let words: BTreeSet<&str> = methods.split(|c: char| !(c.is_alphanumeric() || c == ':')).collect();
    settings.filter(|setting| !words.contains(format!("Setting::{setting}").as_str())).map(str::to_string).collect()
}

#[test]
fn no_name_is_twice_in_the_table() {
    let names: BTreeSet<&str> = SETTINGS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), SETTINGS.len());
}

/// That the methods are called, the compiler sees.
#[test]
fn each_setting_is_read() {
    let (table, methods) = halves(include_str!("../settings.rs"));
    assert_eq!(table.lines().filter(|line| line.ends_with("\",")).count(), SETTINGS.len());
    assert_eq!(unread(table, methods), Vec::<String>::new());
    assert_eq!(unread("    Port \"A\" \"b\",\n    Portal \"A\" \"b\",", "Setting::Port)"), ["Portal"]);
}

#[test]
fn the_environment_wins_and_the_last_line_counts_and_empty_is_unset() {
    fn environment(name: &str) -> Option<OsString> {
        Some(if name == "LLM_PORT" { "1" } else { "" }.into())
    }
    let file = [("LLM_PORT", "2"), ("CLAUDE_BIN", "a"), ("CLAUDE_BIN", "b"), ("LLM_NOTIFY_CMD", "c"), ("LLM_NOTIFY_CMD", "")];
    let settings = Settings::new(environment, file.map(|(name, value)| (name.into(), value.into())).into());
    assert!(settings.port().is_ok_and(|port| port == 1));
    assert_eq!(settings.claude_bin(), Some("b".into()));
    assert_eq!(settings.notify_command(), None);
}

#[test]
fn yes_and_no_as_people_write_them() {
    let table = [
        ("1 true yes on TRUE Yes oN", Some(true)),
        ("0 false no off FALSE No oFF", Some(false)),
        ("2 y n ja always 01 tru", None),
    ];
    for (words, expected) in table {
        for word in words.split(' ') {
            assert_eq!(parse_yes_or_no(word), expected, "{word}");
            assert_eq!(parse_yes_or_no(&format!(" {word}\t")), expected, "{word}");
        }
    }
    assert_eq!(parse_yes_or_no(" "), Some(false));
}
