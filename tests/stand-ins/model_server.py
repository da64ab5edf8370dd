#!/usr/bin/env python3
"""A stand-in for a model server, with the ways of failing that real ones have.

usage: model_server.py MODE HOME [PORT]     PORT: $LLM_PORT if it is not given

It appends what happens to HOME/events, one event a line, with what the switch said at that moment. What a mode waits for
is the file HOME/go, so that tests decide when it comes.
"""

import http.server
import json
import os
import signal
import socketserver
import sys
import threading
import time
from pathlib import Path

MODE, HOME = sys.argv[1], Path(sys.argv[2])
PORT = int(sys.argv[3] if len(sys.argv) > 3 else os.environ["LLM_PORT"])


def event(*words):
    try:
        switch = (HOME / ".local/state/llm-backend").read_text().strip()
    except OSError:
        switch = "absent"
    with open(HOME / "events", "a") as file:
        file.write(" ".join([*words, f"[{switch}]"]) + "\n")


def is_ready():
    return MODE not in ("slow", "mlx", "dies-loading") or (HOME / "go").exists()


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def reply(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def is_refused(self):
        if MODE == "hangs":
            threading.Event().wait()
        if MODE == "dies-loading" or MODE == "slow" and not is_ready():
            self.reply(503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}})
            return True
        return False

    def do_GET(self):
        if self.is_refused():
            return
        if MODE == "dead" and self.path == "/health":
            self.reply(503, {"status": "unavailable"})
        elif self.path == "/health":
            self.reply(200, {"status": "ok"})
        else:
            self.reply(200, {"object": "list", "data": [] if MODE == "dead" else [{"id": "tiny"}]})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.is_refused():
            return
        if MODE == "dead":
            return self.reply(404, {"error": "generation thread died"})
        while not is_ready():
            time.sleep(0.01)
        question = request["messages"][-1]["content"]
        event("asked", question)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        pieces = [({"content": f"echo: {question}"}, None), ({}, "stop")]
        for delta, finish in pieces:
            chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256


def main():
    terms = 0

    def on_term(*_):
        nonlocal terms
        terms += 1
        event("term")
        if MODE != "no-term" and not (MODE == "two-terms" and terms == 1):
            os._exit(0)

    signal.signal(signal.SIGTERM, on_term)
    event("started", str(os.getpid()))
    (HOME / "server-env").write_text("".join(f"{key}={value}\n" for key, value in os.environ.items()))
    print(f"model_server: {MODE} on port {PORT}", flush=True)
    if MODE == "dies":
        print("model_server: cannot read the model", file=sys.stderr)
        sys.exit(7)
    server = Server(("127.0.0.1", PORT), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while MODE != "dies-loading" or not is_ready():
        time.sleep(0.02)
    print("model_server: out of memory", file=sys.stderr)
    os._exit(8)


main()
