"""A model that makes the same call over and over has to ask a person, whatever the rules let pass."""

from __future__ import annotations

import pytest

from app.actor import Actor
from app.agent import loops
from app.approvals import service as approvals
from app.approvals.service import Ask
from app.dialects.mount import Cabin
from app.sessions.service import Message, Part
from tests.agent.talk import Talk, text_of
from tests.conftest import Caller
from tests.model_server import Call, ModelServer, Say
from tests.visitor import Browser

READ = [Call("read", {"filePath": "README.md"})]
TOO = [Call("read", {"filePath": "AGENTS.md"})]


@pytest.fixture
def talk(app: Cabin, alice: Actor, scripted: ModelServer) -> Talk:
    return Talk(alice, preset="auto")


def asked(talk: Talk) -> Ask:
    return approvals.get(talk.actor, talk.until_asked()["id"])


def statuses(talk: Talk) -> list[str]:
    return [tool["state"]["status"] for tool in talk.tools()]


def test_the_third_same_call_in_a_row_asks_and_goes_on(talk: Talk, scripted: ModelServer) -> None:
    scripted.script = [READ, READ, READ, [Say("Read.")]]
    prompt = talk.say("Read it.")
    ask = asked(talk)
    assert (ask.tool, ask.input) == ("doom_loop", {"tool": "read", "input": {"filePath": "README.md"}})
    assert (ask.title, ask.patterns) == ("Again: Read README.md", ["read"])
    assert ask.why == "read: the same call several times in a row"
    assert statuses(talk) == ["completed", "completed", "pending"]
    approvals.answer(talk.actor, ask.id, "once")
    talk.until_idle()
    assert statuses(talk) == ["completed"] * 3
    assert text_of(talk.answers(prompt)[-1]) == "Read."


def test_once_lets_one_more_pass_and_always_all_of_that_tool(talk: Talk, scripted: ModelServer) -> None:
    scripted.script = [*[READ] * 6, [Say("Read.")]]
    talk.say("Read it.")
    approvals.answer(talk.actor, asked(talk).id, "once")
    ask = asked(talk)
    assert ask.always == [{"tool": "doom_loop", "pattern": "read", "action": "allow"}]
    approvals.answer(talk.actor, ask.id, "always")
    talk.until_idle()
    assert statuses(talk) == ["completed"] * 6


def test_a_word_is_told_to_the_model(talk: Talk, scripted: ModelServer) -> None:
    scripted.script = [READ, READ, READ, [Say("Sorry.")]]
    prompt = talk.say("Read it.")
    approvals.answer(talk.actor, asked(talk).id, "reject", "You have read it.")
    talk.until_idle()
    assert "You have read it." in str(scripted.requests[-1]["messages"][-1])
    assert text_of(talk.answers(prompt)[-1]) == "Sorry."


def test_a_rejection_without_a_word_ends_the_turn(talk: Talk, scripted: ModelServer) -> None:
    scripted.script = [READ, READ, READ]
    talk.say("Read it.")
    approvals.answer(talk.actor, asked(talk).id, "reject")
    talk.until_idle()
    assert len(scripted.requests) == 3
    assert statuses(talk) == ["completed", "completed", "error"]


def test_other_calls_between_them_make_it_no_loop(talk: Talk, scripted: ModelServer) -> None:
    scripted.script = [READ, READ, TOO, READ, READ, [Say("Read.")]]
    talk.ask("Read it.")
    assert len(talk.tools()) == 5
    scripted.script = [READ, [Say("Read.")]]
    talk.ask("Once more.")
    assert approvals.waiting(talk.actor) == [], "a new prompt begins a new row"


def test_a_call_that_asks_anyway_asks_once(app: Cabin, alice: Actor, scripted: ModelServer) -> None:
    talk = Talk(alice, preset="ask")
    scripted.script = [*[[Call("bash", {"command": "touch a"})]] * 3, [Say("Done.")]]
    talk.say("Touch it.")
    for _ in range(3):
        ask = asked(talk)
        assert ask.tool == "bash"
        approvals.answer(alice, ask.id, "reject", "No.")
    talk.until_idle()
    assert len(scripted.requests) == 4


def test_opencode_s_clients_see_it_as_their_own_kind(talk: Talk, scripted: ModelServer, call: Caller) -> None:
    scripted.script = [READ, READ, READ, [Say("Read.")]]
    talk.say("Read it.")
    ask = asked(talk)
    (shown,) = call.get("/opencode/permission").json
    assert (shown["permission"], shown["type"], shown["patterns"], shown["always"]) == (
        "doom_loop",
        "doom_loop",
        ["read"],
        ["read"],
    )
    assert shown["metadata"]["tool"] == "read"
    assert shown["metadata"]["input"] == {"filePath": "README.md"}
    assert call.post(f"/opencode/permission/{ask.id}/reply", {"reply": "once"}).json is True
    talk.until_idle()


def test_people_see_the_exact_call_and_what_they_decide(talk: Talk, scripted: ModelServer, browser: Browser) -> None:
    scripted.script = [READ, READ, READ, [Say("Read.")]]
    talk.say("Read it.")
    ask = asked(talk)
    page = browser.get(f"/sessions/{talk.id}").text
    assert "Make the same call once more?" in page
    assert "Go on" in page
    assert browser.get("/inbox").status_code == browser.get(f"/inbox/{ask.id}").status_code == 200
    approvals.answer(talk.actor, ask.id, "once")
    talk.until_idle()
    assert "let go on with" in browser.get(f"/sessions/{talk.id}").text


def test_what_was_retried_does_not_count() -> None:
    def step(number: int, **metadata: bool) -> Message:
        data = {"tool": "read", "state": {"status": "completed", "input": {}}, "metadata": metadata}
        part = Part(f"prt_{number}", f"msg_{number}", "ses", "tool", data)
        return Message(f"msg_{number}", "ses", "assistant", {"parentID": "msg_0"}, 0, 0, [part])

    assert loops.found("msg_0", [step(1), step(2, retried=True), step(3)]) == frozenset()
    assert loops.found("msg_0", [step(1), step(2), step(3), step(4)]) == {"prt_3", "prt_4"}
    assert loops.found("msg_1", [step(1), step(2), step(3)]) == frozenset()
