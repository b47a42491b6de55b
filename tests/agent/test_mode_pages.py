"""Settings, Modes: what there is and where it comes from, and the custom modes of the server to make and change."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.accounts import service as accounts
from app.actor import Actor
from app.agent import chosen, custom_modes, mode_config, profiles
from app.dialects.mount import Cabin
from app.projects import service as projects
from tests.agent.test_custom_modes import DOCS
from tests.conftest import Caller, member
from tests.visitor import Browser

FORM = {
    "act": "new",
    "slug": "docs-writer",
    "name": "Docs Writer",
    "roleDefinition": "You write\r\ndocumentation.",
    "group": ["read", "edit"],
    "fileRegex": r"\.md$",
    "files": "Markdown only",
    "customInstructions": "",
    "whenToUse": "For docs",
    "description": "",
}


@pytest.fixture
def root(app: Cabin) -> Path:
    """The directory of the workspace."""
    return projects.resolve(accounts.local_owner(), None).directory


def rows(page: str) -> dict[str, str]:
    """The text of each mode's row, by its name."""
    page = re.sub(r'<td class="meta-line.*?</td>', "", page, flags=re.DOTALL)  # the same again, for phones
    found = re.findall(r"<tr data-row.*?</tr>", page, re.DOTALL)
    texts = [html.unescape(" ".join(re.sub(r"<[^>]+>", " ", one).split())) for one in found]
    return {text.split(" ")[0]: text for text in texts}


def test_every_mode_is_told_with_what_it_has_and_where_it_comes_from(
    browser: Browser, root: Path, alice: Actor
) -> None:
    custom_modes.save(alice, DOCS)
    custom_modes.save(alice, {**DOCS, "slug": "ask", "groups": []})
    (root / ".roomodes").write_text(json.dumps({"customModes": [{**DOCS, "slug": "local", "groups": ["command"]}]}))
    (root / ".opencode/agent").mkdir(parents=True)
    (root / ".opencode/agent/review.md").write_text("Review.")
    found = rows(browser.get("/settings/modes").text)
    assert found["build"] == "build read edit command mcp any file built in —"
    assert found["plan"] == "plan read command nothing built in —"
    assert found["architect"] == r"architect read edit mcp \.md$ built in —"
    assert found["orchestrator"] == "orchestrator hands work out nothing built in —"
    assert found["docs-writer"] == r"docs-writer read edit \.(md|mdx)$ this server —"
    assert found["ask"] == "ask hands work out nothing this server over the built-in —"
    assert found["local"] == "local command nothing .roomodes —"
    assert found["review"].endswith(".opencode —")


def test_a_mode_is_made_changed_and_deleted(browser: Browser, alice: Actor) -> None:
    answer = browser.post("/settings/modes", FORM)
    assert answer.status_code == 303
    page = browser.get(answer.headers["Location"]).text
    assert "Saved." in page
    [mode] = custom_modes.list_all(alice)
    assert mode.shown() == {
        "slug": "docs-writer",
        "name": "Docs Writer",
        "roleDefinition": "You write\ndocumentation.",
        "whenToUse": "For docs",
        "groups": ["read", ["edit", {"fileRegex": r"\.md$", "description": "Markdown only"}]],
    }
    assert browser.post("/settings/modes", {**FORM, "act": "change", "name": "Writer", "group": []}).status_code == 303
    assert [(one.name, one.groups) for one in custom_modes.list_all(alice)] == [("Writer", ())]
    assert browser.post("/settings/modes/docs-writer/remove", {}).status_code == 303
    assert custom_modes.list_all(alice) == []
    assert browser.post("/settings/modes/docs-writer/remove", {}).status_code == 404


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"slug": "two words"}, 400, "slug: has 1 to 64 letters"),
        ({"fileRegex": "("}, 400, "a ( is not closed"),
        ({"name": ""}, 400, "name: is empty"),
        ({"group": ["shell"]}, 400, "is no group"),
        ({}, 409, "There is a custom mode 'docs-writer' already."),
    ],
)
def test_what_cannot_be_is_said_and_what_was_typed_stays(
    browser: Browser, alice: Actor, changes: dict[str, Any], status: int, words: str
) -> None:
    custom_modes.save(alice, DOCS)
    answer = browser.post("/settings/modes", {**FORM, "roleDefinition": "Typed just now", **changes})
    page = html.unescape(answer.text)
    assert answer.status_code == status
    assert words in page
    assert "Typed just now" in page
    assert [one.shown() for one in custom_modes.list_all(alice)] == [DOCS]


def test_a_bad_file_of_the_project_is_told_here_and_beside_a_session(
    browser: Browser, call: Caller, root: Path
) -> None:
    (root / ".roomodes").write_text("customModes: [{slug: docs}]")
    page = browser.get("/settings/modes")
    assert page.status_code == 200
    assert "mode 1 (docs): name: is missing." in page.text
    assert "docs" not in rows(page.text)
    session = call.post("/opencode/session", {}).json["id"]
    assert "mode 1 (docs): name: is missing." in browser.get(f"/sessions/{session}").text


def test_a_pattern_is_held_against_the_files(browser: Browser, root: Path) -> None:
    (root / "docs").mkdir()
    (root / "docs/one.mdx").write_text("x")
    answer = browser.get("/settings/modes/matches?fileRegex=%5C.mdx%24", headers={"HX-Request": "true"})
    assert "<html" not in answer.text
    assert re.search(r"Matches <b[^>]*>1</b> of \d+ files: .*docs/one.mdx", answer.text)
    assert "any file" in browser.get("/settings/modes/matches").text
    assert "a [ is not closed" in browser.get("/settings/modes/matches?fileRegex=%5B").text


def test_a_pattern_that_never_ends_is_told(browser: Browser, root: Path) -> None:
    (root / f"{'x' * 200}!").write_text("x")
    answer = browser.get("/settings/modes/matches?fileRegex=%5E(%3F:(x%7Cxx)%2B)%2B%24")
    assert (answer.status_code, "takes too long" in answer.text) == (200, True)


def test_the_servers_modes_are_exported_as_a_file_that_can_be_read(browser: Browser, alice: Actor) -> None:
    custom_modes.save(alice, DOCS)
    custom_modes.save(alice, {**DOCS, "slug": "other"})
    answer = browser.get("/settings/modes/export")
    assert answer.headers["Content-Disposition"] == 'attachment; filename=".roomodes"'
    assert [one.slug for one in mode_config.read(answer.text)] == ["docs-writer", "other"]
    [one] = mode_config.read(browser.get("/settings/modes/export?mode=docs-writer").text)
    assert one.shown() == DOCS
    assert browser.get("/settings/modes/export?mode=nobody").status_code == 404


def test_the_profile_that_goes_with_a_mode_is_shown(browser: Browser, alice: Actor) -> None:
    place = projects.resolve(alice, None)
    careful = profiles.save(alice, place, "Careful", "demo", "walkthrough")
    chosen.choose(alice, place, mode="ask")
    chosen.choose(alice, place, profile=careful.id)
    found = rows(browser.get("/settings/modes").text)
    assert found["ask"].endswith("built in Careful")


def test_a_mode_is_shown_and_begins_another(browser: Browser) -> None:
    page = browser.get("/settings/modes?mode=architect").text
    assert "experienced technical lead" in page
    assert 'name="roleDefinition"' not in page
    page = browser.get("/settings/modes?mode=architect&new=1").text
    assert r'value="\.md$"' in page
    assert 'value="edit" checked' in page
    assert 'value="command" checked' not in page
    assert browser.get("/settings/modes?mode=nobody").status_code == 404


def test_who_only_looks_changes_nothing(app: Cabin, alice: Actor, charlie: Actor) -> None:
    custom_modes.save(alice, DOCS)
    viewer = Browser(app, member(alice, "Vera", "viewer"))
    page = viewer.get("/settings/modes?mode=docs-writer").text
    assert "You write documentation." in page
    assert "New mode" not in page
    assert 'name="roleDefinition"' not in page
    assert viewer.post("/settings/modes", FORM).status_code == 403
    assert viewer.post("/settings/modes/docs-writer/remove", {}).status_code == 403
    assert [one.shown() for one in custom_modes.list_all(alice)] == [DOCS]


def test_another_site_makes_no_mode(browser: Browser, alice: Actor) -> None:
    assert browser.post("/settings/modes", FORM, headers={"Origin": "https://evil.example"}).status_code == 403
    assert browser.post("/settings/modes", FORM, token="of somebody else").status_code == 403
    assert custom_modes.list_all(alice) == []


def test_who_may_write_modes_and_read_no_files_is_told_of_none(app: Cabin, alice: Actor, root: Path) -> None:
    custom_modes.save(alice, DOCS)
    (root / "secret-plan.md").write_text("plan")
    accounts.create_role(alice, "configurer", permissions=["projects:read", "settings:*", "sessions:read"])
    configurer = Browser(app, member(alice, "Conny", "configurer"))
    for path in ("/settings/modes?mode=docs-writer", r"/settings/modes/matches?fileRegex=\.md$"):
        answer = configurer.get(path)
        assert answer.status_code == 200
        assert "Matches" not in answer.text
        assert "secret-plan" not in answer.text
    assert "secret-plan" in Browser(app, alice).get("/settings/modes?mode=docs-writer").text


def test_what_is_current_can_be_seen_where_the_first_mode_was_taken_away(
    app: Cabin, browser: Browser, alice: Actor, root: Path
) -> None:
    place = projects.resolve(alice, str(root))
    assert chosen.mode(alice, place) == "code"
    (root / "opencode.json").write_text(json.dumps({"agent": {"code": {"disable": True}}}))
    assert chosen.mode(alice, place) == "build"
    assert browser.get("/settings/instructions").status_code == 200
    assert Caller(app, alice, "roo")("GET", "/api/modes/current").json["slug"] == "build"
