//! The errors of a validation in the words and the order of ajv, with which the real CLI validates.

mod message;

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value;

use crate::claude_code::json_schema::keywords::rank;
use crate::claude_code::json_schema::target;
use crate::claude_code::json_schema::violation::message::messages;

/// A way in which an instance violates a schema.
#[derive(PartialEq)]
pub(super) struct Violation {
    /// The ranks of the keywords and the positions of the members that lead to it: ajv reports in their order.
    order: Vec<usize>,
    /// A JSON pointer into the instance.
    pub instance_path: String,
    /// In ajv's words.
    pub message: String,
    /// What the real CLI adds to the message.
    pub detail: String,
}

/// The violations in ajv's order.
pub(super) fn violations<'a>(
    errors: impl Iterator<Item = ValidationError<'a>>,
    schema: &Value,
    instance: &Value,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    for error in errors {
        add(&mut violations, &error, schema, instance);
    }
    violations.sort_by(|one, other| one.order.cmp(&other.order));
    violations
}

fn add(violations: &mut Vec<Violation>, error: &ValidationError, root: &Value, instance: &Value) {
    match error.kind() {
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } | Kind::OneOfMultipleValid { context } => {
            // A second valid one is enough.
            let mut valid = context.iter().enumerate().filter(|(_, errors)| errors.is_empty());
            let end = valid.nth(1).map_or(context.len(), |(place, _)| place);
            context[..end].iter().flatten().for_each(|error| add(violations, error, root, instance));
        }
        Kind::PropertyNames { error } => add(violations, error, root, instance),
        _ => {}
    }
    let (mut order, mut schema, mut data) = (Vec::new(), root, instance);
    let (mut path, mut data_path) = (segments(error.evaluation_path().as_str()), segments(error.instance_path().as_str()));
    let mut parent = &Value::Null;
    let mut instance_path = String::new();
    while let Some(keyword) = path.next() {
        order.push(rank(schema, &keyword));
        if matches!(&*keyword, "then" | "else") {
            let mut order = order.clone();
            order.push(usize::MAX);
            let message = format!("must match \"{keyword}\" schema");
            let outer = Violation { order, instance_path: instance_path.clone(), message, detail: String::new() };
            if !violations.contains(&outer) {
                violations.push(outer);
            }
        }
        parent = schema;
        schema = &schema[&*keyword];
        if keyword == "$ref" {
            schema = schema.as_str().and_then(|reference| target(root, reference)).unwrap_or(&Value::Null);
        }
        let has_names = matches!(&*keyword, "properties" | "patternProperties" | "dependencies") || schema.is_array();
        if let Some(name) = has_names.then(|| path.next()).flatten() {
            let names = schema;
            schema = member(names, &name);
            if keyword == "dependencies" {
                order.push(1);
            }
            order.push(position(names, &name));
        }
        let is_of_member =
            matches!(&*keyword, "properties" | "patternProperties" | "items" | "additionalItems" | "additionalProperties");
        if let Some(step) = is_of_member.then(|| data_path.next()).flatten() {
            order.push(position(data, &step));
            data = member(data, &step);
            instance_path += &format!("/{}", step.replace('~', "~0").replace('/', "~1"));
        }
    }
    // An error comes after those that it consists of; missing properties come before the schemas of dependencies.
    order.push(if matches!(error.kind(), Kind::Required { .. }) { 0 } else { usize::MAX });
    for (message, detail) in messages(error, parent, schema) {
        violations.push(Violation { order: order.clone(), instance_path: error.instance_path().to_string(), message, detail });
    }
}

fn segments(path: &str) -> impl Iterator<Item = String> + '_ {
    path.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~"))
}

fn member<'a>(value: &'a Value, name: &str) -> &'a Value {
    let member = match value {
        Value::Array(items) => name.parse().ok().and_then(|index: usize| items.get(index)),
        _ => value.get(name),
    };
    member.unwrap_or(&Value::Null)
}

fn position(value: &Value, name: &str) -> usize {
    match value {
        Value::Object(members) => members.keys().position(|key| key == name).unwrap_or_default(),
        _ => name.parse().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
