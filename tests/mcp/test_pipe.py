"""What a local server prints: it takes no more of the loop that all servers share than its turn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import anyio
import pytest

from app.mcp import pipe
from tests.patience import PATIENCE

JUNK = 2_000
T = TypeVar("T")


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe, "PAUSE", 0)


def printed(text: bytes) -> asyncio.StreamReader:
    """All of it is there already, and nothing more comes."""
    reader = asyncio.StreamReader(limit=pipe.LINE)
    reader.feed_data(text)
    reader.feed_eof()
    return reader


def alone(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What it comes to on a loop of its own, in a thread of its own: this one may have a loop by now."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(lambda: asyncio.run(work())).result(PATIENCE)


async def turns_of_others(work: Coroutine[Any, Any, None]) -> int:
    """How often somebody else on the loop had their turn until it was done."""
    turns, done = 0, asyncio.create_task(work)
    while not done.done():
        turns += 1
        await asyncio.sleep(0)
    await done
    return turns


def test_who_prints_what_is_no_message_leaves_others_their_turn() -> None:
    async def run() -> int:
        heard, read = anyio.create_memory_object_stream[Any](0)
        with read:
            output = printed(b"so it goes\n" * JUNK)
            return await turns_of_others(pipe._hear(output, heard, lambda _line: None, asyncio.Event(), pipe._Sink()))

    assert alone(run) > JUNK


def test_who_prints_errors_without_end_leaves_others_their_turn() -> None:
    logged: list[str] = []

    async def run() -> int:
        return await turns_of_others(pipe._keep(printed(b"oh no\n" * 200_000), logged.append))

    assert alone(run) > 10
    assert set(logged) == {"oh no"}


def test_who_takes_no_answers_asks_nothing_more() -> None:
    asked = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode() + b"\n"

    async def run() -> None:
        sink, over = pipe._Sink(), asyncio.Event()
        heard, read = anyio.create_memory_object_stream[Any](100)
        sink.pause_writing()
        with read:
            hearing = asyncio.create_task(pipe._hear(printed(asked * 50), heard, lambda _line: None, over, sink))
            for _turn in range(200):
                await asyncio.sleep(0)
            assert read.statistics().current_buffer_used == 0
            sink.resume_writing()
            await hearing
            assert read.statistics().current_buffer_used == 50

    alone(run)
