"""What steers a person's own interfaces: an attached terminal client, or the pages that they have open.

An interface is told by the log, so it hears whatever process the request came to. Nobody else's interface ever is.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from app import db, record
from app.accounts import service as accounts
from app.actor import Actor, Scope
from app.errors import Denied, Invalid
from app.events import service as events
from app.events.service import Fact, Subscription
from app.projects import service as projects
from app.sessions import service as sessions
from app.system.events import ControlAnswered, InterfaceTold

# The commands that a client may ask for by the names of key bindings, and what its interfaces are told.
COMMANDS = {
    "session_list": "session.list",
    "session_new": "session.new",
    "session_share": "session.share",
    "session_interrupt": "session.interrupt",
    "session_compact": "session.compact",
    "messages_page_up": "session.page.up",
    "messages_page_down": "session.page.down",
    "messages_line_up": "session.line.up",
    "messages_line_down": "session.line.down",
    "messages_half_page_up": "session.half.page.up",
    "messages_half_page_down": "session.half.page.down",
    "messages_first": "session.first",
    "messages_last": "session.last",
    "input_clear": "prompt.clear",
    "input_submit": "prompt.submit",
    "agent_cycle": "agent.cycle",
    "model_list": "model.list",
    "theme_list": "theme.switch",
    "help_show": "help.show",
}
# What an interface does with all that its person may: what stands in a prompt may be a command of theirs.
NEEDS = {"prompt.submit": "processes:write", "session.share": "sessions:share"}
MOST_READERS = 1_000
LARGEST = 64 * 1024  # characters of an answer that are kept
_lock = threading.Lock()
# How far each reader of a control queue has read: the cursor behind what it was given last, and that request's path.
_read: OrderedDict[tuple[str, str], tuple[str, str]] = OrderedDict()


def tell(actor: Actor, directory: str | None, kind: str, properties: dict[str, Any], path: str, body: Any) -> None:
    """Tell the actor's own interfaces, in one directory of projects or in all; Denied if that is none of theirs, and
    for a token that has them do what it may not do itself.
    """
    accounts.require(actor, "sessions:run")
    _check_command(actor, str(properties.get("command", "")))
    where, scope = _meant(actor, directory)
    with db.transaction() as connection:
        record.event(connection, InterfaceTold(kind, properties, path, body, where), scope)


def select(actor: Actor, directory: str | None, session_id: str, path: str, body: Any) -> None:
    """Have the actor's interfaces show a session that they may read; raises NotFound."""
    accounts.require(actor, "sessions:run")
    sessions.get(actor, session_id)
    tell(actor, directory, "tui.session.select", {"sessionID": session_id}, path, body)


def dotted(command: str) -> str | None:
    """What interfaces call a command that is asked for by the name of its key binding, or by that very name."""
    return command if command in COMMANDS.values() else COMMANDS.get(command)


def follow(actor: Actor, directory: str | None) -> Subscription:
    """What the actor's control queue still holds for this reader, and what comes to it.

    A reader's queue begins with its first look: what was asked for before had other readers.
    """
    accounts.require(actor, "sessions:run")
    where, _scope = _meant(actor, directory)

    def keep(fact: Fact) -> bool:
        event = fact.event
        return isinstance(event, InterfaceTold) and (not where or event.directory in (where, ""))

    with _lock:
        if (actor.id, where) not in _read:
            _read[actor.id, where] = (events.latest(), "")
        after, _path = _read[actor.id, where]
    return events.subscribe(actor, after, keep)


def give(actor: Actor, directory: str | None, fact: Fact) -> InterfaceTold:
    """Note that a reader was given this request: the next one is what comes behind it."""
    accounts.require(actor, "sessions:run")
    told: InterfaceTold = fact.event  # type: ignore[assignment]
    where, _scope = _meant(actor, directory)
    with _lock:
        _read[actor.id, where] = (fact.cursor, told.path)
        _read.move_to_end((actor.id, where))
        while len(_read) > MOST_READERS:
            _read.popitem(last=False)
    return told


def answer(actor: Actor, directory: str | None, body: Any) -> None:
    """Keep what a reader answers to the request that it was given last; raises Invalid when it is too large."""
    accounts.require(actor, "sessions:run")
    if len(str(body)) > LARGEST:
        raise Invalid(f"An answer has at most {LARGEST} characters.")
    where, scope = _meant(actor, directory)
    with _lock:
        after, path = _read.get((actor.id, where), ("", ""))
        if path:
            _read[actor.id, where] = (after, "")
    answered = ControlAnswered(path, body, where)
    with db.transaction() as connection:
        record.event(connection, answered, scope)


def _check_command(actor: Actor, command: str) -> None:
    """An interface has its person's rights, not those of the token that steers it."""
    known = dotted(command)
    if known in NEEDS:
        accounts.require(actor, NEEDS[known])
    elif command and known is None and actor.kind == "agent":
        raise Denied("An agent presses no key of its person's that this server does not know.")


def _meant(actor: Actor, directory: str | None) -> tuple[str, Scope]:
    """The directory whose interfaces are meant, "" for all, and who may know of it.

    Whoever is held to one project steers nothing elsewhere: a page would act there with its person's own rights.
    """
    if not directory and actor.project is None:
        return "", Scope(actor.user, "", "private")
    place = projects.resolve(actor, directory)
    return str(place.directory), Scope(actor.user, place.project.id, "private")
