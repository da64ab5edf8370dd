//! Whoever looks at the terminal cannot tell that this program is there, until Claude refuses.

use super::person::Person;
use super::{ASKS, Home, VERSIONS};
use crate::auto::{self, TODAY, Version, each_of_a_share, in_two_hours, same};
use crate::support::life::signal;
use crate::support::script::says;
use crate::support::until;

/// `claude` as users type it, and the real Claude Code by its path.
fn programs(version: Version) -> [String; 2] {
    [auto::claude(version).display().to_string(), "claude".into()]
}

#[test]
fn the_screen_up_to_the_refusal() {
    each_of_a_share(&VERSIONS, 2, |&version| {
        let screens = programs(version).map(|program| {
            let home = Home::new(version);
            home.claude_says("The first of Claude.");
            let mut person = home.session(&format!("{program} --permission-mode default"));
            person.hears("Of apples.", "The first of Claude.");
            home.claude_is_at_its_limit(in_two_hours());
            person.asks(|person| person.says("Of pears."));
            person.terminal.wait_for("You've hit your");
            if version == TODAY {
                person.terminal.wait_for("set to continue automatically");
                person.terminal.wait_for("Continuing automatically");
            } else {
                person.terminal.wait_for("What do you want to do?");
            }
            let text = person.terminal.text_at_rest(comparable).join("\n");
            person.helpers.clear();
            text
        });
        let [expected, seen] = screens;
        same("lines", true, expected.lines().count() > 5)?;
        same("the screen", expected, seen)
    });
}

/// Without what differs from run to run: the tip, the line above, the words for having worked, and the moving creature, which
/// stands left of the first lines and is drawn with other characters from time to time.
fn comparable(screen: &str) -> Vec<String> {
    let first_prompt = screen.find('\u{276f}').unwrap_or(0);
    let (head, rest) = screen.split_at(first_prompt);
    let beside = |line: &str| line.trim_end().rsplit("  ").next().unwrap_or_default().to_string();
    let lines = head.lines().map(beside).chain(rest.lines().map(str::to_string)).map(|line| line.trim().to_string());
    let differs = |line: &String| {
        line.starts_with(['#', '$', '\u{273b}'])
            || ["before.$$", "/effort", "for shortcuts"].iter().any(|known| line.contains(known))
    };
    lines.filter(|line| !line.is_empty() && !differs(line)).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Ctrl-C, twice.
    Keys,
    Signal(&'static str),
    /// One that only Claude Code gets.
    OfClaude(&'static str),
}

#[test]
fn how_it_ends() {
    let ends =
        [End::Keys, End::Signal("TERM"), End::Signal("INT"), End::Signal("HUP"), End::OfClaude("KILL"), End::OfClaude("TERM")];
    let mut items: Vec<_> = ends.into_iter().map(|end| (TODAY, end)).collect();
    items.extend([End::Keys, End::Signal("TERM")].map(|end| (VERSIONS[0], end)));
    each_of_a_share(&items, 2, |&(version, end)| {
        let mut codes = vec![];
        for (at, program) in programs(version).into_iter().enumerate() {
            let home = Home::new(version);
            home.claude_says("An answer of Claude.");
            let person = home.session(&format!("{program} --permission-mode default"));
            person.hears("Of apples.", "An answer of Claude.");
            let (ours, claude_code) = (person.ours(), if at == 0 { person.ours() } else { person.claude_code() });
            match end {
                End::Keys => person.presses_ctrl_c_twice(),
                End::Signal(name) => signal(ours.ok_or("no process")?, name),
                End::OfClaude(name) => signal(claude_code.ok_or("no process")?, name),
            }
            until(60, "an end", || person.exit_code().is_some());
            codes.push(person.exit_code());
            if let (1, Some(code)) = (at, person.exit_code()) {
                person.has_left(code)?;
            }
        }
        same("exit code", codes[0], codes[1])
    });
}

fn is_resized(person: &Person, columns: u16) {
    person.terminal.resize(40, columns);
    let rule = "\u{2500}".repeat(columns.into());
    person.terminal.wait_until(&format!("rules of {columns}"), |shown| shown.lines().any(|line| line.trim_end() == rule));
}

#[test]
fn suspended_and_resized_on_both_sides() {
    each_of_a_share(&VERSIONS, 2, |&version| {
        let mut home = Home::new(version);
        let model = home.plays([says("The first of here."), says("The second of here.")]);
        home.claude_says("The first of Claude.");
        let person = home.in_bash("claude --permission-mode default");
        person.is_suspended_and_goes_on();
        person.is_at_box();
        is_resized(&person, 100);
        person.hears("Of apples.", "The first of Claude.");
        home.claude_is_at_its_limit(in_two_hours());
        person.is_refused("Of pears.");
        person.is_asked("Of plums.", ASKS);
        person.goes(|person| person.answers("Of plums.", "local"));
        person.reads("The first of here.");
        person.is_suspended_and_goes_on();
        person.is_at_box();
        is_resized(&person, 110);
        person.hears("Of nuts.", "The second of here.");
        same("replies that are left", 0, model.left())?;
        person.says("/exit");
        until(60, "the session ends", || person.ours().is_none());
        person.terminal.enter("echo it has ended: $?");
        person.terminal.wait_for("it has ended: 0");
        home.nothing_runs(20, Some(person.terminal.pid()), &person.helpers)
    });
}

#[test]
fn a_terminal_that_is_closed() {
    let items: Vec<_> = VERSIONS.into_iter().flat_map(|version| [false, true].map(|is_local| (version, is_local))).collect();
    each_of_a_share(&items, 2, |&(version, is_local)| {
        let mut home = Home::new(version);
        let _model = home.plays([says("An answer of here.")]);
        home.claude_is_at_its_limit(in_two_hours());
        let mut person = home.session("claude --permission-mode default");
        person.is_refused("Of pears.");
        if is_local {
            person.goes(|person| person.says("local"));
            person.hears("Of plums.", "An answer of here.");
        }
        person.terminal.hang_up();
        home.nothing_runs(20, None, &person.helpers)?;
        until(15, "no file", || home.files().is_empty());
        Ok(())
    });
}
