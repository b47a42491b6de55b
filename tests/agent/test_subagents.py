"""Subagents: begun with the task tool, waited for without a thread, told to the model when they end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import create_app, db, dispatch, ids, server
from app.accounts import service as accounts
from app.actor import Actor
from app.agent.providers import catalog
from app.approvals import service as approvals
from app.config import Config
from app.dialects.mount import Cabin
from app.sessions import models
from app.sessions import service as sessions
from app.sessions.service import Session
from tests.agent.talk import Talk, text_of
from tests.agent.test_engine import BOTH, settings, store
from tests.conftest import Caller
from tests.dialects.opencode_schemas import check_all
from tests.model_server import Call, Fail, Gate, ModelServer, Say
from tests.patience import PATIENCE

__all__ = ["settings", "store"]


def task(prompt: str, name: str = "general", **more: str) -> Call:
    return Call("task", {"description": "Look", "prompt": prompt, "subagent_type": name, **more})


class ByPrompt:
    """Answers each session's model by the words of its prompt, whatever order the requests come in."""

    def __init__(self, server: ModelServer, **answers: list[list[Any]]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.said: list[str] = []
        self._usual = server.answer
        server.answer = self.answer  # type: ignore[method-assign]

    def answer(self, body: dict[str, Any], headers: dict[str, str], path: str) -> Any:
        said = [message for message in body["messages"] if message["role"] == "user"]
        content = said[-1]["content"]
        words = content if isinstance(content, str) else " ".join(str(part.get("text")) for part in content)
        word = words.split()[0]
        self.said.append(words)
        if word not in self.answers:
            return self._usual(body, headers, path)
        self.asked.append(word)
        last = max(number for number, message in enumerate(body["messages"]) if message["role"] == "user")
        step = sum(message["role"] == "assistant" for message in body["messages"][last:])
        return self.answers[word][step]


@pytest.fixture
def talk(app: Cabin, alice: Actor) -> Talk:
    """A session that asks before it changes anything."""
    return Talk(alice)


def children(talk: Talk) -> list[Session]:
    return sessions.children(talk.actor, talk.id)


def run_of(session_id: str) -> Any:
    with db.read() as connection:
        return connection.execute(models.runs.select().where(models.runs.c.session_id == session_id)).one()


def eventually(holds: Callable[[], Any]) -> Any:
    """What a condition gives once it holds; fails after the deadline."""
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline, "it never came to hold"
        threading.Event().wait(0.02)  # rows tell nobody that they changed
    return found


def until_waiting(talk: Talk) -> None:
    eventually(lambda: run_of(talk.id).state == "waiting")


def asked(actor: Actor, number: int = 1) -> list[Any]:
    return list(eventually(lambda: (found := approvals.waiting(actor)) and len(found) >= number and found))


@BOTH
def test_a_subagent_answers_its_parent(talk: Talk, model_server: ModelServer) -> None:
    by = ByPrompt(model_server, go=[[task("child: look")], [Say("All is told.")]], **{"child:": [[Say("Tax is 19.")]]})
    prompt = talk.say("go on")
    talk.until_idle()
    [call] = talk.tools()
    [child] = children(talk)
    assert call["state"]["status"] == "completed"
    assert call["state"]["metadata"]["sessionId"] == child.id
    assert call["state"]["output"].startswith("Tax is 19.")
    assert child.id in call["state"]["output"]
    assert (child.title, child.mode, child.preset) == ("Look (@general subagent)", "general", "ask")
    assert (child.owner, child.directory, child.model) == (talk.session.owner, talk.session.directory, "scripted")
    assert text_of(talk.answers(prompt)[-1]) == "All is told."
    assert by.asked == ["go", "child:", "go"]
    assert run_of(child.id).parent_run is None


@BOTH
def test_the_parent_holds_nothing_while_its_subagent_works(talk: Talk, model_server: ModelServer) -> None:
    gate = Gate()
    ByPrompt(model_server, go=[[task("child: look")], [Say("Told.")]], **{"child:": [[gate, Say("Yes.")]]})
    talk.say("go on")
    assert gate.reached.wait(PATIENCE)
    until_waiting(talk)
    assert run_of(talk.id).lease_owner is None
    assert talk.state() == "running"
    gate.opened.set()
    talk.until_idle()
    assert talk.tools()[0]["state"]["status"] == "completed"


@pytest.fixture
def one_thread(settings: Config) -> Config:
    """A server that can run one engine at a time."""
    return replace(settings, worker_threads=1)


@BOTH
def test_three_levels_finish_on_one_thread(
    one_thread: Config, database_of_one: Actor, model_server: ModelServer
) -> None:
    talk = Talk(database_of_one)
    ByPrompt(
        model_server,
        go=[[task("child: a"), task("child: b")], [Say("Done.")]],
        **{"child:": [[task("grandchild: look")], [Say("Child's word.")]], "grandchild:": [[Say("Found.")]]},
    )
    talk.say("go on")
    talk.until_idle()
    assert [call["state"]["status"] for call in talk.tools()] == ["completed", "completed"]
    for child in children(talk):
        [grandchild] = sessions.children(talk.actor, child.id)
        assert (child.state, grandchild.state) == ("idle", "idle")
        calls = [p for m in sessions.transcript(talk.actor, child.id) for p in m.parts if p.type == "tool"]
        assert calls[0].data["state"]["output"].startswith("Found.")


@pytest.fixture
def database_of_one(one_thread: Config) -> Iterator[Actor]:
    """Alice, on a running server of one thread."""
    create_app(one_thread)
    server.start_background(one_thread)
    yield accounts.local_owner()
    server.stop_background()


def test_subagents_of_one_step_work_at_the_same_time(talk: Talk, model_server: ModelServer) -> None:
    first, second = Gate(), Gate()
    ByPrompt(
        model_server,
        go=[[task("one: look"), task("two: look")], [Say("Done.")]],
        **{"one:": [[first, Say("One.")]], "two:": [[second, Say("Two.")]]},
    )
    talk.say("go on")
    assert first.reached.wait(PATIENCE)
    assert second.reached.wait(PATIENCE)
    until_waiting(talk)
    second.opened.set()
    eventually(lambda: [call["state"]["status"] for call in talk.tools()] == ["running", "completed"])
    first.opened.set()
    talk.until_idle()
    assert [call["state"]["output"][:4] for call in talk.tools()] == ["One.", "Two."]


@BOTH
def test_a_restart_finds_the_subagent_again(talk: Talk, settings: Config, model_server: ModelServer) -> None:
    ByPrompt(
        model_server, go=[[task("child: look")], [Say("Done.")]], **{"child:": [[Call("bash", {"command": "echo x"})], [Say("Ran.")]]}
    )  # fmt: skip
    talk.say("go on")
    [ask] = asked(talk.actor)
    until_waiting(talk)
    server.stop_background()
    create_app(settings)
    server.start_background(settings)
    talk.follow()
    approvals.answer(talk.actor, ask.id, "once")
    talk.until_idle()
    assert len(children(talk)) == 1
    assert talk.tools()[0]["state"]["output"].startswith("Ran.")


@BOTH
def test_whoever_takes_the_parent_over_never_starts_a_second_subagent(
    talk: Talk, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent's process dies between the subagent's start and the wait for it."""
    gate = Gate()
    ByPrompt(model_server, go=[[task("child: look")], [Say("Done.")]], **{"child:": [[gate, Say("Yes.")]]})
    died = lambda hold, _is_unanswered: (_ for _ in ()).throw(sessions.Fenced(hold.run_id))  # noqa: E731
    with monkeypatch.context() as patched:
        patched.setattr(sessions, "wait", died)
        talk.say("go on")
        assert gate.reached.wait(PATIENCE)
        eventually(lambda: run_of(talk.id).state == "running" and talk.tools())
        with db.transaction() as connection:
            lost = {"lease_until": ids.now() - 1, "lease_owner": "another-host|1|0|a"}
            connection.execute(models.runs.update().where(models.runs.c.session_id == talk.id).values(**lost))
    assert sessions.end_lost_leases() == 1
    until_waiting(talk)
    gate.opened.set()
    talk.until_idle()
    assert len(children(talk)) == 1
    assert talk.tools()[0]["state"]["output"].startswith("Yes.")


@BOTH
def test_a_lost_wake_up_is_made_good_by_the_sweep(
    talk: Talk, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    ByPrompt(model_server, go=[[task("child: look")], [Say("Done.")]], **{"child:": [[gate, Say("Yes.")]]})
    wake = dispatch.wake
    monkeypatch.setattr(dispatch, "wake", lambda name, *args: None if name == "agent.go_on" else wake(name, *args))
    talk.say("go on")
    until_waiting(talk)
    gate.opened.set()
    talk.until_idle()
    assert talk.tools()[0]["state"]["output"].startswith("Yes.")


@BOTH
def test_a_run_that_waits_for_an_answer_is_left_alone_by_the_sweep(talk: Talk) -> None:
    talk.say("[[bash echo x]]")
    talk.until_asked()
    assert sessions.requeue_left(approvals.asked_runs) == 0
    assert run_of(talk.id).state == "waiting"


@BOTH
def test_a_failed_subagent_is_told(talk: Talk, model_server: ModelServer) -> None:
    ByPrompt(
        model_server,
        go=[[task("child: look")], [Say("I see.")]],
        **{"child:": [[Fail(401, {"error": {"message": "no such key"}})]]},
    )
    prompt = talk.say("go on")
    talk.until_idle()
    [call] = talk.tools()
    assert call["state"]["status"] == "error"
    assert "The subagent failed" in call["state"]["error"]
    assert text_of(talk.answers(prompt)[-1]) == "I see."


@BOTH
def test_a_stopped_subagent_is_told_and_its_parent_goes_on(talk: Talk, model_server: ModelServer) -> None:
    gate = Gate()
    ByPrompt(model_server, go=[[task("child: look")], [Say("Then not.")]], **{"child:": [[Say("Half"), gate]]})
    prompt = talk.say("go on")
    assert gate.reached.wait(PATIENCE)
    until_waiting(talk)
    sessions.abort(talk.actor, children(talk)[0].id)
    talk.until_idle()
    assert "The subagent was stopped. It had said: Half" in talk.tools()[0]["state"]["error"]
    assert text_of(talk.answers(prompt)[-1]) == "Then not."
    gate.opened.set()


@BOTH
def test_a_deleted_subagent_is_told_and_its_parent_goes_on(talk: Talk, model_server: ModelServer) -> None:
    gate = Gate()
    ByPrompt(model_server, go=[[task("child: look")], [Say("Then not.")]], **{"child:": [[gate]]})
    prompt = talk.say("go on")
    assert gate.reached.wait(PATIENCE)
    until_waiting(talk)
    sessions.delete(talk.actor, children(talk)[0].id)
    talk.until_idle()
    assert "was deleted" in talk.tools()[0]["state"]["error"]
    assert text_of(talk.answers(prompt)[-1]) == "Then not."
    gate.opened.set()


@BOTH
def test_stopping_the_parent_stops_all_below_it(talk: Talk, model_server: ModelServer) -> None:
    gate = Gate()
    ByPrompt(
        model_server,
        go=[[task("child: look"), task("other: look")]],
        **{
            "child:": [[task("grandchild: look")]],
            "grandchild:": [[gate]],
            "other:": [[Call("bash", {"command": "touch x"})]],
        },
    )
    talk.say("go on")
    assert gate.reached.wait(PATIENCE)
    asked(talk.actor)
    until_waiting(talk)
    [first, second] = sorted(children(talk), key=lambda child: child.created)
    eventually(lambda: run_of(first.id).state == run_of(second.id).state == "waiting")
    [grandchild] = sessions.children(talk.actor, first.id)
    assert sessions.abort(talk.actor, talk.id)
    talk.until_idle()
    for session in (first, second, grandchild):
        eventually(lambda session=session: run_of(session.id).state == "aborted")
        assert sessions.get(talk.actor, session.id).state == "idle"
    eventually(lambda: approvals.waiting(talk.actor) == [])
    gate.opened.set()
    assert {call["state"]["status"] for call in talk.tools()} == {"error"}


@BOTH
def test_an_ask_of_a_grandchild_shows_in_every_session_above(talk: Talk, model_server: ModelServer) -> None:
    ByPrompt(
        model_server,
        go=[[task("child: look")], [Say("Done.")]],
        **{
            "child:": [[task("grandchild: look")], [Say("Done too.")]],
            "grandchild:": [[Call("bash", {"command": "echo deep"})], [Say("Ran.")]],
        },
    )
    talk.say("go on")
    [ask] = asked(talk.actor)
    [child] = children(talk)
    assert ask.above == f"/{child.id}/{talk.id}/"
    assert [one.id for one in approvals.of_session(talk.actor, talk.id)] == [ask.id]
    assert talk.state() == "running"
    approvals.answer(talk.actor, ask.id, "always")
    talk.until_idle()
    assert talk.tools()[0]["state"]["output"].startswith("Done too.")


def test_a_rejection_in_a_subagent_is_told(talk: Talk, model_server: ModelServer) -> None:
    ByPrompt(
        model_server,
        go=[[task("child: look")], [Say("A pity.")]],
        **{"child:": [[Say("I need a file."), Call("bash", {"command": "touch x"})]]},
    )
    talk.say("go on")
    [ask] = asked(talk.actor)
    approvals.answer(talk.actor, ask.id, "reject")
    talk.until_idle()
    output = talk.tools()[0]["state"]["output"]
    assert output.startswith("A person rejected a call of the subagent")
    assert "I need a file." in output


def test_a_rule_for_the_parents_session_holds_below_it(talk: Talk, model_server: ModelServer) -> None:
    approvals.add_rule(talk.actor, approvals.Rule("bash", "echo *", "allow", "session"), talk.id)
    ByPrompt(
        model_server,
        go=[[task("child: look")], [Say("Done.")]],
        **{
            "child:": [[task("grandchild: look")], [Say("Done too.")]],
            "grandchild:": [[Call("bash", {"command": "echo deep"})], [Say("Ran.")]],
        },
    )
    talk.ask("go on")
    assert talk.tools()[0]["state"]["status"] == "completed"


def test_a_plan_has_no_subagent_that_edits(
    app: Cabin, alice: Actor, model_server: ModelServer, workspace: Path
) -> None:
    talk = Talk(alice, preset="auto", mode="plan")
    write = {"filePath": "new.txt", "content": "x"}
    ByPrompt(
        model_server,
        go=[[task("child: look")], [Say("Done.")]],
        **{
            "child:": [[task("grandchild: look")], [Say("Done too.")]],
            "grandchild:": [[Call("write", write), Call("bash", {"command": "cat README.md"})], [Say("Tried.")]],
        },
    )
    talk.ask("go on")
    [child] = children(talk)
    [grandchild] = sessions.children(alice, child.id)
    calls = [p.data["state"] for m in sessions.transcript(alice, grandchild.id) for p in m.parts if p.type == "tool"]
    assert "edits nothing" in calls[0]["error"]
    assert calls[1]["status"] == "completed"
    assert not (workspace / "new.txt").exists()


def test_what_the_prompt_switched_off_is_off_below_it(talk: Talk, model_server: ModelServer) -> None:
    ByPrompt(
        model_server,
        go=[[task("child: look")], [Say("Done.")]],
        **{"child:": [[Call("bash", {"command": "echo x"})], [Say("No shell.")]]},
    )
    talk.ask("go on", tools={"bash": False})
    [child] = children(talk)
    call = next(p for m in sessions.transcript(talk.actor, child.id) for p in m.parts if p.type == "tool")
    assert "does not have this tool" in call.data["state"]["error"]


def test_the_deepest_subagent_is_told_to_work_itself(talk: Talk, model_server: ModelServer) -> None:
    ByPrompt(
        model_server,
        go=[[task("child: look")], [Say("Done.")]],
        **{"child:": [[task("child: look")], [Say("Done too.")]]},
    )
    talk.ask("go on")
    found, below = 0, children(talk)
    while below:
        found, last = found + 1, below[0]
        below = sessions.children(talk.actor, last.id)
    assert found == 5
    call = next(p for m in sessions.transcript(talk.actor, last.id) for p in m.parts if p.type == "tool")
    assert "at most 5 deep" in call.data["state"]["error"]


def test_a_subagent_that_is_none_is_named_to_the_model(talk: Talk, model_server: ModelServer) -> None:
    ByPrompt(model_server, go=[[task("x", "nobody"), task("x", "build")], [Say("I see.")]])
    talk.ask("go on")
    assert all("there are general" in call["state"]["error"] for call in talk.tools())
    assert children(talk) == []


def test_a_subagent_is_gone_on_with_by_its_task_id(talk: Talk, model_server: ModelServer) -> None:
    by = ByPrompt(model_server, go=[[task("child: look")], [Say("Done.")]], **{"child:": [[Say("Mine.")]]})
    talk.ask("go on")
    [child] = children(talk)
    by.answers["more"] = [[task("child: again", task_id=child.id)], [task("x", task_id=talk.id)], [Say("Done.")]]
    talk.ask("more please")
    assert [one.id for one in children(talk)] == [child.id]
    prompts = [text_of(m) for m in sessions.transcript(talk.actor, child.id) if m.role == "user"]
    assert prompts == ["child: look", "child: again"]
    assert "has no subagent" in talk.tools()[-1]["state"]["error"]


def test_the_cost_of_subagents_stands_beside_the_parents(
    talk: Talk, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "cost", lambda *_: 0.25)
    ByPrompt(
        model_server,
        go=[[task("child: look")], [Say("Done.")]],
        **{"child:": [[task("grandchild: look")], [Say("Done too.")]], "grandchild:": [[Say("Found.")]]},
    )
    talk.ask("go on")
    assert sessions.get(talk.actor, talk.id).cost == 0.5
    assert sessions.cost_below(talk.actor, talk.id) == 0.75
    [child] = sessions.children(talk.actor, talk.id)
    [grandchild] = sessions.children(talk.actor, child.id)
    assert set(sessions.ids_below(talk.actor, talk.id)) == {child.id, grandchild.id}


def test_what_a_subagent_changed_is_in_its_parents_checkpoint(
    app: Cabin, alice: Actor, model_server: ModelServer, workspace: Path
) -> None:
    talk = Talk(alice, preset="auto")
    ByPrompt(
        model_server,
        go=[[task("child: write")], [Say("Done.")]],
        **{"child:": [[Call("write", {"filePath": "new.txt", "content": "hello\n"})], [Say("Written.")]]},
    )
    prompt = talk.say("go on")
    talk.until_idle()
    patches = [part for message in talk.answers(prompt) for part in message.parts if part.type == "patch"]
    assert [part.data["files"] for part in patches] == [[str(workspace / "new.txt")]]
    assert sessions.get(alice, talk.id).files == 1


def test_a_client_sees_the_children_of_a_session(
    app: Cabin, call: Caller, alice: Actor, model_server: ModelServer
) -> None:
    """As OpenCode's SDK does it: a session, a prompt that names a subagent, the children, their messages."""
    by = ByPrompt(model_server, go=[[task("child: look")], [Say("Told.")]], **{"child:": [[Say("Seen.")]]})
    session = call.post("/opencode/session", {"title": "Parent"}).json
    parts = [{"type": "text", "text": "go on with"}, {"type": "agent", "name": "general"}]
    answer = call.post(f"/opencode/session/{session['id']}/message", {"parts": parts}).json
    assert answer["parts"][1]["text"] == "Told."
    assert "task tool" in by.said[0]
    found = call.get(f"/opencode/session/{session['id']}/children").json
    check_all("Session", found)
    assert [one["parentID"] for one in found] == [session["id"]]
    messages = call.get(f"/opencode/session/{found[0]['id']}/message").json
    assert [m["info"]["role"] for m in messages] == ["user", "assistant"]
    assert messages[1]["info"]["agent"] == "general"
