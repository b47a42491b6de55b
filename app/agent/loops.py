"""A model that makes the same call over and over: found from the transcript alone."""

from __future__ import annotations

from collections.abc import Iterable

from app.agent.conversation import was_retried
from app.sessions.service import Message

TIMES = 3


def found(prompt_id: str, transcript: Iterable[Message]) -> frozenset[str]:
    """The ids of the calls of a turn that are at least the third in a row with the same tool and input."""
    parts = [
        part
        for message in transcript
        if message.data.get("parentID") == prompt_id
        for part in message.parts
        if part.type == "tool" and not was_retried(part)
    ]
    repeats, last, row = [], None, 0
    for part in parts:
        call = (part.data["tool"], part.data["state"].get("input"))
        row = row + 1 if call == last else 1
        last = call
        if row >= TIMES:
            repeats.append(part.id)
    return frozenset(repeats)
