//! What `cargo fuzz` runs: what must hold for any bytes of others, a function for each target. It is not a part of the program.
//!
//! A target reads the bytes in each way that the program has, and fails if that depends on how they are cut, if they mean something
//! else once they are written again, or if more comes of them than they say.

use std::path::Path;

use serde_json::Value;

use crate::claude_code::fuzzing::{command_line, input_lines, json_schema, refusals, transcripts};
use crate::completions::endpoint::Endpoint;
use crate::completions::fuzzing::{chat, dialects, server_words, sse};
use crate::context::fuzzing::with_settings;
use crate::gateway::fuzzing::messages;
use crate::local_model::server_memory::fuzzing::{models, servers_file};
use crate::shown::Shown;
use crate::state::breaker::fuzzing::breaker;
use crate::state::fuzzing::{flag, ledger, sessions};
use crate::watch::fuzzing::claude_lines;

type Target = fn(&[u8], &Path);

/// The targets of `tests/fuzz`. The folder is for files, and nothing else uses it.
pub const TARGETS: [(&str, Target); 15] = [
    ("breaker", breaker),
    ("chat", |bytes, _| chat(bytes)),
    ("claude_lines", |bytes, _| claude_lines(bytes)),
    ("command_line", |bytes, _| command_line(bytes)),
    ("config", |bytes, _| config(bytes)),
    ("dialects", |bytes, _| dialects(bytes)),
    ("input_lines", |bytes, _| input_lines(bytes)),
    ("json_schema", |bytes, _| json_schema(bytes)),
    ("messages", |bytes, _| messages(bytes)),
    ("refusals", |bytes, _| refusals(bytes)),
    ("server_words", |bytes, _| {
        server_words(bytes);
        models(bytes);
    }),
    ("shown", |bytes, _| shown(bytes)),
    ("sse", |bytes, _| sse(bytes)),
    ("state_files", |bytes, folder| {
        flag(bytes, folder);
        ledger(bytes);
        servers_file(bytes, folder);
        sessions(bytes, folder);
    }),
    ("transcripts", transcripts),
];

/// Runs the target with this name.
pub fn run(name: &str, bytes: &[u8], folder: &Path) {
    for (_, target) in TARGETS.iter().filter(|(known, _)| *known == name) {
        target(bytes, folder);
    }
}

/// Any text on its way to a terminal.
fn shown(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (line, lines, squeezed) = (Shown::line(&text), Shown::lines(&text), Shown::squeezed(&text));
    assert!(!line.contains(char::is_control) && !squeezed.contains(char::is_control), "{line:?}");
    assert!(!lines.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{lines:?}");
    assert_eq!((Shown::line(&line), Shown::lines(&lines), Shown::squeezed(&squeezed)), (line.clone(), lines, squeezed));
    assert!(line.clone().at_most(9).chars().count() <= 9 && line.starts_with(&*line.clone().at_most(9)));
    if let Ok(value) = serde_json::from_str::<Value>(&text) {
        let json = Shown::json(&text);
        assert!(!json.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{json:?}");
        assert_eq!(serde_json::from_str(&json).ok(), Some(value), "{json}");
    }
}

/// The settings file.
fn config(bytes: &[u8]) {
    let context = with_settings(bytes);
    let settings = &context.settings;
    assert!(settings.unknown_in_file().iter().all(|name| name.starts_with("LLM_") || name.starts_with("LOCAL_LLM_")));
    settings.unused_links();
    assert!(settings.max_tokens().is_ok_and(|most| most > 0) || settings.max_tokens().is_err());
    assert!(
        settings.temperature().is_ok_and(|temperature| temperature.is_finite() && temperature >= 0.0)
            || settings.temperature().is_err()
    );
    let token = settings.gateway_token().ok().flatten().unwrap_or_default();
    assert!(!token.contains(|c: char| c.is_whitespace() || c.is_control()), "{token:?}");
    for link in settings.links() {
        let key = settings.api_key(link).ok().flatten().unwrap_or_default();
        assert!(key.bytes().all(|byte| byte.is_ascii_graphic()), "what no header can carry: {key:?}");
        drop((settings.model(link), settings.window(link)));
        let Ok(endpoint) = Endpoint::of_link(&context, link) else { continue };
        let shown = endpoint.shown();
        assert!(!shown.contains(['@', '?', '#']), "a secret may be shown: {shown}");
        assert!(shown.starts_with("http"), "{shown}");
    }
    drop((settings.idle_timeout(), settings.local_retries(), settings.extra_body(), settings.port(), settings.start_timeout()));
    drop((settings.idle_unload(), settings.policy("claude"), settings.supervisor(), settings.is_quiet()));
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Those that were found to break something are among them.
    #[test]
    fn every_seed_holds() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
        let folder = tempfile::tempdir().expect("a folder");
        for (name, target) in TARGETS {
            let seeds = fs::read_dir(corpus.join(name)).expect("its seeds").map(|seed| seed.expect("a seed").path());
            let seeds: Vec<_> = seeds.collect();
            assert!(seeds.len() > 1, "{name}");
            for seed in seeds {
                eprintln!("{}", seed.display());
                target(&fs::read(&seed).expect("its bytes"), folder.path());
            }
        }
    }
}
