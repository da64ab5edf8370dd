use std::process::Command;

use super::*;
use crate::settings::Setting;

fn prepared(kind: EngineKind, words: &[&str]) -> Prepared {
    let command = words.iter().map(|word| (*word).to_string()).collect();
    Prepared { kind, command, model_name: "org/a&b<c>".into(), hub_cache: "/h&m/a b/hub".into() }
}

/// With everything that means something to somebody.
const ODD: &str = "/a b/it's \"x\" $HOME %h \\n & <y>/python";

#[test]
fn every_word_of_a_template_is_filled_whatever_it_contains() {
    let values = [("A", "@B@ and @C@".to_string()), ("B", "\\1 &".to_string())];
    for (template, expected) in [
        ("@A@", "@B@ and @C@"),
        ("x@A@y@B@z", "x@B@ and @C@y\\1 &z"),
        ("the @WORDS@ and @A@", "the @WORDS@ and @B@ and @C@"),
        ("a@b.example @B@", "a@b.example \\1 &"),
        ("@", "@"),
        ("@@A@@", "@@B@ and @C@@"),
        ("", ""),
    ] {
        assert_eq!(fill(template, &values), expected, "{template}");
    }
}

#[test]
fn a_property_list_has_its_values() {
    let text = agent(Path::new("/home/<me>"), &prepared(EngineKind::Mlx, &[ODD]), "com.local.x", 9420, "/log & more");
    for line in [
        "<string>com.local.x</string>",
        "<string>/a b/it's \"x\" $HOME %h \\n &amp; &lt;y&gt;/python</string>",
        "<string>org/a&amp;b&lt;c&gt;</string>",
        "<string>9420</string>",
        "<string>/h&amp;m/a b/hub</string>",
        "<string>/home/&lt;me&gt;</string>",
        "<string>/log &amp; more</string>",
    ] {
        assert!(text.lines().any(|its| its.trim() == line), "{line}: {text}");
    }
    // The words of the property list are those of the command.
    let words = crate::setup::engine::mlx_command("@PYTHON@", "@MODEL@");
    let array = AGENT.split("<array>").nth(1).and_then(|rest| rest.split("</array>").next()).unwrap();
    let strings: Vec<_> = array.split("<string>").skip(1).filter_map(|rest| rest.split("</string>").next()).collect();
    let without_port: Vec<_> = strings.iter().filter(|word| **word != "--port" && **word != "@PORT@").collect();
    assert_eq!(without_port, words.iter().collect::<Vec<_>>());
}

#[test]
fn a_unit_has_its_values() {
    // By a word that stands alone in quotes: the tests look for readers of the environment.
    let command = |words: &str| ["ExecStart=/usr/bin/", "env", " ", words].concat();
    let text = unit(&prepared(EngineKind::Llama, &[ODD, "--model", "a.gguf"]), "com.local.x", 9421, "/log 100%");
    for line in [
        &command("\"/a b/it's \\\"x\\\" $$HOME %%h \\\\n & <y>/python\" --model a.gguf --port 9421"),
        "Environment=\"HF_HUB_CACHE=/h&m/a b/hub\"",
        "StandardOutput=append:/log 100%%",
        "# For instant failover, with the model always in memory: systemctl --user enable --now com.local.x",
    ] {
        assert!(text.lines().any(|its| its == line), "{line}: {text}");
    }
}

#[test]
fn a_command_means_the_same_to_a_shell() {
    let words = [ODD, "--model", "x y", "", "'", "$(touch /x)"];
    let script = child_command(Path::new("/home/me"), &prepared(EngineKind::Llama, &words));
    let program = script.replacen("exec ", "printf '%s\\n' ", 1);
    let output = Command::new("/bin/sh").args(["-c", &program]).env(Setting::Port.name(), "9420").output().unwrap();
    let expected: String = words.iter().chain(&["--port", "9420"]).map(|word| format!("{word}\n")).collect();
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{script}");

    let mlx = |hub: &str| {
        let prepared = Prepared { hub_cache: hub.into(), ..prepared(EngineKind::Mlx, &["/v/python"]) };
        child_command(Path::new("/home/me"), &prepared)
    };
    assert_eq!(mlx("/home/me/.cache/huggingface/hub"), "exec /v/python --port \"$LLM_PORT\"");
    assert_eq!(mlx("/big/hub"), ["exec", "env", "'HF_HUB_CACHE=/big/hub' /v/python --port \"$LLM_PORT\""].join(" "));
}
