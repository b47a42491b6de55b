"""A writing process that is killed, and a log that power loss cut short: no acknowledged row is lost, nothing is torn."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app import db
from tests.chaos import writers
from tests.chaos.conftest import SEED, Report, times
from tests.running import ROOT

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(times(300, 1800))]
Row = tuple[int, int, int]
START = 3.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An empty database with the writers' table."""
    made = tmp_path / "chaos.db"
    opened = db.Database(f"sqlite:///{made}")
    writers.chaos.metadata.create_all(opened.engine)
    opened.close()
    return made


class Forks:
    """Forks processes of writers from one that has loaded everything."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.writers", str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def kill_one(self, chance: random.Random) -> set[Row]:
        """Let a process write for a while, kill it, and give what it acknowledged."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        pid, rows, wanted = 0, set[Row](), chance.randint(1, 400)
        for line in process.stdout:
            words = line.split()
            if words[0] == b"pid":
                pid = int(words[1])
            elif words[0] == b"over":
                return rows
            else:
                rows.add((int(words[0]), int(words[1]), int(words[2])))
            if pid and len(rows) >= wanted:
                threading.Event().wait(chance.uniform(0, 0.004))  # the moment is what is tested
                os.kill(pid, signal.SIGKILL)
                pid = 0
        raise AssertionError("the writers' parent ended")

    def close(self) -> None:
        """End them."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@pytest.fixture
def forks(path: Path) -> Iterator[Forks]:
    """Processes of writers on the database."""
    made = Forks(path)
    yield made
    made.close()


def checked(path: Path) -> set[Row]:
    """Every row, after the checks that SQLite knows."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        rows = connection.execute("SELECT round, writer, number FROM chaos").fetchall()
    assert len(rows) == len(set(rows))
    return set(rows)


def are_contiguous(rows: set[Row]) -> bool:
    """Whether each writer's rows are the first so many, without a gap."""
    counts: dict[tuple[int, int], list[int]] = {}
    for number, writer, place in rows:
        counts.setdefault((number, writer), []).append(place)
    return all(sorted(places) == list(range(len(places))) for places in counts.values())


def test_a_killed_writer_loses_no_acknowledged_row(path: Path, forks: Forks, report: Report) -> None:
    chance, acknowledged, slowest = random.Random(SEED), set[Row](), 0.0
    kills = times(40, 200)
    for _ in range(kills):
        acknowledged |= forks.kill_one(chance)
        began = time.monotonic()
        opened = db.Database(f"sqlite:///{path}")
        with opened.transaction() as connection:
            connection.execute(writers.chaos.select().limit(1))
        slowest = max(slowest, time.monotonic() - began)
        opened.close()
        stored = checked(path)
        assert acknowledged <= stored
        assert are_contiguous(stored)
    lost = len(acknowledged - checked(path))
    report("R03", kills=kills, acknowledged=len(acknowledged), lost=lost, corrupt=0, start_ms=int(slowest * 1000))
    assert slowest <= START
    assert len(acknowledged) > kills


def test_a_log_that_is_cut_short_opens_and_loses_only_its_end(
    path: Path, forks: Forks, tmp_path: Path, report: Report
) -> None:
    chance, cuts, most = random.Random(SEED), times(50, 200), 0
    forks.kill_one(chance)
    with closing(sqlite3.connect(path)) as reader:
        # While somebody reads, what is written stays in the log.
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM chaos").fetchone()
        _fill(path)
        shutil.copy(path, tmp_path / "kept.db")
        shutil.copy(path.with_name(f"{path.name}-wal"), tmp_path / "kept.db-wal")
    whole = _copied(tmp_path, None)
    size = (tmp_path / "kept.db-wal").stat().st_size
    assert size > 100_000
    for _ in range(cuts):
        rows = _copied(tmp_path, chance.randrange(size))
        assert rows <= whole
        assert are_contiguous(rows)
        most = max(most, len(whole) - len(rows))
    report("R03 power", cuts=cuts, wal_bytes=size, rows=len(whole), most_lost=most, corrupt=0)
    assert most > 0


def _fill(path: Path) -> None:
    """Two hundred transactions of one writer."""
    opened = db.Database(f"sqlite:///{path}")
    for number in range(200):
        with opened.transaction() as connection:
            row = {"round": -1, "writer": 0, "number": number, "parent": None, "said": "x" * 500}
            connection.execute(writers.chaos.insert(), row)
    opened.close()


def _copied(tmp_path: Path, cut: int | None) -> set[Row]:
    """The rows of a copy whose log ends after so many bytes."""
    copy = tmp_path / "cut.db"
    for suffix in ("", "-wal", "-shm"):
        copy.with_name(f"{copy.name}{suffix}").unlink(missing_ok=True)
    shutil.copy(tmp_path / "kept.db", copy)
    shutil.copy(tmp_path / "kept.db-wal", tmp_path / "cut.db-wal")
    if cut is not None:
        os.truncate(tmp_path / "cut.db-wal", cut)
    return checked(copy)
