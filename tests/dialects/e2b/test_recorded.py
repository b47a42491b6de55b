"""What the published client was recorded to send, sent again: we answer with the recorded statuses, codes and shapes."""

from __future__ import annotations

import json
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.dialects.e2b.client import STREAM, Envd, Running, envelope, printed

RECORDED = Path(__file__).with_name("recorded.jsonl")
# The recording's own server was written for it; what its process and file had is not ours.
OURS = ("x-access-token", "e2b-sandbox-id")

pytestmark = pytest.mark.contracts


class Replay:
    """Sends the recorded requests in their order, with our process numbers and watchers for theirs."""

    def __init__(self, envd: Envd) -> None:
        self.envd = envd
        self.pids: dict[int, int] = {}
        self.watcher = ""
        self.open: list[Running] = []

    def send(self, record: dict[str, Any]) -> Any:
        headers = {name: value for name, value in record["headers"].items() if name not in OURS}
        body = record["body"]
        if headers.get("content-type") == STREAM:
            body = envelope(json.loads(body[body.index("{") :]))
            headers.pop("transfer-encoding", None)
        elif headers.get("content-type") == "application/json":
            body = self.renumbered(body)
        return self.envd(record["method"], record["path"], data=body, headers=headers)

    def renumbered(self, body: str) -> str:
        for theirs, ours in self.pids.items():
            body = body.replace(f'"pid":{theirs}', f'"pid":{ours}')
        return body.replace('"watcherId":"w0"', f'"watcherId":{json.dumps(self.watcher)}')


def like(recorded: Any, ours: Any, where: str) -> None:
    """Every recorded field is there with a value of its kind."""
    if isinstance(recorded, dict):
        for name, value in recorded.items():
            assert name in ours, f"{where}.{name} is missing in {ours}"
            like(value, ours[name], f"{where}.{name}")
    elif isinstance(recorded, list):
        assert len(ours) >= min(1, len(recorded)), where
        for one, other in zip(recorded[:1], ours[:1], strict=True):
            like(one, other, where)
    else:
        assert isinstance(ours, type(recorded)), f"{where}: {ours!r}, not {recorded!r}"


def records() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]


def test_plain_requests_and_unary_calls_are_answered_alike(envd: Envd) -> None:
    replay = Replay(envd)
    every = records()
    answered = 0
    for record, following in pairwise(every):
        if record["dir"] != "req":
            continue
        response = replay.send(record)
        if record["headers"].get("content-type") == STREAM:
            running = Running(response)
            replay.pids[following["json"]["event"]["start"]["pid"]] = running.next()["start"]["pid"]
            replay.open.append(running)
            continue
        where = f"{record['method']} {record['path']}"
        assert response.status_code == following["status"], f"{where}: {response.text}"
        assert following["status"] == 204 or response.mimetype == following["ct"], where
        if following["ct"] == "application/json" and following["body"]:
            wanted = json.loads(following["body"])
            like(wanted, response.json, where)
            replay.watcher = (
                response.json.get("watcherId", replay.watcher) if isinstance(wanted, dict) else replay.watcher
            )
            if "code" in wanted:
                assert response.json["code"] == wanted["code"], where
        answered += 1
    assert (answered, len(replay.open)) == (24, 6)
    for running in replay.open:
        events, last = running.rest()
        assert "end" in events[-1]
        assert last == {}


def short_commands() -> list[list[dict[str, Any]]]:
    """Each recorded command that ended by itself: its request, then its frames."""
    every = records()
    found: list[list[dict[str, Any]]] = []
    for number, record in enumerate(every):
        if record["dir"] == "req" and record["path"].endswith("/Start"):
            following = every[number + 1 :]
            end = next(index for index, one in enumerate(following) if one["dir"] != "frame" or one["flags"] == 2)
            if following[end]["dir"] == "frame":
                found.append([record, *following[: end + 1]])
    return found


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """The kinds of events in their order; how output is cut is up to chance."""
    return [kind for kind, _several in groupby(next(iter(event)) for event in events)]


@pytest.mark.parametrize("number", range(len(short_commands())))
def test_a_commands_stream_is_told_alike(envd: Envd, number: int) -> None:
    record, *recorded = short_commands()[number]
    running = Running(Replay(envd).send(record))
    events, last = running.rest()
    theirs = [one["json"]["event"] for one in recorded if one["flags"] == 0]
    assert last == recorded[-1]["json"]
    assert kinds(events) == kinds(theirs)
    assert events[-1]["end"] == theirs[-1]["end"]
    for stream in ("stdout", "stderr"):
        assert printed(events, stream) == printed(theirs, stream)
