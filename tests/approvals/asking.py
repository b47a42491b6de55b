"""Sessions that work and what their agents ask, without engines: for tests of both engines' rows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from app import ids
from app.actor import Actor
from app.approvals import service as approvals
from app.approvals.service import Ask, Call
from app.sessions import service as sessions
from app.sessions.service import Hold


def hold_of(actor: Actor, directory: Path, project: str = "prj_app", **more: Any) -> Hold:
    """A run of a new session of this person, taken."""
    place = SimpleNamespace(id=project, owner=actor.user, project=project, visibility="team")
    session = sessions.create(actor, SimpleNamespace(project=place, directory=directory), **{"title": "Fix it", **more})
    _sent, run_id = sessions.send(actor, session.id, [{"type": "text", "text": "go"}], provider="demo", model="demo")
    assert run_id is not None
    held = sessions.take(run_id)
    assert held is not None
    return held


def asked(hold: Hold, tool: str, given: dict[str, Any]) -> Ask:
    """What this call asks; it must ask."""
    call = Call(tool, given, ids.random("call"), "msg_1", ids.ascending("prt"))
    decision = approvals.decide(hold, call)
    assert decision.action == "ask", decision
    return approvals.ask(hold, call, decision)


def reads(hold: Hold, path: str) -> Ask:
    """A file that the agent wants to read."""
    return asked(hold, "read", {"filePath": path})


def runs(hold: Hold, command: str) -> Ask:
    """A command that the agent wants to run."""
    return asked(hold, "bash", {"command": command})
