//! The switch file and the settings file as the shim reads them, and what the switch does not touch.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::support::real::{ECHO, sandbox_with_path};
use crate::support::stub::Stub;
use crate::support::{Cmd, Sandbox};

const REAL: &str = "real [HOME]/real/claude -p hi\n";
const LOCAL: &str = "a local answer\n";

/// A sandbox with a stand-in for the real Claude, and a local server that needs no starting.
fn sandbox() -> (Sandbox, Stub) {
    let mut sandbox = sandbox_with_path(&["real"]);
    sandbox.script("real/claude", ECHO);
    let stub = Stub::answering(LOCAL.trim_end());
    sandbox.set("LOCAL_LLM_URL", stub.url());
    sandbox.set("LLM_SUPERVISOR", "none");
    (sandbox, stub)
}

fn call(sandbox: &Sandbox) -> Cmd {
    sandbox.cmd("claude").args(&["-p", "hi"])
}

fn warning(why: &str) -> String {
    format!("claude: warning: the switch `[HOME]/.local/state/llm-backend` {why}: using claude\n")
}

#[test]
fn words() {
    let (sandbox, _stub) = sandbox();
    call(&sandbox).run().expect(0, REAL, "");
    let padded = [&b" "[..], &[b' '; 3000], b"local", &[b'\n'; 100_000]].concat();
    let local: &[&[u8]] = &[
        b"local",
        b"local\n",
        b"LOCAL",
        b"Local\r\n",
        b" \t\n local \n\n",
        b"\xef\xbb\xbflocal\n",
        b"\xef\xbb\xbf \x0blocal\x0c",
        &padded,
    ];
    for word in local {
        sandbox.switch(word);
        call(&sandbox).run().expect(0, LOCAL, "");
    }
    for word in [&b""[..], b"\n", b" \r\n\t", b"\xef\xbb\xbf", b"claude", b"CLAUDE\n", b"\xef\xbb\xbf Claude\r\n"] {
        sandbox.switch(word);
        call(&sandbox).run().expect(0, REAL, "");
    }
}

#[test]
fn junk_means_claude_and_one_warning() {
    let (sandbox, _stub) = sandbox();
    let cases: &[(&[u8], &str)] = &[
        (b"gemma", "gemma"),
        (b"local local", "local local"),
        (b"local\nclaude\n", "localclaude"),
        (b"l\xc3\xb6cal", "l\u{f6}cal"),
        (b"\xff\xfelocal", "\u{fffd}\u{fffd}local"),
        (b"l\0o\0c\0a\0l\0", "local"),
        (b"\x1b]0;title\x07\x1b[31mlocal", "]0;title[31mlocal"),
        (b"0123456789012345678901234567890123456789tail", "0123456789012345678901234567890123456789"),
    ];
    for (word, shown) in cases {
        sandbox.switch(word);
        let why = format!("says `{shown}`, which is none of `claude`, `local` and `auto`");
        call(&sandbox).run().expect(0, REAL, &warning(&why));
    }
}

#[test]
fn what_is_no_such_file_means_claude() {
    let (sandbox, _stub) = sandbox();
    sandbox.switch("");
    let flag = sandbox.path(".local/state/llm-backend");
    let huge = warning("says ``, which is none of `claude`, `local` and `auto`");
    type Make = fn(&Path);
    let cases: &[(&str, Make, &str)] = &[
        ("a folder", |flag| fs::create_dir(flag).unwrap(), &warning("cannot be read (is a directory)")),
        ("a broken link", |flag| symlink("nowhere", flag).unwrap(), ""),
        (
            "a link to itself",
            |flag| symlink("llm-backend", flag).unwrap(),
            &warning("cannot be read (too many levels of symbolic links)"),
        ),
        ("a pipe", |flag| nix::unistd::mkfifo(flag, nix::sys::stat::Mode::S_IRWXU).unwrap(), ""),
        ("an endless file", |flag| symlink("/dev/zero", flag).unwrap(), &huge),
        ("a huge file", |flag| File::create(flag).unwrap().set_len(1 << 36).unwrap(), &huge),
    ];
    for (what, make, stderr) in cases {
        println!("{what}");
        let _ = fs::remove_file(&flag).or_else(|_| fs::remove_dir(&flag));
        make(&flag);
        call(&sandbox).run().expect(0, REAL, stderr);
    }
    fs::remove_file(&flag).unwrap();
    fs::remove_dir(flag.parent().unwrap()).unwrap();
    fs::write(flag.parent().unwrap(), "a file in place of the folder").unwrap();
    call(&sandbox).run().expect(0, REAL, "");
}

#[test]
fn a_switch_that_may_not_be_read_means_claude() {
    use std::os::unix::fs::PermissionsExt;
    let (sandbox, _stub) = sandbox();
    sandbox.switch("local");
    fs::set_permissions(sandbox.path(".local/state/llm-backend"), fs::Permissions::from_mode(0o000)).unwrap();
    match nix::unistd::geteuid().is_root() {
        true => call(&sandbox).run().expect(0, LOCAL, ""), // root may read everything
        false => call(&sandbox).run().expect(0, REAL, &warning("cannot be read (permission denied)")),
    };
}

#[test]
fn a_link_to_the_switch_is_followed() {
    let (sandbox, _stub) = sandbox();
    sandbox.write("dotfiles/backend", "local\n");
    sandbox.switch("");
    fs::remove_file(sandbox.path(".local/state/llm-backend")).unwrap();
    symlink("../../dotfiles/backend", sandbox.path(".local/state/llm-backend")).unwrap();
    call(&sandbox).run().expect(0, LOCAL, "");
}

#[test]
fn the_switch_may_be_elsewhere() {
    let (mut sandbox, _stub) = sandbox();
    sandbox.switch("claude");
    sandbox.write("else where/flag", "local");
    sandbox.set("LLM_BACKEND_FLAG", sandbox.path("else where/flag"));
    call(&sandbox).run().expect(0, LOCAL, "");
    sandbox.set("LLM_BACKEND_FLAG", "~/else where/flag");
    call(&sandbox).run().expect(0, LOCAL, "");
    sandbox.set("LLM_BACKEND_FLAG", "else where/flag");
    let warning = "claude: warning: LLM_BACKEND_FLAG is `else where/flag`: expected an absolute path; using claude\n";
    call(&sandbox).run().expect(0, REAL, warning);
    sandbox.set("LLM_BACKEND_FLAG", sandbox.home().join(OsStr::from_bytes(b"fl\xffag")));
    call(&sandbox).run().expect(0, REAL, "");
    fs::write(sandbox.home().join(OsStr::from_bytes(b"fl\xffag")), "local").unwrap();
    call(&sandbox).run().expect(0, LOCAL, "");
    sandbox.set("LLM_BACKEND_FLAG", "");
    call(&sandbox).run().expect(0, REAL, "");
    sandbox.switch("local");
    call(&sandbox).run().expect(0, LOCAL, "");
}

#[test]
fn without_a_home_it_is_claude() {
    let (mut sandbox, _stub) = sandbox();
    sandbox.switch("local");
    sandbox.set("HOME", "relative");
    call(&sandbox).run().expect(0, REAL, "");
}

/// A settings file, and what a call prints then; `{flag}` in the file is the path of a switch that says `local`.
#[test]
fn settings_files() {
    let place = "`[HOME]/.config/claude-failover/config.env` line";
    let ignored = |line: u32| format!("claude-failover: warning: {place} {line} is not KEY=VALUE and is ignored\n");
    let (mut sandbox, stub) = sandbox();
    let flag = sandbox.write("the flag", "local");
    let flag = flag.to_str().unwrap();
    let with = |text: &str| text.replace("{flag}", flag).into_bytes();
    let cases: &[(&str, Vec<u8>, &str, String)] = &[
        ("plain", with("LLM_BACKEND_FLAG={flag}\n"), LOCAL, String::new()),
        ("no newline at the end", with("LLM_BACKEND_FLAG={flag}"), LOCAL, String::new()),
        ("exported", with("export LLM_BACKEND_FLAG={flag}\n"), LOCAL, String::new()),
        ("double quotes", with("LLM_BACKEND_FLAG=\"{flag}\"\n"), LOCAL, String::new()),
        ("single quotes, spaces", with("  export   LLM_BACKEND_FLAG = '{flag}'  \r\n"), LOCAL, String::new()),
        ("a tilde", with("LLM_BACKEND_FLAG=~/the flag\n"), LOCAL, String::new()),
        (
            "comments and blank lines",
            with("# LLM_BACKEND_FLAG=/x\n\n \t\n  # x\nLLM_BACKEND_FLAG={flag}\n"),
            LOCAL,
            String::new(),
        ),
        ("the last one wins", with("LLM_BACKEND_FLAG=/nowhere\nLLM_BACKEND_FLAG={flag}\n"), LOCAL, String::new()),
        ("an empty last one unsets", with("LLM_BACKEND_FLAG={flag}\nLLM_BACKEND_FLAG=\n"), REAL, String::new()),
        ("another spelling is another name", with("llm_backend_flag={flag}\n"), REAL, String::new()),
        ("no equals sign", with("junk\nLLM_BACKEND_FLAG={flag}\nLLM_PORT 1\n"), LOCAL, ignored(1) + &ignored(3)),
        ("no name", with("=x\nLLM_BACKEND_FLAG={flag}\n"), LOCAL, ignored(1)),
        ("not UTF-8", [b"\xff\xfe=\x80\nOTHER=\xff\n".to_vec(), with("LLM_BACKEND_FLAG={flag}\n")].concat(), LOCAL, ignored(1)),
        ("a NUL", [b"OTHER=a\0b\n".to_vec(), with("LLM_BACKEND_FLAG={flag}\n")].concat(), LOCAL, ignored(1)),
        ("a byte order mark", [b"\xef\xbb\xbf".to_vec(), with("LLM_BACKEND_FLAG={flag}\n")].concat(), LOCAL, String::new()),
        (
            "another file altogether",
            with(&("{flag}\n".repeat(5) + "LLM_BACKEND_FLAG={flag}\n" + &"words\n".repeat(995))),
            LOCAL,
            (1..=5).map(ignored).collect::<String>()
                + &place.replace(" line", " has 995 more such lines\n").replace("`[", "claude-failover: warning: `["),
        ),
        ("empty", vec![], REAL, String::new()),
    ];
    for (what, text, stdout, stderr) in cases {
        println!("{what}");
        sandbox.write(".config/claude-failover/config.env", text);
        call(&sandbox).run().expect(0, stdout, stderr);
    }
    sandbox.write(".config/claude-failover/config.env", with("LLM_BACKEND_FLAG={flag}\n"));
    call(&sandbox).env("LLM_BACKEND_FLAG", "").run().expect(0, LOCAL, "");
    call(&sandbox).env("LLM_BACKEND_FLAG", "/nowhere").run().expect(0, REAL, "");
    sandbox.unset("LOCAL_LLM_URL");
    sandbox.unset("LLM_SUPERVISOR");
    let url = format!("LOCAL_LLM_URL='{}'\nLLM_SUPERVISOR=none\nLLM_BACKEND_FLAG={{flag}}\n", stub.url());
    sandbox.write(".config/claude-failover/config.env", with(&url));
    call(&sandbox).run().expect(0, LOCAL, "");
}

#[test]
fn a_settings_file_that_cannot_be_read_is_told_and_left_out() {
    let (sandbox, _stub) = sandbox();
    fs::create_dir_all(sandbox.path(".config/claude-failover/config.env")).unwrap();
    let stderr = "claude-failover: warning: cannot read `[HOME]/.config/claude-failover/config.env`: is a directory\n";
    call(&sandbox).run().expect(0, REAL, stderr);
}

/// As ssh has it for its own settings: they say which programs run.
#[test]
fn a_settings_file_that_others_may_write_is_told_and_left_out() {
    let (sandbox, _stub) = sandbox();
    let flag = sandbox.write("the flag", "local");
    let place = ".config/claude-failover/config.env";
    let file = sandbox.write(place, format!("LLM_BACKEND_FLAG={}\n", flag.display()));
    let set_mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    let warning = |why: &str| format!("claude-failover: warning: cannot read `[HOME]/{place}`: {why}\n");
    for mode in [0o664, 0o646, 0o602] {
        set_mode(mode);
        call(&sandbox).run().expect(0, REAL, &warning("others may write to it; `chmod go-w` mends that"));
    }
    for mode in [0o600, 0o644, 0o755] {
        set_mode(mode);
        call(&sandbox).run().expect(0, LOCAL, "");
    }
    // A link to it counts as what it leads to.
    let elsewhere = sandbox.path("dotfiles.env");
    fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    call(&sandbox).run().expect(0, LOCAL, "");
    if nix::unistd::geteuid().is_root() {
        nix::unistd::chown(&elsewhere, Some(nix::unistd::Uid::from_raw(65_534)), None).unwrap();
        call(&sandbox).run().expect(0, REAL, &warning("it belongs to another user"));
        fs::remove_file(&file).unwrap();
    }
    fs::write(&elsewhere, vec![b'#'; (1 << 20) + 1]).unwrap();
    let _ = symlink(&elsewhere, &file);
    let _ = nix::unistd::chown(&elsewhere, Some(nix::unistd::geteuid()), None);
    call(&sandbox).run().expect(0, REAL, &warning("it has more than 1048576 bytes"));
}

#[test]
fn local_answers_print_mode_and_nothing_else() {
    let (sandbox, stub) = sandbox();
    sandbox.switch("local");
    let real: &[&[&str]] = &[
        &["--version"],
        &["-v"],
        &["-p", "hi", "--version"],
        &["--help"],
        &["-h"],
        &["-ph"],
        &["-p", "--help"],
        &["mcp", "list"],
        &["mcp", "add", "x", "--", "-p", "--bogus"],
        &["--model", "haiku", "mcp", "list"],
        &["--", "mcp", "list"],
        &["-pc", "mcp", "list"],
        &["update"],
        &["upgrade"],
        &["doctor"],
        &["install", "stable"],
        &["auth", "status"],
        &["auto-mode", "defaults"],
        &["agents"],
        &["gateway"],
        &["import"],
        &["plugin", "list"],
        &["plugins"],
        &["purge"],
        &["setup-token"],
        &["ultrareview"],
        &["remote-control"],
        &["rc", "-p"],
        &["logs", "-p", "x"],
        &["daemon"],
        &["project", "purge"],
        &["--bg", "hi"],
        &["--cloud", "x", "-p", "hi"],
        &["--init-only"],
    ];
    for args in real {
        for shim in ["claude", "agent-llm"] {
            let expected = format!("real [HOME]/real/claude {}\n", args.join(" "));
            sandbox.cmd(shim).args(args).run().expect(0, &expected, "");
        }
    }
    assert_eq!(stub.seen().len(), 0);
    let local: &[&[&str]] = &[
        &["-p", "hi"],
        &["--print", "hi"],
        &["hi", "-p"],
        &["hi"],
        &["-p", "mcp", "list"],
        &["-p", "--", "--version"],
        &["-p", "hi", "--append-system-prompt", "--version"],
        &["two words"],
        &["--model", "mcp", "hi"],
        &["help"],
    ];
    let mut asked = 0;
    for args in local {
        for shim in ["claude", "agent-llm"] {
            sandbox.cmd(shim).args(args).run().expect(0, LOCAL, "");
            asked += 1;
        }
    }
    assert_eq!(stub.chats().len(), asked);
}

#[test]
fn a_session_at_a_terminal_is_the_real_ones_without_agents() {
    let (mut sandbox, stub) = sandbox();
    sandbox.set("LOCAL_LLM_AGENT", "never");
    sandbox.switch("local");
    let real: &[&[&str]] = &[
        &[],
        &["hi"],
        &["-c"],
        &["-r"],
        &["-pc", "hi"],
        &["-cp", "hi"],
        &["--model", "-p"],
        &["--", "-p"],
        &["--output-format", "json", "hi"],
        &["--bogus"],
        &["mcpp"],
        &["--model"],
        &["mcp", "list"],
        &["-p", "--version"],
    ];
    for args in real {
        let expected = format!("real {}/real/claude {}\n", sandbox.home().display(), args.join(" "));
        assert_eq!(sandbox.at_terminal("claude", args).end(), (0, expected));
    }
    assert_eq!(stub.seen().len(), 0);
    for args in [&["-p", "hi"][..], &["hi", "--print"], &["--model", "x", "-p", "hi"]] {
        assert_eq!(sandbox.at_terminal("claude", args).end(), (0, LOCAL.into()));
    }
    assert_eq!(stub.chats().len(), 3);
}

#[test]
fn a_word_echoed_into_the_switch_counts_at_once() {
    let (sandbox, _stub) = sandbox();
    fs::create_dir_all(sandbox.path(".local/state")).unwrap();
    let script =
        "flag=$HOME/.local/state/llm-backend; claude -p hi; echo local >$flag; claude -p hi; echo claude >$flag; claude -p hi";
    let expected = format!("{REAL}{LOCAL}{REAL}");
    sandbox.cmd("/bin/sh").args(&["-c", script]).run().expect(0, &expected, "");
}
