#!/usr/bin/env python3
"""Runs cases with the Python Agent SDK, some at once, and prints what the SDK yielded in each of them.

usage: cases.py CLAUDE [CASE...]        all cases if none is named

Each case works in a folder of its name below the working directory. Nothing that differs from run to run is printed.
`cases.mjs` has the same cases for the TypeScript SDK and prints them in the same words.
"""

import asyncio
import contextlib
import hashlib
import json
import sys
from pathlib import Path

import claude_agent_sdk as sdk

LIMIT = 100
AT_ONCE = 4
SESSION = "5d1f2c3b-0a69-4788-9c1e-2f3a4b5c6d7e"
MESSAGE = "22222222-2222-4222-8222-222222222222"
UNKNOWN_SESSION = "11111111-1111-4111-8111-111111111111"
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["answer", "n"],
    "additionalProperties": False,
}
STRUCTURED = {"type": "json_schema", "schema": SCHEMA}
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


@case
async def one_shot(run):
    result = await run.ask("hello")
    run.say(f"turns {result.num_turns}, cost {result.total_cost_usd:.0f}, model of the session: {run.model}")
    run.say(f"tokens are counted: {result.usage['input_tokens'] > 0 and result.usage['output_tokens'] > 0}")


@case
async def unusual_text(run):
    await run.ask('é 漢 🦀 "quoted" \\n \u2028 <b>\ttab</b>\r\nlast')


@case
async def separators(run):
    await run.ask("say separators")


@case
async def large_answer(run):
    await run.ask("say much")


@case
async def iterable(run):
    await run.ask(prompts("hello"))


@case
async def blocks(run):
    await run.ask(prompts([{"type": "text", "text": "first"}, {"type": "text", "text": "second"}]))


@case
async def two_prompts(run):
    await run.ask(prompts("one", "two"))


@case
async def message_id(run):
    await run.ask(prompts("one", uuid=MESSAGE))


@case
async def replays(run):
    await run.ask(prompts("one"), extra_args={"replay-user-messages": None})


@case
async def large_prompt(run):
    await run.ask("".join(f"{number:06d}漢" for number in range(50_000)))


@case
async def partials(run):
    await run.ask("three words here", include_partial_messages=True)


@case
async def remembers(run):
    async with run.client() as client:
        for prompt in ("one", "two", "three"):
            await run.turn(client, prompt)


@case
async def system_string(run):
    await run.ask("hello", system_prompt="<<be brief>>")


@case
async def system_append(run):
    await run.ask("hello", system_prompt={"type": "preset", "preset": "claude_code", "append": "<<be kind>>"})


@case
async def system_preset(run):
    await run.ask("hello", system_prompt={"type": "preset", "preset": "claude_code"})


@case
async def structured(run):
    await run.result('json {"answer":"forty two","n":42}', output_format=STRUCTURED)


@case
async def structured_wrong_first(run):
    await run.result('wrong first, json {"answer":"forty three","n":43}', output_format=STRUCTURED)


@case
async def structured_never(run):
    await run.result('json {"n":"no number"}', output_format=STRUCTURED)


@case
async def interrupt(run):
    async with run.client(include_partial_messages=True) as client:
        await client.query("never end")
        await run.until_text(client.receive_response())
        await client.interrupt()
        await run.note_all(client.receive_response())
        await run.turn(client, "go on")


@case
async def interrupt_idle(run):
    async with run.client() as client:
        await client.interrupt()
        await run.turn(client, "one")
        await client.interrupt()
        await run.turn(client, "two")


@case
async def controls(run):
    async with run.client() as client:
        info = await client.get_server_info()
        run.say(", ".join(f"{key} {kind(info[key])}" for key in ("commands", "models", "agents", "account")))
        usage = await client.get_context_usage()
        run.say(", ".join(f"{key} {kind(usage[key])}" for key in CONTEXT_USAGE))
        run.say(f"servers: {(await client.get_mcp_status())['mcpServers']}")
        await client.set_model("haiku")
        await client.set_model(None)
        await client.set_permission_mode("acceptEdits")
        await run.attempt(client.set_permission_mode("nonsense"))
        await run.attempt(client.rewind_files(SESSION))
        await run.attempt(client.reconnect_mcp_server("nowhere"))
        await run.turn(client, "hello")


CONTEXT_USAGE = (
    "categories totalTokens maxTokens rawMaxTokens percentage gridRows model memoryFiles mcpTools agents isAutoCompactEnabled"
).split()


@case
async def controls_in_the_answer(run):
    async with run.client(include_partial_messages=True) as client:
        await client.query("never end")
        await run.until_text(client.receive_response())
        run.say(f"servers: {(await client.get_mcp_status())['mcpServers']}")
        await client.set_model("haiku")
        await client.interrupt()
        await run.note_all(client.receive_response())


@case
async def resume(run):
    first = await run.ask("one")
    second = await run.ask("two", resume=first.session_id)
    run.say(f"same session: {first.session_id == second.session_id}")
    await run.ask("three", resume=first.session_id)


@case
async def resume_unknown(run):
    await run.ask("one", resume=UNKNOWN_SESSION)


@case
async def continue_last(run):
    first = await run.ask("one")
    second = await run.ask("two", continue_conversation=True)
    run.say(f"same session: {first.session_id == second.session_id}")


@case
async def fork(run):
    first = await run.ask("one")
    second = await run.ask("two", resume=first.session_id, fork_session=True)
    run.say(f"same session: {first.session_id == second.session_id}")
    await run.ask("three", resume=first.session_id)


@case
async def session_id(run):
    first = await run.ask("one", session_id=SESSION)
    run.say(f"as asked: {first.session_id == SESSION}")
    await run.ask("two", resume=SESSION)


@case
async def hooks(run):
    async def hook(given, _tool_use_id, _context):
        run.say(f"hook {given['hook_event_name']}")
        return {}

    matcher = [sdk.HookMatcher(hooks=[hook])]
    await run.ask("hello", hooks={"PreToolUse": matcher, "UserPromptSubmit": matcher, "Stop": matcher})


@case
async def mcp_server(run):
    @sdk.tool("add", "Adds two numbers", {"a": float, "b": float})
    async def add(args):
        return {"content": [{"type": "text", "text": str(args["a"] + args["b"])}]}

    server = sdk.create_sdk_mcp_server(name="calculator", tools=[add])
    await run.ask("hello", mcp_servers={"calculator": server}, allowed_tools=["mcp__calculator__add"])


@case
async def can_use_tool(run):
    async def allow(name, given, _context):
        run.say(f"may it use {name}?")
        return sdk.PermissionResultAllow(updated_input=given)

    await run.ask(prompts("hello"), can_use_tool=allow)


@case
async def many_options(run):
    options = {
        "add_dirs": ["."],
        "agents": {"helper": sdk.AgentDefinition(description="helps", prompt="Help.")},
        "allowed_tools": ["Read", "Bash(ls:*)"],
        "disallowed_tools": ["Write"],
        "fallback_model": "haiku",
        "max_budget_usd": 10.0,
        "max_thinking_tokens": 2000,
        "max_turns": 3,
        "mcp_servers": {},
        "model": "sonnet",
        "permission_mode": "plan",
        "setting_sources": ["user", "project", "local"],
        "settings": '{"includeCoAuthoredBy":false}',
    }
    await run.ask("hello", **options)


@case
async def api_error(run):
    await run.ask("refuse this")


@case
async def api_error_and_on(run):
    async with run.client() as client:
        await run.turn(client, "refuse this")
        await run.turn(client, "hello")


@case
async def break_off(run):
    async with run.client(include_partial_messages=True) as client:
        await client.query("never end")
        await run.until_text(client.receive_response())
    run.say("closed")


class Run:
    """A case: its folder, and the lines to print."""

    def __init__(self, name, claude):
        self.lines, self.stderr, self.text, self.model = [], [], "", None
        self.claude, self.folder = claude, Path(name).resolve()
        self.folder.mkdir()

    def options(self, **more):
        return sdk.ClaudeAgentOptions(cli_path=self.claude, cwd=self.folder, stderr=self.stderr.append, **more)

    def client(self, **more):
        return sdk.ClaudeSDKClient(self.options(**more))

    async def ask(self, prompt, **options):
        return await self.note_all(sdk.query(prompt=prompt, options=self.options(**options)))

    async def result(self, prompt, **options):
        """Like `ask`, for what is reached in different ways: only the end is noted."""
        async for message in sdk.query(prompt=prompt, options=self.options(**options)):
            if isinstance(message, sdk.ResultMessage):
                self.note(message)

    async def turn(self, client, prompt):
        await client.query(prompt)
        await self.note_all(client.receive_response())

    async def note_all(self, messages):
        last = None
        async for message in messages:
            self.note(message)
            last = message
        return last

    async def until_text(self, messages):
        async with contextlib.aclosing(messages):
            async for message in messages:
                self.note(message)
                if self.text:
                    return

    async def attempt(self, request):
        try:
            await request
        except Exception as error:
            self.say(f"raised: {worded(error)}")

    def note(self, message):
        match message:
            case sdk.types.StreamEvent(event={"type": "content_block_delta", "delta": delta}):
                self.text += delta["text"]
            case sdk.types.StreamEvent(event=event):
                self.say(f"event {event['type']}")
            case sdk.SystemMessage(subtype=subtype):
                self.model = message.data.get("model", self.model)
                self.say(f"system {subtype}")
            case sdk.AssistantMessage(content=content):
                for block in content:
                    self.say(f"assistant{said(message.error)}{shown(block.text)}")
            case sdk.UserMessage(content=str(content)):
                self.say(f"user: {shown(content)}")
            case sdk.UserMessage(content=content):
                for block in content:
                    self.say(f"user: {shown(block.text)}")
            case sdk.ResultMessage(result=result):
                error = ", error" if message.is_error else ""
                self.say(f"result {message.subtype}{error}: {shown(result)}")
                if message.structured_output is not None:
                    self.say(f"  structured {shown(message.structured_output)}")
            case other:
                self.say(f"{type(other).__name__}")

    def say(self, line):
        # In how many pieces the text comes is not the same everywhere.
        if self.text:
            self.lines.append(f"event content_block_delta: {shown(self.text)}")
            self.text = ""
        self.lines.append(line)

    async def lead(self):
        try:
            await asyncio.wait_for(CASES[self.folder.name](self), LIMIT)
        except Exception as error:
            self.say(f"raised: {worded(error)}")
        self.lines.extend(f"stderr: {line}" for line in self.stderr)


def worded(error):
    return shown(str(error).removesuffix(" (exit code: 1)") or type(error).__name__)


def said(error):
    return f" ({error}): " if error else ": "


def shown(value):
    text = json.dumps(value, separators=(",", ":"))
    return text if len(text) < 2000 else f"{len(value)} characters, {hashlib.sha256(value.encode()).hexdigest()[:16]}"


def kind(value):
    if isinstance(value, bool):
        return "boolean"
    return {int: "number", float: "number", str: "string", list: "array", dict: "object"}[type(value)]


async def prompts(*contents, **more):
    for content in contents:
        message = {"role": "user", "content": content}
        yield {"type": "user", "message": message, "parent_tool_use_id": None, "session_id": "", **more}


async def main(claude, *names):
    runs = [Run(name, claude) for name in names or CASES]
    waiting = iter(runs)

    async def work():
        for run in waiting:
            await run.lead()

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    for run in runs:
        print(f"== {run.folder.name}", *run.lines, sep="\n")


asyncio.run(main(*sys.argv[1:]))
