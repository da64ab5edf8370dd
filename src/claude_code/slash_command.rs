//! Slash commands in prompts and messages, as 2.1.330 tells them from other text.

/// The name and the arguments of `/review this`; `None` for a path.
pub(crate) fn parse(text: &str) -> Option<(&str, &str)> {
    let rest = text.trim().strip_prefix('/')?;
    let (name, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic()) && !name.contains(['/', '.']);
    is_name.then_some((name, arguments.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_paths_are_told_apart() {
        let table = [
            ("/review", Some(("review", ""))),
            (" /review  this file\n", Some(("review", "this file"))),
            ("/plugin:do\nall", Some(("plugin:do", "all"))),
            ("/tmp/file is full", None),
            ("/notes.md", None),
            ("/ 2", None),
            ("/42", None),
            ("a /review", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
