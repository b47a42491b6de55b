"""A session is shared by one address until that is ended; whoever comes by it sees that session and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from app import config, db, dispatch, record
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Denied, NotFound, Problem
from app.events import service as events
from app.projects import service as projects
from app.sessions import service
from app.sessions.service import Session
from app.wake import Ringer
from tests.conftest import member
from tests.patience import PATIENCE

pytestmark = pytest.mark.usefixtures("database")
HELLO = [{"type": "text", "text": "Hello"}]


@pytest.fixture
def database(either_database: db.Database, tmp_path: Path) -> Iterator[db.Database]:
    """Both engines in turn, with the hub that streams hang on."""
    ringer = Ringer(tmp_path)
    record.use(ringer)
    events.start(tmp_path)
    service.start()
    yield either_database
    events.stop()
    record.use(None)
    ringer.close()


@pytest.fixture(autouse=True)
def _engine_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "wake", lambda *_: None)


def session_of(actor: Actor, **more: Any) -> Session:
    thing = SimpleNamespace(id="prj_shop", owner=actor.user, project="prj_shop", visibility="team")
    return service.create(actor, SimpleNamespace(project=thing, directory=Path("/nowhere/shop")), title="Shop", **more)


def shared(actor: Actor, **more: Any) -> tuple[Session, str]:
    """A shared session and the end of its address."""
    session = service.share(actor, session_of(actor, **more).id)
    assert session.share_slug is not None
    return session, session.share_slug


def visitor_of(slug: str) -> Actor:
    found = service.find_visitor(slug)
    assert found is not None
    return found[0]


def heard(stream: events.Subscription) -> set[str]:
    """The kinds of facts that a stream tells until it is ended."""
    kinds = set()
    for fact in stream.facts(heartbeat=PATIENCE):
        assert fact is not None, "it has not ended"
        kinds.add(fact.event.kind)
    return kinds


def audited(session_id: str) -> list[tuple[str, Any]]:
    rows = record.audit_rows
    query = sa.select(rows.c.action, rows.c.detail).where(rows.c.target == session_id).order_by(rows.c.seq)
    with db.read() as connection:
        return [(row.action, row.detail) for row in connection.execute(query)]


def facts_of(session_id: str) -> list[str]:
    rows = record.events
    query = sa.select(rows.c.kind).where(rows.c.session_id == session_id).order_by(rows.c.seq)
    with db.read() as connection:
        return list(connection.scalars(query))


def test_sharing_twice_gives_the_same_address(alice: Actor) -> None:
    session, slug = shared(alice)
    assert service.share(alice, session.id) == session
    assert service.share_url(session) == f"{config.current().url}/s/{slug}"
    assert service.get(alice, session.id) == session
    assert facts_of(session.id) == ["sessions.created", "sessions.updated", "sessions.updated"]
    assert audited(session.id) == [("session.share", {"output": False})]


def test_an_address_cannot_be_guessed(alice: Actor) -> None:
    slugs = {shared(alice)[1] for _ in range(20)}
    assert len(slugs) == 20
    assert all(len(slug) == 24 for slug in slugs)  # 6 bits each, all by chance
    assert service.find_visitor("A" * 24) is None
    for wrong in ("", "x", "A" * 23, "A" * 25, "../" * 8, "é" * 24, "%" * 24, "A" * 23 + "\n"):
        assert service.find_visitor(wrong) is None


def test_two_who_share_at_once_get_one_address(alice: Actor) -> None:
    session = session_of(alice)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: service.share(alice, session.id), range(8)))
    assert len({one.share_slug for one in found}) == 1
    assert audited(session.id) == [("session.share", {"output": False})]


def test_what_tools_gave_back_is_shared_only_when_somebody_says_so(alice: Actor) -> None:
    session, slug = shared(alice)
    more = service.share(alice, session.id, output=True)
    assert more.share_slug == slug
    assert service.share_of(more) == service.share_of(service.share(alice, session.id))
    share = service.share_of(more)
    assert share is not None
    assert share.output
    assert [detail["output"] for _action, detail in audited(session.id)] == [False, True]


def test_after_an_end_another_address_is_given(alice: Actor) -> None:
    session, slug = shared(alice)
    ended = service.unshare(alice, session.id)
    assert service.share_url(ended) == ""
    assert service.find_visitor(slug) is None
    assert service.unshare(alice, session.id) == ended
    assert [action for action, _detail in audited(session.id)] == ["session.share", "session.unshare"]
    assert facts_of(session.id)[-2:] == ["sessions.updated", "sessions.share_ended"]
    again = service.share(alice, session.id)
    assert again.share_slug not in (None, slug)
    assert service.find_visitor(slug) is None


def test_an_end_closes_what_is_open_and_nothing_else(alice: Actor) -> None:
    session, slug = shared(alice)
    _other, kept_slug = shared(alice)
    gone = service.follow_shared(visitor_of(slug), None)
    kept = service.follow_shared(visitor_of(kept_slug), None)
    assert gone is not None
    assert kept is not None
    service.unshare(alice, session.id)
    assert "sessions.updated" in heard(gone)
    with kept:
        service.send(alice, _other.id, HELLO, no_reply=True)
        assert next(iter(kept.facts(heartbeat=PATIENCE))) is not None


def test_a_deleted_session_closes_what_is_open(alice: Actor) -> None:
    session, slug = shared(alice)
    open_page = service.follow_shared(visitor_of(slug), None)
    assert open_page is not None
    service.delete(alice, session.id)
    assert heard(open_page) <= {"sessions.created", "sessions.updated", "sessions.deleted"}
    assert service.find_visitor(slug) is None


def test_nobody_opens_a_stream_between_the_look_and_the_end(alice: Actor) -> None:
    session, slug = shared(alice)
    visitor = visitor_of(slug)
    service.unshare(alice, session.id)
    assert service.follow_shared(visitor, None) is None


def test_a_visitor_sees_one_session_even_a_private_one(alice: Actor, bob: Actor) -> None:
    session, slug = shared(bob, visibility="private")
    others = [session_of(bob), session_of(alice), session_of(bob, parent_id=session.id)]
    visitor = visitor_of(slug)
    assert service.get(visitor, session.id).id == session.id
    for other in others:
        with pytest.raises(NotFound):
            service.get(visitor, other.id)
    assert service.get_many(visitor, [one.id for one in others]) == {}
    denied: list[Callable[[], Any]] = [
        lambda: service.find_page(visitor),
        lambda: service.find_words(visitor, "Shop", 5),
        lambda: projects.list_all(visitor),
        lambda: accounts.list_users(visitor),
        lambda: service.update(visitor, session.id, title="Mine"),
        lambda: service.send(visitor, session.id, HELLO),
        lambda: service.abort(visitor, session.id),
        lambda: service.share(visitor, session.id, output=True),
        lambda: service.unshare(visitor, session.id),
        lambda: service.delete(visitor, session.id),
        lambda: service.fork(
            visitor, SimpleNamespace(project=SimpleNamespace(id="prj_shop"), directory=""), session.id
        ),
    ]
    for verb in denied:
        with pytest.raises(Problem):
            verb()
    assert service.get(bob, session.id) == session


def test_a_visitor_hears_of_that_session_alone(alice: Actor) -> None:
    first = events.latest()
    session, slug = shared(alice)
    other, _slug = shared(alice)
    start = events.latest()
    service.send(alice, other.id, HELLO, no_reply=True)
    service.send(alice, session.id, HELLO, no_reply=True)
    for after in (start, first):
        stream = service.follow_shared(visitor_of(slug), after)
        assert stream is not None
        with stream:
            seen = []
            for fact in stream.facts(heartbeat=PATIENCE):
                assert fact is not None
                seen.append(fact.event)
                if fact.event.kind == "sessions.part_updated":
                    break
        assert {event.session_id for event in seen} == {session.id}  # type: ignore[attr-defined]


def test_who_may_share(alice: Actor, bob: Actor, charlie: Actor) -> None:
    hers, his = session_of(alice), session_of(bob)
    service.share(bob, his.id)
    service.unshare(member(alice, "Ada", "admin"), his.id)
    viewer, agent = member(alice, "Vera", "viewer"), replace(bob, kind="agent")
    writer = replace(bob, kind="token", grants=("sessions:read", "sessions:write"))
    for actor, session in ((bob, hers), (viewer, hers), (agent, his), (writer, his)):
        for verb in (service.share, service.unshare):
            with pytest.raises(Denied):
                verb(actor, session.id)
    for verb in (service.share, service.unshare):
        with pytest.raises(NotFound):
            verb(charlie, hers.id)
        with pytest.raises(NotFound):
            verb(bob, session_of(alice, visibility="private").id)
    assert service.get(alice, hers.id).share_slug is None


def test_an_address_is_as_good_as_the_right_of_whoever_gave_it(alice: Actor, bob: Actor) -> None:
    session, slug = shared(bob)
    stream = service.follow_shared(visitor_of(slug), None)
    assert stream is not None
    accounts.revoke_user(alice, bob.user)
    heard(stream)
    assert service.find_visitor(slug) is None
    again = service.share(alice, session.id)
    assert again.share_slug not in (None, slug)
    assert service.find_visitor(again.share_slug or "") is not None
    assert service.find_visitor(slug) is None


def test_an_operator_switches_it_off(alice: Actor) -> None:
    session, slug = shared(alice)
    config.use(replace(config.current(), share=False))
    assert service.find_visitor(slug) is None
    assert service.share_url(session) == ""
    with pytest.raises(Denied, match="switched off"):
        service.share(alice, session_of(alice).id)
    assert service.unshare(alice, session.id).share_slug is None


def test_a_fork_is_not_shared(alice: Actor) -> None:
    session, _slug = shared(alice)
    thing = SimpleNamespace(id="prj_shop", owner=alice.user, project="prj_shop", visibility="team")
    forked = service.fork(alice, SimpleNamespace(project=thing, directory=Path("/nowhere/shop")), session.id)
    assert (forked.share_slug, forked.share) == (None, None)


def test_subagents_are_linked_once_they_are_shared_themselves(alice: Actor) -> None:
    session, slug = shared(alice)
    child = session_of(alice, parent_id=session.id)
    assert service.shared_below(visitor_of(slug), session.id) == {}
    service.share(alice, child.id)
    assert service.shared_below(visitor_of(slug), session.id) == {child.id: service.get(alice, child.id).share_slug}


def test_it_is_shared_by_a_person_whatever_their_token_is_called(alice: Actor) -> None:
    token = replace(alice, id="tok_1", kind="token", name="laptop", token="tok_1")
    share = service.share_of(service.share(token, session_of(alice).id))
    assert share is not None
    assert (share.by, share.name) == (alice.user, alice.name)


def test_the_setting_is_on_or_off() -> None:
    assert config.Config.from_environ({}).share
    assert not config.Config.from_environ({"SIGNALCABIN_SHARE": "off"}).share
    with pytest.raises(Problem, match="SHARE"):
        config.Config.from_environ({"SIGNALCABIN_SHARE": "perhaps"})
