#!/usr/bin/env python3
"""Records what the real Claude Code prints, into tests/golden: a file a case, for tests/golden.rs to compare with ours.

usage: record-golden.py [CASE...]       all cases, or those named
It runs the CLI that scripts/test-deps.sh has installed, each case in an empty home against a fake Messages API on
loopback. What differs from run to run is replaced (see `Masks`), so that recording twice gives the same files.
"""

import concurrent.futures
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLI = ROOT / "target/test-deps/claude/node_modules/.bin/claude"
GOLDEN = ROOT / "tests/golden"

LIMIT = 120  # seconds, for a process and for each thing awaited
GRACE = 1.0  # seconds, for the CLI to read what the API has sent, where nothing shows that it has


# What the model says. A case has a list of these, one for each question; the last is for all questions that follow.

HELLO = {"text": ["Hello ", "from ", "the model."], "stop": "end_turn"}
AGAIN = {"text": ["And ", "again."], "stop": "end_turn"}
SEPARATORS = {"text": ["ä \u2028 ", "\u2029 \U0001f600 \"\\ \u007f\t</script>"], "stop": "end_turn"}
NEWLINE = {"text": ["A line\n"], "stop": "end_turn"}
LONG = {"text": ["Too ", "long"], "stop": "max_tokens"}
CUT = {"text": ["Half an ", "ans"], "then": "cut"}
HOLD = {"text": ["The beginning"], "then": "hold"}
SUMMARY = {"text": ["<analysis>thoughts</analysis>\n", "<summary>What was said.</summary>"], "stop": "end_turn"}
REFUSED = {"status": 400, "message": "refused"}
FORBIDDEN = {"status": 403, "message": "refused"}
FITTING = {"structured": {"answer": "forty two", "n": 42}}
UNFIT = {"structured": {"answer": 42}}

SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["answer", "n"],
    "additionalProperties": False,
}

ID = "11111111-1111-4111-8111-111111111111"
OTHER_ID = "22222222-2222-4222-8222-222222222222"
UNKNOWN_ID = "33333333-3333-4333-8333-333333333333"

JSON = ["--output-format", "json"]
STREAM = ["--output-format", "stream-json", "--verbose"]
PARTIALS = [*STREAM, "--include-partial-messages"]
FORMATS = {"text": [], "json": JSON, "json-verbose": [*JSON, "--verbose"], "stream-json": STREAM, "partials": PARTIALS}
INPUT = ["-p", "--input-format", "stream-json", *STREAM]
INPUT_PARTIALS = ["-p", "--input-format", "stream-json", *PARTIALS]
WITH_SCHEMA = ["--json-schema", json.dumps(SCHEMA)]
REPLAY = [*INPUT, "--replay-user-messages"]


def step(args, stdin=None):
    """A call. `stdin` is nothing, text, or a list of what is sent and awaited in turn, after which it is closed."""
    return {"args": args, "stdin": stdin}


def user(content, **fields):
    """A user's message."""
    message = {"role": "user", "content": content}
    return {"send": {"type": "user", "message": message, "parent_tool_use_id": None, "session_id": "", **fields}}


def line(text):
    """A line as it is, without its newline."""
    return {"send": text}


def control(subtype, **fields):
    """A control request; its id is its subtype, by which the answer is named."""
    request = {"subtype": subtype, **fields}
    return {"send": {"type": "control_request", "request_id": subtype, "request": request}}


def wait_for(kind):
    """Waits for a message of this kind (see `kind_of`) after the one that was awaited before, or for the model to have
    said what it says (`model`)."""
    return {"await": kind}


def asked(subtype, **fields):
    """A control request and the wait for its answer."""
    return [control(subtype, **fields), wait_for(f"control_response/{subtype}")]


def cases():
    """Name, what the model says, calls."""
    yield from in_all_formats()
    yield from stream_input()
    yield from control_requests()
    yield from sessions()
    yield from commands()
    yield from origins()
    yield from resumed_at()
    yield from start_errors()


def in_all_formats():
    for name, args in FORMATS.items():
        yield f"answer-{name}", [HELLO], [step(["-p", "hi", *args])]
        yield f"api-error-{name}", [REFUSED], [step(["-p", "hi", *args])]
        yield f"cut-{name}", [CUT], [step(["-p", "hi", *args])]
        yield f"json-schema-{name}", [FITTING, HELLO], [step(["-p", "hi", *args, *WITH_SCHEMA])]
        yield f"json-schema-retried-{name}", [UNFIT, FITTING, HELLO], [step(["-p", "hi", *args, *WITH_SCHEMA])]
        yield f"json-schema-words-{name}", [HELLO, FITTING], [step(["-p", "hi", *args, *WITH_SCHEMA])]
        yield f"json-schema-unmet-{name}", [UNFIT], [step(["-p", "hi", *args, *WITH_SCHEMA])]
        yield f"max-tokens-{name}", [LONG], [step(["-p", "hi", *args])]
        yield f"newline-{name}", [NEWLINE], [step(["-p", "hi", *args])]
        yield f"resume-unknown-{name}", [HELLO], [step(["-p", "hi", *args, "--resume", ID])]
        yield f"separators-{name}", [SEPARATORS], [step(["-p", "hi", *args])]
    yield "json-schema-only-words", [HELLO], [step(["-p", "hi", *JSON, *WITH_SCHEMA])]
    yield "answer-max-turns", [HELLO], [step(["-p", "hi", *STREAM, "--max-turns", "1"])]
    yield "json-schema-max-turns", [FITTING, HELLO], [step(["-p", "hi", *JSON, *WITH_SCHEMA, "--max-turns", "1"])]


def stream_input():
    text = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    yield "input-one", [HELLO], [step(INPUT, [user("one")])]
    yield "input-blocks", [HELLO], [step(INPUT, [user(text)])]
    yield "input-one-partials", [HELLO], [step(INPUT_PARTIALS, [user("one")])]
    yield "input-stays-open", [HELLO], [step(INPUT, [user("one"), wait_for("result/success")])]
    yield "input-turns", [HELLO, AGAIN], [step(INPUT, [user("one"), wait_for("result/success"), user("two")])]
    yield "input-turns-partials", [HELLO, AGAIN], [step(INPUT_PARTIALS, [user("one"), wait_for("result/success"), user("two")])]
    yield "input-prompt-ignored", [HELLO], [step([*INPUT, "ignored"], [user("one")])]
    yield "input-without-query", [HELLO], [step(INPUT, [user("one", shouldQuery=False), wait_for("result/success"), user("two")])]
    other = [line(""), line("  "), line('{"type":"keep_alive"}'), line('{"type":"of_the_future"}')]
    other.append(line('{"type":"update_environment_variables","variables":{"A":"b"}}'))
    yield "input-other-lines", [HELLO], [step(INPUT, [*other, user("one")])]
    yield "input-no-last-newline", [HELLO], [step(INPUT, json.dumps(user("one")["send"]))]
    yield "input-empty", [HELLO], [step(INPUT, [])]
    yield "input-not-json", [HELLO], [step(INPUT, [line("{not json at all")])]
    yield "input-wrong-role", [HELLO], [step(INPUT, [line('{"type":"user","message":{"role":"assistant","content":"x"}}')])]
    yield "input-api-error", [FORBIDDEN, HELLO], [step(INPUT, [user("one"), wait_for("result/success"), user("two")])]
    yield "input-api-error-last", [HELLO, REFUSED], [step(INPUT, [user("one"), wait_for("result/success"), user("two")])]
    yield "input-json-schema", [FITTING, HELLO], [step([*INPUT, *WITH_SCHEMA], [user("one")])]
    yield "replay", [HELLO], [step(REPLAY, [user("one")])]
    yield "replay-uuid", [HELLO], [step(REPLAY, [user("one", uuid=ID)])]
    yield "replay-blocks", [HELLO], [step(REPLAY, [user(text, uuid=ID)])]
    yield "replay-turns", [HELLO, AGAIN], [step(REPLAY, [user("one", uuid=ID), wait_for("result/success"), user("two")])]
    yield "replay-partials", [HELLO], [step([*REPLAY, "--include-partial-messages"], [user("one", uuid=ID)])]
    shown = wait_for("stream_event/content_block_delta")
    interrupt = asked("interrupt")
    ended = wait_for("result/error_during_execution")
    yield "interrupt-partials", [HOLD], [step(INPUT_PARTIALS, [user("one"), shown, *interrupt, ended])]
    yield "interrupt", [HOLD], [step(INPUT, [user("one"), wait_for("model"), *interrupt, ended])]
    yield "interrupt-replay", [HOLD], [step(REPLAY, [user("one", uuid=ID), wait_for("model"), *interrupt, ended])]
    yield "interrupt-then-on", [HOLD, HELLO], [step(INPUT, [user("one"), wait_for("model"), *interrupt, ended, user("two")])]
    yield "interrupt-idle", [HELLO], [step(INPUT, asked("interrupt"))]
    yield "interrupt-idle-then-on", [HELLO], [step(INPUT, [*asked("interrupt"), user("one"), wait_for("result/success"), *asked("interrupt")])]


def control_requests():
    yield "control-initialize", [HELLO], [step(INPUT, [*asked("initialize", hooks=None), user("one")])]
    yield "control-initialize-twice", [HELLO], [step(INPUT, [*asked("initialize"), *asked("initialize")])]
    prompts = {"systemPrompt": ["Be brief."], "appendSystemPrompt": "Be kind."}
    yield "control-initialize-prompts", [HELLO], [step(INPUT, [*asked("initialize", **prompts), user("one")])]
    yield "control-initialize-schema", [FITTING, HELLO], [step(INPUT, [*asked("initialize", jsonSchema=SCHEMA), user("one")])]
    hooks = {"Stop": [{"matcher": None, "hookCallbackIds": ["hook_0"]}]}
    yield "control-initialize-hooks", [HELLO], [step(INPUT, asked("initialize", hooks=hooks))]
    yield "control-set-model", [HELLO], [step(INPUT, [*asked("set_model", model="haiku"), user("one")])]
    yield "control-set-model-default", [HELLO], [step(INPUT, asked("set_model"))]
    yield "control-set-permission-mode", [HELLO], [step(INPUT, [*asked("set_permission_mode", mode="acceptEdits"), user("one")])]
    yield "control-set-permission-mode-bad", [HELLO], [step(INPUT, asked("set_permission_mode", mode="zzz"))]
    yield "control-context-usage", [HELLO], [step(INPUT, [user("one"), wait_for("result/success"), *asked("get_context_usage")])]
    yield "control-context-usage-first", [HELLO], [step(INPUT, asked("get_context_usage"))]
    simple = {
        "mcp_status": {},
        "mcp_set_servers": {"servers": {}},
        "mcp_reconnect": {"serverName": "x"},
        "mcp_toggle": {"serverName": "x", "enabled": False},
        "set_max_thinking_tokens": {"max_thinking_tokens": 1000},
        "apply_flag_settings": {"settings": {}},
        "rename_session": {"title": "a title"},
        "get_settings": {},
        "get_binary_version": {},
        "generate_session_title": {"description": "a title", "persist": False},
        "stop_task": {"task_id": "x"},
        "cancel_async_message": {"message_uuid": ID},
        "rewind_files": {"user_message_id": ID},
        "end_session": {},
        "bogus": {},
    }
    for subtype, fields in simple.items():
        yield f"control-{subtype.replace('_', '-')}", [HELLO], [step(INPUT, asked(subtype, **fields))]
    yield "control-mid-answer", [HOLD], [
        step(INPUT_PARTIALS, [user("one"), wait_for("stream_event/content_block_delta"), *asked("mcp_status"), *asked("interrupt")])
    ]


def sessions():
    first = step(["-p", "one", *JSON, "--session-id", ID])
    yield "session-id", [HELLO], [step(["-p", "one", *STREAM, "--session-id", ID])]
    yield "session-id-in-use", [HELLO], [first, step(["-p", "two", *JSON, "--session-id", ID])]
    yield "session-id-upper-case", [HELLO], [step(["-p", "one", *JSON, "--session-id", "ABCDEFAB-1111-4111-8111-ABCDEFABCDEF"])]
    yield "session-resume", [HELLO, AGAIN], [first, step(["-p", "two", *STREAM, "--resume", ID])]
    yield "session-resume-text", [HELLO, AGAIN], [first, step(["-p", "two", "-r", ID])]
    yield "session-resume-partials", [HELLO, AGAIN], [first, step(["-p", "two", *PARTIALS, f"--resume={ID}"])]
    yield "session-resume-input", [HELLO, AGAIN], [first, step([*INPUT, "--resume", ID], [user("two")])]
    yield "session-resume-replay", [HELLO, AGAIN], [first, step([*REPLAY, "--resume", ID], [user("two", uuid=OTHER_ID)])]
    yield "session-continue", [HELLO, AGAIN], [step(["-p", "one", *JSON]), step(["-p", "two", *JSON, "--continue"])]
    yield "session-continue-none", [HELLO], [step(["-p", "one", *JSON, "-c"])]
    yield "session-fork", [HELLO, AGAIN], [first, step(["-p", "two", *JSON, "--resume", ID, "--fork-session"])]
    yield "session-fork-id", [HELLO, AGAIN], [
        first,
        step(["-p", "two", *JSON, "--resume", ID, "--fork-session", "--session-id", OTHER_ID]),
        step(["-p", "three", *JSON, "--resume", OTHER_ID]),
    ]
    yield "session-continue-fork", [HELLO, AGAIN], [first, step(["-p", "two", *JSON, "-c", "--fork-session"])]
    yield "session-not-kept", [HELLO], [
        step(["-p", "one", *JSON, "--session-id", ID, "--no-session-persistence"]),
        step(["-p", "two", *JSON, "--resume", ID]),
    ]
    yield "session-resume-unknown-fork", [HELLO], [step(["-p", "two", *STREAM, "--resume", ID, "--fork-session"])]
    yield "session-resume-unknown-input", [HELLO], [step([*INPUT, "--resume", ID], [user("two")])]
    yield "session-resume-without-prompt", [HELLO], [first, step(["-p", "--resume", ID])]


def commands():
    done = wait_for("result/success")
    turns = [user("one"), done, user("/clear", uuid=ID), done, user("two")]
    yield "command-clear", [HELLO, AGAIN], [step(INPUT, turns)]
    yield "command-clear-partials", [HELLO, AGAIN], [step(INPUT_PARTIALS, turns)]
    yield "command-clear-replay", [HELLO, AGAIN], [step(REPLAY, turns)]
    yield "command-clear-first", [HELLO], [step(INPUT, [user("/clear"), done, user("one")])]
    yield "command-clear-words", [HELLO], [step(INPUT, [user("one"), done, user("/new and words")])]
    yield "command-compact", [HELLO, SUMMARY, AGAIN], [step(INPUT, [user("one"), done, user("/compact"), done, user("two")])]
    yield "command-compact-first", [HELLO], [step(INPUT, [user("/compact"), done, user("one")])]
    disabled = [*INPUT, "--disable-slash-commands"]
    yield "command-disabled", [HELLO], [step(disabled, [user("/clear"), done, user("/cost"), done, user("/compact")])]
    for name in ("text", "json", "stream-json"):
        yield f"command-clear-{name}", [HELLO], [step(["-p", "/clear", *FORMATS[name]])]
        yield f"command-cost-{name}", [HELLO], [step(["-p", "/cost", *FORMATS[name]])]


def origins():
    done = wait_for("result/success")
    human = {"origin": {"kind": "human", "more": 1}}
    yield "origin", [HELLO, AGAIN], [step(INPUT, [user("one", **human), done, user("two")])]
    yield "origin-replay", [HELLO, AGAIN], [step(REPLAY, [user("one", uuid=ID, **human), done, user("two", uuid=OTHER_ID)])]
    yield "origin-command", [HELLO], [step(INPUT, [user("/clear", **human)])]
    yield "origin-other", [HELLO], [step(INPUT, [user("one", origin={"kind": "task-notification"})])]


def resumed_at():
    done = wait_for("result/success")
    # The second prompt has a known id.
    two = step([*INPUT, "--session-id", ID], [user("one"), done, user("two", uuid=OTHER_ID), done])
    at = ["--resume", ID, "--resume-session-at"]
    unfit = [*at, OTHER_ID, "--resume-drops-turn", OTHER_ID]
    last = step(["-p", "four", *JSON, "--resume", ID])
    yield "resumed-at", [HELLO, AGAIN, HELLO], [two, step(["-p", "three", *STREAM, *at, OTHER_ID]), last]
    yield "resumed-at-fork", [HELLO, AGAIN, HELLO], [two, step(["-p", "three", *JSON, *at, OTHER_ID, "--fork-session"]), last]
    for name in ("text", "json", "stream-json"):
        yield f"resumed-at-unknown-{name}", [HELLO, AGAIN], [two, step(["-p", "three", *FORMATS[name], *at, UNKNOWN_ID])]
        yield f"resumed-at-unfit-{name}", [HELLO, AGAIN], [two, step(["-p", "three", *FORMATS[name], *unfit])]
        alone = ["-p", "three", *FORMATS[name], "--resume", ID, "--resume-drops-turn", OTHER_ID]
        yield f"resumed-at-nothing-{name}", [HELLO, AGAIN], [two, step(alone)]
    no_id = step(["-p", "three", *STREAM, *at, OTHER_ID, "--resume-drops-turn", "nonsense"])
    yield "resumed-at-no-id", [HELLO, AGAIN], [two, no_id]


def start_errors():
    table = {
        "no-prompt": ["-p"],
        "no-prompt-json": ["-p", *JSON],
        "no-prompt-stream-json": ["-p", *STREAM],
        "blank-prompt": ["-p", " \n"],
        "blank-prompt-json": ["-p", " ", *JSON],
        "stream-json-not-verbose": ["-p", "hi", "--output-format", "stream-json"],
        "output-format-unknown": ["-p", "hi", "--output-format", "xml"],
        "output-format-missing": ["-p", "hi", "--output-format"],
        "output-format-empty": ["-p", "hi", "--output-format="],
        "input-format-unknown": ["-p", "hi", "--input-format", "xml"],
        "input-to-text": ["-p", "--input-format", "stream-json"],
        "input-to-json": ["-p", "--input-format", "stream-json", *JSON],
        "input-not-verbose": ["-p", "--input-format", "stream-json", "--output-format", "stream-json"],
        "partials-text": ["-p", "hi", "--include-partial-messages"],
        "partials-json": ["-p", "hi", *JSON, "--include-partial-messages"],
        "replay-text": ["-p", "hi", "--replay-user-messages"],
        "replay-text-input": ["-p", "hi", *STREAM, "--replay-user-messages"],
        "prompt-suggestions-json": ["-p", "hi", *JSON, "--prompt-suggestions"],
        "session-id-bad": ["-p", "hi", "--session-id", "notauuid"],
        "session-id-resume": ["-p", "hi", "--session-id", ID, "--resume", OTHER_ID],
        "session-id-continue": ["-p", "hi", "--session-id", ID, "--continue"],
        "resume-title": ["-p", "hi", "--resume", "foo"],
        "resume-title-json": ["-p", "hi", *JSON, "--resume", "foo"],
        "resume-title-stream-json": ["-p", "hi", *STREAM, "--resume", "foo"],
        "resume-nothing": ["-p", "--resume"],
        "resume-nothing-stream-json": ["-p", *STREAM, "hi", "--resume"],
        "resume-not-verbose": ["-p", "hi", "--output-format", "stream-json", "--resume", ID],
        "resume-unknown-no-prompt": ["-p", "--resume", ID],
        "resume-session-at-alone": ["-p", "hi", "--resume-session-at", ID],
        "continue-no-prompt": ["-p", "--continue"],
        "json-schema-open": ["-p", "hi", "--json-schema", "{nope"],
        "json-schema-word": ["-p", "hi", "--json-schema", "nope"],
        "json-schema-unclosed": ["-p", "hi", "--json-schema", '{"type":"object"'],
        "json-schema-comma": ["-p", "hi", "--json-schema", '{"type":"object",}'],
        "json-schema-file": ["-p", "hi", "--json-schema", "/nonexistent.json"],
        "json-schema-array": ["-p", "hi", "--json-schema", "[]"],
        "json-schema-null": ["-p", "hi", "--json-schema", "null"],
        "json-schema-bad-type": ["-p", "hi", "--json-schema", '{"type":"zzz"}'],
        "json-schema-bad-type-stream-json": ["-p", "hi", *STREAM, "--json-schema", '{"type":"zzz"}'],
        "json-schema-bad-ref": ["-p", "hi", "--json-schema", '{"$ref":"#/definitions/none"}'],
        "json-schema-bad-required": ["-p", "hi", "--json-schema", '{"type":"object","required":"a"}'],
        "json-schema-before-no-prompt": ["-p", "--json-schema", "[]"],
    }
    for name, args in table.items():
        yield f"error-{name}", [HELLO], [step(args)]


# The fake Messages API.


class Api(http.server.ThreadingHTTPServer):
    """Says what it is told to, on a port of its own."""

    daemon_threads = True

    def __init__(self, replies):
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies = replies
        self.questions = 0
        self.said = threading.Semaphore(0)
        self.ends = threading.Event()
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def next_reply(self):
        with self.lock:
            self.questions += 1
            return self.questions, self.replies[min(self.questions, len(self.replies)) - 1]

    def close(self):
        self.ends.set()
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.send_json(200, None)

    def do_GET(self):
        self.send_json(404, {})

    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        if "count_tokens" in self.path:
            return self.send_json(200, {"input_tokens": 10})
        if not self.path.startswith("/v1/messages"):
            return self.send_json(404, {})
        number, reply = self.server.next_reply()
        try:
            self.answer(question, number, reply)
        except OSError:
            pass  # the CLI has what it wants
        return None

    def answer(self, question, number, reply):
        if "status" in reply:
            error = {"type": "invalid_request_error", "message": reply["message"]}
            return self.send_json(reply["status"], {"type": "error", "error": error})
        if not question.get("stream"):
            # What broke off is asked for again, in one piece: it breaks off again.
            self.close_connection = True
            return None
        usage = {"input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}
        message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": question["model"], "content": []}
        message |= {"stop_reason": None, "stop_sequence": None, "usage": {**usage, "service_tier": "standard"}}
        if "structured" in reply:
            block = {"type": "tool_use", "id": f"toolu_{number}", "name": "StructuredOutput", "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": compact(reply["structured"])}]
            stop = "tool_use"
        else:
            block = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in reply["text"]]
            stop = reply.get("stop")
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("request-id", f"req_{number}")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        events = [event("message_start", message=message), event("content_block_start", index=0, content_block=block)]
        events += [event("content_block_delta", index=0, delta=delta) for delta in deltas]
        if "then" not in reply:
            events.append(event("content_block_stop", index=0))
            delta = {"stop_reason": stop, "stop_sequence": None}
            events.append(event("message_delta", delta=delta, usage={"output_tokens": 7}))
            events.append(event("message_stop"))
        # At once: the CLI runs a tool while the rest of the message is still to come, and what it counts depends on which
        # is sooner.
        self.wfile.write(b"".join(events))
        self.wfile.flush()
        self.server.said.release()
        while reply.get("then") == "hold" and not self.server.ends.wait(0.1):
            self.wfile.write(event("ping"))
            self.wfile.flush()
        return None

    def send_json(self, status, value):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("request-id", "req_refused")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def event(kind, **fields):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


# One call of the CLI.


class Call:
    """A process whose stdin is fed step by step."""

    def __init__(self, args, stdin, home, api):
        self.lines = []
        self.more = threading.Condition()
        self.seen = 0
        self.api = api
        self.errors = b""
        pipe = subprocess.DEVNULL if stdin is None else subprocess.PIPE
        self.process = subprocess.Popen(
            [CLI, *args],
            stdin=pipe,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=home / "work",
            env=environment(home, api.server_port),
        )
        readers = [threading.Thread(target=read, daemon=True) for read in (self.read_stdout, self.read_stderr)]
        for reader in readers:
            reader.start()
        try:
            self.feed(stdin)
            self.code = self.process.wait(LIMIT)
        finally:
            self.process.kill()
        for reader in readers:
            reader.join()

    def read_stdout(self):
        for text in self.process.stdout:
            with self.more:
                self.lines.append(text)
                self.more.notify_all()

    def read_stderr(self):
        self.errors = self.process.stderr.read()

    def feed(self, stdin):
        if stdin is None:
            return
        for item in [{"raw": stdin}] if isinstance(stdin, str) else stdin:
            if item.get("await") == "model":
                if not self.api.said.acquire(timeout=LIMIT):
                    raise TimeoutError("the model was not asked")
                time.sleep(GRACE)
            elif "await" in item:
                self.wait_for(item["await"])
            else:
                self.write(item)
        self.process.stdin.close()

    def write(self, item):
        if "raw" in item:
            text = item["raw"]
        else:
            sent = item["send"]
            text = (sent if isinstance(sent, str) else compact(sent)) + "\n"
        try:
            self.process.stdin.write(text.encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # a call that ends before it reads

    def wait_for(self, kind):
        def has_come():
            while self.seen < len(self.lines):
                self.seen += 1
                if kind_of(json.loads(self.lines[self.seen - 1])) == kind:
                    return True
            return False

        with self.more:
            if not self.more.wait_for(has_come, LIMIT):
                raise TimeoutError(f"no {kind} in {self.lines}")


def kind_of(message):
    """Such as `assistant`, `result/success`, `stream_event/message_stop`, `control_response/interrupt`."""
    detail = message.get("subtype")
    if message["type"] == "stream_event":
        detail = message["event"]["type"]
    if message["type"] == "control_response":
        detail = message["response"]["request_id"]
    return f"{message['type']}/{detail}" if detail else message["type"]


def environment(home, port):
    api = f"http://127.0.0.1:{port}"
    return {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "TERM": "xterm",
        "TMPDIR": str(home / "tmp"),
        "ANTHROPIC_BASE_URL": api,
        "ANTHROPIC_API_KEY": "sk-none",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "DISABLE_AUTOUPDATER": "1",
        # Whatever else it may want to ask on the net ends here.
        "HTTP_PROXY": api,
        "HTTPS_PROXY": api,
        "NO_PROXY": "127.0.0.1",
    }


# What is written.

# Lists of what happens to be built in: their first element shows their shape, and this that there are more.
AND_SO_ON = "…"
SHORTENED = {
    "agents", "available_output_styles", "capabilities", "categories", "commands", "deferredBuiltinTools", "gridRows", "models",
    "plugins", "skillFrontmatter", "skills", "slash_commands", "systemPromptSections", "systemTools", "terminal_slash_commands", "tools",
}  # fmt: skip

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
API_ID = re.compile(r"\b(msg|req|toolu)_\w+")
SOCKET = re.compile(r"/\d+\.sock")
WALL_TIME = re.compile(r"(\(wall\): +)\w+")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class Masks:
    """Replaces what differs from run to run: sessions by their number in the case, the API's ids by their number in the
    call, other ids, times and paths by a word, durations by 0. Ids that the case itself names stay."""

    def __init__(self, home, port, calls):
        self.home = str(home)
        self.port = str(port)
        self.named = json.dumps(calls)
        self.sessions = {}
        self.api_ids = {}

    def text(self, text):
        for path in (os.path.realpath(self.home), self.home):
            text = text.replace(path, "[HOME]").replace(re.sub(r"[^A-Za-z0-9]", "-", path), "[HOME]")
        text = API_ID.sub(self.numbered, SOCKET.sub("/[pid].sock", text))
        text = WALL_TIME.sub(r"\1[time]", text.replace(f"127.0.0.1:{self.port}", "127.0.0.1:[port]"))
        return UUID.sub(lambda found: found[0] if found[0] in self.named else "[uuid]", TIME.sub("[time]", text))

    def numbered(self, found):
        of_kind = self.api_ids.setdefault(found[1], {})
        return f"[{found[1]} {of_kind.setdefault(found[0], len(of_kind) + 1)}]"

    def value(self, value, key=""):
        if isinstance(value, dict):
            ordered = sorted(value, key=lambda name: (name != "type", name != "subtype", name))
            return {self.text(name): self.value(value[name], name) for name in ordered}
        if isinstance(value, list):
            if key in SHORTENED and len(value) > 1:
                return [self.value(value[0], key), AND_SO_ON]
            return [self.value(item, key if isinstance(item, list) else "") for item in value]
        if isinstance(value, str):
            if key == "session_id" and value and value not in self.named:
                return f"[session {self.sessions.setdefault(value, len(self.sessions) + 1)}]"
            return self.text(value)
        is_volatile = key.endswith("_ms") or key == "pid"
        return 0 if is_volatile and isinstance(value, (int, float)) else value

    def stdout(self, args, raw):
        """Text, the JSON value, or the list of messages, by the call's format."""
        self.api_ids.clear()
        text = raw.decode()
        if not text or not ("json" in args or "stream-json" in args):
            return self.text(text)
        assert text.endswith("\n"), text
        if "stream-json" in args:
            return [self.value(json.loads(each)) for each in text.rstrip("\n").split("\n")]
        return self.value(json.loads(text))


def pretty(value, indent="", width=120):
    """JSON that puts on one line what fits on one."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(flat) <= width or not value or not isinstance(value, (dict, list)):
        return flat
    if isinstance(value, list):
        opening, closing, items = "[", "]", [pretty(item, indent + " ", width) for item in value]
    else:
        opening, closing = "{", "}"
        items = [f"{json.dumps(key, ensure_ascii=False)}: {pretty(item, indent + ' ', width)}" for key, item in value.items()]
    return f"{opening}\n{indent} " + f",\n{indent} ".join(items) + f"\n{indent}{closing}"


def record(version, name, replies, calls):
    home = pathlib.Path(tempfile.mkdtemp(prefix="golden"))
    for folder in ("work", "tmp"):
        (home / folder).mkdir()
    api = Api(replies)
    masks = Masks(home, api.server_port, calls)
    try:
        steps = []
        for call in calls:
            done = Call(call["args"], call["stdin"], home, api)
            stdout = masks.stdout(call["args"], b"".join(done.lines))
            steps.append({**call, "exit": done.code, "stdout": stdout, "stderr": masks.text(done.errors.decode())})
    finally:
        api.close()
        shutil.rmtree(home, ignore_errors=True)
    case = {"version": version, "the model says": replies, "calls": steps}
    (GOLDEN / f"{name}.json").write_text(pretty(case) + "\n", encoding="utf-8")


def main():
    table = {name: (replies, calls) for name, replies, calls in cases()}
    wanted = sys.argv[1:] or list(table)
    unknown = [name for name in wanted if name not in table]
    if unknown:
        sys.exit(f"record-golden.py: no such case: {' '.join(unknown)}")
    version = subprocess.run([CLI, "--version"], capture_output=True, check=True, text=True, timeout=LIMIT).stdout.split()[0]
    GOLDEN.mkdir(exist_ok=True)
    for stale in GOLDEN.glob("*.json"):
        if stale.stem not in table:
            stale.unlink()
    failed = False
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {pool.submit(record, version, name, *table[name]): name for name in wanted}
        for done in concurrent.futures.as_completed(running):
            if done.exception():
                failed = True
                print(f"record-golden.py: {running[done]}: {done.exception()!r}", file=sys.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
