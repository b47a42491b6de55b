"""The page of the vault: set, replace, grant and delete by plain forms, drawn live, and never a value."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from app import redact
from app.actor import Actor
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.projects.service import Project
from app.secrets import pages
from app.secrets import service as vault
from app.secrets.events import SecretChanged
from tests.conftest import member
from tests.visitor import Browser, data_of, frames, is_whole

VALUE = "sk-live-51H8x-the-value"
AT = "/secrets?scope=platform&name=TOKEN"


@pytest.fixture(autouse=True)
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test has hidden shows in the next one."""
    monkeypatch.setattr(redact, "_live", redact.Redactor())


@pytest.fixture
def project(app: Cabin, alice: Actor) -> Project:
    """The project whose commands are granted something."""
    return projects.resolve(alice, None).project


@pytest.fixture
def token(app: Cabin, alice: Actor) -> dict[str, str]:
    """A secret of the platform."""
    vault.put(alice, "platform", "TOKEN", VALUE)
    return {"scope": "platform", "name": "TOKEN"}


def test_an_empty_vault_says_so(browser: Browser) -> None:
    page = browser.get("/secrets")
    assert is_whole(page)
    assert "No secrets. Values are never shown again once saved." in page.text
    assert 'href="/secrets?add=1"' in page.text
    assert 'href="/secrets"' in browser.get("/").text, "the rail names it"


@pytest.mark.parametrize(
    ("fields", "scope"),
    [
        ({"whom": "platform"}, "platform"),
        ({"whom": "app", "app": "crm"}, "app:crm"),
        ({"whom": "project"}, "project"),
        ({}, "platform"),
    ],
)
def test_a_secret_is_added_by_the_form(
    browser: Browser, alice: Actor, project: Project, fields: dict[str, str], scope: str
) -> None:
    scope = f"project:{project.id}" if scope == "project" else scope
    typed = {**fields, "project": project.id, "name": "TOKEN", "value": "two\r\nlines of it"}
    answer = browser.post("/secrets", typed)
    assert answer.status_code == 303
    assert vault.reveal(alice, scope, "TOKEN") == "two\nlines of it"
    page = browser.get(answer.headers["Location"])
    assert "lines of it" not in page.text
    assert "nobody yet" in page.text


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": "with space"}, "letters, digits"),
        ({"name": ""}, "letters, digits"),
        ({"value": ""}, "1 to 16384 bytes"),
        ({"whom": "app", "app": "a:b"}, "app"),
        ({"whom": "app", "app": "pg_x"}, "app"),
    ],
)
def test_what_does_not_fit_is_told_beside_what_was_typed(
    browser: Browser, alice: Actor, fields: dict[str, str], told: str
) -> None:
    page = browser.post("/secrets", {"whom": "platform", "name": "TOKEN", "value": VALUE, **fields})
    assert page.status_code == 400
    assert told in page.text
    assert VALUE not in page.text
    assert vault.list_all(alice) == []


def test_a_project_that_is_not_there_keeps_nothing(browser: Browser, alice: Actor) -> None:
    typed = {"whom": "project", "project": "prj_none", "name": "TOKEN", "value": VALUE}
    assert browser.post("/secrets", typed).status_code == 404
    assert vault.list_all(alice) == []


def test_the_chosen_one_tells_all_but_its_value(browser: Browser, token: dict[str, str]) -> None:
    page = browser.get(AT)
    assert is_whole(page)
    for words in ("Replace the value", "The agent itself", "never", "Where it went", "never replaced"):
        assert words in page.text
    assert VALUE not in page.text
    assert browser.get("/secrets?scope=platform&name=NONE").status_code == 404


def test_it_is_replaced_granted_taken_away_and_deleted(
    browser: Browser, alice: Actor, project: Project, token: dict[str, str]
) -> None:
    assert browser.post("/secrets/replace", {**token, "value": VALUE + "2"}).status_code == 303
    assert vault.reveal(alice, "platform", "TOKEN") == VALUE + "2"
    given = {**token, "project": project.id}
    assert browser.post("/secrets/grant", given).status_code == 303
    assert vault.lend(project.id, alice, "run_1") == {"TOKEN": VALUE + "2"}
    page = browser.get(AT)
    assert f"Commands in <b>{project.name}</b>" in page.text
    assert "run_1" in page.text
    assert "version 2" in page.text
    assert browser.post("/secrets/take-away", given).status_code == 303
    assert vault.lend(project.id, alice, "run_2") == {}
    assert browser.post("/secrets/delete", token).status_code == 303
    assert vault.list_all(alice) == []
    for path in ("replace", "grant", "take-away", "delete"):
        assert browser.post(f"/secrets/{path}", {**given, "value": VALUE}).status_code == 404, path
    assert vault.list_all(alice) == []


def test_what_cannot_be_granted_is_told_on_the_page(browser: Browser, alice: Actor, project: Project) -> None:
    vault.put(alice, "platform", "PIN", "1234567")
    page = browser.post("/secrets/grant", {"scope": "platform", "name": "PIN", "project": project.id})
    assert (page.status_code, "cannot be masked" in page.text) == (400, True)
    bad = browser.post("/secrets/replace", {"scope": "platform", "name": "PIN", "value": ""})
    assert (bad.status_code, "1 to 16384 bytes" in bad.text) == (400, True)


def test_a_providers_key_is_shown_and_looked_after_at_its_page(browser: Browser, alice: Actor) -> None:
    vault.put(alice, "provider", "openai", '{"key": "sk-provider-value"}')
    page = browser.get("/secrets?scope=provider&name=openai")
    assert "/settings/providers?provider=openai" in page.text
    assert "/secrets/delete" not in page.text
    assert "sk-provider-value" not in page.text


def test_the_search_finds_by_name_scope_and_user(browser: Browser, alice: Actor, project: Project) -> None:
    for scope, name in (("platform", "STRIPE"), ("app:crm", "HUBSPOT")):
        vault.put(alice, scope, name, VALUE)
    vault.grant(alice, "platform", "STRIPE", project.id)
    for words, found in (("stri", "STRIPE"), ("crm", "HUBSPOT"), (project.name, "STRIPE")):
        rows = re.findall(r'class="title stretch mono"[^>]*>(\w+)<', browser.get(f"/secrets?q={words}").text)
        assert rows == [found]
    assert "No secret matches." in browser.get("/secrets?q=nothing").text


def test_it_is_drawn_anew_as_it_changes(
    browser: Browser, alice: Actor, project: Project, token: dict[str, str]
) -> None:
    stream = re.search(r'hx-sse:connect="([^"]+)"', browser.get(AT).text)
    assert stream is not None
    streamed = frames(browser.get(stream.group(1).replace("&amp;", "&"), buffered=False))
    vault.put(alice, "platform", "SECOND", VALUE + "-second")
    assert any("SECOND" in data_of(frame) for frame in streamed if 'hx-target="#secret-rows"' in frame)
    vault.grant(alice, "platform", "TOKEN", project.id)
    grants = next(data_of(frame) for frame in streamed if 'hx-target="#secret-grants"' in frame)
    assert f"Commands in <b>{project.name}</b>" in grants
    assert VALUE not in grants
    streamed.close()


def test_a_member_sees_nothing_and_an_admin_everything(app: Cabin, alice: Actor, token: dict[str, str]) -> None:
    bob, ann = Browser(app, member(alice, "Bob")), Browser(app, member(alice, "Ann", "admin"))
    assert bob.get("/secrets").status_code == 403
    assert 'href="/secrets"' not in bob.get("/").text
    for path in ("", "/replace", "/grant", "/take-away", "/delete"):
        assert bob.post(f"/secrets{path}", {**token, "value": VALUE, "project": "x"}).status_code in (403, 404), path
    assert "TOKEN" in ann.get("/secrets").text
    fact = SimpleNamespace(event=SecretChanged("platform", "TOKEN"))
    watch = {"secrets": "", "scope": "platform", "name": "TOKEN"}
    assert pages.fill_stream(member(alice, "Eve"), watch)["secrets"].draw(fact) == []


def test_a_form_without_its_token_is_refused(browser: Browser, alice: Actor, token: dict[str, str]) -> None:
    for path in ("", "/replace", "/grant", "/take-away", "/delete"):
        assert browser.post(f"/secrets{path}", token, token="wrong").status_code == 403
    assert len(vault.list_all(alice)) == 1


def test_a_stranger_is_sent_to_sign_in(app: Cabin) -> None:
    answer = app.test_client().get("/secrets", headers={"Host": "localhost", "Accept": "text/html"})
    assert (answer.status_code, "/signin" in answer.headers["Location"]) == (303, True)


def test_a_broken_off_rotation_is_told(browser: Browser, alice: Actor, token: dict[str, str]) -> None:
    vault.put(alice, "app:crm", "OTHER", VALUE)

    def killed(done: int, _of: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vault.rotate_key(alice, killed)
    assert "A rotation of the master key was broken off: 1 value still under" in browser.get("/secrets").text
    vault.rotate_key(alice)
    assert "broken off" not in browser.get("/secrets").text


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"whom": "platform", "name": "no good", "value": VALUE}, "name"),
        ({"whom": "platform", "name": "TOKEN", "value": ""}, "value"),
        ({"whom": "app", "app": "", "name": "TOKEN", "value": VALUE}, "app"),
    ],
    ids=["name", "value", "app"],
)
def test_what_is_wrong_is_told_at_its_field(browser: Browser, typed: dict[str, str], field: str) -> None:
    page = browser.post("/secrets", typed).text
    found = re.search(rf'name="{field}"[^>]* aria-invalid="true" aria-describedby="([\w-]+)"', page)
    assert found
    assert f'id="{found[1]}" role="alert">' in page
    assert page.count('role="alert"') == 1


def test_a_new_value_that_is_none_is_told_at_its_field(browser: Browser, token: dict[str, str]) -> None:
    page = browser.post("/secrets/replace", {**token, "value": ""}).text
    assert re.search(r'name="value"[^>]* aria-invalid="true" aria-describedby="value-error"', page)
    assert page.count('role="alert"') == 1
