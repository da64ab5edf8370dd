//! Taking away what setup has made, as the manifest tells, and nothing that was there before or was changed since.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::completions::endpoint::Endpoint;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::local_model::listing::delete_at_ollama;
use crate::names::OWN_NAME;
use crate::os::process::own_path;
use crate::settings::FIRST;
use crate::setup::files::{self, remove, remove_link, remove_ours};
use crate::setup::manifest::Manifest;
use crate::setup::places::Places;
use crate::setup::service_file::reload_systemd;
use crate::setup::{config_file, dashboard_service, path_line, problem, status_line};
use crate::shown::{Shown, shown};
use crate::state::flag::{Backend, Flag};

/// What is written in the state folder about servers and flips, and holds nothing of the user's.
const BOOKKEEPING: [&str; 7] = ["server.", "servers.", "switch.", "breaker.", "unload.", "prime.", "claude-version."];

pub(super) fn run(context: &Context, places: &Places, purge: bool, dry_run: bool, say: &dyn Fn(&Shown)) -> Result<()> {
    let mut manifest = Manifest::read(&places.manifest())?;
    if manifest.is_empty() {
        say(&shown!("claude-failover is not set up here: there is no {}", places.manifest().display()));
        return Ok(());
    }
    if dry_run {
        show(&manifest, places, purge, say);
        return Ok(());
    }
    let _alone = super::alone(places)?;
    // A setup may have ended meanwhile.
    manifest = Manifest::read(&places.manifest())?;
    dashboard_service::end(context, &mut manifest)?;
    stop_server(context)?;
    remove_files(context, &mut manifest, say)?;
    remove_from_users_files(&manifest, places, say)?;
    remove_models(context, &mut manifest, purge, say)?;
    remove_state(context, places, purge);
    remove_folders(&manifest, places, say)?;
    say(&"claude-failover is uninstalled; shells that run already may still look for it: hash -r".into());
    Ok(())
}

fn show(manifest: &Manifest, places: &Places, purge: bool, say: &dyn Fn(&Shown)) {
    say(&"setup would take away:".into());
    for (kind, what) in
        [("link", ""), ("file", ""), ("tree", "/"), ("created", ", if nothing else is in it"), ("dir", "/, if it is empty")]
    {
        manifest.of(kind).iter().for_each(|(name, _)| say(&shown!("  {name}{what}")));
    }
    for (name, _) in manifest.of("setting") {
        say(&shown!("  {name} in {}", places.config.display()));
    }
    manifest.of("block").iter().for_each(|(name, _)| say(&shown!("  the PATH line in {name}")));
    manifest.of("statusline").iter().for_each(|(name, _)| say(&shown!("  the status line in {name}")));
    manifest.of("ollama").iter().for_each(|(name, _)| say(&shown!("  the model {name} of Ollama")));
    if purge {
        manifest.of("model").iter().for_each(|(name, _)| say(&shown!("  {name}/")));
        say(&shown!("  {}/", places.state.display()));
    }
}

/// The switch goes back to Claude, and a server of ours ends.
fn stop_server(context: &Context) -> Result<()> {
    let is_claude = Flag::new(context)?.read().0 == Backend::Claude;
    let order = if is_claude { "stop" } else { "claude" };
    let mut command = Command::new(own_path()?);
    command.arg0(OWN_NAME).args(["llm-failover", "-q", order]);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(problem(shown!("`llm-failover {order}` fails"), "put right what it says above, then run this again")),
    }
}

fn remove_files(context: &Context, manifest: &mut Manifest, say: &dyn Fn(&Shown)) -> Result<()> {
    let service = manifest.option("service_file").map(PathBuf::from);
    let unit = service.filter(|file| file.extension().is_some_and(|end| end == "service"));
    if let Some(name) = unit.as_deref().and_then(Path::file_name) {
        // Also if the user enabled it.
        crate::setup::service_file::disable_in_systemd(context, name);
    }
    for (name, _) in manifest.of("link") {
        if !remove_link(manifest, Path::new(&name))? {
            left(Path::new(&name), say);
        }
    }
    for (name, _) in manifest.of("file") {
        if !remove_ours(manifest, Path::new(&name))? {
            left(Path::new(&name), say);
        }
    }
    if unit.is_some() {
        reload_systemd(context);
    }
    Ok(())
}

fn remove_from_users_files(manifest: &Manifest, places: &Places, say: &dyn Fn(&Shown)) -> Result<()> {
    if is_no_file(&places.config) {
        left(&places.config, say);
    } else {
        config_file::take_away(manifest, &places.config)?;
    }
    for (name, _) in manifest.of("block") {
        let file = Path::new(&name);
        if is_no_file(file) || !path_line::remove_block(manifest, file)? {
            left(file, say);
        }
    }
    for (name, command) in manifest.of("statusline") {
        status_line::remove(manifest, Path::new(&name), &command)?;
    }
    remove_rests_of_users_files(manifest, places);
    Ok(())
}

fn remove_models(context: &Context, manifest: &mut Manifest, purge: bool, say: &dyn Fn(&Shown)) -> Result<()> {
    for (name, url) in manifest.of("ollama") {
        let endpoint = Endpoint::at(FIRST, &url, context.settings.api_key(FIRST)?);
        match endpoint.is_ok_and(|endpoint| delete_at_ollama(&endpoint, &name)) {
            true => manifest.forget("ollama", &name)?,
            false => say(&shown!("left: the model `{name}` of Ollama, which does not answer; `ollama rm {name}` takes it away")),
        }
    }
    for (folder, _) in manifest.of("model") {
        let folder = Path::new(&folder);
        if purge && is_model_of_the_hub(folder) {
            remove_tree(folder)?;
            if let (Some(hub), Some(name)) = (folder.parent(), folder.file_name()) {
                remove_tree(&hub.join(".locks").join(name))?;
                let _ = fs::remove_dir(hub.join(".locks"));
            }
        } else if folder.exists() {
            say(&shown!("left: {}, the downloaded model; --purge takes it too", folder.display()));
        }
    }
    Ok(())
}

/// The switch says `claude` by now, which is what its absence means.
fn remove_state(context: &Context, places: &Places, purge: bool) {
    if let Ok(home) = context.home() {
        let _ = fs::remove_file(home.join(".local/state/llm-backend"));
    }
    if purge {
        let _ = fs::remove_dir_all(&places.state);
    }
    // Instructions of Claude Code's, kept for speed.
    let _ = fs::remove_dir_all(places.state.join("prefixes"));
    // They are empty unless something of ours runs.
    for folder in ["agents", "gateways"] {
        let _ = fs::remove_dir(places.state.join(folder));
    }
    for entry in fs::read_dir(&places.state).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if BOOKKEEPING.iter().any(|kind| name.starts_with(kind)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Folders that are not empty hold what is not ours; the last made goes first.
fn remove_folders(manifest: &Manifest, places: &Places, say: &dyn Fn(&Shown)) -> Result<()> {
    for (tree, _) in manifest.of("tree") {
        match is_in(&places.data, Path::new(&tree)) {
            true => remove_tree(Path::new(&tree))?,
            false => say(&shown!("left: {tree}, which is none of the folders that setup makes")),
        }
    }
    files::remove_rests(&places.bin);
    files::remove_rests(&places.data);
    let mut folders: Vec<PathBuf> = manifest.of("dir").into_iter().map(|(name, _)| name.into()).collect();
    // They have our name, whoever made them.
    let own = [places.state.clone(), places.data.clone(), places.bin.clone()].into_iter().filter(|dir| dir.is_dir());
    own.for_each(|dir| {
        if !folders.contains(&dir) {
            folders.push(dir)
        }
    });
    folders.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
    for folder in folders {
        // Nearly the last: an uninstall that is broken off can be run again.
        if folder == places.data {
            remove(&places.data.join(super::LOCK))?;
            remove(manifest.path())?;
        }
        let is_ours = folder.ends_with(OWN_NAME);
        if fs::remove_dir(&folder).is_err() && is_ours && folder.is_dir() {
            let what = match folder == places.state {
                true => "with your sessions and the ledger; rm -r takes it away",
                false => "which holds files of yours",
            };
            say(&shown!("left: {}, {what}", folder.display()));
        }
    }
    Ok(())
}

/// Whether something else stands there now, which holds nothing of ours.
fn is_no_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_file())
}

/// What a setup that was killed while it wrote has left beside them.
pub(super) fn remove_rests_of_users_files(manifest: &Manifest, places: &Places) {
    files::remove_rests_of(&places.config);
    for (file, _) in ["block", "statusline", "created"].iter().flat_map(|kind| manifest.of(kind)) {
        files::remove_rests_of(Path::new(&file));
    }
}

/// A line of the manifest that somebody has spoilt takes away nothing of the user's: only what is in our own folder is ours as a whole.
fn is_in(folder: &Path, path: &Path) -> bool {
    path.strip_prefix(folder).is_ok_and(|rest| {
        rest.components().next().is_some() && rest.components().all(|part| matches!(part, Component::Normal(_)))
    })
}

fn is_model_of_the_hub(folder: &Path) -> bool {
    let is_named = folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("models--"));
    folder.is_absolute() && is_named
}

fn remove_tree(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", folder)(error)),
        _ => Ok(()),
    }
}

fn left(path: &Path, say: &dyn Fn(&Shown)) {
    if path.symlink_metadata().is_ok() {
        say(&shown!("left: {}, which was changed since", path.display()));
    }
}
