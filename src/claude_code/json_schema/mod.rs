//! `--json-schema`: an answer that is JSON of a given form.
//!
//! Servers that can are asked to hold the model to the form (llama.cpp makes a grammar of it); mlx-lm 0.32 passes over
//! that silently. So the prompt states the form too, and every answer is checked here.

mod keywords;
mod strict;
mod syntax;
mod violation;

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::{Error, Result};

pub(crate) struct Schema {
    value: Value,
    validator: Validator,
}

impl Schema {
    /// Parses the value of the option.
    ///
    /// # Errors
    /// The real CLI's texts for what is not JSON, not an object or not a schema.
    pub(crate) fn parse(text: &str) -> Result<Schema> {
        let fault = |text: String| Error::as_claude(format_args!("Error: --json-schema {text}"));
        let value: Value = serde_json::from_str(text)
            .map_err(|_| fault(format!("is not valid JSON: JSON Parse error: {}", syntax::error(text))))?;
        if !value.is_object() {
            return Err(fault("must be a JSON object".into()));
        }
        Schema::new(value).map_err(|reason| fault(format!("is not a valid JSON Schema: {reason}")))
    }

    /// # Errors
    /// Why `value` is not a schema, in ajv's words.
    pub(crate) fn new(value: Value) -> std::result::Result<Schema, String> {
        if !value.is_object() {
            return Err("data must be object,boolean".into());
        }
        strict::check(&value)?;
        let validator = validator(&value)?;
        Ok(Schema { value, validator })
    }

    /// What asks a server to hold the model to the form.
    pub(crate) fn response_format(&self) -> Value {
        json!({"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": self.value}})
    }

    /// What asks the model for the form.
    pub(crate) fn instruction(&self) -> String {
        format!(
            "Answer with one JSON value that is valid against this JSON schema, and with nothing else: no explanation, no \
             code fence.\n{}",
            self.value
        )
    }

    /// The last JSON value in an answer that matches.
    ///
    /// # Errors
    /// If none matches.
    pub(crate) fn check(&self, answer: &str) -> std::result::Result<Value, Mismatch> {
        let mut values = values(answer).map_err(|reason| Mismatch { value: None, reason })?;
        match values.iter().rposition(|value| self.validator.is_valid(value)) {
            Some(place) => Ok(values.swap_remove(place)),
            None => {
                let value = values.swap_remove(0);
                let reason = format!("Output does not match required schema: {}", self.violations(&value));
                Err(Mismatch { value: Some(value), reason })
            }
        }
    }

    fn violations(&self, value: &Value) -> String {
        let violations = violation::violations(self.validator.iter_errors(value), &self.value, value);
        let lines = violations.iter().take(MAX_ERRORS).map(|violation| {
            let place = if violation.instance_path.is_empty() { "root" } else { &violation.instance_path };
            format!("{place}: {}{}", violation.message, violation.detail)
        });
        lines.collect::<Vec<_>>().join(", ")
    }
}

/// Why an answer does not match a schema.
#[derive(Debug)]
pub(crate) struct Mismatch {
    /// The first JSON value in the answer.
    pub value: Option<Value>,
    /// The reason, worded for the model and the caller.
    pub reason: String,
}

/// How often an answer that matches is asked for, as the real CLI does.
pub(crate) fn max_attempts(context: &Context) -> u32 {
    let stated = context.env("MAX_STRUCTURED_OUTPUT_RETRIES").and_then(|count| count.to_str()?.trim().parse().ok());
    stated.filter(|count| *count > 0).unwrap_or(5)
}

/// How many errors a reason lists: the model is to read them.
const MAX_ERRORS: usize = 10;

fn validator(schema: &Value) -> std::result::Result<Validator, String> {
    let options = jsonschema::options().with_draft(Draft::Draft7).should_validate_formats(false);
    options.build(&in_draft_7(schema.clone())).map_err(|error| error.to_string())
}

/// The schema in terms of draft-07 alone: ajv's `nullable` becomes a type, and the draft's name, which has been checked, goes.
fn in_draft_7(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(members) => {
            members.retain(|key, value| key != "$schema" || !value.is_string());
            if members.get("nullable") == Some(&Value::Bool(true)) && members.get("type").is_some_and(Value::is_string) {
                members["type"] = json!([members["type"], "null"]);
            }
            let holds_schemas = |key: &str| !["const", "enum", "default", "examples"].contains(&key);
            let schemas = members.iter_mut().filter(|(key, _)| holds_schemas(key));
            schemas.for_each(|(_, member)| *member = in_draft_7(member.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = in_draft_7(item.take())),
        _ => {}
    }
    schema
}

/// The schema that a `$ref` refers to.
fn target<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    root.pointer(reference.strip_prefix('#').or(reference.is_empty().then_some(""))?)
}

/// The JSON values in an answer, at least one. Small models like to wrap theirs in a code fence or in words.
fn values(answer: &str) -> std::result::Result<Vec<Value>, String> {
    let answer = answer.trim();
    let mut fault = match serde_json::from_str(answer) {
        Ok(value) => return Ok(vec![value]),
        Err(error) => error,
    };
    // A fence may hold a mere string or number.
    let fenced = answer.strip_prefix("```").and_then(|rest| rest.strip_suffix("```")).and_then(|rest| rest.split_once('\n'));
    if let Some(value) = fenced.and_then(|(_, inside)| serde_json::from_str(inside).ok()) {
        return Ok(vec![value]);
    }
    let mut rest = answer.rsplit("</think>").next().unwrap_or(answer);
    let mut values = Vec::new();
    while let Some(begin) = rest.find(['{', '[']) {
        rest = &rest[begin..];
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter();
        match stream.next() {
            Some(Ok(value)) => {
                values.push(value);
                rest = &rest[stream.byte_offset()..];
            }
            // What is inside of a broken value is not the answer; brackets in prose hold other things.
            Some(Err(error)) if rest[1..].trim_start().starts_with(['"', '{', '[']) => {
                fault = error;
                break;
            }
            _ => rest = &rest[1..],
        }
    }
    if values.is_empty() { Err(format!("the answer is not JSON: {fault}")) } else { Ok(values) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_in_an_answer() {
        let table = [
            ("{\"a\":1}", "[{\"a\":1}]"),
            (" {\"a\":1}\n", "[{\"a\":1}]"),
            ("```json\n{\"a\":1}\n```", "[{\"a\":1}]"),
            ("```\n\"text\"\n```", "[\"text\"]"),
            ("```JSON {\"a\":1}", "[{\"a\":1}]"),
            ("Sure!\n```\n{\"a\":1}\n```\nDone.", "[{\"a\":1}]"),
            ("Here: {\"a\":\"```js\\nx\\n```\"}", "[{\"a\":\"```js\\nx\\n```\"}]"),
            ("```json\n{\"a\":\"```\"}\n```", "[{\"a\":\"```\"}]"),
            ("Here it is: {\"a\":\"}\"} and more {", "[{\"a\":\"}\"}]"),
            ("{\"a\":1}<|im_end|>", "[{\"a\":1}]"),
            ("The set {1,2} and [sic] give {\"a\":1}", "[{\"a\":1}]"),
            ("{\"a\":1}\n{\"a\":2}", "[{\"a\":1},{\"a\":2}]"),
            ("Is it {\"a\":1}?\n</think>\n{\"a\":2}", "[{\"a\":2}]"),
            ("{\"a\":\"</think>\"}", "[{\"a\":\"</think>\"}]"),
            ("[1, 2] is the list", "[[1,2]]"),
            ("\"text\"", "[\"text\"]"),
        ];
        for (answer, expected) in table {
            assert_eq!(json!(values(answer).unwrap()).to_string(), expected, "{answer:?}");
        }
        for none in [
            "none",
            "",
            "{\"a\":1,}",
            "{\"a\":{\"b\":1},}",
            "[{\"a\":1},]",
            "{\"a\":{\"b\":1}",
            "{'a':1}",
            "{a:1}",
            "```\nx\n```",
        ] {
            assert!(values(none).unwrap_err().starts_with("the answer is not JSON: "), "{none:?}");
        }
    }

    #[test]
    fn a_broken_value_is_reported_as_such() {
        let expected = "the answer is not JSON: trailing comma at line 1 column 8";
        assert_eq!(values("Sure:\n```json\n{\"a\":1,}\n```"), Err(expected.into()));
    }

    #[test]
    fn the_last_value_of_the_form_is_the_answer() {
        let schema = Schema::new(json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})).unwrap();
        let checked = |answer| schema.check(answer).map_err(|mismatch| mismatch.reason);
        assert_eq!(checked("{\"a\":1} or rather {\"a\":2}, see [1]"), Ok(json!({"a": 2})));
        assert_eq!(checked("{\"type\":\"object\"} asks for {\"a\":2} and not {\"a\":true}"), Ok(json!({"a": 2})));
        assert_eq!(checked("{\"a\":true}, see [1]"), Err("Output does not match required schema: /a: must be integer".into()));
        assert_eq!(Schema::new(json!(5)).err(), Some("data must be object,boolean".into()));
    }
}
