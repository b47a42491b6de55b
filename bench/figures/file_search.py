"""Finding files among 50,000 of them, and text, beside bare ripgrep; it makes the files where the server works."""

from __future__ import annotations

import json
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench.conversation import Conversation
from bench.figure import Failed, Figure, Goal
from bench.targets import Target

FILES, FOLDERS = 50_000, 3_200
ROUNDS = 3
WORDS = [
    "session", "user", "account", "event", "stream", "file", "path", "watch", "route", "model", "view", "service",
    "test", "index", "config", "cache", "build", "parse", "token", "render", "page", "panel", "button", "dialog",
    "table", "form", "field", "query", "search", "graph", "node", "edge", "store", "hook", "util", "helper",
    "client", "server", "socket", "proxy", "agent", "task", "run", "step", "plan", "tool", "shell", "term",
    "process", "queue", "worker", "lock", "audit", "metric", "chart", "theme", "color", "grid",
]  # fmt: skip
ENDINGS = ("py", "ts", "tsx", "css", "md", "json")
# What people type: letter by letter, beginnings of words, names, paths, and what is not there.
QUERIES = (
    "s", "se", "sess", "sessr", "sessrout", "rout", "routes.py", "tpi", "modserv", "gridlay", "test page", "user/acc",
    "index.ts", "dialog", "cfgcache", "eventq", "wstream", "config cache test", "md", "zzzzqqq",
)  # fmt: skip


def measure(talk: Conversation, limit: float) -> list[Figure]:  # noqa: ARG001 - it asks a fixed number of times
    """Make the files and ask; a server that speaks CodeBuddy alone is asked for names only."""
    if talk.target.directory is None:
        raise Failed("nobody knows where it works: give --directory")
    tree = make(talk.target.directory)
    return _measure(_Asker(talk.target, tree, is_codebuddy=bool(talk.target.wanted)), tree)


def make(top: Path) -> Path:
    """A tree of 50,000 small files in 3,200 folders; the same each time."""
    dice, folders = random.Random(5), [""]
    while len(folders) < FOLDERS:
        above = dice.choice(folders)
        name = f"{above}{dice.choice(WORDS)}{dice.choice(('', 's', '_' + dice.choice(WORDS)))}/"
        if above.count("/") < 7 and name not in folders:
            folders.append(name)
    for name in folders:
        (top / name).mkdir(parents=True, exist_ok=True)
    for number in range(FILES):
        one, two = dice.choice(WORDS), dice.choice(WORDS)
        stem = dice.choice((f"{one}_{two}", f"{one}{two.title()}", f"{one.title()}{two.title()}", f"test_{one}_{two}"))
        text = f"def {one}_{two}():\n    return {number}\n" + ("# a needle\n" if number % 500 == 0 else "")
        (top / f"{dice.choice(folders)}{stem}{number % 100}.{dice.choice(ENDINGS)}").write_text(text)
    return top


class _Asker:
    """Asks one server on one connection."""

    def __init__(self, target: Target, tree: Path, *, is_codebuddy: bool) -> None:
        self._target = target
        self._kept = target.connect(60)
        self._place = quote(str(tree), safe="")
        self.is_codebuddy = is_codebuddy

    def files(self, query: str, limit: int = 10) -> list[str]:
        """The paths that it finds."""
        words = quote(query)
        if self.is_codebuddy:
            answer = self._ask(f"/api/v1/fs/search?query={words}&limit={limit}")
            return [one["path"] for one in answer["items"]]
        found: list[str] = self._ask(f"/find/file?query={words}&limit={limit}&directory={self._place}")
        return found

    def text(self, pattern: str) -> int:
        """How many lines it finds."""
        return len(self._ask(f"/find?pattern={quote(pattern)}&directory={self._place}"))

    def _ask(self, path: str) -> Any:
        self._kept.request("GET", path, headers=self._target.headers)
        answer = self._kept.getresponse()
        raw = answer.read()
        if answer.status != 200:
            raise Failed(f"{path}: {answer.status} {raw[:200]!r}")
        return json.loads(raw)


def _measure(asker: _Asker, tree: Path) -> list[Figure]:
    first = _timed(lambda: asker.files("sess"))
    for _ in range(3):
        asker.files("warm")
        time.sleep(1.0)  # a server may make itself ready after the first question; nothing tells when it is
    times = sorted(_timed(lambda query=query: asker.files(query)) for _ in range(ROUNDS) for query in QUERIES)  # type: ignore[misc]
    figures = [
        Figure(Goal("file search, 50,000 files, p50", "ms", None), statistics.median(times)),
        Figure(
            Goal("file search, 50,000 files, p95", "ms", 20), times[int(len(times) * 0.95)], f"first {first:.0f} ms"
        ),
        Figure(Goal("a new file is found", "of 20", 20, "more"), sum(_finds_new(asker, tree, n) for n in range(20))),
    ]
    return figures if asker.is_codebuddy else [*figures, *_measure_text(asker, tree)]


def _finds_new(asker: _Asker, tree: Path, number: int) -> bool:
    new = tree / f"brandnew{number}qx.py"
    new.touch()
    found = asker.files(f"brandnew{number}qx", 1)
    new.unlink()
    return found == [new.name]


def _measure_text(asker: _Asker, tree: Path) -> list[Figure]:
    figures = []
    for name, pattern in (("some hits", "needle"), ("1,000 hits", "return 7"), ("no hit", "nowhere_at_all")):
        hits = asker.text(pattern)
        ours = statistics.median(_timed(lambda pattern=pattern: asker.text(pattern)) for _ in range(7))  # type: ignore[misc]
        bare = statistics.median(_timed(lambda p=pattern, h=hits: _ripgrep(tree, p, h)) for _ in range(7))  # type: ignore[misc]
        note = f"{hits} hits, bare ripgrep {bare:.0f} ms"
        figures.append(Figure(Goal(f"GET /find, {name}", "x ripgrep", 1.2), ours / bare, note))
        if not hits:
            figures.append(Figure(Goal("GET /find, no hit in 50,000 files", "ms", 250), ours))
    return figures


def _ripgrep(tree: Path, pattern: str, hits: int) -> None:
    """Ripgrep alone, ended after as many hits."""
    binary = shutil.which("rg") or str(Path(sys.executable).parent / "rg")
    command = [binary, "--no-config", "--json", "--hidden", "--glob=!.git", "-e", pattern, "--", "."]
    with subprocess.Popen(command, cwd=tree, stdout=subprocess.PIPE, env={}) as process:
        assert process.stdout is not None
        seen = 0
        for line in process.stdout:
            seen += line.startswith(b'{"type":"match"')
            if hits and seen >= hits:
                break
        process.kill()


def _timed(work: Callable[[], object]) -> float:
    """How long it takes, in ms."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000
