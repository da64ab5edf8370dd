//! The snippets for editors and services: valid, with the path at which the installer puts our links.

use serde_json::Value;

use super::{blocks, read};
use crate::support::stub::Stub;
use crate::support::{BINARY, Sandbox};

const PAGE: &str = "docs/integrations.md";

/// Below a home folder.
const LINK: &str = "/.local/share/claude-failover/bin/claude";

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(object) => object.values().flat_map(texts).collect(),
        Value::String(text) => vec![text],
        _ => vec![],
    }
}

#[test]
fn settings_are_json_with_our_path() {
    let snippets = blocks(PAGE, "json");
    assert_eq!(snippets.len(), 4);
    for snippet in snippets {
        let settings: Value = serde_json::from_str(&snippet).unwrap_or_else(|error| panic!("{error}: {snippet}"));
        let is_ours = |text: &&str| *text == format!("/home/me{LINK}") || text.starts_with("http://127.0.0.1:9421");
        assert!(texts(&settings).iter().any(is_ours), "{snippet}");
    }
    let [workflow] = blocks(PAGE, "yaml").try_into().expect("one");
    assert!(workflow.contains(&format!("path_to_claude_code_executable: /home/runner{LINK}\n")), "{workflow}");
}

#[test]
fn the_timer_s_service_runs_without_a_path() {
    let [service, timer] = blocks(PAGE, "ini").try_into().expect("two");
    let value = |name: &str| service.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).expect("a value");
    assert!(value("StandardInput") == "file:%h/notes.txt" && timer.contains("OnCalendar=*-*-* 06:30\n"));
    let stub = Stub::answering("Three things.");
    let sandbox = Sandbox::new();
    sandbox.cmd(*BINARY).arg("--install").arg(sandbox.path(&LINK[1..LINK.len() - "/claude".len()])).run();
    sandbox.write(".config/claude-failover/config.env", format!("LLM_SUPERVISOR=none\nLOCAL_LLM_URL={}\n", stub.url()));
    sandbox.switch("local");
    // systemd reads quotes and `%h` as here.
    let line = value("ExecStart").replace("%h", "$HOME");
    let call = sandbox.cmd("/bin/sh").args(&["-c", &line]).env("PATH", "/usr/bin:/bin").stdin("The roof leaks.\n");
    call.run().expect(0, "Three things.\n", "");
    assert!(read(PAGE).contains("`--add-host=host.docker.internal:host-gateway`"));
}

#[test]
fn the_image_s_lines_link_our_names_where_path_begins() {
    let [image] = blocks(PAGE, "dockerfile").try_into().expect("one");
    let place = image.split_once("--install ").and_then(|(_, rest)| rest.lines().next()).expect("a folder");
    assert!(
        image.contains(&format!("COPY claude-failover {place}/claude-failover\n"))
            && image.contains(&format!("PATH={place}:$PATH"))
    );
}
