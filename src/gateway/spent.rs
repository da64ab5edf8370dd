//! What an agent has read and written on the local model, for its line in the ledger.
//!
//! The process that runs the agent asks its gateway for it. An agent that this process has become has nobody left who could: then the
//! gateway writes the line itself.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ureq::Agent;

use crate::completions::chunk::Usage;
use crate::context::Context;
use crate::gateway::question::Question;
use crate::gateway::upstream::Upstream;
use crate::names::GATEWAY_ENTRY;
use crate::state::ledger::Entry;

/// Where a gateway tells it.
pub(super) const PATH: &str = "/spent";

/// How long a gateway may take to say it.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Spent {
    input_tokens: u64,
    output_tokens: u64,
    /// The model that has answered last.
    model: Option<String>,
    /// The address of its server, unless it is the first of the chain.
    server: Option<String>,
}

impl Spent {
    /// What the gateway of an agent says. None if the agent has asked nothing.
    pub(crate) fn of_gateway(port: u16, token: &str) -> Option<Spent> {
        let agent: Agent = Agent::config_builder().proxy(None).timeout_global(Some(PATIENCE)).build().into();
        let request = agent.get(format!("http://127.0.0.1:{port}{PATH}")).header("authorization", format!("Bearer {token}"));
        let text = request.call().ok()?.body_mut().read_to_string().ok()?;
        serde_json::from_str(&text).ok().filter(Spent::is_any)
    }

    fn is_any(&self) -> bool {
        self.model.is_some()
    }

    /// The entry with that.
    pub(crate) fn complete(self, entry: Entry) -> Entry {
        Entry {
            model: self.model.or(entry.model),
            server: self.server,
            input_tokens: Some(self.input_tokens),
            output_tokens: Some(self.output_tokens),
            ..entry
        }
    }
}

/// The sum over all answers of a gateway.
#[derive(Default)]
pub(super) struct Sum(Mutex<Spent>);

impl Sum {
    pub(super) fn so_far(&self) -> Spent {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Upstream {
    /// An answer has come, whatever is made of it.
    pub(super) fn count_spent(&self, question: &Question, usage: Usage) {
        let (link, mut sum) = (self.link(question), self.marks.spent.0.lock().unwrap_or_else(PoisonError::into_inner));
        sum.input_tokens = sum.input_tokens.saturating_add(usage.input).saturating_add(usage.cached);
        sum.output_tokens = sum.output_tokens.saturating_add(usage.output);
        (sum.model, sum.server) = (Some(link.name()), link.other_url());
    }

    /// The line of an agent whose end nobody else sees: it ends now.
    pub(super) fn record_end(&self, context: &Context) {
        let begun = context.env(GATEWAY_ENTRY).and_then(|entry| serde_json::from_str::<Entry>(entry.to_str()?).ok());
        let Some(entry) = begun else { return };
        let seconds = Timestamp::now().duration_since(entry.time).as_secs_f64().max(0.0);
        let entry = Entry { seconds, ..entry };
        let spent = self.marks.spent.so_far();
        if spent.is_any() { spent.complete(entry) } else { entry }.append(context);
    }
}
