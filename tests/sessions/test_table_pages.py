"""The table of sessions, told of those that it does not show: new, newly seen, and those that its filters let in by now."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import pytest

from app.actor import Actor
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.sessions import service
from app.sessions.service import Session
from tests.conftest import member
from tests.visitor import Browser, data_of, frames

Make = Callable[..., Session]


@pytest.fixture
def make(alice: Actor) -> Make:
    """Begin a session of Alice's on the sample."""
    place = projects.resolve(alice, None)
    return lambda **given: service.create(alice, place, **{"title": "Fix it", **given})


def told(browser: Browser, path: str, act: Callable[[], object], alice: Actor) -> str:
    """All that the page at `path` is told of what happens after it was drawn."""
    found = re.search(r'hx-sse:connect="([^"]+)"', browser.get(path).text)
    assert found
    act()
    last = service.create(alice, projects.resolve(alice, None), title="The last word")
    said = ""
    streamed = frames(browser.get(html.unescape(found[1]), buffered=False))
    for frame in streamed:
        said += data_of(frame)
        if f"side-{last.id}" in said:
            break
    streamed.close()
    return said


def mark(session: Session) -> str:
    return (
        f'<hx-partial hx-target="#more-sessions" hx-swap="upsert"><i id="new-{session.id}" data-of="row-{session.id}">'
    )


def test_a_new_session_is_told_once(browser: Browser, alice: Actor, make: Make) -> None:
    made: list[Session] = []

    def act() -> None:
        made.append(make())
        service.update(alice, made[0].id, title="Fix it well")

    assert told(browser, "/sessions", act, alice).count(mark(made[0])) == 1


def test_other_pages_are_told_nothing_of_it(browser: Browser, alice: Actor, make: Make) -> None:
    assert "more-sessions" not in told(browser, "/projects", make, alice)
    before = "9" * 13 + ".ses_x"
    assert "more-sessions" not in told(browser, f"/sessions?before={before}", make, alice)


def test_only_what_the_filters_let_in_is_told(browser: Browser, alice: Actor, make: Make) -> None:
    waiting = make(title="Plan")
    for path, is_in in {
        "/sessions?tab=idle": True,
        "/sessions?tab=failed": False,
        "/sessions?q=blue": True,
        "/sessions?q=green": False,
        f"/sessions?owner={alice.user}&seen=team": True,
        "/sessions?owner=usr_other": False,
        "/sessions?seen=private": False,
    }.items():
        said = told(browser, path, lambda: service.update(alice, waiting.id, title="Plan in blue"), alice)
        assert (mark(waiting) in said) == is_in, path
        assert (f'hx-target="#new-{waiting.id}" hx-swap="delete"' in said) != is_in, path


def test_what_fits_no_more_is_taken_back(browser: Browser, alice: Actor, make: Make) -> None:
    found = re.search(r'hx-sse:connect="([^"]+)"', browser.get("/sessions").text)
    assert found
    streaming = frames(browser.get(html.unescape(found[1]), buffered=False))
    streamed = map(data_of, streaming)
    made = make()
    assert any(mark(made) in said for said in streamed)
    service.update(alice, made.id, archived=1)
    assert any(f'hx-target="#new-{made.id}" hx-swap="delete"' in said for said in streamed)
    streaming.close()


def test_what_somebody_may_see_by_now_is_told_and_what_no_more_taken_back(app: Cabin, alice: Actor, make: Make) -> None:
    hers = make(visibility="private")
    bob = Browser(app, member(alice, "Bob"))

    def show(*choices: str) -> None:
        for choice in choices:
            service.update(alice, hers.id, visibility=choice)

    assert mark(hers) in told(bob, "/sessions", lambda: show("team"), alice)
    said = told(bob, "/sessions", lambda: show("private"), alice)
    assert f'hx-target="#new-{hers.id}" hx-swap="delete"' in said
    assert mark(hers) not in told(bob, "/sessions", lambda: service.update(alice, hers.id, title="Mine"), alice)
