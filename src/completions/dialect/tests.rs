use super::*;

#[test]
fn arguments_of_servers() {
    let object = |text: &str| read_arguments(text).map(|map| Value::from(map).to_string());
    assert_eq!(object("{\"a\": 1}"), Ok("{\"a\":1}".into()));
    assert_eq!(object("\"{\\\"a\\\":1}\""), Ok("{\"a\":1}".into()));
    assert_eq!(object(""), Ok("{}".into()));
    assert_eq!(object("null"), Ok("{}".into()));
    for marked in ["{\"a\":1}</tool_call>", "{\"a\":1}\n</tool_call><|im_end|>", "```json\n{\"a\":1}\n```", "```\n{\"a\":1}```"] {
        assert_eq!(object(marked), Ok("{\"a\":1}".into()), "{marked}");
    }
    // Python's quotes, commas and escapes.
    assert_eq!(object("{'a': 'b \"c\"', 'd': True,}"), Ok(r#"{"a":"b \"c\"","d":true}"#.into()));
    assert_eq!(object(r#"{"a": "grep \d+ \$x",}"#), Ok(r#"{"a":"grep \\d+ \\$x"}"#.into()));
    assert_eq!(object(r#"{"a": "it\'s"}"#).map_err(|_| ()), Err(()), "with or without the backslash");
    for wrong in ["{\"a\": ", "[1]", "7", "{\"a\":1} x", "oops", "\"a\""] {
        assert_eq!(object(wrong).map_err(|_| ()), Err(()), "{wrong}");
    }
}

#[test]
fn arguments_without_quotes_are_what_their_schema_says() {
    let schema = serde_json::json!({"properties": {
        "text": {"type": "string"}, "count": {"type": "integer"}, "list": {"type": ["array", "null"]},
        "text_or_null": {"type": ["string", "null"]}, "any_of": {"anyOf": [{"type": "null"}, {"type": "string"}]},
        "numbers": {"anyOf": [{"type": "null"}, {"type": "number"}]}, "any": {},
    }});
    let tools = [Tool { name: "Do".into(), description: String::new(), schema }];
    for (key, expected) in [
        ("text", "\"5\""),
        ("count", "5"),
        ("list", "5"),
        ("text_or_null", "\"5\""),
        ("any_of", "\"5\""),
        ("numbers", "5"),
        ("any", "\"5\""),
        ("unknown", "\"5\""),
    ] {
        assert_eq!(typed(&tools, "Do", key, "5").to_string(), expected, "{key}");
    }
    assert_eq!(typed(&tools, "Do", "count", "five"), "five");
}
