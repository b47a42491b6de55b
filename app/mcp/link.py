"""One connection: opened when it is wanted, kept, opened again with growing pauses after it broke.

Everything here runs on the loop of `links`; only `status` and `offer` are read from other threads.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import mcp_types
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client

from app import outbound, redact
from app.errors import Conflict, Unavailable
from app.mcp import contents
from app.mcp.pipe import piped
from app.mcp.things import STEPS, Answer, Means, Offer, Prompt, RemoteTool, Resource, Server, State, Status
from app.mcp.words import words_of

LOG_LINES = 50
LOG_WIDTH = 500
MOST = 300  # tools, resources, prompts of one server
MOST_PAGES = 50
SCHEMA_BYTES = 64 * 1024
DESCRIPTION = 8_000
SHORT = 1_000
LONGEST_PAUSE = 60.0
DOUBLED = 10  # times that a pause can double before it is the longest anyway
LONGEST_CALL = 600.0
# A server that ends each stream as soon as it began, and says that nobody need wait, would be asked without end: after
# so many streams in a row each further one is so many seconds behind the one before it.
STREAMS, BETWEEN_STREAMS = 20, 1.0
BETWEEN_LISTS = 0.5  # seconds, for a server that says all the time that it changed
UNAUTHORIZED = 401
BOUNDS = outbound.Bounds(first_byte=LONGEST_CALL, between_bytes=LONGEST_CALL, total=None, size=256 * 1024 * 1024)
CHANGES = (
    mcp_types.ToolListChangedNotification,
    mcp_types.ResourceListChangedNotification,
    mcp_types.PromptListChangedNotification,
)
Tell = Callable[[float, float | None, str | None], None]


class _Session(ClientSession):
    """The library's session, which takes results as they come: only their words are told to anybody."""

    async def validate_tool_result(self, name: str, result: mcp_types.CallToolResult) -> None:
        """Hold it against nothing: a schema's patterns are the server's own, and one may run until the end of days."""


class Link:
    """A server and the connection to it; `is_signed` if that goes by the tokens of a sign-in."""

    def __init__(self, server: Server, means: Means) -> None:
        self.server = server
        self.offer = Offer()
        self.is_signed = False
        self._means = means
        self._state: State = "connecting"
        self._error = "It is being connected."
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._task: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._session: ClientSession | None = None
        self._ready = asyncio.Event()
        self._over = asyncio.Event()
        self._failures = 0
        self._not_before = self._began = self._list_after = 0.0
        self._refused = False
        self._broken = ""
        self._listing: set[asyncio.Task[None]] = set()

    def status(self) -> Status:
        """How it stands now."""
        return Status(self._state, "" if self._state == "connected" else self._error, tuple(self._log))

    def since(self) -> float:
        """For how many seconds it has been connecting."""
        return time.monotonic() - self._began if self._began and self._state == "connecting" else 0.0

    async def open(self, *, at_once: bool = False) -> None:
        """Connect, unless it is connected or broke a moment ago; returns when that is settled, whatever came of it."""
        if self._task is not None and self._over.is_set():
            # It broke just now and is still being taken down.
            await asyncio.wait([self._task])
        if self._task is None or self._task.done():
            if not at_once and time.monotonic() < self._not_before:
                return
            self._ready, self._over, self._refused, self._broken = asyncio.Event(), asyncio.Event(), False, ""
            self._state, self._error = "connecting", "It is being connected."
            self._log.clear()
            self._began = time.monotonic()
            self._task = asyncio.create_task(self._live())
        await self._ready.wait()

    async def close(self) -> None:
        """End the connection, and a local server with it; returns when it is gone."""
        self._over.set()
        if self._task is None:
            return
        if self._ending is not self._task:
            # Once: a second time would tear it out of ending the server.
            self._ending = self._task
            self._task.cancel()
        await asyncio.wait([self._task])

    async def call(self, tool: RemoteTool, arguments: dict[str, Any], tell: Tell) -> Answer:
        """Call a tool as it was described; raises Unavailable, Conflict if its description is another one by now."""
        if self._listing:
            # It said that it changed: first of all, how.
            await asyncio.wait(self._listing)
        session = self._session
        if session is None:
            raise Unavailable(f"The MCP server {self.server.name} is not connected: {self._error}")
        now = next((one for one in self.offer.tools if one.name == tool.name), None)
        if now is None or now.definition != tool.definition:
            raise Conflict(f"The MCP server {self.server.name} describes {tool.name} in another way by now.")

        async def told(progress: float, total: float | None, message: str | None) -> None:
            tell(progress, total, message and message[:SHORT])

        try:
            given = await session.call_tool(
                tool.name, arguments, read_timeout_seconds=LONGEST_CALL, progress_callback=told
            )
        except Exception as wrong:
            raise Unavailable(f"The MCP server {self.server.name} gave no result: {words_of(wrong)}") from wrong
        self._failures = 0
        return contents.read(given)

    async def prompt(self, prompt: Prompt, arguments: dict[str, str]) -> str:
        """The words of a prompt with these arguments; raises Unavailable."""
        session = self._session
        if session is None:
            raise Unavailable(f"The MCP server {self.server.name} is not connected: {self._error}")
        try:
            with anyio.fail_after(self.server.timeout / 1_000):
                given = await session.get_prompt(prompt.name, arguments)
        except Exception as wrong:
            raise Unavailable(f"The MCP server {self.server.name} gave no prompt: {words_of(wrong)}") from wrong
        return contents.words(given)

    async def look(self) -> None:
        """List again what a connected server offers; one that cannot say so is as good as ended."""
        if self._session is None:
            return
        try:
            with anyio.fail_after(self.server.timeout / 1_000):
                await self._list(self._session)
        except Exception as wrong:  # noqa: BLE001 - a server may break in every way; people are told how
            self._broken = words_of(wrong) or self._late()
            self._over.set()
            if self._task is not None:
                await asyncio.wait([self._task])

    async def _live(self) -> None:
        try:
            async with (
                self._streams() as (read, write),
                _Session(read, write, message_handler=self._hear) as session,
            ):
                with anyio.fail_after(self.server.timeout / 1_000):
                    await session.initialize()
                    await self._list(session)
                self._session, self._state = session, "connected"
                self._ready.set()
                self._tell()
                await self._over.wait()
            self._fail(self._broken or "The server ended.")
        except asyncio.CancelledError:
            self._state, self._error = "failed", "It was disconnected."
            raise
        except Exception as wrong:  # noqa: BLE001 - a server may break in every way; people are told how
            self._fail(words_of(wrong) or self._late())
        finally:
            self._session = None
            self._ready.set()
            for task in self._listing:
                task.cancel()

    def _late(self) -> str:
        return f"It did not answer within {self.server.timeout / 1_000:g} s."

    def _tell(self) -> None:
        """Say that it changed, on a thread that may wait for the database."""
        asyncio.get_running_loop().run_in_executor(None, self._means.changed)

    def _fail(self, why: str) -> None:
        if self._log and self._means.begin is not None:
            why = f"{why.rstrip('.')}. Its last words: {self._log[-1]}"
        self._state = "needs_auth" if self._refused else "failed"
        self._error = redact.text(why)
        self._failures += 1
        pause = 0.0 if self._failures == 1 else min(LONGEST_PAUSE, 2.0 ** min(self._failures - 1, DOUBLED))
        self._not_before = time.monotonic() + pause
        self._tell()

    def _streams(self) -> AbstractAsyncContextManager[tuple[Any, Any]]:
        if self._means.begin is not None:
            return piped(self._means.begin, self._note, self._over)
        return self._web()

    @asynccontextmanager
    async def _web(self) -> AsyncGenerator[tuple[Any, Any]]:
        pace = _Pace()

        async def ask(request: Any) -> None:
            if request.method == "GET":
                await pace.wait()

        async def look(response: outbound.Response) -> None:
            self._refused |= response.status_code == UNAUTHORIZED

        url = self.server.target[0]
        outbound.check(url)
        auth = await asyncio.to_thread(self._means.auth)
        self.is_signed = auth is not None
        hooks = {"request": [ask], "response": [look]}
        given: dict[str, Any] = {"headers": self._means.headers, "auth": auth, "event_hooks": hooks}
        async with outbound.client_async(bounds=BOUNDS, **given) as client:
            # The client counts the answers before the last one as redirects, of which it follows none.
            client.max_redirects = STEPS
            async with streamable_http_client(url, http_client=client) as streams:
                yield streams

    async def _hear(self, message: Any) -> None:
        # Two are enough: one that lists, and one that will see whatever changed since that began.
        if isinstance(message, CHANGES) and self._session is not None and len(self._listing) < 2:
            # Asked for beside what is being heard, or the answer could not come.
            task = asyncio.create_task(self._list_again(self._session, tuple(self._listing)))
            self._listing.add(task)
            task.add_done_callback(self._listing.discard)

    async def _list_again(self, session: ClientSession, before: tuple[asyncio.Task[None], ...]) -> None:
        if before:
            await asyncio.wait(before)
        await asyncio.sleep(self._list_after - time.monotonic())
        if self._session is not session:
            return
        try:
            with anyio.fail_after(self.server.timeout / 1_000):
                await self._list(session)
        except Exception as wrong:  # noqa: BLE001 - as above
            # What it offered before may not be true any more.
            self.offer = Offer()
            self._note(f"(what it offers could not be listed again: {words_of(wrong) or 'no answer in time'})")
        self._list_after = time.monotonic() + BETWEEN_LISTS
        self._tell()

    async def _list(self, session: ClientSession) -> None:
        has = session.server_capabilities or mcp_types.ServerCapabilities()
        tools: dict[str, RemoteTool] = {}
        async for page in _pages(session.list_tools, tools):
            for tool in page.tools:
                if (described := self._described(tool)) is not None:
                    tools.setdefault(described.id, described)
        # At once: from here on nothing may be called as it was described before.
        self.offer = replace(self.offer, tools=tuple(tools.values())[:MOST])
        resources: dict[str, Resource] = {}
        if has.resources is not None:
            async for found in _pages(session.list_resources, resources):
                for one in found.resources:
                    resources.setdefault(one.uri, self._resource(one))
        prompts: dict[str, Prompt] = {}
        if has.prompts is not None:
            async for listed in _pages(session.list_prompts, prompts):
                for each in listed.prompts:
                    prompt = self._prompt(each)
                    prompts.setdefault(prompt.id, prompt)
        self.offer = replace(
            self.offer, resources=tuple(resources.values())[:MOST], prompts=tuple(prompts.values())[:MOST]
        )

    def _described(self, tool: mcp_types.Tool) -> RemoteTool | None:
        problem = contents.flaw(tool.input_schema, SCHEMA_BYTES)
        if problem:
            self._note(f"(the tool {tool.name[:100]} is left out: {problem})")
            return None
        words = (tool.description or tool.title or tool.name)[:DESCRIPTION]
        return RemoteTool(self.server.id, self.server.name, tool.name, words, tool.input_schema)

    def _resource(self, one: mcp_types.Resource) -> Resource:
        words = (one.description or one.title or "")[:SHORT]
        return Resource(self.server.name, one.name[:SHORT], one.uri[:SHORT], words, (one.mime_type or "")[:SHORT])

    def _prompt(self, one: mcp_types.Prompt) -> Prompt:
        words = " ".join((one.description or one.title or "").split())[:SHORT]
        given = one.arguments or []
        return Prompt(
            self.server.id, self.server.name, one.name[:SHORT], words, tuple(each.name for each in given),
            tuple(each.name for each in given if each.required),
        )  # fmt: skip

    def _note(self, line: str) -> None:
        self._log.append(redact.text(line)[:LOG_WIDTH])


class _Pace:
    """Lets the first few through at once, and each further one some time after the one before it."""

    def __init__(self) -> None:
        self._next = time.monotonic() - STREAMS * BETWEEN_STREAMS

    async def wait(self) -> None:
        """Wait until it is one's turn."""
        now = time.monotonic()
        self._next = max(self._next, now - STREAMS * BETWEEN_STREAMS) + BETWEEN_STREAMS
        await asyncio.sleep(self._next - now)


async def _pages(ask: Callable[..., Awaitable[Any]], found: dict[str, Any]) -> AsyncGenerator[Any]:
    """The pages of a list, until it ends or enough was found."""
    cursor: str | None = None
    for _page in range(MOST_PAGES):
        page = await ask(params=mcp_types.PaginatedRequestParams(cursor=cursor))
        yield page
        cursor = page.next_cursor
        if not cursor or len(found) >= MOST:
            return
