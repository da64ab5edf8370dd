//! The command line with which the session of an ended Claude Code goes on.

use std::ffi::{OsStr, OsString};

use crate::claude_code::command_line::CommandLine;

/// What decides which session it is, and how that begins: Claude Code 2.1.330 refuses `--session-id` for a session that exists, and a
/// permission mode that is given again replaces the one that the user has changed to since.
const OF_THE_FIRST_START: [&str; 9] = [
    "--settings",
    "--session-id",
    "--resume",
    "--continue",
    "--fork-session",
    "--resume-session-at",
    "--resume-drops-turn",
    "--permission-mode",
    "--prefill",
];

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
        options.extend(mode.into_iter().flat_map(|mode| ["--permission-mode".into(), mode.into()]));
        options.into_iter().chain(self.changed(args, &OF_THE_FIRST_START, settings, prompt)).collect()
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
