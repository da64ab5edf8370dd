//! The line that puts our folder first on PATH, in a marked block of the start-up files of bash, zsh and fish.

use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::error::Result;
use crate::setup::config_file::end_last_line;
use crate::setup::files::{leave_users, read_users, text, write_users};
use crate::setup::manifest::Manifest;
use crate::setup::places::Places;

const BEGIN: &str = "# >>> claude-failover >>>";
const END: &str = "# <<< claude-failover <<<";

/// The user's shell, by its name.
pub(super) fn shell(context: &Context) -> String {
    let shell = context.env("SHELL").unwrap_or_else(|| "sh".into());
    Path::new(&shell).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// For that shell.
pub(super) fn line(shell: &str) -> &'static str {
    match shell {
        "fish" => "set -gx PATH \"$HOME/.local/share/claude-failover/bin\" $PATH",
        _ => "export PATH=\"$HOME/.local/share/claude-failover/bin:$PATH\"",
    }
}

/// Where the shell looks when it starts: one of the files for shells one types into, the other for login shells, which jobs use.
pub(super) fn start_files(context: &Context, places: &Places, shell: &str) -> Vec<PathBuf> {
    let folder = |variable: &str, default: &Path| {
        context.env(variable).map(PathBuf::from).filter(|dir| dir.is_absolute()).unwrap_or_else(|| default.into())
    };
    let home = &places.home;
    match shell {
        "zsh" => {
            let dir = folder("ZDOTDIR", home);
            vec![dir.join(".zshrc"), dir.join(".zprofile")]
        }
        "fish" => vec![folder("XDG_CONFIG_HOME", &home.join(".config")).join("fish/config.fish")],
        "bash" => {
            let of_login = [".bash_profile", ".bash_login"].map(|name| home.join(name));
            let of_login = of_login.into_iter().find(|file| file.exists()).unwrap_or_else(|| home.join(".profile"));
            vec![home.join(".bashrc"), of_login]
        }
        _ => vec![home.join(".profile")],
    }
}

/// Whether our block is there.
pub(super) fn has_block(file: &Path) -> bool {
    read_users(file).is_ok_and(|bytes| bytes.split(|byte| *byte == b'\n').any(|line| line.trim_ascii_end() == BEGIN.as_bytes()))
}

pub(super) fn add_block(manifest: &mut Manifest, file: &Path, line: &str) -> Result<()> {
    if has_block(file) {
        return Ok(());
    }
    let mut bytes = read_users(file)?;
    manifest.record("block", &text(file), "")?;
    end_last_line(manifest, file, &mut bytes)?;
    bytes.extend_from_slice(format!("{BEGIN}\n{line}\n{END}\n").as_bytes());
    write_users(manifest, file, &bytes, 0o644)
}

/// Takes the block out of a file. Returns false if its end is missing.
pub(super) fn remove_block(manifest: &Manifest, file: &Path) -> Result<bool> {
    let bytes = read_users(file)?;
    let Some((before, after)) = around_block(&bytes) else { return Ok(!has_block(file)) };
    let is_our_newline = after.is_empty() && manifest.has("newline", &text(file));
    let before = before.strip_suffix(b"\n").filter(|_| is_our_newline).unwrap_or(before);
    leave_users(manifest, file, &[before, after].concat()).map(|()| true)
}

/// What stands before the block, and after it.
fn around_block(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut at, mut begin) = (0, None);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        // An editor may have given all lines the ends of Windows.
        let words = line.trim_ascii_end();
        if words == BEGIN.as_bytes() && begin.is_none() {
            begin = Some(at);
        }
        at += line.len();
        if let (true, Some(begin)) = (words == END.as_bytes(), begin) {
            return Some((&bytes[..begin], &bytes[at..]));
        }
    }
    None
}
