"""Five hundred streams while runs stream text to all of them: nothing is late, nobody is dropped, nothing piles up."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time

from bench import load, tree
from bench.conversation import Conversation
from bench.figure import Deadline, Failed, Figure, Goal
from bench.streams import Streams

STREAMS = 500
RUNS = 8
PIECES = 20  # a second, of all runs together
SECONDS = 10.0
EVERY = 0.25
LAST = Goal("500 streams, 8 runs: event to the last stream, p99", "ms", 1000)
ANSWER = Goal("500 streams, 8 runs: GET /session/{id}, p99", "ms", 500)
GROWTH = Goal("500 streams, 8 runs: RSS growth over the second half", "MB", 30)


def measure(talk: Conversation, limit: float) -> list[Figure]:
    """Open the streams, begin the runs, and change a title four times a second meanwhile."""
    deadline = Deadline(limit)
    seconds = min(SECONDS, limit / 2)
    with contextlib.ExitStack() as stack:
        streams = stack.enter_context(Streams(talk.target))
        kept = stack.enter_context(contextlib.closing(talk.target.connect()))
        streams.open(STREAMS, deadline)
        session_id = talk.target.call(kept, "POST", "/session", {})["id"]
        runs = [talk.target.call(kept, "POST", "/session", {})["id"] for _ in range(RUNS)]
        for run in runs:
            text = f"[[words {int(seconds * PIECES / RUNS) + 8} {1000 * RUNS // PIECES}]]"
            talk.target.call(kept, "POST", f"/session/{run}/prompt_async", _prompt(text, talk.target.model), 204)
        asked: list[load.Seen] = []
        asking = threading.Thread(
            target=lambda: asked.append(load.get(talk.target, f"/session/{session_id}", 1, seconds - load.WARM_UP - 1))
        )
        asking.start()
        times, sizes, end = list[float](), list[float](), time.monotonic() + seconds
        while time.monotonic() < end and not deadline.passed:
            title, began = secrets.token_hex(8), time.perf_counter()
            talk.target.call(kept, "PATCH", f"/session/{session_id}", {"title": title})
            times.append(streams.hear(title.encode(), deadline, began)[-1])
            with contextlib.suppress(Failed):
                sizes.append(tree.rss_megabytes(talk.target.pid))
            _read_for(streams, EVERY)
        asking.join(limit)
        for run in runs:
            talk.target.call(kept, "POST", f"/session/{run}/abort")
    times.sort()
    note = f"from sending the change; {len(times)} changes, p50 {times[len(times) // 2] * 1000:.0f} ms"
    figures = [Figure(LAST, times[int(len(times) * 0.99)] * 1000, f"{note}, no stream dropped")]
    if asked:
        figures.append(Figure(ANSWER, asked[0].p99, f"p50 {asked[0].p50:.1f} ms, {asked[0].rate:.0f} a second"))
    if len(sizes) > 4:
        figures.append(Figure(GROWTH, max(0.0, sizes[-1] - sizes[len(sizes) // 2])))
    return figures


def _prompt(text: str, model: tuple[str, str] | None) -> dict[str, object]:
    """The body of a prompt, for a model or the default one."""
    named = {"model": {"providerID": model[0], "modelID": model[1]}} if model else {}
    return {"parts": [{"type": "text", "text": text}], **named}


def _read_for(streams: Streams, seconds: float) -> None:
    """Take what the streams say for a while."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for _ in streams.read(left):
            continue
