"""A change of somebody's rights acts on what they hold open, in every process."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from app import db, dispatch, record, remembered
from app.accounts import service as accounts
from app.accounts.events import RightsChanged
from app.actor import Actor, Credentials, Scope
from app.dialects.mount import Cabin
from app.errors import NotFound, Unavailable
from app.events import service
from app.files import service as files
from app.files import watching
from app.processes import service as processes
from app.projects import service as projects
from app.sessions import service as sessions
from app.terminals import service as terminals
from tests.conftest import Caller, member
from tests.patience import PATIENCE
from tests.visitor import until


def ends(subscription: service.Subscription) -> threading.Thread:
    """A thread that lasts as long as the subscription does."""

    def follow() -> None:
        for _fact in subscription.facts(heartbeat=None):
            pass

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    return thread


def heard(alice: Actor) -> None:
    """Return once the hub has handed on all that was committed by now: what it reads, it reads in order."""
    with service.subscribe(alice) as following:
        session = sessions.create(alice, projects.resolve(alice, None), title="A mark")
        next(fact for fact in following.facts() if fact and getattr(fact.event, "session_id", "") == session.id)


def test_open_streams_of_the_person_and_their_tokens_end_and_those_of_others_go_on(
    app: Cabin, alice: Actor, bob: Actor
) -> None:
    _, secret = accounts.mint_token(bob, "laptop")
    token = accounts.authenticate(Credentials(bearer=secret))
    assert token is not None
    theirs = [ends(service.subscribe(bob)), ends(service.subscribe(token))]
    other = service.subscribe(alice)
    accounts.set_roles(alice, bob.id, ["viewer"])
    for thread in theirs:
        thread.join(PATIENCE)
    assert [thread.is_alive() for thread in theirs] == [False, False]
    place = projects.resolve(alice, None)
    sessions.create(alice, place, title="After it")
    assert next(fact for fact in other.facts() if fact and fact.event.kind.startswith("sessions."))
    other.close()


def test_the_next_request_has_the_rights_of_now(app: Cabin, alice: Actor, bob: Actor) -> None:
    call = Caller(app, bob)
    assert call.post("/session", {}).status_code == 200
    accounts.set_roles(alice, bob.id, ["viewer"])
    assert call.post("/session", {}).status_code == 403
    assert call.get("/session").status_code == 200
    accounts.set_roles(alice, bob.id, [])
    assert call.get("/session").status_code == 403
    accounts.create_role(alice, "again", inherits=["member"])
    accounts.assign_role(alice, bob.id, "again")
    assert call.post("/session", {}).status_code == 200
    accounts.update_role(alice, "again", inherits=["viewer"])
    assert call.post("/session", {}).status_code == 403


def test_what_another_process_changed_is_known_here_by_its_event(
    app: Cabin, alice: Actor, bob: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process is played by a transaction after which this one forgets nothing by itself."""
    monkeypatch.setattr(remembered, "SECONDS", 10 * PATIENCE)
    call = Caller(app, bob)
    assert call.post("/session", {}).status_code == 200
    with db.transaction() as conn:
        conn.exec_driver_sql("DELETE FROM role_assignment WHERE user_id = ?", (bob.id,))
    assert call.post("/session", {}).status_code == 200
    with db.transaction() as conn:
        record.event(conn, RightsChanged(bob.id), Scope(bob.id, "", "private"))
    until(lambda: call.post("/session", {}).status_code == 403)


def test_terminals_and_commands_end_with_the_right_to_them(app: Cabin, alice: Actor, bob: Actor) -> None:
    place = projects.resolve(bob, None)
    terminal = terminals.create(bob, place, command=("cat",))
    command = processes.start(bob, place, ("cat",))
    accounts.assign_role(alice, bob.id, "viewer")
    heard(alice)
    assert (terminal.ended, command.ended) == (None, None)
    accounts.set_roles(alice, bob.id, ["viewer"])
    until(lambda: terminal.ended is not None and command.ended is not None)


def test_whoever_watches_a_terminal_is_let_go_while_it_goes_on(app: Cabin, alice: Actor, bob: Actor) -> None:
    place = projects.resolve(alice, None)
    terminal = terminals.create(alice, place, command=("cat",))
    ended = threading.Event()
    watched = terminals.watch(bob, terminal.id)
    watched.pour(lambda _words: None, ended.set)
    accounts.set_roles(alice, bob.id, [])
    assert ended.wait(PATIENCE)
    assert terminal.ended is None


def test_who_may_not_read_files_any_more_is_told_no_more_of_them(app: Cabin, alice: Actor, bob: Actor) -> None:
    place = projects.resolve(bob, None)
    followed = files.watch(bob, place, ".")
    asked = files.create_watcher(bob, place, ".")
    accounts.set_roles(alice, bob.id, ["viewer"])
    until(lambda: followed.is_over)
    (Path(place.directory) / "new.txt").write_text("new\n")
    until(lambda: bool(files.watcher_events(bob, asked)))
    kept = watching._kept[asked].watch
    accounts.set_roles(alice, bob.id, [])
    until(lambda: kept.is_over)


def begun(actor: Actor) -> sessions.Hold:
    """A run of somebody's that an engine has taken."""
    session = sessions.create(actor, projects.resolve(actor, None), title="At work", provider="demo", model="demo")
    _message, run_id = sessions.send(actor, session.id, [{"type": "text", "text": "Go on"}])
    hold = sessions.take(run_id or "")
    assert hold is not None
    return hold


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are taken by the test alone."""
    real = dispatch.wake
    monkeypatch.setattr(dispatch, "wake", lambda name, *given: None if name == "agent.advance" else real(name, *given))


def is_stopped(hold: sessions.Hold) -> bool:
    with db.read() as conn:
        query = "SELECT abort FROM run WHERE id = ?"
        return bool(conn.exec_driver_sql(query, (hold.run_id,)).scalar_one())


def test_agents_stop_once_their_person_may_run_none_and_go_on_as_long_as_they_may(
    app: Cabin, alice: Actor, bob: Actor, no_engine: None
) -> None:
    mine, theirs = begun(alice), begun(bob)
    accounts.assign_role(alice, bob.id, "viewer")
    heard(alice)
    assert not is_stopped(theirs)
    accounts.set_roles(alice, bob.id, ["viewer"])
    until(lambda: is_stopped(theirs))
    assert not is_stopped(mine)


def test_agents_stop_when_their_person_is_removed(app: Cabin, alice: Actor, bob: Actor, no_engine: None) -> None:
    hold = begun(bob)
    accounts.revoke_user(alice, bob.id)
    until(lambda: is_stopped(hold))


def test_an_agent_holds_no_more_than_its_person(app: Cabin, alice: Actor, bob: Actor, no_engine: None) -> None:
    assert "tool:*" in begun(bob).actor.grants
    accounts.create_role(alice, "talkers", inherits=["base"], permissions=["sessions:*", "projects:read", "tool:read"])
    accounts.set_roles(alice, bob.id, ["talkers"])
    now = accounts.acting_for(bob.id, "system")
    assert now is not None
    grants = begun(now).actor.grants
    assert ("tool:read" in grants, "tool:*" in grants, "files:*" in grants) == (True, False, False)


def test_who_came_with_more_than_they_hold_by_now_opens_nothing(app: Cabin, alice: Actor, bob: Actor) -> None:
    place = projects.resolve(alice, None)
    terminal = terminals.create(alice, place)
    accounts.set_roles(alice, bob.id, ["viewer"])
    with pytest.raises(Unavailable):
        service.subscribe(bob)
    with pytest.raises(NotFound):
        files.watch(bob, place, ".")
    with pytest.raises(NotFound):
        terminals.attach(bob, terminal)
    gone = member(alice, "Gone")
    accounts.revoke_user(alice, gone.id)
    with pytest.raises(Unavailable):
        service.subscribe(gone)
    now = accounts.acting_for(bob.user, "system")
    assert now is not None
    service.subscribe(now).close()
    files.watch(now, place, ".").close()
    terminals.attach(now, terminal).close()
