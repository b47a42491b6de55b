"""The engine: ask the model, run the tools, repeat, until idle or waiting.

The transcript is the journal. A finished step is never run again; a call whose start is stored but whose result
is not is told to the model as "outcome unknown". Every way a turn can end is an exception that says so.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from app import db, ids
from app.agent import calls, conversation, endings, modes, prompts, tools
from app.agent.endings import ABORTED, BROKEN, LENGTH, Drained, Failed
from app.agent.providers import Cancel, Cancelled, Done, Provider, ProviderFailed, Request, Usage, catalog
from app.agent.writer import StepWriter
from app.approvals import service as approvals
from app.errors import Problem
from app.sessions import service as sessions
from app.sessions.service import Aborted, Fenced, Hold, Message

TRIES = 6
_logger = logging.getLogger(__name__)


def drive(hold: Hold) -> None:
    """Advance a held run until it ends or waits."""
    try:
        while not _turn(hold):
            continue
    except Fenced:
        _logger.warning("run %s was taken over or is gone; this process has let go of it", hold.run_id)


def _turn(hold: Hold) -> bool:
    """Go on with the turn; False if what it had to wait for came meanwhile."""
    try:
        return _steps(hold)
    except (Aborted, Cancelled):
        _end(hold, "aborted", ABORTED, "Tool execution aborted")
    except Failed as failed:
        _end(hold, "failed", failed.error, "The run failed before this call.")
    except Problem as problem:
        _end(hold, "failed", endings.unknown(problem.message), "The run failed before this call.")
    except Fenced:
        raise
    except Exception:
        _logger.exception("run %s broke", hold.run_id)
        _end(hold, "failed", BROKEN, "The run broke before this call.")
    return True


def _steps(hold: Hold) -> bool:
    """Step by step to the end of the turn; False if it waits no longer for what it stopped at."""
    try:
        message, transcript = _resume(hold)
        while True:
            hold.raise_if_cancelled()
            if hold.draining.is_set():
                raise Drained
            if message is None:
                message, transcript = _ask_model(hold, transcript)
            if message.data["finish"] == "length":
                raise Failed(LENGTH)  # its last call may be cut off as well: none of them is run
            outcome = calls.run_all(hold, message, transcript)
            is_last = outcome.stopped or message.data["finish"] != "tool-calls"
            changed = calls.checkpoint(hold, message) if outcome.may_have_changed else None
            with db.transaction():
                calls.close_step(hold, message, changed)
                if is_last:
                    sessions.finish(hold, "completed")
                    return True
                sessions.say_busy(hold)
            message, transcript = None, sessions.transcript_of(hold)
    except calls.Waiting:
        return sessions.wait(hold, approvals.is_unanswered(hold))
    except Drained:
        sessions.release(hold)
        return True


def _resume(hold: Hold) -> tuple[Message | None, list[Message]]:
    """The step this run was in the middle of, and all that was said; a broken stream's is closed as it stands."""
    transcript = sessions.transcript_of(hold)
    mine = [m for m in transcript if m.role == "assistant" and m.data.get("parentID") == hold.run.message_id]
    if not mine or mine[-1].completed:
        return None, transcript
    if mine[-1].data.get("finish"):
        return mine[-1], transcript
    with db.transaction():
        broken = sessions.save_message(hold, mine[-1], finish="interrupted")
        sessions.close_message(hold, broken, None, "Interrupted")
    return None, sessions.transcript_of(hold)


def _ask_model(hold: Hold, transcript: list[Message]) -> tuple[Message, list[Message]]:
    """Stream one answer of the model into a new message; returns it whole, and the transcript before it."""
    _choose_model(hold)
    run, session = hold.run, hold.session
    mode = modes.get(run.mode)
    prompt = next(m for m in transcript if m.id == run.message_id)
    directory = Path(session.directory)
    request = Request(
        model=run.model,
        system=prompts.system(mode, directory, prompt.data.get("system")),
        messages=conversation.turns(transcript),
        tools=tools.specs(mode.tools, prompt.data.get("tools")),
    )
    with db.transaction():
        message = _begin(hold)
        sessions.add_part(hold, message.id, "step-start", {})
    done = _stream(hold, message, request)
    cost = catalog.cost(run.provider, run.model, done.usage, directory) or 0.0
    with db.transaction():
        message = sessions.save_message(hold, message, finish=done.finish, cost=cost, tokens=endings.tokens(done.usage))
        sessions.add_usage(hold, cost, endings.tokens(done.usage))
    return sessions.refresh(hold, message), transcript


def _begin(hold: Hold) -> Message:
    """An empty message that answers the run's prompt."""
    run, directory = hold.run, hold.session.directory
    return sessions.add_message(
        hold,
        {
            "parentID": run.message_id,
            "providerID": run.provider,
            "modelID": run.model,
            "mode": run.mode,
            "agent": run.mode,
            "path": {"cwd": directory, "root": directory},
            "cost": 0.0,
            "tokens": endings.tokens(Usage()),
        },
    )


def _choose_model(hold: Hold) -> None:
    """A prompt that named no model gets the default one, from now on the session's."""
    if hold.run.provider and hold.run.model:
        return
    provider, model = catalog.default_model(Path(hold.session.directory))
    hold.run = replace(hold.run, provider=provider, model=model)
    hold.session = sessions.update(hold.actor, hold.session.id, provider=provider, model=model)


def _stream(hold: Hold, message: Message, request: Request) -> Done:
    """Read the model's answer; failures before its first word are tried again with growing pauses.

    A conversation that is too long is none of them: it would be too long again.
    """
    try:
        provider = catalog.resolve(hold.actor, hold.run.provider, hold.run.model, Path(hold.session.directory))
    except ProviderFailed as failed:
        raise Failed(endings.error_of(hold.run.provider, failed)) from failed
    for attempt in range(1, TRIES + 1):
        writer = StepWriter(hold, message)
        try:
            return _read(hold, writer, provider, request)
        except ProviderFailed as failed:
            if not failed.retryable or failed.overflow or writer.has_output or attempt == TRIES:
                raise Failed(endings.error_of(hold.run.provider, failed)) from failed
            _pause(hold, message, failed, attempt)
    raise AssertionError("the last try returns or raises")


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


def _pause(hold: Hold, message: Message, failed: ProviderFailed, attempt: int) -> None:
    seconds = min(failed.retry_after if failed.retry_after is not None else 2 ** (attempt - 1), 300)
    now = ids.now()
    error = {"name": "APIError", "data": endings.api_error(failed)}
    sessions.add_part(
        hold,
        message.id,
        "retry",
        {"attempt": attempt, "error": error, "time": {"created": now}, "next": now + int(seconds * 1000)},
    )
    if not hold.pause(seconds):
        hold.raise_if_cancelled()
        raise Drained


def _end(hold: Hold, state: str, error: dict[str, Any], word: str) -> None:
    """End the run with an error that its open message shows; a failed run makes one for it."""
    with db.transaction():
        mine = [m for m in sessions.transcript_of(hold) if m.data.get("parentID") == hold.run.message_id]
        is_open = [message for message in mine if not message.completed]
        if state == "failed" and not is_open:
            is_open = [_begin(hold)]
        for message in is_open:
            sessions.close_message(hold, message, error, word)
        sessions.finish(hold, state, error)
