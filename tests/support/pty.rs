//! A process at a terminal of its own.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, poll};
use nix::pty::{Winsize, openpty};
use nix::unistd::ttyname;

use super::{Cmd, Sandbox, kill_group, real, until, wait};

/// A running process and the other end of its terminal.
pub struct Pty {
    child: Child,
    master: Option<File>,
    /// Where the terminal is found by others.
    path: PathBuf,
    reader: thread::JoinHandle<()>,
    is_closed: Arc<AtomicBool>,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Sandbox {
    /// Runs one of our links, or any program by its path, at a terminal: its three streams and controlling terminal. It is
    /// 33 rows high and 101 columns wide, and answers nothing.
    pub fn at_terminal(&self, program: &str, args: &[&str]) -> Pty {
        Pty::new(self.cmd_at_terminal(program).args(args), 33, 101, |_| Vec::new())
    }

    /// A call that makes the terminal on its stdin the controlling one.
    pub fn cmd_at_terminal(&self, program: &str) -> Cmd {
        static LAUNCHER: OnceLock<PathBuf> = OnceLock::new();
        let path = if program.contains('/') { PathBuf::from(program) } else { self.path("bin").join(program) };
        self.cmd(LAUNCHER.get_or_init(|| real::compiled("terminal"))).arg(path).in_our_group()
    }
}

impl Pty {
    /// Starts it at a terminal of this size. `respond` gets what is written to the terminal and gives what that answers.
    pub fn new(mut cmd: Cmd, rows: u16, columns: u16, mut respond: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static) -> Pty {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let ends = openpty(Some(&size), None).expect("a terminal");
        // Children of other tests must not hold this terminal open.
        for end in [&ends.master, &ends.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("a descriptor");
        }
        let path = ttyname(&ends.slave).expect("a name");
        let stream = || Stdio::from(ends.slave.try_clone().expect("a descriptor"));
        let child = cmd.command().stdin(stream()).stdout(stream()).stderr(stream()).spawn().expect("the program starts");
        drop(cmd);
        let shown: Arc<Mutex<Vec<u8>>> = Arc::default();
        let master = File::from(ends.master);
        let is_closed = Arc::new(AtomicBool::new(false));
        let (mut terminal, seen, closed) = (master.try_clone().expect("a descriptor"), shown.clone(), is_closed.clone());
        let reader = thread::spawn(move || {
            let mut chunk = [0; 4096];
            while !closed.load(Ordering::SeqCst) {
                if poll(&mut [PollFd::new(terminal.as_fd(), PollFlags::POLLIN)], 50_u16) == Ok(0) {
                    continue;
                }
                let Ok(length @ 1..) = terminal.read(&mut chunk) else { break };
                seen.lock().expect("no panic").extend_from_slice(&chunk[..length]);
                let _ = terminal.write_all(&respond(&chunk[..length]));
            }
        });
        Pty { child, master: Some(master), path, reader, is_closed, shown }
    }

    /// What the terminal shows so far, line ends as `\n`.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("no panic")).replace("\r\n", "\n")
    }

    /// Waits until the terminal shows `text`.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        until(60, &format!("{text:?} on the terminal"), || self.shown().contains(text));
    }

    /// Types. What has ended reads nothing, which is no fault of the keys.
    pub fn send(&self, keys: &str) {
        let _ = self.master.as_ref().map(|mut master| master.write_all(keys.as_bytes()));
    }

    /// Gives it another size.
    pub fn resize(&self, rows: u16, columns: u16) {
        let terminal = OpenOptions::new().read(true).custom_flags(OFlag::O_NOCTTY.bits()).open(&self.path).expect("a terminal");
        let size = ["rows", &rows.to_string(), "cols", &columns.to_string()];
        assert!(Command::new("stty").args(size).stdin(terminal).status().expect("stty").success());
    }

    /// Closes it, as a window is closed.
    pub fn hang_up(&mut self) {
        self.is_closed.store(true, Ordering::SeqCst);
        until(5, "nobody reads", || self.reader.is_finished());
        self.master = None;
    }

    /// The process that was started.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Whether the process has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_some()
    }

    /// Waits for the end: the exit code as a shell sees it, and all that was shown.
    pub fn end(mut self) -> (i32, String) {
        use std::os::unix::process::ExitStatusExt;
        let status = wait(&mut self.child, Duration::from_secs(60)).unwrap_or_else(|| panic!("no end: {:?}", self.shown()));
        // What was written last may still be on its way; a process left behind may hold the terminal open for good.
        let begun = Instant::now();
        while !self.reader.is_finished() && begun.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(5));
        }
        (status.code().or_else(|| status.signal().map(|signal| 128 + signal)).expect("an end"), self.shown())
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            kill_group(&mut self.child);
        }
    }
}
