"""From a change to the last of 1, 100 and 500 streams that tell it."""

from __future__ import annotations

import contextlib
import secrets
import statistics

from bench.conversation import Conversation
from bench.figure import Deadline, Figure, Goal
from bench.streams import Streams

GOALS = {
    streams: Goal(f"event to {streams} stream{'s' * (streams > 1)}, last, p50", "ms", most)
    for streams, most in ((1, 2), (100, 4), (500, 15))
}
ROUNDS = 15


def measure(talk: Conversation, limit: float) -> list[Figure]:
    """Open the streams, then change a title again and again."""
    deadline = Deadline(limit)
    figures: list[Figure] = []
    with contextlib.ExitStack() as stack:
        streams = stack.enter_context(Streams(talk.target))
        kept = stack.enter_context(contextlib.closing(talk.target.connect()))
        session_id = talk.target.call(kept, "POST", "/session", {})["id"]
        for count, goal in GOALS.items():
            streams.open(count, deadline)
            seconds = []
            while len(seconds) < ROUNDS and not deadline.passed:
                title = secrets.token_hex(8)
                talk.target.call(kept, "PATCH", f"/session/{session_id}", {"title": title})
                seconds.append(streams.hear(title.encode(), deadline)[-1])
            if seconds:
                worst = max(seconds) * 1000
                note = f"from the answer to the change; {len(seconds)} rounds, worst {worst:.0f} ms"
                figures.append(Figure(goal, statistics.median(seconds) * 1000, note))
    return figures
