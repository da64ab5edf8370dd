//! The real llama.cpp and the real Claude Code: what was read ahead is found in the server's cache, by the server's own count.

use serde_json::Value;

use crate::auto::{TODAY, claude};
use crate::prime::primers;
use crate::real_engines::{Engine, Guard, LIMIT};
use crate::support::life::Life;
use crate::support::{node, until};

/// The tokens that the server read for the agent's first turn, and those that it had in its cache.
fn first_turn(life: &Life, prompt: &str) -> (u64, u64) {
    let cmd =
        life.cmd("claude").args(&["-p", prompt, "--allowedTools", "Bash", "--output-format", "json"]).dir(life.path("work"));
    let output = cmd.limit(LIMIT).run();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert_eq!((output.code(), &result["num_turns"]), (0, &1.into()), "{result}");
    let count = |name: &str| result["usage"][name].as_u64().unwrap();
    (count("input_tokens"), count("cache_read_input_tokens"))
}

#[test]
fn the_first_turn_finds_what_was_read_ahead() {
    let mut life = Engine::Llama.life();
    let folder = claude(TODAY).parent().unwrap().to_path_buf();
    let bin = life.path("bin");
    life.set_path(&[bin, folder, node(), "/usr/bin".into(), "/bin".into()]);
    for (key, value) in [("IS_SANDBOX", "1"), ("LOCAL_LLM_AGENT_PROMPT", "lean"), ("DISABLE_AUTOUPDATER", "1")] {
        life.set(key, value);
    }
    // A word is enough.
    life.set("LOCAL_LLM_EXTRA_BODY", r#"{"stop":[" "],"temperature":0}"#);
    life.write("work/CLAUDE.md", "Always write tests.\n");
    let _guard = Guard(&life);
    let flip = |life: &Life, word| {
        let cmd = life.cmd("llm-failover").args(&["-q", word]).dir(life.path("work"));
        cmd.limit(LIMIT).run().expect(0, "", "");
        until(LIMIT, "it has read ahead", || primers(life.home()) == 0);
    };
    let mut shares = Vec::new();
    for prompt in ["What is in this folder?", "Write a poem about the sea."] {
        flip(&life, "local");
        let (read, cached) = first_turn(&life, prompt);
        assert!(read + cached > 300, "{read} and {cached}");
        shares.push(cached as f64 / (read + cached) as f64);
        flip(&life, "claude");
    }
    // Nothing was known of the folder, and then all but the user's words.
    assert!(shares[0] < 0.2 && shares[1] > 0.8, "{shares:?}");
}
