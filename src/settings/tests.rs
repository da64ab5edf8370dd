use std::collections::BTreeSet;

use super::*;
use crate::text::parse_yes_or_no;

/// The settings in the rows of the table.
fn rows(table: &str) -> Vec<&str> {
    let table = table.split_once("settings! {").expect("a table").1.split_once("\n}").expect("its end").0;
    table
        .lines()
        .filter(|line| line.starts_with("    ") && !line.starts_with("     "))
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

fn unread<'a>(rows: &[&'a str], methods: &str) -> Vec<&'a str> {
    let words: BTreeSet<&str> = methods.split(|c: char| !(c.is_alphanumeric() || c == ':')).collect();
    rows.iter().copied().filter(|setting| !words.contains(format!("Setting::{setting}").as_str())).collect()
}

#[test]
fn no_name_is_twice_in_the_table() {
    let names: BTreeSet<&str> = SETTINGS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), SETTINGS.len());
}

/// That the methods are called, the compiler sees.
#[test]
fn each_setting_is_read() {
    let rows = rows(include_str!("table.rs"));
    assert_eq!(rows.len(), SETTINGS.len());
    assert_eq!(unread(&rows, &(include_str!("values.rs").to_string() + include_str!("../settings.rs"))), Vec::<&str>::new());
    assert_eq!(unread(&["Port", "Portal"], "Setting::Port)"), ["Portal"]);
}

#[test]
fn each_default_can_be_used() {
    for variable in Variable::all() {
        if let table::Unset::Is(default) = variable.unset() {
            let default = default.replace("$LLM_PORT", "1");
            assert!(variable.check(default.as_ref()).is_ok(), "{}: {default}", variable.name());
        }
    }
}

#[test]
fn the_environment_wins_and_the_last_line_counts_and_empty_is_unset() {
    fn environment(name: &str) -> Option<OsString> {
        Some(if name == "LLM_PORT" { "1" } else { "" }.into())
    }
    let file = [("LLM_PORT", "2"), ("CLAUDE_BIN", "a"), ("CLAUDE_BIN", "b"), ("LLM_NOTIFY_CMD", "c"), ("LLM_NOTIFY_CMD", "")];
    let settings = Settings::new(
        environment,
        file.map(|(name, value)| Assignment { name: name.into(), value: value.into(), line: 1 }).into(),
    );
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
