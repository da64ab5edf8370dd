//! Two transcripts of a case, compared field by field.

use std::collections::BTreeSet;

use serde_json::Value;

/// Something in which ours is not like theirs.
#[derive(Debug)]
pub struct Difference {
    /// Its name, such as `lacks system/init.tools` or, with what is ours, `value result/success.num_turns = 2`.
    pub what: String,
    /// What the name does not say of it.
    pub detail: String,
}

/// Ends a recorded list of which only the first element was kept.
const AND_SO_ON: &str = "…";

/// All differences between what was recorded and what we did.
pub fn compare(theirs: &Value, ours: &Value) -> Vec<Difference> {
    let mut found = Found(vec![]);
    let calls = |case: &Value| case["calls"].as_array().cloned().unwrap_or_default();
    assert_eq!(calls(theirs).len(), calls(ours).len());
    for (theirs, ours) in calls(theirs).iter().zip(&calls(ours)) {
        for part in ["exit", "stderr"] {
            if theirs[part] != ours[part] {
                found.add(part, Some(&theirs[part]), Some(&ours[part]));
            }
        }
        if let Some(kind) = ours["unmet"].as_str() {
            found.add(&format!("never {kind}"), None, None);
        }
        match (messages(&theirs["stdout"]), messages(&ours["stdout"])) {
            (Some(theirs), Some(ours)) => found.compare_sequences(&theirs, &ours),
            _ if theirs["stdout"] == ours["stdout"] => {}
            _ => found.add("stdout", Some(&theirs["stdout"]), Some(&ours["stdout"])),
        }
    }
    found.0
}

/// Stdout as messages, if it is any.
fn messages(stdout: &Value) -> Option<Vec<Value>> {
    match stdout {
        Value::Array(messages) => Some(messages.clone()),
        Value::Object(_) => Some(vec![stdout.clone()]),
        _ => None,
    }
}

/// Such as `assistant`, `result/success`, `stream_event/message_stop`, `control_response/interrupt`.
pub fn kind(message: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let detail = match message["type"].as_str() {
        Some("stream_event") => word(&message["event"]["type"]),
        Some("control_response") => word(&message["response"]["request_id"]),
        _ => word(&message["subtype"]),
    };
    if detail.is_empty() { word(&message["type"]) } else { format!("{}/{detail}", word(&message["type"])) }
}

struct Found(Vec<Difference>);

impl Found {
    fn add(&mut self, what: &str, theirs: Option<&Value>, ours: Option<&Value>) {
        let what = ours.map_or_else(|| what.into(), |ours| format!("{what} = {ours}"));
        let detail = theirs.map_or_else(String::new, |theirs| format!("theirs: {theirs}"));
        self.0.push(Difference { what, detail });
    }

    fn add_message(&mut self, what: &str, message: &Value) {
        self.0.push(Difference { what: format!("{what} message {}", kind(message)), detail: message.to_string() });
    }

    fn compare_sequences(&mut self, theirs: &[Value], ours: &[Value]) {
        let likeness = likenesses(theirs, ours);
        let (mut i, mut j) = (0, 0);
        while i < theirs.len() || j < ours.len() {
            if i < theirs.len() && likeness[i + 1][j] == likeness[i][j] {
                self.add_message("lacks", &theirs[i]);
                i += 1;
            } else if j < ours.len() && likeness[i][j + 1] == likeness[i][j] {
                self.add_message("adds", &ours[j]);
                j += 1;
            } else {
                self.compare_messages(&kind(&ours[j]), &theirs[i], &ours[j]);
                (i, j) = (i + 1, j + 1);
            }
        }
    }

    fn compare_messages(&mut self, kind: &str, theirs: &Value, ours: &Value) {
        let first = ours.as_object().and_then(|fields| fields.keys().next());
        if first.is_none_or(|key| key != "type") {
            self.add(&format!("order {kind}"), None, None);
        }
        self.compare_values(kind, theirs, ours);
    }

    fn compare_values(&mut self, path: &str, theirs: &Value, ours: &Value) {
        match (theirs, ours) {
            (Value::Object(their_fields), Value::Object(our_fields)) => {
                let keys: BTreeSet<&String> = their_fields.keys().chain(our_fields.keys()).collect();
                for key in keys {
                    let path = format!("{path}.{key}");
                    match (their_fields.get(key), our_fields.get(key)) {
                        (Some(theirs), Some(ours)) if key == "modelUsage" || key == "model_usage_since_last_result" => {
                            self.compare_values(&path, &without_name(theirs), &without_name(ours));
                        }
                        (Some(theirs), Some(ours)) => self.compare_values(&path, theirs, ours),
                        (Some(theirs), None) => self.add(&format!("lacks {path}"), Some(theirs), None),
                        (None, ours) => self.add(&format!("adds {path}"), None, ours),
                    }
                }
            }
            (Value::Array(theirs), Value::Array(ours)) => self.compare_lists(path, theirs, ours),
            _ if std::mem::discriminant(theirs) != std::mem::discriminant(ours) => {
                self.add(&format!("type {path}"), Some(theirs), Some(ours));
            }
            _ if theirs != ours => self.add(&format!("value {path}"), Some(theirs), Some(ours)),
            _ => {}
        }
    }

    fn compare_lists(&mut self, path: &str, theirs: &[Value], ours: &[Value]) {
        let path_of_items = format!("{path}[]");
        let is_shortened = theirs.last().is_some_and(|last| last == AND_SO_ON);
        if is_shortened && !ours.is_empty() {
            for item in ours.iter().filter(|item| *item != AND_SO_ON) {
                let start = self.0.len();
                self.compare_values(&path_of_items, &theirs[0], item);
                // What is built in there is not what is built in here: only its shape counts.
                let differences = self.0.split_off(start);
                self.0.extend(differences.into_iter().filter(|difference| !difference.what.starts_with("value ")));
            }
            return;
        }
        if theirs.len() != ours.len() {
            self.add(&format!("length {path}"), Some(&theirs.into()), Some(&ours.into()));
        }
        for (theirs, ours) in theirs.iter().zip(ours) {
            self.compare_values(&path_of_items, theirs, ours);
        }
    }
}

/// The usage of models by their names, with one word for every name.
fn without_name(usage: &Value) -> Value {
    usage.as_object().into_iter().flatten().map(|(_, usage)| ("[model]".to_string(), usage.clone())).collect()
}

/// For each pair of tails, how much alike they are when the messages are put side by side as well as they can be.
fn likenesses(theirs: &[Value], ours: &[Value]) -> Vec<Vec<usize>> {
    let mut likeness = vec![vec![0; ours.len() + 1]; theirs.len() + 1];
    for i in (0..theirs.len()).rev() {
        for j in (0..ours.len()).rev() {
            let apart = likeness[i + 1][j].max(likeness[i][j + 1]);
            likeness[i][j] = match kind(&theirs[i]) == kind(&ours[j]) {
                true => apart.max(likeness[i + 1][j + 1] + of_two(&theirs[i], &ours[j])),
                false => apart,
            };
        }
    }
    likeness
}

/// How much alike two messages of a kind are: that they are of a kind weighs more than all else.
fn of_two(theirs: &Value, ours: &Value) -> usize {
    let mut found = Found(vec![]);
    found.compare_messages("", theirs, ours);
    1_000_usize.saturating_sub(found.0.len()).max(1)
}
