"""Fourteen ways in which a provider, or somebody between, does it wrong, and more: none of them lets anybody in."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app import config, ids
from app.accounts import service as accounts
from app.accounts.digests import digest
from app.actor import Actor
from app.dialects.mount import Cabin
from app.oidc import service
from app.oidc.service import Provider, Refused
from tests.oidc.conftest import Visitor, denials, traces, wanted
from tests.oidc.issuer import CLIENT, Issuer, half_hash
from tests.visitor import is_whole

pytestmark = pytest.mark.usefixtures("okta")


def refused(visitor: Visitor, answer: Any, reason: str, before: tuple[int, int, int]) -> None:
    """A page that says why, an entry in the audit log, and nobody who came in."""
    assert answer.status_code in (400, 401), answer.text
    assert "You are not signed in" in answer.text
    assert 'href="/signin' in answer.text, answer.text[-900:]
    told = denials()[-1]
    assert told["reason"] == reason
    assert told["incident"] in answer.text
    assert not any(cookie.startswith("sid=") for cookie in answer.headers.getlist("Set-Cookie"))
    assert traces() == before
    assert not visitor.is_signed_in


@pytest.fixture
def before(alice: Actor) -> tuple[int, int, int]:
    """What there is before anybody comes."""
    return traces()


def claim(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """A twist of the claims; None leaves one out."""

    def twist(claims: dict[str, Any]) -> None:
        claims.update(changes)
        for name in [name for name, value in changes.items() if value is None]:
            del claims[name]

    return twist


def slash(claims: dict[str, Any]) -> None:
    claims["iss"] += "/"


def seconds(name: str, by: int) -> Callable[[dict[str, Any]], None]:
    """A twist that moves a time, as seen from now."""

    def twist(claims: dict[str, Any]) -> None:
        claims[name] = ids.now() // 1000 + by

    return twist


CLAIMS = {
    "another nonce": claim(nonce="x" * 43),
    "no nonce": claim(nonce=None),
    "an issuer with a slash more": slash,
    "another issuer": claim(iss="https://id.example.com"),
    "no issuer": claim(iss=None),
    "for another client": claim(aud="another"),
    "for others alone": claim(aud=["one", "two"]),
    "for us and another, given to nobody": claim(aud=[CLIENT, "another"]),
    "for us and another, given to the other": claim(aud=[CLIENT, "another"], azp="another"),
    "for us, given to another": claim(azp="another"),
    "for nobody": claim(aud=None),
    "over for a minute": seconds("exp", -60),
    "without an end": claim(exp=None),
    "with a word for its end": claim(exp="tomorrow"),
    "with true for its end": claim(exp=True),
    "not to be used yet": seconds("nbf", 61),
    "made in the future": seconds("iat", 61),
    "about nobody": claim(sub=None),
    "about an empty name": claim(sub=""),
    "about a number": claim(sub=7),
    "with another access token": claim(at_hash=half_hash("another")),
}


@pytest.mark.parametrize("twist", CLAIMS.values(), ids=CLAIMS)
def test_a_token_with_a_wrong_claim_lets_nobody_in(
    visitor: Visitor, issuer: Issuer, before: tuple[int, int, int], twist: Callable[[dict[str, Any]], None]
) -> None:
    issuer.twist = twist
    refused(visitor, visitor.sign_in(), "TOKEN", before)


def test_a_token_that_says_it_needs_no_signature(
    visitor: Visitor, issuer: Issuer, before: tuple[int, int, int]
) -> None:
    issuer.sign = issuer.unsigned
    refused(visitor, visitor.sign_in(), "TOKEN", before)


def test_a_token_signed_with_the_public_key_as_a_secret(
    visitor: Visitor, issuer: Issuer, before: tuple[int, int, int]
) -> None:
    issuer.sign = issuer.signed_with_public_key
    refused(visitor, visitor.sign_in(), "TOKEN", before)


def test_a_token_of_a_key_that_nobody_published(visitor: Visitor, issuer: Issuer, before: tuple[int, int, int]) -> None:
    issuer.sign = lambda claims: issuer.signed(claims, kid="unknown")
    refused(visitor, visitor.sign_in(), "TOKEN", before)


def test_a_token_of_another_key_under_a_known_name(
    visitor: Visitor, issuer: Issuer, before: tuple[int, int, int]
) -> None:
    other = Issuer()
    issuer.sign = lambda claims: issuer.signed(claims, other.key, kid="k1")
    refused(visitor, visitor.sign_in(), "TOKEN", before)
    other.stop()


# A header within its bounds that is nothing but brackets, as deep as it is long.
DEEP = base64.urlsafe_b64encode(b"[" * 1500 + b"]" * 1500).decode()


@pytest.mark.parametrize(
    "cut",
    [
        lambda token: token[:-8],
        lambda token: "x" * 40_000,
        lambda _: "a.b.c",
        lambda _: "",
        lambda token: f"{DEEP}.{token.partition('.')[2]}",
    ],
    ids=["cut", "long", "letters", "nothing", "deep"],
)
def test_what_is_no_whole_token(
    visitor: Visitor, issuer: Issuer, before: tuple[int, int, int], cut: Callable[[str], str]
) -> None:
    issuer.sign = lambda claims: cut(issuer.signed(claims))
    refused(visitor, visitor.sign_in(), "TOKEN", before)


def test_another_state(visitor: Visitor, before: tuple[int, int, int]) -> None:
    address = visitor.go()
    state = address.split("state=")[1].split("&")[0]
    refused(visitor, visitor.come_back(address.replace(state, "st_" + "x" * 43)), "STATE", before)
    assert visitor.come_back(address).status_code == 303, "the true one is still good"


def test_a_state_is_used_once(visitor: Visitor, another: Callable[[], Visitor], okta: Provider) -> None:
    address = visitor.go()
    assert visitor.come_back(address).status_code == 303
    after = traces()
    stranger = another()
    stranger.client.set_cookie("oidc-x", "y")
    refused(stranger, stranger.come_back(address), "STATE", after)
    again = visitor.come_back(address)
    assert again.status_code == 401
    assert traces() == after


def test_another_browser(visitor: Visitor, another: Callable[[], Visitor], before: tuple[int, int, int]) -> None:
    address = visitor.go()
    stranger = another()
    refused(stranger, stranger.come_back(address), "BROWSER", before)
    refused(visitor, visitor.come_back(address), "STATE", before)


def test_another_browser_with_a_cookie_of_its_own(
    visitor: Visitor, another: Callable[[], Visitor], before: tuple[int, int, int]
) -> None:
    stranger, address = another(), visitor.go()
    stranger.go()
    state = address.split("state=")[1].split("&")[0]
    held = next(cookie for cookie in stranger.client._cookies.values() if cookie.key.startswith("oidc-"))
    stranger.client.set_cookie(f"oidc-{digest(state)[:12]}", held.value)
    refused(stranger, stranger.come_back(address), "BROWSER", before)


@pytest.mark.parametrize("verified", [False, "true", 1, None], ids=["false", "word", "one", "absent"])
def test_an_address_that_is_not_confirmed_leads_to_nobody_who_is_here(
    visitor: Visitor, issuer: Issuer, alice: Actor, verified: Any
) -> None:
    accounts.create_user(alice, "Mei", "mei@example.com", "admin")
    before = traces()
    issuer.person |= {"email_verified": verified}
    if verified is None:
        del issuer.person["email_verified"]
    refused(visitor, visitor.sign_in(), "KNOWN_EMAIL", before)


def test_a_confirmed_address_alone_leads_to_nobody_who_is_here_either(visitor: Visitor, alice: Actor) -> None:
    accounts.create_user(alice, "Mei", "mei@example.com", "admin")
    before = traces()
    answer = visitor.sign_in()
    refused(visitor, answer, "KNOWN_EMAIL", before)
    assert "Sign in as before, then connect" in answer.text


def test_the_same_subject_of_another_issuer_is_somebody_else(
    app: Cabin, visitor: Visitor, alice: Actor, okta: Provider, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor.sign_in()
    other = Issuer()
    allowed = (*config.current().outbound_allow, other.place)
    monkeypatch.setattr(config, "_current", replace(config.current(), outbound_allow=allowed))
    service.save_provider(alice, wanted(other, id="other", name="Other", auto_register=False))
    other.person = {"sub": "mei-1", "email": "else@example.com", "email_verified": True}
    before, stranger = traces(), Visitor(app, other)
    answer = stranger.sign_in("/signin/with/other")
    assert answer.status_code == 403
    assert "not a member here yet" in answer.text
    assert traces() == before
    assert not stranger.is_signed_in
    other.stop()


@pytest.mark.parametrize("issuer_said", ["https://id.example.com", ""], ids=["another", "none"])
def test_an_answer_of_another_provider(
    visitor: Visitor, issuer: Issuer, before: tuple[int, int, int], issuer_said: str
) -> None:
    location = visitor.get("/signin/with/okta").headers["Location"]
    refused(visitor, visitor.come_back(issuer.consent(location, iss=issuer_said)), "ISSUER", before)
    assert issuer.asked == [], "its code went nowhere"


def test_a_refusal_there_is_told_in_its_words(visitor: Visitor, issuer: Issuer, before: tuple[int, int, int]) -> None:
    location = visitor.get("/signin/with/okta").headers["Location"]
    address = issuer.consent(location, code="", error="access_denied", error_description="<b>Ask Ines</b>")
    answer = visitor.come_back(address)
    assert "&lt;b&gt;Ask Ines&lt;/b&gt;" in answer.text
    refused(visitor, answer, "REFUSED", before)


def test_a_code_that_is_not_taken(visitor: Visitor, issuer: Issuer, before: tuple[int, int, int]) -> None:
    address = visitor.go()
    issuer.codes.clear()
    refused(visitor, visitor.come_back(address), "EXCHANGE", before)


def test_somebody_who_was_removed_comes_in_no_more(visitor: Visitor, alice: Actor) -> None:
    visitor.sign_in()
    mei = next(user for user in accounts.list_users(alice) if user.name == "Mei")
    accounts.revoke_user(alice, mei.id)
    before = traces()
    refused(visitor, visitor.sign_in(), "GONE", before)


def test_who_fails_too_often_has_to_wait(visitor: Visitor, issuer: Issuer) -> None:
    for _ in range(30):
        assert visitor.get("/api/v1/auth/oidc/callback?state=made-up&code=x").status_code == 401
    answer = visitor.sign_in()
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert "Too many failed sign-ins" in answer.text
    assert is_whole(answer), "somebody's browser is told on a page"
    assert 'href="/"' in answer.text
    program = visitor.client.get("/api/v1/auth/oidc/callback?state=made-up&code=x")
    assert (program.status_code, list(program.get_json())) == (429, ["error"])


def test_a_program_is_told_in_its_dialect(visitor: Visitor) -> None:
    answer = visitor.client.get("/api/v1/auth/oidc/callback?state=made-up&code=x")
    assert answer.status_code == 401
    assert answer.get_json() == {"error": str(Refused("STATE"))}
