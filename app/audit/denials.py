"""Refusals in the audit log: each kind of one caller is told once a minute, with how many there were.

A flood of them must not fill the disk: what comes again within the minute is only counted, and beyond `MOST` kinds
in a minute the rest is one number.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app import db, ids, record
from app.actor import SYSTEM, Actor

MINUTE = 60_000
MOST = 30
OTHERS = "others"
_logger = logging.getLogger(__name__)


@dataclass
class _Window:
    """A minute of one kind of refusal; `more` came after the row that began it."""

    actor: Actor
    action: str
    target: str
    detail: dict[str, Any]
    until: int
    more: int = 0


class Denials:
    """Writes down refusals, at a bounded rate; `flush` tells what was only counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, str, str, str], _Window] = {}
        self._others = _Window(SYSTEM, "access", OTHERS, {}, 0)

    def note(self, actor: Actor, action: str, target: str, detail: dict[str, Any]) -> None:
        """Write a row for the first refusal of its kind (actor, address, action, target); count those after it."""
        key = (actor.id, actor.address, action, target)
        with self._lock:
            self._close(ids.now())
            known = self._windows.get(key)
            if known is not None:
                known.more += 1
            elif len(self._windows) >= MOST:
                self._others.more += 1
                self._others.until = self._others.until or ids.now() + MINUTE
            else:
                self._windows[key] = _Window(actor, action, target, detail, ids.now() + MINUTE)
                _write(actor, action, target, {**detail, "count": 1}, record.asked_in())

    def flush(self, *, ending: bool = False) -> None:
        """Tell the counts of minutes that are over; of all when the process ends."""
        with self._lock:
            self._close(None if ending else ids.now())

    def _close(self, now: int | None) -> None:
        """Tell and forget the minutes that are over by now (None: all of them)."""
        over = [key for key, window in self._windows.items() if now is None or window.until <= now]
        for window in [self._windows.pop(key) for key in over]:
            _tell(window)
        if now is None or self._others.until <= now:
            _tell(self._others)
            self._others.more = self._others.until = 0


def _tell(window: _Window) -> None:
    if window.more:
        _write(window.actor, window.action, window.target, {**window.detail, "count": window.more}, "")


def _write(actor: Actor, action: str, target: str, detail: dict[str, Any], request_id: str) -> None:
    def write(conn: sa.Connection) -> None:  # in the thread that writes, which answers no request
        record.audit(conn, actor, action, target, detail, "denied", request_id=request_id)

    db.append(write).add_done_callback(_report)


def _report(done: Future[None]) -> None:
    failure = done.exception()
    if failure is not None:
        _logger.error("a refusal could not be written down", exc_info=failure)
