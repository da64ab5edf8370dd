#!/usr/bin/env python3
"""Measures how soon the first token of an agent's first turn comes, with its instructions read ahead and without.

The real llama.cpp (SmolLM2), the real Claude Code and our gateway, as `scripts/test-deps.sh` installs them. The server starts anew for each
turn. Between it and the gateway stands a proxy that takes the times, and asks for one token.

usage: bench-first-word.py [--binary PATH] [--only lean|full] [ROUNDS]
       default: 3 rounds, each with lean instructions and with the full ones
"""

import http.client
import http.server
import json
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEPS = ROOT / "target/test-deps"
TARGET = 0.25  # of the time without


def main():
    binary, rounds, prompts = options()
    for needed in (binary, DEPS / "llama/bin/python", DEPS / "claude/node_modules/.bin/claude"):
        if not needed.exists():
            fail(f"{needed} is not there; scripts/test-deps.sh installs what is needed")
    print("an agent's first turn, from its request to its first token (medians)")
    print(f"  {'':14}{'not read ahead':>28}{'read ahead':>28}{'ratio':>8}")
    missed = False
    for prompt in prompts:
        with tempfile.TemporaryDirectory(prefix="first-word-") as folder:
            home = Home(Path(folder), binary, prompt)
            home.turn(primes=False, keeps=True)  # leaves the instructions
            turns = [(home.turn(primes=False), home.turn(primes=True)) for _ in range(rounds)]
        cold, warm = (Turn.median(side) for side in zip(*turns))
        ratio = warm.seconds / cold.seconds
        missed = missed or ratio > TARGET
        print(f"  {prompt:14}{cold.shown():>28}{warm.shown():>28}{ratio:8.3f}")
    print(f"  target: ratio at most {TARGET}")
    sys.exit(missed)


def options():
    binary, rounds, prompts, words = None, 3, ["lean", "full"], sys.argv[1:]
    while words:
        word = words.pop(0)
        if word == "--binary" and words:
            binary = Path(words.pop(0)).resolve()
        elif word == "--only" and words and words[0] in prompts:
            prompts = [words.pop(0)]
        elif word.isdigit() and int(word) > 0:
            rounds = int(word)
        else:
            fail(f"cannot understand `{word}`; use --binary PATH, --only lean, --only full or a number of rounds")
    if binary is None:
        binary = Path(subprocess.run([ROOT / "scripts/build.sh"], check=True, capture_output=True, text=True).stdout.strip())
    return binary, rounds, prompts


class Turn:
    """The seconds to the first token, and how many tokens of the prompt the server read and had, by its own count."""

    def __init__(self, seconds, read, cached):
        self.seconds, self.read, self.cached = seconds, read, cached

    @staticmethod
    def median(turns):
        return Turn(*(statistics.median(values) for values in zip(*((t.seconds, t.read, t.cached) for t in turns))))

    def shown(self):
        return f"{self.seconds:.2f} s, {self.read:.0f} of {self.read + self.cached:.0f} read"


class Home:
    def __init__(self, folder, binary, prompt):
        self.folder, self.prompt, self.proxy = folder, prompt, Proxy()
        for name in ("bin", "work", ".config/claude-failover", ".local/state"):
            (folder / name).mkdir(parents=True)
        for name in ("claude", "llm-failover"):
            (folder / "bin" / name).symlink_to(binary)
        (folder / "work/CLAUDE.md").write_text("Always write tests.\n")
        (folder / ".local/state/llm-backend").write_text("local\n")

    def run(self, primes, *command):
        path = [self.folder / "bin", DEPS / "claude/node_modules/.bin", "/usr/bin", "/bin"]
        node = shutil.which("node")
        environment = {
            "HOME": str(self.folder),
            "PATH": ":".join(map(str, [*path, *([Path(node).parent] if node else [])])),
            "IS_SANDBOX": "1",
            "LLM_SUPERVISOR": "none",
            "LOCAL_LLM_URL": f"http://127.0.0.1:{self.proxy.port}/v1/chat/completions",
            "LOCAL_LLM_MODEL": "smollm2",
            "LOCAL_LLM_AGENT_PROMPT": self.prompt,
            "LOCAL_LLM_PRIME": "1" if primes else "0",
        }
        done = subprocess.run(command, env=environment, cwd=self.folder / "work", stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode:
            fail(f"{command[0]} fails: {(done.stderr or done.stdout).decode().strip()[-500:]}")

    def turn(self, primes, keeps=False):
        proxy = self.proxy
        with Llama() as llama:
            proxy.to(llama.port)
            self.run( primes, self.folder / "bin/llm-failover", "-q", "local")
            if primes:
                proxy.wait_for(2)  # the proof that it answers, and what is read ahead
            before = len(proxy.turns)
            claude = self.folder / "bin/claude"
            self.run(primes or keeps, claude, "-p", "What is in this folder?", "--allowedTools", "Bash")
            return proxy.turns[before]


class Llama:
    def __enter__(self):
        self.port = free_port()
        command = [DEPS / "llama/bin/python", ROOT / "scripts/llama_server.py", "--model", "smollm2", "--port", str(self.port)]
        command += ["--threads", "1"]  # they would wait for each other where others work
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if not self.process.stdout.readline():
            fail("llama.cpp does not start")
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class Proxy:
    """Its address stays, since instructions are kept for a server by its address."""

    def __init__(self):
        self.turns, self.more, self.target = [], threading.Condition(), 0
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def to(self, port):
        self.turns, self.target = [], port

    def handler(self):
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                answer = ask(proxy.target, "GET", self.path)
                self.begin(answer)
                self.wfile.write(answer.read())

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body["max_tokens"], begun, first = 1, time.monotonic(), None
                answer = ask(proxy.target, "POST", self.path, json.dumps(body))
                self.begin(answer)
                timings = {}
                for line in answer:
                    if b'"content":"' in line and first is None:
                        first = time.monotonic() - begun
                    if b'"timings"' in line:
                        timings = json.loads(line[len(b"data: ") :])["timings"]
                    # Claude Code would ask for more.
                    self.wfile.write(line.replace(b'"length"', b'"stop"'))
                with proxy.more:
                    proxy.turns.append(Turn(first or time.monotonic() - begun, timings.get("prompt_n", 0), timings.get("cache_n", 0)))
                    proxy.more.notify_all()

            def begin(self, answer):
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers["Content-Type"])
                self.end_headers()

        return Handler

    def wait_for(self, count):
        with self.more:
            if not self.more.wait_for(lambda: len(self.turns) >= count, timeout=600):
                fail("nothing was read ahead")


def ask(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request(method, path, body, {"Content-Type": "application/json"})
    return connection.getresponse()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fail(message):
    print(f"bench-first-word.py: {message}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
