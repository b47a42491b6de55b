"""What stands around every page: who is signed in, what waits, what runs."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from flask import g

from app import config, web
from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import service as approvals
from app.events import service as events
from app.sessions import service as sessions
from app.system import bp


class Shell:
    """What base.html shows around a page; each figure is looked up when the template asks for it."""

    kind = "user"
    team = ""
    keys = True

    @property
    def is_open(self) -> bool:
        """Whether nobody has to sign in here."""
        return config.current().auth == "none"

    def __init__(self, actor: Actor, cursor: str) -> None:
        self._actor = actor
        self.person = actor.name
        self.cursor = cursor

    @cached_property
    def waiting(self) -> int:
        """How many asks wait for this person."""
        return approvals.count_waiting(self._actor) if accounts.may(self._actor, "approvals:read") else 0

    @cached_property
    def running(self) -> int:
        """How many sessions run or wait for their turn."""
        return sessions.count_running(self._actor) if accounts.may(self._actor, "sessions:read") else 0


@bp.before_app_request
def note_cursor() -> None:
    """Read the log's end before the page reads anything: its stream then misses nothing."""
    if g.get("actor") is not None and web.dialect() == "":
        g.cursor = events.latest()


@bp.app_context_processor
def around() -> dict[str, Any]:
    """The shell and the id of whoever is signed in."""
    actor = g.get("actor")
    return {"shell": Shell(actor, g.get("cursor", "")), "me": actor.id} if actor is not None else {}
