use super::*;

fn words(line: &[&str]) -> Vec<OsString> {
    line.iter().map(OsString::from).collect()
}

fn command_line(line: &[&str]) -> CommandLine {
    match parse(&words(line)) {
        Ok(Parsed::Prompt(command_line)) => command_line,
        other => panic!("{line:?}: {other:?}"),
    }
}

fn error(line: &[&str]) -> String {
    match parse(&words(line)) {
        Err(Error::AsClaude { text }) => text.to_string(),
        other => panic!("{line:?}: {other:?}"),
    }
}

#[test]
fn what_else_a_cluster_says_stays() {
    let table: [(&[&str], &[&str]); 5] = [
        (&["-pc", "q"], &["-p", "q"]),
        (&["-cpr", "id", "q"], &["-p", "q"]),
        (&["-cpnx"], &["-p", "--name=x"]),
        (&["-pc-", "--continue"], &["-p", "--", "--continue"]),
        (&["-cp", "-r", "id", "-p"], &["-p", "-p"]),
    ];
    for (given, expected) in table {
        let replaced = command_line(given).replaced(&["--continue", "--resume"], "--verbose", &words(given));
        let kept: Vec<_> = replaced.into_iter().filter(|word| word != "--verbose").collect();
        assert_eq!(kept, words(expected), "{given:?}");
    }
}

#[test]
fn prompts() {
    let table: &[(&[&str], Option<&str>)] = &[
        (&["-p", "hi"], Some("hi")),
        (&["hi", "-p", "there"], Some("hi")),
        (&["-p"], None),
        (&["-p", "--", "-x"], Some("-x")),
        (&["--", "-p", "hi"], Some("-p")),
        (&["-p", "--", "--", "b"], Some("--")),
        (&["-p", "-"], Some("-")),
        (&["-p", ""], Some("")),
        (&["-p", "mcp", "list"], Some("mcp")),
        (&["--model", "haiku", "-p", "hi"], Some("hi")),
        (&["--model", "-p", "hi"], Some("hi")),
        (&["-p", "--debug", "hi"], None),
        (&["-p", "--debug", "--verbose", "hi"], Some("hi")),
        (&["-pdhi", "there"], Some("there")),
        (&["-pc", "hi"], Some("hi")),
        (&["-pn", "foo", "hi"], Some("hi")),
        (&["-pnfoo", "hi"], Some("hi")),
        (&["-pd2e", "hi"], Some("hi")),
        (&["-p", "--allowedTools", "a", "b"], None),
        (&["-p", "--allowedTools=a", "b"], Some("b")),
        (&["-p", "--allowed-tools", "-x", "a", "--verbose", "b"], Some("b")),
        (&["-p", "--setting-sources", "", "hi"], Some("hi")),
    ];
    for (line, prompt) in table {
        assert_eq!(command_line(line).prompt(), *prompt, "{line:?}");
    }
}

#[test]
fn values() {
    assert_eq!(command_line(&["-p", "--model=a", "--model", "b", "x"]).last("--model"), Some("b"));
    assert_eq!(command_line(&["-p", "--model", "--verbose"]).last("--model"), Some("--verbose"));
    assert_eq!(command_line(&["-p", "-nfoo"]).last("--name"), Some("foo"));
    assert_eq!(command_line(&["-p", "-n=foo"]).last("--name"), Some("=foo"));
    assert_eq!(command_line(&["-p", "--name="]).last("--name"), Some(""));
    assert!(!command_line(&["-p", "--model", "--verbose"]).has("--verbose"));
    assert!(command_line(&["-cp", "x"]).asks_for_print());
}

#[test]
fn calls_that_need_no_model() {
    let table: &[&[&str]] = &[
        &["mcp", "list"],
        &["--model", "haiku", "mcp", "list"],
        &["--", "mcp", "list"],
        &["doctor"],
        &["update", "--bogus"],
        &["-cp", "mcp"],
        &["--version"],
        &["-p", "hi", "-v"],
        &["-h"],
        &["-ph"],
        &["-vx"],
        &["--bogus", "--help"],
        &["daemon", "-p"],
    ];
    for line in table {
        assert!(matches!(parse(&words(line)), Ok(Parsed::NeedsNoModel)), "{line:?}");
    }
    for line in [&["-p", "mcp", "list"][..], &["--allowedTools", "--version"], &["-p", "--", "--version"], &["hi", "mcp"]] {
        assert!(matches!(parse(&words(line)), Ok(Parsed::Prompt(_))), "{line:?}");
    }
}

#[test]
fn errors_in_the_real_ones_words() {
    let table: &[(&[&str], &str)] = &[
        (&["-p", "--bogus-flag"], "error: unknown option '--bogus-flag'"),
        (&["-p", "--verbos", "hi"], "error: unknown option '--verbos'\n(Did you mean --verbose?)"),
        (&["-p", "--verbose=x"], "error: unknown option '--verbose=x'\n(Did you mean --verbose?)"),
        (&["-p", "--max-turn", "1"], "error: unknown option '--max-turn'"),
        (&["-p", "--helpp"], "error: unknown option '--helpp'\n(Did you mean --help?)"),
        (&["-pfoo"], "error: unknown option '-foo'"),
        (&["-p=x"], "error: unknown option '-=x'"),
        (&["-p", "- item"], "error: unknown option '- item'"),
        (&["-p", "--model"], "error: option '--model <model>' argument missing"),
        (&["-p", "-n"], "error: option '-n, --name <name>' argument missing"),
        (&["-p", "--allowedTools"], "error: option '--allowedTools, --allowed-tools <tools...>' argument missing"),
        (
            &["-p", "--output-format", "xml"],
            "error: option '--output-format <format>' argument 'xml' is invalid. Allowed choices are text, json, stream-json.",
        ),
        (&["-p", "--max-turns", "abc"], "error: option '--max-turns <turns>' argument 'abc' is invalid. must be a number"),
    ];
    for (line, text) in table {
        assert_eq!(error(line), *text, "{line:?}");
    }
}

#[test]
fn slips_of_commands() {
    for (word, near) in [("mcpp", "mcp"), ("mpc", "mcp"), ("MCP", "mcp"), ("doctorr", "doctor"), ("updat", "update")] {
        let Err(Error::AsClaude { text }) = command_line(&[word]).check_command() else { panic!("{word}") };
        assert!(text.contains(&format!("Did you mean claude {near}?")), "{text}");
    }
    for word in ["help", "kil", "1mcp", "mcp1", "remote-contro", "hello there"] {
        assert!(command_line(&[word]).check_command().is_ok(), "{word}");
    }
    assert!(command_line(&["-p", "mcpp"]).check_command().is_ok());
}

#[test]
fn prompts_that_an_option_took() {
    let warning_of = |line: &[&str]| command_line(line).swallowed_prompt_warning().map(ToString::to_string);
    let warning =
        "\"my prompt\" was read as a value of --allowedTools, not as a prompt · put a prompt before --allowedTools or after --";
    assert_eq!(warning_of(&["-p", "--allowedTools", "Read", "my prompt"]).as_deref(), Some(warning));
    let silent: &[&[&str]] = &[
        &["-p", "--allowedTools", "my prompt"],
        &["-p", "--allowedTools", "Read", "Read prompt Edit", "WHY NOT"],
        &["-p", "--allowedTools", "Read", "hello"],
        &["-p", "--allowedTools", "Read", "/usr/bin is big"],
        &["-p", "hi", "--allowedTools", "Read", "my prompt"],
    ];
    for line in silent {
        assert_eq!(warning_of(line), None, "{line:?}");
    }
    assert!(warning_of(&["-p", "--tools", "Read", "/usr is big"]).is_some());
    assert!(warning_of(&["-p", "--tools", "Read", "héllo"]).is_some());
    let long = warning_of(&["-p", "--tools", "Read", "please tell me what this program does and why"]).unwrap();
    assert!(long.starts_with("\"please tell me what this program does a…\" was read"), "{long}");
}
