//! Which values a setting takes: each kind is read by one function, for whoever needs the value and for whoever only checks it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use jiff::civil::Time;
use serde_json::{Map, Value};
use ureq::http::Uri;

use crate::error::Result;
use crate::settings::refusal_policy::RefusalPolicy;
use crate::settings::table::Variable;
use crate::settings::url;
use crate::shown::Shown;
use crate::text::{YES_OR_NO, parse_yes_or_no, time_of_day};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// An absolute path, or one below the home folder.
    Path,
    /// What the system or a shell runs.
    Command,
    Text,
    Url,
    Number {
        least: u64,
        most: u64,
        expected: &'static str,
    },
    Temperature,
    YesOrNo,
    TimeOfDay,
    /// The words, and how a message lists them.
    Words(&'static [&'static str], &'static str),
    Policy,
    /// A secret for a header.
    Key,
    /// A secret for a header, and for a line of a shell.
    Token,
    Json,
}

const MOST_TOKENS: u64 = u32::MAX as u64;

pub(crate) const TOKENS: Kind = Kind::Number { least: 1, most: MOST_TOKENS, expected: "a number of tokens" };
pub(crate) const SECONDS: Kind = Kind::Number { least: 1, most: MOST_TOKENS, expected: "a number of seconds" };
pub(crate) const SECONDS_OR_NONE: Kind = count_of("a number of seconds");
pub(crate) const RETRIES: Kind = Kind::Number { least: 0, most: MOST_TOKENS, expected: "a number of retries" };
pub(crate) const PORT: Kind = Kind::Number { least: 1, most: u16::MAX as u64, expected: "a port number" };

pub(crate) const fn count_of(expected: &'static str) -> Kind {
    Kind::Number { least: 0, most: u64::MAX, expected }
}

impl Kind {
    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Kind::Key | Kind::Token)
    }
}

/// The readings of a value. Each fails with the error that the value cannot be used.
impl Variable {
    /// Whether the value can be used.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(self, value: &OsStr) -> Result<()> {
        match self.kind() {
            Kind::Command => Ok(()),
            Kind::Path => self.path(value).map(drop),
            Kind::Text => self.text(value).map(drop),
            Kind::Url => self.url(value).map(drop),
            Kind::Number { .. } => self.number(value).map(drop),
            Kind::Temperature => self.temperature(value).map(drop),
            Kind::YesOrNo => self.yes_or_no(value).map(drop),
            Kind::TimeOfDay => self.time_of_day(value).map(drop),
            Kind::Words(..) => self.word(value).map(drop),
            Kind::Policy => self.policy(value).map(drop),
            Kind::Key => self.key(value).map(drop),
            Kind::Token => self.token(value).map(drop),
            Kind::Json => self.json(value).map(drop),
        }
    }

    /// A relative one would be another in every folder.
    pub(crate) fn path(self, value: &OsStr) -> Result<&OsStr> {
        let is_absolute = value.as_bytes().starts_with(b"/") || value.as_bytes().starts_with(b"~/");
        if is_absolute { Ok(value) } else { Err(self.error(value.display(), "an absolute path")) }
    }

    /// Trimmed.
    pub(crate) fn text(self, value: &OsStr) -> Result<&str> {
        value.to_str().map(str::trim).ok_or_else(|| self.error("…", "UTF-8 text"))
    }

    pub(crate) fn url(self, value: &OsStr) -> Result<Uri> {
        let text = self.text(value)?;
        url::parse(text).ok_or_else(|| {
            self.error(url::without_secrets(text), "the http:// or https:// address of a chat completions endpoint")
        })
    }

    pub(crate) fn number(self, value: &OsStr) -> Result<u64> {
        let Kind::Number { least, most, expected } = self.kind() else { return Err(self.error("…", "no number")) };
        match self.text(value)?.parse() {
            Ok(0) if least == 1 => Err(self.error("0", "at least 1")),
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(self.error(value.display(), expected)),
        }
    }

    pub(crate) fn temperature(self, value: &OsStr) -> Result<f64> {
        // JSON has no word for what is not finite, and would say null.
        let is_usable = |temperature: &f64| temperature.is_finite() && *temperature >= 0.0;
        let temperature = self.text(value)?.parse().ok().filter(is_usable);
        temperature.ok_or_else(|| self.error(value.display(), "a number that is not negative"))
    }

    /// The one rule for yes and no.
    pub(crate) fn yes_or_no(self, value: &OsStr) -> Result<bool> {
        let value = value.to_string_lossy();
        parse_yes_or_no(&value).ok_or_else(|| self.error(&value, YES_OR_NO))
    }

    pub(crate) fn time_of_day(self, value: &OsStr) -> Result<Time> {
        time_of_day(&value.to_string_lossy()).ok_or_else(|| self.error(value.display(), "a time of day, such as `07:30`"))
    }

    /// One of the words, in lower case; empty if it is blank.
    pub(crate) fn word(self, value: &OsStr) -> Result<&'static str> {
        let Kind::Words(words, expected) = self.kind() else { return Err(self.error("…", "no word")) };
        let given = value.to_string_lossy().trim().to_ascii_lowercase();
        let word = words.iter().find(|word| **word == given).copied();
        word.or(given.is_empty().then_some("")).ok_or_else(|| self.error(given, expected))
    }

    pub(crate) fn policy(self, value: &OsStr) -> Result<RefusalPolicy> {
        let value = value.to_string_lossy();
        RefusalPolicy::parse(&value).ok_or_else(|| self.error(&value, "`local`, `wait`, `wait:2h` or `fail`"))
    }

    /// One that no header can carry is refused without being shown.
    pub(crate) fn key(self, value: &OsStr) -> Result<&str> {
        let key = value.to_str().map(str::trim).filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()));
        key.ok_or_else(|| self.error("…", "visible ASCII characters and no spaces"))
    }

    /// It must fit into a header, and into a line for a shell.
    pub(crate) fn token(self, value: &OsStr) -> Result<&str> {
        let is_usable = |token: &&str| token.chars().all(|c| c.is_ascii_alphanumeric() || "-._~+/=".contains(c));
        let token = Some(self.text(value)?).filter(is_usable);
        token.ok_or_else(|| self.error("…", "letters, digits and - . _ ~ + / ="))
    }

    pub(crate) fn json(self, value: &OsStr) -> Result<Map<String, Value>> {
        serde_json::from_str(self.text(value)?).map_err(|_| self.error("…", "a JSON object"))
    }

    /// The value as it may be shown: no key, no token, and no password within another value.
    pub(crate) fn shown(self, value: &OsStr) -> Shown {
        match self.kind() {
            kind if kind.is_secret() => "set".into(),
            Kind::Url => Shown::line(url::without_secrets(&value.to_string_lossy())),
            Kind::Json => Shown::line(without_secret_fields(&value.to_string_lossy())),
            Kind::Command => Shown::line(without_secret_words(&value.to_string_lossy())),
            _ => Shown::line(value.display()),
        }
    }
}

/// Whether a value of this name should not be shown, as in `--api-key` and `HF_TOKEN`.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    ["api-key", "apikey", "token", "secret", "password", "authorization"].iter().any(|part| name.ends_with(part))
}

fn without_secret_fields(json: &str) -> String {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(json) else { return json.into() };
    let is_secret = |name: &String, value: &Value| is_secret_name(name) && value.is_string();
    if !fields.iter().any(|(name, value)| is_secret(name, value)) {
        return json.into();
    }
    for (name, value) in &mut fields {
        if is_secret(name, value) {
            *value = "…".into();
        }
    }
    Value::from(fields).to_string()
}

/// `--api-key X`, `--api-key=X` and `HF_TOKEN=X` without the X.
fn without_secret_words(command: &str) -> String {
    let (mut shown, mut is_after_secret_option) = (Vec::new(), false);
    for word in command.split(' ') {
        let assigned = word.split_once('=').filter(|(name, value)| is_secret_name(name) && !value.is_empty());
        shown.push(match assigned {
            _ if is_after_secret_option && !word.is_empty() => "…".to_string(),
            Some((name, _)) => format!("{name}=…"),
            None => word.to_string(),
        });
        is_after_secret_option = word.starts_with('-') && is_secret_name(word);
    }
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use crate::settings::Setting;

    #[test]
    fn values_that_can_be_used_and_those_that_cannot() {
        let table = [
            (Setting::FlagFile, "/a ~/a", "a ./a ~a"),
            (Setting::Url, "http://h https://h:1/v1 http://[::1]:9", "h ftp://h http:// http://h:many"),
            (Setting::MaxTokens, "1 800 4294967295", "0 -1 4294967296 many 1.5"),
            (Setting::LocalRetries, "0 4", "-1 x"),
            (Setting::Port, "1 65535", "0 65536 x"),
            (Setting::Temperature, "0 0.2 2", "-0.1 nan inf hot"),
            (Setting::Prime, "1 yes OFF", "2 maybe"),
            (Setting::NotifyDaily, "7:30 07:30 23:59:59", "730 24:00 noon 7:30Z"),
            (Setting::Agent, "auto Always NEVER", "no sometimes"),
            (Setting::Replay, "always", "never 1"),
            (Setting::Policy, "local wait wait:2h fail", "wait: never"),
            (Setting::ApiKey, "sk-1", "ä"),
            (Setting::GatewayToken, "aZ-._~+/=", "a'b ä"),
            (Setting::ExtraBody, r#"{} {"a":1}"#, "[] 1 {"),
            (Setting::ServerCommand, "anything", ""),
        ];
        for (setting, good, bad) in table {
            let check = |value: &str| setting.of(1).check(value.as_ref());
            for value in good.split_whitespace() {
                assert!(check(value).is_ok(), "{setting:?} {value}");
            }
            for value in bad.split_whitespace() {
                assert!(check(value).is_err(), "{setting:?} {value}");
            }
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let table = [
            (Setting::ApiKey, "sk-1", "set"),
            (Setting::GatewayToken, "t", "set"),
            (Setting::Url, "http://me:pw@h/v1?key=x", "http://h/v1"),
            (Setting::ExtraBody, r#"{"a": 1}"#, r#"{"a": 1}"#),
            (Setting::ExtraBody, r#"{"a": 1, "api_key": "x", "max_token": 2}"#, r#"{"a":1,"api_key":"…","max_token":2}"#),
            (
                Setting::ServerCommand,
                "HF_TOKEN=x serve --api-key y --port 1 --api_key=z",
                "HF_TOKEN=… serve --api-key … --port 1 --api_key=…",
            ),
            (Setting::NotifyCommand, "~/bin/tell\u{1b}me", "~/bin/tellme"),
        ];
        for (setting, value, expected) in table {
            assert_eq!(&*setting.of(1).shown(value.as_ref()), expected, "{value}");
        }
    }
}
