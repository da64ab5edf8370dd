//! The search for the real Claude: whatever stands in the way is passed over, and whatever leads back to us ends.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::support::real::{ECHO, sandbox_with_path};
use crate::support::{BINARY, Cmd, Sandbox};

const NOT_FOUND: &str = "claude: the real Claude Code was not found\n";
const INSTALL_HINT: &str =
    "hint: install it with `npm install -g @anthropic-ai/claude-code`, or set CLAUDE_BIN to its absolute path\n";
const OWN: &str = "this is claude-failover itself";
const COPY: &str = "this is another copy of claude-failover";

/// `claude -p hi`, which must end soon: what goes wrong here goes round in circles.
fn call(sandbox: &Sandbox) -> Cmd {
    sandbox.cmd("claude").args(&["-p", "hi"]).limit(10)
}

/// What the stand-in at this path prints.
fn answer(path: &str) -> String {
    format!("real [HOME]/{path} -p hi\n")
}

fn skipped(list: &[(&str, &str)]) -> String {
    list.iter().map(|(path, reason)| format!("  skipped `[HOME]/{path}`: {reason}\n")).collect()
}

fn copy_to(path: &Path) {
    crate::support::copy(*BINARY, path);
}

#[test]
fn what_is_not_the_real_one_is_passed_over_and_named() {
    type Make = fn(&Path);
    let cases: &[(&str, Make, &str)] = &[
        ("a symlink to us", |path| symlink(*BINARY, path).unwrap(), OWN),
        (
            "a link to a link to us",
            |path| {
                symlink("between", path).unwrap();
                symlink("../bin/claude", path.with_file_name("between")).unwrap();
            },
            OWN,
        ),
        ("a copy of us", copy_to, COPY),
        (
            "another version of us",
            |path| {
                copy_to(path);
                OpenOptions::new().append(true).open(path).unwrap().write_all(&[7; 12345]).unwrap();
            },
            COPY,
        ),
        (
            "a link to a copy of us",
            |path| {
                copy_to(&path.with_file_name("other"));
                symlink("other", path).unwrap();
            },
            COPY,
        ),
        (
            "a second folder of our links",
            |path| {
                let install = Command::new(*BINARY).arg("--install").arg(path.parent().unwrap()).output().unwrap();
                assert!(install.status.success(), "{install:?}");
            },
            OWN,
        ),
        ("a broken link", |path| symlink("/nowhere/claude", path).unwrap(), "no such file"),
        ("a link below a file", |path| symlink("/dev/null/claude", path).unwrap(), "no such file"),
        ("a link to itself", |path| symlink("claude", path).unwrap(), "too many levels of symbolic links"),
        (
            "a ring of links",
            |path| {
                symlink("b", path).unwrap();
                symlink("claude", path.with_file_name("b")).unwrap();
            },
            "too many levels of symbolic links",
        ),
        ("a folder", |path| fs::create_dir(path).unwrap(), "not a regular file"),
        ("a device", |path| symlink("/dev/null", path).unwrap(), "not a regular file"),
        (
            "a pipe",
            |path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o777)).unwrap(),
            "not a regular file",
        ),
        (
            "an empty file",
            |path| {
                fs::write(path, "").unwrap();
                fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
            },
            "an empty file",
        ),
        ("a file that may not be executed", |path| fs::write(path, ECHO).unwrap(), "not executable"),
    ];
    for (what, make, reason) in cases {
        let mut sandbox = sandbox_with_path(&["second", "real"]);
        fs::create_dir(sandbox.path("second")).unwrap();
        make(&sandbox.path("second/claude"));
        println!("{what}");
        // A copy is run before it is known: it is the copy that tells, and to it we are the copy.
        let reasons = if *reason == COPY { [COPY, OWN] } else { [OWN, reason] };
        let list = skipped(&[("bin/claude", reasons[0]), ("second/claude", reasons[1])]);
        call(&sandbox).run().expect(127, "", &format!("{NOT_FOUND}{list}{INSTALL_HINT}"));
        sandbox.script("real/claude", ECHO);
        call(&sandbox).run().expect(0, &answer("real/claude"), "");
        sandbox.set("CLAUDE_BIN", sandbox.path("second/claude"));
        let warning = "claude: warning: CLAUDE_BIN cannot be used; running `[HOME]/real/claude`\n";
        call(&sandbox).run().expect(0, &answer("real/claude"), warning);
        fs::remove_file(sandbox.path("real/claude")).unwrap();
        let list = skipped(&[("second/claude", reason), ("bin/claude", OWN), ("second/claude", reason)]);
        call(&sandbox).run().expect(127, "", &format!("{NOT_FOUND}{list}{INSTALL_HINT}"));
    }
}

#[test]
fn a_hard_link_to_us_is_passed_over() {
    let mut sandbox = Sandbox::new();
    let folders = ["own", "second", "real"].map(|dir| sandbox.path(dir));
    folders[..2].iter().for_each(|dir| fs::create_dir(dir).unwrap());
    copy_to(&folders[0].join("claude"));
    fs::hard_link(folders[0].join("claude"), folders[1].join("claude")).unwrap();
    sandbox.set_path(&folders);
    let through = || sandbox.cmd(sandbox.path("own/claude")).args(&["-p", "hi"]).limit(10);
    let list = skipped(&[("own/claude", OWN), ("second/claude", OWN)]);
    through().run().expect(127, "", &format!("{NOT_FOUND}{list}{INSTALL_HINT}"));
    sandbox.script("real/claude", ECHO);
    through().run().expect(0, &answer("real/claude"), "");
}

#[test]
fn our_folder_is_ours_under_any_spelling() {
    let mut sandbox = sandbox_with_path(&[]);
    symlink("bin", sandbox.path("alias")).unwrap();
    sandbox.script("real/claude", ECHO);
    let home = sandbox.home().to_str().unwrap().to_string();
    let spellings = ["bin", "bin/", "./bin", "bin/../bin", "/bin", "alias", "alias/."].map(|dir| format!("{home}/{dir}"));
    sandbox.set_path(&[&spellings[..], &[format!("{home}/real")]].concat());
    call(&sandbox).run().expect(0, &answer("real/claude"), "");
}

#[test]
fn entries_of_path_that_lead_nowhere_are_passed_over() {
    let mut sandbox = sandbox_with_path(&[]);
    sandbox.script("real/claude", ECHO);
    sandbox.write("file", "");
    symlink("loop", sandbox.path("loop")).unwrap();
    let entries = ["nowhere", "file", "loop", "bin", "bin", "real", "real"].map(|dir| sandbox.path(dir));
    sandbox.set_path(&entries);
    call(&sandbox).run().expect(0, &answer("real/claude"), "");
    fs::remove_file(sandbox.path("real/claude")).unwrap();
    let looped = "too many levels of symbolic links";
    let list = skipped(&[("loop/claude", looped), ("bin/claude", OWN), ("bin/claude", OWN)]);
    call(&sandbox).run().expect(127, "", &format!("{NOT_FOUND}{list}{INSTALL_HINT}"));
}

#[test]
fn nothing_in_the_working_directory_is_run() {
    let mut sandbox = Sandbox::new();
    sandbox.script("claude", ECHO);
    sandbox.script("here/claude", ECHO);
    let list = skipped(&[("bin/claude", OWN)]);
    let bin = sandbox.path("bin").to_str().unwrap().to_string();
    for (path, list) in [
        (String::new(), ""),
        (":".into(), ""),
        (".:here:./here".into(), ""),
        (format!(":{bin}:"), list.as_str()),
        (format!("{bin}::."), list.as_str()),
    ] {
        sandbox.set("PATH", &path);
        println!("PATH={path}");
        call(&sandbox).run().expect(127, "", &format!("{NOT_FOUND}{list}{INSTALL_HINT}"));
    }
    sandbox.unset("PATH");
    call(&sandbox).run().expect(127, "", &format!("{NOT_FOUND}{INSTALL_HINT}"));
}

#[test]
fn a_path_that_is_not_utf8_is_searched_too() {
    let mut sandbox = Sandbox::new();
    let dir = sandbox.home().join(OsStr::from_bytes(b"r\xe9al"));
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("claude"), "#!/bin/sh\necho found\n").unwrap();
    fs::set_permissions(dir.join("claude"), Permissions::from_mode(0o755)).unwrap();
    let entries: [OsString; 3] = [sandbox.path("bin").into(), dir.into(), "/bin".into()];
    sandbox.set_path(&entries);
    call(&sandbox).run().expect(0, "found\n", "");
}

#[test]
fn a_script_without_an_interpreter_line_runs() {
    let sandbox = sandbox_with_path(&["real"]);
    sandbox.script("real/claude", "echo \"real $0 $*\"\n");
    call(&sandbox).run().expect(0, &answer("real/claude"), "");
}

#[test]
fn a_missing_interpreter_is_named() {
    let sandbox = sandbox_with_path(&["broken", "real"]);
    sandbox.script("real/claude", ECHO);
    sandbox.script("broken/claude", "#! /nowhere/node --flag\n");
    let expected = "claude: cannot run `[HOME]/broken/claude`: its interpreter `/nowhere/node` is missing\n";
    call(&sandbox).run().expect(126, "", expected);
    sandbox.script("broken/claude", "#!/nowhere/node\r\n");
    call(&sandbox).run().expect(126, "", expected);
    let expected = expected.replacen("claude", "agent-llm", 1);
    sandbox.cmd("agent-llm").args(&["-p", "hi"]).limit(10).run().expect(126, "", &expected);
}

#[test]
fn an_interpreter_that_is_a_folder_is_told() {
    let sandbox = sandbox_with_path(&["real"]);
    fs::create_dir(sandbox.path("folder")).unwrap();
    sandbox.script("real/claude", &format!("#!{}\n", sandbox.path("folder").display()));
    call(&sandbox).run().expect(126, "", "claude: cannot run `[HOME]/real/claude`: permission denied\n");
}

#[test]
fn claude_bin_comes_before_path() {
    let mut sandbox = sandbox_with_path(&["real"]);
    sandbox.script("real/claude", ECHO);
    sandbox.script("mine/any name", ECHO);
    sandbox.set("CLAUDE_BIN", sandbox.path("mine/any name"));
    call(&sandbox).run().expect(0, &answer("mine/any name"), "");
    sandbox.set("CLAUDE_BIN", "~/mine/any name");
    call(&sandbox).run().expect(0, &answer("mine/any name"), "");
    sandbox.set("CLAUDE_BIN", "");
    call(&sandbox).run().expect(0, &answer("real/claude"), "");
    sandbox.write(".config/claude-failover/config.env", "CLAUDE_BIN=~/mine/any name\n");
    call(&sandbox).run().expect(0, &answer("mine/any name"), "");
    sandbox.set("CLAUDE_BIN", sandbox.path("real/claude"));
    call(&sandbox).run().expect(0, &answer("real/claude"), "");
}

#[test]
fn a_claude_bin_that_cannot_be_used_is_told() {
    let cases = [
        ("relative", "real/claude", "real/claude", "CLAUDE_BIN must be an absolute path"),
        ("a bare name", "claude", "claude", "CLAUDE_BIN must be an absolute path"),
        ("missing", "~/gone/claude", "[HOME]/gone/claude", "no such file"),
        ("below a file", "~/file/claude", "[HOME]/file/claude", "no such file"),
        ("ourselves", "~/bin/claude", "[HOME]/bin/claude", OWN),
        ("our other name", "~/bin/agent-llm", "[HOME]/bin/agent-llm", OWN),
    ];
    for (what, value, shown, reason) in cases {
        println!("{what}");
        let mut sandbox = sandbox_with_path(&["real"]);
        sandbox.write("file", "");
        sandbox.set("CLAUDE_BIN", value);
        let list = format!("  skipped `{shown}`: {reason}\n  skipped `[HOME]/bin/claude`: {OWN}\n");
        call(&sandbox).run().expect(127, "", &format!("{NOT_FOUND}{list}{INSTALL_HINT}"));
        sandbox.script("real/claude", ECHO);
        for shim in ["claude", "agent-llm"] {
            let warning = format!("{shim}: warning: CLAUDE_BIN cannot be used; running `[HOME]/real/claude`\n");
            sandbox.cmd(shim).args(&["-p", "hi"]).limit(10).run().expect(0, &answer("real/claude"), &warning);
        }
    }
}

#[test]
fn the_usual_places_are_searched_after_path() {
    let places = [
        ".local/bin",
        ".claude/local",
        ".claude/local/node_modules/.bin",
        ".npm-global/bin",
        "node_modules/.bin",
        ".bun/bin",
        ".yarn/bin",
        ".volta/bin",
        ".nvm/versions/node/v22.1.0/bin",
        ".nvm/versions/node/v9.11.0/bin",
    ];
    let sandbox = sandbox_with_path(&["real"]);
    for place in places.iter().rev() {
        let path = format!("{place}/claude");
        sandbox.script(&path, ECHO);
        call(&sandbox).run().expect(0, &answer(&path), "");
    }
    sandbox.script("real/claude", ECHO);
    call(&sandbox).run().expect(0, &answer("real/claude"), "");
}

#[test]
fn what_an_update_left_broken_in_a_usual_place_is_named() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path(".local/bin")).unwrap();
    symlink("claude", sandbox.path(".local/bin/claude")).unwrap();
    let list = skipped(&[("bin/claude", OWN), (".local/bin/claude", "too many levels of symbolic links")]);
    call(&sandbox).run().expect(127, "", &format!("{NOT_FOUND}{list}{INSTALL_HINT}"));
}

#[test]
fn without_a_real_one_only_the_version_is_answered() {
    let sandbox = Sandbox::new();
    let list = skipped(&[("bin/claude", OWN)]);
    let version = "2.1.330 (claude-failover 0.1.0; no Claude Code on this machine)\n";
    for switch in ["claude", "local"] {
        sandbox.switch(switch);
        for option in ["--version", "-v"] {
            sandbox.cmd("claude").arg(option).limit(10).run().expect(0, version, "");
        }
        for args in [&["--help"][..], &["mcp", "list"]] {
            sandbox.cmd("claude").args(args).limit(10).run().expect(127, "", &format!("{NOT_FOUND}{list}{INSTALL_HINT}"));
        }
    }
}

#[test]
fn a_broken_real_one_is_not_hidden_behind_our_version() {
    let sandbox = sandbox_with_path(&["real"]);
    sandbox.script("real/claude", "#!/nowhere/node\n");
    let expected = "claude: cannot run `[HOME]/real/claude`: its interpreter `/nowhere/node` is missing\n";
    sandbox.cmd("claude").arg("--version").limit(10).run().expect(126, "", expected);
}

#[test]
fn the_candidate_is_run_as_found() {
    let sandbox = sandbox_with_path(&["shims"]);
    sandbox.script("store/version-manager", ECHO);
    fs::create_dir(sandbox.path("shims")).unwrap();
    symlink("../store/version-manager", sandbox.path("shims/claude")).unwrap();
    call(&sandbox).run().expect(0, &answer("shims/claude"), "");
}

#[test]
fn a_home_elsewhere_changes_nothing() {
    let mut sandbox = sandbox_with_path(&["real"]);
    sandbox.script("real/claude", ECHO);
    sandbox.set("LLM_BACKEND_FLAG", sandbox.path("flag"));
    for home in ["/tmp", "/nowhere", "relative", ""] {
        sandbox.set("HOME", home);
        call(&sandbox).run().expect(0, &answer("real/claude"), "");
    }
    sandbox.unset("HOME");
    call(&sandbox).run().expect(0, &answer("real/claude"), "");
}

#[test]
fn a_wrapper_that_runs_claude_leads_to_the_real_one() {
    // A wrapper that stands before us and calls a bare `claude` would call itself: it takes its own folder off first.
    let off = "PATH=${PATH#*:}";
    let cases = [
        ("exec, after us", ["bin", "wrap", "real"], "exec claude \"$@\"".to_string()),
        ("exec, before us", ["wrap", "bin", "real"], "exec \"$HOME/bin/claude\" \"$@\"".into()),
        ("exec, before us, its folder off", ["wrap", "bin", "real"], format!("{off} exec claude \"$@\"")),
        ("child, before us", ["wrap", "bin", "real"], "\"$HOME/bin/claude\" \"$@\"; exit $?".into()),
        ("child, before us, its folder off", ["wrap", "bin", "real"], format!("{off}; claude \"$@\"; exit $?")),
        ("exec, between two of ours", ["bin", "wrap", "bin"], "exec claude \"$@\"".into()),
    ];
    for (what, path, line) in cases {
        println!("{what}");
        let mut sandbox = Sandbox::new();
        let entries: Vec<_> = path.iter().copied().chain(["real"]).map(|dir| sandbox.path(dir)).collect();
        sandbox.set_path(&[&entries[..], &["/usr/bin".into(), "/bin".into()]].concat());
        sandbox.script("real/claude", ECHO);
        let wrapper = sandbox.script("wrap/claude", &format!("#!/bin/sh\n{line}\n"));
        for program in [wrapper, sandbox.path("bin/claude"), sandbox.path("bin/agent-llm")] {
            sandbox.cmd(&program).args(&["-p", "hi"]).limit(10).run().expect(0, &answer("real/claude"), "");
        }
    }
}

#[test]
fn wrappers_in_a_row_are_all_passed() {
    let sandbox = sandbox_with_path(&["wrap1", "wrap2", "wrap3", "real"]);
    for dir in ["wrap1", "wrap2", "wrap3"] {
        sandbox.script(&format!("{dir}/claude"), "#!/bin/sh\nexec claude \"$@\"\n");
    }
    sandbox.script("real/claude", ECHO);
    call(&sandbox).run().expect(0, &answer("real/claude"), "");
}

#[test]
fn a_wrapper_after_us_that_waits_for_claude_is_stopped_and_the_hint_helps() {
    let mut sandbox = sandbox_with_path(&["wrap", "real"]);
    sandbox.script("wrap/claude", "#!/bin/sh\nclaude \"$@\"\nexit $?\n");
    sandbox.script("real/claude", ECHO);
    let expected = "claude: `[HOME]/wrap/claude` leads back here: stopped after 20 turns\n\
                    hint: set CLAUDE_BIN to the absolute path of the real Claude Code\n";
    call(&sandbox).run().expect(126, "", expected);
    sandbox.set("CLAUDE_BIN", sandbox.path("real/claude"));
    call(&sandbox).run().expect(0, &answer("real/claude"), "");
}

#[test]
fn a_wrapper_alone_is_stopped() {
    let expected = "claude: `[HOME]/wrap/claude` leads back here: stopped after 20 turns\n\
                    hint: set CLAUDE_BIN to the absolute path of the real Claude Code\n";
    for line in ["exec claude \"$@\"", "claude \"$@\"; exit $?"] {
        let sandbox = sandbox_with_path(&["wrap"]);
        sandbox.script("wrap/claude", &format!("#!/bin/sh\n{line}\n"));
        call(&sandbox).run().expect(126, "", expected);
    }
}

#[test]
fn a_claude_bin_that_leads_back_ends_too() {
    let mut sandbox = sandbox_with_path(&["real"]);
    sandbox.script("real/claude", ECHO);
    sandbox.set("CLAUDE_BIN", sandbox.script("wrap/mine", "#!/bin/sh\nexec claude \"$@\"\n"));
    call(&sandbox).run().expect(0, &answer("real/claude"), "");
    sandbox.script("wrap/mine", "#!/bin/sh\nclaude \"$@\"\nexit $?\n");
    let expected = "claude: `[HOME]/wrap/mine` leads back here: stopped after 20 turns\n\
                    hint: set CLAUDE_BIN to the absolute path of the real Claude Code\n";
    call(&sandbox).run().expect(126, "", expected);
}

#[test]
fn claude_may_run_claude() {
    let ways = ["claude -p $1", "sh -c \"claude -p $1\"", "exec claude -p $1", "exec agent-llm -p $1", "env claude -p $1 | cat"];
    for way in ways {
        println!("{way}");
        let sandbox = sandbox_with_path(&["real"]);
        let script = format!("#!/bin/sh\necho \"$0 $2\"\n[ $2 -gt 0 ] || exit 0\nset -- $(($2 - 1))\n{way}\n")
            .replace("-p $1", "-p \"$1\"");
        sandbox.script("real/claude", &script);
        let expected: String = [3, 2, 1, 0].map(|level| format!("[HOME]/real/claude {level}\n")).concat();
        sandbox.cmd("claude").args(&["-p", "3"]).limit(10).run().expect(0, &expected, "");
    }
}

#[test]
fn junk_in_the_trail_counts_as_none() {
    let sandbox = sandbox_with_path(&["real"]);
    sandbox.script("real/claude", ECHO);
    for trail in ["", "x", "::", "1:", "-1:2:/x", "99999999999:1:/x", "1:1", "20", "1:999999:/nowhere"] {
        call(&sandbox).env("CLAUDE_FAILOVER_EXEC", trail).run().expect(0, &answer("real/claude"), "");
    }
    call(&sandbox).env("CLAUDE_FAILOVER_EXEC", OsStr::from_bytes(b"\xff:\xff:\xff")).run().expect(0, &answer("real/claude"), "");
}

#[test]
fn a_replaced_binary_still_finds_the_real_one() {
    // The real one runs us again after our file was exchanged by an update.
    let sandbox = sandbox_with_path(&["real"]);
    let own = sandbox.path("own");
    fs::create_dir(&own).unwrap();
    copy_to(&own.join("claude"));
    sandbox.script("real/claude", "#!/bin/sh\n[ \"$2\" = again ] && { echo again; exit; }\nrm \"$HOME/own/claude\"\ncp \"$HOME/other\" \"$HOME/own/claude\"\nexec \"$HOME/own/claude\" -p again\n");
    copy_to(&sandbox.path("other"));
    sandbox.cmd(own.join("claude")).args(&["-p", "hi"]).limit(10).run().expect(0, "again\n", "");
}
