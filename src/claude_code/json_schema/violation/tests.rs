use serde_json::json;

use crate::claude_code::json_schema::Schema;

/// As measured with the real CLI.
fn verdict(schema: &Schema, answer: &str) -> Result<serde_json::Value, String> {
    let without_heading = |reason: String| reason.replace("Output does not match required schema: ", "");
    schema.check(answer).map_err(|mismatch| without_heading(mismatch.reason))
}

#[test]
fn errors_are_worded_as_by_ajv() {
    let table = [
        (r#"{"type":"object","properties":{"a":{"type":"string"}}}"#, r#"{"a":5}"#, "/a: must be string"),
        (r#"{"type":"object","properties":{"a":{"type":["string","null"]}}}"#, r#"{"a":5}"#, "/a: must be string,null"),
        (
            r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a","b","c"],"additionalProperties":false}"#,
            r#"{"x":1,"y":2}"#,
            "root: must have required property 'a', root: must have required property 'b', root: must have required property 'c', root: must NOT have additional properties ('x' is not allowed), root: must NOT have additional properties ('y' is not allowed)",
        ),
        (
            r#"{"type":"object","properties":{"a":{"const":"yes"},"b":{"const":{"k":[1,2.5]}}}}"#,
            r#"{"a":1,"b":2}"#,
            r#"/a: must be equal to constant: "yes", /b: must be equal to constant: {"k":[1,2.5]}"#,
        ),
        (
            r#"{"type":"object","properties":{"a":{"enum":["a",1,null,{"k":1}]}}}"#,
            r#"{"a":5}"#,
            r#"/a: must be equal to one of the allowed values: ["a",1,null,{"k":1}]"#,
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"number","minimum":1,"maximum":-1,"exclusiveMinimum":2.5,"exclusiveMaximum":0,"multipleOf":2}}}"#,
            r#"{"a":0.5}"#,
            "/a: must be <= -1, /a: must be >= 1, /a: must be < 0, /a: must be > 2.5, /a: must be multiple of 2",
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"string","pattern":"^\"\\d+\\\\$","minLength":4,"maxLength":2}}}"#,
            r#"{"a":"é🦀x"}"#,
            r#"/a: must NOT have more than 2 characters (got 3), /a: must NOT have fewer than 4 characters (got 3), /a: must match pattern "^"\d+\\$""#,
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"array","minItems":4,"maxItems":2,"uniqueItems":true}}}"#,
            r#"{"a":[1,2,1]}"#,
            "/a: must NOT have more than 2 items (got 3), /a: must NOT have fewer than 4 items (got 3), /a: must NOT have duplicate items (items ## 0 and 2 are identical)",
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"array","uniqueItems":true,"items":{"type":"number"}}}}"#,
            r#"{"a":["x",2,"x",2,{"k":1},{"k":1}]}"#,
            "/a/0: must be number, /a/2: must be number, /a/4: must be number, /a/5: must be number, /a: must NOT have duplicate items (items ## 3 and 1 are identical)",
        ),
        (
            r#"{"type":"object","properties":{},"minProperties":4,"maxProperties":1}"#,
            r#"{"a":1,"b":2}"#,
            "root: must NOT have more than 1 properties (got 2), root: must NOT have fewer than 4 properties (got 2)",
        ),
        (
            r#"{"type":"object","properties":{"a":{"anyOf":[{"type":"string"},{"type":"number","minimum":3}]}}}"#,
            r#"{"a":1}"#,
            "/a: must be string, /a: must be >= 3, /a: must match a schema in anyOf",
        ),
        (
            r#"{"type":"object","properties":{"a":{"oneOf":[{"type":"string"},{"minLength":3,"type":"string"}]}}}"#,
            r#"{"a":"abcd"}"#,
            "/a: must match exactly one schema in oneOf",
        ),
        (
            r#"{"type":"object","properties":{"a":{"oneOf":[{"type":"string"},{"type":"null"}]}}}"#,
            r#"{"a":4}"#,
            "/a: must be string, /a: must be null, /a: must match exactly one schema in oneOf",
        ),
        (
            r#"{"type":"object","properties":{"a":{"oneOf":[{"type":"number"},{"type":"string"},{"minLength":3,"type":"string"},{"type":"null"}]}}}"#,
            r#"{"a":"abcd"}"#,
            "/a: must be number, /a: must match exactly one schema in oneOf",
        ),
        (r#"{"type":"object","properties":{"a":{"not":{"type":"string"}}}}"#, r#"{"a":"x"}"#, "/a: must NOT be valid"),
        (
            r#"{"type":"object","properties":{"a":{"allOf":[{"type":"string"},{"minLength":3}]}}}"#,
            r#"{"a":5}"#,
            "/a: must be string",
        ),
        (
            r#"{"type":"object","properties":{"a":{"allOf":[{"type":"string"},{"type":"string","minLength":3}]}}}"#,
            r#"{"a":"x"}"#,
            "/a: must NOT have fewer than 3 characters (got 1)",
        ),
        (
            r#"{"type":"object","properties":{"a":{"if":{"type":"string"},"then":{"type":"string","minLength":3},"else":{"type":"null"}},"b":{"if":{"type":"string"},"then":true,"else":{"type":"null"}}}}"#,
            r#"{"a":"x","b":5}"#,
            r#"/a: must NOT have fewer than 3 characters (got 1), /a: must match "then" schema, /b: must be null, /b: must match "else" schema"#,
        ),
        (
            r#"{"type":"object","properties":{},"propertyNames":{"pattern":"^[a-z]$","type":"string"}}"#,
            r#"{"AB":1,"CD":2}"#,
            r#"root: must match pattern "^[a-z]$", root: property name must be valid, root: must match pattern "^[a-z]$", root: property name must be valid"#,
        ),
        (r#"{"type":"object","properties":{"a":false}}"#, r#"{"a":5}"#, "/a: boolean schema is false"),
        (
            r#"{"type":"object","properties":{},"additionalProperties":{"type":"string"}}"#,
            r#"{"a":5,"b/c~d":6}"#,
            "/a: must be string, /b~1c~0d: must be string",
        ),
        (
            r#"{"type":"object","properties":{},"patternProperties":{"^x":{"type":"string"},"y$":{"type":"null"}}}"#,
            r#"{"xy":1,"x":2,"y":3}"#,
            "/xy: must be string, /x: must be string, /xy: must be null, /y: must be null",
        ),
        (
            r#"{"type":"object","properties":{},"dependencies":{"a":["b","c"],"b":{"type":"object","required":["z"]},"d":["e"]}}"#,
            r#"{"a":1,"b":2,"d":1}"#,
            "root: must have properties b, c when property a is present, root: must have property e when property d is present, root: must have required property 'z'",
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"array","contains":{"type":"number"}}}}"#,
            r#"{"a":[]}"#,
            "/a: must contain at least 1 valid item(s)",
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"array","items":[{"type":"string"},{"type":"number"}],"additionalItems":false}}}"#,
            r#"{"a":[1,"x",3,4]}"#,
            "/a: must NOT have more than 2 items, /a/0: must be string, /a/1: must be number",
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"array","items":[{"type":"string"}],"additionalItems":{"type":"null"}}}}"#,
            r#"{"a":["x",3,4]}"#,
            "/a/1: must be null, /a/2: must be null",
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"array","items":{"type":"string","minLength":3,"pattern":"^z"}}}}"#,
            r#"{"a":[1,"x","y",2]}"#,
            r#"/a/0: must be string, /a/1: must NOT have fewer than 3 characters (got 1), /a/1: must match pattern "^z", /a/2: must NOT have fewer than 3 characters (got 1), /a/2: must match pattern "^z", /a/3: must be string"#,
        ),
        (
            r##"{"type":"object","properties":{"a":{"$ref":"#/definitions/A"},"b":{"$ref":"#/definitions/A"}},"definitions":{"A":{"type":"object","properties":{"x":{"type":"string"}},"required":["y"],"additionalProperties":false}}}"##,
            r#"{"b":{"q":1,"x":1},"a":{"x":1}}"#,
            "/a: must have required property 'y', /a/x: must be string, /b: must have required property 'y', /b: must NOT have additional properties ('q' is not allowed), /b/x: must be string",
        ),
        (
            r#"{"type":"object","properties":{"b":{"type":"integer"},"a":{"type":"integer"}},"required":["z","y"],"additionalProperties":false}"#,
            r#"{"a":1.5,"b":"x","q":1}"#,
            "root: must have required property 'z', root: must have required property 'y', root: must NOT have additional properties ('q' is not allowed), /b: must be integer, /a: must be integer",
        ),
        (r#"{"type":"object","properties":{"a":{"type":"object"}}}"#, r#"{"a":[1]}"#, "/a: must be object"),
        (
            r#"{"type":"object","properties":{"a":{"type":"number","minimum":1,"enum":[3]}}}"#,
            r#"{"a":"x"}"#,
            "/a: must be equal to one of the allowed values: [3], /a: must be number",
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"string","minLength":1}}}"#,
            r#"{"a":""}"#,
            "/a: must NOT have fewer than 1 characters (got 0)",
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"array","minItems":1}}}"#,
            r#"{"a":[]}"#,
            "/a: must NOT have fewer than 1 items (got 0)",
        ),
        (
            r#"{"type":"object","properties":{"a":{"minimum":1.0,"type":"number"},"b":{"type":"number","maximum":1e+21},"c":{"type":"number","maximum":1e-07}}}"#,
            r#"{"a":0,"b":1e+22,"c":1}"#,
            "/a: must be >= 1, /b: must be <= 1e+21, /c: must be <= 1e-7",
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"number","multipleOf":0.1},"b":{"type":"number","multipleOf":0.01}}}"#,
            r#"{"a":0.3,"b":0.001}"#,
            "/b: must be multiple of 0.01",
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"array","items":{"type":"array","items":{"type":"string"}}}}}"#,
            r#"{"a":[["x",1],[2]]}"#,
            "/a/0/1: must be string, /a/1/0: must be string",
        ),
        (
            r#"{"type":"object","allOf":[{"type":"object","properties":{"a":{"type":"string"}}},{"type":"object","properties":{"b":{"type":"string"}},"required":["c"]}],"required":["d"]}"#,
            r#"{"a":1,"b":1}"#,
            "/a: must be string, root: must have required property 'c', /b: must be string, root: must have required property 'd'",
        ),
        (
            r#"{"anyOf":[{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]},{"type":"object","properties":{"b":{"type":"string"}},"required":["b"]}]}"#,
            r#"{"c":1}"#,
            "root: must have required property 'a', root: must have required property 'b', root: must match a schema in anyOf",
        ),
        (r#"{"type":"object","required":["it's"]}"#, r#"{}"#, "root: must have required property 'it's'"),
        (
            r#"{"type":"object","additionalProperties":false,"properties":{"a":{"type":"string"},"b":{"type":"string"}},"required":["a"]}"#,
            r#"{"b":1,"z":1}"#,
            "root: must have required property 'a', root: must NOT have additional properties ('z' is not allowed), /b: must be string",
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":["string","number"],"minLength":3,"minimum":5}}}"#,
            r#"{"a":true}"#,
            "/a: must be string,number",
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":["string","number"],"minLength":3,"minimum":5}}}"#,
            r#"{"a":1}"#,
            "/a: must be >= 5",
        ),
        (r#"{"type":"object","properties":{"a":{"type":"string","nullable":true}}}"#, r#"{"a":5}"#, "/a: must be string"),
        (
            r#"{"type":"object","properties":{"a":{"type":"string","minLength":2,"nullable":true}}}"#,
            r#"{"a":5}"#,
            "/a: must be string",
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"string","const":"x"}}}"#,
            r#"{"a":"y"}"#,
            r#"/a: must be equal to constant: "x""#,
        ),
    ];
    for (schema, answer, expected) in table {
        let checked = verdict(&Schema::parse(schema).unwrap(), answer);
        assert_eq!(checked, Err(expected.into()), "{schema} {answer}");
    }
}

#[test]
fn what_is_long_is_cut() {
    let schema = json!({"additionalProperties": false, "properties": {"a": {"const": "c".repeat(300)}}});
    let answer = json!({"x".repeat(81): 1, "a": 2});
    let expected = format!(
        "root: must NOT have additional properties ('{}…' is not allowed), /a: must be equal to constant: \"{}…",
        "x".repeat(80),
        "c".repeat(299)
    );
    assert_eq!(verdict(&Schema::new(schema).unwrap(), &answer.to_string()), Err(expected));
}

#[test]
fn null_is_of_a_nullable_type() {
    let schema = Schema::parse(r#"{"properties":{"a":{"type":"string","nullable":true}}}"#).unwrap();
    assert_eq!(verdict(&schema, r#"{"a":null}"#), Ok(json!({"a": null})));
    assert_eq!(verdict(&schema, r#"{"a":5}"#), Err("/a: must be string".into()));
}

#[test]
fn formats_are_not_checked() {
    let schema = Schema::parse(r#"{"properties":{"a":{"type":"string","format":"email"}}}"#).unwrap();
    assert_eq!(verdict(&schema, r#"{"a":"yes"}"#), Ok(json!({"a": "yes"})));
}
