"""A day with the published Python client (async): `e2b_story_async.py cloud|debug`; prints the steps that held."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

from e2b import (
    AsyncSandbox,
    CommandExitException,
    FileNotFoundException,
    FilesystemEvent,
    FilesystemEventType,
    InvalidArgumentException,
    NotFoundException,
    PtySize,
    SandboxException,
    SandboxNotFoundException,
    SandboxQuery,
    SandboxState,
    TimeoutException,
)

SECONDS = 20
steps: list[str] = []


def step(name: str, seen: Any, wanted: Any = True) -> None:
    """Hold what was seen against what is wanted."""
    assert seen == wanted, f"{name}: {seen!r}, not {wanted!r}"
    steps.append(name)


@contextlib.asynccontextmanager
async def refused(name: str, kind: type[Exception], words: str = "") -> AsyncIterator[None]:
    """A step that has to fail in this way."""
    try:
        yield
    except kind as error:
        if words not in str(error):
            raise AssertionError(f"{name}: {error}") from error
        steps.append(name)
    else:
        raise AssertionError(f"{name} did not fail")


class Heard:
    """What a callback was told; wakes who waits for some of it."""

    def __init__(self) -> None:
        self.words: list[Any] = []
        self._changed = asyncio.Condition()

    async def __call__(self, word: Any) -> None:
        async with self._changed:
            self.words.append(word)
            self._changed.notify_all()

    async def wait_for(self, name: str, is_it: Callable[[list[Any]], Any]) -> None:
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: is_it(self.words)), SECONDS)
            except TimeoutError:
                raise AssertionError(f"{name}: only {self.words!r}") from None
        steps.append(name)


async def control(sandbox: AsyncSandbox) -> None:
    step("it runs", await sandbox.is_running())
    info = await sandbox.get_info()
    step("info is told", (info.sandbox_id, info.metadata), (sandbox.sandbox_id, {"who": "async"}))
    await sandbox.set_timeout(600)
    longer = await sandbox.get_info()
    step("it is given more time", longer.end_at > info.end_at)
    await sandbox.set_timeout(60)
    step("or less", (await sandbox.get_info()).end_at < longer.end_at)
    again = await AsyncSandbox.connect(sandbox.sandbox_id)
    step("another one connects", (await again.commands.run("echo same")).stdout, "same\n")
    pager = AsyncSandbox.list(SandboxQuery(metadata={"who": "async"}, state=[SandboxState.RUNNING]))
    step("it is listed", [one.sandbox_id for one in await pager.next_items()], [sandbox.sandbox_id])
    step("metrics are told", len(await sandbox.get_metrics()), 1)
    twins = [await AsyncSandbox.create(timeout=60, idempotency_key="the-same-wish") for _ in range(2)]
    step("a repeated wish makes one", twins[0].sandbox_id, twins[1].sandbox_id)
    step("it is killed by its id", await AsyncSandbox.kill(twins[0].sandbox_id))


async def commands(sandbox: AsyncSandbox) -> None:
    out, err = Heard(), Heard()
    done = await sandbox.commands.run("echo a; echo b >&2; echo c", on_stdout=out, on_stderr=err)
    step("output comes whole", (done.stdout, done.stderr), ("a\nc\n", "b\n"))
    step("and is heard", ("".join(out.words), "".join(err.words)), ("a\nc\n", "b\n"))
    async with refused("a failure is told", CommandExitException):
        await sandbox.commands.run("exit 4")
    step(
        "where and with what",
        (await sandbox.commands.run("pwd; echo $X", cwd="/tmp", envs={"X": "y"})).stdout,
        "/tmp\ny\n",
    )
    many = await asyncio.gather(*(sandbox.commands.run(f"echo {n}") for n in range(8)))
    step("eight at once", [one.stdout for one in many], [f"{n}\n" for n in range(8)])
    cat = await sandbox.commands.run("cat", background=True, stdin=True, on_stdout=(heard := Heard()))
    await sandbox.commands.send_stdin(cat.pid, "one\n")
    await heard.wait_for("input comes back", lambda words: "one\n" in "".join(words))
    step("it is listed", cat.pid in [one.pid for one in await sandbox.commands.list()])
    await cat.disconnect()
    same = await sandbox.commands.connect(cat.pid, on_stdout=(later := Heard()))
    await sandbox.commands.send_stdin(cat.pid, b"two\n")
    await later.wait_for("another reader goes on", lambda words: "".join(words) == "two\n")
    async with sandbox.commands.stream_input(cat.pid) as typed:
        await typed.send("three\n")
        await later.wait_for("streamed input arrives", lambda words: "".join(words).endswith("three\n"))
        await typed.send(b"four\n")
        await later.wait_for("while its stream is open", lambda words: "".join(words).endswith("three\nfour\n"))
    await sandbox.commands.close_stdin(cat.pid)
    step("it ends with its input", (await same.wait()).exit_code, 0)
    async with refused("then it is gone", NotFoundException):
        await sandbox.commands.connect(cat.pid)
    sleeper = await sandbox.commands.run("sleep 60", background=True, timeout=0)
    step("it is killed", await sleeper.kill())
    async with refused("and tells", CommandExitException):
        await sleeper.wait()
    step("once", await sandbox.commands.kill(sleeper.pid), False)
    async with refused("time is over", TimeoutException):
        await sandbox.commands.run("sleep 30", timeout=1)


async def files(sandbox: AsyncSandbox) -> None:
    told = await sandbox.files.write("a/b.txt", "text ünï")
    step("it is written", (told.name, told.path), ("b.txt", "/home/user/a/b.txt"))
    step("read as text", await sandbox.files.read("a/b.txt"), "text ünï")
    step("as bytes", bytes(await sandbox.files.read("a/b.txt", format="bytes")), "text ünï".encode())
    stream = await sandbox.files.read("a/b.txt", format="stream")
    step("as a stream", b"".join([piece async for piece in stream]), "text ünï".encode())
    many = await sandbox.files.write_files([{"path": "/tmp/x", "data": b"\0"}, {"path": "y", "data": io.BytesIO(b"2")}])
    step("several at once", [one.path for one in many], ["/tmp/x", "/home/user/y"])

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"z" * 65_536

    await sandbox.files.write("large", pieces(), use_octet_stream=True)
    step("a stream is written", (await sandbox.files.get_info("large")).size, 4 << 20)
    await sandbox.files.write("packed", "p" * 10_000, gzip=True)
    step("a packed one too", await sandbox.files.read("packed"), "p" * 10_000)
    marked = await sandbox.files.write("marked", "m", metadata={"by": "me"})
    step(
        "with a mark",
        (marked.metadata, (await sandbox.files.get_info("marked")).metadata),
        ({"by": "me"}, {"by": "me"}),
    )
    step("it exists", (await sandbox.files.exists("y"), await sandbox.files.exists("n")), (True, False))
    step("listed", "y" in [one.name for one in await sandbox.files.list("~")])
    step("deeper", "/home/user/a/b.txt" in [one.path for one in await sandbox.files.list("/home/user", depth=3)])
    moved = await sandbox.files.rename("y", "deep/er/y")
    step("renamed", (moved.path, await sandbox.files.read("deep/er/y")), ("/home/user/deep/er/y", "2"))
    step("made once", (await sandbox.files.make_dir("d"), await sandbox.files.make_dir("d")), (True, False))
    await sandbox.files.remove("deep")
    step("removed", await sandbox.files.exists("deep"), False)
    async with refused("missing", FileNotFoundException):
        await sandbox.files.read("nowhere")
    async with refused("no folder", InvalidArgumentException):
        await sandbox.files.list("large")


async def watching(sandbox: AsyncSandbox) -> None:
    await sandbox.files.make_dir("seen/deep")
    heard = Heard()
    watch = await sandbox.files.watch_dir("seen", on_event=heard, recursive=True, include_entry=True)
    await sandbox.files.write("seen/new.txt", "1")
    await heard.wait_for("a new file is seen", lambda words: any(is_new(one, "new.txt") for one in words))
    await sandbox.commands.run("mkdir seen/deep/er && echo 1 > seen/deep/er/x && rm seen/new.txt")
    await heard.wait_for("one in a new folder", lambda words: any(one.name.startswith("deep/er") for one in words))
    await heard.wait_for(
        "one that goes",
        lambda words: any((one.name, one.type) == ("new.txt", FilesystemEventType.REMOVE) for one in words),
    )
    await watch.stop()
    async with refused("a missing folder", FileNotFoundException):
        await sandbox.files.watch_dir("none", on_event=heard)


def is_new(event: FilesystemEvent, name: str) -> bool:
    return event.name == name and event.type in (FilesystemEventType.CREATE, FilesystemEventType.WRITE)


async def terminal(sandbox: AsyncSandbox) -> None:
    heard = Heard()
    pty = await sandbox.pty.create(PtySize(rows=24, cols=80), on_data=heard)
    await sandbox.pty.send_stdin(pty.pid, b"stty size\n")
    await heard.wait_for("a terminal answers", lambda words: b"24 80" in b"".join(words))
    await sandbox.pty.resize(pty.pid, PtySize(rows=40, cols=132))
    await sandbox.pty.send_stdin(pty.pid, b"stty size\n")
    await heard.wait_for("it is resized", lambda words: b"40 132" in b"".join(words))
    await pty.disconnect()
    again = await sandbox.pty.connect(pty.pid, on_data=(later := Heard()))
    await sandbox.pty.send_stdin(pty.pid, b"echo x$((6*7))\n")
    await later.wait_for("it survives its reader", lambda words: b"x42" in b"".join(words))
    step("it is killed", await again.kill())


async def endings(sandbox: AsyncSandbox) -> None:
    step("it is paused", await sandbox.pause())
    async with refused("nobody works in it", SandboxException, "not found"):
        await sandbox.commands.run("true")
    woken = await AsyncSandbox.connect(sandbox.sandbox_id, timeout=30)
    step("its files are kept", await woken.files.read("marked"), "m")
    waiting = await woken.commands.run("sleep 300", background=True, timeout=0)
    step("it is killed", await woken.kill())
    async with refused("with all that runs", SandboxException):
        await waiting.wait()
    step("it does not run", await woken.is_running(), False)
    async with refused("it is gone", SandboxNotFoundException):
        await AsyncSandbox.connect(sandbox.sandbox_id)


async def main(mode: str) -> None:
    sandbox = await AsyncSandbox.create(timeout=120, metadata={"who": "async"})
    if mode == "cloud":
        await control(sandbox)
    await commands(sandbox)
    await files(sandbox)
    await watching(sandbox)
    await terminal(sandbox)
    if mode == "cloud":
        await endings(sandbox)
    sys.stdout.write(json.dumps(steps))


asyncio.run(main(sys.argv[1]))
