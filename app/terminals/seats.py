"""Who sits at a terminal: any number watch, one of them has the keyboard."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app import ids
from app.actor import Actor
from app.errors import Conflict, Limited

if TYPE_CHECKING:
    from app.terminals.terminal import Terminal

MOST = 32
RETRY = 5


@dataclass(eq=False)
class Viewer:
    """Somebody at a terminal. `client` names a page that comes back: its new connection takes its old one's seat.

    `changed` is called when people came, went or took the keyboard, `replaced` when its seat was taken.
    """

    actor: Actor
    terminal: Terminal
    may_write: bool
    client: str = ""
    changed: Callable[[], None] = lambda: None
    replaced: Callable[[], None] = lambda: None
    since: int = field(default_factory=ids.now)

    @property
    def user(self) -> str:
        """The person behind it."""
        return self.actor.user


class Seats:
    """The viewers of one terminal; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._viewers: list[Viewer] = []
        self._writer: Viewer | None = None

    @property
    def viewers(self) -> list[Viewer]:
        """Everybody, in the order in which they came."""
        with self._lock:
            return list(self._viewers)

    @property
    def writer(self) -> Viewer | None:
        """Who has the keyboard."""
        return self._writer

    def check_room(self) -> None:
        """Raise Limited when nobody more may come."""
        if len(self._viewers) >= MOST:
            raise Limited(f"At most {MOST} watch a terminal at once.", RETRY)

    def join(self, viewer: Viewer) -> None:
        """Take a seat; the keyboard too, if it lies there. Raises Limited."""
        with self._lock:
            old = self._namesake(viewer)
            if old is not None:
                self._viewers.remove(old)
            elif len(self._viewers) >= MOST:
                raise Limited(f"At most {MOST} watch a terminal at once.", RETRY)
            self._viewers.append(viewer)
            if viewer.may_write and self._writer in (None, old):
                self._writer = viewer
        if old is not None:
            old.replaced()
        self._tell()

    def leave(self, viewer: Viewer) -> None:
        """Go; the keyboard goes to the same person's latest connection, else it lies there."""
        with self._lock:
            if viewer not in self._viewers:
                return
            self._viewers.remove(viewer)
            if self._writer is viewer:
                own = [one for one in self._viewers if one.user == viewer.user and one.may_write]
                self._writer = own[-1] if own else None
        self._tell()

    def take(self, viewer: Viewer) -> None:
        """Take the keyboard from whoever has it."""
        with self._lock:
            if viewer not in self._viewers or self._writer is viewer:
                return
            self._writer = viewer
        self._tell()

    def check_writer(self, user: str, viewer: Viewer | None = None) -> None:
        """Let somebody write: raises Conflict while somebody else has the keyboard. Typing takes it from oneself."""
        writer = self._writer
        if writer is not None and writer.user != user:
            raise Conflict(f"{writer.actor.name} has the keyboard.")
        if viewer is not None and viewer is not writer:
            self.take(viewer)

    def _namesake(self, viewer: Viewer) -> Viewer | None:
        known = (one for one in self._viewers if one.client == viewer.client and one.user == viewer.user)
        return next(known, None) if viewer.client else None

    def _tell(self) -> None:
        for one in self.viewers:
            one.changed()
