"""What is set at the same time: nothing is lost, and one name is given once, on either database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app import config, dispatch, ids
from app.actor import Actor
from app.agent import auto_approve, followups, profiles, tasks
from app.approvals import service as approvals
from app.approvals.service import Call
from app.db import Database
from app.errors import Conflict, Invalid
from app.projects import service as projects
from app.projects.service import Place
from app.sessions import service as sessions
from tests.approvals.asking import hold_of, runs
from tests.visitor import until


@pytest.fixture
def shop(either_database: Database, alice: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Alice's project; no engine runs here."""
    monkeypatch.setattr(dispatch, "wake", lambda *_: None)
    config.use(replace(config.current(), data_dir=tmp_path / "data"))
    root = tmp_path / "shop"
    root.mkdir()
    projects.add(alice, str(root))
    return projects.resolve(alice, str(root))


def at_once(*works: Callable[[], object]) -> list[str]:
    """Do all of it at the same time; what came of each: done, or the name of its problem."""
    start, came = threading.Barrier(len(works)), list[str]()

    def run(work: Callable[[], object]) -> None:
        start.wait()
        try:
            work()
            came.append("done")
        except (Conflict, Invalid) as problem:
            came.append(type(problem).__name__)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(came)


def test_switches_that_are_set_at_once_all_stay(shop: Place, alice: Actor) -> None:
    names = auto_approve.BOOLEANS
    at_once(*(lambda name=name: auto_approve.change(alice, shop, {name: True}) for name in names))  # type: ignore[misc]
    assert [name for name in names if not getattr(auto_approve.get(alice, shop), name)] == []


def test_a_person_and_the_time_answer_a_question_once(shop: Place, alice: Actor) -> None:
    on = {"auto_approval_enabled": True, "always_allow_followup_questions": True, "followup_auto_approve_timeout_ms": 1}
    auto_approve.change(alice, shop, on)
    hold = hold_of(alice, shop.directory, shop.project.id)
    call = Call("question", {}, "call_1", "msg_1")
    ask = approvals.question(hold, call, [{"question": "Which?", "options": [{"label": "Red"}, {"label": "Blue"}]}])
    until(lambda: ids.now() > ask.created)
    came = at_once(
        lambda: approvals.answer_question(alice, ask.id, [["Blue"]]), *[lambda: followups.answer(ask.id)] * 3
    )
    answered = approvals.get(alice, ask.id)
    by_person = "Conflict" not in came
    assert answered.answers == ([["Blue"]] if by_person else [["Red"]])
    assert answered.answered_name == (alice.name if by_person else "Auto-approve")


def test_a_name_is_given_once(shop: Place, alice: Actor) -> None:
    came = at_once(*[lambda: profiles.save(alice, shop, "quick", "demo", "walkthrough")] * 5)
    assert came == ["Conflict"] * 4 + ["done"]
    assert [one.name for one in profiles.list_all(alice, shop)] == ["default", "quick"]


@pytest.mark.parametrize("approves", [True, False])
def test_of_twenty_answers_at_once_one_wins(shop: Place, alice: Actor, approves: bool) -> None:
    hold = hold_of(alice, shop.directory, shop.project.id)
    asked = runs(hold, "rm -rf src")
    sessions.wait(hold, approvals.is_unanswered(hold))
    came = at_once(*[lambda: tasks.respond(alice, hold.session, approves=approves)] * 20)
    assert came == ["Invalid"] * 19 + ["done"]
    assert approvals.get(alice, asked.id).is_allowed is approves
    assert sessions.queued() == [hold.run_id]


@pytest.mark.parametrize("approves", [True, False])
def test_of_twenty_who_resume_or_end_a_stopped_task_one_wins(shop: Place, alice: Actor, approves: bool) -> None:
    hold = hold_of(alice, shop.directory, shop.project.id)
    sessions.abort(alice, hold.session.id)
    sessions.finish(hold, "aborted")
    came = at_once(*[lambda: tasks.respond(alice, hold.session, approves=approves)] * 20)
    assert came == ["Invalid"] * 19 + ["done"]
    assert len(sessions.queued()) == (1 if approves else 0)
    assert sessions.stopped_run(alice, sessions.get(alice, hold.session.id)) is None


def test_what_is_approved_and_rejected_at_once_is_one_of_both(shop: Place, alice: Actor) -> None:
    hold = hold_of(alice, shop.directory, shop.project.id)
    asked = runs(hold, "rm -rf src")
    yes, no = (lambda approves=approves: tasks.respond(alice, hold.session, approves=approves) for approves in (1, 0))  # type: ignore[misc]
    assert at_once(*[yes, no] * 10) == ["Invalid"] * 19 + ["done"]
    assert approvals.get(alice, asked.id).state == "answered"
