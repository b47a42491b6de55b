"""Which steps of a session a restore undoes, and to what each file they touched goes back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.checkpoints.rows import Checkpoint
from app.sessions.service import Message


def living(checkpoints: Iterable[Checkpoint], messages: Sequence[Message]) -> list[Checkpoint]:
    """Return the steps whose message and part are still in the transcript, and every restore.

    Here as below, of the messages those are enough that the checkpoints name.
    """
    known = {message.id for message in messages} | {part.id for message in messages for part in message.parts}
    return [
        one
        for one in checkpoints
        if one.kind == "restore"
        or (one.kind == "after" and one.message_id in known and (not one.part_id or one.part_id in known))
    ]


def since_message(
    checkpoints: Sequence[Checkpoint], messages: Sequence[Message], message_id: str, part_id: str | None
) -> list[Checkpoint]:
    """Return the steps at or after a message (or a part of it), with the restores among and after them.

    A step that names no part is its whole message, so it counts as after each of the message's parts.
    """
    answers = {one.id for one in messages if one.data.get("parentID") == message_id}
    steps = [
        one
        for one in living(checkpoints, messages)
        if one.kind == "after"
        and (one.message_id >= message_id or one.message_id in answers)
        and not (part_id and one.message_id == message_id and one.part_id and one.part_id < part_id)
    ]
    if not steps:
        return []
    first = steps[0].number
    restores = [one for one in checkpoints if one.kind == "restore" and one.number > first]
    return sorted([*steps, *restores], key=lambda one: one.number)


def since_checkpoint(checkpoints: Iterable[Checkpoint], target: Checkpoint) -> list[Checkpoint]:
    """Return what came after a checkpoint; a restore's own doing is part of that, so going back undoes it."""
    first = target.number if target.kind == "restore" else target.number + 1
    return [one for one in checkpoints if one.number >= first and one.kind in ("after", "restore")]


def of_turn(checkpoints: Iterable[Checkpoint], messages: Sequence[Message], message_id: str) -> list[Checkpoint]:
    """Return the steps of a user message's turn, or of one message of the agent's."""
    turn = {one.id for one in messages if one.data.get("parentID") == message_id} | {message_id}
    return [one for one in living(checkpoints, messages) if one.kind == "after" and one.message_id in turn]


def targets(steps: Iterable[Checkpoint]) -> dict[str, list[str]]:
    """Return tree -> paths: each path goes back to what the first of the steps that touched it found.

    So an edit made by hand before the agent came to that file stays.
    """
    found: dict[str, list[str]] = {}
    seen: set[str] = set()
    for step in steps:
        fresh = [path for path in step.touched if path not in seen]
        found.setdefault(step.base, []).extend(fresh)
        seen.update(fresh)
    return found


def touched(steps: Iterable[Checkpoint]) -> set[str]:
    """Return every path the steps touched."""
    return {path for step in steps for path in step.touched}
