"""Terminals that flood: the server stays small and quick, Ctrl-C gets through, and what is shown is whole and right."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from tests import repository
from tests.chaos.conftest import Report, times
from tests.running import Running
from tests.terminals.conftest import Line, socket_of
from tests.visitor import until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(times(300, 1800))]
TERMINALS = 10
MEGABYTES = times(10, 100)
# Each line has a colour, an umlaut and a character outside the basic plane: 34 bytes with the number and its ends.
LINES = MEGABYTES * 1_000_000 // 34
FLOOD = f"E=$(printf '\\033'); seq -f \"$E[32m%07.0f grüße 🚂$E[0m\" 1 {LINES}; echo the''-end"
MOST_GROWTH, MOST_WAIT, MOST_STOP = 30.0, 0.5, 1.0
_LINE = re.compile(r"\x1b\[32m(\d{7}) grüße 🚂\x1b\[0m\r\n")
_WHOLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Running]:
    """A server on a small repository."""
    base = tmp_path.resolve()
    with Running(base / "data", repository.make(base / "shop", files=5)) as running:
        yield running


class Watch:
    """Looks at the server's memory and at how long it takes to answer, until told to stop."""

    def __init__(self, running: Running) -> None:
        self.waits: list[float] = []
        self._running = running
        assert running.process is not None
        top = psutil.Process(running.process.pid)
        # Its own processes: what runs in the terminals is none of them.
        self._own = [top, *(one for one in top.children() if one.name() == top.name())]
        self.before = self.rss()
        self.most = self.before
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def rss(self) -> float:
        """MiB of the server's own processes."""
        return sum(one.memory_info().rss for one in self._own) / (1 << 20)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    @property
    def growth(self) -> float:
        """MiB by which the memory has grown at most."""
        return self.most - self.before

    @property
    def p99(self) -> float:
        """Seconds in which nearly every answer came."""
        return sorted(self.waits)[int(len(self.waits) * 0.99)]

    def _look(self) -> None:
        while not self._over.wait(0.02):
            began = time.monotonic()
            assert self._running.call("GET", "/api/v1/health")[0] == 200
            self.waits.append(time.monotonic() - began)
            self.most = max(self.most, self.rss())


class Reader:
    """Reads one terminal in a thread as its page would, and checks every message."""

    def __init__(self, running: Running, terminal_id: str) -> None:
        self.line = Line(running, socket_of(terminal_id))
        self.tail = ""
        self.broken: list[str] = []
        self.seen = threading.Condition()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def until(self, words: str, seconds: float) -> None:
        """Wait until the words were shown."""
        with self.seen:
            assert self.seen.wait_for(lambda: words in self.tail, seconds), self.tail[-200:]

    def type(self, text: str) -> None:
        """Type something, forgetting what was shown before."""
        with self.seen:
            self.tail = ""
        self.line.type(text)

    def close(self) -> None:
        """Hang up."""
        self.line.socket.close()
        self.thread.join(30)

    def _read(self) -> None:
        unacked = 0
        while True:
            try:
                message: dict[str, Any] = self.line.hear()
            except (ConnectionClosed, TimeoutError):
                return
            self.line.messages.clear()
            self.line.text = ""
            if message["type"] != "output":
                continue
            text = message["data"]
            if "\ufffd" in text or "\x1b" in _WHOLE.sub("", text):
                self.broken.append(text[-40:])
            with self.seen:
                self.tail = (self.tail + text)[-20_000:]
                self.seen.notify_all()
            unacked += len(text)
            if unacked > 100_000:
                self.line.say(type="ack", bytesReceived=unacked)
                unacked = 0


def opened(running: Running) -> str:
    status, made = running.call("POST", "/api/v1/pty", {"cols": 120, "rows": 40})
    assert status == 200, made
    found: str = made["data"]["sessionId"]
    return found


def last_numbers(text: str) -> list[int]:
    """The numbers of the last hundred lines."""
    return [int(found) for found in _LINE.findall(text)][-100:]


def test_ten_floods_leave_the_server_small_and_quick(served: Running, report: Report) -> None:
    terminals = [opened(served) for _ in range(TERMINALS)]
    with ExitStack() as stack:
        readers = [Reader(served, one) for one in terminals]
        for reader in readers:
            stack.callback(reader.close)
            reader.until("$", 30)
        watch = stack.enter_context(Watch(served))
        began = time.monotonic()
        for reader in readers:
            reader.type(f"{FLOOD}\n")
        for reader in readers:
            reader.until("the-end\r\n", 1500)
        seconds = time.monotonic() - began
        for reader in readers:
            assert last_numbers(reader.tail) == list(range(LINES - 99, LINES + 1))
            assert reader.broken == []
        stopped = [_stop(readers, one) for one in readers[:3]]
    again = [Line(served, socket_of(one)) for one in terminals[3:6]]
    for line in again:
        line.until("the-end\r\n")
        assert last_numbers(line.text) == list(range(LINES - 99, LINES + 1))
        line.socket.close()
    report(
        "terminal-flood",
        terminals=TERMINALS,
        megabytes=MEGABYTES,
        seconds=round(seconds, 1),
        growth=round(watch.growth, 1),
        p99=round(watch.p99, 3),
        stop=round(max(stopped), 2),
    )
    assert watch.growth <= MOST_GROWTH
    assert watch.p99 <= MOST_WAIT
    assert max(stopped) <= MOST_STOP


def _stop(readers: list[Reader], one: Reader) -> float:
    """The seconds from Ctrl-C to the prompt in a terminal that floods while two others do."""
    loud = [*readers[7:9], one]
    for reader in loud:
        reader.type("yes grüße 🚂\n")
    for reader in loud:
        reader.until("grüße 🚂\r\ngrüße 🚂\r\n", 30)
    began = time.monotonic()
    one.type("\x03")
    one.until("$", 30)
    seconds = time.monotonic() - began
    for reader in loud[:2]:
        reader.type("\x03")
        reader.until("$", 30)
    return seconds


def test_a_client_that_trickles_is_let_go_and_comes_back_to_the_end(served: Running, report: Report) -> None:
    terminal = opened(served)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(60)
        slow.connect(("127.0.0.1", served.port))
        with Line(served, socket_of(terminal), sock=slow, max_queue=1) as line:
            line.until("$")
            began = time.monotonic()
            line.type(f"{FLOOD}\n")
            line.hear()
            until(lambda: not _has_client(served, terminal), 60)
            seconds = time.monotonic() - began
            assert line.closed() == (1013, "Too slow; connect again")
            assert "\ufffd" not in line.text
    with Line(served, socket_of(terminal)) as again:
        again.until("the-end\r\n")
        assert last_numbers(again.text) == list(range(LINES - 99, LINES + 1))
    report("terminal-trickle", let_go=round(seconds, 1))


def _has_client(served: Running, terminal_id: str) -> bool:
    rows = served.call("GET", "/api/v1/pty")[1]["data"]["sessions"]
    found: bool = next(row for row in rows if row["id"] == terminal_id)["hasClient"]
    return found
