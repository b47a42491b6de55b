"""The sign-ins of this process that wait for somebody to come back: each is one person's and is used once."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.errors import NotFound
from app.mcp.things import Server
from app.projects.service import Place

if TYPE_CHECKING:
    from app.mcp.oauth import SignIn

MOST = 100


@dataclass(frozen=True)
class Pending:
    """A sign-in under way: whose it is, to what, and the flow that waits."""

    user: str
    place: Place
    server: Server
    flow: SignIn


class SignIns:
    """Those that wait, by their state."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, Pending] = {}

    def put(self, new: Pending) -> list[Pending]:
        """Let one wait; what it takes the place of, and the oldest of too many, are given back to be dropped."""
        with self._lock:
            gone = [
                state for state, one in self._waiting.items() if one.server.id == new.server.id and one.user == new.user
            ]
            gone += [state for state in self._waiting if state not in gone][: max(0, len(self._waiting) - MOST + 1)]
            dropped = [self._waiting.pop(state) for state in gone]
            self._waiting[new.flow.state] = new
        return dropped

    def take(self, user: str, state: str) -> Pending:
        """The one of this state, which nobody finds again; NotFound alike for none and for somebody else's."""
        with self._lock:
            found = self._waiting.get(state)
            if found is None or found.user != user:
                raise NotFound("sign-in")
            return self._waiting.pop(state)

    def take_of(self, user: str, server_id: str) -> Pending:
        """The one that this person began at this server."""
        with self._lock:
            for state, one in self._waiting.items():
                if one.user == user and one.server.id == server_id:
                    return self._waiting.pop(state)
        raise NotFound("sign-in")

    def waits(self, user: str, server_id: str) -> bool:
        """Whether this person is signing in to this server."""
        with self._lock:
            return any(one.user == user and one.server.id == server_id for one in self._waiting.values())

    def forget(self, flow: SignIn) -> None:
        """It has ended by itself."""
        with self._lock:
            if self._waiting.get(flow.state) is not None and self._waiting[flow.state].flow is flow:
                del self._waiting[flow.state]

    def all(self) -> list[Pending]:
        """Take all."""
        with self._lock:
            found = list(self._waiting.values())
            self._waiting.clear()
        return found

    def of_server(self, server_id: str) -> list[Pending]:
        """Take all that wait for a server which is removed."""
        with self._lock:
            states = [state for state, one in self._waiting.items() if one.server.id == server_id]
            return [self._waiting.pop(state) for state in states]
