use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::context::fuzzing::with_settings;

fn hub(path: &str, file: Option<&str>) -> Source {
    Source::Hub { repo: path.into(), file: file.map(str::to_string) }
}

#[test]
fn a_model_is_a_name_on_the_hub_a_path_or_none() {
    let context = with_settings(b"");
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    for name in ["empty", "model"] {
        fs::create_dir(at(name)).unwrap();
    }
    for name in ["model/config.json", "a.gguf", "a.txt"] {
        fs::write(at(name), "{}").unwrap();
    }
    let mlx = [
        ("mlx-community/Qwen2.5-7B-Instruct-4bit", Ok(hub("mlx-community/Qwen2.5-7B-Instruct-4bit", None))),
        (&at("model"), Ok(Source::Path(at("model").into()))),
        (&at("empty"), Err(format!("there is no config.json in `{}`: no model for mlx-lm", at("empty")))),
        ("qwen", Err("no such model: `qwen` is neither a folder nor ORG/NAME of the hub".into())),
        ("a/b/c", Err("no such model: `a/b/c` is neither a folder nor ORG/NAME of the hub".into())),
        ("../no-such-model", Err("no such model: `../no-such-model` is neither a folder nor ORG/NAME of the hub".into())),
        ("a/", Err("no such model: `a/` is neither a folder nor ORG/NAME of the hub".into())),
        ("a/b c", Err("no such model: `a/b c` is neither a folder nor ORG/NAME of the hub".into())),
        ("smollm2", Err("no such model: `smollm2` is neither a folder nor ORG/NAME of the hub".into())),
    ];
    for (model, expected) in mlx {
        assert_eq!(mlx::source(&context, model).map_err(|error| error.to_string()), expected, "{model}");
    }
    let neither =
        |model: &str| Err(format!("no such model: `{model}` is neither smollm2, nor a file, nor ORG/NAME/FILE.gguf of the hub"));
    let llama = [
        ("smollm2", Ok(Source::Package)),
        ("org/name/file.gguf", Ok(hub("org/name", Some("file.gguf")))),
        (&at("a.gguf"), Ok(Source::Path(at("a.gguf").into()))),
        (&at("a.txt"), Err(format!("`{}` is no GGUF file", at("a.txt")))),
        (&at("empty"), Err(format!("`{}` is no GGUF file", at("empty")))),
        ("org/name", neither("org/name")),
        ("org/name/file.bin", neither("org/name/file.bin")),
        ("a/b/c/d.gguf", neither("a/b/c/d.gguf")),
        ("/not/there.gguf", neither("/not/there.gguf")),
    ];
    for (model, expected) in llama {
        assert_eq!(llama::source(&context, model).map_err(|error| error.to_string()), expected, "{model}");
    }
}

#[test]
fn a_llama_server_uses_the_models_own_template_if_it_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = folder.path().join("llama-server");
    for (help, expected) in [("--jinja  use jinja template", true), ("--host HOST", false)] {
        fs::write(&server, format!("#!/bin/sh\necho '{help}'\n")).unwrap();
        fs::set_permissions(&server, fs::Permissions::from_mode(0o755)).unwrap();
        let command = llama::installed_command(&server, Path::new("/a b.gguf"));
        assert_eq!(command[1..7], ["-m", "/a b.gguf", "--host", "127.0.0.1", "-c", "32768"], "{help}");
        assert_eq!(command.get(7).map(String::as_str), expected.then_some("--jinja"), "{help}");
    }
}

#[test]
fn what_is_to_come_is_one_line_each() {
    let download = |is_estimate, expected: Option<u64>| Download {
        what: "org/name".into(),
        bytes: 4_300_000_000,
        is_estimate,
        expected: expected.map(Duration::from_secs),
    };
    assert_eq!(&*download(true, None).line(), "org/name (about 4.3 GB)");
    assert_eq!(&*download(false, Some(400)).line(), "org/name (4.3 GB, 7 min)");
}

#[test]
fn memory_is_too_little_or_nearly_so() {
    for (gib, problems, warnings) in [(16, 0, 0), (6, 0, 1), (4, 1, 0)] {
        let machine = Machine { memory: Some(gib << 30), ..Machine::default() };
        let mut check = Check::default();
        check::memory(&mut check, "org/name", 5_000_000_000, &machine);
        assert_eq!((check.problems.len(), check.warnings.len()), (problems, warnings), "{gib}");
    }
    let machine = Machine { memory: Some(4 << 30), ..Machine::default() };
    let mut check = Check::default();
    check::memory(&mut check, "org/name", 5_000_000_000, &machine);
    assert_eq!(&*check.problems[0].what, "`org/name` takes about 5.0 GB of memory, and this machine has 4.3 GB");
}
