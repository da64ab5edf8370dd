//! The keywords of draft-07 in the order in which ajv evaluates them.

use serde_json::Value;

/// The groups of keywords that ajv evaluates one after the other: those for any type, then those for each type.
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

/// Where in ajv's order a keyword of `schema` stands.
pub(super) fn rank(schema: &Value, keyword: &str) -> usize {
    // ajv reports a wrong type where the keywords for that type would be, if there are any.
    let is_reported_late = |(name, keywords): &(&str, &[&str])| {
        keyword == "type" && schema["type"] == **name && keywords.iter().any(|keyword| schema.get(keyword).is_some())
    };
    if let Some(group) = KEYWORDS.iter().position(is_reported_late) {
        return group * 100;
    }
    let place = |keywords: &[&str]| keywords.iter().position(|other| *other == keyword);
    KEYWORDS.iter().enumerate().find_map(|(group, (_, keywords))| Some(group * 100 + 1 + place(keywords)?)).unwrap_or(usize::MAX)
}
