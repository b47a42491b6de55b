"""The page of terminals without a script, and its own socket."""

from __future__ import annotations

import contextlib
import http.client
import json
import re

import pytest
from websockets.exceptions import InvalidStatus

from app.actor import Actor
from app.dialects.mount import Cabin
from app.processes import service as processes
from app.projects.service import Place
from app.security_headers import EMPTY_STYLE
from app.terminals import service
from app.terminals.service import Terminal
from tests.running import Running
from tests.terminals.conftest import Line, ends, shows
from tests.visitor import Browser, data_of, frames, is_whole, until


@pytest.fixture
def guest(app: Cabin, bob: Actor) -> Browser:
    """Bob's browser."""
    return Browser(app, bob)


def test_an_empty_page_offers_the_places_where_one_can_be_opened(browser: Browser, place: Place) -> None:
    page = browser.get("/terminals")
    assert is_whole(page)
    assert "No terminal is open." in page.text
    assert f'<option value="{place.root}"' in page.text
    assert EMPTY_STYLE in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]


def test_one_is_opened_typed_into_and_ended_by_forms_alone(browser: Browser, alice: Actor, place: Place) -> None:
    answer = browser.post("/terminals", {"directory": str(place.root)})
    assert answer.status_code == 303
    address = answer.headers["Location"]
    made = service.get(alice, address.rpartition("/")[2])
    assert (
        browser.post(f"{address}/send", {"line": "echo $((40+2)); printf '\\033[31m<b>red</b>\\033[0m'"}).status_code
        == 303
    )
    shows(made, "42\r\n\x1b[31m<b>red")
    page = browser.get(address)
    assert is_whole(page)
    assert "\n42\n" in page.text
    assert "&lt;b&gt;red&lt;/b&gt;" in page.text
    assert "\x1b" not in page.text
    assert browser.post(f"{address}/rename", {"title": "My <shell>"}).status_code == 303
    assert "My &lt;shell&gt;" in browser.get(address).text
    assert browser.post(f"{address}/end").headers["Location"] == "/terminals"
    assert browser.get(address).status_code == 404


def test_what_runs_is_ended_only_after_it_was_said(browser: Browser, alice: Actor, place: Place) -> None:
    made = service.create(alice, place)
    service.write(alice, made.id, "sleep 1000\n")
    until(lambda: made.front().words == ("sleep", "1000"))
    answer = browser.post(f"/terminals/{made.id}/end")
    assert answer.status_code == 409
    assert is_whole(answer)
    assert "<b>sleep 1000</b> is running in it" in answer.text
    assert made.ended is None
    browser.post(f"/terminals/{made.id}/send", {"key": "interrupt"})
    until(lambda: not service.is_busy(alice, made.id))
    service.write(alice, made.id, "sleep 1000\n")
    until(lambda: made.front().words == ("sleep", "1000"))
    assert browser.post(f"/terminals/{made.id}/end", {"anyway": "yes"}).status_code == 303
    ends(made)


def test_an_ended_one_is_listed_with_how_and_until_when(browser: Browser, alice: Actor, terminal: Terminal) -> None:
    service.write(alice, terminal.id, "\x04")
    ends(terminal)
    page = browser.get(f"/terminals/{terminal.id}").text
    assert re.search(r"exit 0 · kept until \d\d:\d\d", page)
    assert "data-plain" not in page
    assert "ready" in page


def test_others_watch_without_keys(guest: Browser, terminal: Terminal) -> None:
    page = guest.get(f"/terminals/{terminal.id}")
    assert is_whole(page)
    assert "ready" in page.text
    for act in ("/send", "/end", "/rename"):
        assert f'action="/terminals/{terminal.id}{act}"' not in page.text
        assert guest.post(f"/terminals/{terminal.id}{act}", {"line": "x"}).status_code == 403


def test_two_stand_side_by_side(browser: Browser, alice: Actor, place: Place) -> None:
    one, two = service.create(alice, place, title="left"), service.create(alice, place, title="right")
    page = browser.get(f"/terminals/{one.id}?beside={two.id}").text
    assert page.count("data-term=") == 2
    assert browser.get(f"/terminals/{one.id}?beside=pty_none").status_code == 404


def test_who_has_too_many_is_told(browser: Browser, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(processes.MOST, "terminal", 0)
    answer = browser.post("/terminals", {"directory": str(place.root)})
    assert answer.status_code == 429
    assert is_whole(answer)
    assert 'role="alert"' in answer.text


@pytest.mark.parametrize("directory", ["/etc", "/nowhere", "relative", "\x00"])
def test_a_place_that_is_none_is_refused_on_the_page(browser: Browser, place: Place, directory: str) -> None:
    answer = browser.post("/terminals", {"directory": directory})
    assert answer.status_code in (400, 403)
    assert is_whole(answer)


def test_the_list_lives_on_the_pages_stream(browser: Browser, alice: Actor, place: Place) -> None:
    streamed = frames(browser.get("/live?lastEventId=0&terminal=", buffered=False))
    made = service.create(alice, place, title="fresh one")
    drawn = next(data_of(frame) for frame in streamed if "fresh one" in frame)
    assert 'hx-target="#terminal-list" hx-swap="outerHTML"' in drawn
    service.end(alice, made.id)
    assert "fresh one" not in next(data_of(frame) for frame in streamed if "terminal-list" in frame)
    streamed.close()


def test_projects_and_the_search_lead_there(browser: Browser, place: Place) -> None:
    assert "Terminal here" in browser.get(f"/projects?project={place.project.id}").text
    assert 'href="/terminals"' in browser.get("/search?q=term").text


def cookies(served: Running) -> str:
    """The cookie of the owner's browser."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    origin = served.url
    body = f"code={served.sign_in_code()}"
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": origin}
    with contextlib.closing(connection):
        connection.request("POST", "/signin", body, headers)
        answer = connection.getresponse()
        assert answer.status == 303, answer.read()
        return answer.getheader("Set-Cookie", "").split(";")[0]


def test_the_pages_own_socket_wants_its_cookie_and_its_origin(served: Running, fresh: str) -> None:
    cookie = cookies(served)
    path = f"/terminals/{fresh}/socket"
    for headers in ({"Cookie": cookie}, {"Cookie": cookie, "Origin": "http://127.0.0.1:1"}, {"Origin": served.url}):
        with pytest.raises(InvalidStatus) as refused:
            Line(served, path, headers)
        assert refused.value.response.status_code in (401, 403)
    with Line(served, path, {"Cookie": cookie, "Origin": served.url}) as line:
        hello = line.hear()
        assert hello["type"] == "hello"
        people = line.a("people")
        assert (people["mine"], people["mayWrite"], people["others"]) == (True, True, [])
        line.until("$")
        assert line.messages[-1]["end"] >= hello["end"]


def test_the_page_comes_back_for_what_it_missed_and_takes_its_seat(served: Running, fresh: str) -> None:
    headers = {"Cookie": cookies(served), "Origin": served.url}
    path = f"/terminals/{fresh}/socket"
    with Line(served, path + "?client=tab", headers) as line:
        line.type("echo se''en\n")
        line.until("seen")
        line.say(type="ping")
        line.a("pong")
        end = [one["end"] for one in line.messages if one["type"] == "output"][-1]
        with Line(served, f"{path}?client=tab&after={end}", headers) as again:
            assert line.closed() == (4000, "Replaced by new connection")
            assert again.a("people")["mine"] is True
            again.type("echo mis''sed\n")
            again.until("missed")
            assert "seen" not in again.text


def test_two_pages_share_one_keyboard(served: Running, fresh: str) -> None:
    headers = {"Cookie": cookies(served), "Origin": served.url}
    path = f"/terminals/{fresh}/socket"
    with Line(served, path + "?client=a", headers) as one, Line(served, path + "?client=b", headers) as two:
        assert two.a("people")["mine"] is False
        two.say(type="take")
        while not two.a("people")["mine"]:
            continue
        while one.a("people")["mine"]:
            continue
        two.say(type="resize", cols=61, rows=17)
        one.until(lambda: one.messages and one.messages[-1].get("cols") == 61)
        one.say(type="resize", cols=9, rows=9)
        two.type("stty size\n")
        two.until("17 61")


def test_the_page_is_told_what_runs(served: Running, fresh: str) -> None:
    headers = {"Cookie": cookies(served), "Origin": served.url}
    with Line(served, f"/terminals/{fresh}/socket", headers) as line:
        line.type("sleep 1000\n")
        line.until(lambda: line.messages and line.messages[-1].get("words") == "sleep 1000")
        assert line.messages[-1]["busy"] is True
        line.type("\x03")
        line.until(lambda: line.messages[-1]["type"] == "front" and not line.messages[-1]["busy"])


def test_nobody_sees_the_pages_without_signing_in(app: Cabin, terminal: Terminal) -> None:
    strange = app.test_client()
    for path in ("/terminals", f"/terminals/{terminal.id}"):
        answer = strange.get(path, headers={"Accept": "text/html"})
        assert answer.headers["Location"].startswith("/signin")
    answer = strange.get(f"/terminals/{terminal.id}/socket")
    assert (answer.status_code, json.loads(answer.text)["code"]) == (401, "AUTH_REQUIRED")
