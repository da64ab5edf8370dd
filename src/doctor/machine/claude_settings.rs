//! What Claude Code's own settings and environment have that works against this program. Values are named only where they hold no
//! secret.

mod sources;

use std::collections::BTreeSet;

use crate::completions::endpoint::Endpoint;
use crate::completions::server_address::ServerAddress;
use crate::context::Context;
use crate::doctor::check::Check;
use crate::doctor::machine::claude_settings::sources::{Source, sources};
use crate::settings::url::without_secrets;
use crate::shown::{Shown, shown};
use crate::text::parse_yes_or_no;

const ID: &str = "claude-settings";

const PROXIES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The variables that select another provider, whose limits and outages are others.
const PROVIDERS: [&str; 4] =
    ["CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY", "CLAUDE_CODE_USE_GATEWAY"];

pub(super) fn checks(context: &Context) -> Vec<Check> {
    let (sources, unreadable) = sources(context);
    let mut checks: Vec<Check> = unreadable
        .into_iter()
        .map(|place| {
            Check::warning(ID, shown!("{place} is not JSON, or cannot be read"), "mend it: Claude Code passes over all of it")
        })
        .collect();
    let endpoints: Vec<Endpoint> = context.settings.links().filter_map(|link| Endpoint::of_link(context, link).ok()).collect();
    checks.extend(sources.iter().flat_map(|source| of_source(source, &endpoints)));
    checks.extend(proxy_on_the_way(context, &endpoints));
    if checks.is_empty() {
        checks.push(Check::ok(ID, "nothing in them works against this program"));
    }
    checks
}

fn of_source(source: &Source, endpoints: &[Endpoint]) -> Vec<Check> {
    let found =
        [base_url(source, endpoints), key_helper(source), provider(source), watchdog(source), hooks(source), proxies(source)];
    found.into_iter().flatten().collect()
}

fn base_url(source: &Source, endpoints: &[Endpoint]) -> Option<Check> {
    let url = source.variable("ANTHROPIC_BASE_URL")?;
    let shown = shown!("{}: ANTHROPIC_BASE_URL is {}", source.place, without_secrets(&url));
    let asked = ServerAddress::parse(url.trim())?;
    if url.contains("//api.anthropic.com") {
        return None;
    }
    if endpoints.iter().any(|endpoint| endpoint.server_address().as_ref() == Some(&asked)) {
        return Some(Check::warning(
            ID,
            shown!("{shown}, a local model of yours: each call is local, whatever the switch says"),
            source.mend("unset ANTHROPIC_BASE_URL"),
        ));
    }
    Some(match source.is_managed {
        true => Check::problem(
            ID,
            shown!("{shown}, and wins over ours: agents on the local model go there instead"),
            "ask your administrator; plain answers (`LOCAL_LLM_AGENT=never`) are not concerned",
        ),
        false => Check::warning(
            ID,
            shown!("{shown}: Claude is asked there, and what that host says is taken for Claude's limits"),
            source.mend("unset ANTHROPIC_BASE_URL"),
        ),
    })
}

fn key_helper(source: &Source) -> Option<Check> {
    source.settings["apiKeyHelper"].as_str().filter(|helper| !helper.is_empty())?;
    let shown = shown!("{}: apiKeyHelper gives Claude Code a key", source.place);
    Some(match source.is_managed {
        true => Check::problem(
            ID,
            shown!("{shown}, and wins over ours: agents on the local model fail, or carry that key to the gateway"),
            "ask your administrator, or set LOCAL_LLM_AGENT=never",
        ),
        false => Check::warning(
            ID,
            shown!("{shown}: the plan's limits do not count for it; agents on the local model run without it"),
            shown!("take apiKeyHelper out of {} if you have a plan", source.place),
        ),
    })
}

fn provider(source: &Source) -> Option<Check> {
    let name = PROVIDERS.iter().find(|name| source.is_yes(name))?;
    let shown = shown!("{}: {name} is set", source.place);
    Some(match source.is_managed {
        true => Check::problem(
            ID,
            shown!("{shown}, and wins over ours: agents on the local model go to that provider instead"),
            "ask your administrator, or set LOCAL_LLM_AGENT=never",
        ),
        false => Check::ok(ID, shown!("{shown}: Claude is asked through that provider")),
    })
}

fn watchdog(source: &Source) -> Option<Check> {
    source.is_yes("CLAUDE_CODE_RETRY_WATCHDOG").then(|| {
        let text = shown!(
            "{}: CLAUDE_CODE_RETRY_WATCHDOG is set, so Claude Code tries on through an outage, and no local model answers",
            source.place
        );
        Check::warning(ID, text, source.mend("unset CLAUDE_CODE_RETRY_WATCHDOG"))
    })
}

/// By hooks of ours a session at a terminal changes over to the local model.
fn hooks(source: &Source) -> Option<Check> {
    let name = ["disableAllHooks", "allowManagedHooksOnly"].into_iter().find(|name| source.settings[*name] == true)?;
    let text = shown!("{}: {name} turns hooks off, so a session at a terminal does not go over to the local model", source.place);
    Some(Check::warning(ID, text, shown!("take {name} out of {}", source.place)))
}

/// Variables in settings win over those that agents get.
fn proxies(source: &Source) -> Option<Check> {
    if source.is_environment {
        return None;
    }
    let exceptions = NO_PROXY.iter().find_map(|name| Some((name, source.variable(name)?)));
    if let Some((name, hosts)) = exceptions.filter(|(_, hosts)| !excepts(hosts, "127.0.0.1")) {
        let text = shown!("{}: {name} is `{hosts}`, so agents on the local model ask the proxy for the gateway", source.place);
        return Some(Check::warning(ID, text, shown!("add 127.0.0.1 to {name} there")));
    }
    None
}

/// A server on another machine is asked through the proxy of the environment.
fn proxy_on_the_way(context: &Context, endpoints: &[Endpoint]) -> Vec<Check> {
    let text_of = |name: &str| context.env(name).and_then(|value| value.into_string().ok());
    let Some((name, proxy)) = PROXIES.iter().find_map(|name| Some((*name, text_of(name)?))) else { return vec![] };
    let exceptions = NO_PROXY.iter().find_map(|name| text_of(name)).unwrap_or_default();
    let hosts: BTreeSet<&str> = endpoints.iter().filter(|one| !one.is_loopback()).map(Endpoint::host).collect();
    let through = hosts.into_iter().filter(|host| !excepts(&exceptions, host));
    let proxy = without_secrets(&proxy);
    through
        .map(|host| {
            let text = shown!("the environment: {name} is {proxy}, and the local model at {host} is asked through it");
            Check::warning("proxy", text, shown!("export NO_PROXY=\"$NO_PROXY,{host}\", unless that is meant"))
        })
        .collect()
}

/// Whether a list such as `localhost,.example.org` has the host.
fn excepts(hosts: &str, host: &str) -> bool {
    hosts.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let name = entry.trim_start_matches('*').trim_start_matches('.');
        entry == "*" || host == name || !name.is_empty() && host.ends_with(&format!(".{name}"))
    })
}

impl Source {
    fn variable(&self, name: &str) -> Option<String> {
        self.environment.get(name).filter(|value| !value.is_empty()).cloned()
    }

    fn is_yes(&self, name: &str) -> bool {
        self.variable(name).is_some_and(|value| parse_yes_or_no(&value) == Some(true))
    }

    /// What mends a variable: `unset NAME`.
    fn mend(&self, unset: &str) -> Shown {
        match self.is_environment {
            true => Shown::line(unset),
            false => shown!("take {} out of {}", unset.trim_start_matches("unset "), self.place),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::sources::of_file;
    use super::{Check, excepts, of_source};

    #[test]
    fn settings_of_an_administrator_win_over_ours() {
        let of = |settings: Value, is_managed| of_source(&of_file("`f`".into(), settings, is_managed), &[]);
        let table = [
            (json!({"env": {"ANTHROPIC_BASE_URL": "https://llm.corp.example/v1?key=secret"}}), 1, true),
            (json!({"env": {"ANTHROPIC_BASE_URL": "https://user:secret@llm.corp.example"}}), 1, true),
            (json!({"env": {"ANTHROPIC_BASE_URL": "https://api.anthropic.com"}}), 0, false),
            (json!({"apiKeyHelper": "print-secret"}), 1, true),
            (json!({"apiKeyHelper": ""}), 0, false),
            (json!({"env": {"CLAUDE_CODE_USE_BEDROCK": "1"}}), 1, true),
            (json!({"env": {"CLAUDE_CODE_USE_BEDROCK": "0"}}), 0, false),
            (json!({"allowManagedHooksOnly": true}), 1, false),
            (json!({"env": {"CLAUDE_CODE_RETRY_WATCHDOG": 1}}), 1, false),
            (json!({"env": {"NO_PROXY": "localhost"}}), 1, false),
            (json!({"env": {"NO_PROXY": "127.0.0.1"}}), 0, false),
            (json!({"permissions": {}}), 0, false),
        ];
        for (settings, count, is_problem) in table {
            let managed = of(settings.clone(), true);
            assert_eq!((managed.len(), managed.iter().any(Check::is_problem)), (count, is_problem), "{settings}");
            let users = of(settings.clone(), false);
            assert!(users.len() == count && !users.iter().any(Check::is_problem), "{settings}");
            let told = format!("{managed:?}{users:?}");
            assert!(!told.contains("secret"), "{told}");
        }
    }

    #[test]
    fn hosts_that_go_past_a_proxy() {
        let table = [
            ("127.0.0.1", "127.0.0.1", true),
            ("localhost, 127.0.0.1 ,::1", "127.0.0.1", true),
            ("*", "gpu.example", true),
            (".example.org", "gpu.example.org", true),
            ("*.example.org", "gpu.example.org", true),
            ("example.org", "example.org", true),
            ("example.org", "notexample.org", false),
            ("", "gpu.example", false),
            ("localhost", "127.0.0.1", false),
        ];
        for (hosts, host, expected) in table {
            assert_eq!(excepts(hosts, host), expected, "{hosts} {host}");
        }
    }
}
