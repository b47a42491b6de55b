"""Asking the model for one step: its stream goes to the transcript, what fails is tried again with growing pauses.

Nothing of an answer has an effect before it is whole, since its tools run only then. So a try that broke off in the
middle can be repeated too; what it wrote stays, marked as retried, before a part that says why and when.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from secrets import SystemRandom

from app import config, db, ids, redact
from app.agent import endings
from app.agent.endings import Drained
from app.agent.providers import Cancel, Done, Provider, ProviderFailed, Request, catalog
from app.agent.providers.own_keys import Payer
from app.agent.writer import StepWriter
from app.sessions import service as sessions
from app.sessions.service import Hold, Message

TRIES = 6
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
JITTER = 0.2
LONGEST_OBEYED = 300.0
ALL_IN_ALL = 900.0
_between = SystemRandom().uniform


class Patience:
    """How long one step's model is waited for; all times in seconds, `unit` scales those that we choose ourselves."""

    def __init__(
        self,
        unit: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        between: Callable[[float, float], float] = _between,
    ) -> None:
        self._unit = unit
        self._clock = clock
        self._between = between
        self._end = clock() + ALL_IN_ALL
        self.tries = 0

    def pause(self, failed: ProviderFailed) -> float | None:
        """How long to wait before the next try: as the server says, else 1, 2, 4 … s; None if there is none."""
        self.tries += 1
        if not failed.retryable or failed.overflow or self.tries >= TRIES:
            return None
        if failed.retry_after is not None:
            pause = min(failed.retry_after, LONGEST_OBEYED)
        else:
            jitter = self._between(1 - JITTER, 1 + JITTER)
            pause = self._unit * min(FIRST_PAUSE * 2 ** (self.tries - 1) * jitter, LONGEST_PAUSE)
        return pause if self._clock() + pause < self._end else None


def ask(hold: Hold, message: Message, request: Request) -> tuple[Done, Payer]:
    """Read the model's answer into the message, and say whose key paid; raises Failed once it is not worth another try.

    Each try looks anew for the key of whoever owns the session: one that was replaced or removed is used no more.
    """
    run, session = hold.run, hold.session
    patience = Patience(config.current().model_pause)
    while True:
        writer = StepWriter(hold, message)
        try:
            provider, payer = catalog.resolve_paid(
                hold.actor, run.provider, run.model, Path(session.directory), session.owner
            )
            return _read(hold, writer, provider, request), payer
        except ProviderFailed as failed:
            # Some servers repeat the key that they refuse.
            failed.message, failed.body = redact.text(failed.message), redact.text(failed.body)
            seconds = patience.pause(failed)
            if seconds is None:
                raise endings.failed(hold.run.provider, failed) from failed
            writer.mark_retried()
            _wait(hold, message, failed, patience.tries, seconds)


def _read(hold: Hold, writer: StepWriter, provider: Provider, request: Request) -> Done:
    cancel = Cancel()
    forget = hold.on_cancel(cancel.set)
    try:
        for delta in provider.stream(request, cancel):
            if isinstance(delta, Done):
                return delta
            writer.take(delta)
            hold.raise_if_cancelled()
    finally:
        forget()
        writer.close()
    raise ProviderFailed("The model's answer broke off.", retryable=True)


def _wait(hold: Hold, message: Message, failed: ProviderFailed, attempt: int, seconds: float) -> None:
    """Say in the transcript that a try failed and when the next one is, and wait for it."""
    now = ids.now()
    at = now + int(seconds * 1000)
    error = {"name": "APIError", "data": endings.api_error(failed)}
    with db.transaction():
        said = {"attempt": attempt, "error": error, "time": {"created": now}, "next": at}
        sessions.add_part(hold, message.id, "retry", said)
        sessions.say_retrying(hold, attempt, failed.message, at)
    if not hold.pause(seconds):
        hold.raise_if_cancelled()
        raise Drained
    sessions.say_busy(hold)
