//! A plain answer of a model that runs in circles is cut.

use serde_json::Value;

use crate::answer::local;
use crate::support::stub::{Stub, end, piece, sse};

const LINE: &str = "Let me check the configuration file once more. ";

const CUT: &str = "\n\n[Cut here by claude-failover: the local model wrote the same again and again.]";

#[test]
fn in_every_format() {
    // A server that passes over `max_tokens`.
    let stub = Stub::raw(sse(&(piece(LINE).repeat(20_000) + &end("stop"))));
    for is_known in [false, true] {
        let mut sandbox = local(&stub.url());
        sandbox.set("LOCAL_LLM_MODEL", "tiny");
        if is_known {
            sandbox.answers_plainly(&stub.url(), "tiny");
        }
        for format in ["text", "json", "stream-json"] {
            let output = sandbox.cmd("claude").args(&["-p", "go on", "--verbose", "--output-format", format]).run();
            assert_eq!(output.code(), 0, "{format}: {output:?}");
            let text = match format {
                "text" => output.out().trim_end().to_string(),
                _ => {
                    let (out, value): (_, Value) =
                        (output.out(), serde_json::from_str(output.out().lines().last().unwrap()).unwrap());
                    let value = if value.is_array() { value.as_array().unwrap().last().unwrap().clone() } else { value };
                    assert_eq!((&value["subtype"], &value["is_error"]), (&"success".into(), &false.into()), "{out}");
                    value["result"].as_str().unwrap().to_string()
                }
            };
            assert!(text.starts_with(&LINE.repeat(2)) && text.ends_with(CUT) && text.len() < 10_000, "{format}: {text}");
        }
    }
}
