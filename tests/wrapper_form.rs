//! The wrapper form, as VS Code's extension and Claude Code itself use it: the Claude Code that is to run is the first argument.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use crate::support::play::{Stage, act, acts, answer, init, limit};
use crate::support::real::{ECHO, sandbox_with_path};
use crate::support::stub::Stub;
use crate::support::{BINARY, Sandbox, copy};

const LIST: [&str; 3] = ["plugin", "list", "--json"];

/// A sandbox with another real Claude on PATH, which says that it runs.
fn sandbox() -> Sandbox {
    let sandbox = sandbox_with_path(&["real"]);
    sandbox.script("real/claude", ECHO);
    sandbox
}

/// All that a caller may name, with what it then prints in the place of its own path.
fn forms(sandbox: &Sandbox) -> Vec<Vec<PathBuf>> {
    let programs = ["extension/resources/native-binary/claude", "lib/bin/claude.exe", "share/claude/versions/2.1.330"];
    let mut forms: Vec<Vec<PathBuf>> = programs.iter().map(|program| vec![sandbox.script(program, ECHO)]).collect();
    symlink(sandbox.path(programs[2]), sandbox.path("share/claude/claude")).expect("a link");
    forms.push(vec![sandbox.path("share/claude/claude")]);
    let script = sandbox.write("lib/claude-code/cli.js", "not even executable");
    forms.extend(["node", "bun"].map(|runtime| vec![sandbox.script(&format!("lib/{runtime}"), ECHO), script.clone()]));
    forms
}

#[test]
fn what_needs_no_model_runs_on_the_claude_that_is_named() {
    let sandbox = sandbox();
    for form in forms(&sandbox) {
        let words: Vec<String> = form.iter().map(|path| path.display().to_string()).collect();
        let expected =
            format!("real {} plugin list --json\n", words.join(" ")).replace(&*sandbox.home().to_string_lossy(), "[HOME]");
        for backend in ["claude", "local", "auto"] {
            sandbox.switch(backend);
            for shim in ["claude", "agent-llm"] {
                sandbox.cmd(shim).args(&form).args(&LIST).run().expect(0, &expected, "");
            }
        }
        sandbox.cmd(*BINARY).arg("agent-llm").args(&form).args(&LIST).run().expect(0, &expected, "");
        // Claude Code's own titles.
        sandbox.cmd("claude").arg0("claude bg-pty-host").args(&form).args(&LIST).run().expect(0, &expected, "");
    }
}

/// The named one counts for this call, whatever the settings say.
#[test]
fn the_named_one_comes_before_claude_bin() {
    let mut sandbox = sandbox();
    let other = sandbox.script("other/claude", ECHO);
    sandbox.set("CLAUDE_BIN", other);
    let named = sandbox.script("named/claude", ECHO);
    sandbox.cmd("claude").arg(named).args(&LIST).run().expect(0, "real [HOME]/named/claude plugin list --json\n", "");
    sandbox.cmd("claude").args(&LIST).run().expect(0, "real [HOME]/other/claude plugin list --json\n", "");
}

#[test]
fn all_else_stays_a_prompt() {
    let sandbox = sandbox();
    fs::create_dir_all(sandbox.path("folder/claude")).expect("folders");
    sandbox.write("plain/claude", ECHO);
    sandbox.write("empty/claude", "");
    fs::set_permissions(sandbox.path("empty/claude"), fs::Permissions::from_mode(0o755)).expect("permissions");
    // A stranger may have written it.
    fs::set_permissions(sandbox.script("shared/claude", ECHO), fs::Permissions::from_mode(0o777)).expect("permissions");
    sandbox.script("named/claude", ECHO);
    sandbox.script("named/claude-code", ECHO);
    sandbox.script("named/2.1.330", ECHO);
    sandbox.script("named/node", ECHO);
    sandbox.write("named/cli.js", "");
    fs::create_dir(sandbox.path("copied")).expect("a folder");
    copy(*BINARY, sandbox.path("copied/claude"));
    let home = sandbox.home().display().to_string();
    let first_words = [
        format!("{home}/folder/claude"),
        format!("{home}/plain/claude"),
        format!("{home}/empty/claude"),
        format!("{home}/shared/claude"),
        format!("{home}/missing/claude"),
        format!("{home}/named/claude-code"),
        format!("{home}/named/2.1.330"),
        // This very program, by its link and as a copy.
        format!("{home}/bin/claude"),
        format!("{home}/copied/claude"),
        "named/claude".into(),
        "./named/claude".into(),
        "claude".into(),
        "~/named/claude".into(),
        "/bin/sh".into(),
        "/".into(),
        format!("{home}/named/claude and why it fails"),
    ];
    for word in first_words {
        let expected = format!("real [HOME]/real/claude {word} list\n").replace(&home, "[HOME]");
        sandbox.cmd("claude").arg(&word).arg("list").run().expect(0, &expected, "");
    }
    let lines: [&[&str]; 5] = [
        &["-p", "HOME/named/claude"],
        &["--", "HOME/named/claude"],
        &["HOME/named/node", "HOME/named/claude"],
        &["HOME/named/node", "named/cli.js"],
        &["HOME/named/node", "HOME/missing/cli.js"],
    ];
    for line in lines {
        let args: Vec<String> = line.iter().map(|word| word.replace("HOME", &home)).collect();
        let expected = format!("real [HOME]/real/claude {}\n", line.join(" ").replace("HOME", "[HOME]"));
        sandbox.cmd("claude").args(&args).run().expect(0, &expected, "");
    }
}

#[test]
fn the_local_model_answers_without_the_path() {
    let stub = Stub::answering("An answer.");
    for shim in ["claude", "agent-llm"] {
        let mut sandbox = Sandbox::new();
        sandbox.set("LOCAL_LLM_URL", stub.url());
        sandbox.switch("local");
        let named = sandbox.script("named/claude", "#!/bin/sh\nexit 9\n");
        sandbox.cmd(shim).arg(&named).args(&["-p", "a question"]).run().expect(0, "An answer.\n", "");
        let question = stub.chats().last().expect("a question").json();
        assert_eq!(
            question["messages"].as_array().and_then(|messages| messages.last()).expect("a message")["content"],
            "a question"
        );
        // In the formats, too, which decide what may be written to stderr.
        let call = sandbox.cmd(shim).arg(&named).args(&["-p", "q", "--output-format", "json"]);
        let output = call.run();
        assert_eq!((output.code(), output.err().as_str()), (0, ""), "{output:?}");
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")["result"], "An answer.");
    }
}

/// The gateway's address and the settings reach the Claude that is named, and with it a script of its own.
#[test]
fn an_agent_on_the_local_model_is_the_claude_that_is_named() {
    const AGENT: &str =
        "#!/bin/sh\necho \"$0 $1 $2\" | sed 's/--settings.*/--settings/'\nexpr \"$ANTHROPIC_BASE_URL\" : 'http://127.0.0.1:'\n";
    let mut sandbox = sandbox();
    sandbox.set("LOCAL_LLM_URL", Stub::answering("x").url());
    sandbox.set("LOCAL_LLM_MODEL", "tiny");
    sandbox.set("LOCAL_LLM_AGENT", "always");
    sandbox.switch("local");
    let banner = "claude: this session runs on the local model `tiny`\n";
    let named = sandbox.script("named/claude", AGENT);
    sandbox.cmd("claude").arg(&named).args(&["-p", "q"]).run().expect(0, "[HOME]/named/claude --settings\n17\n", banner);
    let node = sandbox.script("named/node", AGENT);
    let script = sandbox.write("named/cli.js", "");
    let expected = "[HOME]/named/node [HOME]/named/cli.js --settings\n17\n";
    sandbox.cmd("claude").args(&[&node, &script]).args(&["-p", "q"]).run().expect(0, expected, banner);
}

#[test]
fn the_claude_that_is_named_is_watched() {
    let stub = Stub::answering("An answer.");
    let mut stage = Stage::new(&stub, &acts(&[&init(), &answer("From Claude."), &act("exit 0")]));
    let named = stage.path("real/claude");
    let path = [stage.path("bin"), "/usr/bin".into(), "/bin".into()];
    stage.set_path(&path);
    for shim in ["claude", "agent-llm"] {
        let output = stage.cmd(shim).arg(&named).args(&["-p", "a question"]).run();
        output.expect(0, "From Claude.\n", "");
    }
    assert!(stage.run(1).args.ends_with(&["-p".into(), "a question".into()]), "{:?}", stage.run(1).args);
    assert!(!stage.run(1).args.contains(&named.display().to_string()));

    stage.play(&acts(&[&init(), &limit(), &act("exit 1")]));
    let output = stage.cmd("claude").arg(&named).args(&["-p", "a question"]).run();
    assert_eq!((output.code(), output.out().as_str()), (0, "An answer.\n"), "{output:?}");
}

#[test]
fn wrappers_that_lead_back_come_to_an_end() {
    let sandbox = sandbox();
    let loops = sandbox.script("loops/claude", "#!/bin/sh\nexec claude \"$0\" \"$@\"\n");
    let stopped = "claude: `[HOME]/loops/claude` leads back here: stopped after 20 turns\n\
                   hint: set CLAUDE_BIN to the absolute path of the real Claude Code\n";
    sandbox.cmd("claude").arg(loops).args(&LIST).run().expect(126, "", stopped);
    // One that knows nothing of the form leads to the real one behind us, in the same process and in another.
    for text in ["#!/bin/sh\nexec claude \"$@\"\n", "#!/bin/sh\nclaude \"$@\"\n"] {
        let wrapper = sandbox.script("wraps/claude", text);
        sandbox.cmd("claude").arg(wrapper).args(&LIST).run().expect(0, "real [HOME]/real/claude plugin list --json\n", "");
    }
}

#[test]
fn a_claude_that_cannot_be_run_is_named() {
    let sandbox = sandbox();
    let broken = sandbox.script("broken/claude", "#!/nowhere/sh\n");
    let expected = "claude: cannot run `[HOME]/broken/claude`: its interpreter `/nowhere/sh` is missing\n";
    let output = sandbox.cmd("claude").arg(broken).args(&LIST).run();
    assert!(output.err().starts_with(expected.trim_end()), "{}", output.err());
    assert_eq!(output.code(), 126);
}
