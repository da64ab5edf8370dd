//! Conversations that go on: where they are kept, how they are found again, what Claude Code's own transcripts add, and
//! what is left out when they grow too long for the model.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::answer::local;
use crate::support::stub::{Request, Stub, completion, end, json as json_answer, piece, sse};
use crate::support::{Output, Sandbox, kill_group};

const A: &str = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa1";
const B: &str = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbb2";
const C: &str = "cccccccc-cccc-4ccc-8ccc-ccccccccccc3";

const SESSIONS: &str = ".local/state/claude-failover/sessions";
const NEEDS: &str = "Error: --resume requires a valid session ID or session title when used with --print. Usage: claude -p \
                     --resume <session-id|title>";

/// A server that answers `q` with `re q`.
fn echo() -> Stub {
    Stub::new(|request, stream| {
        let answer = match request.is_chat() {
            true => sse(&completion(&format!("re {}", &last(&said(request))["user: ".len()..]))),
            false => json_answer(200, r#"{"object":"list","data":[]}"#),
        };
        let _ = stream.write_all(answer.as_bytes());
    })
}

fn last(said: &[String]) -> &str {
    said.last().expect("a message")
}

/// The messages of a question, such as `user: hi`.
fn said(request: &Request) -> Vec<String> {
    let body = request.json();
    let messages = body["messages"].as_array().expect("messages").clone();
    let word = |message: &Value, key: &str| message[key].as_str().expect("text").to_string();
    messages.iter().map(|message| format!("{}: {}", word(message, "role"), word(message, "content"))).collect()
}

/// The messages of the last question.
fn asked(stub: &Stub) -> Vec<String> {
    said(stub.chats().last().expect("a question"))
}

fn claude(sandbox: &Sandbox, args: &[&str]) -> Output {
    sandbox.cmd("claude").arg("-p").args(args).run()
}

/// Asks `prompt`, which must be answered without a word on stderr.
#[track_caller]
fn ask(sandbox: &Sandbox, prompt: &str, args: &[&str]) {
    claude(sandbox, &[&[prompt], args].concat()).expect(0, &format!("re {prompt}\n"), "");
}

/// Asks for the history of a session, and leaves it as it is.
#[track_caller]
fn history(sandbox: &Sandbox, stub: &Stub, session: &[&str]) -> Vec<String> {
    ask(sandbox, "?", &[session, &["--no-session-persistence"]].concat());
    let mut said = asked(stub);
    assert_eq!(said.pop().as_deref(), Some("user: ?"));
    said
}

#[track_caller]
fn refused(sandbox: &Sandbox, args: &[&str], said: &str) {
    claude(sandbox, &[&["q"], args].concat()).expect(1, "", &format!("{said}\n"));
}

fn not_found(id: &str) -> String {
    format!("No conversation found with session ID: {id}")
}

/// The name of the folder that belongs to a working directory.
fn slug(dir: &Path) -> String {
    let real = fs::canonicalize(dir).unwrap();
    real.to_str().unwrap().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// Our file of a session that began in `dir`.
fn ours(sandbox: &Sandbox, dir: &Path, id: &str) -> PathBuf {
    sandbox.path(SESSIONS).join(slug(dir)).join(format!("{id}.jsonl"))
}

/// The file of Claude Code's own transcript.
fn theirs(sandbox: &Sandbox, dir: &Path, id: &str) -> PathBuf {
    sandbox.path(".claude/projects").join(slug(dir)).join(format!("{id}.jsonl"))
}

/// All files below our folder of sessions.
fn kept(sandbox: &Sandbox) -> Vec<PathBuf> {
    let files = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten().map(|file| file.path());
    let mut kept: Vec<PathBuf> = files(sandbox.path(SESSIONS)).flat_map(files).collect();
    kept.sort();
    kept
}

/// Makes a file as old as this.
fn age(path: &Path, seconds: u64) {
    let then = SystemTime::now() - Duration::from_secs(seconds);
    File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

#[test]
fn a_session_id_is_taken_once() {
    let stub = echo();
    let sandbox = local(&stub.url());
    ask(&sandbox, "one", &["--session-id", A]);
    assert_eq!(kept(&sandbox), [ours(&sandbox, sandbox.home(), A)]);
    let in_use = |id: &str| format!("Error: Session ID {id} is already in use.");
    refused(&sandbox, &["--session-id", A], &in_use(A));
    refused(&sandbox, &["-c", "--fork-session", "--session-id", A], &in_use(A));
    for (id, path) in [(B, ours(&sandbox, sandbox.home(), B)), (C, theirs(&sandbox, sandbox.home(), C))] {
        sandbox.write(path.strip_prefix(sandbox.home()).unwrap().to_str().unwrap(), "garbage");
        refused(&sandbox, &["--session-id", id], &in_use(id));
    }
    let resumes = "Error: --session-id with --continue or --resume also needs --fork-session.";
    refused(&sandbox, &["--session-id", A, "-c"], resumes);
    refused(&sandbox, &["--session-id", A, "--resume", B], resumes);
    for id in ["x", "", &A[1..], &A.replace('-', ""), &format!("{{{A}}}"), &format!("urn:uuid:{A}"), &A.replace('a', "g")] {
        refused(&sandbox, &["--session-id", id], "Error: Invalid session ID. Must be a valid UUID.");
    }
    assert_eq!(stub.chats().len(), 1);
    ask(&sandbox, "nil", &["--session-id", "00000000-0000-0000-0000-000000000000"]);
}

#[test]
fn the_case_of_a_session_id_is_kept() {
    let stub = echo();
    let sandbox = local(&stub.url());
    let upper = A.to_uppercase();
    let output = claude(&sandbox, &["one", "--session-id", &upper, "--output-format", "json"]);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&result["session_id"], &result["result"]), (&json!(upper), &json!("re one")));
    assert_eq!(kept(&sandbox), [ours(&sandbox, sandbox.home(), &upper)]);
    assert_eq!(history(&sandbox, &stub, &["-r", &upper]), ["user: one", "assistant: re one"]);
    let tells_case_apart = !sandbox.path("BIN").exists();
    if tells_case_apart {
        refused(&sandbox, &["-r", A], &not_found(A));
        ask(&sandbox, "two", &["--session-id", A]);
    }
}

#[test]
fn a_session_is_resumed_by_its_id() {
    let stub = echo();
    let sandbox = local(&stub.url());
    ask(&sandbox, "one", &["--session-id", A]);
    ask(&sandbox, "two", &["--resume", A]);
    assert_eq!(asked(&stub), ["user: one", "assistant: re one", "user: two"]);
    let output = claude(&sandbox, &["three", &format!("--resume={A}"), "--output-format", "json"]);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.code(), &result["session_id"]), (0, &json!(A)), "the same session");
    let line = json!({"type": "user", "message": {"role": "user", "content": "four"}}).to_string();
    let stream = ["--verbose", "--input-format", "stream-json", "--output-format", "stream-json", "-r", A];
    assert_eq!(sandbox.cmd("claude").args(&stream).stdin(line).run().code(), 0);
    let all = "user: one/assistant: re one/user: two/assistant: re two/user: three/assistant: re three/user: four";
    assert_eq!(asked(&stub).join("/"), all);
    assert_eq!(kept(&sandbox).len(), 1);
    // A system prompt belongs to the call and not to the conversation.
    claude(&sandbox, &["five", "-r", A, "--system-prompt", "S"]).expect(0, "re five\n", "");
    assert_eq!(asked(&stub)[..2], ["system: S", "user: one"]);
    assert_eq!(history(&sandbox, &stub, &["-r", A])[0], "user: one");
}

#[test]
fn an_unknown_session_is_told_in_each_format() {
    let stub = echo();
    let sandbox = local(&stub.url());
    ask(&sandbox, "one", &["--session-id", A]);
    let title = format!("{NEEDS}. Provided value \"foo\" is not a UUID and does not match any session title.");
    for (name, said) in [(B, not_found(B)), ("foo", title), ("", NEEDS.to_string())] {
        for format in [&[][..], &["--output-format", "json"], &["--output-format", "json", "--verbose"]] {
            refused(&sandbox, &[format, &["--resume", name]].concat(), &said);
        }
        let stream = ["--verbose", "--output-format", "stream-json", "--resume", name];
        let calls = [
            sandbox.cmd("claude").args(&["-p", "q"]).args(&stream),
            sandbox.cmd("claude").args(&["--input-format", "stream-json"]).args(&stream).silent_stdin(),
        ];
        for call in calls {
            let output = call.run();
            let out = output.out();
            let result: Value = serde_json::from_str(&out).unwrap();
            let expected = json!({
                "type": "result", "subtype": "error_during_execution", "is_error": true, "num_turns": 0, "stop_reason": null,
                "errors": [said], "result_index": 0,
            });
            for (key, value) in expected.as_object().unwrap() {
                assert_eq!(result[key], *value, "{key}");
            }
            assert!(out.ends_with("}\n") && out.lines().count() == 1, "{out}");
            assert_eq!(result["session_id"] == json!(B), name == B, "another id is no id");
            output.expect(1, &out, &format!("{said}\n"));
        }
    }
    refused(&sandbox, &["--resume"], NEEDS);
    assert_eq!(stub.chats().len(), 1);
}

#[test]
fn a_session_is_resumed_by_its_title() {
    let stub = echo();
    let sandbox = local(&stub.url());
    ask(&sandbox, "one", &["--session-id", A, "-n", " Title Öne "]);
    for title in ["Title Öne", "title öne", "TITLE ÖNE", "  title öne\t"] {
        assert_eq!(history(&sandbox, &stub, &["-r", title]), ["user: one", "assistant: re one"], "{title}");
    }
    let unknown =
        |title: &str| format!("{NEEDS}. Provided value \"{title}\" is not a UUID and does not match any session title.");
    for title in ["Title", "Title Öne!", "itle Öne"] {
        refused(&sandbox, &["-r", title], &unknown(title));
    }
    ask(&sandbox, "two", &["-r", A, "--name", "Other"]);
    refused(&sandbox, &["-r", "Title Öne"], &unknown("Title Öne"));
    assert_eq!(history(&sandbox, &stub, &["-r", "other"]).len(), 4);

    ask(&sandbox, "three", &["--session-id", B, "-n", "OTHER"]);
    let paths = [A, B].map(|id| ours(&sandbox, sandbox.home(), id));
    for (path, seconds) in paths.iter().zip([1_795_000_000_188_u64, 1_795_000_001_302]) {
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(seconds))
            .unwrap();
    }
    let several = format!(
        "Error: --resume \"other\" matches 2 sessions. Pass one of these session IDs to disambiguate:\n  \
         {B}  (modified 2026-11-18T11:06:41.302Z)\n  {A}  (modified 2026-11-18T11:06:40.188Z)"
    );
    refused(&sandbox, &["-r", "other"], &several);
    fs::create_dir(sandbox.path("elsewhere")).unwrap();
    let output = sandbox.cmd("claude").args(&["-p", "q", "-r", "other"]).dir(sandbox.path("elsewhere")).run();
    output.expect(1, "", &format!("{}\n", unknown("other")));
}

#[test]
fn continue_takes_the_session_that_was_changed_last() {
    let stub = echo();
    let sandbox = local(&stub.url());
    assert_eq!(history(&sandbox, &stub, &["-c"]), [""; 0], "a new one if there is none");
    ask(&sandbox, "a", &["--session-id", A]);
    ask(&sandbox, "b", &["--session-id", B]);
    write_transcript(&sandbox, sandbox.home(), C, &[user("1", None, 0, "c"), assistant("2", Some("1"), 1, "C")]);
    let paths = [ours(&sandbox, sandbox.home(), A), ours(&sandbox, sandbox.home(), B), theirs(&sandbox, sandbox.home(), C)];
    for (newest, expected) in
        [&["user: a", "assistant: re a"][..], &["user: b", "assistant: re b"], &["user: c", "assistant: C"]].iter().enumerate()
    {
        for (number, path) in paths.iter().enumerate() {
            age(path, if number == newest { 10 } else { 100 });
        }
        assert_eq!(history(&sandbox, &stub, &["-c"]), *expected);
        assert_eq!(history(&sandbox, &stub, &["-c", "-r", A]), *expected, "it wins over --resume");
        assert_eq!(history(&sandbox, &stub, &["-c", "-r", "foo"]), *expected);
    }
    ask(&sandbox, "more", &["-c"]);
    assert_eq!(history(&sandbox, &stub, &["-r", C]), ["user: c", "assistant: C", "user: more", "assistant: re more"]);
    fs::create_dir(sandbox.path("sub")).unwrap();
    sandbox.cmd("claude").args(&["-p", "q", "-c"]).dir(sandbox.path("sub")).run().expect(0, "re q\n", "");
    assert_eq!(asked(&stub), ["user: q"], "only those of this working directory");
}

#[test]
fn resuming_needs_a_prompt() {
    let stub = echo();
    let sandbox = local(&stub.url());
    ask(&sandbox, "one", &["--session-id", A, "-n", "T"]);
    let before = fs::read(ours(&sandbox, sandbox.home(), A)).unwrap();
    let marker = "Error: No deferred tool marker found in the resumed session. Either the session was not deferred, the marker is \
                  stale (tool already ran), or it exceeds the tail-scan window. Provide a prompt to continue the \
                  conversation.\n";
    for args in [&["-c"][..], &["-r", A], &["-r", "t"], &["-c", "--fork-session"], &["-r", A, "--fork-session", "-n", "U"]] {
        claude(&sandbox, args).expect(1, "", marker);
    }
    claude(&sandbox, &["-r", B]).expect(1, "", &format!("{}\n", not_found(B)));
    assert_eq!(kept(&sandbox), [ours(&sandbox, sandbox.home(), A)]);
    assert_eq!(fs::read(ours(&sandbox, sandbox.home(), A)).unwrap(), before);
}

#[test]
fn a_fork_goes_its_own_way() {
    let stub = echo();
    let sandbox = local(&stub.url());
    ask(&sandbox, "one", &["--session-id", A, "-n", "T"]);
    let before = fs::read(ours(&sandbox, sandbox.home(), A)).unwrap();
    ask(&sandbox, "two", &["-r", A, "--fork-session", "--session-id", B]);
    assert_eq!(asked(&stub), ["user: one", "assistant: re one", "user: two"]);
    assert_eq!(history(&sandbox, &stub, &["-r", B]).len(), 4);
    assert_eq!(fs::read(ours(&sandbox, sandbox.home(), A)).unwrap(), before, "the old one is left as it is");
    assert_eq!(history(&sandbox, &stub, &["-r", "t"]).len(), 2, "the title stays with it");
    age(&ours(&sandbox, sandbox.home(), A), 100);
    let output = claude(&sandbox, &["three", "-c", "--fork-session", "--output-format", "json"]);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let id = result["session_id"].as_str().unwrap();
    assert!(![A, B].contains(&id), "{id}");
    assert_eq!(history(&sandbox, &stub, &["-r", id]).len(), 6);
    // With nothing to fork from it is a new session.
    claude(&sandbox, &["four", "--fork-session", "--session-id", C]).expect(0, "re four\n", "");
    assert_eq!(asked(&stub), ["user: four"]);
    // One of Claude Code's is copied whole, since a fork is known by its own id alone.
    let d = "dddddddd-dddd-4ddd-8ddd-ddddddddddd4";
    let e = "eeeeeeee-eeee-4eee-8eee-eeeeeeeeeee5";
    write_transcript(&sandbox, sandbox.home(), d, &[user("1", None, 0, "d"), assistant("2", Some("1"), 1, "D")]);
    ask(&sandbox, "five", &["-r", d, "--fork-session", "--session-id", e]);
    fs::remove_file(theirs(&sandbox, sandbox.home(), d)).unwrap();
    assert_eq!(history(&sandbox, &stub, &["-r", e]), ["user: d", "assistant: D", "user: five", "assistant: re five"]);
}

#[test]
fn without_persistence_nothing_is_kept() {
    let stub = echo();
    let sandbox = local(&stub.url());
    ask(&sandbox, "one", &["--no-session-persistence", "--session-id", A, "-n", "T"]);
    assert!(!sandbox.path(".local/state/claude-failover/sessions").exists());
    refused(&sandbox, &["-r", A], &not_found(A));
    ask(&sandbox, "two", &["--session-id", A]);
    let before = fs::read(ours(&sandbox, sandbox.home(), A)).unwrap();
    for how in [&["-r", A][..], &["-c"], &["-c", "--fork-session"], &["-r", A, "-n", "T"]] {
        assert_eq!(history(&sandbox, &stub, how), ["user: two", "assistant: re two"]);
    }
    assert_eq!(kept(&sandbox), [ours(&sandbox, sandbox.home(), A)]);
    assert_eq!(fs::read(ours(&sandbox, sandbox.home(), A)).unwrap(), before);
}

#[test]
fn an_id_is_found_from_another_working_directory_and_goes_on_where_it_is() {
    let stub = echo();
    let sandbox = local(&stub.url());
    // Claude Code has been here.
    fs::create_dir(sandbox.path(".claude")).unwrap();
    let (first, second, third) = (sandbox.path("first"), sandbox.path("second"), sandbox.path("third"));
    let call = |dir: &Path, prompt: &str, args: &[&str]| {
        fs::create_dir_all(dir).unwrap();
        sandbox.cmd("claude").args(&["-p", prompt]).args(args).dir(dir).run()
    };
    call(&first, "one", &["--session-id", A]).expect(0, "re one\n", "");
    call(&second, "two", &["-r", A]).expect(0, "re two\n", "");
    assert_eq!(kept(&sandbox), [ours(&sandbox, &first, A)]);
    let so_far = ["user: one", "assistant: re one", "user: two", "assistant: re two"];
    for dir in [&first, &second, &third] {
        call(dir, "?", &["-r", A, "--no-session-persistence"]).expect(0, "re ?\n", "");
        assert_eq!(asked(&stub)[..4], so_far);
    }
    // A fork belongs to where it was made.
    call(&second, "three", &["-r", A, "--fork-session", "--session-id", B]).expect(0, "re three\n", "");
    assert!(ours(&sandbox, &second, B).exists());
    // What goes on from Claude Code's transcript lies beside it.
    write_transcript(&sandbox, &first, C, &[user("1", None, 0, "c"), assistant("2", Some("1"), 1, "C")]);
    call(&second, "more", &["-r", C]).expect(0, "re more\n", "");
    assert!(ours(&sandbox, &first, C).exists());
    // The same id again is a second session, and this working directory's own goes first.
    call(&second, "again", &["--session-id", A]).expect(0, "re again\n", "");
    call(&second, "?", &["-r", A, "--no-session-persistence"]).expect(0, "re ?\n", "");
    assert_eq!(asked(&stub)[0], "user: again");
    call(&third, "?", &["-r", A]).expect(1, "", &format!("{}\n", not_found(A)));
    // A link is where it leads.
    std::os::unix::fs::symlink(&first, sandbox.path("link")).unwrap();
    call(&sandbox.path("link"), "?", &["-r", A, "--no-session-persistence"]).expect(0, "re ?\n", "");
    assert_eq!(asked(&stub)[0], "user: one");
}

#[test]
fn what_is_kept_is_closed_to_others() {
    let stub = echo();
    let sandbox = local(&stub.url());
    // Whatever the caller's mask lets through.
    sandbox.cmd("/bin/sh").args(&["-c", "umask 0; exec claude -p q"]).run().expect(0, "re q\n", "");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let file = kept(&sandbox).pop().unwrap();
    assert_eq!(mode(&file), 0o600);
    for dir in [file.parent().unwrap(), &sandbox.path(SESSIONS), &sandbox.path(".local/state/claude-failover")] {
        assert_eq!(mode(dir), 0o700, "{}", dir.display());
    }
}

#[test]
fn torn_and_foreign_files_do_no_harm() {
    let stub = echo();
    let sandbox = local(&stub.url());
    ask(&sandbox, "one", &["--session-id", A]);
    let path = ours(&sandbox, sandbox.home(), A);
    let good = fs::read(&path).unwrap();
    let torn: [&[u8]; 6] =
        [b"{\"entries\":[{\"role\":\"us", b"\0\0\0", b"\xff\xfe", b"null\n5\n[]\n\"x\"\n", b"{\"entries\":7}\n", b"\n\n\n"];
    for bytes in torn {
        fs::write(&path, [&good, bytes].concat()).unwrap();
        ask(&sandbox, "two", &["-r", A]);
        let whole = ["user: one", "assistant: re one", "user: two", "assistant: re two"];
        assert_eq!(history(&sandbox, &stub, &["-r", A]), whole, "{bytes:?}");
        fs::write(&path, bytes).unwrap();
        refused(&sandbox, &["-r", A], &not_found(A));
    }
    // The newest that can be read is gone on with.
    ask(&sandbox, "b", &["--session-id", B]);
    age(&ours(&sandbox, sandbox.home(), B), 100);
    assert_eq!(history(&sandbox, &stub, &["-c"]), ["user: b", "assistant: re b"]);
    for name in ["x.jsonl", "not-a-uuid.jsonl", "cccccccc-cccc-4ccc-8ccc-ccccccccccc3.json"] {
        fs::write(path.with_file_name(name), &good).unwrap();
    }
    fs::create_dir(ours(&sandbox, sandbox.home(), C)).unwrap();
    assert_eq!(history(&sandbox, &stub, &["-c"]), ["user: b", "assistant: re b"]);
    refused(&sandbox, &["-r", C], &not_found(C));
    refused(
        &sandbox,
        &["-r", "../x"],
        &format!("{NEEDS}. Provided value \"../x\" is not a UUID and does not match any session title."),
    );
}

#[test]
fn calls_at_once_on_one_session_lose_nothing() {
    let answers = AtomicUsize::new(0);
    let stub = Stub::new(move |request, stream| {
        let answer = match request.is_chat() {
            true => sse(&completion(&format!("answer {}.", answers.fetch_add(1, Ordering::SeqCst)))),
            false => json_answer(200, "{}"),
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    let sandbox = &local(&stub.url());
    assert_eq!(claude(sandbox, &["question 0.", "--session-id", A]).code(), 0);
    thread::scope(|scope| {
        for number in 1..12 {
            scope.spawn(move || assert_eq!(claude(sandbox, &[&format!("question {number}."), "-r", A]).code(), 0));
        }
    });
    assert_eq!(claude(sandbox, &["?", "-r", A]).code(), 0);
    let all = asked(&stub).join("\n");
    for number in 0..12 {
        for text in [format!("question {number}."), format!("answer {number}.")] {
            assert_eq!(all.matches(&text).count(), 1, "{text}: {all}");
        }
    }
}

#[test]
fn a_question_that_was_not_answered_is_still_there() {
    let refusing = Stub::raw(json_answer(500, r#"{"error":"no"}"#));
    let cutting = Stub::raw(sse(&piece("half an ")));
    let stub = echo();
    let sandbox = local(&stub.url());
    ask(&sandbox, "one", &["--session-id", A]);
    for (failing, prompt) in [(&refusing, "two"), (&cutting, "three")] {
        let output = sandbox.cmd("claude").args(&["-p", prompt, "-r", A]).env("LOCAL_LLM_URL", failing.url()).run();
        assert_eq!(output.code(), 1);
    }
    let (sent, has_asked) = mpsc::channel();
    let holding = Stub::new(move |_, stream| {
        let _ = stream.write_all(sse(&piece("half an ")).as_bytes());
        let _ = sent.send(());
        // Until the client goes.
        let _ = stream.read(&mut [0]);
    });
    let cmd = sandbox.cmd("claude").args(&["-p", "four", "-c"]).env("LOCAL_LLM_URL", holding.url());
    let mut child = cmd.spawn();
    drop(child.stdin.take());
    has_asked.recv_timeout(Duration::from_secs(30)).expect("it asks");
    kill_group(&mut child);
    let expected = ["user: one", "assistant: re one", "user: two\n\nthree\n\nfour\n\n?"];
    claude(&sandbox, &["?", "-c"]).expect(0, "re two\n\nthree\n\nfour\n\n?\n", "");
    assert_eq!(asked(&stub), expected, "strict templates want turns");
}

#[test]
fn the_old_and_the_too_much_are_pruned() {
    const DAY: u64 = 24 * 3600;
    let stub = echo();
    let sandbox = local(&stub.url());
    ask(&sandbox, "a", &["--session-id", A]);
    let other = sandbox.path(SESSIONS).join("-some-where");
    fs::create_dir(&other).unwrap();
    let write = |name: &str, size: u64, seconds: u64| {
        let path = other.join(name);
        File::create(&path).unwrap().set_len(size).unwrap();
        age(&path, seconds);
        path
    };
    let old = write("old.jsonl", 10, 31 * DAY);
    let fresh = write("fresh.jsonl", 10, 29 * DAY);
    let next = |prompt: &str| {
        age(&sandbox.path(SESSIONS).join("pruned"), 2 * 3600);
        ask(&sandbox, prompt, &[]);
    };
    ask(&sandbox, "b", &[]);
    assert!(old.exists(), "not at every call");
    next("c");
    assert_eq!((old.exists(), fresh.exists()), (false, true));
    let filled = |name: &str, seconds: u64| {
        let path = other.join(name);
        fs::write(&path, vec![b'x'; 30 << 20]).unwrap();
        age(&path, seconds);
        path
    };
    // What counts is what a file takes on the disk: a hole takes nothing.
    let hole = write("hole.jsonl", 1 << 30, DAY / 2);
    let large = [filled("1.jsonl", DAY), filled("2.jsonl", 2 * DAY), filled("3.jsonl", 3 * DAY)];
    next("d");
    assert_eq!([large[0].exists(), large[1].exists(), large[2].exists(), fresh.exists()], [true, true, false, false]);
    assert!(hole.exists());
    for path in large[..2].iter().chain([&hole]) {
        age(path, 31 * DAY);
    }
    next("e");
    assert!(!other.exists(), "an empty folder goes too");
    assert_eq!(history(&sandbox, &stub, &["-r", A]), ["user: a", "assistant: re a"]);
    // One that is taken up again is not old.
    age(&ours(&sandbox, sandbox.home(), A), 31 * DAY);
    age(&sandbox.path(SESSIONS).join("pruned"), 2 * 3600);
    ask(&sandbox, "f", &["-r", A]);
    next("g");
    assert_eq!(history(&sandbox, &stub, &["-r", A]).len(), 4);
}

/// A line of Claude Code's transcript. `fields` come over those that all lines have.
fn line(id: &str, parent: Option<&str>, second: u32, fields: Value) -> Value {
    let mut line = json!({
        "parentUuid": parent, "isSidechain": false, "uuid": id, "timestamp": format!("2026-11-22T13:{:02}:{:02}.000Z", second / 60, second % 60),
        "userType": "external", "entrypoint": "sdk-cli", "cwd": "/real/cwd", "version": "2.1.330", "gitBranch": "HEAD",
    });
    line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    line
}

fn user(id: &str, parent: Option<&str>, second: u32, text: &str) -> Value {
    let fields = json!({"type": "user", "promptSource": "sdk", "message": {"role": "user", "content": text}});
    line(id, parent, second, fields)
}

fn assistant(id: &str, parent: Option<&str>, second: u32, text: &str) -> Value {
    let content = json!([{"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "text", "text": text}]);
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-5-5", "content": content,
                         "stop_reason": "end_turn", "usage": {"input_tokens": 10, "output_tokens": 7}});
    line(id, parent, second, json!({"type": "assistant", "message": message, "requestId": "req_1"}))
}

fn attachment(id: &str, parent: &str, second: u32, size: usize) -> Value {
    let fields =
        json!({"type": "attachment", "attachment": {"type": "environment", "text": "x".repeat(size)}, "renderedRole": "system"});
    line(id, Some(parent), second, fields)
}

fn write_transcript(sandbox: &Sandbox, dir: &Path, id: &str, lines: &[Value]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let path = theirs(sandbox, dir, id);
    sandbox.write(path.strip_prefix(sandbox.home()).unwrap().to_str().unwrap(), text);
}

/// What the model is given of a transcript.
#[track_caller]
fn taken(lines: &[Value]) -> Vec<String> {
    let stub = echo();
    let sandbox = local(&stub.url());
    write_transcript(&sandbox, sandbox.home(), A, lines);
    history(&sandbox, &stub, &["-r", A])
}

#[test]
fn the_text_of_claudes_own_transcript_is_the_history() {
    let bookkeeping =
        json!({"type": "queue-operation", "operation": "enqueue", "timestamp": "2026-11-22T13:00:00.000Z", "content": "q1"});
    let tool_use = json!([{"type": "text", "text": "I look."}, {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}}]);
    let tool_result = json!([{"tool_use_id": "toolu_1", "type": "tool_result", "content": "secret listing", "is_error": false}]);
    let error = json!([{"type": "text", "text": "API Error: 529 overloaded"}]);
    let lines = [
        bookkeeping.clone(),
        user("1", None, 0, "q1"),
        attachment("2", "1", 1, 10),
        json!({"type": "api-request-blob", "hash": "h", "message": {"role": "user", "content": "not this"}}),
        line("3", Some("2"), 2, json!({"type": "assistant", "message": {"role": "assistant", "content": tool_use}})),
        line(
            "s1",
            None,
            2,
            json!({"type": "user", "isSidechain": true, "message": {"role": "user", "content": "to a subagent"}}),
        ),
        line(
            "s2",
            Some("s1"),
            2,
            json!({"type": "assistant", "isSidechain": true, "message": {"role": "assistant", "content": "of it"}}),
        ),
        line(
            "4",
            Some("3"),
            3,
            json!({"type": "user", "message": {"role": "user", "content": tool_result}, "toolUseResult": {"stdout": "x"}}),
        ),
        assistant("5", Some("4"), 4, "There are two."),
        attachment("6", "5", 5, 10),
        user("7", Some("6"), 6, "q2"),
        line(
            "8",
            Some("7"),
            7,
            json!({"type": "assistant", "isApiErrorMessage": true, "message": {"role": "assistant", "content": error}}),
        ),
        line(
            "9",
            Some("8"),
            8,
            json!({"type": "user", "isMeta": true, "message": {"role": "user", "content": "<local-command-caveat>"}}),
        ),
        line(
            "10",
            Some("9"),
            9,
            json!({"type": "user", "message": {"role": "user", "content": [{"type": "text", "text": "q3"}, {"type": "image"}]}}),
        ),
        assistant("11", Some("10"), 10, "a3"),
        line("12", Some("11"), 11, json!({"type": "system", "subtype": "local_command", "content": "<local-command-stdout>"})),
        json!({"type": "last-prompt", "lastPrompt": "q3", "leafUuid": "11"}),
    ];
    let expected = ["user: q1", "assistant: I look.\n\nThere are two.", "user: q2\n\nq3", "assistant: a3"];
    assert_eq!(taken(&lines), expected);

    let stub = echo();
    let mut sandbox = local(&stub.url());
    let text = lines.map(|line| format!("{line}\n{{torn\n\n[1]\n\u{fffd}\0\n{{\"uuid\":7}}\n")).concat();
    sandbox.write(&format!("elsewhere/projects/{}/{A}.jsonl", slug(sandbox.home())), text.trim_end());
    refused(&sandbox, &["-r", A], &not_found(A));
    sandbox.set("CLAUDE_CONFIG_DIR", sandbox.path("elsewhere"));
    assert_eq!(history(&sandbox, &stub, &["-r", A]), expected, "garbage between the lines");
    for lines in [&[][..], &[bookkeeping], &[attachment("1", "0", 0, 10)]] {
        write_transcript(&sandbox, sandbox.home(), B, lines);
        refused(&sandbox, &["-r", B], &not_found(B));
    }
}

#[test]
fn after_a_rewind_only_the_last_branch_counts() {
    let lines = [
        user("1", None, 0, "q1"),
        assistant("2", Some("1"), 1, "a1"),
        user("3", Some("2"), 2, "a wrong turn"),
        assistant("4", Some("3"), 3, "taken back"),
        user("5", Some("2"), 4, "q2"),
        assistant("6", Some("5"), 5, "a2"),
    ];
    assert_eq!(taken(&lines), ["user: q1", "assistant: a1", "user: q2", "assistant: a2"]);
    // A parent that is not there is where it begins.
    assert_eq!(taken(&lines[4..]), ["user: q2", "assistant: a2"]);
}

#[test]
fn a_compacted_conversation_is_its_summary_and_what_that_leaves_as_it_was() {
    let preserved = json!({"anchorUuid": "6", "uuids": ["3", "4"], "allUuids": ["3", "4"]});
    let metadata = json!({"trigger": "manual", "preTokens": 17, "preservedMessages": preserved});
    let lines = [
        user("1", None, 0, "q1"),
        assistant("2", Some("1"), 1, "a1"),
        user("3", Some("2"), 2, "q2"),
        assistant("4", Some("3"), 3, "a2"),
        line(
            "5",
            None,
            4,
            json!({"type": "system", "subtype": "compact_boundary", "logicalParentUuid": "4",
                                   "content": "Conversation compacted", "isMeta": false, "compactMetadata": metadata}),
        ),
        line(
            "6",
            Some("5"),
            5,
            json!({"type": "user", "isCompactSummary": true, "isVisibleInTranscriptOnly": true,
                                       "message": {"role": "user", "content": "the summary"}}),
        ),
        attachment("7", "6", 6, 10),
        user("8", Some("7"), 7, "q3"),
        assistant("9", Some("8"), 8, "a3"),
    ];
    let expected = ["user: the summary\n\nq2", "assistant: a2", "user: q3", "assistant: a3"];
    assert_eq!(taken(&lines), expected);
    let mut plain = lines.clone();
    plain[4]["compactMetadata"] = json!({"trigger": "auto"});
    assert_eq!(taken(&plain), ["user: the summary\n\nq3", "assistant: a3"]);
}

#[test]
fn a_long_transcript_takes_little_memory() {
    let stub = echo();
    let sandbox = local(&stub.url());
    let (mut lines, mut parent) = (Vec::new(), None);
    for turn in 0..420 {
        let ids = ["u", "x", "a"].map(|kind| format!("{kind}{turn}"));
        lines.push(user(&ids[0], parent.as_deref(), turn * 3, &format!("question {turn}")));
        lines.push(attachment(&ids[1], &ids[0], turn * 3 + 1, 57_000));
        lines.push(assistant(&ids[2], Some(&ids[1]), turn * 3 + 2, &format!("answer {turn} {}", "x".repeat(10_000))));
        parent = Some(ids[2].clone());
    }
    write_transcript(&sandbox, sandbox.home(), A, &lines);
    let size = fs::metadata(theirs(&sandbox, sandbox.home(), A)).unwrap().len();
    assert!(size > 26 << 20, "{size}");
    let (sent, has_asked) = mpsc::channel();
    let holding = Stub::new(move |request, stream| {
        if !request.is_chat() {
            let _ = stream.write_all(json_answer(200, "{}").as_bytes());
            return;
        }
        let _ = sent.send(said(request));
        // Until the client goes.
        let _ = stream.read(&mut [0]);
    });
    let peak = |id: &str| {
        let mut child = sandbox.cmd("claude").args(&["-p", "?", "-r", id]).env("LOCAL_LLM_URL", holding.url()).spawn();
        drop(child.stdin.take());
        let asked = has_asked.recv_timeout(Duration::from_secs(60)).expect("it asks");
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        kill_group(&mut child);
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        (asked, peak)
    };
    let (asked, long) = peak(A);
    // More than any local context holds, and no more.
    let taken: usize = asked.iter().map(String::len).sum();
    assert!((1_000_000..1_100_000).contains(&taken), "{taken}");
    assert!(asked[0].starts_with("user: question 3"), "{}", &asked[0][..30]);
    assert!(asked[asked.len() - 2].starts_with("assistant: answer 419 x"));
    write_transcript(&sandbox, sandbox.home(), B, &[user("1", None, 0, "q"), assistant("2", Some("1"), 1, "a")]);
    if let (Some(long), (_, Some(short))) = (long, peak(B)) {
        assert!(long < short + (size >> 10) / 2, "{long} kB, {short} kB with a short one");
    }
}

#[test]
fn turns_of_both_sides_stand_in_the_order_of_time() {
    let stub = echo();
    let sandbox = local(&stub.url());
    let said = |role: &str, text: &str, second: u32| {
        let at = 1_795_352_400_000_u64 + u64::from(second) * 1000;
        json!({"role": role, "text": text, "at": at})
    };
    // The transcript's 13:00:00 is that.
    let lines = [
        json!({"title": "T", "entries": [said("user", "l1", 10), said("assistant", "L1", 11)]}),
        json!({"entries": [said("user", "l2", 30), said("assistant", "L2", 31)]}),
    ];
    let path = ours(&sandbox, sandbox.home(), A);
    sandbox.write(path.strip_prefix(sandbox.home()).unwrap().to_str().unwrap(), lines.map(|line| format!("{line}\n")).concat());
    let transcript = [
        user("1", None, 0, "c1"),
        assistant("2", Some("1"), 1, "C1"),
        user("3", Some("2"), 20, "c2"),
        assistant("4", Some("3"), 21, "C2"),
    ];
    write_transcript(&sandbox, sandbox.home(), A, &transcript);
    let expected = "user: c1/assistant: C1/user: l1/assistant: L1/user: c2/assistant: C2/user: l2/assistant: L2";
    for how in [&["-r", A][..], &["-c"], &["-r", "t"]] {
        assert_eq!(history(&sandbox, &stub, how).join("/"), expected);
    }
    ask(&sandbox, "l3", &["-r", A]);
    let added = fs::read_to_string(&path).unwrap();
    assert!(added.contains("\"l3\"") && !added.contains("\"c1\""), "each side keeps its own: {added}");
}

#[test]
fn titles_that_claude_code_gave_are_known() {
    let stub = echo();
    let sandbox = local(&stub.url());
    let title = |text: &str| json!({"type": "custom-title", "customTitle": text, "sessionId": A});
    let lines =
        [title("First"), user("1", None, 0, "about \"custom-title\""), title("Second"), assistant("2", Some("1"), 1, "a")];
    write_transcript(&sandbox, sandbox.home(), A, &lines);
    assert_eq!(history(&sandbox, &stub, &["-r", "second"]).len(), 2);
    refused(
        &sandbox,
        &["-r", "first"],
        &format!("{NEEDS}. Provided value \"first\" is not a UUID and does not match any session title."),
    );
    // The same name on both sides is one session.
    ask(&sandbox, "q", &["-r", A, "-n", "SECOND"]);
    assert_eq!(history(&sandbox, &stub, &["-r", "second"]).len(), 4);
}

/// A session of turns `0 x x x …` that take about a hundred tokens each.
fn talkative(stub: &Stub) -> Sandbox {
    let sandbox = local(&stub.url());
    let said = |role: &str, turn: u32| json!({"role": role, "text": format!("{role} {turn}{}", " x".repeat(40)), "at": turn});
    let lines = (0..30).map(|turn| format!("{}\n", json!({"entries": [said("user", turn), said("assistant", turn)]})));
    let path = ours(&sandbox, sandbox.home(), A);
    sandbox.write(path.strip_prefix(sandbox.home()).unwrap().to_str().unwrap(), lines.collect::<String>());
    sandbox
}

/// The numbers of the turns that were sent, which are the last ones, after the system prompt and before the question.
#[track_caller]
fn turns_sent(request: &Request) -> usize {
    let said = said(request);
    assert_eq!((said[0].as_str(), last(&said)), ("system: S", "user: ?"));
    let middle = &said[1..said.len() - 1];
    for (message, place) in middle.iter().zip(60 - middle.len()..) {
        let role = if place % 2 == 0 { "user" } else { "assistant" };
        assert!(message.starts_with(&format!("{role}: {role} {}", place / 2)), "{message}");
    }
    assert!(middle.is_empty() || middle[0].starts_with("user: "), "strict templates begin with the user");
    middle.len() / 2
}

const QUESTION: [&str; 7] = ["?", "-r", A, "--system-prompt", "S", "--no-session-persistence", "--verbose"];

fn left_out(window: u32) -> String {
    format!(
        "claude: warning: the conversation does not fit the local model's context of {window} tokens; its oldest part is left out\n"
    )
}

#[test]
fn a_conversation_that_is_too_long_loses_its_oldest_turns() {
    let (hub, folder) = ("org/Name-4bit", "hub/models--org--Name-4bit/snapshots/0123/config.json");
    let with_models = |models: &str| {
        let models = json_answer(200, models);
        Stub::new(move |request, stream| {
            let answer = if request.is_chat() { sse(&completion("re ?")) } else { models.clone() };
            let _ = stream.write_all(answer.as_bytes());
        })
    };
    let config = r#"{"max_position_embeddings":1500}"#;
    let nested = r#"{"text_config":{"max_position_embeddings":1500}}"#;
    // What the server lists, the model's name, its configuration and the file of that.
    let table = [
        (r#"{"data":[{"id":"m","meta":{"n_ctx":1500}}]}"#, "", "", "unused"),
        (r#"{"data":[{"id":"m","max_model_len":1500}]}"#, "", "", "unused"),
        (r#"{"data":[{"id":"a","meta":{"n_ctx":9}},{"id":"b","meta":{"n_ctx":1500}}]}"#, "b", "", "unused"),
        (r#"{"data":[{"id":"other","meta":{"n_ctx":1500}}]}"#, "", "", "unused"),
        ("{}", hub, config, folder),
        ("{}", hub, nested, folder),
        ("{}", "[HOME]/model", config, "model/config.json"),
    ];
    for (models, name, config, file) in table {
        let stub = with_models(models);
        let mut sandbox = talkative(&stub);
        sandbox.write(file, config);
        let home = sandbox.home().to_path_buf();
        sandbox.set("HF_HOME", home);
        let name = name.replace("[HOME]", sandbox.home().to_str().unwrap());
        sandbox.set("LOCAL_LLM_MODEL", name);
        claude(&sandbox, &QUESTION).expect(0, "re ?\n", &left_out(1500));
        let sent = turns_sent(&stub.chats()[0]);
        assert!((5..=12).contains(&sent), "{sent} turns for {models} {config}");
        // What was left out is not lost.
        sandbox.set("LOCAL_LLM_CONTEXT", "100000");
        claude(&sandbox, &QUESTION).expect(0, "re ?\n", "");
        assert_eq!(turns_sent(&stub.chats()[1]), 30, "the setting wins");
    }
    for models in
        ["{}", r#"{"data":[{"id":"o","meta":{"n_ctx":1500}},{"id":"n"}]}"#, r#"{"data":[{"id":"m","meta":{"n_ctx":"x"}}]}"#]
    {
        let stub = with_models(models);
        let mut sandbox = talkative(&stub);
        sandbox.set("LOCAL_LLM_MODEL", "m");
        claude(&sandbox, &QUESTION).expect(0, "re ?\n", "");
        assert_eq!(turns_sent(&stub.chats()[0]), 30, "nothing is known: {models}");
    }
}

#[test]
fn the_context_is_a_setting() {
    let stub = echo();
    let mut sandbox = talkative(&stub);
    sandbox.set("LOCAL_LLM_MODEL", "m");
    let mut before = 31;
    for window in [2500, 1200, 600, 300] {
        sandbox.set("LOCAL_LLM_CONTEXT", window.to_string());
        claude(&sandbox, &QUESTION).expect(0, "re ?\n", &left_out(window));
        let sent = turns_sent(stub.chats().last().unwrap());
        assert!(sent < before, "{sent} turns of {before} for {window}");
        before = sent;
    }
    // Room for the answer is part of it.
    sandbox.set("LOCAL_LLM_MAX_TOKENS", "20");
    claude(&sandbox, &QUESTION).expect(0, "re ?\n", &left_out(300));
    assert!(turns_sent(stub.chats().last().unwrap()) > before);
    let lines: Vec<String> = stub.seen().into_iter().map(|request| request.line).collect();
    assert_eq!(lines, ["POST /v1/chat/completions HTTP/1.1"; 5], "nobody is asked what is known");
    // A short conversation is measured as well.
    ask(&sandbox, "one two three four five six seven eight nine ten", &["--session-id", B]);
    sandbox.set("LOCAL_LLM_CONTEXT", "50");
    let output = claude(&sandbox, &["?", "-r", B]);
    assert_eq!((output.err(), asked(&stub)), (left_out(50), vec!["user: ?".to_string()]));
}

/// A server of `window` characters, which refuses as llama.cpp does, or as vLLM does if it `says_little`.
fn narrow(window: usize, says_little: bool) -> Stub {
    Stub::new(move |request, stream| {
        let length: usize = if request.is_chat() { said(request).iter().map(String::len).sum() } else { 0 };
        let answer = match (request.is_chat(), length > window) {
            (false, _) => json_answer(200, "{}"),
            (true, false) => sse(&completion("re ?")),
            (true, true) => {
                let message = match says_little {
                    true => format!("This model's maximum context length is {window} tokens. Please reduce the length."),
                    false => format!(
                        "request ({length} tokens) exceeds the available context size ({window} tokens), try increasing it"
                    ),
                };
                let error = match says_little {
                    true => json!({"object": "error", "message": message, "type": "BadRequestError", "code": 400}),
                    false => json!({"error": {"code": 400, "message": message, "type": "exceed_context_size_error",
                                              "n_prompt_tokens": length, "n_ctx": window}}),
                };
                json_answer(400, &error.to_string())
            }
        };
        let _ = stream.write_all(answer.as_bytes());
    })
}

#[test]
fn a_server_that_says_it_is_too_long_gets_less() {
    for says_little in [false, true] {
        let stub = narrow(2000, says_little);
        claude(&talkative(&stub), &QUESTION).expect(0, "re ?\n", &left_out(2000));
        let sent: Vec<usize> = stub.chats().iter().map(turns_sent).collect();
        assert!(sent[0] == 30 && sent.len() <= 5 && *sent.last().unwrap() >= 3, "{sent:?}");
        assert!(sent.is_sorted_by(|more, less| more > less), "{sent:?}");
    }
}

#[test]
fn another_attempt_at_a_structure_keeps_the_question() {
    let asked = AtomicUsize::new(0);
    let stub = Stub::new(move |request, stream| {
        let is_first = request.is_chat() && asked.fetch_add(1, Ordering::Relaxed) == 0;
        let answer = if is_first { format!("none{}", " of that".repeat(40)) } else { "{\"a\": 1}".into() };
        let _ = stream.write_all(sse(&completion(&answer)).as_bytes());
    });
    let mut sandbox = talkative(&stub);
    sandbox.set("LOCAL_LLM_CONTEXT", "600");
    sandbox.set("LOCAL_LLM_MAX_TOKENS", "100");
    let output = sandbox.cmd("claude").args(&["-p"]).args(&QUESTION).args(&["--json-schema", r#"{"required":["a"]}"#]).run();
    output.expect(0, "{\"a\":1}\n", &left_out(600));
    let [first, second] = <[Request; 2]>::try_from(stub.chats()).unwrap();
    assert!(said(&first).len() > 4 && last(&said(&first)) == "user: ?", "{:?}", said(&first));
    let said = said(&second);
    assert!(said[0].starts_with("system: S\n\nAnswer with one JSON value"), "{said:?}");
    let end = &said[said.len() - 3..];
    assert!(
        end[0] == "user: ?" && end[1].starts_with("assistant: none of") && end[2].starts_with("user: That is not"),
        "{end:?}"
    );
}

#[test]
fn a_question_that_is_too_long_by_itself_is_refused() {
    let long = "word ".repeat(600);
    let ask = |sandbox: &Sandbox| sandbox.cmd("claude").args(&["-p", "--system-prompt", "S"]).stdin(&long).run();
    let too_long = "Prompt is too long · the conversation";
    let stub = narrow(2000, false);
    let sandbox = local(&stub.url());
    let length = long.len() + "user: ".len() + "system: S".len();
    let said = format!("{too_long} of {length} tokens does not fit the local model's context of 2000\n");
    ask(&sandbox).expect(1, &said, "");
    assert_eq!(stub.chats().len(), 1, "there is nothing to leave out");
    let stub = narrow(2000, true);
    let sandbox = local(&stub.url());
    ask(&sandbox).expect(1, &format!("{too_long} does not fit the local model's context of 2000\n"), "");
    let stub = echo();
    let mut sandbox = local(&stub.url());
    sandbox.set("LOCAL_LLM_CONTEXT", "500");
    let said = format!("{too_long} does not fit the local model's context of 500\n");
    ask(&sandbox).expect(1, &said, "");
    assert_eq!(stub.chats().len(), 0, "it is not sent at all");
    let output = sandbox.cmd("claude").args(&["-p", "--output-format", "json"]).stdin(&long).run();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.code(), &result["is_error"], &result["terminal_reason"]), (1, &json!(true), &json!("prompt_too_long")));
    // What is left out of a history is told even if that was not enough.
    let stub = narrow(10, false);
    let output = claude(&talkative(&stub), &QUESTION);
    assert_eq!((output.code(), output.err()), (1, left_out(10)));
    assert!(output.out().starts_with(too_long), "{}", output.out());
}

/// The end of a stream belongs to its turn, whatever came before.
#[test]
fn an_answer_that_was_cut_by_its_limit_is_kept() {
    let stub = Stub::raw(sse(&(piece("half a") + &end("length"))));
    let sandbox = local(&stub.url());
    let warning = "claude: warning: the answer ends at its limit of 800 tokens; raise LOCAL_LLM_MAX_TOKENS for more\n";
    claude(&sandbox, &["one", "--session-id", A]).expect(0, "half a\n", warning);
    claude(&sandbox, &["go on", "-c"]).expect(0, "half a\n", warning);
    assert_eq!(asked(&stub), ["user: one", "assistant: half a", "user: go on"]);
}

/// A rewind and a compaction by Claude Code leave messages in its file that are no part of its conversation any more.
#[test]
fn what_claude_code_has_dropped_stays_dropped() {
    let stub = echo();
    let sandbox = local(&stub.url());
    let own = |role: &str, text: &str, second: u64| json!({"role": role, "text": text, "at": 1_795_352_400_000_u64 + second * 1000, "uuid": uuid(text)});
    let said = [own("user", "l1", 1), own("assistant", "L1", 2), own("user", "l2", 3), own("assistant", "L2", 4)];
    let path = ours(&sandbox, sandbox.home(), A);
    sandbox.write(path.strip_prefix(sandbox.home()).unwrap().to_str().unwrap(), format!("{}\n", json!({"entries": said})));
    let transcript = [
        user(&uuid("l1"), None, 1, "l1"),
        assistant(&uuid("L1"), Some(&uuid("l1")), 2, "L1"),
        user(&uuid("l2"), Some(&uuid("L1")), 3, "l2"),
        assistant(&uuid("L2"), Some(&uuid("l2")), 4, "L2"),
        user("7", Some(&uuid("L1")), 20, "c3"),
        assistant("8", Some("7"), 21, "C3"),
    ];
    write_transcript(&sandbox, sandbox.home(), A, &transcript);
    assert_eq!(history(&sandbox, &stub, &["-r", A]).join("/"), "user: l1/assistant: L1/user: c3/assistant: C3");
}

fn uuid(text: &str) -> String {
    format!("{:0>8}-1111-4111-8111-111111111111", text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Its clock may have been wrong.
#[test]
fn what_is_said_is_told_to_claude_code_whatever_the_time_says() {
    let stub = echo();
    let sandbox = local(&stub.url());
    let future = |mut line: Value| {
        line["timestamp"] = "2099-01-01T00:00:00.000Z".into();
        line
    };
    let transcript = [future(user("1", None, 0, "c1")), future(assistant("2", Some("1"), 1, "C1"))];
    write_transcript(&sandbox, sandbox.home(), A, &transcript);
    ask(&sandbox, "l1", &["-r", A]);
    let lines = fs::read_to_string(theirs(&sandbox, sandbox.home(), A)).unwrap();
    let lines: Vec<Value> =
        lines.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |at: usize| (lines[at]["parentUuid"].clone(), lines[at]["message"]["content"].clone());
    assert_eq!(of(2), ("2".into(), "l1".into()));
    assert_eq!(of(3), (lines[2]["uuid"].clone(), json!([{"type": "text", "text": "re l1"}])));
    assert_eq!((&lines[4]["type"], &lines[4]["leafUuid"]), (&"last-prompt".into(), &lines[3]["uuid"]));
    assert_eq!(lines.len(), 5);
}

#[test]
fn a_pipe_for_a_transcript_is_not_waited_for() {
    let stub = echo();
    let sandbox = local(&stub.url());
    ask(&sandbox, "one", &["--session-id", A]);
    let path = theirs(&sandbox, sandbox.home(), A);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let output = claude(&sandbox, &["two", "-r", A]);
    assert_eq!((output.code(), output.out().as_str()), (0, "re two\n"), "{}", output.err());
    assert!(output.err().contains("Claude Code does not know what the local model has said"), "{}", output.err());
}
