//! Facts about a process, by its number, and what is done with processes of ours.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::unistd::{Pid as NixPid, getpgid};

use crate::error::{Error, Result};
use crate::names::OWN_NAME;

#[cfg(not(target_os = "macos"))]
#[path = "process/linux.rs"]
mod platform;
#[cfg(target_os = "macos")]
#[path = "process/macos.rs"]
mod platform;

pub(crate) type Pid = i32;

/// When the process started, as a word: it distinguishes the process from an earlier or later one with the same number. `None` if there
/// is no such process, or only a zombie.
pub(crate) fn start_mark(pid: Pid) -> Option<String> {
    platform::start_mark(pid)
}

pub(crate) fn current_exe() -> io::Result<PathBuf> {
    std::env::current_exe()
}

/// The path to run this binary by. On Linux a replaced binary's own path ends in ` (deleted)`; `/proc/self/exe` still opens it.
pub(crate) fn own_path() -> Result<PathBuf> {
    let path = current_exe().map_err(Error::system("find", OWN_NAME))?;
    Ok(if path.exists() { path } else { PathBuf::from("/proc/self/exe") })
}

/// Runs this binary beside the call, which does not wait for it, and which a failure does not change.
pub(crate) fn start_in_background<T: AsRef<OsStr>>(args: impl IntoIterator<Item = T>) {
    let Ok(binary) = own_path() else { return };
    let _ = Command::new(binary)
        .arg0(OWN_NAME)
        .args(args)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
}

/// A process in the background must not keep the caller's lock files and pipes open.
pub(crate) fn close_inherited_files() {
    let entries = fs::read_dir("/dev/fd").into_iter().flatten().flatten();
    let numbers: Vec<i32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|number| *number > 2) {
        let _ = nix::unistd::close(number);
    }
}

/// By SIGSTOP or Ctrl-Z.
pub(crate) fn is_stopped(pid: Pid) -> bool {
    platform::is_stopped(pid)
}

/// What all processes in the group of `pid` have in memory, in bytes: PSS on Linux, the physical footprint on macOS.
pub(crate) fn group_memory(pid: Pid) -> Option<u64> {
    let group = getpgid(Some(NixPid::from_raw(pid))).ok()?;
    Some(group_members(group.as_raw())?.into_iter().filter_map(platform::memory).sum())
}

/// Zombies may be among them.
pub(crate) fn group_members(group: Pid) -> Option<Vec<Pid>> {
    platform::group_members(group)
}

/// Whether a living process started with this variable. False where the system does not show that.
pub(crate) fn has_variable(pid: Pid, name: &str, value: &str) -> bool {
    let variable = format!("{name}={value}");
    platform::environment(pid).iter().any(|one| one == variable.as_bytes())
}

pub(crate) fn program_name(pid: Pid) -> Option<String> {
    platform::program_name(pid)
}

#[cfg(test)]
mod tests {
    use std::process::Child;
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    fn child() -> (Child, Pid) {
        let child = Command::new("/bin/sleep").arg("600").process_group(0).spawn().expect("a child");
        let pid = child.id().cast_signed();
        (child, pid)
    }

    fn until(what: &str, holds: impl Fn() -> bool) {
        for _ in 0..1000 {
            if holds() {
                return;
            }
            sleep(Duration::from_millis(10));
        }
        panic!("{what}");
    }

    fn signal(pid: Pid, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(NixPid::from_raw(pid), signal).expect("it lives");
    }

    #[test]
    fn a_process_is_told_from_another_from_a_zombie_and_from_a_stopped_one() {
        let us = std::process::id().cast_signed();
        let (mut child, pid) = child();
        let mark = start_mark(pid);
        assert!(mark.as_ref().is_some_and(|mark| !mark.contains(char::is_whitespace)), "{mark:?}");
        assert_eq!((start_mark(us), start_mark(pid)), (start_mark(us), mark.clone()));
        assert_ne!(start_mark(us), mark);
        assert!(!is_stopped(pid));
        signal(pid, nix::sys::signal::Signal::SIGSTOP);
        until("it is stopped", || is_stopped(pid));
        assert_eq!(start_mark(pid), mark);
        signal(pid, nix::sys::signal::Signal::SIGCONT);
        until("it goes on", || !is_stopped(pid));
        child.kill().expect("it lives");
        until("a zombie has no mark", || start_mark(pid).is_none());
        child.wait().expect("its end");
        assert_eq!((start_mark(pid), is_stopped(pid)), (None, false));
        assert_eq!(start_mark(Pid::MAX), None);
    }

    #[test]
    fn its_group_its_memory_its_name_and_its_environment_are_known() {
        let us = std::process::id().cast_signed();
        let (mut child, pid) = child();
        until("it has become the program", || program_name(pid).as_deref() == Some("sleep"));
        assert_eq!(group_members(pid), Some(vec![pid]));
        assert!(group_memory(pid) > Some(0));
        assert!(group_memory(us) > Some(1 << 20), "{:?}", group_memory(us));
        // Cargo sets it. Of the system's own programs macOS tells no environment.
        assert!(has_variable(us, "CARGO_PKG_NAME", "claude-failover"));
        assert!(!has_variable(us, "CARGO_PKG_NAME", "claude") && !has_variable(us, "CARGO_PKG_NAM", "claude-failover"));
        child.kill().expect("it lives");
        child.wait().expect("its end");
        assert_eq!((group_memory(pid), has_variable(pid, "CARGO_PKG_NAME", "claude-failover")), (None, false));
    }
}
