from __future__ import annotations

import itertools
from typing import Any

import pytest

from app.actor import Actor
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.sessions import service
from app.sessions.service import Message, Session
from tests.conftest import Caller, member
from tests.visitor import Browser, data_of, frames, is_whole, until

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def session(app: Cabin, alice: Actor) -> Session:
    """A session of Alice's on the sample, idle."""
    return service.create(alice, projects.resolve(alice, None), provider="demo", model="walkthrough", title="Fix it")


def say(actor: Actor, session: Session, text: str) -> Message:
    """A message nobody answers."""
    return service.send(actor, session.id, [{"type": "text", "text": text}], no_reply=True)[0]


def test_the_list_is_a_whole_page(browser: Browser, session: Session) -> None:
    page = browser.get("/sessions")
    assert is_whole(page)
    assert f'id="row-{session.id}"' in page.text
    assert "sample@" in page.text


def test_htmx_gets_the_rows_alone(browser: Browser, session: Session) -> None:
    rows = browser.get("/sessions", headers={"HX-Request": "true"}).text
    assert "<html" not in rows
    assert f'id="row-{session.id}"' in rows


@pytest.mark.parametrize("words", ["fix IT", "unseen word", "100%"])
def test_the_list_finds_titles_and_messages(browser: Browser, alice: Actor, session: Session, words: str) -> None:
    say(alice, session, "an unseen word and 100% more")
    assert session.id in browser.get("/sessions", query_string={"q": words}).text
    assert session.id not in browser.get("/sessions", query_string={"q": f"{words}x"}).text


def test_the_tabs_and_filters_are_in_the_url(browser: Browser, alice: Actor, session: Session) -> None:
    assert session.id in browser.get(f"/sessions?tab=idle&owner={alice.user}&project={session.project}").text
    assert session.id not in browser.get("/sessions?tab=failed").text
    assert session.id not in browser.get("/sessions?owner=usr_other").text
    service.update(alice, session.id, archived=1)
    assert session.id in browser.get("/sessions?tab=archived").text
    assert session.id not in browser.get("/sessions").text


def test_older_sessions_are_a_link_away(browser: Browser, alice: Actor) -> None:
    place = projects.resolve(alice, None)
    made = [service.create(alice, place, title=f"s{n}").id for n in range(52)]
    first = browser.get("/sessions").text
    older = first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&")
    second = browser.get(older).text
    both = [[one for one in made if f'id="row-{one}"' in page] for page in (first, second)]
    assert [len(found) for found in both] == [50, 2]
    assert set(both[0]).isdisjoint(both[1])


def test_a_session_is_a_whole_page_with_its_transcript(browser: Browser, alice: Actor, session: Session) -> None:
    message = say(alice, session, "Please look.")
    page = browser.get(f"/sessions/{session.id}")
    assert is_whole(page)
    assert f'id="message-{message.id}"' in page.text
    assert "Please look." in page.text
    assert f"at={session.id}" in stream_of(page.text)
    assert is_whole(browser.get(f"/sessions/{session.id}?tab=details"))
    assert is_whole(browser.get(f"/sessions/{session.id}/changes"))


def test_what_people_and_models_write_is_text(browser: Browser, alice: Actor, session: Session) -> None:
    say(alice, session, EVIL)
    service.update(alice, session.id, title=EVIL)
    for path in ("/", "/sessions", f"/sessions/{session.id}", f"/sessions/{session.id}/changes"):
        assert EVIL not in browser.get(path).text


def test_earlier_messages_are_a_link_away(browser: Browser, alice: Actor, session: Session) -> None:
    messages = [say(alice, session, f"word {n}") for n in range(103)]
    page = browser.get(f"/sessions/{session.id}").text
    assert f'id="message-{messages[3].id}"' in page
    assert f'id="message-{messages[2].id}"' not in page
    assert f"before={messages[3].id}" in page
    assert f'id="message-{messages[2].id}"' in browser.get(f"/sessions/{session.id}?before={messages[3].id}").text


def test_a_form_begins_a_session(browser: Browser, alice: Actor) -> None:
    data = {"text": "Say who you are", "mode": "plan", "model": "demo/walkthrough", "preset": "read-only"}
    answer = browser.post("/sessions", data)
    assert answer.status_code == 303
    begun = service.get(alice, answer.headers["Location"].rpartition("/")[2])
    assert (begun.mode, begun.model, begun.preset) == ("plan", "walkthrough", "read-only")
    assert begun.title == "Say who you are"


@pytest.mark.parametrize("data", [{"text": " "}, {"text": "x", "mode": "root"}, {"text": "x", "preset": "yes"}])
def test_a_form_that_makes_no_sense_is_told_so(browser: Browser, data: dict[str, str]) -> None:
    answer = browser.post("/sessions", data)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text


def test_a_prompt_is_sent_and_answered(browser: Browser, alice: Actor, session: Session) -> None:
    answer = browser.post(f"/sessions/{session.id}/send", {"text": "Hello", "mode": "plan", "preset": "auto"})
    assert answer.status_code == 303
    assert answer.headers["Location"].endswith(f"/sessions/{session.id}")
    until(lambda: service.get(alice, session.id).state == "idle" and len(service.transcript(alice, session.id)) > 1)
    assert service.get(alice, session.id).preset == "auto"


def test_htmx_gets_no_page_for_a_prompt(browser: Browser, session: Session) -> None:
    assert browser.htmx(f"/sessions/{session.id}/send", {"text": "Hello", "mode": "plan"}).status_code == 204
    refused = browser.htmx(f"/sessions/{session.id}/send", {"text": ""})
    assert refused.status_code == 400
    assert "<html" not in refused.text
    assert 'class="notice' in refused.text


def test_a_rejection_needs_something_that_waits(browser: Browser, session: Session) -> None:
    answer = browser.post(f"/sessions/{session.id}/send", {"text": "No", "as": "reject"})
    assert answer.status_code == 409


def test_stopping_what_waits_ends_it(browser: Browser, alice: Actor) -> None:
    session_id = browser.post("/demo").headers["Location"].rpartition("/")[2]
    until(lambda: service.get(alice, session_id).state == "waiting")
    assert browser.post(f"/sessions/{session_id}/abort").status_code == 303
    assert service.get(alice, session_id).state == "idle"


@pytest.mark.parametrize("path", ["/sessions/ses_unknown", "/sessions/ses_unknown/changes", "/live?at=ses_x"])
def test_an_unknown_session_is_a_page_that_says_so(browser: Browser, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 404
    assert is_whole(answer)


def test_others_do_not_see_a_private_session(app: Cabin, alice: Actor, bob: Actor, session: Session) -> None:
    service.update(alice, session.id, visibility="private")
    theirs = Browser(app, bob)
    assert theirs.get(f"/sessions/{session.id}").status_code == 404
    assert theirs.get(f"/live?at={session.id}").status_code == 404
    assert session.id not in theirs.get("/sessions").text
    assert theirs.post(f"/sessions/{session.id}/send", {"text": "x"}).status_code == 404


def test_a_viewer_reads_and_steers_nothing(app: Cabin, alice: Actor, session: Session) -> None:
    viewer = Browser(app, member(alice, "Vera", "viewer"))
    assert is_whole(viewer.get(f"/sessions/{session.id}"))
    assert is_whole(viewer.get("/"))
    assert viewer.post(f"/sessions/{session.id}/send", {"text": "x"}).status_code == 403
    assert viewer.post("/sessions", {"text": "x"}).status_code == 403


@pytest.mark.parametrize("path", ["", "/send", "/abort"])
def test_forms_need_the_token_and_our_own_origin(browser: Browser, session: Session, path: str) -> None:
    where = f"/sessions/{session.id}{path}" if path else "/sessions"
    assert browser.post(where, {"text": "x"}, token="").status_code == 403
    assert browser.post(where, {"text": "x"}, headers={"Origin": "https://evil.example"}).status_code == 403


def test_a_stranger_is_led_to_sign_in(stranger: Caller, session: Session) -> None:
    answer = stranger.get(f"/sessions/{session.id}", headers={"Accept": "text/html"})
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/signin?next=")


def test_the_stream_shows_a_turn_to_its_end(browser: Browser, alice: Actor, session: Session) -> None:
    path = stream_of(browser.get(f"/sessions/{session.id}").text)
    browser.post(f"/sessions/{session.id}/send", {"text": "Who are you?", "mode": "plan"})
    seen = _until(browser.get(path, buffered=False), "badge done")
    assert 'hx-target="#transcript" hx-swap="upsert"' in seen
    assert "Who are you?" in seen
    assert 'class="block" id="text-prt_' in seen
    assert 'hx-target="#session-panel" hx-swap="outerMorph"' in seen
    assert 'hx-target="#session-send"' in seen
    assert "<html" not in seen


def test_a_stream_that_comes_back_goes_on_where_it_was(browser: Browser, alice: Actor, session: Session) -> None:
    path = f"/live?at={session.id}&lastEventId=0"
    first, second = say(alice, session, "the first"), say(alice, session, "the second")
    *before, _last = _first(frames(browser.get(path, buffered=False)), f'id="message-{second.id}"')
    last_id = before[-1].split("\n")[0].removeprefix("id: ")
    again = browser.get(path, buffered=False, headers={"Last-Event-ID": last_id})
    seen = _until(again, f'id="message-{second.id}"')
    assert f'id="message-{first.id}"' not in seen


def test_a_text_grows_by_its_last_blocks(browser: Browser, alice: Actor, session: Session) -> None:
    browser.post(f"/sessions/{session.id}/send", {"text": "Go", "mode": "plan"})
    seen = _until(browser.get(f"/live?at={session.id}&lastEventId=0", buffered=False), "badge done")
    growing = [part for part in seen.split("<hx-partial ") if part.startswith('hx-target="#text-')]
    assert growing
    assert all(part.count("<article") == 0 for part in growing)


def test_what_is_taken_out_leaves_the_open_page(browser: Browser, alice: Actor, session: Session) -> None:
    first, second = say(alice, session, "the first"), say(alice, session, "the second")
    stream = browser.get(stream_of(browser.get(f"/sessions/{session.id}").text), buffered=False)
    service.remove_part(alice, session.id, first.id, first.parts[0].id)
    service.remove_message(alice, session.id, second.id)
    seen = _until(stream, f'hx-target="#message-{second.id}" hx-swap="delete"')
    assert f'hx-target="#part-{first.parts[0].id}" hx-swap="delete"' in seen


def test_a_cursor_that_is_too_old_loads_the_page_anew(browser: Browser, session: Session) -> None:
    streamed = frames(browser.get(f"/live?at={session.id}&lastEventId=999999999", buffered=False))
    assert next(streamed).startswith("event: resync")
    streamed.close()


def test_a_step_back_between_page_and_stream_loads_the_page_anew(
    browser: Browser, alice: Actor, session: Session
) -> None:
    message = say(alice, session, "Please look.")
    path = stream_of(browser.get(f"/sessions/{session.id}").text)
    service.set_revert(alice, session.id, {"messageID": message.id})
    streamed = frames(browser.get(path, buffered=False))
    assert "event: resync" in next(streamed)
    streamed.close()


def test_a_page_that_shows_the_step_back_is_not_loaded_again(browser: Browser, alice: Actor, session: Session) -> None:
    message = say(alice, session, "Please look.")
    service.set_revert(alice, session.id, {"messageID": message.id})
    path = stream_of(browser.get(f"/sessions/{session.id}").text)
    service.update(alice, session.id, title="Another title")
    assert "event: resync" not in "".join(_first(frames(browser.get(path, buffered=False)), "Another title"))


def test_a_message_shows_who_wrote_it(app: Cabin, browser: Browser, alice: Actor, session: Session) -> None:
    say(member(alice, "Ada", "admin"), session, "Let me add something.")
    assert 'aria-label="Ada"' in browser.get(f"/sessions/{session.id}").text
    seen = _until(browser.get(f"/live?at={session.id}&lastEventId=0", buffered=False), "Let me add something.")
    assert 'aria-label="Ada"' in seen


def test_one_stream_carries_the_lists_and_the_session(browser: Browser, alice: Actor, session: Session) -> None:
    path = stream_of(browser.get(f"/sessions/{session.id}").text)
    say(alice, session, "Please look.")
    seen = _until(browser.get(path, buffered=False), 'hx-target="#rail-running"')
    assert 'hx-target="#transcript"' in seen
    assert f'hx-target="#row-{session.id}"' in seen


def test_the_changes_page_hears_figures_and_no_transcript(browser: Browser, alice: Actor, session: Session) -> None:
    path = stream_of(browser.get(f"/sessions/{session.id}/changes").text)
    say(alice, session, "Please look.")
    service.set_figures(alice, session.id, 3, 1, 1)
    seen = _until(browser.get(path, buffered=False), "+3")
    assert 'hx-target="#transcript"' not in seen
    assert 'hx-target="#session-stale"' in seen
    assert "Show them" in seen


def test_who_may_only_read_gets_no_composer(app: Cabin, alice: Actor, bob: Actor, session: Session) -> None:
    page = Browser(app, bob).get(f"/sessions/{session.id}").text
    assert "data-composer" not in page
    assert f"{alice.name} steers this session." in page


def test_subagents_stand_below_their_session(browser: Browser, alice: Actor, session: Session) -> None:
    place = projects.resolve(alice, None)
    child = service.create(alice, place, title="review", parent_id=session.id)
    other = service.create(alice, place, title="newer")
    page = browser.get(f"/sessions/{session.id}").text
    assert f'data-under="side-{session.id}"' in page
    places = [page.index(f'id="side-{one.id}"') for one in (other, session, child)]
    assert places == sorted(places)


def test_a_deleted_session_loads_the_page_anew(browser: Browser, alice: Actor, session: Session) -> None:
    streamed = frames(browser.get(f"/live?at={session.id}&lastEventId=0", buffered=False))
    service.delete(alice, session.id)
    assert any("event: resync" in frame for frame in itertools.islice(streamed, 20))
    streamed.close()


def test_nothing_foreign_is_markup_in_the_stream(browser: Browser, alice: Actor, session: Session) -> None:
    service.update(alice, session.id, title=EVIL)
    say(alice, session, EVIL)
    seen = _until(browser.get(f"/live?at={session.id}&lastEventId=0", buffered=False), "alert(1)")
    assert EVIL not in seen


def stream_of(page: str) -> str:
    """The path of a page's stream."""
    return page.split('id="page-stream" hx-sse:connect="')[1].split('"', maxsplit=1)[0].replace("&amp;", "&")


def _first(streamed: Any, word: str) -> list[str]:
    """The frames up to the first that holds the word."""
    found = []
    for frame in streamed:
        found.append(frame)
        if word in frame:
            break
    streamed.close()
    return found


def _until(response: Any, word: str) -> str:
    """All that a stream sent up to the word."""
    return "\n".join(data_of(frame) for frame in _first(frames(response), word))
