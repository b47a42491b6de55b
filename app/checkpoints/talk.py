"""Where in the conversation a checkpoint stands: the mark from which on messages count as gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.checkpoints.rows import Checkpoint
from app.sessions.service import Message

Mark = dict[str, Any]


def mark_at(target: Checkpoint, messages: Sequence[Message]) -> Mark | None:
    """Return the mark that takes a conversation back to a checkpoint; None when nothing came after it.

    A checkpoint before a call stands before that call; one after a step behind the step's message; one that a
    restore made by itself where the conversation stood then.
    """
    if target.kind == "restore":
        return _was(target, messages)
    if target.kind == "before":
        first = next((one for one in messages if one.id >= target.message_id), None)
        if first is None:
            return None
        is_there = first.id == target.message_id and any(part.id == target.part_id for part in first.parts)
        return {"messageID": first.id, **({"partID": target.part_id} if is_there else {})}
    own = next((one for one in messages if one.id == target.message_id), None)
    later = [part.id for part in own.parts if part.id > target.part_id] if own and target.part_id else []
    if own and later:
        return {"messageID": own.id, "partID": later[0]}
    return _from(next((one for one in messages if one.id > target.message_id), None))


def is_same(one: Mark | None, other: Mark | None) -> bool:
    """Tell whether two marks name the same place."""
    return _place(one) == _place(other)


def count_gone(messages: Sequence[Message], mark: Mark | None) -> int:
    """Return how many messages a mark takes back, whole or in part."""
    return sum(1 for one in messages if one.id >= mark["messageID"]) if mark else 0


def _was(target: Checkpoint, messages: Sequence[Message]) -> Mark | None:
    if target.talk is not None:
        was: Mark | None = target.talk["was"]
        known = {one.id for one in messages}
        return was if was is None or was["messageID"] in known else None
    return _from(next((one for one in messages if one.created > target.created), None))


def _from(message: Message | None) -> Mark | None:
    return {"messageID": message.id} if message else None


def _place(mark: Mark | None) -> tuple[str, str] | None:
    return (mark["messageID"], mark.get("partID") or "") if mark else None
