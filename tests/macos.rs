//! What CI does on a Mac, as far as it can be tried here: by stand-ins, and by what its list of exceptions says.

use std::fs;
use std::path::Path;

/// The list only shrinks.
const MOST_EXCEPTIONS: usize = 2;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn each_exception_is_a_test_and_has_its_reason() {
    let text = fs::read_to_string(root().join("tests/macos-exceptions.txt")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(lines.len() <= MOST_EXCEPTIONS, "{lines:?}");
    let sources: String = crate::layers::sources(&root().join("tests"))
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for line in lines {
        let (name, reason) = line.split_once(": ").unwrap_or_else(|| panic!("{line}: it has no reason"));
        let function = name.rsplit("::").next().unwrap();
        assert!(sources.contains(&format!("#[test]\nfn {function}()")), "{name} is no test");
        assert!(reason.split(' ').count() > 3, "{line}");
    }
}

/// A Mac has the programs themselves.
#[cfg(target_os = "linux")]
mod by_stand_ins {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::root;
    use crate::scripts::{Machine, words};
    use crate::support::life::{python, stand_in};
    use crate::support::{BINARY, Sandbox};

    /// What the rounds need.
    const PROGRAMS: &[(&str, &str)] = &[
        ("codesign", "exit 0"),
        ("plutil", r#"exec "$PYTHON" -c 'import plistlib, sys; plistlib.load(open(sys.argv[1], "rb"))' "$2""#),
        (
            "footprint",
            r#"echo "python3 [$1]: 64-bit Footprint: $(awk '/^Pss:/ { print int($2 / 1024) }' "/proc/$1/smaps_rollup") MB (x)""#,
        ),
        ("sandbox-exec", r#"[ "$3" != /bin/ps ] || exit 1; shift 2; exec "$@""#),
    ];

    #[test]
    fn the_rounds_pass_with_stand_ins() {
        let (machine, sandbox) = (Machine::new(PROGRAMS), Sandbox::new());
        let run = |binary: &Path, rounds: &[&str]| {
            let stand_ins = stand_in("");
            let path = format!("{}:{}:/usr/bin:/bin", machine.folder().display(), stand_ins.display());
            let mut command = Command::new(root().join("tests/macos/rounds.sh"));
            command.arg(binary).args(rounds).env_clear().env("PATH", path).env("PYTHON", python());
            command.env("HOME", sandbox.home()).env("TMPDIR", sandbox.home()).env("LAUNCHD_DIR", sandbox.home());
            command.output().unwrap()
        };
        let output = run(Path::new(*BINARY), &["launchd", "footprint", "ctrl_c", "sandbox"]);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        assert!(words(&output.stdout).ends_with("all rounds passed\n"), "{output:?}");
        // They do find faults.
        let liar = sandbox.write(
            "liar",
            "#!/bin/sh\n[ \"$1\" != --install ] || ln -s \"$0\" \"$2/llm-failover\"\necho agent backend now: local\n",
        );
        fs::set_permissions(&liar, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        for (round, said) in [("launchd", "does not say `supervisor: launchd`"), ("footprint", "tells the server's footprint")] {
            let output = run(&liar, &[round]);
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            assert!(words(&output.stderr).contains(said), "{output:?}");
        }
    }
}
