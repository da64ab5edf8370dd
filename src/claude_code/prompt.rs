//! The prompt and the system prompt, put together as Claude Code 2.1.330 does.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::claude_code::command_line::CommandLine;
use crate::error::{Error, Result, say, say_unless_parsed};

/// The limit for stdin in UTF-16 code units, in which the real CLI counts its 10 MB.
const MAX_STDIN: usize = 10 << 20;

/// How long the real CLI waits for the first byte of a pipe, in milliseconds.
const FIRST_BYTE_TIMEOUT: u16 = 3000;

/// The prompt: the argument, stdin, or both with a newline between. It may be empty. `stdin` is what stdin held, if it was read
/// before.
///
/// # Errors
/// The real CLI's text for more than its limit.
pub(crate) fn read(command_line: &CommandLine, stdin: Option<Vec<u8>>) -> Result<String> {
    let argument = match command_line.prompt() {
        Some("code") => {
            say_unless_parsed(&"Tip: you can start Claude Code with just `claude`".into());
            ""
        }
        argument => argument.unwrap_or_default(),
    };
    let piped = match stdin {
        _ if argument == "mcp" => String::new(),
        Some(bytes) => decode(bytes)?,
        None => decode(read_stdin()?)?,
    };
    let parts: Vec<&str> = [argument, piped.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
    let prompt = parts.join("\n");
    let is_text = matches!(command_line.last("--output-format"), None | Some("text"));
    if let Some(warning) = command_line.swallowed_prompt_warning().filter(|_| is_text || prompt.is_empty()) {
        say(warning);
    }
    Ok(prompt)
}

/// # Errors
/// The real CLI's texts for a prompt that is missing or only white space.
pub(crate) fn check(command_line: &CommandLine, prompt: &str) -> Result<()> {
    let resumes = command_line.has("--continue") || command_line.last("--resume").is_some_and(|id| !is_blank(id));
    if prompt.is_empty() && resumes {
        let text = "Error: No deferred tool marker found in the resumed session. Either the session was not deferred, the marker \
                    is stale (tool already ran), or it exceeds the tail-scan window. Provide a prompt to continue the conversation.";
        Err(Error::AsClaude { text: text.into() })
    } else if prompt.is_empty() {
        Err(missing())
    } else if is_blank(prompt) {
        let text = "Error: Input contained only whitespace. Provide a prompt with text through stdin or as a prompt argument when \
                    using --print";
        Err(Error::AsClaude { text: text.into() })
    } else {
        Ok(())
    }
}

pub(crate) fn missing() -> Error {
    let text = "Error: Input must be provided either through stdin or as a prompt argument when using --print";
    Error::AsClaude { text: text.into() }
}

/// The system prompt of the options, if they have one.
///
/// # Errors
/// The real CLI's texts for files that cannot be read.
pub(crate) fn system(command_line: &CommandLine) -> Result<Option<String>> {
    let own = file_and_option(command_line, "--system-prompt", "--system-prompt-file", "system prompt file")?;
    let appended = appended(command_line)?;
    let parts = [own, appended].into_iter().flatten().filter(|part| !part.is_empty());
    let whole = parts.collect::<Vec<_>>().join("\n\n");
    Ok((!whole.is_empty()).then_some(whole))
}

/// What the options append to the system prompt, if anything.
///
/// # Errors
/// The real CLI's texts for files that cannot be read.
pub(crate) fn appended(command_line: &CommandLine) -> Result<Option<String>> {
    file_and_option(command_line, "--append-system-prompt", "--append-system-prompt-file", "append system prompt file")
}

/// The file's text first, then the option's.
fn file_and_option(command_line: &CommandLine, option: &str, file_option: &str, what: &str) -> Result<Option<String>> {
    let given = command_line.last(option);
    let Some(path) = command_line.last(file_option).filter(|path| !path.is_empty()) else {
        return Ok(given.map(str::to_string));
    };
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let text = read_text(&path, what)?;
    Ok(Some(match given.filter(|given| !given.is_empty()) {
        None => text,
        Some(given) if text.is_empty() => given.to_string(),
        Some(given) => {
            let body = text.strip_suffix('\n').map_or(text.as_str(), |body| body.strip_suffix('\r').unwrap_or(body));
            format!("{body}\n\n{given}")
        }
    }))
}

fn read_text(path: &Path, what: &str) -> Result<String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let first = what[..1].to_uppercase();
            Err(Error::as_claude(format_args!("Error: {first}{} not found: {}", &what[1..], path.display())))
        }
        Err(error) => Err(Error::as_claude(format_args!("Error reading {what}: {}", in_words_of_node(&error, path)))),
    }
}

/// The error in Node's words, with which the real CLI prints it.
fn in_words_of_node(error: &io::Error, path: &Path) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EISDIR) => "EISDIR: illegal operation on a directory, read".into(),
        Some(errno) => format!("{errno:?}: {}, open '{}'", errno.desc().to_lowercase(), path.display()),
        None => error.to_string(),
    }
}

/// White space as JavaScript's `trim` has it.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| (c.is_whitespace() && c != '\u{85}') || c == '\u{feff}')
}

/// All of stdin. Nothing is read from a terminal, or from a pipe that stays silent for three seconds.
///
/// # Errors
/// The real CLI's text for more than its limit.
pub(crate) fn read_stdin() -> Result<Vec<u8>> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Ok(vec![]);
    }
    let Ok(is_silent) = is_silent() else { return Ok(vec![]) };
    if is_silent {
        say_unless_parsed(
            &"Warning: no stdin data received in 3s, proceeding without it. If piping from a slow command, redirect stdin \
             explicitly: < /dev/null to skip, or wait longer."
                .into(),
        );
        return Ok(vec![]);
    }
    let Ok(file) = stdin.as_fd().try_clone_to_owned().map(File::from) else { return Ok(vec![]) };
    read_all(file)
}

fn decode(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).or_else(|error| {
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        // The limit counts U+FFFD for each byte that is not UTF-8.
        let fits = text.len() <= MAX_STDIN || text.encode_utf16().count() <= MAX_STDIN;
        if fits { Ok(text) } else { Err(too_long()) }
    })
}

/// Waits for the first byte of stdin, at most as long as the real CLI does.
pub(crate) fn await_input() {
    let _ = is_silent();
}

fn is_silent() -> nix::Result<bool> {
    let stdin = io::stdin();
    let mut waited_for = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut waited_for, PollTimeout::from(FIRST_BYTE_TIMEOUT)) {
            Err(Errno::EINTR) => continue,
            ready => return ready.map(|count| count == 0),
        }
    }
}

fn read_all(mut file: File) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut units = 0;
    let mut chunk = [0; 64 << 10];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(bytes),
            Ok(length) => {
                units += chunk[..length].iter().map(|byte| utf16_units(*byte)).sum::<usize>();
                // A code unit takes at most three bytes.
                if units > MAX_STDIN || bytes.len() > 3 * MAX_STDIN {
                    return Err(too_long());
                }
                bytes.extend_from_slice(&chunk[..length]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                say_unless_parsed(
                    &"Warning: stdin is unreadable (EISDIR), proceeding without piped input. If you piped input, it was not \
                     received — pass it as a prompt argument, or check that the process launching Claude Code wires stdin to a \
                     pipe or /dev/null."
                        .into(),
                );
                return Ok(Vec::new());
            }
            Err(_) => return Ok(bytes),
        }
    }
}

fn too_long() -> Error {
    Error::AsClaude {
        text: "Error: piped stdin input exceeds 10MB. Pass large content as a file path in your prompt instead.".into(),
    }
}

/// How many UTF-16 code units a byte of UTF-8 begins.
fn utf16_units(byte: u8) -> usize {
    match byte {
        0x80..=0xbf => 0,
        0xf0.. => 2,
        _ => 1,
    }
}
