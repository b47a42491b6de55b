"""Sharing a session: the page that says what will be public, its forms, and the public page itself with its stream."""

from __future__ import annotations

from flask import Response, g, request, url_for

from app import config, ids, live, web
from app.accounts import service as accounts
from app.errors import Denied, Invalid
from app.events import service as events
from app.sessions import bp, service
from app.sessions.pages import public

SHOWN = 100
DAY = 86_400_000
# When a link ends by itself, in days, and in words; "" leaves the end that it has.
ENDS: dict[str, tuple[str, int | None]] = {
    "1": ("in a day", 1),
    "7": ("in 7 days", 7),
    "30": ("in 30 days", 30),
    "never": ("never", None),
}


@bp.get("/sessions/<session_id>/share")
def share_form(session_id: str) -> Response:
    """What of the session its public page will show; once it is shared its address, and how to end that."""
    actor = web.actor()
    session = service.get(actor, session_id)
    accounts.require(actor, "sessions:share", session)
    if not service.is_shared_here(session.directory):
        raise Denied("Sharing is switched off here.")
    if not service.may_share(actor, session):
        raise Denied(service.OF_FEW)
    settings, now = config.current(), service.share_of(session)
    ends = [{"id": key, "name": words} for key, (words, _days) in ENDS.items()]
    kept = [{"id": "", "name": "as it is"}] if now and now.until else []
    return web.page(
        "sessions/share.html",
        session=session,
        share=now,
        ends=[*kept, *ends],
        end="" if kept else "never",
        url=service.share_url(session),
        alone=settings.is_loopback and not settings.public_url,
    )


@bp.post("/sessions/<session_id>/share")
def share(session_id: str) -> Response:
    """Share it, or change what its public page shows."""
    ends = web.form("ends")
    if ends and ends not in ENDS:
        raise Invalid(f"ends is one of {', '.join(ENDS)}.", "ends")
    days = ENDS[ends][1] if ends else None
    until = service.AS_IT_IS if not ends else ids.now() + days * DAY if days else None
    service.share(web.actor(), session_id, output=web.form("output") == "yes", until=until)
    return web.back(url_for("sessions.share_form", session_id=session_id))


@bp.post("/sessions/<session_id>/unshare")
def unshare(session_id: str) -> Response:
    """End its public address."""
    service.unshare(web.actor(), session_id)
    return live.done(url_for("sessions.show", session_id=session_id))


@bp.get("/s/<slug>")
@web.public
def public_page(slug: str) -> Response:
    """A shared session, for whoever has its address; one that ended and one that never was look alike."""
    g.kind = "shared_page"
    cursor = events.latest()
    found = service.find_visitor(slug)
    veil = service.Veil.of(found[1]) if found else None
    if found is None or veil is None:
        return _ended()
    visitor, before = found[0], request.args.get("before", "")
    messages, has_earlier = service.public_window(visitor, veil, before, SHOWN)
    return web.page(
        "sessions/public/show.html",
        **public.context(visitor, veil),
        messages=messages,
        earlier=url_for("sessions.public_page", slug=slug, before=messages[0].id) if has_earlier and messages else "",
        stream=url_for("sessions.public_stream", slug=slug, lastEventId=cursor, mark=public.mark_of(veil)),
    )


@bp.get("/s/<slug>/live")
@web.public
def public_stream(slug: str) -> Response:
    """What happens in the shared session, as long as it is shared."""
    g.kind = "shared_page"
    found = service.find_visitor(slug)
    subscription = service.follow_shared(found[0], live.after()) if found else None
    if found is None or subscription is None:
        return _ended()
    return live.follow(subscription, [public.Scene(found[0], slug, request.args.get("mark", "")).draw])


def _ended() -> Response:
    return web.page("sessions/public/ended.html", 404)
