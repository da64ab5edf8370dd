#!/usr/bin/env python3
"""Measures how long the dashboard's page takes with a ledger of 10,000 calls, against the same page with none.

usage: bench-dashboard.py [BINARY]        BINARY: target/release/claude-failover
"""

import datetime
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

CALLS = 10_000
ROUNDS = 30
ROOT = pathlib.Path(__file__).resolve().parent.parent


def call(number, now):
    """One of the last week, every seventh of them answered locally in one of four limits."""
    at = now - datetime.timedelta(days=7) * (CALLS - number) / CALLS
    is_local = number * 4 % CALLS < CALLS // 2 and number % 7 == 0
    return {
        "time": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "applet": "claude",
        "route": "answer" if is_local else "watch",
        "verdict": "five_hour" if is_local else "fine",
        "backend": "local" if is_local else "claude",
        "seconds": 6.5,
        "exit": 0,
    }


def serve(binary, home, calls):
    state = home / ".local/state/claude-failover"
    state.mkdir(parents=True)
    now = datetime.datetime.now(datetime.timezone.utc)
    lines = (json.dumps(call(number, now)) + "\n" for number in range(calls))
    (state / "ledger.jsonl").write_text("".join(lines))
    command = [binary, "llm-failover", "dashboard", "--port", "0"]
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def page(address):
    begun = time.perf_counter()
    with urllib.request.urlopen(address) as answer:
        size = len(answer.read())
    return time.perf_counter() - begun, size


def main(arguments):
    binary = pathlib.Path(arguments[0] if arguments else ROOT / "target/release/claude-failover").resolve()
    with tempfile.TemporaryDirectory() as folder:
        served = [serve(binary, pathlib.Path(folder) / str(calls), calls) for calls in (0, CALLS)]
        try:
            rounds = [[page(address) for _, address in served] for _ in range(ROUNDS)]
        finally:
            for process, _ in served:
                process.terminate()
                process.wait()
    empty, full = (statistics.median(times[place][0] for times in rounds) for place in (0, 1))
    size = rounds[-1][1][1]
    print(f"{CALLS} calls: {full * 1000:.1f} ms, {size // 1000} kB; none: {empty * 1000:.1f} ms; ratio {full / empty:.1f}")


main(sys.argv[1:])
