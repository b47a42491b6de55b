"""Who sees a session: its owner alone, the team, or whoever has its link; a change counts at once, everywhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from app import config, db, dispatch, ids, record
from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import service as approvals
from app.errors import Conflict, Denied, Invalid, NotFound
from app.events import service as events
from app.sessions import service
from app.sessions.service import Session
from app.settings import service as settings
from app.wake import Ringer
from tests.approvals.asking import hold_of, runs
from tests.conftest import member
from tests.patience import PATIENCE

pytestmark = pytest.mark.usefixtures("database")
DAY = 86_400_000


@pytest.fixture
def database(either_database: db.Database, tmp_path: Path) -> Iterator[db.Database]:
    """Both engines in turn, with the hub that streams hang on."""
    ringer = Ringer(tmp_path)
    record.use(ringer)
    events.start(tmp_path)
    service.start()
    approvals.start()
    yield either_database
    events.stop()
    record.use(None)
    ringer.close()


@pytest.fixture(autouse=True)
def _engine_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "wake", lambda *_: None)


def place_of(actor: Actor) -> Any:
    thing = SimpleNamespace(id="prj_shop", owner=actor.user, project="prj_shop", visibility="team")
    return SimpleNamespace(project=thing, directory=Path("/nowhere/shop"))


def session_of(actor: Actor, **more: Any) -> Session:
    return service.create(actor, place_of(actor), **{"title": "Shop", **more})


def see(actor: Actor, session: Session, visibility: str) -> Session:
    return service.update(actor, session.id, visibility=visibility)


def listed(actor: Actor, **more: Any) -> set[str]:
    return {one.id for one in service.find_page(actor, **more)}


def audited(action: str) -> list[Any]:
    rows = record.audit_rows
    with db.read() as connection:
        return list(connection.scalars(sa.select(rows.c.detail).where(rows.c.action == action).order_by(rows.c.seq)))


def test_its_owner_keeps_it_private_and_opens_it_again(alice: Actor, bob: Actor) -> None:
    eve = member(alice, "Eve")
    session = session_of(bob)
    assert service.get(eve, session.id) == session
    assert see(bob, session, "private").visibility == "private"
    with pytest.raises(NotFound):
        service.get(eve, session.id)
    assert listed(eve) == set()
    assert listed(bob) == {session.id}
    assert service.get(alice, session.id).id == session.id  # the owner of the place sees what others keep private
    assert see(bob, session, "team").visibility == "team"
    assert listed(eve) == {session.id}
    assert audited("session.visibility") == [{"from": "team", "to": "private"}, {"from": "private", "to": "team"}]


def test_saying_the_same_again_writes_nothing(bob: Actor) -> None:
    session = session_of(bob)
    assert see(bob, session, "team") == session
    assert audited("session.visibility") == []


def test_nobody_but_its_owner_says_who_sees_it(alice: Actor, bob: Actor, charlie: Actor) -> None:
    ada = member(alice, "Ada", "admin")
    session = session_of(bob)
    assert service.update(ada, session.id, title="Renamed").title == "Renamed"  # she may write others' sessions
    token = replace(bob, id="tok_1", kind="token", grants=("sessions:read",), token="tok_1")
    agent = replace(bob, kind="agent")
    for actor in (alice, ada, token, agent):
        for wanted in ("private", "team"):
            with pytest.raises(Denied):
                see(actor, session, wanted)
    see(bob, session, "private")
    with pytest.raises(Denied):
        see(alice, session, "team")
    for actor in (ada, charlie):
        with pytest.raises(NotFound):
            see(actor, session, "team")
    assert service.get(bob, session.id).visibility == "private"


@pytest.mark.parametrize("wrong", ["shared", "everybody", ""])
def test_what_is_no_choice_is_refused(bob: Actor, wrong: str) -> None:
    session = session_of(bob)
    with pytest.raises(Invalid):
        see(bob, session, wrong)
    if wrong:
        with pytest.raises(Invalid):
            session_of(bob, visibility=wrong)


def test_an_owners_agent_lists_nothing_that_others_keep_private(alice: Actor, bob: Actor) -> None:
    hidden = session_of(bob, visibility="private")
    token, _secret = accounts.mint_token(alice, "helper", is_agent=True)
    agent = replace(alice, id=token.id, kind="agent", token=token.id)
    assert agent.grants == ("*",)
    assert listed(agent) == set()
    assert service.labels(agent, [hidden.id]) == {}
    assert service.count_by_state(agent) == {}
    assert listed(alice) == {hidden.id}


def test_streams_of_those_who_see_it_no_more_end(alice: Actor, bob: Actor) -> None:
    eve, session = member(alice, "Eve"), session_of(bob)
    hers = events.subscribe(eve, events.latest(), session=session.id)
    his = events.subscribe(bob, events.latest(), session=session.id)
    see(bob, session, "private")
    service.update(bob, session.id, title="A secret plan")
    kinds = []
    for fact in hers.facts(heartbeat=PATIENCE):
        assert fact is not None, "it has not ended"
        kinds.append(fact.event.kind)
        assert "secret" not in str(fact.event)
    assert kinds == ["sessions.hidden"]
    with his:
        seen = []
        for fact in his.facts(heartbeat=PATIENCE):
            assert fact is not None
            seen.append(fact.event.kind)
            if "secret" in str(fact.event):
                break
        else:
            pytest.fail("his own stream has ended")
    assert "sessions.hidden" not in seen  # nothing is hidden from him


def test_streams_of_everything_go_on_without_it(alice: Actor, bob: Actor) -> None:
    eve, session, other = member(alice, "Eve"), session_of(bob), session_of(bob)
    with events.subscribe(eve, events.latest()) as hers:
        see(bob, session, "private")
        service.update(bob, session.id, title="A secret plan")
        service.update(bob, other.id, title="An open plan")
        told = []
        for fact in hers.facts(heartbeat=PATIENCE):
            assert fact is not None
            told.append(fact.event)
            if "open plan" in str(fact.event):
                break
    assert "secret" not in str(told)
    assert [event.kind for event in told][:1] == ["sessions.hidden"]


def test_a_replay_shows_nothing_of_before_either(alice: Actor, bob: Actor) -> None:
    eve, before = member(alice, "Eve"), events.latest()
    session = session_of(bob, title="A secret plan")
    see(bob, session, "private")
    end = session_of(bob, title="The end")
    with events.subscribe(eve, before) as hers:
        told = []
        for fact in hers.facts(heartbeat=PATIENCE):
            assert fact is not None
            told.append(fact)
            if end.id in str(fact.event):
                break
    assert "secret" not in str([fact.event for fact in told])


def test_what_its_agent_asks_follows_it(alice: Actor, bob: Actor, tmp_path: Path) -> None:
    release = accounts.create_role(alice, "release", inherits=["member"], permissions=["others:approvals:answer"])
    eve = member(alice, "Eve", release.name)
    hold = hold_of(bob, tmp_path)
    ask, like_it = runs(hold, "git push"), runs(hold, "git push")
    assert approvals.waiting_ids(eve) == ([ask.id, like_it.id], [])
    see(bob, hold.session, "private")
    assert approvals.waiting_ids(eve) == ([], [])
    assert approvals.waiting_ids(bob) == ([ask.id, like_it.id], [])
    with pytest.raises(NotFound):
        approvals.answer(eve, ask.id, "once")
    with events.subscribe(eve, events.latest()) as hers:
        approvals.answer(bob, ask.id, "always")  # settles others of the session, too
        further = runs(hold, "rm -rf build")
        sentinel = session_of(bob, title="The end")
        for fact in hers.facts(heartbeat=PATIENCE):
            assert fact is not None
            assert ask.id not in str(fact.event)
            assert like_it.id not in str(fact.event)
            assert further.id not in str(fact.event)
            if sentinel.id in str(fact.event):
                break
    see(bob, hold.session, "team")
    assert approvals.waiting_ids(eve) == ([further.id], [])


def test_what_is_withdrawn_is_told_to_those_alone_who_see_it_now(alice: Actor, bob: Actor, tmp_path: Path) -> None:
    eve, hold = member(alice, "Eve"), hold_of(bob, tmp_path)
    ask = runs(hold, "git push")
    see(bob, hold.session, "private")
    with events.subscribe(eve, events.latest()) as hers:
        service.abort(bob, hold.session.id)
        with db.transaction() as connection:
            from app.approvals.service.asking import withdraw

            withdraw(connection, run_id=hold.run_id)  # the room hears of it by itself, too, sooner or later
        assert approvals.get(bob, ask.id).state == "withdrawn"
        sentinel = session_of(bob, title="The end")
        for fact in hers.facts(heartbeat=PATIENCE):
            assert fact is not None
            assert ask.id not in str(fact.event)
            if sentinel.id in str(fact.event):
                break


def test_subagents_are_seen_as_the_session_above_them(alice: Actor, bob: Actor) -> None:
    eve = member(alice, "Eve")
    top = session_of(bob)
    child = session_of(bob, parent_id=top.id)
    below = session_of(bob, parent_id=child.id)
    see(bob, top, "private")
    assert listed(eve) == set()
    for one in (child, below):
        with pytest.raises(NotFound):
            service.get(eve, one.id)
    assert session_of(bob, parent_id=below.id, visibility="team").visibility == "private"
    with pytest.raises(Conflict):
        see(bob, child, "team")
    with pytest.raises(Conflict):
        service.share(bob, child.id)
    see(bob, top, "team")
    assert {top.id, child.id, below.id} < listed(eve)


def test_the_link_of_a_subagent_ends_with_the_session_above_going_private(bob: Actor) -> None:
    top = session_of(bob)
    child = service.share(bob, session_of(bob, parent_id=top.id).id)
    assert service.find_visitor(child.share_slug or "") is not None
    see(bob, top, "private")
    assert service.find_visitor(child.share_slug or "") is None
    assert service.get(bob, child.id).share_slug is None


def test_what_others_began_below_it_stays_theirs_to_show(alice: Actor, bob: Actor) -> None:
    top = session_of(bob)
    hers = session_of(alice, parent_id=top.id)
    see(bob, top, "private")
    assert service.get(alice, hers.id).visibility == "team"
    assert see(alice, hers, "private").visibility == "private"


def test_a_fork_begins_like_any_new_session_but_never_opens_a_private_one(alice: Actor, bob: Actor) -> None:
    session = session_of(bob)
    assert service.fork(bob, place_of(bob), session.id).visibility == "team"
    accounts.change_visibility(bob, "private")
    assert service.fork(bob, place_of(bob), session.id).visibility == "private"
    assert service.fork(alice, place_of(alice), session.id).visibility == "team"
    see(bob, session, "private")
    assert service.fork(alice, place_of(alice), session.id).visibility == "private"


def test_people_and_the_server_have_a_default(alice: Actor, bob: Actor) -> None:
    assert session_of(bob).visibility == "team"
    config.use(replace(config.current(), visibility="private"))
    assert session_of(bob).visibility == "private"
    service.set_server_default(alice, "team")
    assert session_of(bob).visibility == "team"
    service.set_server_default(alice, "private")
    accounts.change_visibility(bob, "team")
    assert session_of(bob).visibility == "team"
    assert session_of(alice).visibility == "private"
    assert session_of(bob, visibility="private").visibility == "private"
    accounts.change_visibility(bob, "")
    service.set_server_default(alice, "")
    config.use(replace(config.current(), visibility="team"))
    assert session_of(bob).visibility == "team"
    assert [detail["value"] for detail in audited("settings.set")] == ["team", "private", ""]
    assert audited("user.visibility") == [{"visibility": "team"}, {"visibility": ""}]


def test_who_may_set_the_servers_default(alice: Actor, bob: Actor, charlie: Actor) -> None:
    for actor in (bob, charlie, replace(alice, kind="agent")):
        with pytest.raises((Denied, NotFound)):
            service.set_server_default(actor, "private")
    with pytest.raises(Invalid):
        service.set_server_default(alice, "shared")
    with pytest.raises(Invalid):
        accounts.change_visibility(bob, "shared")
    assert settings.choice("visibility") == ""


def test_the_setting_is_team_or_private() -> None:
    assert config.Config.from_environ({}).visibility == "team"
    assert config.Config.from_environ({"SIGNALCABIN_VISIBILITY": "private"}).visibility == "private"
    with pytest.raises(Invalid, match="VISIBILITY"):
        config.Config.from_environ({"SIGNALCABIN_VISIBILITY": "shared"})


def test_lists_are_filtered_by_who_sees_it(alice: Actor, bob: Actor) -> None:
    open_one, hidden = session_of(bob), session_of(bob, visibility="private")
    shared = service.share(bob, session_of(bob).id)
    assert listed(bob, seen="private") == {hidden.id}
    assert listed(bob, seen="team") == {open_one.id}
    assert listed(bob, seen="shared") == {shared.id}
    assert listed(bob, seen="nonsense") == {open_one.id, hidden.id, shared.id}
    assert listed(member(alice, "Eve"), seen="private") == set()


def test_a_link_opens_a_private_session_to_the_team_and_gives_it_back(alice: Actor, bob: Actor) -> None:
    eve, session = member(alice, "Eve"), session_of(bob, visibility="private")
    shared = service.share(bob, session.id)
    assert shared.visibility == "shared"
    assert listed(eve) == {session.id}
    ended = service.unshare(bob, session.id)
    assert (ended.visibility, ended.share_slug) == ("private", None)
    assert listed(eve) == set()


@pytest.mark.parametrize("wanted", ["private", "team"])
def test_another_choice_ends_the_link(bob: Actor, wanted: str) -> None:
    session = service.share(bob, session_of(bob).id)
    found = service.find_visitor(session.share_slug or "")
    assert found is not None
    stream = service.follow_shared(found[0], None)
    assert stream is not None
    now = see(bob, session, wanted)
    assert (now.visibility, now.share_slug, now.share) == (wanted, None, None)
    for fact in stream.facts(heartbeat=PATIENCE):
        assert fact is not None, "it has not ended"
    assert service.find_visitor(session.share_slug or "") is None


def test_nobody_opens_what_another_keeps_private(alice: Actor, bob: Actor) -> None:
    session = session_of(bob, visibility="private")
    with pytest.raises(Denied):
        service.share(alice, session.id)
    assert service.get(bob, session.id).share_slug is None


def test_a_link_with_an_end_opens_nothing_after_it(bob: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    now = ids.now()
    session = service.share(bob, session_of(bob, visibility="private").id, until=now + DAY)
    slug = session.share_slug or ""
    assert session.share_until == now + DAY
    assert service.share(bob, session.id) == session
    found = service.find_visitor(slug)
    assert found is not None
    stream = service.follow_shared(found[0], None)
    assert stream is not None
    monkeypatch.setattr(ids, "now", lambda: now + DAY)
    assert service.find_visitor(slug) is None  # whether or not it was swept up
    service.end_shares()
    ended = service.get(bob, session.id)
    assert (ended.share_slug, ended.share_until, ended.visibility) == (None, None, "private")
    for fact in stream.facts(heartbeat=PATIENCE):
        assert fact is not None, "it has not ended"
    assert len(audited("session.unshare")) == 1
    service.end_shares()
    assert len(audited("session.unshare")) == 1


def test_an_end_is_changed_and_taken_away(bob: Actor) -> None:
    now = ids.now()
    session = service.share(bob, session_of(bob).id, output=True)
    assert service.share_of(session) == replace(service.share_of(session), until=None)  # type: ignore[type-var]
    ended = service.share(bob, session.id, until=now + DAY)
    share = service.share_of(ended)
    assert share is not None
    assert (share.until, share.output, ended.share_slug) == (now + DAY, True, session.share_slug)
    endless = service.share(bob, session.id, until=None)
    assert (endless.share_until, endless.share_slug) == (None, session.share_slug)
    assert [detail.get("until") for detail in audited("session.share")] == [None, now + DAY, None]
    for wrong in (now - 1, now + 400 * DAY):
        with pytest.raises(Invalid):
            service.share(bob, session.id, until=wrong)


def test_after_its_end_another_address_is_given(bob: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    now = ids.now()
    session = service.share(bob, session_of(bob).id, until=now + DAY)
    monkeypatch.setattr(ids, "now", lambda: now + DAY + 1)
    again = service.share(bob, session.id)
    assert again.share_slug not in (None, session.share_slug)
    assert again.share_until is None


def test_two_changes_at_once_leave_one_of_them(bob: Actor) -> None:
    session = session_of(bob)
    children = [session_of(bob, parent_id=session.id) for _ in range(3)]
    begin = threading.Barrier(8)

    def change(number: int) -> None:
        begin.wait()
        see(bob, session, "private" if number % 2 else "team")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(change, range(8)))
    now = service.get(bob, session.id).visibility
    assert {service.get(bob, child.id).visibility for child in children} == {now}
    told = record.events.c.visibility
    query = sa.select(told).where(record.events.c.kind != "sessions.hidden").distinct()
    with db.read() as connection:
        assert connection.scalars(query).all() == [now]


def test_what_a_run_writes_meanwhile_is_never_told_to_those_who_see_it_no_more(bob: Actor, tmp_path: Path) -> None:
    for _ in range(3):  # a person has no more places for runs
        hold = hold_of(bob, tmp_path)
        begin = threading.Barrier(2)

        def write(hold: Any = hold, begin: threading.Barrier = begin) -> None:
            begin.wait()
            for _ in range(10):
                service.add_message(hold, {"parentID": ""})

        def hide(hold: Any = hold, begin: threading.Barrier = begin) -> None:
            begin.wait()
            see(bob, hold.session, "private")

        with ThreadPoolExecutor(2) as pool:
            for work in [pool.submit(write), pool.submit(hide)]:
                work.result()
        rows = record.events
        mine = (rows.c.session_id == hold.session.id, rows.c.kind != "sessions.hidden")
        with db.read() as connection:
            told = connection.execute(
                sa.select(rows.c.kind, rows.c.seq).where(*mine, rows.c.visibility != "private")
            ).all()
        assert told == []
