//! Doing what the plan says, step by step. Each step leaves a manifest from which the next setup goes on.

use std::time::Duration;

use crate::completions::endpoint::Endpoint;
use crate::context::Context;
use crate::error::Result;
use crate::local_model::{listing, window};
use crate::server::Server;
use crate::server::probe::ServerState;
use crate::settings::FIRST;
use crate::setup::brain::{Brain, ENOUGH, Larger, ServerBrain};
use crate::setup::config_file::ConfigFile;
use crate::setup::files::{self, remove_ours};
use crate::setup::machine::Machine;
use crate::setup::made::make_private_folder;
use crate::setup::manifest::Manifest;
use crate::setup::places::Places;
use crate::setup::plan::{Plan, Step};
use crate::setup::progress::Progress;
use crate::setup::{closing_lines, path_line, problem, prove, service_file, status_line, uninstall};
use crate::shown::{Shown, shown};

/// How long a model may take to load.
const LOAD: Duration = Duration::from_secs(600);

pub(super) fn all(
    context: &Context,
    machine: &Machine,
    mut plan: Plan,
    places: &Places,
    manifest: &mut Manifest,
    mut config: ConfigFile,
    say: &dyn Fn(&Shown),
) -> Result<()> {
    files::remove_rests(&places.bin);
    files::remove_rests(&places.data);
    uninstall::remove_rests_of_users_files(manifest, places);
    make_private_folder(manifest, &places.state)?;
    let was_up = stop_ours(context, manifest)?;
    for (step, line) in plan.steps(places) {
        // A step before it may have found that a variant is not needed.
        let line = plan.steps(places).into_iter().find_map(|(one, now)| (one == step).then_some(now)).unwrap_or(line);
        say(&shown!("==> {line}"));
        match step {
            Step::Binary => plan.binary.put(manifest, places)?,
            Step::Links => {
                manifest.record("option", "names", &plan.names.join(","))?;
                plan.binary.link(manifest, places, &plan.names)?;
                // Of the shell script that set up earlier versions.
                remove_ours(manifest, &places.data.join("uninstall.sh"))?;
            }
            Step::Brain => match &mut plan.brain {
                Brain::Engine(ours) => {
                    let (engine, check) = (&ours.engine, &ours.check);
                    ours.prepared = Some(engine.prepare(context, machine, check, manifest, &Progress::new())?);
                }
                Brain::Server(server) => variant(context, server, manifest, say)?,
                Brain::None => {}
            },
            Step::Service => service(context, &mut plan, manifest)?,
            Step::Settings => settings(context, &plan, manifest, &mut config)?,
            Step::Path => {
                let (files, line) = plan.path.as_ref().map(|(files, line)| (files.as_slice(), *line)).unwrap_or_default();
                files.iter().try_for_each(|file| path_line::add_block(manifest, file, line))?;
            }
            Step::StatusLine => {
                if let Some((file, command)) = &plan.status_line {
                    status_line::add(manifest, file, command)?;
                }
            }
            Step::Prove => say(&shown!("the local model says: {}", prove::answer(places, &plan.names, was_up)?)),
        }
    }
    notes(&plan, say);
    closing_lines(context, places, &plan, say);
    Ok(())
}

/// A server of an earlier setup ends, as launchd keeps what it was once told of it. Returns whether it was up.
fn stop_ours(context: &Context, manifest: &Manifest) -> Result<bool> {
    if manifest.option("service").is_none() {
        return Ok(false);
    }
    let Ok(server) = Server::new(context) else { return Ok(false) };
    let was_up = server.is_ours() && server.state() == ServerState::Up;
    if server.is_ours() {
        server.stop(&mut |_| {})?;
    }
    Ok(was_up)
}

/// A variant of the server's model, with more context.
fn variant(context: &Context, server: &mut ServerBrain, manifest: &mut Manifest, say: &dyn Fn(&Shown)) -> Result<()> {
    let Some(Larger { from, name, tokens, is_sure }) = server.larger.clone() else { return Ok(()) };
    let endpoint = Endpoint::at(FIRST, &server.url, context.settings.api_key(FIRST)?)?;
    let loaded = if is_sure { None } else { window::load(&endpoint, &from, LOAD) };
    if let Some(has) = loaded.filter(|has| *has >= ENOUGH) {
        say(&shown!("Ollama gives `{from}` a context of {has} tokens already"));
        server.larger = None;
        return Ok(());
    }
    manifest.record("ollama", &name, &server.url)?;
    listing::derive_at_ollama(&endpoint, &from, &name, tokens).map_err(|why| {
        let by_hand = "give it more context with OLLAMA_CONTEXT_LENGTH=32768 in the environment of `ollama serve`, and use --no-larger-context";
        problem(shown!("Ollama does not make `{name}`: {why}"), by_hand)
    })
}

fn service(context: &Context, plan: &mut Plan, manifest: &mut Manifest) -> Result<()> {
    let Brain::Engine(ours) = &mut plan.brain else { return Ok(()) };
    let Some(prepared) = &ours.prepared else { return Ok(()) };
    service_file::remove_other(context, manifest, ours.service.file())?;
    manifest.record("option", "service", ours.service.word())?;
    manifest.record("option", "service_file", &ours.service.file().map(files::text).unwrap_or_default())?;
    ours.command = ours.service.install(context, prepared, &ours.label, ours.port, manifest)?;
    Ok(())
}

fn settings(context: &Context, plan: &Plan, manifest: &mut Manifest, config: &mut ConfigFile) -> Result<()> {
    for (setting, value) in plan.brain.settings() {
        config.set(manifest, setting.name(), value.as_deref())?;
    }
    let (engine, model) = match &plan.brain {
        Brain::Engine(ours) => (ours.engine.kind().to_string(), ours.engine.model()),
        Brain::Server(_) | Brain::None => {
            service_file::remove_other(context, manifest, None)?;
            manifest.record("option", "service", "none")?;
            ("none".into(), "")
        }
    };
    manifest.record("option", "engine", &engine)?;
    manifest.record("option", "model", model)
}

fn notes(plan: &Plan, say: &dyn Fn(&Shown)) {
    plan.notes.iter().for_each(|note| say(&shown!("note: {note}")));
}
