"""How RootCX's clients sign somebody in with a provider: by a nonce or by an ID token, never by tokens in an address."""

from __future__ import annotations

import re
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from app import db, ids
from app.accounts import service as accounts
from app.accounts.models import client_session, refresh_token
from app.actor import Actor
from app.dialects.mount import Cabin
from app.oidc import service
from app.oidc.service import Provider
from tests.conftest import Caller
from tests.oidc.conftest import ORIGIN, Visitor, count, denials, traces, wanted
from tests.oidc.issuer import Issuer

AUTHORIZE = "/api/v1/auth/oidc/okta/authorize"


def nonce_of(answer: Any) -> str:
    assert answer.status_code == 307, answer.text
    return parse_qs(urlsplit(answer.headers["Location"]).query)["auth_nonce"][0]


def test_a_client_gets_its_tokens_for_the_nonce_that_came_with_the_browser(
    visitor: Visitor, stranger: Caller, okta: Provider
) -> None:
    there = visitor.get(f"{AUTHORIZE}?redirect_uri=http://localhost:3000/back?x=1&token_delivery=nonce")
    assert there.status_code == 307
    assert there.headers["Referrer-Policy"] == "no-referrer"
    came = visitor.come_back(visitor.issuer.consent(there.headers["Location"]))
    location = came.headers["Location"]
    assert location.startswith("http://localhost:3000/back?x=1&auth_nonce=")
    assert came.headers["Referrer-Policy"] == "no-referrer"
    assert not re.search(r"token|sca_|scr_", location)
    assert not visitor.is_signed_in, "the browser itself is not signed in"
    answer = stranger.post("/api/v1/auth/nonce-exchange", {"nonce": nonce_of(came)})
    assert answer.status_code == 200
    tokens = answer.get_json()
    assert set(tokens) == {"accessToken", "refreshToken", "expiresIn"}
    me = stranger.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {tokens['accessToken']}"})
    assert me.get_json()["email"] == "mei@example.com"
    again = stranger.post("/api/v1/auth/nonce-exchange", {"nonce": nonce_of(came)})
    assert again.status_code == 401
    assert stranger.post("/api/v1/auth/nonce-exchange", {"nonce": "non_made_up"}).get_json() == again.get_json()


@pytest.mark.parametrize("seconds", [29, 30])
def test_a_nonce_lives_half_a_minute(
    visitor: Visitor, stranger: Caller, okta: Provider, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    nonce = nonce_of(visitor.sign_in(f"{AUTHORIZE}?redirect_uri=http://127.0.0.1:9/"))
    later = ids.now() + seconds * 1000
    monkeypatch.setattr(ids, "now", lambda: later)
    answer = stranger.post("/api/v1/auth/nonce-exchange", {"nonce": nonce})
    assert answer.status_code == (200 if seconds < 30 else 401)


def test_a_nonce_is_spent_once_by_twenty_at_a_time(either_database: db.Database, alice: Actor) -> None:
    nonce, outcomes = accounts.hand_over(alice.user), []

    def take() -> None:
        try:
            outcomes.append(accounts.take_over(nonce))
        except accounts_refusal():
            outcomes.append("refused")

    threads = [threading.Thread(target=take) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == sorted([alice.user] + ["refused"] * 19)


def accounts_refusal() -> type[Exception]:
    from app.errors import Unauthenticated

    return Unauthenticated


def test_without_an_address_to_go_to_the_tokens_are_the_answer(visitor: Visitor, okta: Provider) -> None:
    answer = visitor.sign_in(AUTHORIZE)
    assert answer.status_code == 200
    assert set(answer.get_json()) == {"accessToken", "refreshToken", "expiresIn"}
    assert not visitor.is_signed_in


GOOD = [
    "http://localhost/x",
    "http://127.0.0.1:1234/",
    "http://[::1]:5/x",
    "http://localhost:8080",
    "http://127.9.9.9/x",
]
BAD = [
    "https://evil.example/x", "//evil.example", "http://localhost.evil.example/", "http://user:word@localhost/", "javascript:alert(1)",
    "http://localhost@evil.example/", "http://localhost/\\x", "http://localhost/#x", "ftp://localhost/", "/x", "http://128.0.0.1/",
    "http://10.0.0.1/", "http://localhost/%0a x", "http://[", "http://[x]/", "http://:word@localhost/",
]  # fmt: skip


@pytest.mark.parametrize("going", GOOD)
def test_a_client_may_be_of_our_origin_or_of_this_machine(visitor: Visitor, okta: Provider, going: str) -> None:
    answer = visitor.client.get(AUTHORIZE, query_string={"redirect_uri": going})
    assert answer.status_code == 307


@pytest.mark.parametrize("going", BAD)
def test_nobody_is_sent_elsewhere(visitor: Visitor, okta: Provider, going: str) -> None:
    answer = visitor.client.get(AUTHORIZE, query_string={"redirect_uri": going})
    assert answer.status_code == 400, answer.headers.get("Location")
    assert "redirect_uri" in answer.get_json()["error"]


def test_a_provider_that_is_not_there_is_not_found(visitor: Visitor, app: Cabin) -> None:
    assert visitor.client.get("/api/v1/auth/oidc/made-up/authorize").status_code == 404
    body = {"providerId": "made-up", "idToken": "x"}
    assert visitor.client.post("/api/v1/auth/oidc/token-exchange", json=body).status_code == 404


def test_a_token_of_the_provider_signs_a_client_in(stranger: Caller, issuer: Issuer, okta: Provider) -> None:
    body = {"providerId": "okta", "idToken": issuer.signed(issuer.claims())}
    answer = stranger.post("/api/v1/auth/oidc/token-exchange", body)
    assert answer.status_code == 200, answer.text
    tokens = answer.get_json()
    assert set(tokens) == {"accessToken", "expiresIn"}
    assert tokens["expiresIn"] == 900
    me = stranger.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {tokens['accessToken']}"})
    assert me.get_json()["displayName"] == "Mei"


def test_what_it_is_given_for_is_over_with_its_access_token(
    stranger: Caller, issuer: Issuer, okta: Provider, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"providerId": "okta", "idToken": issuer.signed(issuer.claims())}
    for _ in range(3):
        assert stranger.post("/api/v1/auth/oidc/token-exchange", body).status_code == 200
    assert (count(client_session), count(refresh_token)) == (3, 0)
    mei = next(user for user in accounts.list_users(alice) if user.name == "Mei")
    assert len(accounts.list_devices(alice, user_id=mei.id)) == 3
    later = ids.now() + 15 * 60_000
    monkeypatch.setattr(ids, "now", lambda: later)
    assert accounts.list_devices(alice, user_id=mei.id) == []


@pytest.mark.parametrize("how", ["unsigned", "signed_with_public_key", "for another", "over", "with a known address"])
def test_a_token_that_is_not_right_signs_nobody_in(
    stranger: Caller, issuer: Issuer, okta: Provider, alice: Actor, how: str
) -> None:
    claims = issuer.claims()
    sign = issuer.signed
    if how in ("unsigned", "signed_with_public_key"):
        sign = getattr(issuer, how)
    elif how == "for another":
        claims["aud"] = "another"
    elif how == "over":
        claims["exp"] -= 400
    else:
        accounts.create_user(alice, "Mei", "mei@example.com", "admin")
    before = traces(), count(client_session)
    answer = stranger.post("/api/v1/auth/oidc/token-exchange", {"providerId": "okta", "idToken": sign(claims)})
    assert answer.status_code == 401
    assert set(answer.get_json()) == {"error"}
    assert denials()[-1]["reason"] == ("KNOWN_EMAIL" if how == "with a known address" else "TOKEN")
    assert (traces(), count(client_session)) == before


@pytest.mark.parametrize(
    "body", [{}, {"providerId": "okta"}, {"providerId": 1, "idToken": "x"}, [], {"idToken": "x" * 70_000}]
)
def test_what_is_no_body_of_theirs_is_told_plainly(stranger: Caller, okta: Provider, body: Any) -> None:
    answer = stranger.post("/api/v1/auth/oidc/token-exchange", body)
    assert answer.status_code == 400
    assert set(answer.get_json()) == {"error"}
    assert stranger.post("/api/v1/auth/nonce-exchange", body).status_code == 400


def test_one_that_is_off_signs_nobody_in(stranger: Caller, issuer: Issuer, alice: Actor) -> None:
    service.save_provider(alice, wanted(issuer, enabled=False))
    body = {"providerId": "okta", "idToken": issuer.signed(issuer.claims())}
    assert stranger.post("/api/v1/auth/oidc/token-exchange", body).status_code == 404
    assert stranger.get(AUTHORIZE).status_code == 404
    assert stranger.get("/api/v1/auth/oidc/providers").get_json() == []


def test_the_way_back_is_at_the_root_under_a_prefix_too(app: Cabin, issuer: Issuer, okta: Provider) -> None:
    visitor = Visitor(app, issuer)
    answer = visitor.sign_in(f"/rootcx{AUTHORIZE}")
    assert answer.status_code == 200
    asked = parse_qs(urlsplit(visitor.get(f"/rootcx{AUTHORIZE}").headers["Location"]).query)
    assert asked["redirect_uri"] == [f"{ORIGIN}/api/v1/auth/oidc/callback"]
