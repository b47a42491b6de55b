from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Blueprint
from flask.testing import FlaskClient

from app import csrf, db, guard, web, web_asks, web_filters, web_marks
from app.accounts import bp, pages, rootcx, service
from app.actor import Actor, Credentials
from app.dialects.mount import Cabin

ROOT = Path(__file__).parents[2]
ORIGIN = "http://localhost"


@pytest.fixture
def client(database: db.Database) -> FlaskClient:
    """A browser before the pages of accounts and one page that needs somebody signed in."""
    assert (pages.signin.bp, rootcx.auth.door.room) == (bp, bp.name)  # all doors are open before it is registered
    app = Cabin("app", template_folder=str(ROOT / "templates"), static_folder=str(ROOT / "static"))
    for words in (web_filters, web_marks, web_asks):
        words.register(app)

    def identify(given: Credentials, via: str, address: str) -> service.Identity | None:
        return service.identify(given, dialect=via, address=address)

    web.install(app, identify, service.may, service.renew_due, {}, lambda *_: None, lambda *_: None)
    app.register_blueprint(bp)
    probe = Blueprint("probe", __name__)
    probe.add_url_rule("/whoami", view_func=lambda: web.actor().name)
    app.register_blueprint(probe)
    app.wsgi_app = guard.Guard(app.wsgi_app, app_config())  # type: ignore[method-assign]
    return app.test_client()


def app_config() -> guard.Config:
    return guard.Config(port=80)


def cookie(client: FlaskClient) -> str:
    found = client.get_cookie("sid")
    return found.value if found else ""


def sign_in(client: FlaskClient, code: str) -> None:
    answer = client.post("/signin", data={"code": code}, headers={"Origin": ORIGIN})
    assert answer.status_code == 303, answer.text


def test_it_shows_the_form_to_a_stranger(client: FlaskClient) -> None:
    answer = client.get("/signin")
    assert answer.status_code == 200
    assert 'name="code"' in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


def test_opening_the_link_spends_nothing(client: FlaskClient, alice: Actor) -> None:
    code = service.sign_in_code(alice)
    for _ in range(2):
        assert client.head(f"/signin/{code}").status_code == 200
        assert f'value="{code}"' in client.get(f"/signin/{code}").text
    sign_in(client, code)
    assert client.get("/whoami").text == "Alice"


def test_the_cookie_is_out_of_reach_of_scripts_and_sites(client: FlaskClient, alice: Actor) -> None:
    data = {"code": service.sign_in_code(alice)}
    header = client.post("/signin", data=data).headers["Set-Cookie"]
    assert re.match(r"sid=sid_\w{43}; ", header)
    assert all(word in header for word in ("HttpOnly", "SameSite=Lax", "Path=/"))
    assert "Secure" not in header


def test_over_https_the_cookie_is_bound_to_the_host(client: FlaskClient, alice: Actor) -> None:
    data = {"code": service.sign_in_code(alice)}
    header = client.post("/signin", data=data, base_url="https://localhost:80").headers["Set-Cookie"]
    assert header.startswith("__Host-sid=")
    assert "Secure" in header


def test_a_wrong_code_is_told_plainly(client: FlaskClient, alice: Actor) -> None:
    answer = client.post("/signin", data={"code": "<b>wrong"})
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    assert "<b>wrong" not in answer.text
    assert "Set-Cookie" not in answer.headers


def test_a_preset_cookie_is_not_adopted(client: FlaskClient, alice: Actor) -> None:
    client.set_cookie("sid", "sid_chosen_by_somebody")
    sign_in(client, service.sign_in_code(alice))
    assert cookie(client) != "sid_chosen_by_somebody"


def test_signing_in_anew_ends_the_session_that_the_browser_had(client: FlaskClient, alice: Actor) -> None:
    sign_in(client, service.sign_in_code(alice))
    first = cookie(client)
    data = {"code": service.sign_in_code(alice), "csrf_token": csrf.csrf_token(first)}
    assert client.post("/signin", data=data, headers={"Origin": ORIGIN}).status_code == 303
    assert cookie(client) != first
    assert service.authenticate(Credentials(cookie=first)) is None
    assert [one.kind for one in service.list_devices(alice)] == ["browser"]


def test_another_site_cannot_sign_somebody_in(client: FlaskClient, alice: Actor) -> None:
    code = service.sign_in_code(alice)
    answer = client.post("/signin", data={"code": code}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    sign_in(client, code)


@pytest.mark.parametrize("going", ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "/a\nb"])
def test_it_goes_on_only_to_our_own_pages(client: FlaskClient, alice: Actor, going: str) -> None:
    data = {"code": service.sign_in_code(alice), "next": going}
    assert client.post("/signin", data=data).headers["Location"] in ("/", f"{ORIGIN}/")


def test_it_goes_on_to_where_one_wanted(client: FlaskClient, alice: Actor) -> None:
    data = {"code": service.sign_in_code(alice), "next": "/inbox?all=1"}
    assert client.post("/signin", data=data).headers["Location"].endswith("/inbox?all=1")


def test_who_is_signed_in_goes_on_at_once(client: FlaskClient, alice: Actor) -> None:
    sign_in(client, service.sign_in_code(alice))
    assert client.get("/signin?next=/inbox").headers["Location"].endswith("/inbox")


def test_signing_out_needs_the_token_and_ends_the_session(client: FlaskClient, alice: Actor) -> None:
    sign_in(client, service.sign_in_code(alice))
    sid = cookie(client)
    assert client.post("/signout").status_code == 403
    assert client.get("/whoami").text == "Alice"
    answer = client.post("/signout", data={"csrf_token": csrf.csrf_token(sid)}, headers={"Origin": ORIGIN})
    assert answer.status_code == 303
    assert not cookie(client)
    client.set_cookie("sid", sid)
    assert client.get("/whoami").status_code == 401


def test_a_stranger_cannot_sign_out(client: FlaskClient) -> None:
    assert client.post("/signout").status_code == 401


def test_a_token_signs_nobody_out(client: FlaskClient, alice: Actor) -> None:
    sign_in(client, service.sign_in_code(alice))
    sid, (_, secret) = cookie(client), service.mint_token(alice, "script")
    client.post("/signout", headers={"Authorization": f"Bearer {secret}"})
    client.set_cookie("sid", sid)
    assert client.get("/whoami").text == "Alice"
