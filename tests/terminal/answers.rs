//! What a person answers when a prompt was held, or need not answer: `wait`, another prompt, `LLM_FAILOVER_INTERACTIVE`.

use super::person::Person;
use super::{ASKS, ASKS_BACK, HELD, Home, VERSIONS};
use crate::auto::{TODAY, each_of_a_share, in_two_hours, same};
use crate::support::messages_api::questions_of_the_call;
use crate::support::script::says;

/// What comes after `Of plums.` was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Wait,
    TheSame,
    Another,
}

impl Then {
    fn happens(self, person: &Person) {
        match self {
            Then::Wait => person.answers("Of plums.", "wait"),
            Then::TheSame => person.adds(
                if person.gets_prompt_back() { "Of plums." } else { "" },
                if person.gets_prompt_back() { "" } else { "Of plums." },
            ),
            Then::Another => {
                if person.gets_prompt_back() {
                    person.terminal.wait_until("the prompt", |shown| super::person::in_box(shown) == Some("Of plums."));
                    person.terminal.key("C-u");
                }
                person.says("Of cherries.");
            }
        }
    }
}

#[test]
fn who_stays_is_not_asked_again() {
    let items: Vec<_> =
        VERSIONS.into_iter().flat_map(|version| [Then::Wait, Then::TheSame, Then::Another].map(|then| (version, then))).collect();
    each_of_a_share(&items, 2, |&(version, then)| {
        let mut home = Home::new(version);
        let model = home.plays([says("An answer of here.")]);
        home.claude_is_at_its_limit(in_two_hours());
        let person = home.session("claude --permission-mode default");
        person.is_refused("Of pears.");
        person.is_asked("Of plums.", ASKS);
        let held = person.held();
        person.refused(|person| then.happens(person));
        let last = questions_of_the_call(&home.api).pop().ok_or("not asked")?["messages"].to_string();
        let (plums, cherries) = (last.matches("Of plums.").count(), last.matches("Of cherries.").count());
        same("what is sent", if then == Then::Another { (0, 1) } else { (1, 0) }, (plums, cherries))?;

        person.refused(|person| person.says("Of nuts."));
        same("held since", held, person.held())?;
        same("sent", true, home.asked_of_claude().last().is_some_and(|said| said.join(" ").contains("Of nuts.")))?;
        person.goes(|person| person.says("local"));
        person.hears("Of figs.", "An answer of here.");
        let question = model.questions()[0]["messages"].to_string();
        for prompt in ["Of pears.", "Of nuts.", "Of figs."] {
            same(prompt, 1, question.matches(prompt).count())?;
        }
        same("notifications", 1, home.told().len())?;
        person.leaves()
    });
}

#[test]
fn both_ways_without_asking() {
    each_of_a_share(&VERSIONS, 2, |&version| {
        let mut home = Home::new(version);
        let model = home.plays([says("An answer of here.")]);
        home.sandbox.set("LLM_FAILOVER_INTERACTIVE", "auto");
        home.claude_is_at_its_limit(in_two_hours());
        let person = home.session("claude --permission-mode default");
        person.is_refused("Of pears.");
        person.goes(|person| person.says("Of plums."));
        person.reads("An answer of here.");
        home.lets_limits_pass();
        home.claude_says("An answer of Claude.");
        person.goes(|person| person.says("Of nuts."));
        person.reads("An answer of Claude.");
        same(
            "said to Claude",
            Some("Of pears. Of plums./An answer of here./Of nuts."),
            home.asked_of_claude().last().map(|said| said.join("/")).as_deref(),
        )?;
        same("local questions", 1, model.questions().len())?;
        same("asked for an answer", false, person.terminal.history().contains("Type `"))?;
        person.leaves()
    });
}

/// By `exec`, and with nothing on the command line.
#[test]
fn who_wants_that_has_claude_code_alone() {
    let mut home = Home::new(TODAY);
    home.sandbox.set("LLM_FAILOVER_INTERACTIVE", "never");
    home.claude_is_at_its_limit(in_two_hours());
    let person = home.session("sh -c 'echo $$ > pid; exec claude --permission-mode default'");
    let pid = std::fs::read_to_string(home.work().join("pid")).unwrap();
    assert_eq!(person.ours().map(|pid| format!("{pid}\n")), Some(pid));
    let process = super::processes().into_iter().find(|process| Some(process.pid) == person.ours()).unwrap();
    assert!(process.args.ends_with("claude --permission-mode default"), "{}", process.args);
    assert_eq!((person.claude_code(), home.files().len()), (None, 0));
    for prompt in ["Of pears.", "Of plums."] {
        person.refused(|person| person.says(prompt));
    }
    assert!(!person.terminal.text().contains(HELD));
    assert_eq!((home.told().len(), home.status().as_str()), (0, "answers"));
    person.leaves().unwrap();
}

#[test]
fn a_limit_that_has_passed_is_told_once() {
    each_of_a_share(&VERSIONS, 2, |&version| {
        let mut home = Home::new(version);
        let model = home.plays([says("The first of here."), says("The second of here."), says("The third of here.")]);
        home.claude_is_at_its_limit(in_two_hours());
        let person = home.session("claude --permission-mode default");
        person.is_refused("Of pears.");
        person.goes(|person| person.says("local"));
        person.hears("Of plums.", "The first of here.");
        home.lets_limits_pass();
        person.is_asked("Of nuts.", ASKS_BACK);
        same("why", true, person.terminal.text().contains("Claude\u{2019}s limit has ended.\n"))?;
        match person.gets_prompt_back() {
            true => person.adds("Of nuts.", ""),
            false => person.says("Of nuts."),
        }
        person.reads("The second of here.");
        person.hears("Of dates.", "The third of here.");
        home.claude_says("An answer of Claude.");
        person.goes(|person| person.says("claude"));
        person.hears("Of figs.", "An answer of Claude.");
        let said = home.asked_of_claude().last().map(|said| said.join("/")).unwrap_or_default();
        for prompt in ["Of pears.", "Of plums.", "Of nuts.", "Of dates.", "Of figs."] {
            same(&said, 1, said.matches(prompt).count())?;
        }
        same("replies that are left", 0, model.left())?;
        person.leaves()
    });
}
