"""Formatters: what an agent writes is formatted before it is shown and made, where the server and the project say so."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import config
from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import service as approvals
from app.config import Config
from app.dialects.mount import Cabin
from app.errors import Denied, NotFound
from app.languages import formatted, formatters, service
from app.languages.formatters import FILE, Formatter
from app.processes import service as processes
from app.processes.spawn import SandboxState, search_path
from app.projects import service as projects
from app.projects.service import Place
from tests.agent.talk import Talk
from tests.conftest import Caller
from tests.dialects.opencode_schemas import check_new
from tests.model_server import Call, ModelServer, Say

LOOSE = "def total( prices ):\n    return sum( prices )\n"
NEAT = "def total(prices):\n    return sum(prices)\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    root.mkdir()
    (root / "pyproject.toml").write_text("[tool.ruff]\nline-length = 100\n")
    (root / "cart.py").write_text(NEAT)
    return root.resolve()


@pytest.fixture
def settings(settings: Config, workspace: Path) -> Config:
    return replace(settings, project=workspace, model="openai/scripted", formatters=True)


@pytest.fixture
def place(app: Cabin, alice: Actor) -> Place:
    return projects.resolve(alice, None)


@pytest.fixture
def ruff() -> None:
    if shutil.which("ruff", path=search_path()) is None:
        pytest.fail("ruff is not installed; run: make test", pytrace=False)


@pytest.fixture
def stands_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have a piece of Python be the formatter of text files; it reads `text` and has the file's `path`."""

    def use(code: str) -> None:
        whole = f"import sys\ntext, path = sys.stdin.read(), sys.argv[1]\n{code}"
        one = Formatter("standin", (".txt",), (sys.executable, "-c", whole, FILE))
        monkeypatch.setattr(formatters, "FORMATTERS", (one,))
        monkeypatch.setattr(formatted, "_known", type(formatted._known)())

    return use


def form(actor: Actor, place: Place, name: str, text: str) -> service.Formatted | None:
    return service.format_text(actor, place, place.directory / name, text, threading.Event())


def states(talk: Talk) -> list[dict[str, Any]]:
    return [one["state"] for one in talk.tools()]


@pytest.mark.usefixtures("ruff")
def test_what_an_agent_writes_is_formatted_and_its_next_edit_fits(
    place: Place, alice: Actor, scripted: ModelServer
) -> None:
    talk = Talk(alice, preset="auto")
    edit = {"filePath": "new.py", "oldString": "sum(prices)", "newString": "sum( prices )+0"}
    patch = "*** Begin Patch\n*** Add File: more.py\n+x=1\n*** Update File: new.py\n@@\n-    return sum(prices) + 0\n+    return 0\n*** End Patch"
    scripted.script = [
        [Call("write", {"filePath": "new.py", "content": LOOSE})],
        [Call("edit", edit)],
        [Call("patch", {"patchText": patch})],
        [Say("Done.")],
    ]
    talk.ask("go")
    made, edited, patched = states(talk)
    assert [one.get("error", one["status"]) for one in (made, edited, patched)] == ["completed"] * 3
    assert "ruff has formatted new.py" in made["output"]
    assert "-def total( prices ):" in made["output"]
    assert "+def total(prices):" in made["output"]
    assert made["metadata"]["filediff"]["after"] == NEAT
    assert "+    return sum(prices) + 0\n" in edited["metadata"]["diff"]
    assert "ruff has formatted more.py" in patched["output"]
    assert (place.directory / "more.py").read_text() == "x = 1\n"
    assert (place.directory / "new.py").read_text() == "def total(prices):\n    return 0\n"


@pytest.mark.usefixtures("ruff")
def test_what_is_approved_is_what_is_written(place: Place, alice: Actor, scripted: ModelServer) -> None:
    talk = Talk(alice, preset="ask")
    scripted.script = [[Call("write", {"filePath": "new.py", "content": LOOSE})], [Say("Done.")]]
    talk.say("go")
    ask = talk.until_asked()
    approvals.answer(alice, ask["id"], "once", "")
    talk.until_idle()
    [made] = states(talk)
    assert ask["metadata"]["diff"] == made["metadata"]["diff"]
    assert "+def total(prices):" in made["metadata"]["diff"]


@pytest.mark.usefixtures("ruff")
def test_what_cannot_be_formatted_is_written_as_it_is_and_the_model_hears_why(
    place: Place, alice: Actor, scripted: ModelServer
) -> None:
    talk = Talk(alice, preset="auto")
    scripted.script = [[Call("write", {"filePath": "new.py", "content": "def (\n"})], [Say("Done.")]]
    talk.ask("go")
    [made] = states(talk)
    assert made["status"] == "completed"
    assert "new.py is as you wrote it: ruff could not format it: " in made["output"]
    assert (place.directory / "new.py").read_text() == "def (\n"


def test_nothing_is_formatted_unless_the_server_says_so(call: Caller, place: Place, alice: Actor) -> None:
    config.use(replace(config.current(), formatters=False))
    assert form(alice, place, "new.py", LOOSE) is None
    assert call.get("/opencode/formatter").json == []


@pytest.mark.usefixtures("ruff")
def test_the_formatters_are_listed_with_those_that_the_project_has(call: Caller, place: Place, workspace: Path) -> None:
    listed = {one["name"]: one for one in call.get("/opencode/formatter").json}
    assert listed["ruff"] == {"name": "ruff", "extensions": [".py", ".pyi"], "enabled": True}
    assert len(listed) == len(formatters.FORMATTERS)
    for one in listed.values():
        check_new("FormatterStatus", one)
    (workspace / "pyproject.toml").write_text("[project]\n")
    listed = {one["name"]: one for one in call.get("/opencode/formatter").json}
    assert not listed["ruff"]["enabled"]


def test_a_stranger_is_turned_away(stranger: Caller, charlie: Actor, place: Place) -> None:
    assert stranger.get("/opencode/formatter").status_code == 401
    with pytest.raises((Denied, NotFound)):
        form(charlie, place, "new.py", LOOSE)
    with pytest.raises((Denied, NotFound)):
        service.list_formatters(charlie, place)


def test_a_directory_that_is_no_project_is_denied(call: Caller, tmp_path: Path) -> None:
    assert call.get("/opencode/formatter", headers={"x-opencode-directory": str(tmp_path)}).status_code == 403


def test_a_program_that_lies_in_the_project_is_not_run(
    place: Place, alice: Actor, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = workspace / "bin" / "ruff"
    own.parent.mkdir()
    own.write_text("#!/bin/sh\ntouch ran\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(own.parent))
    monkeypatch.setattr("app.languages.servers.search_path", lambda: str(own.parent))
    assert form(alice, place, "new.py", LOOSE) is None
    assert not (workspace / "ran").exists()


@pytest.mark.parametrize(
    ("mark", "text", "is_home"),
    [
        ("ruff.toml", "", True),
        ("src/.ruff.toml", "", True),
        ("src/pyproject.toml", "[tool.ruff.format]\n", True),
        ("other/ruff.toml", "", False),
        ("pyproject.toml", "[tool.black]\n", False),
    ],
)
def test_a_formatter_is_at_home_where_the_project_configures_it(
    tmp_path: Path, mark: str, text: str, is_home: bool
) -> None:
    ruff = next(one for one in formatters.FORMATTERS if one.name == "ruff")
    (tmp_path / "ruff.toml").touch()
    top = tmp_path / "top"
    for folder in ("src/deep", "other"):
        (top / folder).mkdir(parents=True)
    (top / "src" / "ruff.toml").symlink_to(tmp_path / "ruff.toml")
    (top / mark).write_text(text)
    assert formatters.is_at_home(ruff, top / "src" / "deep", top) is is_home


def test_a_formatter_cannot_change_files_by_being_asked_for_a_text(
    place: Place, alice: Actor, stands_in: Callable[[str], None]
) -> None:
    stands_in("print(path); print(text.upper(), end='')")
    found = form(alice, place, "docs/new.txt", "one\n")
    assert found == service.Formatted(f"{place.directory}/docs/new.txt\nONE\n", "standin")
    assert not (place.directory / "docs").exists()


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("sys.exit('no  such\\nform')", "no such form"),
        ("sys.exit(3)", "it ended with exit code 3."),
        ("print(end='')", "it gave nothing back."),
    ],
    ids=["says why", "says nothing", "gives nothing"],
)
def test_one_that_fails_leaves_the_text(
    place: Place, alice: Actor, stands_in: Callable[[str], None], code: str, why: str
) -> None:
    stands_in(code)
    assert form(alice, place, "new.txt", "one\n") == service.Formatted("one\n", "standin", why)


def test_one_that_does_not_end_is_ended(
    place: Place, alice: Actor, stands_in: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formatted, "WAIT", 0.5)
    stands_in("import threading\nthreading.Event().wait()")
    assert form(alice, place, "new.txt", "one\n") == service.Formatted("one\n", "standin", "it was ended after 0.5 s.")


def test_a_text_is_formatted_once_for_the_approval_and_the_edit(
    place: Place, alice: Actor, stands_in: Callable[[str], None]
) -> None:
    stands_in("import os\nprint(os.getpid(), text, end='')")
    first, second, other = (form(alice, place, "new.txt", text) for text in ("one\n", "one\n", "two\n"))
    assert first == second != other


def test_in_a_team_without_a_sandbox_none_is_run(
    place: Place, alice: Actor, stands_in: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stands_in("print(text.upper())")
    monkeypatch.setattr(processes, "sandbox_state", lambda: SandboxState(False, "it is missing.", ""))
    accounts.create_user(alice, "Bob", None, "member")
    found = form(alice, place, "new.txt", "one\n")
    why = "Without a sandbox a team's server runs no commands: it is missing."
    assert found == service.Formatted("one\n", "standin", why)


@pytest.mark.parametrize(
    ("name", "text"), [("new.md", "one"), ("new.txt", "x" * (formatted.LARGEST + 1))], ids=["unknown", "too large"]
)
def test_other_texts_are_left_alone(
    place: Place, alice: Actor, stands_in: Callable[[str], None], name: str, text: str
) -> None:
    stands_in("print(text.upper())")
    assert form(alice, place, name, text) is None
