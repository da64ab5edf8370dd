//! What a shell finds as `claude`.

use std::path::{Path, PathBuf};

use crate::candidate::Skip;
use crate::claude_code::locate::look_at;
use crate::context::Context;
use crate::os::process::current_exe;

/// What a shell finds in the place of our `claude`. None as well if there is no such link of ours: then nobody expects it to be found.
pub(crate) fn another_than_ours(context: &Context) -> Option<PathBuf> {
    let found = context.program_on_path("claude").filter(|path| !is_ours(path.clone()))?;
    let own_files = [Some(PathBuf::from(&context.name)), current_exe().ok()].into_iter().flatten();
    let own_folders = own_files.filter_map(|file| file.parent().map(Path::to_path_buf));
    let mut folders = context.path_entries().chain(own_folders);
    folders.any(|folder| is_ours(folder.join("claude"))).then_some(found)
}

fn is_ours(path: PathBuf) -> bool {
    matches!(look_at(path).skipped, Some(Skip::Ourselves | Skip::Copy))
}
