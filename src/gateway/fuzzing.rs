//! What must hold for any body that a client of the gateway sends.

use serde_json::Value;

use crate::gateway::request::{MessagesRequest, read, read_to_count};
use crate::gateway::shrink::{Room, Size, estimate, next_smaller};

/// The body of a request to `/v1/messages`.
pub(crate) fn messages(bytes: &[u8]) {
    let request = match read(bytes.to_vec()) {
        Ok(request) => request,
        Err(error) => {
            assert!(error.status.is_client_error(), "the caller's fault: {error:?}");
            drop(read_to_count(bytes.to_vec()));
            return;
        }
    };
    check_order(&request.messages);
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        for written in [serde_json::to_vec(&value), serde_json::to_vec_pretty(&value)] {
            assert_eq!(read(written.unwrap_or_default()).ok().as_ref(), Some(&request), "in other words the same");
        }
    }
    assert_eq!(
        read_to_count(bytes.to_vec()).map(|counted| MessagesRequest { max_tokens: request.max_tokens, ..counted }).ok().as_ref(),
        Some(&request)
    );
    let mut smaller = Some((Size::Full, request.clone()));
    while let Some((size, now)) = smaller {
        check_order(&now.messages);
        assert!(estimate(&now) < 4 * bytes.len() + 100_000);
        let room = Room { window: Some(8192), appended: "" };
        smaller = next_smaller(&request, size, room);
    }
}

/// As strict templates ask for: user and assistant in turn, and each call's result behind it.
fn check_order(messages: &[Value]) {
    let (mut last, mut open): (&str, Vec<&str>) = ("", vec![]);
    for message in messages {
        let role = message["role"].as_str().unwrap_or_default();
        let id = message["tool_call_id"].as_str().unwrap_or_default();
        match role {
            "tool" => {
                let place = open.iter().position(|known| *known == id);
                assert!(place.map(|place| open.remove(place)).is_some(), "a result of no call: {messages:?}");
            }
            "user" | "assistant" => assert!(open.is_empty() && role != last, "{role} after {last}: {messages:?}"),
            _ => panic!("{message}"),
        }
        let calls = message["tool_calls"].as_array().into_iter().flatten();
        open.extend(calls.filter_map(|call| call["id"].as_str()));
        last = role;
    }
    assert!(open.is_empty(), "a call without a result: {messages:?}");
}
