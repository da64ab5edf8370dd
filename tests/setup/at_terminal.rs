//! The questions that a user at a terminal is asked.

use std::fs;

use super::QWEN;
use super::home::{Home, tree};
use super::servers::{llama_server, ollama};
use crate::support::terminal::Terminal;

#[test]
fn a_user_chooses_and_is_shown_the_plan_before_it_is_done() {
    let (stub, models) = ollama(&[QWEN, ("phi4:14b", (Some(16_384), 16_384, false, 9_000_000_000))], 4096);
    let llama = llama_server();
    let mut home = Home::new();
    home.ollama_at(stub.port());
    home.set("LLAMA_ARG_PORT", llama.port().to_string());
    home.set("SHELL", "/bin/bash");
    let before = tree(home.home());
    let start = || Terminal::of(home.cmd_at_terminal("llm-failover").arg("setup"));
    let terminal = start();
    terminal.wait_for("which one? [1]");
    let at = |port: u16| format!("127.0.0.1:{port}");
    for line in [
        "these model servers run:".into(),
        format!("  1. Ollama at {}: 2 models", at(stub.port())),
        format!("  2. llama.cpp at {}: one model", at(llama.port())),
        "  3. none of these: set up ".into(),
        "  4. another address".into(),
    ] {
        assert!(terminal.text().contains(&line), "{line}\n{}", terminal.text());
    }
    terminal.type_text("7\r");
    terminal.wait_for("please answer with a number from 1 to 4");
    terminal.key("Enter");
    terminal.wait_for("Ollama has these models:");
    terminal.wait_for("  1. qwen3:8b (context 4096 by default, calls tools, 5.0 GB)");
    terminal.wait_for("  2. phi4:14b (context 16384, calls no tools, 9.0 GB)");
    terminal.key("Enter");
    terminal.wait_for("Ollama gives `qwen3:8b` 4096 tokens of context, and agents want more; make a variant with 32768? [Y/n]");
    terminal.type_text("n\r");
    terminal.wait_for("first on PATH, by a line in ");
    terminal.type_text("maybe\r");
    terminal.wait_for("please answer y or n");
    terminal.type_text("y\r");
    terminal.wait_for("show who answers in Claude Code's status line, by a line in ");
    terminal.type_text("n\r");
    terminal.wait_for("go on? [Y/n]");
    assert!(tree(home.home()) == before, "nothing is done yet");
    terminal.key("Enter");
    terminal.wait_for("the local model says: Hello from here.");
    terminal.wait_for("note: shells that run already do not know the links yet; open a new one");
    assert_eq!(terminal.end(), 0);
    assert!(fs::read_to_string(home.path(".bashrc")).unwrap().contains("claude-failover/bin:$PATH"));
    assert!(!home.path(".claude").exists());
    assert_eq!(models.lock().unwrap().len(), 2);

    // A second time there is less to ask.
    let terminal = start();
    terminal.wait_for("Ollama gives `qwen3:8b` 4096 tokens of context, and agents want more; make a variant with 32768? [Y/n]");
    terminal.key("C-c");
    assert_eq!(terminal.end(), 130);
    assert_eq!(models.lock().unwrap().len(), 2);
}

#[test]
fn another_address_may_be_typed_and_a_no_changes_nothing() {
    let (stub, llama) = (ollama(&[QWEN], 4096).0, llama_server());
    let mut home = Home::new();
    home.ollama_at(stub.port());
    let before = tree(home.home());
    let terminal = Terminal::of(home.cmd_at_terminal("llm-failover").args(&["setup", "--no-modify-path", "--no-statusline"]));
    terminal.wait_for("which one? [1]");
    terminal.type_text("3\r");
    terminal.wait_for("its address, such as http://desk.example:8000:");
    terminal.type_text(&format!("127.0.0.1:{}\r", llama.port()));
    terminal.wait_for("go on? [Y/n]");
    terminal.wait_for(&format!("of llama.cpp at 127.0.0.1:{}", llama.port()));
    terminal.type_text("n\r");
    terminal.wait_for("llm-failover: nothing was changed");
    assert_eq!(terminal.end(), 1);
    assert!(tree(home.home()) == before);
}
