//! What `scripts/test-deps.sh` has installed: the real Claude Code, real model servers, the SDKs and what they run on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder that holds it. Closed in a quick run, where nothing is installed: no test may pass there because an earlier
/// run has left something.
pub fn deps() -> PathBuf {
    let is_quick = std::env::var_os("CLAUDE_FAILOVER_TEST_QUICK").is_some();
    assert!(
        !is_quick,
        "this test needs what scripts/test-deps.sh installs: put it into a module `with_deps`, which --quick leaves out"
    );
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-deps");
    assert!(dir.join("complete").exists(), "run scripts/test-deps.sh first: `{}` is not complete", dir.display());
    dir
}

/// The folder of Node.js: the one that `scripts/test-deps.sh` has installed, which it does where the machine has none, or
/// the machine's.
pub fn node() -> PathBuf {
    static NODE: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        let installed = deps().join("node/bin/node");
        let node = if installed.exists() { installed } else { "node".into() };
        // The program itself, not a launcher of it that would need more of an environment than tests give.
        let output = Command::new(node).args(["-p", "process.execPath"]).output().expect("Node.js");
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()).parent().expect("a folder").to_path_buf()
    };
    NODE.get_or_init(find).clone()
}
