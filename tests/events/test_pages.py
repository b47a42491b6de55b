from __future__ import annotations

from app.actor import Actor
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.sessions import service as sessions
from tests.conftest import Caller
from tests.visitor import Browser, data_of, frames


def test_it_streams_rows_of_what_changes(browser: Browser, alice: Actor) -> None:
    response = browser.get("/live?lastEventId=0", buffered=False)
    assert response.mimetype == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-store, no-transform"
    made = sessions.create(alice, projects.resolve(alice, None), title="Fix it")
    streamed = frames(response)
    frame = next(one for one in streamed if made.id in one)
    streamed.close()
    assert frame.startswith("id: ")
    assert f'<hx-partial hx-target="#row-{made.id}" hx-swap="outerHTML"><tr' in data_of(frame)
    assert f'<hx-partial hx-target="#side-today" hx-swap="into"><li id="side-{made.id}"' in data_of(frame)
    assert "<html" not in frame


def test_it_shows_nobody_what_they_may_not_read(app: Cabin, alice: Actor, bob: Actor) -> None:
    place = projects.resolve(alice, None)
    streamed = frames(Browser(app, bob).get("/live?lastEventId=0", buffered=False))
    hidden = sessions.create(alice, place, title="secret plan", visibility="private")
    sessions.create(alice, place, title="open plan")
    seen = ""
    for frame in streamed:
        seen += frame
        if "open plan" in frame:
            break
    streamed.close()
    assert hidden.id not in seen
    assert "secret plan" not in seen


def test_the_row_of_the_open_session_stays_marked(browser: Browser, alice: Actor) -> None:
    made = sessions.create(alice, projects.resolve(alice, None), title="Fix it")
    streamed = frames(browser.get(f"/live?lastEventId=0&at={made.id}", buffered=False))
    frame = next(one for one in streamed if made.id in one)
    streamed.close()
    assert 'aria-current="page"' in frame


def test_the_header_wins_over_the_url(browser: Browser, alice: Actor) -> None:
    first = sessions.create(alice, projects.resolve(alice, None), title="first")
    streamed = frames(browser.get("/live?lastEventId=0", buffered=False))
    frame = [next(one for one in streamed if first.id in one) for _ in range(2)][-1]
    streamed.close()
    last = frame.split("\n")[0].removeprefix("id: ")
    second = sessions.create(alice, projects.resolve(alice, None), title="second")
    again = frames(browser.get("/live?lastEventId=0", buffered=False, headers={"Last-Event-ID": last}))
    assert second.id in next(again)
    again.close()


def test_a_cursor_of_another_time_says_resync(browser: Browser) -> None:
    streamed = frames(browser.get("/live?lastEventId=nonsense", buffered=False))
    assert next(streamed).startswith("event: resync")
    streamed.close()


def test_a_stranger_gets_no_stream(stranger: Caller) -> None:
    assert stranger.get("/live").status_code == 401
