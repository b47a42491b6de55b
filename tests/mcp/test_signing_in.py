"""Signing in to a remote server by OAuth: begun, come back from once and by the same person only, renewed, forgotten."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from app import db, record
from app.accounts import service as accounts
from app.actor import Actor
from app.config import Config
from app.dialects.mount import Cabin
from app.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from app.mcp import keys
from app.mcp import service as mcp
from app.mcp.events import ServerChanged
from app.mcp.keys import Keys
from app.mcp.service import OAuth, Wanted
from app.projects.service import Place
from app.record import audit_rows, events
from app.secrets.models import secrets as vault
from tests.conftest import Caller
from tests.mcp.authority import Authority
from tests.patience import PATIENCE
from tests.visitor import Browser, data_of, frames, until


@pytest.fixture
def authority() -> Iterator[Authority]:
    started = Authority()
    yield started
    started.stop()


@pytest.fixture
def settings(settings: Config, authority: Authority) -> Config:
    return replace(settings, outbound_allow=(authority.place,), public_url="http://localhost")


@pytest.fixture
def closed(alice: Actor, place: Place, authority: Authority) -> str:
    """The name of a server that wants a sign-in."""
    status = mcp.add(alice, place, "closed", Wanted("remote", (f"{authority.url}/mcp",), timeout=60_000))
    assert status.state == "needs_auth"
    assert authority.clients == {}, "nobody registers before somebody wants to sign in"
    return "closed"


def back(address: str) -> dict[str, str]:
    return {name: value[0] for name, value in parse_qs(urlsplit(address).query).items()}


def signed_in(actor: Actor, place: Place, authority: Authority, name: str = "closed") -> None:
    begun = mcp.begin_sign_in(actor, place, name)
    given = back(authority.consent(begun.url))
    mcp.come_back(actor, given["state"], given["code"], given["iss"])


def whoami(actor: Actor, place: Place) -> Any:
    tool = next(one for one in mcp.tools(actor, place) if one.id == "closed_whoami")
    return mcp.call(actor, place, tool, {}, lambda *_said: None, threading.Event())


def test_somebody_signs_in_on_the_page(
    browser: Browser, alice: Actor, place: Place, closed: str, authority: Authority
) -> None:
    page = browser.get(f"/mcp-servers?server={closed}").text
    assert "Needs a sign-in" in page
    base = f"/mcp-servers/{place.project.id}/{closed}"
    assert f'action="{base}/signin"' in page
    going = browser.post(f"{base}/signin").text
    assert f"Go to {authority.place}" in going
    link = going.split('class="btn primary" href="')[1].split('"')[0].replace("&amp;", "&")
    came = authority.consent(link)
    assert came.startswith("http://localhost/mcp-servers/callback?")
    answer = browser.get(came.removeprefix("http://localhost"))
    assert answer.status_code == 303, answer.text
    page = browser.get(answer.headers["Location"]).text
    assert "closed_whoami" in page
    assert "tokens kept in the vault" in page
    assert mcp.statuses(alice, place)[closed].state == "connected"
    # It is used once.
    assert browser.get(came.removeprefix("http://localhost")).status_code == 404
    assert browser.post(f"{base}/signout").status_code == 303
    assert mcp.statuses(alice, place)[closed].state == "needs_auth"


def test_what_it_got_signs_every_call_and_is_shown_nowhere(
    alice: Actor, place: Place, closed: str, authority: Authority
) -> None:
    signed_in(alice, place, authority)
    token = next(iter(authority.tokens))
    assert token in whoami(alice, place).text
    register, asked = authority.asked("register")[0], authority.asked("token")[0]
    assert register["redirect_uris"] == ["http://localhost/mcp-servers/callback"]
    assert asked["resource"] == f"{authority.url}/mcp"
    secret = next(iter(authority.clients.values()))["client_secret"]
    with db.read() as conn:
        rows = [str(conn.execute(table.select()).all()) for table in (events, audit_rows, vault)]
        audited = [row.action for row in conn.execute(audit_rows.select()) if row.action.startswith("mcp.")]
    assert not any(word in text for text in rows for word in (token, secret, authority.refresh))
    assert audited == ["mcp.add", "mcp.signin_begin", "mcp.signin"]


def test_only_who_began_it_may_come_back(
    app: Cabin, alice: Actor, place: Place, closed: str, authority: Authority
) -> None:
    user = accounts.create_user(alice, "Mei", "mei@example.com", "admin")
    mei = replace(alice, id=user.id, user=user.id, name="Mei")
    begun = mcp.begin_sign_in(alice, place, closed)
    came = authority.consent(begun.url)
    given = back(came)
    assert Browser(app, mei).get(came.removeprefix("http://localhost")).status_code == 404
    with pytest.raises(NotFound):
        mcp.come_back(mei, given["state"], given["code"], given["iss"])
    with pytest.raises(NotFound):
        mcp.come_back(alice, "another-state", given["code"], given["iss"])
    assert app.test_client().get(came.removeprefix("http://localhost")).status_code == 401
    mcp.come_back(alice, given["state"], given["code"], given["iss"])
    assert mcp.statuses(alice, place)[closed].state == "connected"


def test_a_code_that_opens_nothing_fails_and_is_not_asked_twice(
    alice: Actor, place: Place, closed: str, authority: Authority
) -> None:
    begun = mcp.begin_sign_in(alice, place, closed)
    with pytest.raises(Unavailable, match="The sign-in failed"):
        mcp.come_back(alice, begun.state, "made-up", authority.url)
    with pytest.raises(NotFound):
        mcp.come_back(alice, begun.state, "made-up", authority.url)
    begun = mcp.begin_sign_in(alice, place, closed)
    given = back(authority.consent(begun.url))
    with pytest.raises(Unavailable, match="iss"):
        mcp.come_back(alice, begun.state, given["code"], "https://another.example")
    assert mcp.statuses(alice, place)[closed].state == "needs_auth"


def test_who_is_refused_there_is_told(browser: Browser, place: Place, closed: str, alice: Actor) -> None:
    begun = mcp.begin_sign_in(alice, place, closed)
    answer = browser.get(f"/mcp-servers/callback?error=access_denied%3Cb%3E&state={begun.state}")
    assert answer.status_code == 400
    assert "The sign-in was refused: access_denied&lt;b&gt;." in answer.text
    assert browser.get(f"/mcp-servers/callback?code=x&state={begun.state}").status_code == 404


def test_tokens_are_renewed_also_after_a_restart(alice: Actor, place: Place, closed: str, authority: Authority) -> None:
    authority.lives = 1
    signed_in(alice, place, authority)
    first = set(authority.tokens)
    authority.lives = 3_600
    mcp.stop()
    authority.expire()
    until(lambda: mcp.connect(alice, place, closed).state == "connected")
    assert [one["grant_type"] for one in authority.asked("token")][-1] == "refresh_token"
    assert authority.tokens.isdisjoint(first)
    assert len(authority.asked("register")) == 1
    assert "you came with" in whoami(alice, place).text


def test_tokens_that_are_no_longer_taken_need_a_sign_in_again(
    alice: Actor, place: Place, closed: str, authority: Authority
) -> None:
    signed_in(alice, place, authority)
    mcp.stop()
    authority.expire()
    assert mcp.connect(alice, place, closed).state == "needs_auth"
    signed_in(alice, place, authority)
    assert mcp.statuses(alice, place)[closed].state == "connected"


def test_a_client_that_was_registered_before_is_used(alice: Actor, place: Place, authority: Authority) -> None:
    authority.clients["known"] = {
        "client_secret": "known-secret-of-ours", "redirect_uris": ["http://localhost/mcp-servers/callback"],
    }  # fmt: skip
    oauth = OAuth("known", "known-secret-of-ours", "files:read")
    mcp.add(alice, place, "closed", Wanted("remote", (f"{authority.url}/mcp",), timeout=60_000, oauth=oauth))
    begun = mcp.begin_sign_in(alice, place, "closed")
    assert back(begun.url)["scope"] == "files:read"
    given = back(authority.consent(begun.url))
    mcp.come_back(alice, given["state"], given["code"], given["iss"])
    assert authority.asked("register") == []
    assert mcp.statuses(alice, place)["closed"].state == "connected"


@pytest.mark.parametrize("inside", ["http://169.254.169.254/token", "http://127.0.0.1:1/token"])
def test_a_token_endpoint_that_leads_inside_is_never_called(
    alice: Actor, place: Place, closed: str, authority: Authority, inside: str
) -> None:
    authority.token_endpoint = inside
    begun = mcp.begin_sign_in(alice, place, closed)
    given = back(authority.consent(begun.url))
    with pytest.raises((Unavailable, Invalid), match="not allowed"):
        mcp.come_back(alice, given["state"], given["code"], given["iss"])


@pytest.mark.parametrize("script", ["javascript:alert(1)//", "data:text/html,x"])
def test_an_address_that_is_no_page_is_never_shown(
    browser: Browser, place: Place, closed: str, authority: Authority, script: str
) -> None:
    authority.authorization_endpoint = script
    page = browser.post(f"/mcp-servers/{place.project.id}/{closed}/signin").text
    assert script not in page
    assert re.findall(r'class="btn primary" href="(http:[^"?]+)', page) == [f"{authority.url}/authorize"]


def test_an_address_with_a_question_of_its_own_keeps_it(
    alice: Actor, place: Place, closed: str, authority: Authority
) -> None:
    authority.authorization_endpoint = f"{authority.url}/authorize?policy=one&state=theirs"
    begun = mcp.begin_sign_in(alice, place, closed)
    asked = parse_qs(urlsplit(begun.url).query)
    assert (asked["policy"], asked["response_type"], asked["state"]) == (["one"], ["code"], ["theirs", begun.state])
    assert begun.state != "theirs"


def test_nobody_signs_in_where_nobody_has_to(alice: Actor, bob: Actor, place: Place, authority: Authority) -> None:
    wanted = Wanted("remote", (f"{authority.url}/mcp",), timeout=60_000)
    mcp.add(alice, place, "off", replace(wanted, oauth=OAuth(is_off=True)))
    with pytest.raises(Invalid, match="Nobody signs in"):
        mcp.begin_sign_in(alice, place, "off")
    authority.tokens.add("a-token-of-before")
    mcp.add(alice, place, "open", replace(wanted, secret={"Authorization": "Bearer a-token-of-before"}))
    assert mcp.statuses(alice, place)["open"].state == "connected"
    with pytest.raises(Conflict, match="asks nobody"):
        mcp.begin_sign_in(alice, place, "open")
    for actor in (bob, replace(alice, kind="agent")):
        with pytest.raises(Denied):
            mcp.begin_sign_in(actor, place, "open")
        with pytest.raises(Denied):
            mcp.sign_out(actor, place, "open")
    with pytest.raises(NotFound):
        mcp.begin_sign_in(alice, place, "none")


def test_what_another_process_signs_out_of_is_left_here_too(
    alice: Actor, place: Place, closed: str, authority: Authority
) -> None:
    """As the other process does it: the tokens go, and the event tells."""
    signed_in(alice, place, authority)
    server = mcp.list_servers(alice, place)[0].server
    with db.transaction() as conn:
        Keys.of(server).forget(keys.TOKENS, keys.CLIENT)
        record.event(conn, ServerChanged(str(place.project.path), closed), place.project)
    assert until(lambda: mcp.statuses(alice, place)[closed].state == "needs_auth")


def test_removing_a_server_forgets_its_tokens(alice: Actor, place: Place, closed: str, authority: Authority) -> None:
    signed_in(alice, place, authority)
    with db.read() as conn:
        assert len([row for row in conn.execute(vault.select()) if row.scope.startswith("held:mcp:")]) == 2
    mcp.remove(alice, place, closed)
    with db.read() as conn:
        assert not [row for row in conn.execute(vault.select()) if row.scope.startswith("held:mcp:")]


def test_opencode_begins_and_finishes_a_sign_in(call: Caller, place: Place, closed: str, authority: Authority) -> None:
    authority.says_issuer = False  # who brings the code alone cannot say who gave it
    begun = call.post(f"/mcp/{closed}/auth").json
    assert set(begun) == {"authorizationUrl", "oauthState"}
    given = back(authority.consent(begun["authorizationUrl"]))
    assert given["state"] == begun["oauthState"]
    assert call.post(f"/mcp/{closed}/auth/callback", {}).status_code == 400
    assert call.post(f"/mcp/{closed}/auth/callback", {"code": given["code"]}).json == {"status": "connected"}
    for verb, path in (
        ("POST", "/mcp/none/auth"),
        ("DELETE", "/mcp/none/auth"),
        ("POST", "/mcp/none/auth/authenticate"),
    ):
        missing = call(verb, path)
        assert missing.status_code == 404, path
        assert (missing.json["_tag"], missing.json["name"]) == ("McpServerNotFoundError", "none")
    assert call("DELETE", f"/mcp/{closed}/auth").json == {"success": True}
    assert call.get("/mcp").json == {closed: {"status": "needs_auth"}}
    assert call.post(f"/mcp/{closed}/auth/callback", {"code": "x"}).status_code == 400


def test_opencode_waits_until_somebody_came_back(
    app: Cabin, call: Caller, alice: Actor, place: Place, closed: str, authority: Authority
) -> None:
    streamed = frames(call.get("/event", buffered=False))
    other = Caller(app, alice)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(other.post, f"/mcp/{closed}/auth/authenticate")
        told = (orjson.loads(data_of(frame)) for frame in streamed)
        wanted = next(one for one in told if one["type"] == "mcp.browser.open.failed")["properties"]
        assert wanted["mcpName"] == closed
        assert not waiting.done()
        given = back(authority.consent(wanted["url"]))
        mcp.come_back(alice, given["state"], given["code"], given["iss"])
        assert waiting.result(timeout=PATIENCE).json == {"status": "connected"}
    streamed.close()
