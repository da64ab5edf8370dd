//! This machine, as far as an engine needs to know it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::statvfs::statvfs;

use crate::context::Context;
use crate::server::command::run_within;
use crate::setup::engine::Problem;
use crate::shown::shown;

/// How long a program may take to say what it is.
const QUESTION_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct Machine {
    /// What programs can have, in bytes: less than all of it in a container with a limit. None if the system does not tell.
    pub memory: Option<u64>,
    pub is_mac: bool,
    /// Also where this process runs under Rosetta.
    pub is_apple_silicon: bool,
    /// Whether this process runs under Rosetta.
    pub is_translated: bool,
    /// A llama.cpp server that is installed.
    pub llama_server: Option<PathBuf>,
    pub has_launchd: bool,
    /// Whether the user's systemd answers.
    pub has_systemd: bool,
}

impl Machine {
    pub(crate) fn look(context: &Context) -> Machine {
        Machine {
            memory: system::memory(),
            is_mac: cfg!(target_os = "macos"),
            is_apple_silicon: system::is_apple_silicon(),
            is_translated: system::is_translated(),
            llama_server: context.program_on_path("llama-server"),
            has_launchd: context.program_on_path("launchctl").is_some(),
            has_systemd: has_systemd(context),
        }
    }

    /// A Python that can make a virtual environment, and is of 3.10 or newer, which the engines need. `PYTHON` names one to try
    /// first. For `mlx` on Apple Silicon it is none that runs under Rosetta: pip finds no mlx for it.
    pub(crate) fn python(&self, context: &Context, is_for_mlx: bool) -> Result<PathBuf, Problem> {
        let given = context.env("PYTHON").and_then(|name| match Path::new(&name).is_absolute() {
            true => Some(PathBuf::from(name)),
            false => context.program_on_path(name.to_str()?),
        });
        let names = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10"];
        let candidates = given.into_iter().chain(names.into_iter().filter_map(|name| context.program_on_path(name)));
        let needs_arm = is_for_mlx && self.is_apple_silicon;
        let (mut without_venv, mut for_intel) = (None, None);
        for python in candidates.filter_map(|path| Python::ask(&path)).filter(|python| python.version >= (3, 10)) {
            if needs_arm && !python.is_for_arm() {
                for_intel.get_or_insert(python.executable);
            } else if !python.has_venv {
                without_venv.get_or_insert(python.executable);
            } else {
                return Ok(python.executable);
            }
        }
        Err(self.no_python(without_venv, for_intel))
    }

    fn no_python(&self, without_venv: Option<PathBuf>, for_intel: Option<PathBuf>) -> Problem {
        match (without_venv, for_intel) {
            (Some(python), _) => Problem {
                what: shown!("`{}` cannot make virtual environments", python.display()),
                mend: "on Debian and Ubuntu: `sudo apt install python3-venv`".into(),
            },
            (None, Some(python)) if self.is_translated => Problem {
                what: shown!("this runs under Rosetta, and so would `{}`, on which mlx does not run", python.display()),
                mend: "run it again from `arch -arm64 /bin/bash`".into(),
            },
            (None, Some(python)) => Problem {
                what: shown!("`{}` is for Intel and runs under Rosetta, on which mlx does not run", python.display()),
                mend: "install a Python for Apple Silicon, or name it with PYTHON=/path/to/python3".into(),
            },
            (None, None) => Problem {
                what: "there is no Python 3.10 or newer on PATH".into(),
                mend: "install one, or name it with PYTHON=/path/to/python3".into(),
            },
        }
    }
}

/// What a Python says of itself.
pub(crate) struct Python {
    version: (u32, u32),
    machine: String,
    has_venv: bool,
    executable: PathBuf,
}

impl Python {
    const QUESTION: &str = "import sys, platform, importlib.util as u; \
        print(*sys.version_info[:2], platform.machine(), int(all(map(u.find_spec, ('ensurepip', 'venv')))), sys.executable, sep='\\n')";

    /// None if it is none, or is too slow to say so.
    pub(crate) fn ask(path: &Path) -> Option<Python> {
        let output = run_within(Command::new(path).args(["-c", Python::QUESTION]), QUESTION_LIMIT).ok()??;
        let text = String::from_utf8(output.stdout).ok()?;
        let mut lines = text.lines();
        let version = (lines.next()?.parse().ok()?, lines.next()?.parse().ok()?);
        let (machine, has_venv, executable) = (lines.next()?.to_string(), lines.next()? == "1", PathBuf::from(lines.next()?));
        executable.is_absolute().then_some(Python { version, machine, has_venv, executable })
    }

    pub(crate) fn is_for_arm(&self) -> bool {
        self.machine == "arm64"
    }
}

fn has_systemd(context: &Context) -> bool {
    let ask = || {
        let mut command = Command::new(context.program_on_path("systemctl")?);
        // cron and some ssh sessions lack the variable by which systemctl finds the user's manager.
        if context.env("XDG_RUNTIME_DIR").is_none() {
            command.env("XDG_RUNTIME_DIR", format!("/run/user/{}", nix::unistd::getuid()));
        }
        run_within(command.args(["--user", "show-environment"]), QUESTION_LIMIT).ok()?
    };
    ask().is_some_and(|output| output.status.success())
}

/// The bytes that this user can still write where `path` is or will be. None if the system does not tell.
pub(crate) fn free_disk(path: &Path) -> Option<u64> {
    let stat = path.ancestors().find_map(|folder| statvfs(folder).ok())?;
    #[allow(clippy::useless_conversion, reason = "the types differ between systems")]
    u64::from(stat.blocks_available()).checked_mul(stat.fragment_size().into())
}

#[cfg(target_os = "macos")]
mod system {
    use sysctl::{Ctl, CtlValue, Sysctl};

    fn number(name: &str) -> Option<u64> {
        match Ctl::new(name).ok()?.value().ok()? {
            CtlValue::Int(number) => number.try_into().ok(),
            CtlValue::S64(number) => number.try_into().ok(),
            CtlValue::Uint(number) => Some(number.into()),
            CtlValue::U64(number) => Some(number),
            _ => None,
        }
    }

    pub(super) fn memory() -> Option<u64> {
        number("hw.memsize")
    }

    /// Not by uname(3), which says x86_64 under Rosetta.
    pub(super) fn is_apple_silicon() -> bool {
        number("hw.optional.arm64") == Some(1)
    }

    pub(super) fn is_translated() -> bool {
        number("sysctl.proc_translated") == Some(1)
    }
}

#[cfg(not(target_os = "macos"))]
mod system {
    use std::path::Path;

    use crate::read_file::read_regular;

    const MOST_BYTES: u64 = 64 << 10;

    fn text(path: &Path) -> Option<String> {
        String::from_utf8(read_regular(path, MOST_BYTES).ok()?).ok()
    }

    /// The least of what the machine has and what the control groups of this process may have.
    pub(super) fn memory() -> Option<u64> {
        let total = total(&text(Path::new("/proc/meminfo"))?)?;
        let groups = text(Path::new("/proc/self/cgroup")).unwrap_or_default();
        Some(limit(&groups, text).map_or(total, |limit| limit.min(total)))
    }

    pub(super) fn total(meminfo: &str) -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    }

    /// A group's limit holds for those within it, too. What is no number is no limit.
    pub(super) fn limit(groups: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
        let group = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
        let own = Path::new("/sys/fs/cgroup").join(group.trim_start_matches('/'));
        let files = own.ancestors().take_while(|dir| dir.starts_with("/sys/fs/cgroup")).map(|dir| dir.join("memory.max"));
        let old = Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").to_path_buf();
        files.chain([old]).filter_map(|file| read(&file)?.trim().parse().ok()).min()
    }

    pub(super) fn is_apple_silicon() -> bool {
        false
    }

    pub(super) fn is_translated() -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(target_os = "macos"))]
    #[test]
    fn the_memory_is_what_a_container_may_have() {
        assert_eq!(system::total("MemFree: 1 kB\nMemTotal:       16332408 kB\n"), Some(16_332_408 << 10));
        assert_eq!(system::total("MemTotal: much\n"), None);
        let limit = |groups: &str, files: &[(&str, &str)]| {
            let read = |path: &Path| files.iter().find(|(name, _)| path == Path::new(name)).map(|(_, text)| (*text).to_string());
            system::limit(groups, read)
        };
        let root = ("/sys/fs/cgroup/memory.max", "max\n");
        assert_eq!(limit("0::/\n", &[root]), None);
        assert_eq!(limit("0::/\n", &[("/sys/fs/cgroup/memory.max", "4096\n")]), Some(4096));
        let above = [root, ("/sys/fs/cgroup/a/memory.max", "8192\n"), ("/sys/fs/cgroup/a/b/memory.max", "max\n")];
        assert_eq!(limit("1:x:/y\n0::/a/b\n", &above), Some(8192));
        assert_eq!(limit("5:memory:/a\n", &[("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2048\n")]), Some(2048));
        assert!(system::memory().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn free_disk_is_that_of_the_nearest_folder() {
        let folder = tempfile::tempdir().unwrap();
        let free = free_disk(&folder.path().join("not/there/yet")).unwrap();
        assert!(free > 0 && free_disk(Path::new("relative/to/nothing")).is_none());
    }

    #[test]
    fn what_is_wrong_with_each_python_is_said() {
        let path = || Some(PathBuf::from("/x/python3"));
        let native = Machine { is_apple_silicon: true, ..Machine::default() };
        let translated = Machine { is_apple_silicon: true, is_translated: true, ..Machine::default() };
        let table = [
            (&native, path(), None, "`/x/python3` cannot make virtual environments"),
            (&native, None, path(), "`/x/python3` is for Intel and runs under Rosetta, on which mlx does not run"),
            (&translated, None, path(), "this runs under Rosetta, and so would `/x/python3`, on which mlx does not run"),
            (&native, None, None, "there is no Python 3.10 or newer on PATH"),
        ];
        for (machine, without_venv, for_intel, expected) in table {
            assert_eq!(&*machine.no_python(without_venv, for_intel).what, expected);
        }
    }

    #[test]
    fn a_python_says_what_it_is() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("python3");
        for (body, expected) in [
            ("echo 3; echo 12; echo arm64; echo 1; echo /usr/bin/python3", Some(((3, 12), "arm64", true))),
            ("echo 3; echo 9; echo x86_64; echo 0; echo /usr/bin/python3", Some(((3, 9), "x86_64", false))),
            ("echo 3; echo 12; echo arm64; echo 1; echo", None),
            ("echo xcode-select: note: no developer tools were found >&2; exit 1", None),
        ] {
            std::fs::write(&program, format!("#!/bin/sh\n{body}\n")).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
            let python = Python::ask(&program);
            let said = python.as_ref().map(|python| (python.version, python.machine.as_str(), python.has_venv));
            assert_eq!(said, expected, "{body}");
        }
    }
}
