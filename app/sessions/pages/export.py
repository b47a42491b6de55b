"""A session as a file to take away: JSON as OpenCode has it, Markdown, or an HTML page that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime

import orjson
from flask import Response, current_app, g, request

from app import unseen, web
from app.actor import Actor
from app.dialects import opencode
from app.errors import Invalid
from app.sessions import bp, service
from app.sessions.pages import markdown
from app.sessions.service import Message, Session

TYPES = {"md": "text/markdown", "json": "application/json", "html": "text/html"}
PIECES = 500  # of a template's many small pieces, so many are sent at once
_STYLE = (web.STATIC / "export.css").read_text(encoding="utf-8")
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# A file opened from a disk has no header: the page says itself that it may load and run nothing.
POLICY = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'"


@bp.get("/sessions/<session_id>/export")
def export(session_id: str) -> Response:
    """The session as a download, `?format=md|json|html`."""
    kind = request.args.get("format", "md")
    name, pieces = written(web.actor(), session_id, kind)
    g.kind = "download"
    spelled = (unseen.shown(piece.encode()) if kind == "html" else piece.encode() for piece in pieces)
    response = Response(spelled, content_type=f"{TYPES[kind]}; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def written(actor: Actor, session_id: str, kind: str) -> tuple[str, Iterator[str]]:
    """The file's name and its text in pieces; Invalid for a format that there is not."""
    if kind not in TYPES:
        raise Invalid(f"format is one of {', '.join(TYPES)}.", "format")
    session, messages = service.export(actor, session_id)
    write = {"md": markdown.written, "json": _json, "html": _html}[kind]
    return file_name(session, kind), write(session, messages)


def file_name(session: Session, kind: str) -> str:
    """What the file is called: "fix-rounding-2026-11-28.md"; letters and digits of ASCII only."""
    plain = unicodedata.normalize("NFKD", session.title).encode("ascii", "ignore").decode().lower()
    words = "-".join(re.findall(r"[a-z0-9]+", plain))[:60].strip("-")
    return f"{words or 'session'}-{datetime.fromtimestamp(session.updated / 1000, UTC):%Y-%m-%d}.{kind}"


def _json(session: Session, messages: Iterator[Message]) -> Iterator[str]:
    yield f'{{"info":{_dumps(opencode.shape("session", session))},"messages":['
    for number, message in enumerate(messages):
        yield (",\n" if number else "\n") + _dumps(opencode.shape("message", message))
    yield "\n]}\n"


def _dumps(value: object) -> str:
    return orjson.dumps(value).decode()


def _html(session: Session, messages: Iterator[Message]) -> Iterator[str]:
    template = current_app.jinja_env.get_template("sessions/export.html")
    stream = template.stream(session=session, messages=messages, style=_STYLE, policy=POLICY)
    stream.enable_buffering(PIECES)
    return stream
