"""A file that somebody has put here is never a page of ours (THREATS 2.8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from app import security_headers
from app.actor import Actor
from app.config import Config
from app.dialects.mount import Cabin
from app.files import kinds
from app.files.pages.folder import PICTURES
from app.projects import service as projects
from app.sandboxes import service as sandboxes
from app.sessions import service as sessions
from tests.conftest import Caller
from tests.visitor import Browser

HTML = b"<!doctype html><script>alert(document.cookie)</script>"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
ENDINGS = (
    "html",
    "htm",
    "xhtml",
    "xht",
    "shtml",
    "mht",
    "mhtml",
    "xml",
    "xsl",
    "rdf",
    "hta",
    "js",
    "mjs",
    "css",
    "swf",
)
ENDINGS += (
    "svg",
    "svgz",
    "png",
    "gif",
    "pdf",
    "txt",
    "md",
    "json",
    "csv",
    "wasm",
    "zip",
    "bin",
    "HTML",
    "Svg",
    "html ",
    "",
)
NAMES = [f"evil.{ending}" for ending in ENDINGS] + ["evil", 'a";b=".html', "naïve.html", "%0d%0aX: y.html"]
NOTHING = "sandbox; default-src 'none'"
ACTS = ("html", "xml", "javascript", "ecmascript", "mhtml", "rfc822", "x-shockwave", "hta")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory of files that are pages whatever they are called."""
    made = tmp_path / "project"
    made.mkdir()
    for name in NAMES:
        (made / name).write_bytes(SVG if "svg" in name.lower() else HTML)
    return made


@pytest.fixture
def settings(settings: Config, root: Path) -> Config:
    """A server whose project it is."""
    return replace(settings, project=root)


def check(answer: Any, name: str, *, may_be_shown: bool = False) -> None:
    """Fail unless a browser keeps this answer, or shows it as something that can do nothing."""
    headers = answer.headers
    assert answer.status_code == 200, (name, answer.status)
    assert headers.getlist("X-Content-Type-Options") == ["nosniff"], name
    assert headers.getlist("Content-Security-Policy") == [NOTHING], name
    assert headers.get("Cross-Origin-Resource-Policy") == "same-origin", name
    assert "no-store" in headers["Cache-Control"], name
    (disposition,) = headers.getlist("Content-Disposition")
    kind = headers["Content-Type"]
    if not may_be_shown or disposition != "inline":
        assert disposition.startswith("attachment; filename="), name
        assert "\r" not in disposition
        assert "X" not in headers
    if disposition == "inline":
        assert kind in {*PICTURES, "text/plain; charset=utf-8"}, name
    assert not [word for word in ACTS if word in kind.replace("openxmlformats", "") and kind not in PICTURES], (
        name,
        kind,
    )


def ways(app: Cabin, alice: Actor, name: str) -> Iterator[Any]:
    """The file as each door hands it out to be kept."""
    call = Caller(app, alice)
    yield call.get("/codebuddy/api/v1/files/download", query_string={"path": name}, buffered=True)
    key = projects.resolve(alice, None).project.id
    yield Browser(app, alice).get(f"/browse/raw/{key}/{quote(name)}", query_string={"download": "1"}, buffered=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_kept_by_the_browser(app: Cabin, alice: Actor, root: Path, name: str) -> None:
    for answer in ways(app, alice, name):
        check(answer, name)
        assert answer.data == (root / name).read_bytes()


def test_what_is_shown_in_place_is_a_picture_or_plain_text(app: Cabin, alice: Actor) -> None:
    browser, key = Browser(app, alice), projects.resolve(alice, None).project.id
    shown = set()
    for name in NAMES:
        answer = browser.get(f"/browse/raw/{key}/{quote(name)}", buffered=True)
        check(answer, name, may_be_shown=True)
        shown |= {answer.headers["Content-Type"]} if answer.headers["Content-Disposition"] == "inline" else set()
    assert {"image/svg+xml", "image/png", "text/plain; charset=utf-8"} <= shown


def test_a_sandbox_hands_out_bytes(app: Cabin, alice: Actor) -> None:
    made = sandboxes.create(alice, sandboxes.Wanted("base", 300, {}, {}))
    call = Caller(app, alice)
    for name in ("evil.html", "evil.svg"):
        given = {"query_string": {"path": name}, "headers": {"E2b-Sandbox-Id": made.id}}
        body = {"data": HTML, "content_type": "application/octet-stream"}
        assert call("POST", "/e2b/files", **given, **body).status_code == 200
        answer = call.get("/e2b/files", **given, buffered=True)
        check(answer, name)
        assert answer.headers["Content-Type"] == kinds.BYTES


def test_what_is_taken_away_of_a_session_and_the_record_is_kept_by_the_browser(app: Cabin, alice: Actor) -> None:
    place = projects.resolve(alice, None)
    session = sessions.create(alice, place, title='"><script>alert(1)</script>\r\nX: y', provider="demo", model="demo")
    sessions.send(alice, session.id, [{"type": "text", "text": HTML.decode()}], no_reply=True)
    browser = Browser(app, alice)
    paths = [f"/sessions/{session.id}/export?format={kind}" for kind in ("md", "json", "html")]
    paths += [f"/audit/export?format={kind}" for kind in ("jsonl", "csv")]
    paths += ["/settings/modes/export", f"/browse/zip/{place.project.id}/"]
    for path in paths:
        answer = browser.get(path, buffered=True)
        assert answer.headers["Content-Disposition"].startswith("attachment; filename="), path
        assert answer.headers["Content-Security-Policy"] == NOTHING, path
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
        assert b"<script>alert" not in answer.data or "html" not in answer.headers["Content-Type"], path


def test_the_types_of_files_are_a_list_of_what_no_browser_runs() -> None:
    found = set(kinds._BY_ENDING.values()) | {kinds.BYTES}
    assert not [kind for kind in found for word in (*ACTS, "svg") if word in kind]
    assert kinds.kind_of("x.html") == kinds.kind_of("x.svg") == kinds.kind_of("x.unknown") == kinds.BYTES


def test_a_deployed_page_on_our_origin_would_be_in_a_sandbox() -> None:
    policy = security_headers.headers_for("guest_page")["Content-Security-Policy"]
    assert policy == "sandbox allow-scripts allow-forms"
