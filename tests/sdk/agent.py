#!/usr/bin/env python3
"""Has an agent of the Python Agent SDK work under its eyes, and prints what the agent asks.

usage: agent.py CLAUDE

`agent.mjs` does the same with the TypeScript SDK and prints the same.
"""

import asyncio
import json
import sys

import claude_agent_sdk as sdk


def say(line):
    print(line, flush=True)


async def note(given, _tool_use_id, _context):
    say(" ".join(["hook", given["hook_event_name"], *([given["tool_name"]] if "tool_name" in given else [])]))
    return {}


async def hold(given, tool_use_id, context):
    await note(given, tool_use_id, context)
    decision = {"hookEventName": "PreToolUse", "permissionDecision": "deny", "permissionDecisionReason": "held by the hook"}
    return {"hookSpecificOutput": decision}


async def may_use(name, given, _context):
    command = given.get("command")
    say(f"may it use {name}: {command or json.dumps(None)}")
    if command == "touch forbidden":
        return sdk.PermissionResultDeny(message="not this one")
    return sdk.PermissionResultAllow(updated_input=given)


@sdk.tool("add", "Adds two numbers", {"a": float, "b": float})
async def add(given):
    say(f"add {given['a']:g} and {given['b']:g}")
    return {"content": [{"type": "text", "text": f"{given['a'] + given['b']:g}"}]}


async def lead(prompt, **more):
    options = sdk.ClaudeAgentOptions(cli_path=sys.argv[1], stderr=lambda line: print(line, file=sys.stderr), **more)
    async with sdk.ClaudeSDKClient(options) as client:
        await client.query(prompt)
        async for message in client.receive_response():
            if isinstance(message, sdk.ResultMessage):
                say(f"result {message.subtype}: {message.result}")


async def main():
    noted, held = sdk.HookMatcher(hooks=[note]), sdk.HookMatcher(matcher="Bash", hooks=[hold])
    calculator = sdk.create_sdk_mcp_server(name="calculator", tools=[add])
    await lead("do it", hooks={"PreToolUse": [noted]}, can_use_tool=may_use, mcp_servers={"calculator": calculator})
    await lead("do it again", hooks={"UserPromptSubmit": [noted], "PreToolUse": [held], "Stop": [noted]})


asyncio.run(main())
