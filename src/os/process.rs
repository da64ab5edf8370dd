//! Facts about a process, by its number: from `/proc` where there is one, else from `ps`.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::names::OWN_NAME;

pub(crate) type Pid = i32;

/// When the process started, as a word: it distinguishes the process from an earlier or later one with the same number. `None` if there
/// is no such process, or only a zombie.
pub(crate) fn start_mark(pid: Pid) -> Option<String> {
    if has_proc() {
        let stat = Stat::of(pid)?;
        return (stat.state != "Z" && stat.state != "X").then_some(stat.started);
    }
    start_mark_by_ps(pid)
}

fn start_mark_by_ps(pid: Pid) -> Option<String> {
    let line = ps(&["-o", "stat=", "-o", "lstart=", "-p", &pid.to_string()])?;
    let (state, started) = line.trim().split_once(char::is_whitespace)?;
    (!state.starts_with('Z')).then(|| started.split_whitespace().collect::<Vec<_>>().join("_"))
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
    if has_proc() {
        return Stat::of(pid).is_some_and(|stat| stat.state == "T");
    }
    ps(&["-o", "stat=", "-p", &pid.to_string()]).is_some_and(|state| state.trim_start().starts_with('T'))
}

/// The resident sets of all processes in the group of `pid`, in bytes.
pub(crate) fn group_memory(pid: Pid) -> Option<u64> {
    let table = table()?;
    let group = table.iter().find(|row| row.pid == pid)?.group;
    Some(table.iter().filter(|row| row.group == group).map(|row| row.resident).sum())
}

pub(crate) fn group_members(group: Pid) -> Option<Vec<Pid>> {
    Some(table()?.iter().filter(|row| row.group == group).map(|row| row.pid).collect())
}

/// Whether a living process started with this variable. False where the system does not show that.
pub(crate) fn has_variable(pid: Pid, name: &str, value: &str) -> bool {
    let variable = format!("{name}={value}");
    if has_proc() {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        return environment.split(|byte| *byte == 0).any(|one| one == variable.as_bytes());
    }
    ps(&["-E", "-ww", "-o", "command=", "-p", &pid.to_string()]).is_some_and(|line| line.contains(&variable))
}

struct Row {
    pid: Pid,
    group: Pid,
    /// In bytes.
    resident: u64,
}

fn table() -> Option<Vec<Row>> {
    if has_proc() {
        let pids = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let row = |pid| Some(Row { pid, group: Stat::of(pid)?.group, resident: resident(pid).unwrap_or(0) });
        return Some(pids.filter_map(row).collect());
    }
    table_by_ps()
}

fn table_by_ps() -> Option<Vec<Row>> {
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let (pid, group) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Row { pid, group, resident: words.next()?.parse::<u64>().ok()? * 1024 })
    };
    Some(ps(&["-A", "-o", "pid=", "-o", "pgid=", "-o", "rss="])?.lines().filter_map(row).collect())
}

pub(crate) fn program_name(pid: Pid) -> Option<String> {
    if has_proc() {
        return fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim().to_string());
    }
    ps(&["-o", "comm=", "-p", &pid.to_string()]).map(|name| name.trim().to_string())
}

fn has_proc() -> bool {
    Path::new("/proc/self/stat").exists()
}

/// From `/proc/PID/stat`: see proc(5).
struct Stat {
    state: String,
    group: Pid,
    started: String,
}

impl Stat {
    fn of(pid: Pid) -> Option<Stat> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        Some(Stat { state: (*fields.first()?).into(), group: fields.get(2)?.parse().ok()?, started: (*fields.get(19)?).into() })
    }
}

fn resident(pid: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()? * 1024)
}

/// ps(1), as POSIX has it: one `-o` for each field, since all after a `=` is a field's heading. The zone is fixed, so that all
/// callers see the same times.
fn ps(args: &[&str]) -> Option<String> {
    let output = Command::new("/bin/ps")
        .args(args)
        .env("LC_ALL", "C")
        .env("TZ", "UTC0")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success() && !text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sources_know_this_process() {
        let us = std::process::id().cast_signed();
        assert_eq!(start_mark(us), start_mark(us));
        assert!(start_mark(us).is_some() && group_memory(us) > Some(0));
        assert_eq!(start_mark(Pid::MAX), None);
        if Path::new("/bin/ps").exists() {
            assert!(start_mark_by_ps(us).is_some_and(|mark| mark.split('_').count() == 5));
            assert_eq!(start_mark_by_ps(Pid::MAX), None);
            let table = table_by_ps().expect("a table");
            assert!(table.iter().any(|row| row.pid == us && row.resident > 0));
        }
    }
}
