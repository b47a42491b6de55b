"""A tool of an MCP server runs unasked where its server's settings and the person's switch both say so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.actor import Actor
from app.mcp import service as mcp
from app.mcp.service import Terms, Wanted
from app.projects.service import Place
from tests.conftest import Caller
from tests.mcp.conftest import COMMAND
from tests.model_server import Call, Item, ModelServer, Say
from tests.visitor import until

ECHO: list[Item] = [Call("peer_echo", {"text": "a"})]


@pytest.fixture
def add(alice: Actor, place: Place) -> Callable[..., None]:
    """Add the server, some of whose tools are always allowed."""

    def put(*always: str) -> None:
        wanted = Wanted("local", COMMAND, timeout=60_000, terms=Terms(always=always))
        assert mcp.add(alice, place, "peer", wanted).state == "connected"

    return put


@pytest.fixture
def status(call: Caller, model_server: ModelServer) -> Callable[..., str]:
    """How a task stands that makes these calls, one after another."""

    def run(*steps: list[Item]) -> str:
        model_server.script = [*steps, [Say("Done.")]]
        return str(call.post("/api/tasks", {"message": "Go.", "wait_for_response": True}).json["status"])

    return run


def switch(call: Caller, **given: bool) -> None:
    assert call.post("/api/auto-approve", given).json == {"success": True}


def test_both_must_say_so(call: Caller, add: Callable[..., None], status: Callable[..., str]) -> None:
    add("echo")
    assert status(ECHO) == "needs_approval"
    switch(call, alwaysAllowMcp=True)
    assert status(ECHO) == "needs_approval", "the master switch is off"
    switch(call, autoApprovalEnabled=True)
    assert status(ECHO) == "completed"
    assert status([Call("peer_image", {})]) == "needs_approval", "nobody said that of this tool"
    switch(call, alwaysAllowMcp=False)
    assert status(ECHO) == "needs_approval"


def test_a_star_means_every_tool_of_the_server(
    call: Caller, add: Callable[..., None], status: Callable[..., str]
) -> None:
    add("*")
    switch(call, autoApprovalEnabled=True, alwaysAllowMcp=True)
    assert status(ECHO, [Call("peer_image", {})]) == "completed"


def test_what_a_tool_becomes_asks(
    call: Caller, alice: Actor, place: Place, add: Callable[..., None], status: Callable[..., str]
) -> None:
    add("echo", "change")
    switch(call, autoApprovalEnabled=True, alwaysAllowMcp=True)

    def echo() -> str:
        return next(tool.definition for tool in mcp.tools(alice, place) if tool.name == "echo")

    before = echo()
    assert status(ECHO) == "completed"
    assert status([Call("peer_change", {})]) == "completed"
    until(lambda: echo() != before)
    assert status(ECHO) == "needs_approval"
