#!/usr/bin/env python3
"""Leads a session of two prompts with a hook, and prints what comes of each.

usage: resumed.py CLAUDE
"""

import asyncio
import sys

import claude_agent_sdk as sdk


async def note(given, _tool_use_id, _context):
    print("hook", given["tool_input"]["command"], flush=True)
    return {}


async def main():
    options = sdk.ClaudeAgentOptions(
        cli_path=sys.argv[1],
        permission_mode="bypassPermissions",
        hooks={"PreToolUse": [sdk.HookMatcher(hooks=[note])]},
        stderr=lambda line: print(line, file=sys.stderr),
    )
    async with sdk.ClaudeSDKClient(options) as client:
        for prompt in ("Do the work.", "And then?"):
            await client.query(prompt)
            async for message in client.receive_response():
                if isinstance(message, sdk.ResultMessage):
                    print("failure" if message.is_error else message.result, flush=True)


asyncio.run(main())
