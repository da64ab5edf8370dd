//! Which server or engine is to give the answers: as the command line says, or the last setup, or what runs here, or the user.

use crate::context::Context;
use crate::error::{Result, say};
use crate::local_model::listing::Listed;
use crate::local_model::served::{ServerKind, is_same};
use crate::settings::{FIRST, Setting, url};
use crate::setup::Facts;
use crate::setup::ask::Answers;
use crate::setup::brain::{self, Brain, EngineBrain, ServerBrain};
use crate::setup::catalog::{self, Catalog};
use crate::setup::discover::{self, Found, best, model_line};
use crate::setup::engine::{Engine, EngineKind};
use crate::setup::options::Options;
use crate::setup::problem;
use crate::setup::progress::size;
use crate::setup::service::Service;
use crate::shown::{Shown, shown};

/// mlx-lm's word for the model that it has loaded.
const LOADED: &str = "default_model";

pub(super) fn brain(context: &Context, options: &Options, facts: &Facts, answers: Answers) -> Result<Brain> {
    if let Some(kind) = wanted_engine(options, facts)? {
        return engine(context, options, facts, answers, kind);
    }
    if let Some(url) = wanted_url(options, facts) {
        return at_url(context, options, facts, answers, &url);
    }
    match facts.found.as_slice() {
        _ if options.engine.as_deref() == Some("none") && facts.found.is_empty() => Ok(Brain::None),
        [] => engine(context, options, facts, answers, usual_engine(facts)),
        found => choose_server(context, options, facts, answers, found),
    }
}

fn at_url(context: &Context, options: &Options, facts: &Facts, answers: Answers, url: &str) -> Result<Brain> {
    match discover::look(context, url)? {
        Ok(found) => server(options, facts, answers, &found),
        Err(why) => {
            let reason = shown!("no model server at {}: {why}", url::without_secrets(url));
            Err(problem(reason, "start it, or choose another one with --url"))
        }
    }
}

/// The engine that is given, or that the last setup took. None: a server that runs, if there is one.
fn wanted_engine(options: &Options, facts: &Facts) -> Result<Option<EngineKind>> {
    let before = || facts.engine_before.as_ref().map(|(kind, _)| *kind).filter(|_| options.url.is_none());
    match options.engine.as_deref() {
        Some("mlx") => Ok(Some(EngineKind::Mlx)),
        Some("llama") => Ok(Some(EngineKind::Llama)),
        Some("auto" | "none") => Ok(None),
        Some(other) => Err(problem(shown!("`{other}` is no engine"), "choose auto, mlx, llama or none")),
        None => Ok(before()),
    }
}

fn usual_engine(facts: &Facts) -> EngineKind {
    if facts.machine.is_apple_silicon { EngineKind::Mlx } else { EngineKind::Llama }
}

/// An engine that is set up here, if nothing stands in its way.
fn engine(context: &Context, options: &Options, facts: &Facts, answers: Answers, kind: EngineKind) -> Result<Brain> {
    let catalog = Catalog::read()?;
    let before = || facts.engine_before.as_ref().filter(|(known, _)| *known == kind).map(|(_, model)| model.clone());
    // Every call asks the server for the model in the settings.
    let users = || facts.config.value(Setting::Model.name()).filter(|_| kind == EngineKind::Mlx && facts.users_model);
    let model = match options.model.clone().or_else(users).or_else(before) {
        Some(model) => model,
        None => choose_of_catalog(&catalog, facts, answers, kind)?,
    };
    let engine = Engine::new(context, &facts.machine, kind, &model)?;
    let label = context.settings.service_label();
    let service = Service::choose(context, &facts.machine, kind, &label)?;
    let port = match (options.port, facts.config.value(Setting::Port.name())) {
        (Some(0), _) => return Err(problem("`0` is no port".into(), "choose one from 1 to 65535")),
        (Some(port), _) => port,
        (None, Some(port)) => port.parse().map_err(|_| Setting::Port.of(FIRST).error(port, "a port number"))?,
        (None, None) => 9420,
    };
    let check = engine.check(context, &facts.machine);
    if let Some((first, rest)) = check.problems.split_first() {
        rest.iter().for_each(|problem| say(&shown!("llm-failover: {}; {}", problem.what, problem.mend)));
        return Err(problem(first.what.clone(), first.mend.clone()));
    }
    Ok(Brain::Engine(Box::new(EngineBrain { engine, check, service, label, port, prepared: None, command: None })))
}

/// The URL that is given, or that the settings have.
fn wanted_url(options: &Options, facts: &Facts) -> Option<String> {
    let before = || facts.config.value(Setting::Url.name()).filter(|_| options.engine.is_none());
    options.url.clone().or_else(before)
}

/// One of several: the first that can be used, unless the user says another.
fn choose_server(context: &Context, options: &Options, facts: &Facts, answers: Answers, all: &[Found]) -> Result<Brain> {
    let mut ranked: Vec<&Found> = all.iter().collect();
    let calls_tools = |found: &Found| found.models.iter().any(|model| model.calls_tools == Some(true));
    let has_wanted =
        |found: &Found| options.model.as_ref().is_some_and(|name| found.models.iter().any(|one| is_same(&one.name, name)));
    // Stable: of equals the one that was looked for first.
    ranked.sort_by_key(|found| (!has_wanted(found), found.models.is_empty(), !calls_tools(found)));
    let mut lines: Vec<Shown> = ranked.iter().map(|found| server_line(found)).collect();
    let own = usual_engine(facts);
    lines.push(shown!("none of these: set up {} here", own.program()));
    lines.push("another address".into());
    let chosen = answers.choose(&"these model servers run:".into(), &lines)?;
    match ranked.get(chosen) {
        Some(found) => server(options, facts, answers, found),
        None if chosen == ranked.len() => engine(context, options, facts, answers, own),
        None => {
            let url = answers.text(&"its address, such as http://desk.example:8000:".into())?;
            at_url(context, options, facts, answers, &url)
        }
    }
}

fn server_line(found: &Found) -> Shown {
    let models = match found.models.len() {
        0 => "no models".into(),
        1 => "one model".into(),
        count => format!("{count} models"),
    };
    shown!("{} at {}: {models}", found.kind, found.shown)
}

/// A model of this server.
fn server(options: &Options, facts: &Facts, answers: Answers, found: &Found) -> Result<Brain> {
    let memory = facts.machine.memory.unwrap_or(u64::MAX);
    let named = |name: &str| found.models.iter().find(|model| is_same(&model.name, name));
    let before = facts.config.value(Setting::Model.name());
    let model = match &options.model {
        Some(name) => match named(name) {
            Some(model) => model.clone(),
            // It loads what it is asked for, also by a path.
            None if found.kind == ServerKind::MlxLm || found.models.is_empty() => {
                Listed { name: name.clone(), ..Listed::default() }
            }
            None => return Err(no_such_model(found, name)),
        },
        None => match before.as_deref().and_then(named) {
            Some(model) => model.clone(),
            None if found.models.is_empty() => return without_models(facts, found),
            None => choose_model(answers, found, memory)?,
        },
    };
    let mut server = ServerBrain::new(found, Some(&model));
    if let Some(there) = facts.config.value(Setting::Url.name()).filter(|there| url::is_same(there, &found.url)) {
        server.url = there;
    }
    // Where the user's own line has the model, calls ask for that one and no other.
    let is_users = facts.users_model && before.as_deref().is_some_and(|name| is_same(&model.name, name));
    let larger = brain::larger(found, &model, facts.machine.memory).filter(|_| !is_users);
    if let Some(larger) = larger {
        let there = found.models.iter().find(|one| one.name == larger.name);
        let question = shown!(
            "Ollama gives `{}` {} tokens of context, and agents want more; make a variant with {}?",
            larger.from,
            model.window.tokens.unwrap_or_default(),
            larger.tokens
        );
        match there {
            Some(there) if there.window.tokens >= Some(larger.tokens) => server.model = Some(there.clone()),
            // Of the user's, by chance: it stays.
            Some(_) => {}
            None if answers.agree(options.context_answer(), &question)? => server.larger = Some(larger),
            None => {}
        }
    }
    Ok(Brain::Server(server))
}

/// The model that fits the memory, or another one of the table.
fn choose_of_catalog(catalog: &Catalog, facts: &Facts, answers: Answers, kind: EngineKind) -> Result<String> {
    let first = catalog.pick(kind, &facts.machine);
    let others = catalog.models.iter().filter(|model| first.is_none_or(|first| first.name != model.name));
    let models: Vec<_> = first.into_iter().chain(others).filter_map(|model| Some((model, model.weights(kind)?))).collect();
    let line = |(model, weights): &(&catalog::Model, &catalog::Weights)| {
        let (tools, thinks) = (if model.tools { ", calls tools" } else { "" }, if model.thinks { ", thinks" } else { "" });
        let (disk, memory, context) = (size(weights.disk_bytes()), size(weights.memory_bytes()), model.context);
        let is_too_large = facts.machine.memory.is_some_and(|memory| memory < weights.memory_bytes());
        let memory = if is_too_large { format!("{memory} of memory, more than there is") } else { format!("{memory} of memory") };
        shown!("{} ({disk}, takes {memory}, context {context}{tools}{thinks}): {}", model.name, model.best_for)
    };
    let lines: Vec<Shown> = models.iter().map(line).collect();
    let chosen = answers.choose(&shown!("{} can have these models; the first fits this machine:", kind.program()), &lines)?;
    Ok(models.get(chosen).map(|(_, weights)| weights.id.clone()).unwrap_or_default())
}

fn choose_model(answers: Answers, found: &Found, memory: u64) -> Result<Listed> {
    // mlx-lm drops the model that it has loaded if another one is asked for, and does not tell which it has.
    let loaded =
        (found.kind == ServerKind::MlxLm && found.models.len() > 1).then(|| Listed { name: LOADED.into(), ..Listed::default() });
    let first = loaded.or_else(|| best(&found.models, memory).cloned()).unwrap_or_default();
    let mut models = vec![first.clone()];
    models.extend(found.models.iter().filter(|model| **model != first).cloned());
    let lines: Vec<Shown> = models.iter().map(model_line).collect();
    let chosen = answers.choose(&shown!("{} has these models:", found.kind), &lines)?;
    Ok(models.into_iter().nth(chosen).unwrap_or(first))
}

/// A server that lists nothing may answer all the same.
fn without_models(facts: &Facts, found: &Found) -> Result<Brain> {
    match found.kind {
        ServerKind::Ollama => {
            let catalog = Catalog::read()?;
            let name = catalog.pick(EngineKind::Llama, &facts.machine).and_then(|model| model.ollama.clone());
            let pull = shown!("ollama pull {}", name.as_deref().unwrap_or("qwen2.5:7b"));
            let reason = shown!("Ollama at {} has no model that can chat", found.shown);
            Err(problem(reason, shown!("run `{pull}`, or take another model from ollama.com, then run this again")))
        }
        ServerKind::LmStudio => Err(problem(
            shown!("LM Studio at {} has no model that can chat", found.shown),
            "run `lms get qwen/qwen3-8b`, then run this again",
        )),
        _ => Ok(Brain::Server(ServerBrain::new(found, None))),
    }
}

fn no_such_model(found: &Found, name: &str) -> crate::error::Error {
    let names: Vec<String> = found.models.iter().take(10).map(|model| format!("`{}`", model.name)).collect();
    problem(shown!("{} at {} has no model `{name}`", found.kind, found.shown), shown!("choose from {}", names.join(", ")))
}
