//! The man pages say what the programs' own help says, and what the documents say of settings, exit codes and files.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use claude_failover::SETTINGS;

use crate::support::Sandbox;

pub const PAGES: [&str; 3] = ["agent-llm", "claude-failover", "llm-failover"];

pub fn path(page: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("man/{page}.1"))
}

/// The lines of a page between a heading and the next.
fn section(page: &str, heading: &str) -> Vec<String> {
    let text = fs::read_to_string(path(page)).unwrap();
    let lines = text.lines().skip_while(|line| line.strip_prefix(".Sh ") != Some(heading)).skip(1);
    let lines: Vec<_> = lines.take_while(|line| !line.starts_with(".Sh ")).map(str::to_string).collect();
    assert!(!lines.is_empty(), "{page}: {heading}");
    lines
}

/// An item of a list: what stands behind `.It`, and the lines below, with the lists in them.
struct Item {
    head: String,
    body: Vec<String>,
}

fn items(lines: &[String]) -> Vec<Item> {
    let (mut items, mut depth) = (Vec::<Item>::new(), 0);
    for line in lines {
        depth -= usize::from(line == ".El");
        match (depth, line.strip_prefix(".It ")) {
            (1, Some(head)) => items.push(Item { head: head.into(), body: Vec::new() }),
            (1.., _) => items.last_mut().map_or((), |item| item.body.push(line.clone())),
            _ => {}
        }
        depth += usize::from(line.starts_with(".Bl "));
    }
    items
}

/// An item's head as a usage line has it: `Cm log Op Fl n Ar lines` is `log [-n <lines>]`.
fn usage(head: &str) -> String {
    let (mut said, mut open, mut is_glued) = (String::new(), 0, true);
    let mut words = head.split(' ');
    while let Some(word) = words.next() {
        let mut argument = || words.next().expect("a word behind a macro");
        let piece = match word {
            "Op" | "Oo" => {
                open += usize::from(word == "Op");
                "[".to_string()
            }
            "Oc" => "]".to_string(),
            "Fl" => format!("-{}", argument()),
            "Ar" => format!("<{}>", argument()),
            "Cm" => argument().to_string(),
            _ => word.to_string(),
        };
        let glues = piece == "]" || piece == "," || is_glued;
        said += if glues { "" } else { " " };
        said += &piece;
        is_glued = piece == "[";
    }
    said + &"]".repeat(open)
}

fn help(words: &[&str]) -> String {
    let output = Sandbox::new().cmd("llm-failover").args(words).arg("--help").run();
    assert_eq!((output.code(), output.err().as_str()), (0, ""), "{words:?}");
    output.out()
}

/// The first words of the rows of a list in a help text, as they stand there.
fn rows(help: &str, heading: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.is_empty());
    let lines = lines.filter_map(|line| line.strip_prefix("  ").filter(|row| !row.starts_with(' ')));
    lines.map(|row| row.split("  ").next().unwrap_or(row).to_string()).collect()
}

/// The options of a command, each with the name of its value: `-n, --lines <lines>`.
fn options(help: &str) -> BTreeSet<String> {
    let used = help.lines().next().unwrap();
    let value = |row: &String| {
        let value = |name: &str| Some(used.split(&format!("{name} <")).nth(1)?.split('>').next()?.to_string());
        row.split(", ").find_map(value).map_or(row.clone(), |value| format!("{row} <{value}>"))
    };
    rows(help, "Options:").iter().map(value).collect()
}

/// All commands below one, each with its help: `config`, `config get`, …
fn commands(above: &[&str], help_above: &str) -> Vec<(String, String)> {
    let below = |name: String| {
        let words = [above, &[name.as_str()]].concat();
        let help = help(&words);
        let deeper = commands(&words, &help);
        [vec![(words.join(" "), help)], deeper].concat()
    };
    rows(help_above, "Commands:").into_iter().flat_map(below).collect()
}

fn heads(lines: &[String], kind: &str) -> BTreeSet<String> {
    items(lines).iter().filter(|item| item.head.starts_with(kind)).map(|item| usage(&item.head)).collect()
}

#[test]
fn each_command_and_option_of_the_help_stands_in_the_page_and_nothing_else_does() {
    let top = help(&[]);
    assert_eq!(heads(&section("llm-failover", "DESCRIPTION"), "Fl "), options(&top));
    let items = items(&section("llm-failover", "COMMANDS"));
    let name =
        |item: &Item| usage(&item.head).split([' ', '[', '<']).take_while(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let commands = commands(&[], &top);
    assert_eq!(items.iter().map(name).collect::<Vec<_>>(), commands.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
    for (item, (name, help)) in items.iter().zip(commands) {
        let used = help.lines().next().unwrap().replace(" [--]", "").replace(" [<command>] [<args>]", "");
        // As argh says that there may be several.
        let used = used.replace("[value...]", "[<value> ...]");
        let mut own = options(&help);
        assert!(own.remove("-h, --help"), "{name}");
        // Many options stand in their list alone.
        let used = if own.len() > 5 { format!("Usage: llm-failover {name} [<option> ...]") } else { used };
        assert_eq!(format!("Usage: llm-failover {}", usage(&item.head)), used);
        assert_eq!(heads(&item.body, "Fl "), own, "{name}");
    }
}

#[test]
fn the_page_of_the_binary_has_the_names_and_options_of_its_help() {
    let sandbox = Sandbox::new();
    let binary = *crate::support::BINARY;
    let list = sandbox.cmd(binary).arg("--list").run().out();
    let page = section("claude-failover", "DESCRIPTION");
    assert_eq!(heads(&page, "Cm "), list.lines().map(str::to_string).collect());
    let help = sandbox.cmd(binary).arg("--help").run().out();
    let used = help.lines().filter_map(|line| line.trim().strip_prefix("claude-failover ")?.split("   ").next());
    let used = used.filter(|used| used.starts_with('-')).map(str::to_string);
    let of_page = heads(&page, "Fl ").into_iter().map(|head| head.to_uppercase());
    assert_eq!(
        of_page.collect::<BTreeSet<_>>(),
        used.map(|used| used.replace("DIR", "<DIR>").replace("NAME…", "<NAME> ...").to_uppercase()).collect()
    );
}

#[test]
fn the_settings_are_those_of_the_table_in_its_words() {
    let told = items(&section("claude-failover", "ENVIRONMENT"));
    let told: Vec<_> = told.iter().map(|item| (item.head.clone(), item.body.join(" "))).collect();
    let row = |(name, meaning): &(&str, &str)| {
        let (first, rest) = meaning.split_at(1);
        (format!("Ev {name}"), format!("{}{rest}.", first.to_uppercase()))
    };
    assert_eq!(told, SETTINGS.iter().map(row).collect::<Vec<_>>());
    for page in PAGES {
        let text = fs::read_to_string(path(page)).unwrap();
        for name in text.lines().filter_map(|line| line.strip_prefix(".Ev ")?.split(' ').next()) {
            assert!(
                ["EDITOR", "PATH", "VISUAL"].contains(&name) || SETTINGS.iter().any(|(known, _)| *known == name),
                "{page}: {name}"
            );
        }
    }
}

/// The rows of the first table below a heading of `docs/settings.md`.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = fs::read_to_string(path("x").with_file_name("../docs/settings.md")).unwrap();
    let lines = page.lines().skip_while(|line| *line != format!("## {heading}")).skip(4);
    let lines = lines.take_while(|line| line.starts_with("| "));
    lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect()).collect()
}

#[test]
fn the_exit_codes_are_those_of_the_documents() {
    let rows = table("Exit codes");
    for page in ["agent-llm", "llm-failover"] {
        let is_from = |from: &str| from == "all" || from.contains(&format!("`{page}"));
        let known: Vec<_> = rows.iter().filter(|row| is_from(&row[1])).map(|row| row[0].clone()).collect();
        assert!(known.len() > 4, "{known:?}");
        let told: Vec<_> = items(&section(page, "EXIT STATUS")).into_iter().map(|item| item.head).collect();
        assert_eq!(told, known, "{page}");
    }
}

#[test]
fn the_files_are_those_of_the_documents() {
    let known: Vec<_> = table("Files").iter().map(|row| row[0].trim_matches('`').to_string()).collect();
    assert!(known.len() > 3, "{known:?}");
    let paths = |page| items(&section(page, "FILES")).into_iter().map(|item| item.head.replacen("Pa ", "", 1));
    assert_eq!(paths("claude-failover").collect::<Vec<_>>(), known);
    for page in PAGES {
        assert!(paths(page).all(|path| known.contains(&path)), "{page}");
    }
}

#[test]
fn each_page_leads_to_pages_that_there_are() {
    let files = fs::read_dir(path("x").parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(files.collect::<BTreeSet<_>>(), PAGES.map(path).into());
    for page in PAGES {
        let text = fs::read_to_string(path(page)).unwrap();
        let others: BTreeSet<_> = text.lines().filter_map(|line| line.strip_prefix(".Xr ")?.split(' ').next()).collect();
        assert_eq!(others, PAGES.into_iter().filter(|other| *other != page).collect(), "{page}");
    }
}
