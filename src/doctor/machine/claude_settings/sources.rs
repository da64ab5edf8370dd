//! Where Claude Code takes its settings from: the environment, the user's and the project's files, and those of an administrator.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::context::Context;
use crate::read_file::read_regular;
use crate::shown::{Shown, shown};

/// The longest file of settings, in bytes.
const MOST_BYTES: u64 = 16 << 20;

pub(super) struct Source {
    /// For messages.
    pub(super) place: Shown,
    /// The environment, or the `env` of settings.
    pub(super) environment: BTreeMap<String, String>,
    /// Null for the environment.
    pub(super) settings: Value,
    pub(super) is_environment: bool,
    /// An administrator's settings win over all others.
    pub(super) is_managed: bool,
}

/// All that there are, and the places of files that are no settings.
pub(super) fn sources(context: &Context) -> (Vec<Source>, Vec<Shown>) {
    let (mut sources, mut unreadable) = (vec![environment(context)], Vec::new());
    let user = context.env("CLAUDE_CONFIG_DIR").map(PathBuf::from).or_else(|| Some(context.home().ok()?.join(".claude")));
    let project = context.working_dir().ok().map(|folder| folder.join(".claude"));
    let mut files: Vec<(PathBuf, bool)> = Vec::new();
    files.extend(user.map(|folder| (folder.join("settings.json"), false)));
    // In the home folder the project's file is the user's.
    for name in ["settings.json", "settings.local.json"] {
        let file = project.as_ref().map(|folder| (folder.join(name), false));
        files.extend(file.filter(|(path, _)| files.iter().all(|(known, _)| known != path)));
    }
    files.extend(managed().into_iter().map(|path| (path, true)));
    for (path, is_managed) in files.into_iter().filter(|(path, _)| fs::symlink_metadata(path).is_ok()) {
        let place = shown!("`{}`", path.display());
        match read(&path) {
            Some(settings) => sources.push(of_file(place, settings, is_managed)),
            None => unreadable.push(place),
        }
    }
    (sources, unreadable)
}

fn environment(context: &Context) -> Source {
    let names = context.variable_names().filter_map(|name| name.into_string().ok());
    let environment = names.filter_map(|name| Some((name.clone(), context.env(&name)?.into_string().ok()?)));
    Source {
        place: "the environment".into(),
        environment: environment.collect(),
        settings: Value::Null,
        is_environment: true,
        is_managed: false,
    }
}

fn read(path: &Path) -> Option<Value> {
    let bytes = read_regular(path, MOST_BYTES).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Some(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_str::<Value>(text).ok().filter(Value::is_object)
}

pub(super) fn of_file(place: Shown, settings: Value, is_managed: bool) -> Source {
    let variables = settings["env"].as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    let environment = variables.map(|(name, value)| (name.clone(), text(value))).collect();
    Source { place, environment, settings, is_environment: false, is_managed }
}

/// The administrator's files (2.1.330).
fn managed() -> Vec<PathBuf> {
    let folder =
        Path::new(if cfg!(target_os = "macos") { "/Library/Application Support/ClaudeCode" } else { "/etc/claude-code" });
    let parts = fs::read_dir(folder.join("managed-settings.d")).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut parts: Vec<PathBuf> = parts.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    parts.sort();
    std::iter::once(folder.join("managed-settings.json")).chain(parts).collect()
}
