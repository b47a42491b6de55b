"""MCP servers over RooCode's External API: listed with their tools, shown without secrets, switched on and off."""

from __future__ import annotations

import pytest

from app.actor import Actor
from app.approvals import service as approvals
from app.approvals.service import Rule
from app.mcp import service as mcp
from app.projects.service import Place
from tests.conftest import Caller


def test_servers_are_listed_with_their_tools(call: Caller, peer: str) -> None:
    [one] = call.get("/api/mcps").json
    assert (one["id"], one["name"], one["status"], one["disabled"]) == ("peer", "peer", "active", False)
    tools = {tool["name"]: tool for tool in one["tools"]}
    assert tools
    assert all(tool["alwaysAllow"] is False and tool["inputSchema"]["type"] == "object" for tool in tools.values())


def test_details_show_no_secret(call: Caller, peer: str) -> None:
    one = call.get("/api/mcps/peer")
    assert "not-for-anyone" not in one.text
    assert one.json["config"] == {
        "type": "stdio",
        "command": "python3",
        "args": ["peer.py"],
        "cwd": "",
        "env": {"PEER_KEY": "********"},
        "disabled": False,
        "timeout": 60,
        "alwaysAllow": [],
    }


def test_a_tool_that_a_rule_allows_says_so(call: Caller, alice: Actor, place: Place, peer: str) -> None:
    tool = mcp.tools(alice, place)[0]
    approvals.add_rule(alice, Rule(tool.id, tool.definition, "allow", "project"), place.project.id)
    shown = {one["name"]: one["alwaysAllow"] for one in call.get("/api/mcps/peer").json["tools"]}
    assert [name for name, allowed in shown.items() if allowed] == [tool.name]
    assert call.get("/api/mcps/peer").json["config"]["alwaysAllow"] == [tool.name]


def test_a_disabled_one_stays_in_the_list_and_comes_back(call: Caller, peer: str) -> None:
    assert call.post("/api/mcps/peer/status", {"enabled": False}).json == {"success": True, "status": "disabled"}
    [one] = call.get("/api/mcps").json
    assert (one["status"], one["connection"], one["disabled"], one["tools"]) == ("inactive", "disabled", True, [])
    assert call.post("/api/mcps/peer/status", {"enabled": True}).json == {"success": True, "status": "enabled"}
    assert call.get("/api/mcps/peer").json["status"] == "active"


@pytest.mark.parametrize("body", [{}, {"enabled": "yes"}, {"enabled": None}])
def test_a_switch_that_is_none_is_told(call: Caller, peer: str, body: dict[str, object]) -> None:
    answer = call.post("/api/mcps/peer/status", body)
    assert (answer.status_code, answer.json) == (400, {"error": "enabled must be a boolean"})


def test_one_that_is_not_there_is_told(call: Caller, peer: str) -> None:
    for answer in (call.get("/api/mcps/nobody"), call.post("/api/mcps/nobody/status", {"enabled": True})):
        assert (answer.status_code, answer.json) == (404, {"error": "MCP not found"})
