#!/usr/bin/env python3
"""Measures a session of an agent that is longer than the local model's context, through our gateway and through those of others.

The real Claude Code has thirty steps to do, each of which prints a tenth of the context. The model is a script, behind a server that refuses
what does not fit into its context, and counts what it has to read. Each session has a home, a server and a gateway of its own.

Each gateway is used as its documentation says for a server that speaks OpenAI's chat completions:
  claude-failover      installed, the switch at `local`, and `claude` as ever
  claude-code-router   a provider and a default route in its configuration, and the variables of `ccr activate`
  LiteLLM              a model in its configuration, and the variables of its page on Claude Code
Their documentation does not say how Claude Code learns the context of a model that it does not know. Claude Code's own does:
CLAUDE_CODE_MAX_CONTEXT_TOKENS and CLAUDE_CODE_MAX_OUTPUT_TOKENS. "window told" is the same gateway with these two.

Printed are the steps done once; the compactions; the requests that did not fit; the tokens that the server read, and their ratio to the least
possible for what this session sent (each new token once) and to ours; the processor time of the gateway during the session; and the time of all.

usage: bench-session.py [--binary PATH] [--only NAME] [--limit SECONDS] [CONTEXT...]
       NAME: claude-failover, or one of the others to measure beside it; SECONDS: for each session, default: 300; default contexts: 16384 32768
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bench.gateways import LiteLlm, Ours, Router, end
from bench.honest_server import DONE, HonestServer

SCRIPTS = Path(__file__).resolve().parent
STEPS = 30
LINE = "the server has written its file and waits for more"


def main():
    options = Options(sys.argv[1:])
    claude = installed("claude-code")
    if claude is None:
        fail("no Claude Code to measure with")
    subjects = [(Ours(options.binary), False)]
    for gateway in (Router, LiteLlm):
        if options.only not in (None, gateway.name):
            continue
        program = installed(gateway.package)
        if program is None:
            print(f"{gateway.name}: not measured")
            continue
        subjects += [(gateway(program), False), (gateway(program), True)]
    for n_ctx in options.contexts:
        print(f"an agent of {STEPS} steps in {n_ctx} tokens of context, each step prints a tenth of that")
        print(row("", ("done", "compacted", "refused", "tokens read", "of least", "of ours", "gateway", "of ours", "all", "end")))
        ours = None
        for gateway, is_told in subjects:
            try:
                with tempfile.TemporaryDirectory(prefix="session-", ignore_cleanup_errors=True) as folder:
                    session = Session(Path(folder).resolve(), gateway, claude, n_ctx, is_told, options.limit)
            except RuntimeError as error:
                print(f"  {gateway.name}: not measured: {error}")
                continue
            ours = ours or session
            print(session.shown(ours), flush=True)


class Options:
    def __init__(self, words):
        self.binary, self.only, self.limit, self.contexts = None, None, 300, []
        while words:
            word = words.pop(0)
            if word == "--binary" and words:
                self.binary = Path(words.pop(0)).resolve()
            elif word == "--only" and words and words[0] in (Ours.name, Router.name, LiteLlm.name):
                self.only = words.pop(0)
            elif word == "--limit" and words and words[0].isdigit():
                self.limit = int(words.pop(0))
            elif word.isdigit() and int(word) > 0:
                self.contexts.append(int(word))
            else:
                fail(f"cannot understand `{word}`; use --binary PATH, --only NAME, --limit SECONDS or a number of tokens")
        self.contexts = self.contexts or [16_384, 32_768]
        if self.binary is None:
            self.binary = Path(subprocess.run([SCRIPTS / "build.sh"], check=True, capture_output=True, text=True).stdout.strip())


class Session:
    """One session, and what it has cost."""

    def __init__(self, folder, gateway, claude, n_ctx, is_told, limit):
        self.name = gateway.name + (", window told" if is_told else "")
        home, work = folder / "home", folder / "work"
        home.mkdir()
        work.mkdir()
        (work / "step.sh").write_text(step(n_ctx))
        server = HonestServer(n_ctx, STEPS)
        # Nothing that a run needs is on the net.
        base = {"HOME": str(home), "PATH": path(claude.parent), "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"}
        environment, meter = gateway.start(home, server.port, base)
        if is_told:
            environment |= dict(gateway.told) | {"CLAUDE_CODE_MAX_CONTEXT_TOKENS": str(n_ctx), "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(n_ctx // 8)}
        try:
            server.forget()
            begun = time.monotonic()
            with meter:
                self.end = run(environment, work, limit)
            self.seconds = time.monotonic() - begun
        finally:
            gateway.stop()
            server.close()
        self.processor = meter.seconds
        self.counts = {name: getattr(server, name) for name in ("summaries", "refused", "read", "new")}
        done = work / "done.txt"
        times = Counter(done.read_text().split() if done.exists() else [])
        self.done = sum(times[str(number)] == 1 for number in range(1, STEPS + 1))

    def shown(self, ours):
        read, least = self.counts["read"], max(self.counts["new"], 1)
        of_read, of_processor = read / max(ours.counts["read"], 1), self.processor / max(ours.processor, 0.001)
        # What a part of the work has cost says nothing beside the whole.
        ratios = [f"{ratio:.2f}" if min(self.done, ours.done) == STEPS else "-" for ratio in (of_read, of_processor)]
        cells = (self.done, self.counts["summaries"], self.counts["refused"], read, f"{read / least:.2f}", ratios[0])
        return row(self.name, (*cells, f"{self.processor * 1000:.0f} ms", ratios[1], f"{self.seconds:.0f} s", self.end))


def row(name, cells):
    widths = (6, 11, 9, 13, 10, 9, 10, 9, 7)
    return f"  {name:33}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths)) + f"  {cells[-1]}"


def step(n_ctx):
    lines = n_ctx * 4 // 10 // (len(LINE) + 1)
    return f"echo $1 >> done.txt\necho \"step $1 is done\"\ni=0\nwhile [ $i -lt {lines} ]; do echo '{LINE}'; i=$((i + 1)); done\n"


def run(environment, work, limit):
    """Runs Claude Code, and says how that ended."""
    # The one on the session's PATH, not on ours.
    program = shutil.which("claude", path=environment["PATH"])
    command = [program, "-p", "Run sh step.sh NUMBER for each number.", "--allowedTools", "Bash"]
    pipe = subprocess.PIPE
    claude = subprocess.Popen(
        command, env=environment, cwd=work, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    try:
        out, err = claude.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        end(claude)
        return f"cut off after {limit} s"
    if claude.returncode == 0 and out.strip() == DONE:
        return "as it should be"
    said = " ".join((out.strip() or err.strip()).split())
    return f"exit {claude.returncode}: {said[:60]}"


def installed(package):
    """The path of its program, or None; the reason is on stderr."""
    done = subprocess.run([SCRIPTS / "bench/install.sh", package], check=False, stdout=subprocess.PIPE, text=True)
    return Path(done.stdout.strip()) if done.returncode == 0 else None


def path(first):
    node = shutil.which("node")
    return ":".join(map(str, [first, *([Path(node).parent] if node else []), "/usr/bin", "/bin"]))


def fail(message):
    print(f"bench-session.py: {message}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
