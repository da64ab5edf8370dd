//! A sandbox whose local server is `stand-ins/model_server.py`, and what becomes of that server.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;

use super::{Output, Sandbox, free_port, until};

/// Tries all cases at the same time: they wait more than they compute.
pub fn at_once<T: Send>(cases: impl IntoIterator<Item = T>, work: impl Fn(T) + Sync) {
    let work = &work;
    std::thread::scope(|scope| cases.into_iter().for_each(|case| drop(scope.spawn(move || work(case)))));
}

/// A sandbox with a server to start. When it is dropped, whatever still runs below its home is killed.
pub struct Life {
    sandbox: Sandbox,
    /// The server's port.
    pub port: u16,
}

impl Life {
    /// A sandbox whose `LLM_SERVER_CMD` starts the stand-in in `mode`.
    pub fn new(mode: &str) -> Life {
        let mut life = Life::bare();
        let command = life.server_command(mode);
        life.set("LLM_SERVER_CMD", command);
        life
    }

    /// A sandbox with a port and nothing to start.
    pub fn bare() -> Life {
        let mut life = Life { sandbox: Sandbox::new(), port: free_port() };
        let port = life.port.to_string();
        life.set("LLM_PORT", port);
        life
    }

    /// The shell command that starts the stand-in in `mode`.
    pub fn server_command(&self, mode: &str) -> String {
        format!("{} {} {mode} {}", python().display(), stand_in("model_server.py").display(), self.home().display())
    }

    /// Lets a server go on that waits for it.
    pub fn go(&self) {
        self.write("go", "");
    }

    /// What the server has noted, a line for each event.
    pub fn events(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("events")).unwrap_or_default();
        text.lines().map(str::to_string).collect()
    }

    /// The numbers of the servers that were started, first to last.
    pub fn started(&self) -> Vec<i32> {
        let number = |line: &String| line.strip_prefix("started ")?.split(' ').next()?.parse().ok();
        self.events().iter().filter_map(number).collect()
    }

    /// Waits until a server has started, and gives its number.
    #[track_caller]
    pub fn wait_for_start(&self) -> i32 {
        until(20, "a server starts", || !self.started().is_empty());
        self.started()[0]
    }

    /// The living processes whose command line names this home: servers, and helpers of ours.
    pub fn processes(&self) -> Vec<(i32, String)> {
        processes_naming(&self.home().to_string_lossy())
    }

    /// Fails if any of them is left. A process that has been killed may need a moment to go.
    #[track_caller]
    pub fn assert_nothing_runs(&self) {
        until(10, &format!("nothing of {} runs", self.home().display()), || self.processes().is_empty());
    }

    /// The line that `applet` prints while it waits.
    pub fn waiting(&self, applet: &str) -> String {
        format!("{applet}: waiting for the local server to start (port {}) …\n", self.port)
    }

    /// A call that is left running, with nothing to read.
    pub fn begin(&self, applet: &str, args: &[&str]) -> Child {
        let mut child = self.cmd(applet).args(args).spawn();
        drop(child.stdin.take());
        child
    }

    /// `llm-failover` with `args`.
    pub fn failover(&self, args: &[&str]) -> Output {
        self.cmd("llm-failover").args(args).limit(60).run()
    }

    /// `claude -p` with `prompt`.
    pub fn ask(&self, prompt: &str) -> Output {
        self.cmd("claude").args(&["-p", prompt]).limit(60).run()
    }

    /// `llm-failover local`, which must come through.
    #[track_caller]
    pub fn flip_to_local(&self) {
        let output = self.failover(&["local"]);
        // A server that is up at the first look is not waited for.
        let waiting = if output.stderr.is_empty() { String::new() } else { self.waiting("llm-failover") };
        output.expect(0, "agent backend now: local\n", &waiting);
    }

    /// `llm-failover claude`, which must come through, end the server and give memory back.
    #[track_caller]
    pub fn flip_to_claude(&self) {
        let output = self.failover(&["claude"]);
        let given_back = freed(&output);
        output.expect(0, &format!("agent backend now: claude\n{given_back}"), "");
        self.assert_nothing_runs();
    }
}

/// The line that tells how much memory came back. Fails if it is not there, or the figure is nothing.
#[track_caller]
pub fn freed(output: &Output) -> String {
    let text = output.out();
    let figure = text.lines().find_map(|line| {
        line.strip_prefix("local server stopped: ")?.strip_suffix(" MiB of memory given back")?.parse::<u64>().ok()
    });
    let figure = figure.unwrap_or_else(|| panic!("no memory was given back: {output:?}"));
    assert!(figure > 0, "{output:?}");
    format!("local server stopped: {figure} MiB of memory given back\n")
}

impl Deref for Life {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.sandbox
    }
}

impl DerefMut for Life {
    fn deref_mut(&mut self) -> &mut Sandbox {
        &mut self.sandbox
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let named = self.processes().into_iter().map(|(pid, _)| pid);
        for pid in named.chain(processes_at_home(self.home())) {
            signal(pid, "KILL");
        }
    }
}

/// The processes that live in this home, by their environment: a real engine does not name it in its arguments.
pub fn processes_at_home(home: &Path) -> Vec<i32> {
    let variable = format!("HOME={}", home.display());
    if cfg!(target_os = "macos") {
        // BSD's ps shows it behind the arguments.
        let output = Command::new("ps").args(["-A", "-E", "-ww", "-o", "pid=", "-o", "command="]).output().expect("ps");
        let row =
            |line: &str| line.split(' ').any(|word| word == variable).then(|| line.split_whitespace().next()?.parse().ok())?;
        return String::from_utf8_lossy(&output.stdout).lines().filter_map(row).collect();
    }
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let lives_here = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|one| one == variable.as_bytes())
    };
    pids.filter(lives_here).collect()
}

/// Sends a signal to a process.
pub fn signal(pid: i32, name: &str) {
    let _ = Command::new("kill").args([&format!("-{name}"), "--", &pid.to_string()]).output();
}

/// The living processes whose command line contains `text`.
pub fn processes_naming(text: &str) -> Vec<(i32, String)> {
    let output = Command::new("ps").args(["-A", "-ww", "-o", "pid=", "-o", "stat=", "-o", "args="]).output().expect("ps");
    let row = |line: &str| {
        let (pid, rest) = line.trim().split_once(' ')?;
        let (state, args) = rest.trim().split_once(' ')?;
        (!state.starts_with('Z') && args.contains(text)).then(|| Some((pid.parse().ok()?, args.to_string())))?
    };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(row).collect()
}

/// A file of `tests/stand-ins`.
pub fn stand_in(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand-ins").join(name)
}

/// Python itself, not a launcher of it that would need more of an environment than tests give.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let find = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/find-python.sh");
        let output = Command::new(find).output().expect("a script");
        assert!(output.status.success(), "{output:?}");
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
    })
}
