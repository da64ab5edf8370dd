//! A validation error in ajv's words, and what the real CLI adds to them.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use serde_json::Value;

/// ajv's messages for an error, each with the detail that the real CLI adds. `schema` has the violated keyword, and `value` is the
/// keyword's value.
pub(super) fn messages(error: &ValidationError, schema: &Value, value: &Value) -> Vec<(String, String)> {
    let instance = &**error.instance();
    let text = match error.kind() {
        Kind::AdditionalProperties { unexpected } => {
            let detail = |name: &String| format!(" ('{}' is not allowed)", cut(name, 80));
            return unexpected.iter().map(|name| ("must NOT have additional properties".into(), detail(name))).collect();
        }
        Kind::UniqueItems => return duplicates(instance, schema).into_iter().map(|text| (text, String::new())).collect(),
        Kind::AdditionalItems { limit } => format!("must NOT have more than {limit} items"),
        Kind::AnyOf { .. } => "must match a schema in anyOf".into(),
        Kind::Constant { .. } => "must be equal to constant".into(),
        Kind::Contains => "must contain at least 1 valid item(s)".into(),
        Kind::Enum { .. } => "must be equal to one of the allowed values".into(),
        Kind::ExclusiveMaximum { limit } => format!("must be < {}", number(limit)),
        Kind::ExclusiveMinimum { limit } => format!("must be > {}", number(limit)),
        Kind::Maximum { limit } => format!("must be <= {}", number(limit)),
        Kind::Minimum { limit } => format!("must be >= {}", number(limit)),
        Kind::MultipleOf { multiple_of } => format!("must be multiple of {}", number(&(*multiple_of).into())),
        Kind::FalseSchema => "boolean schema is false".into(),
        Kind::MaxItems { limit } => format!("must NOT have more than {limit} items"),
        Kind::MinItems { limit } => format!("must NOT have fewer than {limit} items"),
        Kind::MaxLength { limit } => format!("must NOT have more than {limit} characters"),
        Kind::MinLength { limit } => format!("must NOT have fewer than {limit} characters"),
        Kind::MaxProperties { limit } => format!("must NOT have more than {limit} properties"),
        Kind::MinProperties { limit } => format!("must NOT have fewer than {limit} properties"),
        Kind::Not { .. } => "must NOT be valid".into(),
        Kind::OneOfMultipleValid { .. } | Kind::OneOfNotValid { .. } => "must match exactly one schema in oneOf".into(),
        Kind::Pattern { pattern } => format!("must match pattern \"{pattern}\""),
        Kind::PropertyNames { .. } => "property name must be valid".into(),
        Kind::Required { property } => required(instance, property, value),
        Kind::Type { kind } => format!("must be {}", types(kind, value)),
        _ => error.to_string(),
    };
    let detail = match (error.kind(), instance) {
        (Kind::Constant { expected_value: value } | Kind::Enum { options: value }, _) => {
            format!(": {}", cut(&value.to_string(), 300))
        }
        (Kind::MaxLength { .. } | Kind::MinLength { .. }, Value::String(text)) => format!(" (got {})", text.chars().count()),
        (Kind::MaxItems { .. } | Kind::MinItems { .. }, Value::Array(items)) => format!(" (got {})", items.len()),
        (Kind::MaxProperties { .. } | Kind::MinProperties { .. }, Value::Object(members)) => format!(" (got {})", members.len()),
        _ => String::new(),
    };
    vec![(text, detail)]
}

/// The message for a missing `property`. The instance requires it, or one of the dependencies does: the error does not say which.
fn required(instance: &Value, property: &Value, value: &Value) -> String {
    let name = property.as_str().unwrap_or_default();
    let wants = |(owner, names): &(&String, &Value)| {
        instance.get(&**owner).is_some() && names.as_array().is_some_and(|names| names.contains(property))
    };
    let Some((owner, names)) = value.as_object().and_then(|dependencies| dependencies.iter().find(wants)) else {
        return format!("must have required property '{name}'");
    };
    let names: Vec<&str> = names.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let noun = if names.len() == 1 { "property" } else { "properties" };
    format!("must have {noun} {} when property {owner} is present", names.join(", "))
}

/// The types in the schema's order, which the library does not keep.
fn types(kind: &TypeKind, stated: &Value) -> String {
    match (kind, stated) {
        (TypeKind::Single(kind), _) => kind.to_string(),
        (_, Value::Array(types)) => types.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        (TypeKind::Multiple(_), nullable) => nullable.as_str().unwrap_or_default().into(),
    }
}

/// The message for the pair of equal items that ajv finds first. Where the schema allows simple types only, ajv searches in another
/// way and passes over items of other types.
fn duplicates(instance: &Value, schema: &Value) -> Option<String> {
    let items = instance.as_array()?;
    let stated = &schema["items"]["type"];
    let types: Vec<&str> =
        stated.as_array().map_or(vec![stated], |types| types.iter().collect()).into_iter().filter_map(Value::as_str).collect();
    let (one, other) = if types.is_empty() || types.contains(&"object") || types.contains(&"array") {
        let mut pairs = (0..items.len()).rev().flat_map(|later| (0..later).rev().map(move |earlier| (earlier, later)));
        pairs.find(|(earlier, later)| items[*earlier] == items[*later])?
    } else {
        let is_searched = |item: &Value| match item {
            Value::String(_) => types.contains(&"string"),
            Value::Number(_) => types.contains(&"number") || types.contains(&"integer"),
            other => !other.is_array() && !other.is_object(),
        };
        let repeated = |at: usize| (at + 1..items.len()).find(|later| items[*later] == items[at]);
        (0..items.len()).rev().filter(|at| is_searched(&items[*at])).find_map(|at| Some((repeated(at)?, at)))?
    };
    Some(format!("must NOT have duplicate items (items ## {one} and {other} are identical)"))
}

fn cut(text: &str, length: usize) -> String {
    let units: Vec<u16> = text.encode_utf16().collect();
    if units.len() <= length { text.into() } else { format!("{}…", String::from_utf16_lossy(&units[..length])) }
}

/// A number as JavaScript writes it.
fn number(value: &Value) -> String {
    match value.as_f64() {
        Some(float) if value.is_f64() => match float.abs() {
            1e-6..1e21 | 0.0 => float.to_string(),
            1e21.. => format!("{float:e}").replace('e', "e+"),
            _ => format!("{float:e}"),
        },
        _ => value.to_string(),
    }
}
