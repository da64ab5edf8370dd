//! mlx-lm: on Apple Silicon, and on a processor alone for tests.

use std::path::Path;

use crate::context::Context;
use crate::error::Result;
use crate::setup::engine::python::Package;
use crate::setup::engine::{Source, no_such_model, path_of};
use crate::shown::shown;

const ON_MAC: Package =
    Package { module: "mlx_lm", title: "mlx-lm", args: &["mlx-lm"], download: 120_000_000, disk: 400_000_000 };

const ELSEWHERE: Package =
    Package { module: "mlx_lm", title: "mlx-lm", args: &["mlx-lm", "mlx[cpu]"], download: 120_000_000, disk: 400_000_000 };

pub(super) fn packages(is_mac: bool) -> Vec<Package> {
    vec![if is_mac { ON_MAC } else { ELSEWHERE }]
}

pub(super) fn source(context: &Context, model: &str) -> Result<Source> {
    if let Some(path) = path_of(context, model)? {
        if !path.join("config.json").is_file() {
            let reason = shown!("there is no config.json in `{}`: no model for mlx-lm", path.display());
            return Err(no_such_model(reason));
        }
        return Ok(Source::Path(path));
    }
    let is_repo = model.split('/').count() == 2 && model.split('/').all(is_name);
    let neither = || no_such_model(shown!("no such model: `{model}` is neither a folder nor ORG/NAME of the hub"));
    if is_repo { Ok(Source::Hub { repo: model.into(), file: None }) } else { Err(neither()) }
}

/// A part of a name on the hub.
pub(super) fn is_name(part: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_allowed)
}

/// The server's command line. A property list has the same words (`launchd/com.local.mlxserver.plist`).
pub(super) fn command(python: &Path, model: &str) -> Vec<String> {
    let words = ["-m", "mlx_lm", "server", "--model", model, "--host", "127.0.0.1"];
    // No web page may ask it; and it gives a sign of life once for each step while it reads a long prompt.
    let rest = ["--allowed-origins", "http://127.0.0.1", "--prefill-step-size", "256"];
    [python.display().to_string()].into_iter().chain(words.into_iter().chain(rest).map(str::to_string)).collect()
}
