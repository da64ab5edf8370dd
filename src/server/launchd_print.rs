//! What `launchctl print` and the older `launchctl list` show of an agent.

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Printed {
    pub(crate) has_process: bool,
    /// launchd will start it, and has not yet.
    pub(crate) is_scheduled: bool,
    /// It ran, for all that is known.
    has_ended: bool,
    /// How it ended, in launchd's words.
    pub(crate) ending: Option<String>,
}

impl Printed {
    /// The agent's own lines are those with the least indentation. Deeper ones are of its arguments, its environment and its
    /// endpoints, and have words such as `state = active`.
    pub(crate) fn read(text: &str) -> Printed {
        let indentation = |line: &str| line.len() - line.trim_start().len();
        let own = text.lines().map(indentation).find(|indentation| *indentation > 0).unwrap_or(0);
        let value = |key: &str| {
            let own_lines = text.lines().filter(|line| indentation(line) <= own);
            own_lines
                .filter_map(|line| line.trim_start().split_once(" = "))
                .find(|(name, _)| *name == key)
                .map(|(_, value)| value)
        };
        // `(never exited)` is said in its place.
        let code = value("last exit code").filter(|code| !code.starts_with('(')).map(|code| format!("exit code {code}"));
        let ending = code.or_else(|| value("last terminating signal").map(str::to_string));
        Printed {
            has_process: value("pid").is_some(),
            is_scheduled: value("state") == Some("spawn scheduled"),
            has_ended: ending.is_some(),
            ending: ending.map(|ending| format!("launchd: {ending}")),
        }
    }

    pub(crate) fn read_list(text: &str) -> Printed {
        let value = |key: &str| {
            let line = text.lines().find(|line| line.trim_start().starts_with(&format!("\"{key}\"")))?;
            Some(line.split_once('=')?.1.trim().trim_end_matches(';'))
        };
        let status = value("LastExitStatus");
        Printed {
            has_process: value("PID").is_some(),
            is_scheduled: false,
            // It says 0 of an agent that has never run as well.
            has_ended: status.is_some_and(|status| status != "0"),
            ending: status.map(|status| format!("launchd status {status}")),
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        !self.has_process && (self.has_ended || self.is_scheduled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(state: &str, rest: &str) -> Printed {
        Printed::read(&format!(
            "gui/501/com.local.mlxserver = {{\n\tactive count = 1\n\ttype = LaunchAgent\n\tstate = {state}\n\n\targuments = {{\n\
             \t\tpid = 1\n\t}}\n\n\tenvironment = {{\n\t\tstate = spawn scheduled => x\n\t}}\n\n\truns = 2\n{rest}\
             \tendpoints = {{\n\t\t\"x\" = {{\n\t\t\tstate = active\n\t\t\tpid = 7\n\t\t}}\n\t}}\n}}\n"
        ))
    }

    #[test]
    fn the_agents_own_lines_count() {
        let table = [
            ("running", "\tpid = 4242\n\tlast exit code = (never exited)\n", (true, false, false), None),
            ("xpcproxy", "\tpid = 4242\n\tlast exit code = 1\n", (true, false, false), Some("launchd: exit code 1")),
            ("not running", "\tlast exit code = (never exited)\n", (false, false, false), None),
            ("not running", "\tlast exit code = 0\n", (false, false, true), Some("launchd: exit code 0")),
            ("not running", "\tlast exit code = 78: EX_CONFIG\n", (false, false, true), Some("launchd: exit code 78: EX_CONFIG")),
            ("not running", "\tlast terminating signal = Killed: 9\n", (false, false, true), Some("launchd: Killed: 9")),
            ("spawn scheduled", "\tlast exit code = (never exited)\n", (false, true, true), None),
        ];
        for (state, rest, facts, ending) in table {
            let printed = print(state, rest);
            assert_eq!((printed.has_process, printed.is_scheduled, printed.is_dead()), facts, "{state}: {rest}");
            assert_eq!(printed.ending.as_deref(), ending, "{state}: {rest}");
        }
        let flat = Printed::read("state = spawn scheduled\nlast exit code = 1\n");
        assert!(flat.is_scheduled && flat.is_dead());
    }

    #[test]
    fn the_old_list_tells_no_rest_from_an_end_with_0() {
        for (lines, facts) in [
            ("\t\"LastExitStatus\" = 0;\n\t\"PID\" = 7;\n", (true, false)),
            ("\t\"LastExitStatus\" = 0;\n", (false, false)),
            ("\t\"LastExitStatus\" = 256;\n", (false, true)),
        ] {
            let printed = Printed::read_list(&format!("{{\n\t\"Label\" = \"x\";\n{lines}}};\n"));
            assert_eq!((printed.has_process, printed.is_dead()), facts, "{lines}");
        }
    }
}
