"""All connections of this process, on one loop in one thread, which starts with the first of them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import CancelledError, Future, wait
from typing import TYPE_CHECKING, Any, TypeVar

from app.errors import Unavailable
from app.mcp.things import Answer, Means, Offer, Prompt, RemoteTool, Server, Status

if TYPE_CHECKING:
    from app.mcp.link import Link

T = TypeVar("T")
CLOSING = 15.0
# Seconds until a cancelled call is noticed: a run's mark is an event that nothing else can wait for.
LOOK = 0.1
How = Callable[[], Means]
Tell = Callable[[float, float | None, str | None], None]


class Links:
    """The loop and what lives on it; every method may be called from any thread but the loop's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._links: dict[str, Link] = {}

    def find(self, server_id: str) -> Link | None:
        """A server's connection, if one was ever wanted."""
        return self._links.get(server_id)

    def ids(self, name: str) -> list[str]:
        """The ids of the servers of this name that were ever wanted."""
        return [server_id for server_id, link in list(self._links.items()) if link.server.name == name]

    def of_project(self, project_id: str) -> list[str]:
        """The ids of a project's servers that were ever wanted."""
        return [server_id for server_id, link in list(self._links.items()) if link.server.project == project_id]

    def open(self, wanted: Iterable[tuple[Server, How]], *, at_once: bool, seconds: float | None = None) -> None:
        """Connect servers, side by side; returns when all are settled, or after so many seconds, while they go on.

        The second of a pair says how.
        """
        links = [self._link(server, how) for server, how in wanted]
        # One that takes longer is waited for once, not by everybody who asks meanwhile.
        links = [link for link in links if seconds is None or link.since() < seconds]
        wait([self._submit(link.open(at_once=at_once)) for link in links], seconds)

    def test(self, server: Server, how: How, *, keep: bool) -> tuple[Status, Offer]:
        """Connect a server, unless it is connected, and list what it offers; how it stands then, and the list.

        One that is not kept is connected beside, and ended again.
        """
        from app.mcp.link import Link

        link = self._link(server, how) if keep else Link(server, how())
        try:
            self._submit(_try(link)).result()
            return link.status(), link.offer
        finally:
            if not keep:
                self._submit(link.close()).result(CLOSING)

    def call(self, tool: RemoteTool, arguments: dict[str, Any], tell: Tell, cancel: threading.Event) -> Answer | None:
        """Call a tool and tell of its progress on this thread; None if it was cancelled, which the server is told.

        Of progress that comes faster than `LOOK` only the latest is told.
        """
        link = self._links.get(tool.server_id)
        if link is None:
            raise Unavailable(f"The MCP server {tool.server} is not connected.")
        news: deque[Any] = deque(maxlen=1)
        bell = threading.Event()

        def note(*said: Any) -> None:
            news.append(said)
            bell.set()

        running = self._submit(link.call(tool, arguments, note))
        running.add_done_callback(lambda _done: bell.set())
        due = 0.0
        while True:
            if cancel.is_set():
                running.cancel()
                return None
            bell.wait(LOOK)
            bell.clear()
            is_over = running.done()
            if news and (is_over or time.monotonic() >= due):
                tell(*news.pop())
                due = time.monotonic() + LOOK
            if is_over:
                try:
                    return running.result()
                except CancelledError:
                    raise Unavailable(f"The MCP server {tool.server} was disconnected.") from None

    def prompt(self, prompt: Prompt, arguments: dict[str, str]) -> str:
        """The words of a prompt; raises Unavailable."""
        link = self._links.get(prompt.server_id)
        if link is None:
            raise Unavailable(f"The MCP server {prompt.server} is not connected.")
        return self._submit(link.prompt(prompt, arguments)).result()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on the loop and wait for it."""
        return self._submit(work).result()

    def close(self, server_id: str) -> None:
        """End a server's connection, if there is one, and wait for it."""
        link = self._links.pop(server_id, None)
        if link is not None:
            self._submit(link.close()).result(CLOSING)

    def end(self, server_id: str) -> None:
        """The same without waiting, for the thread that hears of events; who closes it meanwhile waits all the same."""
        link = self._links.get(server_id)
        if link is not None:
            self._submit(link.close())

    def stop(self) -> None:
        """End everything: connections, local servers, the loop and its thread."""
        for server_id in list(self._links):
            self.close(server_id)
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def _link(self, server: Server, how: How) -> Link:
        found = self._links.get(server.id)
        if found is None:
            # The library is big: a server whose projects have no such servers does without.
            from app.mcp.link import Link

            made = Link(server, how())
            found = self._links.setdefault(server.id, made)
        return found

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run, args=(self._loop,), name="mcp", daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)


async def _try(link: Link) -> None:
    was_connected = link.status().state == "connected"
    await link.open(at_once=True)
    if was_connected:
        await link.look()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
