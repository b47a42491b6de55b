"""Titles by a small model: beside the task, and only while nobody chose another."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest

from app.actor import Actor
from app.agent import service as agent
from app.agent import titles
from app.config import Config
from app.dialects.mount import Cabin
from app.sessions import events as told
from app.sessions import service as sessions
from tests.agent.talk import Talk
from tests.model_server import ModelServer

PRICED = {"cost": {"input": 1000, "output": 0}}
Small = Callable[[str], None]


@pytest.fixture
def talk(app: Cabin, alice: Actor, scripted: ModelServer) -> Talk:
    return Talk(alice, preset="auto")


@pytest.fixture
def small(settings: Config, scripted: ModelServer) -> Small:
    """Configure a small model."""

    def write(name: str) -> None:
        provider = {"openai": {"options": {"baseURL": scripted.url}, "models": {"small": PRICED, "scripted": {}}}}
        (settings.data_dir / "opencode.json").write_text(json.dumps({"small_model": name, "provider": provider}))

    return write


def named(talk: Talk) -> sessions.Session:
    """Wait for the title that the small model gave."""
    talk.until(told.SessionUpdated, lambda event: "beside" in event.session["tokens"])
    return sessions.get(talk.actor, talk.id)


def test_the_small_model_names_a_session_beside_its_first_turn(talk: Talk, small: Small, scripted: ModelServer) -> None:
    small("openai/small")
    talk.say("[[say **Noon it is**]]")
    session = named(talk)
    assert session.title == "Noon it is"
    by_model = {request["model"]: request for request in scripted.requests}
    asked = by_model["small"]["messages"]
    assert asked[0]["content"].startswith("You name conversations of a coding agent.")
    assert asked[1]["content"] == "[[say **Noon it is**]]"
    assert "tools" not in by_model["small"]
    assert session.tokens["beside"]["input"] == 100
    assert session.cost == pytest.approx(0.1)
    if not any(isinstance(event, told.SessionIdle) for event in talk.seen):  # either may be told first
        talk.until_idle()
    talk.ask("[[say Again.]]")
    assert [request["model"] for request in scripted.requests].count("small") == 1
    final = sessions.get(talk.actor, talk.id)
    assert (final.title, final.tokens["input"], final.tokens["beside"]["input"]) == ("Noon it is", 200, 100)


def test_a_person_s_own_command_before_it_names_nothing(talk: Talk, small: Small, scripted: ModelServer) -> None:
    small("openai/small")
    agent.run_shell(talk.actor, talk.id, "true")
    talk.until_idle()
    assert scripted.requests == []
    talk.say("[[say **Noon it is**]]")
    assert named(talk).title == "Noon it is"


def test_without_a_small_model_the_first_prompt_is_the_title(
    talk: Talk, scripted: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    talk.ask("[[say Noon.]]")
    titles.name(talk.id)
    assert caplog.text == ""
    assert sessions.get(talk.actor, talk.id).title == "[[say Noon.]]"
    assert len(scripted.requests) == 1


def test_a_name_that_a_person_gave_stands(talk: Talk, small: Small, scripted: ModelServer) -> None:
    small("openai/small")
    sessions.update(talk.actor, talk.id, title="Mine")
    talk.ask("[[say Noon it is]]")
    titles.name(talk.id)
    assert sessions.get(talk.actor, talk.id).title == "Mine"
    assert {request["model"] for request in scripted.requests} == {"scripted"}
    told_by_now = sessions.retitle(talk.actor, talk.id, "[[say Noon it is]]", "Late", 0.0, {})
    assert told_by_now.title == "Mine"


@pytest.mark.parametrize("name", ["openai/small", "nobody/small"])
def test_a_small_model_that_fails_changes_nothing(
    talk: Talk, small: Small, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    talk.ask("[[error 400]]")
    small(name)
    with caplog.at_level(logging.WARNING):
        titles.name(talk.id)
    assert "keeps its title" in caplog.text
    assert sessions.get(talk.actor, talk.id).title == "[[error 400]]"


def test_a_session_that_is_gone_needs_no_title(talk: Talk, small: Small, scripted: ModelServer) -> None:
    small("openai/small")
    titles.name(talk.id)
    sessions.delete(talk.actor, talk.id)
    titles.name(talk.id)
    assert scripted.requests == []
