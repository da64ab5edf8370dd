//! `auto` and `status` promise only what holds: a look at the local models, and whose server it is.

use std::io::Write;
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};

use crate::support::real::{ECHO, sandbox_with_path};
use crate::support::stub::{self, Request, Stub};
use crate::support::{Output, Sandbox, free_port};

const FLIPPED: &str = "agent backend now: auto\n";

/// A server of others that says these things at these paths, and 404 elsewhere.
fn server(says: &[(&str, Value)]) -> Stub {
    let says: Vec<(String, String)> = says.iter().map(|(path, body)| ((*path).to_string(), body.to_string())).collect();
    Stub::new(move |request: &Request, stream: &mut TcpStream| {
        let path = request.line.split(' ').nth(1).unwrap_or_default();
        let body = says.iter().find(|(known, _)| known == path).map(|(_, body)| stub::json(200, body));
        let _ = stream.write_all(body.unwrap_or_else(|| stub::json(404, "{}")).as_bytes());
    })
}

fn models(list: Value) -> (&'static str, Value) {
    ("/v1/models", json!({"object": "list", "data": list}))
}

fn ollama(name: &str) -> (&'static str, Value) {
    models(json!([{"id": name, "object": "model", "owned_by": "library"}]))
}

fn loaded(name: &str, context: u32) -> (&'static str, Value) {
    ("/api/ps", json!({"models": [{"name": name, "model": name, "context_length": context}]}))
}

fn sandbox(server: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.set("LOCAL_LLM_URL", server);
    sandbox.set("LLM_SUPERVISOR", "none");
    sandbox
}

fn auto(sandbox: &Sandbox, args: &[&str]) -> Output {
    sandbox.cmd("llm-failover").arg("auto").args(args).run()
}

/// What is wrong, and what becomes of calls by that: a warning at the flip, and the error of `--check`, after which the switch is as it was.
#[track_caller]
fn is_told(sandbox: &Sandbox, wrong: &str, so: &str, mend: &str, code: i32) {
    let head = if code == 3 { "the local server did not come up: " } else { "" };
    let error = format!("llm-failover: {head}{wrong}\nhint: {mend}\n");
    auto(sandbox, &["--check"]).expect(code, "", &error);
    assert_eq!(sandbox.switch_word(), "");
    auto(sandbox, &[]).expect(0, FLIPPED, &format!("llm-failover: warning: {wrong}: {so}; {mend}\n"));
    assert_eq!(sandbox.switch_word(), "auto\n");
}

#[track_caller]
fn is_fine(sandbox: &Sandbox) {
    auto(sandbox, &["--check"]).expect(0, FLIPPED, "");
    assert_eq!(sandbox.switch_word(), "auto\n");
}

/// An address as it is shown.
fn place(url: &str) -> &str {
    url.trim_end_matches("/v1/chat/completions")
}

const FAIL: &str = "calls that Claude refuses will fail";

#[test]
fn a_server_of_others_that_is_not_there_or_is_something_else() {
    let nobody = format!("http://127.0.0.1:{}/v1/chat/completions", free_port());
    let not_there = format!("nothing answers at {}, and that server is not ours to start", place(&nobody));
    is_told(&sandbox(&nobody), &not_there, FAIL, "start it yourself, or check LOCAL_LLM_URL and LLM_SUPERVISOR", 3);
    // An answer without a model server behind it.
    let web = server(&[]);
    let wrong = format!("no usable answer from {}: it is no model server (HTTP 404 for its list of models)", place(&web.url()));
    is_told(&sandbox(&web.url()), &wrong, FAIL, "check LOCAL_LLM_URL", 3);
    // It wants a key, or another one.
    let guarded = Stub::new(|_: &Request, stream: &mut TcpStream| {
        let _ = stream.write_all(stub::json(401, r#"{"error":{"message":"Unauthorized"}}"#).as_bytes());
    });
    let wrong = |why: &str| format!("no usable answer from {}: {why}", place(&guarded.url()));
    is_told(&sandbox(&guarded.url()), &wrong("it wants a key: set LOCAL_LLM_API_KEY"), FAIL, "check LOCAL_LLM_URL", 3);
    let mut refused = sandbox(&guarded.url());
    refused.set("LOCAL_LLM_API_KEY", "secret");
    is_told(&refused, &wrong("it refuses the key in LOCAL_LLM_API_KEY"), FAIL, "check LOCAL_LLM_URL", 3);
    // It takes connections and says nothing: the look has an end.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/chat/completions", silent.local_addr().unwrap());
    let wrong = format!("no usable answer from {}: it listens, but does not answer", place(&url));
    auto(&sandbox(&url), &["--check"]).expect(
        3,
        "",
        &format!("llm-failover: the local server did not come up: {wrong}\nhint: check LOCAL_LLM_URL\n"),
    );
}

#[test]
fn nothing_is_installed() {
    let sandbox = Sandbox::new();
    let mend = "run `llm-failover setup`, or set LLM_SERVER_CMD to the command that starts your server";
    auto(&sandbox, &["--check"]).expect(2, "", &format!("llm-failover: no local server is installed\nhint: {mend}\n"));
    assert_eq!(sandbox.switch_word(), "");
    let warning = format!("llm-failover: warning: no local server is installed: {FAIL}; {mend}\n");
    auto(&sandbox, &[]).expect(0, FLIPPED, &warning);
    // Settings that cannot be used.
    let mut sandbox = Sandbox::new();
    sandbox.set("LLM_PORT", "many");
    auto(&sandbox, &["--check"]).expect(1, "", "llm-failover: LLM_PORT is `many`: expected a port number\n");
    let warning = format!("llm-failover: warning: LLM_PORT is `many`: expected a port number: {FAIL}\n");
    auto(&sandbox, &[]).expect(0, FLIPPED, &warning);
}

#[test]
fn no_usable_model() {
    let wrong = |stub: &Stub, what: &str| format!("the server at {} has no model{what}", place(&stub.url()));
    let by_health = server(&[("/health", json!({})), models(json!([]))]);
    is_told(&sandbox(&by_health.url()), &wrong(&by_health, ""), FAIL, "load one there, and set LOCAL_LLM_MODEL to it", 1);
    // Ollama lists nothing in this way.
    let null = server(&[("/health", json!({})), models(Value::Null)]);
    is_told(&sandbox(&null.url()), &wrong(&null, ""), FAIL, "load one there, and set LOCAL_LLM_MODEL to it", 1);

    let other = server(&[ollama("qwen3:8b"), loaded("qwen3:8b", 32_768)]);
    let mut home = sandbox(&other.url());
    home.set("LOCAL_LLM_MODEL", "qwen9:8b");
    let mend = "set LOCAL_LLM_MODEL to one of these, or run `ollama pull qwen9:8b`";
    is_told(&home, &wrong(&other, " `qwen9:8b`, but `qwen3:8b`"), FAIL, mend, 1);
    home.set("LOCAL_LLM_MODEL", "qwen3:8b");
    is_fine(&home);
    // What does the small work may be missing.
    home.set("LOCAL_LLM_SMALL_MODEL", "tiny");
    let mend = "set LOCAL_LLM_MODEL to one of these, or run `ollama pull tiny`";
    let warning = format!(
        "llm-failover: warning: {}: the main model does its work, too; {mend}\n",
        wrong(&other, " `tiny`, but `qwen3:8b`")
    );
    auto(&home, &["--check"]).expect(0, FLIPPED, &warning);

    let several = server(&[models(json!([{"id": "a", "owned_by": "vllm"}, {"id": "b", "owned_by": "vllm"}]))]);
    let said = "the local server has several models, and none is chosen: set LOCAL_LLM_MODEL to one of `a`, `b`";
    auto(&sandbox(&several.url()), &["--check"]).expect(1, "", &format!("llm-failover: {said}\n"));
    let warning = format!("llm-failover: warning: {said}: {FAIL}\n");
    auto(&sandbox(&several.url()), &[]).expect(0, FLIPPED, &warning);
}

#[test]
fn a_context_that_is_too_small_for_agents() {
    let small = |name: &str, tokens: u32, more: &str| {
        format!("the context of `{name}` has {tokens} tokens{more}, and an agent needs 8192")
    };
    let of_ollama = "set OLLAMA_CONTEXT_LENGTH=32768 where `ollama serve` runs, or num_ctx 32768 in the model";
    let of_llama = "start llama-server with -c 32768";
    let table = [
        (server(&[ollama("q:8b"), loaded("q:8b", 4096)]), small("q:8b", 4096, ""), of_ollama),
        (
            server(&[ollama("q:8b"), ("/api/ps", json!({"models": []}))]),
            small("q:8b", 4096, ", unless Ollama is told otherwise"),
            of_ollama,
        ),
        (
            server(&[models(json!([{"id": "m.gguf", "owned_by": "llamacpp", "meta": {"n_ctx": 2048}}]))]),
            small("m.gguf", 2048, ""),
            of_llama,
        ),
        (
            server(&[models(json!([{"id": "m", "owned_by": "vllm", "max_model_len": 8191}]))]),
            small("m", 8191, ""),
            "start vLLM with --max-model-len 32768",
        ),
    ];
    for (stub, wrong, mend) in &table {
        let mut home = sandbox(&stub.url());
        is_told(&home, wrong, "agents will fail", mend, 1);
        // There are none.
        home.set("LOCAL_LLM_AGENT", "never");
        is_fine(&home);
    }
    // What the user says counts where the server says nothing, or something that is not certain.
    let mut home = sandbox(&table[1].0.url());
    home.set("LOCAL_LLM_CONTEXT", "16384");
    is_fine(&home);
    home.set("LOCAL_LLM_CONTEXT", "4000");
    is_told(&renewed(home), &small("q:8b", 4000, ""), "agents will fail", of_ollama, 1);
    // Calls use no more than the user says.
    let large = server(&[ollama("q:8b"), loaded("q:8b", 32_768)]);
    let mut home = sandbox(&large.url());
    home.set("LOCAL_LLM_CONTEXT", "4000");
    is_told(&home, &small("q:8b", 4000, ""), "agents will fail", "raise LOCAL_LLM_CONTEXT", 1);
}

/// With the switch as it was in the beginning.
fn renewed(sandbox: Sandbox) -> Sandbox {
    std::fs::remove_file(sandbox.path(".local/state/llm-backend")).unwrap();
    sandbox
}

#[test]
fn the_next_local_model_stands_in() {
    let nobody = format!("http://127.0.0.1:{}/v1/chat/completions", free_port());
    let second = server(&[models(json!([{"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx": 32768}}]))]);
    let mut home = sandbox(&nobody);
    home.set("LOCAL_LLM_URL_2", second.url());
    let warning = format!(
        "llm-failover: warning: nothing answers at {}, and that server is not ours to start: the next local model is asked; start it \
         yourself, or check LOCAL_LLM_URL and LLM_SUPERVISOR\n",
        place(&nobody)
    );
    auto(&home, &["--check"]).expect(0, FLIPPED, &warning);
    // Agents go where there is room for them.
    let first = server(&[ollama("q:8b"), loaded("q:8b", 4096)]);
    home.set("LOCAL_LLM_URL", first.url());
    is_fine(&home);
}

/// The lines of the status up to that of the real Claude.
fn status(sandbox: &Sandbox) -> String {
    let output = sandbox.cmd("llm-failover").run();
    assert_eq!((output.code(), output.err().as_str()), (0, ""));
    let out = output.out();
    out.split("real claude: ").next().unwrap().to_string()
}

#[test]
fn the_status_says_whose_server_it_is_and_what_agents_get() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/v1/chat/completions");
    let mut home = sandbox_with_path(&["real"]);
    home.script("real/claude", ECHO);
    home.set("LLM_SUPERVISOR", "none");
    home.set("LOCAL_LLM_URL", &url);
    let all = |context: &str| format!("agents: all instructions and tools of Claude Code, {context}\n");
    let down = format!(
        "current backend: claude\nlocal server: not running (not ours to start)\naddress: http://127.0.0.1:{port}\nsupervisor: none\n"
    );
    assert_eq!(status(&home), format!("{down}model: as served\n{}", all("context not known yet")));

    let core = "agents: lean instructions, Bash Read Edit Write Grep Glob";
    let table = [
        (65_536, all("context of 65536 tokens")),
        (32_768, format!("{core} and more of Claude Code's tools, context of 32768 tokens\n")),
        (8192, format!("{core}, context of 8192 tokens\n")),
        (4096, "agents: will fail, context of 4096 tokens: they need 8192\n".into()),
    ];
    for (context, agents) in table {
        let stub = server(&[models(json!([{"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx": context}}]))]);
        home.set("LOCAL_LLM_URL", stub.url());
        let head = format!(
            "current backend: claude\nlocal server: UP (127.0.0.1:{})\naddress: {}\nsupervisor: none\nmodel: as served\n",
            stub.port(),
            place(&stub.url())
        );
        assert_eq!(status(&home), head + &agents);
    }
    home.set("LOCAL_LLM_AGENT", "never");
    assert!(!status(&home).contains("agents: "));
    home.unset("LOCAL_LLM_AGENT");

    // The chain, with who is asked when, and for what.
    let stub = server(&[ollama("q:8b"), loaded("q:8b", 16_384)]);
    home.set("LOCAL_LLM_URL", &url);
    home.set("LOCAL_LLM_MODEL", "big");
    home.set("LOCAL_LLM_SMALL_MODEL", "tiny");
    home.set("LOCAL_LLM_URL_2", stub.url());
    let roles = format!(
        "model: big\nsmall model: tiny\nlocal model 1: big at {url}: down\nlocal model 2: q:8b at {}: answers, context of 16384 \
         tokens\nroles: 1 is asked first, then 2, each if none before it answers; tiny does the small work of Claude Code\n{core} and more of \
         Claude Code's tools, context of 16384 tokens\n",
        stub.url()
    );
    assert_eq!(status(&home), down + &roles);
    let json: Value = serde_json::from_str(&home.cmd("llm-failover").arg("--json").run().out()).unwrap();
    assert_eq!(json["local_server"]["host"], "127.0.0.1");
    assert_eq!(json["local_server"]["is_ours"], false);
    let tools = ["Bash", "Read", "Edit", "Write", "Grep", "Glob"];
    assert_eq!(json["agents"], json!({"context": 16_384, "is_enough": true, "prompt": "lean", "tools": tools}));
}

#[test]
fn words_that_are_almost_right() {
    let sandbox = Sandbox::new();
    let hint = "hint: run `llm-failover --help`\n";
    let table = [
        (&["statsu"][..], "unrecognized argument: statsu; did you mean `status`?"),
        (&["-q", "staus"], "unrecognized argument: staus; did you mean `status`?"),
        (&["auto", "--chekc"], "unrecognized argument: --chekc; did you mean `--check`?"),
        (&["config", "gte"], "unrecognized argument: gte; did you mean `get`?"),
        (&["frobnicate"], "unrecognized argument: frobnicate"),
        (
            &["drill", "lmit"],
            "error parsing positional argument 'trouble' with value 'lmit': `lmit` is none of limit, weekly, overload, down, hang, throttle, \
             signin; did you mean `limit`?",
        ),
    ];
    for (args, said) in table {
        sandbox.cmd("llm-failover").args(args).run().expect(1, "", &format!("llm-failover: {said}\n{hint}"));
    }
    let drills = "llm-failover drill limit     the plan's 5-hour limit is used up\n\
                  llm-failover drill weekly    the plan's weekly limit is used up\n\
                  llm-failover drill overload  Anthropic has too many requests (529)\n\
                  llm-failover drill down      Anthropic cannot be reached: each connection is cut\n\
                  llm-failover drill hang      Anthropic takes the request and says nothing\n\
                  llm-failover drill throttle  too many requests in a short time (429), three times\n\
                  llm-failover drill signin    the sign-in has expired: no local model may stand in\n";
    sandbox.cmd("llm-failover").arg("drill").run().expect(1, drills, "");
}
