//! The settings as typed values.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::time::Duration;

use jiff::civil::Time;
use serde_json::{Map, Value};
use ureq::http::Uri;

use crate::error::{Error, Result, warn};
use crate::settings::table::{LinkNumber, Setting, Unset, Variable};
use crate::settings::{RefusalPolicy, Settings};
use crate::shown::{Shown, shown};

/// What a value is read with.
type Reading<T> = fn(Variable, &OsStr) -> Result<T>;

impl Settings {
    pub(crate) fn flag_file(&self) -> Result<Option<OsString>> {
        self.read(Setting::FlagFile, |variable, value| variable.path(value).map(OsStr::to_os_string))
    }

    pub(crate) fn claude_bin(&self) -> Option<OsString> {
        self.value(Setting::ClaudeBin)
    }

    pub(crate) fn url(&self, link: LinkNumber) -> Result<Option<Uri>> {
        self.read(Setting::Url.of(link), Variable::url)
    }

    pub(crate) fn model(&self, link: LinkNumber) -> Result<Option<String>> {
        self.text(Setting::Model.of(link))
    }

    /// None if the first link's main model does that work too.
    pub(crate) fn small_model(&self) -> Result<Option<String>> {
        self.text(Setting::SmallModel)
    }

    pub(crate) fn max_tokens(&self) -> Result<u32> {
        self.number(Setting::MaxTokens).map(short)
    }

    /// The model's context, in tokens.
    pub(crate) fn window(&self, link: LinkNumber) -> Result<Option<u32>> {
        Ok(self.read(Setting::Window.of(link), Variable::number)?.map(short))
    }

    pub(crate) fn temperature(&self) -> Result<f64> {
        self.read_or_default(Setting::Temperature, Variable::temperature)
    }

    /// The bearer token.
    pub(crate) fn api_key(&self, link: LinkNumber) -> Result<Option<String>> {
        let key = self.read(Setting::ApiKey.of(link), |variable, value| variable.key(value).map(str::to_string))?;
        Ok(key.filter(|key| !key.is_empty()))
    }

    /// Whether the user knows that prompts go over the net in clear text.
    pub(crate) fn is_insecure_on_purpose(&self, applet: &str) -> bool {
        self.is_yes(Setting::Insecure, applet)
    }

    /// How long the local server may send nothing.
    pub(crate) fn idle_timeout(&self) -> Result<Duration> {
        self.number(Setting::IdleTimeout).map(Duration::from_secs)
    }

    /// How often the local server is asked again after a refusal that may pass.
    pub(crate) fn local_retries(&self) -> Result<u32> {
        self.number(Setting::LocalRetries).map(short)
    }

    /// What the user wants added to each request's body.
    pub(crate) fn extra_body(&self) -> Result<Map<String, Value>> {
        Ok(self.read(Setting::ExtraBody, Variable::json)?.unwrap_or_default())
    }

    /// Which calls get tools: `auto`, `always` or `never`.
    pub(crate) fn agent(&self, applet: &str) -> &'static str {
        or_warn(applet, self.word(Setting::Agent), "auto")
    }

    /// How much of Claude Code's instructions is sent: `auto`, `full` or `lean`.
    pub(crate) fn agent_prompt(&self) -> Result<&'static str> {
        self.word(Setting::AgentPrompt)
    }

    /// Whether the server reads an agent's instructions ahead.
    pub(crate) fn primes(&self, applet: &str) -> bool {
        self.is_yes(Setting::Prime, applet)
    }

    /// The port of the local server on this machine.
    pub(crate) fn port(&self) -> Result<u16> {
        self.number(Setting::Port).map(|port| port.try_into().unwrap_or(u16::MAX))
    }

    /// The label of the LaunchAgent, and the name of the systemd unit.
    pub(crate) fn service_label(&self) -> String {
        let given = self.text(Setting::ServiceLabel).ok().flatten();
        given.unwrap_or_else(|| default(Setting::ServiceLabel).into())
    }

    /// Who runs the local server: `auto`, `launchd`, `systemd`, `child` or `none`.
    pub(crate) fn supervisor(&self) -> Result<&'static str> {
        self.word(Setting::Supervisor)
    }

    /// For a shell.
    pub(crate) fn server_command(&self) -> Option<OsString> {
        self.value(Setting::ServerCommand)
    }

    pub(crate) fn start_timeout(&self) -> Result<Duration> {
        self.number(Setting::StartTimeout).map(Duration::from_secs)
    }

    pub(crate) fn notify_command(&self) -> Option<OsString> {
        self.value(Setting::NotifyCommand)
    }

    /// After which time of day that program is told once what the calls were like.
    pub(crate) fn notify_daily(&self, applet: &str) -> Option<Time> {
        self.read(Setting::NotifyDaily, Variable::time_of_day).unwrap_or_else(|error| {
            warn_of_default(applet, &error, "none");
            None
        })
    }

    /// Whether the server starts before it is needed.
    pub(crate) fn prewarms(&self, applet: &str) -> bool {
        self.is_yes(Setting::Prewarm, applet)
    }

    /// None if the server stays loaded.
    pub(crate) fn idle_unload(&self) -> Option<Duration> {
        let minutes = self.number(Setting::IdleUnload).unwrap_or(15);
        (minutes > 0).then(|| Duration::from_secs(minutes.saturating_mul(60)))
    }

    /// What becomes of a call that Claude refuses.
    pub(crate) fn policy(&self, applet: &str) -> RefusalPolicy {
        match self.read_or_default(Setting::Policy, Variable::policy) {
            Ok(policy) => policy,
            Err(error) => {
                warn_of_default(applet, &error, default(Setting::Policy));
                RefusalPolicy::Local
            }
        }
    }

    pub(crate) fn retries(&self, applet: &str) -> u32 {
        short(or_warn(applet, self.number(Setting::Retries), 2))
    }

    /// 0 means for ever.
    pub(crate) fn stall(&self, applet: &str) -> Duration {
        Duration::from_secs(or_warn(applet, self.number(Setting::Stall), 120))
    }

    /// Whether the local model answers a call again after tools have run or output has reached the caller.
    pub(crate) fn replays_always(&self) -> bool {
        self.read(Setting::Replay, Variable::word).is_ok_and(|word| word == Some("always"))
    }

    /// Whether the local model goes on with a session that Claude refused in the middle of its work.
    pub(crate) fn resumes(&self, applet: &str) -> bool {
        or_warn(applet, self.word(Setting::Resume), "auto") != "never"
    }

    /// `ask`, `auto` or `never`.
    pub(crate) fn interactive(&self, applet: &str) -> &'static str {
        or_warn(applet, self.word(Setting::Interactive), "ask")
    }

    /// # Errors
    /// The warning, if the value says neither yes nor no.
    pub(crate) fn is_quiet(&self) -> std::result::Result<bool, Shown> {
        let is_quiet = self.read_or_default(Setting::Quiet, Variable::yes_or_no);
        is_quiet.map_err(|error| shown!("{error}; using no"))
    }

    /// Whether each decision is told on stderr.
    pub(crate) fn is_debugged(&self, applet: &str) -> bool {
        self.is_yes(Setting::Debug, applet)
    }

    pub(crate) fn gateway_token(&self) -> Result<Option<String>> {
        let token = self.read(Setting::GatewayToken, |variable, value| variable.token(value).map(str::to_string))?;
        Ok(token.filter(|token| !token.is_empty()))
    }

    fn read<T>(&self, variable: impl Into<Variable>, reading: Reading<T>) -> Result<Option<T>> {
        let variable = variable.into();
        self.value(variable).map(|value| reading(variable, &value)).transpose()
    }

    fn read_or_default<T>(&self, setting: Setting, reading: Reading<T>) -> Result<T> {
        let value = self.value(setting).unwrap_or_else(|| default(setting).into());
        reading(setting.into(), &value)
    }

    /// None for a blank one, too.
    fn text(&self, variable: impl Into<Variable>) -> Result<Option<String>> {
        let text = self.read(variable, |variable, value| variable.text(value).map(str::to_string))?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    fn number(&self, setting: Setting) -> Result<u64> {
        self.read_or_default(setting, Variable::number)
    }

    fn word(&self, setting: Setting) -> Result<&'static str> {
        let word = self.read_or_default(setting, Variable::word)?;
        Ok(if word.is_empty() { default(setting) } else { word })
    }

    fn is_yes(&self, setting: Setting, applet: &str) -> bool {
        self.read_or_default(setting, Variable::yes_or_no).unwrap_or_else(|error| {
            warn_of_default(applet, &error, "no");
            false
        })
    }
}

fn default(setting: Setting) -> &'static str {
    match Variable::from(setting).unset() {
        Unset::Is(value) => value,
        Unset::Means(_) => "",
    }
}

/// What was read, or `default` with a warning.
pub(crate) fn or_warn<T: Display>(applet: &str, read: Result<T>, default: T) -> T {
    read.unwrap_or_else(|error| {
        warn_of_default(applet, &error, &default);
        default
    })
}

fn warn_of_default(applet: &str, error: &Error, default: impl Display) {
    warn(applet, &shown!("{error}; using {default}"));
}

/// The table allows no more.
fn short(number: u64) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}
