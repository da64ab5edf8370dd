#!/usr/bin/env python3
"""Asks a gateway with the official Python client and prints what the client makes of the answers.

usage: cases.py URL TOKEN

Nothing that differs from run to run is printed. `cases.mjs` asks the same with the official TypeScript client and prints it
in the same words.
"""

import asyncio
import json
import sys

import anthropic

TOOL = {
    "name": "add",
    "description": "Adds two numbers.",
    "input_schema": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
}
# From the more special to the more general.
CLASSES = [
    anthropic.BadRequestError,
    anthropic.AuthenticationError,
    anthropic.NotFoundError,
    anthropic.InternalServerError,
    anthropic.APIConnectionError,
    anthropic.APIError,
]


def main():
    url, token = sys.argv[1:]
    client = anthropic.Anthropic(base_url=url, api_key=token, max_retries=0)
    one_piece(client)
    helpers(client)
    thinking(client)
    tools_by_hand(client)
    tool_runner(client)
    models(client)
    errors(client, url)
    asyncio.run(at_once(url, token))


def ask(text, **more):
    return {"model": "any", "max_tokens": 100, "messages": [{"role": "user", "content": text}], **more}


def show(name, message):
    blocks = [block.model_dump(mode="json", exclude_none=True) for block in message.content]
    for block in blocks:
        block.pop("id", None)
    usage = message.usage
    print(f"{name}: {compact(blocks)} {message.stop_reason} {message.stop_sequence or '-'}")
    # What an answer that was stopped took is estimated.
    if not message.stop_sequence:
        print(f"  {message.model}, {usage.input_tokens} + {usage.cache_read_input_tokens} in, {usage.output_tokens} out")


def compact(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def one_piece(client):
    show("create", client.messages.create(**ask("count")))
    show("create and stop", client.messages.create(**ask("count", stop_sequences=["three"])))


def helpers(client):
    with client.messages.stream(**ask("count")) as stream:
        print("text:", compact(list(stream.text_stream)))
        show("final message", stream.get_final_message())
    kinds = []
    with client.messages.create(**ask("count"), stream=True) as events:
        for event in events:
            if not kinds or kinds[-1] != event.type:
                kinds.append(event.type)
    print("events:", ", ".join(kinds))


def thinking(client):
    with client.messages.stream(**ask("think", thinking={"type": "adaptive"})) as stream:
        thoughts = [event.thinking for event in stream if event.type == "thinking"]
        print("thinking:", compact(thoughts))
        show("after thinking", stream.get_final_message())


def tools_by_hand(client):
    request = ask("add", tools=[TOOL])
    with client.messages.stream(**request) as stream:
        pieces = "".join(event.partial_json for event in stream if event.type == "input_json")
        message = stream.get_final_message()
    print("arguments:", compact(json.loads(pieces)))
    show("call", message)
    call = message.content[-1]
    result = {"type": "tool_result", "tool_use_id": call.id, "content": str(call.input["a"] + call.input["b"])}
    request["messages"] += [{"role": "assistant", "content": message.content}, {"role": "user", "content": [result]}]
    show("result", client.messages.create(**request))


def tool_runner(client):
    @anthropic.beta_tool
    def add(a: int, b: int) -> str:
        """Adds two numbers."""
        print(f"add is called with {a} and {b}")
        return str(a + b)

    show("tool runner", client.beta.messages.tool_runner(**ask("add", tools=[add])).until_done())


def models(client):
    counted = client.messages.count_tokens(model="any", messages=ask("How many tokens is this?")["messages"])
    print("tokens are counted:", 4 < counted.input_tokens < 20)
    print("models:", ", ".join(model.id for model in client.models.list()))
    print("model:", client.models.retrieve("any").display_name)


def errors(client, url):
    failing = {
        "too long": lambda: client.messages.create(**ask("overflow")),
        "refused": lambda: client.messages.create(**ask("refuse")),
        "empty": lambda: client.messages.create(**ask("nothing")),
        "too long, streamed": lambda: read(client, "overflow"),
        "cut off": lambda: read(client, "break"),
        "unknown path": lambda: client.get("/v1/nothing", cast_to=object),
        "wrong token": lambda: client.with_options(api_key="wrong").messages.create(**ask("count")),
    }
    for name, call in failing.items():
        try:
            print(f"{name}: no error but {call()}")
        except anthropic.APIError as error:
            kind = next(kind.__name__ for kind in CLASSES if isinstance(error, kind))
            status = getattr(error, "status_code", None)
            # A stream that has begun has said 200 already.
            status = None if status == 200 else status
            said = error.body["error"]
            print(f"{name}: {kind} {status or '-'} {said['type']}: {said['message']}")
    patient = client.with_options(max_retries=2)
    show("asked again", patient.messages.create(**ask("nothing at first")))


def read(client, text):
    with client.messages.stream(**ask(text)) as stream:
        for _ in stream:
            pass


async def at_once(url, token):
    async with anthropic.AsyncAnthropic(base_url=url, api_key=token, max_retries=0) as client:
        messages = await asyncio.gather(*[client.messages.create(**ask(f"echo {number}")) for number in range(8)])
        print("at once:", " ".join(message.content[0].text for message in messages))
        begun = asyncio.Event()

        async def endless():
            async with client.messages.stream(**ask("never end")) as stream:
                async for _ in stream.text_stream:
                    begun.set()

        task = asyncio.create_task(endless())
        await begun.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        print("cancelled:", task.cancelled())
        show("after that", await client.messages.create(**ask("count")))


main()
