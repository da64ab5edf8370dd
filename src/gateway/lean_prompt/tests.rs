use super::*;

fn tool(name: &str) -> Tool {
    Tool { name: name.into(), description: String::new(), schema: json!({}) }
}

/// As 2.1.330 words it, in short.
const TOLD: &str = "# Environment\nYou have been invoked in the following environment: \n - Primary working directory: /w\n - Is a git \
repository: true\n - Platform: linux\n - Shell: bash\n - OS Version: Linux 6\n\nYou are powered by the model tiny.\n\nThe following \
deferred tools are now available via ToolSearch. Call it.\nCronCreate\nWebFetch\n\nAvailable agent types for the Agent tool:\n- \
Explore: Reads. Much more is to be said of what it does and of what it does not do, and when to ask it.\n- Plan: Plans.\n\nWhen you launch \
multiple agents, do it at once.\n\nThe following skills are available for use with the Skill tool:\n\n- init: Begins.\n- loop: Runs \
again.\nTRIGGER always\n\nToday's date is 2026-11-26.";

#[test]
fn reminders_keep_facts_and_what_belongs_to_the_tools() {
    let facts = "Primary working directory: /w\nIs a git repository: true\nPlatform: linux\nShell: bash";
    let date = "Today's date is 2026-11-26.";
    let deferred = "The following deferred tools are now available via ToolSearch. Call it.\nCronCreate\nWebFetch";
    let agents = "Available agent types for the Agent tool:\n- Explore: Reads.\n- Plan: Plans.";
    let skills = "The following skills are available for use with the Skill tool:\n\n- init: Begins.\n- loop: Runs again.";
    let attribution =
        "Attribution for git commits and pull requests you create from here on (this replaces all):\n- End with:\nX";
    let users = "Codebase and user instructions are shown below.\n\n# Environment\nBe kind.";
    let table: [(&str, &[&str], String); 6] = [
        (TOLD, &["Bash"], format!("{facts}\n\n{date}")),
        (TOLD, &["Agent", "ToolSearch", "Skill"], format!("{facts}\n\n{deferred}\n\n{agents}\n\n{skills}\n\n{date}")),
        (attribution, &[], "Attribution for git commits and pull requests you create from here on:\n- End with:\nX".into()),
        (users, &[], users.into()),
        ("Something new.\n\n- a list", &[], "Something new.\n\n- a list".into()),
        ("You are powered by the model tiny.", &[], String::new()),
    ];
    for (text, tools, expected) in table {
        let tools: Vec<Tool> = tools.iter().copied().map(tool).collect();
        assert_eq!(reminder(text, &tools, 1000), expected);
    }
}

#[test]
fn the_users_instructions_take_a_share_at_most() {
    let long = format!("# claudeMd\n{}", "Be kind to whales.\n".repeat(100));
    assert_eq!(reminder(&long, &[], 1000), long.trim());
    let short = reminder(&long, &[], 100);
    assert!(short.starts_with("# claudeMd\nBe kind to whales.\nBe kind") && short.ends_with("does not fit the model's context]"));
    assert!(tokens(&short) < 120, "{short}");
}

#[test]
fn messages_lose_no_word_of_the_user() {
    let span = |text: &str| format!("<system-reminder>\n{text}\n</system-reminder>");
    let powered = span("You are powered by the model tiny.");
    let kept = span("Be kind.");
    let result = || json!({"role": "tool", "tool_call_id": "1", "content": "made"});
    let user = |text: &str| json!({"role": "user", "content": text});
    let table = [
        (vec![user("do it")], vec![user("do it")]),
        (vec![user(&format!("{powered}\n{kept}\ndo it"))], vec![user(&format!("{kept}\ndo it"))]),
        (vec![user("go"), result(), user(&powered)], vec![user("go"), result()]),
        // There must be something to answer.
        (vec![user(&powered)], vec![user(&powered)]),
        (vec![user("an open <system-reminder>\n is text")], vec![user("an open <system-reminder>\n is text")]),
        (vec![user("<system-reminder>\n</system-reminder> odd")], vec![user(" odd")]),
        (
            vec![
                json!({"role": "user", "content": [{"type": "text", "text": format!("{powered} look")}, {"type": "image_url"}]}),
            ],
            vec![json!({"role": "user", "content": [{"type": "text", "text": " look"}, {"type": "image_url"}]})],
        ),
    ];
    for (mut messages, expected) in table {
        shorten_reminders(&mut messages, &[], &[], 1000);
        assert_eq!(messages, expected);
    }
    let mut messages = vec![user("do it")];
    shorten_reminders(&mut messages, &["You are powered by x.".into(), "Platform: linux".into()], &[], 1000);
    assert_eq!(messages, [user(&format!("{}\n\ndo it", span("Platform: linux")))]);
}

#[test]
fn the_short_system_prompt_keeps_what_is_the_users() {
    let identity = "You are Claude Code, Anthropic's official CLI for Claude.".to_string();
    let main = format!(
        "\nYou are an interactive agent that helps users.\n{}\n# Output Style: Pirate\nArr.\n\n# Tone\nDry.\n - Working directory: /w\n\
         gitStatus: a snapshot\nCurrent branch: main\n",
        "Rules. ".repeat(900)
    );
    let short = system(&[identity.clone(), main], "Appended.", 100);
    assert_eq!(
        short,
        format!(
            "{INSTRUCTIONS}\n\n# Output Style: Pirate\nArr.\n\nWorking directory: /w\n\ngitStatus: a snapshot\nCurrent branch: \
             main\n\nAppended."
        )
    );
    let own = "You are a reviewer.\nLook at each line.\n".to_string() + &"More.\n".repeat(500);
    let short = system(&[identity, own.clone()], "", 100);
    let begins = format!("{INSTRUCTIONS}\n\nYou are a reviewer.\nLook at each line.\nMore.\n");
    assert!(short.starts_with(&begins) && short.ends_with("[what follows does not fit the model's context]"), "{short}");
    assert!(tokens(&short) < tokens(INSTRUCTIONS) + 130);
    // A program of another kind is not told that it is Claude Code.
    let short = system_of_others(&[own + "\nPlatform: linux\n", format!("{NOTE} `x`.")], "Appended.");
    assert!(
        short.ends_with("what you did.\n\nPlatform: linux\n\nTools that are not available here: `x`.\n\nAppended."),
        "{short}"
    );
    assert!(!short.contains("Claude Code"));
}
