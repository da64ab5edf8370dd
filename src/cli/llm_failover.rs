//! `llm-failover`: the switch and the local server.

mod flip;
mod options;

use std::process::ExitCode;

use jiff::Timestamp;

use crate::claude_code::locate;
use crate::cli::llm_failover::options::{Action, Log, Options};
use crate::cli::status::{self, Status};
use crate::cli::{links, print, statusline};
use crate::context::Context;
use crate::drill::{self, DrillSuccess, Scenario};
use crate::error::{self, Result, report, warn};
use crate::gateway;
use crate::local_model::chain::Chain;
use crate::server::Server;
use crate::server::files::last_lines;
use crate::state::flag::Flag;
use crate::state::ledger;

const NAME: &str = "llm-failover";

pub(crate) fn run(context: &Context) -> ExitCode {
    match options::parse(context).and_then(|options| options.map_or(Ok(ExitCode::SUCCESS), |options| act(context, &options))) {
        Ok(code) => code,
        Err(error) => report(NAME, &error),
    }
}

fn act(context: &Context, options: &Options) -> Result<ExitCode> {
    let command = Command { context, is_quiet: options.quiet };
    match &options.action {
        _ if options.version => print(&format!("{NAME} {}\n", env!("CARGO_PKG_VERSION"))),
        None => command.status(false)?,
        Some(Action::Status(options)) => command.status(options.json)?,
        Some(Action::Statusline(_)) => print(&statusline::line(context)?),
        Some(Action::Local(_)) => command.to_local()?,
        Some(Action::Claude(_)) => command.to_claude()?,
        Some(Action::Auto(_)) => command.to_auto()?,
        Some(Action::Start(_)) => {
            let port = command.start(|| Ok(()))?;
            command.say(&format!("local server: UP (port {port})"));
        }
        Some(Action::Stop(_)) => command.stop("local server: down (lazy)")?,
        Some(Action::Logs(options)) => {
            let log = Server::new(context)?.log_file();
            let lines = last_lines(&log, options.lines);
            if !log.exists() {
                error::say(&format!("{NAME}: no log yet at `{}`", log.display()));
            }
            print(&lines.iter().map(|line| format!("{line}\n")).collect::<String>());
        }
        Some(Action::Drill(options)) => return drill(context, options.trouble),
        Some(Action::Gateway(options)) => command.gateway(options.port)?,
        Some(Action::Log(options)) => print(&log(context, options)?),
    }
    Ok(ExitCode::SUCCESS)
}

/// The exit code is 0 for a local answer alone.
fn drill(context: &Context, scenario: Scenario) -> Result<ExitCode> {
    match drill::run(context, scenario, &|line| print(&format!("{line}\n")))? {
        DrillSuccess::AnsweredLocally => Ok(ExitCode::SUCCESS),
        DrillSuccess::LeftToClaude(why) => {
            error::say(&format!("{NAME}: not answered locally, as it should be: {why}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn log(context: &Context, options: &Log) -> Result<String> {
    let lines = ledger::read(context)?;
    if lines.is_empty() {
        error::say(&format!("{NAME}: no calls in the ledger yet"));
    }
    let is_wanted = |line: &&ledger::LedgerLine| options.since.is_none_or(|since| line.entry.time >= since);
    Ok(match options.since {
        Some(since) if !options.json => {
            let entries: Vec<_> = lines.iter().map(|line| &line.entry).collect();
            ledger::summary::summarize(&entries, since, Timestamp::now())
        }
        since => {
            let count = if since.is_some() { usize::MAX } else { options.lines };
            let wanted: Vec<_> = lines.iter().filter(is_wanted).collect();
            let last = &wanted[wanted.len().saturating_sub(count)..];
            match options.json {
                true => last.iter().map(|line| format!("{}\n", line.raw)).collect(),
                false => ledger::table::table(&last.iter().map(|line| &line.entry).collect::<Vec<_>>()),
            }
        }
    })
}

struct Command<'a> {
    context: &'a Context,
    is_quiet: bool,
}

impl Command<'_> {
    fn say(&self, line: &str) {
        if !self.is_quiet {
            print(&format!("{line}\n"));
        }
    }

    fn status(&self, json: bool) -> Result<()> {
        let flag = Flag::new(self.context)?;
        let (backend, warning) = flag.read();
        if let Some(warning) = warning {
            warn(NAME, &warning);
        }
        let chain = Chain::with_small_model(self.context);
        let read = chain.and_then(|chain| Ok((Status::read(self.context, &chain, &flag, backend)?, chain)));
        let (status, chain) = read.inspect_err(|_| {
            if !json {
                print(&status::backend_line(backend));
            }
        })?;
        print(&if json { status.json() } else { status.text() });
        self.warn_of_another_claude();
        self.warn_of_links(&chain);
        if let Some(unused) = self.context.settings.unused_links() {
            warn(NAME, &unused);
        }
        for name in self.context.settings.unknown_in_file() {
            warn(NAME, &format!("`{name}` in the settings file is no setting"));
        }
        Ok(())
    }

    fn warn_of_links(&self, chain: &Chain) {
        links::warnings(NAME, self.context, chain).iter().for_each(|warning| warn(NAME, warning));
    }

    /// Prints two lines for a shell: the gateway's address and its token.
    fn gateway(&self, port: u16) -> Result<()> {
        let token = self.context.settings.gateway_token()?.unwrap_or_else(gateway::token);
        let printed_token = token.clone();
        gateway::serve(self.context, port, token, |port| {
            print(&format!("export ANTHROPIC_BASE_URL=http://127.0.0.1:{port}\nexport ANTHROPIC_AUTH_TOKEN={printed_token}\n"));
        })
    }

    /// Calls of a `claude` that is earlier on PATH than ours ignore the flag, and nothing else shows it.
    fn warn_of_another_claude(&self) {
        if let Some(path) = locate::before_us_on_path(self.context) {
            warn(
                NAME,
                &format!(
                    "`claude` on your PATH is `{}`, which does not read the switch; put our folder before it",
                    path.display()
                ),
            );
        }
    }
}
