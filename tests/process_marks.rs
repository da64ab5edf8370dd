//! What `server.pid` says: of a version before this one, whose marks were those of ps(1), or of a process that is long gone. No
//! other process is taken for the server, and the server is known for what it is.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use crate::support::life::{Life, python};
use crate::support::until;

/// A process that leads a group, as a server does.
struct Leader(Child);

impl Leader {
    /// The text of its `server.pid` stands in its environment, if it `is_server`.
    fn start(life: &Life, mark: &str, is_server: bool) -> Leader {
        let mut command = Command::new("/bin/sh");
        let text = format!("$$ {mark} {}", life.port);
        let id = if is_server { format!("export CLAUDE_FAILOVER_SERVER=\"{text}\"; ") } else { String::new() };
        let file = life.path(".local/state/claude-failover/server.pid");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        // The process that is the server at last has the variable from its start.
        // Of the system's own programs macOS tells no environment, hence Python.
        let script = format!(
            "{id}echo \"{text}\" > {0}.new; mv {0}.new {0}; exec '{1}' -c 'import time; time.sleep(600)'",
            file.display(),
            python().display()
        );
        let child = command.args(["-c", &script]).process_group(0).spawn().unwrap();
        let leader = Leader(child);
        until(20, "it has become the server", || file.exists() && leader.is_python());
        leader
    }

    fn is_python(&self) -> bool {
        let output = Command::new("ps").args(["-ww", "-o", "args=", "-p", &self.0.id().to_string()]).output().expect("ps");
        let args = String::from_utf8_lossy(&output.stdout).into_owned();
        args.contains("time.sleep") && !args.contains("exec ")
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const MARK_OF_PS: &str = "Thu_Nov_26_20:29:01_2026";

#[test]
fn another_process_with_the_same_number_is_let_alone() {
    for mark in [MARK_OF_PS, "1", ""] {
        let life = Life::new("ok");
        let mut other = Leader::start(&life, mark, false);
        life.failover(&["stop"]).expect(0, "local server: down (lazy)\n", "");
        assert!(!life.path(".local/state/claude-failover/server.pid").exists(), "{mark}");
        assert_eq!(other.0.try_wait().unwrap(), None, "{mark}");
    }
}

#[test]
fn a_server_that_the_version_before_has_started_is_stopped() {
    let life = Life::new("ok");
    let mut server = Leader::start(&life, MARK_OF_PS, true);
    let stop = life.begin("llm-failover", &["stop"]);
    until(20, "it ends", || server.0.try_wait().unwrap().is_some());
    let output = stop.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""), "{output:?}");
}
