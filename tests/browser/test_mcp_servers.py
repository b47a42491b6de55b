"""MCP servers in a browser: added with the form, tested in place, drawn as they change, removed after a second look."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests import repository
from tests.browser.conftest import Open, Shop, signed_in, stayed, stays
from tests.mcp.conftest import PEER
from tests.model_server import ModelServer
from tests.running import Running

pytestmark = pytest.mark.browser


@pytest.fixture
def own(browser: Browser, tmp_path: Path) -> Iterator[Shop]:
    """A server of its own, whose project holds an MCP server."""
    root = repository.make(tmp_path / "billing")
    shutil.copy(PEER, root / "peer.py")
    with ModelServer() as model, Running(tmp_path / "data", root) as running:
        yield Shop(running, root, model, signed_in(browser, running))


def test_a_server_is_added_tested_switched_and_removed(own: Shop, open_page: Open) -> None:
    page = open_page(own.running, storage_state=own.state)
    page.goto("/mcp-servers")
    page.get_by_role("link", name="Add MCP server…").click()
    page.locator("#name").fill("peer")
    page.locator("#command").fill("python3\npeer.py")
    page.get_by_label("Seconds to connect").fill("60")
    page.get_by_role("button", name="Add and connect").click()
    page.wait_for_url(re.compile(r"server=peer"))
    expect(page.locator("#mcp-about")).to_contain_text("peer_echo")
    expect(page.locator("[data-live]")).to_have_text("Live")
    stays(page)
    page.get_by_role("button", name="Test server").click()
    expect(page.locator("#mcp-test")).to_contain_text("14 tools, 1 prompt, 1 resource")
    assert own.running.call("POST", "/mcp/peer/disconnect")[0] == 200
    expect(page.locator("#mcp-rows")).to_contain_text("disconnected")
    expect(page.locator("#mcp-about")).to_contain_text("Disconnected")
    expect(page.locator("#mcp-test")).to_contain_text("14 tools")
    assert own.running.call("POST", "/mcp/peer/connect")[0] == 200
    expect(page.locator("#mcp-about")).to_contain_text("peer_echo")
    assert stayed(page)
    page.get_by_text("Remove…").click()
    page.get_by_role("button", name="Remove peer").click()
    expect(page.locator("#mcp-rows")).to_contain_text("No server.")
