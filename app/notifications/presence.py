"""Who is looking: people whose pages are in sight, as the pages' streams tell; all processes share it by a row."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import sqlalchemy as sa

from app import db, dispatch, ids
from app.notifications.models import presence as table

# How often a process writes down who looks, and after how long without that nobody does, in seconds.
BEAT = 20.0
GONE = 45


class _Here:
    """How many pages of each person are in sight in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: Counter[str] = Counter()

    def add(self, user: str, by: int) -> int:
        with self._lock:
            self._pages[user] += by
            left = self._pages[user]
            if left <= 0:
                del self._pages[user]
            return left

    def people(self) -> list[str]:
        with self._lock:
            return list(self._pages)


_here = _Here()


def begin(user: str) -> Callable[[], None]:
    """A page of this person's is in sight; call what comes back once it no longer is."""
    if _here.add(user, 1) == 1:
        _note(user)

    def end() -> None:
        if _here.add(user, -1) <= 0:
            _note(user)

    return end


def is_looking(connection: sa.Connection, user: str) -> bool:
    """Whether a page of theirs is in sight, in any process, or was a moment ago."""
    seen = connection.scalar(sa.select(table.c.seen).where(table.c.owner == user))
    return seen is not None and seen > ids.now() - GONE * 1000


@dispatch.every(BEAT)
def beat() -> None:
    """Write down again who looks."""
    for user in _here.people():
        _note(user)


def _note(user: str) -> None:
    db.append(lambda connection: _write(connection, user))


def _write(connection: sa.Connection, user: str) -> None:
    now = ids.now()
    if connection.execute(table.update().where(table.c.owner == user).values(seen=now)).rowcount:
        return
    try:
        with connection.begin_nested():
            connection.execute(table.insert().values(owner=user, seen=now))
    except sa.exc.IntegrityError:
        connection.execute(table.update().where(table.c.owner == user).values(seen=now))
