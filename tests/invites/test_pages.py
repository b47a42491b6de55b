"""Coming by a link in a browser, and the page of who invites."""

from __future__ import annotations

import re
import threading

import pytest

from app import db, ids
from app.accounts import service as accounts
from app.actor import Actor
from app.dialects.mount import Cabin
from app.invites import service
from app.record import audit_rows
from tests.conftest import Caller
from tests.invites.conftest import ORIGIN, Guest, link_in, secret_of, sessions
from tests.patience import PATIENCE
from tests.visitor import Browser


def path_of(url: str) -> str:
    """A link as our own server has it."""
    return re.sub(r"^http://[^/]+", "", url)


@pytest.fixture
def link(browser: Browser) -> str:
    """The link of an invite that alice made on the page."""
    page = browser.post("/invites", {"email": "lena@example.com", "role": "member"})
    assert page.status_code == 200, page.text
    return path_of(link_in(page.text))


def test_somebody_joins(guest: Guest, link: str, alice: Actor, browser: Browser) -> None:
    page = guest.open(link)
    assert "<h1>Join localhost" in page.text
    assert "Owner invites <b" in page.text
    assert "lena@example.com" in page.text
    assert "Works with agents" in page.text
    assert secret_of(link) not in page.text
    assert page.headers["Cache-Control"] == "no-store"
    answer = guest.post("/join", name="Lena Ochs", password="")
    assert answer.status_code == 303, answer.text
    assert answer.headers["Location"].removeprefix(ORIGIN) == "/"
    assert guest.is_signed_in
    assert "Lena Ochs" in guest.get("/").text
    assert "Nobody is invited" in browser.get("/invites").text


def test_opening_it_uses_nothing_up_and_the_link_leaves_the_address(guest: Guest, link: str) -> None:
    before = sessions()
    for method in ("HEAD", "GET", "GET", "OPTIONS"):
        answer = guest.client.open(link, method=method, headers={"Accept": "text/html"})
        assert answer.status_code in (200, 303)
        assert secret_of(link) not in answer.headers.get("Location", "")
    cookie = guest.client.get(link).headers["Set-Cookie"]
    assert all(word in cookie for word in ("link=", "HttpOnly", "SameSite=Lax", "Max-Age=600", "Path=/"))
    for _ in range(2):
        assert "Join as lena@example.com" in guest.get("/join").text
    assert sessions() == before
    assert guest.post("/join").status_code == 303


def test_twenty_presses_give_one_session(app: Cabin, link: str) -> None:
    guests = [Guest(app) for _ in range(20)]
    for guest in guests:
        guest.open(link)
    before, told, start = sessions(), list[int](), threading.Barrier(20)

    def press(guest: Guest) -> None:
        start.wait(PATIENCE)
        told.append(guest.post("/join").status_code)

    threads = [threading.Thread(target=press, args=(guest,)) for guest in guests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(told) == [303] + [401] * 19
    assert sessions() == before + 1
    assert sum(guest.is_signed_in for guest in guests) == 1


def test_a_link_that_is_over_says_so_kindly_and_nothing_else(
    app: Cabin, guest: Guest, link: str, browser: Browser, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Guest(app)
    other.open(link)
    other.post("/join")
    revoked = service.invite(alice, "nora@example.com", ())
    service.revoke(alice, revoked.invite.id)
    ended = service.invite(alice, "olga@example.com", ())
    later = ids.now() + 72 * 3_600_000
    monkeypatch.setattr(ids, "now", lambda: later)
    pages = [
        guest.open(way)
        for way in (link, path_of(service.url_of(revoked)), path_of(service.url_of(ended)), "/join?token=made-up")
    ]
    assert {page.status_code for page in pages} == {401}
    assert len({page.text for page in pages}) == 1
    assert "This link is over" in pages[0].text
    assert not re.search(r"lena|nora|olga|Owner", pages[0].text)
    assert guest.get("/join").status_code == 401
    assert guest.post("/join").status_code == 401


def test_a_weak_password_is_told_at_its_field_and_uses_nothing_up(guest: Guest, link: str) -> None:
    guest.open(link)
    answer = guest.post("/join", name="Lena Ochs", password="short")
    assert answer.status_code == 400
    assert 'aria-describedby="password-error"' in answer.text
    assert 'value="Lena Ochs"' in answer.text
    assert "short" not in re.sub(r"<[^>]+>", "", answer.text).split("Password")[0]
    assert guest.post("/join", name="Lena Ochs", password="a long and good one").status_code == 303


def test_who_is_signed_in_as_somebody_else_can_come_in_by_a_link_too(browser: Browser, link: str) -> None:
    assert browser.get(link).status_code == 303
    page = browser.get("/join").text
    assert page.count(f'name="csrf_token" value="{browser.token}"') == 2
    assert browser.post("/join", token="").status_code == 403
    before = sessions()
    assert browser.post("/join", {"name": "Lena Ochs"}).status_code == 303
    assert "Lena Ochs" in browser.get("/").text
    assert sessions() == before, "hers has taken the place of the other one"


def test_an_invite_that_is_not_wanted_is_declined(guest: Guest, link: str, alice: Actor) -> None:
    guest.open(link)
    assert "The invite is declined" in guest.post("/join/decline").text
    assert service.list_invites(alice) == []
    assert guest.open(link).status_code == 401
    with db.read() as conn:
        actions = [row.action for row in conn.execute(audit_rows.select())]
    assert actions.count("invite.decline") == 1


@pytest.mark.parametrize("path", ["/join", "/join/decline", "/signin/link"])
def test_another_site_presses_nothing(guest: Guest, link: str, alice: Actor, path: str) -> None:
    guest.open(link)
    answer = guest.client.post(path, data={}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert [one.state for one in service.list_invites(alice)] == ["open"]


def test_a_preset_cookie_is_not_adopted(guest: Guest, link: str) -> None:
    guest.client.set_cookie("sid", "sid_chosen_by_somebody")
    guest.open(link)
    guest.post("/join")
    cookie = guest.client.get_cookie("sid")
    assert cookie is not None
    assert cookie.value != "sid_chosen_by_somebody"


def test_a_programs_link_shows_the_same_page_and_goes_on_with_a_nonce(
    guest: Guest, call: Caller, stranger: Caller
) -> None:
    body = {"email": "lena@example.com", "redirectUri": "https://app.example.com/in?x=1"}
    url = call.post("/api/v1/auth/magic-link/generate", body).get_json()["magicLinkUrl"]
    assert "Join as lena@example.com" in guest.open(path_of(url)).text
    page = guest.post("/join")
    assert page.status_code == 200
    found = re.search(r'content="0; url=(https://app\.example\.com/in\?x=1&amp;auth_nonce=(\w+))"', page.text)
    assert found, page.text
    assert "sca_" not in page.text
    tokens = stranger.post("/api/v1/auth/nonce-exchange", {"nonce": found[2]})
    assert set(tokens.get_json()) == {"accessToken", "refreshToken", "expiresIn"}


def test_who_is_here_is_signed_in_by_a_programs_link(guest: Guest, call: Caller, alice: Actor) -> None:
    accounts.create_user(alice, "Mei", "mei@example.com", "viewer")
    url = call.post("/api/v1/auth/magic-link/generate", {"email": "mei@example.com"}).get_json()["magicLinkUrl"]
    page = guest.open(path_of(url)).text
    assert "Sign in as mei@example.com" in page
    assert 'name="password"' not in page
    assert guest.post("/join").status_code == 303
    assert "Mei" in guest.get("/").text


def test_an_invite_is_made_once_shown_resent_and_revoked(browser: Browser, alice: Actor, guest: Guest) -> None:
    assert "Nobody is invited" in browser.get("/invites").text
    page = browser.post("/invites", {"email": "lena@example.com", "role": "viewer"}).text
    first = path_of(link_in(page))
    assert "It is not shown again" in page
    listed = browser.get("/invites").text
    assert "lena@example.com" in listed
    assert "by you, ends " in listed
    assert "/join?token=" not in listed
    invite = service.list_invites(alice)[0]
    second = path_of(link_in(browser.post(f"/invites/{invite.id}/resend").text))
    assert guest.open(first).status_code == 401
    assert guest.open(second).status_code == 200
    assert browser.post(f"/invites/{invite.id}/revoke").status_code == 303
    assert guest.open(second).status_code == 401
    assert browser.post(f"/invites/{invite.id}/revoke").status_code == 404
    assert browser.post("/invites/inv_made_up/resend").status_code == 404


@pytest.mark.parametrize(("email", "status"), [("nobody", 400), ("bob@example.com", 409), ("", 400)])
def test_what_is_wrong_is_told_beside_what_was_typed(
    browser: Browser, bob: Actor, alice: Actor, email: str, status: int
) -> None:
    answer = browser.post("/invites", {"email": email, "role": "member"})
    assert answer.status_code == status
    assert 'id="email-error"' in answer.text
    assert f'value="{email}"' in answer.text
    assert service.list_invites(alice) == []


def test_a_member_sees_and_makes_no_invites(app: Cabin, alice: Actor, bob: Actor, guest: Guest) -> None:
    invite = service.invite(alice, "lena@example.com", ()).invite
    page = Browser(app, bob)
    assert page.get("/invites").status_code in (403, 404)
    assert page.post("/invites", {"email": "x@example.com", "role": "viewer"}).status_code in (403, 404)
    assert page.post(f"/invites/{invite.id}/revoke").status_code in (403, 404)
    assert page.post(f"/invites/{invite.id}/resend").status_code in (403, 404)
    assert guest.get("/invites").headers["Location"].startswith("/signin")


def test_a_form_without_its_token_changes_nothing(browser: Browser, alice: Actor) -> None:
    assert browser.post("/invites", {"email": "x@example.com", "role": "viewer"}, token="").status_code == 403
    assert service.list_invites(alice) == []


def test_what_was_chosen_stays_beside_what_is_wrong(browser: Browser) -> None:
    page = browser.post("/invites", {"email": "nobody", "role": "viewer"}).text
    assert "<option selected>viewer</option>" in page
    assert re.search(r'value="nobody"[^>]* aria-invalid="true" aria-describedby="email-error"', page)
    page = browser.post("/invites", {"email": "lena@example.com", "role": "nothing"}).text
    assert re.search(r'<select[^>]* aria-invalid="true" aria-describedby="role-error"', page)
    assert 'value="lena@example.com" required autocomplete="off" spellcheck="false">' in page
