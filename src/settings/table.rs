//! Every variable of ours: its name, what it means, which values it takes, and what applies without it. One file, so that each name stands once.

use std::fmt::Display;

use crate::error::Error;
use crate::settings::kind::Kind::{
    self, Command, Json, Key, Path, Policy, Temperature, Text, TimeOfDay, Token, Url, Words, YesOrNo,
};
use crate::settings::kind::{PORT, RETRIES, SECONDS, SECONDS_OR_NONE, TOKENS, count_of};
use crate::shown::Shown;

/// What applies if a variable is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unset {
    /// This value.
    Is(&'static str),
    /// What this says.
    Means(&'static str),
}
use Unset::{Is, Means};

/// What is known of a variable.
pub(crate) struct Row {
    pub name: &'static str,
    pub meaning: &'static str,
    pub kind: Kind,
    pub unset: Unset,
}

macro_rules! settings {
    ($($setting:ident $name:literal $meaning:literal: $kind:expr, $unset:expr;)*) => {
        /// A variable of ours.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Setting { $($setting),* }

        const ALL: &[Setting] = &[$(Setting::$setting),*];

        const ROWS: &[Row] = &[$(Row { name: $name, meaning: $meaning, kind: $kind, unset: $unset }),*];

        /// The variables, each with its meaning, for a test that compares them with the documents.
        pub const SETTINGS: &[(&str, &str)] = &[$(($name, $meaning)),*];
    };
}

settings! {
    FlagFile "LLM_BACKEND_FLAG" "absolute path of the switch file": Path, Is("~/.local/state/llm-backend");
    ClaudeBin "CLAUDE_BIN" "absolute path of the real Claude Code": Path, Means("the first on PATH, or in a usual place");
    Url "LOCAL_LLM_URL" "the chat completions endpoint": Url, Is("http://127.0.0.1:$LLM_PORT/v1/chat/completions");
    Model "LOCAL_LLM_MODEL" "the model's name": Text, Means("by the server's list");
    SmallModel "LOCAL_LLM_SMALL_MODEL" "the model for what Claude Code asks its small model for": Text, Means("the main one");
    MaxTokens "LOCAL_LLM_MAX_TOKENS" "the longest answer, in tokens": TOKENS, Is("800");
    Window "LOCAL_LLM_CONTEXT" "the model's context, in tokens": TOKENS, Means("what the server or the model's files say");
    Temperature "LOCAL_LLM_TEMPERATURE" "the sampling temperature": Temperature, Is("0.2");
    ApiKey "LOCAL_LLM_API_KEY" "the bearer token of the local server": Key, Means("none");
    Insecure "LOCAL_LLM_INSECURE" "yes: no warning of clear-text http to another machine": YesOrNo, Is("no");
    IdleTimeout "LOCAL_LLM_IDLE_TIMEOUT" "seconds without a byte from the server before a call fails": SECONDS, Is("600");
    LocalRetries "LOCAL_LLM_RETRIES" "how often a question is asked again while the local server is busy or away":
        RETRIES, Is("4");
    ExtraBody "LOCAL_LLM_EXTRA_BODY" "a JSON object whose keys are added to a request": Json, Means("none");
    Agent "LOCAL_LLM_AGENT" "which calls get tools on the local model: auto, always, never":
        Words(&["auto", "always", "never"], "auto, always or never"), Is("auto");
    AgentPrompt "LOCAL_LLM_AGENT_PROMPT" "how much of Claude Code's instructions and tools an agent is sent: auto, full, lean":
        Words(&["auto", "full", "lean"], "auto, full or lean"), Is("auto");
    Prime "LOCAL_LLM_PRIME" "no: agents' instructions are not read ahead by the local server": YesOrNo, Is("yes");
    Port "LLM_PORT" "the local server's port": PORT, Is("9420");
    ServiceLabel "LLM_LAUNCHAGENT" "the LaunchAgent's label, and the systemd unit's name": Text, Is("com.local.mlxserver");
    Supervisor "LLM_SUPERVISOR" "who runs the local server: auto, launchd, systemd, child, none":
        Words(&["auto", "launchd", "systemd", "child", "none"], "`auto`, `launchd`, `systemd`, `child` or `none`"), Is("auto");
    ServerCommand "LLM_SERVER_CMD" "the command that starts the server as a child": Command, Means("none");
    StartTimeout "LLM_START_TIMEOUT" "seconds to wait for the server to come up": SECONDS_OR_NONE, Is("300");
    NotifyCommand "LLM_NOTIFY_CMD" "a program to tell about flips, limits and outages": Command, Means("none");
    NotifyDaily "LLM_NOTIFY_DAILY" "a time of day, after which that program is told once a day what the calls were like":
        TimeOfDay, Means("never");
    Prewarm "LLM_PREWARM" "yes: start the server when a limit is near": YesOrNo, Is("no");
    IdleUnload "LLM_IDLE_UNLOAD" "minutes without a local call before the server is unloaded":
        count_of("a number of minutes"), Is("15");
    Policy "LLM_FAILOVER_POLICY" "what becomes of a call that Claude refuses: local, wait, wait:2h, fail": Policy, Is("local");
    Retries "LLM_FAILOVER_RETRIES" "how many retries Claude Code has in an outage": count_of("a number of retries"), Is("2");
    Stall "LLM_FAILOVER_STALL" "seconds that Claude may say nothing before its answer begins": SECONDS_OR_NONE, Is("120");
    Replay "LLM_FAILOVER_REPLAY" "always: answer locally even if tools have run": Words(&["always"], "always"), Means("never");
    Resume "LLM_FAILOVER_RESUME" "never: a session in which tools have run does not go on locally":
        Words(&["auto", "never"], "auto or never"), Is("auto");
    Interactive "LLM_FAILOVER_INTERACTIVE" "what becomes of a session at a terminal when Claude refuses it: ask, auto, never":
        Words(&["ask", "auto", "never"], "ask, auto or never"), Is("ask");
    Quiet "LLM_FAILOVER_QUIET" "yes: nothing on stderr that Claude Code would not print, but for errors that end the call":
        YesOrNo, Is("no");
    Debug "LLM_FAILOVER_DEBUG" "yes: a line on stderr for each decision: what was read, which route, why": YesOrNo, Is("no");
    GatewayToken "LLM_GATEWAY_TOKEN" "what the gateway asks its clients to show": Token, Means("a random one");
}

impl Setting {
    fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// The variable's name.
    pub(crate) fn name(self) -> &'static str {
        self.row().name
    }

    /// The variable of this local model.
    pub(crate) fn of(self, link: LinkNumber) -> Variable {
        Variable { setting: self, link }
    }
}

/// The number of a local model in the chain of those that are asked one after the other.
pub(crate) type LinkNumber = u8;

/// The link whose variables have no number.
pub(crate) const FIRST: LinkNumber = 1;

/// The last link that there can be.
pub(crate) const LAST: LinkNumber = 9;

/// What each link has of its own.
const NUMBERED: [Setting; 4] = [Setting::Url, Setting::Model, Setting::ApiKey, Setting::Window];

/// The names of the variables that a later link has with its number behind them, as in `LOCAL_LLM_URL_2`.
pub fn numbered() -> impl Iterator<Item = &'static str> {
    NUMBERED.into_iter().map(Setting::name)
}

/// A variable of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    setting: Setting,
    link: LinkNumber,
}

impl Variable {
    pub(crate) fn name(self) -> String {
        let name = self.setting.name();
        if self.link == FIRST { name.into() } else { format!("{name}_{}", self.link) }
    }

    /// All that there are, those of later links after the others.
    pub(crate) fn all() -> impl Iterator<Item = Variable> {
        ALL.iter().map(|setting| setting.of(FIRST)).chain(Variable::of_links_after(FIRST))
    }

    /// The numbered variables of the links after this one.
    pub(crate) fn of_links_after(link: LinkNumber) -> impl Iterator<Item = Variable> {
        (link + 1..=LAST).flat_map(|link| NUMBERED.map(|setting| setting.of(link)))
    }

    pub(crate) fn named(name: &str) -> Option<Variable> {
        Variable::all().find(|variable| variable.name() == name)
    }

    pub(crate) fn meaning(self) -> &'static str {
        self.setting.row().meaning
    }

    pub(crate) fn kind(self) -> Kind {
        self.setting.row().kind
    }

    pub(crate) fn is_secret(self) -> bool {
        self.kind().is_secret()
    }

    /// What applies without it. A later link takes nothing from the first, and is there by its URL.
    pub(crate) fn unset(self) -> Unset {
        match self.setting {
            Setting::Url if self.link != FIRST => Means("no such local model"),
            setting => setting.row().unset,
        }
    }

    pub(crate) fn is_numbered(self) -> bool {
        self.link != FIRST
    }

    /// The error that its value cannot be used.
    pub(crate) fn error(self, value: impl Display, expected: &'static str) -> Error {
        Error::Setting { key: Shown::line(self.name()), value: Shown::line(value), expected }
    }
}

impl From<Setting> for Variable {
    fn from(setting: Setting) -> Variable {
        setting.of(FIRST)
    }
}
