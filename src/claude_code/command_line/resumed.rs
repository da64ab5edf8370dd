//! The command line with which the session of an ended Claude Code goes on.

use std::ffi::{OsStr, OsString};

use crate::claude_code::command_line::CommandLine;

/// The options that decide which session it is. Claude Code 2.1.330 refuses `--session-id` for one that exists.
pub(crate) const WHICH_SESSION: [&str; 6] =
    ["--session-id", "--resume", "--continue", "--fork-session", "--resume-session-at", "--resume-drops-turn"];

/// Others that are for the first start alone. A permission mode that is given again replaces the one that the user has changed to since.
const OF_THE_FIRST_START: [&str; 3] = ["--settings", "--permission-mode", "--prefill"];

/// Outranks the mode that the user has changed to since (2.1.330).
const BYPASS: &str = "--dangerously-skip-permissions";

impl CommandLine {
    /// `args`, from which this was parsed, with other settings and another prompt.
    pub(crate) fn begun_with(&self, args: &[OsString], settings: &OsStr, prompt: Option<&str>) -> Vec<OsString> {
        self.changed(args, &["--settings"], settings, prompt)
    }

    /// The same for the session `id`, which exists.
    pub(crate) fn resumed(
        &self,
        args: &[OsString],
        settings: &OsStr,
        id: &str,
        mode: Option<&str>,
        prompt: Option<&str>,
    ) -> Vec<OsString> {
        let mut options: Vec<OsString> = vec!["--resume".into(), id.into()];
        let mut left_out = [OF_THE_FIRST_START.as_slice(), &WHICH_SESSION].concat();
        if let Some(mode) = mode {
            options.extend(["--permission-mode".into(), mode.into()]);
            left_out.push(BYPASS);
            // The mode can still be chosen.
            options.extend(self.has(BYPASS).then(|| "--allow-dangerously-skip-permissions".into()));
        }
        options.into_iter().chain(self.changed(args, &left_out, settings, prompt)).collect()
    }

    /// The settings also stand in the place of each option that is left out: a variadic option before it would take the word behind it.
    fn changed(&self, args: &[OsString], left_out: &[&str], settings: &OsStr, prompt: Option<&str>) -> Vec<OsString> {
        let settings = ["--settings".into(), settings.into()];
        let mut words = settings.to_vec();
        for (at, word) in args.iter().enumerate() {
            let mut options = self.values.iter().zip(&self.places).filter(|(_, place)| place.contains(&at));
            match options.next() {
                // A cluster of flags has several options in one place.
                Some(option)
                    if std::iter::once(option).chain(options).any(|((option, _), _)| left_out.contains(&option.name())) =>
                {
                    words.extend(settings.iter().filter(|_| option.1.start == at).cloned());
                }
                Some(_) => words.push(word.clone()),
                None if word == "--" || self.operand_places.contains(&at) => {}
                None => words.push(word.clone()),
            }
        }
        // Behind this no word is taken for an option.
        words.extend(prompt.into_iter().flat_map(|prompt| ["--".into(), prompt.into()]));
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claude_code::command_line::{Parsed, parse};

    fn words(line: &[&str]) -> Vec<OsString> {
        line.iter().map(OsString::from).collect()
    }

    fn parsed(args: &[OsString]) -> CommandLine {
        match parse(args) {
            Ok(Parsed::Prompt(command_line)) => command_line,
            other => panic!("{args:?}: {other:?}"),
        }
    }

    #[test]
    fn the_command_line_of_a_session_that_goes_on() {
        const BEGINNING: &str = "--resume id --permission-mode plan";
        let table: &[(&[&str], &str)] = &[
            (&[], "--settings S -- next"),
            (&["first", "--model", "haiku"], "--settings S --model haiku -- next"),
            (&["--", "-x"], "--settings S -- next"),
            (&["--allowedTools", "A", "B", "--", "first"], "--settings S --allowedTools A B -- next"),
            (&["--allowedTools", "A", "--settings", "{}", "first"], "--settings S --allowedTools A --settings S -- next"),
            (&["--settings={}", "-c", "--verbose"], "--settings S --settings S --settings S --verbose -- next"),
            (&["-r", "other", "--fork-session"], "--settings S --settings S --settings S -- next"),
            (&["--permission-mode", "acceptEdits"], "--settings S --settings S -- next"),
            // The user has left that mode.
            (
                &["--dangerously-skip-permissions", "first"],
                "--allow-dangerously-skip-permissions --settings S --settings S -- next",
            ),
        ];
        for (line, expected) in table {
            let args = words(line);
            let resumed = parsed(&args).resumed(&args, OsStr::new("S"), "id", Some("plan"), Some("next"));
            assert_eq!(resumed.join(OsStr::new(" ")), OsString::from(format!("{BEGINNING} {expected}")), "{line:?}");
        }
        let args = words(&["--dangerously-skip-permissions"]);
        let resumed = parsed(&args).resumed(&args, OsStr::new("S"), "id", None, None);
        assert_eq!(resumed, words(&["--resume", "id", "--settings", "S", "--dangerously-skip-permissions"]));
    }

    #[test]
    fn the_command_line_of_a_session_that_begins() {
        let table: &[(&[&str], &str)] = &[
            (&["first", "--model", "haiku"], "--settings S --model haiku -- first"),
            (&["--allowedTools", "A", "--settings", "{}", "first"], "--settings S --allowedTools A --settings S -- first"),
            (&["-c", "first"], "--settings S -c -- first"),
        ];
        for (line, expected) in table {
            let args = words(line);
            let command_line = parsed(&args);
            let begun = command_line.begun_with(&args, OsStr::new("S"), command_line.prompt());
            assert_eq!(begun.join(OsStr::new(" ")), OsString::from(*expected), "{line:?}");
        }
    }
}
