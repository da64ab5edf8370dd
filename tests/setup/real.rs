//! Real engines that a setup has made ready: from the hub's stand-in to an answer.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::real_engines::tiny_mlx_model;
use crate::setup::engine;
use crate::setup::home::Home;
use crate::support::deps;
use crate::support::hub::{self, Play};

/// An environment that is there already: what pip cannot update stays as it is.
fn give_engine(home: &mut Home, name: &str) {
    let engine = home.path(".local/share/claude-failover/engine");
    fs::create_dir_all(&engine).unwrap();
    for part in ["bin", "lib", "pyvenv.cfg"] {
        symlink(deps().join(name).join(part), engine.join(part)).unwrap();
    }
    home.set("PIP_NO_INDEX", "1");
    home.set("LOCAL_LLM_MAX_TOKENS", "12");
    let launchd = home.path("launchd");
    fs::create_dir(&launchd).unwrap();
    home.set("LAUNCHD_DIR", launchd);
}

#[test]
fn llama_cpp_answers_with_the_model_of_a_package() {
    let (mut home, _, port) = engine::home("no-bus");
    fs::remove_file(home.path("tools/llama-server")).unwrap();
    give_engine(&mut home, "llama");
    let output = home.setup(&["--engine", "llama", "--model", "smollm2", "--port", &port.to_string()]);
    assert_eq!(output.code(), 0, "{output:?}");
    assert!(output.out().contains("\nthe local model says: "), "{output:?}");
    assert!(output.err().starts_with("updating llama.cpp (xllamacpp)\nupdating SmolLM2\n"), "{output:?}");
}

#[test]
fn mlx_lm_and_the_real_hub_library_find_what_was_downloaded() {
    let (mut home, _, port) = engine::home("no-bus");
    give_engine(&mut home, "mlx");
    let files = fs::read_dir(tiny_mlx_model()).unwrap().flatten();
    let files = files.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect();
    let hub = hub::begin(Play { files, large: vec!["model.safetensors".into()], ..Play::default() });
    home.set("HF_ENDPOINT", &hub.endpoint);
    let output = home.setup(&["--engine", "mlx", "--model", "org/name", "--port", &port.to_string()]);
    assert_eq!(output.code(), 0, "{output:?}");
    assert!(output.out().contains("\nthe local model says: "), "{output:?}");
    assert!(home.config().contains("LOCAL_LLM_MODEL=org/name\n"), "{}", home.config());

    let script = "import huggingface_hub as hub, pathlib\n\
        folder = pathlib.Path(hub.snapshot_download('org/name', local_files_only=True))\n\
        file = pathlib.Path(hub.hf_hub_download('org/name', 'config.json', local_files_only=True))\n\
        cache = hub.scan_cache_dir()\n\
        repo, = cache.repos\n\
        print(folder.name, file.parent == folder, repo.repo_id, sorted(repo.refs), len(cache.warnings), repo.nb_files)";
    let seen = Command::new(deps().join("mlx/bin/python")).args(["-c", script]).env_clear().env("HOME", home.home()).output();
    let seen = seen.unwrap();
    let expected = format!("{} True org/name ['main'] 0 {}\n", hub::COMMIT, count(tiny_mlx_model()));
    assert_eq!((String::from_utf8_lossy(&seen.stdout).into_owned(), seen.status.code()), (expected, Some(0)), "{seen:?}");
}

fn count(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}
