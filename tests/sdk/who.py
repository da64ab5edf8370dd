"""Asks once with the Python SDK, and prints who has answered.

usage: who.py CLI [TOOL…]
"""

import asyncio
import sys

import claude_agent_sdk as sdk


def is_local(result):
    return any(usage.get("provider") == "local" for usage in (result.model_usage or {}).values())


async def main():
    # Root may not skip permissions without IS_SANDBOX.
    mode = "bypassPermissions" if sys.argv[2:] else None
    options = sdk.ClaudeAgentOptions(cli_path=sys.argv[1], allowed_tools=sys.argv[2:], permission_mode=mode)
    async for message in sdk.query(prompt="do it", options=options):
        if isinstance(message, sdk.ResultMessage):
            print(message.result, is_local(message))


asyncio.run(main())
