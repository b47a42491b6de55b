"""kill -9 in the middle of turns: what clients saw is stored, no effect is repeated, nothing hangs or is left over."""

from __future__ import annotations

import http.client
import json
import queue
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import failing, repository
from tests.chaos.conftest import SEED, Report, times
from tests.model_server import Call, Item, ModelServer, Say
from tests.patience import PATIENCE
from tests.running import Running
from tests.sse import Follower, Frame

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(times(600, 7200))]
WORDS = (70, 70, 80)
PAUSE = 0.003
LINES = 3
TURN = 1.2  # seconds that a turn takes, about
UNKNOWN = "outcome unknown"


def words(step: int) -> str:
    """The text of a step of the talking turn: every word only once."""
    return " ".join(f"{step}w{number:03}" for number in range(WORDS[step]))


class Script(ModelServer):
    """Answers by what has come of the calls so far, so that a step that is asked again is the same step."""

    def answer(self, body: dict[str, Any], headers: dict[str, str], path: str) -> Sequence[Item]:
        """`[talk N]`: three steps of text, each with a call; `[lines N]`: a line to a file at a time."""
        messages = body["messages"]
        last = max(place for place, one in enumerate(messages) if one["role"] == "user")
        kind, _, name = re.search(r"\[(.+?)\]", json.dumps(messages[last]["content"])).group(1).partition(" ")  # type: ignore[union-attr]
        results = list(_results(messages[last:]))
        return _talk(name, len(results)) if kind == "talk" else _write_lines(name, results)


def _results(messages: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Arguments and result of each call that was begun."""
    given = {call["id"]: call["function"]["arguments"] for one in messages for call in one.get("tool_calls") or ()}
    for one in messages:
        if one["role"] == "tool" and ("Interrupted" not in one["content"] or UNKNOWN in one["content"]):
            yield given[one["tool_call_id"]], one["content"]


def _talk(name: str, step: int) -> Sequence[Item]:
    if step >= len(WORDS):
        return [Say("That is all.")]
    call = (
        Call("write", {"filePath": f"said-{name}.txt", "content": "x"})
        if step == 1
        else Call("bash", {"command": "echo ok"})
    )
    return [Say(words(step), size=6, pause=PAUSE), call]


def _write_lines(name: str, results: list[tuple[str, str]]) -> Sequence[Item]:
    """Append the next line; one whose outcome is unknown is tried once more, as a call of its own."""
    tries = Counter(json.loads(given)["command"] for given, _ in results)
    for number in range(LINES):
        command = f"echo {number} >> lines-{name}.txt"
        outcome = next((told for given, told in reversed(results) if json.loads(given)["command"] == command), None)
        if outcome is None or (UNKNOWN in outcome and tries[command] < 2):
            return [Call("bash", {"command": command})]
    return [Say("Written.")]


class Failing(Running):
    """A server that can be made to die at a point of its own."""

    module = "tests.failing"


@dataclass
class Approver:
    """A client that approves whatever is asked, once each; `approved` are the calls."""

    running: Running
    approved: list[str] = field(default_factory=list)
    asks: queue.Queue[dict[str, Any] | None] = field(default_factory=queue.Queue)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Approve meanwhile."""
        follower = Follower(self.running, heard=self._hear)
        thread = threading.Thread(target=self._work, daemon=True)
        thread.start()
        yield
        follower.close()
        self.asks.put(None)
        thread.join(10)

    def _hear(self, frame: Frame) -> None:
        if frame.data["type"] == "permission.asked":
            self.asks.put(frame.data["properties"])

    def _work(self) -> None:
        while (ask := self.asks.get()) is not None:
            while not self._reply(ask):
                threading.Event().wait(0.02)  # the server is down: nothing tells when it is back
            self.approved.append(ask["callID"])

    def _reply(self, ask: dict[str, Any]) -> bool:
        try:
            status, told = self.running.call("POST", f"/permission/{ask['id']}/reply", {"reply": "once"})
        except (OSError, http.client.HTTPException):
            return False
        assert status in (200, 409), told  # 409: the answer before the kill was stored
        return True


@dataclass
class Tally:
    """What all the kills came to."""

    kills: int = 0
    lost: int = 0
    doubled: int = 0
    stuck: int = 0
    orphans: int = 0
    unknown: int = 0
    lines: int = 0
    results: int = 0
    retries: int = 0
    ready_ms: int = 0
    points: Counter[str] = field(default_factory=Counter)


def kinds(frames: list[Frame], kind: str) -> list[dict[str, Any]]:
    """The properties of all frames of a kind."""
    return [frame.data["properties"] for frame in frames if frame.data["type"] == kind]


def begin(running: Running, prompt: str) -> str:
    """Start a session with a prompt; its id."""
    _, session = running.call("POST", "/session", {"title": prompt})
    body = {"parts": [{"type": "text", "text": prompt}]}
    assert running.call("POST", f"/session/{session['id']}/prompt_async", body)[0] == 204
    identifier: str = session["id"]
    return identifier


def children(running: Running) -> list[psutil.Process]:
    """Everything that the server has started."""
    assert running.process is not None
    try:
        return psutil.Process(running.process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def still_there(processes: list[psutil.Process]) -> int:
    """How many do not end, given time; one that only waits for its new parent has ended."""
    deadline = time.monotonic() + PATIENCE
    while (alive := sum(map(_lives, processes))) and time.monotonic() < deadline:
        threading.Event().wait(0.02)  # nothing tells of the end of a process that is not ours
    return alive


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill(running: Running, chance: random.Random, point: str | None) -> list[psutil.Process]:
    """Kill it at a random moment of the turn, or let it die at a point of its own; what it had started."""
    assert running.process is not None
    started = list[psutil.Process]()
    if point is None:
        threading.Event().wait(chance.uniform(0.05, TURN))  # the moment is what is tested
        started = children(running)
        running.kill()
        return started
    count = {"before-commit": 40, "in-commit": 40, "before-hooks": 40, "before-write": 40}.get(point, 3)
    failing.arm(running.data_dir, point, chance.randint(1, count))
    deadline = time.monotonic() + PATIENCE
    while running.process.poll() is None:
        assert time.monotonic() < deadline, f"it never came by {point}"
        started = children(running) or started
        threading.Event().wait(0.005)  # a process has no event for those who are not its parent's thread
    running.kill()
    failing.disarm(running.data_dir)
    return started


def check_ids(client: Follower, everything: list[str], tally: Tally) -> None:
    """What a client was told is what the log holds: in order, nothing twice, nothing left out."""
    ids = [frame.id for frame in client.frames if frame.id]
    tally.doubled += len(ids) - len(set(ids))
    first = everything.index(ids[0])
    tally.lost += ids != everything[first : first + len(ids)]


def check_talk(running: Running, session_id: str, shown: list[dict[str, str]], tally: Tally) -> None:
    """Whatever was shown is stored, and what was said in the end is the script."""
    _, messages = running.call("GET", f"/session/{session_id}/message")
    stored = {part["id"]: part["text"] for m in messages for part in m["parts"] if part["type"] == "text"}
    for seen in shown:
        tally.lost += sum(not stored.get(part_id, "").startswith(text.rstrip()) for part_id, text in seen.items())
    answers = [m for m in messages if m["info"]["role"] == "assistant"]
    whole = [m for m in answers if m["info"].get("finish") != "interrupted"]
    said = [part["text"] for m in whole for part in m["parts"] if part["type"] == "text"]
    script = [*(words(step) for step in range(len(WORDS))), "That is all."]
    assert said == script
    for message in answers:
        if message["info"].get("finish") == "interrupted":
            for part in message["parts"]:
                assert part["type"] != "text" or any(text.startswith(part["text"]) for text in script)
    assert all("completed" in m["info"]["time"] for m in answers)
    tools = [part["state"] for m in whole for part in m["parts"] if part["type"] == "tool"]
    assert len(tools) == len(WORDS)
    assert all(state["status"] == "completed" or UNKNOWN in state["error"] for state in tools)


def check_lines(running: Running, name: str, session_id: str, project: Path, approver: Approver, tally: Tally) -> None:
    """No command ran more often than it was approved, and each that has a result ran just once."""
    _, messages = running.call("GET", f"/session/{session_id}/message")
    calls = [part for m in messages for part in m["parts"] if part["type"] == "tool" and _was_begun(part["state"])]
    path = project / f"lines-{name}.txt"
    lines = Counter(path.read_text().split()) if path.exists() else Counter()
    approved = Counter(approver.approved)
    for number in range(LINES):
        mine = [call for call in calls if call["state"]["input"]["command"].startswith(f"echo {number} ")]
        done = [call for call in mine if call["state"]["status"] == "completed"]
        unknown = [call for call in mine if UNKNOWN in call["state"].get("error", "")]
        assert len(mine) == len(done) + len(unknown)
        assert all(approved[call["callID"]] == 1 for call in mine), "a call ran without an answer of its own"
        assert len(done) <= lines[str(number)] <= len(done) + len(unknown)
        tally.results += len(done)
        tally.unknown += len(unknown)
        tally.retries += len(mine) - 1
        tally.lines += lines[str(number)]


def _was_begun(state: dict[str, Any]) -> bool:
    return state["status"] == "completed" or UNKNOWN in state.get("error", "")


def one_kill(running: Running, project: Path, chance: random.Random, point: str | None, tally: Tally) -> None:
    """Three turns at a time, one kill, one start, and everything comes to its end by itself."""
    approver, clients = Approver(running), [Follower(running), Follower(running)]
    with approver.at_work():
        names = [f"{tally.kills}-{number}" for number in range(2)]
        talk = begin(running, f"[talk {tally.kills}]")
        sessions = [talk, *(begin(running, f"[lines {name}]") for name in names)]
        started = kill(running, chance, point)
        tally.kills += 1
        tally.points[point or "any"] += 1
        tally.orphans += still_there(started)
        shown = [
            {
                p["part"]["id"]: p["part"]["text"]
                for p in kinds(client.frames, "message.part.updated")
                if "delta" in p and p["part"]["sessionID"] == talk
            }
            for client in clients
        ]
        began = time.monotonic()
        running.start()
        ready = time.monotonic() - began
        tally.ready_ms = max(tally.ready_ms, int(ready * 1000))

        def are_idle(frames: list[Frame]) -> bool:
            return {p["sessionID"] for p in kinds(frames, "session.idle")} >= set(sessions)

        for client in clients:
            client.until(are_idle)
            client.close()
        tally.stuck += len(running.call("GET", "/session/status")[1])
    for name, session_id in zip(names, sessions[1:], strict=True):
        check_lines(running, name, session_id, project, approver, tally)
    check_talk(running, talk, shown, tally)
    replay = Follower(running, last_id=str(max(0, int(clients[0].frames[1].id) - 1)))
    last = clients[0].last_id
    replay.until(lambda frames: any(frame.id == last for frame in frames))
    replay.close()
    for client in clients:
        check_ids(client, [frame.id for frame in replay.frames if frame.id], tally)


@pytest.mark.parametrize("lane", range(2))
def test_kills_in_the_middle_of_turns_lose_and_repeat_nothing(tmp_path: Path, lane: int, report: Report) -> None:
    chance, tally = random.Random(SEED + lane), Tally()
    project = repository.make(tmp_path.resolve() / "shop", files=20)
    points = [*failing.POINTS[lane::2], *[None] * times(6 + lane, 46 + lane)]
    with Script() as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
        with Failing(tmp_path / "data", project, **settings) as running:
            for point in points:
                one_kill(running, project, chance, point, tally)
            log = running.log.read_text()
    report(
        f"R01 kills={tally.kills}",
        **{name: getattr(tally, name) for name in ("lost", "doubled", "stuck", "orphans", "ready_ms")},
    )
    named = {name: getattr(tally, name) for name in ("lines", "results", "unknown", "retries")}
    report(f"R02 kills={tally.kills}", **named)
    assert (tally.lost, tally.doubled, tally.stuck, tally.orphans) == (0, 0, 0, 0)
    assert tally.lines <= tally.results + tally.unknown
    assert "database is locked" not in log
