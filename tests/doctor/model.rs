//! The local model, tried: a good one, and one with each fault.

use serde_json::Value;

use super::stub_model::{Fault, Program, model};
use super::{doctor, healthy, lines, without_numbers};
use crate::support::stub::Stub;

const IDS: [&str; 11] =
    ["answers", "speed", "first-turn", "context", "tools", "parallel-tools", "streaming", "leaks", "images", "schema", "memory"];

/// The lines about a local model, without numbers.
fn told(stub: &Stub, settings: &[(&str, &str)]) -> Vec<String> {
    let mut sandbox = healthy();
    sandbox.set("LOCAL_LLM_URL", stub.url());
    for (name, value) in settings {
        sandbox.set(name, value);
    }
    let output = doctor(&sandbox, &[]);
    assert_eq!(output.err(), "");
    assert!(!sandbox.path(".local/state/claude-failover/ledger.jsonl").exists(), "a trial is no call");
    lines(&output, &IDS).iter().map(|line| without_numbers(line)).collect()
}

/// A model without a fault behind llama.cpp.
const GOOD: [&str; 11] = [
    "ok answers `tiny` at http://N:N, after N s at the first call",
    "ok speed reads N and writes N tokens a second; the first word of a plain answer comes after N s",
    "ok first-turn the first word of an agent comes after N s (N tokens of instructions)",
    "ok context N tokens, as the server says; N tokens were read, and the model knows what stood at their front",
    "ok tools called, by the server's parser, each in one piece",
    "ok parallel-tools N calls in one answer, by the server's parser, each in one piece",
    "ok streaming an answer comes word by word, in N pieces",
    "ok leaks no thinking and no markup in the text",
    "ok images seen",
    "ok schema the server holds answers to a JSON schema",
    "ok memory the server takes N GiB; N of N GiB are left",
];

/// What is different of [`GOOD`] with a fault: the lines whose second word is that of a line here.
fn expected(different: &[&str], gone: &[&str]) -> Vec<String> {
    let id = |line: &str| line.split(' ').nth(1).unwrap_or_default().to_string();
    let line = |good: &&str| different.iter().find(|line| id(line) == id(good)).map_or(*good, |line| line).to_string();
    GOOD.iter().filter(|good| !gone.contains(&id(good).as_str())).map(line).collect()
}

#[test]
fn a_good_model_has_nothing_wrong() {
    let stub = model(Program::Llama(65_536), Fault::Nothing);
    assert_eq!(told(&stub, &[]), expected(&[], &[]));
}

#[test]
fn each_fault_has_its_line_with_what_mends_it() {
    use Fault::*;
    let long = Program::Llama(65_536);
    let table: &[(Program, Fault, &[&str], &[&str])] = &[
        (
            Program::Ollama(32_768),
            Truncates(4096),
            &[
                "ok answers `tiny:Nb` at http://N:N, after N s at the first call",
                "problem context N tokens, as the server says; of N tokens N were read and the rest was dropped without a word → \
                 OLLAMA_CONTEXT_LENGTH=N where `ollama serve` runs, or num_ctx N in the model",
            ],
            &[],
        ),
        (
            Program::Ollama(4096),
            Nothing,
            &[
                "ok answers `tiny:Nb` at http://N:N, after N s at the first call",
                "problem context N tokens, as the server says: an agent needs N at least → OLLAMA_CONTEXT_LENGTH=N where `ollama \
                 serve` runs, or num_ctx N in the model",
            ],
            &[],
        ),
        (
            Program::Other,
            TruncatesUncounted(4096),
            &[
                "problem context the server does not say how long it is; of N tokens the first are not known any more, and the server \
               does not count → give the server a context of N tokens (OLLAMA_CONTEXT_LENGTH for Ollama, -c for llama-server)",
            ],
            &[],
        ),
        (
            Program::Other,
            Nothing,
            &[
                "ok context the server does not say how long it is; N tokens were read, and the model knows what stood at their front",
            ],
            &[],
        ),
        (
            long,
            Refuses(6000),
            &[
                "problem context N tokens, as the server says; it refuses a prompt of N tokens: it has N → start llama-server with -c N",
                "ok first-turn the first word of an agent would come, by the speed of reading, after N s (N tokens of instructions)",
            ],
            &[],
        ),
        (
            Program::Llama(12_288),
            Nothing,
            &["warning context N tokens, as the server says: an agent does little in it → start llama-server with -c N"],
            &[],
        ),
        (
            Program::Vllm(4096),
            Nothing,
            &["problem context N tokens, as the server says: an agent needs N at least → start vLLM with --max-model-len N"],
            &[],
        ),
        (
            long,
            Forgets,
            &[
                "warning context N tokens, as the server says; N tokens were read, and the model does not know what stood at their \
               front → set LOCAL_LLM_MODEL to a larger model",
            ],
            &[],
        ),
        (
            long,
            CallsNothing,
            &[
                "problem tools the model calls no tool: agents can only talk → start llama-server with --jinja, and take a model whose \
               template knows tools, such as QwenN-NB-Instruct",
            ],
            &["parallel-tools"],
        ),
        (
            Program::Vllm(65_536),
            RefusesTools,
            &["problem tools the server refuses tools (the local server refused: HTTP N: \"auto\" tool choice requires \
               --enable-auto-tool-choice and --tool-call-parser to be set); agents get them described in words → start vLLM with \
               --enable-auto-tool-choice --tool-call-parser NAME (hermes for QwenN)"],
            &["parallel-tools"],
        ),
        (
            long,
            CallsAsText,
            &[
                "ok tools called, as text, which is read here",
                "ok parallel-tools N calls in one answer, as text, which is read here",
            ],
            &[],
        ),
        (
            long,
            CallsOnce,
            &[
                "warning parallel-tools one call in an answer where two were asked for: work takes more turns → set LOCAL_LLM_MODEL to \
               a model that calls tools, such as QwenN-NB-Instruct",
            ],
            &[],
        ),
        (
            long,
            CallsInPieces,
            &[
                "ok tools called, by the server's parser, streamed in N pieces",
                "ok parallel-tools N calls in one answer, by the server's parser, streamed in N pieces",
            ],
            &[],
        ),
        (
            long,
            Thinks,
            &[
                "warning leaks the server leaves thinking in the text (`<think>`); it is taken out here → start llama-server with \
               --jinja --reasoning-format deepseek",
            ],
            &[],
        ),
        (
            long,
            ThinksUnopened,
            &[
                "warning leaks the server leaves thinking in the text (`</think>`); it is taken out here → start llama-server with \
               --jinja --reasoning-format deepseek",
            ],
            &[],
        ),
        (long, ThinksAside, &["ok leaks the server tells thinking from the text, and no markup leaks"], &[]),
        (
            long,
            LeaksMarkup,
            &[
                "problem leaks `<|end_of_box|>` of the model's template stands in its answers → start llama-server with --jinja, or \
               give it the model's --chat-template-file",
            ],
            &[],
        ),
        (
            long,
            OnePiece,
            &[
                "warning streaming an answer comes in one piece: nobody sees it grow → let LOCAL_LLM_URL answer in a stream, past any \
               proxy that holds it back",
            ],
            &[],
        ),
        (
            long,
            NoImages,
            &[
                "ok images not seen: pictures are told of in words; to have them seen, start llama-server with --mmproj FILE and a model \
               that sees",
            ],
            &[],
        ),
        (
            long,
            BlindToImages,
            &[
                "ok images taken, but not seen: a red one is `I see nothing there.`; to have them seen, start llama-server with --mmproj \
               FILE and a model that sees",
            ],
            &[],
        ),
        (
            long,
            NoSchema,
            &[
                "warning schema passed over: the answer is not of the JSON schema that was given → update the server: `--json-schema` \
               asks again until the answer fits",
            ],
            &[],
        ),
        (
            long,
            RefusesSchema,
            &["warning schema refused: the local server refused: HTTP N: response_format is not supported → update the server: \
               `--json-schema` asks again until the answer fits"],
            &[],
        ),
    ];
    for (program, fault, different, gone) in table {
        let stub = model(*program, *fault);
        assert_eq!(told(&stub, &[]), expected(different, gone), "{program:?} {fault:?}");
    }
}

#[test]
fn a_server_that_does_not_answer_is_told_in_one_line() {
    let table = [
        (
            Fault::Status(404),
            &[][..],
            "problem answers the local server refused: HTTP N: no: → see the server's log; check LOCAL_LLM_URL and LOCAL_LLM_MODEL",
        ),
        (
            Fault::Status(401),
            &[("LOCAL_LLM_API_KEY", "sk-secret")],
            "problem answers the local server refused: HTTP N: no: Bearer … → check LOCAL_LLM_API_KEY",
        ),
        (
            Fault::Silent,
            &[("LLM_START_TIMEOUT", "1"), ("LOCAL_LLM_IDLE_TIMEOUT", "1")],
            "problem answers no answer within N s → a smaller model (LOCAL_LLM_MODEL), or more time: --limit SECONDS",
        ),
    ];
    for (fault, settings, line) in table {
        let stub = model(Program::Other, fault);
        assert_eq!(told(&stub, settings), [line], "{fault:?}");
    }
}

/// The first question may wait for a model to be loaded, but not for an answer without an end.
#[test]
fn an_answer_without_an_end_is_left() {
    let stub = model(Program::Other, Fault::Endless);
    let mut sandbox = healthy();
    sandbox.set("LOCAL_LLM_URL", stub.url());
    let told: Vec<String> = lines(&doctor(&sandbox, &["--limit", "1"]), &IDS).iter().map(|line| without_numbers(line)).collect();
    let line = "problem answers it answers, and has not come to an end within N s → see whether the server keeps to max_tokens, or give it \
                more time: --limit SECONDS";
    assert_eq!(told, [line]);
}

#[test]
fn each_link_of_the_chain_is_tried() {
    let (first, second) = (model(Program::Llama(65_536), Fault::Nothing), model(Program::Llama(65_536), Fault::CallsNothing));
    let mut sandbox = healthy();
    sandbox.set("LOCAL_LLM_URL", first.url());
    sandbox.set("LOCAL_LLM_URL_2", second.url());
    let output = doctor(&sandbox, &["--json"]);
    let told: Value = serde_json::from_str(&output.out()).unwrap();
    let state = |id: &str| told["checks"].as_array().unwrap().iter().find(|check| check["id"] == id).map(|check| &check["state"]);
    assert_eq!(state("tools").unwrap(), "ok");
    assert_eq!(state("tools-2").unwrap(), "problem");
    assert_eq!((output.code(), output.err().as_str()), (1, ""));
}

#[test]
fn a_stated_context_that_the_server_does_not_have_is_a_problem() {
    let stub = model(Program::Llama(16_384), Fault::Nothing);
    let line = "problem context LOCAL_LLM_CONTEXT says N tokens, and the server N → unset LOCAL_LLM_CONTEXT, or start llama-server \
                with -c N";
    assert_eq!(told(&stub, &[("LOCAL_LLM_CONTEXT", "65536")]), expected(&[line], &[]));
}
