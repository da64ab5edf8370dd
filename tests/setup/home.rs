//! A home in which nothing of the machine's own servers is found.

use std::collections::BTreeMap;
use std::fs;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{BINARY, Output, Sandbox, free_port};

pub const NOT_ON_PATH: &str = "note: no real Claude Code was found; calls that need it fail until it is installed\n\
    note: add this line at the end of ~/.profile, or run this again with --modify-path:\n\
    export PATH=\"$HOME/.local/share/claude-failover/bin:$PATH\"\n\
    next: `llm-failover auto` has the local model answer while Claude is limited or down\n";

pub const UNINSTALLED: &str = "claude-failover is uninstalled; shells that run already may still look for it: hash -r\n";

pub struct Home(Sandbox);

impl Home {
    pub fn new() -> Home {
        let mut home = Home(Sandbox::new());
        // The links that the test itself starts by are no part of the tree.
        home.set_path(&["/usr/bin", "/bin"]);
        home.lm_studio_at(free_port());
        home.ollama_at(free_port());
        home.set("LLAMA_ARG_PORT", free_port().to_string());
        home
    }

    pub fn ollama_at(&mut self, port: u16) {
        self.set("OLLAMA_HOST", format!("127.0.0.1:{port}"));
    }

    pub fn lm_studio_at(&self, port: u16) {
        self.write(".lmstudio/.internal/http-server-config.json", format!("{{\"port\":{port},\"cors\":false}}"));
    }

    /// `llm-failover setup` without a terminal.
    pub fn setup(&self, args: &[&str]) -> Output {
        self.cmd("llm-failover").arg("setup").args(args).limit(120).run()
    }

    /// A call of the link that setup has made, with the switch at local.
    pub fn call(&self, args: &[&str]) -> Output {
        self.switch("local\n");
        self.cmd(self.path(".local/share/claude-failover/bin/claude")).args(args).run()
    }

    pub fn config(&self) -> String {
        fs::read_to_string(self.path(".config/claude-failover/config.env")).unwrap_or_default()
    }

    /// The first line of the plan.
    pub fn put_line(&self) -> String {
        let binary = fs::canonicalize(*BINARY).unwrap();
        format!("put {} into ~/.local/share/claude-failover/bin", binary.display())
    }
}

impl Deref for Home {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.0
    }
}

impl DerefMut for Home {
    fn deref_mut(&mut self) -> &mut Sandbox {
        &mut self.0
    }
}

/// Everything below a folder: what it is, its permissions, and its bytes or where it leads.
pub fn tree(folder: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut all = BTreeMap::new();
    walk(folder, folder, &mut all);
    all
}

fn walk(top: &Path, folder: &Path, all: &mut BTreeMap<String, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let metadata = path.symlink_metadata().unwrap();
        let bytes = if metadata.is_symlink() {
            fs::read_link(&path).unwrap().to_string_lossy().into_owned().into_bytes()
        } else if metadata.is_dir() {
            walk(top, &path, all);
            vec![]
        } else {
            fs::read(&path).unwrap()
        };
        all.insert(path.strip_prefix(top).unwrap().to_string_lossy().into_owned(), (metadata.permissions().mode(), bytes));
    }
}
