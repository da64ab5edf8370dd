//! Service managers that are busy with an agent, or do not answer at all.

use std::fs;

use super::{LABEL, life, orders, uid};
use crate::support::life::{Life, signal, stand_in};
use crate::support::until;

/// The first words of what launchd was told to do.
fn launchd_verbs(life: &Life) -> Vec<String> {
    orders(life, "launchd").iter().filter_map(|order| Some(order.split(' ').next()?.to_string())).collect()
}

#[test]
fn an_agent_that_launchd_starts_later_is_waited_for() {
    let mut life = life("launchd", "ok");
    life.set("LAUNCHD_MODE", "scheduled");
    life.flip_to_local();
    assert_eq!(life.started().len(), 1);
    assert_eq!(launchd_verbs(&life), ["bootstrap", "kickstart"]);
    life.flip_to_claude();
}

#[test]
fn a_label_that_is_not_free_yet_is_asked_for_again() {
    for status in ["5", "37", "149"] {
        let mut life = life("launchd", "ok");
        life.set("LAUNCHD_MODE", format!("draining-{status}"));
        life.flip_to_local();
        life.flip_to_claude();
        let before = launchd_verbs(&life).len();
        life.flip_to_local();
        let verbs = launchd_verbs(&life).split_off(before);
        assert_eq!(verbs, ["bootstrap", "bootstrap", "bootstrap", "bootstrap", "kickstart"], "{status}");
        life.flip_to_claude();
        assert_eq!(life.started().len(), 2, "{status}");
    }
}

#[test]
fn a_kickstart_that_hangs_is_given_up_and_the_agent_loaded_anew() {
    let mut life = life("launchd", "ok");
    life.set("LAUNCHD_MODE", "hangs");
    life.set("LLM_START_TIMEOUT", "4");
    life.flip_to_local();
    assert_eq!(launchd_verbs(&life), ["bootstrap", "kickstart", "bootout", "bootstrap", "kickstart"]);
    assert_eq!(life.started().len(), 1);
    // The one that hung would still name the home.
    life.flip_to_claude();
}

#[test]
fn an_agent_that_is_loaded_and_has_ended_is_booted_out_first() {
    let life = life("launchd", "ok");
    life.flip_to_local();
    let first = life.started()[0];
    let before = launchd_verbs(&life).len();
    signal(first, "KILL");
    let target = format!("gui/{}/{LABEL}", uid());
    let print = || life.cmd(stand_in("launchctl")).args(&["print", &target]).run().out();
    until(20, "launchd knows that it has ended", || print().contains("last exit code = 9"));
    life.flip_to_local();
    assert_eq!(launchd_verbs(&life).split_off(before), ["bootout", "bootstrap", "kickstart"]);
    assert_eq!(life.started().len(), 2);
    life.flip_to_claude();
}

#[test]
fn a_service_manager_that_does_not_answer_is_named_with_what_to_do() {
    let launchd = format!(
        "`launchctl print gui/{}/{LABEL}` has not ended within 2 seconds; launchd does not answer: log out and in again, or \
         restart the Mac",
        uid()
    );
    let systemd = |verb: &str| {
        format!(
            "`systemctl --user {verb} {LABEL}.service` has not ended within 2 seconds; the user's systemd does not answer: see \
             `systemctl --user status`, or log out and in again"
        )
    };
    let table = [
        ("launchd", "LAUNCHD_MODE", "dead", launchd),
        ("systemd", "SYSTEMD_MODE", "dead", systemd("is-active")),
        ("systemd", "SYSTEMD_MODE", "hangs", systemd("start")),
    ];
    for (supervisor, key, mode, said) in table {
        let mut life = life(supervisor, "ok");
        life.set(key, mode);
        life.set("LLM_START_TIMEOUT", "2");
        let whole = format!("llm-failover: the local server did not come up: {said}\nhint: see `llm-failover logs`\n");
        life.failover(&["local"]).expect(3, "", &whole);
        assert_eq!(life.switch_word(), "", "{supervisor}");
        life.assert_nothing_runs();
        let calls = fs::read_to_string(life.path(supervisor).join("calls")).unwrap();
        // One that does not answer is not asked the next thing, either.
        let expected = if mode == "dead" { 1 } else { 6 };
        assert_eq!(calls.lines().count(), expected, "{supervisor} {mode}: {calls}");
    }
}
