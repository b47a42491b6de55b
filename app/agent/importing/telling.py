"""A plan in lines of text, for a terminal."""

from __future__ import annotations

from app.agent.importing.items import Item
from app.agent.importing.taking import NOWHERE, Done

WORDS = {"taken": "take", "changed": "change", "same": "there", "skipped": "skip"}


def told(done: Done, *, is_dry: bool) -> str:
    """Every item in a line: what becomes of it, its key, what it is here, and why; then what was done."""
    acted = {item.key for item in done.items}
    lines = [_line(item, is_done=item.key in acted) for item in done.plan.items if item.why != NOWHERE]
    nowhere = [item.name for item in done.plan.items if item.why == NOWHERE]
    if nowhere:
        lines.append(f"{WORDS['skipped']:8}{'setting:…':24}  {', '.join(nowhere)}  {NOWHERE}")
    return "\n".join([*lines, _sum(done, is_dry=is_dry)])


def _line(item: Item, *, is_done: bool) -> str:
    word = "replace" if is_done and item.optional else WORDS[item.verdict]
    more = [f"{item.name}: {item.what}" if item.what else item.name, item.why]
    return f"{word:8}{item.key:24}  {'  '.join(text for text in more if text)}"


def _sum(done: Done, *, is_dry: bool) -> str:
    left = f"{done.plan.count('skipped')} left out."
    if is_dry and done.plan.usual:
        return f"Nothing was written. {len(done.plan.usual)} to take over, {left}"
    return (
        f"{len(done.items)} taken over, {left}"
        if done.items
        else f"Nothing to do: what can be taken over is here already, {left}"
    )
