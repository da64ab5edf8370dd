//! The real Claude Code on the local model as a child of this process.

use jiff::Timestamp;

use crate::agent::launch::prepare;
use crate::answer;
use crate::claude_code::command_line::CommandLine;
use crate::claude_code::locate;
use crate::claude_code::protocol::mark::Mark;
use crate::context::Context;
use crate::error::{Error, notice, report};
use crate::os::exit::Exit;
use crate::state::ledger::{AnsweredBy, Entry, RouteName};
use crate::stdin::Stdin;
use crate::watch::next_try::NextTry;
use crate::watch::render::{Limits, Renderer};
use crate::watch::{GiveUpAfter, LocalSetup, Mode, Step, Watch, WatchOptions};

/// For a session whose first line is read already. An error comes with the session's stdin.
pub(crate) fn run(
    applet: &str,
    context: &Context,
    command_line: &CommandLine,
    stdin: Stdin,
) -> std::result::Result<Exit, (Error, Stdin)> {
    let begun = Timestamp::now();
    let found = locate::announce(applet, context)
        .and_then(|program| prepare(context, command_line, true, &program).map(|ready| (program, ready)));
    let (program, ready) = match found {
        Ok(found) => found,
        Err(error) => return Err((error, stdin)),
    };
    notice(&format!("{applet}: {}", ready.banner));
    let mut out = Renderer::new(answer::format(command_line), context.stdout_is_terminal(), Limits::default());
    out.set_mark(Some(Mark::by_flag()));
    out.set_local_model(Some(ready.model.clone()));
    let options = WatchOptions {
        mode: Mode::PassedOn,
        give_up: GiveUpAfter::never(),
        limits_retries: false,
        local: Some(LocalSetup { ready, prompt: None }),
    };
    let mut watch = match Watch::start(applet, context, command_line, NextTry::first(program, stdin), out, options) {
        Ok(watch) => watch,
        Err(error) => {
            report(applet, &error);
            return Ok(Exit::Code(error.exit_code()));
        }
    };
    loop {
        if let Step::Ended(exit) = watch.run() {
            let entry = Entry {
                verdict: Some(Mark::by_flag().reason().into()),
                exit: Some(exit.code()),
                ..Entry::new(applet, begun, RouteName::Agent, AnsweredBy::Local)
            };
            watch.record(entry).append(context);
            return Ok(exit);
        }
    }
}
