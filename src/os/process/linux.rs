//! Facts about a process of Linux, from `/proc`: see proc(5).

use std::fs;

use super::Pid;

/// The clock ticks since the start of the machine at which it was made.
pub(super) fn start_mark(pid: Pid) -> Option<String> {
    let stat = Stat::of(pid)?;
    (stat.state != "Z" && stat.state != "X").then_some(stat.started)
}

pub(super) fn is_stopped(pid: Pid) -> bool {
    Stat::of(pid).is_some_and(|stat| stat.state == "T")
}

pub(super) fn group_members(group: Pid) -> Option<Vec<Pid>> {
    let pids = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Some(pids.filter(|pid| Stat::of(*pid).is_some_and(|stat| stat.group == group)).collect())
}

/// What it has in memory, with its share of what it has in common with others (PSS). A model file that is mapped counts as far
/// as it was read: it fills memory as long as the server runs. Kernels before 4.14, and those of other users, tell the resident
/// set alone.
pub(super) fn memory(pid: Pid) -> Option<u64> {
    kib(&format!("/proc/{pid}/smaps_rollup"), "Pss:").or_else(|| kib(&format!("/proc/{pid}/status"), "VmRSS:"))
}

fn kib(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// As it was when the program started; each `NAME=VALUE`.
pub(super) fn environment(pid: Pid) -> Vec<Vec<u8>> {
    let text = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    text.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

pub(super) fn program_name(pid: Pid) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim().to_string())
}

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
