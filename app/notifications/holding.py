"""What comes in quiet hours is held, and told when they end: one as it is, several in one summary for each channel."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import sqlalchemy as sa

from app import ids
from app.notifications import deciding, models, presence, quiet, rows
from app.notifications.things import SUMMARY, TEST, Channel, Notice, Rules

_table = models.notice
_WORDS = {
    "approval": ("approval waits", "approvals wait"),
    "question": ("question waits", "questions wait"),
    "done": ("session is done", "sessions are done"),
    "failed": ("session failed", "sessions failed"),
}
TOGETHER = "told in one summary"
SEEN = "you were looking"
# What somebody sees on a page when the quiet ends is told only if it still waits so long after, in milliseconds.
UNSEEN_FOR = 300_000


def hold(connection: sa.Connection, one: Notice, now: int) -> int | None:
    """Hold a notice that comes in its reader's quiet hours; until when, None if it is to be told now."""
    rules = rows.rules_of(connection, one.owner)
    end = None if _passes(one, rules) else quiet.end_of(rules, now)
    if end is not None:
        # It was no try: what is sent later has all its tries before it.
        values = {"state": "held", "due": end, "tries": 0, "why": "quiet hours"}
        connection.execute(_table.update().where(_table.c.id == one.id).values(values))
    return end


def move(connection: sa.Connection, owner: str, rules: Rules, now: int) -> dict[str, int]:
    """Hold what is held until the rules' quiet ends, or no longer; when that is, by channel."""
    found = rows.notices(connection, _table.c.owner == owner, _table.c.state == "held")
    moved: dict[str, int] = {}
    for one in found:
        end = None if _passes(one, rules) else quiet.end_of(rules, now)
        due = now if end is None else end
        connection.execute(_table.update().where(_table.c.id == one.id).values(due=due))
        moved[one.channel] = min(due, moved.get(one.channel, due))
    return moved


def due_channels(connection: sa.Connection, now: int) -> list[str]:
    """The channels that have something held whose time has come."""
    query = sa.select(_table.c.channel).where(_table.c.state == "held", _table.c.due <= now)
    return list(connection.scalars(query.distinct()))


def held(connection: sa.Connection) -> dict[str, int]:
    """When the first that is held is due, by channel."""
    query = sa.select(_table.c.channel, sa.func.min(_table.c.due)).where(_table.c.state == "held")
    return dict(connection.execute(query.group_by(_table.c.channel)).all())


def release(connection: sa.Connection, channel_id: str, now: int) -> Notice | None:
    """What is to be told of all that was held for a channel: the one that is left, or a summary, due now; or None.

    Of two at once one finds them; the other finds none.
    """
    which = (_table.c.channel == channel_id, _table.c.state == "held", _table.c.due <= now)
    taken = connection.scalars(_table.update().where(*which).values(state="sending").returning(_table.c.id)).all()
    found = rows.notices(connection, _table.c.id.in_(taken)) if taken else []
    channel = next(iter(rows.channels(connection, models.channel.c.id == channel_id)), None)
    left = [one for one in reversed(found) if _is_wanted(connection, one, channel, now)]
    if not left:
        return None
    if len(left) == 1:
        values = {"state": "queued", "due": now, "why": ""}
        connection.execute(_table.update().where(_table.c.id == left[0].id).values(values))
        return replace(left[0], state="queued", due=now, why="")
    return _summary(connection, left, now)


def _summary(connection: sa.Connection, left: list[Notice], now: int) -> Notice:
    new_id = ids.random("ntc")
    first = left[0]
    # It leads to where most is to be done.
    about = f"{'inbox' if any(one.is_ask for one in left) else 'sessions'}:{new_id}"
    new = Notice(
        new_id, first.owner, first.channel, SUMMARY, about, "", _counted(left), "queued", 0, now, "", now, None
    )
    rows.add(connection, new)
    for one in left:
        rows.settle(connection, one, "joined", TOGETHER, joined=new_id)
    return new


def told_together(connection: sa.Connection, summary: Notice) -> list[Notice]:
    """What a summary is of, oldest first; all of it, whether it still matters or not."""
    return rows.notices(connection, _table.c.joined == summary.id)[::-1]


def looked_through(connection: sa.Connection, summary: Notice) -> tuple[Notice, list[Notice]]:
    """A summary and what it is of, as far as that is to be told by now: what was put off may be answered or private."""
    left = []
    for one in told_together(connection, summary):
        if why := deciding.needless(one):
            rows.settle(connection, one, "dropped", why)
        elif one.state == "joined":
            left.append(one)
    now = replace(summary, title=_counted(left))
    connection.execute(_table.update().where(_table.c.id == summary.id).values(title=now.title))
    return now, left


def _counted(left: list[Notice]) -> str:
    """How many of what: "2 approvals wait, 1 session is done"."""
    counts = Counter(one.occasion for one in left)
    return ", ".join(f"{counts[kind]} {words[counts[kind] > 1]}" for kind, words in _WORDS.items() if counts[kind])


def _is_wanted(connection: sa.Connection, one: Notice, channel: Channel | None, now: int) -> bool:
    """Whether it is still to be told; what is not is settled, and what is seen on a page put off once."""
    if channel is None or channel.ended:
        rows.settle(connection, one, "dropped", "the channel is gone")
        return False
    if why := deciding.needless(one):
        rows.settle(connection, one, "dropped", why)
        return False
    rules = rows.rules_of(connection, one.owner)
    end = None if _passes(one, rules) else quiet.end_of(rules, now)
    if end is not None:
        return _put_off(connection, one, end, one.why)
    if not rules.away_only or one.why == SEEN or not presence.is_looking(connection, one.owner):
        return True
    if one.is_ask:
        return _put_off(connection, one, now + UNSEEN_FOR, SEEN)
    rows.settle(connection, one, "dropped", SEEN)
    return False


def _put_off(connection: sa.Connection, one: Notice, due: int, why: str) -> bool:
    connection.execute(_table.update().where(_table.c.id == one.id).values(state="held", due=due, why=why))
    return False


def _passes(one: Notice, rules: Rules) -> bool:
    """Whether quiet hours do not hold it: a test, a summary, and what waits where somebody wants to know it at once."""
    return one.occasion in (TEST, SUMMARY) or (one.is_ask and rules.quiet_lets)
