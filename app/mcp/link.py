"""One connection: opened when it is wanted, kept, opened again with growing pauses after it broke.

Everything here runs on the loop of `links`; only `status` and `tools` are read from other threads.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import mcp_types
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client
from pydantic import ValidationError

from app import outbound, redact
from app.errors import Conflict, Problem, Unavailable
from app.mcp import contents
from app.mcp.pipe import piped
from app.mcp.things import Answer, RemoteTool, Server, State, Status
from app.processes.spawn import Child

LOG_LINES = 50
LOG_WIDTH = 500
MOST_TOOLS = 300
MOST_PAGES = 50
SCHEMA_BYTES = 64 * 1024
DESCRIPTION = 8_000
LONGEST_PAUSE = 60.0
LONGEST_CALL = 600.0
UNAUTHORIZED = 401
BOUNDS = outbound.Bounds(first_byte=LONGEST_CALL, between_bytes=LONGEST_CALL, total=None, size=256 * 1024 * 1024)
Tell = Callable[[float, float | None, str | None], None]


class Link:
    """A server and the connection to it; `begin` starts a local server's command, `headers` go to a remote one."""

    def __init__(self, server: Server, begin: Callable[[], Child] | None, headers: Mapping[str, str]) -> None:
        self.server = server
        self.tools: tuple[RemoteTool, ...] = ()
        self._begin = begin
        self._headers = dict(headers)
        self._state: State = "failed"
        self._error = "It has not been connected yet."
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._task: asyncio.Task[None] | None = None
        self._session: ClientSession | None = None
        self._ready = asyncio.Event()
        self._over = asyncio.Event()
        self._failures = 0
        self._not_before = 0.0
        self._refused = False
        self._listing: set[asyncio.Task[None]] = set()

    def status(self) -> Status:
        """How it stands now."""
        return Status(self._state, "" if self._state == "connected" else self._error, tuple(self._log))

    async def open(self, *, at_once: bool = False) -> None:
        """Connect, unless it is connected or broke a moment ago; returns when that is settled, whatever came of it."""
        if self._task is not None and self._over.is_set():
            # It broke just now and is still being taken down.
            await asyncio.wait([self._task])
        if self._task is None or self._task.done():
            if not at_once and time.monotonic() < self._not_before:
                return
            self._ready, self._over, self._refused = asyncio.Event(), asyncio.Event(), False
            self._task = asyncio.create_task(self._live())
        await self._ready.wait()

    async def close(self) -> None:
        """End the connection, and a local server with it; returns when it is gone."""
        self._over.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def call(self, tool: RemoteTool, arguments: dict[str, Any], tell: Tell) -> Answer:
        """Call a tool as it was described; raises Unavailable, Conflict if its description is another one by now."""
        session = self._session
        if session is None:
            raise Unavailable(f"The MCP server {self.server.name} is not connected: {self._error}")
        now = next((one for one in self.tools if one.name == tool.name), None)
        if now is None or now.definition != tool.definition:
            raise Conflict(f"The MCP server {self.server.name} describes {tool.name} in another way by now.")

        async def told(progress: float, total: float | None, message: str | None) -> None:
            tell(progress, total, message)

        try:
            given = await session.call_tool(
                tool.name, arguments, read_timeout_seconds=LONGEST_CALL, progress_callback=told
            )
        except Exception as wrong:
            raise Unavailable(f"The MCP server {self.server.name} gave no result: {_words(wrong)}") from wrong
        self._failures = 0
        return contents.read(given)

    async def _live(self) -> None:
        try:
            async with (
                self._streams() as (read, write),
                ClientSession(read, write, message_handler=self._hear) as session,
            ):
                with anyio.fail_after(self.server.timeout / 1_000):
                    await session.initialize()
                    await self._list(session)
                self._session, self._state = session, "connected"
                self._ready.set()
                await self._over.wait()
            self._fail("The server ended.")
        except asyncio.CancelledError:
            self._state, self._error = "failed", "It was disconnected."
            raise
        except Exception as wrong:  # noqa: BLE001 - a server may break in every way; people are told how
            self._fail(_words(wrong) or f"It did not answer within {self.server.timeout / 1_000:g} s.")
        finally:
            self._session = None
            self._ready.set()

    def _fail(self, why: str) -> None:
        if self._log and self._begin is not None:
            why = f"{why} Its last words: {self._log[-1]}"
        self._state = "needs_auth" if self._refused else "failed"
        self._error = redact.text(why)
        self._failures += 1
        pause = 0.0 if self._failures == 1 else min(LONGEST_PAUSE, 2.0 ** (self._failures - 1))
        self._not_before = time.monotonic() + pause

    def _streams(self) -> AbstractAsyncContextManager[tuple[Any, Any]]:
        if self._begin is not None:
            return piped(self._begin, self._note, self._over)
        return self._web()

    @asynccontextmanager
    async def _web(self) -> AsyncGenerator[tuple[Any, Any]]:
        async def look(response: outbound.Response) -> None:
            self._refused |= response.status_code == UNAUTHORIZED

        url = self.server.target[0]
        outbound.check(url)
        async with (
            outbound.client_async(bounds=BOUNDS, headers=self._headers, event_hooks={"response": [look]}) as client,
            streamable_http_client(url, http_client=client) as streams,
        ):
            yield streams

    async def _hear(self, message: Any) -> None:
        if isinstance(message, mcp_types.ToolListChangedNotification) and self._session is not None:
            # Asked for beside what is being heard, or the answer could not come.
            task = asyncio.create_task(self._list_again(self._session))
            self._listing.add(task)
            task.add_done_callback(self._listing.discard)

    async def _list_again(self, session: ClientSession) -> None:
        try:
            with anyio.fail_after(self.server.timeout / 1_000):
                await self._list(session)
        except Exception as wrong:  # noqa: BLE001 - as above
            # What it offered before may not be true any more.
            self.tools = ()
            self._note(f"(its tools could not be listed again: {_words(wrong) or 'no answer in time'})")

    async def _list(self, session: ClientSession) -> None:
        found: dict[str, RemoteTool] = {}
        cursor: str | None = None
        for _page in range(MOST_PAGES):
            page = await session.list_tools(params=mcp_types.PaginatedRequestParams(cursor=cursor))
            for tool in page.tools:
                if (described := self._described(tool)) is not None:
                    found.setdefault(described.id, described)
            cursor = page.next_cursor
            if not cursor or len(found) >= MOST_TOOLS:
                break
        self.tools = tuple(found.values())[:MOST_TOOLS]

    def _described(self, tool: mcp_types.Tool) -> RemoteTool | None:
        problem = contents.flaw(tool.input_schema, SCHEMA_BYTES)
        if problem:
            self._note(f"(the tool {tool.name[:100]} is left out: {problem})")
            return None
        words = (tool.description or tool.title or tool.name)[:DESCRIPTION]
        return RemoteTool(self.server.id, self.server.name, tool.name, words, tool.input_schema)

    def _note(self, line: str) -> None:
        self._log.append(redact.text(line)[:LOG_WIDTH])


def _words(wrong: BaseException) -> str:
    """What to tell of an error: the innermost of a group."""
    while isinstance(wrong, BaseExceptionGroup):
        wrong = wrong.exceptions[0]
    if isinstance(wrong, TimeoutError) and not str(wrong):
        return ""
    if isinstance(wrong, Problem):
        return wrong.message
    if isinstance(wrong, FileNotFoundError):
        return "There is no such command."
    if isinstance(wrong, ValidationError):
        first = wrong.errors()[0]
        return redact.text(f"Its answer is none of the protocol: {'.'.join(map(str, first['loc']))}: {first['msg']}")
    return redact.text(f"{str(wrong)[:1_000] or type(wrong).__name__}")
