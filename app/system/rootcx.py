"""RootCX's routes of the system: the document of its API."""

from __future__ import annotations

from typing import Any

from flask import Response

from app import openapi, web
from app.actor import Actor
from app.dialects import rootcx
from app.system import bp

door = rootcx.door(bp)


@door.get("/api/v1/openapi.json", answer=dict[str, Any])
def document(_actor: Actor) -> Response:
    """The OpenAPI document of this dialect."""
    return web.json(openapi.document("rootcx"))
