//! Which model servers run on this machine, which could, and which models they have.

use std::path::Path;
use std::thread;

use serde_json::Value;

use crate::completions::endpoint::Endpoint;
use crate::context::Context;
use crate::error::Result;
use crate::local_model::listing::{Listed, kind, list};
use crate::local_model::served::ServerKind;
use crate::local_model::window::{TIMEOUTS, refused, served};
use crate::read_file::read_regular;
use crate::server::probe::{ServerState, probe};
use crate::settings::FIRST;
use crate::shown::{Shown, shown};

/// A server that answers.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub kind: ServerKind,
    /// The chat completions endpoint.
    pub url: String,
    /// Where that is, for people.
    pub shown: Shown,
    pub models: Vec<Listed>,
}

/// The servers that run at the usual places. `own_port`: where a server of ours is, if we have set up one.
pub(super) fn usual(context: &Context, own_port: Option<u16>) -> Vec<Found> {
    let places = places(context, own_port);
    let looked = thread::scope(|scope| {
        let asked: Vec<_> = places.iter().map(|url| scope.spawn(|| look(context, url).ok()?.ok())).collect();
        asked.into_iter().filter_map(|asked| asked.join().ok().flatten()).collect::<Vec<Found>>()
    });
    // Any web server may answer there.
    looked.into_iter().filter(|found| found.kind != ServerKind::Unknown || !found.models.is_empty()).collect()
}

/// Ollama, LM Studio, llama-server, vLLM and mlx-lm, each where it is by default or by its own settings.
fn places(context: &Context, own_port: Option<u16>) -> Vec<String> {
    let at = |port: u16| format!("http://127.0.0.1:{port}");
    let variable = |name: &str| context.env(name).and_then(|value| value.into_string().ok());
    let lm_studio = context.home().ok().and_then(|home| lm_studio_port(home)).unwrap_or(1234);
    let llama = variable("LLAMA_ARG_PORT").and_then(|port| port.parse().ok()).unwrap_or(8080);
    let mut places = vec![ollama(&variable("OLLAMA_HOST").unwrap_or_default()), at(lm_studio), at(llama), at(8000)];
    places.extend([9420, context.settings.port().unwrap_or(9420)].into_iter().filter(|port| Some(*port) != own_port).map(at));
    let mut known: Vec<String> = Vec::new();
    for place in places {
        if !known.contains(&place) {
            known.push(place);
        }
    }
    known
}

/// The address of `OLLAMA_HOST`, as Ollama's own client reads it (0.9, envconfig.Host).
fn ollama(host: &str) -> String {
    let host = host.trim().trim_matches(['"', '\'']);
    let (scheme, rest, port) = match host.split_once("://") {
        Some(("http", rest)) => ("http", rest, 80),
        Some(("https", rest)) => ("https", rest, 443),
        Some((_, rest)) => ("http", rest, 11434),
        None => ("http", host, 11434),
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, digits)) if !digits.contains(']') => (host, digits.parse().unwrap_or(port)),
        _ => (authority, port),
    };
    // It listens on all addresses then.
    let host = if matches!(host, "" | "0.0.0.0" | "[::]" | "::") { "127.0.0.1" } else { host };
    format!("{scheme}://{host}:{port}")
}

/// The port in LM Studio's own settings.
fn lm_studio_port(home: &Path) -> Option<u16> {
    let bytes = read_regular(&home.join(".lmstudio/.internal/http-server-config.json"), 1 << 20).ok()?;
    serde_json::from_slice::<Value>(&bytes).ok()?["port"].as_u64()?.try_into().ok().filter(|port| *port > 0)
}

/// What answers at a URL, or why nothing usable does.
///
/// # Errors
/// If it is no URL.
pub(super) fn look(context: &Context, url: &str) -> Result<std::result::Result<Found, Shown>> {
    let url = if url.contains("://") { url.to_string() } else { format!("http://{url}") };
    let endpoint = Endpoint::at(FIRST, &url, context.settings.api_key(FIRST)?)?;
    Ok(match probe(&endpoint) {
        ServerState::Down => Err("nothing answers there".into()),
        ServerState::Hung => Err("it listens, but does not answer".into()),
        ServerState::Loading => Err("it is still loading its model".into()),
        ServerState::Dead(why) => Err(shown!("it runs, but its model does not: {why}")),
        ServerState::Foreign(what) => Err(Shown::line(what)),
        ServerState::Up => match refused(&endpoint, TIMEOUTS) {
            Some(why) => Err(why),
            None => {
                let served = served(&endpoint).unwrap_or_default();
                Ok(Found {
                    kind: kind(&endpoint, &served),
                    url: endpoint.url(),
                    shown: shown!("{}", endpoint.place().trim_start_matches("http://")),
                    models: list(&endpoint, &served),
                })
            }
        },
    })
}

/// What is installed and does not run, each with the command that starts it.
pub(super) fn installed(context: &Context, found: &[Found]) -> Vec<(&'static str, &'static str)> {
    let runs = |kind: ServerKind| found.iter().any(|found| found.kind == kind);
    let is_there = |program: &str, app: &str| {
        context.program_on_path(program).is_some() || (!app.is_empty() && Path::new("/Applications").join(app).is_dir())
    };
    let lms = context.home().is_ok_and(|home| home.join(".lmstudio/bin/lms").exists());
    [
        (ServerKind::Ollama, is_there("ollama", "Ollama.app"), "Ollama", "ollama serve"),
        (ServerKind::LmStudio, lms || is_there("lms", "LM Studio.app"), "LM Studio", "lms server start"),
        (ServerKind::Vllm, is_there("vllm", ""), "vLLM", "vllm serve MODEL"),
    ]
    .into_iter()
    .filter(|(kind, is_there, ..)| *is_there && !runs(*kind))
    .map(|(_, _, name, command)| (name, command))
    .collect()
}

/// The model to take where nobody says one. `memory`: of the machine, in bytes.
pub(super) fn best(models: &[Listed], memory: u64) -> Option<&Listed> {
    let fits = |model: &Listed| model.bytes.is_none_or(|bytes| bytes <= memory / 2);
    let tools = |model: &Listed| match model.calls_tools {
        Some(true) => 2,
        None => 1,
        Some(false) => 0,
    };
    let size = |model: &Listed| if fits(model) { model.bytes.unwrap_or_default() } else { 0 };
    // The first of equals.
    models.iter().rev().max_by_key(|model| (fits(model), tools(model), model.is_loaded, size(model)))
}

/// A line about a model for people.
pub(super) fn model_line(model: &Listed) -> Shown {
    let context = match (model.window.tokens, model.window.is_assumed) {
        (Some(tokens), false) => format!("context {tokens}"),
        (Some(tokens), true) => format!("context {tokens} by default"),
        (None, _) => model.most.map_or("context unknown".into(), |most| format!("context up to {most}")),
    };
    let tools = match model.calls_tools {
        Some(true) => ", calls tools",
        Some(false) => ", calls no tools",
        None => "",
    };
    let size = model.bytes.map(|bytes| format!(", {:.1} GB", bytes as f64 / 1e9)).unwrap_or_default();
    let loaded = if model.is_loaded { ", loaded" } else { "" };
    shown!("{} ({context}{tools}{size}{loaded})", model.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local_model::window::Window;

    #[test]
    fn the_address_of_ollama() {
        let table = [
            ("", "http://127.0.0.1:11434"),
            ("0.0.0.0", "http://127.0.0.1:11434"),
            ("0.0.0.0:8", "http://127.0.0.1:8"),
            (":5000", "http://127.0.0.1:5000"),
            ("desk.example", "http://desk.example:11434"),
            ("http://desk.example", "http://desk.example:80"),
            ("https://desk.example/", "https://desk.example:443"),
            ("https://desk.example:9/ollama", "https://desk.example:9"),
            ("[::1]", "http://[::1]:11434"),
            ("[::1]:5", "http://[::1]:5"),
            ("\"localhost:1\"", "http://localhost:1"),
        ];
        for (host, expected) in table {
            assert_eq!(ollama(host), expected, "{host:?}");
        }
    }

    #[test]
    fn the_largest_model_that_fits_and_calls_tools_is_taken() {
        let model = |name: &str, tools: Option<bool>, gigabytes: u64, is_loaded: bool| Listed {
            name: name.into(),
            window: Window::default(),
            most: None,
            calls_tools: tools,
            bytes: (gigabytes > 0).then_some(gigabytes << 30),
            is_loaded,
        };
        let all = [
            model("small", Some(true), 2, false),
            model("prose", Some(false), 7, false),
            model("good", Some(true), 5, false),
            model("huge", Some(true), 40, false),
        ];
        let name = |models: &[Listed]| best(models, 16 << 30).map(|model| model.name.clone());
        assert_eq!(name(&all).as_deref(), Some("good"));
        assert_eq!(name(&[all[2].clone(), model("hot", Some(true), 2, true)]).as_deref(), Some("hot"));
        assert_eq!(name(&all[3..]).as_deref(), Some("huge"));
        assert_eq!(name(&[model("a", None, 0, false), model("b", None, 0, false)]).as_deref(), Some("a"));
        assert_eq!(name(&[]), None);
    }
}
