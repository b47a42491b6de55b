"""The one stream of every open page: counts, rows of lists, what is said aloud, and the session in view."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from app import live, slots, web
from app.events import bp, service


@bp.get("/live")
def page_stream() -> Response:
    """What the rooms draw of each fact that this person may see.

    A page that shows more than lists says so in its query; the rooms fill the slot `stream` with who draws that:
    each has `keeps(fact)` and `draw(fact)`. `files` in it is the directory whose files the page shows. The slot
    `looking` has what is called once this page is no longer in sight; that of a hidden tab says so.
    """
    actor = web.actor()
    files = request.args.get("files") or None
    scenes = list(slots.gather("stream", actor, request.args).values())

    def keeps(fact: Any) -> bool:
        if fact.is_passing and fact.event.directory != files:
            return False
        return slots.is_drawn(type(fact.event)) or any(scene.keeps(fact) for scene in scenes)

    subscription = service.subscribe(actor, live.after(), keep=keeps, files=files)
    if "hidden" not in request.args:
        for end in slots.gather("looking", actor).values():
            subscription.hold(end)
    return live.follow(subscription, [lambda fact: slots.drawn(actor, fact), *(scene.draw for scene in scenes)])
