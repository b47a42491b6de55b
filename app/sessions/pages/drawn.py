"""Messages of a transcript as HTML; those that stand still are drawn once for many views.

A page of a long session shows a hundred messages, and drawing them is half of its time. What a message looks like
depends on little: the message, its asks, and what the viewer may do with it. All of that together, as a digest, is the
key, so nothing has to be thrown away when something changes. What depends on the clock is drawn each time: a call that
runs, an ask that waits.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import cached_property
from hashlib import blake2b
from typing import Any

import orjson
from flask import current_app, request
from markupsafe import Markup

from app import web, web_filters
from app.accounts import service as accounts
from app.actor import Actor
from app.sessions.service import Message, Session, Subagent

TEMPLATE = "sessions/_message.html"
ROOM = 4_000_000  # characters of HTML
LONGEST = 200_000
# Stands for the viewer's token in what is kept; no text that is stored has one.
_TOKEN = "\0"  # noqa: S105 - a place for one


class Kept:
    """The HTML of messages by digest, those that were asked for last, up to a number of characters."""

    def __init__(self, room: int = ROOM) -> None:
        self._lock = threading.Lock()
        self._room = room
        self._html: OrderedDict[bytes, str] = OrderedDict()

    def get(self, key: bytes) -> str | None:
        """What is kept for a key."""
        with self._lock:
            if key in self._html:
                self._html.move_to_end(key)
            return self._html.get(key)

    def put(self, key: bytes, html: str) -> None:
        """Keep it, in the place of what nobody asked for longest."""
        with self._lock:
            if key not in self._html:
                self._html[key] = html
                self._room -= len(html)
            while self._room < 0:
                self._room += len(self._html.popitem(last=False)[1])


_kept = Kept()


class Drawer:
    """Draws messages of one session for one viewer; `person` is the name of the session's owner, `asks` are those of
    its calls ({call id: Ask}, `asks.hosts` those about hosts), `subagents` those that work now.
    """

    def __init__(
        self, actor: Actor, session: Session, asks: Mapping[str, Any], person: str, subagents: Mapping[str, Subagent]
    ) -> None:
        self._asks = asks
        self._hosts: Mapping[str, list[Any]] = getattr(asks, "hosts", {})
        self._given = {"session": session, "asks": asks, "person": person, "subagents": subagents}
        rights = [accounts.may(actor, key, session) for key in ("checkpoints:write", "sessions:write")]
        self._seen = [session.id, session.directory, person, rights, request.script_root]
        self._viewer = actor.id

    def draw(self, message: Message) -> Markup:
        """The message as templates/sessions/_message.html has it."""
        asks = list(self._asks_of(message))
        if _moves(message) or any(ask.state == "waiting" for ask in asks):
            return web_filters.rendered(self._render(message))
        # An answered ask says "You" to one viewer.
        shows = [message, self._seen, [asks, self._viewer] if asks else []]
        key = blake2b(orjson.dumps(shows), digest_size=16).digest()
        html = _kept.get(key)
        if html is None:
            html = self._render(message)
            if len(html) > LONGEST or _TOKEN in html:
                return web_filters.rendered(html)
            html = html.replace(self._token, _TOKEN)
            _kept.put(key, html)
        return web_filters.rendered(html.replace(_TOKEN, self._token))

    def _asks_of(self, message: Message) -> Iterator[Any]:
        for part in message.parts:
            call = str(part.data.get("callID", ""))
            if call in self._asks:
                yield self._asks[call]
            yield from self._hosts.get(call, ())

    def _render(self, message: Message) -> str:
        return current_app.jinja_env.get_template(TEMPLATE).render(self._context, message=message)

    @cached_property
    def _context(self) -> dict[str, Any]:
        context = dict(self._given)
        current_app.update_template_context(context)
        return context

    @cached_property
    def _token(self) -> str:
        return web.csrf_token()


def _moves(message: Message) -> bool:
    """Whether what it shows depends on the clock, or on what a subagent says meanwhile."""
    return any(
        part.type == "tool" and (part.data.get("state") or {}).get("status") in ("pending", "running")
        for part in message.parts
    )
