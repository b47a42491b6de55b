"""What a task costs to look at: its status the same however long it is, a list no more for many than for few."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import sqlalchemy as sa

from app import db, ids
from app.actor import Actor, Scope
from app.agent.roo import following
from app.events.service import Fact
from app.projects import service as projects
from app.sessions import service as sessions
from app.sessions.events import PartDelta
from app.sessions.service import Message, Part, Session, rows
from tests.conftest import Caller

STEP = 20  # ms from message to message


@pytest.fixture
def task(alice: Actor) -> Session:
    """A task in which nothing was said yet."""
    return sessions.create(alice, projects.resolve(alice, None), provider="openai", model="scripted")


def talk(session: Session, count: int) -> None:
    """So many messages, prompts and answers in turn, the last of them a while ago."""
    at, prompt = ids.now() - count * STEP - 60_000, ""
    made = []
    for number in range(count):
        at += STEP
        name, is_prompt = ids.ascending("msg"), number % 2 == 0
        prompt = name if is_prompt else prompt
        data = {"agent": "code"} if is_prompt else {"parentID": prompt, "finish": "stop", "cost": 0.01, "tokens": {}}
        time = {} if is_prompt else {"time": {"start": at, "end": at + 5}}
        part = Part(ids.ascending("prt"), name, session.id, "text", {"text": f"Word {number}", **time})
        role, over = ("user", None) if is_prompt else ("assistant", at + 10)
        made.append(Message(name, session.id, role, data, at, over, [part]))
    with db.transaction() as connection:
        rows.insert_messages(connection, made, session)


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that this thread makes meanwhile."""
    seen: list[str] = []
    engine, mine = db.current()._reads, threading.get_ident()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT") and threading.get_ident() == mine:
            seen.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(engine, "before_cursor_execute", note)


def test_the_status_of_a_long_task_reads_its_end_alone(call: Caller, task: Session) -> None:
    talk(task, 4)
    with counted() as few:
        short = call.get(f"/api/tasks/{task.id}/status").json
    talk(task, 400)
    with counted() as many:
        long = call.get(f"/api/tasks/{task.id}/status").json
    assert (short["status"], short["lastMessage"]) == ("completed", "Word 3")
    assert (long["status"], long["lastMessage"]) == ("completed", "Word 399")
    assert len(many) <= len(few)
    [messages] = [one for one in many if "FROM message" in one]
    assert "LIMIT" in messages
    [parts] = [one for one in many if "FROM part" in one]
    assert "BETWEEN" in parts


def test_where_the_end_of_a_task_says_nothing_what_was_said_before_counts(call: Caller, task: Session) -> None:
    talk(task, 40)
    at = ids.now()
    silent = [Message(ids.ascending("msg"), task.id, "assistant", {"finish": "stop"}, at, at, []) for _ in range(9)]
    with db.transaction() as connection:
        rows.insert_messages(connection, silent, task)
    told = call.get(f"/api/tasks/{task.id}/status").json
    assert (told["status"], told["lastMessage"]) == ("completed", "Word 39")


def test_the_end_of_a_long_task_has_the_times_of_the_whole(call: Caller, task: Session) -> None:
    talk(task, 100)
    said = call.post(f"/api/messages/{task.id}", {"message": "[[say New]]", "wait_for_response": True}).json["messages"]
    whole = call.get(f"/api/tasks/{task.id}/logs").json["messages"]
    assert said == whole[-len(said) :]
    assert (whole[0]["say"], said[0]["say"]) == ("text", "user_feedback")


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("is_told", [True, False])
def test_the_pieces_of_a_text_are_looked_up_once(alice: Actor, task: Session, *, is_told: bool) -> None:
    talk(task, 40)
    message = sessions.transcript(alice, task.id)[-1]
    part = replace(message.parts[0], data={**message.parts[0].data, "metadata": {"retried": not is_told}})
    with db.transaction() as connection:
        rows.update_part(connection, part, task)
    telling = following.Telling(alice, task.id, None, legacy=False)
    costs = []
    for end in range(1, 8):
        piece = PartDelta(task.id, message.id, part.id, "text", "W", end, message.created)
        with counted() as seen:
            frame = telling.frames(Fact((0, end), piece, Scope(task.owner, task.project), ids.now(), "W" * end))
        assert bool(frame) is is_told
        costs.append(len(seen))
    assert costs[0] > 0
    assert costs[1:] == [0] * 6


def test_a_list_of_many_tasks_takes_as_many_queries_as_one_of_few(call: Caller, alice: Actor) -> None:
    place = projects.resolve(alice, None)
    made = []
    for number in range(60):
        made.append(sessions.create(alice, place, title=f"Task {number}"))
        talk(made[-1], 2)
    call.get("/api/tasks?limit=5")  # whoever asks first is looked up
    with counted() as few:
        assert len(call.get("/api/tasks?limit=5").json) == 5
    with counted() as many:
        found = call.get("/api/tasks?limit=1000").json
    assert [one["id"] for one in found] == [one.id for one in reversed(made)]
    assert {one["message"] for one in found} == {"Word 0"}
    assert len(many) <= len(few)
