"""The page of the configuration: what it shows, saves and refuses, without a script."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from app.actor import Actor
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.projects.service import Place
from app.settings import service
from app.settings.service import Config
from tests.conftest import member
from tests.settings.conftest import write
from tests.visitor import Browser, is_whole

PAGE = "/settings/configuration"


@pytest.fixture
def stall(app: Cabin, alice: Actor, home: Path, tmp_path: Path) -> Place:
    """Alice's project in the app."""
    root = tmp_path / "stall"
    root.mkdir()
    projects.add(alice, str(root))
    return projects.resolve(alice, str(root))


def field(page: str) -> str:
    found = re.search(r'<textarea[^>]* name="text"[^>]*>\n(.*?)</textarea>', page, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


def stamp(page: str) -> str:
    found = re.search(r'name="stamp" value="(\w+)"', page)
    assert found is not None
    return found[1]


def test_what_is_saved_is_shown_and_in_force(browser: Browser, alice: Actor, stall: Place) -> None:
    of_project = f"{PAGE}?project={stall.project.id}"
    page = browser.get(of_project).text
    assert field(page) == "{\n}"
    text = '{\r\n  // who answers\r\n  "model": "acme/x",\r\n}'
    answer = browser.post(f"{PAGE}/{stall.project.id}", {"text": text, "stamp": stamp(page)})
    assert answer.status_code == 303, answer.text
    shown = browser.get(answer.headers["Location"])
    assert is_whole(shown)
    assert "Saved." in shown.text
    assert field(shown.text) == '{\n  "model": "acme/x"\n}'
    assert service.config(alice, stall).model == "acme/x"
    assert field(browser.get(PAGE).text) == "{\n}"


def test_the_server_s_is_saved_by_itself(browser: Browser, alice: Actor, stall: Place) -> None:
    answer = browser.post(PAGE, {"text": '{"theme": "dark"}', "stamp": stamp(browser.get(PAGE).text)})
    assert answer.status_code == 303
    assert service.config(alice, None).theme == "dark"
    assert service.config(alice, stall).theme == "dark"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{\n  "model": "acme/x"\n  "theme": "dark"\n}', "Line 3, column 3"),
        ('{\n  "modle": "acme/x"\n}', "Line 2, column 3: There is no key modle."),
        ('{\n  "theme": "dark",\n  "snapshot": false\n}', "Line 3, column 3: snapshot: Checkpoints are always made."),
    ],
)
def test_a_fault_is_told_by_its_place_and_the_text_stays(
    browser: Browser, alice: Actor, stall: Place, text: str, words: str
) -> None:
    answer = browser.post(f"{PAGE}/{stall.project.id}", {"text": text})
    assert answer.status_code == 400
    assert is_whole(answer)
    assert words in html.unescape(answer.text)
    assert field(answer.text) == text
    assert service.config(alice, stall).shown() == {}


def test_who_was_overtaken_loses_neither_text(browser: Browser, alice: Actor, stall: Place) -> None:
    seen = stamp(browser.get(f"{PAGE}?project={stall.project.id}").text)
    service.set_values(alice, stall, Config.model_validate({"theme": "dark"}))
    mine = '{"theme": "light"}'
    answer = browser.post(f"{PAGE}/{stall.project.id}", {"text": mine, "stamp": seen})
    assert answer.status_code == 409
    assert field(answer.text) == mine
    assert service.config(alice, stall).theme == "dark"
    again = browser.post(f"{PAGE}/{stall.project.id}", {"text": mine, "stamp": stamp(answer.text)})
    assert again.status_code == 409


def test_a_secret_is_a_mark_that_keeps_it(browser: Browser, alice: Actor, stall: Place) -> None:
    acme = {"acme": {"options": {"baseURL": "https://models.example.com/v1", "apiKey": "very-secret-value"}}}
    service.set_values(alice, stall, Config.model_validate({"provider": acme}))
    page = browser.get(f"{PAGE}?project={stall.project.id}").text
    assert "very-secret-value" not in page
    assert '"apiKey": "[kept]"' in field(page)
    answer = browser.post(f"{PAGE}/{stall.project.id}", {"text": field(page), "stamp": stamp(page)})
    assert answer.status_code == 303
    shown = service.config(alice, stall).shown()
    assert shown["provider"]["acme"]["options"]["apiKey"] == "very-secret-value"


def test_the_files_of_a_project_are_shown_with_what_they_say_in_vain(browser: Browser, stall: Place) -> None:
    text = (
        '{\n  "permission": {"bash": "allow"},\n  "mcp": {"x": {"type": "local", "command": ["<b>"]}},\n  "theme": 5\n}'
    )
    write(stall.directory, "opencode.json", text)
    write(stall.directory, ".opencode/opencode.jsonc", '{\n  "model": oops\n}')
    page = html.unescape(browser.get(f"{PAGE}?project={stall.project.id}").text)
    told = re.sub(r"<[^>]+>", "", page)
    assert "Line 2, column 3 permission: “allow” grants nothing" in told
    assert "Line 3, column 3 mcp: A repository does not say what runs" in told
    assert "Line 4, column 3 theme" in told
    assert "Line 2, column 12 Unexpected character" in told
    assert '["<b>"]' in page  # as text


def test_the_text_of_the_server_s_files_is_not_shown(browser: Browser, home: Path, stall: Place) -> None:
    write(home, "opencode.json", '{"provider": {"acme": {"options": {"apiKey": "very-secret-value"}}}, "no_key": 1}')
    page = browser.get(PAGE).text
    assert "very-secret-value" not in page
    assert "There is no key no_key." in page


def test_members_read_and_strangers_see_nothing(app: Cabin, alice: Actor, stall: Place) -> None:
    bob = Browser(app, member(alice, "Bob"))
    page = bob.get(f"{PAGE}?project={stall.project.id}")
    assert page.status_code == 200
    assert "Save configuration" not in page.text
    assert bob.post(f"{PAGE}/{stall.project.id}", {"text": "{}"}).status_code == 403
    assert bob.post(PAGE, {"text": "{}"}).status_code == 403
    assert bob.get(f"{PAGE}?project=prj_nowhere").status_code == 404


def test_a_save_without_the_page_s_token_is_refused(browser: Browser, alice: Actor, stall: Place) -> None:
    assert browser.post(PAGE, {"text": '{"theme": "x"}'}, token="").status_code == 403
    assert service.config(alice, None).shown() == {}


def test_the_settings_begin_with_their_first_page(browser: Browser) -> None:
    answer = browser.get("/settings")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/settings/providers")
