"""Roo's route of the system: the document of its API."""

from __future__ import annotations

from typing import Any

from flask import Response

from app import openapi, web
from app.actor import Actor
from app.dialects import roo
from app.system import bp

door = roo.door(bp)


@door.get("/api/openapi.json", answer=dict[str, Any])
def document(_actor: Actor) -> Response:
    """The OpenAPI document of this dialect."""
    return web.json(openapi.document("roo"))
