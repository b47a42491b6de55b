"""When a command's time is over."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from app.processes.live import Live


def at_time(live: Live, seconds: float, work: Callable[[], None]) -> None:
    """Have something done, aside, if the command still runs after so many seconds; it is not kept alive for that."""
    known = weakref.ref(live)

    def look() -> None:
        still = known()
        if still is not None and still.ended is None:
            still.pump.aside(work)

    def begin() -> None:
        live.pump.later(seconds, look)

    live.pump.ask(begin)
