//! `llm-failover config`: what is shown, and what is left of the settings file when it is changed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::Value;

use crate::support::{Output, Sandbox};

const FILE: &str = ".config/claude-failover/config.env";
const SHOWN: &str = "[HOME]/.config/claude-failover/config.env";

fn config(sandbox: &Sandbox, args: &[&str]) -> Output {
    sandbox.cmd("llm-failover").arg("config").args(args).run()
}

fn file(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.path(FILE)).unwrap()
}

/// The rows of the variables that are set.
fn marked(output: &Output) -> Vec<String> {
    let out = output.out();
    let rows = out.lines().filter(|line| line.starts_with(['*', '!']));
    rows.map(|row| row.split("  ").filter(|cell| !cell.is_empty()).map(str::trim).collect::<Vec<_>>().join(" | ")).collect()
}

#[test]
fn the_table_without_any_setting() {
    let output = config(&Sandbox::new(), &[]);
    let out = output.out();
    assert!(
        out.starts_with(
            "settings file: ~/.config/claude-failover/config.env\n\n  LLM_BACKEND_FLAG          ~/.local/state/llm-backend\n"
        ),
        "{out}"
    );
    assert!(out.contains("  LOCAL_LLM_URL             http://127.0.0.1:9420/v1/chat/completions\n"), "{out}");
    assert!(out.contains("  CLAUDE_BIN                (the first on PATH, or in a usual place)\n"), "{out}");
    assert_eq!((output.code(), output.err().as_str(), marked(&output)), (0, "", vec![]));
    // Nothing was made by looking.
    assert!(!Sandbox::new().path(".config").exists());
}

#[test]
fn what_is_set_is_marked_with_where_it_comes_from() {
    let mut sandbox = Sandbox::new();
    sandbox.write(
        FILE,
        "# mine\nLLM_PORT=9999\nLOCAL_LLM_API_KEY=sk-secret\nLOCAL_LLM_TEMPERATURE=hot\nLLM_PORT=9421\nLLM_PREWARM=yes\n\
         LLM_SERVER_CMD=HF_TOKEN=hidden serve --api-key hidden\nLOCAL_LLM_EXTRA_BODY={\"token\":\"hidden\"}\n\
         LOCAL_LLM_URL_2=http://me:hidden@other:1\nLOCAL_LLM_API_KEY_2=hidden\nLOCAL_LLM_MODEL_4=m\nLLM_PROT=1\n",
    );
    sandbox.set("LLM_PREWARM", "no");
    sandbox.set("LLM_GATEWAY_TOKEN", "sk-secret");
    let output = config(&sandbox, &[]);
    assert_eq!(
        marked(&output),
        [
            "! LOCAL_LLM_TEMPERATURE | hot | line 4 | expected a number that is not negative; default: 0.2",
            "* LOCAL_LLM_API_KEY | set | line 3 | default: (none)",
            "* LOCAL_LLM_EXTRA_BODY | {\"token\":\"…\"} | line 8 | default: (none)",
            "* LLM_PORT | 9421 | line 5 | default: 9420",
            "* LLM_SERVER_CMD | HF_TOKEN=… serve --api-key … | line 7 | default: (none)",
            "* LLM_PREWARM | no | environment | default: no",
            "* LLM_GATEWAY_TOKEN | set | environment | default: (a random one)",
            "* LOCAL_LLM_URL_2 | http://other:1 | line 9 | default: (no such local model)",
            "* LOCAL_LLM_API_KEY_2 | set | line 10 | default: (none)",
            "* LOCAL_LLM_MODEL_4 | m | line 11 | default: (by the server's list)",
        ]
    );
    assert!(output.out().contains("  LOCAL_LLM_URL             http://127.0.0.1:9421/v1/chat/completions\n"));
    let unused = "llm-failover: warning: without `LOCAL_LLM_URL_3` these have no effect: `LOCAL_LLM_MODEL_4`\n";
    assert_eq!(output.err(), format!("{unused}llm-failover: warning: `LLM_PROT` in the settings file is no setting\n"));
    let json = config(&sandbox, &["--json"]);
    let list: Value = serde_json::from_str(&json.out()).unwrap();
    let row = |name: &str| list["settings"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone();
    assert_eq!(list["file"], SHOWN);
    let expected = serde_json::json!({
        "name": "LOCAL_LLM_TEMPERATURE", "meaning": "the sampling temperature", "value": "hot", "default": "0.2",
        "origin": "file", "line": 4, "problem": "expected a number that is not negative",
    });
    assert_eq!(row("LOCAL_LLM_TEMPERATURE"), expected);
    assert_eq!(row("LOCAL_LLM_MODEL")["default"], Value::Null);
    for text in [output.out(), json.out(), json.err()] {
        assert!(!text.contains("secret") && !text.contains("hidden"), "{text}");
    }
}

#[test]
fn one_value() {
    let mut sandbox = Sandbox::new();
    sandbox.write(FILE, "LLM_PORT=many\nLOCAL_LLM_MODEL='a b'\nLOCAL_LLM_API_KEY=sk-secret\n");
    sandbox.set("LLM_PREWARM", "yes");
    let table = [
        ("LOCAL_LLM_MODEL", 0, "a b\n", ""),
        ("local_llm_model", 0, "a b\n", ""),
        ("LLM_PREWARM", 0, "yes\n", ""),
        ("LOCAL_LLM_MAX_TOKENS", 0, "800\n", ""),
        ("LOCAL_LLM_API_KEY", 0, "set\n", ""),
        ("LLM_PORT", 0, "many\n", "llm-failover: warning: LLM_PORT is `many`: expected a port number\n"),
        ("LLM_NOTIFY_CMD", 1, "", "llm-failover: LLM_NOTIFY_CMD is not set: none\n"),
        (
            "LLM_PROT",
            1,
            "",
            "llm-failover: `LLM_PROT` is no setting; did you mean `LLM_PORT`?\nhint: `llm-failover config` lists them all\n",
        ),
        ("HOME", 1, "", "llm-failover: `HOME` is no setting\nhint: `llm-failover config` lists them all\n"),
    ];
    for (key, code, out, err) in table {
        config(&sandbox, &["get", key]).expect(code, out, err);
    }
}

#[test]
fn a_line_is_replaced_in_its_place_and_all_else_stays() {
    let mut sandbox = Sandbox::new();
    let set =
        |sandbox: &Sandbox, key: &str, value: &str, out: &str| drop(config(sandbox, &["set", key, value]).expect(0, out, ""));
    set(&sandbox, "llm_port", "9421", "LLM_PORT is `9421` in the settings file now\n");
    assert_eq!(file(&sandbox), "LLM_PORT=9421\n");
    let mode = |sandbox: &Sandbox| fs::metadata(sandbox.path(FILE)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&sandbox), 0o600);

    sandbox.write(FILE, "# mine\n\nLLM_PORT=1\nFOREIGN=x y\n  export LLM_PORT = 2 \nLLM_PREWARM=yes");
    fs::set_permissions(sandbox.path(FILE), fs::Permissions::from_mode(0o644)).unwrap();
    set(&sandbox, "LLM_PORT", "9421", "LLM_PORT is `9421` in the settings file now\n");
    set(&sandbox, "LOCAL_LLM_MODEL", "qwen", "LOCAL_LLM_MODEL is `qwen` in the settings file now\n");
    set(&sandbox, "LLM_SERVER_CMD", "-q 'serve'", "LLM_SERVER_CMD is `-q 'serve'` in the settings file now\n");
    config(&sandbox, &["set", "LLM_STALL=3"]).expect(
        1,
        "",
        "llm-failover: `LLM_STALL` is no setting\nhint: `llm-failover config` lists them all\n",
    );
    config(&sandbox, &["set", "LLM_START_TIMEOUT=3"]).expect(0, "LLM_START_TIMEOUT is `3` in the settings file now\n", "");
    sandbox.cmd("llm-failover").args(&["-q", "config", "set", "LLM_PREWARM", "no"]).run().expect(0, "", "");
    let expected = "# mine\n\nLLM_PORT=1\nFOREIGN=x y\n  export LLM_PORT=9421 \nLLM_PREWARM=no\nLOCAL_LLM_MODEL=qwen\n\
                    LLM_SERVER_CMD=\"-q 'serve'\"\nLLM_START_TIMEOUT=3\n";
    assert_eq!((file(&sandbox).as_str(), mode(&sandbox)), (expected, 0o600));

    sandbox.set("LLM_PORT", "7");
    let wins = "llm-failover: warning: LLM_PORT is in the environment of this shell, too, which wins there\n";
    config(&sandbox, &["unset", "LLM_PORT"]).expect(0, "LLM_PORT is no longer in the settings file; without it: 9420\n", wins);
    let left =
        "# mine\n\nFOREIGN=x y\nLLM_PREWARM=no\nLOCAL_LLM_MODEL=qwen\nLLM_SERVER_CMD=\"-q 'serve'\"\nLLM_START_TIMEOUT=3\n";
    assert_eq!(file(&sandbox), left);
    config(&sandbox, &["set", "LOCAL_LLM_CONTEXT", ""]).expect(
        0,
        "LOCAL_LLM_CONTEXT is not in the settings file; without it: what the server or the model's files say\n",
        "",
    );
    assert_eq!(file(&sandbox), left);
}

#[test]
fn what_cannot_be_used_is_refused_and_nothing_is_made() {
    let sandbox = Sandbox::new();
    let table = [
        (&["set", "LLM_PORT", "70000"][..], "LLM_PORT is `70000`: expected a port number\n"),
        (&["set", "LOCAL_LLM_AGENT", "perhaps"], "LOCAL_LLM_AGENT is `perhaps`: expected auto, always or never\n"),
        (&["set", "LLM_BACKEND_FLAG", "here/flag"], "LLM_BACKEND_FLAG is `here/flag`: expected an absolute path\n"),
        (
            &["set", "LOCAL_LLM_URL", "me:hidden@h"],
            "LOCAL_LLM_URL is `h`: expected the http:// or https:// address of a chat completions endpoint\n",
        ),
        (
            &["set", "LOCAL_LLM_API_KEY", "hidden ä"],
            "LOCAL_LLM_API_KEY is `…`: expected visible ASCII characters and no spaces\n",
        ),
        (&["set", "LLM_NOTIFY_CMD", "a\nb"], "LLM_NOTIFY_CMD is `…`: expected one line, with one kind of quotes at most\n"),
        (
            &["set", "LOCAL_LLM_MODEL_1", "m"],
            "`LOCAL_LLM_MODEL_1` is no setting; did you mean `LOCAL_LLM_MODEL`?\nhint: `llm-failover config` lists them all\n",
        ),
        (&["set", "LLM_PORT"], "`config set LLM_PORT` lacks the value\nhint: run `llm-failover --help`\n"),
        (&["set", "LLM_PORT", "1", "2"], "a value with spaces needs quotes\nhint: run `llm-failover --help`\n"),
    ];
    for (args, said) in table {
        config(&sandbox, args).expect(1, "", &format!("llm-failover: {said}"));
    }
    assert!(!sandbox.path(FILE).exists());
    sandbox.write(FILE, "LLM_PORT=1\n");
    fs::set_permissions(sandbox.path(FILE), fs::Permissions::from_mode(0o666)).unwrap();
    let refused = format!("`{SHOWN}`: others may write to it; `chmod go-w` mends that\n");
    let output = config(&sandbox, &["set", "LLM_PORT", "2"]);
    assert_eq!((output.code(), output.out().as_str()), (1, ""));
    assert!(output.err().ends_with(&format!("llm-failover: cannot read {refused}")), "{output:?}");
    assert_eq!(file(&sandbox), "LLM_PORT=1\n");
}

#[test]
fn a_link_into_dotfiles_stays_and_a_key_comes_from_stdin() {
    let sandbox = Sandbox::new();
    for (target, before) in [("dotfiles/config.env", Some("# mine\n")), ("dotfiles/new/config.env", None)] {
        let target = sandbox.path(target);
        if let Some(text) = before {
            sandbox.write("dotfiles/config.env", text);
        }
        fs::create_dir_all(sandbox.path(".config/claude-failover")).unwrap();
        let _ = fs::remove_file(sandbox.path(FILE));
        symlink(&target, sandbox.path(FILE)).unwrap();
        let key = sandbox.cmd("llm-failover").args(&["config", "set", "LOCAL_LLM_API_KEY", "-"]).stdin("sk-1\n").run();
        key.expect(0, "LOCAL_LLM_API_KEY is set in the settings file now\n", "");
        assert_eq!(fs::read_link(sandbox.path(FILE)).unwrap(), target);
        assert_eq!(fs::read_to_string(&target).unwrap(), format!("{}LOCAL_LLM_API_KEY=sk-1\n", before.unwrap_or_default()));
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn an_edited_file_is_put_in_its_place_only_if_it_can_be_used() {
    let sandbox = Sandbox::new();
    sandbox.write(FILE, "# mine\nLLM_PORT=1\n");
    let edit = |editor: &str| sandbox.cmd("llm-failover").args(&["config", "edit"]).env("EDITOR", editor).run();
    edit("true").expect(0, "nothing has changed\n", "");
    edit("sed -i -e s/1/2/").expect(0, "settings changed\n", "");
    assert_eq!(file(&sandbox), "# mine\nLLM_PORT=2\n");

    let kept =
        format!("hint: your text is kept in `{SHOWN}.edit`; `llm-failover config edit` goes on with it, unless you delete it\n");
    let going_on = format!("llm-failover: going on with the text that was kept in `{SHOWN}.edit`\n");
    edit("false").expect(1, "", &format!("llm-failover: `false` has failed: the settings are as they were\n{kept}"));
    let broken = "llm-failover: line 4: not KEY=VALUE\nllm-failover: line 2: LLM_PORT is `2x`: expected a port number\n\
                  llm-failover: line 3: `LLM_PROT` is no setting; did you mean `LLM_PORT`?\n\
                  llm-failover: that cannot be used: the settings are as they were\n";
    edit("printf '# mine\\nLLM_PORT=2x\\nLLM_PROT=1\\njunk\\n' >").expect(1, "", &format!("{going_on}{broken}{kept}"));
    assert_eq!(file(&sandbox), "# mine\nLLM_PORT=2\n");
    edit("sed -i -e /PROT/d -e /junk/d -e s/2x/3/").expect(0, "settings changed\n", &going_on);
    assert_eq!(file(&sandbox), "# mine\nLLM_PORT=3\n");
    assert!(!sandbox.path(&format!("{FILE}.edit")).exists());

    // Another program changes the file meanwhile; $VISUAL goes before $EDITOR.
    let visual = format!("echo LLM_PORT=5 > '{}'; echo LLM_PORT=4 >", sandbox.path(FILE).display());
    let output = sandbox.cmd("llm-failover").args(&["config", "edit"]).env("EDITOR", "false").env("VISUAL", &visual).run();
    output.expect(
        1,
        "",
        &format!("llm-failover: the settings file was changed meanwhile: the settings are as they were\n{kept}"),
    );
    assert_eq!(file(&sandbox), "LLM_PORT=5\n");
    edit("true").expect(0, "settings changed\n", &going_on);
    assert_eq!(file(&sandbox), "LLM_PORT=4\n");
}

/// What nothing could read any more is not written.
#[test]
fn the_file_does_not_get_too_long_to_be_read() {
    let sandbox = Sandbox::new();
    sandbox.write(FILE, format!("LLM_PREWARM=1\n{}", "#".repeat((1 << 20) - 20)));
    let error = format!("llm-failover: cannot write `{SHOWN}`: it would have more than 1048576 bytes\n");
    config(&sandbox, &["set", "LOCAL_LLM_MODEL", "qwen3"]).expect(1, "", &error);
    config(&sandbox, &["get", "LLM_PREWARM"]).expect(0, "1\n", "");
}
