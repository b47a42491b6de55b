"""Subagents: begun by a call, waited for without holding anything, told of at their end; on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import ids, migrate
from app.actor import Actor
from app.approvals import service as approvals
from app.config import Config
from app.dialects.mount import Cabin
from app.sessions import service as sessions
from tests import postgres
from tests.agent.talk import Talk, text_of
from tests.model_server import Call, Gate, ModelServer, Say

BOTH = pytest.mark.parametrize("store", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])


@pytest.fixture
def store() -> str:
    """Which database a test runs on."""
    return "sqlite"


@pytest.fixture(scope="session")
def subagents_template(postgres_server: postgres.Server) -> str:
    """A migrated PostgreSQL database that tests copy."""
    migrate.upgrade(postgres_server.create("subagents_template"))
    return "subagents_template"


@pytest.fixture
def settings(
    settings: Config,
    store: str,
    workspace: Path,
    model_server: ModelServer,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Config]:
    """A server with a single worker thread: whoever waited in it would stop everything."""
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = replace(settings, project=workspace, model="openai/scripted", worker_threads=1)
    if store == "sqlite":
        yield settings
        return
    found: postgres.Server = request.getfixturevalue("postgres_server")
    name = f"subagents_{ids.random('db').lower()}"
    yield replace(settings, database_url=found.create(name, request.getfixturevalue("subagents_template")))
    found.drop(name)


@pytest.fixture
def talk(app: Cabin, alice: Actor) -> Talk:
    """A session that asks before it changes anything."""
    return Talk(alice)


def task(prompt: str, kind: str = "general", **more: Any) -> Call:
    return Call("task", {"description": "A part of it", "prompt": prompt, "subagent_type": kind, **more})


def directive(prompt: str) -> str:
    """A call of task as the prompt of one who begins a subagent: brackets in it are spelled so that none nest."""
    given = json.dumps({"description": "Part", "prompt": prompt, "subagent_type": "general"})
    return "[[call task " + given.replace("[", "\\u005b").replace("]", "\\u005d") + "]]"


def children(talk: Talk) -> list[sessions.Session]:
    return sessions.children(talk.actor, talk.id)


def said(actor: Actor, session_id: str) -> list[str]:
    return [text_of(m) for m in sessions.transcript(actor, session_id) if m.role == "assistant"]


@BOTH
def test_parent_child_and_grandchild_end_with_one_worker(talk: Talk, model_server: ModelServer) -> None:
    talk.ask(f"{directive(directive('[[say Deepest.]]') + ' [[say Middle.]]')} [[say Top.]]")
    [child] = children(talk)
    [grandchild] = sessions.children(talk.actor, child.id)
    assert said(talk.actor, grandchild.id) == ["Deepest."]
    assert said(talk.actor, child.id)[-1] == "Middle."
    assert said(talk.actor, talk.id)[-1] == "Top."
    [call] = talk.tools()
    assert call["state"]["status"] == "completed"
    assert call["state"]["output"] == f"Middle.\n\ntask_id: {child.id}"
    assert call["state"]["metadata"]["sessionId"] == child.id
    assert {one.state for one in (child, grandchild, talk.session)} == {"idle"}
    assert (child.title, child.mode) == ("Part (@general subagent)", "general")


@BOTH
def test_subagents_of_one_step_work_at_the_same_time(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[task("[[say One.]]"), task("[[say Two.]]")]]
    talk.say("Both")
    talk.until_idle()
    outputs = [call["state"]["output"].partition("\n")[0] for call in talk.tools()]
    assert outputs == ["One.", "Two."]
    starts = [one.created for one in children(talk)]
    ends = [call["state"]["time"]["end"] for call in talk.tools()]
    assert max(starts) <= min(ends), "the second was begun before the first had ended"


def test_a_waiting_run_holds_no_worker(talk: Talk, alice: Actor, model_server: ModelServer) -> None:
    gate = Gate()
    model_server.script = [[task("Wait")], [gate, Say("At last.")]]
    talk.say("Begin")
    assert gate.reached.wait(10)
    [run] = sessions.live_runs(alice, [talk.id])[talk.id]
    assert (run.state, run.lease_owner) == ("waiting", None)
    gate.opened.set()
    talk.until_idle()


@BOTH
def test_an_ask_of_a_subagent_is_answered_from_its_parent(talk: Talk, model_server: ModelServer) -> None:
    facts = Talk.follow
    talk.say(directive("[[bash echo hi]] [[say Ran it.]]"))
    [child] = wait_for(lambda: children(talk))
    [ask] = wait_for(lambda: approvals.waiting(talk.actor, talk.id))
    assert ask.session_id == child.id
    assert facts is Talk.follow
    approvals.answer(talk.actor, ask.id, "once")
    talk.until_idle()
    assert talk.tools()[0]["state"]["output"].startswith("Ran it.")


def wait_for(look: Any) -> Any:
    """What a look finds, once it finds something; a deadline bounds it."""
    import time

    deadline = time.monotonic() + 15
    while not (found := look()):
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.005)
    return found
