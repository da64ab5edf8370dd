#!/usr/bin/env python3
"""Asks a gateway through LangChain and Pydantic AI, with tools that Anthropic defines, and prints what comes of it.

usage: frameworks.py URL TOKEN

The model makes the calls that the prompt lists, whatever it is told of their number.
"""

import asyncio
import json
import sys

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from pydantic import BaseModel
from pydantic_ai import Agent, MemoryTool, capture_run_messages
from pydantic_ai.capabilities import NativeTool
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider

MODEL = "claude-sonnet-4-5"
TYPED = [
    {"type": "bash_20250124", "name": "bash"},
    {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
    {"type": "memory_20250818", "name": "memory"},
]
LS = {"name": "bash", "arguments": {"command": "ls"}}
PWD = {"name": "bash", "arguments": {"command": "pwd"}}
INSERT = {
    "name": "str_replace_based_edit_tool",
    "arguments": {"command": "insert", "path": "/a", "insert_line": 0, "insert_text": "b"},
}
LOOK = {"name": "memory", "arguments": {"command": "view", "path": "/memories"}}
ADD = {"name": "add", "arguments": {"a": 2, "b": 3}}
PERSON = {"name": "Person", "arguments": {"name": "Ada", "age": 36}}


class Person(BaseModel):
    """A person."""

    name: str
    age: int


def main():
    url, token = sys.argv[1:]
    langchain(url, token)
    asyncio.run(pydantic_ai(url, token))


def show(name, calls):
    print(f"{name}:", "; ".join(f"{call} {json.dumps(given, sort_keys=True)}" for call, given in calls))


def langchain(url, token):
    chat = ChatAnthropic(model=MODEL, base_url=url, api_key=token, max_retries=0, max_tokens=100)

    def both_ways(name, chat, calls):
        whole = chat.invoke(json.dumps(calls))
        streamed = None
        for chunk in chat.stream(json.dumps(calls)):
            streamed = chunk if streamed is None else streamed + chunk
        for message in [whole, streamed]:
            show(f"langchain, {name}", [(call["name"], call["args"]) for call in message.tool_calls])
            print(" ", message.response_metadata["stop_reason"], repr(message.text))
        return whole

    typed = chat.bind_tools(TYPED)
    message = both_ways("typed tools", typed, [LS, INSERT, LOOK])
    both_ways("forced", chat.bind_tools(TYPED, tool_choice="memory"), [LOOK])
    both_ways("forced at last", chat.bind_tools(TYPED, tool_choice="bash"), ["at last", LS])
    both_ways("one at a time", chat.bind_tools(TYPED, parallel_tool_calls=False), [LS, PWD])
    results = [ToolMessage(f"of {call['name']}", tool_call_id=call["id"]) for call in message.tool_calls]
    answer = typed.invoke([HumanMessage("do it"), message, *results])
    print("langchain, results:", answer.text)
    person = chat.with_structured_output(Person, method="function_calling").invoke(json.dumps(["at last", PERSON]))
    print("langchain, structured:", repr(person))
    try:
        chat.bind_tools(TYPED, tool_choice={"type": "tool", "name": "nope"}).invoke("[]")
    except Exception as error:
        print("langchain, refused:", type(error).__name__, error.status_code, error.body["error"]["message"])


async def pydantic_ai(url, token):
    model = AnthropicModel(MODEL, provider=AnthropicProvider(base_url=url, api_key=token))
    agent = Agent(model, model_settings={"max_tokens": 100}, capabilities=[NativeTool(MemoryTool())])

    @agent.tool_plain
    def memory(command: str, path: str) -> str:
        return f"{command} of {path}"

    @agent.tool_plain
    def add(a: int, b: int) -> int:
        return a + b

    async def both_ways(name, agent, calls, **settings):
        with capture_run_messages() as messages:
            whole = await agent.run(json.dumps(calls), model_settings=settings)
        calls_made(name, messages)
        print(" ", repr(whole.output))
        async with agent.run_stream(json.dumps(calls), model_settings=settings) as streamed:
            print(" ", repr(await streamed.get_output()))

    def calls_made(name, messages):
        parts = [part for message in messages for part in message.parts if isinstance(part, ToolCallPart)]
        show(f"pydantic-ai, {name}", [(part.tool_name, part.args_as_dict()) for part in parts])

    await both_ways("typed tool", agent, [LOOK, ADD])
    await both_ways("one at a time", agent, [ADD, LOOK], parallel_tool_calls=False)
    structured = Agent(model, output_type=Person, model_settings={"max_tokens": 100})
    await both_ways("structured", structured, ["at last", {**PERSON, "name": "final_result"}])


main()
