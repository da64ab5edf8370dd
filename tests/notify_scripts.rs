//! The scripts for `LLM_NOTIFY_CMD`: whatever the message holds, that arrives.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;

use crate::scripts::Machine;
use crate::support::life::python;
use crate::support::stub::{Request, Stub, json as answer};

/// With all that a shell, JSON, markup or a mail could take for its own.
const MESSAGE: &str = "It's \"quoted\" at 5 % of $HOME, `id` and $(id)\n.\n@file <b>Zürich</b> & 日本 \\n – ok";

/// The same as markup.
const ESCAPED: &str = "It's \"quoted\" at 5 % of $HOME, `id` and $(id)\n.\n@file &lt;b&gt;Zürich&lt;/b&gt; &amp; 日本 \\n – ok";

/// A program that keeps what it is given.
const KEEPS: &str = "for word; do printf '%s\\0' \"$word\"; done >~/words\nenv >~/environment\ncat >~/stdin";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/notify")
}

/// A machine that has this program, and the output of a script that is run there as `LLM_NOTIFY_CMD` is.
fn run(program: &str, script: &Path) -> (Machine, Output) {
    let machine = Machine::new(&[(program, KEEPS)]);
    std::os::unix::fs::symlink(python(), machine.folder().join("python3")).expect("a link");
    let path = format!("{}:/usr/bin:/bin", machine.folder().display());
    let mut command = Command::new(script);
    command.arg(MESSAGE).env_clear().env("PATH", path).env("HOME", machine.folder()).stdin(std::process::Stdio::null());
    let output = command.output().expect("a script");
    (machine, output)
}

#[track_caller]
fn went_well(output: &Output) {
    let said = (output.status.code(), output.stdout.is_empty(), String::from_utf8_lossy(&output.stderr).into_owned());
    assert_eq!(said, (Some(0), true, String::new()));
}

/// The words and the stdin that the stand-in got, and a line of its environment.
fn kept(machine: &Machine, variable: &str) -> (Vec<String>, String, Option<String>) {
    let read = |name: &str| fs::read_to_string(machine.folder().join(name)).expect("it was run");
    let words = read("words").split_terminator('\0').map(str::to_string).collect();
    let line = read("environment").lines().find(|line| line.starts_with(variable)).map(str::to_string);
    (words, read("stdin"), line)
}

#[test]
fn a_desktop_gets_the_message() {
    let (machine, output) = run("osascript", &folder().join("macos.sh"));
    went_well(&output);
    let (words, script, _) = kept(&machine, "");
    assert_eq!(words, ["-", MESSAGE]);
    let lines = ["on run argv", "    display notification (item 1 of argv) with title \"llm-failover\"", "end run"];
    assert_eq!(script.lines().collect::<Vec<_>>(), lines);

    let (machine, output) = run("terminal-notifier", &folder().join("terminal-notifier.sh"));
    went_well(&output);
    let (words, stdin, _) = kept(&machine, "");
    assert_eq!((words, stdin), (vec!["-title".to_string(), "llm-failover".into()], MESSAGE.to_string()));

    let (machine, output) = run("notify-send", &folder().join("linux.sh"));
    went_well(&output);
    let (words, _, bus) = kept(&machine, "DBUS_SESSION_BUS_ADDRESS=");
    assert_eq!(words, ["--app-name=llm-failover", "--", "llm-failover", ESCAPED]);
    let user = nix::unistd::getuid();
    assert_eq!(bus, Some(format!("DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{user}/bus")));
}

#[test]
fn a_mail_says_what_it_is_and_is_whole() {
    let (machine, output) = run("sendmail", &folder().join("mail.sh"));
    went_well(&output);
    let (words, mail, _) = kept(&machine, "");
    let head = "To: you@example.com\nSubject: llm-failover\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n\
                Content-Transfer-Encoding: 8bit\n\n";
    // `-oi`: a line with a dot alone does not end it.
    assert_eq!((words, mail), (vec!["-t".to_string(), "-oi".into()], format!("{head}{MESSAGE}\n")));
}

/// What a service gets from a script whose address leads there, with the status that it answers.
fn sent(name: &str, status: u16) -> (Request, Output) {
    let stub = Stub::new(move |_, stream| {
        let _ = std::io::Write::write_all(stream, answer(status, "ok").as_bytes());
    });
    let text = fs::read_to_string(folder().join(name)).expect("a script");
    let address = text.lines().find_map(|line| line.strip_prefix("url=https://")).expect("an address");
    let text = text.replace(&format!("https://{address}"), &format!("http://127.0.0.1:{}/hook/a-secret", stub.port()));
    let place = Machine::new(&[]);
    let script = place.folder().join(name);
    fs::write(&script, text).expect("a file");
    let through = Machine::new(&[("run", &format!("exec /bin/sh {} \"$1\"", script.display()))]);
    let (_, output) = run("osascript", &through.folder().join("run"));
    let [request] = stub.seen().try_into().expect("one request");
    assert_eq!(request.line, "POST /hook/a-secret HTTP/1.1");
    (request, output)
}

#[test]
fn a_service_gets_the_message_in_its_form() {
    let (request, output) = sent("slack.sh", 200);
    went_well(&output);
    assert_eq!((request.header("content-type"), request.json()), (Some("application/json"), json!({"text": ESCAPED})));

    let (request, output) = sent("discord.sh", 200);
    went_well(&output);
    assert_eq!(request.json(), json!({"content": MESSAGE, "allowed_mentions": {"parse": []}}));
    assert_eq!(request.header("content-type"), Some("application/json"));

    let (request, output) = sent("ntfy.sh", 200);
    went_well(&output);
    assert_eq!((request.header("title"), String::from_utf8_lossy(&request.body).as_ref()), (Some("llm-failover"), MESSAGE));
    assert_eq!(request.header("content-type"), Some("text/plain; charset=utf-8"));
}

/// `llm-failover doctor --notify` shows both.
#[test]
fn a_service_that_refuses_is_an_error() {
    for name in ["slack.sh", "discord.sh", "ntfy.sh"] {
        let (_, output) = sent(name, 404);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(22), 0), "{name}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("404"), "{name}: {output:?}");
    }
}

/// The page shows each file as it is, so that it can be taken from there.
#[test]
fn the_page_has_these_scripts() {
    let page = fs::read_to_string(folder().join("../../docs/notifications.md")).expect("a page");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder()).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert_eq!(files.len(), 7);
    for file in files {
        let text = fs::read_to_string(&file).expect("a script");
        assert!(page.contains(&format!("```sh\n{text}```\n")), "{}", file.display());
    }
}
