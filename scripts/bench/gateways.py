"""The gateways that a session is measured through, each set up in a home of its own as its users do."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from bench.honest_server import MODEL
from bench.processes import Meter

KEY = "sk-bench"


class Ours:
    name, told = "claude-failover", ()

    def __init__(self, binary):
        self.binary = binary

    def start(self, home, port, environment):
        bin, config = home / "bin", home / ".config/claude-failover"
        bin.mkdir()
        config.mkdir(parents=True)
        # A copy: its path tells its processes from others.
        program = Path(shutil.copy(self.binary, bin / "claude-failover"))
        subprocess.run([program, "--install", bin], env=environment, check=True, stdout=subprocess.DEVNULL)
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        (config / "config.env").write_text(f"LOCAL_LLM_URL={url}\nLOCAL_LLM_MODEL={MODEL}\nLLM_SUPERVISOR=none\n")
        environment = environment | {"PATH": f"{bin}:{environment['PATH']}"}
        subprocess.run([bin / "llm-failover", "-q", "local"], env=environment, check=True)
        return environment, Meter(lambda process: process.program == str(program))

    def stop(self):
        """The gateway ends with its Claude Code."""


class Peer:
    """A gateway that serves on a port until it is ended."""

    told = ()

    def __init__(self, program):
        self.program = program

    def serve(self, home, environment, command, ready):
        with (home / "log").open("w") as log:
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        if not self.comes_up(ready):
            self.stop()
            raise RuntimeError(f"it does not start: {(home / 'log').read_text()[-500:]}")
        # What it still has to do by itself is over then.
        time.sleep(3)
        group = self.process.pid
        return Meter(lambda process: process.group == group)

    def comes_up(self, ready):
        begun = time.monotonic()
        while self.process.poll() is None and time.monotonic() - begun < 60:
            try:
                urllib.request.urlopen(ready, timeout=5).close()
                return True
            except OSError:
                time.sleep(0.1)
        return False

    def stop(self):
        end(self.process)


class Router(Peer):
    name, package = "claude-code-router", "claude-code-router"
    # The window is heeded only of a model whose name does not begin with `claude-`.
    told = (("ANTHROPIC_MODEL", f"local,{MODEL}"),)

    def start(self, home, port, environment):
        own = free_port()
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        config = {
            "HOST": "127.0.0.1",
            "PORT": own,
            "APIKEY": KEY,
            "LOG": False,
            "NON_INTERACTIVE_MODE": True,
            "Providers": [{"name": "local", "api_base_url": url, "api_key": "none", "models": [MODEL]}],
            "Router": {"default": f"local,{MODEL}"},
        }
        (home / ".claude-code-router").mkdir()
        (home / ".claude-code-router/config.json").write_text(json.dumps(config))
        meter = self.serve(home, environment, [self.program, "start"], f"http://127.0.0.1:{own}/health")
        activated = {
            "ANTHROPIC_AUTH_TOKEN": KEY,
            "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{own}",
            "NO_PROXY": "127.0.0.1",
            "DISABLE_TELEMETRY": "true",
            "DISABLE_COST_WARNINGS": "true",
            "API_TIMEOUT_MS": "600000",
        }
        return environment | activated, meter


class LiteLlm(Peer):
    name, package = "LiteLLM", "litellm"

    def start(self, home, port, environment):
        own = free_port()
        config = {
            "model_list": [
                {
                    "model_name": MODEL,
                    "litellm_params": {"model": f"openai/{MODEL}", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": "none"},
                }
            ],
            # By itself it would translate to OpenAI's Responses API, which mlx-lm and most others do not have.
            "litellm_settings": {"use_chat_completions_url_for_anthropic_messages": True},
            "general_settings": {"master_key": KEY},
        }
        # YAML takes JSON.
        (home / "config.yaml").write_text(json.dumps(config))
        command = [self.program, "--config", home / "config.yaml", "--host", "127.0.0.1", "--port", str(own), "--telemetry", "False"]
        # It would fetch a list of prices first.
        offline = environment | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        meter = self.serve(home, offline, command, f"http://127.0.0.1:{own}/health/liveliness")
        told = {"ANTHROPIC_AUTH_TOKEN": KEY, "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{own}"}
        return environment | told | {"ANTHROPIC_MODEL": MODEL, "ANTHROPIC_DEFAULT_HAIKU_MODEL": MODEL}, meter


def end(process):
    """Ends a process, which leads a group, and what it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
