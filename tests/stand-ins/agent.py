#!/usr/bin/env python3
"""A stand-in for Claude Code as an agent: it asks one question of the gateway that its environment names, and prints the answer.

usage: agent.py HOME [ARG...]     the question is that of the file HOME/question

It asks once there is a file HOME/ask, and ends once there is a file HOME/end.
"""

import json
import os
import sys
import time
import urllib.request
from pathlib import Path

HOME = Path(sys.argv[1])


def wait_for(name):
    while not (HOME / name).exists():
        time.sleep(0.01)


wait_for("ask")
request = urllib.request.Request(
    os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages",
    data=(HOME / "question").read_bytes(),
    headers={"Authorization": "Bearer " + os.environ["ANTHROPIC_AUTH_TOKEN"], "Content-Type": "application/json"},
)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(json.load(opener.open(request))["content"][0]["text"], flush=True)
wait_for("end")
