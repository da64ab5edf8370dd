//! From the first key to the last: a refusal, the local model, and Claude again.

use serde_json::{Value, json};

use super::{ASKS, HELD, Home, VERSIONS, conversation};
use crate::auto::{clock, each, in_two_hours, same};
use crate::support::script::{calls, results, says};
use crate::support::until;

#[test]
fn a_session_goes_over_and_back() {
    each(&VERSIONS, |&version| {
        let mut home = Home::new(version);
        let model = home.plays([
            says("The first of here."),
            calls(&[("Bash", json!({"command": "touch made"}))]),
            says("The file is there."),
        ]);
        home.claude_says("The first of Claude.");
        let person = home.session("claude --permission-mode default");
        person.hears("Of apples.", "The first of Claude.");
        home.claude_is_at_its_limit(in_two_hours());
        person.is_refused("Of pears.");
        until(20, "the user is told", || !home.told().is_empty());
        same("local questions", 0, model.questions().len())?;
        same("held", 0, person.terminal.text().matches(HELD).count())?;

        let asked = home.asked_of_claude().len();
        person.is_asked("Of plums.", ASKS);
        let limited = format!("is at its 5-hour limit until {}", clock(in_two_hours()));
        let said = format!("Claude {limited} (\u{201c}You've hit your");
        same("why", 1, person.terminal.text().matches(&said).count())?;
        same("status", true, home.status().starts_with(&limited))?;
        let line = home.sandbox.cmd("llm-failover").arg("statusline").run().out();
        same("status line", format!("auto: local until {}\n", clock(in_two_hours())), line)?;
        person.goes(|person| person.answers("Of plums.", "local"));
        person.reads("The first of here.");
        same("asked of Claude meanwhile", asked, home.asked_of_claude().len())?;
        let mut all = vec!["Of apples.", "The first of Claude.", "Of pears. Of plums."];
        same("said to the local model", &all, &conversation(&model.questions()[0]).iter().map(String::as_str).collect())?;

        person.says("Make it.");
        person.allows("The file is there.");
        same("the tool has run", true, home.work().join("made").exists())?;
        same("its results", 1, results(&model.questions()[2]).len())?;

        home.claude_says("The second of Claude.");
        person.goes(|person| person.says("claude"));
        person.hears("Of nuts.", "The second of Claude.");
        all.extend(["The first of here.", "Make it.", "The file is there.", "Of nuts."]);
        same(
            "said to Claude",
            Some(&all),
            home.asked_of_claude().last().map(|said| said.iter().map(String::as_str).collect()).as_ref(),
        )?;
        home.claude_says("The third of Claude.");
        person.hears("Of figs.", "The third of Claude.");
        until(20, "the user is told", || home.told().len() > 1);

        person.leaves()?;
        let told = [
            format!("Claude {limited}. The local model answers until it is back."),
            "Claude answers again. Calls go to Claude.".into(),
        ];
        same("notifications", told.to_vec(), home.told())?;
        same("status", "answers", home.status().as_str())?;
        let ledger = home.ledger();
        let entries: Vec<[&Value; 5]> =
            ledger.iter().map(|entry| ["applet", "route", "verdict", "backend", "model"].map(|field| &entry[field])).collect();
        let expected =
            json!([["claude", "terminal", "five_hour", "claude", null], ["claude", "terminal", "five_hour", "local", "tiny"]]);
        same("ledger", expected, json!(entries))?;
        same("replies that are left", 0, model.left())
    });
}
