"""The server with points at which it can be made to die: `python -m tests.failing serve`.

A file `failpoint` in the data directory names one, as `name:n`: at the n-th time that the server comes by, all its
processes are killed. The product knows nothing of it: what is wrapped here is wrapped in this process alone.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app import carrier, cli, db
from app.agent import tools
from app.checkpoints.shadow import Shadow

POINTS = (
    "after-intent",
    "after-tool",
    "before-commit",
    "in-commit",
    "before-hooks",
    "in-checkpoint",
    "before-write",
)
_file = Path(os.environ.get("SIGNALCABIN_DATA_DIR", "var")) / "failpoint"
_passed: Counter[str] = Counter()
_lock = threading.Lock()


def arm(data_dir: Path, point: str, count: int) -> None:
    """Let the server on this data directory die there, the count-th time from now."""
    assert point in POINTS
    (data_dir / "failpoint").write_text(f"{point}:{count}")


def disarm(data_dir: Path) -> None:
    """Let it live."""
    (data_dir / "failpoint").unlink(missing_ok=True)


def _die() -> None:
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _is_due(point: str) -> bool:
    try:
        name, _, count = _file.read_text().partition(":")
    except FileNotFoundError:
        return False
    if name != point:
        return False
    with _lock:
        _passed[point] += 1
        return _passed[point] == int(count)


def _reach(point: str) -> None:
    if _is_due(point):
        _die()


def _wrap(owner: Any, name: str, before: str = "", after: str = "") -> None:
    inner: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(inner)
    def wrapped(*given: Any, **named: Any) -> Any:
        if before:
            _reach(before)
        result = inner(*given, **named)
        if after:
            _reach(after)
        return result

    setattr(owner, name, wrapped)


def _on_commit(_connection: sa.Connection) -> None:
    _reach("before-commit")
    if _is_due("in-commit"):
        # Somewhere in what SQLite does now: it gives up the GIL for it.
        threading.Thread(target=_die).start()


def main() -> None:
    """Wrap, then serve."""
    _wrap(tools, "run", before="after-intent", after="after-tool")
    _wrap(db, "_run_hooks", before="before-hooks")
    _wrap(Shadow, "_update", before="in-checkpoint")
    _wrap(carrier.Outlet, "send", before="before-write")
    sa.event.listen(sa.Engine, "commit", _on_commit)
    cli.main()


if __name__ == "__main__":
    main()
