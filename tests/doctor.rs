//! `llm-failover doctor`: each of its lines where all is well and where it is not.

mod forms;
mod life;
mod machine;
mod model;
mod stub_model;

use crate::support::{Output, Sandbox};

/// The lines of these checks, in their order, without the blanks that fill the columns.
fn lines(output: &Output, ids: &[&str]) -> Vec<String> {
    let text = output.out();
    let all = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    all.filter(|line| line.split(' ').nth(1).is_some_and(|id| ids.contains(&id))).collect()
}

/// With `N` for each number.
fn without_numbers(line: &str) -> String {
    let mut masked = String::new();
    let mut is_in_number = false;
    for c in line.chars() {
        let is_part = c.is_ascii_digit() || is_in_number && c == '.';
        if c.is_ascii_digit() && !is_in_number {
            masked.push('N');
        } else if !is_part {
            masked.push(c);
        }
        is_in_number = is_part;
    }
    masked
}

/// A home in which nothing is wrong, but that there is no local server.
fn healthy() -> Sandbox {
    let mut sandbox = Sandbox::new();
    let claude = sandbox.script("opt/claude", "#!/usr/bin/env node\n");
    sandbox.write("opt/package.json", r#"{"name":"@anthropic-ai/claude-code","version":"2.1.330"}"#);
    sandbox.set("CLAUDE_BIN", claude);
    sandbox
}

fn doctor(sandbox: &Sandbox, args: &[&str]) -> Output {
    sandbox.cmd("llm-failover").arg("doctor").args(args).limit(120).run()
}
