//! The whole way of a call, and of a message to the user.

use std::cell::RefCell;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::claude_code::locate;
use crate::context::Context;
use crate::doctor::Options;
use crate::doctor::check::{Check, Report};
use crate::drill::{self, Scenario};
use crate::server::Server;
use crate::server::command::run_within;
use crate::server::probe::ServerState;
use crate::shown::{Shown, shown};
use crate::state::notify;

/// How long the user's program may take with a message.
const PATIENCE: Duration = Duration::from_secs(30);

const DRILL: &str = "llm-failover drill limit";

pub(super) fn check(context: &Context, options: Options, report: &mut Report) {
    report.add(match report.is_without_answer() {
        true => left_out("the local model does not answer"),
        false => drill(context, options.quick),
    });
    report.add_all(message(context, options.notify));
}

/// A limit, played. In a quick run nothing is started for it.
fn drill(context: &Context, is_quick: bool) -> Check {
    let id = "drill";
    let Ok(server) = Server::new(context) else { return left_out("the settings of the local server cannot be used") };
    if locate::find(context).is_err() {
        return left_out("there is no real Claude Code");
    }
    match server.state() {
        ServerState::Up => {}
        ServerState::Down if server.is_ours() && server.check_installed().is_ok() => {
            if is_quick {
                return Check::ok(id, shown!("left out with --quick, since the local server would have to start: {DRILL}"));
            }
        }
        _ => return left_out("the local server does not answer"),
    }
    let (begun, steps) = (Instant::now(), RefCell::new(Vec::new()));
    let outcome = drill::run(context, Scenario::Limit, &|step| steps.borrow_mut().push(step.clone()));
    let seconds = begun.elapsed().as_secs_f64();
    match outcome {
        Ok(_) => Check::ok(id, shown!("a call at a limit was answered locally, {seconds:.1} s in all")).with("seconds", seconds),
        Err(error) => {
            let is_telling = |step: &&Shown| !step.contains("stopped again") && !step.contains("the call ends with");
            let last = steps.borrow().iter().rev().find(is_telling).cloned().unwrap_or_default();
            let (_, last) = last.split_once(" s  ").unwrap_or(("", &last));
            Check::problem(id, shown!("{error}: {last}"), shown!("see {DRILL}"))
        }
    }
}

fn left_out(why: &'static str) -> Check {
    Check::warning("drill", shown!("not played: {why}"), shown!("mend that, then {DRILL}"))
}

fn message(context: &Context, is_wanted: bool) -> Option<Check> {
    let id = "notify";
    let text: Shown = "claude-failover: a test message of `llm-failover doctor --notify`".into();
    let Some((path, mut command)) = notify::command(context, &text) else {
        let mend = "set LLM_NOTIFY_CMD to the absolute path of a program that takes the message as its argument";
        return is_wanted.then(|| Check::problem(id, "LLM_NOTIFY_CMD is not set, so no message goes out", mend));
    };
    let shown = shown!("{}", path.display());
    if !is_wanted {
        return Some(Check::ok(id, shown!("messages go to `{shown}`; llm-failover doctor --notify tries it")));
    }
    let mend = shown!("mend `{shown}`, or set LLM_NOTIFY_CMD to another program");
    Some(match run_within(command.stdin(Stdio::null()), PATIENCE) {
        Err(error) => Check::problem(id, notify::cannot_run(&path, &error), mend),
        Ok(None) => {
            let text = shown!("`{shown}` had not ended after {} s, and was ended", PATIENCE.as_secs());
            Check::problem(id, text, mend)
        }
        Ok(Some(output)) => {
            const LONGEST: usize = 300;
            let stderr = Shown::squeezed(String::from_utf8_lossy(&output.stderr)).at_most(LONGEST);
            let said = if stderr.is_empty() { Shown::default() } else { shown!(", and said: {stderr}") };
            let status = output.status.to_string().replace("exit status:", "exit code");
            match output.status.success() {
                true => Check::ok(id, shown!("`{shown}` took a message and ended with {status}{said}")),
                false => Check::problem(id, shown!("`{shown}` ended with {status}{said}"), mend),
            }
        }
    })
}
