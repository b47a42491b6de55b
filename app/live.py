"""Live pages: a stream of small pieces of markup, each of which changes one place of an open page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask import Response, request
from markupsafe import escape

from app import unseen, web
from app.errors import Problem
from app.streams import Feed, Stream, frame

PING = 15.0
RESYNC = b"event: resync\n" + frame("reload")
Draw = Callable[[Any], list[str]]


class LoadAnew(Exception):
    """What happened cannot be drawn piece by piece: the page loads itself afresh."""


def partial(target: str, swap: str, inner: str = "") -> str:
    """One change of a page: the selector of its place, how it is put there, and whole safe markup."""
    return f'<hx-partial hx-target="{escape(target)}" hx-swap="{escape(swap)}">{inner}</hx-partial>'


def done(page: str) -> Response:
    """What a form answers whose outcome the page's stream shows: nothing to HTMX, else that page (303)."""
    return Response(status=204) if web.is_htmx() else web.back(page)


def file_news(file: str) -> list[str]:
    """What a page of files is told when a file changed, by its absolute path, if it or its folder is what is shown."""
    directory, shown = request.args.get("files", ""), request.args.get("shown", "")
    if not directory or not f"{file}/".startswith(f"{directory}/"):
        return []
    path = file[len(directory) + 1 :]
    is_here = not path or shown in (path, path.rpartition("/")[0])  # of all, if it is the directory that changed
    return [partial("#files-news", "innerHTML", '<i data-news="">changed</i>')] if is_here else []


def after() -> str | None:
    """The cursor behind which this stream goes on; the header of a browser that comes back wins."""
    return request.headers.get("Last-Event-ID") or request.args.get("lastEventId")


def follow(subscription: Any, draws: Sequence[Draw]) -> Response:
    """The stream of what each of `draws` makes of each fact; a thing that is gone meanwhile draws nothing."""
    opening = b": open\n\n" + (RESYNC if subscription.resync else b"")
    return Stream(Feed(subscription, opening, lambda fact: _frame(fact, draws), lambda: b": ping\n\n", PING))


def _frame(fact: Any, draws: Sequence[Draw]) -> bytes:
    try:
        partials = [partial for draw in draws for partial in _drawn(draw, fact)]
    except LoadAnew:
        return f"id: {fact.cursor}\n".encode() + RESYNC
    return frame(unseen.shown("\n".join(partials).encode()), fact.cursor) if partials else b""


def _drawn(draw: Draw, fact: Any) -> list[str]:
    try:
        return draw(fact)
    except Problem:
        return []
