//! The dashboard as a service, by stand-ins of launchctl and systemctl.

use std::fs;
use std::io::Write;
use std::net::TcpStream;

use super::caller::reply;
use crate::support::life::{processes_naming, python, signal, stand_in};
use crate::support::{Output, Sandbox, copy, free_port, until};

/// A home with one service manager, whose services end with it.
struct Home(Sandbox, &'static str);

impl Home {
    fn new(manager: &'static str) -> Home {
        let mut sandbox = Sandbox::new();
        for (key, folder) in [("LAUNCHD_DIR", "launchd"), ("SYSTEMD_DIR", "systemd")] {
            let path = sandbox.path(folder);
            fs::create_dir(&path).unwrap();
            sandbox.set(key, path);
        }
        sandbox.set("PYTHON", python());
        let program = if manager == "launchd" { "launchctl" } else { "systemctl" };
        let tools = sandbox.path("tools");
        fs::create_dir(&tools).unwrap();
        copy(stand_in(program), tools.join(program));
        sandbox.set_path(&[sandbox.path("bin"), tools, "/usr/bin".into(), "/bin".into()]);
        Home(sandbox, manager)
    }

    fn file(&self) -> &'static str {
        match self.1 {
            "launchd" => "Library/LaunchAgents/com.local.llm-dashboard.plist",
            _ => ".config/systemd/user/com.local.llm-dashboard.service",
        }
    }

    fn run(&self, args: &[&str]) -> Output {
        self.0.cmd("llm-failover").args(args).limit(60).run()
    }

    /// The verbs of the orders that were given since the last look.
    fn orders(&self) -> Vec<String> {
        let calls = self.0.path(self.1).join("calls");
        let text = fs::read_to_string(&calls).unwrap_or_default();
        let _ = fs::remove_file(calls);
        let words = text.lines().map(|line| line.trim_start_matches("--user ").split(' ').next().unwrap().to_string());
        words.filter(|verb| !["print", "list", "is-active", "show-environment"].contains(&verb.as_str())).collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for (pid, _) in processes_naming(&self.0.home().to_string_lossy()) {
            signal(pid, "KILL");
        }
    }
}

fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").unwrap();
    reply(stream).status == 200
}

#[test]
fn it_is_installed_once_moved_and_taken_away_with_all_that_was_made() {
    let table = [
        ("launchd", vec!["bootstrap", "kickstart"], vec![], vec!["bootout", "bootstrap", "kickstart"], vec!["bootout"]),
        (
            "systemd",
            vec!["stop", "daemon-reload", "enable", "reset-failed", "start"],
            vec!["daemon-reload", "enable"],
            vec!["stop", "daemon-reload", "enable", "reset-failed", "start"],
            vec!["disable", "stop", "daemon-reload"],
        ),
    ];
    for (manager, first, again, moved, away) in table {
        let home = Home::new(manager);
        let (one, other) = (free_port(), free_port());
        let install = |port: u16| home.run(&["dashboard", "--install", "--port", &port.to_string()]);
        let said = |what: &str, port: u16| format!("{what} ~/{}\nhttp://127.0.0.1:{port}/\n", home.file());
        install(one).expect(0, &said("wrote", one), "");
        assert_eq!(home.orders(), first, "{manager}");
        let text = fs::read_to_string(home.0.path(home.file())).unwrap();
        for word in ["LABEL", "ARGUMENTS", "COMMAND", "PATH", "HOME"] {
            assert!(!text.contains(&format!("@{word}@")), "{text}");
        }
        assert!(
            text.contains(&home.0.path("bin/llm-failover").display().to_string()) && text.contains(&one.to_string()),
            "{text}"
        );
        install(one).expect(0, &said("is there already:", one), "");
        assert_eq!(home.orders(), again, "{manager}");
        install(other).expect(0, &said("wrote", other), "");
        assert_eq!(home.orders(), moved, "{manager}");
        assert!(!answers(one) && answers(other));
        home.run(&["dashboard", "--uninstall"]).expect(0, &format!("took away ~/{}\n", home.file()), "");
        assert_eq!(home.orders(), away, "{manager}");
        until(10, "it has ended", || !answers(other));
        home.run(&["dashboard", "--uninstall"]).expect(0, "the dashboard is not installed as a service\n", "");
        for left in [home.file(), ".local/share", "Library", ".config"] {
            assert!(!home.0.path(left).exists(), "{manager}: {left}");
        }
    }
}

#[test]
fn setups_uninstall_takes_it_along() {
    for manager in ["launchd", "systemd"] {
        let home = Home::new(manager);
        let port = free_port();
        assert_eq!(home.run(&["dashboard", "--install", "--port", &port.to_string()]).code(), 0);
        home.orders();
        let output = home.run(&["setup", "--uninstall"]);
        assert_eq!((output.code(), output.err()), (0, String::new()));
        until(10, "it has ended", || !answers(port));
        assert!(!home.0.path(home.file()).exists());
        let ends = if manager == "launchd" { "bootout" } else { "disable" };
        assert_eq!(home.orders().first().map(String::as_str), Some(ends));
    }
}

#[test]
fn what_stands_in_the_way_is_said_before_anything_runs() {
    let home = Home::new("systemd");
    let refused = |args: &[&str], stderr: &str| {
        home.run(args).expect(1, "", stderr);
    };
    let usage = "hint: run `llm-failover --help`\n";
    refused(
        &["dashboard", "--install", "--port", "0"],
        &format!("llm-failover: a service needs a port of its own: `--install` goes with any but 0\n{usage}"),
    );
    refused(
        &["dashboard", "--install", "--uninstall"],
        &format!("llm-failover: `--install` and `--uninstall` exclude each other\n{usage}"),
    );
    let other = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let taken = format!(
        "llm-failover: port {port} is taken by another program\nhint: choose another one with `--port`; 0 is any that is free\n"
    );
    refused(&["dashboard", "--install", "--port", &port], &taken);
    assert!(!home.0.path(home.file()).exists());
    home.0.write(home.file(), "[Service]\nExecStart=/bin/true\n");
    let free = free_port().to_string();
    refused(
        &["dashboard", "--install", "--port", &free],
        &format!(
            "llm-failover: `[HOME]/{}` is not as setup left it, and would have to change\nhint: move it elsewhere and run this again\n",
            home.file()
        ),
    );
    let mut nothing = Sandbox::new();
    nothing.set_path(&[nothing.path("bin")]);
    let output = nothing.cmd("llm-failover").args(&["dashboard", "--install"]).run();
    output.expect(
        1,
        "",
        "llm-failover: neither launchd nor the user's systemd is here to run it\nhint: run `llm-failover dashboard` yourself\n",
    );
}

#[test]
fn a_setting_of_this_environment_alone_is_named() {
    let mut home = Home::new("systemd");
    home.0.set("LOCAL_LLM_MODEL", "qwen");
    let port = free_port().to_string();
    let output = home.run(&["dashboard", "--install", "--port", &port]);
    let warning = "llm-failover: warning: the service does not know what is in this environment alone (LOCAL_LLM_MODEL); \
                   `llm-failover config set` tells it\n";
    assert_eq!((output.code(), output.err().as_str()), (0, warning));
}
