//! Facts about a process of macOS, by libproc and sysctl(3). Not by `/bin/ps`: that is setuid, and sandboxes do not run it.

use libproc::bsd_info::BSDInfo;
use libproc::pid_rusage::{RUsageInfoV0, pidrusage};
use libproc::proc_pid::{name, pidinfo};
use libproc::processes::{ProcFilter, pids_by_type};
use nix::libc::{CTL_KERN, KERN_PROCARGS2, SSTOP, SZOMB};
use sysctl::{Ctl, CtlValue, Sysctl};

use super::Pid;

/// The microsecond at which it was made. libproc does not find a zombie, unless it becomes one just now.
pub(super) fn start_mark(pid: Pid) -> Option<String> {
    let info = info(pid)?;
    (info.pbi_status != SZOMB).then(|| format!("{}.{:06}", info.pbi_start_tvsec, info.pbi_start_tvusec))
}

pub(super) fn is_stopped(pid: Pid) -> bool {
    info(pid).is_some_and(|info| info.pbi_status == SSTOP)
}

pub(super) fn group_members(group: Pid) -> Option<Vec<Pid>> {
    let pids = pids_by_type(ProcFilter::ByProgramGroup { pgrpid: group.try_into().ok()? }).ok()?;
    Some(pids.into_iter().filter_map(|pid| pid.try_into().ok()).collect())
}

/// The physical footprint, as Activity Monitor shows it. MLX's memory is Metal's, which the resident set leaves out.
pub(super) fn memory(pid: Pid) -> Option<u64> {
    pidrusage::<RUsageInfoV0>(pid).ok().map(|usage| usage.ri_phys_footprint)
}

/// As it was when the program started; each `NAME=VALUE`, after the number of its arguments, its path and its arguments. Empty
/// for processes of other users, and for the system's own programs.
pub(super) fn environment(pid: Pid) -> Vec<Vec<u8>> {
    match Ctl::Oid(vec![CTL_KERN, KERN_PROCARGS2, pid]).value() {
        Ok(CtlValue::Node(text) | CtlValue::Struct(text)) => text.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect(),
        _ => vec![],
    }
}

pub(super) fn program_name(pid: Pid) -> Option<String> {
    name(pid).ok()
}

fn info(pid: Pid) -> Option<BSDInfo> {
    pidinfo::<BSDInfo>(pid, 0).ok()
}
