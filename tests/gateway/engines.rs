//! The real llama.cpp and the real mlx-lm behind the gateway, and the real Claude Code before it.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::gateway::{Gateway, TOKEN, question, with, with_tools};
use crate::real_cli;
use crate::real_engines::{Engine, Guard, LIMIT};
use crate::support::life::Life;
use crate::support::node;

/// Side by side their threads would wait for each other's cores.
static ALONE: Mutex<()> = Mutex::new(());

/// A home whose server runs.
fn running(engine: Engine) -> Life {
    let mut life = engine.life();
    life.set("LLM_GATEWAY_TOKEN", TOKEN);
    life.set("LOCAL_LLM_TEMPERATURE", "0");
    life.cmd("llm-failover").args(&["-q", "local"]).limit(LIMIT).run().expect(0, "", "");
    life
}

#[track_caller]
fn check(message: &Value) -> u64 {
    let text = message["content"][0]["text"].as_str().unwrap_or_default();
    assert!(!text.trim().is_empty(), "{message}");
    assert!(["end_turn", "max_tokens"].contains(&message["stop_reason"].as_str().unwrap()), "{message}");
    let count = |key: &str| message["usage"][key].as_u64().unwrap();
    assert!((1..=12).contains(&count("output_tokens")), "{message}");
    count("input_tokens") + count("cache_read_input_tokens")
}

fn talk(engine: Engine) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let life = running(engine);
    let _guard = Guard(&life);
    let gateway = Gateway::start(&life);
    let request = with(question("Say hello to everybody in this room."), json!({"max_tokens": 12}));
    let streamed = gateway.stream(&request);
    assert_eq!(streamed.error, None);
    let taken = check(&streamed.message);
    let whole = gateway.ask(&request);
    assert_eq!(check(&whole.json()), taken);
    let counted = gateway.post("/v1/messages/count_tokens", &request).json()["input_tokens"].as_u64().unwrap();
    assert!(counted > 0 && counted < taken * 3 && taken < counted * 10, "{counted} for {taken}");
    let system = with(with_tools(request), json!({"system": "Be brief.", "tool_choice": {"type": "any"}}));
    assert_eq!(gateway.stream(&system).error, None);
    // Both refuse images, each in its own words.
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}});
    let content = json!([image, {"type": "text", "text": "What is it?"}]);
    let pictured = with(question(""), json!({"max_tokens": 12, "messages": [{"role": "user", "content": content}]}));
    check(&gateway.stream(&pictured).message);
    if engine == Engine::Llama {
        let long = question(&"hello ".repeat(20_000));
        let (status, may_pass, kind, message) = gateway.refusal(&long);
        assert_eq!((status, may_pass, kind.as_str()), (400, false, "invalid_request_error"), "{message}");
        let figures = message.strip_prefix("prompt is too long: ").and_then(|rest| rest.strip_suffix(" maximum"));
        let (prompt, window) = figures.and_then(|figures| figures.split_once(" tokens > ")).expect(&message);
        let (prompt, window): (u64, u64) = (prompt.parse().unwrap(), window.parse().unwrap());
        assert!(prompt > 20_000 && window <= 16_384, "{message}");
    }
}

#[test]
fn llama_cpp_behind_the_gateway() {
    talk(Engine::Llama);
}

#[test]
fn mlx_lm_behind_the_gateway() {
    talk(Engine::Mlx);
}

/// The model is too small for more than a few words, and whether it ends them itself is its own affair.
#[test]
fn claude_code_on_llama_cpp() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut life = running(Engine::Llama);
    let bin = real_cli::real();
    let path = [life.path("bin"), bin.parent().unwrap().into(), node(), "/usr/bin".into(), "/bin".into()];
    life.set_path(&path);
    life.set("LOCAL_LLM_AGENT", "always");
    life.set("LOCAL_LLM_MAX_TOKENS", "48");
    life.set("TERM", "xterm");
    let _guard = Guard(&life);
    let args = ["-p", "Say hello.", "--bare", "--tools", "", "--system-prompt", "Be brief.", "--output-format", "json"];
    let output = life.cmd("claude").args(&args).limit(LIMIT).run();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let said = result["result"].as_str().unwrap_or_default();
    let is_answered = result["is_error"] == false && !said.trim().is_empty();
    assert!(is_answered || said.contains("output token maximum"), "{result}");
    assert!(result["modelUsage"].as_object().unwrap().keys().all(|name| name.contains("SmolLM2")), "{result}");
    let first = output.err().lines().next().unwrap_or_default().to_string();
    assert!(first.starts_with("claude: this session runs on the local model `SmolLM2"), "{output:?}");
}
