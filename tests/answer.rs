//! Answers with the switch at `local`: what is sent, what is printed, and what ends a call before it begins.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::stub::{Stub, completion, end, json as json_answer, piece, sse};
use crate::support::{Output, Sandbox, wait};

/// A home whose switch is at `local` and whose local server is at `url`.
pub fn local(url: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.switch("local");
    sandbox.set("LOCAL_LLM_URL", url);
    // The plain answer is what is asked for here, whatever the options.
    sandbox.set("LOCAL_LLM_AGENT", "never");
    sandbox
}

/// The last question's messages.
fn messages(stub: &Stub) -> Value {
    stub.chats().last().expect("a question").json()["messages"].clone()
}

/// The last question's prompt.
fn prompt(stub: &Stub) -> String {
    messages(stub).as_array().and_then(|all| all.last()).and_then(|last| last["content"].as_str()).expect("text").to_string()
}

const NO_PROMPT: &str = "Error: Input must be provided either through stdin or as a prompt argument when using --print\n";
const BLANK: &str = "Error: Input contained only whitespace. Provide a prompt with text through stdin or as a prompt argument \
                     when using --print\n";
const TOO_LONG: &str = "Error: piped stdin input exceeds 10MB. Pass large content as a file path in your prompt instead.\n";
const SILENT: &str = "Warning: no stdin data received in 3s, proceeding without it. If piping from a slow command, redirect \
                      stdin explicitly: < /dev/null to skip, or wait longer.\n";

#[test]
fn the_request_is_this_and_no_more() {
    let stub = Stub::answering("Hello there");
    let sandbox = local(&stub.url());
    let ask = || sandbox.cmd("claude").args(&["-p", "hi"]).run().expect(0, "Hello there\n", "");
    // Without a name the models are listed, once.
    ask();
    let lines: Vec<String> = stub.seen().into_iter().map(|request| request.line).collect();
    assert_eq!(lines, ["GET /v1/models HTTP/1.1", "POST /v1/chat/completions HTTP/1.1"]);
    ask();
    let seen = stub.seen().split_off(2);
    assert_eq!(seen.len(), 1, "no question but ours: {seen:?}");
    assert_eq!(seen[0].line, "POST /v1/chat/completions HTTP/1.1");
    let session = seen[0].header("x-session-affinity").unwrap();
    let body = format!(
        r#"{{"model":"default_model","messages":[{{"role":"user","content":"hi"}}],"max_tokens":800,"temperature":0.2,"stream":true,"stream_options":{{"include_usage":true}},"user":"{session}"}}"#
    );
    assert_eq!(String::from_utf8_lossy(&seen[0].body), body);
    let mut headers = seen[0].headers.clone();
    headers.sort();
    let host = stub.url().split('/').nth(2).unwrap().to_string();
    let length = body.len().to_string();
    let expected = [
        ("accept", "*/*"),
        ("content-length", &length),
        ("content-type", "application/json"),
        ("host", &host),
        ("user-agent", concat!("claude-failover/", env!("CARGO_PKG_VERSION"))),
        ("x-session-affinity", session),
    ];
    let expected = expected.map(|(name, value)| (name.to_string(), value.to_string())).to_vec();
    assert_eq!(headers, expected);
}

/// Arguments, stdin, the prompt.
type Prompted<'a> = (&'a [&'a [u8]], Option<&'a [u8]>, &'a str);

#[test]
fn the_prompt_is_the_argument_and_stdin() {
    let table: &[Prompted] = &[
        (&[b"-p", b"hi"], None, "hi"),
        (&[b"hi"], None, "hi"),
        (&[b"hi", b"-p"], None, "hi"),
        (&[b"--print", b"hi"], None, "hi"),
        (&[b"-p"], Some(b"from stdin\n"), "from stdin\n"),
        (&[], Some(b"x"), "x"),
        (&[b"-p", b"q"], Some(b"ctx line\n"), "q\nctx line\n"),
        (&[b"-p", b"q"], Some(b""), "q"),
        (&[b"-p", b"q"], Some(b"\n"), "q\n\n"),
        (&[b"-p", b""], Some(b"x\n"), "x\n"),
        (&[b"-p", b" "], Some(b"x\n"), " \nx\n"),
        (&[b"-p", b"-"], Some(b"data"), "-\ndata"),
        (&[b"-p", b"--", b"-x"], None, "-x"),
        (&[b"--", b"-p", b"hi"], None, "-p"),
        (&[b"-p", b"--", b"--", b"b"], None, "--"),
        (&[b"-p", b"a", b"--", b"b"], None, "a"),
        (&[b"-p", b"one", b"two", b"three"], None, "one"),
        (&[b"-p", b"  hi\n "], None, "  hi\n "),
        (&[b"-p", b"mcp"], Some(b"is not read"), "mcp"),
        (&[b"-p", b"mcp "], Some(b"is read"), "mcp \nis read"),
        (&[b"-p", b"doctor", b"x"], None, "doctor"),
        (&[b"-p", b"code "], None, "code "),
        (&[b"-p", b"--model", b"-p", b"q"], None, "q"),
        (&[b"-p", b"--allowedTools", b"Read", b"Edit", b"--", b"q"], None, "q"),
        (&[b"-p", b"--allowedTools=Read", b"q"], None, "q"),
        (&[b"-p", b"--debug", b"api", b"q"], None, "q"),
        (&[b"-p"], Some("\u{feff}a\r\nb\0c\r\n".as_bytes()), "\u{feff}a\r\nb\0c\r\n"),
        (&[b"-p"], Some(b"a\xffb\xc3"), "a\u{fffd}b\u{fffd}"),
        (&[b"-p", b"caf\xe9"], None, "caf\u{fffd}"),
        (&[b"-p", "日本 \u{1f600}".as_bytes()], None, "日本 \u{1f600}"),
    ];
    let stub = Stub::answering("ok");
    let sandbox = local(&stub.url());
    for (args, stdin, expected) in table {
        let args: Vec<&OsStr> = args.iter().map(|arg| OsStr::from_bytes(arg)).collect();
        for applet in ["claude", "agent-llm"] {
            let cmd = sandbox.cmd(applet).args(&args);
            let cmd = if let Some(bytes) = stdin { cmd.stdin(bytes) } else { cmd };
            cmd.run().expect(0, "ok\n", "");
            assert_eq!(prompt(&stub), *expected, "{args:?} {stdin:?}");
        }
    }
}

#[test]
fn the_prompt_code_is_dropped() {
    let stub = Stub::answering("ok");
    let sandbox = local(&stub.url());
    let tip = "Tip: you can start Claude Code with just `claude`\n";
    sandbox.cmd("claude").args(&["-p", "code"]).stdin("x").run().expect(0, "ok\n", tip);
    assert_eq!(prompt(&stub), "x");
    sandbox.cmd("claude").args(&["-p", "code"]).run().expect(1, "", &format!("{tip}{NO_PROMPT}"));
    assert_eq!(stub.chats().len(), 1);
}

#[test]
fn no_prompt_and_blank_prompts_are_refused() {
    let stub = Stub::answering("ok");
    let sandbox = local(&stub.url());
    for args in [&["-p"][..], &["-p", ""], &["-p", "--"], &[], &["--model", "x"]] {
        sandbox.cmd("claude").args(args).run().expect(1, "", NO_PROMPT);
        sandbox.cmd("claude").args(args).stdin("").run().expect(1, "", NO_PROMPT);
    }
    let eaten = "\"my prompt\" was read as a value of --allowedTools, not as a prompt · put a prompt before --allowedTools or \
                 after --\n";
    sandbox.cmd("claude").args(&["-p", "--allowedTools", "Read", "my prompt"]).run().expect(
        1,
        "",
        &format!("{eaten}{NO_PROMPT}"),
    );
    let blank = "\t\n\u{b}\u{c}\r \u{a0}\u{1680}\u{2000}\u{2005}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}\u{feff}";
    for c in blank.chars() {
        sandbox.cmd("claude").args(&["-p", &c.to_string()]).run().expect(1, "", BLANK);
    }
    sandbox.cmd("claude").arg("-p").stdin(blank).run().expect(1, "", BLANK);
    sandbox.cmd("claude").args(&["-p", " "]).stdin("\n").run().expect(1, "", BLANK);
    assert_eq!(stub.seen().len(), 0, "nothing is asked for that");
    for text in ["\u{200b}", "\u{85}", "\u{1c}", "\u{180e}", "\0"] {
        sandbox.cmd("claude").arg("-p").stdin(text).run().expect(0, "ok\n", "");
        assert_eq!(prompt(&stub), text);
    }
}

#[test]
fn stdin_holds_ten_megabytes_and_not_one_more() {
    const MAX: usize = 10 << 20;
    let stub = Stub::answering("ok");
    let sandbox = local(&stub.url());
    let ask = |bytes: &[u8]| sandbox.cmd("claude").arg("-p").stdin(bytes).limit(120).run();
    ask(&vec![b'a'; MAX]).expect(0, "ok\n", "");
    assert!(prompt(&stub) == "a".repeat(MAX));
    ask("é".repeat(MAX / 2 + 10).as_bytes()).expect(0, "ok\n", "");
    assert!(prompt(&stub) == "é".repeat(MAX / 2 + 10), "characters count, not bytes");
    let seen = stub.seen().len();
    ask(&vec![b'a'; MAX + 1]).expect(1, "", TOO_LONG);
    ask("😀".repeat(MAX / 2 + 1).as_bytes()).expect(1, "", TOO_LONG);
    ask(&vec![0x80; MAX + 1]).expect(1, "", TOO_LONG);
    let output = sandbox.cmd("/bin/sh").args(&["-c", "yes | claude -p"]).run();
    output.expect(1, "", TOO_LONG);
    assert_eq!(stub.seen().len(), seen);
}

#[test]
fn stdin_may_be_anything() {
    let stub = Stub::answering("ok");
    let sandbox = local(&stub.url());
    sandbox.write("file", "text");
    sandbox.write("empty", "");
    let unreadable = "Warning: stdin is unreadable (EISDIR), proceeding without piped input. If you piped input, it was not \
                      received — pass it as a prompt argument, or check that the process launching Claude Code wires stdin to \
                      a pipe or /dev/null.\n";
    let table = [
        ("</dev/null", "q", ""),
        ("<&-", "q", ""),
        ("<file", "q\ntext", ""),
        ("<empty", "q", ""),
        ("<.", "q", unreadable),
        ("0>written", "q", ""),
    ];
    for (redirection, expected, stderr) in table {
        let script = format!("exec claude -p q {redirection}");
        sandbox.cmd("/bin/sh").args(&["-c", &script]).run().expect(0, "ok\n", stderr);
        assert_eq!(prompt(&stub), expected, "{redirection}");
        if redirection != "<file" {
            let script = format!("exec claude -p {redirection}");
            let stderr = format!("{stderr}{NO_PROMPT}");
            sandbox.cmd("/bin/sh").args(&["-c", &script]).run().expect(1, "", &stderr);
        }
    }
}

#[test]
fn a_silent_pipe_is_given_up() {
    let stub = Stub::answering("ok");
    let sandbox = local(&stub.url());
    sandbox.cmd("claude").args(&["-p", "q"]).silent_stdin().run().expect(0, "ok\n", SILENT);
    assert_eq!(prompt(&stub), "q");
    sandbox.cmd("claude").arg("-p").silent_stdin().run().expect(1, "", &format!("{SILENT}{NO_PROMPT}"));
}

#[test]
fn a_pipe_that_has_begun_is_read_to_its_end() {
    let stub = Stub::answering("ok");
    let sandbox = local(&stub.url());
    let mut child = sandbox.cmd("claude").args(&["-p", "q"]).spawn();
    let mut stdin = child.stdin.take().unwrap();
    thread::sleep(Duration::from_millis(500));
    stdin.write_all(b"first ").unwrap();
    // Longer than a silent pipe is waited for.
    thread::sleep(Duration::from_secs(4));
    stdin.write_all(b"second").unwrap();
    drop(stdin);
    assert_eq!(ended(child), (0, "ok\n".into(), String::new()));
    assert_eq!(prompt(&stub), "q\nfirst second");
}

/// A server with every reason to be asked all that we ever ask: it is loading at first, then wants a model's name.
fn demanding() -> Stub {
    let asked = AtomicUsize::new(0);
    Stub::new(move |request, stream| {
        let answer = match (request.is_chat(), request.line.contains("/models")) {
            (true, _) => match asked.fetch_add(1, Ordering::SeqCst) {
                0 => json_answer(503, r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#),
                1 => json_answer(404, r#"{"error":{"message":"model \"default_model\" not found"}}"#),
                _ => sse(&completion("ok")),
            },
            (false, true) => json_answer(200, r#"{"object":"list","data":[{"id":"the-one"}]}"#),
            (false, false) => json_answer(200, r#"{"status":"ok"}"#),
        };
        let _ = stream.write_all(answer.as_bytes());
    })
}

#[test]
fn nothing_of_claude_reaches_the_local_server() {
    let stub = demanding();
    let anthropic = Stub::answering("not asked");
    let mut sandbox = local(&stub.url());
    let secrets = [
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_CUSTOM_HEADERS",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_SESSION_ACCESS_TOKEN",
        "AWS_BEARER_TOKEN_BEDROCK",
        "AWS_SECRET_ACCESS_KEY",
        "OPENAI_API_KEY",
    ];
    for key in secrets {
        sandbox.set(key, format!("x-secret: of-{key}"));
    }
    let models = ["ANTHROPIC_MODEL", "ANTHROPIC_SMALL_FAST_MODEL", "ANTHROPIC_DEFAULT_OPUS_MODEL", "CLAUDE_CODE_SUBAGENT_MODEL"];
    for key in models {
        sandbox.set(key, "claude-opus-5-5");
    }
    sandbox.set("ANTHROPIC_BASE_URL", anthropic.url());
    sandbox.set("OPENAI_BASE_URL", anthropic.url());
    sandbox.write(".claude/.credentials.json", r#"{"claudeAiOauth":{"accessToken":"x-secret"}}"#);
    sandbox.write(".claude.json", r#"{"primaryApiKey":"x-secret"}"#);
    sandbox.write(".netrc", "machine 127.0.0.1 login x-secret password x-secret\n");
    let settings = r#"{"apiKeyHelper":"echo x-secret","model":"claude-opus-5-5","env":{"ANTHROPIC_API_KEY":"x-secret"}}"#;
    let args = ["-p", "hi", "--model", "opus", "--fallback-model", "sonnet", "--advisor", "haiku", "--settings", settings];
    sandbox.cmd("claude").args(&args).run().expect(0, "ok\n", "");
    sandbox.cmd("claude").args(&["-p", "--model=claude-opus-5-5", "hi"]).run().expect(0, "ok\n", "");
    let seen = stub.seen();
    let lines: Vec<&str> = seen.iter().map(|request| request.line.as_str()).collect();
    for route in ["POST /v1/chat/completions HTTP/1.1", "GET /health HTTP/1.1", "GET /v1/models HTTP/1.1"] {
        assert!(lines.contains(&route), "{lines:?}");
    }
    for request in &seen {
        let bytes = format!("{} {:?} {}", request.line, request.headers, String::from_utf8_lossy(&request.body));
        let bytes = bytes.to_lowercase().replace("claude-failover/", "");
        for word in ["secret", "claude", "opus", "sonnet", "haiku", "anthropic", "authorization"] {
            assert!(!bytes.contains(word), "{word}: {bytes}");
        }
    }
    assert_eq!(
        seen.iter().filter(|request| request.is_chat()).map(|request| request.json()["model"].clone()).collect::<Vec<_>>(),
        ["the-one"; 4]
    );
    assert_eq!(anthropic.seen().len(), 0);
}

#[test]
fn system_prompts_are_joined_as_the_real_one_joins_them() {
    let stub = Stub::answering("ok");
    let sandbox = local(&stub.url());
    sandbox.write("s", "S file\n");
    sandbox.write("crlf", "S file\r\n\r\n");
    sandbox.write("a", "A file\n");
    sandbox.write("empty", "");
    sandbox.write("latin", b"caf\xe9");
    let absolute = sandbox.path("s");
    let absolute = absolute.to_str().unwrap();
    let table: &[(&[&str], Option<&str>)] = &[
        (&[], None),
        (&["--system-prompt", "S"], Some("S")),
        (&["--system-prompt=S"], Some("S")),
        (&["--system-prompt", " "], Some(" ")),
        (&["--system-prompt", ""], None),
        (&["--system-prompt", "one", "--system-prompt", "two"], Some("two")),
        (&["--system-prompt-file", "s"], Some("S file\n")),
        (&["--system-prompt-file", absolute], Some("S file\n")),
        (&["--system-prompt-file", "empty"], None),
        (&["--system-prompt-file", ""], None),
        (&["--system-prompt-file", "latin"], Some("caf\u{fffd}")),
        (&["--system-prompt", "S", "--system-prompt-file", "s"], Some("S file\n\nS")),
        (&["--system-prompt", "S", "--system-prompt-file", "crlf"], Some("S file\r\n\n\nS")),
        (&["--system-prompt", "S", "--system-prompt-file", "empty"], Some("S")),
        (&["--append-system-prompt", "A"], Some("A")),
        (&["--append-system-prompt", ""], None),
        (&["--append-system-prompt-file", "a"], Some("A file\n")),
        (&["--append-system-prompt-file", "a", "--append-system-prompt", "A"], Some("A file\n\nA")),
        (&["--system-prompt", "S", "--append-system-prompt", "A"], Some("S\n\nA")),
        (&["--system-prompt-file", "s", "--append-system-prompt", "A"], Some("S file\n\n\nA")),
        (&["--system-prompt", "", "--append-system-prompt", "A"], Some("A")),
    ];
    for (args, system) in table {
        sandbox.cmd("claude").args(&["-p", "q"]).args(args).run().expect(0, "ok\n", "");
        let user = json!({"role": "user", "content": "q"});
        let expected = match system {
            None => json!([user]),
            Some(system) => json!([{"role": "system", "content": system}, user]),
        };
        assert_eq!(messages(&stub), expected, "{args:?}");
    }
}

#[test]
fn system_prompt_files_that_cannot_be_read_end_the_call() {
    let stub = Stub::answering("ok");
    let sandbox = local(&stub.url());
    fs::create_dir(sandbox.path("dir")).unwrap();
    let dir = "EISDIR: illegal operation on a directory, read";
    let table = [
        ("--system-prompt-file", "gone", "Error: System prompt file not found: [HOME]/gone\n"),
        ("--system-prompt-file", "~/s", "Error: System prompt file not found: [HOME]/~/s\n"),
        ("--system-prompt-file", "dir", &format!("Error reading system prompt file: {dir}\n")),
        ("--append-system-prompt-file", "gone", "Error: Append system prompt file not found: [HOME]/gone\n"),
        ("--append-system-prompt-file", "dir", &format!("Error reading append system prompt file: {dir}\n")),
    ];
    for (option, file, stderr) in table {
        // A missing prompt is noticed later than that.
        sandbox.cmd("claude").args(&["-p", option, file]).run().expect(1, "", stderr);
    }
    assert_eq!(stub.seen().len(), 0);
}

#[test]
fn mentioned_files_are_given() {
    let stub = Stub::answering("ok");
    let sandbox = local(&stub.url());
    let home = sandbox.home().to_str().unwrap().to_string();
    let five = "one\ntwo\nthree\nfour\nfive\n";
    sandbox.write("a.txt", five);
    sandbox.write("no newline.txt", "x");
    sandbox.write("sub/b.txt", "b\n");
    sandbox.write("sub/c.txt", "");
    sandbox.write("binary", b"a\0b");
    sandbox.write("latin", b"caf\xe9\n");
    sandbox.write("full", "y".repeat(256 << 10));
    sandbox.write("over", "y".repeat((256 << 10) + 1));
    let file = |name: &str, body: &str| format!("<file path=\"{home}/{name}\">\n{body}</file>\n\n");
    let a = file("a.txt", five);
    let (too_large, not_text) = ("is larger than 256 KiB and", "is not text and");
    let refused = |name: &str, why: &str| format!("claude: warning: `[HOME]/{name}` {why} is not given to the local model\n");
    let table = [
        ("what is @a.txt?".to_string(), a.clone(), String::new()),
        (format!("@{home}/a.txt"), a.clone(), String::new()),
        ("@~/a.txt".into(), a.clone(), String::new()),
        ("@./a.txt".into(), file("./a.txt", five).replace("/./", "/"), String::new()),
        ("@a.txt @a.txt".into(), a.clone(), String::new()),
        ("@\"no newline.txt\" and".into(), file("no newline.txt", "x\n"), String::new()),
        ("@sub/b.txt @\"a.txt\"".into(), a.clone() + &file("sub/b.txt", "b\n"), String::new()),
        ("@a.txt#L2-4".into(), file("a.txt", "two\nthree\nfour\n"), String::new()),
        ("@a.txt#L5".into(), file("a.txt", "five\n"), String::new()),
        ("@a.txt#L4-18446744073709551615".into(), file("a.txt", "four\nfive\n"), String::new()),
        ("@a.txt#L18446744073709551615-1".into(), file("a.txt", ""), String::new()),
        ("@a.txt#L99999999999999999999999".into(), a.clone(), String::new()),
        ("@a.txt#top".into(), a.clone(), String::new()),
        ("@sub".into(), format!("<folder path=\"{home}/sub\">\nb.txt\nc.txt\n</folder>\n\n"), String::new()),
        ("@sub/c.txt".into(), file("sub/c.txt", ""), String::new()),
        ("@latin".into(), file("latin", "caf\u{fffd}\n"), String::new()),
        ("@full".into(), file("full", &("y".repeat(256 << 10) + "\n")), String::new()),
        ("@over".into(), String::new(), refused("over", too_large)),
        ("@binary".into(), String::new(), refused("binary", not_text)),
        ("@gone.txt @sub/gone me@a.txt (@a.txt) @property".into(), String::new(), String::new()),
        ("@/dev/zero @/dev/stdin".into(), String::new(), String::new()),
    ];
    for (text, attached, stderr) in &table {
        sandbox.cmd("claude").args(&["-p", text]).run().expect(0, "ok\n", stderr);
        assert_eq!(prompt(&stub), format!("{attached}{text}"));
        sandbox.cmd("claude").args(&["-p", "--bare", text]).run().expect(0, "ok\n", "");
        assert_eq!(prompt(&stub), *text, "no mentions with --bare");
    }
    sandbox.cmd("claude").arg("-p").stdin("from stdin: @a.txt\n").run().expect(0, "ok\n", "");
    assert_eq!(prompt(&stub), format!("{a}from stdin: @a.txt\n"));
    sandbox.cmd("claude").args(&["-p", "@b.txt"]).dir(sandbox.path("sub")).run().expect(0, "ok\n", "");
    assert_eq!(prompt(&stub), format!("{}@b.txt", file("sub/b.txt", "b\n")), "relative to the working directory");
}

#[test]
fn options_that_only_claude_understands_are_taken() {
    let stub = Stub::answering("ok");
    let line = "-p --verbose --model opus --fallback-model sonnet --effort high --max-turns 5 --max-budget-usd 0.5 \
                --permission-mode bypassPermissions --permission-prompt-tool mcp__x --allowedTools Read Edit \
                --disallowed-tools Bash(rm:*) --tools default --add-dir /tmp --strict-mcp-config --mcp-config {} \
                --session-id 00000000-0000-4000-8000-000000000000 --no-session-persistence --settings {} \
                --setting-sources user,project --agents {} --plugin-dir /tmp --disable-slash-commands --no-chrome \
                --max-thinking-tokens 1,000 --thinking disabled --betas x --debug-file /tmp/d --name n --fork-session \
                --dangerously-skip-permissions --exclude-dynamic-system-prompt-sections --input-format text \
                --output-format text --brief --ide --autocompact auto --system-prompt-snapshot on -- question";
    let args: Vec<&str> = line.split_whitespace().collect();
    // As root, the real one takes some of them only in a sandbox.
    local(&stub.url()).cmd("claude").args(&args).env("IS_SANDBOX", "1").run().expect(0, "ok\n", "");
    assert_eq!(messages(&stub), json!([{"role": "user", "content": "question"}]));
}

#[test]
fn settings_change_the_request() {
    let stub = Stub::answering("ok");
    let sandbox = local(&stub.url());
    let sent = |env: &[(&str, &str)]| {
        let cmd = env.iter().fold(sandbox.cmd("claude").args(&["-p", "q"]), |cmd, (key, value)| cmd.env(key, value));
        cmd.run().expect(0, "ok\n", "");
        stub.chats().pop().unwrap()
    };
    let plain = sent(&[]).question();
    let table = [
        ("LOCAL_LLM_MODEL", " org/model-4bit ", json!({"model": "org/model-4bit"})),
        ("LOCAL_LLM_MODEL", " ", json!({})),
        ("LOCAL_LLM_MODEL", "", json!({})),
        ("LOCAL_LLM_MAX_TOKENS", " 1 ", json!({"max_tokens": 1})),
        ("LOCAL_LLM_MAX_TOKENS", "4294967295", json!({"max_tokens": 4_294_967_295_u32})),
        ("LOCAL_LLM_MAX_TOKENS", "", json!({})),
        ("LOCAL_LLM_TEMPERATURE", "0", json!({"temperature": 0.0})),
        ("LOCAL_LLM_TEMPERATURE", "1.5", json!({"temperature": 1.5})),
        ("LOCAL_LLM_IDLE_TIMEOUT", "4294967295", json!({})),
        (
            "LOCAL_LLM_EXTRA_BODY",
            r#"{"top_k":5,"temperature":1,"chat_template_kwargs":{"enable_thinking":false}}"#,
            json!({"top_k": 5, "temperature": 1, "chat_template_kwargs": {"enable_thinking": false}}),
        ),
        ("LOCAL_LLM_EXTRA_BODY", "{}", json!({})),
    ];
    for (key, value, change) in table {
        let mut expected = plain.clone();
        expected.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let request = sent(&[(key, value)]);
        assert_eq!(request.question(), expected, "{key}={value}");
        assert_eq!(request.header("authorization"), None);
    }
    assert_eq!(sent(&[("LOCAL_LLM_API_KEY", " k3y ")]).header("authorization"), Some("Bearer k3y"));
    sandbox.write(".config/claude-failover/config.env", "LOCAL_LLM_MAX_TOKENS=7\nLOCAL_LLM_MODEL='from file'\n");
    let request = sent(&[("LOCAL_LLM_MODEL", "from environment")]).question();
    assert_eq!((&request["max_tokens"], &request["model"]), (&json!(7), &json!("from environment")));
}

#[test]
fn bad_settings_are_one_clear_line() {
    let stub = Stub::answering("ok");
    let sandbox = local(&stub.url());
    let url = "the http:// or https:// address of a chat completions endpoint";
    let temperature = "a number that is not negative";
    let table: &[(&str, &[u8], &str, &str)] = &[
        ("LOCAL_LLM_URL", b"127.0.0.1:9420", "127.0.0.1:9420", url),
        ("LOCAL_LLM_URL", b"ftp://host/x", "ftp://host/x", url),
        ("LOCAL_LLM_URL", b"http://", "http://", url),
        ("LOCAL_LLM_URL", b"http://a b/", "http://a b/", url),
        ("LOCAL_LLM_URL", b"http://h:99999/", "http://h:99999/", url),
        ("LOCAL_LLM_URL", b"http://me:secret@h:x/?secret", "http://h:x/", url),
        ("LOCAL_LLM_URL", b"http://caf\xe9/", "…", "UTF-8 text"),
        ("LOCAL_LLM_MODEL", b"caf\xe9", "…", "UTF-8 text"),
        ("LOCAL_LLM_MAX_TOKENS", b"many", "many", "a number of tokens"),
        ("LOCAL_LLM_MAX_TOKENS", b"-1", "-1", "a number of tokens"),
        ("LOCAL_LLM_MAX_TOKENS", b"4294967296", "4294967296", "a number of tokens"),
        ("LOCAL_LLM_MAX_TOKENS", b"0", "0", "at least 1"),
        ("LOCAL_LLM_CONTEXT", b"large", "large", "a number of tokens"),
        ("LOCAL_LLM_CONTEXT", b"0", "0", "at least 1"),
        ("LOCAL_LLM_TEMPERATURE", b"hot", "hot", temperature),
        ("LOCAL_LLM_TEMPERATURE", b"nan", "nan", temperature),
        ("LOCAL_LLM_TEMPERATURE", b"inf", "inf", temperature),
        ("LOCAL_LLM_TEMPERATURE", b"-0.5", "-0.5", temperature),
        ("LOCAL_LLM_IDLE_TIMEOUT", b"1.5", "1.5", "a number of seconds"),
        ("LOCAL_LLM_IDLE_TIMEOUT", b"0", "0", "at least 1"),
        ("LOCAL_LLM_EXTRA_BODY", b"[1]", "…", "a JSON object"),
        ("LOCAL_LLM_EXTRA_BODY", b"{", "…", "a JSON object"),
        ("LOCAL_LLM_API_KEY", b"se\ncret", "…", "visible ASCII characters and no spaces"),
        ("LOCAL_LLM_API_KEY", "sécret".as_bytes(), "…", "visible ASCII characters and no spaces"),
        ("LOCAL_LLM_API_KEY", b"s\xe9cret", "…", "visible ASCII characters and no spaces"),
    ];
    for (key, value, shown, expected) in table {
        let cmd = sandbox.cmd("claude").args(&["-p", "q"]).env(key, OsStr::from_bytes(value));
        cmd.run().expect(1, "", &format!("claude: {key} is `{shown}`: expected {expected}\n"));
    }
    assert_eq!(stub.seen().len(), 0);
}

#[test]
fn the_text_is_printed_as_it_is() {
    let table = [
        ("a", "a\n"),
        ("a\n", "a\n"),
        ("a\n\n", "a\n\n"),
        ("\n\nlead", "\n\nlead\n"),
        ("   lead  ", "   lead  \n"),
        ("a\r", "a\r\n"),
        ("a\r\n", "a\r\n"),
        ("\u{feff}a\0b\u{2028}\u{200b}", "\u{feff}a\0b\u{2028}\u{200b}\n"),
        ("\x1b[31mred\x1b[0m \x07", "\x1b[31mred\x1b[0m \x07\n"),
        ("日本語 \u{1f600}", "日本語 \u{1f600}\n"),
    ];
    for (answer, stdout) in table {
        let stub = Stub::answering(answer);
        let sandbox = local(&stub.url());
        sandbox.cmd("claude").args(&["-p", "q"]).run().expect(0, stdout, "");
        sandbox.cmd("claude").args(&["q", "--verbose"]).run().expect(0, stdout, "");
    }
}

/// A server that sends `first`, tells that it has, and holds the rest back until it is told to go on.
fn holding(first: String, rest: String) -> (Stub, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (sent, has_sent) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let may_go_on = Mutex::new(may_go_on);
    let stub = Stub::new(move |request, stream| {
        if !request.is_chat() {
            let _ = stream.write_all(json_answer(200, "{}").as_bytes());
            return;
        }
        let _ = stream.write_all(sse(&first).as_bytes());
        let _ = sent.send(());
        if may_go_on.lock().expect("no panic").recv_timeout(Duration::from_secs(60)).is_ok() {
            let _ = stream.write_all(rest.as_bytes());
        }
    });
    (stub, has_sent, go_on)
}

/// Reads from a terminal until `text` is there.
fn read_until(terminal: &mut File, text: &str) -> String {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains(text) {
        match terminal.read(&mut buffer) {
            Ok(length) if length > 0 => seen.extend_from_slice(&buffer[..length]),
            // Linux says EIO when the other side is closed.
            _ => break,
        }
    }
    String::from_utf8_lossy(&seen).into_owned()
}

#[test]
fn on_a_terminal_the_text_appears_as_it_comes() {
    let (stub, _has_sent, go_on) =
        holding(piece("first "), piece("\x1b]0;title\x07\x1b[2J\u{9b}\r\t\x7fse") + &piece("cond") + &end("stop"));
    let sandbox = local(&stub.url());
    sandbox.answers_plainly(&stub.url(), "");
    let pty = nix::pty::openpty(None, None).unwrap();
    let mut terminal = File::from(pty.master);
    let mut cmd = sandbox.cmd("claude").args(&["-p", "q"]);
    cmd.command().stdin(Stdio::null()).stdout(pty.slave).stderr(Stdio::piped());
    let mut child = cmd.command().spawn().unwrap();
    // The command holds our copy of the terminal's other side, whose closing ends the reading.
    drop(cmd);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let _ = sender.send(read_until(&mut terminal, "first "));
        let _ = sender.send(read_until(&mut terminal, "never comes"));
    });
    let patience = Duration::from_secs(30);
    assert_eq!(receiver.recv_timeout(patience).unwrap(), "first ");
    go_on.send(()).unwrap();
    assert_eq!(wait(&mut child, patience).and_then(|status| status.code()), Some(0));
    // The terminal itself makes \r\n of a newline.
    assert_eq!(receiver.recv_timeout(patience).unwrap(), "]0;title[2J\tsecond\r\n");
    assert_eq!(all_of(child.stderr.take()), "");
}

#[test]
fn on_a_terminal_what_was_shown_is_not_said_again() {
    let stub = Stub::raw(sse(&piece("half an ")));
    let sandbox = local(&stub.url());
    sandbox.answers_plainly(&stub.url(), "");
    let pty = nix::pty::openpty(None, None).unwrap();
    let mut terminal = File::from(pty.master);
    let mut cmd = sandbox.cmd("claude").args(&["-p", "q"]);
    cmd.command().stdin(Stdio::null()).stdout(pty.slave).stderr(Stdio::piped());
    let mut child = cmd.command().spawn().unwrap();
    drop(cmd);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(read_until(&mut terminal, "never comes")));
    assert_eq!(wait(&mut child, Duration::from_secs(30)).and_then(|status| status.code()), Some(1));
    let shown = "half an \r\nAPI Error: the local answer was cut short: the stream ended before its end\r\n";
    assert_eq!(receiver.recv_timeout(Duration::from_secs(30)).unwrap(), shown);
    assert_eq!(all_of(child.stderr.take()), "");
}

fn all_of(stream: Option<impl Read>) -> String {
    let mut text = String::new();
    stream.expect("a pipe").read_to_string(&mut text).expect("text");
    text
}

/// The end of a process that was spawned: exit code, stdout, stderr.
pub fn ended(mut child: Child) -> (i32, String, String) {
    use std::os::unix::process::ExitStatusExt;
    let status = wait(&mut child, Duration::from_secs(30)).expect("it ends");
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).expect("an end");
    (code, all_of(child.stdout.take()), all_of(child.stderr.take()))
}

#[test]
fn a_signal_ends_the_call_and_the_generation() {
    // A shell's background jobs ignore SIGINT, those of `nohup` SIGHUP, and what they start inherits that.
    let is_heard = |signal: &str| {
        let status = Command::new("/bin/sh").args(["-c", &format!("kill {signal} $$")]).status().unwrap();
        status.code().is_none()
    };
    assert!(is_heard("-TERM"));
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        if !is_heard(signal) {
            continue;
        }
        let (first, has_sent) = mpsc::channel();
        let (closed, has_closed) = mpsc::channel();
        let stub = Stub::new(move |_, stream: &mut TcpStream| {
            stream.write_all(sse(&piece("half an ")).as_bytes()).unwrap();
            first.send(()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            let is_closed = match stream.read(&mut [0]) {
                Ok(length) => length == 0,
                Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
            };
            closed.send(is_closed).unwrap();
        });
        let sandbox = local(&stub.url());
        let mut child = sandbox.cmd("claude").args(&["-p", "q"]).spawn();
        drop(child.stdin.take());
        has_sent.recv_timeout(Duration::from_secs(30)).expect("it asks");
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        assert_eq!(ended(child), (code, String::new(), String::new()), "{signal}");
        assert_eq!(has_closed.recv_timeout(Duration::from_secs(30)), Ok(true), "the server sees that nobody listens");
    }
}

#[test]
fn stdout_may_be_gone_or_full() {
    let stub = Stub::answering("ok");
    let sandbox = local(&stub.url());
    let sh = |script: &str| sandbox.cmd("/bin/sh").args(&["-c", script]).run();
    sh("claude -p q >&-").expect(0, "", "");
    sh("claude -p q >/dev/full").expect(1, "", "claude: cannot write `stdout`: no space left on device\n");
    sh("claude -p q >file && cat file").expect(0, "ok\n", "");
    sh("claude -p q 2>&-").expect(0, "ok\n", "");

    let (stub, has_sent, go_on) = holding(piece("x"), piece("y") + &end("stop"));
    let sandbox = local(&stub.url());
    let mut child = sandbox.cmd("claude").args(&["-p", "q"]).spawn();
    drop(child.stdin.take());
    has_sent.recv_timeout(Duration::from_secs(30)).expect("it asks");
    drop(child.stdout.take());
    go_on.send(()).unwrap();
    assert_eq!(wait(&mut child, Duration::from_secs(30)).and_then(|status| status.code()), Some(0), "a reader who has gone");
    assert_eq!(all_of(child.stderr.take()), "");
}

#[test]
fn nothing_is_answered_for_a_command_line_that_claude_refuses() {
    let stub = Stub::answering("ok");
    let sandbox = local(&stub.url());
    let table: &[(&[&str], &str)] = &[
        (&["--bogus-flag"], "error: unknown option '--bogus-flag'\n"),
        (&["- item"], "error: unknown option '- item'\n"),
        (
            &["q", "--output-format", "xml"],
            "error: option '--output-format <format>' argument 'xml' is invalid. Allowed choices are text, json, stream-json.\n",
        ),
        (&["q", "--model"], "error: option '--model <model>' argument missing\n"),
        (&["q", "--session-id", "x"], "Error: Invalid session ID. Must be a valid UUID.\n"),
        (&["q", "--settings", "gone"], "Error: Settings file not found: [HOME]/gone\n"),
        (&["q", "--input-format", "stream-json"], "Error: --input-format=stream-json requires output-format=stream-json.\n"),
        (
            &["q", "--include-partial-messages"],
            "Error: --include-partial-messages requires --print and --output-format=stream-json.\n",
        ),
        (&["q", "--max-turns", "abc"], "error: option '--max-turns <turns>' argument 'abc' is invalid. must be a number\n"),
    ];
    for (args, stderr) in table {
        sandbox.cmd("claude").arg("-p").args(args).run().expect(1, "", stderr);
    }
    let mistyped = "✘ unknown command \"mcpp\"\n  └ Did you mean claude mcp?\n\nRun claude --help to list commands, or claude -p \
                    \"mcpp\" to send as a prompt.\n";
    sandbox.cmd("claude").arg("mcpp").run().expect(1, "", mistyped);
    assert_eq!(stub.seen().len(), 0);
}

/// Numbers that look random and are the same in every run (Knuth's linear congruential generator).
pub struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    /// One of `choices`.
    pub fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.roll(choices.len())]
    }
}

#[test]
fn no_command_line_makes_it_panic_or_hang() {
    const WORDS: &[&[u8]] = &[
        b"-p",
        b"--print",
        b"-c",
        b"-pc",
        b"-pd2e",
        b"-d",
        b"-n",
        b"-nx",
        b"-n=",
        b"-r",
        b"-w",
        b"-",
        b"--",
        b"",
        b" ",
        b"-h=",
        b"--model",
        b"--model=",
        b"--model=x",
        b"--allowedTools",
        b"--allowed-tools=Read",
        b"--tools",
        b"--mcp-config",
        b"--output-format",
        b"text",
        b"json",
        b"--output-format=stream-json",
        b"--input-format",
        b"stream-json",
        b"--resume",
        b"--session-id",
        b"00000000-0000-4000-8000-000000000000",
        b"--settings",
        b"{}",
        b"{",
        b"--setting-sources",
        b"user,local",
        b"--system-prompt",
        b"--system-prompt-file",
        b"--append-system-prompt",
        b"/nowhere",
        b".",
        b"--max-turns",
        b"1,000",
        b"0x",
        b"0\xe9",
        b"+",
        b"--max-budget-usd",
        b"1e400",
        b"--task-budget",
        b"--verbose",
        b"--bare",
        b"--bogus",
        b"--verbos",
        b"-x",
        b"-\xff",
        b"\xff\xfe",
        "é".as_bytes(),
        "-é".as_bytes(),
        "--é=é".as_bytes(),
        b"a b (c) d",
        b")(",
        b"@.",
        b"@~/x#L1-",
        b"@\"",
        b"@\"\"",
        b"@#L0",
        b"\x1b[31m",
        b"\n",
        b"mcpp",
        b"prompt",
        b"--debug",
        b"--debug=",
        b"--add-dir",
        b"--betas",
        b"--json-schema",
        b"--effort",
        b"--permission-mode",
        b"plan",
        b"--thinking",
        b"--prompt-suggestions",
        b"yes",
        "\u{1f600}\u{1f600} 日本".as_bytes(),
        "0é".as_bytes(),
        "é:".as_bytes(),
    ];
    let stub = Stub::answering("ok");
    let sandbox = local(&stub.url());
    thread::scope(|scope| {
        for seed in 0..4 {
            let sandbox = &sandbox;
            scope.spawn(move || {
                let mut dice = Dice(seed);
                for _ in 0..100 {
                    let count = 1 + dice.roll(7);
                    let args: Vec<&OsStr> = (0..count).map(|_| OsStr::from_bytes(dice.pick(WORDS))).collect();
                    let cmd = sandbox.cmd("claude").args(&args);
                    let cmd = if dice.roll(2) == 0 { cmd.stdin(dice.pick(WORDS)) } else { cmd };
                    check(&args, cmd.run());
                }
            });
        }
    });
    assert!(stub.seen().len() > 40, "many of them are answered: {}", stub.seen().len());
}

/// An answer in some format and nothing else, or no answer and a reason.
fn check(args: &[&OsStr], output: Output) {
    let (code, out, err) = (output.code(), output.out(), output.err());
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap_or_default()).collect();
    let last = lines.last().map(|last| last.as_array().and_then(|all| all.last()).unwrap_or(last));
    let says = |key: &str, value: Value| last.is_some_and(|last| last["type"] == "result" && last[key] == value);
    let fits = match code {
        0 => out == "ok\n" || says("result", json!("ok")),
        1 => !err.is_empty() && (out.is_empty() || says("is_error", json!(true))),
        _ => false,
    };
    assert!(fits && !err.contains("panicked"), "{args:?}: {code} {out:?} {err:?}");
}

#[test]
fn an_unwritable_home_does_not_stop_an_answer() {
    let stub = Stub::answering("ok");
    let mut sandbox = local(&stub.url());
    let switch = sandbox.write("elsewhere/switch", "local");
    sandbox.set("LLM_BACKEND_FLAG", &switch);
    for home in ["/nowhere/at/all", "/dev/null"] {
        sandbox.set("HOME", home);
        sandbox.cmd("claude").args(&["-p", "q"]).run().expect(0, "ok\n", "");
    }
    assert!(!Path::new("/nowhere").exists(), "no home is made");
    let home = sandbox.home().to_path_buf();
    sandbox.set("HOME", home);
    sandbox.write(".local/state/claude-failover", "a file");
    for applet in ["claude", "agent-llm"] {
        let output = sandbox.cmd(applet).args(&["-p", "q"]).run();
        let warning = output.err();
        let begins = format!("{applet}: warning: this conversation is not kept: cannot open `[HOME]/.local/state/");
        assert!(warning.starts_with(&begins) && warning.lines().count() == 1, "{warning}");
        output.expect(0, "ok\n", &warning);
    }
}
