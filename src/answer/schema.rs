//! `--json-schema`: an answer that is JSON of a given form.
//!
//! Servers that can are asked to hold the model to the form (llama.cpp makes a grammar of it); mlx-lm 0.32 passes over
//! that silently. So the form is told to the model too, and the answer is always checked here.

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// A schema and what checks it.
pub struct Schema {
    value: Value,
    validator: Validator,
}

impl Schema {
    /// The schema of an option's text.
    ///
    /// # Errors
    /// The real CLI's texts for what is no JSON, no object or no schema.
    pub fn parse(text: &str) -> Result<Schema> {
        let fault = |text: String| Error::AsClaude(format!("Error: --json-schema {text}"));
        let value: Value = serde_json::from_str(text).map_err(|_| fault(format!("is not valid JSON: {}", complaint(text))))?;
        if !value.is_object() {
            return Err(fault("must be a JSON object".into()));
        }
        Schema::new(value).map_err(|reason| fault(format!("is not a valid JSON Schema: {reason}")))
    }

    /// The schema of a value.
    ///
    /// # Errors
    /// Why it is none.
    pub fn new(value: Value) -> std::result::Result<Schema, String> {
        let validator = jsonschema::validator_for(&value).map_err(|error| error.to_string())?;
        Ok(Schema { value, validator })
    }

    /// What to ask of the server.
    pub fn response_format(&self) -> Value {
        json!({"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": self.value}})
    }

    /// What to tell the model.
    pub fn instruction(&self) -> String {
        format!(
            "Answer with one JSON value that is valid against this JSON schema, and with nothing else: no explanation, no \
             code fence.\n{}",
            self.value
        )
    }

    /// The value that an answer holds, if it is of the form.
    ///
    /// # Errors
    /// What is wrong, in words for the model and the caller.
    pub fn check(&self, answer: &str) -> std::result::Result<Value, String> {
        let value: Value = serde_json::from_str(bare(answer)).map_err(|error| format!("the answer is not JSON: {error}"))?;
        let errors: Vec<String> = self.validator.iter_errors(&value).take(MAX_ERRORS).map(|error| worded(&error)).collect();
        if errors.is_empty() { Ok(value) } else { Err(errors.join(", ")) }
    }
}

const MAX_ERRORS: usize = 10;

fn worded(error: &jsonschema::ValidationError) -> String {
    let place = error.instance_path().to_string();
    let place = if place.is_empty() { "root" } else { &place };
    format!("{place}: {error}")
}

/// The JSON in an answer, which small models like to wrap in a code fence or in words.
fn bare(answer: &str) -> &str {
    let answer = answer.trim();
    if serde_json::from_str::<serde::de::IgnoredAny>(answer).is_ok() {
        return answer;
    }
    if let Some((_, fenced)) = answer.split_once("```") {
        let inside = fenced.split("```").next().unwrap_or_default();
        return inside.trim_start_matches(|c: char| c.is_ascii_alphanumeric()).trim();
    }
    let begin = answer.find(['{', '[']).unwrap_or(0);
    let mut values = serde_json::Deserializer::from_str(&answer[begin..]).into_iter::<serde::de::IgnoredAny>();
    match values.next() {
        Some(Ok(_)) => &answer[begin..begin + values.byte_offset()],
        _ => answer,
    }
}

/// JavaScriptCore's words for what is no JSON, as far as they can be told without its parser.
fn complaint(text: &str) -> &'static str {
    match text.trim() {
        "" => "JSON Parse error: Unexpected EOF",
        object if object.starts_with('{') => "JSON Parse error: Expected '}'",
        _ => "JSON Parse error: Unexpected identifier",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_in_an_answer() {
        let table = [
            ("{\"a\":1}", "{\"a\":1}"),
            (" {\"a\":1}\n", "{\"a\":1}"),
            ("```json\n{\"a\":1}\n```", "{\"a\":1}"),
            ("Sure!\n```\n{\"a\":1}\n```\nDone.", "{\"a\":1}"),
            ("Here it is: {\"a\":\"}\"} and more {", "{\"a\":\"}\"}"),
            ("[1, 2] is the list", "[1, 2]"),
            ("none", "none"),
        ];
        for (answer, json) in table {
            assert_eq!(bare(answer), json, "{answer:?}");
        }
    }
}
