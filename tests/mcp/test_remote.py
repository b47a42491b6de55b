"""Remote servers: a real one over streamable HTTP, at an address that the operator opened, and one that wants a token."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import uvicorn
from mcp.server import MCPServer

from app.actor import Actor
from app.config import Config
from app.mcp import link
from app.mcp import service as mcp
from app.mcp.service import Answer, Wanted
from app.projects.service import Place
from tests.patience import PATIENCE
from tests.processes.test_spawn import until
from tests.test_outbound import Peer, reply


@pytest.fixture
def closed() -> Iterator[Peer]:
    """A server that nobody may speak to without a token."""

    def answer(visit: Any) -> None:
        reply(visit, 401, b"", WWW_Authenticate="Bearer")

    peer = Peer(answer)
    yield peer
    peer.stop()


@pytest.fixture
def door() -> Iterator[str]:
    """Host and port of a server that adds."""
    made = MCPServer("adder")

    @made.tool()
    def add(a: int, b: int) -> str:
        """Add two numbers."""
        return str(a + b)

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(made.streamable_http_app(), log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield f"127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listening.close()


class Restless(Peer):
    """It ends every stream at once, and says that nobody need wait before they come again."""

    def __init__(self) -> None:
        self.streams = 0
        super().__init__(self._answer)

    def _answer(self, visit: Any) -> None:
        if visit.command == "GET":
            self.streams += 1
            reply(visit, 200, b"retry: 0\n\n", Content_Type="text/event-stream")
            return
        asked = json.loads(visit.rfile.read(int(visit.headers["Content-Length"])))
        results: dict[str, Any] = {
            "initialize": {
                "protocolVersion": asked.get("params", {}).get("protocolVersion"),
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "restless", "version": "1"},
            },
            "tools/list": {"tools": [{"name": "wait", "inputSchema": {"type": "object"}}]},
            "tools/call": {"content": [{"type": "text", "text": "waited"}]},
        }
        if "id" not in asked:
            reply(visit, 202)
            return
        answer = {"jsonrpc": "2.0", "id": asked["id"], "result": results[asked["method"]]}
        reply(visit, 200, json.dumps(answer).encode(), Content_Type="application/json", Mcp_Session_Id="one")


@pytest.fixture
def restless() -> Iterator[Restless]:
    peer = Restless()
    yield peer
    peer.stop()


@pytest.fixture
def settings(settings: Config, door: str, closed: Peer, restless: Restless) -> Config:
    return replace(settings, outbound_allow=(door, closed.place, restless.place))


def test_its_tools_are_called_over_streamable_http(alice: Actor, place: Place, door: str) -> None:
    status = mcp.add(alice, place, "far", Wanted("remote", (f"http://{door}/mcp",), {"X-Key": "k"}, timeout=60_000))
    assert status.state == "connected", status
    tool = mcp.tools(alice, place)[0]
    assert (tool.id, tool.description) == ("far_add", "Add two numbers.")
    given = mcp.call(alice, place, tool, {"a": 2, "b": 3}, lambda *_said: None, threading.Event())
    assert given == Answer("5")
    mcp.stop()


def test_one_that_ends_its_streams_at_once_is_not_asked_for_them_without_end(
    alice: Actor, place: Place, restless: Restless, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = 3
    monkeypatch.setattr(link, "STREAMS", few)
    monkeypatch.setattr(link, "BETWEEN_STREAMS", 10 * PATIENCE)
    status = mcp.add(alice, place, "far", Wanted("remote", (f"http://{restless.place}/mcp",), timeout=60_000))
    assert status.state == "connected", status
    assert until(lambda: restless.streams == few)
    [tool] = mcp.tools(alice, place)
    for _time in range(50):
        given = mcp.call(alice, place, tool, {}, lambda *_said: None, threading.Event())
        assert given == Answer("waited")
    assert restless.streams == few
    mcp.stop()


def test_one_that_wants_a_token_needs_auth(alice: Actor, place: Place, closed: Peer) -> None:
    status = mcp.add(alice, place, "closed", Wanted("remote", (f"http://{closed.place}/mcp",), timeout=60_000))
    assert status.state == "needs_auth"
