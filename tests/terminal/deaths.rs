//! Whatever is killed, nothing is left running, the terminal is as it was, and no prompt is lost.

use super::person::Person;
use super::{ASKS, Home, VERSIONS, conversation};
use crate::auto::{TODAY, each_of_a_share, in_two_hours, same};
use crate::support::life::signal;
use crate::support::script::says;
use crate::support::until;

/// How long the rest may take to end, in seconds.
const SOON: u64 = 5;

fn kill(pid: Option<i32>) -> Result<(), String> {
    signal(pid.ok_or("no such process")?, "KILL");
    Ok(())
}

/// A session with the local model, of which Claude has refused a prompt.
fn at_local_model(person: &Person) {
    person.home.claude_is_at_its_limit(in_two_hours());
    person.is_refused("Of pears.");
    person.is_asked("Of plums.", ASKS);
    person.goes(|person| person.answers("Of plums.", "local"));
    person.reads("The first of here.");
}

#[test]
fn we_are_killed() {
    let items: Vec<_> = VERSIONS.into_iter().flat_map(|version| [false, true].map(|is_local| (version, is_local))).collect();
    each_of_a_share(&items, 2, |&(version, is_local)| {
        let mut home = Home::new(version);
        let _model = home.plays([says("The first of here.")]);
        let person = home.session("claude --permission-mode default");
        match is_local {
            true => at_local_model(&person),
            false => person.hears("Of apples.", "An answer of Claude."),
        }
        kill(person.ours())?;
        home.nothing_runs(SOON, Some(person.terminal.pid()), &person.helpers)?;
        // The shell went on while Claude Code was at the terminal still.
        person.terminal.enter("stty -g > later.$$");
        until(20, "the settings of the terminal", || !person.setting("later").is_empty());
        same("settings of the terminal", person.setting("before"), person.setting("later"))?;
        same("alternate screen, mouse, cursor", "0 0 1", person.terminal.modes().as_str())?;
        drop(person);
        // Who comes next removes what nobody was there to remove.
        let mut next = home.shell();
        next.begins("claude --permission-mode default");
        next.leaves()
    });
}

#[test]
fn claude_code_is_killed() {
    let items: Vec<_> = VERSIONS.into_iter().flat_map(|version| [false, true].map(|is_local| (version, is_local))).collect();
    each_of_a_share(&items, 2, |&(version, is_local)| {
        let mut home = Home::new(version);
        let _model = home.plays([says("The first of here.")]);
        let person = home.session("claude --permission-mode default");
        match is_local {
            true => at_local_model(&person),
            false => person.hears("Of apples.", "An answer of Claude."),
        }
        kill(person.claude_code())?;
        person.has_left(137)
    });
}

#[test]
fn the_gateway_is_killed() {
    each_of_a_share(&VERSIONS, 2, |&version| {
        let mut home = Home::new(version);
        home.sandbox.set("CLAUDE_CODE_MAX_RETRIES", "1");
        let _model = home.plays([says("The first of here.")]);
        let person = home.session("claude --permission-mode default");
        at_local_model(&person);
        kill(person.helper("--gateway"))?;
        let answers = home.answers().len();
        person.says("Of nuts.");
        until(60, "an error", || home.answers().len() > answers);
        home.claude_says("The second of Claude.");
        person.goes(|person| person.says("claude"));
        person.hears("Of figs.", "The second of Claude.");
        let said = home.asked_of_claude().last().map(|said| said.join("/")).unwrap_or_default();
        for prompt in ["Of pears.", "Of plums.", "The first of here.", "Of nuts.", "Of figs."] {
            same(&said, 1, said.matches(prompt).count())?;
        }
        person.leaves()
    });
}

#[test]
fn the_guardian_is_killed() {
    let mut home = Home::new(TODAY);
    let model = home.plays([says("The first of here.")]);
    home.claude_says("An answer of Claude.");
    let person = home.session("claude --permission-mode default");
    kill(person.helper("--guard")).unwrap();
    person.hears("Of apples.", "An answer of Claude.");
    at_local_model(&person);
    assert_eq!(conversation(&model.questions()[0]), ["Of apples.", "An answer of Claude.", "Of pears. Of plums."]);
    person.leaves().unwrap();
}

/// The prompt goes its way, as if there were no hook.
#[test]
fn a_hook_is_killed() {
    each_of_a_share(&VERSIONS, 2, |&version| {
        let home = Home::new(version);
        home.claude_says("An answer of Claude.");
        let mut person = home.program("claude", &["--permission-mode", "default"]);
        person.is_at_box();
        person.helpers.extend(person.helper("--guard"));
        let ours = person.ours().ok_or("no process")?;
        signal(ours, "STOP");
        person.says("Of apples.");
        let hook = || {
            let socket = home.sandbox.path(".local/state/claude-failover/agents");
            let is_hook =
                |args: &str| args.contains(" --hook ") && args.contains(&*socket.to_string_lossy()) && !args.contains("sh -c");
            super::processes().into_iter().find(|process| is_hook(&process.args)).map(|process| process.pid)
        };
        until(60, "a hook", || hook().is_some());
        kill(hook())?;
        person.reads("An answer of Claude.");
        signal(ours, "CONT");
        person.asks(|person| person.says("Of pears."));
        same("asked", 2, home.asked_of_claude().len())?;
        person.says("/exit");
        home.nothing_runs(20, None, &person.helpers)?;
        same("exit code", 0, person.terminal.end())
    });
}
