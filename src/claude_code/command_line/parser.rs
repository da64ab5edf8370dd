//! Commander's grammar: options with their values, clusters of short flags, operands and commands.

use std::ops::Range;

use crate::claude_code::command_line::check;
use crate::claude_code::command_line::scan::is_option;
use crate::claude_code::options::{Arity, COMMANDS, HIDDEN_COMMANDS, Opt, find};
use crate::error::{Error, Result};

/// Whether parsing goes on after a word.
#[derive(PartialEq)]
pub(super) enum Flow {
    Continue,
    /// The word makes the whole call one that needs no model.
    NeedsNoModel,
}

pub(super) struct Parser<'a> {
    args: &'a [String],
    /// Where the option that is read begins.
    at: usize,
    next: usize,
    has_commands: bool,
    pub values: Vec<(&'static Opt, Vec<String>)>,
    /// Where each of `values` stands in `args`.
    pub places: Vec<Range<usize>>,
    pub operands: Vec<String>,
    /// Where each of `operands` stands in `args`.
    pub operand_places: Vec<usize>,
    /// The first unknown option and all words after it: each may be its value.
    pub unknown: Vec<String>,
}

/// What a word is that is no option as a whole.
enum Joined {
    /// An option with its value: `--option=value`, `-nvalue`.
    WithValue,
    /// A flag and the rest of its cluster: `-p` and `-c` of `-pc`.
    Flag(String),
    NeedsNoModel,
    Unknown,
}

impl Parser<'_> {
    /// With `has_commands`, a command's name as the first operand ends parsing.
    pub(super) fn new(args: &[String], has_commands: bool) -> Parser<'_> {
        Parser {
            args,
            at: 0,
            next: 0,
            has_commands,
            values: vec![],
            places: vec![],
            operands: vec![],
            operand_places: vec![],
            unknown: vec![],
        }
    }

    /// Parses all arguments.
    ///
    /// # Errors
    /// The real CLI's texts for values that are missing or invalid. Unknown options are left to the caller.
    pub(super) fn run(&mut self) -> Result<Flow> {
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
                    return Ok(Flow::NeedsNoModel);
                }
                if let Some(option) = find(&word) {
                    let values = self.values_of(option)?;
                    if self.add(option, values)? == Flow::NeedsNoModel {
                        return Ok(Flow::NeedsNoModel);
                    }
                    continue;
                }
                match self.parse_joined(&word)? {
                    Joined::WithValue => continue,
                    Joined::Flag(rest) => {
                        pending = Some(rest);
                        continue;
                    }
                    Joined::NeedsNoModel => return Ok(Flow::NeedsNoModel),
                    Joined::Unknown => self.unknown.push(word),
                }
                continue;
            }
            if self.begins_command(&word) {
                return Ok(Flow::NeedsNoModel);
            }
            self.push_word(word);
        }
        while let Some(word) = self.take() {
            if self.begins_command(&word) {
                return Ok(Flow::NeedsNoModel);
            }
            self.push_word(word);
        }
        Ok(Flow::Continue)
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

    fn push_word(&mut self, word: String) {
        match self.unknown.is_empty() {
            true => {
                self.operands.push(word);
                self.operand_places.push(self.next - 1);
            }
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
                let missing = || Error::as_claude(format_args!("error: option '{}' argument missing", option.flags));
                values.push(self.take().ok_or_else(missing)?);
                while option.arity() == Arity::Variadic && self.follows() {
                    values.extend(self.take());
                }
            }
        }
        Ok(values)
    }

    fn add(&mut self, option: &'static Opt, values: Vec<String>) -> Result<Flow> {
        if option.name() == "--version" {
            return Ok(Flow::NeedsNoModel);
        }
        if let Some(value) = values.last() {
            check::value(option, value)?;
        }
        self.values.push((option, values));
        self.places.push(self.at..self.next);
        Ok(Flow::Continue)
    }

    fn parse_joined(&mut self, word: &str) -> Result<Joined> {
        let is_long = word.starts_with("--");
        let cut = match is_long {
            true => word.find('='),
            false => word.char_indices().nth(2).map(|(at, _)| at),
        };
        let Some(cut) = cut else { return Ok(Joined::Unknown) };
        let Some(option) = find(&word[..cut]) else { return Ok(Joined::Unknown) };
        if option.arity() != Arity::Flag {
            let value = word[cut + usize::from(is_long)..].to_string();
            self.add(option, vec![value])?;
            return Ok(Joined::WithValue);
        }
        if is_long {
            return Ok(Joined::Unknown);
        }
        match self.add(option, vec![])? {
            Flow::NeedsNoModel => Ok(Joined::NeedsNoModel),
            Flow::Continue => Ok(Joined::Flag(format!("-{}", &word[cut..]))),
        }
    }
}
