"""Whole turns in which a model calls a tool of an MCP server: asked, approved, pinned, aborted, told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.actor import Actor
from app.approvals import service as approvals
from app.approvals.service import Rule
from app.dialects.mount import Cabin
from app.mcp import service as mcp
from app.mcp.service import Status, Wanted
from app.projects.service import Place
from app.sessions import service as sessions
from tests.agent.talk import Talk
from tests.conftest import Caller
from tests.mcp.conftest import COMMAND
from tests.model_server import Call, ModelServer, Say
from tests.patience import PATIENCE
from tests.visitor import Browser, until


@pytest.fixture
def talk(app: Cabin, alice: Actor, peer: str) -> Talk:
    return Talk(alice)


def test_a_tool_is_offered_asked_about_and_its_result_told(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Call("peer_echo", {"text": "over there"})], [Say("Done.")]]
    talk.say("go")
    ask = talk.until_asked()
    assert ask["tool"] == "peer_echo"
    assert ask["metadata"]["description"] == "Says it back."
    approvals.answer(talk.actor, ask["id"], "once")
    talk.until_idle()
    offered = {one["function"]["name"]: one["function"] for one in model_server.requests[0]["tools"]}
    assert offered["peer_echo"]["parameters"]["properties"] == {"text": {"type": "string"}}
    state = talk.tools()[0]["state"]
    assert (state["status"], state["output"]) == ("completed", "over there")
    assert "over there" in str(model_server.requests[1]["messages"][-1])


def test_always_is_said_to_a_tool_as_it_is_and_not_to_what_it_becomes(talk: Talk, model_server: ModelServer) -> None:
    echo = Call("peer_echo", {"text": "a"})
    model_server.script = [[echo], [Call("peer_echo", {"text": "b"})], [Call("peer_change", {})]]
    model_server.script += [[Call("peer_image", {})], [Call("peer_echo", {"text": "c"})], [Say("Done.")]]
    talk.say("go")
    talk.answer("always")
    ask = talk.until_asked()
    assert ask["tool"] == "peer_change", "the second echo was not asked about"
    approvals.answer(talk.actor, ask["id"], "once")
    talk.answer("once")
    again = talk.until_asked()
    assert again["tool"] == "peer_echo"
    assert "sends it away" in again["metadata"]["description"]
    approvals.answer(talk.actor, again["id"], "once")
    talk.until_idle()
    assert [one["state"]["status"] for one in talk.tools()] == ["completed"] * 5


def test_a_rule_may_forbid_all_of_a_server(talk: Talk, model_server: ModelServer, alice: Actor) -> None:
    approvals.add_rule(alice, Rule("peer_*", "*", "deny"), talk.id)
    model_server.script = [[Call("peer_echo", {"text": "a"})], [Say("Done.")]]
    talk.ask("go")
    assert "Not allowed here" in talk.tools()[0]["state"]["error"]


def test_a_prompt_may_switch_it_off(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Say("Done.")]]
    talk.say("go", tools={"peer_*": False})
    talk.until_idle()
    names = {one["function"]["name"] for one in model_server.requests[0]["tools"]}
    assert "read" in names
    assert not any(name.startswith("peer_") for name in names)


def test_a_flood_is_cut_and_kept_in_a_file(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Call("peer_flood", {})], [Say("Done.")]]
    talk.say("go")
    talk.answer()
    talk.until_idle()
    state = talk.tools()[0]["state"]
    assert len(state["output"]) < 60_000
    assert state["output"].endswith("the end")
    assert state["metadata"]["truncated"]


def test_a_crash_is_told_to_the_model(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Call("peer_crash", {})], [Say("Done.")]]
    talk.say("go")
    talk.answer()
    talk.until_idle()
    assert "gave no result" in talk.tools()[0]["state"]["error"]


def test_an_abort_cancels_the_call(talk: Talk, model_server: ModelServer, alice: Actor, place: Place) -> None:
    model_server.script = [[Call("peer_hang", {})], [Say("Never.")]]
    talk.say("go")
    talk.answer()
    talk.until_tool("running")
    sessions.abort(alice, talk.id)
    talk.until_idle()
    assert talk.tools()[0]["state"]["status"] == "error"


def test_secrets_of_a_server_are_never_shown(talk: Talk, model_server: ModelServer) -> None:
    model_server.script = [[Call("peer_environ", {})], [Say("Done.")]]
    talk.say("go")
    talk.answer()
    talk.until_idle()
    output = talk.tools()[0]["state"]["output"]
    assert "PEER_KEY=" in output
    assert "not-for-anyone" not in output


def test_opencode_lists_adds_and_switches_servers(call: Caller, place: Place) -> None:
    config = {"type": "local", "command": ["python3", "peer.py"], "timeout": 60_000}
    assert call.get("/mcp").json == {}
    added = call.post("/mcp", {"name": "peer", "config": config})
    assert (added.status_code, added.json) == (200, {"peer": {"status": "connected"}})
    ids = call.get("/experimental/tool/ids").json
    assert {"read", "bash", "peer_echo"} <= set(ids)
    listed = call.get("/experimental/tool?provider=openai&model=scripted").json
    assert [one["id"] for one in listed] == ids
    echo = next(one for one in listed if one["id"] == "peer_echo")
    assert echo["parameters"]["properties"] == {"text": {"type": "string"}}
    assert call.get("/experimental/tool").status_code == 400
    assert call.post("/mcp/peer/disconnect").json is True
    assert call.get("/mcp").json == {"peer": {"status": "disabled"}}
    assert call.post("/mcp/peer/connect").json is True
    assert call.get("/mcp").json == {"peer": {"status": "connected"}}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "x"},
        {"name": "a b", "config": {"type": "local", "command": ["x"]}},
        {"name": "x", "config": {"type": "local", "command": []}},
        {"name": "x", "config": {"type": "local", "command": "sh -c id"}},
        {"name": "x", "config": {"type": "remote", "url": "file:///etc/passwd"}},
        {"name": "x", "config": {"type": "remote", "url": "https://x.example", "headers": {"A\nB": "c"}}},
        {"name": "x", "config": {"type": "remote", "url": "https://x.example", "oauth": {"redirectUri": "x"}}},
        {"name": "x", "config": {"type": "other"}},
    ],
)
def test_bad_servers_are_refused(call: Caller, place: Place, body: object) -> None:
    assert call.post("/mcp", body).status_code == 400
    assert call.get("/mcp").json == {}


def test_an_unknown_server_is_not_found(call: Caller, place: Place) -> None:
    for verb in ("connect", "disconnect"):
        assert call.post(f"/mcp/nobody/{verb}").status_code == 404


def test_a_prompt_of_a_server_is_a_command(
    call: Caller, talk: Talk, model_server: ModelServer, workspace: Path
) -> None:
    listed = next(one for one in call.get("/command").json if one["name"] == "peer:greet")
    assert (listed["source"], listed["description"], listed["hints"]) == ("mcp", "Greets.", ["$1", "$2"])
    (workspace / "hidden.txt").write_text("the words of a file")
    model_server.script = [[Say("Hello.")]]
    body = {"command": "peer:greet", "arguments": "'@hidden.txt and' !`id` at length"}
    answer = call.post(f"/session/{talk.id}/command", body)
    assert answer.status_code == 200, answer.text
    asked = str(model_server.requests[0]["messages"][-1])
    assert "Greet @hidden.txt and !`id` at length." in asked
    assert "the words of a file" not in asked
    assert "square brackets" not in asked


def test_a_prompt_without_what_it_needs_is_refused(call: Caller, talk: Talk, alice: Actor, place: Place) -> None:
    for name, words in (("peer:greet", "needs who"), ("peer:unknown", "no command")):
        answer = call.post(f"/session/{talk.id}/command", {"command": name, "arguments": ""})
        assert answer.status_code == 400
        assert words in answer.text
    mcp.disconnect(alice, place, "peer")
    assert not [one for one in call.get("/command").json if one["source"] == "mcp"]


def test_a_prompt_is_called_from_the_composer(
    browser: Browser, call: Caller, talk: Talk, model_server: ModelServer
) -> None:
    listed = browser.get(f"/commands?at={talk.id}").text
    assert "/peer:greet" in listed
    assert "of an MCP server" in listed
    assert "/peer:greet" in browser.get(f"/search?q=greet&at={talk.id}").text
    assert "peer:greet" not in call.get("/config").json["command"]
    model_server.script = [[Say("Hello.")]]
    browser.post(f"/sessions/{talk.id}/send", {"text": "/peer:greet Mei warmly and long", "mode": "build"})
    talk.until_idle()
    assert "Greet Mei warmly and long." in str(model_server.requests[0]["messages"][-1])


def test_one_that_takes_long_keeps_nobody_waiting(call: Caller, alice: Actor, place: Place) -> None:
    with ThreadPoolExecutor(1) as pool:
        adding = pool.submit(mcp.add, alice, place, "silent", Wanted("local", (*COMMAND, "--silent"), timeout=120_000))
        until(lambda: mcp.statuses(alice, place).get("silent", Status("failed")).state == "connecting")
        told = call.get("/mcp").json["silent"]
        assert told == {"status": "failed", "error": "It is being connected."}
        assert not adding.done()
        mcp.remove(alice, place, "silent")
        assert adding.result(timeout=PATIENCE).state == "disabled"
