"""Ten thousand open streams in one process: one broadcast to all, their memory, and an API answer beside them."""

from __future__ import annotations

import contextlib
import resource
import secrets
import time

from bench import load, tree
from bench.conversation import Conversation
from bench.figure import Deadline, Failed, Figure, Goal
from bench.streams import Streams

STREAMS = 10_000
ROUNDS = 5
SPARE = 300  # descriptors beside the streams
BROADCAST = Goal("10,000 open streams: one broadcast, p99", "ms", 500)
MEMORY = Goal("10,000 open streams: RSS", "MB", 200)
ANSWER = Goal("10,000 open streams: GET /session/{id}, p95", "ms", 10)


def measure(talk: Conversation, limit: float) -> list[Figure]:
    """Open them, change a title some times, then ask for the session."""
    granted = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if granted < STREAMS + SPARE:
        raise Failed(f"only {granted} descriptors are granted (ulimit -Hn)")
    deadline = Deadline(limit)
    with contextlib.ExitStack() as stack:
        streams = stack.enter_context(Streams(talk.target))
        kept = stack.enter_context(contextlib.closing(talk.target.connect()))
        session_id = talk.target.call(kept, "POST", "/session", {})["id"]
        began = time.perf_counter()
        streams.open(STREAMS, deadline)
        rate = STREAMS / (time.perf_counter() - began)
        times: list[float] = []
        while len(times) < ROUNDS * STREAMS and not deadline.passed:
            title, began = secrets.token_hex(8), time.perf_counter()
            talk.target.call(kept, "PATCH", f"/session/{session_id}", {"title": title})
            times += streams.hear(title.encode(), deadline, began)
        times.sort()
        figures = [
            Figure(
                BROADCAST,
                times[int(len(times) * 0.99)] * 1000,
                f"from sending the change, the client on the same machine; {len(times) // STREAMS} rounds, p50 "
                f"{times[len(times) // 2] * 1000:.0f} ms, worst {times[-1] * 1000:.0f} ms; {rate:.0f} opened a second",
            )
        ]
        with contextlib.suppress(Failed):
            figures.append(Figure(MEMORY, tree.rss_megabytes(talk.target.pid), "after all other figures"))
        seen = load.get(talk.target, f"/session/{session_id}", 1, 2.0)
        figures.append(Figure(ANSWER, seen.p95, f"p50 {seen.p50:.1f} ms, one connection, all streams beating"))
    return figures
