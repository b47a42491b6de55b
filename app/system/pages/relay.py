"""What a remote control has a person's open pages do; static/relay.js does it."""

from __future__ import annotations

from typing import Any

import orjson
from flask import request, url_for
from markupsafe import escape

from app import ids, live, slots
from app.actor import Actor
from app.sessions import service as sessions
from app.system.events import InterfaceTold

# A page that comes back after longer does no more what it was told meanwhile, in ms.
FRESH = 30_000


@slots.draws(InterfaceTold)
def draw_told(actor: Actor, fact: Any) -> list[str]:
    """A note for the page's script, if the page shows no other directory than the one that is meant."""
    told: InterfaceTold = fact.event
    if ids.now() - fact.at > FRESH or not _is_meant(actor, told.directory):
        return []
    said = dict(told.properties)
    if told.type == "tui.session.select":
        said["href"] = url_for("sessions.show", session_id=said["sessionID"])
    note = orjson.dumps(
        {"id": fact.cursor, "project": fact.scope.project, "type": told.type, "properties": said}
    ).decode()
    return [live.partial("#relay", "innerHTML", f'<i data-told="{escape(note)}"></i>')]


def _is_meant(actor: Actor, directory: str) -> bool:
    at = request.args.get("at", "")
    return not directory or not at or sessions.get(actor, at).directory == directory
