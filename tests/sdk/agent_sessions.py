#!/usr/bin/env python3
"""Cases of sessions that only Claude Code itself can hold: hooks, after the Python SDK's own end-to-end tests, and
slash commands.

usage: agent_sessions.py CLAUDE [CASE...]        all cases if none is named
"""

import asyncio
import sys

import claude_agent_sdk as sdk
from case_run import case, main


def _hook(run, **answer):
    async def hook(given, tool_use_id, _context):
        name = given["hook_event_name"]
        more = f" {given['tool_name']}, id: {bool(tool_use_id)}" if "tool_name" in given else ""
        run.say(f"hook {name}{more}")
        return answer

    return [sdk.HookMatcher(matcher="Bash", hooks=[hook])]


async def _bash(run, command, **hooks):
    async with run.client(allowed_tools=["Bash"], hooks=hooks) as client:
        await run.turn(client, f"run: {command}")
    made = sorted(path.name for path in run.folder.iterdir() if path.is_file())
    run.say(f"made: {made}")


@case
async def denies(run):
    output = {"hookEventName": "PreToolUse", "permissionDecision": "deny", "permissionDecisionReason": "Security policy: Bash blocked"}
    await _bash(run, "touch made", PreToolUse=_hook(run, systemMessage="blocked", reason="no", hookSpecificOutput=output))


@case
async def allows(run):
    output = {"hookEventName": "PreToolUse", "permissionDecision": "allow", "permissionDecisionReason": "checked"}
    await _bash(run, "touch made", PreToolUse=_hook(run, hookSpecificOutput=output))


@case
async def stops(run):
    await _bash(run, "touch made", PostToolUse=_hook(run, continue_=False, stopReason="halted"))


@case
async def adds_context(run):
    """The model hears what a hook adds."""
    output = {"hookEventName": "PostToolUse", "additionalContext": "<<the hook was here>>"}
    await _bash(run, "touch made", PostToolUse=_hook(run, hookSpecificOutput=output))


@case
async def several(run):
    hooks = {name: _hook(run) for name in ("PreToolUse", "PostToolUse", "Notification")}
    await _bash(run, "touch made", **hooks)


@case
async def prompt_and_stop(run):
    """Without a tool."""

    async def hook(given, _tool_use_id, _context):
        run.say(f"hook {given['hook_event_name']}")
        return {}

    hooks = {name: [sdk.HookMatcher(hooks=[hook])] for name in ("UserPromptSubmit", "Stop", "Notification")}
    async with run.client(hooks=hooks) as client:
        await run.turn(client, "one")
        await run.turn(client, "two")


@case
async def hooks_and_a_store(run):
    store = sdk.InMemorySessionStore()
    async with run.client(allowed_tools=["Bash"], hooks={"PreToolUse": _hook(run)}, session_store=store) as client:
        await run.turn(client, "run: touch made")
    key = sdk.project_key_for_directory(run.folder)
    entries = await store.load({"project_key": key, "session_id": run.result.session_id})
    kinds = [block["type"] for each in entries if each["type"] == "assistant" for block in each["message"]["content"]]
    run.say(f"stored: {kinds}")


# Commands


@case
async def command_of_the_folder(run):
    _command(run)
    async with run.client() as client:
        await run.turns(client, "/y all", "one", "/y more")


@case
async def command_in_the_middle(run):
    _command(run)
    async with run.client() as client:
        await run.turns(client, "one", "/y all", "two")


def _command(run):
    run.write(".claude/commands/y.md", "---\ndescription: does y\n---\nDo y with $ARGUMENTS now.\n")


@case
async def command_of_one_call(run):
    _command(run)
    await run.ask("/y all")


@case
async def skill(run):
    run.write(".claude/skills/sk/SKILL.md", "---\nname: sk\ndescription: a skill\n---\nUse the skill.\n")
    async with run.client() as client:
        await client.query("/sk")
        async for message in client.receive_response():
            if isinstance(message, sdk.ResultMessage):
                run.say(f"used: {'Use the skill.' in message.result}")


@case
async def command_that_needs_a_terminal(run):
    async with run.client() as client:
        await run.turns(client, "one", "/help")


@case
async def clear(run):
    store = sdk.InMemorySessionStore()
    async with run.client(allowed_tools=["Bash"], session_store=store) as client:
        await run.turns(client, "one", "/clear", "two")
    sessions = await store.list_sessions(sdk.project_key_for_directory(run.folder))
    run.say(f"stored: {sorted(run.label(each['session_id']) for each in sessions)}")


asyncio.run(main(*sys.argv[1:]))
