"""The small marks that lists draw by the hundred: moments, glyphs, people, buttons.

As functions, because a macro of Jinja's costs ten times as much. `macros.html` gives them to the templates as its own;
what they are given is escaped.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from flask import Flask
from jinja2 import Undefined
from markupsafe import Markup, escape

from app import web, web_filters
from app.web_filters import drawn, rendered

SEEN = {"private": "its owner alone", "team": "the team", "shared": "anyone with the link"}
KEYS = {"shift+A": "⇧A", "Enter": "⏎", "Escape": "Esc", "mod+Enter": "Ctrl ⏎", "mod+S": "Ctrl S"}


def time(ms: int | Undefined | None, form: str = "ago") -> Markup:
    """A moment (unix ms) as an element; form: "ago", "age" or "clock"."""
    if ms is None or isinstance(ms, Undefined):
        return escape(web_filters.UNKNOWN)
    words = web_filters.clock(ms) if form == "clock" else web_filters.ago(ms, short=form == "age")
    about = f'datetime="{web_filters.iso(ms)}" title="{web_filters.moment(ms)}" data-ms="{int(ms)}"'
    return rendered(f'<time {about} data-form="{form}">{words}</time>')  # figures, and words of ours


def glyph(state: str, label: str = "") -> Markup:
    """One of the six states of a session; without a label it is hidden from readers."""
    return _glyph(web.find_static("icons.svg"), state, label)


def state_of(session: Any) -> str:
    """A session's state as one of the six glyphs: idle with an answer behind it is done."""
    if session.state == "waiting":
        return "needs"
    if session.state in ("running", "queued", "failed"):
        return str(session.state)
    return "done" if session.tokens and session.tokens.get("output") else "idle"


def seen_by(session: Any) -> str:
    """Who sees a session: "private", "team" or "shared"."""
    return "shared" if session.share_slug else "private" if session.visibility == "private" else "team"


def seen_mark(session: Any) -> Markup:
    """The mark of a session in a list that more or fewer than the team see."""
    seen = seen_by(session)
    return escape("") if seen == "team" else _seen_mark(web.find_static("icons.svg"), seen)


def arc() -> Markup:
    """What turns in a button while its form is under way."""
    return _arc(web.find_static("icons.svg"))


def avatar(name: str, kind: str = "user") -> Markup:
    """Somebody's initials on their ground."""
    return _avatar(name, kind)


def cap(key: str) -> Markup:
    """A key, as it stands on a button."""
    return drawn('<kbd aria-hidden="true">{}</kbd>', KEYS.get(key, key))


def button(
    words: str,
    kind: str = "",
    name: str = "",
    value: str = "",
    key: str = "",
    glyph: str = "",
    extra: str = "",
    type: str = "submit",
    title: str = "",
    off: bool = False,
    shows: str = "",
) -> Markup:
    """A button; kind: primary, quiet, danger or "" (plain); extra: low, tall, wide, square; shows: the selector of what
    has to be in sight before the key presses the button.
    """
    sprite = web.find_static("icons.svg")
    return _button(sprite, words, kind, name, value, key, glyph, extra, type, title, bool(off), shows)


def on_error(target: str, how: str = "innerHTML") -> Markup:
    """Where an error of an HTMX request is told: only the notice of the error page, put at the target; the title
    stays.
    """
    told = f"""='target:"{escape(target)}" select:.notice swap:"{escape(how)} ignoreTitle:true"'"""
    return rendered(f" hx-status:4xx{told} hx-status:5xx{told}")


@lru_cache(maxsize=8)
def _seen_mark(_sprite: str, seen: str) -> Markup:
    words, glyph = f"Seen by {SEEN[seen]}", web_filters.icon({"private": "lock", "shared": "globe"}[seen], "s14")
    return drawn('<span class="seen ink-3" title="{}">{}<span class="sr">{}</span></span>', words, glyph, words)


# Typed: words that are markup already and the same words as text are drawn differently.
@lru_cache(maxsize=256, typed=True)
def _glyph(sprite: str, state: str, label: str) -> Markup:
    said = drawn('role="img" aria-label="{}"', label) if label else drawn('aria-hidden="true"')
    return drawn('<svg class="g {}" {}><use href="{}#state-{}"></use></svg>', state, said, sprite, state)


@lru_cache(maxsize=8)
def _arc(sprite: str) -> Markup:
    return drawn('<svg class="i busy" viewBox="0 0 14 14" aria-hidden="true"><use href="{}#arc"></use></svg>', sprite)


@lru_cache(maxsize=256, typed=True)
def _avatar(name: str, kind: str) -> Markup:
    look = f"a{web_filters.ground(name)} {'agent' if kind != 'user' else ''}"
    return drawn(
        '<span class="avatar {}" title="{}" role="img" aria-label="{}">{}</span>',
        *(look, name, name, web_filters.initials(name)),
    )


@lru_cache(maxsize=512, typed=True)
def _button(
    sprite: str,
    words: str,
    kind: str,
    name: str,
    value: str,
    key: str,
    glyph: str,
    extra: str,
    sort: str,
    title: str,
    off: bool,
    shows: str,
) -> Markup:
    return drawn(
        '<button type="{}" class="btn {} {}"{}{}{}{}{}>{}{}<span>{}</span>{}</button>',
        *(sort, kind, extra),
        drawn(' name="{}" value="{}"', name, value) if name else "",
        drawn(' data-key="{}"', key) if key else "",
        drawn(' data-shows="{}"', shows) if shows else "",
        drawn(' title="{}"', title) if title else "",
        " disabled" if off else "",
        _arc(sprite),
        web_filters.icon(glyph) if glyph else "",
        words,
        cap(key) if key else "",
    )


def register(app: Flask) -> None:
    """Give the application's templates these marks."""
    found = (time, glyph, arc, avatar, cap, button, on_error, state_of, seen_by, seen_mark)
    app.jinja_env.globals["marks"] = {**{mark.__name__: mark for mark in found}, "seen_words": SEEN}
