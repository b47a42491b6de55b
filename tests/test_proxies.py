"""What a proxy says of whom it asks for counts from the trusted ones alone (THREATS 1.6 and 2.1)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app import config, put_to_use
from app.accounts import service as accounts
from app.actor import Actor
from app.config import Config
from app.dialects.mount import Cabin
from app.errors import Invalid
from app.proxies import Proxies, networks
from tests.test_guard import ask

TRUSTED = ("127.0.0.1", "10.1.0.0/16", "2001:db8::/32")


def seen(peer: str, **headers: str) -> tuple[str, str, str]:
    """Address, name and scheme as the server takes them."""
    environ: dict[str, Any] = {"REMOTE_ADDR": peer, "HTTP_HOST": "inside:8000", "wsgi.url_scheme": "http"}
    environ |= {f"HTTP_X_FORWARDED_{name.upper()}": value for name, value in headers.items()}
    Proxies(networks(TRUSTED)).see_through(environ)
    return environ["REMOTE_ADDR"], environ["HTTP_HOST"], environ["wsgi.url_scheme"]


@pytest.mark.parametrize(
    ("told", "client"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("6.6.6.6, 203.0.113.5", "203.0.113.5"),
        ("6.6.6.6, 203.0.113.5, 10.1.2.3", "203.0.113.5"),
        ("127.0.0.1, 203.0.113.5", "203.0.113.5"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("203.0.113.5, evil", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("unknown", "127.0.0.1"),
    ],
)
def test_the_client_is_the_nearest_that_is_no_proxy_of_ours(told: str, client: str) -> None:
    assert seen("127.0.0.1", **{"for": told})[0] == client


def test_name_and_scheme_are_those_outside() -> None:
    said = {"for": "203.0.113.5", "host": "cabin.example.org", "proto": "https"}
    assert seen("10.1.2.3", **said) == ("203.0.113.5", "cabin.example.org", "https")
    assert seen("10.1.2.3", proto="gopher")[2] == "http"


@pytest.mark.parametrize("peer", ["203.0.113.9", "10.2.0.1", "", "127.0.0.2"])
def test_from_nobody_else_does_any_of_it_count(peer: str) -> None:
    said = {"for": "127.0.0.1", "host": "cabin.example.org", "proto": "https"}
    assert seen(peer, **said) == (peer, "inside:8000", "http")


def test_a_name_that_a_proxy_hands_on_is_looked_at_like_any() -> None:
    for host, status in [
        ("evil.example", 421),
        ("cabin.lan", 200),
        ("cabin.lan, evil.example", 400),
        ("a@cabin.lan", 400),
    ]:
        said = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_HOST": host}
        assert ask(trusted_proxies=("127.0.0.1",), **said)[0] == status


def test_what_is_no_address_is_told_at_the_start() -> None:
    with pytest.raises(Invalid, match="TRUSTED_PROXIES: proxy"):
        Config.from_environ({"SIGNALCABIN_TRUSTED_PROXIES": "127.0.0.1,proxy"})


def test_behind_a_proxy_the_cookie_is_secure_and_each_client_has_its_own_count(app: Cabin, alice: Actor) -> None:
    put_to_use(app, replace(config.current(), trusted_proxies=("127.0.0.1",), public_url="https://cabin.example.org"))
    said = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "cabin.example.org", "X-Forwarded-For": "203.0.113.5"}
    client = app.test_client()
    for _ in range(30):
        client.post("/signin", data={"code": "in_wrong"}, headers=said)
    code = accounts.sign_in_code(alice)
    assert client.post("/signin", data={"code": code}, headers=said).status_code == 429
    answer = client.post("/signin", data={"code": code}, headers={**said, "X-Forwarded-For": "203.0.113.6"})
    assert answer.status_code == 303
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-sid=")
    assert all(word in cookie for word in ("; Secure", "HttpOnly", "SameSite=Lax", "Path=/"))
    assert "Domain" not in cookie
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
