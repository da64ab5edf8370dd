#!/usr/bin/env python3
"""Offers tools over MCP on stdin and stdout.

usage: mcp_server.py NUMBER_OF_TOOLS
"""

import json
import sys


def main():
    answers = {
        "initialize": lambda params: {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "many", "version": "1"},
        },
        "tools/list": lambda _: {"tools": [tool(number) for number in range(int(sys.argv[1]))]},
        "tools/call": lambda params: {"content": [{"type": "text", "text": f"{params['name']} has found {params['arguments']['what']}"}]},
    }
    for line in sys.stdin:
        request = json.loads(line)
        if "id" not in request:
            continue
        answer = answers.get(request["method"])
        outcome = {"result": answer(request.get("params", {}))} if answer else {"error": {"code": -32601, "message": "not here"}}
        print(json.dumps({"jsonrpc": "2.0", "id": request["id"], **outcome}), flush=True)


def tool(number):
    return {
        "name": f"find_{number:02}",
        "description": f"Finds something in shelf {number} of the library, where the books of that shelf are kept. " * 4,
        "inputSchema": {
            "type": "object",
            "properties": {
                "what": {"type": "string", "description": "What is looked for, in the words that stand on its back."},
                "where": {"type": "string", "enum": ["title", "text"], "description": "The part of a book that is read."},
            },
            "required": ["what"],
        },
    }


if __name__ == "__main__":
    main()
