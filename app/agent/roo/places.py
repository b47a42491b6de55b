"""Which workspace a request means."""

from __future__ import annotations

from flask import request

from app.actor import Actor
from app.projects import service as projects
from app.projects.service import Place


def place(actor: Actor) -> Place:
    """That of `?directory=`, or the usual one of the caller's token or port."""
    return projects.resolve(actor, request.args.get("directory"))
