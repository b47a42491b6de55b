"""What stands for a page of the settings that belongs to a project while the person who looks sees none."""

from __future__ import annotations

from flask import Response

from app import web
from app.accounts import service as accounts
from app.actor import Actor
from app.projects import service as projects


def find(actor: Actor, tab: str, key: str = "settings:read") -> Response | None:
    """The page that says so, at its tab of the settings; None for somebody who can work in a project.

    `key` is what that page asks for; raises Denied without it.
    """
    accounts.require(actor, key)
    return None if projects.list_ready(actor) else web.page("settings/no_project.html", tab=tab)
