//! `llm-failover config edit`: the settings file in the user's editor, and in its place only if it can be used.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGQUIT};

use crate::cli::llm_failover::NAME;
use crate::context::{Context, MOST_SETTINGS};
use crate::error::{self, Error, Result};
use crate::os::atomic_file::replace_private;
use crate::read_file::read_own;
use crate::settings::{Settings, file};
use crate::shown::{Shown, shown};
use crate::state::settings_file::SettingsFile;

/// What a new file begins with.
const NEW: &[u8] = b"# Settings of claude-failover, one KEY=VALUE a line. `llm-failover config` lists them.\n";

/// False if the user has changed nothing. A text that cannot be used is kept, and edited further the next time.
pub(super) fn edit(context: &Context, settings: &SettingsFile) -> Result<bool> {
    let (before, kept) = (settings.read()?, kept_file(settings.path()));
    let begun_with = match read_own(&kept, MOST_SETTINGS) {
        Ok(text) => {
            error::say(&shown!("{NAME}: going on with the text that was kept in `{}`", kept.display()));
            text
        }
        Err(_) if before.is_empty() => NEW.to_vec(),
        Err(_) => before.clone(),
    };
    replace_private(&kept, &begun_with)?;
    run_editor(context, &kept)?;
    let edited = read_own(&kept, MOST_SETTINGS).map_err(Error::file("read", &kept))?;
    let problems = problems(&edited);
    if !problems.is_empty() {
        problems.iter().for_each(|problem| error::say(&shown!("{NAME}: {problem}")));
        return Err(unchanged("that cannot be used", &kept));
    }
    let _only_one = settings.lock()?;
    if settings.read()? != before {
        return Err(unchanged("the settings file was changed meanwhile", &kept));
    }
    let is_changed = edited != before && !(before.is_empty() && edited == NEW);
    if is_changed {
        settings.write(&edited)?;
    }
    let _ = fs::remove_file(&kept);
    Ok(is_changed)
}

/// Beside the settings file itself, also where that is a link.
fn kept_file(path: &Path) -> PathBuf {
    path.with_extension("env.edit")
}

fn unchanged(why: &'static str, kept: &Path) -> Error {
    Error::NotEdited { why, kept: kept.into() }
}

fn problems(text: &[u8]) -> Vec<Shown> {
    let (assignments, ignored) = file::parse(text);
    let ignored = ignored.iter().map(|line| shown!("line {line}: not KEY=VALUE"));
    ignored.chain(Settings::problems_in_file(&assignments)).collect()
}

/// An interrupt is the editor's.
fn run_editor(context: &Context, file: &Path) -> Result<()> {
    let wanted = ["VISUAL", "EDITOR"].into_iter().find_map(|name| context.env(name));
    let editor = wanted.unwrap_or_else(|| "vi".into());
    for signal in [SIGINT, SIGQUIT] {
        let _ = signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)));
    }
    // As git does: the variable may hold a command with options.
    let mut script = editor.clone();
    script.push(" \"$@\"");
    let status = Command::new("/bin/sh").arg("-c").arg(script).arg(&editor).arg(file).status();
    match status.map_err(Error::system("run", "/bin/sh"))? {
        status if status.success() => Ok(()),
        _ => Err(Error::EditorFailed { editor: Shown::line(editor.display()), kept: file.into() }),
    }
}
