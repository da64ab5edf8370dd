//! Claude Code's first look at its arguments, before it parses them: it knows neither clusters nor errors.

use crate::claude_code::options::{Arity, Opt, find};

/// A word of the command line before `--` that is no option's value.
pub(super) struct Token<'a> {
    pub text: &'a str,
    /// Where it stands.
    pub at: usize,
    /// Where the next token stands: its values are between.
    pub end: usize,
}

pub(super) fn scan(args: &[String]) -> Vec<Token<'_>> {
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

pub(super) fn is_print(word: &str) -> bool {
    matches!(word, "-p" | "--print")
}

pub(super) fn is_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-')
}
