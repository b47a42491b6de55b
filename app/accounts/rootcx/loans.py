"""Who answers for somebody, for scripts: no part of RootCX's own API, and spoken in its accent."""

from __future__ import annotations

from typing import Any

from app.accounts import service
from app.accounts.rootcx.door import door
from app.accounts.service import Loan
from app.actor import Actor
from app.dialects import rootcx


@door.get("/api/v1/approvers", answer=dict[str, list[dict[str, Any]]])
def approvers(actor: Actor) -> dict[str, list[dict[str, Any]]]:
    """Who answers the caller's asks (`mine`), and what the caller was lent over the things of whom or what (`lent`)."""
    mine, lent = service.my_loans(actor)
    return {"mine": [_shape(one) for one in mine], "lent": [_shape(one) for one in lent]}


@door.put("/api/v1/approvers/<user>", answer=dict[str, str])
def add_approver(actor: Actor, user: str) -> dict[str, str]:
    """Let somebody answer what the caller's agents ask; a second time changes nothing."""
    service.lend_answers(actor, user)
    return rootcx.told("approver added")


@door.delete("/api/v1/approvers/<user>", answer=dict[str, str])
def remove_approver(actor: Actor, user: str) -> dict[str, str]:
    """End that."""
    service.take_back_answers(actor, user)
    return rootcx.told("approver removed")


def _shape(one: Loan) -> dict[str, Any]:
    return {
        "userId": one.user_id,
        "name": one.name,
        "key": one.key,
        "project": one.project or None,
        "owner": one.owner or None,
        "givenBy": one.given_by,
        "givenAt": rootcx.time(one.given),
    }
