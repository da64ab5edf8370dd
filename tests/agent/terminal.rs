//! A person at a terminal, from the first key to the last.

use std::thread;
use std::time::Duration;

use serde_json::json;

use super::{Home, SAID, VERSIONS};
use crate::auto::{TODAY, each, same};
use crate::support::script::{Manner, Reply, calls, results, says};
use crate::support::terminal::Terminal;
use crate::support::until;

#[test]
fn a_session_at_a_terminal() {
    each(&[VERSIONS[2], TODAY], |&version| {
        let mut home = Home::new(version);
        // The folder as the system names it.
        let work = home.sandbox.path("work").canonicalize().expect("a folder");
        let project = json!({"hasTrustDialogAccepted": true, "allowedTools": []});
        let state = json!({"hasCompletedOnboarding": true, "theme": "dark", "projects": {work.to_string_lossy(): project}});
        home.sandbox.write(".claude.json", state.to_string());
        let model = home.plays(
            Manner::Pieces,
            [
                calls(&[("Bash", json!({"command": "touch made"}))]),
                says("The file is there."),
                Reply::Begins("An answer without an end:\n\nand on ".into()),
                says("It went on."),
            ],
        );
        let terminal = Terminal::new(&home.sandbox, &work);
        terminal.enter("stty -g > before; claude --permission-mode default; echo it has ended: $?; stty -g > after");
        terminal.wait_for("❯");
        terminal.enter("make it");
        terminal.wait_for("Do you want to");
        same("before the answer", false, work.join("made").exists())?;
        until(60, "the question is answered", || {
            // A key that comes with the question is not for it.
            thread::sleep(Duration::from_millis(500));
            terminal.key("Enter");
            model.questions().len() == 2
        });
        terminal.wait_for("The file is there.");
        same("after it", true, work.join("made").exists())?;
        same("results", 1, results(&model.questions()[1]).len())?;

        terminal.enter("and on");
        until(60, "the question arrives", || model.questions().len() == 3);
        terminal.wait_for("esc to interrupt");
        // Before a line of the answer is there, the key takes the question back.
        terminal.wait_for("An answer without an end:");
        terminal.key("C-c");
        terminal.wait_for("Interrupted");
        until(20, "the answer is cancelled", || model.gone() == 1);
        terminal.enter("once more");
        terminal.wait_for("It went on.");

        terminal.enter("/exit");
        terminal.wait_for("it has ended: 0");
        let setting = |name: &str| std::fs::read_to_string(work.join(name)).unwrap_or_default();
        until(20, "the line ends", || !setting("after").is_empty());
        same("settings of the terminal", setting("before"), setting("after"))?;
        same("alternate screen, mouse, cursor", "0 0 1", terminal.modes().as_str())?;
        same("what was said at the beginning", 1, terminal.history().matches(SAID.trim_end()).count())?;
        same("replies that are left", 0, model.left())?;
        drop(terminal);
        home.is_left_clean()
    });
}
