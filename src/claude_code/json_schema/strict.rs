//! The schemas that the real CLI's validator, ajv in strict mode for draft-07, refuses.

use serde_json::{Value, json};

use crate::claude_code::json_schema::keywords::KEYWORDS;
use crate::claude_code::json_schema::violation::violations;
use crate::claude_code::json_schema::{target, validator};

/// Keywords that do not constrain an instance.
const ANNOTATIONS: &[&str] = &[
    "$schema",
    "$id",
    "$defs",
    "$vocabulary",
    "$comment",
    "$async",
    "definitions",
    "nullable",
    "title",
    "description",
    "default",
    "deprecated",
    "readOnly",
    "writeOnly",
    "examples",
    "contentMediaType",
    "contentEncoding",
    "contentSchema",
];

type Result = std::result::Result<(), String>;

/// # Errors
/// In ajv's words: all violations of draft-07's own schema, or else the first fault beyond it.
pub(super) fn check(schema: &Value) -> Result {
    if schema["$async"].as_bool().unwrap_or(!schema["$async"].is_null()) {
        return Err("$async schemas are not supported".into());
    }
    match schema.get("$schema") {
        None => {}
        Some(Value::String(draft)) => match draft.trim_end_matches('#') {
            "" | "http://json-schema.org/draft-07/schema" | "http://json-schema.org/schema" => {}
            _ => return Err(format!("no schema with key or ref \"{draft}\"")),
        },
        Some(_) => return Err("$schema must be a string".into()),
    }
    check_form(schema)?;
    Walk { root: schema, followed: Vec::new() }.schema(schema)
}

/// Draft-07's meta-schema as ajv has it, without its formats, which are not checked.
const META: &str = include_str!("draft-07.json");

fn check_form(schema: &Value) -> Result {
    let meta: Value = serde_json::from_str(META).map_err(|error| error.to_string())?;
    let validator = validator(&meta)?;
    let violations = violations(validator.iter_errors(schema), &meta, schema);
    let lines: Vec<String> =
        violations.iter().map(|violation| format!("data{} {}", violation.instance_path, violation.message)).collect();
    if lines.is_empty() { Ok(()) } else { Err(lines.join(", ")) }
}

struct Walk<'a> {
    root: &'a Value,
    /// References whose schemas have been checked: they may refer to themselves.
    followed: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    fn schema(&mut self, schema: &'a Value) -> Result {
        let Some(keywords) = schema.as_object() else { return Ok(()) };
        let known = ANNOTATIONS.iter().chain(KEYWORDS.iter().flat_map(|(_, keywords)| keywords.iter()));
        if let Some(other) = keywords.keys().find(|keyword| !known.clone().any(|known| known == keyword)) {
            return Err(match &**other {
                "id" => "NOT SUPPORTED: keyword \"id\", use \"$id\" for schema ID".into(),
                _ => format!("strict mode: unknown keyword: \"{other}\""),
            });
        }
        let has = |keyword: &str| keywords.contains_key(keyword);
        if has("nullable") && !has("type") {
            return Err("\"nullable\" cannot be used without \"type\"".into());
        }
        if has("if") && !has("then") && !has("else") {
            return Err("strict mode: \"if\" without \"then\" and \"else\" is ignored".into());
        }
        if let Some(keyword) = ["then", "else"].into_iter().find(|keyword| has(keyword) && !has("if")) {
            return Err(format!("strict mode: \"{keyword}\" without \"if\" is ignored"));
        }
        for keyword in KEYWORDS.iter().flat_map(|(_, keywords)| keywords.iter()) {
            match (*keyword, &schema[*keyword]) {
                ("$ref", Value::String(reference)) => self.reference(reference)?,
                ("pattern", Value::String(pattern)) => check_pattern(pattern)?,
                ("additionalItems", value) if !value.is_null() && !schema["items"].is_array() => {
                    return Err("strict mode: \"additionalItems\" is ignored when \"items\" is not an array of schemas".into());
                }
                ("properties" | "patternProperties" | "dependencies", Value::Object(members)) => {
                    if *keyword == "patternProperties" {
                        members.keys().try_for_each(|name| check_pattern(name))?;
                    }
                    members.values().try_for_each(|member| self.schema(member))?;
                }
                ("const" | "enum", _) => {}
                (_, Value::Array(items)) => items.iter().try_for_each(|item| self.schema(item))?,
                (_, value) => self.schema(value)?,
            }
        }
        Ok(())
    }

    fn reference(&mut self, reference: &'a str) -> Result {
        if self.followed.contains(&reference) {
            return Ok(());
        }
        self.followed.push(reference);
        match target(self.root, reference) {
            Some(schema) => self.schema(schema),
            // By an id or an escaped name.
            None if validator(self.root).is_ok() => Ok(()),
            None => {
                let base = self.root["$id"].as_str().unwrap_or("#");
                Err(format!("can't resolve reference {reference} from id {base}"))
            }
        }
    }
}

/// Checks a pattern, with JavaScriptCore's words for the more common faults.
fn check_pattern(pattern: &str) -> Result {
    let fault = |text: &str| Err(format!("Invalid regular expression: {text}"));
    let (mut groups, mut is_in_class) = (0, false);
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                None => return fault("\\ at end of pattern"),
                Some(c) if c.is_ascii_alphanumeric() || "^$\\.*+?()[]{}|/".contains(c) || (is_in_class && c == '-') => {}
                Some(_) => return fault("invalid escaped character for Unicode pattern"),
            },
            ']' => is_in_class = false,
            _ if is_in_class => {}
            '[' => is_in_class = true,
            '(' => {
                groups += 1;
                if chars.next_if_eq(&'?').is_some() && !chars.peek().is_some_and(|c| ":=!<".contains(*c)) {
                    return fault("unrecognized character after (?");
                }
            }
            ')' if groups == 0 => return fault("unmatched parentheses"),
            ')' => groups -= 1,
            _ => {}
        }
    }
    if is_in_class {
        fault("missing terminating ] for character class")
    } else if groups > 0 {
        fault("missing )")
    } else if validator(&json!({"pattern": pattern})).is_err() {
        fault("nothing to repeat")
    } else {
        Ok(())
    }
}
