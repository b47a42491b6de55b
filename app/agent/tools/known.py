"""Files as the model knows them: it changes what it has read, and only while just that still lies there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.agent.tools.changes import Change, change
from app.agent.tools.tool import ToolContext, ToolError, stamp_of
from app.errors import NotFound, Problem

Swap = tuple[str, bytes | None, bytes | None, int | None]


def text_of(ctx: ToolContext, path: str) -> str:
    """The text of a file as it is now; ToolError unless the model has read just this content."""
    try:
        data = ctx.root.read_bytes(path)
    except NotFound:
        raise ToolError(f"There is no file {path}. Use write to make it.") from None
    known = ctx.stamps.get(path)
    if known is None:
        raise ToolError(f"Read {path} first; it was not read in this session.")
    if known != stamp_of(data):
        raise ToolError(f"{path} has changed since you read it. Read it again and then change it.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ToolError(f"{path} is not UTF-8 text.") from None


def changed(ctx: ToolContext, path: str, before: str | None, after: str, to: str = "") -> Change:
    """The change of a file to what its formatter makes of the text after: that is shown, approved and written."""
    if after == before:
        return change(path, before, after, to)
    polished = ctx.polish(ctx.root.absolute(to or path), after)
    return change(path, before, polished.text, to, polished.note)


def notes(changes: Sequence[Change]) -> str:
    """What formatters did to the changes, for the end of a call's output."""
    return "".join(f"\n\n{one.note}" for one in changes if one.note)


def save(ctx: ToolContext, changes: Sequence[Change]) -> dict[str, str]:
    """Make the changes, all or none; the stamps of what lies there now.

    Each file is looked at again just before it is replaced; ToolError if one is no longer what was read.
    """
    swaps = [swap for one in changes for swap in _swaps(ctx, one)]
    done: list[Swap] = []
    try:
        for swap in swaps:
            ctx.root.swap(*swap)
            done.append(swap)
    except Problem as problem:
        left = _put_back(ctx, done)
        told = f"Could not be put back and stays changed: {', '.join(left)}." if left else "Nothing was changed."
        raise ToolError(f"{problem.message} {told}") from None
    stamps = {path: stamp_of(after) for path, _before, after, _mode in swaps if after is not None}
    ctx.stamps.update(stamps)
    return stamps


def absolute(ctx: ToolContext, changes: Sequence[Change]) -> tuple[str, ...]:
    """The paths that the changes touch, as absolute ones."""
    return tuple(ctx.root.absolute(path) for one in changes for path in one.paths)


def _swaps(ctx: ToolContext, one: Change) -> Iterator[Swap]:
    before, after = (None if text is None else text.encode() for text in (one.before, one.after))
    mode = ctx.root.stat(one.path).mode if one.kind in ("move", "delete") else None
    if one.to:
        yield one.to, None, after, mode
        yield one.path, before, None, mode
    else:
        yield one.path, before, after, mode


def _put_back(ctx: ToolContext, done: Sequence[Swap]) -> list[str]:
    """Undo swaps, the last first; the paths where somebody else was at work meanwhile."""
    left = []
    for path, before, after, mode in reversed(done):
        try:
            ctx.root.swap(path, after, before, mode)
        except Problem:
            left.append(path)
    return left
