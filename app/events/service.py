"""The verbs of the log: follow it, listen to it, close somebody's streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from app import config, db
from app.accounts import service as accounts
from app.accounts.events import PrincipalRevoked, RightsChanged
from app.actor import Actor, Thing
from app.errors import Unavailable
from app.events import log
from app.events.directories import Directories
from app.events.hub import Hub, Keep, Subscription
from app.events.log import Fact
from app.record import Event

__all__ = [
    "Fact",
    "Subscription",
    "close",
    "cursor",
    "directory_of",
    "latest",
    "listen",
    "place",
    "register_directory",
    "register_files",
    "register_place",
    "register_text",
    "start",
    "stop",
    "subscribe",
    "tell",
]

E = TypeVar("E", bound=Event)
Follow = Callable[[Actor, str], Callable[[], None]]
_hub: Hub | None = None
_listeners: list[tuple[type[Any], Callable[[Any], None]]] = []
_text_of: Callable[[sa.Connection, str], str | None] = lambda _connection, _part: None  # noqa: E731
_directories = Directories(lambda _connection, _session: None)
_place_of: Callable[[Actor, str], str] = lambda _actor, directory: directory  # noqa: E731
_follow: Follow | None = None


def subscribe(
    actor: Actor,
    after: str | None = None,
    keep: Keep = lambda _fact: True,
    *,
    files: str | None = None,
    session: str = "",
) -> Subscription:
    """Follow the log as this actor: only what they may read, from now on or after a cursor.

    `files` names the directory whose files are watched for this subscriber, "" for those in which the actor works.
    `session` names the one session that this is about: it ends with that, and once the actor may not see it any more.
    Whoever names one looks whether it is there afterwards, because an end that came before ends nothing here.
    """
    accounts.require(actor, "events:read")
    if _hub is None:
        raise Unavailable("Events are not running in this process.")
    subscription = _hub.subscribe(actor, keep, after, session)
    if not accounts.is_current(actor):
        subscription.close()
        accounts.forget()
        raise Unavailable("What is open to you has just changed. Connect again.", retry_after=1)
    if files is not None and _follow is not None:
        try:
            subscription.hold(_follow(actor, files))
        except BaseException:
            subscription.close()
            raise
    return subscription


def tell(event: Event, scope: Thing) -> None:
    """Tell those who listen in this process, and may see it, of what is not kept: no replay gives it again."""
    if _hub is not None:
        _hub.tell(event, scope)


def cursor(connection: sa.Connection) -> str:
    """The cursor of a snapshot: a stream that starts after it misses nothing the snapshot didn't show."""
    return log.cursor_of(log.now(connection))


def listen(kind: type[E], heard: Callable[[E], None]) -> None:
    """Call `heard` in every server process for each committed event of a kind; registered once, at start."""
    if (kind, heard) in _listeners:
        return
    _listeners.append((kind, heard))
    if _hub is not None:
        _hub.listen(kind, heard)


def register_text(text_of: Callable[[sa.Connection, str], str | None]) -> None:
    """Say how to read the text of a part; given by the sessions room, which this one doesn't know."""
    global _text_of
    _text_of = text_of


def register_directory(find: Callable[[sa.Connection, str], str | None]) -> None:
    """Say how to read a session's directory; given by the sessions room, which this one doesn't know."""
    global _directories
    _directories = Directories(find)


def register_place(find: Callable[[Actor, str], str]) -> None:
    """Say in which directory a named one lies; given by the projects room, which this one doesn't know."""
    global _place_of
    _place_of = find


def register_files(follow: Follow | None) -> None:
    """Say how to follow the files of a directory; given by the files room, which this one doesn't know.

    What it gives back ends it. It neither waits nor fails.
    """
    global _follow
    _follow = follow


def place(actor: Actor, directory: str) -> str:
    """The directory of projects that a named one means to this actor; Denied if it is none of theirs."""
    return _place_of(actor, directory)


def directory_of(fact: Fact) -> str | None:
    """The directory of the session that a fact is about; None without one. Read once, then remembered."""
    session_id = getattr(fact.event, "session_id", "")
    return _directories.of(session_id) if session_id else None


def close(principal: str) -> int:
    """End every stream of a revoked user or token in this process; returns how many."""
    return _hub.close(principal) if _hub is not None else 0


def start(data_dir: Path) -> None:
    """Start the hub of this process."""
    global _hub
    settings = config.current()
    hub = Hub(_may, _text_of, settings.streams_per_user, settings.streams_per_server)
    hub.listen(PrincipalRevoked, _end_streams)
    hub.listen(RightsChanged, _judge_anew)
    for kind, heard in _listeners:
        hub.listen(kind, heard)
    hub.start(data_dir)
    _hub = hub


def stop() -> None:
    """End all streams of this process."""
    global _hub
    if _hub is not None:
        _hub.stop()
        _hub = None


def _end_streams(fact: PrincipalRevoked) -> None:
    # Another process may have written it: what this one remembers of their rights is void too.
    accounts.forget()
    close(fact.principal)


def _judge_anew(fact: RightsChanged) -> None:
    """Whoever still may comes back at once, with the rights of now, and misses nothing."""
    accounts.forget()
    close(fact.user_id)


def _may(actor: Actor, fact: Fact) -> bool:
    if actor.kind == "visitor":
        is_its_session = getattr(fact.event, "session_id", None) == actor.session is not None
        return is_its_session and not (fact.event.is_personal or fact.event.is_farewell)
    if fact.event.is_farewell and accounts.may(actor, "events:read", replace(fact.scope, visibility="private")):
        return False
    if fact.event.is_personal and fact.scope.owner != actor.user:
        return False
    return accounts.may(actor, "events:read", fact.scope)


def latest() -> str:
    """The cursor of now."""
    with db.read() as connection:
        return cursor(connection)
