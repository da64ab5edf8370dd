//! The agents, slash commands, skills and the output style that the folder, the user and the options have, as 2.1.330 lists them.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::claude_code::command_line::CommandLine;
use crate::claude_code::projects::config_dir;
use crate::claude_code::settings;
use crate::context::Context;
use crate::read_file::read_regular;

/// The commands that a plain answer has itself.
pub(crate) const OWN_COMMANDS: [&str; 3] = ["clear", "compact", "usage"];

const DEFAULT_STYLE: &str = "default";

/// More than people have in a folder.
const MOST_FILES: usize = 1000;

/// More than a file has before its text, in bytes.
const MOST_READ: u64 = 1 << 20;

#[derive(Clone, Debug)]
pub(crate) struct Customizations {
    /// By name.
    agents: BTreeMap<String, Described>,
    skills: BTreeMap<String, Described>,
    commands: BTreeMap<String, Described>,
    pub output_style: String,
    /// Not with `--disable-slash-commands`.
    pub has_commands: bool,
}

#[derive(Clone, Debug)]
struct Described {
    description: String,
    model: Option<String>,
}

impl Default for Customizations {
    fn default() -> Customizations {
        let (agents, skills, commands) = Default::default();
        Customizations { agents, skills, commands, output_style: DEFAULT_STYLE.into(), has_commands: true }
    }
}

impl Customizations {
    pub(crate) fn of_call(context: &Context, command_line: &CommandLine) -> Customizations {
        let mut found =
            Customizations { has_commands: !command_line.has("--disable-slash-commands"), ..Customizations::default() };
        let sources = command_line.last("--setting-sources");
        let has = |source: &str| sources.is_none_or(|sources| sources.split(',').any(|named| named.trim() == source));
        let (cwd, home) = (context.working_dir().unwrap_or_default(), context.home().ok().cloned());
        let user = config_dir(context).ok().filter(|_| has("user"));
        // The folder's own come last, since the nearest counts.
        let parents = cwd.ancestors().take_while(|folder| home.as_deref() != Some(*folder)).map(|folder| folder.join(".claude"));
        let mut folders: Vec<PathBuf> = parents.filter(|_| has("project")).collect();
        let added = command_line.all("--add-dir").map(|folder| cwd.join(folder).join(".claude"));
        folders.extend(added);
        folders.reverse();
        if !command_line.has("--bare") {
            user.iter().for_each(|folder| found.read_folder(folder, "user"));
            folders.iter().for_each(|folder| found.read_folder(folder, "project"));
        }
        found.add_agents(&command_line.last("--agents").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default());
        let given = command_line.last("--settings").and_then(|given| settings::read(given).ok()).map(Value::from);
        let local = has("local").then(|| cwd.join(".claude/settings.local.json"));
        let project = has("project").then(|| cwd.join(".claude/settings.json"));
        let files = [local, project, user.map(|folder| folder.join("settings.json"))];
        let style = |settings: Value| settings["outputStyle"].as_str().map(str::to_string);
        let of_file = |path: &PathBuf| style(serde_json::from_slice(&read_regular(path, MOST_READ).ok()?).ok()?);
        if let Some(style) = given.and_then(style).or_else(|| files.iter().flatten().find_map(of_file)) {
            found.output_style = style;
        }
        found
    }

    /// Adds agents in the form of `--agents` and of an SDK's `initialize`.
    pub(crate) fn add_agents(&mut self, agents: &Value) {
        for (name, agent) in agents.as_object().into_iter().flatten() {
            let text = |key: &str| agent[key].as_str().map(str::to_string);
            let described = Described { description: text("description").unwrap_or_default(), model: text("model") };
            self.agents.insert(name.clone(), described);
        }
    }

    fn read_folder(&mut self, folder: &Path, source: &str) {
        for path in files_in(&folder.join("agents")) {
            let head = Head::of(&path);
            if let (Some(name), Some(description)) = (head.field("name"), head.field("description")) {
                self.agents.insert(name, Described { description, model: head.field("model") });
            }
        }
        let described = |path: &Path| {
            let head = Head::of(path);
            let description = head.field("description").unwrap_or_else(|| head.first_line.clone());
            Described { description: format!("{description} ({source})"), model: None }
        };
        for entry in entries(&folder.join("skills")) {
            let (name, path) = (entry.file_name().unwrap_or_default().to_string_lossy().into_owned(), entry.join("SKILL.md"));
            if path.is_file() {
                self.skills.insert(name, described(&path));
            }
        }
        let commands = folder.join("commands");
        for path in files_in(&commands) {
            let relative = path.strip_prefix(&commands).unwrap_or(&path).with_extension("");
            let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
            self.commands.insert(parts.join(":"), described(&path));
        }
    }

    pub(crate) fn output_styles(&self) -> Vec<&str> {
        let chosen = Some(self.output_style.as_str()).filter(|style| *style != DEFAULT_STYLE);
        [DEFAULT_STYLE].into_iter().chain(chosen).collect()
    }

    pub(crate) fn agent_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.agents.keys().map(String::as_str).collect();
        names.sort_by_key(|name| name.to_lowercase());
        names
    }

    pub(crate) fn skill_names(&self) -> Vec<&str> {
        if self.has_commands { self.skills.keys().map(String::as_str).collect() } else { vec![] }
    }

    pub(crate) fn command_names(&self) -> Vec<&str> {
        let all = self.skills.keys().chain(self.commands.keys()).map(String::as_str).chain(OWN_COMMANDS);
        if self.has_commands { all.collect() } else { vec![] }
    }

    /// As the reply to `initialize` lists them.
    pub(crate) fn agents(&self) -> Value {
        let agent = |name: &str| {
            let Described { description, model } = &self.agents[name];
            let mut agent = json!({"name": name, "description": description});
            if let (Some(fields), Some(model)) = (agent.as_object_mut(), model) {
                fields.insert("model".into(), model.as_str().into());
            }
            agent
        };
        self.agent_names().into_iter().map(agent).collect()
    }

    /// As the reply to `initialize` lists them.
    pub(crate) fn commands(&self) -> Value {
        let own = self.skills.iter().chain(&self.commands).filter(|_| self.has_commands);
        own.map(|(name, command)| json!({"name": name, "description": command.description, "argumentHint": ""})).collect()
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// The Markdown files in a folder and the folders in it.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut left, mut seen) = (Vec::new(), vec![folder.to_path_buf()], HashSet::new());
    while let Some(folder) = left.pop() {
        // Links may lead in a circle.
        if found.len() > MOST_FILES || !fs::canonicalize(&folder).is_ok_and(|folder| seen.insert(folder)) {
            continue;
        }
        for path in entries(&folder) {
            let is_markdown = path.extension().is_some_and(|extension| extension == "md");
            match path.is_dir() {
                true => left.push(path),
                false if is_markdown => found.push(path),
                false => {}
            }
        }
    }
    found.truncate(MOST_FILES);
    found
}

/// What stands at the head of a Markdown file.
#[derive(Default)]
struct Head {
    fields: Vec<(String, String)>,
    /// Of the text below.
    first_line: String,
}

impl Head {
    fn of(path: &Path) -> Head {
        let text = read_regular(path, MOST_READ).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).replace("\r\n", "\n");
        let (head, body) = parts(text.trim_start_matches('\u{feff}')).unwrap_or(("", &text));
        let fields = head.lines().filter_map(|line| line.split_once(':'));
        // A comment begins with a blank.
        let plain = |value: &str| {
            let value = value.trim();
            let quoted = value.strip_prefix(['"', '\'']).and_then(|rest| rest.strip_suffix(['"', '\'']));
            quoted.unwrap_or_else(|| value.split_once(" #").map_or(value, |(value, _)| value.trim_end())).to_string()
        };
        Head {
            fields: fields.map(|(key, value)| (key.trim().to_string(), plain(value))).collect(),
            first_line: body.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().into(),
        }
    }

    fn field(&self, key: &str) -> Option<String> {
        self.fields.iter().find(|(name, value)| name == key && !value.is_empty()).map(|(_, value)| value.clone())
    }
}

/// What stands between two lines of dashes, and what comes after them.
fn parts(text: &str) -> Option<(&str, &str)> {
    let (first, rest) = text.split_once('\n')?;
    let mut at = 0;
    for line in rest.split_inclusive('\n').filter(|_| first.trim_end() == "---") {
        if line.trim_end() == "---" {
            return Some((&rest[..at], &rest[at + line.len()..]));
        }
        at += line.len();
    }
    None
}
