//! What a user has for Claude, wherever it is kept, stays where it is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{DONE, Home, SAID, VERSIONS, done, stderr};
use crate::auto::{TODAY, each_of_a_share, same};
use crate::support::life::processes_naming;
use crate::support::script::{Manner, calls, computed, results};
use crate::support::stub::Stub;

/// It stands in each secret, and nowhere else.
const MARK: &str = "SECRET-OF-CLAUDE";

/// What selects another server or holds a credential.
const VARIABLES: [&str; 20] = [
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_AWS_API_KEY",
    "ANTHROPIC_FOUNDRY_API_KEY",
    "ANTHROPIC_FOUNDRY_AUTH_TOKEN",
    "ANTHROPIC_IDENTITY_TOKEN",
    "ANTHROPIC_MODEL",
    "ANTHROPIC_SMALL_FAST_MODEL",
    "AWS_BEARER_TOKEN_BEDROCK",
    "CLAUDE_API_KEY",
    "CLAUDE_BRIDGE_OAUTH_TOKEN",
    "CLAUDE_CODE_ARTIFACTS_API_TOKEN",
    "CLAUDE_CODE_HOST_CREDS_FILE",
    "CLAUDE_CODE_OAUTH_REFRESH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_SESSION_ACCESS_TOKEN",
    "CLAUDE_CODE_SESSIONS_OAUTH_TOKEN",
    "CLAUDE_CODE_SUBAGENT_MODEL",
    "CLAUDE_TRUSTED_DEVICE_TOKEN",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
];

const SWITCHES: [&str; 3] = ["CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY"];

/// How the user gives settings on the command line.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Given {
    Nothing,
    File,
    Inline,
}

#[test]
fn nothing_of_claudes_reaches_the_model() {
    let mut items = vec![(TODAY, Given::Nothing), (TODAY, Given::Inline)];
    items.extend(VERSIONS.map(|version| (version, Given::File)));
    each_of_a_share(&items, 3, |&(version, given)| {
        let elsewhere = Stub::answering("from elsewhere");
        let mut home = Home::new(version);
        let settings = |place: &str| settings(&home, &elsewhere, place);
        home.sandbox.script("work/mark", "#!/bin/sh\ntouch \"$1\"\n");
        for place in [".claude/settings.json", "work/.claude/settings.json", "work/.claude/settings.local.json"] {
            home.sandbox.write(place, settings(place).to_string());
        }
        let own = settings("own");
        keep_credentials(&home);
        let variables = variables(&elsewhere, "environment");
        for (key, value) in &variables {
            home.sandbox.set(key, value.as_str().unwrap_or_default());
        }
        for key in ["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER", "NO_PROXY"] {
            home.sandbox.unset(key);
        }
        for key in ["ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            home.sandbox.set(key, format!("http://127.0.0.1:{}", home.net.port()));
        }
        let args = match given {
            Given::Nothing => vec![],
            Given::File => vec!["--settings".to_string(), home.sandbox.write("own.json", own.to_string()).display().to_string()],
            Given::Inline => vec![format!("--settings={own}")],
        };
        let args: Vec<&str> = args.iter().map(String::as_str).chain(["--allowedTools", "Read"]).collect();

        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let (place, note) = (home.sandbox.path(".local/state/claude-failover/agents"), seen.clone());
        let model = home.plays(
            Manner::Pieces,
            [
                computed(move |_| {
                    note.lock().expect("no panic").extend(fs::read_dir(place).into_iter().flatten().flatten().map(|file| {
                        let mode = file.metadata().map_or(0, |data| data.permissions().mode() & 0o777);
                        let settings: Value =
                            serde_json::from_slice(&fs::read(file.path()).unwrap_or_default()).unwrap_or_default();
                        let token = settings["env"]["ANTHROPIC_AUTH_TOKEN"].as_str().unwrap_or_default().to_string();
                        format!("{mode:o} {token} {}", processes_naming(&token).len())
                    }));
                    calls(&[("Bash", json!({"command": "./mark allowed"})), ("Bash", json!({"command": "./mark forbidden"}))])
                }),
                done(),
            ],
        );
        let output = home.ask("do it", &args).run();
        same("end", (0, format!("{DONE}\n"), SAID.to_string()), (output.code(), output.out(), stderr(&output)))?;

        let seen = seen.lock().expect("no panic").clone();
        let [settings] = &seen[..] else { return Err(format!("settings: {seen:?}")) };
        let [mode, token, processes] = settings.split(' ').collect::<Vec<_>>()[..] else { return Err(settings.clone()) };
        same("settings and the processes that show its token", ("600", "0"), (mode, processes))?;
        same("a token", true, token.len() > 30)?;
        for request in model.seen() {
            let bytes = [request.line.as_bytes(), format!("{:?}", request.headers).as_bytes(), &request.body].concat();
            let text = String::from_utf8_lossy(&bytes);
            if let Some(at) = text.find(MARK).or(text.find(token)) {
                return Err(format!("it reached the model: {:?}", text.get(at.saturating_sub(200)..at + 60)));
            }
        }
        same("asked elsewhere", 0, elsewhere.seen().len())?;
        let net: Vec<String> = home.net.seen().into_iter().map(|request| request.line).collect();
        // Old versions look after the plan of who is signed in.
        let is_quiet = net.iter().all(|line| version < TODAY && line.starts_with("CONNECT api.anthropic.com:443"));
        same("asked on the net", (true, &net), (is_quiet, &net))?;
        same("a helper that gives keys has run", false, home.sandbox.path("helper-has-run").exists())?;

        // What has nothing to do with credentials counts.
        let is_own = given != Given::Nothing;
        let files = ["allowed", "forbidden"].map(|name| home.sandbox.path("work").join(name).exists());
        same("what was allowed", [is_own, false], files)
            .map_err(|fault| format!("{fault}: {:?}", results(&model.questions()[1])))?;
        same("the user's hook has run", is_own, home.sandbox.path("hook-has-run").exists())?;
        same("results", 2, results(&model.questions()[1]).len())?;
        home.is_left_clean()
    });
}

fn variables(elsewhere: &Stub, place: &str) -> serde_json::Map<String, Value> {
    let url = json!(format!("http://127.0.0.1:{}", elsewhere.port()));
    let mut all: serde_json::Map<String, Value> =
        VARIABLES.iter().map(|key| ((*key).to_string(), json!(format!("{MARK}-{place}-{key}")))).collect();
    all.extend(SWITCHES.map(|key| (key.to_string(), json!("1"))));
    for key in ["ANTHROPIC_BASE_URL", "ANTHROPIC_BEDROCK_BASE_URL", "ANTHROPIC_VERTEX_BASE_URL", "CLAUDE_CODE_API_BASE_URL"] {
        all.insert(key.into(), url.clone());
    }
    let headers = format!("x-api-key: {MARK}-{place}-header\nx-other: {MARK}-{place}-other");
    all.insert("ANTHROPIC_CUSTOM_HEADERS".into(), headers.into());
    all
}

fn settings(home: &Home, elsewhere: &Stub, place: &str) -> Value {
    let (helper, hook) = (home.sandbox.path("helper-has-run"), home.sandbox.path("hook-has-run"));
    let mut settings = json!({
        "env": variables(elsewhere, place),
        "model": format!("{MARK}-{place}-model"),
        "apiKeyHelper": format!("touch '{}'; echo {MARK}-{place}-helper", helper.display()),
    });
    if place == "own" {
        settings["permissions"] = json!({"allow": ["Bash(./mark allowed)"]});
        let hook = json!({"type": "command", "command": format!("touch '{}'", hook.display())});
        settings["hooks"] = json!({"PreToolUse": [{"matcher": "Bash", "hooks": [hook]}]});
    }
    settings
}

/// As Claude Code keeps them on Linux, of a subscription and of a console account.
fn keep_credentials(home: &Home) {
    let tokens = json!({
        "accessToken": format!("{MARK}-access"), "refreshToken": format!("{MARK}-refresh"), "expiresAt": 4_102_444_800_000_u64,
        "scopes": ["user:inference", "user:profile"], "subscriptionType": "max",
    });
    home.sandbox.write(".claude/.credentials.json", json!({ "claudeAiOauth": tokens }).to_string());
    let account = json!({"accountUuid": format!("{MARK}-account"), "emailAddress": format!("{MARK}@example.org"),
                         "organizationUuid": format!("{MARK}-organization")});
    let state = json!({"hasCompletedOnboarding": true, "primaryApiKey": format!("{MARK}-primary"), "oauthAccount": account});
    home.sandbox.write(".claude.json", state.to_string());
}
