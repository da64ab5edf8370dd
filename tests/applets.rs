//! The names of the one binary.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::thread;

use crate::support::real::ECHO;
use crate::support::stub::Stub;
use crate::support::{BINARY, Sandbox};

const UNKNOWN_HINT: &str = "hint: call it as `claude-failover APPLET`, or make the links with `claude-failover --install DIR`\n";

#[test]
fn lists_its_applets() {
    Sandbox::new().cmd(*BINARY).arg("--list").run().expect(0, "claude\nagent-llm\nllm-failover\n", "");
}

#[test]
fn an_unknown_name_lists_the_valid_ones() {
    let expected =
        format!("claude-failover: unknown applet `frob`; the applets are claude, agent-llm, llm-failover\n{UNKNOWN_HINT}");
    let sandbox = Sandbox::new();
    sandbox.cmd(*BINARY).arg0("frob").run().expect(127, "", &expected);
    sandbox.cmd(*BINARY).arg0("/some/where/frob").arg("--list").run().expect(127, "", &expected);
    sandbox.cmd(*BINARY).arg("frob").run().expect(127, "", &expected);
    let expected =
        format!("claude-failover: unknown applet `fr\u{fffd}b`; the applets are claude, agent-llm, llm-failover\n{UNKNOWN_HINT}");
    sandbox.cmd(*BINARY).arg0(OsStr::from_bytes(b"fr\xffb")).run().expect(127, "", &expected);
}

#[test]
fn the_name_may_be_bare_a_path_or_empty() {
    let sandbox = Sandbox::new();
    let version = "2.1.330 (claude-failover 0.1.0; no Claude Code on this machine)\n";
    for name in ["claude", "./claude", "/nowhere/claude", "agent-llm"] {
        sandbox.cmd(*BINARY).arg0(name).arg("--version").run().expect(0, version, "");
    }
    sandbox.cmd(*BINARY).args(&["claude", "--version"]).run().expect(0, version, "");
    sandbox.cmd(*BINARY).arg0("").arg("--list").run().expect(0, "claude\nagent-llm\nllm-failover\n", "");
}

/// The shell that runs a hook takes the name from the file, and that may be any.
#[test]
fn a_copy_by_any_name_is_a_hook() {
    let sandbox = Sandbox::new();
    let socket = sandbox.path("hook.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            stream.read_to_end(&mut Vec::new()).unwrap();
            stream.write_all(b"heard").unwrap();
        }
    });
    for name in ["claude", "frob", "claude-failover"] {
        sandbox.cmd(*BINARY).arg0(name).arg("--hook").arg(&socket).run().expect(0, "heard", "");
    }
}

#[test]
fn install_links_each_applet_and_touches_nothing_foreign() {
    let sandbox = Sandbox::new();
    let dir = sandbox.path("links");
    let text =
        |binary: &str| ["claude", "agent-llm", "llm-failover"].map(|name| format!("[HOME]/links/{name} -> {binary}\n")).concat();
    for _ in 0..2 {
        sandbox.cmd(*BINARY).arg("--install").arg(&dir).run().expect(0, &text(*BINARY), "");
    }
    fs::remove_file(dir.join("claude")).unwrap();
    symlink("/gone/claude-failover", dir.join("claude")).unwrap();
    sandbox.cmd(*BINARY).arg("--install").arg(&dir).run().expect(0, &text(*BINARY), "");

    fs::remove_file(dir.join("agent-llm")).unwrap();
    fs::remove_file(dir.join("claude")).unwrap();
    fs::write(dir.join("agent-llm"), "mine").unwrap();
    let refusal = "claude-failover: `[HOME]/links/agent-llm` is not ours and is left as it is\n\
                   hint: choose another folder, or move that file away yourself\n";
    sandbox.cmd(*BINARY).arg("--install").arg(&dir).run().expect(1, "", refusal);
    assert_eq!(fs::read_to_string(dir.join("agent-llm")).unwrap(), "mine");
    assert!(!dir.join("claude").exists(), "nothing is made when something is in the way");
}

#[test]
fn install_beside_the_binary_makes_relative_links() {
    let sandbox = Sandbox::new();
    let own = sandbox.path("own");
    fs::create_dir(&own).unwrap();
    crate::support::copy(*BINARY, own.join("claude-failover"));
    let expected = ["claude", "agent-llm", "llm-failover"].map(|name| format!("[HOME]/own/{name} -> claude-failover\n")).concat();
    sandbox.cmd(own.join("claude-failover")).arg("--install").arg(&own).run().expect(0, &expected, "");
    assert_eq!(fs::read_link(own.join("claude")).unwrap().as_os_str(), "claude-failover");
}

#[test]
fn install_links_only_the_names_that_are_given() {
    let sandbox = Sandbox::new();
    let dir = sandbox.path("some/links");
    let install = |names: &[&str]| sandbox.cmd(*BINARY).arg("--install").arg(&dir).args(names).run();
    let unknown = "claude-failover: `claud` is no name of an applet; there are claude, agent-llm, llm-failover\n\
                   hint: run `claude-failover --help`\n";
    install(&["agent-llm", "claud"]).expect(1, "", unknown);
    assert!(!dir.exists(), "nothing is made");
    let line = |name: &str| format!("[HOME]/some/links/{name} -> {}\n", *BINARY);
    // In any order, and one twice.
    install(&["llm-failover", "agent-llm", "llm-failover"]).expect(0, &[line("agent-llm"), line("llm-failover")].concat(), "");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
    // A foreign file under a name that is not wanted is in nobody's way.
    fs::write(dir.join("claude"), "mine").unwrap();
    install(&["agent-llm"]).expect(0, &line("agent-llm"), "");
    assert_eq!(fs::read_to_string(dir.join("claude")).unwrap(), "mine");
    let usage = "claude-failover: `--install` takes a folder: claude-failover --install DIR [NAME…]\nhint: run `claude-failover --help`\n";
    sandbox.cmd(*BINARY).arg("--install").run().expect(1, "", usage);
    sandbox.cmd(*BINARY).args(&["--install", ""]).run().expect(1, "", usage);
}

/// All that there is without `claude`: no command expects it, or speaks of another one.
#[test]
fn agent_llm_alone() {
    let stub = Stub::answering("from here");
    let mut sandbox = Sandbox::new();
    let dir = sandbox.path("links");
    sandbox.cmd(*BINARY).arg("--install").arg(&dir).args(&["agent-llm", "llm-failover"]).run();
    sandbox.script("real/claude", ECHO);
    sandbox.set_path(&[sandbox.path("real"), dir.clone(), "/usr/bin".into(), "/bin".into()]);
    sandbox.set("LOCAL_LLM_URL", stub.url());
    sandbox.set("LLM_SUPERVISOR", "none");
    let run = |line: &str| sandbox.cmd("/bin/sh").args(&["-c", line]).run();
    for (backend, said) in [("auto", "auto"), ("local", "local"), ("claude", "claude")] {
        let output = run(&format!("llm-failover {backend}"));
        assert_eq!((output.code(), output.err().as_str()), (0, ""), "{output:?}");
        assert!(output.out().starts_with(&format!("agent backend now: {said}\n")), "{output:?}");
        let status = run("llm-failover status");
        assert_eq!((status.code(), status.err().as_str()), (0, ""));
        assert!(status.out().contains("real claude: [HOME]/real/claude\n"), "{}", status.out());
    }
    run("agent-llm mcp list; claude mcp list").expect(0, &"real [HOME]/real/claude mcp list\n".repeat(2), "");
    run("llm-failover -q local; agent-llm -p hi; claude -p hi").expect(0, "from here\nreal [HOME]/real/claude -p hi\n", "");
}
