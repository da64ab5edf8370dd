//! What the model is told when its answer cannot be used.

use serde_json::{Value, json};

use crate::claude_code::protocol::messages::api_id;
use crate::gateway::reply::UnmadeCall;
use crate::gateway::request::MessagesRequest;

/// Tells the model why its calls were not made, in the form of failed tools' results.
pub(super) fn told_unmade(unmade: Vec<UnmadeCall>) -> Vec<Value> {
    let ids: Vec<String> = unmade.iter().map(|_| api_id("c")[2..11].to_string()).collect();
    let call = |(call, id): (&UnmadeCall, &String)| {
        let arguments = call.arguments.as_deref().unwrap_or("{}");
        json!({"id": id, "type": "function", "function": {"name": call.name, "arguments": arguments}})
    };
    let calls: Vec<_> = unmade.iter().zip(&ids).map(call).collect();
    let result = |(call, id): (UnmadeCall, &String)| json!({"role": "tool", "tool_call_id": id, "content": call.reason});
    let mut told = vec![json!({"role": "assistant", "content": "", "tool_calls": calls})];
    told.extend(unmade.into_iter().zip(&ids).map(result));
    told
}

/// Tells the model that it has to call a tool.
pub(super) fn told_to_call(text: String, request: &MessagesRequest) -> Vec<Value> {
    let names: Vec<String> = request.callable().iter().map(|tool| format!("`{}`", tool.name)).collect();
    let which = match names.as_slice() {
        [name] => format!("the tool {name}"),
        names => format!("one of the tools {}", names.join(", ")),
    };
    let told = format!("Error: your answer has to be a call of {which}, without any text. Make the call now");
    vec![json!({"role": "assistant", "content": text}), json!({"role": "user", "content": told})]
}
