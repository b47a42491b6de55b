"""The circuit of a model's server: who failed five times in a row is left alone for a while, then tried once.

A process has one for each provider and base URL. What counts is a server that cannot be reached, breaks off, falls
silent or answers 5xx; a rate limit (429) or a refusal shows that it is there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from app.agent.providers import Delta, Done, ProviderFailed

MOST_FAILURES = 5
OPEN_FOR = 30.0
RATE_LIMITED = 429


class Circuit:
    """Closed, open until a moment, or half-open: open, its time over, one attempt let through.

    `open_for` is in seconds, as the clock's.
    """

    def __init__(self, open_for: float = OPEN_FOR, clock: Callable[[], float] = time.monotonic) -> None:
        self.open_for = open_for
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until: float | None = None
        self._probe: Attempt | None = None

    def begin(self) -> Attempt:
        """Begin an attempt; raises ProviderFailed, to be tried again, while the circuit is open."""
        with self._lock:
            attempt = Attempt(self)
            if self._open_until is None:
                return attempt
            left = self._open_until - self._clock()
            if left <= 0 and self._probe is None:
                self._probe = attempt
                return attempt
            # While another tries, look again soon: it closes with the first thing that is heard.
            wait = left if left > 0 else self.open_for / 6
        raise ProviderFailed(
            f"The model's server failed {MOST_FAILURES} times in a row and is left alone for a moment",
            retryable=True,
            retry_after=wait,
        )

    def hears(self, attempt: Attempt, delta: Delta) -> None:
        """The server answers: a half-open circuit closes; a whole answer ends the row of failures."""
        with self._lock:
            if attempt is self._probe:
                self._probe, self._open_until, self._failures = None, None, 0
            if isinstance(delta, Done):
                self._failures = 0

    def fails(self, attempt: Attempt, failed: ProviderFailed) -> None:
        """Count a failure; one that opens the circuit is not to be tried again before it half-opens."""
        with self._lock:
            is_probe = attempt is self._probe
            if is_probe:
                self._probe = None
            if not failed.retryable or failed.status == RATE_LIMITED:
                if is_probe:
                    self._open_until, self._failures = None, 0
                return
            self._failures += 1
            if is_probe or self._failures >= MOST_FAILURES:
                self._open_until = self._clock() + self.open_for
                failed.retry_after = max(failed.retry_after or 0.0, self.open_for)

    def leaves(self, attempt: Attempt) -> None:
        """An attempt that was cancelled shows nothing: the next one may try."""
        with self._lock:
            if attempt is self._probe:
                self._probe = None


class Attempt:
    """One try to get an answer."""

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit

    def hears(self, delta: Delta) -> None:
        """See Circuit.hears."""
        self._circuit.hears(self, delta)

    def fails(self, failed: ProviderFailed) -> None:
        """See Circuit.fails."""
        self._circuit.fails(self, failed)

    def leaves(self) -> None:
        """See Circuit.leaves."""
        self._circuit.leaves(self)


_circuits: dict[tuple[str, str], Circuit] = {}


def of(provider: str, base_url: str, open_for: float) -> Circuit:
    """The circuit, in this process, of a provider at a base URL."""
    found = _circuits.setdefault((provider, base_url), Circuit())
    found.open_for = open_for
    return found
