"""The hub: one thread per process reads the log and hands every fact to those who may see it.

A subscriber has a bounded queue. One that falls behind is dropped, never waited for: its client comes back with
the last id it saw and finds the rest in the log.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from app import db, ids
from app.actor import Actor, Scope, Thing
from app.errors import Limited, Unavailable
from app.events import log
from app.events.log import Fact, Position
from app.record import Event
from app.wake import Bell

QUEUE = 1000
QUEUE_PASSING = 500  # what passes is not told to one that is so far behind: it must not be dropped for it
SWEEP = 1.0
HORIZON_WAIT = 0.01
TOGETHER = 50  # facts that one subscriber is handed at a time, at most
Keep = Callable[[Fact], bool]
May = Callable[[Actor, Fact], bool]
_NOTHING: deque[Fact] = deque(maxlen=0)
_logger = logging.getLogger(__name__)


class Subscription:
    """What one subscriber gets: facts in order, None as a heartbeat, until it ends.

    One that follows a session ends with it, and once its actor may not see that session any more. There are thousands
    that pour: what only a waiting one needs, such as a condition, is made when it waits.
    """

    __slots__ = (
        "_about",
        "_closed",
        "_ended",
        "_floor",
        "_hub",
        "_keep",
        "_lock",
        "_queue",
        "_ready",
        "_releases",
        "_session",
        "_since",
        "_sink",
        "_when_over",
        "actor",
        "resync",
    )

    def __init__(
        self, hub: Hub, actor: Actor, keep: Keep, since: Position | None, floor: Position, session: str = ""
    ) -> None:
        self.actor = actor
        self._session = session
        # A visitor may name any place: the log of everybody else is not read for it.
        self._about: Sequence[str] | None = (actor.session,) if actor.session is not None else None
        self.resync = False
        self._hub = hub
        self._keep = keep
        self._since = since
        self._floor = floor
        self._queue: deque[Fact] = deque()
        self._sink: Callable[[Sequence[Fact]], None] | None = None
        self._when_over: Callable[[], None] | None = None
        self._releases: tuple[Callable[[], None], ...] = ()
        self._lock = threading.Lock()
        self._ready: threading.Condition | None = None  # of that lock
        self._ended = False
        self._closed = False

    def facts(self, heartbeat: float | None = 15.0, deadline: float | None = None) -> Iterator[Fact | None]:
        """Replay, then live. Yields None when nothing came for `heartbeat` seconds; ends at the deadline
        (monotonic seconds), when dropped, or when the hub stops.
        """
        yield from self.replay()
        while True:
            fact = self._next(heartbeat, deadline)
            if fact is None and (self._ended or (deadline is not None and time.monotonic() >= deadline)):
                return
            yield fact

    def pour(self, sink: Callable[[Sequence[Fact]], None], over: Callable[[], None]) -> None:
        """Hand all facts on from now on, first those that wait, in the hub's thread; `over` at the end."""
        with self._lock:
            if self._queue:
                sink(tuple(self._queue))
            self._sink, self._when_over = sink, over
            self._queue = _NOTHING  # nothing waits here any more, and there are thousands
            is_over = self._ended
        if is_over:
            over()

    def offer(self, facts: Sequence[Fact]) -> None:
        """Called by the hub, in order: take what is for this subscriber.

        A client may know more than the hub had read when it came: a snapshot of the database is ahead of the hub.
        """
        if self._ended:
            return
        taken: list[Fact] = []
        is_over = False
        for fact in facts:
            if self._since is not None and not fact.is_passing and fact.position <= self._since:
                continue
            sees = self._hub.sees(self.actor, fact)
            if sees and self._keep(fact):
                taken.append(fact)
            if self._session and self._is_over(fact, sees=sees):
                is_over = True
                break
        if taken:
            self._take(taken)
        if is_over:
            self.end()

    def _is_over(self, fact: Fact, *, sees: bool) -> bool:
        """Whether nothing more can come about the session that this follows."""
        if getattr(fact.event, "session_id", "") != self._session:
            return False
        if fact.event.is_farewell:
            return sees
        return fact.event.is_last or not (sees or fact.event.is_personal)

    def _take(self, facts: Sequence[Fact]) -> None:
        with self._lock:
            if self._ended:
                return
            if self._sink is not None:
                self._sink(facts)
                return
            for fact in facts:
                if fact.is_passing and len(self._queue) >= QUEUE_PASSING:
                    continue
                if len(self._queue) >= QUEUE:
                    self._ended = True
                    self._queue.clear()
                    break
                self._queue.append(fact)
            self._notify()

    def go_live(self) -> None:
        """What the client asked for is gone or was never ours: nothing to replay, it must load anew."""
        self.resync = True
        self._since = None

    def end(self) -> None:
        """Close it; the iterator ends after what is queued."""
        with self._lock:
            self._ended = True
            self._notify()
            over = self._when_over
        if over is not None:
            over()

    def hold(self, release: Callable[[], None]) -> None:
        """Let go of something when this is closed, whoever closes it; at once if it is closed by now."""
        with self._lock:
            if not self._closed:
                self._releases += (release,)
                return
        release()

    def close(self) -> None:
        """Unsubscribe."""
        self.end()
        self._hub.leave(self)
        with self._lock:
            self._closed = True
            releases, self._releases = self._releases, ()
        for release in releases:
            release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def replay(self) -> Iterator[Fact]:
        """What was committed between the client's cursor and the place where this subscription began."""
        place = self._since
        while place is not None and place < self._floor:
            with db.read() as connection:
                batch = log.after(connection, place, sessions=self._about)
                self._hub.complete(connection, batch.facts, OrderedDict())
            for fact in batch.facts:
                if fact.position > self._floor:
                    return
                if self._hub.sees(self.actor, fact) and self._keep(fact):
                    yield fact
            if batch.is_last:
                return
            place = batch.end

    def replay_only(self, sessions: Sequence[str]) -> None:
        """Read no more for the replay than facts of these sessions, which costs no more than they are."""
        self._about = sessions

    def earlier(self, kind: type[Event]) -> Event | None:
        """The last fact of a kind about the session that this follows, before all that it gives; None without one."""
        place = self._floor if self._since is None else self._since
        with db.read() as connection:
            return log.last(connection, place, kind, self._session)

    def _next(self, heartbeat: float | None, deadline: float | None) -> Fact | None:
        with self._lock:
            if not self._queue and not self._ended:
                waits = [heartbeat] if heartbeat is not None else []
                if deadline is not None:
                    waits.append(max(0.0, deadline - time.monotonic()))
                self._ready = self._ready or threading.Condition(self._lock)
                self._ready.wait(min(waits) if waits else None)
            return self._queue.popleft() if self._queue else None

    def _notify(self) -> None:
        """Wake who waits; the lock is held."""
        if self._ready is not None:
            self._ready.notify()


class Hub:
    """Reads the log of one database and fans it out."""

    def __init__(
        self,
        may: May,
        text_of: Callable[[sa.Connection, str], str | None],
        per_user: int = 200,
        per_server: int = 12_000,
    ) -> None:
        self._may = may
        self._text_of = text_of
        self._lock = threading.Lock()
        self._subscriptions: set[Subscription] = set()
        self._per_user_most, self._most = per_user, per_server
        self._per_user: dict[str, int] = defaultdict(int)
        self._listeners: dict[type[Event], list[Callable[[Any], None]]] = defaultdict(list)
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._place: Position = log.START
        self._bell: Bell | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def start(self, data_dir: Path) -> None:
        """Begin at the end of the log."""
        self._bell = Bell(data_dir)
        with db.read() as connection:
            self._place = log.now(connection)
        self._thread = threading.Thread(target=self._run, name="hub", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End all streams and the thread."""
        self._stop.set()
        if self._bell is not None:
            self._bell.ring()
        if self._thread is not None:
            self._thread.join(timeout=5)
        with self._lock:
            subscriptions = list(self._subscriptions)
        for subscription in subscriptions:
            subscription.end()
        if self._bell is not None:
            self._bell.close()

    def listen(self, kind: type[Event], heard: Callable[[Any], None]) -> None:
        """Call `heard` in the hub's thread with each event of this kind that commits from now on."""
        self._listeners[kind].append(heard)

    def subscribe(self, actor: Actor, keep: Keep, after: str | None, session: str = "") -> Subscription:
        """Join; with a cursor, first whatever was committed behind it. Raises Limited at the caps."""
        since = log.position_of(after) if after is not None else None
        with self._lock:
            if self._stop.is_set() or self._thread is None:
                raise Unavailable("The server is shutting down.", retry_after=5)
            if self._per_user[actor.user] >= self._per_user_most or len(self._subscriptions) >= self._most:
                raise Limited("Too many open streams.", retry_after=5)
            subscription = Subscription(self, actor, keep, since, self._place, session)
            self._subscriptions.add(subscription)
            self._per_user[actor.user] += 1
        if after is not None and self._is_lost(since):
            subscription.go_live()
        return subscription

    def sees(self, actor: Actor, fact: Fact) -> bool:
        """Whether the actor may read the fact; asked once for all streams with the same rights."""
        rights = (actor.kind, actor.user, actor.project, actor.grants, actor.closed)
        return bool(fact.once(rights, lambda fact: self._may(actor, fact)))

    def leave(self, subscription: Subscription) -> None:
        """Forget a subscriber; a second time does nothing."""
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)
                self._per_user[subscription.actor.user] -= 1

    def tell(self, event: Event, scope: Thing) -> None:
        """Tell those who listen now, in the caller's thread, of what goes into no log; never waits."""
        rights = Scope(scope.owner, scope.project, scope.visibility)
        fact = Fact(log.START, event, rights, ids.now(), is_passing=True)
        with self._lock:
            subscriptions = list(self._subscriptions)
        for subscription in subscriptions:
            _offer(subscription, (fact,))

    def close(self, principal: str) -> int:
        """End every stream of a revoked user or token; returns how many."""
        with self._lock:
            theirs = [s for s in self._subscriptions if principal in (s.actor.id, s.actor.user, s.actor.token)]
        for subscription in theirs:
            subscription.close()
        return len(theirs)

    def complete(self, connection: sa.Connection, facts: list[Fact], texts: OrderedDict[str, str]) -> None:
        """Give each text delta the whole text up to its end: from the deltas before it, else from the part."""
        for fact in facts:
            part_id, end = getattr(fact.event, "part_id", None), getattr(fact.event, "end", None)
            if part_id is None or end is None:
                continue
            delta: str = fact.event.delta  # type: ignore[attr-defined]
            before = texts.pop(part_id, None)
            if before is None or len(before) + len(delta) != end:
                before = (self._text_of(connection, part_id) or "")[: end - len(delta)]
            texts[part_id] = fact.text = before + delta
            while len(texts) > 500:
                texts.popitem(last=False)

    def _is_lost(self, since: Position | None) -> bool:
        if since is None:
            return True
        with db.read() as connection:
            end, first = log.now(connection), log.oldest(connection)
        if since == log.START:
            return False  # it asks for all that is still kept
        if since > end or bool(since[0]) != bool(end[0]):
            return True
        return first != log.START and since < first and since[1] + 1 < first[1]

    def _run(self) -> None:
        assert self._bell is not None
        wait = SWEEP
        while not self._stop.is_set():
            self._bell.wait(wait)
            try:
                wait = HORIZON_WAIT if self._advance() else SWEEP
            except sa.exc.SQLAlchemyError:
                _logger.exception("the log could not be read; trying again")
                wait = SWEEP

    def _advance(self) -> bool:
        """Fan out what is new; True if more is committed but not yet in order.

        What is committed after the last read rings again, so a batch that was not full needs no second look.
        """
        while True:
            with db.read() as connection:
                batch = log.after(connection, self._place)
                self.complete(connection, batch.facts, self._texts)
                hidden = batch.is_last and log.has_hidden(connection)
            for facts in self._parts(batch.facts):
                self._deliver(facts)
            with self._lock:
                self._place = batch.end
            if batch.is_last:
                return hidden

    def _parts(self, facts: Sequence[Fact]) -> Iterator[Sequence[Fact]]:
        """What is handed on together. A fact that has listeners begins a part: they hear of it between the others."""
        part: list[Fact] = []
        for fact in facts:
            if part and (len(part) >= TOGETHER or self._listeners.get(type(fact.event))):
                yield part
                part = []
            part.append(fact)
        if part:
            yield part

    def _deliver(self, facts: Sequence[Fact]) -> None:
        """Hand facts on, of which only the first may have listeners."""
        event = facts[0].event
        with self._lock:
            self._place = facts[-1].position
            subscriptions = list(self._subscriptions)
        for heard in self._listeners.get(type(event), ()):
            try:
                heard(event)
            except Exception:
                _logger.exception("a listener of %s failed", event.kind)
        for subscription in subscriptions:
            _offer(subscription, facts)


def _offer(subscription: Subscription, facts: Sequence[Fact]) -> None:
    """Offer facts; one that cannot take them is ended, not all the others with it. Its client comes back for them."""
    try:
        subscription.offer(facts)
    except Exception:
        _logger.exception("a stream could not be told what happened; it is ended")
        subscription.end()
