//! The real Claude Code with its tools, on a local model that plays a script.

mod chain;
mod circles;
mod commands;
mod credentials;
mod dialects;
mod inside;
mod ledger;
mod life;
mod mcp;
mod model_name;
mod network;
mod one_stream;
mod quoted;
mod refusals;
mod room;
mod sdk;
mod server_tools;
mod sessions;
mod small_model;
mod terminal;
mod text;
mod when;
mod work;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::auto::{self, LIMIT, TODAY, Version};
use crate::real_cli;
use crate::support::life::processes_at_home;
use crate::support::script::{Manner, Reply, Script, says};
use crate::support::stub::Stub;
use crate::support::{Cmd, Output, Sandbox, node};

/// Versions of Claude Code, each of which asks in its own way.
const VERSIONS: [Version; 4] = [(1, 0, 128), (2, 0, 76), (2, 1, 110), TODAY];

/// What people are told on stderr.
const SAID: &str = "claude: this session runs on the local model `tiny`\n";

/// What the model says when it has done its work.
const DONE: &str = "All of it is done.";

/// The local model's context, in tokens: there is room for everything.
const CONTEXT: u32 = 65_536;

/// All that a call may do.
const FREE: &str = "--dangerously-skip-permissions";

/// A home with a Claude Code of this version on PATH, whose switch says `local`.
struct Home {
    sandbox: Sandbox,
    /// Where a Claude Code would ask Claude, and whatever else there is on the net.
    net: Stub,
}

impl Home {
    fn new(version: Version) -> Home {
        Home::with(version, Stub::raw("HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n"))
    }

    fn with(version: Version, net: Stub) -> Home {
        let mut sandbox = real_cli::sandbox(&net);
        for key in ["CLAUDE_BIN", "CLAUDE_CODE_MAX_RETRIES"] {
            sandbox.unset(key);
        }
        let program = auto::claude(version);
        let folder = program.parent().expect("a folder");
        sandbox.set_path(&[sandbox.path("bin"), folder.into(), node(), "/usr/bin".into(), "/bin".into()]);
        // Root may not skip permissions anywhere else.
        sandbox.set("IS_SANDBOX", "1");
        sandbox.set("TZ", "UTC");
        sandbox.set("LOCAL_LLM_MODEL", "tiny");
        sandbox.set("LLM_SUPERVISOR", "none");
        sandbox.switch("local");
        Home { sandbox, net }
    }

    /// The local model plays this.
    fn plays(&mut self, manner: Manner, replies: impl IntoIterator<Item = Reply>) -> Script {
        self.plays_in(CONTEXT, manner, replies)
    }

    /// The same with a context of so many tokens.
    fn plays_in(&mut self, n_ctx: u32, manner: Manner, replies: impl IntoIterator<Item = Reply>) -> Script {
        let model = Script::new(manner, n_ctx, replies);
        self.sandbox.set("LOCAL_LLM_URL", model.url());
        model
    }

    /// A path in the folder that the work is done in.
    fn work(&self, name: &str) -> String {
        self.sandbox.path("work").join(name).to_string_lossy().into_owned()
    }

    /// What a file there holds.
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.work(name)).unwrap_or_else(|error| error.to_string())
    }

    /// The settings of those who work at this moment.
    fn settings(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.sandbox.path(".local/state/claude-failover/agents"));
        files.into_iter().flatten().flatten().map(|file| file.path()).collect()
    }

    /// Whether no process and no settings are left, after a moment.
    fn is_left_clean(&self) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let (processes, files) = (processes_at_home(self.sandbox.home()), self.settings());
            if processes.is_empty() && files.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > Duration::from_secs(20) {
                return Err(format!("left behind: {processes:?} {files:?}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// `claude -p` with a prompt and these arguments.
    fn ask(&self, prompt: &str, args: &[&str]) -> Cmd {
        self.sandbox.cmd("claude").args(&["-p", prompt]).args(args).dir(self.work("")).limit(LIMIT)
    }
}

fn done() -> Reply {
    says(DONE)
}

/// Stderr without what 2.1.330 says of each model that is not Claude's.
fn stderr(output: &Output) -> String {
    const SAID: [&str; 2] = ["[claude-code:unrecognized_model] ", "Claude Code doesn't recognize the model \"tiny\""];
    let lines = output.err();
    lines.split_inclusive('\n').filter(|line| !SAID.iter().any(|said| line.starts_with(said))).collect()
}
