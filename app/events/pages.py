"""The stream that every open page listens to: counts, rows of lists, and what is said aloud."""

from __future__ import annotations

from flask import Response

from app import live, slots, web
from app.events import bp, service


@bp.get("/live")
def page_stream() -> Response:
    """What the rooms draw of each fact that this person may see."""
    actor = web.actor()
    subscription = service.subscribe(actor, live.after(), keep=lambda fact: slots.is_drawn(type(fact.event)))
    return live.follow(subscription, lambda fact: slots.drawn(actor, fact))
