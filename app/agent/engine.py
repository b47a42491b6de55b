"""The engine: ask the model, run the tools, repeat, until idle or waiting.

The transcript is the journal. A finished step is never run again; a call whose start is stored but whose result
is not is told to the model as "outcome unknown". Every way a turn can end is an exception that says so.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from app import db
from app.agent import (
    asking,
    calls,
    commands,
    compaction,
    conversation,
    endings,
    instructions,
    mode_tools,
    modes,
    prompts,
    subagents,
    titles,
    typed,
)
from app.agent.endings import ABORTED, BROKEN, CUT_SHORT, Drained, Failed, Overflowed
from app.agent.providers import Cancelled, Request, Usage, catalog
from app.agent.tools import mcp
from app.approvals import service as approvals
from app.errors import Problem
from app.sessions import service as sessions
from app.sessions.service import Aborted, Fenced, Hold, Message

MOST_INVALID = 3
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
        transcript = sessions.transcript_of(hold)
        prompt = next(m for m in transcript if m.id == hold.run.message_id)
        if typed.is_asked(prompt):
            typed.answer(hold, prompt, transcript)
            return True
        message, transcript = _resume(hold, transcript)
        _choose_model(hold)
        if compaction.is_asked(prompt):
            compaction.answer(hold, transcript, prompt)
            sessions.finish(hold, "completed")
            return True
        titles.begin(hold, transcript)
        while True:
            hold.raise_if_cancelled()
            if hold.draining.is_set():
                raise Drained
            if message is None:
                message, transcript = _ask_model(hold, compaction.make_room(hold, transcript))
                _raise_if_invalid_again(hold, [*transcript, message])
            if error := CUT_SHORT.get(message.data["finish"]):
                raise Failed(error)
            outcome = calls.run_all(hold, message, transcript)
            is_last = outcome.stopped or message.data["finish"] != "tool-calls"
            changed = calls.checkpoint(hold, message) if outcome.may_have_changed else None
            with db.transaction() as connection:
                calls.close_step(hold, message, changed)
                if is_last:
                    sessions.finish(hold, "completed")
                    commands.tell_end(connection, hold, prompt, message)
                    return True
                sessions.say_busy(hold)
            message, transcript = None, sessions.transcript_of(hold)
    except calls.Waiting:
        return sessions.wait(hold, approvals.is_unanswered(hold))
    except Drained:
        sessions.release(hold)
        return True


def _resume(hold: Hold, transcript: list[Message]) -> tuple[Message | None, list[Message]]:
    """The step this run was in the middle of, and all that was said; a broken stream's is closed as it stands."""
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
    run, session = hold.run, hold.session
    known = modes.of(session.directory)
    mode = modes.named(known, run.mode)
    prompt = next(m for m in transcript if m.id == run.message_id)
    directory = Path(session.directory)
    request = Request(
        model=run.model,
        system=prompts.system(
            mode,
            directory,
            prompt.data.get("system"),
            instructions.of(hold.actor, session, mode.name, mode.instructions),
            known,
        ),
        messages=conversation.turns(transcript, run.provider, run.model),
        tools=mode_tools.offered(
            mode,
            prompt.data.get("tools"),
            above=subagents.modes_above(hold, known),
            directory=directory,
            more=mcp.of(hold.actor, session.directory),
        ),
        options=mode.options,
    )
    with db.transaction():
        message = _begin(hold)
        sessions.add_part(hold, message.id, "step-start", {})
    try:
        done, payer = asking.ask(hold, message, request)
    except Overflowed as refused:
        return _ask_model(hold, compaction.after_overflow(hold, message, refused))
    cost = catalog.cost(run.provider, run.model, done.usage, directory, session.owner) or 0.0
    with db.transaction():
        tokens = endings.tokens(done.usage)
        message = sessions.save_message(hold, message, finish=done.finish, cost=cost, tokens=tokens, paid=payer)
        sessions.add_usage(hold, cost, tokens)
    return sessions.refresh(hold, message), transcript


def _raise_if_invalid_again(hold: Hold, transcript: list[Message]) -> None:
    """Arguments that are no JSON object go back to the model, but not for ever."""
    steps = [m for m in transcript if m.data.get("parentID") == hold.run.message_id]
    last = steps[-MOST_INVALID - 1 :]
    if len(last) > MOST_INVALID and all(endings.has_invalid_call(step) for step in last):
        raise Failed(endings.unknown(f"The model's tool calls were not valid JSON {len(last)} times in a row."))


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
    provider, model = catalog.default_model(Path(hold.session.directory), hold.session.owner)
    hold.run = replace(hold.run, provider=provider, model=model)
    hold.session = sessions.update(hold.actor, hold.session.id, provider=provider, model=model)


def _end(hold: Hold, state: str, error: dict[str, Any], word: str) -> None:
    """End the run with an error that its open message shows; a failed run makes one for it."""
    with db.transaction():
        mine = [m for m in sessions.transcript_of(hold) if m.answers(hold.run.message_id)]
        is_open = [message for message in mine if not message.completed]
        if state == "failed" and not is_open:
            is_open = [_begin(hold)]
        for message in is_open:
            sessions.close_message(hold, message, error, word)
        sessions.finish(hold, state, error)
