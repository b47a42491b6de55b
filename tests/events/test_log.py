"""The log under concurrent writers, on both engines: nothing missing, nothing doubled, in order."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from app import config, db, record
from app.accounts import service as accounts
from app.actor import SYSTEM, Actor, Scope
from app.config import Config
from app.events import log as log_of
from app.events import service
from app.events.hub import TOGETHER, Hub
from app.record import Event
from app.wake import Ringer
from tests import migrated
from tests.conftest import member
from tests.patience import PATIENCE

WRITERS, EACH = 8, 60
SCOPE = Scope("usr_alice", "prj_one")


@dataclass(frozen=True)
class Said(Event, kind="test.said"):
    """A numbered remark."""

    session_id: str
    who: int
    number: int


@dataclass(frozen=True)
class Gone(Event, kind="test.gone"):
    """The last word about a session."""

    is_last: ClassVar[bool] = True
    session_id: str


@dataclass(frozen=True)
class Whispered(Event, kind="test.whispered"):
    """What is for its owner alone."""

    is_personal: ClassVar[bool] = True
    session_id: str


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[db.Database]:
    """A database of each engine with a running hub."""
    if request.param == "sqlite":
        migrated.copy_into(tmp_path)
        url = f"sqlite:///{tmp_path / 'signalcabin.db'}"
    else:
        url = request.getfixturevalue("postgres_database")
    config.use(Config(data_dir=tmp_path, database_url=url))
    database = db.Database(url)
    db.use(database)
    ringer = Ringer(tmp_path)
    record.use(ringer)
    service.start(tmp_path)
    yield database
    service.stop()
    record.use(None)
    ringer.close()
    database.close()


def write_all(seed: int) -> list[threading.Thread]:
    """Start eight writers whose transactions commit after random delays."""

    def write(who: int) -> None:
        chance = random.Random(seed * 100 + who)
        for number in range(EACH):
            with db.transaction() as connection:
                record.event(connection, Said(f"ses_{who}", who, number), SCOPE)
                threading.Event().wait(chance.random() * 0.004)

    threads = [threading.Thread(target=write, args=(who,)) for who in range(WRITERS)]
    for thread in threads:
        thread.start()
    return threads


def read_all(seed: int, start: str, seen: list[tuple[int, int]]) -> threading.Thread:
    """Start a reader that hangs up at random places and comes back with the last cursor it saw."""

    def read() -> None:
        chance, cursor = random.Random(seed), start
        while len(seen) < WRITERS * EACH:
            patience = chance.randint(1, 40)
            with service.subscribe(SYSTEM, cursor) as subscription:
                for fact in subscription.facts(heartbeat=10):
                    assert fact is not None, "nothing came for ten seconds"
                    seen.append((fact.event.who, fact.event.number))  # type: ignore[attr-defined]
                    cursor = fact.cursor
                    patience -= 1
                    if patience == 0 or len(seen) == WRITERS * EACH:
                        break

    thread = threading.Thread(target=read)
    thread.start()
    return thread


def test_it_neither_loses_nor_doubles_under_eight_writers(log: db.Database) -> None:
    start = service.latest()
    seen: list[list[tuple[int, int]]] = [[], []]
    threads = [read_all(seed, start, seen[seed]) for seed in (0, 1)] + write_all(7)
    for thread in threads:
        thread.join(60)
    expected = {(who, number) for who in range(WRITERS) for number in range(EACH)}
    for got in seen:
        assert len(got) == len(set(got)) == len(expected)
        assert set(got) == expected
        for who in range(WRITERS):
            assert [n for w, n in got if w == who] == list(range(EACH))


def test_a_client_that_knows_more_than_the_hub_is_told_nothing_twice(log: db.Database) -> None:
    is_held, may_go = threading.Event(), threading.Event()

    def hold(event: Said) -> None:
        is_held.set()
        assert may_go.wait(20)

    assert service._hub is not None
    service._hub.listen(Said, hold)
    say(0)
    assert is_held.wait(20)
    say(1)
    with service.subscribe(SYSTEM, service.latest()) as subscription:
        may_go.set()
        say(2)
        facts = subscription.facts(heartbeat=10)
        assert not subscription.resync
        assert next(facts).event.number == 2  # type: ignore[union-attr, attr-defined]


def test_what_gathered_meanwhile_is_handed_on_together_and_in_order(log: db.Database) -> None:
    told, is_all = list[list[int]](), threading.Event()

    def take(facts: Sequence[log_of.Fact]) -> None:
        told.append([fact.event.number for fact in facts])  # type: ignore[attr-defined]
        if sum(map(len, told)) == TOGETHER + 5:
            is_all.set()

    with service.subscribe(SYSTEM, keep=lambda fact: isinstance(fact.event, Said)) as subscription:
        subscription.pour(take, lambda: None)
        with busy():
            for number in range(TOGETHER + 5):
                say(number)
        assert is_all.wait(PATIENCE)
    assert [len(part) for part in told] == [TOGETHER, 5]
    assert [number for part in told for number in part] == list(range(TOGETHER + 5))


def test_who_listens_hears_of_a_fact_between_those_before_and_those_after(log: db.Database) -> None:
    order, is_all = list[str](), threading.Event()
    assert service._hub is not None
    service._hub.listen(Gone, lambda _event: order.append("heard"))

    def take(facts: Sequence[log_of.Fact]) -> None:
        order.append(" ".join(fact.event.kind for fact in facts))
        if order[-1].endswith("said") and "heard" in order:
            is_all.set()

    with service.subscribe(SYSTEM, keep=of_one_session) as subscription:
        subscription.pour(take, lambda: None)
        say_around_the_end_while_busy()
        assert is_all.wait(PATIENCE)
    assert order == ["test.said", "heard", "test.gone test.said"]


def test_of_what_is_handed_on_together_nothing_is_told_after_the_end(log: db.Database) -> None:
    told, is_over = list[str](), threading.Event()

    def take(facts: Sequence[log_of.Fact]) -> None:
        told.extend(fact.event.kind for fact in facts)

    with service.subscribe(SYSTEM, keep=of_one_session, session="ses_one") as subscription:
        subscription.pour(take, is_over.set)
        say_around_the_end_while_busy()
        assert is_over.wait(PATIENCE)
    assert told == ["test.said", "test.gone"]


def test_a_stream_that_cannot_be_told_is_ended_and_all_others_go_on(
    log: db.Database, caplog: pytest.LogCaptureFixture
) -> None:
    def stumble(fact: log_of.Fact) -> bool:
        raise LookupError(fact.event.kind)

    with service.subscribe(SYSTEM, keep=stumble) as broken, service.subscribe(SYSTEM, keep=of_one_session) as whole:
        say(0)
        facts = whole.facts(heartbeat=PATIENCE)
        assert next(facts).event.number == 0  # type: ignore[union-attr, attr-defined]
        assert list(broken.facts(heartbeat=PATIENCE)) == []
        say(1)
        assert next(facts).event.number == 1  # type: ignore[union-attr, attr-defined]
    assert [record.getMessage() for record in caplog.records] == [
        "a stream could not be told what happened; it is ended"
    ]


def say_around_the_end_while_busy() -> None:
    """A remark, the last word about the session, and one more, all of which the hub finds together."""
    with busy():
        say(0)
        with db.transaction() as connection:
            record.event(connection, Gone("ses_one"), SCOPE)
        say(1)


def of_one_session(fact: log_of.Fact) -> bool:
    """Whether it is about the session that these tests follow."""
    return getattr(fact.event, "session_id", "") == "ses_one"


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """The hub is kept busy with a fact of another session."""
    is_held, may_go = threading.Event(), threading.Event()

    def hold(_event: Whispered) -> None:
        is_held.set()
        assert may_go.wait(PATIENCE)

    assert service._hub is not None
    service._hub.listen(Whispered, hold)
    with db.transaction() as connection:
        record.event(connection, Whispered("ses_other"), SCOPE)
    assert is_held.wait(PATIENCE)
    yield
    may_go.set()


def say(number: int) -> None:
    """One remark, committed."""
    with db.transaction() as connection:
        record.event(connection, Said("ses_one", 0, number), SCOPE)


def test_it_asks_to_resync_for_a_cursor_that_is_none_of_ours(log: db.Database) -> None:
    for cursor in ("garbage", "-1", "99999999", "1-2-3", "9" * 40, "²"):
        with service.subscribe(SYSTEM, cursor) as subscription:
            assert subscription.resync


def test_it_shows_an_event_only_to_those_who_may_read_the_thing(
    log: db.Database, bob_and_charlie: Callable[[], list[bool]]
) -> None:
    assert bob_and_charlie() == [True, False]


@pytest.fixture
def bob_and_charlie() -> Callable[[], list[bool]]:
    """Says whether Bob (its owner) and Charlie (a colleague) see an event about a private thing."""

    def look() -> list[bool]:
        alice = accounts.local_owner()
        actors = [member(alice, name) for name in ("Bob", "Charlie")]
        start = service.latest()
        with db.transaction() as connection:
            record.event(connection, Said("ses_p", 0, 1), Scope(actors[0].user, "prj_one", "private"))
            record.event(connection, Said("ses_t", 0, 2), Scope(actors[0].user, "prj_one", "team"))
        answers = []
        for actor in actors:
            with service.subscribe(actor, start) as subscription:
                first = next(iter(subscription.facts(heartbeat=10)))
                assert first is not None
                answers.append(first.event.session_id == "ses_p")  # type: ignore[attr-defined]
        return answers

    return look


def test_it_drops_a_subscriber_that_does_not_keep_up_and_lets_it_resume(log: db.Database) -> None:
    start = service.latest()
    is_last = lambda fact: (fact.event.who, fact.event.number) == (2, 499)  # noqa: E731
    with service.subscribe(SYSTEM) as slow, service.subscribe(SYSTEM, keep=is_last) as end:
        for who in range(3):
            with db.transaction() as connection:
                for number in range(500):
                    record.event(connection, Said("ses_s", who, number), SCOPE)
        assert next(iter(end.facts(heartbeat=10))) is not None
        seen = [fact for fact in slow.facts(heartbeat=10) if fact is not None]
    last = seen[-1].cursor if seen else start
    with service.subscribe(SYSTEM, last) as again:
        rest = [fact for _, fact in zip(range(1500 - len(seen)), again.facts(heartbeat=10), strict=False)]
    assert all(fact is not None for fact in rest)
    assert len(seen) + len(rest) == 1500


def reads_of_this_thread(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many facts each look of this thread into the log found; the running hub has its own."""
    found: list[int] = []
    mine, look = threading.get_ident(), log_of.after

    def counted(*given: Any, **more: Any) -> log_of.Batch:
        batch = look(*given, **more)
        if threading.get_ident() == mine:
            found.append(len(batch.facts))
        return batch

    monkeypatch.setattr(log_of, "after", counted)
    return found


def idle_hub() -> Hub:
    """A hub at the end of the log whose thread was never started."""
    hub = Hub(lambda _actor, _fact: True, lambda _connection, _part: None)
    with db.read() as connection:
        hub._place = log_of.now(connection)
    return hub


def test_the_hub_reads_each_batch_once(log: db.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, reads = idle_hub(), reads_of_this_thread(monkeypatch)
    with db.transaction() as connection:
        for number in range(3):
            record.event(connection, Said("ses_s", 0, number), SCOPE)
    hub._advance()
    assert reads == [3]


def test_the_hub_goes_on_after_a_full_batch(log: db.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, reads = idle_hub(), reads_of_this_thread(monkeypatch)
    with db.transaction() as connection:
        for number in range(1200):
            record.event(connection, Said("ses_s", 0, number), SCOPE)
    hub._advance()
    assert reads == [1000, 200]


def test_facts_of_kinds_that_nobody_knows_are_passed_over(log: db.Database) -> None:
    start = service.latest()
    with db.transaction() as connection:
        for number in range(1100):
            record.event(connection, Said("ses_s", 0, number), SCOPE)
        connection.execute(record.events.update().values(kind="test.forgotten"))
        record.event(connection, Said("ses_s", 1, 1), SCOPE)
    with service.subscribe(SYSTEM, start) as subscription:
        fact = next(iter(subscription.facts(heartbeat=10)))
    assert fact is not None
    assert fact.event == Said("ses_s", 1, 1)


def test_a_visitors_replay_reads_its_own_session_alone(log: db.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = Actor("share:x", "visitor", "share:x", "A visitor", ("events:read",), session="ses_b")
    first = service.latest()
    for number in range(30):
        with db.transaction() as connection:
            record.event(connection, Said("ses_b" if number % 10 == 0 else "ses_a", 1, number), SCOPE)
    with service.subscribe(SYSTEM, first) as everything:  # the hub has them all: whoever comes now reads the log
        facts = everything.facts(heartbeat=PATIENCE)
        assert [next(facts).event.number for _ in range(30)] == list(range(30))  # type: ignore[union-attr, attr-defined]
    read: list[int] = []
    after = log_of.after

    def counted(*given: Any, **named: Any) -> Any:
        batch = after(*given, **named)
        if named:
            read.append(len(batch.facts))
        return batch

    monkeypatch.setattr(log_of, "after", counted)
    with service.subscribe(visitor, first) as subscription:
        facts = subscription.facts(heartbeat=PATIENCE)
        assert [next(facts).event.number for _ in range(3)] == [0, 10, 20]  # type: ignore[union-attr, attr-defined]
    assert sum(read) == 3


def tell(*said: tuple[Event, Scope]) -> None:
    """Write facts, each for those of its scope."""
    with db.transaction() as connection:
        for event, scope in said:
            record.event(connection, event, scope)


def test_who_follows_a_session_is_told_its_end_and_then_nothing(log: db.Database) -> None:
    with service.subscribe(SYSTEM, session="ses_a") as mine, service.subscribe(SYSTEM, session="ses_b") as other:
        tell((Gone("ses_a"), SCOPE), (Said("ses_a", 0, 0), SCOPE), (Gone("ses_b"), SCOPE))
        assert [fact.event for fact in mine.facts() if fact] == [Gone("ses_a")]
        assert [fact.event for fact in other.facts() if fact][-1] == Gone("ses_b")


def test_who_follows_a_session_is_told_no_more_once_it_is_out_of_sight(log: db.Database) -> None:
    bob = member(accounts.local_owner(), "Bob")
    private = Scope("usr_alice", "prj_one", "private")
    with service.subscribe(bob, session="ses_a") as his:
        tell((Said("ses_a", 0, 0), SCOPE), (Whispered("ses_a"), SCOPE), (Said("ses_b", 0, 0), private))
        tell((Said("ses_a", 0, 1), SCOPE), (Said("ses_a", 0, 2), private), (Said("ses_a", 0, 3), SCOPE))
        told = [fact.event for fact in his.facts() if fact]
    assert told == [Said("ses_a", 0, 0), Said("ses_a", 0, 1)]


def test_zero_stands_for_all_that_is_kept_of_the_named_sessions(log: db.Database) -> None:
    tell(*((Said("ses_a" if number % 2 else "ses_b", 0, number), SCOPE) for number in range(10)))
    with service.subscribe(SYSTEM) as everything:
        tell((Said("ses_b", 1, 0), SCOPE))
        while (fact := next(everything.facts(heartbeat=PATIENCE))) and fact.event != Said("ses_b", 1, 0):
            continue  # the hub has them all: whoever comes now reads the log
    with service.subscribe(SYSTEM, "0", session="ses_a") as mine:
        assert not mine.resync
        mine.replay_only(["ses_a"])
        assert [fact.event.number for fact in mine.replay()] == [1, 3, 5, 7, 9]  # type: ignore[attr-defined]


def test_it_knows_what_was_told_last_before_a_subscription(log: db.Database) -> None:
    cursors = []
    for number in range(4):
        tell((Said("ses_a", 0, number), SCOPE), (Said("ses_b", 1, number), SCOPE))
        cursors.append(service.latest())
    for number, cursor in enumerate(cursors):
        with service.subscribe(SYSTEM, cursor, session="ses_a") as mine:
            assert mine.earlier(Said) == Said("ses_a", 0, number)
            assert mine.earlier(Gone) is None
    with service.subscribe(SYSTEM, "0", session="ses_a") as mine:
        assert mine.earlier(Said) is None
