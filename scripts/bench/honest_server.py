"""A model server that keeps to its context as llama.cpp does, counts what it has to read, and plays an agent at work.

A token has four bytes here. The prompt cache is that of a server with one slot: what a request has in common with the one before, from its
beginning, is not read again. Usage is told whether it is asked for or not. The agent runs `sh step.sh NUMBER` for each number up to `steps`: the
next one is the one behind the last that the conversation says is done.
"""

import http.server
import json
import os.path
import re
import threading

DONE = "All of it is done."
MODEL = "honest"
BYTES = 4


class HonestServer:
    def __init__(self, n_ctx, steps):
        self.n_ctx, self.steps = n_ctx, steps
        self.lock = threading.Lock()
        self.forget()
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self.http.daemon_threads = True
        self.port = self.http.server_port
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def forget(self):
        """Begins to count, with an empty cache."""
        self.requests = self.refused = self.summaries = self.read = self.new = 0
        self.last, self.known = "", set()

    def close(self):
        self.http.shutdown()
        self.http.server_close()

    def take(self, question):
        """Counts a request. Returns its tokens and those that are in the cache; None for these if it does not fit."""
        pieces = prompt(question)
        whole = "".join(pieces)
        tokens = len(whole) // BYTES
        with self.lock:
            self.requests += 1
            if tokens >= self.n_ctx:
                self.refused += 1
                return tokens, None
            cached = len(os.path.commonprefix([whole, self.last])) // BYTES
            self.read += tokens - cached
            # What no request before had in any place: the least that can be read. A part of a piece may be known.
            self.new += min(tokens - cached, sum(len(piece) for piece in set(pieces) - self.known) // BYTES)
            self.known.update(pieces)
            self.last = whole
            self.summaries += is_for_a_summary(question)
        return tokens, cached

    def answer(self, question):
        """What the model says, and the command that it runs."""
        said = json.dumps(question["messages"])
        tools = [tool["function"]["name"] for tool in question.get("tools") or []]
        numbers = [int(number) for number in re.findall(r"step (\d+) is done|sh step\.sh (\d+)", said) for number in number if number]
        done = max(numbers, default=0)
        if is_for_a_summary(question):
            return f"<summary>I am to run sh step.sh NUMBER for each number. step {done} is done.</summary>", None
        if "Bash" not in tools or "sh step.sh" not in said:
            return "aside", None
        if done >= self.steps:
            return DONE, None
        return f"I go on with number {done + 1}.", f"sh step.sh {done + 1}"


def prompt(question):
    """What a template makes of it, piece by piece: the first instructions, the tools, the other messages in their order."""
    messages = [rendered(message) for message in question["messages"]]
    first = 1 if question["messages"][0]["role"] == "system" else 0
    return [*messages[:first], *map(json.dumps, question.get("tools") or []), *messages[first:]]


def rendered(message):
    """What no template reads is left out: ids, and marks for caches of other servers. In ASCII, so that a character is a byte."""
    content = message.get("content") or ""
    if not isinstance(content, str):
        content = "".join(part.get("text", "") for part in content)
    calls = [call["function"] for call in message.get("tool_calls") or []]
    return json.dumps([message["role"], content, *([calls] if calls else [])])


def is_for_a_summary(question):
    # Claude Code may put a message of the system behind it.
    messages = [rendered(message) for message in question["messages"] if message["role"] != "system"]
    return len(messages) > 1 and "<summary>" in messages[-1]


def handler(server):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            if self.path.endswith("/models"):
                self.send({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "llamacpp", "meta": {"n_ctx": server.n_ctx}}]})
            elif self.path.endswith("/props"):
                self.send({"default_generation_settings": {"n_ctx": server.n_ctx}, "total_slots": 1, "model_path": MODEL})
            else:
                self.send({"status": "ok"})

        def do_POST(self):
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not self.path.endswith("/chat/completions"):
                return self.send({"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}, 404)
            tokens, cached = server.take(question)
            if cached is None:
                message = f"request ({tokens} tokens) exceeds the available context size ({server.n_ctx} tokens), try increasing it"
                error = {"code": 400, "message": message, "type": "exceed_context_size_error", "n_prompt_tokens": tokens, "n_ctx": server.n_ctx}
                return self.send({"error": error}, 400)
            said, command = server.answer(question)
            written = len(said) // BYTES + 20
            usage = {
                "prompt_tokens": tokens,
                "completion_tokens": written,
                "total_tokens": tokens + written,
                "prompt_tokens_details": {"cached_tokens": cached},
            }
            message = {"role": "assistant", "content": said}
            if command:
                call = {"name": "Bash", "arguments": json.dumps({"command": command, "description": "The next step"})}
                message["tool_calls"] = [{"index": 0, "id": f"call_{server.requests}", "type": "function", "function": call}]
            finish = "tool_calls" if command else "stop"
            if question.get("stream"):
                return self.stream([chunk(message), chunk({}, finish), chunk(None, usage=usage)])
            choice = {"index": 0, "message": message, "finish_reason": finish}
            self.send({"id": "c", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [choice], "usage": usage})

        def stream(self, chunks):
            events = [json.dumps(event) for event in chunks] + ["[DONE]"]
            self.write("".join(f"data: {event}\n\n" for event in events), 200, "text/event-stream")

        def send(self, value, status=200):
            self.write(json.dumps(value), status, "application/json")

        def write(self, body, status, kind):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

    return Handler


def chunk(delta, finish=None, usage=None):
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    event = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": choices}
    return event | {"usage": usage} if usage else event
