//! A setup that is broken off, by a full disk or a kill, is gone on with by the next one, and can be taken away.

use std::fs;

use super::QWEN;
use super::home::{Home, UNINSTALLED, tree};
use super::servers::ollama;
use crate::support::{BINARY, copy};

/// By a limit on the size of files: one that is ignored is an error to whoever writes, as on a full disk; else it kills.
#[test]
fn a_full_disk_and_a_kill_leave_what_the_next_setup_and_uninstall_can_use() {
    // In units of 512 bytes, or of 1024 in some shells. With the first the manifest itself cannot be written, later.
    for (limit, is_killed) in [(1, false), (2, false), (1, true), (2, true)] {
        let (stub, models) = ollama(&[QWEN], 4096);
        let mut home = Home::new();
        home.ollama_at(stub.port());
        // Of a package, so that nothing large is to be written.
        let binary = home.path(".cargo/bin/claude-failover");
        fs::create_dir_all(binary.parent().unwrap()).unwrap();
        copy(*BINARY, &binary);
        let before = tree(home.home());
        let trap = if is_killed { "" } else { "trap '' XFSZ; " };
        let line = format!("{trap}ulimit -c 0; ulimit -f {limit}; exec \"$0\" llm-failover setup --yes");
        let output = home.cmd("/bin/sh").args(&["-c", &line]).arg(&binary).limit(60).run();
        if is_killed {
            assert_eq!(output.code(), 128 + 25, "{limit}: {output:?}");
        } else {
            assert_eq!(output.code(), 1, "{limit}: {output:?}");
            let said = output.err();
            assert!(said.starts_with("llm-failover: cannot write `[HOME]/") && said.lines().count() == 1, "{limit}: {said}");
        }
        let broken = tree(home.home());
        let setup = |args: &[&str]| home.cmd(&binary).args(&["llm-failover", "setup"]).args(args).limit(60).run();
        // As it is.
        setup(&["--uninstall"]).expect(0, UNINSTALLED, "");
        let names = |tree: &std::collections::BTreeMap<String, _>| tree.keys().cloned().collect::<Vec<_>>().join("\n");
        assert_eq!(names(&tree(home.home())), names(&before), "{limit} {is_killed}, of\n{}", names(&broken));
        assert_eq!(models.lock().unwrap().len(), 1);
        // And after another one, which goes on.
        let line = format!("{trap}ulimit -c 0; ulimit -f {limit}; exec \"$0\" llm-failover setup --yes");
        home.cmd("/bin/sh").args(&["-c", &line]).arg(&binary).limit(60).run();
        let done = setup(&["--yes"]);
        assert_eq!((done.code(), done.err()), (0, String::new()), "{done:?}");
        setup(&["--uninstall"]).expect(0, UNINSTALLED, "");
        assert_eq!(names(&tree(home.home())), names(&before), "{limit} {is_killed}");
        assert!(tree(home.home()) == before);
    }
}

#[test]
fn two_at_once_do_not_mix() {
    let (stub, _) = ollama(&[QWEN], 4096);
    let mut home = Home::new();
    home.ollama_at(stub.port());
    let before = tree(home.home());
    let start = || home.cmd("llm-failover").args(&["setup", "--yes"]).spawn();
    let all = [start(), start(), start()].map(|child| child.wait_with_output().unwrap());
    let waiting = "llm-failover: waiting for another setup to end …\n".as_bytes();
    assert!(all.iter().all(|output| output.status.success() && [b"", waiting].contains(&output.stderr.as_slice())), "{all:?}");
    home.setup(&["--uninstall"]).expect(0, UNINSTALLED, "");
    assert!(tree(home.home()) == before);
}
