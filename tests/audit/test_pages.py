"""The page of the record: filters in the address, an entry whole, new ones as they are sealed, the chain's state."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

import pytest

from app import db, record
from app.accounts import service as accounts
from app.actor import SYSTEM, Actor
from app.audit import pages, service
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.sessions import service as sessions
from tests.conftest import member
from tests.visitor import Browser, data_of, frames, is_whole, until


@pytest.fixture
def alice(app: Cabin) -> Actor:
    """Alice owns the installation that the app runs on."""
    return accounts.local_owner()


def write(actor: Actor, action: str, target: str, result: str = "done", **detail: object) -> int:
    """Write a deed down; its seq."""
    with db.transaction() as conn:
        record.audit(conn, actor, action, target, detail, result)
    return service.entries(SYSTEM)[0].seq


def targets(page: str) -> list[str]:
    return re.findall(r'<code class="not-phone" title="([^"]*)"', page)


def test_the_newest_are_shown_with_who_and_what(browser: Browser, alice: Actor) -> None:
    write(alice, "secrets.put", "platform/TOKEN", version=1)
    write(Actor("run_1", "agent", alice.user, "Agent", ()), "tool.run", "bash make <b>", "denied")
    page = browser.get("/audit")
    assert is_whole(page)
    assert targets(page.text)[:2] == ["bash make &lt;b&gt;", "platform/TOKEN"]
    assert f"agent of {alice.name}" in page.text
    assert "secret set" in page.text
    assert "<b>" not in targets(page.text)[0]
    assert 'href="/audit"' in browser.get("/").text, "the rail names it"


def test_what_has_a_name_is_called_by_it(browser: Browser, alice: Actor, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    project = projects.add(alice, str(tmp_path / "shop"))
    session = sessions.create(alice, projects.resolve(alice, project.root), title="Paint the <shop>")
    for target in (alice.user, project.id, session.id, "ses_gone"):
        write(alice, "test.act", target)
    seq = service.entries(SYSTEM)[1].seq
    page = browser.get(f"/audit?entry={seq}").text
    for target, name in ((alice.user, alice.name), (project.id, project.name), (session.id, session.title)):
        assert f'title="{target}">{escape(name)}</span>' in page
    assert targets(page)[0] == "ses_gone"
    assert f"{escape(session.title)} <code>{session.id}</code>" in page


def test_a_device_is_called_what_it_is_while_it_is_there(browser: Browser, alice: Actor) -> None:
    given, _sid = accounts.redeem(
        accounts.sign_in_code(alice), "127.0.0.1", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
    )
    device = given.device
    assert f'title="{device}">Firefox on Linux</span>' in browser.get("/audit").text
    accounts.revoke_device(given, device)
    page = browser.get("/audit").text
    assert "Firefox on Linux" not in page
    assert targets(page)[0] == device


def test_what_was_done_at_the_server_s_own_shell_says_so(browser: Browser, alice: Actor) -> None:
    accounts.sign_in_code(alice)
    made = service.entries(SYSTEM)[0]
    assert (made.action, made.via) == ("signin.code", "shell")
    assert "sign-in link made" in browser.get("/audit?via=shell").text


def test_a_wrong_link_is_not_called_one_that_was_made(browser: Browser, alice: Actor) -> None:
    write(alice, "signin.code", "", "denied")
    assert "wrong sign-in link refused" in browser.get("/audit").text


@pytest.mark.parametrize(
    "query",
    [
        "act=secrets.put&target=form",
        "target=form%2FTOKEN&period=day",
        "who={alice}&target=platform",
        "result=done&act=secrets.put",
    ],
)
def test_filters_are_in_the_address_and_each_can_be_taken_off(browser: Browser, alice: Actor, query: str) -> None:
    write(alice, "secrets.put", "platform/TOKEN")
    write(alice, "secrets.put", "other/TOKEN", "failed" if "result" in query else "denied")
    write(Actor("x", "user", "x", "X", ()), "test.act", "other")
    page = browser.get(f"/audit?{query.format(alice=alice.user)}")
    assert targets(page.text) == ["platform/TOKEN"]
    assert page.text.count("Remove this filter") == query.count("=")


def test_what_matches_nothing_says_so(browser: Browser) -> None:
    page = browser.get("/audit?target=nothing&period=day&before=x&entry=y&act=none")
    assert (page.status_code, "No entry matches in this period." in page.text) == (200, True)
    assert browser.get("/audit?entry=999999").status_code == 404


def test_older_ones_are_a_page_further(browser: Browser, alice: Actor) -> None:
    for number in range(70):
        write(alice, "test.act", f"thing-{number}")
    page = browser.get("/audit?target=thing-").text
    assert targets(page) == [f"thing-{number}" for number in range(69, 9, -1)]
    older = re.search(r'href="([^"]+)" rel="next"', page)
    assert older is not None
    rest = browser.get(older.group(1).replace("&amp;", "&")).text
    assert targets(rest) == [f"thing-{number}" for number in range(9, -1, -1)]
    assert 'rel="next"' not in rest


def test_an_entry_shows_old_and_new_and_its_place(browser: Browser, alice: Actor) -> None:
    seq = write(alice, "role.update", "support", before={"inherits": []}, after={"inherits": ["viewer"]}, why="asked")
    until(lambda: service.get(alice, seq).hash)
    page = browser.get(f"/audit?entry={seq}").text
    for words in ("Old and new", "Place in the chain", str(service.get(alice, seq).hash)[:16], "why", "asked"):
        assert words in page
    assert re.search(r'class="del">- .*inherits', page)
    alone = browser.get(f"/audit?entry={seq}&target=nothing").text
    assert "Place in the chain" in alone, "also where the filters hide its row"


def test_the_chain_is_verified_by_a_press_and_the_page_tells(browser: Browser, alice: Actor) -> None:
    seq = write(alice, "test.act", "thing")
    until(lambda: service.get(alice, seq).hash)
    assert "not checked yet" in browser.get("/audit").text
    assert browser.post("/audit/verify").status_code == 303
    look = until(lambda: service.standing(alice).look)
    assert look.ok
    assert "Chain whole" in browser.get("/audit").text


def test_new_entries_and_the_chain_come_with_the_stream(browser: Browser, alice: Actor) -> None:
    write(alice, "test.act", "shown before")
    page = browser.get("/audit?act=test.act").text
    stream = re.search(r'hx-sse:connect="([^"]+)"', page)
    assert stream is not None
    streamed = frames(browser.get(stream.group(1).replace("&amp;", "&"), buffered=False))
    write(alice, "other.act", "filtered out")
    write(alice, "test.act", "comes by itself")
    drawn = next(data_of(frame) for frame in streamed if "comes by itself" in frame)
    assert "shown before" not in drawn
    assert "filtered out" not in drawn
    assert 'hx-target="#audit-rows" hx-swap="afterbegin"' in drawn
    browser.post("/audit/verify")
    assert any("Chain whole" in data_of(frame) for frame in streamed)
    streamed.close()


def test_a_page_of_older_ones_stays_as_it_is(browser: Browser, alice: Actor) -> None:
    seq = write(alice, "test.act", "thing")
    stream = re.search(r'hx-sse:connect="([^"]+)"', browser.get(f"/audit?before={seq}").text)
    assert stream is not None
    assert "audit=" not in stream.group(1)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_what_is_filtered_is_exported(browser: Browser, alice: Actor, kind: str) -> None:
    write(alice, "test.act", "=formula")
    write(alice, "other.act", "other")
    answer = browser.get(f"/audit/export?format={kind}&act=test.act")
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"] == f'attachment; filename="audit.{kind}"'
    assert ("'=formula" if kind == "csv" else '"=formula"') in answer.text
    assert "other.act" not in answer.text
    assert f"/audit/export?format={kind}" in browser.get("/audit").text
    assert browser.get("/audit/export?format=xlsx").status_code == 400


def test_only_those_who_may_read_it_see_or_hear_of_it(app: Cabin, alice: Actor) -> None:
    bob, ann = Browser(app, member(alice, "Bob")), Browser(app, member(alice, "Ann", "admin"))
    assert [bob.get(path).status_code for path in ("/audit", "/audit/export")] == [403, 403]
    assert bob.post("/audit/verify").status_code == 403
    assert 'href="/audit"' not in bob.get("/").text
    assert ann.get("/audit").status_code == 200
    assert pages.fill_stream(member(alice, "Eve"), {"audit": "1", "top": "0"}) == {}
    assert list(pages.fill_stream(alice, {"audit": "1", "top": "0"})) == ["audit"]


def test_a_press_without_its_token_is_refused(browser: Browser, alice: Actor) -> None:
    assert browser.post("/audit/verify", token="wrong").status_code == 403
    assert service.standing(alice).progress is None


def test_a_stranger_is_sent_to_sign_in(app: Cabin) -> None:
    answer = app.test_client().get("/audit", headers={"Host": "localhost", "Accept": "text/html"})
    assert (answer.status_code, "/signin" in answer.headers["Location"]) == (303, True)
