"""Providers: what they say of themselves is checked before they are saved, and who may set them up."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app import db, ids
from app.accounts import models as accounts_models
from app.accounts import service as accounts
from app.actor import Actor
from app.config import Config
from app.dialects.mount import Cabin
from app.errors import Conflict, Denied, Invalid, NotFound
from app.oidc import service
from app.oidc.service import Provider
from app.record import audit_rows
from app.secrets.models import secrets as vault
from tests.accounts.test_members_pages import ways_back
from tests.conftest import Caller
from tests.oidc.conftest import Visitor, traces, wanted
from tests.oidc.issuer import CLIENT, SECRET, Issuer
from tests.peer import Peer, reply
from tests.visitor import Browser


def form(issuer: Issuer, **more: str) -> dict[str, str]:
    """The form of the page, filled in."""
    given = {"id": "okta", "name": "Okta", "issuer": issuer.issuer, "client_id": CLIENT, "secret": SECRET}
    ticked = {"auto_register": "1", "enabled": "1", "default_role": "member", "scopes": "openid email"}
    return {**given, **ticked, "is_new": "1", "act": "save", **more}


def test_a_provider_is_added_on_the_page(browser: Browser, issuer: Issuer, alice: Actor, app: Cabin) -> None:
    assert "Nobody vouches for people yet" in browser.get("/settings/sign-in").text
    assert 'name="issuer"' in browser.get("/settings/sign-in?add=1").text
    fields = form(issuer, role_claim="groups", role_map="eng = member\nplatform = admin\n")
    answer = browser.post("/settings/sign-in", fields)
    assert answer.status_code == 303, answer.text
    page = browser.get(answer.headers["Location"]).text
    assert "Test sign-in" in page
    assert "eng = member\nplatform = admin" in page
    assert SECRET not in page
    saved = service.get_provider(alice, "okta")
    assert saved.role_map == {"eng": "member", "platform": "admin"}
    assert saved.scopes == ("openid", "email")
    assert saved.metadata.token_endpoint == f"{issuer.url}/token"
    assert "Continue with Okta" in app.test_client().get("/signin").text


def test_a_check_saves_nothing(browser: Browser, issuer: Issuer, alice: Actor) -> None:
    page = browser.post("/settings/sign-in", form(issuer, act="check"))
    assert page.status_code == 200
    assert "It answers as it should" in page.text
    assert SECRET not in page.text
    assert service.list_providers(alice) == []


def test_what_is_wrong_is_told_at_its_field_and_nothing_typed_is_lost(
    browser: Browser, issuer: Issuer, alice: Actor
) -> None:
    issuer.discovery = {"issuer": "https://else.example.com"}
    answer = browser.post("/settings/sign-in", form(issuer, client_id="typed"))
    assert answer.status_code == 400
    assert 'aria-describedby="issuer-error"' in answer.text
    assert "It calls itself https://else.example.com, not" in answer.text
    assert 'value="typed"' in answer.text
    assert service.list_providers(alice) == []


def test_an_id_that_is_taken_is_not_taken_over(browser: Browser, issuer: Issuer, okta: Provider) -> None:
    assert browser.post("/settings/sign-in", form(issuer, name="Mine")).status_code == 409


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"issuer": None}, "calls itself nothing"),
        ({"token_endpoint": None}, "token_endpoint is not an address"),
        ({"jwks_uri": "javascript:alert(1)"}, "not allowed"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "not allowed"),
        ({"authorization_endpoint": "https://user:word@id.example.com/"}, "not allowed"),
        ({"token_endpoint": "http://id.example.com/token"}, "begin with https"),
        ({"jwks_uri": ["https://id.example.com"]}, "jwks_uri is not an address"),
        ({"id_token_signing_alg_values_supported": ["HS256", "none"]}, "neither RS256 nor ES256"),
        ({"id_token_signing_alg_values_supported": "RS256"}, "neither RS256 nor ES256"),
        ({"response_types_supported": ["id_token"]}, "code flow"),
        ({"code_challenge_methods_supported": ["plain"]}, "PKCE"),
    ],
)
def test_a_document_that_is_not_as_it_has_to_be_is_refused(
    app: Cabin, issuer: Issuer, alice: Actor, changes: dict[str, Any], words: str
) -> None:
    issuer.discovery = changes
    with pytest.raises(Invalid, match=words):
        service.save_provider(alice, wanted(issuer))
    assert service.list_providers(alice) == []


def huge(visit: Any) -> None:
    reply(visit, 200, b'{"issuer": "' + b"x" * 2_000_000 + b'"}')


def metadata_address(visit: Any) -> None:
    reply(visit, 302, Location="http://169.254.169.254/latest/meta-data")


def elsewhere(visit: Any) -> None:
    reply(visit, 302, Location="https://id.example.com/.well-known/openid-configuration")


HOSTILE = {
    "huge": (huge, "too large"),
    "sent on to a metadata address": (metadata_address, "status 302"),
    "sent on elsewhere": (elsewhere, "status 302"),
    "no object": (lambda visit: reply(visit, 200, b"[]"), "not an object"),
    "no JSON": (lambda visit: reply(visit, 200, b"<html>"), "not an object"),
    "a thousand deep": (lambda visit: reply(visit, 200, b"[" * 5000), "not an object"),
    "broken": (lambda visit: reply(visit, 500), "status 500"),
}


@pytest.mark.parametrize(("how", "words"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_document_is_refused(
    app: Cabin, issuer: Issuer, alice: Actor, how: Callable[[Any], None], words: str
) -> None:
    issuer.instead = how
    with pytest.raises(Invalid, match=words):
        service.save_provider(alice, wanted(issuer))


def test_a_slow_document_is_given_up(app: Cabin, issuer: Issuer, alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = replace(service_bounds(), total=0.3)
    monkeypatch.setattr("app.oidc.discovery.BOUNDS", quick)

    def slow(visit: Any) -> None:
        visit.send_response(200)
        visit.end_headers()
        while not visit.server.closing.wait(0.02):
            visit.wfile.write(b" ")

    issuer.instead = slow
    with pytest.raises(Invalid, match="did not come"):
        service.save_provider(alice, wanted(issuer))


def service_bounds() -> Any:
    from app.oidc import discovery

    assert discovery.BOUNDS.total == 10
    return discovery.BOUNDS


INSIDE = ["http://169.254.169.254", "http://127.0.0.1:1", "https://10.0.0.1", "https://localhost:2", "http://[::1]:3"]


@pytest.mark.parametrize("inside", INSIDE)
def test_an_issuer_inside_is_not_called(app: Cabin, issuer: Issuer, alice: Actor, inside: str) -> None:
    with pytest.raises(Invalid):
        service.save_provider(alice, replace(wanted(issuer), issuer=inside))


@pytest.mark.parametrize("endpoint", ["token_endpoint", "jwks_uri"])
def test_an_endpoint_that_leads_inside_is_never_called(
    app: Cabin, issuer: Issuer, alice: Actor, visitor: Visitor, endpoint: str
) -> None:
    canary = Peer()
    issuer.discovery = {endpoint: f"{canary.url}/x"}
    service.save_provider(alice, wanted(issuer))
    before = traces()
    assert visitor.sign_in().status_code == 401
    assert canary.hits == []
    assert traces() == before
    canary.stop()


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "Okta"}, {"id": ""}, {"id": "a/b"}, {"name": ""}, {"name": "x" * 81}, {"client_id": ""}, {"client_id": "a\nb"},
        {"scopes": ("email",)}, {"scopes": ("openid", 'a"b')}, {"role_claim": "x" * 129}, {"default_role": "made-up"},
        {"default_role": "owner"}, {"role_map": {"eng": "owner"}}, {"role_map": {"eng": "made-up"}}, {"role_map": {"": "member"}},
        {"issuer": "ftp://id.example.com"}, {"issuer": "https://id.example.com?x=1"}, {"issuer": "https://id.example.com#x"},
        {"issuer": "http://id.example.com"}, {"issuer": ""},
    ],
    ids=str,
)  # fmt: skip
def test_what_has_not_the_form_is_refused(app: Cabin, issuer: Issuer, alice: Actor, changes: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        service.save_provider(alice, replace(wanted(issuer), **changes))
    assert service.list_providers(alice) == []


def test_the_secret_is_in_the_vault_and_nowhere_else(app: Cabin, issuer: Issuer, alice: Actor, okta: Provider) -> None:
    with db.read() as conn:
        rows = [str(conn.execute(table.select()).all()) for table in (vault, audit_rows)]
        rows.append(str(conn.exec_driver_sql("SELECT * FROM oidc_provider").all()))
    assert not any(SECRET in text for text in rows)
    assert service.has_secret(alice, "okta")
    service.save_provider(alice, replace(wanted(issuer), secret=None, name="Okta 2"))
    assert service.has_secret(alice, "okta"), "saving without one keeps it"
    service.save_provider(alice, replace(wanted(issuer), secret=""))
    assert not service.has_secret(alice, "okta")


def test_a_secret_that_was_changed_from_outside_is_given_anew_on_its_page(
    app: Cabin, issuer: Issuer, alice: Actor, okta: Provider
) -> None:
    with db.transaction() as conn:
        conn.execute(vault.update().where(vault.c.scope.contains("okta")).values(sealed=b"x" * 40))
    assert Browser(app, alice).get("/settings/sign-in?provider=okta").status_code == 200
    assert not service.has_secret(alice, "okta")
    service.save_provider(alice, wanted(issuer))
    assert service.has_secret(alice, "okta")


def test_a_secret_is_never_sent_to_another_issuer_than_it_was_for(
    app: Cabin, issuer: Issuer, alice: Actor, okta: Provider, monkeypatch: pytest.MonkeyPatch, settings: Config
) -> None:
    other = Issuer()
    from app import config

    monkeypatch.setattr(config, "_current", replace(settings, outbound_allow=(issuer.place, other.place)))
    service.save_provider(alice, replace(wanted(other), secret=None))
    assert not service.has_secret(alice, "okta")
    other.stop()


def test_saving_without_a_map_keeps_the_one_that_is_there(app: Cabin, issuer: Issuer, alice: Actor) -> None:
    service.save_provider(alice, wanted(issuer, role_claim="groups", role_map={"eng": "member"}))
    service.save_provider(alice, wanted(issuer, role_claim="groups"))
    assert service.get_provider(alice, "okta").role_map == {"eng": "member"}


def test_one_that_people_sign_in_with_is_deleted_only_by_force(
    app: Cabin, visitor: Visitor, alice: Actor, okta: Provider, browser: Browser
) -> None:
    visitor.sign_in()
    with pytest.raises(Conflict):
        service.delete_provider(alice, "okta")
    answer = browser.post("/settings/sign-in/okta/delete")
    assert answer.status_code == 409
    assert "1 person signs in with it. They lose this way in" in answer.text
    assert browser.post("/settings/sign-in/okta/delete", {"force": "okta"}).status_code == 303
    assert service.list_providers(alice) == []
    with pytest.raises(NotFound):
        service.delete_provider(alice, "okta")
    assert visitor.is_signed_in, "who is in stays in until their session ends"


def test_nobody_sets_up_what_gives_more_than_they_hold(app: Cabin, issuer: Issuer, alice: Actor, bob: Actor) -> None:
    accounts.create_role(alice, "signer", permissions=["payroll:sign"])
    admin = replace(bob, grants=accounts.create_user(alice, "X", None, "admin").grants)
    for changes in ({"default_role": "signer"}, {"role_map": {"eng": "signer"}}):
        with pytest.raises(Denied):
            service.save_provider(admin, wanted(issuer, **changes))
    service.save_provider(alice, wanted(issuer, role_map={"eng": "signer"}))
    for act in (lambda: service.save_provider(admin, wanted(issuer)), lambda: service.delete_provider(admin, "okta")):
        with pytest.raises(Denied):
            act()


def test_only_who_may_change_people_sees_and_sets_providers(
    app: Cabin, issuer: Issuer, alice: Actor, bob: Actor, charlie: Actor, okta: Provider
) -> None:
    agent = replace(alice, kind="agent", id="agent:1")
    for actor in (bob, charlie, agent):
        for act in (
            lambda actor=actor: service.list_providers(actor),
            lambda actor=actor: service.save_provider(actor, wanted(issuer)),
            lambda actor=actor: service.check_provider(actor, wanted(issuer)),
            lambda actor=actor: service.delete_provider(actor, "okta"),
        ):
            with pytest.raises(Denied):
                act()
    page = Browser(app, bob)
    assert page.get("/settings/sign-in").status_code in (403, 404)
    assert page.post("/settings/sign-in", form(issuer)).status_code in (403, 404)
    assert page.get("/settings/sign-in/okta/test").status_code in (403, 404)
    assert page.post("/settings/sign-in/okta/delete").status_code in (403, 404)
    assert "/settings/sign-in" not in page.get("/settings/providers").text


def test_a_form_without_its_token_changes_nothing(browser: Browser, issuer: Issuer, alice: Actor) -> None:
    assert browser.post("/settings/sign-in", form(issuer), token="").status_code == 403
    assert service.list_providers(alice) == []


def test_what_a_provider_says_of_itself_is_looked_up_again_after_a_day(
    app: Cabin, issuer: Issuer, okta: Provider, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app import ids

    known = issuer.fetched("/.well-known/openid-configuration")
    visitor.go()
    assert issuer.fetched("/.well-known/openid-configuration") == known
    later = ids.now() + 24 * 3600 * 1000
    monkeypatch.setattr(ids, "now", lambda: later)
    issuer.discovery = {"issuer": "https://else.example.com"}
    assert visitor.get("/signin/with/okta").headers["Location"].startswith(f"{issuer.url}/authorize"), "the old is kept"
    issuer.discovery = {"authorization_endpoint": f"{issuer.url}/elsewhere"}
    assert visitor.get("/signin/with/okta").headers["Location"].startswith(f"{issuer.url}/elsewhere")


def test_programs_set_providers_up_too(call: Caller, stranger: Caller, issuer: Issuer, app: Cabin, bob: Actor) -> None:
    body = {"id": "okta", "displayName": "Okta", "issuerUrl": issuer.issuer, "clientId": CLIENT, "more": 1}
    answer = call.post("/api/v1/auth/oidc/providers", body)
    assert (answer.status_code, answer.get_json()) == (200, {"message": "oidc provider 'okta' saved"})
    listed = [{"id": "okta", "displayName": "Okta"}]
    assert stranger.get("/api/v1/auth/oidc/providers").get_json() == listed
    assert stranger.get("/api/v1/auth/mode").get_json()["providers"] == listed
    assert stranger.post("/api/v1/auth/oidc/providers", body).status_code == 401
    assert Caller(app, bob).post("/api/v1/auth/oidc/providers", body).status_code == 403
    wrong = call.post("/api/v1/auth/oidc/providers", {**body, "issuerUrl": "http://id.example.com"})
    assert wrong.status_code == 400
    assert "https" in wrong.get_json()["error"]
    assert call.post("/api/v1/auth/oidc/providers", {"id": "okta"}).status_code == 400
    assert call.post("/api/v1/auth/oidc/providers", {**body, "scopes": "openid"}).status_code == 400
    assert call("DELETE", "/api/v1/auth/oidc/providers/okta").get_json() == {"message": "oidc provider 'okta' deleted"}
    assert call("DELETE", "/api/v1/auth/oidc/providers/okta").status_code == 404
    assert json.loads(stranger.get("/api/v1/auth/oidc/providers").text) == []


def test_a_browser_left_open_neither_saves_nor_deletes_a_provider(
    app: Cabin, browser: Browser, issuer: Issuer, alice: Actor, okta: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = next(one.id for one in accounts.list_devices(alice))
    here = replace(alice, device=device)
    service.save_provider(here, wanted(issuer, name="Fresh"))
    later = ids.now() + 16 * 60_000
    monkeypatch.setattr(ids, "now", lambda: later)
    with pytest.raises(accounts.Stale):
        service.save_provider(here, wanted(issuer, name="Stale"))
    with pytest.raises(accounts.Stale):
        service.delete_provider(here, okta.id, force=True)
    assert [one.name for one in service.list_providers(alice)] == ["Fresh"]
    assert browser.post(f"/settings/sign-in/{okta.id}/delete").headers["Location"].startswith("/account/confirm?next=")


def test_a_new_one_whose_id_is_taken_is_refused_by_the_verb(issuer: Issuer, alice: Actor, app: Cabin) -> None:
    service.save_provider(alice, wanted(issuer), is_new=True)
    before = service.list_providers(alice)
    for act in (service.save_provider, service.check_provider):
        with pytest.raises(Conflict, match="is here already"):
            act(alice, replace(wanted(issuer), name="Another"), is_new=True)
    assert service.list_providers(alice) == before


def test_a_browser_left_open_is_led_to_where_one_shows_who_one_is(
    browser: Browser, issuer: Issuer, alice: Actor, okta: Provider
) -> None:
    with db.transaction() as conn:
        conn.execute(accounts_models.browser_session.update().values(proved=0))
    add = "/settings/sign-in?add=1"
    assert ways_back(browser.get(add).text) == {add}
    page = browser.post("/settings/sign-in", form(issuer, id="other", name="Other"))
    assert page.status_code == 403
    assert "Nothing was saved" in page.text
    assert ways_back(page.text) == {add}
    assert 'value="Other"' in page.text
    change = "/settings/sign-in?provider=okta"
    assert ways_back(browser.get(change).text) == {change}
    assert "confirm?next" not in browser.get("/settings/sign-in").text
    assert [one.id for one in service.list_providers(alice)] == ["okta"]
