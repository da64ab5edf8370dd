//! The real llama.cpp and the real mlx-lm behind `claude -p`.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::life::{Life, signal, stand_in};
use crate::support::{deps, until, wait};

/// Loading takes long on a busy machine.
pub const LIMIT: u64 = 240;

/// An engine, by what tells it from the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Engine {
    /// llama.cpp.
    Llama,
    /// mlx-lm.
    Mlx,
}

const BOTH: [Engine; 2] = [Engine::Llama, Engine::Mlx];

impl Engine {
    fn python(self) -> PathBuf {
        deps().join(if self == Engine::Llama { "llama/bin/python" } else { "mlx/bin/python" })
    }

    fn model(self) -> PathBuf {
        match self {
            Engine::Llama => "smollm2".into(),
            Engine::Mlx => tiny_mlx_model().into(),
        }
    }

    fn command(self, life: &Life, model: &Path) -> String {
        let (python, model, port) = (self.python(), model.display(), life.port);
        let python = python.display();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/llama_server.py");
        // The home on the command line is what the tests find their processes by.
        match self {
            // Its threads wait for each other at every step, and beside other tests one of them always comes last.
            Engine::Llama => {
                let (home, script) = (home(life), script.display());
                format!("exec env TEST_HOME={home} {python} {script} --model {model} --port {port} --threads 1")
            }
            Engine::Mlx => {
                format!("exec {python} -m mlx_lm server --model {model} --host 127.0.0.1 --port {port} --prefill-step-size 256")
            }
        }
    }

    /// A home whose server is this.
    pub fn life(self) -> Life {
        self.life_with("")
    }

    /// The same with more options of its server.
    pub fn life_with(self, options: &str) -> Life {
        let mut life = Life::bare();
        let command = self.command(&life, &self.model());
        life.set("LLM_SERVER_CMD", format!("{command} {options}"));
        life.set("LOCAL_LLM_MAX_TOKENS", "12");
        life
    }
}

fn home(life: &Life) -> String {
    life.home().display().to_string()
}

/// Made once, and anew when its script changes.
pub fn tiny_mlx_model() -> &'static Path {
    static MODEL: OnceLock<PathBuf> = OnceLock::new();
    MODEL.get_or_init(|| {
        let script = stand_in("make_tiny_mlx_model.py");
        let mut hasher = DefaultHasher::new();
        fs::read(&script).unwrap().hash(&mut hasher);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tiny-mlx-model-{:x}", hasher.finish()));
        if !folder.exists() {
            let fresh = folder.with_extension(std::process::id().to_string());
            let output = Command::new(Engine::Mlx.python()).arg(script).arg(&fresh).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            if fs::rename(&fresh, &folder).is_err() {
                fs::remove_dir_all(&fresh).unwrap();
            }
        }
        folder
    })
}

/// The server's processes: those of the group that the pid file names.
fn servers(life: &Life) -> Vec<i32> {
    let text = fs::read_to_string(life.path(".local/state/claude-failover/server.pid")).unwrap_or_default();
    let Some((group, _)) = text.split_once(' ') else { return vec![] };
    let output = Command::new("ps").args(["-A", "-o", "pid=", "-o", "pgid=", "-o", "stat="]).output().unwrap();
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words.len() == 3 && words[1] == group && !words[2].starts_with('Z')).then(|| words[0].parse().ok())?
    };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(row).collect()
}

fn is_alive(pid: i32) -> bool {
    let output = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    let state = String::from_utf8_lossy(&output.stdout).trim().to_string();
    !state.is_empty() && !state.starts_with('Z')
}

/// Ends what a failed test has left.
pub struct Guard<'a>(pub &'a Life);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        for pid in servers(self.0) {
            signal(pid, "KILL");
        }
    }
}

fn ask(life: &Life, prompt: &str) -> crate::support::Output {
    life.cmd("claude").args(&["-p", prompt]).limit(LIMIT).run()
}

#[test]
fn real_engines_start_lazily_answer_and_are_gone_after_the_flip_back() {
    for engine in BOTH {
        let life = engine.life();
        let _guard = Guard(&life);
        life.switch("local");
        assert!(servers(&life).is_empty());
        let first = ask(&life, "Say hello.");
        let limit = "claude: warning: the answer ends at its limit of 12 tokens; raise LOCAL_LLM_MAX_TOKENS for more\n";
        assert_eq!(first.code(), 0, "{first:?}");
        assert!(!first.out().trim().is_empty(), "{first:?}");
        // Whether twelve tokens are enough is the real model's affair; the made one never ends.
        let without_limit = life.waiting("claude");
        let with_limit = format!("{without_limit}{limit}");
        let known = if engine == Engine::Mlx { vec![with_limit] } else { vec![with_limit, without_limit] };
        assert!(known.contains(&first.err()), "{first:?}");
        let pids = servers(&life);
        assert!(!pids.is_empty());
        let second = life.cmd("claude").arg("-p").stdin("Say hello.").limit(LIMIT).run();
        assert!(second.code() == 0 && !second.out().trim().is_empty(), "{second:?}");
        assert_eq!(servers(&life), pids, "the same server");
        life.flip_to_claude();
        assert!(!pids.iter().any(|pid| is_alive(*pid)));
        life.cmd("llm-failover").arg("local").limit(LIMIT).run().expect(
            0,
            "agent backend now: local\n",
            &life.waiting("llm-failover"),
        );
        assert_eq!(life.switch_word(), "local\n");
        let pids = servers(&life);
        life.flip_to_claude();
        assert!(!pids.iter().any(|pid| is_alive(*pid)));
    }
}

#[test]
fn a_wrong_model_is_named_and_leaves_nothing() {
    for (engine, said, log) in [
        (
            Engine::Llama,
            "it ended while starting (exit status: 1)",
            "cannot read the model /no/such/model: No such file or directory",
        ),
        (Engine::Mlx, "it runs, but its model does not", "/no/such/model"),
    ] {
        let mut life = engine.life();
        let command = engine.command(&life, Path::new("/no/such/model"));
        life.set("LLM_SERVER_CMD", command);
        let _guard = Guard(&life);
        let output = life.cmd("llm-failover").arg("local").limit(LIMIT).run();
        assert_eq!((output.code(), output.out().as_str()), (3, ""), "{output:?}");
        let text = output.err();
        assert!(text.contains(said) && text.contains("\n  log: ") && text.contains(log), "{text}");
        assert_eq!(life.switch_word(), "");
        assert!(servers(&life).is_empty());
        life.assert_nothing_runs();
        life.switch("local");
        let output = ask(&life, "hi");
        assert!(output.code() == 1 && output.out().starts_with("API Error: "), "{output:?}");
        assert!(output.out().contains(said) && output.out().lines().count() == 1, "{output:?}");
    }
}

/// mlx-lm would load its model and live on beside a port that it did not get.
#[test]
fn a_taken_port_keeps_the_engine_from_being_started() {
    for engine in BOTH {
        let life = engine.life();
        let _guard = Guard(&life);
        let script = "import http.server as h, sys; h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind='127.0.0.1')";
        let mut command = Command::new(crate::support::life::python());
        command.args(["-c", script, &life.port.to_string()]).arg(life.home()).current_dir(life.home());
        let mut holder = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until(20, "it listens", || std::net::TcpStream::connect(("127.0.0.1", life.port)).is_ok());
        let output = life.failover(&["local"]);
        assert_eq!((output.code(), output.out().as_str()), (3, ""), "{output:?}");
        let taken = format!("port {} is taken by ", life.port);
        assert!(output.err().contains(&taken), "{output:?}");
        assert!(servers(&life).is_empty() && !life.path(".local/state/claude-failover/server.log").exists());
        holder.kill().unwrap();
        holder.wait().unwrap();
    }
}

/// A call whose answer is long, once the model is loaded and the answer has begun.
fn long_answer(life: &mut Life) -> (Child, i32) {
    life.set("LOCAL_LLM_MAX_TOKENS", "100000");
    life.set("LOCAL_LLM_EXTRA_BODY", r#"{"logit_bias":{"2":-100},"ignore_eos":true}"#);
    life.cmd("llm-failover").args(&["-q", "local"]).limit(LIMIT).run().expect(0, "", "");
    let server = *servers(life).last().expect("a server");
    settle(server);
    life.answers_plainly(&format!("http://127.0.0.1:{}/v1/chat/completions", life.port), "");
    let script = "exec claude -p 'Tell a very long story.' --output-format stream-json --verbose --include-partial-messages >out";
    let call = life.begin("/bin/sh", &["-c", script]);
    until(LIMIT, "the answer begins", || {
        let is_visible = |message: &Value| message["event"]["delta"]["text"].as_str().is_some_and(|text| !text.trim().is_empty());
        messages(life).iter().any(is_visible)
    });
    (call, server)
}

/// What that call has printed so far.
fn messages(life: &Life) -> Vec<Value> {
    let text = fs::read(life.path("out")).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The processor time that a process has used. Linux's `ps` tells whole seconds.
fn cpu_seconds(pid: i32) -> f64 {
    if let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) {
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        return fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0;
    }
    let output = Command::new("ps").args(["-o", "time=", "-p", &pid.to_string()]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).trim().replace('-', ":");
    text.split(':').fold(0.0, |total, part| total * 60.0 + part.parse::<f64>().unwrap_or(0.0))
}

/// Waits until a process computes no more. An answer of the length that is asked for here would take it much longer.
fn settle(pid: i32) {
    let mut last = -1.0;
    until(60, "it rests", || {
        std::thread::sleep(Duration::from_secs(1));
        let now = cpu_seconds(pid);
        now - std::mem::replace(&mut last, now) < 0.03
    });
}

#[test]
fn ctrl_c_in_the_middle_of_an_answer_stops_the_generation() {
    for engine in BOTH {
        let mut life = engine.life();
        let (mut call, server) = long_answer(&mut life);
        let _guard = Guard(&life);
        assert!(call.try_wait().unwrap().is_none(), "it is still being answered");
        signal(-call.id().cast_signed(), "INT");
        wait(&mut call, Duration::from_secs(20)).expect("it ends at once");
        settle(server);
        assert!(is_alive(server), "{engine:?}");
        life.flip_to_claude();
    }
}

#[test]
fn an_engine_that_is_killed_in_the_middle_of_an_answer_is_a_failure_with_what_had_come() {
    for engine in BOTH {
        let mut life = engine.life();
        let (mut call, server) = long_answer(&mut life);
        let _guard = Guard(&life);
        signal(server, "KILL");
        let status = wait(&mut call, Duration::from_secs(60)).expect("an end");
        let output = call.wait_with_output().unwrap();
        let (result, partial) = (messages(&life).pop().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned());
        assert_eq!((status.code(), &result["is_error"]), (Some(1), &json!(true)), "{result}");
        let said = result["result"].as_str().unwrap();
        assert!(said.starts_with("API Error: the local answer was cut short: "), "{said}");
        let partial = partial.strip_prefix("claude: this much of the answer had come:\n").map(|partial| partial.trim().len());
        assert!(partial.is_some_and(|length| length > 0), "{output:?}");
        life.failover(&["claude"]).expect(0, "agent backend now: claude\n", "");
        assert!(servers(&life).is_empty());
    }
}

fn ask_for_json(life: &Life, args: &[&str], tokens: &str) -> (i32, Value) {
    let cmd = life.cmd("claude").args(&["-p", "--output-format", "json"]).args(args).limit(LIMIT);
    let output = cmd.env("LOCAL_LLM_MAX_TOKENS", tokens).env("MAX_STRUCTURED_OUTPUT_RETRIES", "2").run();
    let result = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.code(), result)
}

#[test]
fn real_engines_count_their_tokens_and_hold_to_a_schema_where_they_can() {
    for engine in BOTH {
        let mut life = engine.life();
        life.set("LOCAL_LLM_TEMPERATURE", "0");
        if engine == Engine::Mlx {
            // It lists no model that is not in the hub's cache.
            life.set("LOCAL_LLM_MODEL", tiny_mlx_model());
        }
        let _guard = Guard(&life);
        life.switch("local");
        let (code, result) = ask_for_json(&life, &["Say hello."], "12");
        assert_eq!((code, &result["is_error"]), (0, &json!(false)), "{result}");
        let count = |name: &str| result["usage"][name].as_u64().unwrap();
        assert!(count("input_tokens") + count("cache_read_input_tokens") > 0, "{result}");
        assert!((1..=12).contains(&count("output_tokens")), "{result}");
        let models = result["modelUsage"].as_object().unwrap();
        let (model, usage) = models.iter().next().unwrap();
        let known = if engine == Engine::Mlx { tiny_mlx_model().file_name().unwrap().to_str().unwrap() } else { "SmolLM2" };
        assert!(models.len() == 1 && model.starts_with(known), "{result}");
        assert!(usage["contextWindow"].as_u64().unwrap() > 0, "{result}");

        let schema = r#"{"type":"object","properties":{"capital":{"enum":["Paris","Rome"]}},"required":["capital"]}"#;
        let (code, result) = ask_for_json(&life, &["The capital of Italy?", "--json-schema", schema], "60");
        match engine {
            Engine::Llama => {
                assert_eq!(code, 0, "{result}");
                let capital = result["structured_output"]["capital"].as_str().unwrap();
                assert!(["Paris", "Rome"].contains(&capital), "{result}");
            }
            // It passes over the schema, and a model that was never trained cannot keep to it by itself.
            Engine::Mlx => {
                assert_eq!((code, &result["subtype"]), (1, &json!("error_max_structured_output_retries")), "{result}");
            }
        }
        life.flip_to_claude();
    }
}
