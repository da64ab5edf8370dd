//! Stdin of every kind: Claude gets it byte for byte, and so does the local model in its place.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::support::play::{OVERLOADED, SAID, Stage, act, acts, answered, finish, first_words, refused};
use crate::support::stub::Stub;

/// What the local model was asked last.
fn asked(stub: &Stub) -> String {
    let chats = stub.chats();
    let messages = chats.last().expect("a question").json()["messages"].clone();
    messages.as_array().and_then(|all| all.last()).and_then(|last| last["content"].as_str()).expect("text").into()
}

/// A stage with a long memory, whose Claude reads all and is refused.
fn stage(stub: &Stub) -> Stage {
    let mut stage = Stage::new(stub, &acts(&[&act("read"), &refused()]));
    stage.set("LOCAL_LLM_CONTEXT", "100000000");
    stage
}

fn long_text() -> String {
    (0..500_000).map(|number| format!("{number:09}\n")).collect()
}

#[test]
fn a_long_pipe_arrives_whole_here_and_there() {
    let stub = Stub::answering("from here");
    let (stage, text) = (stage(&stub), long_text());
    stage.cmd("claude").args(&["-p", "hi"]).stdin(&text).run().expect(0, "from here\n", SAID);
    assert!(stage.left("stdin.1") == text);
    assert!(asked(&stub) == format!("hi\n{text}"));
    // The breaker is open: it is read here. Then Claude has to have it.
    stage.cmd("claude").arg("-p").stdin(&text).run().expect(0, "from here\n", SAID);
    assert!(asked(&stub) == text);
    assert_eq!(stage.runs(), 1);
}

#[test]
fn bytes_that_are_no_text_arrive_as_they_are() {
    let stage = Stage::bare();
    stage.play(&acts(&[&act("read"), &answered("fine")]));
    let bytes: Vec<u8> = (0..200_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    stage.cmd("claude").args(&["-p", "hi"]).stdin(&bytes).run().expect(0, "fine\n", "");
    assert!(std::fs::read(stage.path("real/stdin.1")).unwrap() == bytes);
}

#[test]
fn a_slow_pipe_is_waited_for_by_whom_claude_is() {
    let stub = Stub::answering("from here");
    let stage = stage(&stub);
    let mut call = stage.cmd("claude").arg("-p").spawn();
    let mut pipe = call.stdin.take().unwrap();
    for word in ["one ", "two ", "three"] {
        pipe.write_all(word.as_bytes()).unwrap();
        crate::support::until(20, "it has come through", || stage.left("stdin.1").ends_with(word));
    }
    drop(pipe);
    assert_eq!(finish(call), (0, "from here\n".into(), SAID.into()));
    assert_eq!((stage.left("stdin.1").as_str(), asked(&stub).as_str()), ("one two three", "one two three"));
}

#[test]
fn what_holds_nothing_is_nothing() {
    for redirection in ["<&-", "</dev/null"] {
        let stub = Stub::answering("from here");
        let stage = stage(&stub);
        let script = format!("exec claude -p hi {redirection}");
        stage.cmd("/bin/sh").args(&["-c", &script]).stdin("not this").run().expect(0, "from here\n", SAID);
        assert_eq!((stage.left("stdin.1").as_str(), asked(&stub).as_str()), ("", "hi"), "{redirection}");
    }
}

#[test]
fn a_file_is_read_from_where_it_is() {
    let stub = Stub::answering("from here");
    let stage = stage(&stub);
    stage.write("input", "first\nsecond\nthird\n");
    let script = "exec <input; read -r line; exec claude -p hi";
    stage.cmd("/bin/sh").args(&["-c", script]).run().expect(0, "from here\n", SAID);
    assert_eq!((stage.left("stdin.1").as_str(), asked(&stub).as_str()), ("second\nthird\n", "hi\nsecond\nthird\n"));
}

#[test]
fn a_silent_pipe_holds_nobody_up_whom_it_does_not_hold_up_itself() {
    let stub = Stub::answering("from here");
    let stage = Stage::new(&stub, &answered("fine"));
    stage.cmd("claude").args(&["-p", "hi"]).silent_stdin().run().expect(0, "fine\n", "");
    stage.play(&refused());
    stage.cmd("claude").args(&["-p", "hi"]).silent_stdin().run().expect(0, "from here\n", SAID);
    assert_eq!(asked(&stub), "hi");
    stage.assert_nothing_runs();
}

#[test]
fn a_socket_is_a_pipe() {
    let stub = Stub::answering("from here");
    let stage = stage(&stub);
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut cmd = stage.cmd("claude").arg("-p");
    cmd.command().stdin(OwnedFd::from(theirs)).stdout(Stdio::piped()).stderr(Stdio::piped());
    let call = cmd.start();
    drop(cmd);
    ours.write_all(b"through a socket").unwrap();
    drop(ours);
    assert_eq!(finish(call), (0, "from here\n".into(), SAID.into()));
    assert_eq!((stage.left("stdin.1").as_str(), asked(&stub).as_str()), ("through a socket", "through a socket"));
}

#[test]
fn one_who_does_not_read_ends_when_it_ends() {
    let stage = Stage::bare();
    stage.play(&acts(&[&answered("fine"), &act("exit 7")]));
    stage.cmd("claude").args(&["-p", "hi"]).stdin(long_text()).run().expect(7, "fine\n", "");
    // Nor does one who closes it early keep us from what it says.
    stage.play(&acts(&[&act("sh exec 0<&-"), &answered("fine")]));
    stage.cmd("claude").args(&["-p", "hi"]).stdin("a little").run().expect(0, "fine\n", "");
}

/// Should Claude be asked after all, it gets what was read here.
#[test]
fn what_was_read_for_a_local_answer_is_claudes_if_there_is_none() {
    let stub = Stub::raw("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n");
    let stage = stage(&stub);
    stage.open_breaker(false);
    let text = long_text();
    let why = "claude: no local answer: the local server refused: HTTP 500 and no reason; what follows is Claude's\n";
    let output = stage.cmd("claude").args(&["-p", "hi"]).stdin(&text).run();
    output.expect(1, &format!("{OVERLOADED}\n"), why);
    assert!(stage.left("stdin.1") == text);
}

/// One that speaks before it listens is heard before it is fed.
#[test]
fn a_second_try_may_speak_before_it_reads() {
    let mut stage = Stage::bare();
    stage.set("LLM_FAILOVER_POLICY", "wait");
    stage.play_in(1, &acts(&[&act("read"), &refused()]));
    stage.play(&acts(&[&["fill 300000", "say", "read"].map(String::from), &answered("fine")]));
    let text = long_text();
    let mut call = stage.cmd("claude").args(&["-p", "hi"]).spawn();
    let (mut pipe, sent) = (call.stdin.take().unwrap(), text.clone());
    let writer = thread::spawn(move || pipe.write_all(sent.as_bytes()));
    let stdout = call.stdout.take().unwrap();
    let reader = thread::spawn(move || std::io::read_to_string(stdout));
    assert_eq!(first_words(&mut call), "claude: Claude is overloaded; this call waits for it\n");
    stage.open_breaker(true);
    let ended = crate::support::wait(&mut call, Duration::from_secs(20)).is_some();
    writer.join().unwrap().unwrap();
    assert!(ended && stage.left("stdin.2") == text);
    assert!(reader.join().unwrap().unwrap() == format!("{}\nfine\n", "x".repeat(300_000)));
}
