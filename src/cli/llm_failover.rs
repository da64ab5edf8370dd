//! `llm-failover`: the switch and the local server.

mod completions;
mod config;
mod config_options;
mod editor;
mod flip;
mod log;
mod options;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::claude_code::on_path;
use crate::cli::llm_failover::options::{Action, Dashboard, Drill, Options};
use crate::cli::{print, print_line, print_painted, statusline};
use crate::context::Context;
use crate::dashboard::{self, api::Api};
use crate::doctor;
use crate::drill::{self, DrillSuccess, SCENARIOS, Scenario};
use crate::error::{self, Error, Result, report, warn};
use crate::gateway;
use crate::local_model::chain::Chain;
use crate::server::Server;
use crate::server::files::last_lines;
use crate::setup;
use crate::shown::{Shown, shown};
use crate::state::daily;
use crate::state::flag::{Backend, Flag};
use crate::status::{self, Status, links};

pub(super) const NAME: &str = "llm-failover";

pub(crate) fn run(context: &Context) -> ExitCode {
    match options::parse(context).and_then(|options| options.map_or(Ok(ExitCode::SUCCESS), |options| act(context, &options))) {
        Ok(code) => code,
        Err(error) => report(NAME, &error),
    }
}

fn act(context: &Context, options: &Options) -> Result<ExitCode> {
    let command = Command { context, is_quiet: options.quiet };
    if matches!(options.action, None | Some(Action::Status(_) | Action::Statusline(_) | Action::Log(_))) && !options.version {
        daily::send_if_due(context, NAME);
    }
    match &options.action {
        _ if options.version => print_line(&shown!("{NAME} {}", env!("CARGO_PKG_VERSION"))),
        None => command.status(false)?,
        Some(Action::Status(options)) => command.status(options.json)?,
        Some(Action::Statusline(options)) => print_painted(&statusline::line(context, options.format)?),
        Some(Action::Local(_)) => command.to_local()?,
        Some(Action::Claude(_)) => command.to_claude()?,
        Some(Action::Auto(options)) => command.to_auto(options.check)?,
        Some(Action::Start(_)) => {
            let port = command.start(|| Ok(()))?;
            command.say(&shown!("local server: UP (port {port})"));
        }
        Some(Action::Stop(_)) => command.stop(true)?,
        Some(Action::Config(options)) => return command.config(options),
        Some(Action::Logs(options)) => {
            let server = Server::new(context)?;
            let log = server.log_file();
            let lines = last_lines(&log, options.lines);
            match log.exists() {
                true => {}
                false if server.is_ours() => error::say(&shown!("{NAME}: no log yet at `{}`", log.display())),
                false => {
                    let place = server.endpoint().place();
                    error::say(&shown!("{NAME}: the server at {place} is not ours, and has a log of its own"));
                }
            }
            print(&Shown::lines(lines.iter().map(|line| format!("{line}\n")).collect::<String>()));
        }
        Some(Action::Drill(Drill { trouble: Some(trouble) })) => return drill(context, *trouble),
        // None was played.
        Some(Action::Drill(Drill { trouble: None })) => {
            print(&drills());
            return Ok(ExitCode::FAILURE);
        }
        Some(Action::Completions(options)) => print(&completions::script(options.shell)),
        Some(Action::Gateway(options)) => command.gateway(options.port)?,
        Some(Action::Dashboard(options)) => command.dashboard(options)?,
        Some(Action::Doctor(options)) => {
            let limit = Duration::from_secs(options.limit.max(1));
            let options = doctor::Options { quick: options.quick, json: options.json, notify: options.notify, limit };
            return Ok(doctor::run(context, options, &doctor::Printers { line: &print_painted, json: &print }));
        }
        Some(Action::Setup(options)) => setup::run(context, options, &print_line)?,
        Some(Action::Log(options)) => print(&log::text(context, options)?),
    }
    Ok(ExitCode::SUCCESS)
}

/// The exit code is 0 for a local answer alone.
fn drill(context: &Context, scenario: Scenario) -> Result<ExitCode> {
    match drill::run(context, scenario, &print_line)? {
        DrillSuccess::AnsweredLocally => Ok(ExitCode::SUCCESS),
        DrillSuccess::LeftToClaude(why) => {
            error::say(&shown!("{NAME}: not answered locally, as it should be: {why}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn drills() -> Shown {
    let lines = SCENARIOS.map(|(word, _, what)| format!("llm-failover drill {word:<10}{what}\n"));
    Shown::lines(lines.concat())
}

struct Command<'a> {
    context: &'a Context,
    is_quiet: bool,
}

impl Command<'_> {
    fn say(&self, line: &Shown) {
        if !self.is_quiet {
            print_line(line);
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
                print_line(&status::backend_line(backend));
            }
        })?;
        print(&if json { status.json() } else { status.text() });
        if let Some(warning) = self.context.no_place_for_state().filter(|_| backend == Backend::Auto) {
            warn(NAME, &warning);
        }
        self.warn_of_another_claude();
        self.warn_of_links(&chain);
        if let Some(unused) = self.context.settings.unused_links() {
            warn(NAME, &unused);
        }
        for name in self.context.settings.unknown_in_file() {
            warn(NAME, &shown!("`{name}` in the settings file is no setting"));
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
        gateway::serve(self.context, port, token, Arc::new(Api::default()), |port| {
            print(&Shown::lines(format_args!(
                "export ANTHROPIC_BASE_URL=http://127.0.0.1:{port}\nexport ANTHROPIC_AUTH_TOKEN={printed_token}\n"
            )));
        })
    }

    fn dashboard(&self, options: &Dashboard) -> Result<()> {
        let (context, port, opens) = (self.context, options.port, options.open);
        match (options.install, options.uninstall) {
            (true, true) => Err(Error::Usage { message: "`--install` and `--uninstall` exclude each other".into() }),
            (true, _) => dashboard::install(context, port, opens, &print_line),
            (_, true) => dashboard::uninstall(context, &print_line),
            _ => dashboard::serve(context, port, opens, &print_line),
        }
    }

    /// Calls of a `claude` that is earlier on PATH than ours ignore the flag, and nothing else shows it.
    fn warn_of_another_claude(&self) {
        if let Some(path) = on_path::another_than_ours(self.context) {
            warn(
                NAME,
                &shown!(
                    "`claude` on your PATH is `{}`, which does not read the switch; put our folder before it",
                    path.display()
                ),
            );
        }
    }
}
