//! `/metrics` as Prometheus' own client for Python reads it.

use std::process::Command;

use crate::dashboard::caller::Dashboard;
use crate::dashboard::figures::{LEDGER, line};
use crate::support::{Sandbox, deps};

/// Prints the families, and fails at whatever is not of the format: a family twice, a sample twice, one without HELP and TYPE.
const READ: &str = r##"
import sys
from prometheus_client.parser import text_string_to_metric_families as read
text = sys.stdin.read()
assert text.endswith("\n")
names, seen = set(), set()
for family in read(text):
    assert family.name not in names, family.name
    assert family.documentation and family.type in ("counter", "gauge", "summary"), family
    names.add(family.name)
    for sample in family.samples:
        key = (sample.name, tuple(sorted(sample.labels.items())))
        assert key not in seen, key
        seen.add(key)
        assert family.type != "counter" or sample.name.endswith("_total"), sample
        if sample.name == "llm_failover_calls_total":
            print(sample.labels["route"], sample.labels["backend"], sample.labels["cause"], int(sample.value), sep="|")
for line in text.splitlines():
    assert not line.startswith("#") or line.split()[1] in ("HELP", "TYPE"), line
print(len(names))
"##;

#[test]
fn prometheus_reads_what_is_there() {
    let mut sandbox = Sandbox::new();
    sandbox.set("LOCAL_LLM_URL", "http://127.0.0.1:1/v1");
    sandbox.switch("auto\n");
    let odd = line("local", r#""route":"answer","verdict":"a \"b\" \\ \nc\u0007 ä","input_tokens":3,"exit":2"#);
    sandbox.write(LEDGER, odd + &line("claude", r#""route":"watch","verdict":"fine""#) + &line("local", r#""route":"later""#));
    let text = Dashboard::of(&sandbox).get("/metrics").body;
    let path = sandbox.write("metrics", &text);
    let output = Command::new(deps().join("metrics/bin/python"))
        .args(["-c", READ])
        .stdin(std::fs::File::open(path).unwrap())
        .output()
        .unwrap();
    let read = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(read, "answer|local|a \"b\" \\ \nc\u{7} ä|1\nunknown|local|none|1\nwatch|claude|fine|1\n12\n");
}
