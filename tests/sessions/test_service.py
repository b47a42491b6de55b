from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import sqlalchemy as sa

from app import db, dispatch, ids, record
from app.accounts.grants import ROLES
from app.actor import Actor
from app.errors import Conflict, Denied, Invalid, NotFound, Problem
from app.sessions import models, service
from app.sessions.service import Aborted, Fenced, Hold, Session, owners, runs
from tests.patience import PATIENCE

TEXT = [{"type": "text", "text": "Fix the basket\nplease"}]
TOOL = {"callID": "call_1", "tool": "bash", "state": {"status": "running", "input": {"command": "sleep 9"}}}


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that would be woken: no engine runs here."""
    found: list[str] = []
    monkeypatch.setattr(dispatch, "wake", lambda _name, run_id: found.append(run_id))
    return found


def place(actor: Actor, project: str = "prj_shop", visibility: str = "team") -> Any:
    thing = SimpleNamespace(id=project, owner=actor.user, project=project, visibility=visibility)
    return SimpleNamespace(project=thing, directory=Path("/nowhere/shop"))


def session_of(actor: Actor, **more: Any) -> Session:
    return service.create(actor, place(actor), **more)


def prompt(actor: Actor, session: Session, text: str = "go", **more: Any) -> str:
    _, run_id = service.send(actor, session.id, [{"type": "text", "text": text}], **more)
    assert run_id is not None
    return run_id


def taken(run_id: str) -> Hold:
    hold = service.take(run_id)
    assert hold is not None
    return hold


def running(actor: Actor) -> Hold:
    return taken(prompt(actor, session_of(actor)))


def run_of(run_id: str) -> Any:
    with db.read() as connection:
        return connection.execute(sa.select(models.runs).where(models.runs.c.id == run_id)).one()


def expire(run_id: str, **more: Any) -> None:
    with db.transaction() as connection:
        values = {"lease_until": ids.now() - 1, **more}
        connection.execute(models.runs.update().where(models.runs.c.id == run_id).values(**values))


def kinds(session_id: str) -> list[str]:
    with db.read() as connection:
        query = sa.select(record.events.c.kind).where(record.events.c.session_id == session_id)
        return list(connection.scalars(query.order_by(record.events.c.seq)))


def answer(hold: Hold, **data: Any) -> service.Message:
    return service.add_message(hold, {"parentID": hold.run.message_id, **data})


def text_part(hold: Hold, message_id: str) -> service.Part:
    return service.add_part(hold, message_id, "text", {"text": "", "time": {"start": ids.now()}})


def test_a_session_begins_idle_with_a_title_of_its_own(alice: Actor) -> None:
    session = session_of(alice)
    assert (session.state, session.owner, session.project) == ("idle", alice.user, "prj_shop")
    assert session.title.startswith("New session - ")
    assert kinds(session.id) == ["sessions.created", "sessions.updated"]
    assert service.get(alice, session.id) == session


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Fix the basket\nplease", "Fix the basket"),
        ("\n  \n  Second line  ", "Second line"),
        ("word " * 40, "word " * 15 + "word…"),
        ("x" * 100, "x" * 80 + "…"),
        ("a\0b", "a\ufffdb"),
        ("   ", "Untitled"),
    ],
)
def test_the_first_prompt_gives_the_title(alice: Actor, text: str, title: str) -> None:
    session = session_of(alice)
    prompt(alice, session, text)
    assert service.get(alice, session.id).title == title
    prompt(alice, session, "something else")
    assert service.get(alice, session.id).title == title


def test_a_given_title_stays(alice: Actor) -> None:
    session = session_of(alice, title="Basket")
    prompt(alice, session)
    assert service.get(alice, session.id).title == "Basket"


@pytest.mark.parametrize(
    "values",
    [
        {"title": "  "},
        {"visibility": "everybody"},
        {"mode": "m" * 65},
        {"provider": "p" * 65},
        {"model": "m" * 129},
        {"preset": "p" * 33},
    ],
)
def test_it_refuses_what_a_session_cannot_hold(alice: Actor, values: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        session_of(alice, **values)
    session = session_of(alice)
    with pytest.raises(Invalid):
        service.update(alice, session.id, **values)
    assert service.get(alice, session.id) == session


def test_it_archives_and_brings_back(alice: Actor) -> None:
    session = session_of(alice)
    assert service.update(alice, session.id, archived=5).archived == 5
    assert service.find_page(alice, archived=False) == []
    assert service.update(alice, session.id, archived=0).archived is None


def test_members_read_the_sessions_of_the_team_and_strangers_none(alice: Actor, bob: Actor, charlie: Actor) -> None:
    session = session_of(alice)
    assert service.get(bob, session.id).id == session.id
    denied: list[Callable[[], Any]] = [
        lambda: service.update(bob, session.id, title="x"),
        lambda: service.delete(bob, session.id),
        lambda: service.send(bob, session.id, TEXT),
        lambda: service.abort(bob, session.id),
    ]
    for verb in denied:
        with pytest.raises(Denied):
            verb()
    hidden: list[Callable[[], Any]] = [
        lambda: service.get(charlie, session.id),
        lambda: service.transcript(charlie, session.id),
        lambda: service.send(charlie, session.id, TEXT),
    ]
    for verb in hidden:
        with pytest.raises(NotFound):
            verb()
    with pytest.raises(Denied):
        service.find_page(charlie)


def test_a_private_session_is_its_owners_alone(alice: Actor, bob: Actor) -> None:
    session = session_of(bob, visibility="private")
    admin = Actor("usr_ada", "user", "usr_ada", "Ada", ROLES["admin"])
    with pytest.raises(NotFound):
        service.get(admin, session.id)
    assert service.find_page(admin) == []
    assert service.get_many(admin, [session.id]) == {}
    assert service.get(alice, session.id).id == session.id  # the installation's owner sees all
    assert [found.id for found in service.find_page(bob)] == [session.id]


def test_a_token_of_one_project_sees_and_begins_nothing_elsewhere(alice: Actor) -> None:
    token = replace(alice, kind="token", project="prj_other", token="tok_1")
    session = session_of(alice)
    with pytest.raises(NotFound):
        service.get(token, session.id)
    assert service.find_page(token) == []
    with pytest.raises(NotFound):
        session_of(token)
    assert service.create(token, place(alice, "prj_other")).project == "prj_other"


def test_nobody_begins_a_session_in_a_project_they_cannot_see(alice: Actor, bob: Actor) -> None:
    with pytest.raises(NotFound):
        service.create(bob, place(alice, visibility="private"))
    assert service.create(bob, place(alice)).owner == bob.user


def test_a_child_needs_the_right_to_write_to_its_parent(alice: Actor, bob: Actor) -> None:
    parent = session_of(alice)
    with pytest.raises(Denied):
        service.create(bob, place(alice), parent_id=parent.id)
    child = session_of(alice, parent_id=parent.id)
    assert child.title.startswith("Child session - ")
    assert [found.id for found in service.children(alice, parent.id)] == [child.id]


def test_an_agent_widens_no_rights(alice: Actor) -> None:
    hold = running(alice)
    for change in ({"preset": "auto"}, {"visibility": "shared"}):
        with pytest.raises(Denied):
            service.update(hold.actor, hold.session.id, **change)
    assert service.update(hold.actor, hold.session.id, model="other").model == "other"


def test_changing_the_visibility_changes_what_was_told_and_what_will_be(alice: Actor) -> None:
    hold = running(alice)
    service.update(alice, hold.session.id, visibility="private")
    message = answer(hold)
    part = text_part(hold, message.id)
    service.update(alice, hold.session.id, visibility="team")
    service.update(alice, hold.session.id, visibility="private")
    service.append_text(hold, part, "secret", 6).result(PATIENCE)
    with db.read() as connection:
        kind, told_to = record.events.c.kind, record.events.c.visibility
        scopes = connection.scalars(sa.select(told_to).where(kind != "sessions.hidden").distinct()).all()
        farewells = connection.scalars(sa.select(record.events.c.data).where(kind == "sessions.hidden")).all()
    assert scopes == ["private"]
    assert farewells == [{"session_id": hold.session.id}] * 2


def test_pages_neither_lose_nor_double_a_session_of_the_same_moment(
    alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ids, "now", lambda: 1_700_000_000_000)
    made = {session_of(alice).id for _ in range(7)}
    seen: list[str] = []
    before: tuple[int, str] | None = None
    while page := service.find_page(alice, limit=2, before=before):
        seen += [session.id for session in page]
        before = (page[-1].updated, page[-1].id)
    assert len(seen) == 7
    assert set(seen) == made


def test_pages_come_newest_changed_first_and_filtered(alice: Actor) -> None:
    first, second = session_of(alice, title="100% done"), session_of(alice, title="Other")
    service.update(alice, first.id, title="100% done now")
    assert [found.id for found in service.find_page(alice)] == [first.id, second.id]
    assert [found.id for found in service.find_page(alice, words="100%")] == [first.id]
    assert service.find_page(alice, words="1_0") == []
    prompt(alice, second)
    assert service.busy_ids(alice) == {second.id: "queued"}
    assert [found.id for found in service.find_page(alice, words="GO", in_messages=True)] == [second.id]


def test_deleting_takes_children_and_all_data(alice: Actor) -> None:
    hold = running(alice)
    child = session_of(alice, parent_id=hold.session.id)
    prompt(alice, child)
    answer(hold)
    service.delete(alice, hold.session.id)
    for gone in (hold.session.id, child.id):
        with pytest.raises(NotFound):
            service.get(alice, gone)
        assert kinds(gone)[-1] == "sessions.deleted"
    with db.read() as connection:
        for table in (models.messages, models.parts, models.runs):
            assert connection.scalar(sa.select(sa.func.count()).select_from(table)) == 0
    with pytest.raises(Fenced):
        answer(hold)


def test_a_prompt_is_queued_with_its_message(alice: Actor, woken: list[str]) -> None:
    session = session_of(alice)
    message, run_id = service.send(alice, session.id, TEXT, mode="plan", provider="demo", model="walkthrough")
    assert run_id is not None
    assert woken == [run_id]
    run = run_of(run_id)
    assert (run.state, run.mode, run.model, run.fence) == ("queued", "plan", "walkthrough", 0)
    stored = service.message(alice, session.id, message.id)
    assert stored.parts[0].data == {"text": TEXT[0]["text"]}
    assert stored.data["model"] == {"providerID": "demo", "modelID": "walkthrough"}
    assert service.get(alice, session.id).state == "queued"
    assert kinds(session.id)[2:] == ["sessions.message_updated", "sessions.part_updated", "sessions.updated"]


def test_a_prompt_without_a_reply_runs_nothing(alice: Actor, woken: list[str]) -> None:
    session = session_of(alice)
    assert service.send(alice, session.id, TEXT, no_reply=True)[1] is None
    assert service.get(alice, session.id).state == "idle"
    assert woken == []


def test_clients_may_make_ids_but_never_twice(alice: Actor, bob: Actor) -> None:
    session = session_of(alice)
    parts = [{"type": "text", "text": "a", "id": "prt_mine"}]
    message, _ = service.send(alice, session.id, parts, message_id="msg_mine")
    assert (message.id, message.parts[0].id) == ("msg_mine", "prt_mine")
    before = service.transcript(alice, session.id)
    for message_id, part_id in (("msg_mine", "prt_other"), ("msg_other", "prt_mine")):
        with pytest.raises(Conflict):
            service.send(alice, session.id, [{"type": "text", "text": "b", "id": part_id}], message_id=message_id)
    twice = [{"type": "text", "text": "b", "id": "prt_two"}] * 2
    with pytest.raises(Conflict):
        service.send(bob, session_of(bob).id, twice)
    assert service.transcript(alice, session.id) == before


@pytest.mark.parametrize(
    ("message_id", "part_id"),
    [
        ("prt_1", None),
        ("msg/../x", None),
        ("msg_" + "x" * 40, None),
        (None, "msg_1"),
        (None, "prt 1"),
        ("", None),
    ],
)
def test_it_refuses_ids_of_another_form(alice: Actor, message_id: str | None, part_id: str | None) -> None:
    part = {"type": "text", "text": "a", **({"id": part_id} if part_id else {})}
    with pytest.raises(Invalid):
        service.send(alice, session_of(alice).id, [part], message_id=message_id)


def test_reverted_messages_leave_with_the_next_prompt(alice: Actor) -> None:
    session = session_of(alice)
    texts = [{"type": "text", "text": word} for word in ("keep", "drop")]
    first, _ = service.send(alice, session.id, texts, no_reply=True)
    second, _ = service.send(alice, session.id, TEXT, no_reply=True)
    service.set_revert(alice, session.id, {"messageID": first.id, "partID": first.parts[1].id})
    assert len(service.transcript(alice, session.id)) == 2
    third, _ = service.send(alice, session.id, TEXT, no_reply=True)
    left = service.transcript(alice, session.id)
    assert [message.id for message in left] == [first.id, third.id]
    assert [part.data["text"] for part in left[0].parts] == ["keep"]
    assert service.get(alice, session.id).revert is None
    assert "sessions.message_removed" in kinds(session.id)
    with pytest.raises(NotFound):
        service.message(alice, session.id, second.id)


def test_a_busy_session_is_not_reverted(alice: Actor) -> None:
    hold = running(alice)
    with pytest.raises(Conflict):
        service.set_revert(alice, hold.session.id, {"messageID": hold.run.message_id})


def test_one_run_of_a_session_lives_at_a_time_in_the_order_of_prompts(alice: Actor, woken: list[str]) -> None:
    session = session_of(alice)
    first, second = prompt(alice, session), prompt(alice, session)
    assert service.queued() == [first]
    assert service.take(second) is None
    hold = taken(first)
    assert (hold.fence, hold.session.state) == (1, "running")
    assert service.take(first) is None
    assert service.take(second) is None
    assert service.queued() == []
    with pytest.raises(sa.exc.IntegrityError), db.transaction() as connection:
        connection.execute(models.runs.update().where(models.runs.c.id == second).values(state="running"))
    woken.clear()
    service.finish(hold, "completed")
    assert woken == [second]
    assert service.get(alice, session.id).state == "queued"
    service.finish(taken(second), "completed")
    assert service.get(alice, session.id).state == "idle"
    assert kinds(session.id).count("sessions.idle") == 1


def test_a_run_sees_no_prompt_that_waits_for_its_own(alice: Actor) -> None:
    hold = running(alice)
    later, _ = service.send(alice, hold.session.id, TEXT)
    noted, _ = service.send(alice, hold.session.id, TEXT, no_reply=True)
    assert [message.id for message in service.transcript_of(hold)] == [hold.run.message_id, noted.id]
    assert later.id in [message.id for message in service.transcript(alice, hold.session.id)]


def test_a_zombie_writes_nothing(alice: Actor) -> None:
    zombie = running(alice)
    message = answer(zombie)
    part = text_part(zombie, message.id)
    service.append_text(zombie, part, "seen", 4).result(PATIENCE)
    expire(zombie.run_id)
    assert service.end_lost_leases() == 1
    new = taken(zombie.run_id)
    assert new.fence > zombie.fence
    before = service.transcript(alice, zombie.session.id)
    with pytest.raises(Fenced):
        service.append_text(zombie, part, " unseen", 11).result(PATIENCE)
    writes: list[Callable[[], Any]] = [
        lambda: answer(zombie),
        lambda: text_part(zombie, message.id),
        lambda: service.save_part(zombie, part),
        lambda: service.save_message(zombie, message, completed=True),
        lambda: service.add_usage(zombie, 1.0, {}),
        lambda: service.set_todos(zombie, []),
        lambda: service.close_message(zombie, message, None, "x"),
        lambda: service.finish(zombie, "completed"),
        lambda: service.release(zombie),
        lambda: service.wait(zombie, lambda _: True),
        lambda: service.say_busy(zombie),
    ]
    for write in writes:
        with pytest.raises(Fenced):
            write()
    assert service.transcript(alice, zombie.session.id) == before
    assert not service.beat(zombie)
    assert zombie.cancelled.is_set()
    assert service.beat(new)
    answer(new)


def test_whoever_holds_a_deleted_run_is_told_at_its_next_read(alice: Actor) -> None:
    hold = running(alice)
    message = answer(hold)
    service.delete(alice, hold.session.id)
    with pytest.raises(Fenced):
        service.transcript_of(hold)
    with pytest.raises(Fenced):
        service.refresh(hold, message)


def test_a_lease_that_is_kept_up_is_not_lost(alice: Actor) -> None:
    hold = running(alice)
    expire(hold.run_id)
    assert service.beat(hold)
    assert service.end_lost_leases() == 0
    assert run_of(hold.run_id).lease_until > ids.now()


def test_a_lost_run_goes_on_and_three_losses_at_one_step_end_it(alice: Actor, woken: list[str]) -> None:
    hold = running(alice)
    message = answer(hold)
    service.add_part(hold, message.id, "tool", TOOL)
    for _ in range(2):
        woken.clear()
        expire(hold.run_id)
        assert service.end_lost_leases() == 1
        assert woken == [hold.run_id]
        assert service.get(alice, hold.session.id).state == "queued"
        taken(hold.run_id)
    expire(hold.run_id)
    assert service.end_lost_leases() == 1
    assert run_of(hold.run_id).state == "interrupted"
    assert service.get(alice, hold.session.id).state == "failed"
    closed = service.message(alice, hold.session.id, message.id)
    assert closed.completed
    assert "three times" in closed.data["error"]["data"]["message"]
    assert closed.parts[0].data["state"]["status"] == "error"


def test_a_finished_step_forgets_the_losses_before_it(alice: Actor) -> None:
    hold = running(alice)
    for _ in range(3):
        expire(hold.run_id, takeovers=1)
        service.end_lost_leases()
        hold = taken(hold.run_id)
        assert hold.run.takeovers == 2
        service.save_message(hold, answer(hold), completed=True)
        assert run_of(hold.run_id).takeovers == 0


def test_a_dead_owners_runs_are_taken_back_at_once(alice: Actor) -> None:
    hold = running(alice)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    born = int(psutil.Process(child.pid).create_time())
    owner = f"{owners.host()}|{child.pid}|{born}|aaaaaaaa"
    expire(hold.run_id, lease_owner=owner, lease_until=ids.now() + 60_000)
    assert service.end_dead_leases() == 0
    assert child.stdin is not None
    child.stdin.close()
    process = psutil.Process(child.pid)
    gone = threading.Event()
    while process.status() != psutil.STATUS_ZOMBIE:
        gone.wait(0.002)  # nobody tells when a child that is not waited for has ended
    assert service.end_dead_leases() == 1
    child.wait()
    assert run_of(hold.run_id).state == "queued"


@pytest.mark.parametrize(("pid", "born", "count"), [(1, 0, 1), (999_999_999, 0, 1)])
def test_a_pid_that_is_somebody_elses_now_is_dead(alice: Actor, pid: int, born: int, count: int) -> None:
    hold = running(alice)
    expire(hold.run_id, lease_owner=f"{owners.host()}|{pid}|{born}|aaaaaaaa", lease_until=ids.now() + 60_000)
    assert service.end_dead_leases() == count


def test_other_hosts_leases_and_our_own_stay(alice: Actor) -> None:
    hold = running(alice)
    assert service.end_dead_leases() == 0
    expire(hold.run_id, lease_owner="another-host|1|0|aaaaaaaa", lease_until=ids.now() + 60_000)
    assert service.end_dead_leases() == 0
    assert len(owners.name()) <= 80


def test_a_waiting_run_holds_nothing_until_its_answer(alice: Actor, woken: list[str]) -> None:
    hold = running(alice)
    assert service.wait(hold, lambda _: True)
    run = run_of(hold.run_id)
    assert (run.state, run.lease_owner, run.lease_until) == ("waiting", None, None)
    assert service.get(alice, hold.session.id).state == "waiting"
    woken.clear()
    with db.transaction() as connection:
        assert service.requeue(connection, hold.run_id)
        assert not service.requeue(connection, hold.run_id)
    assert woken == [hold.run_id]
    assert taken(hold.run_id).fence == hold.fence + 1


def test_an_answer_that_comes_before_the_wait_is_not_slept_through(alice: Actor) -> None:
    hold = running(alice)
    with db.transaction() as connection:
        assert not service.requeue(connection, hold.run_id)
    assert not service.wait(hold, lambda _: False)
    assert run_of(hold.run_id).state == "running"


def test_stopping_tells_the_running_one_and_ends_the_queued(alice: Actor) -> None:
    hold = running(alice)
    queued = prompt(alice, hold.session)
    assert service.abort(alice, hold.session.id)
    assert run_of(queued).state == "aborted"
    assert service.get(alice, hold.session.id).state == "running"
    assert "sessions.idle" not in kinds(hold.session.id)
    assert not hold.cancelled.is_set()
    answer(hold)  # whatever it writes next tells it
    assert hold.cancelled.is_set()
    service.finish(hold, "aborted", runs.ABORTED)
    assert kinds(hold.session.id)[-3:] == ["sessions.updated", "sessions.run_ended", "sessions.idle"]
    assert not service.abort(alice, hold.session.id)


def test_a_waiting_run_is_stopped_at_once(alice: Actor) -> None:
    hold = running(alice)
    message = answer(hold)
    service.add_part(hold, message.id, "tool", TOOL)
    service.wait(hold, lambda _: True)
    assert service.abort(alice, hold.session.id)
    assert run_of(hold.run_id).state == "aborted"
    closed = service.message(alice, hold.session.id, message.id)
    assert closed.data["error"]["name"] == "MessageAbortedError"
    assert closed.parts[0].data["state"]["error"] == "Tool execution aborted"
    assert service.get(alice, hold.session.id).state == "idle"


@pytest.mark.parametrize("leave", [lambda hold: service.wait(hold, lambda _: True), service.release])
def test_a_stopped_run_neither_waits_nor_is_queued_again(alice: Actor, leave: Callable[[Hold], Any]) -> None:
    hold = running(alice)
    service.abort(alice, hold.session.id)
    with pytest.raises(Aborted):
        leave(hold)
    assert run_of(hold.run_id).state == "running"


def test_a_stop_that_its_engine_never_heard_holds_after_its_death(alice: Actor) -> None:
    hold = running(alice)
    message = answer(hold)
    service.abort(alice, hold.session.id)
    expire(hold.run_id)
    service.end_lost_leases()
    assert run_of(hold.run_id).state == "aborted"
    assert service.message(alice, hold.session.id, message.id).completed


def test_figures_add_up_and_the_last_context_counts(alice: Actor) -> None:
    hold = running(alice)
    step = {"input": 10, "output": 5, "reasoning": 1, "cache": {"read": 3, "write": 2}}
    service.add_usage(hold, 0.25, step)
    service.add_usage(hold, 0.5, step)
    session = service.get(alice, hold.session.id)
    assert session.cost == 0.75
    assert session.tokens == {
        "input": 20,
        "output": 10,
        "reasoning": 2,
        "cache": {"read": 6, "write": 4},
        "context": 18,
    }


def test_a_person_who_stops_is_told_of_by_any_write(alice: Actor) -> None:
    hold = running(alice)
    told = threading.Event()
    forget = hold.on_cancel(told.set)
    service.abort(alice, hold.session.id)
    service.beat(hold)
    assert told.is_set()
    forget()


def test_problems_say_what_is_unknown(alice: Actor) -> None:
    for verb in (service.get, service.delete, service.transcript, service.abort):
        with pytest.raises(Problem, match="ses_none"):
            verb(alice, "ses_none")
