//! Lines without an end in sight: none takes more than 300 MiB of memory.

use crate::support::play::Stage;
use crate::support::stub::Stub;

/// Not even this long is a line in memory: it is passed on, or refused.
const LONG: usize = 200 << 20;

/// One that is read as a whole.
const SHORTER: usize = 30 << 20;

/// What a caller may well say.
const SHORT: usize = 4 << 20;

/// Before a call: what a process writes to is in its data, and that is bounded.
const LIMIT: &str = "ulimit -d 307200; ";

/// A line of Claude's arrives byte for byte, however long it is.
#[test]
fn from_claude() {
    let stub = Stub::answering("from here");
    for (length, format) in [(SHORTER, "stream-json --verbose"), (LONG, "stream-json --verbose"), (LONG, "text")] {
        let mut stage = Stage::new(&stub, &[]);
        let begin = r#"{"type":"system","subtype":"new in some version","text":""#;
        let claude = format!("#!/bin/sh\nprintf '%s' '{begin}'\nhead -c {length} /dev/zero | tr '\\0' x\necho '\"}}'\nexit 3\n");
        let claude = stage.script("long/claude", &claude);
        stage.set("CLAUDE_BIN", claude);
        let script = format!("{LIMIT} (claude -p hi --output-format {format}; echo \"ends with $?\" >&2) | wc -c");
        let output = stage.cmd("/bin/sh").args(&["-c", &script]).limit(120).run();
        let expected = begin.len() + length + "\"}\n".len();
        assert_eq!(output.out().trim(), if format == "text" && length == SHORTER { String::new() } else { expected.to_string() });
        assert!(output.err().contains("ends with 3\n"), "{format}: {}", output.err());
    }
}

/// A line of the caller's that no model could take is refused, and no memory is kept for it.
#[test]
fn from_the_caller() {
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &[]);
    stage.write("flag", "local\n");
    for (length, code, result) in [(SHORT, 0, "\"result\":\"from here\""), (LONG, 1, "")] {
        let message = r#"printf '{"type":"user","message":{"role":"user","content":"'"#;
        let say = format!("{message}; head -c {length} /dev/zero | tr '\\0' x; echo '\"}}}}'");
        let call = "claude -p --input-format stream-json --output-format stream-json --verbose";
        let script = format!("({say}) | ({LIMIT} {call}; echo \"ends with $?\" >&2) | tail -n 1 | cut -c 1-400");
        let output = stage.cmd("/bin/sh").args(&["-c", &script]).limit(120).run();
        assert!(output.err().ends_with(&format!("ends with {code}\n")) && output.out().contains(result), "{output:?}");
        let is_refused = output.err().contains("Error: a line of streaming input is longer than 32 MiB\n");
        assert_eq!(is_refused, length == LONG, "{}", output.err());
    }
}
