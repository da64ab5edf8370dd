//! What we print in `local` position, field by field against what the real Claude Code prints when a model says the
//! same: `scripts/record-golden.py` has recorded it into `tests/golden`.

mod compare;
mod masks;
mod replay;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use compare::{Difference, compare};

/// Cases, what differs in them, and why.
type Meant = (&'static str, &'static str, &'static str);

/// Where we differ from the real CLI and mean it: in which cases, in what (`*` stands for anything in both, and what is
/// ours stands after `=`), and why. What no case needs any more fails the test as well.
const MEANT: &[Meant] = &[
    // Who answers, and what it takes.
    ("*", r#"adds result/*.failover = {"backend":"local","reason":"switch"}"#, "says that the answer is not Claude's"),
    ("*", r#"value system/init.model = "local-model""#, LOCAL_MODEL),
    ("*", r#"value assistant.message.model = "local-model""#, LOCAL_MODEL),
    ("*", r#"value stream_event/message_start.event.message.model = "local-model""#, LOCAL_MODEL),
    ("*", r#"value result/*.canonicalModel = "local-model""#, LOCAL_MODEL),
    ("*", r#"value control_response/*.model = "local-model""#, LOCAL_MODEL),
    ("*", r#"value result/*.[model].provider = "local""#, LOCAL_MODEL),
    ("*", "value result/*.[model].contextWindow = 0", "the stub server does not tell its context"),
    ("*", "value result/*.[model].maxOutputTokens = 800", "what LOCAL_LLM_MAX_TOKENS says"),
    ("*", "value result/*.[model].costUSD = 0", FREE),
    ("*", "value result/*.total_cost_usd = 0", FREE),
    ("*", r#"value system/init.apiKeySource = "none""#, "no key is used"),
    ("*", r#"value control_response/initialize.*.account.apiKeySource = "none""#, "no key is used"),
    ("*", "lacks assistant.request_id", "local servers give requests no ids"),
    ("*", "value assistant.message.usage.output_tokens = *", "all of them; Claude's messages have the count at their beginning"),
    ("*", "value stream_event/message_start.event.message.usage.*_tokens = 0", "local servers count at the end"),
    // What there is not.
    ("*", "length system/init.tools = []", NO_TOOLS),
    ("*", "length system/init.agents = []", NO_TOOLS),
    ("*", "length system/init.plugins = []", NO_TOOLS),
    ("*", "length system/init.skills = []", NO_TOOLS),
    ("*", "length system/init.terminal_slash_commands = []", NO_TOOLS),
    ("*", "lacks system/init.memory_paths.auto", "the local model has no memory of its own"),
    ("*", "lacks system/init.messaging_socket_path", "no other process talks to ours"),
    ("*", "value system/init.per_turn_effort_active = false", NO_EFFORT),
    ("*", "lacks stream_event/message_start.thinking_display", NO_EFFORT),
    ("*-partials", "lacks stream_event/message_start.owed_rows", "an interactive matter"),
    ("*", "lacks result/success.first_request_*_tokens", "counts of Anthropic's cache"),
    ("*", "lacks result/success.request_sent_wall_ms", "a time stamp for Anthropic's own measurements"),
    // Failures.
    ("*api-error*", "lacks *.api_error_type", "local servers do not classify their errors as Anthropic's does"),
    ("*api-error*", r#"value * = "API Error: the local server refused: HTTP 40*: refused""#, OWN_WORDS),
    ("api-error-text", r#"stdout = "API Error: the local server refused: HTTP 400: refused\n""#, OWN_WORDS),
    ("cut-*", r#"value * = "API Error: the local answer was cut short: the stream ended before its end""#, OWN_WORDS),
    ("cut-text", r#"stdout = "API Error: the local answer was cut short: the stream ended before its end\n""#, OWN_WORDS),
    ("cut-*", r#"stderr = "claude: this much of the answer had come:\nHalf an ans\n""#, "nothing of an answer is lost"),
    ("cut-*", "lacks result/success.*.[model]", NOT_COUNTED),
    ("cut-*", "value result/success.usage.*_tokens = 0", NOT_COUNTED),
    // Interrupts.
    ("*", "lacks result/error_during_execution.*.[model]", NOT_COUNTED),
    ("*", "value assistant.message.usage.input_tokens = 0", NOT_COUNTED),
    ("interrupt-then-on", "value result/success.modelUsage.[model].*Tokens = *", NOT_COUNTED),
    ("*", "value stream_event/message_delta.event.usage.output_tokens = 0", NOT_COUNTED),
    ("*", "lacks stream_event/message_delta.event.*", "of an interrupted message nothing is known that its end could tell"),
    // Sessions.
    ("session-*", "value result/success.modelUsage.[model].*Tokens = *", "what earlier calls have taken is not kept"),
    ("resume-at", "value result/success.modelUsage.[model].*Tokens = *", "what earlier calls have taken is not kept"),
    ("resume-at-drops-other", "stderr = *first discarded entry 1 [type=assistant*", "a local session has messages alone"),
    // Commands.
    ("*", "value assistant.local_command_source = *Estimated cost:        $0.0000*", FREE),
    ("*", "value assistant.message.content[].text = *Estimated cost:        $0.0000*", FREE),
    ("*", "value result/success.result = *Estimated cost:        $0.0000*", FREE),
    ("command-compact*", "value system/compact_boundary.compact_metadata.*_tokens = *", OTHER_CONTEXT),
    ("command-compact*", "value result/success.*.[model].*Tokens = *", "the real CLI counts the summary twice"),
    ("command-compact*", "value user.message.content = *Summary:*The gist.*", "the local model gets the summary alone"),
    // The most tokens of an answer: the real CLI asks three times to go on, and fails if that, too, ends so.
    ("max-tokens-*", "exit = 0", LIMIT),
    ("max-tokens-text", r#"stdout = "Too long\n""#, LIMIT),
    ("max-tokens-text", r#"stderr = "claude: warning: the answer ends at its limit *""#, LIMIT),
    ("max-tokens-*", "lacks message *", LIMIT),
    ("max-tokens-*", "adds result/success.*_ms = 0", LIMIT),
    ("max-tokens-*", "lacks result/success.api_error", LIMIT),
    ("max-tokens-*", r#"length result/success.begun_message_ids = ["[msg 1]"]"#, LIMIT),
    ("max-tokens-*", "value result/success.is_error = false", LIMIT),
    ("max-tokens-*", "value result/success.num_turns = 1", LIMIT),
    ("max-tokens-*", r#"value result/success.result = "Too long""#, LIMIT),
    ("max-tokens-*", r#"value result/success.stop_reason = "max_tokens""#, LIMIT),
    ("max-tokens-*", r#"value result/success.terminal_reason = "completed""#, LIMIT),
    ("max-tokens-*", "value result/success.usage.*_tokens = *", LIMIT),
    ("max-tokens-*", "value result/success.*.[model].*Tokens = *", LIMIT),
    // Structures: Claude is given a tool, the local model is asked for text of the form.
    ("*schema*", "value result/success.num_turns = 1", "callers that allow one turn would take more for a failure"),
    ("json-schema-unmet-*", "value result/*.usage.*_tokens = *", "all attempts; the real CLI leaves out the last"),
    ("json-schema-words-partials", "lacks message stream_event/content_block_delta", WHOLE),
    ("json-schema-words-partials", r#"value *.event.delta.text = "Hello from the model.""#, WHOLE),
    ("json-schema-only-words", "exit = 1", NO_STRUCTURE),
    ("json-schema-only-words", "lacks message result/success", NO_STRUCTURE),
    ("json-schema-only-words", "adds message result/error_max_structured_output_retries", NO_STRUCTURE),
    // Control requests.
    ("control-*", "adds control_response/initialize.*_applied = true", "an SDK may end the session without"),
    ("control-*", "value control_response/initialize.*.hook_on_failure_supported = false", "hooks are not called"),
    ("control-initialize-hooks", "lacks control_response/initialize.*.hooks_applied", "hooks are not called"),
    ("control-*", "lacks control_response/initialize.response.pending_permission_requests", NO_TOOLS),
    ("control-*", "lacks control_response/initialize.response.pending_user_dialog_requests", NO_TOOLS),
    ("control-*", "lacks control_response/initialize.response.response.feedback_mode", "nothing is sent to Anthropic"),
    ("control-*", "lacks control_response/initialize.response.response.hooks_when_unanswered_kept", NO_TOOLS),
    ("control-*", "lacks control_response/initialize.response.response.other_hook_ask_outranks_host", NO_TOOLS),
    ("control-*", "lacks control_response/initialize.response.response.ide_rc_auto_enable_gate", NO_REMOTE),
    ("control-*", "lacks control_response/initialize.response.response.remote_control_*", NO_REMOTE),
    ("control-*", "lacks control_response/initialize.response.response.user_output_styles_dir", "there is one output style"),
    ("control-*", "lacks control_response/initialize.response.response.models[].support*", NO_EFFORT),
    ("control-*", "length control_response/initialize.response.response.agents = []", NO_TOOLS),
    ("control-*", "length control_response/initialize.response.response.commands = []", NO_TOOLS),
    ("control-initialize-twice", "lacks message system/background_tasks_changed", NO_TOOLS),
    ("control-get-binary-version", "lacks *.oldestDesktopSdk", "ours is no part of the desktop application"),
    ("control-get-binary-version", "type *.buildTime = null", "a binary does not tell when it was built"),
    ("control-get-settings", "lacks *.applied.launchEnvLeftOwnFilesInPlace", NO_TOOLS),
    ("control-get-settings", "lacks *.applied.outside*", NO_TOOLS),
    ("control-get-settings", "lacks *.applied.ultra*", NO_EFFORT),
    ("control-get-settings", "type *.applied.effort = null", NO_EFFORT),
    ("control-get-settings", "lacks *.served_settings_state", "no settings are served to the local model"),
    ("control-context-usage*", "value control_response/get_context_usage.*okens = *", OTHER_CONTEXT),
    ("control-context-usage*", "value control_response/get_context_usage.*.slashCommands.* = 0", NO_TOOLS),
    ("control-context-usage*", "value control_response/get_context_usage.*.skills.* = 0", NO_TOOLS),
    ("control-context-usage*", "length control_response/get_context_usage.*.skillFrontmatter = []", NO_TOOLS),
    ("control-context-usage*", "value control_response/get_context_usage.*.autoCompactThreshold = 0", OTHER_CONTEXT),
    ("control-context-usage*", "value control_response/get_context_usage.*.isAutoCompactEnabled = false", OTHER_CONTEXT),
    ("control-context-usage*", "length control_response/get_context_usage.*.gridRows = []", "a drawing of all that is not there"),
    ("control-context-usage", "length control_response/get_context_usage.*.attachmentsByType = []", NO_TOOLS),
    ("control-context-usage", "type control_response/get_context_usage.*.apiUsage = null", OTHER_CONTEXT),
];

const LOCAL_MODEL: &str = "the local model";
const FREE: &str = "a local answer costs nothing";
const NO_TOOLS: &str = "the local model has no tools, and nothing that comes with them";
const NO_EFFORT: &str = "the local model has no efforts, modes or thinking to choose from";
const NO_REMOTE: &str = "ours is not controlled from elsewhere";
const OWN_WORDS: &str = "what is wrong with a local server is told in words of our own";
const NOT_COUNTED: &str = "local servers count only the tokens of an answer that is whole; the real CLI guesses";
const LIMIT: &str = "an answer that ends at the limit is an answer; a small model that is told to go on repeats itself";
const WHOLE: &str = "only a whole answer shows whether it is of the form";
const NO_STRUCTURE: &str =
    "who asks for a structure and gets none has failed; the real CLI asks Claude for it once more, and then lets it be";
const OTHER_CONTEXT: &str = "what is sent to the local model is the conversation alone, and it is trimmed, not compacted";

#[test]
fn what_we_print_is_what_the_real_cli_prints() {
    let mut differences = Vec::new();
    for (name, recorded) in cases() {
        differences.extend(compare(&recorded, &replay::replay(&recorded)).into_iter().map(|found| (name.clone(), found)));
    }
    let (unexplained, unneeded) = judge(&differences, MEANT);
    let short = |text: &str| text.chars().take(300).collect::<String>();
    let shown: String = unexplained
        .iter()
        .map(|((what, detail), cases)| format!("{}\n    {}\n    in {}\n", short(what), short(detail), cases.join(" ")))
        .collect();
    assert!(shown.is_empty() && unneeded.is_empty(), "\n{shown}\nno longer needed: {unneeded:#?}");
}

/// A difference's name and detail, with the cases that show it.
type Shown<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a str>>;

/// The differences that no entry explains, and the entries that explain none.
fn judge<'a>(differences: &'a [(String, Difference)], meant: &'a [Meant]) -> (Shown<'a>, Vec<&'a Meant>) {
    let explains = |entry: &Meant, (case, found): &(String, Difference)| matches(entry.0, case) && matches(entry.1, &found.what);
    let mut unexplained = Shown::new();
    for difference in differences.iter().filter(|difference| !meant.iter().any(|entry| explains(entry, difference))) {
        let (case, Difference { what, detail }) = difference;
        unexplained.entry((what, detail)).or_default().push(case);
    }
    let is_unneeded = |entry: &&Meant| !differences.iter().any(|difference| explains(entry, difference));
    (unexplained, meant.iter().filter(is_unneeded).collect())
}

#[test]
fn what_is_not_meant_and_what_is_not_needed_is_found() {
    let found = |case: &str, what: &str| (case.to_string(), Difference { what: what.into(), detail: String::new() });
    let differences = [found("one", "lacks a.b"), found("two", "lacks a.b"), found("two", "value c = 1")];
    let meant: &[Meant] = &[("one", "lacks *.b", ""), ("*", "value c = 2", ""), ("three", "lacks *", "")];
    let (unexplained, unneeded) = judge(&differences, meant);
    assert_eq!(unexplained, Shown::from([(("lacks a.b", ""), vec!["two"]), (("value c = 1", ""), vec!["two"])]));
    assert_eq!(unneeded, [&meant[1], &meant[2]]);
}

/// The recorded cases by name.
fn cases() -> BTreeMap<String, Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let cases = files.filter(|file| file.extension().is_some_and(|extension| extension == "json")).map(|file| {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let case = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, case)
    });
    let cases: BTreeMap<_, _> = cases.collect();
    assert!(!cases.is_empty(), "nothing is recorded in `{}`", folder.display());
    cases
}

/// Whether `text` is `pattern`, in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text
            .strip_prefix(head)
            .is_some_and(|tail| tail.char_indices().map(|(at, _)| at).chain([tail.len()]).any(|at| matches(rest, &tail[at..]))),
    }
}

#[test]
fn a_pattern_stands_for_what_it_says() {
    for (pattern, text) in [("*", ""), ("*", "a"), ("a*", "a"), ("a*c", "abc"), ("*.b*", "a.bc"), ("é*", "é"), ("a", "a")] {
        assert!(matches(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in [("", "a"), ("a", "ab"), ("a*c", "ab"), ("*.b", "a.bc"), ("a*a", "a")] {
        assert!(!matches(pattern, text), "{pattern} {text}");
    }
}

#[test]
fn a_recording_is_like_itself() {
    for (name, case) in cases() {
        let differences = compare(&case, &case);
        assert!(differences.is_empty(), "{name}: {differences:?}");
    }
}

/// A change to a recording, and the differences that it makes.
type Change = (fn(&mut Value), &'static [&'static str]);

#[test]
fn a_recording_that_is_changed_is_not_like_itself() {
    fn removed(list: &mut Value, at: usize) -> Value {
        list.as_array_mut().unwrap().remove(at)
    }
    fn inserted(list: &mut Value, at: usize, value: Value) {
        list.as_array_mut().unwrap().insert(at, value);
    }
    let recorded = cases().remove("answer-partials").unwrap();
    let changes: &[Change] = &[
        (|call| call["exit"] = 1.into(), &["exit = 1"]),
        (|call| call["stderr"] = "x".into(), &[r#"stderr = "x""#]),
        (|call| call["stdout"] = "x".into(), &[r#"stdout = "x""#]),
        (|call| call["unmet"] = "result/success".into(), &["never result/success"]),
        (|call| drop(removed(&mut call["stdout"], 1)), &["lacks message system/status"]),
        (
            |call| {
                let message = call["stdout"][2].clone();
                inserted(&mut call["stdout"], 2, message);
            },
            &["adds message stream_event/message_start"],
        ),
        (
            |call| {
                let message = removed(&mut call["stdout"], 8);
                inserted(&mut call["stdout"], 7, message);
            },
            &["lacks message assistant", "adds message assistant"],
        ),
        (|call| call["stdout"][0]["model"] = "other".into(), &[r#"value system/init.model = "other""#]),
        (|call| call["stdout"][0]["model"] = Value::Null, &["type system/init.model = null"]),
        (|call| call["stdout"][0]["tools"] = Value::Array(vec![]), &["length system/init.tools = []"]),
        (|call| call["stdout"][0]["tools"] = vec!["A", "B", "C"].into(), &[]),
        (|call| call["stdout"][0]["tools"] = vec![1].into(), &["type system/init.tools[] = 1"]),
        (|call| call["stdout"][0]["mcp_servers"] = vec![1].into(), &["length system/init.mcp_servers = [1]"]),
        (|call| call["stdout"][0]["plugins"][0]["new"] = 1.into(), &["adds system/init.plugins[].new = 1"]),
        (
            |call| drop(call["stdout"][11]["usage"].as_object_mut().unwrap().remove("speed")),
            &["lacks result/success.usage.speed"],
        ),
        (
            |call| call["stdout"][7]["message"]["content"][0]["text"] = "x".into(),
            &[r#"value assistant.message.content[].text = "x""#],
        ),
        (
            |call| call["stdout"][4]["event"]["delta"]["text"] = "x".into(),
            &[r#"value stream_event/content_block_delta.event.delta.text = "x""#],
        ),
        (
            |call| {
                let usage = call["stdout"][11]["modelUsage"].as_object_mut().unwrap();
                let (_, mut of_model) = usage.clone().into_iter().next().unwrap();
                of_model["costUSD"] = 0.into();
                usage.clear();
                usage.insert("another-model".into(), of_model);
            },
            &["value result/success.modelUsage.[model].costUSD = 0"],
        ),
        (
            |call| {
                let fields = call["stdout"][11].as_object_mut().unwrap();
                let kind = fields.shift_remove("type").unwrap();
                fields.insert("type".into(), kind);
            },
            &["order result/success"],
        ),
    ];
    for (change, expected) in changes {
        let mut changed = recorded.clone();
        change(&mut changed["calls"][0]);
        let seen: Vec<String> = compare(&recorded, &changed).into_iter().map(|difference| difference.what).collect();
        assert_eq!(seen, *expected);
    }
}
