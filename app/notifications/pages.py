"""Pages of notifications: where and when one is told, and what was told. Part of the person's own account."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import Response, g, render_template, request, url_for

from app import live, mail, slots, web
from app.actor import Actor
from app.errors import Conflict, Invalid
from app.notifications import bp, service
from app.notifications.events import NoticeChanged
from app.notifications.service import OCCASIONS, Rules

DAYS = {"1": "Mon", "2": "Tue", "3": "Wed", "4": "Thu", "5": "Fri", "6": "Sat", "7": "Sun"}
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(?::00)?")
WORDS = {0: "at once", 15: "after 15 s", 60: "after 1 min", 300: "after 5 min"}


@bp.get("/account/notifications")
def index() -> Response:
    """The channels, the rules, and what was told lately."""
    return _page(web.actor())


@bp.post("/account/notifications/webhook")
def add_webhook() -> Response:
    """Have an address told; its secret is on the page that answers, and nowhere after."""
    actor, given = web.actor(), {"name": web.form("name"), "url": web.form("url")}
    try:
        channel, key = service.add_webhook(actor, given["name"], given["url"])
    except (Invalid, Conflict) as problem:
        return _page(actor, problem.status, refused=problem.message, given=given)
    return _page(actor, key=key, fresh=channel.id)


@bp.post("/account/notifications/browser")
def add_browser() -> Response:
    """Have this browser told, by its subscription."""
    actor = web.actor()
    try:
        service.add_browser(actor, _browser(), web.form("endpoint"), web.form("p256dh"), web.form("auth"))
    except (Invalid, Conflict) as problem:
        return _page(actor, problem.status, problem=problem.message)
    return web.back(url_for("notifications.index"))


@bp.post("/account/notifications/mail")
def add_mail() -> Response:
    """Have one's own address told by mail."""
    actor = web.actor()
    try:
        service.add_mail(actor)
    except (Invalid, Conflict) as problem:
        return _page(actor, problem.status, problem=problem.message)
    return web.back(url_for("notifications.index"))


@bp.post("/account/notifications")
def save() -> Response:
    """Say of what each channel tells, and when."""
    actor, rules = web.actor(), _rules()
    # One that was added meanwhile is not in the form, which says nothing of it.
    shown = set(request.form.getlist("channel"))
    told = {one.id: request.form.getlist(one.id) for one in service.list_channels(actor) if one.id in shown}
    try:
        service.change_rules(actor, rules)
        for channel_id, occasions in told.items():
            service.change_channel(actor, channel_id, occasions)
    except Invalid as problem:
        return _page(
            actor, problem.status, problem=problem.message, field=problem.field or "", rules=rules, ticked=told
        )
    return web.back(url_for("notifications.index"))


@bp.post("/account/notifications/<channel_id>/test")
def test(channel_id: str) -> Response:
    """Tell a word over it now."""
    service.test(web.actor(), channel_id)
    return web.back(url_for("notifications.index") + "#told")


@bp.post("/account/notifications/<channel_id>/remove")
def remove(channel_id: str) -> Response:
    """Tell nothing there any more."""
    service.remove_channel(web.actor(), channel_id)
    return web.back(url_for("notifications.index"))


@bp.get("/push.js")
@web.public
def worker() -> Response:
    """The part of the page that a browser keeps for when no page is open; it must lie at the root to speak for all."""
    script = (web.STATIC / "push.js").read_bytes()
    return Response(script, headers={"Cache-Control": "no-cache"}, content_type="text/javascript; charset=utf-8")


@slots.fill("looking")
def _looking(actor: Actor) -> dict[str, Any]:
    return service.begin_looking(actor)


@slots.draws(NoticeChanged)
def _changed(actor: Actor, fact: Any) -> list[str]:
    """The row of a notice on its owner's page."""
    one = service.find_notice(actor, fact.event.id)
    names = {channel.id: channel.name for channel in service.list_channels(actor)}
    row = render_template("notifications/_notice.html", one=one, names=names)
    return [live.partial("#told-none", "delete"), live.partial("#told-list", "into", row)]


def _page(
    actor: Actor,
    status: int = 200,
    *,
    problem: str = "",
    field: str = "",
    refused: str = "",
    rules: Rules | None = None,
    ticked: Mapping[str, list[str]] | None = None,
    given: dict[str, str] | None = None,
    key: str = "",
    fresh: str = "",
) -> Response:
    g.kind = "push_page"
    ticks = ticked or {}
    channels = [replace(one, occasions=ticks.get(one.id, one.occasions)) for one in service.list_channels(actor)]
    return web.page(
        "notifications/index.html",
        status,
        channels=channels,
        names={one.id: one.name for one in channels},
        occasions=OCCASIONS,
        rules=rules or service.rules_of(actor),
        delays=WORDS,
        days=DAYS,
        zones=sorted(service.zones()),
        told=service.list_notices(actor),
        has_mail=mail.is_on(),
        public_key=service.public_key(actor),
        problem=problem,
        field=field,
        refused=refused,
        given=given or {"name": "", "url": ""},
        key=key,
        fresh=fresh,
    )


def _rules() -> Rules:
    """The rules as the form has them; what is none in it is -1."""
    delay = web.form("delay")
    return Rules(
        away_only="away_only" in request.form,
        others="others" in request.form,
        delay=int(delay) if delay.isascii() and delay.isdigit() and len(delay) < 6 else -1,
        quiet="quiet" in request.form,
        quiet_from=_minutes("quiet_from", Rules.quiet_from),
        quiet_to=_minutes("quiet_to", Rules.quiet_to),
        quiet_days="".join(sorted(request.form.getlist("quiet_days"))),
        quiet_lets="quiet_lets" in request.form,
        zone=web.form("zone") or Rules.zone,
    )


def _minutes(name: str, default: int) -> int:
    """A time of the form, 20:00, in minutes after midnight; -1 for what is none."""
    found = _TIME.fullmatch(web.form(name) or f"{default // 60:02}:{default % 60:02}")
    return int(found[1]) * 60 + int(found[2]) if found else -1


def _browser() -> str:
    """A name for the browser that asks: what it is and what it runs on, as far as it says."""
    told = request.user_agent.string
    kinds = [name for mark, name in (("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome")) if mark in told]
    name = kinds[0] if kinds else ("Safari" if "Safari/" in told else "A browser")
    systems = ("Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux")
    on = next((system for system in systems if system in told), "")
    return f"{name} on {on}" if on else name
