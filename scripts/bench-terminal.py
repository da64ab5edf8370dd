#!/usr/bin/env python3
"""Measures what a session at a terminal costs that may change sides: its start beside that by exec, and a hook beside its shell.

The real Claude Code is a program that ends at once, and the process that a hook speaks to is this one. Medians of rounds in turn.
usage: bench-terminal.py [--binary PATH] [ROUNDS]    PATH: a binary that is built already; ROUNDS: default 200
"""

import argparse
import os
import pty
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
PROMPT = b'{"hook_event_name":"UserPromptSubmit","session_id":"s","transcript_path":"/dev/null","prompt":"hello"}'


def answer_hooks(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(8)

    def serve():
        while True:
            stream, _ = listener.accept()
            while stream.recv(65536):
                pass
            stream.close()

    threading.Thread(target=serve, daemon=True).start()


def at_terminal(program, environment):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(program, ["claude"], environment)
    try:
        while os.read(terminal, 4096):
            pass
    except OSError:
        pass
    os.waitpid(pid, 0)
    os.close(terminal)


def run(words, environment):
    subprocess.run(words, input=PROMPT, stdout=subprocess.DEVNULL, env=environment, check=True)


def medians(rounds, ways):
    """Milliseconds of each way, measured in turn."""
    times = [[] for _ in ways]
    for _ in range(rounds):
        for way, taken in zip(ways, times):
            begun = time.perf_counter()
            way()
            taken.append((time.perf_counter() - begun) * 1000)
    return [statistics.median(taken) for taken in times]


def main():
    parser = argparse.ArgumentParser(description="what a session at a terminal costs that may change sides")
    parser.add_argument("--binary", type=Path)
    parser.add_argument("rounds", type=int, nargs="?", default=200)
    options = parser.parse_args()
    binary = options.binary or Path(subprocess.check_output([SCRIPTS / "build.sh"], text=True).strip())
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        home = place / "home"
        (home / ".local/state").mkdir(parents=True)
        (home / ".config/claude-failover").mkdir(parents=True)
        (home / ".local/state/llm-backend").write_text("auto\n")
        # The native installer names its files after the version.
        claude = place / "2.1.330"
        shutil.copy("/bin/true", claude)
        settings = f"CLAUDE_BIN={claude}\nLOCAL_LLM_URL=http://127.0.0.1:9/v1\nLLM_SUPERVISOR=none\n"
        (home / ".config/claude-failover/config.env").write_text(settings)
        shim = place / "claude"
        shim.symlink_to(binary.resolve())
        environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
        becomes, stays = medians(
            options.rounds,
            [
                lambda: at_terminal(shim, {**environment, "LLM_FAILOVER_INTERACTIVE": "never"}),
                lambda: at_terminal(shim, environment),
            ],
        )
        path = place / "hook.sock"
        answer_hooks(path)
        hook = f"'{binary.resolve()}' --hook '{path}' 2>/dev/null || :"
        shell, heard = medians(
            options.rounds,
            [
                lambda: run(["/bin/sh", "-c", "true || :"], environment),
                lambda: run(["/bin/sh", "-c", hook], environment),
            ],
        )
    print("a session at a terminal, to its end, around a program that ends at once")
    print(f"  by exec           {becomes:6.2f} ms")
    print(f"  may change sides  {stays:6.2f} ms, ratio {stays / becomes:.2f}")
    print("a hook")
    print(f"  its shell alone   {shell:6.2f} ms")
    print(f"  with it           {heard:6.2f} ms, ratio {heard / shell:.2f}  target at most 5 ms")


if __name__ == "__main__":
    main()
