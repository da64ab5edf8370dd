//! A shell in a real terminal: tmux with a server of its own.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::{Cmd, Sandbox};

/// The terminal. It ends with all that runs in it when it is dropped.
pub struct Tmux<'a> {
    sandbox: &'a Sandbox,
}

impl Tmux<'_> {
    /// A shell in this folder, on a screen of 120 columns and 50 rows.
    pub fn new<'a>(sandbox: &'a Sandbox, folder: &Path) -> Tmux<'a> {
        let tmux = Tmux { sandbox };
        let size = ["-x", "120", "-y", "50"];
        tmux.run(tmux.tmux(&["-f", "/dev/null", "new-session", "-d"]).args(&size).arg("-c").arg(folder).arg("/bin/sh"));
        tmux
    }

    /// Types a line, and then the key that ends it: whoever draws the screen reads what comes at once as pasted.
    #[track_caller]
    pub fn enter(&self, line: &str) {
        self.run(self.tmux(&["send-keys", "-l", line]));
        let end: String = line.chars().rev().take(10).collect::<Vec<_>>().into_iter().rev().collect();
        self.wait_for(&end);
        self.key("Enter");
    }

    /// Types a key: `Enter`, `C-c`.
    #[track_caller]
    pub fn key(&self, key: &str) {
        self.run(self.tmux(&["send-keys", key]));
    }

    /// Waits until the screen shows `text`.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        let begun = Instant::now();
        loop {
            let shown = self.run(self.tmux(&["capture-pane", "-p", "-J"]));
            if shown.contains(text) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "no {text:?} on the screen:\n{shown}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// All that was ever shown.
    pub fn history(&self) -> String {
        self.run(self.tmux(&["capture-pane", "-p", "-J", "-S", "-"]))
    }

    /// What programs may leave behind: the alternate screen, mouse reports, and whether the cursor is seen.
    pub fn modes(&self) -> String {
        self.run(self.tmux(&["display-message", "-p", "#{alternate_on} #{mouse_any_flag} #{cursor_flag}"])).trim_end().into()
    }

    fn tmux(&self, args: &[&str]) -> Cmd {
        self.sandbox.cmd(tmux()).env("TMUX_TMPDIR", self.sandbox.home()).env("LC_ALL", "C.UTF-8").args(args)
    }

    #[track_caller]
    fn run(&self, cmd: Cmd) -> String {
        let output = cmd.run();
        assert_eq!(output.code(), 0, "{}", output.err());
        output.out()
    }
}

fn tmux() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("tmux")).find(|program| program.exists());
    found.expect("tmux is installed")
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]).run();
    }
}
