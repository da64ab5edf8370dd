//! What must hold whatever the file about servers says, and whatever a server says of its models.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::local_model::served::{Choice, Served};

/// `servers.json`, in a folder.
pub(crate) fn servers_file(bytes: &[u8], folder: &Path) {
    let memory = ServerMemory { dir: Some(folder.into()), server: "http://127.0.0.1/v1".into() };
    if fs::write(folder.join("servers.json"), bytes).is_err() {
        return;
    }
    let before = memory.read_file();
    memory.add_untaken("tools");
    memory.change_model("m", |model| model.window = Some(4096));
    memory.set_thinks_unopened("m", true);
    assert!(memory.untaken().contains("tools") && memory.thinks_unopened("m") == Some(true));
    assert_eq!(memory.model("m").and_then(|model| model.window), Some(4096));
    let after = memory.read_file();
    assert!(after.servers.len() <= MOST_SERVERS.max(before.servers.len()) + 1);
    let others = |file: MemoryFile| file.servers.into_iter().filter(|server| server.url != memory.server).collect::<Vec<_>>();
    let (before, after) = (others(before), others(after));
    assert!(before.iter().rev().zip(after.iter().rev()).all(|(before, after)| before == after), "what is known of others stays");
}

/// A server's list of models.
pub(crate) fn models(bytes: &[u8]) {
    let Ok(list) = serde_json::from_slice::<Value>(bytes) else { return };
    for program in ["", "BaseHTTP/0.6", "llama.cpp"] {
        let served = Served::read(&mut list.clone(), program);
        let names = served.names();
        assert!(names.iter().all(|name| !name.is_empty() && served.window(name) != Some(0)));
        match served.choose(true) {
            Choice::Model(name) => assert!(names.contains(&name.as_str())),
            Choice::OneOf(several) => assert!(several.len() > 1 && several == names),
            Choice::WhateverIsLoaded => {}
        }
    }
}
