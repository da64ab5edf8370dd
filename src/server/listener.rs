//! Which process listens on a port of this machine: for messages and for counting memory.

use std::fs;
use std::process::{Command, Stdio};

use crate::os::process::Pid;

/// The process that listens on `port`, if this user may see it.
pub(crate) fn pid(port: u16) -> Option<Pid> {
    by_proc(port).or_else(|| by_lsof(port))
}

/// The state of a listening socket in `/proc/net/tcp` (Linux, include/net/tcp_states.h).
const LISTEN: &str = "0A";

fn by_proc(port: u16) -> Option<Pid> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let inode = tables.iter().flat_map(|table| table.lines().skip(1)).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
        let matches = u16::from_str_radix(local_port, 16) == Ok(port) && fields.get(3) == Some(&LISTEN);
        matches.then(|| fields.get(9).map(|inode| (*inode).to_string()))?
    })?;
    let socket = format!("socket:[{inode}]");
    let pids = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.into_iter().find(|pid: &Pid| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files.into_iter().any(|file| fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == socket.as_str()))
    })
}

/// macOS always has lsof, in a folder that cron's and launchd's PATH may lack.
fn by_lsof(port: u16) -> Option<Pid> {
    let query = [format!("-iTCP:{port}"), "-sTCP:LISTEN".into(), "-nPt".into()];
    let output = Command::new("/usr/sbin/lsof").args(query).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    String::from_utf8_lossy(&output.stdout).lines().next()?.trim().parse().ok()
}
