"""Speaking with a local server over the pipes of a command that app.processes has started."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import IO, Any

import anyio
import mcp_types
from mcp.shared.message import SessionMessage

from app.processes.spawn import Child

LINE = 8 * 1024 * 1024
GRACE = 2.0
CHUNK = 64 * 1024
LONG = 4_000  # of a line that is told: more than is shown of it, so that no secret is cut before it is known as one
KEPT = 50  # lines of a chunk of standard error that are worth a look
# After so many lines that are no messages, or a whole chunk of standard error, the server is left waiting for so many
# seconds: one that prints without end would otherwise keep this loop, which all servers share, to itself.
STRANGE, PAUSE = 100, 0.1
Log = Callable[[str], None]


class _Sink(asyncio.BaseProtocol):
    """Says whether the server takes what we write."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.free.set()

    def pause_writing(self) -> None:
        """The pipe is full."""
        self.free.clear()

    def resume_writing(self) -> None:
        """It has room again."""
        self.free.set()

    def connection_lost(self, _error: Exception | None) -> None:
        """Nobody reads any more: whoever waits goes on, and finds the transport closing."""
        self.free.set()


@asynccontextmanager
async def piped(begin: Callable[[], Child], log: Log, over: asyncio.Event) -> AsyncGenerator[tuple[Any, Any]]:
    """Start a command and give the streams of messages with it; `over` is set when it speaks no more.

    It is ended with everything it started on the way out. Lines are at most 8 MiB long: a longer one ends it.
    """
    child = await asyncio.to_thread(begin)
    loop = asyncio.get_running_loop()
    closing: list[Any] = []
    try:
        assert child.stdin is not None, "the command was started with pipes"
        assert child.stdout is not None
        assert child.stderr is not None
        output, out = await _reader(loop, child.stdout)
        closing.append(out)
        errors, err = await _reader(loop, child.stderr)
        closing.append(err)
        writing, sink = await loop.connect_write_pipe(_Sink, child.stdin)
        closing.append(writing)
        heard, read = anyio.create_memory_object_stream[Any](0)
        write, said = anyio.create_memory_object_stream[Any](0)
        async with anyio.create_task_group() as group, heard, read, write, said:
            group.start_soon(_hear, output, heard, log, over, sink)
            group.start_soon(_keep, errors, log)
            group.start_soon(_say, said, writing, sink)
            try:
                yield read, write
            finally:
                group.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            for transport in reversed(closing):
                transport.close()
            await asyncio.to_thread(_end, child)


async def _reader(loop: asyncio.AbstractEventLoop, pipe: IO[bytes]) -> tuple[asyncio.StreamReader, Any]:
    reader = asyncio.StreamReader(limit=LINE)
    transport, _protocol = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader, transport


async def _hear(output: asyncio.StreamReader, heard: Any, log: Log, over: asyncio.Event, sink: _Sink) -> None:
    strange = 0
    async with heard:
        try:
            while line := await output.readline():
                try:
                    message = mcp_types.jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    log(f"(no message: {line[:LONG].decode(errors='replace').strip()})")
                    strange += 1
                    await asyncio.sleep(0 if strange % STRANGE else PAUSE)
                    continue
                if isinstance(message, mcp_types.JSONRPCRequest):
                    await sink.free.wait()  # who takes no answers asks nothing more
                await heard.send(SessionMessage(message))
        except ValueError:
            log(f"(a line of more than {LINE >> 20} MiB; the server was ended)")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
            log("(the connection was closed)")
        finally:
            over.set()


async def _keep(errors: asyncio.StreamReader, log: Log) -> None:
    rest = b""
    while chunk := await errors.read(CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[:LONG]
        for line in lines[-KEPT:]:
            log(line.decode(errors="replace"))
        await asyncio.sleep(0 if len(chunk) < CHUNK else PAUSE)


async def _say(said: Any, writing: asyncio.WriteTransport, sink: _Sink) -> None:
    async with said:
        async for message in said:
            if writing.is_closing():
                return
            writing.write(message.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
            await sink.free.wait()


def _end(child: Child) -> None:
    """Its input is closed already; who doesn't go by that is told to, and then killed."""
    try:
        child.wait(GRACE)
    except TimeoutError:
        child.terminate(GRACE)
    child.close()
