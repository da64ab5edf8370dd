//! The ways of newcomers: what somebody types who has our binary and a model server, up to the first local answer. The count of commands is
//! held; the seconds are told (`--nocapture`), since they are the machine's.

use std::time::Instant;

use crate::setup::servers::{SAID, ollama};
use crate::support::stub::Stub;
use crate::support::{BINARY, Output, Sandbox};

/// Somebody at a shell, in an empty home.
pub struct Newcomer {
    pub sandbox: Sandbox,
    who: &'static str,
    commands: usize,
    begun: Instant,
}

impl Newcomer {
    /// `bin` is empty, and the binary is where it was downloaded to.
    pub fn new(who: &'static str) -> Newcomer {
        let mut sandbox = Sandbox::new();
        std::fs::remove_dir_all(sandbox.path("bin")).expect("our links");
        std::os::unix::fs::symlink(*BINARY, sandbox.path("claude-failover")).expect("a link");
        sandbox.set_path(&["/usr/bin", "/bin"]);
        Newcomer { sandbox, who, commands: 0, begun: Instant::now() }
    }

    /// A command that has to go well.
    pub fn types(&mut self, line: &str) -> Output {
        self.commands += 1;
        let output = self.sandbox.cmd("/bin/sh").args(&["-c", line]).run();
        assert_eq!((output.code(), output.err().as_str()), (0, ""), "{line}: {output:?}");
        output
    }

    /// Has got an answer.
    pub fn done_after(self, commands: usize) {
        println!("{}: {} commands, {:.1} s", self.who, self.commands, self.begun.elapsed().as_secs_f64());
        assert_eq!(self.commands, commands, "{}", self.who);
    }

    /// For a server of their own, and without a `claude` of ours; then to it.
    pub fn sets_up(&mut self, server: &Stub) {
        self.types(&format!("./claude-failover setup --names agent-llm,llm-failover --url {}", server.url()));
        self.types("~/.local/share/claude-failover/bin/llm-failover local");
    }
}

#[test]
fn with_ollama() {
    let (server, _) = ollama(&[("qwen3:8b", (None, 40_960, true, 5_200_000_000))], 4096);
    let mut newcomer = Newcomer::new("Ollama");
    newcomer.sandbox.set("OLLAMA_HOST", format!("127.0.0.1:{}", server.port()));
    let setup = newcomer.types("./claude-failover setup --yes").out();
    assert!(setup.contains(&format!("the local model says: {SAID}\n")), "{setup}");
    // In the next shell.
    newcomer.sandbox.set("BASH_ENV", newcomer.sandbox.path(".profile"));
    newcomer.types("bash -c 'llm-failover local'");
    assert_eq!(newcomer.types("bash -c 'claude -p hi'").out(), format!("{SAID}\n"));
    newcomer.done_after(3);
}

#[test]
fn with_a_crontab() {
    let server = Stub::answering("Three things.");
    let mut newcomer = Newcomer::new("cron");
    newcomer.sets_up(&server);
    newcomer.sandbox.write("notes.txt", "The roof leaks.\n");
    // The line of the crontab, as docs/scripts-and-cron.md has it.
    newcomer.types("$HOME/.local/share/claude-failover/bin/agent-llm -p \"What needs me?\" <$HOME/notes.txt >$HOME/morning.txt");
    assert_eq!(std::fs::read_to_string(newcomer.sandbox.path("morning.txt")).expect("an answer"), "Three things.\n");
    newcomer.done_after(3);
}
