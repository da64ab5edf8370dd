//! What must hold for any settings file.

use std::os::unix::ffi::OsStrExt;

use super::Context;
use crate::settings::Settings;
use crate::settings::file::{parse, parse_assignment};

/// A call with this settings file.
pub(crate) fn with_settings(bytes: &[u8]) -> Context {
    let (assignments, ignored) = parse(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').count();
    assert!(assignments.len() + ignored.len() <= lines && ignored.iter().all(|number| (1..=lines).contains(number)));
    for line in &assignments {
        let (key, value) = (line.name.as_bytes(), line.value.as_bytes());
        assert!(key.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') && !key.is_empty());
        assert!(!value.contains(&0) && !value.contains(&b'\n'), "what no environment can hold");
        // Written again it is the same, in one of the ways to write it.
        let ways = ["", "\"", "'"].map(|quote| [key, b"=", quote.as_bytes(), value, quote.as_bytes()].concat());
        let is_same = |line: &Vec<u8>| parse_assignment(line).is_some_and(|again| again == (key, value));
        assert!(ways.iter().any(is_same), "{}", value.escape_ascii());
    }
    let settings = Settings::new(|_| None, assignments);
    Context { name: "claude".into(), args: vec![], settings, given_claude: None, home: None, warnings: vec![] }
}
