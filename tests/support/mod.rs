//! A home of its own for each test, and the processes that run in it.

pub mod browser;
mod deps;
pub mod honest;
pub mod hub;
pub mod life;
pub mod messages_api;
pub mod play;
pub mod pty;
pub mod real;
pub mod script;
pub mod stub;
pub mod terminal;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, PoisonError, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

pub use deps::{deps, node};

/// The binary under test: the one that `scripts/test.sh` has built as users get it, else cargo's own.
pub static BINARY: LazyLock<&str> = LazyLock::new(|| match std::env::var("CLAUDE_FAILOVER_TEST_BINARY") {
    Ok(path) => path.leak(),
    Err(_) => env!("CARGO_BIN_EXE_claude-failover"),
});

/// How long a process may take unless a test says otherwise.
const LIMIT: Duration = Duration::from_secs(30);

/// Held while a file is written, and shared while a process starts: a child that is forked meanwhile would have the file
/// open for writing for a moment, and nobody could run it then (ETXTBSY).
static WRITING: RwLock<()> = RwLock::new(());

/// Copies a file that is to be run.
pub fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let _alone = WRITING.write().unwrap_or_else(PoisonError::into_inner);
    fs::copy(from, to).expect("a copy");
}

fn start(command: &mut Command) -> io::Result<Child> {
    let _nothing_is_written = WRITING.read().unwrap_or_else(PoisonError::into_inner);
    command.spawn()
}

/// An empty home with our links in `bin`, and an environment that holds HOME and PATH and nothing else.
pub struct Sandbox {
    dir: tempfile::TempDir,
    env: BTreeMap<OsString, OsString>,
}

impl Sandbox {
    /// A new one. `PATH` is our links and the system's folders.
    pub fn new() -> Sandbox {
        let dir = tempfile::Builder::new().prefix("failover").tempdir().expect("a temporary folder");
        let mut sandbox = Sandbox { dir, env: BTreeMap::new() };
        let bin = sandbox.path("bin");
        let output = Command::new(*BINARY).arg("--install").arg(&bin).env_clear().output().expect("the binary runs");
        assert!(output.status.success(), "{output:?}");
        let home = sandbox.home().to_path_buf();
        sandbox.set("HOME", home);
        sandbox.set_path(&[bin.as_os_str(), OsStr::new("/usr/bin"), OsStr::new("/bin")]);
        sandbox
    }

    /// The home folder.
    pub fn home(&self) -> &Path {
        self.dir.path()
    }

    /// Says that answers of `model` at this server begin without thinking, as after an earlier answer: what comes is then
    /// passed on at once. `model`: empty for the one that is not named.
    pub fn answers_plainly(&self, url: &str, model: &str) {
        let folder = self.path(".local/state/claude-failover");
        std::fs::create_dir_all(&folder).expect("a folder");
        let known = serde_json::json!({"servers": [{"url": url, "thinks_unopened": {model: false}}]});
        std::fs::write(folder.join("servers.json"), known.to_string()).expect("a file");
    }

    /// A path in the home folder.
    pub fn path(&self, below: &str) -> PathBuf {
        self.home().join(below)
    }

    /// Sets a variable for all processes that follow.
    pub fn set(&mut self, key: &str, value: impl AsRef<OsStr>) {
        let value = value.as_ref().to_os_string();
        self.env.insert(key.into(), value);
    }

    /// Takes a variable away.
    pub fn unset(&mut self, key: &str) {
        self.env.remove(OsStr::new(key));
    }

    /// Sets PATH.
    pub fn set_path(&mut self, entries: &[impl AsRef<OsStr>]) {
        let path = std::env::join_paths(entries).expect("no colon in a path");
        self.env.insert("PATH".into(), path);
    }

    /// Writes a file below the home folder, with its folders.
    pub fn write(&self, below: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(below);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        let _alone = WRITING.write().unwrap_or_else(PoisonError::into_inner);
        fs::write(&path, text).expect("a file");
        path
    }

    /// Writes an executable file.
    pub fn script(&self, below: &str, text: &str) -> PathBuf {
        let path = self.write(below, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
        path
    }

    /// Sets the switch.
    pub fn switch(&self, word: impl AsRef<[u8]>) {
        self.write(".local/state/llm-backend", word);
    }

    /// What the switch file holds.
    pub fn switch_word(&self) -> String {
        fs::read_to_string(self.path(".local/state/llm-backend")).unwrap_or_default()
    }

    /// A call of one of our links, or of any program by its absolute path.
    pub fn cmd(&self, program: impl AsRef<OsStr>) -> Cmd {
        let program = program.as_ref();
        let path = if program.to_string_lossy().contains('/') { PathBuf::from(program) } else { self.path("bin").join(program) };
        let mut command = Command::new(path);
        command.env_clear().envs(&self.env).current_dir(self.home()).process_group(0);
        Cmd { command, stdin: Input::Null, limit: LIMIT, home: self.home().to_path_buf() }
    }
}

enum Input {
    Null,
    Bytes(Vec<u8>),
    /// A pipe that stays open and silent until the process has ended.
    Silent,
}

/// A process to be.
pub struct Cmd {
    command: Command,
    stdin: Input,
    limit: Duration,
    home: PathBuf,
}

impl Cmd {
    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Cmd {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: &[impl AsRef<OsStr>]) -> Cmd {
        self.command.args(args);
        self
    }

    /// Sets `argv[0]`.
    pub fn arg0(mut self, name: impl AsRef<OsStr>) -> Cmd {
        self.command.arg0(name);
        self
    }

    /// Sets a variable.
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Cmd {
        self.command.env(key, value);
        self
    }

    /// Leaves the process in the group of the tests, where it may begin a session of its own.
    pub fn in_our_group(mut self) -> Cmd {
        self.command.process_group(nix::unistd::getpgrp().as_raw());
        self
    }

    /// Sets the working directory.
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Cmd {
        self.command.current_dir(dir);
        self
    }

    /// Pipes these bytes in.
    pub fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Cmd {
        self.stdin = Input::Bytes(bytes.as_ref().to_vec());
        self
    }

    /// Gives a pipe that nobody writes to.
    pub fn silent_stdin(mut self) -> Cmd {
        self.stdin = Input::Silent;
        self
    }

    /// Sets the time limit, in seconds.
    pub fn limit(mut self, seconds: u64) -> Cmd {
        self.limit = Duration::from_secs(seconds);
        self
    }

    /// The command itself, for what is not offered here.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Starts it with pipes on all three streams and leaves it running.
    pub fn spawn(mut self) -> Child {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.start()
    }

    /// Starts it with the streams that the command was given.
    pub fn start(&mut self) -> Child {
        start(&mut self.command).expect("the program starts")
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Output {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command.stdin(if matches!(self.stdin, Input::Null) { Stdio::null() } else { Stdio::piped() });
        let mut child = start(&mut self.command).unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        let silent = child.stdin.take().and_then(|mut pipe| match self.stdin {
            Input::Bytes(bytes) => {
                thread::spawn(move || pipe.write_all(&bytes));
                None
            }
            _ => Some(pipe),
        });
        let stdout = collect(child.stdout.take().expect("a pipe"));
        let stderr = collect(child.stderr.take().expect("a pipe"));
        let status =
            wait(&mut child, self.limit).unwrap_or_else(|| panic!("{:?} took longer than {:?}", self.command, self.limit));
        drop(silent);
        let take = |stream: mpsc::Receiver<Vec<u8>>| {
            stream.recv_timeout(Duration::from_secs(5)).expect("the streams end with the process")
        };
        Output { status, stdout: take(stdout), stderr: take(stderr), home: self.home }
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    });
    receiver
}

/// Waits for a child's end; past the limit it is killed with its process group.
pub fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if let Some(status) = child.try_wait().expect("our child") {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    kill_group(child);
    None
}

/// Kills a child that leads a process group, with all of that group.
pub fn kill_group(child: &mut Child) {
    let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).stderr(Stdio::null()).status();
    let _ = child.wait();
}

/// What a process left.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its stdout.
    pub stdout: Vec<u8>,
    /// All of its stderr.
    pub stderr: Vec<u8>,
    home: PathBuf,
}

impl Output {
    /// The exit code as a shell sees it: `128+n` for signal n.
    pub fn code(&self) -> i32 {
        self.status.code().or_else(|| self.status.signal().map(|signal| 128 + signal)).expect("an end")
    }

    /// Stdout as text, with `[HOME]` for the home folder.
    pub fn out(&self) -> String {
        self.shown(&self.stdout)
    }

    /// Stderr as text, with `[HOME]` for the home folder.
    pub fn err(&self) -> String {
        self.shown(&self.stderr)
    }

    fn shown(&self, bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).replace(&*self.home.to_string_lossy(), "[HOME]")
    }

    /// Compares everything.
    #[track_caller]
    pub fn expect(self, code: i32, stdout: &str, stderr: &str) -> Output {
        let seen = (self.code(), self.out(), self.err());
        assert!(
            seen == (code, stdout.to_string(), stderr.to_string()),
            "\n   code: {}, expected {code}\n stdout: {:?}\n     expected {stdout:?}\n stderr: {:?}\n     expected {stderr:?}\n",
            seen.0,
            seen.1,
            seen.2
        );
        self
    }

    /// Expects the one line on stdout that tells a failed turn, and this on stderr.
    #[track_caller]
    pub fn expect_api_error(self, said: &str, stderr: &str) -> Output {
        self.expect(1, &format!("API Error: {said}\n"), stderr)
    }
}

/// A port that was free a moment ago, below those that the system gives to whoever asks for any.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 12_000 + (number % 18_000) as u16;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until `holds`, or panics after `seconds`.
#[track_caller]
pub fn until(seconds: u64, what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(seconds), "not within {seconds} s: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Runs it as a shell does with `> file 2>&1`, or with both streams in one pipe: how it ended, and what is in there.
pub fn run_into_one(cmd: &mut Cmd, is_pipe: bool) -> (i32, String) {
    let limit = cmd.limit;
    let (file, reader) = match is_pipe {
        false => (tempfile::tempfile().expect("a file"), None),
        true => {
            let (reader, writer) = io::pipe().expect("a pipe");
            (fs::File::from(std::os::fd::OwnedFd::from(writer)), Some(collect(reader)))
        }
    };
    let copy = || file.try_clone().expect("a copy");
    cmd.command().stdin(Stdio::null()).stdout(copy()).stderr(copy());
    let mut child = cmd.start();
    cmd.command().stdout(Stdio::null()).stderr(Stdio::null());
    let status = wait(&mut child, limit).expect("an end in time");
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).expect("an end");
    let text = match reader {
        Some(reader) => {
            drop(file);
            String::from_utf8(reader.recv_timeout(Duration::from_secs(20)).expect("the pipe ends")).expect("text")
        }
        None => {
            use std::io::Seek;
            let (mut file, mut text) = (file, String::new());
            file.rewind().and_then(|()| file.read_to_string(&mut text)).expect("text");
            text
        }
    };
    (code, text)
}
