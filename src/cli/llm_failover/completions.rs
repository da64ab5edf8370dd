//! `llm-failover completions SHELL`: a script that has the shell complete commands, options, and the words that these take.
//!
//! `argh_complete` writes the commands and options. It knows no words of an argument or of an option (0.1.19): those of an argument are
//! given to it as commands below the command, and those of an option are written into its script.

use std::str::FromStr;

use argh::{ArgsInfo, CommandInfoWithArgs, SubCommandInfo};
use argh_complete::Generator;
use argh_complete::bash::Bash;
use argh_complete::fish::Fish;
use argh_complete::zsh::Zsh;

use crate::cli::llm_failover::NAME;
use crate::cli::llm_failover::options::Options;
use crate::cli::statusline::FORMATS;
use crate::drill::SCENARIOS;
use crate::settings::SETTINGS;
use crate::shown::Shown;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
}

const SHELLS: [(&str, Shell); 3] = [("bash", Shell::Bash), ("zsh", Shell::Zsh), ("fish", Shell::Fish)];

impl FromStr for Shell {
    type Err = String;

    fn from_str(word: &str) -> Result<Shell, String> {
        let known = SHELLS.iter().find(|(known, _)| *known == word).map(|(_, shell)| *shell);
        known.ok_or_else(|| format!("`{word}` is none of bash, zsh, fish"))
    }
}

pub(super) fn script(shell: Shell) -> Shown {
    let mut commands = Options::get_args_info();
    for inner in &mut commands.commands {
        match inner.name {
            "drill" => add(inner, SCENARIOS.map(|(word, _, what)| (word, what))),
            "completions" => add(inner, SHELLS.map(|(word, _)| (word, ""))),
            "config" => {
                inner.command.commands.iter_mut().filter(|of| of.name != "edit").for_each(|of| add(of, SETTINGS.iter().copied()))
            }
            _ => {}
        }
    }
    Shown::lines(match shell {
        Shell::Bash => bash(Bash::generate(NAME, &commands)),
        Shell::Zsh => zsh(Zsh::generate(NAME, &commands)),
        Shell::Fish => fish(Fish::generate(NAME, &commands)),
    })
}

/// Has `argh_complete` offer these words after the command.
fn add(to: &mut SubCommandInfo, words: impl IntoIterator<Item = (&'static str, &'static str)>) {
    let word = |(name, description)| SubCommandInfo {
        name,
        command: CommandInfoWithArgs { name, description, ..CommandInfoWithArgs::default() },
    };
    to.command.commands.extend(words.into_iter().map(word));
}

/// The options that take one of some words.
fn choices() -> [(&'static str, String); 1] {
    [("--format", FORMATS.map(|(word, _)| word).join(" "))]
}

fn bash(script: String) -> String {
    // It would be the shell's own variable.
    let script = script.replace("    local i cur prev opts cmds\n", "    local i cur prev opts cmds cmd\n");
    choices().iter().fold(script, |script, (option, words)| {
        let none = format!("                {option})\n                    COMPREPLY=()\n");
        let some =
            format!("                {option})\n                    COMPREPLY=( $(compgen -W \"{words}\" -- \"${{cur}}\") )\n");
        script.replace(&none, &some)
    })
}

fn zsh(script: String) -> String {
    let with_words = |line: &str| {
        let choices = choices();
        let choice = choices.iter().find(|(option, _)| line.trim_start().starts_with(&format!("'{option}[")));
        choice.map_or_else(|| line.to_string(), |(_, words)| line.replace("]'': :'", &format!("]:one of:({words})'")))
    };
    script.lines().map(with_words).collect::<Vec<_>>().join("\n") + "\n"
}

fn fish(script: String) -> String {
    // fish has `-x` since 4.0 and still knows `-o`, the word for it before.
    let script = script.replace("commandline -xpc", "commandline -opc");
    choices().iter().fold(script, |script, (option, words)| {
        let option = option.trim_start_matches('-');
        script.replace(&format!(" -l {option} -r"), &format!(" -l {option} -x -a '{words}'"))
    })
}
