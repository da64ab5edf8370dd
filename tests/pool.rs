//! Many calls on a pool of real llama.cpp servers behind the real LiteLLM proxy, with the files of `scripts/pool`: a server is killed, one
//! hangs, one joins, and each call has its one answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::Value;

use crate::auto::{TODAY, claude};
use crate::support::life::{signal, stand_in};
use crate::support::{Output, Sandbox, deps, free_port, node, until};

/// How long anything may take on a busy machine, in seconds.
const LIMIT: u64 = 150;

const KEY: &str = "sk-pool-of-the-test";

/// What is said of a certificate that nobody vouches for.
const UNKNOWN: &str = "invalid peer certificate: UnknownIssuer (SSL_CERT_FILE names the certificate of an authority of your own)";

/// Machines, and the calls of each at once: the last one of each is an agent.
const MACHINES: usize = 4;
const CALLS: usize = 10;

/// Sessions at once, and the turns of each.
const SESSIONS: usize = 6;
const TURNS: usize = 3;

/// A process that ends with the test.
struct Program(Child);

impl Program {
    fn start(command: &mut Command) -> Program {
        Program(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("a program"))
    }

    fn signal(&self, name: &str) {
        signal(i32::try_from(self.0.id()).unwrap(), name);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A real llama.cpp server on this port.
fn llama(port: u16) -> Program {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/llama_server.py");
    let mut command = Command::new(deps().join("llama/bin/python"));
    command.arg(script).args(["--model", "smollm2", "--threads", "1", "--port", &port.to_string()]);
    Program::start(command.env_clear().stderr(Stdio::null()))
}

fn answers(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// What LiteLLM has passed on whole: whose it was, the server, and the text.
type Passed = Vec<(String, String, String)>;

/// The servers, and LiteLLM before them.
struct Pool {
    home: Sandbox,
    ports: [u16; 4],
    servers: BTreeMap<usize, Program>,
    port: u16,
    _proxy: Program,
}

impl Pool {
    /// Three of four servers run. `tls`: the files of LiteLLM's key and certificate.
    fn new(tls: Option<(&Path, &Path)>) -> Pool {
        let (home, ports, port) = (Sandbox::new(), [free_port(), free_port(), free_port(), free_port()], free_port());
        let servers: BTreeMap<usize, Program> = (0..3).map(|number| (number, llama(ports[number]))).collect();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/pool");
        let mut config = fs::read_to_string(folder.join("litellm.yaml")).unwrap();
        for (number, port) in ports.iter().enumerate() {
            config = replaced(&config, &format!("10.0.0.1{}:8080", number + 1), &format!("127.0.0.1:{port}"));
        }
        config = replaced(&config, "[session_affinity.hook]", "[session_affinity.hook, pool_log.hook]");
        config = replaced(&config, "stream_timeout: 120", "stream_timeout: 20");
        let config = home.write("litellm.yaml", config);
        home.write("session_affinity.py", fs::read(folder.join("session_affinity.py")).unwrap());
        home.write("pool_log.py", fs::read(stand_in("pool_log.py")).unwrap());
        let log = fs::File::create(home.path("litellm.log")).unwrap();
        let mut command = Command::new(deps().join("litellm/bin/litellm"));
        command.arg("--config").arg(config).args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        if let Some((key, certificate)) = tls {
            command.arg("--ssl_keyfile_path").arg(key).arg("--ssl_certfile_path").arg(certificate);
        }
        command.env_clear().env("HOME", home.home()).env("PATH", "/usr/bin:/bin").env("POOL_LOG", home.path("passed"));
        command.env("LITELLM_MASTER_KEY", KEY).env("POOL_SERVER_KEY", "none").env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
        let proxy = Program::start(command.stderr(log));
        until(LIMIT, "the pool runs", || answers(port) && ports[..3].iter().all(|port| answers(*port)));
        Pool { home, ports, servers, port, _proxy: proxy }
    }

    fn passed(&self) -> Passed {
        let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_string();
        let read = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            Some((text(&line, "user"), text(&line, "server"), text(&line, "text")))
        };
        fs::read_to_string(self.home.path("passed")).unwrap_or_default().lines().filter_map(read).collect()
    }

    /// It writes a line a moment after the answer.
    fn wait_until_passed(&self, answers: usize) {
        until(LIMIT, "all is written down", || self.passed().len() >= answers);
    }

    /// How many answers the server with this number has given.
    fn given_by(&self, number: usize) -> usize {
        let port = format!(":{}/", self.ports[number]);
        self.passed().iter().filter(|(_, server, _)| server.contains(&port)).count()
    }

    /// A machine whose calls are answered by it.
    fn machine(&self, scheme: &str) -> Sandbox {
        let mut machine = Sandbox::new();
        let folder = claude(TODAY).parent().unwrap().to_path_buf();
        machine.set_path(&[machine.path("bin"), folder, node(), "/usr/bin".into(), "/bin".into()]);
        for (key, value) in [
            ("LOCAL_LLM_URL", format!("{scheme}://localhost:{}", self.port).as_str()),
            ("LOCAL_LLM_API_KEY", KEY),
            ("LOCAL_LLM_MODEL", "local"),
            ("LOCAL_LLM_MAX_TOKENS", "24"),
            ("LOCAL_LLM_CONTEXT", "16384"),
            ("LOCAL_LLM_AGENT_PROMPT", "lean"),
            ("LOCAL_LLM_RETRIES", "8"),
            ("LLM_SUPERVISOR", "none"),
            ("IS_SANDBOX", "1"),
            ("DISABLE_AUTOUPDATER", "1"),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ] {
            machine.set(key, value);
        }
        machine.switch("local");
        fs::create_dir(machine.path("work")).unwrap();
        machine
    }
}

fn replaced(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "`{old}` is not in {text}");
    text.replace(old, new)
}

/// The session of a call, which stands in its answer and nowhere else.
fn session(machine: usize, call: usize) -> String {
    format!("11111111-2222-4333-8444-55555555{machine:02}{call:02}")
}

fn ask(machine: &Sandbox, session: &str, is_agent: bool) -> Output {
    let cmd = machine.cmd("claude").args(&["-p", "Say hello.", "--output-format", "json", "--session-id", session]);
    let cmd = cmd.dir(machine.path("work")).limit(LIMIT);
    match is_agent {
        // A word is enough of an agent: the model is too small to work.
        true => cmd.args(&["--allowedTools", "Bash"]).env("LOCAL_LLM_EXTRA_BODY", r#"{"stop":[" "]}"#).run(),
        false => cmd.env("LOCAL_LLM_AGENT", "never").run(),
    }
}

/// All calls of all machines at once, while `mishaps` happen.
fn play(machines: &[Sandbox], mishaps: impl FnOnce()) -> Vec<Vec<Output>> {
    thread::scope(|scope| {
        let calls = |(number, machine)| {
            (0..CALLS).map(move |call| scope.spawn(move || ask(machine, &session(number, call), call + 1 == CALLS))).collect()
        };
        let running: Vec<Vec<_>> = machines.iter().enumerate().map(calls).collect();
        mishaps();
        running.into_iter().map(|calls| calls.into_iter().map(|call| call.join().unwrap()).collect()).collect()
    })
}

/// Each call has one answer, which is that of its own session, and the ledger has one line for it.
fn check(pool: &Pool, machines: &[Sandbox], outputs: &[Vec<Output>]) {
    let log = || fs::read_to_string(pool.home.path("litellm.log")).unwrap_or_default();
    for (number, (machine, outputs)) in machines.iter().zip(outputs).enumerate() {
        for (call, output) in outputs.iter().enumerate() {
            let lines: Vec<Value> = output.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert!(output.code() == 0 && lines.len() == 1, "{number}.{call}: {} {}\n{}", output.out(), output.err(), log());
            assert_eq!(lines[0]["session_id"], session(number, call));
            assert_eq!((&lines[0]["is_error"], &lines[0]["num_turns"]), (&false.into(), &1.into()), "{output:?}");
            let text = lines[0]["result"].as_str().unwrap_or_default().trim().to_string();
            assert!(!text.is_empty(), "{output:?}");
        }
        let ledger = fs::read_to_string(machine.path(".local/state/claude-failover/ledger.jsonl")).unwrap();
        let ledger: Vec<Value> = ledger.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(ledger.len(), CALLS, "{ledger:?}");
        assert!(ledger.iter().all(|line| line["backend"] == "local" && line["exit"] == 0), "{ledger:?}");
    }
}

/// LiteLLM has passed on as many whole answers as there were calls, each to a session of its own, and the words are those of the call.
fn check_passed(passed: &Passed, outputs: &[Vec<Output>]) {
    let mut by_session: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (user, _, text) in passed {
        by_session.entry(user).or_default().push(text.trim());
    }
    let said: Vec<String> = outputs
        .iter()
        .flat_map(|outputs| &outputs[..CALLS - 1])
        .map(|output| serde_json::from_str::<Value>(&output.out()).unwrap()["result"].as_str().unwrap().trim().to_string())
        .collect();
    assert_eq!(by_session.len(), MACHINES * CALLS, "a session a call: {by_session:?}");
    assert!(by_session.values().all(|texts| texts.len() == 1), "none is answered twice: {by_session:?}");
    let mut texts: Vec<&str> = by_session.values().map(|texts| texts[0]).collect();
    for text in said {
        let at = texts.iter().position(|known| *known == text).unwrap_or_else(|| panic!("`{text}` is of no server: {texts:?}"));
        texts.remove(at);
    }
}

/// What is played on a pool, over HTTP or TLS.
fn play_with_mishaps(pool: &mut Pool, machines: &[Sandbox]) -> Vec<Vec<Output>> {
    let (mut killed, hung) = (pool.servers.remove(&0), pool.servers.remove(&1).unwrap());
    let mut joined = None;
    let outputs = play(machines, || {
        until(LIMIT, "the load is on", || pool.passed().len() >= 4);
        drop(killed.take());
        until(LIMIT, "it goes on", || pool.passed().len() >= 8);
        hung.signal("STOP");
        joined = Some(llama(pool.ports[3]));
        assert!(pool.passed().len() < MACHINES * CALLS, "it was over before");
    });
    check(pool, machines, &outputs);
    pool.wait_until_passed(MACHINES * CALLS);
    check_passed(&pool.passed(), &outputs);
    pool.servers.extend(joined.map(|server| (3, server)));
    outputs
}

#[test]
fn a_session_stays_where_its_beginning_was_read_however_busy_the_others_are() {
    let pool = Pool::new(None);
    let machine = pool.machine("http");
    thread::scope(|scope| {
        for number in 0..SESSIONS {
            let (machine, asked) = (&machine, session(0, number));
            scope.spawn(move || {
                assert_eq!(ask(machine, &asked, false).code(), 0);
                for _ in 1..TURNS {
                    let cmd = machine.cmd("claude").args(&["-p", "Go on.", "--resume", &asked]).env("LOCAL_LLM_AGENT", "never");
                    assert_eq!(cmd.dir(machine.path("work")).limit(LIMIT).run().code(), 0);
                }
            });
        }
    });
    pool.wait_until_passed(SESSIONS * TURNS);
    let mut servers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (user, server, _) in pool.passed() {
        servers.entry(user).or_default().push(server);
    }
    assert_eq!(servers.len(), SESSIONS, "{servers:?}");
    assert!(
        servers.values().all(|servers| servers.len() == TURNS && servers.iter().all(|one| *one == servers[0])),
        "{servers:?}"
    );
}

/// A private authority, and what it has signed: the files of both.
fn authority(home: &Sandbox, name: &str) -> (PathBuf, PathBuf, PathBuf) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new([]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let ca = params.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let server_key = rcgen::KeyPair::generate().unwrap();
    let mut server = rcgen::CertificateParams::new(["localhost".to_string()]).unwrap();
    server.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = server.signed_by(&server_key, &issuer).unwrap();
    let file = |kind: &str, text: String| home.write(&format!("{name}-{kind}.pem"), text);
    (file("ca", ca.pem()), file("key", server_key.serialize_pem()), file("certificate", certificate.pem()))
}

#[test]
fn no_call_is_lost_or_answered_twice_while_servers_die_hang_and_join_over_tls() {
    let files = Sandbox::new();
    let (ca, key, certificate) = authority(&files, "own");
    let (other_ca, ..) = authority(&files, "other");
    let mut pool = Pool::new(Some((&key, &certificate)));
    let mut machines: Vec<Sandbox> = (0..MACHINES).map(|_| pool.machine("https")).collect();
    for machine in &mut machines {
        machine.set("SSL_CERT_FILE", &ca);
    }
    // Nobody vouches for it, or somebody else does.
    let mut stranger = pool.machine("https");
    for (number, vouching) in [None, Some(&other_ca)].into_iter().enumerate() {
        if let Some(file) = vouching {
            stranger.set("SSL_CERT_FILE", file);
        }
        for (kind, is_agent) in [false, true].into_iter().enumerate() {
            let output = ask(&stranger, &session(MACHINES + number, kind), is_agent);
            let result: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
            let (said, url) = (result["result"].as_str().unwrap_or_default(), format!("https://localhost:{}", pool.port));
            let line = format!("no answer from the local server at {url}/v1/chat/completions: {UNKNOWN}");
            assert!(output.code() == 1 && said.contains(&line) && !said.contains('\n'), "{said}");
        }
    }
    assert_eq!(pool.passed(), []);
    play_with_mishaps(&mut pool, &machines);
    // One that was away at first is asked once it is there.
    let mut call = CALLS;
    until(LIMIT, "the new server answers", || {
        call += 1;
        assert_eq!(ask(&machines[0], &session(MACHINES, call), false).code(), 0);
        pool.given_by(3) > 0
    });
}
