"""A conversation with the engine: prompts go in, and what the log tells comes out in order."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from app.actor import Actor
from app.approvals import service as approvals
from app.approvals.events import Asked
from app.events import service as events
from app.projects import service as projects
from app.record import Event
from app.sessions import events as told
from app.sessions import service as sessions
from app.sessions.service import Message
from tests.patience import PATIENCE


class Talk:
    """One session; every event of it is kept in `seen`, whether or not anybody waited for it."""

    def __init__(self, actor: Actor, **more: Any) -> None:
        self.actor = actor
        self.session = sessions.create(
            actor, projects.resolve(actor, None), provider="openai", model="scripted", **more
        )
        self.id = self.session.id
        self.seen: list[Event] = []
        self.follow()

    def follow(self) -> None:
        """Follow the log from now on (anew after a restart)."""
        mine = lambda fact: getattr(fact.event, "session_id", "") == self.id  # noqa: E731
        self._facts = events.subscribe(self.actor, keep=mine).facts(
            heartbeat=None, deadline=time.monotonic() + 3 * PATIENCE
        )

    def say(self, text: str, **more: Any) -> str:
        """Send a prompt; the id of its message."""
        return sessions.send(self.actor, self.id, [{"type": "text", "text": text}], **more)[0].id

    def ask(self, text: str, **more: Any) -> list[Message]:
        """Send a prompt, wait for the end, and give the messages that answer it."""
        prompt = self.say(text, **more)
        self.until_idle()
        return self.answers(prompt)

    def until(self, kind: type[Event], fits: Callable[[Any], bool] = lambda _event: True) -> Any:
        """Wait for the next event of a kind that fits."""
        for fact in self._facts:
            if fact is None:
                continue
            self.seen.append(fact.event)
            if isinstance(fact.event, kind) and fits(fact.event):
                return fact.event
        raise AssertionError(f"no {kind.__name__} came; seen: {self.kinds()[-20:]}")

    def until_idle(self) -> None:
        """Wait until nothing goes on."""
        self.until(told.SessionIdle)

    def until_tool(self, status: str, output: str = "") -> dict[str, Any]:
        """Wait for a tool part of a status; its data."""
        found: dict[str, Any] = self.until(
            told.PartUpdated,
            lambda event: (
                event.part["type"] == "tool"
                and event.part["data"]["state"]["status"] == status
                and output in str(event.part["data"]["state"].get("metadata", {}).get("output", ""))
            ),
        ).part["data"]
        return found

    def until_asked(self) -> dict[str, Any]:
        """Wait for an approval or a question, and until the run holds nothing any more."""
        ask: dict[str, Any] = self.until(Asked).ask
        self.until(told.SessionUpdated, lambda event: event.session["state"] == "waiting")
        return ask

    def answer(self, reply: str = "once", word: str = "") -> None:
        """Wait for the next approval and answer it."""
        approvals.answer(self.actor, self.until_asked()["id"], reply, word)

    def answers(self, prompt: str) -> list[Message]:
        """The messages that answer a prompt."""
        return [m for m in sessions.transcript(self.actor, self.id) if m.data.get("parentID") == prompt]

    def tools(self) -> list[dict[str, Any]]:
        """The tool parts of the session."""
        transcript = sessions.transcript(self.actor, self.id)
        return [part.data for message in transcript for part in message.parts if part.type == "tool"]

    def state(self) -> str:
        """The session's state."""
        return sessions.get(self.actor, self.id).state

    def kinds(self) -> list[str]:
        """What was seen, in short words: parts by their type, messages by their role."""
        return [_short(event) for event in self.seen]


def text_of(message: Message) -> str:
    """What a message says."""
    return "".join(part.data["text"] for part in message.parts if part.type == "text")


def _short(event: Event) -> str:
    if isinstance(event, told.PartUpdated):
        status = event.part["data"].get("state", {}).get("status", "")
        return f"{event.part['type']} {status}".strip()
    if isinstance(event, told.MessageUpdated):
        return str(event.message["role"]) + (" done" if event.message["completed"] else "")
    if isinstance(event, told.SessionUpdated):
        return str(event.session["state"])
    return event.kind.rpartition(".")[2]
