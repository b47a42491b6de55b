"""The story of an import: a file is chosen, what it changes is read and unticked, and the rest is taken over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.agent.importing.exports import key, raw
from tests.browser.conftest import Open, Shop
from tests.browser.test_walls import LOOK
from tests.test_web_filters import PAYLOADS

# Hostile words that the name of a thing may hold.
SHORT = [text for text in PAYLOADS if len(text) <= 60 and text.isprintable() and "/" not in text]

pytestmark = pytest.mark.browser

SLOW = {"apiProvider": "openai", "openAiBaseUrl": "https://llm.example.com/v1", "openAiModelId": "qwen3"}


def export(name: str) -> bytes:
    """An export of two profiles, whose names no other test has."""
    configs = {
        f"{name} one": {"id": f"{name}1", **SLOW, "openAiApiKey": key(name)},
        f"{name} two": {"id": f"{name}2", **SLOW},
        f"{name} cloud": {"id": f"{name}3", "apiProvider": "bedrock"},
    }
    return raw(
        {"providerProfiles": {"currentApiConfigName": "", "apiConfigs": configs}, "globalSettings": {"soundVolume": 1}}
    )


def look(page: Page, name: str, folder: Path) -> None:
    file = folder / "roo-code-settings.json"
    file.write_bytes(export(name))
    page.goto("/settings/import")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Show what it changes").click()
    expect(page.get_by_role("heading", name="Profiles")).to_be_visible()
    assert "NEVERSHOWN" not in page.content()


def test_what_is_ticked_is_taken_over(shop: Shop, open_page: Open, tmp_path: Path) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    look(page, "story", tmp_path)
    expect(page.get_by_text("Amazon Bedrock signs its requests")).to_be_visible()
    page.get_by_label("story two").uncheck()
    page.get_by_role("button", name="Take over what is ticked").click()
    expect(page.locator(".notice")).to_contain_text("taken over")
    page.goto("/settings/profiles")
    expect(page.get_by_role("link", name="story one")).to_be_visible()
    expect(page.get_by_role("link", name="story two")).to_have_count(0)
    look(page, "story", tmp_path)
    expect(page.get_by_role("region", name="Profiles")).to_contain_text("here already")
    page.get_by_role("button", name="Discard the file").click()
    expect(page.get_by_role("heading", name="Take over settings of Roo")).to_be_visible()


def test_the_same_without_javascript_and_on_a_phone(shop: Shop, open_page: Open, tmp_path: Path) -> None:
    page = open_page(
        shop.running, storage_state=shop.state, java_script_enabled=False, viewport={"width": 390, "height": 844}
    )
    look(page, "quiet", tmp_path)
    page.get_by_role("button", name="Take over what is ticked").click()
    expect(page.locator(".notice")).to_contain_text("taken over")
    page.goto("/settings/profiles")
    expect(page.get_by_role("link", name="quiet two")).to_be_visible()


def test_a_repository_s_own_server_is_allowed_on_its_page(shop: Shop, open_page: Open) -> None:
    folder = shop.root / ".roo"
    folder.mkdir(exist_ok=True)
    entry = '{"mcpServers": {"of the repository": {"command": "python3", "args": ["-c", "0"], "disabled": true}}}'
    (folder / "mcp.json").write_text(entry)
    try:
        page = open_page(shop.running, storage_state=shop.state)
        page.goto("/mcp-servers")
        named = page.get_by_role("region", name="Named by this repository")
        expect(named).to_contain_text("python3 -c 0")
        named.get_by_role("button", name="Allow and connect").click()
        expect(page.get_by_role("heading", name="of-the-repository")).to_be_visible()
        expect(named).to_contain_text("allowed")
        page.get_by_text("Remove…").click()
        page.get_by_role("button", name="Remove of-the-repository").click()
        expect(named.get_by_role("button", name="Allow and connect")).to_be_visible()
    finally:
        (folder / "mcp.json").unlink()


def test_a_hostile_export_is_shown_in_words(shop: Shop, open_page: Open, tmp_path: Path) -> None:
    page = open_page(shop.running, storage_state=shop.state)
    profiles = {name: {"apiProvider": "openai", "openAiModelId": "x", "id": f"p{at}"} for at, name in enumerate(SHORT)}
    written = {
        "providerProfiles": {"currentApiConfigName": SHORT[0], "apiConfigs": profiles},
        "globalSettings": {
            "customInstructions": "\n".join(PAYLOADS).replace("\0", ""),
            "customModes": [{"slug": "evil", "name": SHORT[0], "roleDefinition": SHORT[0], "groups": ["read"]}],
            "allowedCommands": SHORT,
        },
    }
    file = tmp_path / "roo-code-settings.json"
    file.write_text(json.dumps(written))
    page.goto("/settings/import")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Show what it changes").click()
    expect(page.get_by_role("heading", name="Profiles")).to_be_visible()
    expect(page.locator("main")).to_contain_text(SHORT[0])
    assert page.evaluate(LOOK) == []
    page.get_by_role("button", name="Discard the file").click()
    expect(page.get_by_role("button", name="Show what it changes")).to_be_visible()
