"""Settings of a project, for somebody who sees none: a page that says so, at its tab, and no error."""

from __future__ import annotations

import re

import pytest

from app.actor import Actor
from app.dialects.mount import Cabin
from app.projects import service as projects
from tests.conftest import member
from tests.visitor import Browser, is_whole

TABS = {
    "modes": "Modes",
    "auto-approve": "Auto-approve",
    "instructions": "Instructions",
    "profiles": "Profiles",
    "import": "Import",
    "languages": "Language servers",
}


@pytest.fixture
def closed(alice: Actor) -> None:
    """The only project is open to nobody but those whom Alice lets in."""
    projects.set_visibility(alice, projects.resolve(alice, None).project.id, "members")


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.usefixtures("closed")
def test_who_sees_no_project_is_told_so(app: Cabin, alice: Actor, tab: str) -> None:
    page = Browser(app, member(alice, "Ada", "admin")).get(f"/settings/{tab}")
    assert page.status_code == 200
    assert is_whole(page)
    assert "These settings belong to a project, and you see none yet." in page.text
    assert re.search(rf'<a href="/settings/{tab}" aria-current="page">{TABS[tab]}</a>', page.text)
    assert "Add a project" in page.text


@pytest.mark.usefixtures("closed")
def test_who_may_add_none_is_offered_none(app: Cabin, alice: Actor) -> None:
    page = Browser(app, member(alice, "Vera", "viewer")).get("/settings/modes").text
    assert "Whoever has added one can let you in." in page
    assert "Add a project" not in page


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.usefixtures("closed")
def test_who_may_read_no_settings_is_told_nothing(app: Cabin, alice: Actor, tab: str) -> None:
    assert Browser(app, member(alice, "Nils", "base")).get(f"/settings/{tab}").status_code == 403
