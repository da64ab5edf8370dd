//! The real Claude Code on the local model as a child of this process.

use jiff::Timestamp;

use crate::agent::launch::{AtTerminal, prepare};
use crate::answer;
use crate::claude_code::command_line::CommandLine;
use crate::claude_code::protocol::mark::Mark;
use crate::context::Context;
use crate::error::{Error, notice, report};
use crate::os::exit::Exit;
use crate::shown::shown;
use crate::state::ledger::{AnsweredBy, Entry, RouteName};
use crate::watch::next_try::NextTry;
use crate::watch::render::{Limits, Renderer};
use crate::watch::{GiveUpAfter, LocalSetup, Mode, Step, Watch, WatchOptions};

/// For a session whose stdin is read in part already. `prompt` replaces the caller's; `mark` says why it is here. An
/// error comes with what another try needs.
pub(crate) fn run(
    applet: &str,
    context: &Context,
    command_line: &CommandLine,
    next: NextTry,
    prompt: Option<String>,
    mark: Mark,
) -> std::result::Result<Exit, (Error, Box<NextTry>)> {
    let (begun, verdict) = (Timestamp::now(), mark.reason());
    let ready = match prepare(applet, context, command_line, true, &next.claude, AtTerminal::default()) {
        Ok(ready) => ready,
        Err(error) => return Err((error, next.into())),
    };
    notice(&shown!("{applet}: {}", ready.banner));
    let mut out = Renderer::new(answer::format(command_line), context.stdout_is_terminal(), Limits::default());
    out.set_mark(Some(mark));
    out.set_local_model(Some(ready.model.clone()));
    let options = WatchOptions {
        mode: Mode::PassedOn,
        give_up: GiveUpAfter::never(),
        limits_retries: false,
        local: Some(LocalSetup { ready, prompt }),
    };
    let mut watch = match Watch::start(applet, context, command_line, next, out, options) {
        Ok(watch) => watch,
        Err(error) => {
            report(applet, &error);
            return Ok(Exit::Code(error.exit_code()));
        }
    };
    loop {
        if let Step::Ended(exit) = watch.run() {
            let entry = Entry {
                verdict: Some(verdict.into()),
                exit: Some(exit.code()),
                ..Entry::new(applet, begun, RouteName::Agent, AnsweredBy::Local)
            };
            watch.record(entry).append(context);
            return Ok(exit);
        }
    }
}
