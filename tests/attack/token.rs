//! The gateway's token: who has it may ask the local model in the user's name.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::life::processes_at_home;
use crate::support::real::sandbox_with_path;
use crate::support::stub::Stub;
use crate::support::until;

/// Keeps what it was given, and what a list of all processes shows meanwhile.
const CLAUDE: &str =
    "#!/bin/sh\nps -A -ww -o args= >\"$HOME/list\"\necho \"$ANTHROPIC_AUTH_TOKEN\" >\"$HOME/token\"\necho fine\n";

#[test]
fn the_token_is_in_no_list_of_processes_and_in_no_file_that_stays() {
    let stub = Stub::answering("hello");
    let mut sandbox = sandbox_with_path(&["real"]);
    sandbox.script("real/claude", CLAUDE);
    sandbox.set("LOCAL_LLM_URL", stub.url());
    sandbox.set("LLM_SUPERVISOR", "none");
    sandbox.set("LOCAL_LLM_AGENT", "always");
    sandbox.switch("local");
    let output = sandbox.cmd("claude").args(&["-p", "hi"]).run();
    assert_eq!((output.code(), output.out().as_str()), (0, "fine\n"), "{output:?}");
    until(10, "the gateway ends", || processes_at_home(sandbox.home()).is_empty());
    let token = fs::read_to_string(sandbox.path("token")).unwrap().trim().to_string();
    fs::remove_file(sandbox.path("token")).unwrap();
    assert!(token.starts_with("local-") && token.len() > 30, "{token:?}");
    let list = fs::read_to_string(sandbox.path("list")).unwrap();
    assert!(list.contains("--gateway") && list.contains("--settings"), "{list}");
    assert!(!output.err().contains(&token));
    for path in files(sandbox.home()) {
        let bytes = fs::read(&path).unwrap();
        assert!(memchr::memmem::find(&bytes, token.as_bytes()).is_none(), "{}", path.display());
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(files(&entry.path())),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}
