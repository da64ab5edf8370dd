"""What the programs of cases share: a case has a folder of its name below the working directory, and lines to print.

Nothing that differs from run to run is printed: sessions are S1, S2, … in the order of their first message.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
from pathlib import Path

import claude_agent_sdk as sdk

LIMIT = 100
AT_ONCE = 4
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


class Run:
    def __init__(self, name, claude):
        self.lines, self.stderr, self.sessions = [], [], []
        self.init, self.last_uuid, self.result, self.streamed = {}, None, None, []
        self.claude, self.folder = claude, Path(name).resolve()
        self.config = self.folder / "config"
        self.config.mkdir(parents=True)

    def options(self, **more):
        """With a `.claude` of its own, so that a case can empty it."""
        env = {"CLAUDE_CONFIG_DIR": str(self.config), **more.pop("env", {})}
        return sdk.ClaudeAgentOptions(cli_path=self.claude, cwd=self.folder, env=env, stderr=self.stderr.append, **more)

    def client(self, **more):
        return sdk.ClaudeSDKClient(self.options(**more))

    async def ask(self, prompt, **options):
        """One call. Gives the session's id."""
        await self.note_all(sdk.query(prompt=prompt, options=self.options(**options)))
        return self.result.session_id

    async def turn(self, client, prompt, **fields):
        """`fields` are of the line that the prompt comes in."""
        message = {"role": "user", "content": prompt}
        await client.query(one({"type": "user", "message": message, "parent_tool_use_id": None, **fields}))
        await self.note_all(client.receive_response())

    async def turns(self, client, *prompts):
        for prompt in prompts:
            await self.turn(client, prompt)

    async def note_all(self, messages):
        async for message in messages:
            self.note(message)

    def note(self, message):
        match message:
            case sdk.ConversationResetMessage():
                is_new = message.new_conversation_id not in self.sessions
                self.say(f"reset of {self.label(message.session_id)}, new id: {is_new}, uuid: {bool(message.uuid)}")
            case sdk.SystemMessage(subtype="init"):
                self.init = message.data
                self.say(f"system init of {self.label(message.data['session_id'])}")
            case sdk.SystemMessage(subtype=subtype):
                self.say(f"system {subtype}{told(message.data)}")
            case sdk.AssistantMessage(content=content):
                self.last_uuid = message.uuid
                self.streamed.append(message.uuid)
                self.say(f"assistant{' (not of a model)' if message.model == '<synthetic>' else ''}: {texts(content)}")
            case sdk.UserMessage(content=content):
                self.say(f"user: {texts(content)}")
            case sdk.ResultMessage():
                self.result = message
                error = ", error" if message.is_error else ""
                origin = f", origin {json.dumps(message.origin)}" if message.origin is not None else ""
                turns = f"{message.num_turns} turns of {self.label(message.session_id)}"
                self.say(f"result {message.subtype}{error}, {turns}{origin}: {shown(message.result)}")
            case sdk.types.StreamEvent():
                pass
            case other:
                self.say(type(other).__name__)

    def label(self, session):
        if session not in self.sessions:
            self.sessions.append(session)
        return f"S{self.sessions.index(session) + 1}"

    def say(self, line):
        self.lines.append(line)

    async def raises(self, call):
        """A call that is refused. What the process says on stderr is in the error's text."""
        self.stderr.clear()
        try:
            await call
            self.say("nothing was raised")
        except sdk.ProcessError as error:
            self.say(f"raised ProcessError, exit code {error.exit_code}: {shown(self.masked(str(error)))}")
        self.lines.extend(f"stderr: {self.masked(line)}" for line in self.stderr)
        self.stderr.clear()

    def masked(self, text):
        for at, uuid in enumerate(self.streamed):
            text = text.replace(uuid, f"[message {at + 1}]")
        # Of lines that are no messages, each has its own number.
        return re.sub(r"discarded entry \d+", "discarded entry [n]", text)

    def forget(self):
        """Removes what is on disk of this folder's sessions: Claude Code's, and ours."""
        key = sdk.project_key_for_directory(self.folder)
        state = Path(os.environ["HOME"]) / ".local/state/claude-failover"
        for path in (self.config / "projects", state / "sessions" / key):
            shutil.rmtree(path, ignore_errors=True)

    def write(self, path, text):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    async def lead(self):
        try:
            await asyncio.wait_for(CASES[self.folder.name](self), LIMIT)
        except Exception as error:
            self.say(f"raised {type(error).__name__}: {shown(self.masked(str(error)))}")
        self.lines.extend(f"stderr: {line}" for line in self.stderr)


async def one(message):
    yield message


def told(data):
    fields = ("status", "compact_result", "permission_mode")
    return "".join(f" {key}={data[key]}" for key in fields if data.get(key) is not None)


def texts(content):
    if isinstance(content, str):
        return shown(content)
    return ", ".join(shown(block.text) if isinstance(block, sdk.TextBlock) else type(block).__name__ for block in content)


def shown(value):
    """Long text by its first words: the rest is not ours."""
    text = json.dumps(value)
    # A summary of the real one and of ours differ behind their first words.
    is_summary = text.startswith('"This session is being continued')
    return text if len(text) < 400 and not is_summary else f"{text[:60]}…"


async def main(claude, *names):
    runs = [Run(name, claude) for name in names or CASES]
    waiting = iter(runs)

    async def work():
        for run in waiting:
            with contextlib.suppress(asyncio.CancelledError):
                await run.lead()

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    for run in runs:
        print(f"== {run.folder.name}", *run.lines, sep="\n")
