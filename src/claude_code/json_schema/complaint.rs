//! The errors of a validation in the words of ajv, which the real CLI validates with, and in its order.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use serde_json::Value;

/// What is wrong with an instance.
#[derive(PartialEq)]
pub(super) struct Complaint {
    /// The places of the keywords and members on the way to it, which order it among others.
    order: Vec<usize>,
    /// Where in the instance, as a JSON pointer.
    pub place: String,
    /// What, in ajv's words.
    pub text: String,
    /// What the real CLI adds to them.
    pub detail: String,
}

/// The complaints about `instance`, in order.
pub(super) fn complaints<'a>(
    errors: impl Iterator<Item = ValidationError<'a>>,
    schema: &Value,
    instance: &Value,
) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for error in errors {
        add(&mut complaints, &error, schema, instance);
    }
    complaints.sort_by(|one, other| one.order.cmp(&other.order));
    complaints
}

/// The groups of keywords that ajv evaluates one after the other: those for any type, then those for one each.
pub(super) const KEYWORDS: [(&str, &[&str]); 5] = [
    ("", &["type", "$ref", "const", "enum", "not", "anyOf", "oneOf", "allOf", "if", "then", "else"]),
    ("number", &["maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum", "multipleOf", "format"]),
    ("string", &["maxLength", "minLength", "pattern", "format"]),
    ("array", &["maxItems", "minItems", "additionalItems", "items", "contains", "uniqueItems"]),
    (
        "object",
        &[
            "maxProperties",
            "minProperties",
            "required",
            "propertyNames",
            "additionalProperties",
            "dependencies",
            "properties",
            "patternProperties",
        ],
    ),
];

/// When ajv comes to a keyword of a schema.
fn rank(schema: &Value, keyword: &str) -> usize {
    // A wrong type is told where the keywords for the type would be, if there are any.
    let is_told_late = |(name, keywords): &(&str, &[&str])| {
        keyword == "type" && schema["type"] == **name && keywords.iter().any(|keyword| schema.get(keyword).is_some())
    };
    if let Some(group) = KEYWORDS.iter().position(is_told_late) {
        return group * 100;
    }
    let place = |keywords: &[&str]| keywords.iter().position(|other| *other == keyword);
    KEYWORDS.iter().enumerate().find_map(|(group, (_, keywords))| Some(group * 100 + 1 + place(keywords)?)).unwrap_or(usize::MAX)
}

fn add(complaints: &mut Vec<Complaint>, error: &ValidationError, root: &Value, instance: &Value) {
    match error.kind() {
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } | Kind::OneOfMultipleValid { context } => {
            // A second valid one is enough.
            let mut valid = context.iter().enumerate().filter(|(_, errors)| errors.is_empty());
            let end = valid.nth(1).map_or(context.len(), |(place, _)| place);
            context[..end].iter().flatten().for_each(|error| add(complaints, error, root, instance));
        }
        Kind::PropertyNames { error } => add(complaints, error, root, instance),
        _ => {}
    }
    let (mut order, mut schema, mut data) = (Vec::new(), root, instance);
    let (mut path, mut data_path) = (segments(error.evaluation_path().as_str()), segments(error.instance_path().as_str()));
    let mut parent = &Value::Null;
    let mut place = String::new();
    while let Some(keyword) = path.next() {
        order.push(rank(schema, &keyword));
        if matches!(&*keyword, "then" | "else") {
            let mut order = order.clone();
            order.push(usize::MAX);
            let text = format!("must match \"{keyword}\" schema");
            let outer = Complaint { order, place: place.clone(), text, detail: String::new() };
            if !complaints.contains(&outer) {
                complaints.push(outer);
            }
        }
        parent = schema;
        schema = &schema[&*keyword];
        if keyword == "$ref" {
            schema = schema.as_str().and_then(|reference| super::target(root, reference)).unwrap_or(&Value::Null);
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
            place += &format!("/{}", step.replace('~', "~0").replace('/', "~1"));
        }
    }
    // An error is told after those that it is made of; names that miss come before schemas of dependencies.
    order.push(if matches!(error.kind(), Kind::Required { .. }) { 0 } else { usize::MAX });
    for (text, detail) in words(error, parent, schema) {
        complaints.push(Complaint { order: order.clone(), place: error.instance_path().to_string(), text, detail });
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

/// What ajv says of an error and what the real CLI adds to it, given the schema that has the keyword, and its value.
fn words(error: &ValidationError, schema: &Value, value: &Value) -> Vec<(String, String)> {
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

/// What misses `property`: the instance, or one of the dependencies, of which the error does not tell which.
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
fn types(kind: &TypeKind, told: &Value) -> String {
    match (kind, told) {
        (TypeKind::Single(kind), _) => kind.to_string(),
        (_, Value::Array(types)) => types.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        (TypeKind::Multiple(_), nullable) => nullable.as_str().unwrap_or_default().into(),
    }
}

/// Which items are the same: where ajv knows them to be of simple types it searches in another way, and passes over
/// those of other types.
fn duplicates(instance: &Value, schema: &Value) -> Option<String> {
    let items = instance.as_array()?;
    let told = &schema["items"]["type"];
    let types: Vec<&str> =
        told.as_array().map_or(vec![told], |types| types.iter().collect()).into_iter().filter_map(Value::as_str).collect();
    let (one, other) = if types.is_empty() || types.contains(&"object") || types.contains(&"array") {
        let mut pairs = (0..items.len()).rev().flat_map(|later| (0..later).rev().map(move |earlier| (earlier, later)));
        pairs.find(|(earlier, later)| items[*earlier] == items[*later])?
    } else {
        let is_searched = |item: &Value| match item {
            Value::String(_) => types.contains(&"string"),
            Value::Number(_) => types.contains(&"number") || types.contains(&"integer"),
            other => !other.is_array() && !other.is_object(),
        };
        let again = |at: usize| (at + 1..items.len()).find(|later| items[*later] == items[at]);
        (0..items.len()).rev().filter(|at| is_searched(&items[*at])).find_map(|at| Some((again(at)?, at)))?
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Schema;

    /// As measured with the real CLI.
    fn verdict(schema: &Schema, answer: &str) -> Result<serde_json::Value, String> {
        let without_heading = |reason: String| reason.replace("Output does not match required schema: ", "");
        schema.check(answer).map_err(|wrong| without_heading(wrong.reason))
    }

    #[test]
    fn errors_are_told_as_by_ajv() {
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
}
