"""Streams that are cut anywhere, in the middle of a frame too: clients that come back miss nothing and see nothing twice."""

from __future__ import annotations

import contextlib
import http.client
import random
import signal
import socket
import sqlite3
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Self

import pytest

from tests.chaos.conftest import SEED, Report, times
from tests.running import TOKEN, Running

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(times(300, 1800))]
KINDS = ("sessions.created", "sessions.updated")
WRITERS, READERS = 2, 3
CHANGES = times(1_500, 10_000)
RESET = struct.pack("ii", 1, 0)
STRANGE = (
    "-1", "abc", "0x10", "1e3", "5 6", "1-2", "12-", "-", "+7", "1.5", "9" * 30, "9223372036854775807",
    "9223372036854775808", "\N{ARABIC-INDIC DIGIT THREE}", "null", "evt_5", "0; DROP TABLE event", "%00", "1\t2",
)  # fmt: skip


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Running]:
    """A server that may be stopped and started."""
    with Running(tmp_path / "data") as running:
        yield running


class Writers:
    """Change titles as fast as the server takes them, in threads, until told to stop."""

    def __init__(self, running: Running) -> None:
        self.changes = 0
        self._running = running
        self._over = threading.Event()
        self._session = running.call("POST", "/session", {})[1]["id"]
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _write(self, number: int) -> None:
        while not self._over.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                title = f"{number} {self.changes} " + "x" * 300
                if self._running.call("PATCH", f"/session/{self._session}", {"title": title})[0] == 200:
                    self.changes += 1


class Reader:
    """A client over a raw socket that remembers whole frames alone."""

    def __init__(self, running: Running, chance: random.Random, last: str = "") -> None:
        self.ids: list[int] = []
        self.resyncs = 0
        self._running = running
        self._chance = chance
        self._last = last

    def read(self, size: int | None = None, until: int | None = None, count: int | None = None) -> None:
        """One connection: cut after so many bytes, or closed once that id, or so many frames, have come."""
        by_query = self._last and self._chance.random() < 0.5
        path = f"/event?lastEventId={self._last}" if by_query else "/event"
        header = f"Last-Event-ID: {self._last}\r\n" if self._last and not by_query else ""
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._running.port}\r\n{header}"
        request += f"Authorization: Bearer {TOKEN}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self._running.port), timeout=20) as raw:
            raw.sendall(request.encode())
            seen = len(self.ids)
            self._frames(raw, size, lambda: self._is_enough(until, count, seen))
            if self._chance.random() < 0.5:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def _is_enough(self, until: int | None, count: int | None, seen: int) -> bool:
        is_there = until is not None and bool(self.ids) and self.ids[-1] >= until
        return is_there or (count is not None and len(self.ids) - seen >= count)

    def _frames(self, raw: socket.socket, size: int | None, is_enough: object) -> None:
        rest, is_body, left = b"", False, size
        assert callable(is_enough)
        while left is None or left > 0:
            data = raw.recv(self._chance.randint(1, 8192) if left is None else min(left, 8192))
            if not data:
                return
            left = None if left is None else left - len(data)
            rest += data
            if not is_body and b"\r\n\r\n" in rest:
                head, _, rest = rest.partition(b"\r\n\r\n")
                if head.startswith(b"HTTP/1.1 503 "):
                    raise ConnectionRefusedError("The server is on its way down.")
                assert head.startswith(b"HTTP/1.1 200 ")
                is_body = True
            while is_body and b"\n\n" in rest:
                frame, _, rest = rest.partition(b"\n\n")
                self._take(frame.split(b"\n"))
            if is_enough():
                return

    def _take(self, lines: list[bytes]) -> None:
        self.resyncs += b"event: resync" in lines
        for line in lines:
            if line.startswith(b"id: "):
                self._last = line[4:].decode()
                self.ids.append(int(self._last))


def stored(running: Running) -> list[int]:
    """The ids of all facts that `/event` tells, in the order of the table."""
    marks = ",".join("?" * len(KINDS))
    with closing(sqlite3.connect(running.data_dir / "signalcabin.db")) as connection:
        found = connection.execute(f"SELECT seq FROM event WHERE kind IN ({marks}) ORDER BY seq", KINDS)
        return [seq for (seq,) in found]


def read_with_cuts(reader: Reader, chance: random.Random, cuts: int) -> None:
    """Read on and on, cut at any byte; a server that is down is asked again."""
    done = 0
    while done < cuts:
        with contextlib.suppress(OSError):
            reader.read(size=chance.randint(1, 60_000))
            done += 1


def test_cut_streams_miss_nothing_and_double_nothing(served: Running, report: Report) -> None:
    chance, cuts = random.Random(SEED), times(10, 67)
    start = str(stored(served)[-1]) if stored(served) else "0"
    readers = [Reader(served, random.Random(SEED + number), last=start) for number in range(READERS)]
    threads = [
        threading.Thread(target=read_with_cuts, args=(reader, random.Random(SEED - number), cuts))
        for number, reader in enumerate(readers)
    ]
    restarts = 0
    with Writers(served) as writers:
        for thread in threads:
            thread.start()
        for number in (signal.SIGKILL, signal.SIGTERM, *[signal.SIGKILL] * times(0, 8)):
            threading.Event().wait(chance.uniform(0.5, 1.5))  # the moment is what is tested
            served.kill() if number == signal.SIGKILL else served.stop()
            served.start()
            restarts += 1
        for thread in threads:
            thread.join(times(60, 1200))
            assert not thread.is_alive()
        while writers.changes < CHANGES:
            threading.Event().wait(0.02)  # what is waited for is in another thread's counter
    table = stored(served)
    for reader in readers:
        reader.read(until=table[-1])
    expected = table[table.index(int(start)) + 1 :] if int(start) else table
    missing = sum(len(set(expected) - set(reader.ids)) for reader in readers)
    doubled = sum(len(reader.ids) - len(set(reader.ids)) for reader in readers)
    report("R05", cuts=cuts * READERS, restarts=restarts, events=len(expected), missing=missing, dup=doubled)
    assert all(reader.ids == expected for reader in readers)
    assert all(reader.resyncs == 0 for reader in readers)
    assert "Traceback" not in served.log.read_text()


def test_no_gap_lies_between_replay_and_live(served: Running, report: Report) -> None:
    chance, subscriptions = random.Random(SEED), times(200, 1000)
    began, checked = time.monotonic(), 0
    with Writers(served) as writers:
        while writers.changes < 50:
            threading.Event().wait(0.02)  # the same
        while checked < subscriptions:
            table = stored(served)
            place = chance.randint(max(0, len(table) - 30), len(table) - 1)
            reader = Reader(served, chance, last=str(table[place]))
            reader.read(count=len(table) - place + 4)
            after = stored(served)
            assert reader.ids == after[place + 1 : place + 1 + len(reader.ids)]
            assert reader.resyncs == 0
            checked += 1
        rate = writers.changes / (time.monotonic() - began)
    report("R05 race", subscriptions=checked, missing=0, dup=0, writes_per_s=int(rate))


def test_strange_ids_begin_now_and_say_resync(served: Running) -> None:
    with Writers(served):
        for strange in STRANGE:
            for reader in (_asking(served, strange, by_query=True), _asking(served, strange, by_query=False)):
                assert reader.resyncs == 1, strange
                assert reader.ids[0] > 0
    assert "Traceback" not in served.log.read_text()


def test_an_id_beyond_what_is_kept_says_resync(served: Running) -> None:
    with Writers(served) as writers:
        while writers.changes < 20:
            threading.Event().wait(0.02)  # the same
    served.stop()
    table = stored(served)
    with closing(sqlite3.connect(served.data_dir / "signalcabin.db")) as connection:
        connection.execute("DELETE FROM event WHERE seq <= ?", (table[10],))
        connection.commit()
    served.start()
    with Writers(served):
        for place, resyncs in ((3, 1), (9, 1), (10, 0), (15, 0)):
            reader = Reader(served, random.Random(SEED), last=str(table[place]))
            reader.read(count=5)
            assert reader.resyncs == resyncs
            assert reader.ids[0] > table[-1] if resyncs else reader.ids[0] == table[place + 1]


def _asking(running: Running, strange: str, *, by_query: bool) -> Reader:
    """A reader that came with a strange id and has seen three facts."""
    chance = random.Random(SEED)
    chance.random = lambda: 0.0 if by_query else 1.0  # type: ignore[method-assign]
    shown = "".join(f"%{byte:02x}" for byte in strange.encode()) if by_query else strange.encode().decode("latin-1")
    reader = Reader(running, chance, last=shown)
    reader.read(count=3)
    return reader
