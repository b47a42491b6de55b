"""One session in its page's stream: every change of its transcript and figures as it is committed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import render_template
from markupsafe import escape

from app import live, slots
from app.actor import Actor
from app.sessions import events, service
from app.sessions.pages import session as shown
from app.sessions.service import Message, Part, Session, Subagent
from app.web_filters import blocks, ending, markdown

# The fragments around the transcript, each in templates/sessions/_NAME.html with the id session-NAME.
FIGURES = ("title", "lines", "stale", "todo", "panel", "strip", "share", "stop", "queue", "send")


@slots.fill("stream")
def fill_stream(actor: Actor, watch: Mapping[str, str]) -> dict[str, Any]:
    """The session that the page shows, if it shows one."""
    if not watch.get("at"):
        return {}
    session = service.get(actor, watch["at"])
    return {"session": (Changes if watch.get("tab") == "changes" else Transcript)(actor, session, watch)}


class Changes:
    """Draws what stands around a session's changes for one open page; `watch` is what that page said it shows."""

    def __init__(self, actor: Actor, session: Session, watch: Mapping[str, str]) -> None:
        self._actor = actor
        self._session = session
        self._watch = watch
        self._seen = watch.get("seen", "")

    def keeps(self, fact: Any) -> bool:
        """Whether a fact changes this page."""
        return getattr(fact.event, "session_id", "") == self._session.id and type(fact.event) in _AROUND

    def draw(self, fact: Any) -> list[str]:
        """The partials of a fact."""
        found: list[str] = _AROUND[type(fact.event)](self, fact) if self.keeps(fact) else []
        return found

    def session(self, fact: Any) -> list[str]:
        """The figures, the stop and the send button; a step back or forth draws the whole page."""
        return self._figures(Session(**fact.event.session))

    def todos(self, _fact: Any) -> list[str]:
        """The panel with its list."""
        return self._figures(service.get(self._actor, self._session.id))

    def gone(self, _fact: Any) -> list[str]:
        """The session is deleted, or out of this person's sight: its page will say so."""
        raise live.LoadAnew

    def _figures(self, session: Session) -> list[str]:
        # What the page was drawn with counts, not what this stream found when it began: between the two lies time.
        if shown.point_of(session) != self._watch.get("point", ""):
            raise live.LoadAnew
        # A menu that somebody has open is drawn again only when what it says is another.
        is_seen_so = shown.seen_of(session) == self._seen
        self._session, self._seen = session, shown.seen_of(session)
        context = shown.context(self._actor, session)
        stale = shown.lines_of(session) != self._watch.get("lines", "")
        return [
            live.partial(
                f"#session-{name}",
                "outerMorph" if name == "panel" else "outerHTML",  # whoever reads it keeps their place in it
                render_template(f"sessions/_{name}.html", **context, stale=stale),
            )
            for name in FIGURES
            if not (name == "share" and is_seen_so)
        ]


class Transcript(Changes):
    """Draws every fact of a session for one open page, and knows what that page was sent already."""

    def __init__(self, actor: Actor, session: Session, watch: Mapping[str, str]) -> None:
        super().__init__(actor, session, watch)
        self._messages: dict[str, Message] = {}
        self._blocks: dict[str, int] = {}
        self._children = {child.id for child in service.children(actor, session.id)}

    def keeps(self, fact: Any) -> bool:
        """Whether a fact is of this session, or of one of its subagents what they say and ask."""
        session_id = getattr(fact.event, "session_id", "")
        if session_id == self._session.id:
            return True
        if isinstance(fact.event, events.SessionCreated) and fact.event.session["parent_id"] == self._session.id:
            self._children.add(session_id)
        if session_id in self._children and type(fact.event) in _BELOW:
            return True
        ask = getattr(fact.event, "ask", None)
        return ask is not None and f"/{self._session.id}/" in ask["above"]

    def draw(self, fact: Any) -> list[str]:
        """The partials of a fact."""
        kind = type(fact.event)
        if not self.keeps(fact):
            return []
        if getattr(fact.event, "session_id", "") in self._children and kind in _BELOW:
            below: list[str] = _BELOW[kind](self, fact)
            return below
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
        return [live.partial(f"#message-{message_id}", "delete")] if shown.is_plain(message_id) else []

    def part_removed(self, fact: Any) -> list[str]:
        """A part that is gone from a message that stays."""
        part_id = fact.event.part_id
        return [live.partial(f"#part-{part_id}", "delete")] if shown.is_plain(part_id) else []

    def part(self, fact: Any) -> list[str]:
        """A part that is new or changed, in its place."""
        part = Part(**fact.event.part)
        message = self._message(part.message_id)
        if message.role == "user" or not shown.is_plain(message.id):
            return self._whole(message.id)
        asks = self._asks() if part.type == "tool" else {}
        drawn = render_template(
            "sessions/_part.html",
            part=part,
            message=message,
            session=self._session,
            asks=asks,
            subagents=self._subagents(replace(message, parts=[part])),
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

    def words_below(self, fact: Any) -> list[str]:
        """The end of what a subagent says, as it grows."""
        event = fact.event
        return [live.partial(f"#sub-words-{event.session_id}", "innerHTML", markdown(ending(fact.text)))]

    def part_below(self, fact: Any) -> list[str]:
        """What a subagent does, or has said to its end."""
        part = Part(**fact.event.part)
        if part.type == "text" and part.data.get("text") and "time" in part.data:
            words = markdown(ending(part.data["text"]))
            return [live.partial(f"#sub-words-{part.session_id}", "innerHTML", words)]
        state = part.data.get("state") or {}
        if state.get("status") != "running":
            return []
        act = escape(f"{part.data['tool']} {state.get('title', '')}"[:200])
        return [live.partial(f"#sub-act-{part.session_id}", "innerHTML", str(act))]

    def state_below(self, fact: Any) -> list[str]:
        """How a subagent stands."""
        session = Session(**fact.event.session)
        drawn = render_template("sessions/_subagent_state.html", session=session, id=session.id)
        return [live.partial(f"#sub-state-{session.id}", "outerHTML", drawn)]

    def nothing(self, _fact: Any) -> list[str]:
        """What other facts of the same moment show already."""
        return []

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
            subagents=self._subagents(message),
            person=message.data.get("by", ""),
        )
        return [live.partial("#transcript", "upsert", drawn)]

    def _message(self, message_id: str) -> Message:
        known = self._messages.get(message_id)
        if known is None:
            known = self._messages[message_id] = service.message(self._actor, self._session.id, message_id)
        return known

    def _subagents(self, message: Message) -> dict[str, Subagent]:
        return shown.subagents(self._actor, self._session, [message])

    def _asks(self) -> dict[str, Any]:
        found: dict[str, Any] = slots.gather("session.asks", self._actor, self._session).get("asks", {})
        return found


_AROUND = {
    events.SessionUpdated: Changes.session,
    events.SessionDeleted: Changes.gone,
    events.SessionHidden: Changes.gone,
    events.TodosUpdated: Changes.todos,
}
# What a subagent does that shows in its parent's transcript.
_BELOW = {
    events.PartDelta: Transcript.words_below,
    events.PartUpdated: Transcript.part_below,
    events.SessionUpdated: Transcript.state_below,
}
_DRAWN = {
    **_AROUND,
    events.MessageUpdated: Transcript.message,
    events.MessageRemoved: Transcript.removed,
    events.PartUpdated: Transcript.part,
    events.PartRemoved: Transcript.part_removed,
    events.PartDelta: Transcript.delta,
    events.SessionCreated: Transcript.nothing,
    events.SessionIdle: Transcript.nothing,
    events.SessionBusy: Transcript.nothing,
    events.SessionRetrying: Transcript.nothing,
    events.SessionFailed: Transcript.nothing,
    events.SessionCompacted: Transcript.nothing,
    events.RunEnded: Transcript.nothing,
    events.SessionShown: Transcript.nothing,
    events.ShareEnded: Transcript.nothing,
    events.AbortAsked: Transcript.nothing,
}
