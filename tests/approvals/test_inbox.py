"""The inbox without scripts: its groups and pages, reads answered together, and what a rule would let through."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from app import db
from app.actor import Actor
from app.approvals import service
from app.approvals.service import Ask
from app.dialects.mount import Cabin
from app.sessions import service as sessions
from app.sessions.service import Hold
from tests.approvals.asking import asked, hold_of, reads, runs
from tests.conftest import Caller, member
from tests.visitor import Browser, is_whole, until


@pytest.fixture
def hold(app: Cabin, alice: Actor, tmp_path: Path) -> Hold:
    """A run of Alice's that is taken already, so that no engine works on it."""
    return held(app, alice, tmp_path)


def held(app: Cabin, actor: Actor, directory: Path, **more: str) -> Hold:
    """A run that stands: the engines find none, because its prompt is put in and taken in one transaction."""
    with db.transaction():
        return hold_of(actor, directory, **more)


def rows(page: str) -> list[str]:
    """The ids of the asks in the list, in order."""
    return re.findall(r'id="ask-row-(per_\w+)"', page)


def ticks(page: str) -> dict[str, bool]:
    """The reads that have a box, and whether it is ticked."""
    boxes = re.findall(r'<input type="checkbox" form="bulk" name="ask" value="(per_\w+)"[^>]*?( checked)?>', page)
    return {ask_id: bool(ticked) for ask_id, ticked in boxes}


def headings(page: str) -> list[str]:
    """The headings of the groups."""
    return [html.unescape(title) for title in re.findall(r'<span class="cut" title="([^"]*)">', page)]


def told(page: str) -> str:
    """What came of answering several."""
    return "".join(re.findall(r'role="status"><svg.*?</svg><span>(.*?)</span>', page, re.DOTALL))


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("session", ["Fix it", "Tidy"]),
        ("command", ["git push", "Read /etc/hosts"]),
        ("age", ["Within the hour"]),
        ("nonsense", ["Fix it", "Tidy"]),
    ],
)
def test_the_list_is_grouped_as_the_address_says(
    app: Cabin, browser: Browser, hold: Hold, alice: Actor, tmp_path: Path, by: str, expected: list[str]
) -> None:
    asks = [runs(hold, "git push"), reads(hold, "/etc/hosts")]
    asks.append(runs(held(app, alice, tmp_path, title="Tidy"), "git push"))
    page = browser.get(f"/inbox?by={by}")
    assert is_whole(page)
    assert headings(page.text) == expected
    assert sorted(rows(page.text)) == sorted(ask.id for ask in asks)
    if by == "command":
        assert "2 sessions" in page.text


def test_many_asks_come_a_page_at_a_time(browser: Browser, hold: Hold) -> None:
    asks = [runs(hold, f"git push origin {number}") for number in range(45)]
    first = browser.get("/inbox").text
    assert rows(first) == [ask.id for ask in asks[:40]]
    more = re.search(r'href="([^"]*from=[^"]*)">5 more<', first)
    assert more is not None
    assert rows(browser.get(html.unescape(more[1])).text) == [ask.id for ask in asks[40:]]
    assert asks[43].id in rows(browser.get(f"/inbox?ask={asks[43].id}").text)


def test_after_an_answer_the_next_one_is_shown(browser: Browser, hold: Hold) -> None:
    one, two, three = (runs(hold, f"git push origin {number}") for number in range(3))
    page = browser.get(f"/inbox?by=age&ask={two.id}").text
    onward = html.unescape(re.findall(r'name="next" value="([^"]*)"', page)[0])
    answer = browser.post(f"/inbox/{two.id}", {"reply": "reject", "next": onward})
    assert answer.headers["Location"] == f"/inbox?by=age&ask={three.id}"
    page = browser.get(answer.headers["Location"]).text
    assert re.findall(rf"ask={three.id}\" aria-current=\"true\" autofocus", page)
    assert f"ask={one.id}" in html.unescape(re.findall(r'name="next" value="([^"]*)"', page)[0])


def test_only_reads_that_are_legible_have_a_box(browser: Browser, hold: Hold) -> None:
    one, two = reads(hold, "/etc/hosts"), reads(hold, "/etc/fstab")
    runs(hold, "git push")
    reads(hold, ".env")
    reads(hold, "/etc/" + "x" * 100)
    asked(hold, "edit", {"filePath": "x", "oldString": "a", "newString": "b"})
    page = browser.get("/inbox").text
    assert ticks(page) == {one.id: False, two.id: False}
    chosen = re.search(r'href="([^"]*)">Select 2 identical reads<', page)
    assert chosen is not None
    page = browser.get(html.unescape(chosen[1])).text
    assert ticks(page) == {one.id: True, two.id: True}
    bar = page.split('id="bulk"')[1].split("</form>")[0]
    assert "<code>/etc/hosts</code>" in bar
    assert "<code>/etc/fstab</code>" in bar


def test_ticked_reads_are_answered_by_one_form(browser: Browser, alice: Actor, hold: Hold) -> None:
    asks = [reads(hold, f"/etc/{name}") for name in ("hosts", "fstab")]
    answer = browser.post("/inbox/answers", {"ask": [ask.id for ask in asks], "reply": "once", "by": "age"})
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/inbox?by=age&told=")
    assert told(browser.get(answer.headers["Location"]).text) == "2 allowed."
    assert {service.get(alice, ask.id).reply for ask in asks} == {"once"}


def test_what_came_of_each_is_told_truly(browser: Browser, alice: Actor, hold: Hold) -> None:
    mei = member(alice, "Mei", "admin")
    asks = [reads(hold, f"/etc/{name}") for name in ("hosts", "fstab", "motd", "group")]
    service.answer(mei, asks[1].id, "reject")
    ids = [ask.id for ask in asks]
    answer = browser.post("/inbox/answers", {"ask": [*ids, "per_nothing"], "reply": "once"})
    page = browser.get(answer.headers["Location"]).text
    assert told(page) == "3 allowed, 1 was answered by Mei before you, 1 is not there any more."


def test_a_run_that_ended_is_told_too(browser: Browser, alice: Actor, hold: Hold) -> None:
    one, two = reads(hold, "/etc/hosts"), reads(hold, "/etc/fstab")
    service.answer(alice, two.id, "once")
    sessions.finish(hold, "aborted")
    until(lambda: service.get(alice, one.id).state == "withdrawn")
    answer = browser.post("/inbox/answers", {"ask": [one.id], "reply": "once"})
    page = browser.get(answer.headers["Location"]).text
    assert told(page) == "1 was withdrawn before you, because the run ended."


@pytest.mark.parametrize("others", [["git push"], []], ids=["a command", "nothing"])
def test_what_is_no_read_is_refused_whole(browser: Browser, alice: Actor, hold: Hold, others: list[str]) -> None:
    asks = [runs(hold, command) for command in others]
    wanted = [*(ask.id for ask in asks), *([reads(hold, "/etc/hosts").id] if asks else [])]
    answer = browser.post("/inbox/answers", {"ask": wanted, "reply": "once"})
    assert answer.status_code == 400
    assert is_whole(answer)
    assert all(service.get(alice, ask_id).state == "waiting" for ask_id in wanted)


def test_the_form_needs_the_token_and_our_own_origin(browser: Browser, alice: Actor, hold: Hold) -> None:
    ask = reads(hold, "/etc/hosts")
    data = {"ask": [ask.id], "reply": "once"}
    assert browser.post("/inbox/answers", data, token="x").status_code == 403
    assert browser.post("/inbox/answers", data, headers={"Origin": "https://evil.example"}).status_code == 403
    assert service.get(alice, ask.id).state == "waiting"


def test_a_member_answers_nothing_of_anothers(app: Cabin, alice: Actor, bob: Actor, hold: Hold) -> None:
    ask, theirs = reads(hold, "/etc/hosts"), Browser(app, bob)
    assert ticks(theirs.get("/inbox?tab=others").text) == {}
    answer = theirs.post("/inbox/answers", {"ask": [ask.id], "reply": "once"})
    assert told(theirs.get(answer.headers["Location"]).text) == "1 still waits."
    assert service.get(alice, ask.id).state == "waiting"


def test_what_is_told_is_never_taken_from_the_address(browser: Browser, hold: Hold) -> None:
    page = browser.get("/inbox?told=<script>alert(1)</script>.per_x").text
    assert told(page) == "2 are not there any more."
    assert "<script>alert" not in page


def test_the_rule_is_held_against_what_asked_before(browser: Browser, alice: Actor, hold: Hold) -> None:
    service.answer(alice, runs(hold, "git push --force").id, "reject", "never <b>force</b>")
    for number in range(3):
        service.answer(alice, runs(hold, f"git push origin {number}").id, "once")
    ask = runs(hold, "git push")
    for path in (f"/inbox/{ask.id}", f"/inbox?ask={ask.id}"):
        page = browser.get(path).text
        part = page.split(f'id="through-{ask.id}"')[1].split("</details>")[0]
        words = " ".join(re.sub(r"<[^>]*>", " ", part.split(">", 1)[1]).split())
        assert words.startswith("Over the last 30 days this rule would have let through 4 calls, 1 of them rejected by")
        assert "<details open>" in part
        assert part.index("git push --force") < part.index("git push origin")
        assert "never &lt;b&gt;" in part


def test_a_rule_that_lets_nothing_else_through_says_so(browser: Browser, hold: Hold) -> None:
    ask = runs(hold, "git push")
    assert "this rule would have let through no other call." in browser.get(f"/inbox/{ask.id}").text


def test_of_several_rules_only_the_ticked_ones_are_added(browser: Browser, alice: Actor, hold: Hold) -> None:
    ask = runs(hold, "git push && make deploy")
    page = browser.get(f"/inbox/{ask.id}").text
    assert page.count('name="rule"') == 2
    none = {"reply": "always", "rules": "ticked"}
    assert browser.post(f"/inbox/{ask.id}", none).status_code == 400
    browser.post(f"/inbox/{ask.id}", {**none, "rule": ["1"], "scope": "session"})
    assert [rule.pattern for rule in service.rules_of(alice, "session", hold.session.id)] == ["make deploy *"]


def test_a_part_that_no_rule_can_allow_keeps_asking(browser: Browser, hold: Hold) -> None:
    ask = runs(hold, "git push && cat .env")
    page = browser.get(f"/inbox/{ask.id}").text
    assert re.search(r"cat \.env</code><span class=\"ink-3\">keeps asking", page)


def test_a_prompt_over_a_waiting_approval_is_queued_and_answers_nothing(call: Caller, alice: Actor, hold: Hold) -> None:
    ask = runs(hold, "git push")
    sessions.wait(hold, service.is_unanswered(hold))
    body = {"parts": [{"type": "text", "text": "yes, go on"}]}
    assert call.post(f"/session/{hold.session.id}/prompt_async", body).status_code == 204
    assert service.get(alice, ask.id).state == "waiting"
    states = [run.state for run in sessions.live_runs(alice, [hold.session.id])[hold.session.id]]
    assert states == ["waiting", "queued"]


def test_the_composer_offers_to_queue_or_to_reject(browser: Browser, alice: Actor, hold: Hold) -> None:
    ask: Ask = runs(hold, "git push")
    sessions.wait(hold, service.is_unanswered(hold))
    path = f"/sessions/{hold.session.id}"
    form = browser.get(path).text.split("data-composer")[1].split("</form>")[0]
    assert re.search(r'name="as" value="reject".*?<span>Reject with this word', form)
    assert re.search(r'name="as" value="".*?<span>Queue', form)
    assert browser.post(f"{path}/send", {"text": "later", "as": ""}).status_code == 303
    assert service.get(alice, ask.id).state == "waiting"
    assert "later" in browser.get(path).text.split('id="session-queue"')[1].split("</ul>")[0]
    assert browser.post(f"{path}/send", {"text": "not like this", "as": "reject"}).status_code == 303
    assert service.get(alice, ask.id).word == "not like this"
