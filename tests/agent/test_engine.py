"""Whole turns of the engine, against a real model server, on both databases where they differ."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from app import config, create_app, db, ids, server
from app.actor import Actor
from app.agent import modes, space
from app.agent import service as agent
from app.agent.conversation import INTERRUPTED
from app.agent.providers import Cancel, Delta, ProviderFailed, Request, catalog
from app.agent.providers.fitting import THOUGHTS_LEFT_OUT
from app.agent.writer import RETRIED
from app.approvals import service as approvals
from app.approvals.events import Withdrawn
from app.approvals.service import Rule
from app.config import Config, Limits
from app.dialects.mount import Cabin
from app.errors import Conflict
from app.projects import service as projects
from app.sessions import events as told
from app.sessions import models
from app.sessions import service as sessions
from app.sessions.opencode import shapes as opencode_shapes
from tests.agent.talk import Talk, text_of
from tests.model_server import Call, Cut, Fail, Finish, Gate, ModelServer, Raw, Say, Stall, Think

BOTH = pytest.mark.parametrize("store", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
AT_ONCE = 20  # seconds: far below what would end the wait otherwise, far above what a busy machine takes


@pytest.fixture
def store() -> str:
    """Which database a test runs on."""
    return "sqlite"


@pytest.fixture
def settings(
    settings: Config,
    store: str,
    workspace: Path,
    model_server: ModelServer,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Config:
    """A server on the small project, whose model is the model server."""
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    settings = replace(settings, project=workspace, model="openai/scripted")
    if store == "sqlite":
        return settings
    return replace(settings, database_url=request.getfixturevalue("postgres_database"))


@pytest.fixture
def talk(app: Cabin, alice: Actor) -> Talk:
    """A session that asks before it changes anything."""
    return Talk(alice)


@pytest.fixture
def free(app: Cabin, alice: Actor) -> Talk:
    """A session that asks nobody."""
    return Talk(alice, preset="auto")


def user_text(request: dict[str, Any]) -> list[str]:
    return [str(message["content"]) for message in request["messages"] if message["role"] == "user"]


def results(request: dict[str, Any]) -> list[str]:
    return [str(message["content"]) for message in request["messages"] if message["role"] == "tool"]


@BOTH
def test_a_text_turn_tells_what_happens_in_opencodes_order(talk: Talk, model_server: ModelServer) -> None:
    gate = Gate()
    model_server.script = [[Say("Hello "), gate, Say("there. ")]]
    prompt = talk.say("Hi")
    talk.until(told.PartDelta)
    gate.opened.set()
    talk.until_idle()
    kinds = talk.kinds()
    assert kinds[kinds.index("user") :] == [
        "user",
        "text",
        "queued",
        "running",
        "busy",
        "assistant",
        "step-start",
        "text",
        "part_delta",
        "part_delta",
        "text",
        "assistant",
        "running",
        "step-finish",
        "assistant done",
        "idle",
        "run_ended",
        "idle",
    ]
    deltas = [event for event in talk.seen if isinstance(event, told.PartDelta)]
    assert [(one.delta, one.end) for one in deltas] == [("Hello ", 6), ("there. ", 13)]
    [message] = talk.answers(prompt)
    text = message.parts[1]
    assert text.data["text"] == "Hello there."
    assert text.data["time"]["end"] >= text.data["time"]["start"]
    assert message.data["finish"] == "stop"
    assert message.data["tokens"]["output"] > 0
    ended = next(event for event in talk.seen if isinstance(event, told.RunEnded))
    assert (ended.state, ended.message_id, ended.answer_id) == ("completed", prompt, message.id)
    assert talk.state() == "idle"


@BOTH
def test_a_tool_turn_waits_for_its_approval_and_goes_on(talk: Talk, model_server: ModelServer, workspace: Path) -> None:
    prompt = talk.say("[[read shop/tax.py]] [[edit shop/tax.py|RATE = 19|RATE = 20]] [[say Now 20.]]")
    ask = talk.until_asked()
    assert "RATE = 19" in (workspace / "shop/tax.py").read_text()
    assert talk.state() == "waiting"
    with db.read() as connection:
        run = connection.execute(models.runs.select().where(models.runs.c.session_id == talk.id)).one()
    assert (run.state, run.lease_owner) == ("waiting", None)
    approvals.answer(talk.actor, ask["id"], "once")
    talk.until_idle()
    assert "RATE = 20" in (workspace / "shop/tax.py").read_text()
    first, second, third = talk.answers(prompt)
    assert [message.data["finish"] for message in (first, second, third)] == ["tool-calls", "tool-calls", "stop"]
    assert [part.type for part in second.parts] == ["step-start", "tool", "step-finish", "patch"]
    assert second.parts[3].data["files"] == [str(workspace / "shop/tax.py")]
    assert text_of(third) == "Now 20."
    assert [tool["state"]["status"] for tool in talk.tools()] == ["completed", "completed"]
    seen = [kind for kind in talk.kinds() if kind.startswith(("tool", "asked", "answered", "file"))]
    read, edit = seen[: seen.index("asked") - 3], seen[seen.index("asked") - 3 :]
    assert read == ["tool pending", "tool pending", "tool running", "tool completed"]
    assert edit == ["tool pending"] * 3 + ["asked", "answered", "tool running", "tool completed", "file_edited"]
    assert len(model_server.requests) == 3
    session = sessions.get(talk.actor, talk.id)
    assert (session.additions, session.deletions, session.files) == (1, 1, 1)


def test_a_turn_that_changes_nothing_takes_no_snapshot(talk: Talk, settings: Config) -> None:
    talk.ask("[[read shop/tax.py]] [[say Seen.]]")
    assert not (settings.data_dir / "checkpoints").exists()
    assert all("snapshot" not in part.data for m in sessions.transcript(talk.actor, talk.id) for part in m.parts)


@BOTH
def test_parallel_calls_run_in_order_and_are_answered_together(free: Talk, model_server: ModelServer) -> None:
    free.ask("[[read README.md]]&[[bash echo two]]&[[glob **/*.py]] [[say Done.]]")
    assert [tool["tool"] for tool in free.tools()] == ["read", "bash", "glob"]
    assert {tool["state"]["status"] for tool in free.tools()} == {"completed"}
    told_model = results(model_server.requests[1])
    assert len(told_model) == 3
    assert "two" in told_model[1]


def test_calls_of_one_id_stay_two_calls(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [
        [
            Call("read", {"filePath": "README.md"}, id="same", index=0),
            Call("read", {"filePath": "shop/tax.py"}, id="same", index=1),
        ],
        [Say("Done.")],
    ]
    talk.ask("go")
    assert [tool["state"]["input"]["filePath"] for tool in talk.tools()] == ["README.md", "shop/tax.py"]
    assert len({tool["callID"] for tool in talk.tools()}) == 2


@BOTH
def test_a_rejection_without_a_word_ends_the_turn(talk: Talk, model_server: ModelServer) -> None:
    talk.say("[[bash touch a]]&[[bash touch b]] [[say never]]")
    talk.answer("reject")
    talk.until_idle()
    first, second = talk.tools()
    assert first["state"]["error"] == "The person rejected this call."
    assert second["state"]["error"].startswith("Not run")
    assert len(model_server.requests) == 1
    assert talk.state() == "idle"


def test_a_rejection_with_a_word_is_told_to_the_model(talk: Talk, model_server: ModelServer) -> None:
    talk.say("[[bash touch a]] [[say Understood.]]")
    talk.answer("reject", "Use the makefile.")
    talk.until_idle()
    assert "Use the makefile." in results(model_server.requests[1])[0]


def test_a_rule_that_denies_asks_nobody(talk: Talk, model_server: ModelServer) -> None:
    approvals.add_rule(talk.actor, Rule("bash", "touch *", "deny", "session"), talk.id)
    talk.ask("[[bash touch a]] [[say Well.]]")
    assert talk.tools()[0]["state"]["error"].startswith("Not allowed here")
    assert approvals.of_session(talk.actor, talk.id) == []
    assert len(model_server.requests) == 2


def test_plan_mode_refuses_edits_and_knows_no_such_tools(free: Talk, model_server: ModelServer) -> None:
    free.ask("[[read shop/tax.py]] [[edit shop/tax.py|RATE = 19|RATE = 20]] [[say A plan.]]", mode="plan")
    edit = free.tools()[1]
    assert edit["state"]["status"] == "error"
    names = {tool["function"]["name"] for tool in model_server.requests[0]["tools"]}
    assert "read" in names
    assert not names & {"edit", "write"}


@pytest.mark.parametrize("call", ["[[bash touch a]]", '[[call todowrite {"todos": []}]]'])
def test_a_tool_that_the_prompt_switched_off_is_not_run(free: Talk, model_server: ModelServer, call: str) -> None:
    free.ask(f"{call} [[say Well.]]", tools={"bash": False, "todowrite": False})
    [tool] = free.tools()
    assert tool["state"]["status"] == "error"
    assert "does not have this tool now" in tool["state"]["error"]
    assert "does not have this tool now" in results(model_server.requests[1])[0]


def test_a_question_that_the_prompt_switched_off_asks_nobody(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Call("question", {"questions": [{"question": "Which?"}]})], [Say("Well.")]]
    talk.ask("Go", tools={"*": False, "read": True})
    assert talk.tools()[0]["state"]["error"].startswith("Not allowed here")
    assert approvals.of_session(talk.actor, talk.id) == []


def test_a_question_is_answered(talk: Talk, model_server: ModelServer) -> None:
    question = {"question": "Which port?", "header": "Port", "options": [{"label": "80"}, {"label": "443"}]}
    model_server.script = [[Call("question", {"questions": [question]})], [Say("443 then.")]]
    talk.say("go")
    ask = talk.until_asked()
    assert ask["kind"] == "question"
    approvals.answer_question(talk.actor, ask["id"], [["443"]])
    talk.until_idle()
    assert '"Which port?"="443"' in results(model_server.requests[1])[0]


def test_an_unanswered_question_goes_on(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Call("question", {"questions": [{"question": "Which?"}]})], [Say("As you like.")]]
    talk.say("go")
    approvals.reject_question(talk.actor, talk.until_asked()["id"])
    talk.until_idle()
    assert "unanswered" in results(model_server.requests[1])[0]


@BOTH
@pytest.mark.parametrize(
    ("call", "error"),
    [
        (Call("read", '{"filePath": '), "valid JSON"),
        (Call("read", "[1]"), "valid JSON"),
        (Call("read", {"filePath": "a\0b"}), "NUL"),
        (Call("read", {}), "not right"),
        (Call("read", {"filePath": "/etc/passwd"}), ""),
    ],
)
def test_a_call_that_is_wrong_is_told_to_the_model(
    talk: Talk, model_server: ModelServer, call: Call, error: str
) -> None:
    model_server.script = [[call], [Say("Sorry.")]]
    talk.ask("go")
    [tool] = talk.tools()
    assert tool["state"]["status"] == "error"
    assert error in tool["state"]["error"]
    assert tool["state"]["error"] in results(model_server.requests[1])[0]


@BOTH
def test_what_no_database_can_hold_is_shown_as_it_is_stored(free: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Say("a\0b"), Call("bash", {"command": r"printf 'x\000y'"})], [Say("\\u0000 is NUL")]]
    prompt = free.say("nul \0 here")
    free.until_idle()
    first, second = free.answers(prompt)
    assert text_of(first) == "a\ufffdb"
    assert text_of(second) == "\\u0000 is NUL"
    assert sessions.message(free.actor, free.id, prompt).parts[0].data["text"] == "nul \ufffd here"


def test_stopping_ends_a_streaming_answer_at_once(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Say("Hello "), Stall()]]
    prompt = talk.say("Hi")
    talk.until(told.PartDelta)
    began = time.monotonic()
    assert sessions.abort(talk.actor, talk.id)
    talk.until_idle()
    assert time.monotonic() - began < AT_ONCE
    assert model_server.hung_up.acquire(timeout=5)
    [message] = talk.answers(prompt)
    assert message.completed
    assert message.data["error"]["name"] == "MessageAbortedError"
    assert text_of(message) == "Hello"
    assert "end" in message.parts[1].data["time"]
    assert talk.kinds().count("failed") == 1
    assert talk.state() == "idle"


def test_stopping_ends_a_model_that_says_nothing(talk: Talk, model_server: ModelServer) -> None:
    talk.say("[[stall]]")
    model_server.wait_for_requests(1)
    began = time.monotonic()
    sessions.abort(talk.actor, talk.id)
    talk.until_idle()
    assert time.monotonic() - began < AT_ONCE


@BOTH
def test_stopping_ends_a_command_and_all_it_started(free: Talk) -> None:
    seconds = f"61.{ids.now() % 100_000:05d}"
    free.say(f"[[bash echo started; sleep {seconds} & sleep {seconds}]]")
    free.until_tool("running", "started")
    began = time.monotonic()
    sessions.abort(free.actor, free.id)
    free.until_idle()
    assert time.monotonic() - began < AT_ONCE
    assert free.tools()[0]["state"]["status"] == "error"
    assert not [one for one in psutil.process_iter(["cmdline"]) if seconds in (one.info["cmdline"] or [])]


@BOTH
def test_stopping_ends_what_waits(talk: Talk) -> None:
    talk.say("[[bash touch a]]")
    ask = talk.until_asked()
    sessions.abort(talk.actor, talk.id)
    talk.until_idle()
    talk.until(Withdrawn)
    with pytest.raises(Conflict):
        approvals.answer(talk.actor, ask["id"], "once")
    assert talk.tools()[0]["state"]["error"] == "Tool execution aborted"


@BOTH
def test_a_prompt_while_busy_waits_its_turn_and_gets_its_own_answer(talk: Talk, model_server: ModelServer) -> None:
    gate = Gate()
    model_server.script = [[gate, Say("one")]]
    first = talk.say("first")
    assert gate.reached.wait(5)
    second, third = talk.say("[[say two]]"), talk.say("[[say three]]")
    gate.opened.set()
    talk.until_idle()
    assert [text_of(talk.answers(prompt)[0]) for prompt in (first, second, third)] == ["one", "two", "three"]
    assert [len(user_text(request)) for request in model_server.requests] == [1, 2, 3]
    order = [event.message_id for event in talk.seen if isinstance(event, told.RunEnded)]
    assert order == [first, second, third]


@BOTH
def test_a_busy_model_is_asked_again(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Fail(429, headers=(("Retry-After", "0"),))], [Say("Here.")]]
    [message] = talk.ask("Hi")
    assert [part.type for part in message.parts] == ["step-start", "retry", "text", "step-finish"]
    retry = message.parts[1].data
    assert (retry["attempt"], retry["error"]["data"]["statusCode"]) == (1, 429)
    assert "error" not in message.data


@BOTH
@pytest.mark.parametrize("leave", ["stop", "drain"])
def test_a_pause_between_tries_ends_at_once(talk: Talk, model_server: ModelServer, leave: str) -> None:
    model_server.script = [[Fail(429, headers=(("Retry-After", "300"),))], [Say("Again.")]]
    talk.say("Hi")
    talk.until(told.PartUpdated, lambda event: event.part["type"] == "retry")
    if leave == "stop":
        sessions.abort(talk.actor, talk.id)
    else:
        agent.drain()
        talk.until(told.SessionUpdated, lambda event: event.session["state"] == "queued")
        agent.start()
    talk.until_idle()


OVERFLOW = {"error": {"message": "This model's maximum context length is 8192 tokens"}}


def test_a_conversation_that_is_too_long_is_told_and_not_sent_again(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Fail(400, OVERFLOW)]]
    [message] = talk.ask("Hi")
    error = message.data["error"]
    assert error["name"] == "ContextOverflowError"
    assert "new session" in error["data"]["message"]
    assert "8192 tokens" in error["data"]["message"]
    assert message.completed
    assert len(model_server.requests) == 1
    assert [event.error for event in talk.seen if isinstance(event, told.SessionFailed)] == [error]


def test_a_too_long_conversation_is_not_tried_again_though_its_wire_says_it_may(
    talk: Talk, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Request] = []

    class Overflowing:
        id = "openai"

        def stream(self, request: Request, cancel: Cancel) -> Iterator[Delta]:
            asked.append(request)
            raise ProviderFailed("Too many tokens.", status=529, retryable=True, retry_after=0, overflow=True)

    monkeypatch.setattr(catalog, "resolve_paid", lambda *_: (Overflowing(), ""))
    [message] = talk.ask("Hi")
    assert (message.data["error"]["name"], len(asked)) == ("ContextOverflowError", 1)


@BOTH
def test_an_answer_cut_at_its_length_says_so_and_runs_none_of_its_calls(
    free: Talk, model_server: ModelServer, workspace: Path
) -> None:
    model_server.script = [[Say("Half"), Call("bash", {"command": "touch cut"}), Finish("length")]]
    [message] = free.ask("Hi")
    assert text_of(message) == "Half"
    assert message.data["error"]["name"] == "MessageOutputLengthError"
    assert "length limit" in message.data["error"]["data"]["message"]
    assert free.tools()[0]["state"]["status"] == "error"
    assert not (workspace / "cut").exists()
    assert (free.state(), len(model_server.requests)) == ("failed", 1)
    assert text_of(free.ask("[[say Better.]]")[0]) == "Better."


def test_an_answer_that_is_filtered_says_so(free: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Finish("content_filter")]]
    [message] = free.ask("Hi")
    assert message.data["error"]["name"] == "ContentFilterError"
    assert (free.state(), len(model_server.requests)) == ("failed", 1)


@BOTH
def test_a_prompt_that_names_no_model_says_which_one_answers(app: Cabin, alice: Actor) -> None:
    session = sessions.create(alice, projects.resolve(alice, None))
    message, _run = sessions.send(alice, session.id, [{"type": "text", "text": "Hi"}], no_reply=True)
    assert message.data["model"] == {"providerID": "openai", "modelID": "scripted"}
    now = sessions.get(alice, session.id)
    assert (now.provider, now.model) == ("openai", "scripted")


def test_a_prompt_that_names_no_model_keeps_to_its_sessions(app: Cabin, alice: Actor) -> None:
    session = sessions.create(alice, projects.resolve(alice, None), provider="demo", model="walkthrough")
    message, _run = sessions.send(alice, session.id, [{"type": "text", "text": "Hi"}], no_reply=True)
    assert message.data["model"] == {"providerID": "demo", "modelID": "walkthrough"}


def test_a_refused_key_is_the_messages_error(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Fail(401)]]
    [message] = talk.ask("Hi")
    assert message.completed
    assert message.data["error"]["name"] == "ProviderAuthError"
    assert message.data["error"]["data"]["providerID"] == "openai"
    failed = next(event for event in talk.seen if isinstance(event, told.SessionFailed))
    assert failed.error == message.data["error"]
    assert talk.state() == "failed"
    assert text_of(talk.ask("[[say Better.]]")[0]) == "Better."


def test_an_answer_that_breaks_off_is_asked_again_and_what_came_stays_marked(
    talk: Talk, model_server: ModelServer
) -> None:
    half = Call("read", '{"filePath": "READ', id="c1")
    model_server.script = [[Think("Hm"), Say("Half"), half, Cut()], [Say("Whole")]]
    [message] = talk.ask("Hi")
    assert [part.type for part in message.parts] == [
        "step-start", "reasoning", "text", "tool", "retry", "text", "step-finish",
    ]  # fmt: skip
    assert [bool(part.data.get("metadata")) for part in message.parts[1:4]] == [True] * 3
    assert [part.data["text"] for part in message.parts if part.type == "text"] == ["Half", "Whole"]
    assert message.parts[3].data["state"]["error"] == RETRIED
    assert message.parts[4].data["attempt"] == 1
    assert "metadata" not in message.parts[5].data
    talk.ask("And then?")
    assert model_server.requests[0] == model_server.requests[1]
    assert [one["content"] for one in model_server.requests[2]["messages"] if one["role"] == "assistant"] == ["Whole"]


def test_an_answer_that_breaks_off_six_times_keeps_all_that_came(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Say(f"Half {number}"), Cut()] for number in range(6)]
    [message] = talk.ask("Hi")
    assert [part.data["text"] for part in message.parts if part.type == "text"] == [f"Half {n}" for n in range(6)]
    assert [part.data["attempt"] for part in message.parts if part.type == "retry"] == [1, 2, 3, 4, 5]
    assert message.data["error"]["name"] == "APIError"
    assert talk.state() == "failed"


def test_calls_that_are_no_json_go_back_to_the_model_three_times(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Call("read", '{"filePath": ')] for _ in range(5)]
    answers = talk.ask("Hi")
    assert len(answers) == len(model_server.requests) == 4
    assert all("valid JSON" in results(request)[-1] for request in model_server.requests[1:])
    assert "4 times in a row" in answers[-1].data["error"]["data"]["message"]
    assert talk.state() == "failed"


def test_calls_that_are_no_json_now_and_then_do_not_end_the_turn(talk: Talk, model_server: ModelServer) -> None:
    wrong, right = [Call("read", '{"filePath": ')], [Call("read", {"filePath": "README.md"})]
    model_server.script = [wrong, wrong, right, wrong, wrong, [Say("Done.")]]
    assert text_of(talk.ask("Hi")[-1]) == "Done."


def test_a_mode_that_is_gone_is_told_in_an_answer(
    talk: Talk, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    model_server.script = [[gate, Say("one")]]
    talk.say("Hi")
    assert gate.reached.wait(5)
    prompt = talk.say("And then?", mode="plan")
    left = {name: mode for name, mode in modes.MODES.items() if name != "plan"}
    monkeypatch.setattr(modes, "MODES", left)
    gate.opened.set()
    talk.until_idle()
    [message] = talk.answers(prompt)
    assert "no mode 'plan'" in message.data["error"]["data"]["message"]
    assert message.completed


def test_a_provider_that_is_not_there_is_told(talk: Talk) -> None:
    [message] = talk.ask("Hi", provider="nobody", model="nothing")
    assert "no provider nobody" in message.data["error"]["data"]["message"]


def test_thoughts_are_parts_of_their_own(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Think("Hm. "), Say("Yes."), Raw({"choices": [{"delta": {"content": "  "}}]})]]
    [message] = talk.ask("Hi")
    assert [part.type for part in message.parts] == ["step-start", "reasoning", "text", "step-finish"]
    assert [part.data["text"] for part in message.parts[1:3]] == ["Hm. ", "Yes."]


@BOTH
def test_usage_and_cost_are_added_up(talk: Talk, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "cost", lambda *_: 0.25)
    first = talk.ask("[[read README.md]] [[say Done.]]")
    session = sessions.get(talk.actor, talk.id)
    assert session.cost == 0.5
    assert session.tokens["input"] == sum(message.data["tokens"]["input"] for message in first)
    assert [message.data["cost"] for message in first] == [0.25, 0.25]


@BOTH
def test_a_server_that_goes_down_leaves_the_run_to_its_next_start(talk: Talk, model_server: ModelServer) -> None:
    gate = Gate()
    model_server.script = [[gate, Call("read", {"filePath": "README.md"})], [Say("Done.")]]
    prompt = talk.say("go")
    assert gate.reached.wait(5)
    talk.until(told.SessionBusy)
    agent.drain()
    gate.opened.set()
    talk.until(told.SessionUpdated, lambda event: event.session["state"] == "queued")
    assert [tool["state"]["status"] for tool in talk.tools()] == ["completed"]
    assert len(model_server.requests) == 1
    agent.start()
    talk.until_idle()
    assert [message.data["finish"] for message in talk.answers(prompt)] == ["tool-calls", "stop"]
    assert len(model_server.requests) == 2


@BOTH
def test_what_was_read_counts_as_read_after_a_restart(talk: Talk, settings: Config, workspace: Path) -> None:
    talk.say("[[read shop/tax.py]] [[edit shop/tax.py|RATE = 19|RATE = 7]] [[say Done.]]")
    ask = talk.until_asked()
    server.stop_background()
    create_app(settings)
    server.start_background(settings)
    talk.follow()
    approvals.answer(talk.actor, ask["id"], "once")
    talk.until_idle()
    assert "RATE = 7" in (workspace / "shop/tax.py").read_text()
    talk.say("[[edit shop/tax.py|RATE = 7|RATE = 8]] [[say Done.]]")
    talk.answer()
    talk.until_idle()
    assert "RATE = 8" in (workspace / "shop/tax.py").read_text()


def test_a_call_whose_end_nobody_saw_is_not_repeated(free: Talk, model_server: ModelServer, workspace: Path) -> None:
    free.say("[[bash echo line >> lines.txt; echo started; sleep 62]] [[say Looked.]]")
    free.until_tool("running", "started")
    with db.transaction() as connection:
        lost = {"lease_until": ids.now() - 1, "lease_owner": "another-host|1|0|a"}
        connection.execute(models.runs.update().where(models.runs.c.session_id == free.id).values(**lost))
    assert sessions.end_lost_leases() == 1
    free.until_idle()
    assert free.tools()[0]["state"]["error"] == INTERRUPTED
    assert (workspace / "lines.txt").read_text() == "line\n"
    assert len(model_server.requests) == 2


def test_a_turn_that_was_told_whole_is_not_asked_again(talk: Talk, model_server: ModelServer) -> None:
    """However the end is written: no take-over finds a turn between its last message and its end."""
    prompt = talk.say("[[say Once.]]")
    talk.until(told.MessageUpdated, lambda event: event.message["completed"] is not None)
    assert sessions.get(talk.actor, talk.id).state == "idle"
    talk.until_idle()
    assert len(talk.answers(prompt)) == len(model_server.requests) == 1


def test_todos_are_known_to_the_next_step(talk: Talk, model_server: ModelServer) -> None:
    todo = {"content": "Test", "status": "pending", "priority": "high", "id": "1"}
    model_server.script = [
        [Call("todowrite", {"todos": [todo]}), Call("todoread", {})],
        [Call("todoread", {})],
        [Say("Done.")],
    ]
    talk.ask("go")
    assert ["Test" in tool["state"]["output"] for tool in talk.tools()] == [True, True, True]
    assert sessions.get(talk.actor, talk.id).todos[0]["content"] == "Test"
    assert any(isinstance(event, told.TodosUpdated) for event in talk.seen)


@pytest.mark.postgres
@pytest.mark.parametrize("store", ["postgres"])
def test_many_sessions_at_once_on_postgresql(app: Cabin, alice: Actor) -> None:
    talks = [Talk(alice, preset="auto") for _ in range(6)]
    for talk in talks:
        talk.say("[[words 40 2]] [[say never]]")
        talk.say("[[bash echo x]] [[say Second.]]")
    for talk in talks:
        talk.until_idle()
        texts = [text_of(m) for m in sessions.transcript(alice, talk.id) if m.role == "assistant"]
        assert texts == [("word " * 40).strip(), "", "Second."]


@pytest.mark.postgres
@pytest.mark.parametrize("store", ["postgres"])
def test_an_answer_beside_the_wait_wakes_the_run_on_postgresql(
    database: db.Database, alice: Actor, workspace: Path
) -> None:
    """The answer is written but not committed while the run decides whether to wait."""
    thing = type("Project", (), {"id": "prj_1", "owner": alice.user, "project": "prj_1", "visibility": "team"})
    place = type("Place", (), {"project": thing, "directory": workspace})
    session = sessions.create(alice, place)  # type: ignore[arg-type]
    _, run_id = sessions.send(alice, session.id, [{"type": "text", "text": "go"}])
    hold = sessions.take(run_id or "")
    assert hold is not None
    answered, begun, waited = [False], threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        if not sessions.wait(hold, lambda _: not answered[0]):
            sessions.finish(hold, "completed")
        waited.set()

    thread = threading.Thread(target=wait)
    with db.transaction() as connection:
        assert not sessions.requeue(connection, hold.run_id)
        thread.start()
        assert begun.wait(5)
        assert not waited.wait(0.05)  # it stands before the row that the answer holds
        answered[0] = True
    assert waited.wait(5)
    thread.join()
    run = sessions.last_run(alice, session.id)
    assert run is not None
    assert run.state == "completed"


@pytest.fixture
def wire(request: pytest.FixtureRequest, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """A provider on a wire of its own, pointed to the model server."""
    name: str = request.param
    monkeypatch.setenv("ANTHROPIC_BASE_URL", model_server.urls["anthropic"])
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", model_server.urls["google"])
    return name


@pytest.mark.parametrize("wire", ["anthropic", "google"], indirect=True)
def test_a_thought_goes_back_to_its_model_as_it_came_and_to_no_other(
    talk: Talk, model_server: ModelServer, wire: str
) -> None:
    model = {"anthropic": "claude-opus-5-5", "google": "gemini-3.8-flash"}[wire]
    call = Call("read", {"filePath": "README.md"}, "c1", signature="sig-call")
    model_server.script = [[Think("hm \n", signature="sig-thought"), Say("I look."), call], [Say("Seen.")]]
    prompt = talk.say("Hi", provider=wire, model=model)
    talk.until_idle()
    first, second = talk.answers(prompt)
    assert [part.type for part in first.parts[:4]] == ["step-start", "reasoning", "text", "tool"]
    assert text_of(second) == "Seen."
    said = str(model_server.requests[1])
    assert "'hm \\n'" in said
    assert ("sig-thought" in said, "sig-call" in said) == (True, wire == "google")
    talk.ask("And you?", provider="openai", model="scripted")
    assert "sig-" not in str(model_server.requests[2])
    told_in_place = f"{THOUGHTS_LEFT_OUT}\nI look."
    assert [one["content"] for one in model_server.requests[2]["messages"] if one["role"] == "assistant"] == [
        told_in_place, "Seen.",
    ]  # fmt: skip
    shown = [event.part for event in talk.seen if isinstance(event, told.PartUpdated)]
    assert all("signature" not in opencode_shapes.part(one) for one in shown)


@pytest.mark.parametrize("wire", ["openai", "anthropic", "google"], indirect=True)
def test_pictures_of_prompts_and_tools_reach_the_model(
    talk: Talk, model_server: ModelServer, workspace: Path, wire: str
) -> None:
    png = b"\x89PNG\r\n\x1a\n" + b"\0" * 16
    (workspace / "a.png").write_bytes(png)
    url = "data:image/png;base64,UFJPTVBU"
    model_server.script = [[Call("read", {"filePath": "a.png"}, "c1")], [Say("Seen.")]]
    parts = [{"type": "text", "text": "look"}, {"type": "file", "mime": "image/png", "url": url}]
    sessions.send(talk.actor, talk.id, parts, provider=wire, model="scripted")
    talk.until_idle()
    assert "UFJPTVBU" in str(model_server.requests[0])
    assert base64.b64encode(png).decode() in str(model_server.requests[1])


def test_the_model_is_told_the_instructions_of_the_project_and_where_it_is(
    talk: Talk, model_server: ModelServer, workspace: Path
) -> None:
    (workspace / "AGENTS.md").write_text("Always say please.")
    (workspace / ".git/HEAD").write_text("ref: refs/heads/feature/tax\n")
    talk.ask("Hi")
    (workspace / "AGENTS.md").write_text("Never say please.\n")
    talk.ask("Hi again")
    first, second = (request["messages"][0]["content"] for request in model_server.requests)
    assert "# Instructions from AGENTS.md\nAlways say please." in first
    assert "Never say please." in second
    assert f"Project directory: {workspace}\nGit repository: yes\nBranch: feature/tax\nPlatform: " in first


def test_a_run_that_fills_the_disk_is_told_and_stops(
    talk: Talk, model_server: ModelServer, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def free(_directory: Path) -> int:  # a disk of the workspace's own: the machine's is everybody's
        return (1 << 40) - sum(one.stat().st_size for one in workspace.glob("*.bin"))

    monkeypatch.setattr(space, "_free_bytes", free)
    config.use(replace(config.current(), limits=Limits(disk=8)))
    some, more = (f"head -c {size}M /dev/urandom > {size}.bin; sync {size}.bin" for size in (2, 40))
    prompt = talk.say(f"[[bash {some}]] [[bash {more}]] [[say Never said.]]")
    for _ in range(2):
        approvals.answer(talk.actor, talk.until_asked()["id"], "once")
    talk.until_idle()
    first, last = talk.answers(prompt)
    [little], [much] = ([part for part in one.parts if part.type == "tool"] for one in (first, last))
    assert "may write" not in little.data["state"]["output"]
    assert "a run may write 8 MiB, so it stops here" in much.data["state"]["output"]
    assert "a run may write 8 MiB" in last.data["error"]["data"]["message"]
    assert talk.state() == "failed"
    talk.ask("What happened?")
    assert "a run may write 8 MiB" in results(model_server.requests[-1])[-1]
