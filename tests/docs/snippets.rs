//! What the documents show can be done, and comes out as they show it.

use std::fs;
use std::path::Path;

use super::blocks;
use crate::support::life::{Life, python};
use crate::support::play::{Stage, act, acts, init, limit, say};
use crate::support::stub::Stub;
use crate::support::{BINARY, Output, Sandbox};

/// Where the installer puts the links, below the home folder.
const BIN: &str = ".local/share/claude-failover/bin";

/// What the local model answers.
const ANSWER: &str = "Three things need you.";

/// A home as the installer leaves it, with the switch at `local` and nothing in the environment.
struct Installed {
    sandbox: Sandbox,
    stub: Stub,
}

impl Installed {
    fn new() -> Installed {
        let (mut sandbox, stub) = (Sandbox::new(), Stub::answering(ANSWER));
        sandbox.cmd(*BINARY).arg("--install").arg(sandbox.path(BIN)).run();
        let settings = format!("LLM_SUPERVISOR=none\nLOCAL_LLM_URL={}\n", stub.url());
        sandbox.write(".config/claude-failover/config.env", settings);
        sandbox.switch("local\n");
        sandbox.set_path(&["/usr/bin", "/bin"]);
        Installed { sandbox, stub }
    }

    /// Runs a line as cron does.
    fn cron(&self, line: &str) -> Output {
        let sh = self.sandbox.cmd("/bin/sh").args(&["-c", line]);
        sh.env("SHELL", "/bin/sh").env("LOGNAME", "me").run()
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.sandbox.path(name)).unwrap_or_default()
    }

    /// What the local model was asked last.
    fn asked(&self) -> String {
        let question = self.stub.chats().last().expect("a question").json();
        question["messages"].as_array().and_then(|messages| messages.last()?["content"].as_str()).expect("text").to_string()
    }
}

const PAGE: &str = "docs/scripts-and-cron.md";

#[test]
fn the_python_programs_get_an_answer() {
    let snippets = blocks(PAGE, "python");
    let [before, after] = snippets.as_slice() else { panic!("{snippets:?}") };
    let installed = Installed::new();
    let run = |snippet: &str| installed.sandbox.cmd(python()).args(&["-c", snippet]);
    run(after).run().expect(0, &format!("{ANSWER}\n"), "");
    assert_eq!(installed.asked(), "Summarise in one line: the parser was slow, and now it is not.");
    // The one before finds no `claude` at all here, unless ours is on PATH.
    assert_ne!(run(before).run().code(), 0);
    let path = format!("{}:/usr/bin:/bin", installed.sandbox.path(BIN).display());
    run(before).env("PATH", path).run().expect(0, &format!("{ANSWER}\n"), "");
}

#[test]
fn the_shell_script_knows_who_answered() {
    let [snippet] = blocks(PAGE, "sh").try_into().expect("one");
    let installed = Installed::new();
    installed.cron(&snippet).expect(0, "the notes are written\n", "");
    assert_eq!(installed.file("notes.txt"), format!("{ANSWER}\n"));

    // Now with a Claude that is at its limit.
    let mut stage = Stage::new(&installed.stub, &acts(&[&init(), &limit(), &act("exit 1")]));
    stage.cmd(*BINARY).arg("--install").arg(stage.path(BIN)).run();
    let path = [stage.path("real"), "/usr/bin".into(), "/bin".into()];
    stage.set_path(&path);
    let output = stage.cmd("/bin/sh").args(&["-c", &snippet]).run();
    assert_eq!((output.code(), output.out().as_str()), (0, "Claude is away; run this again later\n"), "{output:?}");
}

#[test]
fn the_crontab_runs_in_crons_bare_environment() {
    let [crontab] = blocks(PAGE, "crontab").try_into().expect("one");
    let lines: Vec<&str> = crontab.lines().collect();
    assert_eq!(lines.len(), 2);
    for (line, output) in lines.into_iter().zip(["morning.txt", "review.txt"]) {
        let installed = Installed::new();
        installed.sandbox.write("notes.txt", "The roof leaks.\n");
        let mut rest = line;
        for _ in 0..5 {
            let (field, after) = rest.split_once(' ').expect("a field");
            assert!(field.chars().all(|c| c.is_ascii_digit() || "*-".contains(c)), "{field}");
            rest = after;
        }
        assert!(!rest.contains('%'), "cron makes newlines of them");
        installed.cron(rest).expect(0, "", "");
        assert_eq!(installed.file(output), format!("{ANSWER}\n"));
        assert!(installed.asked().ends_with("\nThe roof leaks.\n"), "{}", installed.asked());
    }
}

/// What launchd does with a job, as far as it is in this one.
const LAUNCHD: &str = r#"
import pathlib, plistlib, subprocess, sys
home = pathlib.Path.home()
job = plistlib.loads(sys.stdin.buffer.read())
known = {"Label", "ProgramArguments", "StandardInPath", "StandardOutPath", "StandardErrorPath", "StartCalendarInterval"}
assert set(job) == known, job
assert job["StartCalendarInterval"] == {"Hour": 6, "Minute": 30}, job
print(job["Label"])
here = lambda path: str(path).replace("/Users/me", str(home))
with open(here(job["StandardInPath"])) as i, open(here(job["StandardOutPath"]), "w") as o, open(here(job["StandardErrorPath"]), "w") as e:
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
    subprocess.run([here(word) for word in job["ProgramArguments"]], stdin=i, stdout=o, stderr=e, env=environment, check=True, timeout=20)
"#;

#[test]
fn the_launchd_job_is_a_property_list_and_runs() {
    let [plist] = blocks(PAGE, "xml").try_into().expect("one");
    let installed = Installed::new();
    installed.sandbox.write("notes.txt", "The roof leaks.\n");
    installed.sandbox.cmd(python()).args(&["-c", LAUNCHD]).stdin(&plist).run().expect(0, "me.morning\n", "");
    assert_eq!(installed.file("morning.txt"), format!("{ANSWER}\n"));
    assert!(installed.asked().ends_with("\nThe roof leaks.\n"), "{}", installed.asked());
}

#[test]
fn the_line_for_instant_failover_is_in_the_property_list() {
    let plist = super::read("launchd/com.local.mlxserver.plist");
    let page = super::read("docs/models.md");
    let line = "<key>KeepAlive</key><false/>";
    assert!(page.contains(&format!("`{line}`")) && page.contains(&format!("`{}`", line.replace("false", "true"))));
    assert_eq!(plist.lines().filter(|found| found.trim() == line).count(), 1);
}

#[test]
fn the_dashboard_snippet_reads_the_switch() {
    let snippets = blocks("docs/settings.md", "sh");
    let snippet = snippets.iter().find(|snippet| snippet.contains("answering locally")).expect("the snippet");
    let sandbox = Sandbox::new();
    sandbox.cmd("/bin/sh").args(&["-c", snippet]).run().expect(0, "answering with Claude\n", "");
    sandbox.switch("local\n");
    sandbox.cmd("/bin/sh").args(&["-c", snippet]).run().expect(0, "answering locally\n", "");
}

/// A line with `0` for each number, and with one space for several.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    for c in line.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        match c {
            c if c.is_ascii_digit() && shape.ends_with('0') => {}
            c if c.is_ascii_digit() => shape.push('0'),
            c => shape.push(c),
        }
    }
    shape
}

/// The readme's demonstration, with a Claude that is at its limit until the time that is shown there.
#[test]
fn the_demonstration_comes_out_as_it_is_shown() {
    let [demo] = blocks("README.md", "console").try_into().expect("one");
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(20);
    let event = serde_json::json!({"type": "rate_limit_event", "rate_limit_info": {"status": "rejected",
        "resetsAt": until.as_second(), "rateLimitType": "five_hour"}});
    let mut stage = Stage::with_server("ok", &acts(&[&init(), &act(say(&event)), &limit()[1..], &act("exit 1")]));
    // Where it is noon: near midnight the time is told with its day.
    let hour = i64::from(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).hour());
    stage.set("TZ", format!("NOON{}", hour - 12));
    stage.set("LOCAL_LLM_MODEL", "Qwen2.5-7B-Instruct-4bit");
    let path = ["bin", "real"].map(|dir| stage.path(dir));
    stage.set_path(&[&path[0], &path[1], Path::new("/usr/bin"), Path::new("/bin")]);
    let steps: Vec<(&str, Vec<&str>)> = demo
        .split("$ ")
        .skip(1)
        .map(|step| {
            let mut lines = step.lines();
            (lines.next().expect("a command"), lines.collect())
        })
        .collect();
    assert_eq!(steps.len(), 4, "{demo}");
    for (command, shown) in steps {
        let output = stage.cmd("/bin/sh").args(&["-c", &format!("{command} 2>&1")]).limit(60).run();
        let printed = output.out();
        let printed: Vec<&str> = printed.lines().collect();
        assert_eq!((output.code(), printed.len()), (0, shown.len()), "{command}: {printed:?}");
        for (printed, shown) in printed.into_iter().zip(shown) {
            // The model's own words are its own.
            let is_answer = printed.starts_with("echo: ");
            assert!(
                is_answer && !shown.contains("claude") || shape(printed) == shape(shown),
                "{command}: {printed:?}, {shown:?}"
            );
        }
    }
    stage.assert_nothing_runs();
}

/// The settings of a server of one's own, and of several, are read as they are shown.
#[test]
fn the_settings_of_servers_of_ones_own_are_settings() {
    let [one, several] = blocks("docs/models.md", "ini").try_into().expect("two");
    let life = Life::bare();
    let status = |settings: &str| {
        life.write(".config/claude-failover/config.env", format!("LLM_SUPERVISOR=none\n{settings}"));
        let output = life.cmd("llm-failover").args(&["status", "--json"]).run();
        assert_eq!((output.code(), output.err().as_str()), (0, ""));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")
    };
    let one = status(&one);
    assert_eq!(one["local_server"]["url"], "http://127.0.0.1:11434/v1/chat/completions");
    assert_eq!(one["model"], "qwen2.5:7b");
    let several = status(&several);
    let models = several["links"].as_array().expect("a list").iter().map(|link| link["model"].as_str().expect("a name"));
    assert_eq!(models.collect::<Vec<_>>(), ["mlx-community/Qwen2.5-7B-Instruct-4bit", "qwen3-coder:30b", "gpt-oss-120b"]);
}
