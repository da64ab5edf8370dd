//! The context that a server gives a model, asked at the addresses of each program.

use std::io::Read;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Body;
use ureq::http::Response;

use crate::completions::endpoint::{Endpoint, Timeouts};
use crate::local_model::served::{OLLAMA_DEFAULT, Served, ServerKind, first_size, is_same};
use crate::settings::Setting;
use crate::shown::{Shown, shown};

/// The longest answer that is read, in bytes. Ollama's `/api/show` carries a model's license and its template.
const MAX_BODY: u64 = 16 << 20;

/// Nobody waits for these answers.
pub(crate) const TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(5), idle: Duration::from_secs(10), whole: Some(Duration::from_secs(20)) };

/// A context, and what it is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// In tokens, if it is known.
    pub tokens: Option<u32>,
    /// It is the program's default: nothing was said of this model.
    pub is_assumed: bool,
}

impl Window {
    fn said(tokens: Option<u32>) -> Window {
        Window { tokens, is_assumed: false }
    }
}

/// The models that the server lists. `None` if it says nothing, or is not ready to.
pub(crate) fn served(endpoint: &Endpoint) -> Option<Served> {
    served_within(endpoint, TIMEOUTS)
}

/// The same for whoever waits for it.
pub(crate) fn served_within(endpoint: &Endpoint, timeouts: Timeouts) -> Option<Served> {
    let mut response = endpoint.models(timeouts).ok()?;
    let has_no_list = matches!(response.status().as_u16(), 404 | 405 | 501);
    if !response.status().is_success() && !has_no_list {
        return None;
    }
    let program = response.headers().get("server").and_then(|name| name.to_str().ok()).unwrap_or_default().to_string();
    Some(Served::read(&mut body(&mut response), &program))
}

/// Why the server answers nothing: it wants a key that it does not get.
pub(crate) fn refused(endpoint: &Endpoint, timeouts: Timeouts) -> Option<Shown> {
    let status = endpoint.models(timeouts).ok()?.status().as_u16();
    let variable = endpoint.variable(Setting::ApiKey);
    let why = match endpoint.key() {
        Some(_) => shown!("it refuses the key in {variable}"),
        None => shown!("it wants a key: set {variable}"),
    };
    matches!(status, 401 | 403).then_some(why)
}

/// The context of the model with this name at the server. mlx-lm says nothing of it.
pub(crate) fn ask(endpoint: &Endpoint, served: &Served, name: &str) -> Window {
    ask_within(endpoint, served, name, TIMEOUTS)
}

/// The same for whoever waits for it; each of the questions may take so long.
pub(crate) fn ask_within(endpoint: &Endpoint, served: &Served, name: &str, timeouts: Timeouts) -> Window {
    let asked = &Asked { endpoint, timeouts };
    if let Some(tokens) = served.window(name) {
        return Window::said(Some(tokens));
    }
    match served.kind {
        ServerKind::LlamaCpp => Window::said(by_props(&asked.get("/props"))),
        ServerKind::Ollama => ollama(asked, name, &asked.get("/api/ps")),
        ServerKind::LmStudio => Window::said(lm_studio(asked, name)),
        ServerKind::Unknown if !served.names().is_empty() => unknown(asked, name),
        ServerKind::Vllm | ServerKind::Sglang | ServerKind::MlxLm | ServerKind::Unknown => Window::default(),
    }
}

/// For servers that stand before others, and those that are built on them.
fn unknown(asked: &Asked, name: &str) -> Window {
    if let Some(tokens) = by_props(&asked.get("/props")) {
        return Window::said(Some(tokens));
    }
    let running = asked.get("/api/ps");
    if running["models"].is_array() { ollama(asked, name, &running) } else { Window::default() }
}

fn by_props(props: &Value) -> Option<u32> {
    first_size(&[&props["default_generation_settings"]["n_ctx"], &props["n_ctx"]])
}

/// What a loaded model has is true; else what its file sets, up to what the model can; else the server's default, which it tells
/// nobody before it has loaded the model.
fn ollama(asked: &Asked, name: &str, running: &Value) -> Window {
    let models = running["models"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_named = |model: &&Value| ["name", "model"].iter().any(|key| model[*key].as_str().is_some_and(|id| is_same(id, name)));
    if let Some(tokens) = models.iter().find(is_named).and_then(|model| first_size(&[&model["context_length"]])) {
        return Window::said(Some(tokens));
    }
    let shown = asked.post("/api/show", &json!({ "model": name }));
    let most = most_of_the_model(&shown["model_info"]);
    match num_ctx(shown["parameters"].as_str().unwrap_or_default()) {
        Some(set) => Window::said(Some(most.map_or(set, |most| set.min(most)))),
        None => Window { tokens: Some(most.map_or(OLLAMA_DEFAULT, |most| OLLAMA_DEFAULT.min(most))), is_assumed: true },
    }
}

/// Has Ollama load a model, which an answer of that model waits for as well, and asks what context it got.
pub(crate) fn load(endpoint: &Endpoint, name: &str, idle: Duration) -> Option<u32> {
    let question = json!({ "model": name }).to_string();
    // Without a prompt `/api/generate` only loads (ollama 0.9, docs/api.md).
    let mut loaded =
        endpoint.post_at_root("/api/generate", question.as_bytes(), Timeouts { idle, whole: Some(idle), ..TIMEOUTS });
    loaded.as_mut().ok().map(body).filter(|loaded| loaded["done"] == true)?;
    let asked = &Asked { endpoint, timeouts: TIMEOUTS };
    let window = ollama(asked, name, &asked.get("/api/ps"));
    window.tokens.filter(|_| !window.is_assumed)
}

/// The parameters of a model's file: a name and a value on each line.
fn num_ctx(parameters: &str) -> Option<u32> {
    let values = parameters.lines().filter_map(|line| line.trim().strip_prefix("num_ctx"));
    values.filter_map(|value| value.trim().parse().ok()).find(|tokens| *tokens > 0)
}

/// `llama.context_length` and the like.
pub(super) fn most_of_the_model(info: &Value) -> Option<u32> {
    let entries = info.as_object()?.iter();
    entries.filter(|(key, _)| key.ends_with(".context_length")).find_map(|(_, size)| first_size(&[size]))
}

/// LM Studio gives a model that it has not loaded the context of its own settings, which no address tells.
fn lm_studio(asked: &Asked, name: &str) -> Option<u32> {
    let list = asked.get("/api/v0/models");
    let models = list["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let model = models.iter().find(|model| model["id"] == name)?;
    first_size(&[&model["loaded_context_length"]])
}

/// A server, and how long it may take for each answer.
struct Asked<'a> {
    endpoint: &'a Endpoint,
    timeouts: Timeouts,
}

impl Asked<'_> {
    fn get(&self, path: &str) -> Value {
        self.endpoint.get_at_root(path, self.timeouts).map(|mut response| body(&mut response)).unwrap_or_default()
    }

    fn post(&self, path: &str, question: &Value) -> Value {
        let sent = self.endpoint.post_at_root(path, question.to_string().as_bytes(), self.timeouts);
        sent.map(|mut response| body(&mut response)).unwrap_or_default()
    }
}

pub(super) fn get(endpoint: &Endpoint, path: &str) -> Value {
    Asked { endpoint, timeouts: TIMEOUTS }.get(path)
}

pub(super) fn post(endpoint: &Endpoint, path: &str, question: &Value) -> Value {
    Asked { endpoint, timeouts: TIMEOUTS }.post(path, question)
}

fn body(response: &mut Response<Body>) -> Value {
    if !response.status().is_success() {
        return Value::Null;
    }
    serde_json::from_reader(response.body_mut().as_reader().take(MAX_BODY)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_of_a_models_file() {
        let table = [
            ("num_ctx                        32768", Some(32768)),
            ("temperature 0.7\nnum_ctx 2048", Some(2048)),
            ("stop                           \"<|eot_id|>\"\nnum_ctx\t8192\nnum_keep 24", Some(8192)),
            ("num_ctx_of_another 5\nstop \"num_ctx 7\"", None),
            ("num_ctx many", None),
            ("num_ctx 0", None),
            ("", None),
        ];
        for (parameters, expected) in table {
            assert_eq!(num_ctx(parameters), expected, "{parameters}");
        }
    }
}
