"""`python -m bench.big`: how long each page and list takes with 10,000 sessions and 50,000 messages."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from app import config, db
from bench import filling, load, report, targets, tree
from bench.figure import Deadline, Failed, Figure, Goal
from bench.filling import Filling
from bench.report import Column

GOAL = 60.0
STATUS = 5.0  # of a task, however long it is
SECONDS = 2.0


def main() -> None:
    """Fill, start, ask each page in turn on one connection, print the table."""
    given = _arguments()
    tree.share_priority()
    with tempfile.TemporaryDirectory(prefix="bench.") as base:
        target = targets.ours(Path(base), "http://127.0.0.1:9/v1")
        wanted = Filling(given.sessions, given.messages, given.longest)
        began = time.perf_counter()
        places = Path(base) / "projects"
        _fill(target, wanted, places)
        print(f"filled in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        column = Column("ours", load=(os.getloadavg()[0], 0.0))
        with target:
            started = target.start(Deadline(60))
            column.figures.append(Figure(Goal("start to first 200", "s", 3.0), started))
            for name, path in _paths(wanted, quote(str(places / "project-0"), safe="")):
                if given.only in name:
                    _measure(target, column, name, path)
        column.load = (column.load[0], os.getloadavg()[0])
    print(report.table([column]))
    report.save([column], given.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.big", description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000, help="how many there are (10,000)")
    parser.add_argument("--messages", type=int, default=50_000, help="in all of them (50,000)")
    parser.add_argument("--longest", type=int, default=2_000, help="how many of them are in one session (2,000)")
    parser.add_argument("--only", default="", metavar="WORDS", help="only the pages whose name has these words")
    parser.add_argument("--out", type=Path, default=Path("bench.json"), help="where the JSON goes (bench.json)")
    return parser.parse_args()


def _fill(target: targets.Target, wanted: Filling, base: Path) -> None:
    settings = config.Config.from_environ(target.environ)
    config.use(settings)
    database = db.Database(settings.database_url)
    db.use(database)
    try:
        with database.transaction() as connection:
            filling.fill(connection, wanted, base)
            connection.exec_driver_sql("ANALYZE")
    finally:
        database.close()


def _paths(wanted: Filling, place: str) -> Iterator[tuple[str, str]]:
    long, now = wanted.long_id, int(time.time() * 1000)
    half_a_year_ago = f"{now - filling.YEAR // 2}.ses_"
    yield from (
        ("Home", "/"),
        ("Sessions", "/sessions"),
        ("Sessions, half a year down", f"/sessions?before={half_a_year_ago}"),
        ("Sessions, words in transcripts", "/sessions?q=invoice+rounding"),
        ("Sessions, a rare word", "/sessions?q=nowhere"),
        ("Sessions, needing somebody", "/sessions?tab=needs"),
        ("Sessions, failed", "/sessions?tab=failed"),
        ("Session of 2,000 messages", f"/sessions/{long}"),
        ("Session of 2,000 messages, changes", f"/sessions/{long}/changes"),
        ("Inbox", "/inbox"),
        ("Inbox by command", "/inbox?by=command"),
        ("Inbox, others'", "/inbox?tab=others"),
        ("Inbox, answered", "/inbox?tab=answered"),
        ("Approval", f"/inbox/{wanted.asking_id}"),
        ("Projects", "/projects"),
        ("Command bar, nothing typed", "/search"),
        ("Command bar, two words", "/search?q=invoice+rounding"),
        ("GET /session, 100 rows", f"/session?directory={place}&limit=100"),
        ("GET /session, search", f"/session?directory={place}&search=invoice&limit=100"),
        ("GET /session/{id}/message, newest 100", f"/session/{long}/message?limit=100"),
        ("GET /permission, 200 of them", "/permission"),
        ("Roo task, the longest: status", f"/api/tasks/{long}/status"),
        ("Roo task, the longest: logs", f"/api/tasks/{long}/logs"),
        ("Roo tasks, 1,000 of them", f"/api/tasks?directory={place}&limit=1000"),
        ("Export of 2,000 messages, md", f"/sessions/{long}/export?format=md"),
        ("Export of 2,000 messages, json", f"/sessions/{long}/export?format=json"),
        ("Export of 2,000 messages, html", f"/sessions/{long}/export?format=html"),
    )


def _measure(target: targets.Target, column: Column, name: str, path: str) -> None:
    print(name, file=sys.stderr)
    try:
        seen, cpu = load.get_counted(target, path, 1, SECONDS)
    except (Failed, OSError, subprocess.SubprocessError) as trouble:
        column.failures[name] = f"{trouble} {target.ended}"
        return
    goal = None if name.startswith("Export") or name.endswith("logs") else STATUS if "status" in name else GOAL
    column.figures.append(
        Figure(Goal(f"{name}, p50", "ms", goal), seen.p50, f"p95 {seen.p95:.0f} ms, CPU {cpu or 0:.0f} ms")
    )


if __name__ == "__main__":
    main()
