//! The options of Claude Code's command line, as Claude Code 2.1.330 defines them and shows them in its errors.

/// An option, with its spelling in errors: `-r, --resume [value]`.
#[derive(Debug)]
pub struct Opt {
    /// The spelling that errors show.
    pub flags: &'static str,
    /// Whether `--help` leaves it out. The real CLI never suggests such options.
    pub is_hidden: bool,
}

/// How many values an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// None.
    Flag,
    /// One, if the next word does not begin like an option.
    Optional,
    /// One, whatever it looks like.
    Required,
    /// One, whatever it looks like, and all that follow up to the next option.
    Variadic,
}

impl Opt {
    pub fn arity(&self) -> Arity {
        match self.flags {
            flags if flags.ends_with("...>") => Arity::Variadic,
            flags if flags.ends_with('>') => Arity::Required,
            flags if flags.ends_with(']') => Arity::Optional,
            _ => Arity::Flag,
        }
    }

    /// Its spellings, such as `-p` and `--print`.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.flags.split([',', ' ']).filter(|word| word.starts_with('-'))
    }

    /// As a single word of a command line.
    pub fn with(&self, value: Option<&str>) -> String {
        match value {
            Some(value) => format!("{}={value}", self.name()),
            None => self.names().next().unwrap_or_default().into(),
        }
    }

    /// Its last long spelling, by which this program refers to it.
    pub fn name(&self) -> &'static str {
        self.names().last().unwrap_or_default()
    }
}

/// The option that is spelled `name`.
pub fn find(name: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|option| option.names().any(|known| known == name))
}

/// Claude Code's commands and their aliases (2.1.330). They need no model: the real Claude runs them.
pub const COMMANDS: &[&str] = &[
    "agents",
    "auth",
    "auto-mode",
    "doctor",
    "gateway",
    "import",
    "install",
    "mcp",
    "plugin",
    "plugins",
    "purge",
    "setup-token",
    "ultrareview",
    "update",
    "upgrade",
];

/// Commands that `claude --help` does not list, and those of earlier versions.
pub const HIDDEN_COMMANDS: &[&str] = &[
    "remote-control",
    "rc",
    "apply-project-settings",
    "design-login",
    "edit-chrome-settings",
    "edit-hook",
    "edit-memory-settings",
    "edit-permission-rules",
    "edit-sandbox-settings",
    "edit-skill-overrides",
    "import-conversations",
    "project",
    "sandbox",
    "workspace-trust",
    "worktree-hook",
    "config",
    "migrate-installer",
];

/// First words that Claude Code takes before it reads any option, `-p` included.
pub const FIRST_WORDS: &[&str] = &[
    "remote-control",
    "rc",
    "remote",
    "sync",
    "bridge",
    "attach",
    "logs",
    "stop",
    "kill",
    "respawn",
    "rm",
    "daemon",
    "--daemon-worker",
    "--bg-pty-host",
    "--bg-spare",
    "--preload",
    "--eval-mock-server",
    "--claude-in-chrome-mcp",
    "--chrome-native-host",
];

/// Options that ask for something of Anthropic's or for another kind of session. Only the real Claude can take such a call.
pub const CLAUDE_ONLY: &[&str] = &[
    "--background",
    "--cloud",
    "--remote",
    "--teleport",
    "--environment",
    "--pool",
    "--ref",
    "--on-branch",
    "--correlation-id",
    "--metadata",
    "--sdk-url",
    "--init-only",
    "--attach-serve",
    "--desktop",
    "--watch-artifact",
    "--watch-artifact-no-autoreact",
    "--agents-view-if-allowed",
];

const fn shown(flags: &'static str) -> Opt {
    Opt { flags, is_hidden: false }
}

const fn hidden(flags: &'static str) -> Opt {
    Opt { flags, is_hidden: true }
}

/// Every option, in the order of Claude Code's definitions.
pub const OPTIONS: &[Opt] = &[
    shown("-d, --debug [filter]"),
    hidden("-d2e, --debug-to-stderr"),
    shown("--debug-file <path>"),
    shown("--verbose"),
    shown("-p, --print"),
    shown("--bare"),
    shown("--safe-mode"),
    hidden("--init"),
    hidden("--init-only"),
    hidden("--maintenance"),
    shown("--output-format <format>"),
    shown("--json-schema <schema>"),
    shown("--include-hook-events"),
    shown("--include-partial-messages"),
    shown("--forward-subagent-text"),
    hidden("--session-mirror"),
    hidden("--await-claim"),
    shown("--input-format <format>"),
    hidden("--await-initialize"),
    shown("--dangerously-skip-permissions"),
    shown("--allow-dangerously-skip-permissions"),
    hidden("--thinking <mode>"),
    hidden("--thinking-display <display>"),
    hidden("--max-thinking-tokens <tokens>"),
    hidden("--max-turns <turns>"),
    shown("--max-budget-usd <amount>"),
    hidden("--task-budget <tokens>"),
    shown("--replay-user-messages"),
    shown("--prompt-suggestions [value]"),
    hidden("--enable-auth-status"),
    shown("--allowedTools, --allowed-tools <tools...>"),
    shown("--tools <tools...>"),
    shown("--restricted"),
    shown("--disallowedTools, --disallowed-tools <tools...>"),
    shown("--mcp-config <configs...>"),
    hidden("--permission-prompt-tool <tool>"),
    shown("--permission-prompts <target>"),
    shown("--system-prompt <prompt>"),
    hidden("--system-prompt-file <file>"),
    shown("--append-system-prompt <prompt>"),
    hidden("--append-system-prompt-file <file>"),
    shown("--system-prompt-snapshot <on|off>"),
    hidden("--append-subagent-system-prompt <prompt>"),
    hidden("--append-subagent-system-prompt-file <file>"),
    hidden("--plan-mode-instructions <instructions>"),
    shown("--exclude-dynamic-system-prompt-sections"),
    shown("--permission-mode <mode>"),
    hidden("--inherit-permission-mode <mode>"),
    shown("-c, --continue"),
    shown("-r, --resume [value]"),
    shown("--fork-session"),
    hidden("--watch-artifact <artifact>"),
    hidden("--watch-artifact-no-autoreact <artifact>"),
    hidden("--prefill <text>"),
    hidden("--deep-link-origin"),
    hidden("--deep-link-repo <slug>"),
    hidden("--deep-link-last-fetch <ms>"),
    hidden("--prefill-b64 <b64>"),
    hidden("--deep-link-cwd-b64 <b64>"),
    shown("--from-pr [value]"),
    shown("--no-session-persistence"),
    hidden("--resume-session-at <message id>"),
    hidden("--resume-drops-turn <message id>"),
    hidden("--reply-on-resume"),
    hidden("--rewind-files <user-message-id>"),
    shown("--model <model>"),
    hidden("--include-unsupported-models"),
    shown("--effort <level>"),
    hidden("--fast-mode <on|off>"),
    shown("--agent <agent>"),
    shown("--betas <betas...>"),
    shown("--fallback-model <model>"),
    hidden("--workload <tag>"),
    shown("--settings <file-or-json>"),
    hidden("--client-data-url <url>"),
    hidden("--allow-other-models"),
    hidden("--managed-settings <json>"),
    hidden("--managed-settings-in-initialize"),
    hidden("--host-auth-is-org-sign-in"),
    shown("--add-dir <directories...>"),
    hidden("--project-config-root <dir>"),
    shown("--ide"),
    shown("--desktop"),
    shown("--strict-mcp-config"),
    shown("--session-id <uuid>"),
    shown("-n, --name <name>"),
    shown("--agents <json-or-file>"),
    shown("--setting-sources <sources>"),
    hidden("--ignore-persisted-trust"),
    shown("--plugin-dir <path>"),
    hidden("--plugin-dir-no-mcp <path>"),
    shown("--plugin-url <url>"),
    shown("--disable-slash-commands"),
    shown("--chrome"),
    shown("--no-chrome"),
    shown("--file <specs...>"),
    shown("-w, --worktree [name]"),
    shown("--tmux"),
    hidden("--advisor <model>"),
    shown("--autocompact <auto|tokens>"),
    hidden("--enable-auto-mode"),
    hidden("--proactivity <level>"),
    hidden("--agents-view-if-allowed"),
    shown("--bg, --background"),
    hidden("--messaging-socket-path <path>"),
    shown("--brief"),
    shown("--ax-screen-reader"),
    hidden("--channels <servers...>"),
    hidden("--dangerously-load-development-channels <servers...>"),
    hidden("--agent-id <id>"),
    hidden("--agent-name <name>"),
    hidden("--team-name <name>"),
    hidden("--agent-color <color>"),
    hidden("--plan-mode-required"),
    hidden("--parent-session-id <id>"),
    hidden("--lead-verify-key <time.key>"),
    hidden("--teammate-mode <mode>"),
    hidden("--agent-type <type>"),
    hidden("--sdk-url <url>"),
    hidden("--runner-declares <names>"),
    hidden("--hold-repository-while-parked"),
    hidden("--session-began-as-copy <value>"),
    hidden("--initialize-fields <names>"),
    shown("--teleport [session]"),
    shown("--cloud [description|session_id|url]"),
    hidden("--forward-home-settings <true|false>"),
    hidden("--remote [description|session_id|url]"),
    hidden("--attach-serve <session_id>"),
    shown("--environment <environment_id>"),
    hidden("--pool <pool_id>"),
    hidden("--correlation-id <id>"),
    hidden("--metadata <key=value>"),
    hidden("--ref <ref>"),
    hidden("--on-branch <branch>"),
    shown("--remote-control [name]"),
    hidden("--rc [name]"),
    shown("--remote-control-session-name-prefix <prefix>"),
    shown("-v, --version"),
];
