//! Where Claude Code keeps the user's own settings and the transcripts of its sessions.

use std::path::{Path, PathBuf};

use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::context::Context;
use crate::error::Result;

/// The folder of Claude Code's transcripts. It has a folder for each working directory.
pub(crate) fn projects_dir(context: &Context) -> Result<PathBuf> {
    Ok(config_dir(context)?.join("projects"))
}

/// The folder with the user's own settings, agents and commands. Claude Code composes the accents in its path (2.1.78 to 2.1.330),
/// which on Linux can lead to another folder than the one that is named.
pub(crate) fn config_dir(context: &Context) -> Result<PathBuf> {
    let home = context.home()?;
    Ok(composed(context.env("CLAUDE_CONFIG_DIR").map_or_else(|| home.join(".claude"), PathBuf::from)))
}

/// In NFC: the file systems of macOS take `é` and `e` with an accent for the same, and keep what was written first.
fn composed(path: PathBuf) -> PathBuf {
    match path.to_str() {
        Some(text) if !is_nfc(text) => text.nfc().collect::<String>().into(),
        _ => path,
    }
}

/// The longest name of a working directory's folder, before its hash.
const MAX_NAME: usize = 200;

/// The name that Claude Code 2.1.330 gives the folder of a working directory. On macOS it composes the accents in its path, and on
/// Linux it does not (2.1.110 to 2.1.330).
pub(crate) fn folder_name(cwd: &Path) -> String {
    named(&if cfg!(target_os = "macos") { composed(cwd.into()) } else { cwd.into() })
}

/// It counts in UTF-16 code units, and tells long names apart by the hash that Java has for strings.
fn named(cwd: &Path) -> String {
    let cwd = cwd.to_string_lossy();
    let plain = |unit: u16| u8::try_from(unit).ok().filter(u8::is_ascii_alphanumeric).map_or('-', char::from);
    let name: String = cwd.encode_utf16().map(plain).collect();
    if name.len() <= MAX_NAME {
        return name;
    }
    let hash = cwd.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
    format!("{}-{}", &name[..MAX_NAME], base36(hash.unsigned_abs()))
}

fn base36(mut number: u32) -> String {
    let mut digits = Vec::new();
    loop {
        digits.extend(char::from_digit(number % 36, 36));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_as_claude_code_names_them() {
        let table = [("/tmp/a b.c_d-e", "-tmp-a-b-c-d-e"), ("/h/Ünï/日本/😀x", "-h--n-------x"), ("/h/UP/lo", "-h-UP-lo")];
        for (cwd, name) in table {
            assert_eq!(folder_name(Path::new(cwd)), name);
        }
        // Of `u` and the dots above it, one character is made, or not.
        assert_eq!((named(Path::new("/u\u{308}")), named(&composed("/u\u{308}".into()))), ("-u-".into(), "--".into()));
        assert_eq!(composed("/\u{fc}/u".into()), PathBuf::from("/\u{fc}/u"));
        let long = format!("/{}", "q".repeat(300));
        assert_eq!(folder_name(Path::new(&long)), format!("-{}-pv1xtb", "q".repeat(199)));
    }
}
