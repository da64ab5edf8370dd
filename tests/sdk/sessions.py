#!/usr/bin/env python3
"""Cases of sessions with the Python SDK, after its own end-to-end tests: commands, session stores, origins, what a
folder has, and resuming at a point.

usage: sessions.py CLAUDE [CASE...]        all cases if none is named
"""

import asyncio
import os
import sys
import unittest.mock
import uuid

import claude_agent_sdk as sdk
from case_run import case, main

# Commands of a session


@case
async def clear(run):
    async with run.client() as client:
        await run.turns(client, "one", "/clear", "two", "three")


@case
async def clear_first(run):
    async with run.client() as client:
        await run.turns(client, "/clear", "one")


@case
async def clear_by_other_names(run):
    async with run.client() as client:
        await run.turns(client, "one", "/reset", "two", "/new", "three", "/clear all of it", "four")


@case
async def clear_then_resume(run):
    async with run.client() as client:
        await run.turns(client, "one", "/clear", "two")
    first, second = run.sessions
    await run.ask("three", resume=first)
    await run.ask("four", resume=second)


@case
async def clear_starts_the_count_anew(run):
    async with run.client() as client:
        await run.turn(client, "one")
        await run.turn(client, "/clear")
        run.say(f"cost {run.result.total_cost_usd}, models {run.result.model_usage}, {run.result.usage['input_tokens']} tokens")


@case
async def clear_of_one_call(run):
    await run.ask("/clear")


@case
async def clear_with_partial_messages(run):
    async with run.client(include_partial_messages=True) as client:
        await run.turns(client, "one", "/clear", "two")


@case
async def clear_is_replayed(run):
    """With the uuid that the caller gave it."""
    uuid_of_clear = str(uuid.uuid4())
    async with run.client(extra_args={"replay-user-messages": None}) as client:
        await run.turn(client, "one")
        await client.query(_line("/clear", uuid=uuid_of_clear))
        async for message in client.receive_response():
            match message:
                case sdk.UserMessage(content=content):
                    run.say(f"user {message.uuid == uuid_of_clear}: {' '.join(content.split())}")
                case sdk.ConversationResetMessage() | sdk.ResultMessage():
                    run.note(message)


@case
async def no_commands(run):
    async with run.client(extra_args={"disable-slash-commands": None}) as client:
        await run.turns(client, "one", "/clear", "/cost", "/compact")
        run.say(f"commands {run.init['slash_commands']}, skills {run.init['skills']}")


@case
async def compact(run):
    async with run.client() as client:
        await run.turns(client, "one", "/compact", "two")
    await run.ask("three", resume=run.sessions[0])


@case
async def compact_with_instructions(run):
    async with run.client() as client:
        await run.turns(client, "one", "/compact keep <<the names>>", "two")


@case
async def compact_first(run):
    async with run.client() as client:
        await run.turns(client, "/compact", "one")


@case
async def cost(run):
    async with run.client() as client:
        await client.query("/cost")
        await _labels(run, client)
        await run.turn(client, "one")
        for command in ("/cost", "/usage"):
            await client.query(command)
            await _labels(run, client)
        await run.turn(client, "two")


async def _labels(run, client):
    """What the lines of a report begin with: the counts differ."""
    async for message in client.receive_response():
        match message:
            case sdk.AssistantMessage(content=[sdk.TextBlock(text=text)]):
                labels = [line.split(":")[0].strip() for line in text.splitlines()]
                run.say(f"assistant {message.model}: {', '.join(labels[:4])}, {labels[4].split()[0]}")
            case sdk.ResultMessage():
                same = message.result == text
                run.say(f"result {message.subtype}, {message.num_turns} turns, the same text: {same}")


@case
async def unknown_command(run):
    async with run.client() as client:
        await run.turns(client, "/no/such/file", "/nonsense and words")


# Session stores


@case
async def store(run):
    store = sdk.InMemorySessionStore()
    async with run.client(session_store=store) as client:
        await run.turn(client, "one")
        await _stored(run, store)
        await run.turn(client, "two")
        await _stored(run, store)
    sessions = await sdk.list_sessions_from_store(store, str(run.folder))
    run.say(f"sessions {[(run.label(each.session_id), each.summary, each.first_prompt) for each in sessions]}")


async def _stored(run, store):
    """Each session of the store as the SDK reads it, and whether its lines hang together."""
    key = sdk.project_key_for_directory(run.folder)
    by_label = sorted((run.label(each["session_id"]), each["session_id"]) for each in await store.list_sessions(key))
    for label, session in by_label:
        messages = await sdk.get_session_messages_from_store(store, session, str(run.folder))
        said = [f"{message.type} {_text(message.message)}" for message in messages]
        run.say(f"store has of {label}: {' | '.join(text for text in said if '<' not in text)}")
        entries = await store.load({"project_key": key, "session_id": session})
        lines = [entry for entry in entries if "uuid" in entry]
        uuids = [entry["uuid"] for entry in lines]
        run.say(f"  each once: {len(uuids) == len(set(uuids))}, of it: {({entry.get('sessionId') for entry in entries}) == {session}}")
        parents = [entry["parentUuid"] for entry in lines]
        run.say(f"  one chain: {all(parent in uuids for parent in parents[1:])}, streamed ones: {_streamed(run, lines)}")


def _streamed(run, lines):
    return all(entry["uuid"] in run.streamed for entry in lines if entry["type"] == "assistant")


def _text(message):
    content = message["content"]
    text = content if isinstance(content, str) else " ".join(block.get("text", block["type"]) for block in content)
    # What the model says it heard, the case prints when it is said. A local one that never ends goes on with ellipses.
    return "…" if text.startswith("heard ") else text.rstrip("… ")


@case
async def store_of_one_call(run):
    store = sdk.InMemorySessionStore()
    await run.ask("one", session_store=store)
    await _stored(run, store)


@case
async def store_with_partial_messages(run):
    store = sdk.InMemorySessionStore()
    async with run.client(session_store=store, include_partial_messages=True) as client:
        await run.turns(client, "one", "two")
    await _stored(run, store)


@case
async def store_at_once(run):
    store = sdk.InMemorySessionStore()
    await run.ask("one", session_store=store, session_store_flush="eager")
    await _stored(run, store)


@case
async def store_is_all_that_is_left(run):
    store = sdk.InMemorySessionStore()
    first = await run.ask("one", session_store=store)
    for prompt in ("two", "three"):
        run.forget()
        run.say(f"goes on: {await run.ask(prompt, session_store=store, resume=first) == first}")
    await _stored(run, store)


@case
async def store_beside_the_disk(run):
    """What both have is heard once."""
    store = sdk.InMemorySessionStore()
    first = await run.ask("one", session_store=store)
    await run.ask("two", session_store=store, resume=first)
    await run.ask("three", session_store=store, resume=first)
    await _stored(run, store)


@case
async def store_continues(run):
    store = sdk.InMemorySessionStore()
    await run.ask("one", session_store=store)
    run.forget()
    await run.ask("two", session_store=store, continue_conversation=True)


@case
async def store_has_a_fork(run):
    store = sdk.InMemorySessionStore()
    first = await run.ask("one", session_store=store)
    run.forget()
    await run.ask("two", session_store=store, resume=first, fork_session=True)
    await _stored(run, store)


@case
async def store_has_no_old_turns(run):
    """Those of a session on disk, which the store has never seen."""
    store = sdk.InMemorySessionStore()
    first = await run.ask("one")
    await run.ask("two", session_store=store, resume=first)
    messages = await store.load({"project_key": sdk.project_key_for_directory(run.folder), "session_id": first})
    run.say(f"stored: {[_text(each['message']) for each in messages or [] if each['type'] in ('user', 'assistant')]}")


@case
async def store_after_clear(run):
    store = sdk.InMemorySessionStore()
    async with run.client(session_store=store) as client:
        await run.turns(client, "one", "/clear", "two")
    await _stored(run, store)
    run.forget()
    for session in list(run.sessions):
        await run.ask("three", session_store=store, resume=session)


@case
async def store_after_compact(run):
    store = sdk.InMemorySessionStore()
    async with run.client(session_store=store) as client:
        await run.turns(client, "one", "/compact", "two")
    run.forget()
    await run.ask("three", session_store=store, resume=run.sessions[0])


@case
async def store_after_an_interrupt(run):
    store = sdk.InMemorySessionStore()
    async with run.client(session_store=store, include_partial_messages=True) as client:
        await client.query("never end")
        async for message in client.receive_messages():
            if isinstance(message, sdk.types.StreamEvent) and message.event["type"] == "content_block_delta":
                break
        await client.interrupt()
        await _until_result(run, client)
        await client.query("one")
        await _until_result(run, client)
    await _stored(run, store)


async def _until_result(run, client):
    """For what is told the model in different ways."""
    async for message in client.receive_response():
        if isinstance(message, sdk.AssistantMessage):
            run.streamed.append(message.uuid)
        if isinstance(message, sdk.ResultMessage):
            run.result = message
            run.label(message.session_id)
            run.say(f"error: {message.is_error}, origin {message.origin}")


@case
async def store_of_a_refused_turn(run):
    store = sdk.InMemorySessionStore()
    async with run.client(session_store=store) as client:
        for prompt in ("refuse this", "one"):
            await client.query(prompt)
            await _until_result(run, client)
    key = sdk.project_key_for_directory(run.folder)
    entries = await store.load({"project_key": key, "session_id": run.result.session_id})
    run.say(f"prompts: {[each['message']['content'] for each in entries or [] if each['type'] == 'user']}")


@case
async def store_that_fails(run):
    class Broken(sdk.InMemorySessionStore):
        async def append(self, key, entries):
            raise ValueError("no room")

    async with run.client(session_store=Broken()) as client:
        await client.query("one")
        async for message in client.receive_messages():
            if isinstance(message, sdk.MirrorErrorMessage):
                run.say(f"mirror error: {message.error}")
                break
            run.note(message)


@case
async def store_without_persistence(run):
    store = sdk.InMemorySessionStore()
    await run.ask("one", session_store=store, extra_args={"no-session-persistence": None})
    run.say(f"sessions: {await store.list_sessions(sdk.project_key_for_directory(run.folder))}")


@case
async def store_has_a_title(run):
    store = sdk.InMemorySessionStore()
    await run.ask("one", session_store=store, extra_args={"name": "My name"})
    sessions = await sdk.list_sessions_from_store(store, str(run.folder))
    run.say(f"titles: {[each.custom_title for each in sessions]}")


@case
async def store_and_settings(run):
    """A session that is resumed out of a store has the user's settings."""
    store = sdk.InMemorySessionStore()
    first = await run.ask("one", session_store=store)
    run.say(f"style {run.init['output_style']}")
    (run.config / "settings.json").write_text('{"outputStyle":"Explanatory"}')
    run.forget()
    second = await run.ask("two", session_store=store, resume=first)
    run.say(f"same session: {first == second}, style {run.init['output_style']}")


# Origins


@case
async def origin(run):
    async with run.client() as client:
        await run.turn(client, "one", origin={"kind": "human"})
        await run.turn(client, "two")
        await run.turn(client, "/clear", origin={"kind": "human"})
        await run.turn(client, "three", origin={"kind": "human", "more": 1})


@case
async def other_origins(run):
    others = [{"kind": "task-notification"}, {"kind": "peer", "from": "x"}, {"kind": "of the future"}, {}, "human", None]
    async with run.client() as client:
        for at, each in enumerate(others):
            await run.turn(client, f"prompt {at}", origin=each)
            run.say(f"{each}: {run.result.origin}")


@case
async def origin_of_a_refused_turn(run):
    async with run.client() as client:
        await client.query(_line("refuse this", origin={"kind": "human"}))
        await _until_result(run, client)


@case
async def origin_of_each_of_two(run):
    """Both wait in the queue."""

    async def both():
        async for line in _line("one", origin={"kind": "human"}):
            yield line
        async for line in _line("two"):
            yield line

    await run.note_all(sdk.query(prompt=both(), options=run.options()))


@case
async def origin_is_stored(run):
    store = sdk.InMemorySessionStore()
    async with run.client(session_store=store) as client:
        await run.turn(client, "one", origin={"kind": "human"})
        await run.turn(client, "two")
    key = sdk.project_key_for_directory(run.folder)
    entries = await store.load({"project_key": key, "session_id": run.result.session_id})
    run.say(f"stored: {[(each['message']['content'], each.get('origin')) for each in entries or [] if each['type'] == 'user']}")


async def _line(prompt, **fields):
    yield {"type": "user", "message": {"role": "user", "content": prompt}, "parent_tool_use_id": None, **fields}


# What a folder and the settings have


AGENT = "---\nname: {0}\ndescription: is {0}\n---\n\nYou are {0}.\n"
OWN = {"of-the-folder", "of-the-user", "of-the-program", "of-the-command-line", "y", "sub:z", "uc", "sk"}


def _fill(run):
    run.write(".claude/agents/some.md", AGENT.format("of-the-folder"))
    run.write(".claude/commands/y.md", "---\ndescription: does y\n---\nDo y with $ARGUMENTS now.\n")
    run.write(".claude/commands/sub/z.md", "Without a head.\n")
    run.write(".claude/skills/sk/SKILL.md", "---\nname: sk\ndescription: a skill\n---\nText.\n")
    run.write(".claude/settings.json", '{"outputStyle":"Explanatory"}')
    run.write("config/agents/user.md", AGENT.format("of-the-user"))
    run.write("config/commands/uc.md", "Of the user.\n")
    run.write("config/settings.json", '{"outputStyle":"Learning"}')


def _shown_init(run):
    own = {name: [each for each in run.init[name] if each in OWN] for name in ("agents", "slash_commands", "skills")}
    run.say(f"  {own}, style {run.init['output_style']}")


@case
async def settings_of_the_folder(run):
    _fill(run)
    await run.ask("one")
    _shown_init(run)


@case
async def sources_of_settings(run):
    _fill(run)
    for sources in ([], ["user"], ["project"], ["local"], ["user", "project", "local"]):
        await run.ask("one", setting_sources=sources)
        _shown_init(run)


@case
async def local_settings_win(run):
    _fill(run)
    run.write(".claude/settings.local.json", '{"outputStyle": "local-test-style"}')
    await run.ask("one")
    _shown_init(run)
    await run.ask("one", settings='{"outputStyle":"given"}')
    _shown_init(run)


@case
async def no_settings(run):
    await run.ask("one")
    _shown_init(run)


@case
async def agents_of_the_program(run):
    _fill(run)
    agents = {"of-the-program": sdk.AgentDefinition(description="helps", prompt="Help.", tools=["Read"], model="sonnet")}
    async with run.client(agents=agents) as client:
        info = await client.get_server_info()
        run.say(f"agents {[each for each in info['agents'] if each['name'] in OWN]}")
        run.say(f"commands {[each for each in info['commands'] if each['name'] in OWN]}")
        run.say(f"style {info['output_style']}")
        await run.turn(client, "one")
        _shown_init(run)


@case
async def agents_of_the_command_line(run):
    agents = '{"of-the-command-line":{"description":"helps","prompt":"Help."}}'
    await run.ask("one", extra_args={"agents": agents})
    _shown_init(run)


@case
async def large_agents(run):
    agents = {f"large-agent-{at}": sdk.AgentDefinition(description=f"#{at}", prompt="x" * 13 * 1024) for at in range(20)}
    await run.ask("one", agents=agents)
    run.say(f"all: {set(agents) <= set(run.init['agents'])}")


# Resuming at a point


async def _two_turns(run, **options):
    """Gives the session, the uuid of the first answer and that of the second prompt."""
    second = str(uuid.uuid4())
    run.streamed.append(second)
    async with run.client(**options) as client:
        await run.turn(client, "one")
        first_answer = run.last_uuid
        await run.turn(client, "two", uuid=second)
    return run.result.session_id, first_answer, second


@case
async def resume_at(run):
    session, answer, second = await _two_turns(run)
    fork = await run.ask("three", resume=session, fork_session=True, resume_session_at=answer, resume_drops_turn=second)
    await run.ask("four", resume=fork)
    await run.ask("four", resume=session)


@case
async def resume_at_without_a_fork(run):
    session, answer, _ = await _two_turns(run)
    await run.ask("three", resume=session, resume_session_at=answer)
    await run.ask("four", resume=session)


@case
async def resume_at_out_of_a_store(run):
    store = sdk.InMemorySessionStore()
    session, answer, second = await _two_turns(run, session_store=store)
    run.forget()
    more = {"session_store": store, "fork_session": True}
    await run.ask("three", resume=session, resume_session_at=answer, resume_drops_turn=second, **more)
    await _stored(run, store)


@case
async def resume_at_what_the_disk_tells(run):
    """The SDK reads the transcript to find the point."""
    session, answer, second = await _two_turns(run)
    with unittest.mock.patch.dict(os.environ, CLAUDE_CONFIG_DIR=str(run.config)):
        chain = sdk.get_session_messages(session, directory=str(run.folder))
    run.say(f"on disk: {[(message.type, message.uuid in (answer, second)) for message in chain]}")


@case
async def resume_refused(run):
    """Not the turn that follows."""
    session, answer, second = await _two_turns(run)
    more = {"resume": session, "resume_session_at": answer}
    await run.raises(run.ask("three", resume_drops_turn=UNKNOWN, fork_session=True, **more))
    await run.raises(run.ask("three", resume_drops_turn="nonsense", **more))
    await run.raises(run.ask("three", resume_drops_turn="", **more))
    await run.raises(run.ask("three", resume=session, resume_session_at=second, resume_drops_turn=second))
    await run.ask("four", resume=session)


@case
async def resume_at_nothing(run):
    session, _, second = await _two_turns(run)
    await run.raises(run.ask("three", resume=session, resume_session_at=UNKNOWN))
    await run.raises(run.ask("three", resume=session, resume_drops_turn=second))
    await run.raises(run.ask("three", resume_session_at=second))
    await run.ask("four", resume=session)


UNKNOWN = "22222222-2222-4222-8222-222222222222"

asyncio.run(main(*sys.argv[1:]))
