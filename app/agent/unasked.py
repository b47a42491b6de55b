"""How much may run before somebody is asked whether it may go on: so many requests to the model, or so much cost.

Counted from the transcript: all of a session since somebody last let it go on.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.agent.auto_approve import Switches
from app.approvals import service as approvals
from app.approvals.service import Call
from app.sessions.service import Hold, Message


def limit(hold: Hold, given: Switches, transcript: Sequence[Message], call: Call) -> Call | None:
    """What must be asked before this call, which needs no answer of its own; None while no limit is reached."""
    most, dearest = given.allowed_max_requests, given.allowed_max_cost
    if not given.auto_approval_enabled or (most is None and dearest is None):
        return None
    steps = _steps(transcript, approvals.last_allowed(hold, approvals.LIMIT))
    if most is not None and len(steps) >= most:
        return approvals.limited(call, len(steps), "requests")
    cost = sum(step.data.get("cost") or 0.0 for step in steps)
    return approvals.limited(call, round(cost, 6), "cost") if dearest is not None and cost >= dearest else None


def _steps(transcript: Sequence[Message], last: approvals.Ask | None) -> list[Message]:
    """The answers of the model since that ask."""
    each = {message.id: message for message in transcript}.values()
    found = [message for message in each if message.role == "assistant" and message.data.get("finish")]
    at = next((at for at, message in enumerate(found) if last and message.id == last.message_id), -1)
    return found[at + 1 :]
