"""What stands to the tools of MCP servers, on the page of those servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app import slots
from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import service
from app.projects.service import Project


@slots.fill("mcp")
def fill_mcp(actor: Actor, project: Project, tools: Mapping[str, str]) -> dict[str, Any]:
    """Whether a rule allows each tool as it is now, and whether it allowed what it was before."""
    if not accounts.may(actor, "approvals:read", project):
        return {}
    return {"said": service.said_of(actor, project, tools)}
