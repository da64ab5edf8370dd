//! This machine: many checks in a run, each where all is well and where it is not.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::{doctor, healthy, lines};
use crate::support::Sandbox;
use crate::support::script::{Manner, replying, says};

const IDS: [&str; 17] = [
    "path",
    "path-cron",
    "path-launchd",
    "path-systemd",
    "shell-files",
    "links",
    "copies",
    "shims",
    "claude",
    "claude-version",
    "settings-file",
    "settings-names",
    "settings",
    "switch",
    "state",
    "claude-settings",
    "clear-text",
];

/// Programs of the system that say this.
fn stand_ins(sandbox: &Sandbox, crontab: &str, path: &str) {
    sandbox.script("system/crontab", &format!("#!/bin/sh\ncat <<'END'\n{crontab}\nEND\n"));
    sandbox.script("system/launchctl", &format!("#!/bin/sh\n[ \"$1 $2\" = 'getenv PATH' ] && echo '{path}'\n"));
    let told = format!("#!/bin/sh\n[ \"$2\" = show-environment ] && echo 'HOME=/x' && echo 'PATH={path}'\n");
    sandbox.script("system/systemctl", &told);
}

fn set_path(sandbox: &mut Sandbox, folders: &[&str]) {
    let folders = folders.iter().map(|folder| sandbox.path(folder));
    let all: Vec<_> = folders.chain(["/usr/bin".into(), "/bin".into()]).collect();
    sandbox.set_path(&all);
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_machine_on_which_all_is_well() {
    let mut sandbox = healthy();
    let stub = replying(Manner::Whole, 65_536, |_| says("hi"));
    sandbox.set("LOCAL_LLM_URL", stub.url());
    let bin = sandbox.path("bin").display().to_string();
    stand_ins(&sandbox, &format!("PATH={bin}:/usr/bin:/bin\n0 * * * * claude -p hi"), &format!("{bin}:/usr/bin"));
    set_path(&mut sandbox, &["bin", "system"]);
    sandbox.write(".bashrc", "alias ll='ls -l'\nalias claude='claude --verbose'\n");
    let config = sandbox.write(".config/claude-failover/config.env", "LOCAL_LLM_API_KEY=sk-secret\n");
    chmod(&config, 0o600);
    sandbox.switch("auto\n");
    fs::create_dir_all(sandbox.path(".local/state/claude-failover")).unwrap();
    chmod(&sandbox.path(".local/state/claude-failover"), 0o700);
    sandbox.write(".claude/settings.json", r#"{"permissions":{"allow":[]},"env":{"FOO":"bar"}}"#);
    let output = doctor(&sandbox, &["--quick"]);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        lines(&output, &IDS),
        [
            "ok path `claude` is `~/bin/claude`, which reads the switch",
            "ok path-cron jobs find `~/bin/claude`, which reads the switch",
            "ok path-launchd launchd's jobs find `~/bin/claude`, which reads the switch",
            "ok path-systemd systemd's jobs find `~/bin/claude`, which reads the switch",
            "ok shell-files no alias and no function stands before `claude`",
            &format!("ok links claude-failover {version} in `~/bin`: claude, agent-llm, llm-failover"),
            "ok shims no other `claude` on PATH",
            "ok claude `~/opt/claude`",
            "ok claude-version 2.1.330, which this claude-failover knows",
            "ok settings-file `~/.config/claude-failover/config.env` is yours (mode 600)",
            "ok settings each has a value that can be used",
            "ok switch it says `auto` (`~/.local/state/llm-backend`)",
            "ok state `~/.local/state/claude-failover` is yours alone",
            "ok claude-settings nothing in them works against this program",
            "ok clear-text LOCAL_LLM_API_KEY stays on this machine, or goes by TLS",
        ]
    );
    assert!(!output.out().contains("sk-secret"));
}

#[test]
fn a_machine_on_which_everything_is_wrong() {
    let mut sandbox = healthy();
    let other = sandbox.script("other/claude", "#!/usr/bin/env node\n").parent().unwrap().display().to_string();
    sandbox.write("opt/package.json", r#"{"name":"@anthropic-ai/claude-code","version":"9.0.1"}"#);
    stand_ins(&sandbox, "0 * * * * cd /x && claude -p hi", &other);
    set_path(&mut sandbox, &["system", "other", "bin"]);
    sandbox.write(".zshrc", "# Claude\nalias claude=\"/opt/elsewhere/claude\"\n");
    let link = sandbox.path("bin/agent-llm");
    fs::remove_file(&link).unwrap();
    symlink("/no/such/file", &link).unwrap();
    let config =
        "LOCAL_LLM_URI=http://x\nLLM_NONSENSE_OF_MINE=1\n# a comment\nLOCAL_LLM_API_KEY=sk-secret\nLOCAL_LLM_TEMPERATURE=-1\n";
    let config = sandbox.write(".config/claude-failover/config.env", config);
    chmod(&config, 0o644);
    sandbox.set("LOCAL_LLM_URL", "http://gpu.invalid/v1");
    sandbox.set("LLM_PORTS", "1");
    sandbox.set("LLM_PORT", "many");
    sandbox.set("HTTPS_PROXY", "http://user:sk-secret@proxy.invalid:3128");
    sandbox.switch("locl\n");
    fs::create_dir_all(sandbox.path(".local/state/claude-failover")).unwrap();
    chmod(&sandbox.path(".local/state/claude-failover"), 0o755);
    let settings = r#"{"apiKeyHelper":"echo sk-secret","disableAllHooks":true,"env":{"CLAUDE_CODE_RETRY_WATCHDOG":"1",
        "ANTHROPIC_BASE_URL":"https://user:sk-secret@llm.corp.invalid/x?key=sk-secret","ANTHROPIC_AUTH_TOKEN":"sk-secret","NO_PROXY":"corp.invalid"}}"#;
    sandbox.write(".claude/settings.json", settings);
    sandbox.write(".claude/settings.local.json", "{");
    let output = doctor(&sandbox, &["--quick"]);
    let bin = "[HOME]/bin";
    let expected = [
        format!(
            "problem path `claude` is `~/other/claude`, which does not read the switch → put this into your shell's start-up file, \
             last: export PATH=\"{bin}:$PATH\""
        ),
        format!(
            "warning path-cron your jobs call `claude`, and cron finds none (PATH=/usr/bin:/bin) → put this at the head of `crontab -e`: \
             PATH={bin}:/usr/bin:/bin"
        ),
        format!(
            "warning path-launchd launchd's jobs find `~/other/claude`, which does not read the switch → launchctl setenv PATH \
             {bin}:[HOME]/other, or set PATH in the job's EnvironmentVariables"
        ),
        format!(
            "warning path-systemd systemd's jobs find `~/other/claude`, which does not read the switch → put this into \
             ~/.config/environment.d/path.conf: PATH={bin}:$PATH"
        ),
        "problem shell-files an alias `claude` leads to `/opt/elsewhere/claude`, past this program: line 2 of `~/.zshrc` → take \
         line 2 of `~/.zshrc` out, and open a new shell"
            .into(),
        "problem links `~/bin/agent-llm`: no such file → claude-failover --install ~/bin".into(),
        "ok shims other programs called `claude` on PATH: `~/other/claude`".into(),
        "ok claude `~/opt/claude`".into(),
        "warning claude-version 9.0.1, newer than 2.1.330, the newest that this claude-failover knows → update claude-failover; \
         `llm-failover drill limit` shows whether it works"
            .into(),
        "warning settings-file `~/.config/claude-failover/config.env` holds a key, and others may read it (mode 644) → chmod 600 \
         ~/.config/claude-failover/config.env"
            .into(),
        "warning settings-names `LOCAL_LLM_URI` in the settings file is no setting → did you mean LOCAL_LLM_URL?".into(),
        "warning settings-names `LLM_NONSENSE_OF_MINE` in the settings file is no setting → take it out".into(),
        "warning settings-names `LLM_PORTS` in the environment is no setting → did you mean LLM_PORT?".into(),
        "problem settings LOCAL_LLM_TEMPERATURE is `-1`: expected a number that is not negative (line 5 of the settings file) → \
         llm-failover config set LOCAL_LLM_TEMPERATURE VALUE, or llm-failover config unset LOCAL_LLM_TEMPERATURE"
            .into(),
        "problem settings LLM_PORT is `many`: expected a port number (in the environment) → export LLM_PORT=VALUE, or unset LLM_PORT"
            .into(),
        "problem switch the switch `~/.local/state/llm-backend` says `locl`, which is none of `claude`, `local` and `auto`: using \
         claude → llm-failover claude, or llm-failover auto"
            .into(),
        "warning state others may look into `~/.local/state/claude-failover` (mode 755) → chmod 700 \
         ~/.local/state/claude-failover"
            .into(),
        "warning claude-settings `~/.claude/settings.local.json` is not JSON, or cannot be read → mend it: Claude Code passes over \
         all of it"
            .into(),
        "warning claude-settings `~/.claude/settings.json`: ANTHROPIC_BASE_URL is https://llm.corp.invalid/x: Claude is asked there, \
         and what that host says is taken for Claude's limits → take ANTHROPIC_BASE_URL out of `~/.claude/settings.json`"
            .into(),
        "warning claude-settings `~/.claude/settings.json`: apiKeyHelper gives Claude Code a key: the plan's limits do not count for \
         it; agents on the local model run without it → take apiKeyHelper out of `~/.claude/settings.json` if you have a plan"
            .into(),
        "warning claude-settings `~/.claude/settings.json`: CLAUDE_CODE_RETRY_WATCHDOG is set, so Claude Code tries on through an \
         outage, and no local model answers → take CLAUDE_CODE_RETRY_WATCHDOG out of `~/.claude/settings.json`"
            .into(),
        "warning claude-settings `~/.claude/settings.json`: disableAllHooks turns hooks off, so a session at a terminal does not go \
         over to the local model → take disableAllHooks out of `~/.claude/settings.json`"
            .into(),
        "warning claude-settings `~/.claude/settings.json`: NO_PROXY is `corp.invalid`, so agents on the local model ask the proxy \
         for the gateway → add 127.0.0.1 to NO_PROXY there"
            .into(),
    ];
    assert_eq!(lines(&output, &IDS), expected);
    let proxy = "warning proxy the environment: HTTPS_PROXY is http://proxy.invalid:3128, and the local model at gpu.invalid is asked \
                 through it → export NO_PROXY=\"$NO_PROXY,gpu.invalid\", unless that is meant";
    assert_eq!(lines(&output, &["proxy"]), [proxy]);
    assert_eq!(output.code(), 1);
    assert!(!output.out().contains("secret") && !output.err().contains("secret"), "{output:?}");
}

/// A home with one thing that is wrong, and the line about it.
type Case = (&'static str, fn(&mut Sandbox), &'static str);

const CASES: [Case; 17] = [
    (
        "no `claude` on PATH",
        |sandbox| sandbox.set("PATH", "/usr/bin:/bin"),
        "problem path no `claude` on PATH → put this into your shell's start-up file, last: export PATH=\"[HOME]/bin:$PATH\"",
    ),
    (
        "agent-llm alone",
        |sandbox| fs::remove_file(sandbox.path("bin/claude")).unwrap(),
        "ok path `claude` is left to Claude Code; `agent-llm` reads the switch",
    ),
    (
        "a function of fish",
        |sandbox| drop(sandbox.write(".config/fish/functions/claude.fish", "function claude\n  /opt/claude $argv\nend\n")),
        "warning shell-files a function `claude` stands before this program: line 1 of `~/.config/fish/functions/claude.fish` → \
         take line 1 of `~/.config/fish/functions/claude.fish` out, and open a new shell",
    ),
    (
        "a link of ours is another program",
        |sandbox| {
            fs::remove_file(sandbox.path("bin/agent-llm")).unwrap();
            sandbox.script("bin/agent-llm", "#!/bin/sh\n");
        },
        "problem links `~/bin/agent-llm` is another program → move it away, then claude-failover --install ~/bin",
    ),
    (
        "a shell script stands for Claude Code",
        |sandbox| {
            let script = sandbox.script("wrap/claude", "#!/bin/sh\nexec /opt/claude \"$@\"\n");
            sandbox.set("CLAUDE_BIN", script);
        },
        "warning shims the real Claude Code is taken to be `~/wrap/claude`, a shell script: what it runs is not known → set \
         CLAUDE_BIN to the program itself",
    ),
    (
        "no Claude Code",
        |sandbox| sandbox.set("CLAUDE_BIN", "/no/such/claude"),
        "problem claude the real Claude Code was not found: skipped `/no/such/claude`: no such file, skipped `~/bin/claude`: this is \
         claude-failover itself → install it with `npm install -g @anthropic-ai/claude-code`, or set CLAUDE_BIN to its absolute path",
    ),
    (
        "CLAUDE_BIN cannot be used",
        |sandbox| {
            sandbox.script("more/claude", "#!/usr/bin/env node\n");
            let path = format!("{}:{}:/usr/bin:/bin", sandbox.path("bin").display(), sandbox.path("more").display());
            sandbox.set("PATH", path);
            sandbox.set("CLAUDE_BIN", "/no/such/claude");
        },
        "warning claude `~/more/claude` runs, since CLAUDE_BIN is `/no/such/claude`, which cannot: no such file → set CLAUDE_BIN to \
         the absolute path of the real Claude Code",
    ),
    (
        "an old Claude Code",
        |sandbox| drop(sandbox.write("opt/package.json", r#"{"name":"@anthropic-ai/claude-code","version":"0.2.9"}"#)),
        "warning claude-version 0.2.9, older than 1.0.77, the oldest that was tried → `claude update`, or npm install -g \
         @anthropic-ai/claude-code",
    ),
    (
        "a Claude Code without a version",
        |sandbox| {
            fs::remove_file(sandbox.path("opt/package.json")).unwrap();
            sandbox.script("opt/claude", "#!/bin/sh\nexit 1\n");
        },
        "problem claude-version it does not say its version: `claude --version` fails → `claude update`, or npm install -g \
         @anthropic-ai/claude-code",
    ),
    (
        "settings that others may write",
        |sandbox| chmod(&sandbox.write(".config/claude-failover/config.env", "LLM_PORT=1\n"), 0o666),
        "problem settings-file others may write to `~/.config/claude-failover/config.env` (mode 666), so it is not read → chmod 600 \
         ~/.config/claude-failover/config.env",
    ),
    (
        "a line that is no assignment",
        |sandbox| chmod(&sandbox.write(".config/claude-failover/config.env", "LLM_PORT: 1\n"), 0o600),
        "problem settings-file `~/.config/claude-failover/config.env` line 1 is not KEY=VALUE and is ignored → mend that line in \
         `~/.config/claude-failover/config.env`",
    ),
    (
        "a number is left out",
        |sandbox| sandbox.set("LOCAL_LLM_URL_3", "http://127.0.0.1:1"),
        "warning settings-names without `LOCAL_LLM_URL_2` these have no effect: `LOCAL_LLM_URL_3` → number them without a gap, from 2 on",
    ),
    (
        "a relative switch",
        |sandbox| sandbox.set("LLM_BACKEND_FLAG", "switch"),
        "problem switch LLM_BACKEND_FLAG is `switch`: expected an absolute path → set LLM_BACKEND_FLAG to an absolute path, or unset it",
    ),
    (
        "a state folder that is none",
        |sandbox| drop(sandbox.write(".local/state/claude-failover", "")),
        "problem state `~/.local/state/claude-failover` is no folder → move it away",
    ),
    (
        "our own gateway's address",
        |sandbox| {
            sandbox.set("ANTHROPIC_BASE_URL", "http://localhost:9");
            sandbox.set("LOCAL_LLM_URL", "http://127.0.0.1:9");
        },
        "warning claude-settings the environment: ANTHROPIC_BASE_URL is http://localhost:9, a local model of yours: each call is local, \
         whatever the switch says → unset ANTHROPIC_BASE_URL",
    ),
    (
        "a key in clear text",
        |sandbox| {
            sandbox.set("LOCAL_LLM_URL", "http://gpu.invalid");
            sandbox.set("LOCAL_LLM_API_KEY", "sk-secret");
        },
        "problem clear-text LOCAL_LLM_API_KEY, prompts and answers go to http://gpu.invalid in clear text → use an \
         https address or a tunnel, or set LOCAL_LLM_INSECURE=1 if nobody else is on that net",
    ),
    (
        "clear text that is meant",
        |sandbox| {
            sandbox.set("LOCAL_LLM_URL", "http://gpu.invalid");
            sandbox.set("LOCAL_LLM_INSECURE", "1");
        },
        "ok clear-text what is asked goes to http://gpu.invalid in clear text, as LOCAL_LLM_INSECURE says",
    ),
];

#[test]
fn one_thing_is_wrong() {
    for (what, make, line) in CASES {
        let mut sandbox = healthy();
        make(&mut sandbox);
        let output = doctor(&sandbox, &["--quick"]);
        let id = line.split(' ').nth(1).unwrap();
        assert_eq!(lines(&output, &[id]), [line], "{what}");
        assert!(!output.out().contains("sk-secret"), "{output:?}");
    }
}

#[test]
fn the_local_server_as_it_is() {
    let down = crate::support::free_port();
    let loading = crate::support::stub::Stub::new(|_, stream| {
        use std::io::Write;
        let body = r#"{"error":{"message":"Loading model","code":503}}"#;
        let _ = stream.write_all(crate::support::stub::json(503, body).as_bytes());
    });
    let page = crate::support::stub::Stub::new(|_, stream| {
        use std::io::Write;
        let _ = stream.write_all(crate::support::stub::json(404, "<html>").as_bytes());
    });
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let own = down.to_string();
    let table = [
        (
            vec![("LLM_PORT", own.clone())],
            "problem server no local server is installed → run `llm-failover setup`, or set LLM_SERVER_CMD to the command that starts \
             your server"
                .to_string(),
        ),
        (
            vec![("LLM_PORT", own.clone()), ("LLM_SERVER_CMD", "true".into())],
            format!("ok server down (lazy): child starts it at {} when it is needed", url(down)),
        ),
        (
            vec![("LOCAL_LLM_URL", url(down)), ("LLM_SUPERVISOR", "none".into())],
            format!(
                "problem server nothing answers at {}, and that server is not ours to start → start it yourself, or \
                 check LOCAL_LLM_URL",
                url(down)
            ),
        ),
        (
            vec![("LOCAL_LLM_URL", url(loading.port()))],
            format!(
                "warning server it is loading its model at {} → run this again in a moment",
                url(loading.port())
            ),
        ),
        (
            vec![("LOCAL_LLM_URL", url(page.port()))],
            format!(
                "problem server {}: it is no model server (HTTP 404 for its list of models) → check LOCAL_LLM_URL",
                url(page.port())
            ),
        ),
    ];
    for (settings, line) in table {
        let mut sandbox = healthy();
        settings.into_iter().for_each(|(name, value)| sandbox.set(name, value));
        assert_eq!(lines(&doctor(&sandbox, &["--quick"]), &["server"]), [line]);
    }
}
