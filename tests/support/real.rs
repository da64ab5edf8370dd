//! Stand-ins for the real Claude Code.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::Sandbox;

/// Says which file runs, under which path, and with what arguments.
pub const ECHO: &str = "#!/bin/sh\necho \"real $0 $*\"\n";

/// A program that prints all that it was given: see `probe.c`.
pub fn probe() -> &'static Path {
    static PROBE: OnceLock<PathBuf> = OnceLock::new();
    PROBE.get_or_init(|| compiled("probe"))
}

/// Compiles `tests/support/NAME.c`.
pub fn compiled(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(name).with_extension("c");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let fresh = program.with_extension(std::process::id().to_string());
    let output = Command::new("cc").arg("-o").arg(&fresh).arg(source).output().expect("a C compiler");
    assert!(output.status.success(), "{output:?}");
    std::fs::rename(&fresh, &program).expect("a folder for it");
    program
}

/// A sandbox whose PATH is our links, these folders below its home, and the system's.
pub fn sandbox_with_path(dirs: &[&str]) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let own = ["bin"].iter().chain(dirs).map(|dir| sandbox.path(dir));
    let path: Vec<PathBuf> = own.chain(["/usr/bin".into(), "/bin".into()]).collect();
    sandbox.set_path(&path);
    sandbox
}
