"""From a row that is due to what was told, by threads of this room's own: a notice never waits behind runs.

A row says what is to be told and when; clocks and threads only bring it about, and a sweep finds what they lost. Who
sends a row takes it first, so that two processes never both do; a process that died over it leaves it to the sweep.
What was handed over but not noted as such is told again, under the same id.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sqlalchemy as sa

from app import db, dispatch, ids
from app.approvals.events import Asked
from app.errors import NotFound
from app.events import service as events
from app.notifications import deciding, holding, models, presence, rows, senders
from app.notifications.things import SUMMARY, TEST, Channel, Notice
from app.sessions.events import RunEnded, SessionDeleted

THREADS = 4
SWEEP = 30.0
# How long until each further try, in seconds; after the last of them it has failed.
PAUSES = (10, 60, 300, 1800)
# While somebody looks the page tells them; of what they have not answered for so long they are told all the same.
LOOKS_AGAIN, UNSEEN_FOR = 30, 300
# How long the log of what was told goes back; what is older goes at the next start.
KEPT_DAYS = 30
# A process that took a row and has not settled it for so long is dead, in milliseconds.
LOST = 120_000
_logger = logging.getLogger(__name__)
_table = models.notice
_pool: ThreadPoolExecutor | None = None


def start() -> None:
    """Listen for what people want to know, and take up what is due."""
    global _pool
    _pool = ThreadPoolExecutor(THREADS, "notify")
    events.listen(Asked, _on_asked)
    events.listen(RunEnded, _on_ended)
    events.listen(SessionDeleted, _on_deleted)
    _soon(_catch_up)


def stop() -> None:
    """Let what is being sent be sent; the rest is due at the next start."""
    global _pool
    pool, _pool = _pool, None
    if pool is not None:
        pool.shutdown(wait=True, cancel_futures=True)


@dispatch.every(SWEEP)
def sweep() -> None:
    """Take up what no clock of this process has."""
    now = ids.now()
    lost = sa.and_(_table.c.state == "sending", _table.c.due <= now - LOST)
    due = sa.and_(_table.c.state == "queued", _table.c.due <= now)
    with db.read() as connection:
        found = rows.notices(connection, sa.or_(due, lost), limit=500)
        held = holding.due_channels(connection, now)
    for one in found:
        _soon(deliver, one.id)
    for channel in held:
        _soon(tell_held, channel)


def plan(one: Notice) -> None:
    """Deliver it at its time."""
    dispatch.later(one.due, one.id, lambda: _soon(deliver, one.id))


def plan_held(due: dict[str, int]) -> None:
    """Tell what is held for each of these channels at its time."""
    for channel, when in due.items():
        dispatch.later(when, f"held:{channel}", lambda channel=channel: _soon(tell_held, channel))  # type: ignore[misc]


def tell_held(channel_id: str) -> None:
    """Tell what was held for a channel, as far as its time has come: several in one summary."""
    with db.transaction() as connection:
        found = holding.release(connection, channel_id, ids.now())
        further = {one: when for one, when in holding.held(connection).items() if one == channel_id}
    plan_held(further)
    if found is not None:
        deliver(found.id)


def deliver(notice_id: str) -> None:
    """Send one notice if it is due, still wanted, and nobody else is at it."""
    taken = _take(notice_id)
    if taken is None:
        return
    one, channel, together = taken
    try:
        senders.send(channel, senders.Told.of(one, together))
    except senders.Later as later:
        _again(one, str(later))
    except senders.Gone as gone:
        _end(one, channel, str(gone))
    except (senders.Refused, NotFound) as refused:
        _settle(one, "failed", str(refused))
    except Exception:
        # Left as it is, it would be taken up as lost again and again.
        _logger.exception("notification %s could not be sent", one.id)
        _again(one, "this server could not send it")
    else:
        _settle(one, "sent")


def _on_asked(fact: Asked) -> None:
    _soon(lambda: _plan_all(deciding.of_ask(fact)))


def _on_ended(fact: RunEnded) -> None:
    _soon(lambda: _plan_all(deciding.of_end(fact)))


def _on_deleted(fact: SessionDeleted) -> None:
    _soon(lambda: _forget(_table.c.session == fact.session_id))


def _forget(*which: sa.ColumnElement[bool]) -> None:
    """Take notices out of their owners' logs: nothing that a session said outlives it, and nothing stays for good."""
    with db.transaction() as connection:
        connection.execute(_table.delete().where(*which))


def _plan_all(found: list[Notice]) -> None:
    for one in found:
        plan(one)


def _catch_up() -> None:
    """What became due while nothing ran here, and what waits that nobody heard asked."""
    _forget(_table.c.settled < ids.now() - KEPT_DAYS * 24 * 3600 * 1000)
    for ask in deciding.missed():
        _plan_all(deciding.of_ask(Asked(session_id=ask.session_id, ask=ask.plain())))
    with db.read() as connection:
        queued = rows.notices(connection, _table.c.state == "queued")
        held = holding.held(connection)
    _plan_all(queued)
    plan_held(held)
    sweep()


def _take(notice_id: str) -> tuple[Notice, Channel, list[Notice]] | None:
    """Take a notice that is to be sent now, with its channel and what it is a summary of; what is not needed any more
    is dropped.
    """
    now = ids.now()
    with db.transaction() as connection:
        found = rows.notices(connection, _table.c.id == notice_id)
        if not found or found[0].due > now or not _claim(connection, found[0], now):
            return None
        one, together = found[0], list[Notice]()
        channel = next(iter(rows.channels(connection, models.channel.c.id == one.channel)), None)
        why = deciding.needless(one)
        if not why and one.occasion == SUMMARY:
            one, together = holding.looked_through(connection, one)
            why = "" if together else "nothing of it is to be told any more"
        if why or channel is None or channel.ended:
            rows.settle(connection, one, "dropped", why or "the channel is gone")
            return None
        end = holding.hold(connection, one, now)
        if end is None and not _is_seen(connection, one, now):
            return one, channel, together
        if end is not None:
            plan_held({one.channel: end})
            return None
        if not one.is_ask:
            rows.settle(connection, one, "dropped", "you were looking")
            return None
        due = now + LOOKS_AGAIN * 1000
        connection.execute(_at(one.id).values(state="queued", due=due, tries=one.tries, why="you were looking"))
    plan(Notice(**{**vars(one), "due": due}))
    return None


def _claim(connection: sa.Connection, one: Notice, now: int) -> bool:
    """Be the one who sends it. A row that is being sent has its due time moved along, as the sign of life."""
    lost = sa.and_(_table.c.state == "sending", _table.c.due <= now - LOST)
    free = sa.or_(_table.c.state == "queued", lost)
    claimed = connection.execute(_at(one.id).where(free).values(state="sending", due=now, tries=one.tries + 1))
    return bool(claimed.rowcount)


def _is_seen(connection: sa.Connection, one: Notice, now: int) -> bool:
    """Whether its owner sees it on a page of ours and wants it nowhere else then."""
    if one.occasion in (TEST, SUMMARY) or not rows.rules_of(connection, one.owner).away_only:
        return False
    return now - one.created < UNSEEN_FOR * 1000 and presence.is_looking(connection, one.owner)


def _again(one: Notice, why: str) -> None:
    """Try once more after a pause; a test says at once what is wrong."""
    if one.tries >= len(PAUSES) or one.occasion == TEST:
        _settle(one, "failed", why)
        return
    due = ids.now() + PAUSES[one.tries] * 1000
    with db.transaction() as connection:
        connection.execute(_at(one.id).values(state="queued", due=due, why=why[:400]))
    plan(Notice(**{**vars(one), "due": due}))


def _end(one: Notice, channel: Channel, why: str) -> None:
    """Nothing will get there any more: say so, and send nothing further."""
    with db.transaction() as connection:
        connection.execute(models.channel.update().where(models.channel.c.id == channel.id).values(ended=why[:400]))
        _settle(one, "failed", why)


def _settle(one: Notice, state: str, why: str = "") -> None:
    """Say how it came out; of a summary that failed nothing was told of what it is of, either."""
    with db.transaction() as connection:
        rows.settle(connection, one, state, why)
        untold = holding.told_together(connection, one) if state == "failed" and one.occasion == SUMMARY else []
        for each in untold:
            if each.state == "joined":
                rows.settle(connection, each, state, why)


def _at(notice_id: str) -> Any:
    return _table.update().where(_table.c.id == notice_id)


def _soon(work: Callable[..., None], *args: Any) -> None:
    """Have a thread of ours do it; without any, the next start does."""
    pool = _pool
    if pool is None:
        return
    try:
        pool.submit(_logged, work, *args)
    except RuntimeError:  # it is being shut down
        return


def _logged(work: Callable[..., None], *args: Any) -> None:
    try:
        work(*args)
    except Exception:
        _logger.exception("a notification failed")
