use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use super::*;

fn memory(dir: &Path, server: &str) -> ServerMemory {
    ServerMemory { dir: Some(dir.join("state")), server: server.into() }
}

fn window(tokens: u32) -> KnownModel {
    KnownModel { is_asked: true, window: Some(tokens), ..KnownModel::default() }
}

fn set(memory: &ServerMemory, name: &str, model: KnownModel) {
    memory.change_model(name, |known| known.clone_from(&model));
}

#[test]
fn each_server_and_model_is_kept_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (memory(folder.path(), "http://one"), memory(folder.path(), "http://two"));
    set(&one, "qwen", window(4096));
    set(&one, "", window(8192));
    set(&two, "qwen", window(2048));
    two.add_untaken("tool_choice");
    assert_eq!([one.model("qwen"), one.model(""), two.model("qwen")], [4096, 8192, 2048].map(|size| Some(window(size))));
    assert_eq!((one.untaken().len(), two.untaken()), (0, BTreeSet::from(["tool_choice".to_string()])));
    one.change_model("qwen", |known| known.is_told = true);
    assert_eq!(one.model("qwen"), Some(KnownModel { is_told: true, ..window(4096) }));
    one.set_thinks_unopened("qwen", true);
    one.forget_model("qwen");
    assert_eq!((one.thinks_unopened("qwen"), one.thinks_unopened("")), (Some(true), None));
    assert_eq!([one.model("qwen"), one.model(""), two.model("qwen")], [None, Some(window(8192)), Some(window(2048))]);
    two.forget_models();
    assert_eq!((two.model("qwen"), two.untaken().len()), (None, 1));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let state = folder.path().join("state");
    assert_eq!((mode(&state), mode(&state.join("servers.json"))), (0o700, 0o600));
}

#[test]
fn nothing_is_written_where_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let memory = memory(folder.path(), "http://one");
    memory.forget_model("qwen");
    memory.change_model("qwen", |_| {});
    assert!(!folder.path().join("state").exists());
    set(&memory, "qwen", window(4096));
    memory.add_untaken("tool_choice");
    let file = folder.path().join("state/servers.json");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    set(&memory, "qwen", window(4096));
    memory.add_untaken("tool_choice");
    memory.forget_model("llama");
    // A file that is written is a new one.
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn many_writers_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        for writer in 0..16 {
            let memory = memory(folder.path(), &format!("http://{}", writer % 4));
            scope.spawn(move || set(&memory, &writer.to_string(), window(writer)));
        }
    });
    for writer in 0..16 {
        let memory = memory(folder.path(), &format!("http://{}", writer % 4));
        assert_eq!(memory.model(&writer.to_string()), Some(window(writer)));
    }
}

#[test]
fn what_is_old_or_torn_counts_as_none() {
    let folder = tempfile::tempdir().unwrap();
    let memory = memory(folder.path(), "http://one");
    let file = folder.path().join("state/servers.json");
    set(&memory, "qwen", window(4096));
    let whole = fs::read_to_string(&file).unwrap();
    for text in ["", "{", "[]", "null", r#"{"servers":[{"models":[]}]}"#, r#"{"servers":7}"#, &whole[..whole.len() - 3]] {
        fs::write(&file, text).unwrap();
        assert_eq!(memory.model("qwen"), None, "{text}");
    }
    let at = |time: Timestamp| {
        let since = time.to_string();
        let text = format!(
            r#"{{"servers":[{{"url":"http://one","later":1,"untaken":{{"t":"{since}"}},"models":{{"qwen":{{"since":"{since}","window":7,"later":2}}}}}}]}}"#
        );
        fs::write(&file, text).unwrap();
        (memory.model("qwen").and_then(|known| known.window), memory.untaken().len())
    };
    let now = Timestamp::now();
    assert_eq!(at(now - SignedDuration::from_hours(23)), (Some(7), 1));
    assert_eq!(at(now - SignedDuration::from_hours(25)), (None, 0));
    assert_eq!(at(now + SignedDuration::from_hours(1)), (None, 0));
    set(&memory, "qwen", window(4096));
    assert_eq!(memory.model("qwen"), Some(window(4096)));
}

#[test]
fn no_pipe_is_waited_for_and_no_huge_file_read() {
    for name in ["servers.json", "servers.lock"] {
        let folder = tempfile::tempdir().unwrap();
        let memory = memory(folder.path(), "http://one");
        let path = folder.path().join("state").join(name);
        fs::create_dir(folder.path().join("state")).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(memory.model("qwen"), None, "{name}");
        set(&memory, "qwen", window(4096));
        let is_kept = name == "servers.json";
        assert_eq!(memory.model("qwen"), is_kept.then(|| window(4096)), "{name}");
    }
    let folder = tempfile::tempdir().unwrap();
    let memory = memory(folder.path(), "http://one");
    let file = folder.path().join("state/servers.json");
    set(&memory, "qwen", window(4096));
    let whole = fs::read_to_string(&file).unwrap();
    let with_length = |length: u64| fs::write(&file, whole.clone() + &" ".repeat(length as usize - whole.len())).unwrap();
    with_length(MOST_BYTES);
    assert_eq!(memory.model("qwen"), Some(window(4096)));
    with_length(MOST_BYTES + 1);
    assert_eq!(memory.model("qwen"), None);
}

#[test]
fn the_file_stays_small() {
    let folder = tempfile::tempdir().unwrap();
    let server = |number: usize| memory(folder.path(), &format!("http://{number}"));
    for number in 0..40 {
        server(number).add_untaken("tools");
    }
    server(8).add_untaken("tool_choice");
    server(40).add_untaken("tools");
    let known = |number: usize| server(number).untaken().len();
    assert_eq!([known(7), known(8), known(9), known(10), known(40)], [0, 2, 0, 1, 1]);
    for model in 0..70 {
        set(&server(1), &model.to_string(), window(model));
    }
    assert_eq!((server(1).model("3"), server(1).model("69")), (None, Some(window(69))));
}
