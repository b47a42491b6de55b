"""How pages look: as the system, until somebody says otherwise, for themselves or for a browser; never with a flash."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from app import config, db
from app.accounts import service as accounts
from app.actor import Actor
from app.config import DialectPort
from app.dialects.mount import Cabin
from app.errors import Invalid, NotFound
from tests.conftest import Caller
from tests.visitor import ORIGIN, Browser, is_whole


def root(page: str) -> str:
    """The opening tag of a page."""
    return page.split("<html")[1].split(">", maxsplit=1)[0]


def canvas(page: str) -> str:
    """What the browser paints before the style is there."""
    return re.findall(r'name="color-scheme" content="([^"]+)"', page)[0]


def test_it_is_as_the_system_until_somebody_chooses(browser: Browser) -> None:
    page = browser.get("/account").text
    assert root(page) == ' lang="en"'
    assert canvas(page) == "light dark"
    assert 'name="theme" value="system" checked' in page
    assert 'name="density" value="normal" checked' in page


@pytest.mark.parametrize(("theme", "density", "shown"), [
    ("dark", "normal", ' lang="en" data-theme="dark"'),
    ("light", "compact", ' lang="en" data-theme="light" data-density="compact"'),
    ("system", "compact", ' lang="en" data-density="compact"'),
])  # fmt: skip
def test_a_choice_is_kept_for_the_person_on_every_device(
    app: Cabin, browser: Browser, alice: Actor, theme: str, density: str, shown: str
) -> None:
    answer = browser.post("/account/look", {"theme": theme, "density": density})
    assert answer.status_code == 303
    for path in ("/", "/account", "/sessions", "/nowhere"):
        page = browser.get(path).text
        assert root(page) == shown
        assert canvas(page) == ("light dark" if theme == "system" else theme)
    assert root(Browser(app, alice).get("/").text) == shown


def test_the_browser_keeps_it_for_the_sign_in(browser: Browser, alice: Actor) -> None:
    browser.post("/account/look", {"theme": "dark", "density": "normal"})
    assert browser.post("/signout").status_code == 303
    assert root(browser.get("/signin").text) == ' lang="en" data-theme="dark"'


def test_a_stranger_chooses_for_their_browser(stranger: Caller) -> None:
    page = stranger.get("/signin", headers={"Accept": "text/html"})
    assert root(page.text) == ' lang="en"'
    assert 'action="/look"' in page.text
    given = {"theme": "dark", "next": "/signin?next=%2Finbox"}
    answer = stranger.client.post("/look", data=given, headers={"Origin": ORIGIN})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/signin?next=%2Finbox")
    page = stranger.get("/signin", headers={"Accept": "text/html"})
    assert root(page.text) == ' lang="en" data-theme="dark"'
    assert root(stranger.get("/s/" + "A" * 24, headers={"Accept": "text/html"}).text).endswith('data-theme="dark"')


def test_what_a_person_chose_goes_over_the_browsers(browser: Browser) -> None:
    browser.client.set_cookie("look", "light.normal")
    assert root(browser.get("/").text) == ' lang="en" data-theme="light"'
    browser.post("/account/look", {"theme": "system", "density": "normal"})
    browser.client.set_cookie("look", "light.compact")
    assert root(browser.get("/").text) == ' lang="en"'


@pytest.mark.parametrize("cookie", ["", "x", "dark", '"><script>', "dark.compact.more", "é.ü"])
def test_a_cookie_that_is_none_is_nothing(stranger: Caller, cookie: str) -> None:
    stranger.client.set_cookie("look", cookie)
    page = stranger.get("/signin", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert root(page.text) in (' lang="en"', ' lang="en" data-theme="dark"')


def test_a_foreign_page_does_not_choose(stranger: Caller) -> None:
    answer = stranger.client.post("/look", data={"theme": "dark"}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers
    odd = stranger.client.post("/look", data={"theme": "x", "next": "//evil.example"}, headers={"Origin": ORIGIN})
    assert odd.headers["Location"] == "/signin"


def test_a_choice_that_is_none_is_refused(browser: Browser) -> None:
    for given in ({"theme": "pink", "density": "normal"}, {"theme": "dark", "density": "huge"}):
        answer = browser.post("/account/look", given)
        assert answer.status_code == 400
        assert is_whole(answer)
    assert browser.post("/account/visibility", {"visibility": "shared"}).status_code == 400


def test_who_sees_new_sessions_is_chosen_there(browser: Browser, alice: Actor) -> None:
    assert "as this server has it: the team" in browser.get("/account").text
    assert browser.post("/account/visibility", {"visibility": "private"}).status_code == 303
    assert '<option value="private" selected>' in browser.get("/account").text
    assert accounts.look_of(alice.user).visibility == "private"


def test_a_token_has_no_look(app: Cabin, alice: Actor) -> None:
    token = replace(alice, id="tok_1", kind="token", token="tok_1")
    with pytest.raises(NotFound):
        accounts.change_look(token, "dark", "")


def test_choices_at_the_same_time_keep_one_another(either_database: db.Database, alice: Actor) -> None:
    with ThreadPoolExecutor(6) as pool:
        works = [pool.submit(accounts.change_look, alice, "dark", "compact") for _ in range(3)]
        works += [pool.submit(accounts.change_visibility, alice, "private") for _ in range(3)]
        for work in works:
            work.result()
    found = accounts.look_of(alice.user)
    assert found == accounts.Look("dark", "compact", "private")
    with pytest.raises(Invalid):
        accounts.change_visibility(alice, "everybody")


def test_ports_that_act_as_ones_tokens_are_told(app: Cabin, browser: Browser, alice: Actor, bob: Actor) -> None:
    ports = (DialectPort("opencode", 4096, "laptop"), DialectPort("roo", 5000, "bobs"), DialectPort("e2b", 5001))
    config.use(replace(config.current(), ports=ports))
    accounts.mint_token(alice, "laptop")
    accounts.mint_token(bob, "bobs")
    page = browser.get("/account").text
    assert "Port 4096, OpenCode" in page
    assert "as the token <b>laptop</b>" in page
    assert "Port 5001, E2B" in page
    assert "Port 5000" not in page
    theirs = Browser(app, bob).get("/account").text
    assert "Port 5000, RooCode" in theirs
    assert "4096" not in theirs
