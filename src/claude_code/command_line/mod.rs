//! Claude Code's command line, as far as routing and answering need it. The grammar is Commander's as Claude Code
//! 2.1.330 has it, with its error texts.

mod check;
mod parser;
mod resumed;
mod scan;
mod settings_flags;
mod suggest;
mod swallowed_prompt;

use std::ffi::OsString;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use crate::claude_code::command_line::parser::{Flow, Parser};
pub(crate) use crate::claude_code::command_line::resumed::WHICH_SESSION;
use crate::claude_code::command_line::scan::{is_print, scan};
use crate::claude_code::options::{COMMANDS, FIRST_WORDS, Opt};
use crate::error::{Error, Result};
use crate::shown::Shown;

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// A subcommand, `--version`, `--help`.
    NeedsNoModel,
    /// A prompt or a session.
    Prompt(CommandLine),
}

/// A command line whose options are all known and well-formed.
#[derive(Debug)]
pub(crate) struct CommandLine {
    values: Vec<(&'static Opt, Vec<String>)>,
    /// Where each of them stands in the command line, its values included.
    places: Vec<Range<usize>>,
    prompt: Option<String>,
    /// Where the words stand that are no options.
    operand_places: Vec<usize>,
    /// The warning about a prompt that an option has taken as one of its values.
    swallowed_prompt: Option<Shown>,
}

impl CommandLine {
    /// Whether stdin is a stream of messages.
    pub(crate) fn listens(&self) -> bool {
        self.last("--input-format") == Some("stream-json")
    }

    /// The names of the options that are given.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn names(&self) -> std::collections::BTreeSet<&'static str> {
        self.values.iter().map(|(option, _)| option.name()).collect()
    }

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

    /// The command line `args`, from which this was parsed, with the flag `flag` in the place of each of these options and
    /// its values. With nothing in their place a variadic option before them would take the word behind them.
    pub(crate) fn replaced(&self, names: &[&str], flag: &str, args: &[OsString]) -> Vec<OsString> {
        self.replaced_by(names, &[flag.into()], args)
    }

    /// The same with `words`, the first of which must be an option. What else a cluster of flags says stays.
    pub(crate) fn replaced_by(&self, names: &[&str], words: &[OsString], args: &[OsString]) -> Vec<OsString> {
        let is_named = |option: &Opt| names.contains(&option.name());
        let (mut replaced, mut at) = (Vec::new(), 0);
        while at < args.len() {
            // The options of a cluster stand in one place, which ends with the values of the last.
            let here = || self.values.iter().zip(&self.places).filter(|(_, place)| place.start == at);
            let end = here().map(|(_, place)| place.end).max().unwrap_or(at + 1);
            if here().any(|((option, _), _)| is_named(option)) {
                replaced.extend(words.iter().cloned());
                let others = here().map(|(option, _)| option).filter(|(option, _)| !is_named(option));
                replaced.extend(others.map(|(option, values)| option.with(values.first().map(String::as_str)).into()));
                // What is left of `-pc-` behind its flags is `--`.
                let has_only_flags = here().all(|((_, values), _)| values.is_empty());
                let ends_options = has_only_flags && args[at].as_bytes().ends_with(b"-");
                replaced.extend(ends_options.then(|| "--".into()));
            } else {
                replaced.extend_from_slice(&args[at..end]);
            }
            at = end;
        }
        replaced
    }

    /// The prompt argument: the first positional.
    pub(crate) fn prompt(&self) -> Option<&str> {
        self.prompt.as_deref()
    }

    pub(crate) fn swallowed_prompt_warning(&self) -> Option<&Shown> {
        self.swallowed_prompt.as_ref()
    }

    /// Whether the real CLI accepts the formats and the options that depend on them together.
    pub(crate) fn formats_fit(&self) -> bool {
        let (output, input) = (self.last("--output-format"), self.last("--input-format"));
        let (streams, listens) = (output == Some("stream-json"), input == Some("stream-json"));
        let may_stream = streams || !(listens || self.has("--include-partial-messages") || self.has("--replay-user-messages"));
        may_stream && (!streams || self.has("--verbose")) && (listens || !self.has("--replay-user-messages"))
    }

    /// Whether `-p` was given, in a cluster of flags too.
    fn asks_for_print(&self) -> bool {
        self.has("--print")
    }

    /// Refuses a prompt that the real CLI takes for a mistyped command, which it does without `-p`.
    ///
    /// # Errors
    /// The real CLI's message.
    pub(crate) fn check_command(&self) -> Result<()> {
        let Some(word) = self.prompt() else { return Ok(()) };
        if self.asks_for_print() || self.has("--continue") || self.has("--resume") {
            return Ok(());
        }
        suggest::command(word, COMMANDS).map_or(Ok(()), |near| {
            Err(Error::as_claude(format_args!(
                "✘ unknown command \"{word}\"\n  └ Did you mean claude {near}?\n\n\
                 Run claude --help to list commands, or claude -p \"{word}\" to send as a prompt."
            )))
        })
    }
}

/// Whether `-p` or `--print` stands there as a word of its own, which is what makes a call at a terminal print mode; a
/// cluster such as `-pc` does not. Nothing else on the command line matters, not even a fault.
pub(crate) fn says_print(args: &[OsString]) -> bool {
    scan(&lossy(args)).iter().any(|token| is_print(token.text))
}

/// Parses a command line as the real CLI does.
///
/// # Errors
/// The real CLI's own texts.
pub(crate) fn parse(args: &[OsString]) -> Result<Parsed> {
    let args = lossy(args);
    let tokens = scan(&args);
    let has_commands = !tokens.iter().any(|token| is_print(token.text));
    let first = args.first().map(String::as_str).unwrap_or_default();
    if FIRST_WORDS.contains(&first) || args == ["-V"] || tokens.iter().any(|token| token.text == "--handle-uri") {
        return Ok(Parsed::NeedsNoModel);
    }
    let mut parser = Parser::new(&args, has_commands);
    let flow = parser.run();
    if matches!(flow, Ok(Flow::NeedsNoModel)) {
        return Ok(Parsed::NeedsNoModel);
    }
    settings_flags::check(&args, &tokens)?;
    flow?;
    let Parser { values, places, operands, operand_places, unknown, .. } = parser;
    if let Some(option) = unknown.first() {
        let near = suggest::options(option);
        return Err(Error::as_claude(format_args!("error: unknown option '{option}'{near}")));
    }
    let swallowed_prompt = swallowed_prompt::warning(&args, &tokens);
    Ok(Parsed::Prompt(CommandLine { values, places, prompt: operands.into_iter().next(), operand_places, swallowed_prompt }))
}

/// Arguments that are not UTF-8, with U+FFFD in place of what is not, as the real CLI reads them.
fn lossy(args: &[OsString]) -> Vec<String> {
    args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests;
