//! Whether a program has sent a signal, or the system by itself: for a key, or for a terminal or a parent that is gone.

use std::fs::File;
use std::os::unix::process::parent_id;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::{Pid, getpgrp, getsid, tcgetpgrp};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT};
use signal_hook::low_level::siginfo::{Cause, Origin};

/// How long an ending process may take to be gone after its children have been hung up.
const LAST_MOMENT: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, PartialEq, Eq)]
enum System {
    /// Names who has sent a signal, and nobody for those of its own.
    Linux,
    /// Names for every signal whichever process ran in the kernel at that moment (`psignal_internal` in XNU's
    /// `bsd/kern/kern_sig.c`): for a key, the one that shows the terminal.
    MacOs,
}

const HERE: System = if cfg!(target_vendor = "apple") { System::MacOs } else { System::Linux };

/// What the system tells of a signal, and on macOS what is known besides.
#[derive(Clone, Copy, Default)]
struct Facts {
    signal: i32,
    names_sender: bool,
    /// The process that is named lives in another session, or is the kernel.
    is_elsewhere: bool,
    /// The keys of the controlling terminal signal our process group.
    is_in_foreground: bool,
    /// The process that is named is the one that has started us, and is ending.
    is_ending_parent: bool,
}

fn by_program(system: System, facts: &Facts) -> bool {
    match (system, facts.signal) {
        (System::Linux, _) => facts.names_sender,
        (System::MacOs, SIGINT | SIGQUIT) => !(facts.is_in_foreground && facts.is_elsewhere),
        (System::MacOs, SIGHUP) => !facts.is_ending_parent,
        (System::MacOs, _) => true,
    }
}

/// Tells the signals of programs from the others.
pub(super) struct Observer {
    /// Who has started this process.
    parent: u32,
}

impl Observer {
    pub(super) fn new() -> Observer {
        Observer { parent: parent_id() }
    }

    /// Soon after the signal has come.
    pub(super) fn is_by_program(&self, origin: &Origin) -> bool {
        // A program outside of our container has no number here.
        let sender = origin.process.as_ref().map_or(0, |process| process.pid);
        let names_sender = sender != 0 || matches!(origin.cause, Cause::Sent(_));
        let facts = Facts { signal: origin.signal, names_sender, ..Facts::default() };
        let facts = match (HERE, origin.signal) {
            (System::MacOs, SIGINT | SIGQUIT) => {
                Facts { is_elsewhere: is_elsewhere(sender), is_in_foreground: is_in_foreground(), ..facts }
            }
            (System::MacOs, SIGHUP) => Facts { is_ending_parent: self.is_ending_parent(sender), ..facts },
            _ => facts,
        };
        by_program(HERE, &facts)
    }

    fn is_ending_parent(&self, pid: i32) -> bool {
        let begun = Instant::now();
        while self.parent == pid.cast_unsigned() && parent_id() == self.parent && begun.elapsed() < LAST_MOMENT {
            sleep(Duration::from_millis(5));
        }
        self.parent == pid.cast_unsigned() && parent_id() != self.parent
    }
}

/// A process that is gone was a program that signals and ends (kill(1)): whoever shows a terminal outlives a key.
fn is_elsewhere(pid: i32) -> bool {
    match getsid(Some(Pid::from_raw(pid))) {
        _ if pid == 0 => true,
        Ok(session) => getsid(None) != Ok(session),
        Err(errno) => errno != Errno::ESRCH,
    }
}

fn is_in_foreground() -> bool {
    File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(terminal) == Ok(getpgrp()))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use signal_hook::consts::{SIGTERM, SIGUSR1};

    use super::*;

    const ALL: [i32; 5] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1];

    #[test]
    fn linux_names_the_sender_or_nobody() {
        for (signal, names_sender) in ALL.into_iter().flat_map(|signal| [(signal, false), (signal, true)]) {
            // What decides on macOS decides nothing here.
            for is in [false, true] {
                let facts = Facts { signal, names_sender, is_elsewhere: is, is_in_foreground: is, is_ending_parent: is };
                assert_eq!(by_program(System::Linux, &facts), names_sender, "{signal}");
            }
        }
    }

    #[test]
    fn on_macos_a_key_comes_from_another_session_to_the_foreground() {
        for signal in ALL {
            let by_program = |is_elsewhere, is_in_foreground| {
                let facts = Facts { signal, names_sender: true, is_elsewhere, is_in_foreground, is_ending_parent: false };
                by_program(System::MacOs, &facts)
            };
            let has_key = [SIGINT, SIGQUIT].contains(&signal);
            assert_eq!(by_program(true, true), !has_key, "{signal}: a key");
            assert!(by_program(false, true), "{signal}: kill(1) in the same terminal");
            assert!(by_program(true, false), "{signal}: to a job in the background, or without a terminal");
            assert!(by_program(false, false), "{signal}");
        }
    }

    #[test]
    fn on_macos_a_parent_that_ends_hangs_up() {
        for signal in ALL {
            let facts = Facts { signal, names_sender: true, is_ending_parent: true, ..Facts::default() };
            assert_eq!(by_program(System::MacOs, &facts), signal != SIGHUP, "{signal}");
        }
    }

    #[test]
    fn where_a_sender_is() {
        let us = std::process::id().cast_signed();
        assert!(is_elsewhere(0) && !is_elsewhere(us));
        let mut gone = Command::new("/bin/sh").args(["-c", ":"]).spawn().expect("a shell");
        gone.wait().expect("its end");
        assert!(!is_elsewhere(gone.id().cast_signed()));

        let mut leader = Command::new("python3")
            .args(["-c", "import os, sys; os.setsid(); print(flush=True); sys.stdin.read()"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let told = leader.stdout.as_mut().expect("a pipe").read_exact(&mut [0]);
        let is_elsewhere = is_elsewhere(leader.id().cast_signed());
        drop(leader.stdin.take());
        leader.wait().expect("its end");
        told.expect("a session of its own");
        assert!(is_elsewhere);
    }

    #[test]
    fn only_our_own_parent_can_end_as_such() {
        let observer = Observer::new();
        assert!(!observer.is_ending_parent(0));
        assert!(!observer.is_ending_parent(parent_id().cast_signed()), "it lives");
        let observer = Observer { parent: u32::MAX >> 1 };
        assert!(observer.is_ending_parent(i32::MAX));
    }
}
