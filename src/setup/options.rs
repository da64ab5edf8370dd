//! The command line of `llm-failover setup`.

use argh::{ArgsInfo, FromArgs};

/// Set up everything on this machine: a local model, the settings, the links. Shows what it will do, and ends with an answer.
#[derive(ArgsInfo, Default, FromArgs)]
#[argh(subcommand, name = "setup", help_triggers("-h", "--help"))]
pub(crate) struct Options {
    /// yes to all questions
    #[argh(switch, short = 'y')]
    pub(crate) yes: bool,
    /// show what it would do, and do nothing
    #[argh(switch)]
    pub(crate) dry_run: bool,
    /// the address of a model server of your own
    #[argh(option)]
    pub(crate) url: Option<String>,
    /// what runs the model: auto (a server that runs, else mlx on Apple Silicon, llama elsewhere), mlx, llama, or none
    #[argh(option)]
    pub(crate) engine: Option<String>,
    /// the model: a server's name for it; ORG/NAME of the Hugging Face hub or a folder (mlx); ORG/NAME/FILE.gguf, a file, or smollm2 (llama)
    #[argh(option)]
    pub(crate) model: Option<String>,
    /// the port of a local server that is set up here (9420)
    #[argh(option)]
    pub(crate) port: Option<u16>,
    /// which links to make (claude,agent-llm,llm-failover)
    #[argh(option)]
    pub(crate) names: Option<String>,
    /// put the PATH line into the shell's start-up files
    #[argh(switch)]
    pub(crate) modify_path: bool,
    /// show the PATH line instead
    #[argh(switch)]
    pub(crate) no_modify_path: bool,
    /// show who answers in Claude Code's status line, if it has none
    #[argh(switch)]
    pub(crate) statusline: bool,
    /// leave Claude Code's status line alone
    #[argh(switch)]
    pub(crate) no_statusline: bool,
    /// have Ollama make a variant of the model with a context that agents can work in
    #[argh(switch)]
    pub(crate) larger_context: bool,
    /// take Ollama's model as it is
    #[argh(switch)]
    pub(crate) no_larger_context: bool,
    /// take away what setup has made
    #[argh(switch)]
    pub(crate) uninstall: bool,
    /// with --uninstall: the downloaded models and all that was kept, too
    #[argh(switch)]
    pub(crate) purge: bool,
}

impl Options {
    pub(super) fn path_answer(&self) -> Option<bool> {
        answer(self.modify_path, self.no_modify_path)
    }

    pub(super) fn status_line_answer(&self) -> Option<bool> {
        answer(self.statusline, self.no_statusline)
    }

    pub(super) fn context_answer(&self) -> Option<bool> {
        answer(self.larger_context, self.no_larger_context)
    }

    /// Two options that say the opposite, or one without the one that it belongs to.
    pub(super) fn contradiction(&self) -> Option<&'static str> {
        [
            (self.modify_path && self.no_modify_path, "`--modify-path` and `--no-modify-path` exclude each other"),
            (self.statusline && self.no_statusline, "`--statusline` and `--no-statusline` exclude each other"),
            (self.larger_context && self.no_larger_context, "`--larger-context` and `--no-larger-context` exclude each other"),
            (self.purge && !self.uninstall, "`--purge` goes with `--uninstall`"),
            (
                self.url.is_some() && self.engine.as_deref().is_some_and(|engine| engine != "none"),
                "`--url` and `--engine` exclude each other: the server at a URL is your own",
            ),
        ]
        .into_iter()
        .find_map(|(holds, what)| holds.then_some(what))
    }
}

fn answer(yes: bool, no: bool) -> Option<bool> {
    match (yes, no) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}
