//! `llm-failover setup`: everything that a local answer needs, on a machine that has nothing of it or some.

mod ask;
mod binary;
mod brain;
mod carry_out;
mod catalog;
mod choose;
mod config_file;
pub(crate) mod dashboard_service;
mod discover;
mod download;
mod engine;
mod files;
mod machine;
mod made;
mod manifest;
pub(crate) mod options;
mod path_line;
mod places;
mod plan;
mod progress;
mod prove;
mod service;
mod service_file;
mod status_line;
mod uninstall;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::claude_code::locate;
use crate::context::Context;
use crate::error::{Error, Result, say as say_on_stderr, warn};
use crate::names::APPLETS;
use crate::os::atomic_file::open_private;
use crate::settings::Setting;
use crate::setup::ask::Answers;
use crate::setup::binary::Binary;
use crate::setup::brain::Brain;
use crate::setup::config_file::{Change, ConfigFile};
use crate::setup::discover::Found;
use crate::setup::engine::EngineKind;
use crate::setup::machine::Machine;
use crate::setup::manifest::Manifest;
use crate::setup::options::Options;
use crate::setup::places::Places;
use crate::setup::plan::Plan;
use crate::shown::{Shown, shown};

const NAME: &str = "llm-failover";

/// In our folder: two setups at once would be in each other's way.
const LOCK: &str = "setup.lock";

/// What is there before anything is changed.
struct Facts {
    config: ConfigFile,
    found: Vec<Found>,
    machine: Machine,
    /// What the last setup took, with its model.
    engine_before: Option<(EngineKind, String)>,
    /// Whether the model in the settings is the user's own choice.
    users_model: bool,
}

/// Calls `say` with each line for the user.
pub(crate) fn run(context: &Context, options: &Options, say: &dyn Fn(&Shown)) -> Result<()> {
    if let Some(what) = options.contradiction() {
        return Err(Error::Usage { message: what.into() });
    }
    let places = Places::new(context)?;
    let say: &dyn Fn(&Shown) = &|line| say(&line.with_tilde(&places.home));
    if options.uninstall {
        return uninstall::run(context, &places, options.purge, options.dry_run, say);
    }
    let answers = Answers::of(options.yes);
    let manifest = Manifest::read(&places.manifest())?;
    let facts = look(context, options, &places, &manifest)?;
    for (name, command) in discover::installed(context, &facts.found) {
        warn(NAME, &shown!("{name} is installed and does not run; `{command}` starts it"));
    }
    let plan = plan(context, options, &places, &manifest, &facts, answers)?;
    check(&plan, &facts.config, &manifest, &places)?;
    say(&"setup will:".into());
    plan.steps(&places).iter().for_each(|(_, line)| say(&shown!("  {line}")));
    if options.dry_run {
        return Ok(());
    }
    if answers == Answers::User && !answers.agree(None, &"go on?".into())? {
        return Err(problem("nothing was changed".into(), "run it again; `llm-failover setup --help` shows what can be chosen"));
    }
    drop(manifest);
    let _alone = begin(&places)?;
    // Another setup may have ended meanwhile.
    let (mut manifest, config) = (Manifest::read(&places.manifest())?, ConfigFile::read(&places.config)?);
    let machine = &facts.machine;
    carry_out::all(context, machine, plan, &places, &mut manifest, config, say)
}

/// Makes our folder, and sees to it that one setup at a time is at work.
fn begin(places: &Places) -> Result<File> {
    let missing: Vec<PathBuf> = places.data.ancestors().take_while(|dir| !dir.is_dir()).map(Path::to_path_buf).collect();
    files::make_own_folder(&places.data)?;
    let file = alone(places)?;
    let mut manifest = Manifest::read(&places.manifest())?;
    missing.iter().rev().try_for_each(|dir| manifest.record("dir", &files::text(dir), ""))?;
    Ok(file)
}

/// Waits for another setup to end.
fn alone(places: &Places) -> Result<File> {
    let path = places.data.join(LOCK);
    let file = open_private(&path)?;
    if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        say_on_stderr(&shown!("{NAME}: waiting for another setup to end …"));
        file.lock().map_err(Error::file("lock", &path))?;
    }
    Ok(file)
}

fn look(context: &Context, options: &Options, places: &Places, manifest: &Manifest) -> Result<Facts> {
    let config = ConfigFile::read(&places.config)?;
    let kind = match manifest.option("engine") {
        Some("mlx") => Some(EngineKind::Mlx),
        Some("llama") => Some(EngineKind::Llama),
        _ => None,
    };
    let own_port = kind.and_then(|_| config.value(Setting::Port.name())?.parse().ok());
    let model = manifest.option("model").unwrap_or_default().to_string();
    let is_known = match options.engine.as_deref() {
        None => options.url.is_some() || kind.is_some() || config.value(Setting::Url.name()).is_some(),
        Some(engine) => !matches!(engine, "auto" | "none"),
    };
    let found = if is_known { vec![] } else { discover::usual(context, own_port) };
    let users_model = !config.is_ours(manifest, Setting::Model.name());
    let engine_before = kind.map(|kind| (kind, model)).filter(|(_, model)| !model.is_empty());
    Ok(Facts { config, found, machine: Machine::look(context), engine_before, users_model })
}

/// Asks what is not said, and decides the rest.
fn plan(
    context: &Context,
    options: &Options,
    places: &Places,
    manifest: &Manifest,
    facts: &Facts,
    answers: Answers,
) -> Result<Plan> {
    let names = match options.names.as_deref().or(manifest.option("names")) {
        Some(list) => binary::names(list)?,
        None => APPLETS.to_vec(),
    };
    let brain = choose::brain(context, options, facts, answers)?;
    let (settings, mut notes) = (brain.settings(), brain.notes());
    notes.extend(settings.iter().filter_map(|(setting, value)| {
        let (name, value) = (setting.name(), value.as_ref()?);
        let differs = context.env(name).is_some_and(|there| there != value.as_str());
        differs.then(|| shown!("{name} is set in this environment, too, and wins over the settings file here"))
    }));
    Ok(Plan {
        binary: Binary::find(context, places)?,
        path: path(context, options, places, &names, answers)?,
        status_line: status_line(context, options, places, &names, answers)?,
        names,
        brain,
        settings,
        notes,
    })
}

/// The PATH line, if it is wanted and not there.
fn path(
    context: &Context,
    options: &Options,
    places: &Places,
    names: &[&str],
    answers: Answers,
) -> Result<Option<(Vec<PathBuf>, &'static str)>> {
    let shell = path_line::shell(context);
    let mut files: Vec<PathBuf> =
        path_line::start_files(context, places, &shell).into_iter().filter(|file| !path_line::has_block(file)).collect();
    let is_wanted = options.path_answer().unwrap_or_else(|| !is_on_path(context, places, names));
    files.retain(|file| is_wanted && is_changeable(file, "PATH line"));
    if files.is_empty() {
        return Ok(None);
    }
    let list: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let question = shown!("put {} first on PATH, by a line in {}?", places.bin.display(), list.join(" and "));
    Ok(answers.agree(options.path_answer(), &question.with_tilde(&places.home))?.then(|| (files, path_line::line(&shell))))
}

/// Said ahead, as it is no reason to do without all the rest.
fn is_changeable(file: &Path, what: &str) -> bool {
    let why = files::unchangeable(file);
    if let Some(why) = &why {
        warn(NAME, &shown!("`{}` cannot have the {what}: {why}", file.display()));
    }
    why.is_none()
}

/// Whether a shell finds our links.
fn is_on_path(context: &Context, places: &Places, names: &[&str]) -> bool {
    names.iter().all(|name| context.program_on_path(name) == Some(places.bin.join(name)))
}

fn status_line(
    context: &Context,
    options: &Options,
    places: &Places,
    names: &[&str],
    answers: Answers,
) -> Result<Option<(PathBuf, String)>> {
    let (file, command) = (status_line::settings_file(context, places), status_line::command(places));
    let is_wanted = names.contains(&"llm-failover") && options.status_line_answer() != Some(false);
    if !is_wanted || status_line::look(&file, &command) != status_line::Found::None || !is_changeable(&file, "status line") {
        return Ok(None);
    }
    let question = shown!("show who answers in Claude Code's status line, by a line in {}?", file.display());
    Ok(answers.agree(options.status_line_answer(), &question.with_tilde(&places.home))?.then_some((file, command)))
}

/// The server and the calls must mean the same: a line of the user's that says something else is an error, before anything is made.
fn check(plan: &Plan, config: &ConfigFile, manifest: &Manifest, places: &Places) -> Result<()> {
    for (setting, value) in &plan.settings {
        let name = setting.name();
        if let (Change::UsersStays(line), Some(value)) = (config.change(manifest, name, value.as_deref()), value) {
            let reason = shown!("{} has `{line}`", places.config.display());
            return Err(problem(reason, shown!("change that to `{name}={value}`, or take it out, and run this again")));
        }
        // It would lead calls to another server than the one that is set up.
        let leads_away = matches!(plan.brain, Brain::Engine(_)) && matches!(setting, Setting::Url | Setting::Supervisor);
        if let (true, Change::UsersStays(line), None) = (leads_away, config.change(manifest, name, None), value) {
            let reason = shown!("{} has `{line}`", places.config.display());
            return Err(problem(reason, "take that out, and run this again"));
        }
    }
    Ok(())
}

/// What calls find after a setup.
fn closing_lines(context: &Context, places: &Places, plan: &Plan, say: &dyn Fn(&Shown)) {
    let names = plan.names.as_slice();
    match locate::find(context) {
        Ok(path) => say(&shown!("the real Claude Code is {}", path.display())),
        Err(_) => say(&"note: no real Claude Code was found; calls that need it fail until it is installed".into()),
    }
    if !is_on_path(context, places, names) {
        let shell = path_line::shell(context);
        let files = path_line::start_files(context, places, &shell);
        match files.first() {
            Some(file) if path_line::has_block(file) => {
                say(&"note: shells that run already do not know the links yet; open a new one".into())
            }
            Some(file) => {
                say(&shown!("note: add this line at the end of {}, or run this again with --modify-path:", file.display()));
                say(&path_line::line(&shell).into());
            }
            None => {}
        }
    }
    if names.contains(&"llm-failover") && !matches!(plan.brain, Brain::None) {
        say(&"next: `llm-failover auto` has the local model answer while Claude is limited or down".into());
    }
}

/// What cannot be set up, and what helps.
fn problem(reason: Shown, mend: impl Into<Shown>) -> Error {
    Error::Setup { reason, mend: mend.into() }
}
