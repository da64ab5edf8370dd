//! `scripts/pool/simulate.py`: the table in the documents, and ledgers as they come.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::life::python;

fn simulate(args: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/pool/simulate.py");
    Command::new(python()).arg(script).args(args).env_clear().output().unwrap()
}

#[track_caller]
fn table(args: &[&str]) -> String {
    let output = simulate(args);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_table_in_the_documents_is_what_comes_out() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pool.md")).unwrap();
    let table = table(&[]);
    assert_eq!(table.lines().count(), 10, "{table}");
    assert!(page.contains(&table), "docs/pool.md has not: {table}");
}

/// Two callers, with four calls and two in their busiest hours, and answers of two seconds: 3,720 of them at one slot take 7,440 seconds, and
/// the last one comes after an hour.
#[test]
fn a_ledger_tells_how_often_and_how_long() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = |name: &str, hours: &[u32], more: &str| {
        let line = |hour: &u32| {
            format!("{{\"time\":\"2026-11-26T{hour:02}:10:00.000Z\",\"backend\":\"local\",\"seconds\":2.0,\"exit\":0}}\n")
        };
        let path = dir.path().join(name);
        fs::write(&path, hours.iter().map(line).collect::<String>() + more).unwrap();
        path.display().to_string()
    };
    // Claude's are no measure of the local model, a failure of none, and half a line is no call.
    let claudes = "{\"time\":\"2026-11-26T07:10:00.000Z\",\"backend\":\"claude\",\"seconds\":99.0,\"exit\":0}\n\
                   {\"time\":\"2026-11-26T07:20:00.000Z\",\"backend\":\"local\",\"seconds\":99.0,\"exit\":1}\n";
    let [busy, quiet] = [ledger("a", &[9, 9, 9, 9, 10], claudes), ledger("b", &[9, 11, 11], "{\"time\":\"2026-11-26T1")];
    let expected = "\
1200 callers, 3.0 calls each an hour, 10% of them at once; an answer takes 2.0 s: 2 slots are busy on average

| servers | slots | load | on paper, on average | half wait less than | 95 % less than | longest |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| 1 | 1 | 200% | grows | 33 min | 61 min | 64 min |
";
    assert_eq!(table(&["--callers", "1200", "--servers", "1", "--slots", "1", &busy, &quiet]), expected);
    assert!(table(&["--callers", "1200", "--servers", "160", "--slots", "1", &busy]).ends_with("| 0 s | 0 s | 0 s |\n"));
}

#[test]
fn what_cannot_be_used_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("ledger.jsonl");
    fs::write(&empty, "{}\nno\n").unwrap();
    let empty = empty.display().to_string();
    let none = format!("simulate.py: no answer stands in {empty}\n");
    for (args, code, said) in [
        (vec!["/none"], 1, "simulate.py: cannot read /none: No such file or directory\n"),
        (vec![&empty], 1, &none),
        (vec!["--servers", "4,0"], 2, "simulate.py: argument --servers: invalid numbers value: '4,0' (see --help)\n"),
        (vec!["--callers", "-1"], 2, "simulate.py: argument --callers: invalid number value: '-1' (see --help)\n"),
    ] {
        let output = simulate(&args);
        let told = (output.status.code(), String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(told, (Some(code), "".into(), said.into()), "{args:?}");
    }
}
