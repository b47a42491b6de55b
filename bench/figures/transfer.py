"""A file of 100 MB up and down, one at a time."""

from __future__ import annotations

import http.client
import statistics
import time
from collections.abc import Callable

from bench.conversation import Conversation
from bench.figure import Deadline, Failed, Figure, Goal

UP = Goal("upload of 100 MB", "MB/s", 450, "more")
DOWN = Goal("download of 100 MB", "MB/s", 450, "more")
SIZE = 100_000_000
ROUNDS = 5
NAME = "bench-transfer.bin"


def measure(talk: Conversation, limit: float) -> list[Figure]:
    """Some rounds of each; the median counts."""
    content = bytes(SIZE)
    up = _rounds(lambda: _upload(talk, content), Deadline(limit / 2))
    down = _rounds(lambda: _download(talk), Deadline(limit / 2))
    return [Figure(UP, *up), Figure(DOWN, *down)]


def _rounds(once: Callable[[], None], deadline: Deadline) -> tuple[float, str]:
    rates: list[float] = []
    while len(rates) < ROUNDS and not (rates and deadline.passed):
        began = time.perf_counter()
        once()
        rates.append(SIZE / (time.perf_counter() - began) / 1e6)
    return statistics.median(rates), f"best {max(rates):.0f} of {len(rates)}"


def _upload(talk: Conversation, content: bytes) -> None:
    kept = talk.target.connect(60)
    headers = {**talk.target.headers, "Content-Type": "application/octet-stream"}
    kept.request("POST", f"/api/v1/files/upload?path={NAME}", content, headers)
    _checked(kept.getresponse()).read()
    kept.close()


def _download(talk: Conversation) -> None:
    kept = talk.target.connect(60)
    kept.request("GET", f"/api/v1/files/download?path={NAME}", headers=talk.target.headers)
    answer = _checked(kept.getresponse())
    buffer, size = memoryview(bytearray(1 << 20)), 0
    while count := answer.readinto(buffer):
        size += count
    kept.close()
    if size != SIZE:
        raise Failed(f"{size} bytes came back")


def _checked(answer: http.client.HTTPResponse) -> http.client.HTTPResponse:
    if answer.status != 200:
        raise Failed(f"{answer.status}: {answer.read(200).decode(errors='replace')}")
    return answer
