"""The public page of a shared session: what a stranger sees of it, live, and what never."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app import config, db, dispatch, ids, record, redact
from app.actor import Actor
from app.approvals import service as approvals
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.sessions import service
from app.sessions.service import Hold, Session
from tests.conftest import Caller, member
from tests.sessions.test_pages import EVIL, stream_of
from tests.visitor import Browser, data_of, frames, is_whole

SECRET = "sk-live-0123456789abcdef"
OUTPUT = "85 passed in 6.02s"


@pytest.fixture
def session(app: Cabin, alice: Actor, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session of Alice's on the sample, which no engine works on."""
    monkeypatch.setattr(dispatch, "wake", lambda *_: None)
    return service.create(alice, projects.resolve(alice, None), provider="demo", model="walkthrough", title="Fix it")


@pytest.fixture
def secret() -> Iterator[str]:
    redact.watch("shop", SECRET)
    yield SECRET
    redact.forget("shop")


def run_of(actor: Actor, session: Session, text: str = "Please look.") -> Hold:
    """A run that a test drives."""
    _, run_id = service.send(actor, session.id, [{"type": "text", "text": text}])
    assert run_id is not None
    hold = service.take(run_id)
    assert hold is not None
    return hold


def call_of(hold: Hold, tool: str, given: dict[str, Any], told: dict[str, Any], output: str = OUTPUT) -> None:
    """A finished call of a tool."""
    message = service.add_message(hold, {"parentID": hold.run.message_id})
    state = {
        "status": "completed", "input": given, "output": output, "title": tool, "metadata": told,
        "time": {"start": 1, "end": 2},
    }  # fmt: skip
    service.add_part(hold, message.id, "tool", {"callID": ids.random("call"), "tool": tool, "state": state})


def path_of(actor: Actor, session: Session, **more: Any) -> str:
    return f"/s/{service.share(actor, session.id, **more).share_slug}"


def page_of(stranger: Caller, path: str) -> Any:
    return stranger.get(path, headers={"Accept": "text/html"})


def seen_until(stranger: Caller | Browser, path: str, word: str) -> str:
    """What the page's stream sends, up to a word."""
    streamed = frames(stranger.get(path, buffered=False))
    found = []
    for frame in streamed:
        found.append(data_of(frame) + frame)
        if word in found[-1]:
            break
    streamed.close()
    return "\n".join(found)


def test_a_stranger_reads_it_and_can_do_nothing(stranger: Caller, alice: Actor, session: Session) -> None:
    service.send(alice, session.id, [{"type": "text", "text": "Please look."}], no_reply=True)
    page = page_of(stranger, path_of(alice, session))
    assert is_whole(page)
    assert "Please look." in page.text
    assert f"Shared by {alice.name}, read only" in page.text
    for word in ("<form", "csrf", "hx-post", "/sessions/", "$0.00", alice.user, session.directory, session.id):
        assert word not in page.text


def test_its_answer_is_kept_and_told_nowhere(stranger: Caller, alice: Actor, session: Session) -> None:
    for path in (path_of(alice, session), f"/s/{'A' * 24}"):
        headers = page_of(stranger, path).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Robots-Tag"] == "noindex, nofollow, noarchive"
        assert "'unsafe-inline'" not in headers["Content-Security-Policy"]
        assert "Set-Cookie" not in headers


def test_an_ended_address_and_one_that_never_was_look_alike(
    stranger: Caller, alice: Actor, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = path_of(alice, session)
    config.use(replace(config.current(), share=False))
    answers = [page_of(stranger, path)]
    config.use(replace(config.current(), share=True))
    service.unshare(alice, session.id)
    answers += [page_of(stranger, one) for one in (path, f"/s/{'A' * 24}", "/s/x", f"{path}/live", "/s/x/live")]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    assert len({str(sorted(set(dict(a.headers)) - {"X-Request-Id"})) for a in answers}) == 1
    assert "This link has ended or never was." in answers[0].text


def test_who_is_signed_in_sees_the_same_page(
    browser: Browser, stranger: Caller, alice: Actor, session: Session
) -> None:
    path = path_of(alice, session)
    cursor = re.compile(r"lastEventId=[\w-]+")
    assert cursor.sub("", browser.get(path).text) == cursor.sub("", page_of(stranger, path).text)


def test_what_tools_gave_back_shows_only_where_it_is_shared(stranger: Caller, alice: Actor, session: Session) -> None:
    hold = run_of(alice, session)
    call_of(hold, "bash", {"command": "make test"}, {"exit": 0, "output": OUTPUT})
    call_of(hold, "read", {"filePath": "billing/proration.py"}, {"first": 1, "last": 9}, "1: import decimal")
    call_of(hold, "shop_order", {"basket": "apples"}, {}, "pears")
    path = path_of(alice, session)
    page = page_of(stranger, path).text
    assert "make test" in page
    assert "Output is not shared." in page
    assert "billing/proration.py" in page
    assert not any(word in page for word in (OUTPUT, "import decimal", "apples", "pears"))
    path_of(alice, session, output=True)
    page = page_of(stranger, path).text
    assert all(word in page for word in (OUTPUT, "import decimal", "apples", "pears"))


def test_a_diff_in_the_project_shows_and_one_elsewhere_does_not(
    stranger: Caller, alice: Actor, session: Session
) -> None:
    hold = run_of(alice, session)
    for path, word in ((f"{session.directory}/shop.py", "inside"), ("/srv/other/keys.py", "outside")):
        diff = f"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-was\n+{word}\n"
        call_of(hold, "edit", {"filePath": path}, {"diff": diff, "filediff": {"file": path, "additions": 1}})
    page = page_of(stranger, path_of(alice, session)).text
    assert ">shop.py<" in page
    assert "inside" in page
    assert "a file outside the project" in page
    assert "keys.py" not in page
    assert ">outside<" not in page


def test_places_of_the_machine_and_secrets_are_cut_out(
    stranger: Caller, alice: Actor, session: Session, secret: str
) -> None:
    data, home, root = config.current().data_dir.resolve(), Path.home(), session.directory
    text = f"See {root}/a.py in {root}, {root}-old/b.py, {data}/signalcabin.db, {home}/.ssh and {secret}."
    hold = run_of(alice, session, text)
    call_of(hold, "bash", {"command": f"cat {root}/c.py {secret}"}, {"exit": 0}, f"{root}/d.py {secret}")
    service.update(alice, session.id, title=f"In {root}/e.py {secret}")
    page = page_of(stranger, path_of(alice, session, output=True)).text
    assert not any(place in page for place in (str(data), str(root), secret))
    assert str(home) not in page.replace("/root-", "") or str(home) == "/"
    assert "See a.py in ., " in page
    assert all(word in page for word in ("cat c.py [secret:shop]", "d.py [secret:shop]", "In e.py [secret:shop]"))


def test_other_people_have_no_name_there(app: Cabin, stranger: Caller, alice: Actor, session: Session) -> None:
    ada = member(alice, "Ada", "admin")
    service.send(ada, session.id, [{"type": "text", "text": "Let me add something."}], no_reply=True)
    page = page_of(stranger, path_of(alice, session)).text
    assert "Let me add something." in page
    assert "Ada" not in page
    assert 'aria-label="Somebody"' in page


def test_attached_files_show_their_names_alone(stranger: Caller, alice: Actor, session: Session) -> None:
    file = {"type": "file", "mime": "text/plain", "filename": "a.py", "url": f"file://{session.directory}/README.md"}
    service.send(alice, session.id, [{"type": "text", "text": "Look."}, file], no_reply=True)
    page = page_of(stranger, path_of(alice, session)).text
    assert "a.py" in page
    assert "billing library" not in page.lower()


def test_what_is_set_back_is_not_shown(stranger: Caller, alice: Actor, session: Session) -> None:
    first, second = (
        service.send(alice, session.id, [{"type": "text", "text": text}], no_reply=True)[0]
        for text in ("the first", "the second")
    )
    path = path_of(alice, session)
    service.set_revert(alice, session.id, {"messageID": second.id})
    page = page_of(stranger, path).text
    assert "the first" in page
    assert "the second" not in page
    service.set_revert(alice, session.id, {"messageID": first.id, "partID": first.parts[0].id})
    assert "the first" not in page_of(stranger, path).text


def test_nothing_foreign_is_markup(stranger: Caller, alice: Actor, session: Session) -> None:
    hold = run_of(alice, session, EVIL)
    call_of(hold, "bash", {"command": EVIL}, {"exit": 0}, EVIL)
    call_of(hold, "odd", {EVIL: EVIL}, {}, EVIL)
    service.update(alice, session.id, title=EVIL)
    path = path_of(alice, session, output=True)
    page = page_of(stranger, path).text
    assert EVIL not in page
    assert "alert(1)" in page
    service.update(alice, session.id, title=f"{EVIL} once more")
    assert EVIL not in seen_until(stranger, stream_of(page), "once more")


def test_earlier_messages_are_a_link_away(stranger: Caller, alice: Actor, session: Session) -> None:
    for number in range(102):
        service.send(alice, session.id, [{"type": "text", "text": f"word {number}."}], no_reply=True)
    page = page_of(stranger, path_of(alice, session)).text
    assert "word 1." not in page
    earlier = page.split("Earlier messages")[0].rsplit('href="', 1)[1].split('"')[0]
    assert "word 1." in page_of(stranger, earlier).text


def test_it_is_live(stranger: Caller, alice: Actor, session: Session) -> None:
    page = page_of(stranger, path_of(alice, session)).text
    hold = run_of(alice, session)
    message = service.add_message(hold, {"parentID": hold.run.message_id})
    part = service.add_part(hold, message.id, "text", {"text": "", "time": {"start": ids.now()}})
    service.append_text(hold, part, f"It is in {session.directory}", 9 + len(session.directory)).result()
    call_of(hold, "bash", {"command": "make test"}, {"exit": 0})
    service.finish(hold, "completed")
    seen = seen_until(stranger, stream_of(page), "make test")
    assert 'hx-target="#transcript"' in seen
    assert f'id="text-{part.id}-0"' in seen
    assert "It is in" in seen
    assert not any(word in seen for word in (session.directory, OUTPUT, alice.user, "/sessions/", "<form", "csrf"))


def test_a_place_shows_at_no_moment_while_a_text_grows(stranger: Caller, alice: Actor, session: Session) -> None:
    path = path_of(alice, session)
    hold = run_of(alice, session)
    message = service.add_message(hold, {"parentID": hold.run.message_id})
    part = service.add_part(hold, message.id, "text", {"text": "", "time": {"start": ids.now()}})
    text, root = "", session.directory
    for piece in ("See ", root[:8], root[8:-3], root[-3:], "/a.py now"):
        text += piece
        service.append_text(hold, part, piece, len(text)).result()
        page = page_of(stranger, path).text
        assert root[:8] not in page
    assert "See a.py now" in page


def test_what_was_taken_out_is_not_told_from_the_log(stranger: Caller, alice: Actor, session: Session) -> None:
    first = stream_of(page_of(stranger, path_of(alice, session)).text)
    hold = run_of(alice, session, "a slip of the pen")
    answer = service.add_message(hold, {"parentID": hold.run.message_id})
    part = service.add_part(hold, answer.id, "text", {"text": "", "time": {"start": ids.now()}})
    service.append_text(hold, part, "a slip of the tongue", 20).result()
    service.finish(hold, "completed")
    message = service.transcript(alice, session.id)[0]
    service.remove_part(alice, session.id, message.id, message.parts[0].id)
    service.remove_message(alice, session.id, answer.id)
    seen = seen_until(stranger, first, f'hx-target="#message-{answer.id}" hx-swap="delete"')
    assert "slip" not in seen
    assert f'hx-target="#part-{message.parts[0].id}" hx-swap="delete"' in seen


def test_a_change_of_what_is_shared_loads_the_page_anew(stranger: Caller, alice: Actor, session: Session) -> None:
    page = page_of(stranger, path_of(alice, session)).text
    path_of(alice, session, output=True)
    assert "event: resync" in seen_until(stranger, stream_of(page), "resync")


def test_an_end_closes_the_open_pages(stranger: Caller, alice: Actor, session: Session) -> None:
    path = path_of(alice, session)
    stream = stranger.get(stream_of(page_of(stranger, path).text), buffered=False)
    service.unshare(alice, session.id)
    service.update(alice, session.id, title="Not for you")
    told = b"".join(stream.iter_encoded()).decode()  # it ends
    assert "Not for you" not in told
    assert page_of(stranger, path).status_code == 404


def test_nothing_of_approvals_is_told(browser: Browser, stranger: Caller, alice: Actor, session: Session) -> None:
    page = page_of(stranger, path_of(alice, session)).text
    own = stream_of(browser.get(f"/sessions/{session.id}").text)
    hold = run_of(alice, session)
    call = approvals.Call("bash", {"command": "rm basket"}, "call_1", "msg_1")
    approvals.ask(hold, call, approvals.decide(hold, call))
    assert "rm basket" in seen_until(browser, own, "rm basket")
    service.finish(hold, "completed")
    service.update(alice, session.id, title="All over")
    seen = seen_until(stranger, stream_of(page), "All over") + page_of(stranger, path_of(alice, session)).text
    assert not any(word in seen for word in ("rm basket", "data-ask", "/inbox"))


def test_one_shares_by_form_and_stops(browser: Browser, stranger: Caller, alice: Actor, session: Session) -> None:
    asked = browser.get(f"/sessions/{session.id}/share")
    assert is_whole(asked)
    assert "What will be public" in asked.text
    assert "works only here" in asked.text
    answer = browser.post(f"/sessions/{session.id}/share")
    assert answer.status_code == 303
    told = browser.get(answer.headers["Location"]).text
    url = re.findall(r'id="share-url">([^<]+)<', told)[0]
    assert url == service.share_url(service.get(alice, session.id))
    assert "Shared</span>" in browser.get(f"/sessions/{session.id}").text
    assert "Seen by anyone with the link" in browser.get("/sessions").text
    assert "sharing this session…" in browser.get(f"/search?q=stop&at={session.id}").text
    share = service.share_of(service.get(alice, session.id))
    assert share is not None
    assert not share.output
    browser.post(f"/sessions/{session.id}/share", {"output": "yes"})
    share = service.share_of(service.get(alice, session.id))
    assert share is not None
    assert share.output
    assert browser.post(f"/sessions/{session.id}/unshare").status_code == 303
    assert service.get(alice, session.id).share_slug is None
    assert page_of(stranger, url.removeprefix(config.current().url)).status_code == 404
    assert "sharing this session…" not in browser.get(f"/search?q=stop&at={session.id}").text
    assert f"/sessions/{session.id}/share" in browser.get(f"/search?q=share&at={session.id}").text


def test_forms_are_for_those_who_may(app: Cabin, alice: Actor, bob: Actor, session: Session) -> None:
    his = Browser(app, bob)
    assert his.get(f"/sessions/{session.id}/share").status_code == 403
    assert his.post(f"/sessions/{session.id}/share").status_code == 403
    assert his.post(f"/sessions/{session.id}/unshare").status_code == 403
    assert f"/sessions/{session.id}/share" not in his.get(f"/sessions/{session.id}").text
    service.share(alice, session.id)
    assert "Shared</span>" in his.get(f"/sessions/{session.id}").text


def test_where_it_is_off_nothing_offers_it(browser: Browser, call: Caller, alice: Actor, session: Session) -> None:
    service.share(alice, session.id)
    config.use(replace(config.current(), share=False))
    assert browser.get(f"/sessions/{session.id}/share").status_code == 403
    assert "/share" not in browser.get(f"/sessions/{session.id}").text
    assert f"/sessions/{session.id}/share" not in browser.get(f"/search?q=sharing&at={session.id}").text
    answer = call.post(f"/opencode/session/{session.id}/share")
    assert answer.status_code == 403
    assert "switched off" in answer.json["data"]["message"]
    assert "share" not in call.get(f"/opencode/session/{session.id}").json
    assert call.get("/opencode/config").json["share"] == "disabled"


def test_no_log_holds_the_address(
    stranger: Caller, alice: Actor, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    path = path_of(alice, session)
    assert stranger.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 200
    denials = [row for row in audit_rows() if row.action == "signin.token"]
    assert [row.detail["request"] for row in denials] == ["GET /s/<slug>"]
    slug = path.rpartition("/")[2]
    assert slug not in repr(audit_rows())
    assert slug not in caplog.text


def audit_rows() -> list[Any]:
    with db.read() as connection:
        return list(connection.execute(sa.select(record.audit_rows)).all())
