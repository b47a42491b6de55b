"""Language servers of a project: the real one for Python finds symbols and errors, and the model is told of them."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.accounts import service as accounts
from app.actor import Actor
from app.agent import diagnosing
from app.config import Config
from app.dialects.mount import Cabin
from app.events import service as events
from app.languages import running, servers, service
from app.languages.events import Diagnosed, ServersChanged
from app.languages.servers import Server
from app.processes import service as processes
from app.processes.spawn import SandboxState, search_path
from app.projects import service as projects
from app.projects.service import Place
from tests.agent.talk import Talk
from tests.conftest import Caller
from tests.model_server import Call, ModelServer, Say
from tests.patience import PATIENCE

CART = "def total(prices: list[int]) -> int:\n    return sum(prices)\n\n\ndef subtotal() -> int:\n    return 0\n"
PATHS = ["/lsp", "/find/symbol?query=x"]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    root.mkdir()
    (root / "pyproject.toml").write_text("[tool.basedpyright]\n")
    (root / "cart.py").write_text(CART)
    return root


@pytest.fixture
def settings(settings: Config, workspace: Path) -> Config:
    return replace(settings, project=workspace, model="openai/scripted", language_servers=True)


@pytest.fixture
def place(app: Cabin, alice: Actor, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The project; a slow machine gets its time for the first look."""
    monkeypatch.setattr(diagnosing, "WAIT", PATIENCE)
    monkeypatch.setattr(service, "BEGIN_WAIT", PATIENCE)
    monkeypatch.setattr(service, "ASK_WAIT", PATIENCE)
    return projects.resolve(alice, None)


@pytest.fixture
def basedpyright() -> None:
    if shutil.which("basedpyright-langserver", path=search_path()) is None:
        pytest.fail("basedpyright is not installed; run: make test", pytrace=False)


@pytest.fixture
def stands_in(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have the fake server, in a manner, be the one for Python; it lies where the sandbox shows it."""

    def use(manner: str) -> None:
        fake = shutil.copy(Path(__file__).parent / "fake_server.py", workspace / "fake_server.py")
        command = (sys.executable, str(fake), manner)
        monkeypatch.setattr(servers, "SERVERS", (replace(_python(), command=command),))

    return use


def _python() -> Server:
    return servers.SERVERS[0]


@pytest.mark.parametrize("path", PATHS)
def test_a_stranger_is_turned_away(stranger: Caller, path: str) -> None:
    assert stranger.get(f"/opencode{path}").status_code == 401


@pytest.mark.parametrize("path", PATHS)
def test_a_directory_that_is_no_project_is_denied(call: Caller, path: str, tmp_path: Path) -> None:
    assert call.get(f"/opencode{path}", headers={"x-opencode-directory": str(tmp_path)}).status_code == 403


def test_a_search_without_words_is_refused(call: Caller) -> None:
    assert call.get("/opencode/find/symbol").status_code == 400


@pytest.mark.usefixtures("basedpyright")
def test_symbols_of_the_project_are_found_the_likeliest_first(call: Caller, place: Place) -> None:
    assert call.get("/opencode/lsp").json == []
    found = call.get("/opencode/find/symbol?query=total").json
    assert [one["name"] for one in found] == ["total", "subtotal"]
    assert found[0]["kind"] == 12
    assert found[0]["location"]["uri"] == f"file://{place.directory}/cart.py"
    assert found[0]["location"]["range"]["start"]["line"] == 0
    assert call.get("/opencode/lsp").json == [
        {"id": "basedpyright", "name": "basedpyright", "root": "", "status": "connected"}
    ]


@pytest.mark.usefixtures("basedpyright")
def test_the_model_hears_of_the_error_that_its_edit_made_and_not_of_one_it_mended(
    place: Place, alice: Actor, scripted: ModelServer
) -> None:
    talk = Talk(alice, preset="auto")
    watching = events.subscribe(alice, keep=lambda fact: isinstance(fact.event, (Diagnosed, ServersChanged)))
    wrong = {"filePath": "new.py", "content": "import cart\n\nprint(cart.totl([1]))\n"}
    mend = {"filePath": "new.py", "oldString": "totl", "newString": "total"}
    scripted.script = [[Call("write", wrong)], [Call("edit", mend)], [Say("Done.")]]
    talk.ask("go")
    made, mended = (one["state"] for one in talk.tools())
    path = str(place.directory / "new.py")
    assert "Errors in new.py as it is now:\nnew.py:3:12: " in made["output"]
    assert [one["severity"] for one in made["metadata"]["diagnostics"][path] if one["severity"] == 1] == [1]
    assert "Errors" not in mended["output"]
    assert [one for one in mended["metadata"]["diagnostics"][path] if one["severity"] == 1] == []
    assert any("new.py:3:12: " in str(message["content"]) for message in scripted.requests[1]["messages"])
    seen = [fact.event for fact in watching.facts(heartbeat=0.01) if fact or watching.close()]
    assert ServersChanged(str(place.directory)) in seen
    assert Diagnosed(str(place.directory), "basedpyright", path) in seen


@pytest.mark.usefixtures("basedpyright")
def test_a_library_that_is_looked_for_in_our_interpreter_is_no_error_of_the_edit(
    place: Place, alice: Actor, scripted: ModelServer
) -> None:
    talk = Talk(alice, preset="auto")
    text = "import never_heard_of\n\nprint(never_heard_of.x, nowhere)\n"
    scripted.script = [[Call("write", {"filePath": "new.py", "content": text})], [Say("Done.")]]
    talk.ask("go")
    [made] = (one["state"] for one in talk.tools())
    codes = [one.get("code") for one in made["metadata"]["diagnostics"][str(place.directory / "new.py")]]
    assert "reportMissingImports" in codes
    assert "nowhere" in made["output"]
    assert "never_heard_of" not in made["output"]


def test_a_server_that_crashes_is_told_as_failed_and_not_begun_again_at_once(
    call: Caller, place: Place, alice: Actor, stands_in: Callable[[str], None]
) -> None:
    stands_in("crashes")
    watching = events.subscribe(alice, keep=lambda fact: isinstance(fact.event, ServersChanged))
    path = str(place.directory / "cart.py")
    assert service.diagnose(alice, place, {path: "wrong\n"}, PATIENCE) == {}
    changes = watching.facts(heartbeat=None)
    next(changes)
    next(changes)
    assert [one["status"] for one in call.get("/opencode/lsp").json] == ["error"]
    client = running.within(place)[0].client
    assert service.diagnose(alice, place, {path: "wrong\n"}, PATIENCE) == {}
    assert running.within(place)[0].client is client


def test_in_a_team_without_a_sandbox_none_begins(
    place: Place, alice: Actor, stands_in: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stands_in("good")
    monkeypatch.setattr(processes, "sandbox_state", lambda: SandboxState(False, "it is missing.", ""))
    accounts.create_user(alice, "Bob", None, "member")
    assert service.diagnose(alice, place, {str(place.directory / "cart.py"): "wrong\n"}, PATIENCE) == {}
    [one] = service.list_servers(alice, place)
    assert one.why == "Without a sandbox a team's server runs no commands: it is missing."


def test_one_that_leaves_three_questions_unanswered_is_ended(
    place: Place, alice: Actor, stands_in: Callable[[str], None]
) -> None:
    stands_in("mute")
    path = str(place.directory / "cart.py")
    entry = running.entry(place, _python(), place.directory)
    assert entry is not None
    assert entry.ready(PATIENCE) is not None
    for _ in range(running.MOST_MISSED):
        assert service.diagnose(alice, place, {path: "wrong\n"}, 0.01) == {}
    assert not entry.is_connected


def test_nobody_waits_where_servers_are_off_or_none_knows_the_language(
    place: Place, alice: Actor, stands_in: Callable[[str], None]
) -> None:
    stands_in("good")
    assert service.diagnose(alice, place, {str(place.directory / "a.txt"): "wrong\n"}, PATIENCE) == {}
    assert running.within(place) == []


def test_no_server_of_the_project_itself_is_begun(place: Place, alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    own = place.directory / "bin" / "basedpyright-langserver"
    own.parent.mkdir()
    own.write_text("#!/bin/sh\nexit 1\n")
    own.chmod(0o755)
    monkeypatch.setattr("app.languages.servers.search_path", lambda: str(own.parent))
    assert service.diagnose(alice, place, {str(place.directory / "cart.py"): "x\n"}, PATIENCE) == {}
    assert service.find_symbols(alice, place, "total") == []
    assert running.within(place) == []


def test_nothing_runs_on_after_the_end(place: Place, alice: Actor, stands_in: Callable[[str], None]) -> None:
    stands_in("good")
    path = str(place.directory / "cart.py")
    assert len(service.diagnose(alice, place, {path: "wrong\n"}, PATIENCE)[path]) == 1
    client = running.within(place)[0].client
    assert client is not None
    service.stop()
    assert client.child.exited()
    assert service.diagnose(alice, place, {path: "wrong\n"}, PATIENCE) == {}


@pytest.mark.usefixtures("basedpyright")
@pytest.mark.parametrize("settings_of", ["pyproject.toml", "pyrightconfig.json", "nothing"])
def test_what_an_agent_writes_into_the_project_is_never_run_by_the_server_that_reads_it(
    place: Place, alice: Actor, settings_of: str
) -> None:
    top = place.directory
    for folder in (".venv/bin", "venv/bin", "node_modules/.bin"):
        (top / folder).mkdir(parents=True)
        for name in ("python", "python3", "node"):
            (top / folder / name).write_text(f'#!/bin/sh\ntouch {top}/was_run\nexec python3 "$@"\n')
            (top / folder / name).chmod(0o755)
        (top / folder).parent.joinpath("pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11\n")
    for name in ("sitecustomize.py", "usercustomize.py", "encodings.py", "json.py", "site.py", "os.py"):
        (top / name).write_text(f"open({str(top / 'was_run')!r}, 'a').write({name!r})\n")
    given = {"venvPath": ".", "venv": ".venv", "pythonPath": "./.venv/bin/python"}
    if settings_of == "pyproject.toml":
        lines = "".join(f"{key} = {value!r}\n" for key, value in given.items())
        (top / settings_of).write_text(f"[tool.basedpyright]\n{lines}")
    elif settings_of == "pyrightconfig.json":
        (top / settings_of).write_text(json.dumps(given))
    path = str(top / "cart.py")
    assert service.diagnose(alice, place, {path: "nowhere\n"}, PATIENCE)[path]
    assert not (top / "was_run").exists(), (top / "was_run").read_text()
