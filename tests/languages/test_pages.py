"""The settings of language servers: how each stands, what may be done with it by whom, and what a test shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from app import config, db, record
from app.accounts import service as accounts
from app.actor import Actor
from app.config import Config
from app.dialects.mount import Cabin
from app.errors import Conflict, Denied, Limited, NotFound, Unavailable
from app.events import service as events
from app.languages import running, service, trial
from app.languages.events import ServersChanged
from app.processes import service as processes
from app.processes.spawn import SandboxState
from app.projects import service as projects
from app.projects.service import Place
from tests.conftest import Caller, member
from tests.languages.test_service import basedpyright, stands_in, workspace
from tests.patience import PATIENCE
from tests.visitor import Browser, frames, is_whole, until

__all__ = ["basedpyright", "stands_in", "workspace"]
PAGE = "/settings/languages"
ACTS = ("start", "restart", "stop", "test")
NO_WALLS = "Without a sandbox a team&#39;s server runs no commands: it is missing."


@pytest.fixture
def settings(settings: Config, workspace: Path) -> Config:
    return replace(settings, project=workspace, language_servers=True)


@pytest.fixture
def place(app: Cabin, alice: Actor, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The project; a slow machine gets its time."""
    monkeypatch.setattr(trial, "BEGIN_WAIT", PATIENCE)
    monkeypatch.setattr(trial, "ASK_WAIT", PATIENCE)
    trial._last.clear()
    return projects.resolve(alice, None)


def state(actor: Actor, place: Place) -> str:
    [one] = service.list_standings(actor, place)
    return one.state


def act(browser: Browser, place: Place, name: str, **more: str) -> int:
    form = {"directory": str(place.directory), "root": "", **more}
    return int(browser.post(f"{PAGE}/basedpyright/{name}", form).status_code)


def test_one_that_nobody_has_needed_is_shown_with_what_it_serves(
    browser: Browser, place: Place, stands_in: Callable[[str], None]
) -> None:
    stands_in("good")
    page = browser.get(PAGE)
    assert is_whole(page)
    for shown in (
        "basedpyright",
        "Not started",
        "*.py",
        "Start basedpyright",
        "Test basedpyright",
        str(place.directory),
    ):
        assert shown in page.text
    assert "Stop basedpyright" not in page.text


def test_it_is_started_restarted_and_stopped_by_forms(
    browser: Browser, alice: Actor, place: Place, stands_in: Callable[[str], None]
) -> None:
    stands_in("good")
    assert act(browser, place, "start") == 303
    until(lambda: state(alice, place) == "running")
    first = running.within(place)[0].client
    assert first is not None
    page = browser.get(PAGE).text
    assert "Running" in page
    assert f"{first.child.pid}, up for" in page
    assert "nothing: no file was opened yet" in page
    assert act(browser, place, "restart") == 303
    until(lambda: first.is_over and state(alice, place) == "running")
    second = running.within(place)[0].client
    assert second is not None
    assert second is not first
    assert act(browser, place, "stop") == 303
    until(lambda: second.is_over)
    assert state(alice, place) == "idle"
    assert audited() == [f"languages.{name} {place.project.id}/basedpyright" for name in ("start", "restart", "stop")]


def test_what_it_finds_now_is_counted(
    browser: Browser, alice: Actor, place: Place, stands_in: Callable[[str], None]
) -> None:
    stands_in("good")
    path = str(place.directory / "cart.py")
    assert len(service.diagnose(alice, place, {path: "wrong\nwrong\n"}, PATIENCE)[path]) == 2
    assert ">2 errors</b> in 1 open file" in browser.get(PAGE).text


def test_one_that_fails_says_why_and_what_it_wrote_and_is_started_again(
    browser: Browser, alice: Actor, place: Place, stands_in: Callable[[str], None]
) -> None:
    stands_in("says_why")
    assert act(browser, place, "start") == 303
    until(lambda: state(alice, place) == "failed")
    page = browser.get(PAGE).text
    assert "The language server ended." in page
    assert "&lt;b&gt;no memory&lt;/b&gt;" in page
    before = running.within(place)[0].client
    assert act(browser, place, "start") == 303
    until(lambda: running.within(place)[0].client is not before)


def test_a_test_starts_it_and_tells_the_symbols_of_a_file(
    browser: Browser, alice: Actor, place: Place, stands_in: Callable[[str], None]
) -> None:
    stands_in("good")
    assert act(browser, place, "test") == 303
    assert state(alice, place) == "running"
    page = browser.get(PAGE).text
    assert "3 symbols in <code>cart.py</code>: Cart, &lt;i&gt;total…" in page
    assert "Began in" in page
    answer = browser.htmx(f"{PAGE}/basedpyright/test", {"directory": str(place.directory), "root": ""})
    assert "<html" not in answer.text
    assert "3 symbols in" in answer.text
    assert "Began in" not in answer.text
    assert 'hx-target="#server-basedpyright-00000000"' in answer.text


@pytest.mark.usefixtures("basedpyright")
def test_the_real_one_tells_what_the_file_defines(alice: Actor, place: Place) -> None:
    found = service.try_server(alice, place, "basedpyright")
    assert found.is_ok, found.why
    assert (found.file, found.names[0]) == ("cart.py", "total")
    assert "subtotal" in found.names


@pytest.mark.parametrize(
    ("manner", "told"),
    [("no_symbols", "It cannot tell the symbols of a file."), ("refuses", "not now"), ("garbage", "the protocol")],
)
def test_a_test_that_fails_says_why(
    alice: Actor, place: Place, stands_in: Callable[[str], None], manner: str, told: str
) -> None:
    stands_in(manner)
    found = service.try_server(alice, place, "basedpyright")
    assert not found.is_ok
    assert told in found.why


def test_a_test_wants_a_file_that_is_served(alice: Actor, place: Place) -> None:
    (place.directory / "cart.py").unlink()
    assert "no file here that it serves (.py, .pyi)" in service.try_server(alice, place, "basedpyright").why
    assert running.within(place) == []


@pytest.mark.usefixtures("basedpyright")
def test_more_tests_at_once_than_threads_are_free_for_are_put_off(alice: Actor, place: Place) -> None:
    places = [trial._places.acquire(blocking=False) for _ in range(trial.MOST_AT_ONCE)]
    try:
        with pytest.raises(Limited):
            service.try_server(alice, place, "basedpyright")
    finally:
        for _ in places:
            trial._places.release()


def test_one_that_is_not_installed_says_how_to_install_it(
    browser: Browser, alice: Actor, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.languages.servers.search_path", lambda: str(place.directory / "nowhere"))
    page = browser.get(PAGE).text
    assert "Not installed" in page
    assert "basedpyright-langserver is not installed on this server." in page
    assert "pip install basedpyright" in page
    assert "Start basedpyright" not in page
    assert "Test basedpyright" not in page
    with pytest.raises(Conflict, match="not installed"):
        service.begin(alice, place, "basedpyright")


def test_one_of_the_project_itself_is_refused_with_the_reason(
    browser: Browser, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = place.directory / "bin" / "basedpyright-langserver"
    own.parent.mkdir()
    own.write_text("#!/bin/sh\nexit 1\n")
    own.chmod(0o755)
    monkeypatch.setattr("app.languages.servers.search_path", lambda: str(own.parent))
    assert "lies in the project itself, which is never run" in browser.get(PAGE).text
    assert act(browser, place, "start") == 409


def test_in_a_team_without_a_sandbox_none_begins_and_the_page_says_so(
    browser: Browser, alice: Actor, place: Place, stands_in: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stands_in("good")
    monkeypatch.setattr(processes, "sandbox_state", lambda: SandboxState(False, "it is missing.", ""))
    accounts.create_user(alice, "Bob", None, "member")
    page = browser.get(PAGE).text
    assert NO_WALLS in page
    assert "Start basedpyright" not in page
    for name in ("start", "restart", "test"):
        answer = browser.post(f"{PAGE}/basedpyright/{name}", {"directory": str(place.directory)})
        assert answer.status_code == 503
        assert NO_WALLS in answer.text
    assert running.within(place) == []
    assert audited() == []


def test_where_they_are_switched_off_none_begins(
    browser: Browser, alice: Actor, place: Place, stands_in: Callable[[str], None]
) -> None:
    stands_in("good")
    config.use(replace(config.current(), language_servers=False))
    assert "SIGNALCABIN_LANGUAGE_SERVERS=off" in browser.get(PAGE).text
    with pytest.raises(Unavailable):
        service.try_server(alice, place, "basedpyright")


@pytest.mark.parametrize("name", ACTS)
def test_a_server_or_root_that_there_is_not_is_not_found(browser: Browser, place: Place, name: str) -> None:
    form = {"directory": str(place.directory)}
    assert browser.post(f"{PAGE}/nothing/{name}", form).status_code == 404
    for root in ("../..", "/etc", "elsewhere"):
        assert act(browser, place, name, root=root) == 404


@pytest.mark.parametrize("name", ACTS)
def test_a_directory_that_is_no_project_is_denied(browser: Browser, place: Place, name: str, tmp_path: Path) -> None:
    assert act(browser, place, name, directory=str(tmp_path)) == 403
    assert browser.get(f"{PAGE}?directory={tmp_path}").status_code == 403


@pytest.mark.parametrize("role", ["viewer", "member"])
def test_whoever_may_not_run_commands_in_the_project_reads_and_finds_no_button(
    app: Cabin, alice: Actor, place: Place, stands_in: Callable[[str], None], role: str
) -> None:
    stands_in("good")
    theirs = Browser(app, member(alice, "Vera", role))
    page = theirs.get(PAGE).text
    assert "Not started" in page
    assert "Start basedpyright" not in page
    assert "Test basedpyright" not in page
    assert [act(theirs, place, name) for name in ACTS] == [403] * 4
    assert running.within(place) == []


def test_an_admin_may(app: Cabin, alice: Actor, place: Place, stands_in: Callable[[str], None]) -> None:
    stands_in("good")
    theirs = Browser(app, member(alice, "Adam", "admin"))
    assert "Test basedpyright" in theirs.get(PAGE).text
    assert act(theirs, place, "test") == 303


def test_charlie_is_denied_below_the_doors_too(charlie: Actor, place: Place) -> None:
    for verb in (
        lambda: service.list_standings(charlie, place),
        lambda: service.refusal(charlie, place),
        lambda: service.begin(charlie, place, "basedpyright"),
        lambda: service.restart(charlie, place, "nothing"),
        lambda: service.end(charlie, place, "nothing"),
        lambda: service.try_server(charlie, place, "basedpyright"),
    ):
        with pytest.raises((Denied, NotFound)):
            verb()


@pytest.mark.parametrize("name", ACTS)
def test_forms_need_the_token_and_our_own_origin(browser: Browser, place: Place, name: str) -> None:
    path = f"{PAGE}/basedpyright/{name}"
    assert browser.post(path, token="").status_code == 403
    assert browser.post(path, headers={"Origin": "https://evil.example"}).status_code == 403


def test_a_stranger_is_turned_away(stranger: Caller) -> None:
    assert stranger.get(PAGE).status_code == 401


def test_an_open_page_is_told_how_they_stand_now(
    browser: Browser, alice: Actor, place: Place, stands_in: Callable[[str], None]
) -> None:
    stands_in("good")
    response = browser.get(f"/live?languages={place.directory}", buffered=False)
    stream = frames(response)
    service.begin(alice, place, "basedpyright")
    told = next(frame for frame in stream if "server-basedpyright" in frame)
    stream.close()
    assert 'data-state="running"' in told
    assert "Stop basedpyright" in told


def test_one_that_is_stopped_while_it_begins_runs_on_nowhere(
    alice: Actor, place: Place, stands_in: Callable[[str], None]
) -> None:
    stands_in("deaf")
    watching = events.subscribe(alice, keep=lambda fact: isinstance(fact.event, ServersChanged))
    service.begin(alice, place, "basedpyright")
    entry = running.within(place)[0]
    client = until(lambda: entry.client)
    entry.drop()
    next(watching.facts(heartbeat=None))
    watching.close()
    until(client.child.exited)
    assert entry.ready(0) is None


def audited() -> list[str]:
    """What the audit record says was done with language servers."""
    rows = record.audit_rows
    with db.read() as conn:
        found = conn.execute(sa.select(rows.c.action, rows.c.target).order_by(rows.c.at))
        return [f"{row.action} {row.target}" for row in found if row.action.startswith("languages.")]
