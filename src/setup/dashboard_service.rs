//! The dashboard as a service: a LaunchAgent, or a unit of the user's systemd. The manifest knows of it as of all that setup makes.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::error::{Error, Result, warn};
use crate::names::OWN_NAME;
use crate::os::file_id::FileId;
use crate::os::process::own_path;
use crate::server::launchctl::Launchd;
use crate::server::supervisor::{Running, Supervisor};
use crate::server::systemctl::Systemd;
use crate::settings::SETTINGS;
use crate::setup::files::{read_users, remove, remove_ours, text};
use crate::setup::machine::Machine;
use crate::setup::manifest::Manifest;
use crate::setup::places::Places;
use crate::setup::service::{fill, put, reload, systemctl, unit_argument, unit_string, xml};
use crate::setup::service_file::disable_in_systemd;
use crate::setup::{LOCK, NAME, alone, begin, problem};
use crate::shown::{Shown, shown};

const LABEL: &str = "com.local.llm-dashboard";

const AGENT: &str = include_str!("../../launchd/com.local.llm-dashboard.plist");

const UNIT: &str = include_str!("../../systemd/com.local.llm-dashboard.service");

/// The manifest's word for the file.
const OPTION: &str = "dashboard_file";

/// Writes the service, and has it run from now on. Does nothing twice.
///
/// # Errors
/// If neither launchd nor the user's systemd is there, or its file was changed by somebody else.
pub(crate) fn install(context: &Context, port: u16, say: &dyn Fn(&Shown)) -> Result<()> {
    let places = Places::new(context)?;
    let machine = Machine::look(context);
    let (file, text) = if machine.has_launchd {
        (places.home.join(format!("Library/LaunchAgents/{LABEL}.plist")), agent(context, &places, port)?)
    } else if machine.has_systemd {
        (places.home.join(format!(".config/systemd/user/{LABEL}.service")), unit(context, &places, port)?)
    } else {
        let reason = "neither launchd nor the user's systemd is here to run it";
        return Err(problem(reason.into(), "run `llm-failover dashboard` yourself"));
    };
    warn_of_environment(context);
    let lock = begin(&places)?;
    let mut manifest = Manifest::read(&places.manifest())?;
    let was_there = read_users(&file).is_ok_and(|there| there == text.as_bytes());
    let supervisor = supervisor(context, &file)?;
    if !was_there {
        supervisor.stop()?;
    }
    let is_running = supervisor.running() == Running::Yes;
    // A dashboard that somebody has started by hand would end one day, and the service has ended by then.
    if !is_running && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse) {
        return Err(Error::PortTaken { port });
    }
    manifest.record("option", OPTION, &file.to_string_lossy())?;
    put(&mut manifest, &file, &text)?;
    say(&shown!("{} {}", if was_there { "is there already:" } else { "wrote" }, file.display()).with_tilde(&places.home));
    if is_unit(&file) {
        reload(context)?;
        systemctl(context, &["enable", &format!("{LABEL}.service")])?;
    }
    if is_running { Ok(()) } else { supervisor.start(&lock) }
}

/// Ends it and takes its file away, unless somebody has changed that.
///
/// # Errors
/// If the service manager does not end it.
pub(crate) fn uninstall(context: &Context, say: &dyn Fn(&Shown)) -> Result<()> {
    let places = Places::new(context)?;
    let manifest = Manifest::read(&places.manifest())?;
    let Some(file) = manifest.option(OPTION).map(PathBuf::from) else {
        say(&"the dashboard is not installed as a service".into());
        return Ok(());
    };
    let _alone = alone(&places)?;
    let mut manifest = Manifest::read(&places.manifest())?;
    end(context, &mut manifest)?;
    let name = shown!("{}", file.display()).with_tilde(&places.home);
    match remove_ours(&mut manifest, &file)? {
        true => say(&shown!("took away {name}")),
        false => say(&shown!("left: {name}, which was changed since")),
    }
    if is_unit(&file) {
        reload(context)?;
    }
    remove_folders(&manifest, &places)
}

/// Ends it, and forgets that it was there; its file is one of those in the manifest.
pub(super) fn end(context: &Context, manifest: &mut Manifest) -> Result<()> {
    let Some(file) = manifest.option(OPTION).map(PathBuf::from) else { return Ok(()) };
    if is_unit(&file) {
        disable_in_systemd(context, format!("{LABEL}.service").as_ref());
    }
    supervisor(context, &file)?.stop()?;
    manifest.forget("option", OPTION)
}

/// Where there was no setup beside it, nothing is left.
fn remove_folders(manifest: &Manifest, places: &Places) -> Result<()> {
    if !manifest.has_folders_alone() {
        return Ok(());
    }
    let mut folders: Vec<PathBuf> = manifest.of("dir").into_iter().map(|(name, _)| name.into()).collect();
    folders.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
    remove(&places.data.join(LOCK))?;
    remove(manifest.path())?;
    // One that is not empty holds what is not ours.
    folders.iter().for_each(|folder| drop(fs::remove_dir(folder)));
    Ok(())
}

fn supervisor(context: &Context, file: &Path) -> Result<Box<dyn Supervisor>> {
    Ok(if is_unit(file) {
        Box::new(Systemd::of_label(context, LABEL)?)
    } else {
        Box::new(Launchd::of_label(context, LABEL.into())?)
    })
}

fn is_unit(file: &Path) -> bool {
    file.extension().is_some_and(|end| end == "service")
}

fn agent(context: &Context, places: &Places, port: u16) -> Result<String> {
    let words = command(context, places, port)?;
    let arguments: String = words.iter().map(|word| format!("\t\t<string>{}</string>\n", xml(word))).collect();
    let values =
        [("LABEL", LABEL.into()), ("ARGUMENTS", arguments), ("PATH", xml(&path(context))), ("HOME", xml(&text(&places.home)))];
    Ok(fill(AGENT, &values))
}

fn unit(context: &Context, places: &Places, port: u16) -> Result<String> {
    let words = command(context, places, port)?;
    let command = words.iter().map(|word| unit_argument(word)).collect::<Vec<_>>().join(" ");
    Ok(fill(UNIT, &[("COMMAND", command), ("PATH", unit_string(&format!("PATH={}", path(context))))]))
}

/// By the link of setup, or that on PATH: a newer binary may come in its place.
fn command(context: &Context, places: &Places, port: u16) -> Result<Vec<String>> {
    let is_this = |link: &PathBuf| FileId::of(link).is_some_and(|id| FileId::of_this_process() == Some(id));
    let links = [Some(places.bin.join(NAME)), context.program_on_path(NAME)];
    let mut words = match links.into_iter().flatten().find(is_this) {
        Some(link) => vec![text(&link)],
        None => {
            let own = own_path()?;
            let is_named = own.file_name().is_some_and(|name| name == OWN_NAME);
            std::iter::once(text(&own)).chain(is_named.then(|| NAME.to_string())).collect()
        }
    };
    words.extend(["dashboard".into(), "--port".into(), port.to_string()]);
    Ok(words)
}

/// Services have a short one, and a drill looks for the real Claude Code.
fn path(context: &Context) -> String {
    context.path_entries().map(|entry| text(&entry)).collect::<Vec<_>>().join(":")
}

/// The service has the settings file alone.
fn warn_of_environment(context: &Context) {
    let here: Vec<&str> = SETTINGS.iter().map(|(name, ..)| *name).filter(|name| context.env(name).is_some()).collect();
    if !here.is_empty() {
        let names = here.join(", ");
        warn(
            NAME,
            &shown!("the service does not know what is in this environment alone ({names}); `llm-failover config set` tells it"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{UNIT, fill};

    #[test]
    fn all_words_of_the_unit_are_known() {
        let filled = fill(UNIT, &[("COMMAND", "a".into()), ("PATH", "b".into())]);
        let rest: String = filled.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(!rest.contains('@'), "{rest}");
    }
}
