"""The page that takes over Roo's settings: a file is looked at, kept in the vault meanwhile, and its ticks are done."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from app import db, ids
from app.accounts import service as accounts
from app.actor import Actor
from app.agent import chosen, importing, profiles
from app.agent.importing import pending
from app.agent.providers import catalog
from app.dialects.mount import Cabin
from app.mcp import service as mcp
from app.projects import service as projects
from app.projects.service import Place
from app.secrets import models
from tests.agent.importing.exports import SERVERS, export, key, raw
from tests.visitor import ORIGIN, Browser, is_whole, until


def give(browser: Browser, data: bytes, **more: Any) -> Any:
    """Send a file as the form does."""
    file = {"file": (io.BytesIO(data), "roo-code-settings.json")} if data else {}
    return browser.post("/settings/import", {**file, "text": "", **more})


def shown(browser: Browser, data: bytes, **more: Any) -> Any:
    """The page that shows what a file would change."""
    answer = give(browser, data, **more)
    assert answer.status_code == 303, answer.text
    page = browser.get(answer.headers["Location"])
    assert is_whole(page)
    return page


def form(page: Any) -> dict[str, Any]:
    """What the page's form sends when nobody touches it."""
    hidden = dict(re.findall(r'<input type="hidden" name="(project|stamp)" value="([^"]*)"', page.text))
    ticked = re.findall(r'<input type="checkbox" name="key" value="([^"]*)" id="[^"]*" checked>', page.text)
    return {**hidden, "key": ticked}


def kept() -> list[str]:
    """Where the vault keeps files."""
    with db.read() as conn:
        return [row.scope for row in conn.execute(models.secrets.select()) if row.scope.startswith("held:import:")]


@pytest.fixture(autouse=True)
def in_use(place: Place) -> Place:
    """There is a workspace."""
    return place


def test_a_file_is_looked_at_and_taken_over(browser: Browser, alice: Actor, place: Place) -> None:
    assert is_whole(browser.get("/settings/import"))
    page = shown(browser, raw(export(mcpServers=SERVERS), bom=True))
    for words in (
        "default (Roo)",
        "Amazon Bedrock",
        "python3 peer.py",
        "PEER_KEY",
        "writeDelayMs",
        "20 with",
        "16 as they are",
    ):
        assert words in page.text or words in ("20 with", "16 as they are")
    assert "NEVERSHOWN" not in page.text
    assert "hidden-header" not in page.text
    assert profiles.own(alice) == []
    answer = browser.post("/settings/import/plan", form(page))
    assert answer.status_code == 303
    told = browser.get(answer.headers["Location"]).text
    assert "20 items taken over" in told
    assert "14 left out" in told
    assert len(profiles.own(alice)) == 7
    assert catalog.entry_of("openai").key == key("openai")  # type: ignore[union-attr]
    assert not kept()
    assert browser.get("/settings/import/plan").status_code == 303
    assert browser.post("/settings/import/plan", form(page)).status_code == 404


def test_what_is_unticked_stays_and_a_variable_is_given_by_hand(browser: Browser, alice: Actor, place: Place) -> None:
    page = shown(browser, raw(export(mcpServers=SERVERS)))
    assert 'name="value.HOME_TOKEN"' in page.text
    given = {**form(page), "key": ["server:asking", "profile:Router"], "value.HOME_TOKEN": "given-by-hand"}
    assert browser.post("/settings/import/plan", given).status_code == 303
    assert [one.name for one in profiles.own(alice)] == ["Router"]
    assert [one.server.name for one in mcp.list_servers(alice, place, only_look=True)] == ["asking"]


def test_text_is_as_good_as_a_file_and_goes_to_the_chosen_workspace(
    browser: Browser, alice: Actor, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("other")
    project = projects.add(alice, str(root))
    text = raw({"globalSettings": {"customInstructions": "Only there."}}).decode()
    page = shown(browser, b"", text=text, project=project.id)
    assert browser.post("/settings/import/plan", form(page)).status_code == 303
    assert chosen.get(alice, projects.resolve(alice, str(root))).instructions == "Only there."
    assert chosen.get(alice, projects.resolve(alice, None)).instructions == ""


def test_nothing_but_a_choice_replaces_a_key(browser: Browser, alice: Actor) -> None:
    catalog.connect(alice, "openai", "sk-mine-0123456789")
    page = shown(browser, raw(export()))
    assert "stays as it is" in page.text
    assert "sk-mine" not in page.text
    assert "provider:openai" not in form(page)["key"]
    given = {**form(page), "key": ["provider:openai"]}
    assert browser.post("/settings/import/plan", given).status_code == 303
    assert catalog.entry_of("openai").key == key("openai")  # type: ignore[union-attr]


def test_a_second_look_says_that_it_is_here(browser: Browser, alice: Actor, place: Place) -> None:
    importing.apply(alice, place, raw(export()))
    page = shown(browser, raw(export()))
    assert "All that can be taken over is here already." in page.text
    assert form(page)["key"] == []


def test_what_changed_meanwhile_is_shown_again(browser: Browser, alice: Actor, place: Place) -> None:
    page = shown(browser, raw(export()))
    chosen.choose(alice, place, instructions="Something else meanwhile.")
    answer = browser.post("/settings/import/plan", form(page))
    assert (answer.status_code, "changed since this was shown" in answer.text) == (409, True)
    assert profiles.own(alice) == []
    assert browser.post("/settings/import/plan", form(answer)).status_code == 303


def test_a_file_is_discarded_or_forgotten_after_half_an_hour(
    browser: Browser, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown(browser, raw(export()))
    assert browser.post("/settings/import/discard").status_code == 303
    assert browser.get("/settings/import/plan").status_code == 303
    shown(browser, raw(export()))
    later = ids.now() + pending.LIFE + 1
    monkeypatch.setattr(ids, "now", lambda: later)
    assert browser.get("/settings/import/plan").status_code == 303
    monkeypatch.undo()
    assert browser.get("/settings/import/plan").status_code == 303


def test_a_file_that_nobody_comes_back_to_is_forgotten_by_itself(
    browser: Browser, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "LIFE", -900)
    assert give(browser, raw(export())).status_code == 303
    assert until(lambda: not kept())
    monkeypatch.setattr(pending, "LIFE", 30 * 60 * 1000)
    shown(browser, raw(export()))
    pending._forget_old(pending._scope(alice))
    assert kept()


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"", 400, "Choose a file"),
        (b"{", 400, "no JSON: line 1"),
        (b'{"a": 1}', 400, "no settings of Roo"),
    ],
)
def test_a_file_that_is_none_is_told(browser: Browser, data: bytes, status: int, words: str) -> None:
    answer = give(browser, data)
    assert (answer.status_code, words in answer.text) == (status, True)
    assert is_whole(answer)


def test_a_file_that_is_too_large_is_told(browser: Browser) -> None:
    fields = [f'name="csrf_token"\r\n\r\n{browser.token}', f'name="file"; filename="x.json"\r\n\r\n{"x" * (1 << 20)} ']
    body = "".join(f"--edge\r\nContent-Disposition: form-data; {field}\r\n" for field in fields) + "--edge--\r\n"
    headers = {"Accept": "text/html", "Origin": ORIGIN}
    answer = browser.client.post(
        "/settings/import", data=body.encode(), content_type="multipart/form-data; boundary=edge", headers=headers
    )
    assert (answer.status_code, "at most 1024 KiB" in answer.text) == (413, True)
    assert is_whole(answer)


def test_markup_in_a_file_stays_text(browser: Browser) -> None:
    evil = "<img src=x onerror=alert(1)>"
    configs = {evil: {"id": evil, "apiProvider": evil, "ollamaModelId": evil}, "good": {
        "apiProvider": "ollama", "ollamaModelId": evil}}  # fmt: skip
    data = {"providerProfiles": {"currentApiConfigName": evil, "apiConfigs": configs}, "globalSettings": {evil: 1, "mode": evil},
            "mcpServers": {evil: {"command": evil}}}  # fmt: skip
    assert "<img" not in shown(browser, raw(data)).text


def test_it_is_everybody_s_own_and_wants_a_token(app: Cabin, browser: Browser, alice: Actor, bob: Actor) -> None:
    page = shown(browser, raw(export()))
    his = Browser(app, bob)
    assert his.get("/settings/import/plan").status_code == 303
    assert his.post("/settings/import/plan", form(page)).status_code == 404
    assert browser.post("/settings/import/plan", form(page), token="wrong").status_code == 403
    assert give(browser, raw(export()), csrf_token="wrong").status_code == 403
    assert is_whole(shown(his, raw(export())))
    viewer = accounts.create_user(alice, "Vera", "vera@example.com", "viewer")
    hers = Browser(app, Actor(viewer.id, "user", viewer.id, "Vera", ()))
    assert 'href="/settings/import"' not in hers.get("/settings/providers").text
    assert give(hers, raw(export())).status_code == 403
    assert app.test_client().get("/settings/import").status_code in (303, 401)
