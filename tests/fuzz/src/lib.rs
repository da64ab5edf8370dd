//! What all targets have in common.

use std::path::PathBuf;
use std::sync::LazyLock;

/// A folder for the files of this process. It stays: libFuzzer ends the process by itself.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("claude-failover-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
});

pub fn run(target: &str, bytes: &[u8]) {
    claude_failover::fuzzing::run(target, bytes, &FOLDER);
}
