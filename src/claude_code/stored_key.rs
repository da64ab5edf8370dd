//! The API key that a sign-in at Anthropic's console leaves for all sessions of Claude Code.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// What Claude Code keeps in `.claude.json`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    primary_api_key: Option<IgnoredAny>,
    custom_api_key_responses: Option<Responses>,
}

#[derive(Deserialize)]
struct Responses {
    approved: Option<Vec<IgnoredAny>>,
}

/// Whether there may be one. `state`: the text of `.claude.json`, if it can be read. `has_keychain`: on macOS the key itself is in the
/// Keychain, under the service `Claude Code`, and its end is among the approved keys (2.0.76 to 2.1.330). The Keychain is not asked,
/// since that could ask the user.
pub(crate) fn may_be_there(state: Option<&[u8]>, has_keychain: bool) -> bool {
    let Some(state) = state else { return has_keychain };
    match serde_json::from_slice::<State>(state) {
        Ok(state) => {
            let approved = state.custom_api_key_responses.and_then(|responses| responses.approved).unwrap_or_default();
            state.primary_api_key.is_some() || has_keychain && !approved.is_empty()
        }
        Err(_) => has_keychain || memchr::memmem::find(state, b"\"primaryApiKey\"").is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::may_be_there;

    #[test]
    fn where_a_key_is_stored() {
        let table: [(Option<&str>, bool, bool); 9] = [
            (None, false, true),
            (Some("{}"), false, false),
            (Some(r#"{"primaryApiKey":null}"#), false, false),
            (Some(r#"{"primaryApiKey":"sk-ant-api03-x","numStartups":1}"#), true, true),
            (Some(r#"{"customApiKeyResponses":{"approved":["end-of-a-key"],"rejected":[]}}"#), false, true),
            (Some(r#"{"customApiKeyResponses":{"approved":[],"rejected":["end-of-a-key"]}}"#), false, false),
            (Some(r#"{"customApiKeyResponses":{}}"#), false, false),
            (Some("{\"numStartups\":1"), false, true),
            (Some("{\"primaryApiKey\":\"sk-"), true, true),
        ];
        for (state, elsewhere, on_macos) in table {
            let found = [false, true].map(|has_keychain| may_be_there(state.map(str::as_bytes), has_keychain));
            assert_eq!(found, [elsewhere, on_macos], "{state:?}");
        }
    }
}
