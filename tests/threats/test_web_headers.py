"""Every answer of every route carries the headers that hold a browser back (THREATS 2.9)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import dispatch, security_headers
from app.actor import Actor
from app.dialects.mount import Cabin
from tests.matrix import asking
from tests.matrix.asking import Route, ask, routes
from tests.matrix.world import World
from tests.running import Running
from tests.test_server_access import OWNER
from tests.test_server_access import ask as ask_server
from tests.visitor import ORIGIN

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
HSTS = "max-age=31536000"
NOTHING = re.compile(r"([a-z-]+=\(\))(, [a-z-]+=\(\))*")
# What is the same for everybody, and so may be kept.
KEPT = {"/static/<path:filename>", "/push.js"}
# UTF-8 by their own standard, which knows no other.
UTF8 = {"text/event-stream"}
DIALECTS = ("pages", "opencode", "roo", "codebuddy", "rootcx", "e2b")


class Seen:
    """What each answer of a walk carried, by route and status."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[tuple[Route, Any]] = []
        classify = asking._class_of

        def note(route: Route, answer: Any) -> str:
            self.answers.append((route, answer))
            return classify(route, answer)

        monkeypatch.setattr(asking, "_class_of", note)


@pytest.fixture
def world(app: Cabin, alice: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """People and things; in place of the engine, every run is over once it has begun."""
    made = World(app, alice, tmp_path)
    monkeypatch.setattr(dispatch, "wake", made.wake)
    return made


def wrong(route: Route, answer: Any) -> Iterator[str]:
    """What an answer lacks."""
    headers = answer.headers
    for name, value in ALWAYS.items():
        if headers.getlist(name) != [value]:
            yield f"{name}: {headers.getlist(name)}"
    if headers.getlist("Referrer-Policy") not in (["no-referrer"], ["same-origin"]):
        yield f"Referrer-Policy: {headers.getlist('Referrer-Policy')}"
    if not NOTHING.fullmatch(headers.get("Permissions-Policy", "")):
        yield "Permissions-Policy"
    yield from wrong_policy(answer)
    if route.path not in KEPT and "no-store" not in headers.get("Cache-Control", ""):
        yield f"Cache-Control: {headers.get('Cache-Control')}"
    kind = headers.get("Content-Type", "")
    if kind.startswith("text/") and kind not in UTF8 and "charset=utf-8" not in kind:
        yield f"Content-Type: {kind}"
    if "Strict-Transport-Security" in headers:
        yield "HSTS without https"
    # People's browsers name our own origin, which Roo's door answers; by no cookie even there.
    if headers.get("Access-Control-Allow-Origin", ORIGIN) != ORIGIN or "Access-Control-Allow-Credentials" in headers:
        yield "Access-Control"


def wrong_policy(answer: Any) -> Iterator[str]:
    """What is wrong with the Content-Security-Policy: a page has a page's, all else may do nothing at all."""
    (policy, *more) = answer.headers.getlist("Content-Security-Policy") or [""]
    if more or "default-src 'none'" not in policy or "unsafe" in policy or "*" in policy or "http:" in policy:
        yield f"Content-Security-Policy: {policy}"
    if answer.mimetype == "text/html":
        for wanted in ("script-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"):
            if f"{wanted};" not in policy and "script-src" in policy:
                yield f"Content-Security-Policy: {policy}"
    elif "-src" in policy.replace("default-src 'none'", "") or not ("frame-ancestors" in policy or "sandbox" in policy):
        yield f"Content-Security-Policy: {policy}"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_route_answers_its_owner_and_a_stranger_with_all_of_them(
    dialect: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen(monkeypatch)
    own = [route for route in routes(world.app) if route.dialect == dialect]
    for route in own:
        ask(world, route, ("stranger", "owner"), "" if dialect == "pages" else f"/{dialect}")
    assert len(seen.answers) >= 2 * len(own) - 5
    assert {route for route, _answer in seen.answers} >= set(own) - {r for r in own if r.endpoint in asking.STREAMS}
    found = [(str(route.key), answer.status, said) for route, answer in seen.answers for said in wrong(route, answer)]
    assert found == []


def test_what_is_refused_or_asked_about_carries_them_too(world: World) -> None:
    client, _nobody = world.caller("stranger")
    all_routes = routes(world.app)
    taken = {(route.dialect, route.path, route.method) for route in all_routes}
    for route in all_routes:
        prefix = "" if route.dialect == "pages" else f"/{route.dialect}"
        path = prefix + re.sub(r"<[^>]*>", "none", route.path)
        others = [method for method in asking.METHODS[1:] if (route.dialect, route.path, method) not in taken]
        for method in ("OPTIONS", *others[:1]):
            answer = client.open(path, method=method, headers={"Host": "localhost"}, buffered=False)
            assert list(wrong(route, answer)) == [], (method, path, answer.status)
            answer.close()


@pytest.fixture(scope="module")
def behind_a_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose proxy on this machine is trusted."""
    with Running(tmp_path_factory.mktemp("proxied") / "data", TRUSTED_PROXIES="127.0.0.1") as running:
        yield running


PLACES = ("/", "/signin", "/session", "/event", "/static/style.css", "/health", "/nosuch", "/e2b/sandboxes")


def test_by_https_a_browser_is_told_to_stay_there(behind_a_proxy: Running) -> None:
    port = behind_a_proxy.port
    for place in PLACES:
        for who in ({}, OWNER):
            by_https = ask_server(port, "GET", place, {**who, "X-Forwarded-Proto": "https", "Accept": "text/html"})
            assert by_https.headers.get_all("Strict-Transport-Security") == [HSTS], place
            assert "Strict-Transport-Security" not in ask_server(port, "GET", place, who).headers, place
    for hosts, status in ((["evil.example"], 421), ([], 400)):
        refused = ask_server(port, "GET", "/", {"X-Forwarded-Proto": "https"}, hosts=hosts)
        assert (refused.status, refused.headers["Strict-Transport-Security"]) == (status, HSTS)


def test_no_answer_tells_a_version_of_the_server(behind_a_proxy: Running) -> None:
    port = behind_a_proxy.port
    for place in PLACES:
        for method in ("GET", "OPTIONS", "TRACE", "BREW"):
            answer = ask_server(port, method, place, OWNER)
            assert not re.search(r"\d|python|werkzeug|flask", answer.headers.get("Server", ""), re.IGNORECASE), place
            assert "X-Powered-By" not in answer.headers
            assert answer.headers["X-Content-Type-Options"] == "nosniff", (method, place)


def test_the_policy_of_a_page_is_the_strict_one() -> None:
    policy = dict(words.split(" ", 1) for words in security_headers.page_policy().split("; "))
    nothing = {"default-src", "base-uri", "object-src", "frame-ancestors"}
    assert {name for name, value in policy.items() if value == "'none'"} == nothing
    own = {"script-src", "style-src", "font-src", "connect-src", "form-action", "manifest-src"}
    assert {name for name, value in policy.items() if value == "'self'"} == own
    assert policy["img-src"] == "'self' data:"
    assert policy["require-trusted-types-for"] == "'script'"
