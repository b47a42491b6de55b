"""A process from its start to its end over HTTP, by stream, and its start alone, by JSON."""

from __future__ import annotations

import contextlib
import http.client
import json
import statistics
import subprocess
import time
from collections.abc import Callable

from bench.conversation import Conversation
from bench.figure import Deadline, Failed, Figure, Goal
from bench.targets import Target

END_GOAL = Goal("start of `true` to its end, p50", "ms", 4)
START_GOAL = Goal("start of `true`, p50", "ms", None)
COUNT = 200
REST = 0.005  # seconds; what one leaves to do is not the next one's
START = "/api/v1/process/start"
TRUE = json.dumps({"process": {"cmd": "true"}})


def measure(talk: Conversation, limit: float) -> list[Figure]:
    """Both ways to start one, and in the note what `true` costs without any server."""
    bare = _times(lambda: subprocess.run(["true"], check=True), Deadline(limit / 3))
    whole = _times(lambda: _by_stream(talk.target), Deadline(limit / 3))
    with contextlib.closing(talk.target.connect()) as kept:
        start = _times(lambda: _by_json(talk.target, kept), Deadline(limit / 3))
    note = f"{_told(whole)}; without a server {_told(bare)}"
    return [
        Figure(END_GOAL, statistics.median(whole), note),
        Figure(START_GOAL, statistics.median(start), _told(start)),
    ]


def _by_stream(target: Target) -> None:
    headers = {**target.headers, "Content-Type": "application/json", "Accept": "text/event-stream"}
    with contextlib.closing(target.connect()) as kept:
        kept.request("POST", START, TRUE, headers)
        for line in kept.getresponse():
            if line.startswith(b"event: end"):
                return
    raise Failed("the stream ended before the process")


def _by_json(target: Target, kept: http.client.HTTPConnection) -> None:
    target.call(kept, "POST", START, json.loads(TRUE), expected=202)


def _times(work: Callable[[], object], deadline: Deadline) -> list[float]:
    """How long it took each time, in ms, in order; the first ten do not count."""
    times: list[float] = []
    while len(times) < COUNT + 10 and not (len(times) > 20 and deadline.passed):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
        time.sleep(REST)
    return sorted(times[10:])


def _told(times: list[float]) -> str:
    return f"p50 {statistics.median(times):.2f}, p95 {times[int(len(times) * 0.95)]:.2f} ms, {len(times)} times"
