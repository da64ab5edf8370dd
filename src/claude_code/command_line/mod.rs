//! Claude Code's command line, as far as routing and answering need it. The grammar is Commander's as Claude Code
//! 2.1.330 has it, with its error texts.

mod check;
mod settings_flags;
mod suggest;
mod swallowed_prompt;

use std::ffi::OsString;
use std::ops::Range;

use crate::claude_code::options::{Arity, COMMANDS, FIRST_WORDS, HIDDEN_COMMANDS, Opt, find};
use crate::error::{Error, Result};

/// What kind of call a command line is.
#[derive(Debug)]
pub(crate) enum Call {
    /// Needs no model: a subcommand, `--version`, `--help`.
    NeedsNoModel,
    /// A prompt, or a session.
    Prompt(CommandLine),
}

/// A command line whose options are all known and well-formed.
#[derive(Debug)]
pub(crate) struct CommandLine {
    values: Vec<(&'static Opt, Vec<String>)>,
    /// Where each of them stands in the command line, its values included.
    places: Vec<Range<usize>>,
    prompt: Option<String>,
    eaten: Option<String>,
}

impl CommandLine {
    /// Whether the option was given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.iter().any(|(option, _)| option.name() == name)
    }

    /// The value of an option's last occurrence.
    pub(crate) fn last(&self, name: &str) -> Option<&str> {
        let (_, values) = self.values.iter().rfind(|(option, _)| option.name() == name)?;
        values.last().map(String::as_str)
    }

    /// The values of all of an option's occurrences.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let given = self.values.iter().filter(move |(option, _)| option.name() == name);
        given.flat_map(|(_, values)| values).map(String::as_str)
    }

    /// The command line `args`, from which this was read, with the flag `flag` in the place of each of these options and
    /// its values. Nothing in its place would let a variadic option before it take the word behind it.
    pub(crate) fn replaced(&self, names: &[&str], flag: &str, args: &[OsString]) -> Vec<OsString> {
        self.replaced_by(names, &[flag.into()], args)
    }

    /// The same with any words that begin with an option.
    pub(crate) fn replaced_by(&self, names: &[&str], words: &[OsString], args: &[OsString]) -> Vec<OsString> {
        let given = self.values.iter().zip(&self.places).filter(|((option, _), _)| names.contains(&option.name()));
        let places: Vec<&Range<usize>> = given.map(|(_, place)| place).collect();
        let shown = |at: usize| match places.iter().find(|place| place.contains(&at)) {
            Some(place) if place.start == at => words,
            Some(_) => &[],
            None => &args[at..=at],
        };
        (0..args.len()).flat_map(shown).cloned().collect()
    }

    /// The prompt argument: the first positional.
    pub(crate) fn prompt(&self) -> Option<&str> {
        self.prompt.as_deref()
    }

    /// The warning about a prompt that an option has taken as one of its values, if it looks like that.
    pub(crate) fn eaten_prompt(&self) -> Option<&str> {
        self.eaten.as_deref()
    }

    /// Whether the formats and what goes with them are such as the real CLI takes together.
    pub(crate) fn formats_fit(&self) -> bool {
        let (output, input) = (self.last("--output-format"), self.last("--input-format"));
        let (streams, listens) = (output == Some("stream-json"), input == Some("stream-json"));
        let may_stream = streams || !(listens || self.has("--include-partial-messages") || self.has("--replay-user-messages"));
        may_stream && (!streams || self.has("--verbose")) && (listens || !self.has("--replay-user-messages"))
    }

    /// Whether print mode is asked for, in a cluster of flags too.
    fn asks_for_print(&self) -> bool {
        self.has("--print")
    }

    /// The word that is taken for a mistyped command, as the real CLI does where it has no `-p`.
    ///
    /// # Errors
    /// Its message.
    pub(crate) fn check_command(&self) -> Result<()> {
        let Some(word) = self.prompt() else { return Ok(()) };
        if self.asks_for_print() || self.has("--continue") || self.has("--resume") {
            return Ok(());
        }
        suggest::command(word, COMMANDS).map_or(Ok(()), |near| {
            Err(Error::AsClaude(format!(
                "✘ unknown command \"{word}\"\n  └ Did you mean claude {near}?\n\n\
                 Run claude --help to list commands, or claude -p \"{word}\" to send as a prompt."
            )))
        })
    }
}

/// Whether `-p` or `--print` stands there as a word of its own, which is what makes a call at a terminal print mode; a
/// cluster such as `-pc` does not. Whatever else may be wrong with the command line.
pub(crate) fn says_print(args: &[OsString]) -> bool {
    let args: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    scan(&args).iter().any(|token| is_print(token.text))
}

/// Reads a command line. Arguments that are not UTF-8 are read with U+FFFD in place of what is not, as the real CLI does.
///
/// # Errors
/// The real CLI's own texts.
pub(crate) fn parse(args: &[OsString]) -> Result<Call> {
    let args: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let tokens = scan(&args);
    let has_commands = !tokens.iter().any(|token| is_print(token.text));
    let first = args.first().map(String::as_str).unwrap_or_default();
    if FIRST_WORDS.contains(&first) || args == ["-V"] || tokens.iter().any(|token| matches!(token.text, "--handle-uri")) {
        return Ok(Call::NeedsNoModel);
    }
    let mut parser =
        Parser { args: &args, at: 0, next: 0, has_commands, values: vec![], places: vec![], operands: vec![], unknown: vec![] };
    let outcome = parser.read();
    if matches!(outcome, Ok(Outcome::NeedsNoModel)) {
        return Ok(Call::NeedsNoModel);
    }
    settings_flags::check(&args, &tokens)?;
    outcome?;
    let Parser { values, places, operands, unknown, .. } = parser;
    if let Some(option) = unknown.first() {
        let near = suggest::options(option);
        return Err(Error::AsClaude(format!("error: unknown option '{option}'{near}")));
    }
    let eaten = swallowed_prompt::prompt(&args, &tokens);
    Ok(Call::Prompt(CommandLine { values, places, prompt: operands.into_iter().next(), eaten }))
}

/// A word of the command line before `--` that is no option's value.
struct Token<'a> {
    text: &'a str,
    /// Where it stands.
    at: usize,
    /// Where the next token stands: its values are between.
    end: usize,
}

/// The real CLI's first look at its arguments, which knows neither clusters nor errors.
fn scan(args: &[String]) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < args.len() && args[at] != "--" {
        let text = args[at].as_str();
        let follows = |end: usize| end < args.len() && !is_option(&args[end]);
        let mut end = at + 1;
        match find(text).map(Opt::arity) {
            Some(Arity::Required) => end += 1,
            Some(Arity::Optional) if follows(end) => end += 1,
            Some(Arity::Variadic) => {
                end += 1;
                while follows(end) {
                    end += 1;
                }
            }
            _ => {}
        }
        let end = end.min(args.len());
        tokens.push(Token { text, at, end });
        at = end;
    }
    tokens
}

fn is_print(word: &str) -> bool {
    matches!(word, "-p" | "--print")
}

fn is_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-')
}

#[derive(PartialEq)]
enum Outcome {
    Read,
    NeedsNoModel,
}

struct Parser<'a> {
    args: &'a [String],
    /// Where the option that is read begins.
    at: usize,
    next: usize,
    has_commands: bool,
    values: Vec<(&'static Opt, Vec<String>)>,
    places: Vec<Range<usize>>,
    operands: Vec<String>,
    unknown: Vec<String>,
}

impl Parser<'_> {
    fn read(&mut self) -> Result<Outcome> {
        let mut pending: Option<String> = None;
        while let Some(word) = pending.take().or_else(|| self.take()) {
            self.at = self.next - 1;
            if word == "--" {
                if !self.unknown.is_empty() {
                    self.unknown.push(word);
                }
                break;
            }
            if is_option(&word) {
                if matches!(word.as_str(), "-h" | "--help") {
                    return Ok(Outcome::NeedsNoModel);
                }
                if let Some(option) = find(&word) {
                    let values = self.values_of(option)?;
                    if self.set(option, values)? == Outcome::NeedsNoModel {
                        return Ok(Outcome::NeedsNoModel);
                    }
                    continue;
                }
                match self.joined(&word)? {
                    Joined::Handover => continue,
                    Joined::Rest(rest) => {
                        pending = Some(rest);
                        continue;
                    }
                    Joined::NeedsNoModel => return Ok(Outcome::NeedsNoModel),
                    Joined::Unknown => self.unknown.push(word),
                }
                continue;
            }
            if self.begins_command(&word) {
                return Ok(Outcome::NeedsNoModel);
            }
            self.push_word(word);
        }
        while let Some(word) = self.take() {
            if self.begins_command(&word) {
                return Ok(Outcome::NeedsNoModel);
            }
            self.push_word(word);
        }
        Ok(Outcome::Read)
    }

    fn take(&mut self) -> Option<String> {
        let word = self.args.get(self.next)?;
        self.next += 1;
        Some(word.clone())
    }

    fn follows(&self) -> bool {
        self.args.get(self.next).is_some_and(|word| !is_option(word))
    }

    fn begins_command(&self, word: &str) -> bool {
        let is_command = COMMANDS.contains(&word) || HIDDEN_COMMANDS.contains(&word);
        self.has_commands && self.operands.is_empty() && self.unknown.is_empty() && is_command
    }

    /// After an unknown option every word may be its value.
    fn push_word(&mut self, word: String) {
        match self.unknown.is_empty() {
            true => self.operands.push(word),
            false => self.unknown.push(word),
        }
    }

    fn values_of(&mut self, option: &'static Opt) -> Result<Vec<String>> {
        let mut values = Vec::new();
        match option.arity() {
            Arity::Flag => {}
            Arity::Optional => {
                if self.follows() {
                    values.extend(self.take());
                }
            }
            Arity::Required | Arity::Variadic => {
                let missing = || Error::AsClaude(format!("error: option '{}' argument missing", option.flags));
                values.push(self.take().ok_or_else(missing)?);
                while option.arity() == Arity::Variadic && self.follows() {
                    values.extend(self.take());
                }
            }
        }
        Ok(values)
    }

    fn set(&mut self, option: &'static Opt, values: Vec<String>) -> Result<Outcome> {
        if option.name() == "--version" {
            return Ok(Outcome::NeedsNoModel);
        }
        if let Some(value) = values.last() {
            check::value(option, value)?;
        }
        self.values.push((option, values));
        self.places.push(self.at..self.next);
        Ok(Outcome::Read)
    }

    /// `--option=value`, `-nvalue` and clusters of short flags.
    fn joined(&mut self, word: &str) -> Result<Joined> {
        let is_long = word.starts_with("--");
        let cut = match is_long {
            true => word.find('='),
            false => word.char_indices().nth(2).map(|(at, _)| at),
        };
        let Some(cut) = cut else { return Ok(Joined::Unknown) };
        let Some(option) = find(&word[..cut]) else { return Ok(Joined::Unknown) };
        if option.arity() != Arity::Flag {
            let value = word[cut + usize::from(is_long)..].to_string();
            self.set(option, vec![value])?;
            return Ok(Joined::Handover);
        }
        if is_long {
            return Ok(Joined::Unknown);
        }
        match self.set(option, vec![])? {
            Outcome::NeedsNoModel => Ok(Joined::NeedsNoModel),
            Outcome::Read => Ok(Joined::Rest(format!("-{}", &word[cut..]))),
        }
    }
}

enum Joined {
    Handover,
    Rest(String),
    NeedsNoModel,
    Unknown,
}

#[cfg(test)]
mod tests;
