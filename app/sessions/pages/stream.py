"""The stream of one session's page: every change of its transcript and figures as it is committed."""

from __future__ import annotations

import re
from typing import Any

from flask import Response, render_template

from app import live, slots, web
from app.actor import Actor
from app.events import service as log
from app.sessions import bp, events, service
from app.sessions.pages import session as shown
from app.sessions.service import Message, Part, Session
from app.web_filters import blocks

_PLAIN = re.compile(r"[\w-]+")


@bp.get("/sessions/<session_id>/stream")
def stream(session_id: str) -> Response:
    """What changes on this session's page; the page is told to load itself anew where pieces won't do."""
    actor = web.actor()
    session = service.get(actor, session_id)
    subscription = log.subscribe(actor, live.after(), keep=lambda fact: is_about(fact.event, session_id))
    return live.follow(subscription, Drawing(actor, session).draw)


def is_about(event: Any, session_id: str) -> bool:
    """Whether an event is of this session, or an ask of one of its subagents."""
    if getattr(event, "session_id", "") == session_id:
        return True
    ask = getattr(event, "ask", None)
    return ask is not None and f"/{session_id}/" in ask["above"]


class Drawing:
    """Draws the facts of one session for one open page, and knows what that page was sent already."""

    def __init__(self, actor: Actor, session: Session) -> None:
        self._actor = actor
        self._session = session
        self._messages: dict[str, Message] = {}
        self._blocks: dict[str, int] = {}

    def draw(self, fact: Any) -> list[str]:
        """The partials of a fact."""
        kind = type(fact.event)
        if kind in _DRAWN:
            found: list[str] = _DRAWN[kind](self, fact)
            return found
        more = slots.gather("session.stream", self._actor, self._session, fact)
        return [partial for partials in more.values() for partial in partials]

    def message(self, fact: Any) -> list[str]:
        """A message that is new or has failed is drawn whole; its other changes show in its parts."""
        told = fact.event.message
        was = self._messages.get(told["id"])
        if was is not None and was.data.get("error") == told["data"].get("error"):
            return []
        return self._whole(told["id"])

    def removed(self, fact: Any) -> list[str]:
        """A message that is gone."""
        message_id = fact.event.message_id
        return [live.partial(f"#message-{message_id}", "delete")] if _PLAIN.fullmatch(message_id) else []

    def part(self, fact: Any) -> list[str]:
        """A part that is new or changed, in its place."""
        part = Part(**fact.event.part)
        message = self._message(part.message_id)
        if message.role == "user" or not _PLAIN.fullmatch(message.id):
            return self._whole(message.id)
        asks = self._asks() if part.type == "tool" else {}
        drawn = render_template(
            "sessions/_part.html",
            part=part,
            message=message,
            session=self._session,
            asks=asks,
            person="",
        )
        return [live.partial(f"#events-{message.id}", "upsert", drawn)]

    def delta(self, fact: Any) -> list[str]:
        """A text that grows: the last block this page has, and what came after it."""
        event = fact.event
        if event.type != "text":
            return []
        whole = fact.once(blocks, lambda fact: blocks(fact.text))
        first = self._blocks.get(event.part_id, 0)
        self._blocks[event.part_id] = max(0, len(whole) - 1)
        drawn = "".join(
            f'<div class="block" id="text-{event.part_id}-{number}">{block}</div>'
            for number, block in enumerate(whole)
            if number >= first
        )
        return [live.partial(f"#text-{event.part_id}", "upsert", drawn)] if drawn else []

    def session(self, fact: Any) -> list[str]:
        """The figures, the stop and the send button; a step back or forth draws the whole page."""
        return self._panel(Session(**fact.event.session))

    def todos(self, _fact: Any) -> list[str]:
        """The panel with its list."""
        return self._panel(service.get(self._actor, self._session.id))

    def gone(self, _fact: Any) -> list[str]:
        """The session is deleted: its page will say so."""
        raise live.LoadAnew

    def nothing(self, _fact: Any) -> list[str]:
        """What other facts of the same moment show already."""
        return []

    def _panel(self, session: Session) -> list[str]:
        if session.revert != self._session.revert:
            raise live.LoadAnew
        self._session = session
        context = shown.context(self._actor, session)
        places = {"session-panel": "panel", "session-strip": "strip", "session-stop": "stop", "send": "send"}
        return [
            live.partial(f"#{place}", "outerHTML", render_template(f"sessions/_{name}.html", **context))
            for place, name in places.items()
        ]

    def _whole(self, message_id: str) -> list[str]:
        message = service.message(self._actor, self._session.id, message_id)
        self._messages[message_id] = message
        for part in message.parts:
            self._blocks.pop(part.id, None)
        drawn = render_template(
            "sessions/_message.html",
            message=message,
            session=self._session,
            asks=self._asks(),
            person=message.data.get("by", ""),
        )
        return [live.partial("#transcript", "upsert", drawn)]

    def _message(self, message_id: str) -> Message:
        known = self._messages.get(message_id)
        if known is None:
            known = self._messages[message_id] = service.message(self._actor, self._session.id, message_id)
        return known

    def _asks(self) -> dict[str, Any]:
        found: dict[str, Any] = slots.gather("session.asks", self._actor, self._session).get("asks", {})
        return found


_DRAWN = {
    events.MessageUpdated: Drawing.message,
    events.MessageRemoved: Drawing.removed,
    events.PartUpdated: Drawing.part,
    events.PartDelta: Drawing.delta,
    events.SessionUpdated: Drawing.session,
    events.SessionDeleted: Drawing.gone,
    events.TodosUpdated: Drawing.todos,
    events.SessionCreated: Drawing.nothing,
    events.SessionIdle: Drawing.nothing,
    events.SessionBusy: Drawing.nothing,
    events.SessionFailed: Drawing.nothing,
    events.RunEnded: Drawing.nothing,
    events.AbortAsked: Drawing.nothing,
}
