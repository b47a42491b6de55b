"""Many at once on one thing: prompts keep their order, one answer wins, and a deleted session stays deleted."""

from __future__ import annotations

import queue
import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests import repository
from tests.chaos.conftest import SEED, Report, times
from tests.model_server import ModelServer
from tests.running import Running
from tests.sse import Follower, Frame

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(times(300, 3600))]
ROUNDS = times(100, 1000)
AT_ONCE = 4
PROMPTS = 10
# What the log keeps of a deleted session: that it is gone, and what its run's engine and waiters must hear.
KEPT = {"sessions.deleted", "sessions.abort_asked", "sessions.run_ended", "approvals.withdrawn"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server on a small repository, with a scripted model."""
    base: Path = tmp_path_factory.mktemp("races").resolve()
    with ModelServer() as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
        with Running(base / "data", repository.make(base / "shop", files=5), **settings) as running:
            yield running


def prompt(running: Running, session_id: str, text: str) -> int:
    """Queue a prompt; the status."""
    body = {"parts": [{"type": "text", "text": text}]}
    return running.call("POST", f"/session/{session_id}/prompt_async", body)[0]


def create(running: Running) -> str:
    """A new session."""
    identifier: str = running.call("POST", "/session", {})[1]["id"]
    return identifier


def kinds(frames: list[Frame], kind: str) -> list[dict[str, Any]]:
    """The properties of all frames of a kind."""
    return [frame.data["properties"] for frame in frames if frame.data["type"] == kind]


def together(*works: Callable[[], Any]) -> list[Any]:
    """Do all of it at the same moment."""
    barrier = threading.Barrier(len(works))

    def work(one: Callable[[], Any]) -> Any:
        barrier.wait(10)
        return one()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(work, works))


def is_locked(running: Running) -> bool:
    """Whether the database refused anybody."""
    return "database is locked" in running.log.read_text()


def test_parallel_prompts_are_answered_in_order_and_never_interleaved(served: Running, report: Report) -> None:
    client, sessions = Follower(served), [create(served) for _ in range(ROUNDS // PROMPTS)]

    def ask(number: int) -> int:
        return prompt(served, sessions[number % len(sessions)], f"[[say answer to {number}]]&[[call list {{}}]]")

    with ThreadPoolExecutor(PROMPTS) as pool:
        assert set(pool.map(ask, range(ROUNDS))) == {204}

    def are_done(frames: list[Frame]) -> bool:
        return {p["sessionID"] for p in kinds(frames, "session.idle")} >= set(sessions)

    client.until(are_done, 120)
    client.close()
    violations = 0
    for session_id in sessions:
        _, messages = served.call("GET", f"/session/{session_id}/message")
        users = [m["info"]["id"] for m in messages if m["info"]["role"] == "user"]
        answers = [m for m in messages if m["info"]["role"] == "assistant"]
        assert len(users) == PROMPTS
        assert users == sorted(users)
        # Two steps answer a prompt, and all steps of one come before all steps of the next.
        violations += [m["info"]["parentID"] for m in answers] != [user for user in users for _ in range(2)]
        asked = {m["info"]["id"]: m["parts"][0]["text"] for m in messages if m["info"]["role"] == "user"}
        for answer in answers[::2]:
            said = next(part["text"] for part in answer["parts"] if part["type"] == "text")
            assert f"[[{said.replace('answer', 'say answer', 1)}]]" in asked[answer["info"]["parentID"]]
    report("R19 prompts", prompts=ROUNDS, violations=violations)
    assert violations == 0
    assert not is_locked(served)


def test_of_two_answers_to_one_ask_one_wins(served: Running, report: Report) -> None:
    asks: queue.Queue[dict[str, Any]] = queue.Queue()
    mine = set[str]()

    def heard(frame: Frame) -> None:
        if frame.data["type"] == "permission.asked" and frame.data["properties"]["sessionID"] in mine:
            asks.put(frame.data["properties"])

    client = Follower(served, heard=heard)
    mine |= {create(served) for _ in range(AT_ONCE)}
    for session_id in mine:
        for _ in range(ROUNDS // AT_ONCE):
            assert prompt(served, session_id, "[[bash true]]") == 204
    won: dict[str, str] = {}
    for _ in range(ROUNDS):
        ask = asks.get(timeout=60)
        path = f"/permission/{ask['id']}/reply"
        replies = [{"reply": "once"}, {"reply": "reject", "message": "no"}]
        answers = together(*(lambda path=path, body=body: served.call("POST", path, body) for body in replies))
        assert sorted(status for status, _ in answers) == [200, 409]
        assert "Answered by" in next(told for status, told in answers if status == 409)["data"]["message"]
        won[ask["callID"]] = next(b["reply"] for b, (s, _) in zip(replies, answers, strict=True) if s == 200)
    client.until(lambda frames: len([p for p in kinds(frames, "session.idle") if p["sessionID"] in mine]) >= AT_ONCE)
    client.close()
    violations = 0
    for session_id in mine:
        _, messages = served.call("GET", f"/session/{session_id}/message")
        for part in (part for m in messages for part in m["parts"] if part["type"] == "tool"):
            expected = "completed" if won[part["callID"]] == "once" else "error"
            violations += part["state"]["status"] != expected
    counts = {reply: list(won.values()).count(reply) for reply in ("once", "reject")}
    report("R19 answers", rounds=len(won), violations=violations, **counts)
    assert len(won) == ROUNDS
    assert violations == 0
    assert not is_locked(served)


def test_a_session_that_is_deleted_while_it_runs_leaves_no_row(served: Running, report: Report) -> None:
    moments = random.Random(SEED)
    waits = [moments.uniform(0, 0.15) for _ in range(ROUNDS)]

    def begin_and_delete(wait: float) -> str:
        session_id = create(served)
        assert prompt(served, session_id, "[[words 40 3]]&[[call list {}]]") == 204
        threading.Event().wait(wait)  # the moment is what is tested
        assert served.call("DELETE", f"/session/{session_id}")[0] == 200
        return session_id

    with ThreadPoolExecutor(AT_ONCE) as pool:
        deleted = set(pool.map(begin_and_delete, waits))
    log = served.log.read_text()
    served.stop()
    left = rows_of(served.data_dir / "signalcabin.db", deleted)
    served.start()
    report("R19 deletions", rounds=len(deleted), rows_left=sum(left.values()))
    assert left == {}
    assert "database is locked" not in log
    assert log.partition("Traceback")[2] == ""


def rows_of(path: Path, sessions: set[str]) -> dict[str, int]:
    """How many rows each table has of these sessions, apart from the words that tell of their end."""
    found: dict[str, int] = {}
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            columns = {row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')}
            column = "id" if table == "session" else "session_id"
            if column not in columns:
                continue
            kind = "kind" if table == "event" else "''"
            for identifier, said in connection.execute(f'SELECT "{column}", {kind} FROM "{table}"'):
                if identifier in sessions and said not in KEPT:
                    found[f"{table} {said}".strip()] = found.get(f"{table} {said}".strip(), 0) + 1
    return found
