"""What the real servers answered and told, old and new, ours does too, but for what differences.py lists."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests import repository
from tests.dialects.opencode import differences, recorded_model, replay
from tests.dialects.opencode.replay import Stage
from tests.model_server import ModelServer
from tests.running import ROOT, Running

GENERATIONS = ("old", "new")
PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452")
RECORDINGS = [(generation, name) for generation in GENERATIONS for name in replay.names(generation)]

pytestmark = [pytest.mark.contracts, pytest.mark.timeout(300)]


def change_files(project: Path) -> None:
    """What was done by hand before the second look at the changed files."""
    (project / "README.md").write_text("hello changed\n")
    (project / "img.png").write_bytes(PNG)


def make_project(root: Path) -> None:
    """The little repository in which the recordings were made."""
    (root / "src").mkdir(parents=True)
    (root / "README.md").write_text("hello world\n")
    (root / "src" / "a.py").write_text("def alpha_function():\n    return 1\n")
    repository.git(root, "init", "-q", "-b", "master")
    repository.git(root, "add", "-A")
    repository.git(root, "-c", "user.name=Test", "-c", "user.email=test@example.com", "commit", "-q", "-m", "Start")


def write_command(running: Running) -> None:
    """The command of whoever ran the recorded servers."""
    folder = running.data_dir / "command"
    folder.mkdir()
    (folder / "greet.md").write_text("---\ndescription: Greets\n---\n[[say greetings $ARGUMENTS]]\n")


def clean_up(project: Path) -> None:
    repository.git(project, "checkout", "-q", "--", ".")
    repository.git(project, "clean", "-fdq")


ACTS = {("02_find_file", 22): change_files, ("03_session_crud", 0): clean_up}


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Stage]]:
    """For each generation a server of its own, on which its recordings are played in their order."""
    base = tmp_path_factory.mktemp("recordings").resolve()
    made: dict[str, Stage] = {}
    with ModelServer(direct=recorded_model.answer) as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test-key", "MODEL": "openai/scripted"}
        with (
            Running(base / "old-data", _workspace(base / "old"), **settings) as old,
            Running(base / "new-data", _workspace(base / "new"), **settings) as new,
        ):
            for generation, running in (("old", old), ("new", new)):
                write_command(running)
                where = base / generation
                command = [sys.executable, "-m", "app", "project", "add", str(where / "ask")]
                subprocess.run(command, cwd=ROOT, env=running.environ, check=True, capture_output=True)
                is_known = partial(_is_known, generation)
                made[generation] = Stage(generation, running, where, ACTS, is_known)
            yield made
            for stage in made.values():
                stage.close()


def _workspace(where: Path) -> Path:
    make_project(where / "ask")
    make_project(where / "proj")
    return where / "proj"


def _is_known(generation: str, recording: str, what: str) -> bool:
    return differences.known(generation, recording, what) is not None


@pytest.mark.parametrize(("generation", "name"), RECORDINGS, ids=[f"{one}-{name}" for one, name in RECORDINGS])
def test_it_does_as_recorded(stages: dict[str, Stage], generation: str, name: str) -> None:
    found = stages[generation].differences(name)
    assert [one for one in found if differences.known(generation, name, one) is None] == []


def test_every_difference_that_is_listed_is_still_there(stages: dict[str, Stage]) -> None:
    seen = set()
    for generation, name in RECORDINGS:
        for what in stages[generation].differences(name):
            seen |= {one for one in [*differences.PENDING, *differences.KEPT] if one.covers(generation, name, what)}
    gone = [one for one in [*differences.PENDING, *differences.KEPT] if one not in seen]
    assert gone == [], "take these off the list: what they speak of is as recorded now"
