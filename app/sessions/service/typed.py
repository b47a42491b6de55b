"""Commands that people type themselves: a run whose prompt is the command and whose answer is one tool call.

The prompt's data holds what is run (`typed`), the answer's call begins pending. All of it is one transaction, so that
whoever takes the run finds both, and knows by the state of the call whether it was begun.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from app import db, ids, record, redact
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Busy, Conflict
from app.sessions import events
from app.sessions.service import rows, runs
from app.sessions.service.transcript import check_ids, drop_reverted, mode_and_model
from app.sessions.things import Message, Part, Session

# OpenCode's words, which its clients and models know.
EXECUTED = "The following tool was executed by the user"
TOOL = "bash"
WORDS, WORD = 100, 1000


def send_typed(
    actor: Actor,
    session_id: str,
    typed: Mapping[str, Any],
    shown: Mapping[str, Any],
    told: Mapping[str, Any],
    *,
    mode: str = "",
    provider: str = "",
    model: str = "",
    message_id: str | None = None,
) -> tuple[Message, str]:
    """Queue a command of the actor's own; the message that it is, and the run's id.

    `typed` is what is run, `shown` the input that its call shows, `told` further data of the answer. Raises Busy while
    something goes on in the session: a command is about what is there now.
    """
    check_ids(message_id, [])
    mode, provider, model = mode_and_model(actor, session_id, mode, provider, model)
    with db.transaction() as connection:
        session = rows.session(connection, session_id, lock=True)
        accounts.require(actor, "sessions:run", session)
        runs.check_owner(session, actor.user)
        if session.is_busy:
            raise Busy(session_id)
        session = drop_reverted(connection, session)
        record.audit(connection, actor, "session.shell", session_id, _audited(typed))
        # The newer clients hear that it is busy before they hear of what.
        record.event(connection, events.SessionBusy(session_id), session)
        data = {"agent": mode, "model": {"providerID": provider, "modelID": model}, "by": actor.name}
        prompt = Message(
            message_id or ids.ascending("msg"), session_id, "user", {**data, "typed": dict(typed)}, ids.now(), None
        )
        prompt.parts.append(_part(prompt, "text", {"text": EXECUTED, "synthetic": True}))
        try:
            rows.insert_message(connection, prompt, session)
        except sa.exc.IntegrityError:
            raise Conflict(f"The id {prompt.id} is already there.") from None
        answer = _answer(session, prompt, provider, model, {**told, "by": actor.name})
        call = {"callID": ids.random("call"), "tool": TOOL, "state": _pending(shown)}
        rows.insert_message(connection, replace(answer, parts=[_part(answer, "tool", call)]), session)
        run_id = runs.queue(connection, session, prompt, mode, provider, model)
        rows.change(connection, session, state="queued")
    return prompt, run_id


def _answer(session: Session, prompt: Message, provider: str, model: str, told: Mapping[str, Any]) -> Message:
    mode = prompt.data["agent"]
    tokens = {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}
    data = {
        "parentID": prompt.id,
        "providerID": provider,
        "modelID": model,
        "mode": mode,
        "agent": mode,
        "path": {"cwd": session.directory, "root": session.directory},
        "cost": 0.0,
        "tokens": tokens,
        **told,
    }
    return Message(ids.ascending("msg"), session.id, "assistant", data, ids.now(), None)


def _audited(typed: Mapping[str, Any]) -> dict[str, Any]:
    """What is run as the audit record keeps it: the beginning of each word, of as many as anybody reads."""
    return {
        name: [word[:WORD] for word in value[:WORDS]] if isinstance(value, list) else value[:WORD]
        for name, value in redact.data(dict(typed)).items()
    }


def _pending(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {"status": "pending", "input": dict(shown), "raw": ""}


def _part(message: Message, kind: str, data: dict[str, Any]) -> Part:
    return Part(ids.ascending("prt"), message.id, message.session_id, kind, data)
