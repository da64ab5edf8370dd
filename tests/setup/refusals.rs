//! What setup cannot do is said in one line, with what helps, before anything is made.

use super::QWEN;
use super::home::{Home, tree};
use super::servers::{llama_server, ollama, vllm};
use crate::support::free_port;

#[test]
fn each_refusal_is_one_line_and_a_hint_and_changes_nothing() {
    let (qwen, _) = ollama(&[QWEN], 4096);
    let (empty, _) = ollama(&[], 4096);
    let (guarded, server) = (vllm(Some("right")), llama_server());
    let down = format!("http://127.0.0.1:{}", free_port());
    let at = |stub: &crate::support::stub::Stub| format!("http://127.0.0.1:{}/v1/chat/completions", stub.port());
    let table: Vec<(Vec<&str>, &str, String)> = vec![
        (
            vec!["--url", &down],
            "",
            format!("no model server at {down}: nothing answers there\nhint: start it, or choose another one with --url"),
        ),
        (
            vec!["--url", "ftp://a"],
            "",
            "LOCAL_LLM_URL is `ftp://a`: expected the http:// or https:// address of a chat completions endpoint".into(),
        ),
        (
            vec!["--url", "http://user:secret@127.0.0.1:1/"],
            "",
            "no model server at http://127.0.0.1:1/: nothing answers there\nhint: start it, or choose another one with --url"
                .into(),
        ),
    ];
    let urls = [at(&qwen), at(&empty), at(&guarded), at(&server)];
    let more: Vec<(Vec<&str>, &str, String)> = vec![
        (
            vec!["--url", &urls[0], "--model", "other"],
            "",
            format!("Ollama at 127.0.0.1:{} has no model `other`\nhint: choose from `qwen3:8b`", qwen.port()),
        ),
        (
            vec!["--url", &urls[1]],
            "",
            format!(
                "Ollama at 127.0.0.1:{} has no model that can chat\nhint: run `ollama pull [MODEL]`, or take another model from \
                 ollama.com, then run this again",
                empty.port()
            ),
        ),
        (
            vec!["--url", &urls[2]],
            "",
            format!(
                "no model server at {}: it wants a key: set LOCAL_LLM_API_KEY\nhint: start it, or choose another one with --url",
                urls[2]
            ),
        ),
        (
            vec!["--url", &urls[2]],
            "LOCAL_LLM_API_KEY=wrong\n",
            format!(
                "no model server at {}: it refuses the key in LOCAL_LLM_API_KEY\nhint: start it, or choose another one with --url",
                urls[2]
            ),
        ),
        (
            vec!["--url", &urls[3]],
            "LOCAL_LLM_MODEL=mine\n",
            "[HOME]/.config/claude-failover/config.env has `LOCAL_LLM_MODEL=mine`\nhint: change that to \
             `LOCAL_LLM_MODEL=/models/Qwen3-8B-Q4_K_M.gguf`, or take it out, and run this again"
                .into(),
        ),
        (
            vec!["--names", "claude,codex"],
            "",
            "`codex` is no name of this program\nhint: choose from claude, agent-llm, llm-failover".into(),
        ),
        (vec!["--names", ","], "", "`--names` is empty\nhint: choose from claude, agent-llm, llm-failover".into()),
        (
            vec!["--modify-path", "--no-modify-path"],
            "",
            "`--modify-path` and `--no-modify-path` exclude each other\nhint: run `llm-failover --help`".into(),
        ),
        (vec!["--purge"], "", "`--purge` goes with `--uninstall`\nhint: run `llm-failover --help`".into()),
        (
            vec!["--url", &urls[3], "--engine", "mlx"],
            "",
            "`--url` and `--engine` exclude each other: the server at a URL is your own\nhint: run `llm-failover --help`".into(),
        ),
    ];
    for (args, config, said) in table.into_iter().chain(more) {
        let home = Home::new();
        if !config.is_empty() {
            home.write(".config/claude-failover/config.env", config);
        }
        let before = tree(home.home());
        let output = home.setup(&args);
        // By the memory of this machine.
        let said =
            match output.err().split_once("`ollama pull ").and_then(|(_, after)| after.split('`').next().map(str::to_string)) {
                Some(model) if !model.is_empty() => said.replace("[MODEL]", &model),
                _ => said,
            };
        output.expect(1, "", &format!("llm-failover: {said}\n"));
        assert!(tree(home.home()) == before, "{args:?}");
    }
}

#[test]
fn a_home_that_cannot_be_one_is_refused() {
    let mut home = Home::new();
    let hint = "hint: use a home folder without `:` and without control characters\n";
    let odd = home.path("a:b").display().to_string();
    std::fs::create_dir(&odd).unwrap();
    home.set("HOME", &odd);
    let said = format!("llm-failover: HOME is `{}`, which PATH cannot hold\n{hint}", "[HOME]/a:b");
    home.setup(&["--dry-run"]).expect(1, "", &said);
    let none = home.path("none");
    home.set("HOME", none);
    let said = "llm-failover: HOME is `[HOME]/none`, which is no folder\nhint: set it to your home folder\n";
    home.setup(&["--dry-run"]).expect(1, "", said);
}

#[test]
fn a_model_that_does_not_answer_is_said_and_all_else_is_set_up() {
    let dead = crate::support::stub::Stub::new(|request, stream| {
        use std::io::Write;
        let status = if request.is_chat() { 400 } else { 200 };
        let body = if request.is_chat() { r#"{"error":{"message":"no room"}}"# } else { r#"{"data":[{"id":"m"}]}"# };
        let _ = stream.write_all(crate::support::stub::json(status, body).as_bytes());
    });
    let home = Home::new();
    let output = home.setup(&["--url", &dead.url()]);
    let hint = "hint: all else is set up; mend that, and run `llm-failover setup` again\n";
    assert_eq!(output.code(), 1, "{output:?}");
    assert!(output.err().ends_with(hint) && output.err().contains("no room"), "{output:?}");
    assert!(home.config().contains("LOCAL_LLM_MODEL=m\n"));
    assert_eq!(home.switch_word(), "");
}
