"""Signing in with a provider: who one is then, in which role, for how long a sign-in waits, and how a client gets in."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from app import config, db, ids
from app.accounts import identity
from app.accounts import service as accounts
from app.accounts.service import User
from app.actor import Actor, Credentials
from app.dialects.mount import Cabin
from app.errors import Denied
from app.oidc import claims, models, service
from app.oidc.service import Claims, Provider
from app.record import audit_rows
from tests.oidc.conftest import ORIGIN, Visitor, traces, wanted
from tests.oidc.issuer import CLIENT, SECRET, Issuer, half_hash
from tests.visitor import Browser

MINUTE = 60_000


def people(alice: Actor) -> dict[str, User]:
    return {user.name: user for user in accounts.list_users(alice)}


def test_somebody_new_comes_in_and_goes_on_to_where_they_wanted(
    visitor: Visitor, issuer: Issuer, okta: Provider, alice: Actor
) -> None:
    answer = visitor.sign_in()
    assert answer.status_code == 303
    assert answer.headers["Location"].endswith("/inbox")
    cookies = answer.headers.getlist("Set-Cookie")
    assert any(re.match(r"sid=sid_\w{43}; .*HttpOnly.*SameSite=Lax", cookie) for cookie in cookies)
    assert visitor.is_signed_in
    mei = people(alice)["Mei"]
    assert (mei.email, mei.roles) == ("mei@example.com", ("member",))
    asked = issuer.asked[0]
    words = base64.b64decode(asked["authorization"].removeprefix("Basic ")).decode()
    assert words == f"{CLIENT}:{SECRET.replace('/', '%2F').replace(':', '%3A')}"
    assert asked["grant_type"] == "authorization_code"
    assert len(asked["code_verifier"]) == 43


def test_what_goes_to_the_provider_is_fresh_and_stored_nowhere(visitor: Visitor, okta: Provider) -> None:
    addresses = [urlsplit(visitor.get("/signin/with/okta").headers["Location"]) for _ in range(2)]
    asked = [{name: value[0] for name, value in parse_qs(address.query).items()} for address in addresses]
    assert asked[0]["response_type"] == "code"
    assert asked[0]["scope"] == "openid email profile"
    assert asked[0]["redirect_uri"] == f"{ORIGIN}/api/v1/auth/oidc/callback"
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked[0][name]) >= 43
        assert asked[0][name] != asked[1][name]
    with db.read() as conn:
        rows = str(conn.execute(models.state.select()).all())
    assert not any(one[name] in rows for one in asked for name in ("state", "nonce", "code_challenge"))


def test_the_same_person_comes_back_as_the_same(
    visitor: Visitor, another: Callable[[], Visitor], issuer: Issuer, okta: Provider
) -> None:
    visitor.sign_in()
    before = traces()
    issuer.person |= {"email": "mei.okafor@example.com", "name": "Mei Okafor"}
    again = another()
    assert again.sign_in().status_code == 303
    assert traces() == (before[0] + 1, before[1], before[2])


def test_two_tabs_of_one_browser_do_not_disturb_one_another(visitor: Visitor, okta: Provider) -> None:
    first, second = visitor.go("/signin/with/okta?next=/sessions"), visitor.go()
    assert visitor.come_back(second).headers["Location"].endswith("/inbox")
    assert visitor.come_back(first).headers["Location"].endswith("/sessions")


@pytest.mark.parametrize("going", ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "/a%0ab"])
def test_it_goes_on_only_to_our_own_pages(visitor: Visitor, okta: Provider, going: str) -> None:
    assert visitor.sign_in(f"/signin/with/okta?next={going}").headers["Location"] in ("/", f"{ORIGIN}/")


def test_a_preset_cookie_is_not_adopted(visitor: Visitor, okta: Provider) -> None:
    visitor.client.set_cookie("sid", "sid_chosen_by_somebody")
    visitor.sign_in()
    cookie = visitor.client.get_cookie("sid")
    assert cookie is not None
    assert cookie.value != "sid_chosen_by_somebody"


@pytest.mark.parametrize("minutes", [9, 10])
def test_a_sign_in_waits_ten_minutes(
    visitor: Visitor, okta: Provider, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    address, before = visitor.go(), traces()
    later = ids.now() + minutes * MINUTE
    monkeypatch.setattr(ids, "now", lambda: later)
    answer = visitor.come_back(address)
    if minutes < 10:
        assert answer.status_code == 303
    else:
        assert answer.status_code == 401
        assert traces() == before


def test_a_token_that_ends_is_good_for_one_more_minute(visitor: Visitor, issuer: Issuer, okta: Provider) -> None:
    issuer.twist = lambda claims: claims.update(exp=ids.now() // 1000 - 55, at_hash=half_hash("at-1"))
    assert visitor.sign_in().status_code == 303


def test_a_signature_by_curve_is_good_too(visitor: Visitor, issuer: Issuer, okta: Provider) -> None:
    issuer.use_curve()
    assert visitor.sign_in().status_code == 303


def test_several_readers_are_good_when_it_was_given_to_us(visitor: Visitor, issuer: Issuer, okta: Provider) -> None:
    issuer.twist = lambda claims: claims.update(aud=["another", CLIENT], azp=CLIENT)
    assert visitor.sign_in().status_code == 303


def test_keys_are_remembered_and_fetched_anew_when_they_change(
    visitor: Visitor, another: Callable[[], Visitor], issuer: Issuer, okta: Provider
) -> None:
    visitor.sign_in()
    another().sign_in()
    assert issuer.fetched("/jwks") == 1
    old = issuer.key
    issuer.rotate()
    assert another().sign_in().status_code == 303
    assert issuer.fetched("/jwks") == 2
    issuer.sign = lambda claims: issuer.signed(claims, old, kid="k1")
    assert another().sign_in().status_code == 401, "what is published no more is good no more"


def test_made_up_keys_make_us_ask_only_so_often(
    another: Callable[[], Visitor], issuer: Issuer, okta: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.sign = lambda claims: issuer.signed(claims, kid="made-up")
    for _ in range(12):
        assert another().sign_in().status_code == 401
    assert issuer.fetched("/jwks") == 5
    issuer.sign = issuer.signed
    assert another().sign_in().status_code == 303, "who comes with a known key is let in all the same"
    later = ids.now() + 11 * MINUTE
    monkeypatch.setattr(ids, "now", lambda: later)
    issuer.rotate()
    assert another().sign_in().status_code == 303


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"use": "enc"}, "for encrypting"),
        ({"alg": "PS256"}, "for another algorithm"),
        ({"kty": "oct", "k": "aGk"}, "no key pair"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_key_that_is_for_something_else_checks_nothing(
    visitor: Visitor, issuer: Issuer, okta: Provider, changes: dict[str, str], why: str
) -> None:
    issuer.published = [{**issuer.published[0], **changes}]
    assert visitor.sign_in().status_code == 401, why


def test_what_the_token_leaves_out_is_asked_for(visitor: Visitor, issuer: Issuer, alice: Actor) -> None:
    issuer.userinfo = {"sub": "mei-1", "email": "mei@example.com", "email_verified": True, "name": "Mei Okafor"}
    issuer.person = {"sub": "mei-1"}
    service.save_provider(alice, wanted(issuer))
    assert visitor.sign_in().status_code == 303
    assert people(alice)["Mei Okafor"].email == "mei@example.com"


def test_what_is_said_of_somebody_else_counts_for_nobody(visitor: Visitor, issuer: Issuer, alice: Actor) -> None:
    issuer.userinfo = {"sub": "ines-1", "email": "ines@example.com", "email_verified": True, "name": "Ines"}
    issuer.person = {"sub": "mei-1", "name": "Mei"}
    service.save_provider(alice, wanted(issuer))
    assert visitor.sign_in().status_code == 303
    assert people(alice)["Mei"].email is None


def test_a_token_can_not_lend_its_confirmation_to_another_address(
    visitor: Visitor, issuer: Issuer, alice: Actor
) -> None:
    issuer.userinfo = {"sub": "mei-1", "email": "ines@example.com"}
    issuer.person = {"sub": "mei-1", "name": "Mei", "email_verified": True}
    service.save_provider(alice, wanted(issuer))
    assert visitor.sign_in().status_code == 303
    assert people(alice)["Mei"].email is None


def test_an_address_that_nobody_confirmed_is_kept_for_its_owner(
    visitor: Visitor, issuer: Issuer, okta: Provider, alice: Actor
) -> None:
    issuer.person |= {"email_verified": False}
    assert visitor.sign_in().status_code == 303
    assert people(alice)["Mei"].email is None
    accounts.create_user(alice, "The true Mei", "mei@example.com", "member")


def test_nobody_new_comes_in_where_that_is_off(visitor: Visitor, issuer: Issuer, alice: Actor) -> None:
    service.save_provider(alice, wanted(issuer, auto_register=False))
    before = traces()
    assert visitor.sign_in().status_code == 403
    assert traces() == before


def groups(*names: Any) -> Callable[[dict[str, Any]], None]:
    return lambda claims: claims.update(groups=list(names))


MAP = {"platform": "admin", "eng": "member", "guests": "viewer", "owners": "viewer"}


def test_the_claim_gives_the_role_at_each_sign_in(
    visitor: Visitor, another: Callable[[], Visitor], issuer: Issuer, alice: Actor
) -> None:
    service.save_provider(alice, wanted(issuer, role_claim="groups", role_map=MAP, default_role="base"))
    for given, role in [(("eng", 7, "x"), "member"), (("platform",), "admin"), (("guests",), "viewer"), ((), "base")]:
        issuer.twist = groups(*given)
        assert another().sign_in().status_code == 303
        assert people(alice)["Mei"].roles == (role,)


def test_a_role_that_is_lost_is_lost_in_open_browsers_too(
    visitor: Visitor, another: Callable[[], Visitor], issuer: Issuer, alice: Actor
) -> None:
    service.save_provider(alice, wanted(issuer, role_claim="groups", role_map=MAP, default_role="base"))
    issuer.twist = groups("platform")
    visitor.sign_in()
    assert visitor.get("/settings/sign-in").status_code == 200
    issuer.twist = groups("guests")
    another().sign_in()
    assert visitor.get("/settings/sign-in").status_code in (403, 404)


def test_a_word_alone_and_a_way_into_an_object_are_claims_too(
    another: Callable[[], Visitor], issuer: Issuer, alice: Actor
) -> None:
    service.save_provider(alice, wanted(issuer, role_claim="realm.role", default_role="base"))
    issuer.twist = lambda claims: claims.update(realm={"role": "viewer"})
    another().sign_in()
    assert people(alice)["Mei"].roles == ("viewer",)
    issuer.twist = lambda claims: claims.update({"realm.role": "member"})
    another().sign_in()
    assert people(alice)["Mei"].roles == ("member",)


def test_no_claim_makes_somebody_an_owner(another: Callable[[], Visitor], issuer: Issuer, alice: Actor) -> None:
    service.save_provider(alice, wanted(issuer, role_claim="groups", default_role="base"))
    issuer.twist = groups("owner", "made-up", "viewer")
    another().sign_in()
    assert people(alice)["Mei"].roles == ("viewer",)


def test_no_claim_gives_more_than_who_set_it_up_held(
    another: Callable[[], Visitor], issuer: Issuer, alice: Actor
) -> None:
    admin = replace(alice, id="usr_x", user=alice.user, grants=accounts.create_user(alice, "X", None, "admin").grants)
    accounts.create_role(alice, "signer", permissions=["payroll:sign"])
    service.save_provider(admin, wanted(issuer, role_claim="groups", default_role="base"))
    issuer.twist = groups("signer", "member")
    another().sign_in()
    assert people(alice)["Mei"].roles == ("member",)


def test_whoever_holds_more_than_who_set_it_up_comes_in_another_way(
    another: Callable[[], Visitor], issuer: Issuer, alice: Actor
) -> None:
    admin = replace(alice, grants=accounts.create_user(alice, "X", None, "admin").grants)
    service.save_provider(admin, wanted(issuer))
    another().sign_in()
    accounts.set_roles(alice, people(alice)["Mei"].id, ["owner"])
    before, stranger = traces(), another()
    answer = stranger.sign_in()
    assert answer.status_code == 401
    assert "An owner has to save it again" in answer.text
    assert traces() == before
    service.save_provider(alice, wanted(issuer, role_claim="groups"))
    assert another().sign_in().status_code == 303
    assert people(alice)["Mei"].roles == ("owner",), "no claim takes an owner's role either"
    with pytest.raises(Denied):
        service.save_provider(admin, wanted(issuer, client_id="mine"))


def test_who_is_here_connects_a_provider_and_signs_in_with_it_from_then_on(
    app: Cabin, issuer: Issuer, okta: Provider, alice: Actor, visitor: Visitor
) -> None:
    mei = accounts.create_user(alice, "Mei", "mei@example.com", "viewer")
    actor = Actor(id=mei.id, kind="user", user=mei.id, name="Mei", grants=mei.grants)
    browser = Browser(app, actor)
    assert "/connect/okta/go" in browser.get("/connect/okta").text
    there = issuer.consent(browser.get("/connect/okta/go").headers["Location"])
    assert "Okta is connected" in browser.get(there.removeprefix(ORIGIN)).text
    before = traces()
    assert visitor.sign_in().status_code == 303
    assert traces() == (before[0] + 1, before[1], before[2])
    assert people(alice)["Mei"].roles == ("viewer",)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"email_verified": False}, "does not confirm"),
        ({"email_verified": "true"}, "does not confirm"),
        ({"email": "else@example.com"}, "does not confirm"),
    ],
)
def test_only_ones_own_confirmed_address_is_connected(
    app: Cabin, issuer: Issuer, okta: Provider, alice: Actor, changes: dict[str, Any], words: str
) -> None:
    mei = accounts.create_user(alice, "Mei", "mei@example.com", "viewer")
    browser = Browser(app, Actor(id=mei.id, kind="user", user=mei.id, name="Mei", grants=mei.grants))
    issuer.person |= changes
    before = traces()
    there = issuer.consent(browser.get("/connect/okta/go").headers["Location"])
    answer = browser.get(there.removeprefix(ORIGIN))
    assert answer.status_code == 401
    assert words in answer.text
    assert traces() == before


def test_somebody_elses_account_is_not_connected(
    app: Cabin, issuer: Issuer, okta: Provider, alice: Actor, visitor: Visitor
) -> None:
    visitor.sign_in()
    browser, before = Browser(app, alice), traces()
    there = issuer.consent(browser.get("/connect/okta/go").headers["Location"])
    assert "belongs to somebody else" in browser.get(there.removeprefix(ORIGIN)).text
    assert traces()[1:] == before[1:]


def test_only_who_began_to_connect_comes_back(
    app: Cabin, issuer: Issuer, okta: Provider, alice: Actor, bob: Actor
) -> None:
    browser = Browser(app, alice)
    there = issuer.consent(browser.get("/connect/okta/go").headers["Location"]).removeprefix(ORIGIN)
    cookie = next(one for one in browser.client._cookies.values() if one.key.startswith("oidc-"))
    other = Browser(app, bob)
    other.client.set_cookie(cookie.key, cookie.value)
    assert other.get(there).status_code == 401
    assert traces()[1] == 0


def test_a_test_shows_what_is_said_and_lets_nobody_in(
    browser: Browser, issuer: Issuer, alice: Actor, okta: Provider
) -> None:
    service.save_provider(alice, wanted(issuer, role_claim="groups", role_map=MAP, enabled=False))
    issuer.twist = groups("eng", "<b>x")
    before = traces()
    there = issuer.consent(browser.get("/settings/sign-in/okta/test").headers["Location"])
    page = browser.get(there.removeprefix(ORIGIN)).text
    assert "mei-1" in page
    assert "&lt;b&gt;x" in page
    assert ">member<" in page
    assert traces() == before


@pytest.fixture
def entra(app: Cabin, alice: Actor, okta: Provider) -> Iterator[Provider]:
    """A second provider, whose claims give roles too."""
    second = Issuer()
    before = config.current()
    config.use(replace(before, outbound_allow=(*before.outbound_allow, second.place)))
    yield service.save_provider(
        alice, wanted(second, id="entra", name="Entra", role_claim="groups", default_role="base")
    )
    config.use(before)
    second.stop()


def test_two_providers_each_speak_for_the_roles_that_they_gave(
    issuer: Issuer, okta: Provider, entra: Provider, alice: Actor
) -> None:
    first = service.save_provider(alice, wanted(issuer, role_claim="groups", default_role="base"))

    def come(provider: Provider, *groups: str) -> set[str]:
        said = {"groups": list(groups)}
        person = claims.person_of(provider, Claims(provider.issuer, "mei-1", "Mei", "mei@example.com", True, said))
        return set(person.roles)

    assert come(first, "admin") == {"admin"}
    claims.connect(entra, Claims(entra.issuer, "mei-1", "Mei", "mei@example.com", True, {}), people(alice)["Mei"].id)
    assert come(entra, "viewer") == {"admin", "viewer"}
    assert come(first, "member") == {"member", "viewer"}, "what the second one gave stays, what the first one took goes"
    assert come(entra) == {"member", "base"}
    assert come(first, "member") == {"member", "base"}
    accounts.set_roles(alice, people(alice)["Mei"].id, ["member"])
    assert come(first, "member") == {"member"}, "what somebody took away by hand comes back by no other provider"
    assert come(entra, "viewer") == {"member", "viewer"}
    service.save_provider(alice, wanted(issuer, role_claim="groups", default_role="base", enabled=False))
    assert come(entra, "viewer") == {"viewer"}, "one that is off speaks for nobody"


def test_a_test_shows_the_claim_within_an_object(
    browser: Browser, issuer: Issuer, alice: Actor, okta: Provider
) -> None:
    service.save_provider(alice, wanted(issuer, role_claim="realm_access.roles", role_map=MAP))
    issuer.twist = lambda claims: claims.update(realm_access={"roles": ["eng"]})
    there = issuer.consent(browser.get("/settings/sign-in/okta/test").headers["Location"])
    page = browser.get(there.removeprefix(ORIGIN)).text
    assert "eng" in page
    assert "null" not in page
    assert ">member<" in page


def test_one_that_is_off_is_offered_to_nobody(
    browser: Browser, visitor: Visitor, issuer: Issuer, alice: Actor, okta: Provider
) -> None:
    assert "Continue with Okta" in visitor.get("/signin?next=/inbox").text
    assert 'href="/signin/with/okta?next=/inbox"' in visitor.get("/signin?next=/inbox").text
    address = visitor.go()
    service.save_provider(alice, wanted(issuer, enabled=False))
    assert "Okta" not in visitor.get("/signin").text
    assert visitor.get("/signin/with/okta").status_code == 404
    assert visitor.get("/signin/with/made-up").status_code == 404
    assert visitor.come_back(address).status_code == 404
    assert not visitor.is_signed_in


def test_so_many_sign_ins_wait_and_no_more(visitor: Visitor, okta: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.oidc.flow.MOST_PER_ADDRESS", 3)
    for _ in range(3):
        assert visitor.get("/signin/with/okta").status_code == 303
    assert visitor.get("/signin/with/okta").status_code == 429


def test_over_https_the_cookie_is_bound_to_the_host(app: Cabin, okta: Provider) -> None:
    answer = app.test_client().get("/signin/with/okta", base_url="https://localhost")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-oidc-")
    assert all(word in cookie for word in ("Secure", "HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=600"))


def test_a_sign_in_and_its_role_are_in_the_audit_log(visitor: Visitor, issuer: Issuer, alice: Actor) -> None:
    service.save_provider(alice, wanted(issuer, role_claim="groups", role_map=MAP))
    issuer.twist = groups("platform")
    visitor.sign_in()
    service.delete_provider(alice, "okta", force=True)
    with db.read() as conn:
        rows = [(row.action, row.actor, row.result) for row in conn.execute(audit_rows.select())]
    assert ("user.create", "oidc:okta", "done") in rows
    assert ("oidc.provider_save", alice.id, "done") in rows
    assert ("oidc.provider_delete", alice.id, "done") in rows
    assert any(action == "oidc.connect" and result == "done" for action, _, result in rows)
    assert any(action == "signin" and result == "done" for action, _, result in rows)
    assert SECRET not in str(rows)


def test_of_many_first_sign_ins_at_once_one_adds_the_person(
    either_database: db.Database, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = Provider(
        id="okta", name="Okta", issuer="https://id.example.com", client_id=CLIENT, scopes=(), auto_register=True,
        default_role="member", role_claim="groups", role_map={}, enabled=True, ceiling=("*",), set_by=alice.user,
        metadata=None, fetched=0, created=0, updated=0,  # type: ignore[arg-type]
    )  # fmt: skip
    said = Claims("https://id.example.com", "mei-1", "Mei", "mei@example.com", True, {"groups": ["viewer", "admin"]})
    found: list[str] = []
    wrong: list[BaseException] = []

    def come() -> None:
        try:
            found.append(claims.person_of(provider, said).id)
        except Exception as problem:  # noqa: BLE001 - whatever it is, the test tells it
            wrong.append(problem)

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert len(found) == 8
    assert len(set(found)) == 1
    assert traces()[1:] == (1, 2)
    identity.forget()
    assert set(people(alice)["Mei"].roles) == {"viewer", "admin"}


def test_who_governs_may_rely_on_a_provider_that_is_on(
    visitor: Visitor, app: Cabin, issuer: Issuer, alice: Actor, okta: Provider
) -> None:
    assert not service.vouches_for([alice.id])
    visitor.sign_in()
    everybody = [one.id for one in accounts.list_users(alice)]
    assert service.vouches_for(everybody)
    assert not service.vouches_for([alice.id])
    service.save_provider(alice, wanted(issuer, enabled=False))
    assert not service.vouches_for(everybody)


def is_fresh(visitor: Visitor) -> bool:
    cookie = visitor.client.get_cookie("sid")
    assert cookie is not None
    actor = accounts.authenticate(Credentials(cookie=cookie.value))
    return actor is not None and accounts.is_fresh(actor)


def test_who_is_known_there_for_long_shows_who_they_are_again(
    visitor: Visitor, issuer: Issuer, okta: Provider, alice: Actor
) -> None:
    issuer.person["auth_time"] = ids.now() // 1000 - 3600
    assert "prompt=" not in visitor.get("/signin/with/okta").headers["Location"]
    visitor.sign_in()
    assert visitor.is_signed_in
    assert not is_fresh(visitor)
    assert "prompt=login" in visitor.get("/signin/with/okta?next=/account").headers["Location"]
    visitor.sign_in()
    assert not is_fresh(visitor), "it was not asked there"
    issuer.person["auth_time"] = ids.now() // 1000
    visitor.sign_in()
    assert is_fresh(visitor)
    mei = people(alice)["Mei"]
    assert len(accounts.list_devices(alice, user_id=mei.id)) == 1, "each has taken the place of the one before"


@pytest.mark.parametrize(("told", "fresh"), [("soon", True), (True, True), (1e300, True), (-1e300, False), (0, False)])
def test_a_strange_time_of_the_sign_in_there_breaks_nothing(
    visitor: Visitor, issuer: Issuer, okta: Provider, told: Any, fresh: bool
) -> None:
    issuer.person["auth_time"] = told
    assert visitor.sign_in().status_code == 303
    assert is_fresh(visitor) is fresh
