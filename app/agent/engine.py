"""The engine: ask the model, run the tools, repeat, until idle or waiting.

The transcript is the journal. A finished step is never run again; a call whose start is stored but whose result
is not is told to the model as "outcome unknown". Every way a turn can end is an exception that says so.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from app import ids
from app.agent import calls, conversation, modes, prompts, tools
from app.agent.providers import Cancel, Cancelled, Done, Provider, ProviderFailed, Request, Usage, catalog
from app.agent.writer import StepWriter
from app.approvals import service as approvals
from app.errors import Problem
from app.sessions import service as sessions
from app.sessions.service import Aborted, Fenced, Hold, Message

ABORTED = {"name": "MessageAbortedError", "data": {"message": "The run was stopped."}}
TRIES = 6
_logger = logging.getLogger(__name__)


class Drained(Exception):
    """The server goes down: the run continues at its next start."""


class Failed(Exception):
    """The turn cannot go on; `error` is {name, data} as the transcript shows it."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["data"].get("message", error["name"]))
        self.error = error


def drive(hold: Hold) -> None:
    """Advance a held run until it ends or waits."""
    try:
        _steps(hold)
        sessions.finish(hold, "completed")
    except calls.Waiting:
        if not sessions.wait(hold, approvals.is_unanswered(hold)):
            drive(hold)
    except Drained:
        sessions.release(hold)
    except (Aborted, Cancelled):
        _close(hold, ABORTED, "Tool execution aborted")
        sessions.finish(hold, "aborted", ABORTED)
    except Problem as problem:
        error = {"name": "UnknownError", "data": {"message": problem.message}}
        _close(hold, error, "The run failed before this call.")
        sessions.finish(hold, "failed", error)
    except Failed as failed:
        _close(hold, failed.error, "The run failed before this call.")
        sessions.finish(hold, "failed", failed.error)
    except Fenced:
        _logger.warning("run %s was taken over; this process has let go of it", hold.run_id)
    except Exception:
        _logger.exception("run %s broke", hold.run_id)
        error = {"name": "UnknownError", "data": {"message": "Something broke on the server. The work is kept."}}
        _close(hold, error, "The run broke before this call.")
        sessions.finish(hold, "failed", error)


def _steps(hold: Hold) -> None:
    message = _resume(hold)
    while True:
        hold.raise_if_cancelled()
        if hold.draining.is_set():
            raise Drained
        if message is None:
            message = _ask_model(hold)
        stopped = calls.run_all(hold, message)
        finish = message.data["finish"]
        calls.close_step(hold, message)
        if stopped or finish != "tool-calls":
            return
        message = None
        sessions.say_busy(hold)


def _resume(hold: Hold) -> Message | None:
    """The step this run was in the middle of; one whose stream broke off is closed as it stands."""
    transcript = sessions.transcript_of(hold)
    mine = [m for m in transcript if m.role == "assistant" and m.data.get("parentID") == hold.run.message_id]
    if not mine or mine[-1].completed:
        return None
    if mine[-1].data.get("finish"):
        return mine[-1]
    sessions.close_message(hold, sessions.save_message(hold, mine[-1], finish="interrupted"), None, "Interrupted")
    return None


def _ask_model(hold: Hold) -> Message:
    """Stream one answer of the model into a new message; returns it with its finish reason and usage."""
    _choose_model(hold)
    run, session = hold.run, hold.session
    mode = modes.get(run.mode)
    transcript = sessions.transcript_of(hold)
    prompt = next(m for m in transcript if m.id == run.message_id)
    directory = Path(session.directory)
    request = Request(
        model=run.model,
        system=prompts.system(mode, directory, prompt.data.get("system")),
        messages=conversation.turns(transcript),
        tools=tools.specs(mode.tools, prompt.data.get("tools")),
    )
    message = sessions.add_message(hold, {
        "parentID": run.message_id, "providerID": run.provider, "modelID": run.model, "mode": mode.name,
        "agent": mode.name, "path": {"cwd": str(directory), "root": str(directory)}, "cost": 0.0, "tokens": tokens(Usage()),
    })
    sessions.add_part(hold, message.id, "step-start", {})
    done = _stream(hold, message, request)
    cost = catalog.cost(run.provider, run.model, done.usage, directory) or 0.0
    message = sessions.save_message(hold, message, finish=done.finish, cost=cost, tokens=tokens(done.usage))
    sessions.add_usage(hold, cost, tokens(done.usage))
    fresh = sessions.transcript_of(hold)
    return next(m for m in fresh if m.id == message.id)


def _choose_model(hold: Hold) -> None:
    """A prompt that named no model gets the default one, from now on the session's."""
    if hold.run.provider and hold.run.model:
        return
    provider, model = catalog.default_model(Path(hold.session.directory))
    hold.run = replace(hold.run, provider=provider, model=model)
    hold.session = sessions.update(hold.actor, hold.session.id, provider=provider, model=model)


def _stream(hold: Hold, message: Message, request: Request) -> Done:
    """Read the model's answer; failures before its first word are tried again with growing pauses."""
    try:
        provider = catalog.resolve(hold.actor, hold.run.provider, hold.run.model, Path(hold.session.directory))
    except ProviderFailed as failed:
        raise Failed(_error(hold, failed)) from failed
    for attempt in range(1, TRIES + 1):
        writer = StepWriter(hold, message)
        try:
            return _read(hold, writer, provider, request)
        except ProviderFailed as failed:
            writer.close()
            if not failed.retryable or writer.has_output or attempt == TRIES:
                raise Failed(_error(hold, failed)) from failed
            _pause(hold, message, failed, attempt)
        except Cancelled:
            writer.close()
            raise
    raise AssertionError("the last try returns or raises")


def _read(hold: Hold, writer: StepWriter, provider: Provider, request: Request) -> Done:
    cancel = Cancel()
    forget = hold.on_cancel(cancel.set)
    try:
        for delta in provider.stream(request, cancel):
            if isinstance(delta, Done):
                writer.close()
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
    error = {"name": "APIError", "data": _api_error(failed)}
    sessions.add_part(hold, message.id, "retry", {"attempt": attempt, "error": error, "time": {"created": now},
                                                  "next": now + int(seconds * 1000)})
    if hold.cancelled.wait(seconds):
        raise Aborted(hold.run_id)


def _close(hold: Hold, error: dict[str, Any], word: str) -> None:
    """Close what is open in this run's last message; a failed run always shows its error in one."""
    transcript = sessions.transcript_of(hold)
    for message in transcript:
        is_mine = message.role == "assistant" and message.data.get("parentID") == hold.run.message_id
        if is_mine and not message.completed:
            sessions.close_message(hold, message, error, word)


def _error(hold: Hold, failed: ProviderFailed) -> dict[str, Any]:
    if failed.auth:
        return {"name": "ProviderAuthError", "data": {"providerID": hold.run.provider, "message": failed.message}}
    return {"name": "APIError", "data": _api_error(failed)}


def _api_error(failed: ProviderFailed) -> dict[str, Any]:
    data = {"message": failed.message, "isRetryable": failed.retryable, "statusCode": failed.status}
    return {name: value for name, value in data.items() if value is not None}


def tokens(usage: Usage) -> dict[str, Any]:
    """A step's usage as the transcript stores it."""
    cache = {"read": usage.cache_read, "write": usage.cache_write}
    return {"input": usage.input, "output": usage.output, "reasoning": usage.reasoning, "cache": cache}
