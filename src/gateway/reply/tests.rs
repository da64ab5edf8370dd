use serde_json::json;

use super::*;

use crate::gateway::request;

/// Writes down what it is given; texts and thoughts that follow each other are one.
#[derive(Debug, Default, PartialEq)]
struct Notes(Vec<Piece>);

impl Sink for Notes {
    fn piece(&mut self, piece: Piece) {
        match (self.0.last_mut(), piece) {
            (Some(Piece::Text(text)), Piece::Text(more)) | (Some(Piece::Thinking(text)), Piece::Thinking(more)) => {
                text.push_str(&more)
            }
            (_, piece) => self.0.push(piece),
        }
    }

    fn end(&mut self, _: End) {}
}

fn asked(more: &Value) -> MessagesRequest {
    let mut request = json!({
        "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}], "stop_sequences": ["###", "\nHuman:"], "thinking": {"type": "adaptive"},
        "tools": [{"name": "Bash", "input_schema": {"properties": {"command": {"type": "string"}}}},
                  {"name": "Read", "input_schema": {"properties": {"file_path": {"type": "string"}}}}],
    });
    let (Some(request_map), Some(more)) = (request.as_object_mut(), more.as_object()) else { panic!("{more}") };
    request_map.extend(more.clone());
    request::read(request.to_string().into()).unwrap()
}

/// What comes of a stream that is cut there.
fn read(asked: &MessagesRequest, stream: &[u8], cuts: &[usize]) -> (Notes, ReplyEnd) {
    let mut notes = Notes::default();
    let mut reading = Reply::new(asked, None);
    let mut from = 0;
    for to in cuts.iter().copied().chain([stream.len()]) {
        if reading.wants_more() {
            reading.push(&stream[from..to], &mut notes);
        }
        from = to;
    }
    let outcome = reading.end(None, &mut notes);
    (notes, outcome)
}

/// Numbers that look like chance: xorshift.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

fn event(delta: &Value) -> String {
    format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]}))
}

fn end(reason: &str) -> String {
    let choice = json!({"index": 0, "delta": {}, "finish_reason": reason});
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 4});
    format!("data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", json!({"choices": [choice]}), json!({"choices": [], "usage": usage}))
}

fn texts(text: &str, step: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(step).map(|chars| event(&json!({"content": chars.iter().collect::<String>()}))).collect()
}

fn call(index: u64, name: Option<&str>, arguments: &str) -> String {
    let id = name.map(|_| "c");
    event(&json!({"tool_calls": [{"index": index, "id": id, "function": {"name": name, "arguments": arguments}}]}))
}

const TEXTS: [&str; 12] = [
    "It is é 🦀 so.",
    "<think>\nHm.\n</think>\n\nIt is.",
    "one###two",
    "one ## two\nHuman",
    "I look.\n<tool_call>\n{\"name\": \"Bash\", \"arguments\": {\"command\": \"a\nb\"}}\n</tool_call>",
    "<tool_call><function=Bash><parameter=command>ls</parameter></function></tool_call> done",
    "[TOOL_CALLS]Bash[ARGS]{\"command\": \"ls\"}",
    "[TOOL_CALLS][{\"name\": \"Bash\", \"arguments\": {}}, {\"name\": \"Read\", \"arguments\": {\"file_path\": \"###\"}}]",
    "<|python_tag|>{\"name\": \"Bash\", \"parameters\": {\"command\": \"ls\"}}",
    "```json\n{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}\n```",
    "<tool_call>Bash\n<arg_key>command</arg_key>\n<arg_value>ls</arg_value>\n</tool_call>",
    "a <tool_call> b ### c",
];

fn corpus() -> Vec<String> {
    let thinking = event(&json!({"reasoning": "Hm."})) + &event(&json!({"reasoning_content": "Yes."}));
    let calls = [call(0, Some("Bash"), "{\"command\":"), call(1, Some("Read"), "{}"), call(0, None, "\"ls\"}")].concat();
    let written = TEXTS.iter().flat_map(|text| [1, 3, 1000].map(|step| texts(text, step) + &end("stop")));
    let more = [
        thinking.clone() + &texts("It is.", 2) + &end("stop"),
        thinking + &calls + &end("tool_calls"),
        String::from("I look.") + &calls + &end("length"),
        String::from(": keepalive 1/2\n\n") + &texts("a b", 1).replace('\n', "\r\n") + &end("stop"),
    ];
    written.chain(more).collect()
}

/// Failures cannot be compared.
fn debug(outcome: &(Notes, ReplyEnd)) -> String {
    format!("{outcome:?}")
}

/// A reason goes with what there is.
fn check((Notes(pieces), outcome): &(Notes, ReplyEnd), stream: &str) {
    let has_calls = pieces.iter().any(|piece| matches!(piece, Piece::Call { .. }));
    let is_empty = |piece: &Piece| matches!(piece, Piece::Text(text) | Piece::Thinking(text) if text.is_empty());
    assert!(!pieces.iter().any(is_empty), "{pieces:?} of {stream}");
    for piece in pieces {
        if let Piece::Call { name, arguments } = piece {
            let arguments: Value = serde_json::from_str(arguments).unwrap();
            assert!(arguments.is_object() && !name.is_empty(), "{pieces:?} of {stream}");
        }
    }
    match outcome {
        ReplyEnd::Ended(end, _) => {
            assert_eq!(end.reason == "tool_use", has_calls, "{pieces:?} {outcome:?} of {stream}");
            assert_eq!(end.reason == "stop_sequence", end.sequence.is_some(), "{outcome:?} of {stream}");
        }
        _ => assert!(!has_calls, "a call of an answer that failed: {pieces:?} {outcome:?} of {stream}"),
    }
}

#[test]
fn however_a_stream_is_cut_the_answer_is_the_same() {
    let mut dice = Dice(0x0123_4567_89ab_cdef);
    let requests =
        [json!({}), json!({"tool_choice": {"type": "none"}}), json!({"tools": [], "thinking": null, "stop_sequences": []})];
    let requests = requests.map(|more| asked(&more));
    for stream in corpus() {
        for asked in &requests {
            let whole = read(asked, stream.as_bytes(), &[]);
            check(&whole, &stream);
            for _ in 0..30 {
                let mut cuts: Vec<usize> = (0..dice.below(6)).map(|_| dice.below(stream.len())).collect();
                cuts.sort_unstable();
                assert_eq!(debug(&read(asked, stream.as_bytes(), &cuts)), debug(&whole), "{stream} cut at {cuts:?}");
            }
        }
    }
}

#[test]
fn a_broken_stream_is_an_error_or_an_answer() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let asked = asked(&json!({}));
    let corpus = corpus();
    let odd: [&[u8]; 12] =
        [b"\0", b"\xff", b"\"", b"}", b"\n\n", b"\r", b"\\ud83d", b"null", b"1e999", b"data: [DONE]\n\n", b"<tool_call>", b"###"];
    let mut counts = [0, 0];
    for _ in 0..8_000 {
        let mut bytes = corpus[dice.below(corpus.len())].clone().into_bytes();
        for _ in 0..=dice.below(4) {
            let at = dice.below(bytes.len());
            let to = (at + dice.below(60)).min(bytes.len());
            match dice.below(5) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..to)),
                2 => drop(bytes.splice(at..at, bytes[at..to].to_vec())),
                3 if at < bytes.len() => bytes[at] = dice.below(256) as u8,
                _ => drop(bytes.splice(at..at, odd[dice.below(odd.len())].to_vec())),
            }
        }
        let shown = String::from_utf8_lossy(&bytes);
        let whole = read(&asked, &bytes, &[]);
        check(&whole, &shown);
        let cut = dice.below(bytes.len());
        assert_eq!(debug(&read(&asked, &bytes, &[cut])), debug(&whole), "{shown} cut at {cut}");
        let mut notes = Notes::default();
        let mut reading = Reply::new(&asked, None);
        reading.push_whole(&bytes, &mut notes);
        let outcome = reading.end(None, &mut notes);
        check(&(notes, outcome), &shown);
        counts[usize::from(matches!(whole.1, ReplyEnd::Ended(..)))] += 1;
    }
    assert!(counts.iter().all(|count| *count > 500), "{counts:?}");
}

/// Models that have lost their way repeat themselves up to the limit. Reading that takes no longer than writing it.
#[test]
fn endless_repetition_is_read_to_its_end() {
    let asked = asked(&json!({}));
    for text in [
        "<tool_call>{",
        "<tool_call>{\"a\":[",
        "<function=Bash>",
        "[TOOL_CALLS]{",
        "<think>",
        "<",
        "#",
        "{\"name\":",
        "```json\n",
        "<|python_tag|>{",
    ] {
        let stream = texts(&text.repeat((64 << 10) / text.len()), 64) + &end("stop");
        read(&asked, stream.as_bytes(), &[]);
    }
}
