//! Whether the local servers are there, and what others on the way to them can read.

use crate::completions::endpoint::Endpoint;
use crate::context::Context;
use crate::doctor::check::Check;
use crate::local_model::chain::{Chain, Link};
use crate::server::probe::ServerState;
use crate::settings::{FIRST, Setting};
use crate::shown::{Shown, shown};

pub(super) fn checks(context: &Context) -> Vec<Check> {
    // What is wrong with the settings is told elsewhere.
    let Ok(chain) = Chain::new(context) else { return vec![] };
    let is_meant = context.settings.is_insecure_on_purpose("llm-failover");
    let mut checks = Vec::new();
    for link in chain.main_links() {
        checks.push(answers(link).of_link(link.number()));
        let endpoint = link.server.endpoint();
        checks.extend(in_clear(endpoint, is_meant).map(|check| check.of_link(link.number())));
    }
    checks
}

fn answers(link: &Link) -> Check {
    let (server, id) = (&link.server, "server");
    let url = server.endpoint().place();
    let check_url = shown!("check {}", server.endpoint().variable(Setting::Url));
    match server.state() {
        ServerState::Up => Check::ok(id, shown!("it answers at {url}")),
        ServerState::Down if server.is_ours() => match server.check_installed() {
            Ok(()) => Check::ok(id, shown!("down (lazy): {} starts it at {url} when it is needed", server.supervisor_name())),
            Err(error) => {
                let mend = error.hint("llm-failover").unwrap_or_else(|| check_url.clone());
                Check::problem(id, Shown::line(&error), mend)
            }
        },
        ServerState::Down => {
            let text = shown!("nothing answers at {url}, and that server is not ours to start");
            let mend = shown!("start it yourself, or {check_url}");
            if link.number() == FIRST { Check::problem(id, text, mend) } else { Check::warning(id, text, mend) }
        }
        ServerState::Loading => Check::warning(id, shown!("it is loading its model at {url}"), "run this again in a moment"),
        ServerState::Hung => Check::problem(id, shown!("it listens at {url}, but does not answer"), restart(link)),
        ServerState::Dead(why) => Check::problem(id, shown!("it runs at {url}, but its model does not: {why}"), restart(link)),
        ServerState::Foreign(what) => Check::problem(id, shown!("{url}: {what}"), check_url),
    }
}

fn restart(link: &Link) -> Shown {
    match link.server.is_ours() {
        true => "llm-failover stop, then llm-failover start; see llm-failover logs".into(),
        false => shown!("restart it, or check {}", link.server.endpoint().variable(Setting::Url)),
    }
}

/// What goes over the net in clear text. A key there is anybody's.
fn in_clear(endpoint: &Endpoint, is_meant: bool) -> Option<Check> {
    let id = "clear-text";
    let (url, key) = (endpoint.place(), endpoint.key().map(|_| endpoint.variable(Setting::ApiKey)));
    if !endpoint.is_open_to_the_net() {
        return key.map(|key| Check::ok(id, shown!("{key} stays on this machine, or goes by TLS")));
    }
    let mend = "use an https address or a tunnel, or set LOCAL_LLM_INSECURE=1 if nobody else is on that net";
    Some(match key {
        _ if is_meant => Check::ok(id, shown!("what is asked goes to {url} in clear text, as LOCAL_LLM_INSECURE says")),
        Some(key) => Check::problem(id, shown!("{key}, prompts and answers go to {url} in clear text"), mend),
        None => Check::warning(id, shown!("prompts and answers go to {url} in clear text"), mend),
    })
}
