//! The real Claude Code goes on with a session that is five times as long as the local model's context, and then goes back to a model
//! that holds all of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::{Gateway, TOKEN};
use crate::auto::{self, LIMIT, TODAY};
use crate::support::honest::{DONE, Honest, Kind, Summary, Turn};
use crate::support::{Output, Sandbox, node};

const N_CTX: usize = 16_384;

/// A step prints a sixth of the context.
fn step() -> String {
    let line = "the server has written its file and waits for more";
    let lines = N_CTX * 4 / 6 / (line.len() + 1);
    format!(
        "echo $1 >> done.txt\necho \"step $1 is done\"\ni=0\nwhile [ $i -lt {lines} ]; do echo '{line}'; i=$((i + 1)); done\n"
    )
}

/// Claude Code, at this gateway.
fn claude(sandbox: &mut Sandbox, gateway: &Gateway, args: &[&str]) -> Output {
    let url = gateway.url();
    for (key, value) in [
        ("ANTHROPIC_BASE_URL", url.as_str()),
        ("ANTHROPIC_AUTH_TOKEN", TOKEN),
        ("ANTHROPIC_MODEL", "tiny"),
        ("ANTHROPIC_SMALL_FAST_MODEL", "tiny"),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("DISABLE_AUTOUPDATER", "1"),
        ("DISABLE_AUTO_COMPACT", "1"),
        ("IS_SANDBOX", "1"),
    ] {
        sandbox.set(key, value);
    }
    sandbox.set_path(&[node(), "/usr/bin".into(), "/bin".into()]);
    let free = "--dangerously-skip-permissions";
    sandbox.cmd(auto::claude(TODAY)).args(&["-p", free]).args(args).dir(sandbox.path("work")).limit(LIMIT).run()
}

fn transcripts(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { transcripts(&path) } else { vec![path] }).collect()
}

/// How many of the steps a text says are done.
fn steps_in(text: &str) -> usize {
    (1..100).filter(|step| text.contains(&format!("step {step} is done"))).count()
}

fn work(turns: &[Turn]) -> Vec<&Turn> {
    turns.iter().filter(|turn| turn.kind != Kind::Aside).collect()
}

#[test]
fn the_session_stays_whole() {
    let mut sandbox = Sandbox::new();
    sandbox.write("work/step.sh", step());
    let prompt = "Run sh step.sh NUMBER for each number.";
    let large = Honest::new(262_144, 30, Summary::Short);
    let begun = claude(&mut sandbox, &Gateway::new(&large.url()), &[prompt]);
    assert_eq!((begun.code(), begun.out()), (0, format!("{DONE}\n")), "{}", begun.err());
    let last = large.turns().last().unwrap().tokens;
    assert!(last > 5 * N_CTX, "{last}");

    let small = Honest::new(N_CTX, 45, Summary::Short);
    let warning = |what: &str| format!("claude-failover: warning: {what}\n");
    let said = warning(&format!(
        "the conversation does not fit the local model's context of {N_CTX} tokens: its oldest turns are left out"
    )) + &warning(&format!(
        "the whole request does not fit the local model's context of {N_CTX} tokens: short instructions and fewer tools"
    ));
    let gateway = Gateway::with(&small.url(), &[("CLAUDE_FAILOVER_GATEWAY_LEAVES_OUT", "1")]).says(&said);
    let went_on = claude(&mut sandbox, &gateway, &["--continue", prompt]);
    assert_eq!((went_on.code(), went_on.out()), (0, format!("{DONE}\n")), "{}", went_on.err());
    let numbers: String = (1..=45).map(|step| format!("{step}\n")).collect();
    assert_eq!(fs::read_to_string(sandbox.path("work/done.txt")).unwrap_or_default(), numbers);
    let turns = small.turns();
    let turns = work(&turns);
    let lengths: Vec<(Kind, usize, usize)> = turns.iter().map(|turn| (turn.kind, turn.tokens, turn.cached)).collect();
    assert!(turns.iter().all(|turn| turn.kind == Kind::Step && !turn.is_refused) && turns.len() == 16, "{lengths:?}");
    let (read, new) = turns.iter().fold((0, 0), |(read, new), turn| (read + turn.tokens - turn.cached, new + turn.new));
    assert!(read * 100 <= new * 130, "{read} {new} {lengths:?}");

    // All of it is in the transcript, and goes to whoever can hold it.
    let kept: String =
        transcripts(&sandbox.path(".claude/projects")).iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    assert_eq!((steps_in(&kept), kept.contains("isCompactSummary")), (45, false));
    let larger = Honest::new(400_000, 45, Summary::Short);
    let back = claude(&mut sandbox, &Gateway::new(&larger.url()), &["--continue", "Is a step missing, of sh step.sh?"]);
    assert_eq!((back.code(), back.out()), (0, format!("{DONE}\n")), "{}", back.err());
    let turns = larger.turns();
    assert_eq!(steps_in(&work(&turns)[0].question["messages"].to_string()), 45);
}
