//! What a server says of an error, in one line, whatever the shape of the body.

use serde_json::Value;

use crate::shown::Shown;

/// Behind these words pydantic, and what is built on it (vLLM, FastAPI), repeat the request or a part of it. What a user has asked belongs
/// in no message and no log.
const REPEATS: [&str; 6] = ["'input':", "\"input\":", "input_value=", "'messages':", "\"messages\":", "\\\"messages\\\":"];

/// The one line that an error body says, whatever its shape: `{"error": "…"}`, `{"error": {"message": "…"}}`,
/// `{"message": …}`, `{"detail": …}`, plain text, HTML or nothing.
pub(crate) fn error_line(status: u16, body: &str) -> String {
    message_of(body).map_or_else(|| format!("HTTP {status} and no reason"), |message| format!("HTTP {status}: {message}"))
}

/// The same without the status. None if the body says nothing.
pub(crate) fn message_of(body: &str) -> Option<String> {
    let text = match serde_json::from_str::<Value>(body) {
        // Gemini's interface, and what passes it on, wraps it in a list.
        Ok(Value::Array(list)) if list.len() == 1 => return message_of(&list[0].to_string()),
        Ok(mut value) => {
            for detail in value.get_mut("detail").and_then(Value::as_array_mut).into_iter().flatten() {
                detail.as_object_mut().map(|detail| detail.remove("input"));
            }
            let texts = [&value["error"]["message"], &value["error"], &value["message"], &value["detail"]];
            texts.into_iter().find_map(Value::as_str).map_or_else(|| value.to_string(), str::to_string)
        }
        Err(_) => without_tags(body),
    };
    let line = Shown::squeezed(without_request(&text)).at_most(500).to_string();
    (!line.is_empty() && line != "null").then_some(line)
}

fn without_request(text: &str) -> String {
    let repeated = REPEATS.iter().filter_map(|words| Some(text.find(words)? + words.len())).min();
    repeated.map_or_else(|| text.into(), |at| format!("{} …", &text[..at]))
}

fn without_tags(html: &str) -> String {
    if !html.trim_start().starts_with('<') {
        return html.to_string();
    }
    let pieces = html.split('<').filter_map(|piece| piece.split_once('>').map(|(_, text)| text));
    pieces.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_bodies_of_every_shape() {
        let table = [
            (r#"{"error": "generation thread died"}"#, "HTTP 500: generation thread died"),
            (r#"{"error":{"code":400,"message":"too\n long","type":"x"}}"#, "HTTP 500: too long"),
            (r#"{"message":"m"}"#, "HTTP 500: m"),
            (r#"{"detail":"Not Found"}"#, "HTTP 500: Not Found"),
            (r#"[{"error":{"message":"m"}}]"#, "HTTP 500: m"),
            (r#"["m"]"#, r#"HTTP 500: "m""#),
            ("[[[[]]]]", "HTTP 500: []"),
            (r#"{"detail":[{"msg":"m"}]}"#, r#"HTTP 500: {"detail":[{"msg":"m"}]}"#),
            ("Not Found", "HTTP 500: Not Found"),
            ("<html><head><title>502</title></head><body>Bad <b>Gateway</b></body></html>", "HTTP 500: 502 Bad Gateway"),
            ("", "HTTP 500 and no reason"),
            ("null", "HTTP 500 and no reason"),
            ("\u{1b}[31mred", "HTTP 500: [31mred"),
            // FastAPI.
            (
                r#"{"detail":[{"type":"missing","loc":["body","model"],"msg":"Field required","input":{"messages":["secret"]}}]}"#,
                r#"HTTP 500: {"detail":[{"type":"missing","loc":["body","model"],"msg":"Field required"}]}"#,
            ),
            // vLLM: the exception, and Python's words for its list.
            (
                r#"{"error":{"message":"[{'type': 'missing', 'loc': ('body', 'model'), 'input': {'messages': ['secret']}}]"}}"#,
                "HTTP 500: [{'type': 'missing', 'loc': ('body', 'model'), 'input': \u{2026}",
            ),
            (
                "1 validation error for Request [type=missing, input_value={'messages': 'secret'}, input_type=dict]",
                "HTTP 500: 1 validation error for Request [type=missing, input_value= \u{2026}",
            ),
            (r#"{"error":"no: {\"messages\":[\"secret\"]}"}"#, "HTTP 500: no: {\"messages\": \u{2026}"),
        ];
        for (body, expected) in table {
            assert_eq!(error_line(500, body), expected, "{body:?}");
        }
    }
}
