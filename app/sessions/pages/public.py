"""The public page of a shared session in its stream: each fact says where to look, the rows say what is shown.

A fact of the log may hold what was taken out of the session since; nothing of it is drawn. All who read by one address
see the same, so it is drawn once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flask import render_template
from markupsafe import Markup

from app import live
from app.actor import Actor
from app.sessions import events, service
from app.sessions.pages import session as shown
from app.sessions.service import Message, Veil
from app.web_filters import blocks

FRAGMENTS = ("head", "state", "side")


def context(visitor: Actor, veil: Veil) -> dict[str, Any]:
    """What the public page shows around the transcript, and the addresses of subagents that are shared themselves."""
    return {
        "session": service.public_session(veil),
        "share": veil.share,
        "run": service.last_run(visitor, veil.session.id),
        "below": service.shared_below(visitor, veil.session.id),
    }


def mark_of(veil: Veil) -> str:
    """What a page was drawn with, as one word to compare: with another one it has to be drawn whole."""
    return f"{shown.point_of(veil.session)}.{'output' if veil.share.output else ''}"


@dataclass
class _Look:
    """What a fact changes: nothing of it depends on who looks."""

    mark: str | None
    partials: list[str] = field(default_factory=list)
    part_id: str = ""
    blocks: list[Markup] = field(default_factory=list)


class Scene:
    """Draws every fact of a shared session for one open page, and knows what that page was sent already."""

    def __init__(self, visitor: Actor, slug: str, mark: str) -> None:
        self._visitor = visitor
        self._slug = slug
        self._mark = mark
        self._known: set[str] = set()
        self._blocks: dict[str, int] = {}

    def draw(self, fact: Any) -> list[str]:
        """The partials of a fact; LoadAnew if the page as a whole is another one by now."""
        if type(fact.event) not in _LOOKS or self._has(fact.event):
            return []
        look: _Look = fact.once(("public", self._slug), self._look)
        if look.mark != self._mark:
            raise live.LoadAnew
        return self._grown(look) if look.part_id else look.partials

    def _has(self, event: Any) -> bool:
        """Whether a message's change is none that shows: it was drawn before, and has not failed."""
        if not isinstance(event, events.MessageUpdated) or event.message["data"].get("error"):
            return False
        is_known = event.message["id"] in self._known
        self._known.add(event.message["id"])
        return is_known

    def _look(self, fact: Any) -> _Look:
        found = service.find_visitor(self._slug)
        veil = Veil.of(found[1]) if found else None
        if veil is None:
            return _Look(None)
        look = _Look(mark_of(veil))
        _LOOKS[type(fact.event)](self._visitor, fact.event, veil, look)
        return look

    def _grown(self, look: _Look) -> list[str]:
        """The last block that this page has of a text, and what came after it."""
        first = self._blocks.get(look.part_id, 0)
        self._blocks[look.part_id] = max(0, len(look.blocks) - 1)
        drawn = "".join(
            f'<div class="block" id="text-{look.part_id}-{number}">{block}</div>'
            for number, block in enumerate(look.blocks)
            if number >= first
        )
        return [live.partial(f"#text-{look.part_id}", "upsert", drawn)] if drawn else []


def _around(visitor: Actor, _event: Any, veil: Veil, look: _Look) -> None:
    given = context(visitor, veil)
    for name in FRAGMENTS:
        drawn = render_template(f"sessions/public/_{name}.html", **given)
        look.partials.append(live.partial(f"#public-{name}", "outerHTML", drawn))


def _message(visitor: Actor, event: events.MessageUpdated, veil: Veil, look: _Look) -> None:
    _whole(visitor, service.public_message(visitor, veil, event.message["id"]), veil, look)


def _part(visitor: Actor, event: events.PartUpdated, veil: Veil, look: _Look) -> None:
    message = service.public_message(visitor, veil, event.part["message_id"], event.part["id"])
    if message is not None and (message.role == "user" or not shown.is_plain(message.id)):
        _whole(visitor, service.public_message(visitor, veil, message.id), veil, look)
    elif message is not None and message.parts:
        drawn = _drawn("part", visitor, veil, message=message, part=message.parts[0])
        look.partials.append(live.partial(f"#events-{message.id}", "upsert", drawn))


def _delta(visitor: Actor, event: events.PartDelta, veil: Veil, look: _Look) -> None:
    if event.type != "text":
        return
    message = service.public_message(visitor, veil, event.message_id, event.part_id)
    if message is not None and message.parts:
        look.part_id = event.part_id
        look.blocks = blocks(message.parts[0].data["text"])


def _removed(_visitor: Actor, event: events.MessageRemoved, _veil: Veil, look: _Look) -> None:
    look.partials += _delete("message", event.message_id)


def _part_removed(_visitor: Actor, event: events.PartRemoved, _veil: Veil, look: _Look) -> None:
    look.partials += _delete("part", event.part_id)


def _whole(visitor: Actor, message: Message | None, veil: Veil, look: _Look) -> None:
    if message is not None:
        drawn = _drawn("message", visitor, veil, message=message)
        look.partials.append(live.partial("#transcript", "upsert", drawn))


def _drawn(name: str, visitor: Actor, veil: Veil, **given: Any) -> str:
    below = service.shared_below(visitor, veil.session.id)
    return render_template(f"sessions/public/_{name}.html", share=veil.share, below=below, **given)


def _delete(kind: str, name: str) -> list[str]:
    return [live.partial(f"#{kind}-{name}", "delete")] if shown.is_plain(name) else []


_LOOKS: dict[type[Any], Callable[..., None]] = {
    events.SessionUpdated: _around,
    events.TodosUpdated: _around,
    events.MessageUpdated: _message,
    events.MessageRemoved: _removed,
    events.PartUpdated: _part,
    events.PartRemoved: _part_removed,
    events.PartDelta: _delta,
}
