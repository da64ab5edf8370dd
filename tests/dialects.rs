//! Answers as each family of models writes them when its server leaves its marks in the text, split at every character:
//! whatever comes of one in two pieces comes of it in any two.

use std::io::{BufRead, BufReader, Write};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::local;
use crate::support::stub::{Stub, end, piece, sse};
use crate::support::wait;

/// How a family writes what it thinks, what it says, and a call of `Bash`.
#[derive(Debug)]
pub struct Dialect {
    pub name: &'static str,
    /// `{T}` stands for the thinking, and `{S}` for what follows it. Empty: all of the answer are calls.
    answer: &'static str,
    /// What follows is a call of `Bash`: `{C}` stands for the command.
    call: &'static str,
}

/// What the models think: marks are among it that are not theirs.
pub const THOUGHT: &str = "Is 1 < 2? Ünd `[x]`.";

/// What they say to the user.
pub const SAID: &str = "Grüße: a < b, [c] <|d.";

pub const DIALECTS: &[Dialect] = &[
    Dialect {
        name: "Hermes",
        answer: "<think>{T}</think>\n\n{S}",
        call: "<tool_call>\n{\"name\": \"Bash\", \"arguments\": {\"command\": \"{C}\"}}\n</tool_call>",
    },
    Dialect {
        name: "Qwen 3 Coder",
        answer: "{S}",
        call: "<tool_call>\n<function=Bash>\n<parameter=command>\n{C}\n</parameter>\n</function>\n</tool_call>",
    },
    Dialect {
        name: "GLM",
        answer: "<think>{T}</think>{S}",
        call: "<tool_call>Bash\n<arg_key>command</arg_key>\n<arg_value>{C}</arg_value>\n</tool_call>",
    },
    Dialect { name: "Magistral", answer: "[THINK]{T}[/THINK]{S}", call: "[TOOL_CALLS]Bash[ARGS]{\"command\": \"{C}\"}" },
    Dialect {
        name: "Llama 3",
        answer: "{S}",
        call: "<|python_tag|>{\"name\": \"Bash\", \"parameters\": {\"command\": \"{C}\"}}<|eom_id|>",
    },
    Dialect {
        name: "gpt-oss",
        answer: "<|channel|>analysis<|message|>{T}<|end|><|start|>assistant<|channel|>final<|message|>{S}<|return|>",
        call: "<|end|><|start|>assistant<|channel|>commentary to=functions.Bash <|constrain|>json<|message|>{\"command\":\"{C}\"}<|call|>",
    },
    Dialect {
        name: "gpt-oss without its marks",
        answer: "analysis{T}assistantfinal{S}",
        call: "assistantcommentary to=functions.Bash json{\"command\":\"{C}\"}",
    },
    Dialect {
        name: "Gemma 4",
        answer: "<|channel>thought\n{T}<channel|>{S}",
        call: "<|tool_call>call:Bash{command:<|\"|>{C}<|\"|>}<tool_call|>",
    },
    Dialect {
        name: "DeepSeek R1",
        answer: "<think>\n{T}\n</think>\n\n{S}",
        call: "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>Bash\n```json\n{\"command\": \"{C}\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    },
    Dialect {
        name: "DeepSeek V3.1",
        answer: "<think>{T}</think>{S}",
        call: "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>Bash<｜tool▁sep｜>{\"command\": \"{C}\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    },
    Dialect {
        name: "DeepSeek V3.2",
        answer: "<think>{T}</think>{S}",
        call: "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"Bash\">\n<｜DSML｜parameter name=\"command\" string=\"true\">{C}</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
    },
    Dialect {
        name: "MiniMax M1",
        answer: "<think>{T}</think>{S}",
        call: "<tool_calls>\n{\"name\": \"Bash\", \"arguments\": {\"command\": \"{C}\"}}\n</tool_calls>",
    },
    Dialect {
        name: "MiniMax M2",
        answer: "<think>\n{T}\n</think>\n\n{S}",
        call: "<minimax:tool_call>\n<invoke name=\"Bash\">\n<parameter name=\"command\">{C}</parameter>\n</invoke>\n</minimax:tool_call>",
    },
    Dialect {
        name: "Kimi",
        answer: "◁think▷{T}◁/think▷{S}",
        call: "<|tool_calls_section_begin|><|tool_call_begin|>functions.Bash:0<|tool_call_argument_begin|>{\"command\": \"{C}\"}<|tool_call_end|><|tool_calls_section_end|>",
    },
    Dialect {
        name: "Granite",
        answer: "Here is my thought process:\n{T}\nHere is my response:\n{S}",
        call: "<|tool_call|>[{\"name\": \"Bash\", \"arguments\": {\"command\": \"{C}\"}}]<|end_of_text|>",
    },
    Dialect {
        name: "Command R",
        answer: "<|START_THINKING|>{T}<|END_THINKING|><|START_RESPONSE|>{S}<|END_RESPONSE|>",
        call: "<|START_ACTION|>[\n{\"tool_call_id\": \"0\", \"tool_name\": \"Bash\", \"parameters\": {\"command\": \"{C}\"}}\n]<|END_ACTION|>",
    },
    Dialect {
        name: "Seed-OSS",
        answer: "<seed:think>{T}</seed:think>{S}",
        call: "<seed:tool_call>\n<function=Bash>\n<parameter=command>{C}</parameter>\n</function>\n</seed:tool_call>",
    },
    Dialect { name: "LFM2", answer: "{S}", call: "<|tool_call_start|>[Bash(command=\"{C}\")]<|tool_call_end|>" },
    Dialect { name: "Gemma 3", answer: "", call: "```tool_code\nprint(default_api.Bash(command=\"{C}\"))\n```" },
    Dialect { name: "Llama 4", answer: "", call: "[Bash(command=\"{C}\")]<|eot_id|>" },
    Dialect { name: "Phi 4", answer: "", call: "functools[{\"name\": \"Bash\", \"arguments\": {\"command\": \"{C}\"}}]" },
    Dialect {
        name: "Nemotron",
        answer: "<think>{T}</think>{S}",
        call: "<TOOLCALL>[{\"name\": \"Bash\", \"arguments\": {\"command\": \"{C}\"}}]</TOOLCALL>",
    },
];

impl Dialect {
    pub fn thinks(&self) -> bool {
        self.answer.contains("{T}")
    }

    /// What it says before it calls.
    pub fn before(&self) -> &'static str {
        if self.answer.is_empty() { "" } else { "I look.\n" }
    }

    /// An answer that ends with text.
    fn says(&self) -> String {
        self.answer.replace("{T}", THOUGHT).replace("{S}", SAID)
    }

    /// An answer that ends with a call.
    pub fn calls(&self, command: &str) -> String {
        // The text before a call has no end of its own, and gpt-oss writes it in another channel.
        let answer =
            self.answer.trim_end_matches("<|return|>").trim_end_matches("<|END_RESPONSE|>").replace("final", "commentary");
        answer.replace("{T}", THOUGHT).replace("{S}", self.before()) + &self.call(command)
    }

    /// The call alone.
    pub fn call(&self, command: &str) -> String {
        self.call.replace("{C}", command)
    }
}

/// The streams that give an answer in two pieces, each character being the first of the second once, and in single ones.
pub fn streams(answer: &str) -> Vec<String> {
    let places = (0..answer.len()).filter(|at| answer.is_char_boundary(*at));
    let in_two = places.map(|at| piece(&answer[..at]) + &piece(&answer[at..]) + &end("stop"));
    let single: String = answer.chars().map(|c| piece(&c.to_string())).collect();
    in_two.chain([single + &end("stop")]).collect()
}

/// One session in which the server gives each of the streams to a question.
fn plain_answers(streams: Vec<String>) -> Vec<Value> {
    let count = streams.len();
    let left = Mutex::new(streams.into_iter());
    let stub = Stub::new(move |request, stream| {
        let next = if request.is_chat() { left.lock().unwrap().next() } else { None };
        let _ = stream.write_all(sse(&next.unwrap_or_default()).as_bytes());
    });
    let sandbox = local(&stub.url());
    sandbox.answers_plainly(&stub.url(), "");
    let args = ["-p", "--verbose", "--input-format=stream-json", "--output-format=stream-json"];
    let mut child = sandbox.cmd("claude").args(&args).spawn();
    let mut questions = child.stdin.take().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut results =
        lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap()).filter(|line| line["type"] == "result");
    // What is asked before the last answer has come is one question with the next.
    let answer = |_| {
        writeln!(questions, "{}", json!({"type": "user", "message": {"role": "user", "content": "?"}})).unwrap();
        results.next().expect("a result")
    };
    let answers = (0..count).map(answer).collect();
    drop(questions);
    assert!(wait(&mut child, Duration::from_secs(30)).is_some_and(|status| status.success()));
    answers
}

#[test]
fn thinking_is_kept_out_of_the_plain_answer() {
    std::thread::scope(|scope| {
        for dialect in DIALECTS.iter().filter(|dialect| dialect.thinks()) {
            scope.spawn(move || {
                let streams = streams(&dialect.says());
                for (answer, stream) in plain_answers(streams.clone()).iter().zip(&streams) {
                    assert_eq!(answer["result"], SAID, "{}: {stream}", dialect.name);
                }
            });
        }
    });
}
