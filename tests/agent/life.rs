//! A gateway lives as long as its Claude Code, and no longer.

use std::process::Child;
use std::time::Duration;

use serde_json::{Value, json};

use super::{CONTEXT, DONE, FREE, Home, VERSIONS, done};
use crate::auto::{TODAY, each, each_of_a_share, same};
use crate::support::life::{processes_at_home, processes_naming, signal};
use crate::support::script::{Manner, Reply, Script, calls, computed, says};
use crate::support::{until, wait};

#[derive(Clone, Copy, Debug)]
enum Death {
    /// Ctrl-C goes to the whole job.
    Interrupt,
    Kill,
}

#[test]
fn an_answer_that_nobody_waits_for_is_cancelled() {
    let mut items: Vec<_> = VERSIONS.map(|version| (version, Death::Interrupt)).into();
    items.push((TODAY, Death::Kill));
    each_of_a_share(&items, 3, |&(version, death)| {
        let mut home = Home::new(version);
        let model = home.plays(Manner::Pieces, [Reply::Begins("the beginning ".into())]);
        let mut child = home.ask("do it", &[FREE]).spawn();
        drop(child.stdin.take());
        until(60, "a question", || model.questions().len() == 1);
        let gateways = gateways(&child);
        let pid = child.id() as i32;
        match death {
            Death::Interrupt => signal(-pid, "INT"),
            Death::Kill => signal(pid, "KILL"),
        }
        let end = wait(&mut child, Duration::from_secs(60));
        same("an end", true, end.is_some())?;
        same("gateways", 1, gateways.len())?;
        until(20, "the answer is cancelled", || model.gone() == 1);
        home.is_left_clean()
    });
}

#[test]
fn an_answer_that_breaks_is_an_error() {
    each_of_a_share(&VERSIONS, 3, |&version| {
        let mut home = Home::new(version);
        // Some versions ask again.
        let model = home.plays(Manner::Pieces, (0..10).map(|_| Reply::Cut("the beginning ".into())));
        let output = home.ask("do it", &[FREE, "--output-format", "json"]).run();
        same("exit code", 1, output.code()).map_err(|fault| format!("{fault}: {}", output.out()))?;
        let result: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("{error}: {}", output.out()))?;
        same("is_error", &json!(true), &result["is_error"])?;
        let said = result["result"].as_str().unwrap_or_default();
        same("what is said", true, said.starts_with("API Error: ")).map_err(|_| said.to_string())?;
        same("a few questions at most", true, (1..=4).contains(&model.questions().len()))?;
        home.is_left_clean()
    });
}

#[test]
fn a_gateway_that_dies_is_missed() {
    let mut home = Home::new(TODAY);
    let place = home.sandbox.home().to_path_buf();
    let model = home.plays(
        Manner::Pieces,
        [
            computed(move |_| {
                let here = processes_at_home(&place);
                for (pid, _) in processes_naming("--gateway ").into_iter().filter(|(pid, _)| here.contains(pid)) {
                    signal(pid, "KILL");
                }
                says("nobody hears this")
            }),
            done(),
        ],
    );
    let output = home.ask("do it", &[FREE]).run();
    assert_eq!(output.code(), 1, "{output:?}");
    assert!(output.out().starts_with("API Error: "), "{output:?}");
    assert_eq!(output.out().lines().count(), 1, "{output:?}");
    assert_eq!(home.settings().len(), 1, "nobody was there to remove them");
    // The next one does.
    let output = home.ask("do it", &[FREE]).run();
    assert_eq!((output.code(), output.out()), (0, format!("{DONE}\n")));
    assert_eq!(model.left(), 0);
    home.is_left_clean().unwrap();
}

#[test]
fn two_at_once_have_a_gateway_each() {
    let home = Home::new(TODAY);
    each(&["one", "two"], |name| {
        let command = format!("echo {name} >> {name}.txt");
        let call = || calls(&[("Bash", json!({"command": command}))]);
        let model = Script::new(Manner::Whole, CONTEXT, [call(), call(), call(), says(*name)]);
        let output = home.ask(name, &[FREE]).env("LOCAL_LLM_URL", model.url()).run();
        same("end", (0, format!("{name}\n")), (output.code(), output.out()))?;
        same("file", format!("{name}\n").repeat(3), home.read(&format!("{name}.txt")))?;
        same("questions", 4, model.questions().len())
    });
    home.is_left_clean().unwrap();
}

fn gateways(claude: &Child) -> Vec<(i32, String)> {
    processes_naming(&format!("--gateway {}", claude.id()))
}
