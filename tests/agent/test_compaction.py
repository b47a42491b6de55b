"""Conversations that are summed up: when, what the model sees then, what people see, and how it is undone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.actor import Actor
from app.agent import service as agent
from app.agent.conversation import BEGUN, SUMMED_UP
from app.config import Config
from app.dialects.mount import Cabin
from app.errors import Conflict, Denied, NotFound
from app.sessions import events as told
from app.sessions import service as sessions
from app.sessions.service import Message
from tests.agent.talk import Talk, text_of
from tests.conftest import Caller
from tests.dialects.opencode_schemas import check, check_message, check_refusal
from tests.model_server import Call, Cut, Fail, Finish, Gate, ModelServer, Say

BOTH = pytest.mark.parametrize("store", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
WINDOW, OUTPUT = 8_000, 1_000
FULL = Finish("stop", {"prompt_tokens": 7_500, "completion_tokens": 10})
OVERFLOW = Fail(400, {"error": {"code": "context_length_exceeded", "message": "maximum context length is 8000 tokens"}})
SUMMARY = [Say("## Task: tell the time. "), Finish("stop", {"prompt_tokens": 900, "completion_tokens": 30})]
LONG = "word " * 2_000
SUMMED = f"{SUMMED_UP}\n\n## Task: tell the time."


@pytest.fixture
def store() -> str:
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
    """A server whose model holds 8,000 tokens, of which 1,000 are for its answer."""
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    settings = replace(settings, project=workspace, model="openai/scripted")
    configure(settings, model_server)
    if store == "sqlite":
        return settings
    return replace(settings, database_url=request.getfixturevalue("postgres_database"))


def configure(settings: Config, model_server: ModelServer, **more: Any) -> None:
    """Write the server's opencode.json."""
    model = {"limit": {"context": WINDOW, "output": OUTPUT}, "cost": {"input": 10, "output": 100}}
    provider = {"openai": {"options": {"baseURL": model_server.url}, "models": {"scripted": model}}}
    (settings.data_dir / "opencode.json").write_text(json.dumps({"provider": provider, **more}))


@pytest.fixture
def talk(app: Cabin, alice: Actor) -> Talk:
    return Talk(alice, preset="auto")


def seen(request: dict[str, Any]) -> list[str]:
    """What a request told the model after the system prompt, in order."""
    return [str(message.get("content") or "") for message in request["messages"][1:]]


def asked_for(transcript: list[Message]) -> list[Message]:
    """The messages that ask for a summary."""
    return [message for message in transcript if message.parts and message.parts[0].type == "compaction"]


def transcript_of(talk: Talk) -> list[Message]:
    return sessions.transcript(talk.actor, talk.id)


def sum_up(talk: Talk) -> Message:
    """Ask for a summary and wait for it; what asked."""
    asked, _run = sessions.summarize(talk.actor, talk.id)
    talk.until_idle()
    return sessions.message(talk.actor, talk.id, asked.id)


@BOTH
def test_a_full_window_is_summed_up_before_the_next_request(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Say("It is noon."), FULL], SUMMARY, [Say("Still noon.")]]
    talk.ask(f"What time is it? {LONG}")
    (answer,) = talk.ask("And now?")
    assert text_of(answer) == "Still noon."
    _first, summing, last = model_server.requests
    assert summing["messages"][0]["content"].startswith("You sum up conversations of a coding agent")
    assert "User: What time is it?" in seen(summing)[0]
    assert "Agent: It is noon." in seen(summing)[0]
    assert "tools" not in summing
    assert seen(last) == [SUMMED, "And now?"]
    transcript = transcript_of(talk)
    assert [m.role for m in transcript] == ["user", "assistant", "user", "user", "assistant", "assistant"]
    (asked,) = asked_for(transcript)
    assert asked.parts[0].data["auto"] is True
    summary = transcript[4]
    assert (summary.data["summary"], summary.data["parentID"], summary.data["agent"]) == (True, asked.id, "compaction")


def test_a_window_that_is_not_full_is_left_alone(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Say("Noon."), Finish("stop", {"prompt_tokens": 6_900, "completion_tokens": 10})]]
    talk.ask("What time is it?")
    talk.ask("And now?")
    assert len(model_server.requests) == 2
    assert asked_for(transcript_of(talk)) == []


def test_what_came_after_the_last_step_counts_too(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Say("Noon."), Finish("stop", {"prompt_tokens": 5_000, "completion_tokens": 10})], SUMMARY]
    talk.ask("What time is it?")
    talk.ask("word " * 2_600)
    assert len(model_server.requests) == 3


def test_in_the_middle_of_a_turn_the_newest_steps_stay_as_they_are(
    talk: Talk, model_server: ModelServer, workspace: Path
) -> None:
    (workspace / "long.txt").write_text("line\n" * 3_000)
    model_server.script = [
        [Call("read", {"filePath": "long.txt"}, "c1")],
        [Call("read", {"filePath": "README.md"}, "c2"), Finish("tool_calls", {"prompt_tokens": 7_900, "completion_tokens": 9})],
        SUMMARY,
        [Say("Read both.")],
    ]  # fmt: skip
    answers = talk.ask("Read them.")
    assert text_of(answers[-1]) == "Read both."
    last = model_server.requests[-1]["messages"]
    assert [message["role"] for message in last] == ["system", "user", "user", "assistant", "tool"]
    assert last[1]["content"].startswith(SUMMED_UP)
    assert "Read them." in str(last[2]["content"])
    assert BEGUN in str(last[2]["content"])
    assert "Sells things." in last[4]["content"]
    assert "long.txt" not in str(last)
    assert len(transcript_of(talk)) == 6, "people still see everything"


@BOTH
def test_a_refusal_as_too_long_is_summed_up_and_asked_again(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Say("It is noon.")], [OVERFLOW], SUMMARY, [Say("Still noon.")]]
    talk.ask("What time is it?")
    (answer,) = talk.ask("And now?")
    assert text_of(answer) == "Still noon."
    (asked,) = asked_for(transcript_of(talk))
    assert asked.parts[0].data["overflow"] is True
    assert talk.state() == "idle"
    assert "message_removed" in talk.kinds(), "the step that was refused leaves nothing behind"


def test_a_conversation_that_cannot_be_made_shorter_fails_plainly(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[OVERFLOW]]
    (answer,) = talk.ask("What time is it?")
    assert answer.data["error"]["name"] == "ContextOverflowError"
    model_server.script = [[OVERFLOW], SUMMARY, [OVERFLOW]]
    answers = talk.ask("And now?")
    assert answers[-1].data["error"]["name"] == "ContextOverflowError"
    assert talk.state() == "failed"
    assert len(model_server.requests) == 4


def test_a_summary_that_fails_before_it_is_needed_loses_nothing(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Say("Noon."), FULL], [Fail(401)], [Say("Still noon.")]]
    talk.ask("What time is it?")
    (answer,) = talk.ask("And now?")
    assert text_of(answer) == "Still noon."
    assert seen(model_server.requests[-1]) == ["What time is it?", "Noon.", "And now?"]
    (asked,) = asked_for(transcript_of(talk))
    assert asked.parts[0].data["failed"]
    assert sessions.get(talk.actor, talk.id).compacting is None


def test_a_summary_that_fails_when_it_is_needed_keeps_the_prompt_and_says_why(
    talk: Talk, model_server: ModelServer
) -> None:
    model_server.script = [[Say("Noon.")], [OVERFLOW], [Fail(401)]]
    talk.ask("What time is it?")
    (answer,) = talk.ask("And now?")
    assert "maximum context length" in answer.data["error"]["data"]["message"]
    assert "Summing it up failed" in answer.data["error"]["data"]["message"]
    talk.ask("Once more")
    assert seen(model_server.requests[-1])[-2:] == ["And now?", "Once more"]


def test_a_summary_s_request_that_is_too_long_itself_is_made_shorter(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Say(f"Noon. {LONG}")], [OVERFLOW], [OVERFLOW], SUMMARY, [Say("Still noon.")]]
    talk.ask("What time is it?")
    (answer,) = talk.ask("And now?")
    assert text_of(answer) == "Still noon."
    lengths = [len(seen(request)[0]) for request in model_server.requests[2:4]]
    assert lengths[1] < lengths[0]


def test_it_does_not_happen_by_itself_where_it_is_switched_off(
    talk: Talk, settings: Config, model_server: ModelServer
) -> None:
    configure(settings, model_server, compaction={"auto": False})
    model_server.script = [[Say("Noon."), FULL], [OVERFLOW]]
    talk.ask("What time is it?")
    (answer,) = talk.ask("And now?")
    assert answer.data["error"]["name"] == "ContextOverflowError"
    assert asked_for(transcript_of(talk)) == []


@BOTH
def test_a_person_asks_for_it_and_takes_it_back(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Say("It is noon.")], SUMMARY]
    talk.ask(f"What time is it? {LONG}")
    asked = sum_up(talk)
    talk.ask("And now?")
    assert seen(model_server.requests[-1])[0] == SUMMED
    assert LONG.strip() not in str(seen(model_server.requests[-1]))
    sessions.put_summary_aside(talk.actor, talk.id, asked.id)
    talk.ask("And then?")
    assert [one.strip() for one in seen(model_server.requests[-1])[:3]] == [
        f"What time is it? {LONG}".strip(),
        "It is noon.",
        "And now?",
    ]
    sessions.put_summary_aside(talk.actor, talk.id, asked.id, aside=False)
    talk.ask("At last?")
    assert seen(model_server.requests[-1])[0] == SUMMED
    updates = [event.part["data"] for event in talk.seen if isinstance(event, told.PartUpdated)]
    assert [bool(data.get("undone")) for data in updates if "auto" in data] == [False, False, True, False]


def test_the_second_summary_is_made_from_the_first(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Say("It is noon.")], SUMMARY, [Say("One.")], [Say("## Task: count.")]]
    talk.ask(f"What time is it? {LONG}")
    sum_up(talk)
    talk.ask("Count.")
    second = sum_up(talk)
    made_from = seen(model_server.requests[-1])[0]
    assert "## Task: tell the time." in made_from
    assert "User: Count." in made_from
    assert LONG[:100] not in made_from
    sessions.put_summary_aside(talk.actor, talk.id, second.id)
    talk.ask("Again?")
    assert seen(model_server.requests[-1])[0].endswith("## Task: tell the time."), "the one before it is in force again"


def test_prompts_that_wait_their_turn_are_not_summed_up(talk: Talk, model_server: ModelServer) -> None:
    gate = Gate()
    model_server.script = [[Say(f"Noon. {LONG}")], [gate, *SUMMARY], [Say("One.")]]
    talk.ask("What time is it?")
    sessions.summarize(talk.actor, talk.id)
    assert gate.reached.wait(10)
    waiting = talk.say("Count to one.")
    gate.opened.set()
    talk.until_idle()
    assert seen(model_server.requests[-1]) == [SUMMED, "Count to one."]
    assert text_of(talk.answers(waiting)[0]) == "One."


def test_what_a_busy_run_says_before_the_summary_is_covered_by_it(talk: Talk, model_server: ModelServer) -> None:
    gate = Gate()
    model_server.script = [[gate, Say(f"It is noon. {LONG}")], SUMMARY, [Say("Yes.")]]
    talk.say("What time is it?")
    assert gate.reached.wait(10)
    sessions.summarize(talk.actor, talk.id)
    gate.opened.set()
    talk.until_idle()
    talk.ask("Sure?")
    assert "It is noon." in seen(model_server.requests[1])[0]
    assert seen(model_server.requests[2]) == [SUMMED, "Sure?"]


def test_its_tokens_are_apart_from_the_task_s_and_its_cost_counts(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [
        [Say(f"Noon. {LONG}"), Finish("stop", {"prompt_tokens": 100, "completion_tokens": 10})],
        SUMMARY,
    ]
    talk.ask("What time is it?")
    before = sessions.get(talk.actor, talk.id)
    sum_up(talk)
    after = sessions.get(talk.actor, talk.id)
    assert (
        (after.tokens["input"], after.tokens["output"])
        == (before.tokens["input"], before.tokens["output"])
        == (100, 10)
    )
    assert after.tokens["beside"] == {"input": 900, "output": 30, "cost": pytest.approx(0.012)}
    assert after.cost == pytest.approx(before.cost + 0.012)
    assert after.tokens["context"] < 50
    talk.ask("And now?")
    assert sessions.get(talk.actor, talk.id).tokens["beside"]["input"] == 900


def test_a_stopped_summary_leaves_the_session_as_it_was(talk: Talk, model_server: ModelServer) -> None:
    gate = Gate()
    model_server.script = [[Say("Noon.")], [Say("## Ta"), gate]]
    talk.ask("What time is it?")
    asked, _run = sessions.summarize(talk.actor, talk.id)
    talk.until(told.PartDelta)
    sessions.abort(talk.actor, talk.id)
    talk.until_idle()
    (summary,) = talk.answers(asked.id)
    assert (summary.data["error"]["name"], bool(summary.completed)) == ("MessageAbortedError", True)
    assert sessions.get(talk.actor, talk.id).compacting is None
    talk.ask("And now?")
    assert seen(model_server.requests[-1]) == ["What time is it?", "Noon.", "And now?"]


def test_stopping_in_the_middle_of_an_automatic_summary_closes_it(talk: Talk, model_server: ModelServer) -> None:
    gate = Gate()
    model_server.script = [[Say("Noon."), FULL], [Say("## Ta"), gate]]
    talk.ask("What time is it?")
    talk.say("And now?")
    assert gate.reached.wait(10)
    sessions.abort(talk.actor, talk.id)
    talk.until_idle()
    assert all(message.completed for message in transcript_of(talk) if message.role == "assistant")


def test_a_summary_under_way_at_a_restart_is_begun_again(talk: Talk, model_server: ModelServer) -> None:
    gate = Gate()
    model_server.script = [[Say("Noon."), FULL], [Say("## Ta"), gate, Cut()], SUMMARY, [Say("Still noon.")]]
    talk.ask("What time is it?")
    prompt = talk.say("And now?")
    assert gate.reached.wait(10)
    talk.until(told.PartDelta)
    agent.drain()
    gate.opened.set()
    talk.until(told.SessionUpdated, lambda event: event.session["state"] == "queued")
    agent.start()
    talk.until_idle()
    assert text_of(talk.answers(prompt)[-1]) == "Still noon."
    (asked,) = asked_for(transcript_of(talk))
    assert [bool(m.data.get("finish")) for m in talk.answers(asked.id)] == [False, True]


def test_nothing_said_is_nothing_to_sum_up(talk: Talk, charlie: Actor) -> None:
    with pytest.raises(Conflict, match="nothing to sum up"):
        sessions.summarize(talk.actor, talk.id)
    with pytest.raises((Denied, NotFound)):
        sessions.summarize(charlie, talk.id)


def test_only_a_finished_summary_is_put_aside(
    talk: Talk, model_server: ModelServer, charlie: Actor, alice: Actor
) -> None:
    gate = Gate()
    model_server.script = [[Say("Noon.")], SUMMARY, [gate, Say("Yes.")]]
    prompt = talk.ask("What time is it?")[0].data["parentID"]
    with pytest.raises(NotFound):
        sessions.put_summary_aside(alice, talk.id, prompt)
    asked = sum_up(talk)
    with pytest.raises((Denied, NotFound)):
        sessions.put_summary_aside(charlie, talk.id, asked.id)
    talk.say("Sure?")
    assert gate.reached.wait(10)
    with pytest.raises(Conflict):
        sessions.put_summary_aside(alice, talk.id, asked.id)
    gate.opened.set()
    talk.until_idle()


@BOTH
def test_opencode_s_clients_hear_of_it_in_the_order_of_both_generations(
    talk: Talk, model_server: ModelServer, call: Caller
) -> None:
    model_server.script = [[Say("Noon.")], SUMMARY]
    talk.ask("What time is it?")
    talk.seen.clear()
    body = {"providerID": "openai", "modelID": "scripted"}
    assert call.post(f"/opencode/session/{talk.id}/summarize", body).json is True
    talk.until_idle()
    kinds = talk.kinds()
    newer = ["user", "compaction", "busy", "assistant", "step-start", "part_delta", "step-finish", "assistant", "assistant done", "compacted", "idle"]  # fmt: skip
    older = ["running", "assistant", "part_delta", "compacted", "assistant done", "running"]
    for order in (newer, older):
        left = iter(kinds)
        assert all(kind in left for kind in order), kinds
    sized = [event.session["compacting"] for event in talk.seen if isinstance(event, told.SessionUpdated)]
    assert [bool(one) for one in sized] == [False, False, True, True, False, False]
    transcript = call.get(f"/opencode/session/{talk.id}/message").json
    for message in (*transcript[:2], transcript[3]):
        check_message(message)
    check("UserMessage", transcript[2]["info"])
    assert {name: transcript[2]["parts"][0][name] for name in ("type", "auto")} == {"type": "compaction", "auto": False}
    assert transcript[3]["info"]["summary"] is True
    check("Session", call.get(f"/opencode/session/{talk.id}").json)


def test_summarize_tells_bad_input_plainly(talk: Talk, call: Caller, stranger: Caller) -> None:
    there = f"/opencode/session/{talk.id}/summarize"
    check_refusal(call.post(there, {"providerID": "openai"}), 400, "BadRequest")
    check_refusal(call.post(there, {"providerID": "openai", "modelID": "scripted"}), 409, "ConflictError")
    check_refusal(
        call.post("/opencode/session/ses_none/summarize", {"providerID": "a", "modelID": "b"}), 404, "NotFoundError"
    )
    check_refusal(stranger.post(there, {"providerID": "a", "modelID": "b"}), 401, "UnauthorizedError")


def test_summarize_answers_whether_there_is_a_summary(talk: Talk, model_server: ModelServer, call: Caller) -> None:
    model_server.script = [[Say("Noon.")], [Fail(401)]]
    talk.ask("What time is it?")
    body = {"providerID": "openai", "modelID": "scripted"}
    assert call.post(f"/opencode/session/{talk.id}/summarize", body).json is False
    assert talk.state() == "failed"


def test_the_demo_model_sums_up_too(talk: Talk, call: Caller) -> None:
    talk.ask("Hi", provider="demo", model="walkthrough")
    body = {"providerID": "demo", "modelID": "walkthrough"}
    assert call.post(f"/opencode/session/{talk.id}/summarize", body).json is True
