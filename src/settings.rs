//! Every variable of ours, by name and as a typed value.
//!
//! A value is parsed when a call needs it: an unusable one must not disturb other calls. One file, so that each name stands once,
//! beside the reading of its value.

#![deny(dead_code, reason = "a setting that nothing reads is none")]

use std::ffi::OsString;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::error::{Error, Result, warn};
use crate::text::{YES_OR_NO, parse_yes_or_no};

macro_rules! settings {
    ($($setting:ident $name:literal $meaning:literal,)*) => {
        /// A variable of ours.
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum Setting { $($setting),* }

        /// The variables, each with its meaning, for a test that compares them with the documents.
        pub const SETTINGS: &[(&str, &str)] = &[$(($name, $meaning)),*];
    };
}

settings! {
    FlagFile "LLM_BACKEND_FLAG" "absolute path of the switch file",
    ClaudeBin "CLAUDE_BIN" "absolute path of the real Claude Code",
    Url "LOCAL_LLM_URL" "the chat completions endpoint",
    Model "LOCAL_LLM_MODEL" "the model's name",
    SmallModel "LOCAL_LLM_SMALL_MODEL" "the model for what Claude Code asks its small model for",
    MaxTokens "LOCAL_LLM_MAX_TOKENS" "the longest answer, in tokens",
    Window "LOCAL_LLM_CONTEXT" "the model's context, in tokens",
    Temperature "LOCAL_LLM_TEMPERATURE" "the sampling temperature",
    ApiKey "LOCAL_LLM_API_KEY" "the bearer token of the local server",
    Insecure "LOCAL_LLM_INSECURE" "yes: no warning of clear-text http to another machine",
    IdleTimeout "LOCAL_LLM_IDLE_TIMEOUT" "seconds without a byte from the server before a call fails",
    LocalRetries "LOCAL_LLM_RETRIES" "how often a question is asked again while the local server is busy or away",
    ExtraBody "LOCAL_LLM_EXTRA_BODY" "a JSON object whose keys are added to a request",
    Agent "LOCAL_LLM_AGENT" "which calls get tools on the local model: auto, always, never",
    AgentPrompt "LOCAL_LLM_AGENT_PROMPT" "how much of Claude Code's instructions and tools an agent is sent: auto, full, lean",
    Prime "LOCAL_LLM_PRIME" "no: agents' instructions are not read ahead by the local server",
    Port "LLM_PORT" "the local server's port",
    ServiceLabel "LLM_LAUNCHAGENT" "the LaunchAgent's label, and the systemd unit's name",
    Supervisor "LLM_SUPERVISOR" "who runs the local server: auto, launchd, systemd, child, none",
    ServerCommand "LLM_SERVER_CMD" "the command that starts the server as a child",
    StartTimeout "LLM_START_TIMEOUT" "seconds to wait for the server to come up",
    NotifyCommand "LLM_NOTIFY_CMD" "a program to tell about flips, limits and outages",
    Prewarm "LLM_PREWARM" "yes: start the server when a limit is near",
    IdleUnload "LLM_IDLE_UNLOAD" "minutes without a local call before the server is unloaded",
    Policy "LLM_FAILOVER_POLICY" "what becomes of a call that Claude refuses: local, wait, wait:2h, fail",
    Retries "LLM_FAILOVER_RETRIES" "how many retries Claude Code has in an outage",
    Stall "LLM_FAILOVER_STALL" "seconds that Claude may say nothing before its answer begins",
    Replay "LLM_FAILOVER_REPLAY" "always: answer locally even if tools have run",
    Resume "LLM_FAILOVER_RESUME" "never: a session in which tools have run does not go on locally",
    Interactive "LLM_FAILOVER_INTERACTIVE" "what becomes of a session at a terminal when Claude refuses it: ask, auto, never",
    Quiet "LLM_FAILOVER_QUIET" "yes: nothing on stderr that Claude Code would not print, but for errors that end the call",
    GatewayToken "LLM_GATEWAY_TOKEN" "what the gateway asks its clients to show",
}

impl Setting {
    /// The variable's name.
    pub(crate) fn name(self) -> &'static str {
        SETTINGS[self as usize].0
    }

    /// The variable of this local model.
    pub(crate) fn of(self, link: LinkNumber) -> Variable {
        Variable { setting: self, link }
    }

    /// The error that its value cannot be used.
    pub(crate) fn error(self, value: impl Into<String>, expected: &'static str) -> Error {
        self.of(FIRST).error(value, expected)
    }

    /// Warns that its value cannot be used, and that `default` applies.
    pub(crate) fn warn(self, applet: &str, value: &str, expected: &'static str, default: impl Display) {
        warn(applet, &format!("{}; using {default}", self.error(value, expected)));
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
#[derive(Clone, Copy)]
pub(crate) struct Variable {
    setting: Setting,
    link: LinkNumber,
}

impl Variable {
    pub(crate) fn name(self) -> String {
        let name = self.setting.name();
        if self.link == FIRST { name.into() } else { format!("{name}_{}", self.link) }
    }

    /// The error that its value cannot be used.
    pub(crate) fn error(self, value: impl Into<String>, expected: &'static str) -> Error {
        Error::Setting { key: self.name(), value: value.into(), expected }
    }
}

impl From<Setting> for Variable {
    fn from(setting: Setting) -> Variable {
        setting.of(FIRST)
    }
}

/// The numbered variables of the links after this one.
fn later_variables(link: LinkNumber) -> impl Iterator<Item = Variable> {
    (link + 1..=LAST).flat_map(|link| NUMBERED.map(|setting| setting.of(link)))
}

/// The values that the user gave.
#[derive(Clone)]
pub(crate) struct Settings {
    environment: fn(&str) -> Option<OsString>,
    file: Vec<(Vec<u8>, OsString)>,
}

impl Settings {
    /// The environment wins over the lines of the settings file.
    pub(crate) fn new(environment: fn(&str) -> Option<OsString>, file: Vec<(Vec<u8>, OsString)>) -> Settings {
        Settings { environment, file }
    }

    /// Names in the settings file that look like ours and are none: probably typing errors.
    pub(crate) fn unknown_in_file(&self) -> Vec<String> {
        let names = self.file.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned());
        let looks_like_ours = |name: &String| name.starts_with("LLM_") || name.starts_with("LOCAL_LLM_");
        let is_known = |name: &String| {
            SETTINGS.iter().any(|(known, _)| known == name) || later_variables(FIRST).any(|known| known.name() == *name)
        };
        names.filter(|name| looks_like_ours(name) && !is_known(name)).collect()
    }

    /// The links that there are, from the first on. One without a URL ends the chain.
    pub(crate) fn links(&self) -> impl Iterator<Item = LinkNumber> + '_ {
        (FIRST..=LAST).take_while(|link| *link == FIRST || self.value(Setting::Url.of(*link)).is_some())
    }

    /// Why some variables have no effect: there is no such link. None if all have.
    pub(crate) fn unused_links(&self) -> Option<String> {
        let last = self.links().last().unwrap_or(FIRST);
        let unused: Vec<Variable> = later_variables(last).filter(|variable| self.value(*variable).is_some()).collect();
        let names = unused.iter().map(|variable| format!("`{}`", variable.name())).collect::<Vec<_>>().join(", ");
        let missing = Setting::Url.of(last + 1).name();
        (!unused.is_empty()).then(|| format!("without `{missing}` these have no effect: {names}"))
    }

    pub(crate) fn flag_file(&self) -> Option<OsString> {
        self.value(Setting::FlagFile)
    }

    pub(crate) fn claude_bin(&self) -> Option<OsString> {
        self.value(Setting::ClaudeBin)
    }

    pub(crate) fn url(&self, link: LinkNumber) -> Result<Option<String>> {
        self.trimmed(Setting::Url.of(link))
    }

    pub(crate) fn model(&self, link: LinkNumber) -> Result<Option<String>> {
        Ok(self.trimmed(Setting::Model.of(link))?.filter(|model| !model.is_empty()))
    }

    /// None if the first link's main model does that work too.
    pub(crate) fn small_model(&self) -> Result<Option<String>> {
        Ok(self.trimmed(Setting::SmallModel)?.filter(|model| !model.is_empty()))
    }

    pub(crate) fn max_tokens(&self) -> Result<u32> {
        self.at_least_one(Setting::MaxTokens, 800, "a number of tokens")
    }

    /// The model's context, in tokens.
    pub(crate) fn window(&self, link: LinkNumber) -> Result<Option<u32>> {
        let variable = Setting::Window.of(link);
        let is_given = self.value(variable).is_some();
        is_given.then(|| self.at_least_one(variable, 1, "a number of tokens")).transpose()
    }

    pub(crate) fn temperature(&self) -> Result<f64> {
        let expected = "a number that is not negative";
        let temperature: f64 = self.number(Setting::Temperature, 0.2, expected)?;
        if !temperature.is_finite() || temperature < 0.0 {
            // JSON has no word for the first kind, and would say null.
            let value = self.text(Setting::Temperature)?.unwrap_or_default();
            return Err(Setting::Temperature.error(value, expected));
        }
        Ok(temperature)
    }

    /// The bearer token. One that no header can carry is refused without being shown.
    pub(crate) fn api_key(&self, link: LinkNumber) -> Result<Option<String>> {
        let variable = Setting::ApiKey.of(link);
        let Some(key) = self.value(variable) else { return Ok(None) };
        let text = key.to_str().map(|key| key.trim().to_string());
        match text.filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic())) {
            Some(key) => Ok((!key.is_empty()).then_some(key)),
            None => Err(variable.error("…", "visible ASCII characters and no spaces")),
        }
    }

    /// Whether the user knows that prompts go over the net in clear text.
    pub(crate) fn is_insecure_on_purpose(&self, applet: &str) -> bool {
        self.is_yes(Setting::Insecure, applet)
    }

    /// How long the local server may send nothing.
    pub(crate) fn idle_timeout(&self) -> Result<Duration> {
        let seconds = self.at_least_one(Setting::IdleTimeout, 600, "a number of seconds")?;
        Ok(Duration::from_secs(seconds.into()))
    }

    /// How often the local server is asked again after a refusal that may pass.
    pub(crate) fn local_retries(&self) -> Result<u32> {
        self.number(Setting::LocalRetries, 4, "a number of retries")
    }

    /// What the user wants added to each request's body.
    pub(crate) fn extra_body(&self) -> Result<Map<String, Value>> {
        match self.text(Setting::ExtraBody)? {
            None => Ok(Map::new()),
            Some(text) => serde_json::from_str(&text).map_err(|_| Setting::ExtraBody.error("…", "a JSON object")),
        }
    }

    /// Which calls get tools, in the user's word.
    pub(crate) fn agent(&self) -> String {
        self.word(Setting::Agent)
    }
    /// How much of Claude Code's instructions is sent, in the user's word.
    pub(crate) fn agent_prompt(&self) -> String {
        self.word(Setting::AgentPrompt)
    }

    /// Whether the server reads an agent's instructions ahead.
    pub(crate) fn primes(&self, applet: &str) -> bool {
        self.value(Setting::Prime).is_none() || self.is_yes(Setting::Prime, applet)
    }

    /// The port of the local server on this machine.
    pub(crate) fn port(&self) -> Result<u16> {
        self.number(Setting::Port, 9420, "a port number")
    }

    /// The label of the LaunchAgent, and the name of the systemd unit.
    pub(crate) fn service_label(&self) -> String {
        let given = self.value(Setting::ServiceLabel).and_then(|label| label.into_string().ok());
        given.map_or_else(|| "com.local.mlxserver".into(), |label| label.trim().to_string())
    }

    /// Who runs the local server, in the user's word.
    pub(crate) fn supervisor(&self) -> Result<Option<String>> {
        Ok(self.trimmed(Setting::Supervisor)?.map(|name| name.to_ascii_lowercase()))
    }

    /// For a shell.
    pub(crate) fn server_command(&self) -> Option<OsString> {
        self.value(Setting::ServerCommand)
    }

    /// The variables that the server's command gets in its environment, also from the settings file.
    pub(crate) fn for_server_command(&self) -> impl Iterator<Item = (&'static str, OsString)> + '_ {
        [Setting::Model, Setting::ApiKey].into_iter().filter_map(|setting| Some((setting.name(), self.value(setting)?)))
    }

    /// The variables of keys that are for other servers than the one that the command starts.
    pub(crate) fn keys_of_later_links() -> impl Iterator<Item = String> {
        (FIRST + 1..=LAST).map(|link| Setting::ApiKey.of(link).name())
    }

    pub(crate) fn start_timeout(&self) -> Result<Duration> {
        self.number(Setting::StartTimeout, 300, "a number of seconds").map(Duration::from_secs)
    }

    pub(crate) fn notify_command(&self) -> Option<OsString> {
        self.value(Setting::NotifyCommand)
    }

    /// Whether the server starts before it is needed.
    pub(crate) fn prewarms(&self, applet: &str) -> bool {
        self.is_yes(Setting::Prewarm, applet)
    }

    /// None if the server stays loaded.
    pub(crate) fn idle_unload(&self) -> Option<Duration> {
        let minutes: u64 = self.number(Setting::IdleUnload, 15, "a number of minutes").unwrap_or(15);
        (minutes > 0).then(|| Duration::from_secs(minutes.saturating_mul(60)))
    }

    /// Unparsed.
    pub(crate) fn policy(&self) -> Option<String> {
        self.value(Setting::Policy).map(|policy| policy.to_string_lossy().into_owned())
    }

    pub(crate) fn retries(&self, applet: &str) -> u32 {
        self.number_or(Setting::Retries, applet, 2, "a number of retries").try_into().unwrap_or(u32::MAX)
    }

    /// 0 means for ever.
    pub(crate) fn stall(&self, applet: &str) -> Duration {
        Duration::from_secs(self.number_or(Setting::Stall, applet, 120, "a number of seconds"))
    }

    /// Whether the local model answers a call again after tools have run or output has reached the caller.
    pub(crate) fn replays_always(&self) -> bool {
        self.value(Setting::Replay).is_some_and(|value| value == "always")
    }

    /// Whether the local model goes on with a session that Claude refused in the middle of its work.
    pub(crate) fn resumes(&self, applet: &str) -> bool {
        let word = self.word(Setting::Resume);
        if !matches!(word.as_str(), "" | "auto" | "never") {
            Setting::Resume.warn(applet, &word, "auto or never", "auto");
        }
        word != "never"
    }

    /// In the user's word.
    pub(crate) fn interactive(&self) -> String {
        self.word(Setting::Interactive)
    }

    /// # Errors
    /// The warning, if the value says neither yes nor no.
    pub(crate) fn is_quiet(&self) -> std::result::Result<bool, String> {
        let value = self.value(Setting::Quiet).unwrap_or_default();
        let value = value.to_string_lossy();
        parse_yes_or_no(&value).ok_or_else(|| format!("{}; using no", Setting::Quiet.error(&*value, YES_OR_NO)))
    }

    /// It must fit into a header, and into a line for a shell.
    pub(crate) fn gateway_token(&self) -> Result<Option<String>> {
        let Some(token) = self.trimmed(Setting::GatewayToken)?.filter(|token| !token.is_empty()) else { return Ok(None) };
        match token.chars().all(|c| c.is_ascii_alphanumeric() || "-._~+/=".contains(c)) {
            true => Ok(Some(token)),
            false => Err(Setting::GatewayToken.error("…", "letters, digits and - . _ ~ + / =")),
        }
    }

    /// From the environment or else the settings file, where the last line counts. Empty means unset.
    fn value(&self, variable: impl Into<Variable>) -> Option<OsString> {
        let name = variable.into().name();
        let in_file = || self.file.iter().rfind(|(key, _)| key == name.as_bytes()).map(|(_, value)| value.clone());
        let is_set = |value: &OsString| !value.is_empty();
        (self.environment)(&name).filter(is_set).or_else(|| in_file().filter(is_set))
    }

    fn text(&self, variable: impl Into<Variable>) -> Result<Option<String>> {
        let variable = variable.into();
        let text = |value: OsString| value.into_string().map_err(|_| variable.error("…", "UTF-8 text"));
        self.value(variable).map(text).transpose()
    }

    fn trimmed(&self, variable: impl Into<Variable>) -> Result<Option<String>> {
        Ok(self.text(variable)?.map(|text| text.trim().to_string()))
    }

    /// In lower case; empty if it is unset.
    fn word(&self, setting: Setting) -> String {
        self.value(setting).unwrap_or_default().to_string_lossy().trim().to_ascii_lowercase()
    }

    fn number<T: FromStr>(&self, variable: impl Into<Variable>, default: T, expected: &'static str) -> Result<T> {
        let variable = variable.into();
        match self.text(variable)? {
            None => Ok(default),
            Some(value) => value.trim().parse().map_err(|_| variable.error(value, expected)),
        }
    }

    fn number_or(&self, setting: Setting, applet: &str, default: u64, expected: &'static str) -> u64 {
        self.number(setting, default, expected).unwrap_or_else(|error| {
            warn(applet, &format!("{error}; using {default}"));
            default
        })
    }

    fn at_least_one(&self, variable: impl Into<Variable>, default: u32, expected: &'static str) -> Result<u32> {
        let variable = variable.into();
        match self.number(variable, default, expected)? {
            0 => Err(variable.error("0", "at least 1")),
            number => Ok(number),
        }
    }

    /// The one rule for yes and no.
    fn is_yes(&self, setting: Setting, applet: &str) -> bool {
        let value = self.value(setting).unwrap_or_default();
        let value = value.to_string_lossy();
        parse_yes_or_no(&value).unwrap_or_else(|| {
            setting.warn(applet, &value, YES_OR_NO, "no");
            false
        })
    }
}

#[cfg(test)]
mod tests;
