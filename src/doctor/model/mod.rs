//! The local models, by trying them. No trial is a call: nothing of it goes into the ledger.

mod context;
mod form;
mod memory;
mod mend;
mod questions;
mod speed;
mod tools;
mod trial;
mod trying;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use crate::completions::failure::CompletionError;
use crate::context::Context;
use crate::doctor::check::{Check, Report};
use crate::doctor::model::trial::{Asker, Told};
use crate::drill;
use crate::local_model::chain::{Chain, Link};
use crate::local_model::served::ServerKind;
use crate::local_model::window;
use crate::names::OWN_NAME;
use crate::os::cleanup::CleanupOnSignal;
use crate::server::probe::ServerState;
use crate::server::progress::StartProgress;
use crate::settings::Setting;
use crate::shown::{Shown, shown};

/// How many times the limit of one trial all of them may take.
const TRIALS: u32 = 5;

/// The server that was started for the trials. It is stopped again at the end, and at a signal.
pub(super) struct Started<'a> {
    context: &'a Context,
    cleanup: Option<CleanupOnSignal>,
}

impl Started<'_> {
    /// Does not return after a signal.
    fn until_the_end(mut self) -> Self {
        if let Some(cleanup) = self.cleanup.take() {
            cleanup.end();
        }
        self
    }
}

impl Drop for Started<'_> {
    fn drop(&mut self) {
        if let Some(cleanup) = self.cleanup.take() {
            cleanup.end();
            drill::stop_server_again(self.context);
        }
    }
}

/// `limit` is for one trial.
pub(super) fn check<'a>(context: &'a Context, limit: Duration, report: &mut Report) -> Started<'a> {
    let mut started = Started { context, cleanup: None };
    // What is wrong with the settings, or with a server that is not there, is told with the machine.
    let Ok(chain) = Chain::new(context) else { return started };
    let is_ending: Arc<AtomicBool> = Arc::default();
    for link in chain.main_links() {
        match link.server.state() {
            ServerState::Up | ServerState::Loading => {}
            ServerState::Down if link.server.is_ours() && link.server.check_installed().is_ok() => {
                let (own, is_ending) = (context.for_applet(OWN_NAME, &[]), is_ending.clone());
                started.cleanup = Some(CleanupOnSignal::new(move || {
                    // Who waits for its start holds the lock that the stop needs.
                    is_ending.store(true, SeqCst);
                    drill::stop_server_again(&own);
                }));
            }
            _ => continue,
        }
        let mut add = |check: Check| {
            trying::clear();
            report.add(check.of_link(link.number()));
        };
        let mut progress = StartProgress::new("llm-failover", &link.server, false);
        let up = link.server.ensure_up(&|| !is_ending.load(SeqCst), &mut |elapsed| progress.show(elapsed));
        drop(progress);
        match up {
            // The process ends by the signal.
            Err(_) if is_ending.load(SeqCst) => return started.until_the_end(),
            Err(error) => {
                let mend = error.hint("llm-failover").unwrap_or_else(|| "see llm-failover logs".into());
                add(Check::problem("answers", Shown::line(error.without_log()), mend));
            }
            Ok(()) => try_link(context, link, limit, &mut add),
        }
    }
    started
}

/// What is known of a local model once it has answered.
struct Subject<'a> {
    asker: Asker<'a>,
    kind: ServerKind,
    /// The context that the server tells.
    said: Option<u32>,
}

impl Subject<'_> {
    fn mend(&self, failing: mend::Failing) -> Shown {
        let server = &self.asker.link.server;
        if failing == mend::Failing::Context && self.kind == ServerKind::LlamaCpp && server.is_ours() {
            return "llm-failover setup with a --model of a longer context, or a larger -c where the server is started".into();
        }
        mend::mend(failing, self.kind, server.endpoint())
    }

    /// For a trial that was not over in time.
    fn unfinished(&self, id: &'static str, told: &Told) -> Option<Check> {
        let text = match told.end.as_secs() {
            0 => "not tried: the trials before took all the time".into(),
            seconds => shown!("not tried to the end within {seconds} s"),
        };
        told.is_out_of_time.then(|| Check::warning(id, text, "more time for each trial: --limit SECONDS"))
    }

    /// What a failure says, without the key.
    fn why(&self, told: &Told) -> Shown {
        match &told.outcome {
            Ok(_) => Shown::default(),
            Err(error) => self.asker.line(error),
        }
    }
}

fn try_link(context: &Context, link: &Link, limit: Duration, add: &mut dyn FnMut(Check)) {
    link.models.forget();
    let endpoint = link.server.endpoint();
    let model = match link.models.find_patiently() {
        Ok(model) => model,
        Err(error) => {
            return add(Check::problem("answers", Shown::line(&error), shown!("set {}", endpoint.variable(Setting::Model))));
        }
    };
    let name = model.id.clone().unwrap_or_else(|| link.settings.sent_model().into());
    trying::show("whether it answers");
    let asker = Asker::new(link, name, limit, limit * TRIALS);
    // The model may have to be loaded first.
    let loaded = asker.ask_within(&questions::greeting(), limit.max(link.server.start_timeout()));
    let served = window::served(endpoint).unwrap_or_default();
    if let Some(check) = failed(&asker, &loaded, &served.names()) {
        return add(check);
    }
    let named = link.settings.model.as_deref().or(model.id.as_deref()).unwrap_or_default();
    let said = window::ask(endpoint, &served, named).tokens;
    let subject = Subject { asker: asker.again(), kind: model.server, said };
    add(Check::ok(
        "answers",
        shown!("`{}` at {}, after {:.1} s at the first call", model.name, endpoint.place(), seconds(&loaded)),
    )
    .with("seconds", seconds(&loaded)));
    trying::show("its speed");
    let nonce = uuid::Uuid::new_v4().simple().to_string();
    let speed = speed::measure(&subject, &nonce, add);
    trying::show("how long its context is");
    context::check(context, &subject, &speed, &nonce, add);
    trying::show("whether it calls tools");
    tools::check(&subject, add);
    trying::show("what its answers are like");
    form::check(&subject, &speed, add);
    add(memory::check(link));
}

fn seconds(told: &Told) -> f64 {
    told.first.unwrap_or(told.end).as_secs_f64()
}

/// The check of a model that has given no answer to the first question.
fn failed(asker: &Asker, told: &Told, names: &[&str]) -> Option<Check> {
    let link = asker.link;
    let (server, endpoint) = (&link.server, link.server.endpoint());
    let variable = |setting| endpoint.variable(setting);
    let error = match &told.outcome {
        // A small model that says nothing is told of by the other trials.
        Ok(_) => return None,
        Err(_) if told.is_out_of_time && told.first.is_some() => {
            let text = shown!("it answers, and has not come to an end within {:.0} s", told.end.as_secs_f64());
            let mend = "see whether the server keeps to max_tokens, or give it more time: --limit SECONDS";
            return Some(Check::problem("answers", text, mend));
        }
        Err(_) if told.is_out_of_time => {
            let text = shown!("no answer within {:.0} s", told.end.as_secs_f64());
            let mend = shown!("a smaller model ({}), or more time: --limit SECONDS", variable(Setting::Model));
            return Some(Check::problem("answers", text, mend));
        }
        Err(error) => error,
    };
    let mend = match error {
        CompletionError::UnknownModel(_) if !names.is_empty() => {
            const MOST_NAMED: usize = 10;
            let names: Vec<String> = names.iter().take(MOST_NAMED).map(|name| format!("`{name}`")).collect();
            shown!("set {} to one of {}", variable(Setting::Model), names.join(", "))
        }
        CompletionError::UnknownModel(_) => shown!("check {}", variable(Setting::Model)),
        CompletionError::Refusal(refusal) if matches!(refusal.status, 401 | 403) => shown!("check {}", variable(Setting::ApiKey)),
        CompletionError::ExtraUntaken { key, .. } => shown!("take `{key}` out of LOCAL_LLM_EXTRA_BODY"),
        _ if server.is_ours() => "see llm-failover logs".into(),
        _ => shown!("see the server's log; check {} and {}", variable(Setting::Url), variable(Setting::Model)),
    };
    Some(Check::problem("answers", asker.line(error), mend))
}
