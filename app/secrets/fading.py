"""Values that were replaced or deleted: hidden as long as a command may run that was lent them, then no more.

A word that is no secret any longer would otherwise be cut out of what people read until the next start. Which are
stored no more is found by looking at all that is stored, once some time after the last change, in each process.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from app import config, dispatch, redact
from app.secrets import rows

LEAST = 3600.0  # seconds
LOOKED = 300.0
_changed: float | None = None
_watch_all: Callable[[], None] = lambda: None  # noqa: E731
_clock: Callable[[], float] = time.monotonic


def note() -> None:
    """Something was set or deleted just now."""
    global _changed
    _changed = _clock()


def kept_for() -> float:
    """How long a value that is gone stays hidden, in seconds: the longest command that has it may run that long."""
    return max(LEAST, 2.0 * config.current().limits.seconds)


def register_watch(watch_all: Callable[[], None]) -> None:
    """Say what tells the redactor of all that is stored."""
    global _watch_all
    _watch_all = watch_all


@dispatch.every(LOOKED)
def let_pass() -> None:
    """Let pass what is stored no more, once nothing has changed for long enough."""
    global _changed
    if _changed is None or _clock() - _changed < kept_for():
        return
    _changed = None
    rows.forget_unseen()
    _watch_all()
    for name, word in rows.stale():
        redact.unwatch(name, word)
