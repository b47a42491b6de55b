"""One's own account, getting in by password, and showing again who one is: pages as a browser without scripts sees them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from flask.testing import FlaskClient

from app import config, csrf, db, ids
from app.accounts import fresh, hashing, identity, models
from app.accounts import service as accounts
from app.accounts.pages.account import called
from app.actor import Actor, Credentials
from app.dialects.mount import Cabin
from tests.conftest import Caller
from tests.visitor import ORIGIN, Browser, is_whole

PASSWORD, OTHER = "tractor-lamp-9", "seventeen small boats"
HTML = {"Accept": "text/html"}
ELSEWHERE = [
    *("//evil.example", "https://evil.example", "http:evil.example", "///evil.example", "/\\evil.example"),
    *("\\\\evil.example", "evil", "", "/a\nb", "/\tevil", "javascript:alert(1)"),
]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes of little work."""
    monkeypatch.setattr(hashing, "_hasher", lambda: PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


@pytest.fixture
def known(alice: Actor, browser: Browser) -> Browser:
    """Alice's browser, who has an email and a password."""
    accounts.change_profile(alice, "Alice", "alice@example.com")
    with hashing.place():
        made = hashing.make(PASSWORD)
    with db.transaction() as conn:
        conn.execute(models.password.insert(), {"user_id": alice.user, "hash": made, "changed": ids.now()})
    return browser


def sid_of(client: FlaskClient) -> str:
    found = client.get_cookie("sid")
    return found.value if found else ""


def stale(browser: Browser) -> None:
    """As if the browser's sign-in had been long ago."""
    actor = accounts.authenticate(Credentials(cookie=sid_of(browser.client)))
    assert actor is not None
    with db.transaction() as conn:
        long_ago = ids.now() - fresh.FRESH_FOR - 1
        conn.execute(models.browser_session.update().values(proved=long_ago).where(_is(actor)))


def _is(actor: Actor) -> Any:
    return models.browser_session.c.id == actor.device


def sign_in(client: FlaskClient, password: str = PASSWORD, **more: str) -> Any:
    data = {"email": "alice@example.com", "password": password, **more}
    return client.post("/signin", data=data, headers={"Origin": ORIGIN, **HTML, "User-Agent": "Firefox on X11 Linux"})


def test_email_and_password_sign_a_browser_in(app: Cabin, known: Browser) -> None:
    client = app.test_client()
    client.set_cookie("sid", "sid_chosen_by_somebody")
    answer = sign_in(client)
    assert answer.status_code == 303
    assert re.match(r"sid=sid_\w{43}; .*HttpOnly.*SameSite=Lax", answer.headers["Set-Cookie"])
    assert sid_of(client) != "sid_chosen_by_somebody"
    assert is_whole(client.get("/account", headers=HTML))


def test_a_wrong_password_is_told_beside_its_field(app: Cabin, known: Browser) -> None:
    client = app.test_client()
    answer = sign_in(client, "wrong<b>")
    assert answer.status_code == 401
    assert 'value="alice@example.com"' in answer.text
    assert 'id="password-error" role="alert"' in answer.text
    assert "wrong" not in answer.text
    assert not sid_of(client)


def test_too_many_wrong_ones_are_told_to_wait(app: Cabin, known: Browser) -> None:
    client = app.test_client()
    for _ in range(10):
        assert sign_in(client, "wrong").status_code == 401
    answer = sign_in(client)
    assert answer.status_code == 429
    assert answer.headers["Retry-After"].isdigit()
    assert "Try again in" in answer.text


@pytest.mark.parametrize("going", ELSEWHERE)
def test_no_way_of_getting_in_leads_elsewhere(app: Cabin, known: Browser, alice: Actor, going: str) -> None:
    home = ("/", f"{ORIGIN}/")
    assert sign_in(app.test_client(), next=going).headers["Location"] in home
    data = {"code": accounts.sign_in_code(alice), "next": going}
    assert app.test_client().post("/signin", data=data, headers={"Origin": ORIGIN}).headers["Location"] in home
    confirmed = known.post("/account/confirm", {"password": PASSWORD, "next": going})
    assert (confirmed.status_code, confirmed.headers["Location"] in home) == (303, True)


@pytest.mark.parametrize("path", ["/signin", "/signin/first"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
        {},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=["other origin", "cross-site", "null", "no origin", "same-site"],
)
def test_another_site_signs_nobody_in(app: Cabin, known: Browser, path: str, headers: dict[str, str]) -> None:
    data = {"email": "alice@example.com", "password": PASSWORD, "code": "", "name": "Eve"}
    client = app.test_client()
    answer = client.post(path, data=data, headers={**headers, **HTML})
    refused = 403 if headers else (303 if path == "/signin" else 403)  # no browser leaves both out
    assert answer.status_code == refused


FORMS = [
    ("/account/tokens", {"name": "laptop", "may": "all", "ends": "30"}),
    ("/account/tokens/tok_x/revoke", {}),
    ("/account/devices/dev_x/revoke", {}),
    ("/account/devices/revoke-others", {}),
    ("/account/password", {"old": PASSWORD, "password": OTHER}),
    ("/account/profile", {"name": "Eve", "email": "eve@example.com"}),
    ("/account/confirm", {"password": PASSWORD}),
]


@pytest.mark.parametrize(("path", "data"), FORMS, ids=[path for path, _data in FORMS])
def test_every_form_wants_its_token_its_origin_and_somebody(
    known: Browser, stranger: Caller, path: str, data: dict[str, str]
) -> None:
    assert known.post(path, data, token="").status_code == 403
    assert known.post(path, data, token=csrf.csrf_token("sid_of_another")).status_code == 403
    assert known.post(path, data, headers={"Origin": "https://evil.example"}).status_code == 403
    assert known.post(path, data, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert stranger.post(path, data=data).status_code == 401
    with db.read() as conn:
        assert conn.execute(sa.select(models.token)).all() == []
        assert conn.scalar(sa.select(models.user.c.email)) == "alice@example.com"


def test_the_first_person_sets_name_email_and_password(app: Cabin) -> None:
    code = accounts.first_start()
    client = app.test_client()
    page = client.get("/signin", headers=HTML)
    assert is_whole(page)
    assert "Set up the owner" in page.text
    assert page.headers["Cache-Control"] == "no-store"
    data = {"code": code, "name": "Ines", "email": "ines@example.com", "password": "password"}
    weak = client.post("/signin/first", data=data, headers={"Origin": ORIGIN, **HTML})
    assert weak.status_code == 400
    assert 'id="password-error" role="alert"' in weak.text
    assert f'value="{code}"' in weak.text
    assert 'value="Ines"' in weak.text
    done = client.post("/signin/first", data={**data, "password": PASSWORD}, headers={"Origin": ORIGIN, **HTML})
    assert done.status_code == 303
    assert "Ines" in client.get("/account", headers=HTML).text
    assert "Set up the owner" not in app.test_client().get("/signin", headers=HTML).text


def test_a_wrong_first_code_is_told_beside_it(app: Cabin) -> None:
    accounts.first_start()
    data = {"code": "in_wrong", "name": "Ines", "email": "ines@example.com", "password": PASSWORD}
    answer = app.test_client().post("/signin/first", data=data, headers={"Origin": ORIGIN, **HTML})
    assert answer.status_code == 401
    assert 'id="code-error" role="alert"' in answer.text


def test_once_there_is_an_owner_nobody_becomes_it(app: Cabin, known: Browser) -> None:
    data = {"code": "in_x", "name": "Eve", "email": "eve@example.com", "password": PASSWORD}
    answer = app.test_client().post("/signin/first", data=data, headers={"Origin": ORIGIN, **HTML})
    assert answer.status_code == 403


def test_where_the_data_lies_is_told_on_this_machine_alone(app: Cabin, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts.first_start()
    where = str(config.current().data_dir)
    page = app.test_client().get("/signin", headers=HTML).text
    assert where in page
    assert "<dt>Sandbox</dt>" in page
    open_to_all = replace(config.current(), host="0.0.0.0", public_url="http://localhost")
    monkeypatch.setattr(config, "_current", open_to_all)
    page = app.test_client().get("/signin", headers=HTML).text
    assert "Set up the owner" in page
    assert where not in page
    assert "<dt>Sandbox</dt>" not in page


def test_the_account_shows_what_is_ones_own(known: Browser, alice: Actor, bob: Actor) -> None:
    accounts.mint_token(alice, "laptop", ("sessions:read",))
    accounts.mint_token(bob, "bobs")
    page = known.get("/account")
    assert is_whole(page)
    assert "laptop" in page.text
    assert "sessions:read" in page.text
    assert "bobs" not in page.text
    assert "this one" in page.text


def test_a_token_is_shown_once(known: Browser) -> None:
    answer = known.post("/account/tokens", {"name": "laptop", "may": "read", "ends": "7"})
    assert answer.status_code == 200
    (secret,) = re.findall(r">(sc_\w+)<", answer.text)
    assert answer.headers["Cache-Control"] == "no-store"
    assert secret not in known.get("/account").text
    actor = accounts.authenticate(Credentials(bearer=secret))
    assert actor is not None
    assert set(actor.grants) == {f"{noun}:read" for noun in
                                 ("system", "events", "projects", "sessions", "approvals", "files", "checkpoints")}  # fmt: skip


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"name": "", "may": "all", "ends": "7"}, "token-name-error"),
        ({"name": "x" * 61, "may": "all", "ends": "7"}, "token-name-error"),
        ({"name": "ok", "may": "all", "ends": "7", "scopes": "NOT A GRANT !"}, "token-scopes-error"),
        ({"name": "ok", "may": "nothing", "ends": "7"}, "token-scopes-error"),
    ],
)
def test_a_token_that_cannot_be_is_told_beside_what_was_typed(known: Browser, data: dict[str, str], field: str) -> None:
    answer = known.post("/account/tokens", data)
    assert answer.status_code == 400
    assert f'id="{field}"' in answer.text


def test_a_token_of_exactly_these_grants(known: Browser) -> None:
    data = {"name": "exact", "may": "all", "ends": "never", "scopes": "sessions:read, approvals:answer"}
    answer = known.post("/account/tokens", data)
    (secret,) = re.findall(r">(sc_\w+)<", answer.text)
    actor = accounts.authenticate(Credentials(bearer=secret))
    assert actor is not None
    assert actor.grants == ("sessions:read", "approvals:answer")
    assert "never ends" in answer.text
    assert known.post("/account/tokens", {**data, "name": "exact"}).status_code == 409


def test_a_token_and_a_device_are_ended_from_the_page(app: Cabin, known: Browser) -> None:
    answer = known.post("/account/tokens", {"name": "laptop", "may": "all", "ends": "7"})
    (secret,) = re.findall(r">(sc_\w+)<", answer.text)
    (path,) = re.findall(r'action="(/account/tokens/tok_\w+/revoke)"', answer.text)
    assert known.post(path).status_code == 303
    assert accounts.authenticate(Credentials(bearer=secret)) is None
    client = app.test_client()
    sign_in(client)
    page = known.get("/account").text
    assert "Firefox on Linux" in page
    (path,) = re.findall(r'action="(/account/devices/dev_\w+/revoke)"', page)
    assert known.post(path).status_code == 303
    assert client.get("/account").status_code == 401
    assert known.get("/account").status_code == 200


def test_anothers_device_and_token_are_not_there(app: Cabin, known: Browser, bob: Actor) -> None:
    other = Browser(app, bob)
    made, _secret = accounts.mint_token(bob, "bobs")
    (device,) = accounts.list_devices(bob)
    carol = accounts.create_user(accounts.local_owner(), "Carol", "carol@example.com", "member")
    theirs = Browser(app, Actor(carol.id, "user", carol.id, "Carol", ()))
    for path in (f"/account/devices/{device.id}/revoke", f"/account/tokens/{made.id}/revoke"):
        assert theirs.post(path).status_code == 404
    assert other.get("/account").status_code == 200


def test_changing_the_password_keeps_this_browser_with_a_new_cookie(app: Cabin, known: Browser) -> None:
    client = app.test_client()
    sign_in(client)
    before = sid_of(known.client)
    answer = known.post("/account/password", {"old": PASSWORD, "password": OTHER})
    assert answer.status_code == 303
    after = sid_of(known.client)
    assert after not in ("", before)
    assert known.get("/account").status_code == 200
    assert client.get("/account").status_code == 401
    client.set_cookie("sid", before)
    assert client.get("/account").status_code == 401
    assert sign_in(app.test_client()).status_code == 401
    assert sign_in(app.test_client(), OTHER).status_code == 303


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"old": "wrong", "password": OTHER}, "password-old-error"),
        ({"old": PASSWORD, "password": "short"}, "password-password-error"),
        ({"old": PASSWORD, "password": "alice@example.com"}, "password-password-error"),
    ],
)
def test_a_password_that_cannot_be_changed_is_told_at_its_field(
    known: Browser, data: dict[str, str], field: str
) -> None:
    answer = known.post("/account/password", data)
    assert answer.status_code == 400
    assert f'id="{field}"' in answer.text
    assert known.get("/account").status_code == 200


def test_name_and_email_are_changed(known: Browser, bob: Actor) -> None:
    assert known.post("/account/profile", {"name": "Alice C", "email": "a@example.com"}).status_code == 303
    assert "a@example.com" in known.get("/account").text
    taken = known.post("/account/profile", {"name": "Alice C", "email": "bob@example.com"})
    assert taken.status_code == 409
    assert 'id="profile-email-error"' in taken.text
    assert 'value="bob@example.com"' in taken.text


def test_what_wants_a_fresh_sign_in_leads_there_and_back(known: Browser) -> None:
    stale(known)
    answer = known.post("/account/tokens", {"name": "laptop", "may": "all", "ends": "7"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account/confirm?next=/account")
    page = known.get("/account/confirm?next=/account")
    assert is_whole(page)
    assert 'name="next" value="/account"' in page.text
    wrong = known.post("/account/confirm", {"password": "wrong", "next": "/account"})
    assert wrong.status_code == 400
    assert 'id="password-error" role="alert"' in wrong.text
    right = known.post("/account/confirm", {"password": PASSWORD, "next": "/account"})
    assert (right.status_code, right.headers["Location"]) == (303, "/account")
    assert known.post("/account/tokens", {"name": "laptop", "may": "all", "ends": "7"}).status_code == 200


def test_who_has_no_password_shows_it_by_a_code(browser: Browser, alice: Actor) -> None:
    stale(browser)
    page = browser.get("/account/confirm")
    assert 'name="password"' not in page.text
    assert browser.post("/account/confirm", {"code": "in_wrong"}).status_code == 400
    assert browser.post("/account/confirm", {"code": accounts.sign_in_code(alice)}).status_code == 303
    assert browser.post("/account/password", {"password": PASSWORD}).status_code == 303


def test_a_script_is_told_in_json_and_htmx_in_a_notice(known: Browser) -> None:
    stale(known)
    data = {"name": "laptop", "may": "all", "ends": "7"}
    told = known.post("/account/tokens", data, headers={"Accept": "application/json"})
    assert (told.status_code, told.json["code"]) == (403, "SIGN_IN_AGAIN")
    notice = known.htmx("/account/tokens", data)
    assert notice.status_code == 403
    assert "/account/confirm" in notice.text
    assert "<html" not in notice.text


def test_a_token_sees_an_account_without_what_is_a_persons(known: Browser, call: Caller) -> None:
    page = call.get("/account", headers=HTML)
    assert page.status_code == 200
    assert "Current password" not in page.text
    for path in ("/account/devices/revoke-others", "/account/password", "/account/profile"):
        answer = call.post(path, data={"old": PASSWORD, "password": OTHER, "name": "Eve", "email": "e@example.com"})
        assert answer.status_code == 404
    identity.forget()
    assert known.get("/account").status_code == 200


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "Firefox on Linux"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18 Safari/604", "Safari on iPhone"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X) AppleWebKit/537 (KHTML) Chrome/130.0 Safari/537", "Chrome on macOS"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537 Chrome/130 Safari/537 Edg/130", "Edge on Windows"),
        ("rootcx-cli/0.17", "rootcx-cli"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_device_is_called_by_what_it_says_it_is(agent: str, words: str) -> None:
    assert called(agent) == words
