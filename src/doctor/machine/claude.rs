//! The real Claude Code.

use crate::claude_code::locate;
use crate::claude_code::version::{self, COMPATIBLE_WITH, OLDEST_TRIED, Version};
use crate::context::Context;
use crate::doctor::check::Check;
use crate::error::Error;
use crate::shown::{Shown, shown};

pub(super) fn checks(context: &Context) -> Vec<Check> {
    let wanted = context.settings.claude_bin().map(|path| context.expand_home(path));
    let path = match locate::find(context) {
        Ok(path) => path,
        Err(error) => {
            let mend = error.hint("llm-failover").unwrap_or_else(|| "install Claude Code".into());
            return vec![Check::problem("claude", first_line(&error), mend)];
        }
    };
    let place = match wanted.as_ref().filter(|wanted| **wanted != path) {
        Some(wanted) => {
            let why = locate::look_at(wanted.clone()).skipped.map_or_else(Shown::default, |reason| shown!(": {reason}"));
            let text = shown!("`{}` runs, since CLAUDE_BIN is `{}`, which cannot{why}", path.display(), wanted.display());
            Check::warning("claude", text, "set CLAUDE_BIN to the absolute path of the real Claude Code")
        }
        None => Check::ok("claude", shown!("`{}`", path.display())),
    };
    vec![place, known(version::of(context, &path))]
}

fn known(version: Option<Version>) -> Check {
    let id = "claude-version";
    let update = "`claude update`, or npm install -g @anthropic-ai/claude-code";
    let Some(version) = version else {
        return Check::problem(id, "it does not say its version: `claude --version` fails", update);
    };
    let text = shown!("{}.{}.{}", version.0, version.1, version.2);
    match Version::parse(COMPATIBLE_WITH) {
        Some(newest) if version > newest => {
            let text = shown!("{text}, newer than {COMPATIBLE_WITH}, the newest that this claude-failover knows");
            Check::warning(id, text, "update claude-failover; `llm-failover drill limit` shows whether it works")
        }
        _ if version < OLDEST_TRIED => {
            let Version(major, minor, patch) = OLDEST_TRIED;
            Check::warning(id, shown!("{text}, older than {major}.{minor}.{patch}, the oldest that was tried"), update)
        }
        _ => Check::ok(id, shown!("{text}, which this claude-failover knows")),
    }
}

/// With what was skipped.
fn first_line(error: &Error) -> Shown {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim);
    let first = lines.next().unwrap_or_default().to_string();
    let rest: Vec<&str> = lines.collect();
    if rest.is_empty() { Shown::line(first) } else { shown!("{first}: {}", rest.join(", ")) }
}
