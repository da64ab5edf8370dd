//! What is no schema for `--json-schema` is refused in the real CLI's words.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::real_cli::same_refusal;

const SAME: &[&str] = &[
    "{",
    "[1,]",
    "nope",
    "schema.json",
    "/tmp/schema.json",
    "{'a':1}",
    "{a:1}",
    "\u{feff}{}",
    r#"{"a":1,}"#,
    r#"{"a":1"#,
    r#"{"a" 1}"#,
    r#"{} {}"#,
    r#"{"a":01}"#,
    r#"{"a":tru}"#,
    r#"{"a":"x"#,
    r#"{"a":"\🦀"}"#,
    r#"{"a":"\u12"}"#,
    "null",
    "5",
    "[]",
    "\"text\"",
    r#"{"type":"strin"}"#,
    r#"{"type":["string","string"]}"#,
    r#"{"type":"object","properties":{"a":5,"b":{"type":5}},"required":[1,1],"minProperties":-1}"#,
    r#"{"type":"object","properties":5}"#,
    r#"{"type":"object","required":"a"}"#,
    r#"{"type":"object","properties":{"a/b~c":{"required":true}}}"#,
    r#"{"enum":[]}"#,
    r#"{"enum":[1,2,1]}"#,
    r#"{"type":"object","additionalProperties":"x"}"#,
    r#"{"type":"array","items":[5]}"#,
    r#"{"type":"number","multipleOf":0}"#,
    r#"{"type":"object","dependencies":{"a":["x","x"]}}"#,
    r##"{"$ref":"#/definitions/x"}"##,
    r#"{"$ref":"x.json","$id":"http://localhost/schema"}"#,
    r##"{"type":"array","items":{"$ref":"#/$defs/A"},"$defs":{"A":{"bogus":1}}}"##,
    r#"{"type":"object","bogus":1}"#,
    r#"{"type":"object","properties":{"a":{"type":"array","prefixItems":[]}}}"#,
    r#"{"type":"object","id":"x"}"#,
    r#"{"type":"object","$async":true}"#,
    r#"{"type":"object","then":{}}"#,
    r#"{"type":"object","if":{}}"#,
    r#"{"type":"array","additionalItems":false}"#,
    r#"{"nullable":true}"#,
    r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object"}"#,
    r#"{"$schema":5}"#,
    r#"{"type":"string","pattern":"("}"#,
    r#"{"type":"string","pattern":")"}"#,
    r#"{"type":"string","pattern":"["}"#,
    r#"{"type":"string","pattern":"*"}"#,
    r#"{"type":"string","pattern":"\\"}"#,
    r#"{"type":"string","pattern":"[\\-]\\-"}"#,
    r#"{"type":"string","pattern":"(?i)x"}"#,
];

/// What the real CLI refuses and we do not, or in other words, and why.
const DIFFERENT: &[(&str, &str)] = &[
    (r#"{"type":"string","pattern":"a{2,1}"}"#, "rarer faults of patterns have the words of a common one"),
    (r#"{"type":"string","pattern":"\\1"}"#, "rarer faults of patterns have the words of a common one"),
    (r#"{"type":"string","nullable":5}"#, "a keyword that is not of JSON Schema: only `true` has a meaning here"),
    (r#"{"type":["string","null"],"nullable":false}"#, "a keyword that is not of JSON Schema: only `true` has a meaning here"),
    (r#"{"type":"object","properties":{"a":{}},"patternProperties":{"a":{"type":"string"}}}"#, "it is of use and a valid schema"),
];

#[test]
fn schemas_are_refused_in_the_real_ones_words() {
    let different = DIFFERENT.iter().map(|(schema, _)| *schema);
    let schemas: Vec<&str> = SAME.iter().copied().chain(different).collect();
    let next = AtomicUsize::new(0);
    let faults = Mutex::new(Vec::new());
    let work = || {
        while let Some(schema) = schemas.get(next.fetch_add(1, Ordering::SeqCst)) {
            let is_to_be_same = SAME.contains(schema);
            let outcome = same_refusal(|cmd| cmd.args(&["-p", "hi", "--json-schema", schema]));
            if outcome.is_ok() != is_to_be_same {
                faults.lock().unwrap().push(format!("{schema}:\n  {}", outcome.err().unwrap_or("the same".into())));
            }
        }
    };
    thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(work))));
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), schemas.len(), faults.concat());
}
