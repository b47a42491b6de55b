"""The published server of everything, over its standard streams in the sandbox and over streamable HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.actor import Actor
from app.approvals import service as approvals
from app.config import Config
from app.dialects.mount import Cabin
from app.mcp import service as mcp
from app.mcp.service import Answer, RemoteTool, Wanted
from app.projects.service import Place
from app.sessions import service as sessions
from tests.agent.talk import Talk
from tests.conftest import Caller
from tests.mcp import everything
from tests.model_server import Call, ModelServer, Say
from tests.visitor import until

TOOLS = {
    *("every_echo", "every_get-annotated-message", "every_get-env", "every_get-resource-links"),
    *("every_get-resource-reference", "every_get-structured-content", "every_get-sum", "every_get-tiny-image"),
    *("every_gzip-file-as-resource", "every_toggle-simulated-logging", "every_toggle-subscriber-updates"),
    "every_trigger-long-running-operation",
}


@pytest.fixture(params=["stdio", "http"])
def wanted(request: pytest.FixtureRequest, workspace: Path, tmp_path: Path) -> Iterator[Wanted]:
    """How it is reached, in turn."""
    if request.param == "stdio":
        yield Wanted("local", everything.lay(workspace), timeout=60_000)
        return
    far = tmp_path / "far"
    far.mkdir()
    with everything.listening(far) as place:
        yield Wanted("remote", (f"http://{place}/mcp",), timeout=60_000)


@pytest.fixture
def settings(settings: Config, wanted: Wanted) -> Config:
    """The address of a remote one is open to us."""
    if wanted.kind == "local":
        return settings
    return replace(settings, outbound_allow=(wanted.target[0].split("/")[2],))


@pytest.fixture
def every(alice: Actor, place: Place, wanted: Wanted) -> str:
    """The name of the connected server."""
    status = mcp.add(alice, place, "every", wanted)
    assert status.state == "connected", status
    return "every"


@pytest.fixture
def talk(app: Cabin, alice: Actor, every: str) -> Talk:
    return Talk(alice)


def tool(actor: Actor, place: Place, name: str) -> RemoteTool:
    return next(one for one in mcp.tools(actor, place) if one.name == name)


def call(actor: Actor, place: Place, name: str, /, **given: Any) -> Answer:
    answer = mcp.call(actor, place, tool(actor, place, name), given, lambda *_said: None, threading.Event())
    assert answer is not None
    return answer


def test_what_it_offers_is_listed(alice: Actor, place: Place, every: str) -> None:
    tested = mcp.test(alice, place, every)
    assert {one.id for one in tested.offer.tools} >= TOOLS
    assert {one.id for one in tested.offer.prompts} >= {"every:simple-prompt", "every:args-prompt"}
    assert "demo://resource/static/document/architecture.md" in {one.uri for one in tested.offer.resources}
    assert tested.status.error == ""


def test_it_answers_with_text_pictures_and_structures(alice: Actor, place: Place, every: str) -> None:
    assert call(alice, place, "echo", message="over there") == Answer("Echo: over there")
    image = call(alice, place, "get-tiny-image")
    assert image.text.split("\n")[1] == "[an image, image/png]"
    assert image.attachments[0]["url"].startswith("data:image/png;base64,iVBOR")
    weather = orjson.loads(call(alice, place, "get-structured-content", location="Chicago").text)
    assert weather == {"temperature": 36, "conditions": "Light rain / drizzle", "humidity": 82}
    assert "demo://resource" in call(alice, place, "get-resource-reference").text
    assert "demo://resource" in call(alice, place, "get-resource-links", count=3).text


def test_a_call_that_makes_no_sense_fails_and_says_so(alice: Actor, place: Place, every: str) -> None:
    answer = call(alice, place, "get-structured-content", location="Atlantis")
    assert answer.is_error
    assert "location" in answer.text


def test_it_tells_how_far_it_is(alice: Actor, place: Place, every: str) -> None:
    told: list[Any] = []
    given = {"duration": 3, "steps": 3}  # of steps that come faster than every 0.1 s only the latest is told
    long = tool(alice, place, "trigger-long-running-operation")
    answer = mcp.call(alice, place, long, given, lambda *said: told.append(said[:2]), threading.Event())
    assert answer is not None
    assert "completed" in answer.text
    # Over HTTP the last of them and the answer may come in either order, and what comes after the answer is dropped.
    assert told[:2] == [(1.0, 3.0), (2.0, 3.0)]


def test_its_log_is_none_of_ours(alice: Actor, place: Place, every: str, caplog: pytest.LogCaptureFixture) -> None:
    call(alice, place, "toggle-simulated-logging")
    assert call(alice, place, "echo", message="still") == Answer("Echo: still")
    assert caplog.records == []
    assert not any("level" in line for line in mcp.statuses(alice, place)[every].log)


def test_a_further_resource_is_listed_as_soon_as_it_says_so(alice: Actor, place: Place, every: str) -> None:
    before = {one.uri for one in mcp.resources(alice, place)}
    call(alice, place, "gzip-file-as-resource", name="new.gz", data="data:text/plain,hello")
    new = until(lambda: {one.uri for one in mcp.resources(alice, place)} - before)
    assert len(new) == 1
    assert next(iter(new)).endswith("new.gz")


def test_an_agent_calls_it_once_it_may(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Call("every_echo", {"message": "by an agent"})], [Say("Done.")]]
    talk.say("go")
    ask = talk.until_asked()
    assert (ask["tool"], ask["metadata"]["description"]) == ("every_echo", "Echoes back the input string")
    approvals.answer(talk.actor, ask["id"], "once")
    talk.until_idle()
    state = talk.tools()[0]["state"]
    assert (state["status"], state["output"]) == ("completed", "Echo: by an agent")


def test_an_abort_ends_a_long_call(talk: Talk, model_server: ModelServer, alice: Actor, place: Place) -> None:
    given = {"duration": 600, "steps": 6_000}
    model_server.script = [[Call("every_trigger-long-running-operation", given)], [Say("Never.")]]
    talk.say("go")
    talk.answer()
    talk.until_tool("running")
    sessions.abort(alice, talk.id)
    talk.until_idle()
    assert talk.tools()[0]["state"]["status"] == "error"
    assert call(alice, place, "echo", message="still here") == Answer("Echo: still here")


def test_its_resources_are_listed_as_opencode_does(call: Caller, every: str) -> None:
    listed = call.get("/experimental/resource").json
    architecture = listed["every:architecture.md"]
    assert architecture["uri"] == "demo://resource/static/document/architecture.md"
    assert (architecture["client"], architecture["mimeType"]) == ("every", "text/markdown")
